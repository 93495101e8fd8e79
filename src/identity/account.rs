//! Users as an administrator has them: made, listed, kept out, given another password.
//!
//! *Invariants*: what changes who a user is ends the user's sessions in the same transaction; a
//! tenant keeps an owner who can sign in; a user of one tenant is not found through another.

use super::Identity;
use super::email::Email;
use super::password::{Password, PasswordError};
use super::session::SessionError;
use super::user::{self, StoredUser, User};
use crate::tenancy::by::By;
use crate::tenancy::id::{TenantId, random_word};
use crate::tenancy::permission::Role;
use crate::tenancy::registry::Completion;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::PoisonError;
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
    /// Nobody could administer the tenant any more.
    #[error("`{email}` is the last owner of the tenant: make another user an owner first")]
    LastOwner {
        /// The owner.
        email: Email,
    },
    /// The bound.
    #[error("a tenant has {USERS_PER_TENANT_MAX} users at most: remove some first")]
    TooMany,
    /// The password breaks the rules or could not be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Its sessions could not be ended.
    #[error(transparent)]
    Session(#[from] SessionError),
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
            Self::LastOwner { .. } => "last_owner",
            Self::TooMany => "too_many_users",
            Self::Password(_) => "invalid_password",
            Self::Session(session) => session.code(),
            Self::Store(_) => "store_failed",
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Password(PasswordError::Hash { .. }) => true,
            Self::Session(session) => session.is_transient(),
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
    /// When the user was created, Unix milliseconds.
    pub created_ms: TimeMs,
}

impl From<User> for Account {
    fn from(user: User) -> Self {
        let User { id, email, role, platform, disabled, created_ms, .. } = user;
        Self { id, email, role, platform, disabled, created_ms }
    }
}

impl Identity {
    /// The users of a tenant, in order of their addresses.
    pub fn list_of(&self, tenant_id: &TenantId) -> Result<Vec<Account>, AccountError> {
        let users = user::of_tenant(&*self.platform, tenant_id)?;
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

    /// Makes a user. Hashes the password: some 15 ms.
    pub fn create_user(
        &self,
        tenant_id: &TenantId,
        email: &Email,
        role: Role,
        password: &Password,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Account, AccountError> {
        if role == Role::Ingest {
            return Err(AccountError::Role { role });
        }
        let user = User {
            id: random_word(),
            tenant_id: tenant_id.clone(),
            email: email.clone(),
            role,
            platform: false,
            password: self.passwords.hash(password)?,
            disabled: false,
            created_ms: now_ms,
        };
        let _alone = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if user::of_tenant(&*self.platform, tenant_id)?.len() >= USERS_PER_TENANT_MAX {
            return Err(AccountError::TooMany);
        }
        match user.creation_by(by)?.commit(&self.log, now_ms)? {
            true => Ok(user.into()),
            false => Err(AccountError::EmailTaken { email: email.clone() }),
        }
    }

    /// Keeps a user out from now on and ends the user's sessions.
    pub fn disable_user(
        &self,
        tenant_id: &TenantId,
        user_id: &str,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Account, AccountError> {
        let _alone = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = self.stored_user(tenant_id, user_id)?;
        if stored.user.role == Role::Owner && !self.has_other_owner(&stored.user)? {
            return Err(AccountError::LastOwner { email: stored.user.email });
        }
        let changed = User { disabled: true, ..stored.user.clone() };
        self.change_user(&stored, changed, None, ("user.disable", by), now_ms)
    }

    /// Lets a user in again.
    pub fn enable_user(
        &self,
        tenant_id: &TenantId,
        user_id: &str,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Account, AccountError> {
        let stored = self.stored_user(tenant_id, user_id)?;
        let changed = User { disabled: false, ..stored.user.clone() };
        self.change_user(&stored, changed, None, ("user.enable", by), now_ms)
    }

    /// Gives a user another password and ends the user's sessions. Hashes: some 15 ms.
    pub fn set_password(
        &self,
        tenant_id: &TenantId,
        user_id: &str,
        password: &Password,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Account, AccountError> {
        let hash = self.passwords.hash(password)?;
        let stored = self.stored_user(tenant_id, user_id)?;
        let changed = User { password: hash, ..stored.user.clone() };
        self.change_user(&stored, changed, None, ("user.set_password", by), now_ms)
    }

    pub(super) fn stored_user(
        &self,
        tenant_id: &TenantId,
        user_id: &str,
    ) -> Result<StoredUser, AccountError> {
        let found = user::get(&*self.platform, user_id)?;
        found
            .filter(|stored| stored.user.tenant_id == *tenant_id)
            .ok_or_else(|| AccountError::NotFound { user: user_id.into() })
    }

    /// Makes `stored` into `changed` and ends its sessions but for the one called `except`, in one
    /// transaction, which tells that somebody did `action`.
    pub(super) fn change_user(
        &self,
        stored: &StoredUser,
        changed: User,
        except: Option<&str>,
        (action, by): (&str, &By),
        now_ms: TimeMs,
    ) -> Result<Account, AccountError> {
        let event = by.did(action, target(&changed.id));
        let event = event.before(told(&stored.user)).after(told(&changed));
        let act = stored.change(&changed)?.telling(by.told(&changed.tenant_id, event));
        match self.sessions.end_all(&changed.id, except, &act, now_ms)? {
            true => Ok(changed.into()),
            false => Err(SessionError::Contended.into()),
        }
    }

    fn has_other_owner(&self, user: &User) -> Result<bool, StoreError> {
        let users = user::of_tenant(&*self.platform, &user.tenant_id)?;
        Ok(users.iter().any(|u| u.id != user.id && u.role == Role::Owner && !u.disabled))
    }
}

/// How the audit log calls a user.
impl User {
    /// What makes this user exist, and that `by` made it.
    pub fn creation_by(&self, by: &By) -> Result<Completion, StoreError> {
        let event = by.did("user.create", target(&self.id)).after(told(self));
        Ok(self.creation()?.telling(by.told(&self.tenant_id, event)))
    }
}

fn target(id: &str) -> String {
    format!("user:{id}")
}

/// What the audit log tells of a user.
fn told(user: &User) -> Value {
    json!({
        "email": user.email, "role": user.role, "platform": user.platform,
        "disabled": user.disabled,
    })
}
