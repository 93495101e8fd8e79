//! The tenants that can be entered, in memory, so that entering one reads no store.
//!
//! *Invariant*: it has exactly the active tenants of the platform's tables, and knows the suspended
//! ones as such, for one process has these to itself and every change of them passes through here.

use super::id::TenantId;
use super::slug::Slug;
use super::tenant::{Tenant, TenantState};
use arc_swap::ArcSwap;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Tenants by id and by name. Reading takes no lock.
#[derive(Debug, Default)]
pub(super) struct Directory {
    known: ArcSwap<Known>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    by_id: HashMap<TenantId, Arc<Tenant>>,
    by_slug: HashMap<Slug, Arc<Tenant>>,
    suspended: HashSet<TenantId>,
}

impl Directory {
    /// Takes in what is known of `tenant`.
    pub(super) fn admit(&self, tenant: &Tenant) {
        if tenant.state != TenantState::Active {
            return self.withdraw(tenant);
        }
        let tenant = Arc::new(tenant.clone());
        self.known.rcu(|known| {
            let mut known = Known::clone(known);
            known.suspended.remove(&tenant.id);
            if let Some(before) = known.by_id.insert(tenant.id.clone(), tenant.clone()) {
                known.by_slug.remove(&before.slug);
            }
            known.by_slug.insert(tenant.slug.clone(), tenant.clone());
            known
        });
    }

    fn withdraw(&self, tenant: &Tenant) {
        self.known.rcu(|known| {
            let mut known = Known::clone(known);
            if let Some(before) = known.by_id.remove(&tenant.id) {
                known.by_slug.remove(&before.slug);
            }
            match tenant.state {
                TenantState::Suspended => known.suspended.insert(tenant.id.clone()),
                _ => known.suspended.remove(&tenant.id),
            };
            known
        });
    }

    pub(super) fn is_suspended(&self, id: &TenantId) -> bool {
        self.known.load().suspended.contains(id)
    }

    pub(super) fn by_id(&self, id: &TenantId) -> Option<Arc<Tenant>> {
        self.known.load().by_id.get(id).cloned()
    }

    pub(super) fn by_slug(&self, slug: &Slug) -> Option<Arc<Tenant>> {
        self.known.load().by_slug.get(slug).cloned()
    }
}
