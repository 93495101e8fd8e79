//! Who asks, and permission to touch one tenant's data, as a value that one must hold.
//!
//! *Invariants*: a [`TenantScope`] is made by [`Tenancy`](super::registry::Tenancy) alone, for a
//! principal that may enter that tenant, with the rows that the principal sees there: no row is read
//! without. Cloning a principal or a scope copies no text.

use super::id::TenantId;
use super::permission::{Permission, Role};
use super::row_policy::{RowPolicy, Seen};
use super::slug::Slug;
use super::tenant::Tenant;
use std::sync::Arc;
use storage::engine::Keyspace;
use storage::row::TimeMs;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Whoever can open the data directory itself, at the command line of the machine.
    LocalOperator,
    /// A user who signed in.
    User {
        /// The user's id.
        user_id: Arc<str>,
        /// Where the user belongs.
        tenant_id: TenantId,
        /// What the user is there.
        role: Role,
        /// Whether the user also administers the platform: all tenants.
        platform: bool,
        /// The session, as its family of refresh tokens.
        family: Arc<str>,
        /// The access token it came in with.
        token_id: Arc<str>,
        /// When that was made, Unix milliseconds.
        issued_ms: TimeMs,
    },
    /// A program with an API key.
    ApiKey {
        /// The key's id, the part that is no secret.
        key_id: Arc<str>,
        /// Where the key belongs.
        tenant_id: TenantId,
        /// What the key is there.
        role: Role,
    },
}

impl Principal {
    /// Whether the principal may do this. Whoever operates the machine or administers the
    /// platform may do everything, in every tenant.
    pub fn permits(&self, permission: Permission) -> bool {
        match self {
            Self::LocalOperator => true,
            Self::User { platform: true, .. } => true,
            Self::User { role, .. } | Self::ApiKey { role, .. } => role.permits(permission),
        }
    }

    /// Whether the principal may enter tenants other than its own.
    pub fn is_platform(&self) -> bool {
        matches!(self, Self::LocalOperator | Self::User { platform: true, .. })
    }

    /// Where the principal belongs, if anywhere.
    pub fn tenant_id(&self) -> Option<&TenantId> {
        match self {
            Self::LocalOperator => None,
            Self::User { tenant_id, .. } | Self::ApiKey { tenant_id, .. } => Some(tenant_id),
        }
    }

    /// What the principal is where it belongs; `Owner` for the operator of the machine.
    pub fn role(&self) -> Role {
        match self {
            Self::LocalOperator => Role::Owner,
            Self::User { role, .. } | Self::ApiKey { role, .. } => *role,
        }
    }

    /// A stable name of the principal for logs, and for the keys of caches and of repeated calls:
    /// `operator`, `user:<id>` or `key:<id>`. The same in every session of a user.
    pub fn subject(&self) -> String {
        match self {
            Self::LocalOperator => "operator".into(),
            Self::User { user_id, .. } => format!("user:{user_id}"),
            Self::ApiKey { key_id, .. } => format!("key:{key_id}"),
        }
    }

    /// Whether the principal may enter that tenant.
    pub fn may_enter(&self, tenant_id: &TenantId) -> bool {
        self.is_platform() || self.tenant_id() == Some(tenant_id)
    }
}

/// One tenant's data, opened for one principal.
///
/// *Invariant*: made only by [`Tenancy::enter`](super::registry::Tenancy::enter) and
/// [`Tenancy::enter_own`](super::registry::Tenancy::enter_own). A scope keeps the keyspace open,
/// so hold it for the length of a request or a command and no longer.
#[derive(Clone, Debug)]
pub struct TenantScope {
    tenant: Arc<Tenant>,
    principal: Principal,
    seen: Seen,
    keyspace: Arc<dyn Keyspace>,
}

impl TenantScope {
    /// The scope of `principal` in `tenant`, if it may enter; `look` finds out what it sees there, and
    /// `open` opens the keyspace.
    pub(super) fn grant<E>(
        tenant: Arc<Tenant>,
        principal: &Principal,
        look: impl FnOnce(&Tenant) -> Result<Seen, E>,
        open: impl FnOnce(&Tenant) -> Result<Arc<dyn Keyspace>, E>,
    ) -> Result<Option<Self>, E> {
        if !principal.may_enter(&tenant.id) {
            return Ok(None);
        }
        let (seen, keyspace) = (look(&tenant)?, open(&tenant)?);
        Ok(Some(Self { tenant, principal: principal.clone(), seen, keyspace }))
    }

    /// The tenant's id.
    pub fn id(&self) -> &TenantId {
        &self.tenant.id
    }

    /// The tenant's name.
    pub fn slug(&self) -> &Slug {
        &self.tenant.slug
    }

    /// What the platform knows about the tenant.
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// Who entered.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Which rows may be seen.
    pub fn policy(&self) -> &RowPolicy {
        &self.seen.rows
    }

    /// Which rows may be seen, and which aggregates are over.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// The tenant's rows and tables.
    pub fn keyspace(&self) -> &Arc<dyn Keyspace> {
        &self.keyspace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(role: Role, platform: bool) -> Principal {
        Principal::User {
            user_id: "u".into(),
            tenant_id: TenantId::random(),
            role,
            platform,
            family: "f".into(),
            token_id: "t".into(),
            issued_ms: 0,
        }
    }

    #[test]
    fn a_principal_may_what_its_role_may_and_the_platform_everything() {
        let key = Principal::ApiKey {
            key_id: "k".into(),
            tenant_id: TenantId::random(),
            role: Role::Ingest,
        };
        for permission in Permission::all() {
            assert_eq!(key.permits(permission), permission == Permission::ExecutionsWrite);
            assert_eq!(user(Role::Owner, false).permits(permission), !permission.is_platform());
            assert!(user(Role::Viewer, true).permits(permission));
            assert!(Principal::LocalOperator.permits(permission));
        }
        assert_eq!(key.subject(), "key:k");
        assert_eq!(user(Role::Owner, false).subject(), "user:u");
        assert_eq!(Principal::LocalOperator.subject(), "operator");
    }
}
