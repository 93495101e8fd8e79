//! Forgetting everybody of a tenant that goes.
//!
//! *Invariant*: it can be repeated, and goes on where a crash ended it: a user is found by its address
//! until the transaction that removes both and ends its sessions.

use super::account::AccountError;
use super::session::SessionError;
use super::{Identity, api_key::ApiKeyError, sso};
use super::{rules, team, user};
use crate::runtime::clock::Clock;
use crate::tenancy::by::By;
use crate::tenancy::id::TenantId;
use crate::tenancy::life::TenantChange;
use crate::tenancy::registry::{Tenancy, TenancyError};
use crate::tenancy::slug::Slug;
use crate::tenancy::tenant::{Tenant, TenantState};
use std::time::Duration;
use storage::error::StoreError;
use storage::row::TimeMs;

/// How long is waited until it is tried again to delete what is still in use.
const IN_USE_PAUSE: Duration = Duration::from_millis(100);

/// Why the deletion of a tenant did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// Nobody would administer the platform any more.
    #[error(
        "everybody who administers the platform and can sign in belongs to this tenant: have somebody \
         elsewhere do it first, with `emx user platform --grant`"
    )]
    LastPlatformAdministrator,
    /// A user could not be forgotten.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// A key could not be forgotten.
    #[error(transparent)]
    ApiKey(#[from] ApiKeyError),
    /// The tenant could not be deleted.
    #[error(transparent)]
    Tenancy(#[from] TenancyError),
}

impl ForgetError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::LastPlatformAdministrator => "last_platform_administrator",
            Self::Account(account) => account.code(),
            Self::ApiKey(key) => key.code(),
            Self::Tenancy(tenancy) => tenancy.code(),
        }
    }

    /// Whether others are in the way, and will soon have gone.
    pub fn is_in_use(&self) -> bool {
        matches!(
            self,
            Self::Tenancy(TenancyError::Store(StoreError::InUse))
                | Self::Account(AccountError::Session(SessionError::Contended))
        )
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::LastPlatformAdministrator => false,
            Self::Account(account) => account.is_transient(),
            Self::ApiKey(key) => key.is_transient(),
            Self::Tenancy(tenancy) => tenancy.is_transient(),
        }
    }
}

/// How far a deletion came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// Nothing is left of it but its log.
    Done(Tenant),
    /// Nobody enters it any more; the rest is done once nobody uses it.
    Begun(Tenant),
}

impl Identity {
    /// Deletes a tenant, and everything and everybody in it. Where calls that began before use it for
    /// longer than `patience`, it is deleted later, and this gives the tenant as it is until then.
    pub fn delete_tenant(
        &self,
        tenancy: &Tenancy,
        slug: &Slug,
        current: impl FnOnce(&Tenant) -> bool,
        by: &By,
        (clock, patience): (&Clock, Duration),
    ) -> Result<Deletion, ForgetError> {
        let change = TenantChange::to(TenantState::Deleting);
        let tenant = self.change_tenant(tenancy, slug, &change, current, by, clock.now_ms())?;
        let began = clock.instant();
        loop {
            match self.finish_deletion(tenancy, &tenant, clock.now_ms()) {
                Ok(()) => return Ok(Deletion::Done(tenant)),
                Err(error) if !error.is_in_use() => return Err(error),
                Err(_) if clock.instant().saturating_duration_since(began) >= patience => {
                    return Ok(Deletion::Begun(tenant));
                }
                Err(_) => clock.pause(IN_USE_PAUSE),
            }
        }
    }

    /// Goes on with the deletion of `tenant`, which was begun, to its end: keys, sessions and users,
    /// then its files and its record.
    pub fn finish_deletion(
        &self,
        tenancy: &Tenancy,
        tenant: &Tenant,
        now_ms: TimeMs,
    ) -> Result<(), ForgetError> {
        self.forget_tenant(&tenant.id, now_ms)?;
        Ok(tenancy.finish_deletion(tenant, now_ms)?)
    }

    /// Goes on with every deletion that was begun. What cannot be finished now is told to the log.
    pub fn finish_deletions(&self, tenancy: &Tenancy, now_ms: TimeMs) {
        let deletions = match tenancy.deletions() {
            Ok(deletions) => deletions,
            Err(error) => return tracing::warn!(%error, "tenants that go cannot be listed"),
        };
        for tenant in deletions {
            if let Err(error) = self.finish_deletion(tenancy, &tenant, now_ms) {
                tracing::warn!(tenant = %tenant.slug, %error, "its deletion is not finished yet");
            }
        }
    }

    fn forget_tenant(&self, tenant_id: &TenantId, now_ms: TimeMs) -> Result<(), ForgetError> {
        self.api_keys.forget(tenant_id)?;
        sso::registry::forget(&*self.platform, tenant_id).map_err(AccountError::from)?;
        let users = user::of_tenant(&*self.platform, tenant_id).map_err(AccountError::from)?;
        for user in users {
            self.forget_user(&user.id, now_ms)?;
        }
        let rest = team::removal_of_all(&*self.platform, tenant_id).map_err(AccountError::from)?;
        let writes = rest.into_iter().chain([rules::removal(tenant_id)]).collect::<Vec<_>>();
        self.platform.write(&[], &writes).map_err(AccountError::from)?;
        Ok(())
    }

    fn forget_user(&self, user_id: &str, now_ms: TimeMs) -> Result<(), AccountError> {
        let Some(stored) = user::get(&*self.platform, user_id)? else { return Ok(()) };
        match self.sessions.end_all(user_id, None, &self.removal(&stored)?, now_ms)? {
            true => Ok(()),
            false => Err(SessionError::Contended.into()), // changed at the same moment: next time
        }
    }
}
