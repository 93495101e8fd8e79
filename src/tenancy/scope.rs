//! Permission to touch one tenant's data, as a value that one must hold.

use super::id::TenantId;
use super::slug::Slug;
use super::tenant::Tenant;
use std::sync::Arc;
use storage::engine::Keyspace;

/// Who asks to enter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Whoever can open the data directory itself, at the command line of the machine.
    LocalOperator,
}

/// One tenant's data, opened for one principal.
///
/// *Invariant*: made only by [`Tenancy::enter`](super::registry::Tenancy::enter). A scope keeps
/// the keyspace open, so hold it for the length of a request or a command and no longer.
#[derive(Clone, Debug)]
pub struct TenantScope {
    tenant: Tenant,
    principal: Principal,
    keyspace: Arc<dyn Keyspace>,
}

impl TenantScope {
    pub(super) fn new(tenant: Tenant, principal: Principal, keyspace: Arc<dyn Keyspace>) -> Self {
        Self { tenant, principal, keyspace }
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

    /// The tenant's rows and tables.
    pub fn keyspace(&self) -> &Arc<dyn Keyspace> {
        &self.keyspace
    }
}
