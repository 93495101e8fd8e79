//! Users as an administrator has them: what is shown of them, and how they are found and made.
//!
//! *Invariants*: a user of one tenant is not found through another; nobody makes a user who may
//! more. What becomes of them later stands in `administration`.

use super::Identity;
use super::email::Email;
use super::names::{self, NamesError};
use super::password::{Password, PasswordError};
use super::session::SessionError;
use super::team::{self, TEAMS_PER_USER_MAX, TeamError};
use super::user::{self, StoredUser, User};
use crate::tenancy::by::By;
use crate::tenancy::id::{TenantId, random_word};
use crate::tenancy::permission::Role;
use crate::tenancy::registry::{Completion, Tenancy, TenancyError};
use crate::tenancy::scope::Principal;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::PoisonError;
use storage::engine::{Expect, TableWrite};
use storage::error::StoreError;
use storage::row::TimeMs;

/// Users of one tenant: more than any company on one machine has, and few enough to list.
pub const USERS_PER_TENANT_MAX: usize = 10_000;

/// Why a user could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// No user of the tenant is meant.
    #[error("there is no user `{user}` in this tenant: `emx user list` shows those there are")]
    NotFound {
        /// What was asked for.
        user: String,
    },
    /// The address is taken.
    #[error("there is a user `{email}` in this tenant already: choose another address")]
    EmailTaken {
        /// The address.
        email: Email,
    },
    /// A key's role.
    #[error("a user cannot have the role `{role}`: it is for API keys, `emx key create` makes one")]
    Role {
        /// The role.
        role: Role,
    },
    /// It is above whoever asks, as it is or as it would be.
    #[error("a user with the role `{role}` may more than you: have one decide who may as much")]
    RoleTooHigh {
        /// The role.
        role: Role,
    },
    /// Nobody could administer the tenant any more.
    #[error("`{email}` is the last owner of the tenant: make another user an owner first")]
    LastOwner {
        /// The owner.
        email: Email,
    },
    /// Nobody could administer the platform any more.
    #[error(
        "`{email}` is the last who administers the platform and can sign in: have another one do it \
         first, with `emx user platform --grant`"
    )]
    LastAdministrator {
        /// The administrator.
        email: Email,
    },
    /// Whoever may change the provider would administer the platform.
    #[error(
        "a provider of the tenant vouches for `{email}`, who cannot administer the platform: have it done \
         by a user with a password alone, `emx user create` makes one"
    )]
    Linked {
        /// The user.
        email: Email,
    },
    /// Somebody else would say who administers the platform.
    #[error("only who administers the platform says who else does: ask one of them")]
    NotPlatform,
    /// A session alone would be enough to take the account over.
    #[error("that is for others: `POST {instead}` changes your own, with your password")]
    Oneself {
        /// What takes one's own.
        instead: &'static str,
    },
    /// A key that keeps to networks, or expires, would make a way in that does not.
    #[error("a key with networks or an expiry makes no way in for anybody: use one without")]
    BoundKey,
    /// The bound.
    #[error("a tenant has {USERS_PER_TENANT_MAX} users at most: remove some first")]
    TooMany,
    /// A team that is not there.
    #[error("there is no team `{team}` in this tenant: `emx team list` shows those there are")]
    NoTeam {
        /// What was asked for.
        team: String,
    },
    /// The bound.
    #[error("a user is in {TEAMS_PER_USER_MAX} teams at most: leave some out")]
    TooManyTeams,
    /// Executions cannot name the user so.
    #[error(transparent)]
    Names(#[from] NamesError),
    /// It was changed since the caller looked.
    #[error("the user was changed since you looked: look again")]
    Stale,
    /// The password breaks the rules or could not be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Its sessions could not be ended.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The tenant is not there, or not any more.
    #[error(transparent)]
    Tenancy(#[from] TenancyError),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AccountError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "user_not_found",
            Self::EmailTaken { .. } => "email_taken",
            Self::Role { .. } => "invalid_role",
            Self::RoleTooHigh { .. } => "role_too_high",
            Self::LastOwner { .. } => "last_owner",
            Self::LastAdministrator { .. } => "last_platform_administrator",
            Self::Linked { .. } => "sso_user",
            Self::NotPlatform => "forbidden",
            Self::Oneself { .. } => "oneself",
            Self::BoundKey => "key_is_bound",
            Self::TooMany => "too_many_users",
            Self::NoTeam { .. } => "team_not_found",
            Self::TooManyTeams => "too_many_teams",
            Self::Names(_) => "invalid_reported_as",
            Self::Stale => "precondition_failed",
            Self::Password(_) => "invalid_password",
            Self::Session(session) => session.code(),
            Self::Tenancy(tenancy) => tenancy.code(),
            Self::Store(_) => "store_failed",
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Password(PasswordError::Hash { .. }) => true,
            Self::Session(session) => session.is_transient(),
            Self::Tenancy(tenancy) => tenancy.is_transient(),
            Self::Store(store) => store.is_transient(),
            _ => false,
        }
    }
}

/// A user as others may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Account {
    /// The user's id.
    pub id: String,
    /// The name to sign in with.
    pub email: Email,
    /// What the user is in the tenant.
    pub role: Role,
    /// Whether the user also administers the platform.
    pub platform: bool,
    /// Whether the user is kept out.
    pub disabled: bool,
    /// Whether the user has chosen a password.
    pub has_password: bool,
    /// Whether the user has a second factor.
    pub has_otp: bool,
    /// How executions name the user.
    pub reported_as: Vec<String>,
    /// The ids of the user's teams.
    pub teams: Vec<String>,
    /// When the user was created, Unix milliseconds.
    pub created_ms: TimeMs,
}

/// A user to be made.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The name to sign in with.
    pub email: Email,
    /// What the user is in the tenant.
    pub role: Role,
    /// How executions name the user.
    pub reported_as: Vec<String>,
    /// The ids of the user's teams.
    pub teams: Vec<String>,
}

impl NewUser {
    /// One in no team, whom no execution names yet.
    pub fn plain(email: Email, role: Role) -> Self {
        Self { email, role, reported_as: Vec::new(), teams: Vec::new() }
    }
}

impl From<User> for Account {
    fn from(user: User) -> Self {
        let User { id, email, role, platform, disabled, reported_as, teams, created_ms, .. } = user;
        let (has_password, has_otp) = (user.password.is_some(), user.otp);
        Self {
            id,
            email,
            role,
            platform,
            disabled,
            has_password,
            has_otp,
            reported_as,
            teams,
            created_ms,
        }
    }
}

impl User {
    /// What makes this user exist, and that `by` made it.
    pub fn creation_by(&self, by: &By) -> Result<Completion, StoreError> {
        self.creation_telling(("user.create", by))
    }

    /// The same, where what somebody did is called `action`.
    pub(super) fn creation_telling(
        &self,
        (action, by): (&str, &By),
    ) -> Result<Completion, StoreError> {
        let event = by.did(action, target(&self.id)).after(told(self));
        Ok(self.creation()?.telling(by.told(&self.tenant_id, event)))
    }

    /// Fails where this user may more than `by`, who so cannot decide about it.
    pub(super) fn demand_below(&self, by: &Principal) -> Result<(), AccountError> {
        let is_below = !self.platform && by.role().covers(self.role);
        match by.may_enter(&self.tenant_id) && (by.is_platform() || is_below) {
            true => Ok(()),
            false => Err(AccountError::RoleTooHigh { role: self.role }),
        }
    }
}

/// Fails where `by` is the user called `user_id`: what may be done to others without their password
/// would give whoever has a stolen session the account.
pub(super) fn demand_another(
    by: &Principal,
    user_id: &str,
    instead: &'static str,
) -> Result<(), AccountError> {
    match by {
        Principal::User { user_id: own, .. } if **own == *user_id => {
            Err(AccountError::Oneself { instead })
        }
        _ => Ok(()),
    }
}

/// `role`, if `by` may give it to a user.
pub(super) fn assignable(role: Role, by: &Principal) -> Result<Role, AccountError> {
    if role == Role::Ingest {
        return Err(AccountError::Role { role });
    }
    match by.is_platform() || by.role().covers(role) {
        true => Ok(role),
        false => Err(AccountError::RoleTooHigh { role }),
    }
}

impl Identity {
    /// The users of a tenant, in order of their addresses.
    pub fn list_of(&self, tenant_id: &TenantId) -> Result<Vec<Account>, AccountError> {
        let users = user::of_tenant(&*self.platform, tenant_id)?;
        Ok(users.into_iter().map(Account::from).collect())
    }

    /// Up to `limit` users of a tenant whose folded addresses come after `after`.
    pub fn page_of(
        &self,
        tenant_id: &TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Account>, AccountError> {
        let users = user::page(&*self.platform, tenant_id, after, limit)?;
        Ok(users.into_iter().map(Account::from).collect())
    }

    /// The user of `tenant_id` with that address.
    pub fn user_by_email(
        &self,
        tenant_id: &TenantId,
        email: &Email,
    ) -> Result<Account, AccountError> {
        let found = user::find(&*self.platform, tenant_id, email)?;
        let found = found.ok_or_else(|| AccountError::NotFound { user: email.to_string() })?;
        Ok(found.user.into())
    }

    /// The user of `tenant_id` with that id.
    pub fn user(&self, tenant_id: &TenantId, user_id: &str) -> Result<Account, AccountError> {
        Ok(self.stored_user(tenant_id, user_id)?.user.into())
    }

    /// Makes a user with a password, as the person at the machine does. Hashes it: some 15 ms.
    pub fn create_user(
        &self,
        tenant_id: &TenantId,
        email: &Email,
        role: Role,
        password: &Password,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Account, AccountError> {
        self.demand_unbound(&by.principal)?;
        let new = NewUser::plain(email.clone(), role);
        let user = self.new_user(tenant_id, &new, &by.principal, now_ms)?;
        let user = User { password: Some(self.passwords.hash(password)?), ..user };
        self.add_user(&user, Vec::new(), ("user.create", by), now_ms)?;
        Ok(user.into())
    }

    /// Makes a user without a password, who cannot sign in with one yet.
    pub fn create_account(
        &self,
        tenant_id: &TenantId,
        new: &NewUser,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Account, AccountError> {
        self.create_account_and(tenant_id, new, by, now_ms, |_| Ok(Vec::new()))
    }

    /// The same, together with what `also` wants written.
    pub fn create_account_and(
        &self,
        tenant_id: &TenantId,
        new: &NewUser,
        by: &By,
        now_ms: TimeMs,
        also: impl FnOnce(&Account) -> Result<Vec<TableWrite>, StoreError>,
    ) -> Result<Account, AccountError> {
        let user = self.new_user(tenant_id, new, &by.principal, now_ms)?;
        let account = Account::from(user.clone());
        self.add_user(&user, also(&account)?, ("user.create", by), now_ms)?;
        Ok(account)
    }

    /// The user that `new` describes, if `by` may make it. It does not exist yet.
    pub(super) fn new_user(
        &self,
        tenant_id: &TenantId,
        new: &NewUser,
        by: &Principal,
        now_ms: TimeMs,
    ) -> Result<User, AccountError> {
        let user = User {
            id: random_word(),
            tenant_id: tenant_id.clone(),
            email: new.email.clone(),
            role: assignable(new.role, by)?,
            platform: false,
            password: None,
            otp: false,
            disabled: false,
            reported_as: names::reported_as(&new.reported_as)?,
            teams: ordered_teams(&new.teams)?,
            created_ms: now_ms,
        };
        user.demand_below(by)?;
        Ok(user)
    }

    /// Makes `user` exist, and with it what `writes` say; that somebody did `action` is told.
    pub(super) fn add_user(
        &self,
        user: &User,
        writes: Vec<TableWrite>,
        (action, by): (&str, &By),
        now_ms: TimeMs,
    ) -> Result<(), AccountError> {
        let _alone = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if user::count_of(&*self.platform, &user.tenant_id, USERS_PER_TENANT_MAX)?
            >= USERS_PER_TENANT_MAX
        {
            return Err(AccountError::TooMany);
        }
        let mut creation = user.creation_telling((action, by))?;
        creation.expect.extend(self.teams_are_there(&user.tenant_id, &user.teams)?);
        creation.expect.push(Tenancy::still_there(&*self.platform, &user.tenant_id)?);
        creation.writes.extend(writes);
        if creation.commit(&self.log, now_ms)? {
            return Ok(());
        }
        Err(match user::find(&*self.platform, &user.tenant_id, &user.email)? {
            Some(_) => AccountError::EmailTaken { email: user.email.clone() },
            // A team or the tenant was changed at the same moment.
            None => SessionError::Contended.into(),
        })
    }

    /// Fails for a key that keeps to networks or expires, where it would make a way in that does not.
    pub(super) fn demand_unbound(&self, by: &Principal) -> Result<(), AccountError> {
        if self.api_keys.is_bound(by) { Err(AccountError::BoundKey) } else { Ok(()) }
    }

    /// The conditions that the teams with these ids are there.
    pub(super) fn teams_are_there(
        &self,
        tenant_id: &TenantId,
        teams: &[String],
    ) -> Result<Vec<Expect>, AccountError> {
        let is_there = |id: &String| match team::get(&*self.platform, tenant_id, id) {
            Ok(stored) => Ok(stored.unchanged()),
            Err(TeamError::Store(store)) => Err(store.into()),
            Err(_) => Err(AccountError::NoTeam { team: id.clone() }),
        };
        teams.iter().map(is_there).collect()
    }

    pub(super) fn stored_user(
        &self,
        tenant_id: &TenantId,
        user_id: &str,
    ) -> Result<StoredUser, AccountError> {
        let found = user::get_of(&*self.platform, tenant_id, user_id)?;
        found.ok_or_else(|| AccountError::NotFound { user: user_id.into() })
    }
}

/// How the audit log calls a user.
pub(super) fn target(id: &str) -> String {
    format!("user:{id}")
}

/// What the audit log tells of a user.
pub(super) fn told(user: &User) -> Value {
    json!({
        "email": user.email, "role": user.role, "platform": user.platform,
        "disabled": user.disabled, "has_password": user.password.is_some(), "has_otp": user.otp,
        "reported_as": user.reported_as, "teams": user.teams,
    })
}

/// `teams` in order, each once.
pub(super) fn ordered_teams(teams: &[String]) -> Result<Vec<String>, AccountError> {
    if teams.len() > TEAMS_PER_USER_MAX {
        return Err(AccountError::TooManyTeams);
    }
    let mut teams = teams.to_vec();
    teams.sort();
    teams.dedup();
    Ok(teams)
}
