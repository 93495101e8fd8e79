//! How a tenant wants its people to sign in.
//!
//! *Invariant*: whoever is let in is let in under the rules that are in force at that moment: the
//! transaction that begins a session has as its condition that the rules are what was read.

use super::Identity;
use super::account::AccountError;
use super::session::SessionError;
use super::user;
use crate::tenancy::by::By;
use crate::tenancy::id::TenantId;
use crate::tenancy::record::{self, delete, put};
use crate::tenancy::registry::Completion;
use crate::tenancy::scope::Principal;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::PoisonError;
use storage::engine::{Expect, TableWrite, Tables};
use storage::error::StoreError;
use storage::row::TimeMs;

/// Rules by tenant.
const RULES: &str = "sign_in_rules";

/// What a tenant demands of whoever signs in with a password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInRules {
    /// Whether a password alone is not enough.
    #[serde(default)]
    pub require_otp: bool,
}

/// Why rules were not changed.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// Whoever wants it would be out.
    #[error("you have no second factor yourself: set one up before you demand it of everybody")]
    NotSetUp,
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
            Self::Stale => "precondition_failed",
            Self::Account(account) => account.code(),
            Self::Store(_) => "store_failed",
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NotSetUp | Self::Stale => false,
            Self::Account(account) => account.is_transient(),
            Self::Store(store) => store.is_transient(),
        }
    }
}

/// Rules as they were read.
pub(super) struct StoredRules {
    pub(super) rules: SignInRules,
    tenant_id: TenantId,
    bytes: Option<Vec<u8>>,
}

impl StoredRules {
    /// The condition that nobody changed them since.
    pub(super) fn unchanged(&self) -> Expect {
        let (table, key) = (RULES.into(), self.tenant_id.as_str().into());
        Expect { table, key, value: self.bytes.clone() }
    }
}

/// What ends the rules of a tenant.
pub(super) fn removal(tenant_id: &TenantId) -> TableWrite {
    delete(RULES, tenant_id.as_str().as_bytes())
}

/// The rules of a tenant; those of one that has none are the mildest.
pub(super) fn get(platform: &dyn Tables, tenant_id: &TenantId) -> Result<StoredRules, StoreError> {
    let bytes = platform.get(RULES, tenant_id.as_str().as_bytes())?;
    let what = || format!("{RULES}/{tenant_id}");
    let rules = bytes.as_deref().map(|bytes| record::decode(&what(), bytes)).transpose()?;
    Ok(StoredRules { rules: rules.unwrap_or_default(), tenant_id: tenant_id.clone(), bytes })
}

impl Identity {
    /// How people of a tenant sign in.
    pub fn sign_in_rules(&self, tenant_id: &TenantId) -> Result<SignInRules, StoreError> {
        Ok(get(&*self.platform, tenant_id)?.rules)
    }

    /// Has the people of a tenant sign in by other rules, if those of now pass `current`. Where a
    /// second factor is demanded anew, the sessions of those who have none end.
    pub fn set_sign_in_rules(
        &self,
        tenant_id: &TenantId,
        rules: SignInRules,
        by: &By,
        current: impl FnOnce(&SignInRules) -> bool,
        now_ms: TimeMs,
    ) -> Result<SignInRules, RulesError> {
        let _alone = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = get(&*self.platform, tenant_id)?;
        if !current(&stored.rules) {
            return Err(RulesError::Stale);
        }
        if let Principal::User { user_id, tenant_id: own, .. } = &by.principal
            && rules.require_otp
            && own == tenant_id
            && !self.stored_user(tenant_id, user_id)?.user.otp
        {
            return Err(RulesError::NotSetUp);
        }
        let event = by.did("sign_in_rules.change", String::new());
        let event = event.before(json!(stored.rules)).after(json!(rules));
        let act = Completion {
            expect: vec![stored.unchanged()],
            writes: vec![put(RULES, tenant_id.as_str().as_bytes(), record::encode(&rules)?)],
            told: by.told(tenant_id, event),
        };
        if !act.commit(&self.log, now_ms)? {
            return Err(RulesError::Stale);
        }
        if rules.require_otp {
            self.end_sessions_without_otp(tenant_id, now_ms)?;
        }
        Ok(rules)
    }

    /// To be called once the rules that demand a second factor are stored: no session can begin
    /// without one any more, so that these are all. Whoever calls again after a failure goes on.
    fn end_sessions_without_otp(
        &self,
        tenant_id: &TenantId,
        now_ms: TimeMs,
    ) -> Result<(), AccountError> {
        for user in user::of_tenant(&*self.platform, tenant_id)? {
            if user.otp || self.sessions.list(&user.id, now_ms)?.is_empty() {
                continue; // a transaction costs a sync
            }
            if !self.sessions.end_all(&user.id, None, &Completion::default(), now_ms)? {
                return Err(SessionError::Contended.into());
            }
        }
        Ok(())
    }
}
