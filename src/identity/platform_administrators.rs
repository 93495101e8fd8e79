//! Who administers the platform, and that somebody always does.
//!
//! *Invariants*: of those who administer the platform, one can sign in, into a tenant that can be
//! entered. Whatever could end that, of a user or of a tenant, is decided and stored under the lock on
//! accounts, so that two who act at once do not both find the other there. Only who administers the
//! platform says who else does, and never of somebody for whom a tenant's provider vouches: whoever may
//! change that provider could come in as that user.

use super::Identity;
use super::account::{Account, AccountError, NewUser};
use super::administration::AccountChange;
use super::email::Email;
use super::forget::ForgetError;
use super::password::Password;
use super::sso::person;
use super::user::{self, User};
use crate::tenancy::by::By;
use crate::tenancy::id::TenantId;
use crate::tenancy::life::TenantChange;
use crate::tenancy::permission::Role;
use crate::tenancy::registry::Tenancy;
use crate::tenancy::scope::Principal;
use crate::tenancy::slug::Slug;
use crate::tenancy::tenant::{self, Tenant, TenantState};
use std::sync::PoisonError;
use storage::error::StoreError;
use storage::row::TimeMs;

/// Fails unless `by` may say who administers the platform.
pub(super) fn demand_platform(by: &Principal) -> Result<(), AccountError> {
    if by.is_platform() { Ok(()) } else { Err(AccountError::NotPlatform) }
}

impl Identity {
    /// Makes a user with a password who also administers the platform, as the person at the machine
    /// does. Hashes it: some 15 ms.
    pub fn create_administrator(
        &self,
        tenant_id: &TenantId,
        email: &Email,
        role: Role,
        password: &Password,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Account, AccountError> {
        demand_platform(&by.principal)?;
        let new = NewUser::plain(email.clone(), role);
        let user = self.new_user(tenant_id, &new, &by.principal, now_ms)?;
        let password = Some(self.passwords.hash(password)?);
        let user = User { password, platform: true, ..user };
        self.add_user(&user, Vec::new(), ("user.create", by), now_ms)?;
        Ok(user.into())
    }

    /// Has a user administer the platform as well, or not any more, and ends the user's sessions.
    pub fn set_platform(
        &self,
        tenant_id: &TenantId,
        user_id: &str,
        platform: bool,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Account, AccountError> {
        let change = AccountChange { platform: Some(platform), ..AccountChange::default() };
        self.change_account(tenant_id, user_id, &change, by, |_| true, now_ms)
    }

    /// Changes a tenant as [`Tenancy::change`] does, unless nobody could administer the platform then.
    pub fn change_tenant(
        &self,
        tenancy: &Tenancy,
        slug: &Slug,
        change: &TenantChange,
        current: impl FnOnce(&Tenant) -> bool,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Tenant, ForgetError> {
        let _alone = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if change.state.is_some_and(|state| state != TenantState::Active) {
            self.check_may_close(tenancy, slug)?;
        }
        Ok(tenancy.change(slug, change, current, by, now_ms)?)
    }

    /// To be called with the lock on accounts.
    fn check_may_close(&self, tenancy: &Tenancy, slug: &Slug) -> Result<(), ForgetError> {
        match tenancy.named(slug.as_str()) {
            Some(tenant) => self.check_may_go(&tenant.id),
            None => Ok(()), // nobody of it can sign in anyhow
        }
    }

    /// Fails where the platform could not be administered without the people of `tenant_id`.
    fn check_may_go(&self, tenant_id: &TenantId) -> Result<(), ForgetError> {
        let is_of_it = |user: &User| user.tenant_id == *tenant_id;
        match self.is_administered_without(is_of_it).map_err(AccountError::from)? {
            true => Ok(()),
            false => Err(ForgetError::LastPlatformAdministrator),
        }
    }

    /// Fails where `user` is the only administrator of the platform who can sign in. To be called with
    /// the lock on accounts.
    pub(super) fn demand_another_administrator(&self, user: &User) -> Result<(), AccountError> {
        if !user.platform || self.is_administered_without(|other| other.id == user.id)? {
            return Ok(());
        }
        Err(AccountError::LastAdministrator { email: user.email.clone() })
    }

    /// Fails where a provider of the tenant vouches for `user`. To be called with the lock on accounts.
    pub(super) fn demand_unlinked(&self, user: &User) -> Result<(), AccountError> {
        match person::is_linked(&*self.platform, &user.tenant_id, &user.id)? {
            true => Err(AccountError::Linked { email: user.email.clone() }),
            false => Ok(()),
        }
    }

    /// Whether somebody who can sign in administers the platform once those who `go` do not any more, or
    /// nobody does now.
    fn is_administered_without(&self, go: impl Fn(&User) -> bool) -> Result<bool, StoreError> {
        let mut is_administered = false;
        for user in user::all(&*self.platform)? {
            let can = user.platform && user.can_sign_in();
            if can && tenant::is_active(&*self.platform, &user.tenant_id)? {
                if !go(&user) {
                    return Ok(true);
                }
                is_administered = true;
            }
        }
        Ok(!is_administered)
    }
}
