//! What an administrator does with users: changes, keeps out, lets in again, removes.
//!
//! *Invariants*: what changes who a user is ends the user's sessions in the same transaction; a
//! tenant keeps an owner who can sign in, and the platform an administrator; nobody decides about
//! a user who may more, nor gives away more than they have.

use super::Identity;
use super::account::{Account, AccountError, assignable, ordered_teams, target, told};
use super::password::Password;
use super::platform_administrators::demand_platform;
use super::session::SessionError;
use super::throttle::removal_of_networks;
use super::user::{self, StoredUser, User};
use super::{link, names};
use crate::audit::{PLATFORM, Told};
use crate::tenancy::by::By;
use crate::tenancy::id::TenantId;
use crate::tenancy::permission::Role;
use crate::tenancy::registry::Completion;
use crate::tenancy::scope::Principal;
use std::sync::PoisonError;
use storage::error::StoreError;
use storage::row::TimeMs;

/// What is to be changed of a user; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct AccountChange {
    /// What the user is in the tenant.
    pub role: Option<Role>,
    /// Whether the user also administers the platform.
    pub platform: Option<bool>,
    /// Whether the user is kept out.
    pub disabled: Option<bool>,
    /// How executions name the user.
    pub reported_as: Option<Vec<String>>,
    /// The ids of the user's teams.
    pub teams: Option<Vec<String>>,
}

impl AccountChange {
    fn of(&self, user: &User, by: &Principal) -> Result<User, AccountError> {
        let mut changed = user.clone();
        if let Some(role) = self.role.filter(|role| *role != user.role) {
            changed.role = assignable(role, by)?;
        }
        if let Some(platform) = self.platform.filter(|platform| *platform != user.platform) {
            demand_platform(by)?;
            changed.platform = platform;
        }
        if let Some(disabled) = self.disabled {
            changed.disabled = disabled;
        }
        if let Some(reported_as) = &self.reported_as {
            changed.reported_as = names::reported_as(reported_as)?;
        }
        if let Some(teams) = &self.teams {
            changed.teams = ordered_teams(teams)?;
        }
        Ok(changed)
    }
}

impl Identity {
    /// Changes a user, if the user of now passes `current`. Another role, administering the platform
    /// or not any more, and being kept out end the user's sessions.
    pub fn change_account(
        &self,
        tenant_id: &TenantId,
        user_id: &str,
        change: &AccountChange,
        by: &By,
        current: impl FnOnce(&Account) -> bool,
        now_ms: TimeMs,
    ) -> Result<Account, AccountError> {
        let _alone = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = self.stored_user(tenant_id, user_id)?;
        stored.user.demand_below(&by.principal)?;
        if !current(&stored.user.clone().into()) {
            return Err(AccountError::Stale);
        }
        // Who was one when the call began may be none any more.
        if change.platform.is_some() && !self.stands(&by.principal, now_ms) {
            return Err(AccountError::NotPlatform);
        }
        let changed = change.of(&stored.user, &by.principal)?;
        self.store_changed(&stored, changed, by, now_ms)
    }

    /// Puts a user into the teams that `teams` makes of what the user is.
    pub(super) fn set_teams(
        &self,
        tenant_id: &TenantId,
        user_id: &str,
        teams: impl FnOnce(&Account) -> Vec<String>,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Account, AccountError> {
        let _alone = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = self.stored_user(tenant_id, user_id)?;
        stored.user.demand_below(&by.principal)?;
        let teams = Some(teams(&stored.user.clone().into()));
        let changed = AccountChange { teams, ..AccountChange::default() };
        let changed = changed.of(&stored.user, &by.principal)?;
        self.store_changed(&stored, changed, by, now_ms)
    }

    /// To be called with the lock on accounts.
    fn store_changed(
        &self,
        stored: &StoredUser,
        changed: User,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Account, AccountError> {
        let before = &stored.user;
        if changed == *before {
            return Ok(changed.into());
        }
        if changed.disabled || changed.role != Role::Owner {
            self.demand_another_owner(before)?;
        }
        if changed.disabled || !changed.platform {
            self.demand_another_administrator(before)?;
        }
        if changed.platform && !before.platform {
            self.demand_unlinked(before)?;
        }
        let mut act = stored.change(&changed)?;
        act.expect.extend(self.teams_are_there(&changed.tenant_id, &changed.teams)?);
        // Whoever made a link for somebody who may less must not come in by it as one who may more.
        if changed.disabled || may_more(before, &changed) {
            act.writes.push(link::removal(&changed.id));
        }
        let act = act.telling(told_of_change(before, &changed, by));
        let is_another = changed.role != before.role || changed.platform != before.platform;
        let done = match is_another || changed.disabled {
            true => self.sessions.end_all(&changed.id, None, &act, now_ms)?,
            false => act.commit(&self.log, now_ms)?,
        };
        if done { Ok(changed.into()) } else { Err(SessionError::Contended.into()) }
    }

    /// Removes a user, if the user of now passes `current`, and ends the user's sessions. The id is
    /// never used again.
    pub fn remove_user(
        &self,
        tenant_id: &TenantId,
        user_id: &str,
        by: &By,
        current: impl FnOnce(&Account) -> bool,
        now_ms: TimeMs,
    ) -> Result<(), AccountError> {
        let _alone = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = self.stored_user(tenant_id, user_id)?;
        stored.user.demand_below(&by.principal)?;
        if !current(&stored.user.clone().into()) {
            return Err(AccountError::Stale);
        }
        self.demand_another_owner(&stored.user)?;
        self.demand_another_administrator(&stored.user)?;
        let event = by.did("user.remove", target(user_id)).before(told(&stored.user));
        let act = self.removal(&stored)?.telling(by.told(tenant_id, event));
        match self.sessions.end_all(user_id, None, &act, now_ms)? {
            true => Ok(()),
            false => Err(SessionError::Contended.into()),
        }
    }

    /// What removes a user and everything that is only the user's, if nobody changed it since.
    pub(super) fn removal(&self, stored: &StoredUser) -> Result<Completion, StoreError> {
        let User { tenant_id, email, .. } = &stored.user;
        let mut removal = stored.removal();
        removal.writes.extend(removal_of_networks(&*self.platform, tenant_id, email)?);
        Ok(removal)
    }

    /// Keeps a user out from now on and ends the user's sessions.
    pub fn disable_user(
        &self,
        tenant_id: &TenantId,
        user_id: &str,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Account, AccountError> {
        self.set_disabled(tenant_id, user_id, true, by, now_ms)
    }

    /// Lets a user in again.
    pub fn enable_user(
        &self,
        tenant_id: &TenantId,
        user_id: &str,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Account, AccountError> {
        self.set_disabled(tenant_id, user_id, false, by, now_ms)
    }

    fn set_disabled(
        &self,
        tenant_id: &TenantId,
        user_id: &str,
        disabled: bool,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Account, AccountError> {
        let change = AccountChange { disabled: Some(disabled), ..AccountChange::default() };
        self.change_account(tenant_id, user_id, &change, by, |_| true, now_ms)
    }

    /// Gives a user another password, as the person at the machine does, and ends the user's
    /// sessions and link. Hashes: some 15 ms.
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
        let changed = User { password: Some(hash), ..stored.user.clone() };
        self.change_user(&stored, changed, None, ("user.set_password", by), now_ms)
    }

    /// Makes `stored` into `changed` and ends its sessions but for the one called `except`, and its
    /// link, in one transaction, which tells that somebody did `action`.
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
        let mut act = stored.change(&changed)?.telling(by.told(&changed.tenant_id, event));
        act.writes.push(link::removal(&changed.id));
        match self.sessions.end_all(&changed.id, except, &act, now_ms)? {
            true => Ok(changed.into()),
            false => Err(SessionError::Contended.into()),
        }
    }

    /// Fails where `user` is the only owner of its tenant who can sign in.
    fn demand_another_owner(&self, user: &User) -> Result<(), AccountError> {
        match self.is_last_owner(user)? {
            false => Ok(()),
            true => Err(AccountError::LastOwner { email: user.email.clone() }),
        }
    }

    /// Whether `user` is the only owner of its tenant who can sign in.
    pub(super) fn is_last_owner(&self, user: &User) -> Result<bool, StoreError> {
        if user.role != Role::Owner || !user.can_sign_in() {
            return Ok(false);
        }
        let others = user::of_tenant(&*self.platform, &user.tenant_id)?;
        let is_owner = |u: &User| u.id != user.id && u.role == Role::Owner && u.can_sign_in();
        Ok(!others.iter().any(is_owner))
    }
}

/// Whether the user may something as `changed` that it may not as `before`.
pub(super) fn may_more(before: &User, changed: &User) -> bool {
    !before.role.covers(changed.role) || changed.platform && !before.platform
}

/// What tells that `by` made `before` into `changed`.
fn told_of_change(before: &User, changed: &User, by: &By) -> Vec<Told> {
    let is_elsewhere = by.principal.tenant_id() != Some(&changed.tenant_id);
    let action = match (before, changed) {
        (User { disabled: false, .. }, User { disabled: true, .. }) => "user.disable",
        (User { platform: false, .. }, User { platform: true, .. }) => "user.grant_platform",
        (User { platform: true, .. }, User { platform: false, .. }) => "user.revoke_platform",
        (User { disabled: true, .. }, User { disabled: false, .. }) => "user.enable",
        _ => "user.change",
    };
    let event = by.did(action, target(&changed.id)).before(told(before)).after(told(changed));
    let mut all = by.told(&changed.tenant_id, event.clone());
    if before.platform != changed.platform && !is_elsewhere {
        all.push(event.in_chain(PLATFORM)); // it concerns every tenant
    }
    all
}
