//! How a tenant wants its people to sign in.
//!
//! *Invariants*: whoever is let in is let in under the rules that are in force at that moment: the
//! transaction that begins a session has as its condition that the rules are what was read. A session that
//! began before the rules, and could not any more, does not go on, be the process killed before it ended.

use super::account::AccountError;
use super::session::SessionError;
use super::user::{self, User};
use super::{Identity, sso};
use crate::tenancy::by::By;
use crate::tenancy::id::TenantId;
use crate::tenancy::permission::Role;
use crate::tenancy::record::{self, delete, put};
use crate::tenancy::registry::{Completion, Tenancy};
use crate::tenancy::scope::Principal;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::PoisonError;
use storage::engine::{Expect, TableWrite, Tables};
use storage::error::StoreError;
use storage::row::TimeMs;

/// Rules by tenant.
const RULES: &str = "sign_in_rules";

/// What a tenant demands of whoever signs in with a password. Whoever signs in by an identity provider
/// has kept to them: what else is asked there, the provider decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInRules {
    /// Whether a password alone is not enough.
    #[serde(default)]
    pub require_otp: bool,
    /// Whether a password is not enough at all, but for whoever [breaks the glass](Self::lets_in).
    #[serde(default)]
    pub require_sso: bool,
}

impl SignInRules {
    /// Whether `user` may sign in with a password at all. Owners may, and who administers the platform,
    /// for the day when the provider is down, or lets in whom it should not.
    pub(super) fn lets_in(&self, user: &User) -> bool {
        !self.require_sso || user.role == Role::Owner || user.platform
    }

    /// Whether `user` would have to have a second factor and has none. Whoever has no password does
    /// not come in by one.
    fn wants_otp_of(&self, user: &User) -> bool {
        self.require_otp && !user.otp && user.password.is_some()
    }

    /// Whether a session of `user` may have begun as none can any more.
    pub(super) fn ends_sessions_of(&self, user: &User) -> bool {
        self.wants_otp_of(user) || (user.password.is_some() && !self.lets_in(user))
    }
}

/// What is to be demanded otherwise; what is `None` stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct RulesChange {
    /// Whether a password alone is not enough.
    pub require_otp: Option<bool>,
    /// Whether a password is not enough at all.
    pub require_sso: Option<bool>,
}

impl RulesChange {
    fn of(self, before: SignInRules) -> SignInRules {
        SignInRules {
            require_otp: self.require_otp.unwrap_or(before.require_otp),
            require_sso: self.require_sso.unwrap_or(before.require_sso),
        }
    }
}

/// Why rules were not changed.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// Whoever wants it would be out.
    #[error("you have no second factor yourself: set one up before you demand it of everybody")]
    NotSetUp,
    /// Nobody could come in.
    #[error("the tenant has no provider of single sign-on: add one before you demand it")]
    NoProvider,
    /// Nobody could come in without the provider.
    #[error(
        "no owner can sign in with a password: make one who can, for when the provider is down"
    )]
    NoOwner,
    /// They were changed since the caller looked.
    #[error("the rules were changed since you looked at them: look again")]
    Stale,
    /// Somebody's session could not be ended.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RulesError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotSetUp => "otp_not_set_up",
            Self::NoProvider => "no_sso_provider",
            Self::NoOwner => "no_password_owner",
            Self::Stale => "precondition_failed",
            Self::Account(account) => account.code(),
            Self::Store(_) => "store_failed",
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NotSetUp | Self::NoProvider | Self::NoOwner | Self::Stale => false,
            Self::Account(account) => account.is_transient(),
            Self::Store(store) => store.is_transient(),
        }
    }
}

/// Rules as they are stored.
#[derive(Default, Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    rules: SignInRules,
    /// Since when, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since_ms: Option<TimeMs>,
}

/// Rules as they were read.
pub(super) struct StoredRules {
    pub(super) rules: SignInRules,
    since_ms: Option<TimeMs>,
    tenant_id: TenantId,
    bytes: Option<Vec<u8>>,
}

impl StoredRules {
    /// The condition that nobody changed them since.
    pub(super) fn unchanged(&self) -> Expect {
        let (table, key) = (RULES.into(), self.tenant_id.as_str().into());
        Expect { table, key, value: self.bytes.clone() }
    }

    /// Whether a session of `user` that began at `created_ms` may have begun under other rules, and as
    /// none can any more.
    pub(super) fn end(&self, user: &User, created_ms: TimeMs) -> bool {
        let is_older = self.since_ms.is_some_and(|since_ms| created_ms <= since_ms);
        is_older && self.rules.ends_sessions_of(user)
    }
}

/// What has the people of a tenant that is made sign in by `rules`.
pub(super) fn creation(tenant_id: &TenantId, rules: SignInRules) -> Result<TableWrite, StoreError> {
    let record = Record { rules, since_ms: None };
    Ok(put(RULES, tenant_id.as_str().as_bytes(), record::encode(&record)?))
}

/// What ends the rules of a tenant.
pub(super) fn removal(tenant_id: &TenantId) -> TableWrite {
    delete(RULES, tenant_id.as_str().as_bytes())
}

/// The rules of a tenant; those of one that has none are the mildest.
pub(super) fn get(platform: &dyn Tables, tenant_id: &TenantId) -> Result<StoredRules, StoreError> {
    let bytes = platform.get(RULES, tenant_id.as_str().as_bytes())?;
    let what = || format!("{RULES}/{tenant_id}");
    let record = bytes.as_deref().map(|bytes| record::decode(&what(), bytes)).transpose()?;
    let Record { rules, since_ms } = record.unwrap_or_default();
    Ok(StoredRules { rules, since_ms, tenant_id: tenant_id.clone(), bytes })
}

impl Identity {
    /// How people of a tenant sign in.
    pub fn sign_in_rules(&self, tenant_id: &TenantId) -> Result<SignInRules, StoreError> {
        Ok(get(&*self.platform, tenant_id)?.rules)
    }

    /// Has the people of a tenant sign in by other rules, if those of now pass `current`. Sessions of
    /// those end who could not begin one so any more.
    pub fn set_sign_in_rules(
        &self,
        tenant_id: &TenantId,
        change: RulesChange,
        by: &By,
        current: impl FnOnce(&SignInRules) -> bool,
        now_ms: TimeMs,
    ) -> Result<SignInRules, RulesError> {
        let _alone = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = get(&*self.platform, tenant_id)?;
        if !current(&stored.rules) {
            return Err(RulesError::Stale);
        }
        let rules = change.of(stored.rules);
        if let Principal::User { user_id, tenant_id: own, .. } = &by.principal
            && own == tenant_id
            && rules.wants_otp_of(&self.stored_user(tenant_id, user_id)?.user)
        {
            return Err(RulesError::NotSetUp);
        }
        let there = Tenancy::still_there(&*self.platform, tenant_id).map_err(AccountError::from)?;
        let mut expect = vec![stored.unchanged(), there];
        if rules.require_sso && !stored.rules.require_sso {
            expect.push(self.check_may_require_sso(tenant_id)?);
        }
        let event = by.did("sign_in_rules.change", String::new());
        let event = event.before(json!(stored.rules)).after(json!(rules));
        let record = Record { rules, since_ms: Some(now_ms) };
        let act = Completion {
            expect,
            writes: vec![put(RULES, tenant_id.as_str().as_bytes(), record::encode(&record)?)],
            told: by.told(tenant_id, event),
        };
        if !act.commit(&self.log, now_ms)? {
            return Err(RulesError::Stale);
        }
        self.end_sessions_against(rules, tenant_id, now_ms)?;
        Ok(rules)
    }

    /// Fails where the tenant could not be without passwords: it needs a provider, and an owner who can
    /// come in when that is down. Gives the condition that the provider is there. To be called with the
    /// lock on accounts.
    fn check_may_require_sso(&self, tenant_id: &TenantId) -> Result<Expect, RulesError> {
        let provider = sso::registry::any(&*self.platform, tenant_id)?;
        let provider = provider.ok_or(RulesError::NoProvider)?;
        let users = user::of_tenant(&*self.platform, tenant_id)?;
        match users.iter().any(|user| user.role == Role::Owner && user.can_sign_in()) {
            true => Ok(provider.unchanged()),
            false => Err(RulesError::NoOwner),
        }
    }

    /// To be called once `rules` are stored: no session can begin against them any more, so that
    /// these are all. What is left of them after a failure or a crash ends when it is gone on with. How a session began is not
    /// known: of whoever has a password it may have begun with that.
    fn end_sessions_against(
        &self,
        rules: SignInRules,
        tenant_id: &TenantId,
        now_ms: TimeMs,
    ) -> Result<(), AccountError> {
        if rules == SignInRules::default() {
            return Ok(());
        }
        for user in user::of_tenant(&*self.platform, tenant_id)? {
            if !rules.ends_sessions_of(&user) || self.sessions.list(&user.id, now_ms)?.is_empty() {
                continue; // a transaction costs a sync
            }
            if !self.sessions.end_all(&user.id, None, &Completion::default(), now_ms)? {
                return Err(SessionError::Contended.into());
            }
        }
        Ok(())
    }
}
