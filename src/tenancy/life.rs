//! What becomes of a tenant after it was made: kept out, let in again, gone.
//!
//! *Invariants*: whoever begins a call after a tenant was suspended or its deletion begun does not get
//! in. A deletion that was begun is gone on with until it is done, over restarts; the record goes last,
//! and nothing of the tenant is left then but its log.

use super::by::By;
use super::display_name::DisplayName;
use super::record::{delete, put};
use super::registry::{Completion, Tenancy, TenancyError};
use super::sight::ROW_POLICIES;
use super::slug::Slug;
use super::tenant::{LIMITS, SLUGS, TENANTS, Tenant, TenantState};
use crate::audit::{Outcome, PLATFORM};
use serde_json::{Value, json};
use storage::engine::Expect;
use storage::error::StoreError;
use storage::row::TimeMs;

impl Tenancy {
    /// Tenants whose deletion is begun and not done.
    pub fn deletions(&self) -> Result<Vec<Tenant>, TenancyError> {
        let mut tenants = self.list()?;
        tenants.retain(|tenant| tenant.state == TenantState::Deleting);
        Ok(tenants)
    }

    /// Goes on with a deletion to its end: the files go, then the record. What others keep of the tenant
    /// must be gone before, for nothing leads to it afterwards. Fails with [`StoreError::InUse`] while
    /// calls that began before are still under way: to be tried again then.
    pub fn finish_deletion(&self, tenant: &Tenant, now_ms: TimeMs) -> Result<(), TenancyError> {
        self.engine().delete(tenant.id.as_str())?;
        let id = tenant.id.as_str().as_bytes();
        let event = By::operator().did("tenant.delete", format!("tenant:{}", tenant.id));
        let before = json!({ "slug": tenant.slug });
        let done = Completion {
            expect: vec![unchanged(tenant)?],
            writes: vec![
                delete(TENANTS, id),
                delete(SLUGS, tenant.slug.as_str().as_bytes()),
                delete(ROW_POLICIES, id),
                delete(LIMITS, id),
            ],
            told: vec![event.before(before).ended(Outcome::Done).in_chain(PLATFORM)],
        };
        // Somebody else may have come to the end first.
        if done.commit(self.log(), now_ms)? || self.platform().get(TENANTS, id)?.is_none() {
            return Ok(());
        }
        Err(TenancyError::Conflict { slug: tenant.slug.clone() })
    }

    /// Changes the tenant called `slug`, which must be `current`. Of one whose deletion is begun so,
    /// [`finish_deletion`](Self::finish_deletion) does the rest.
    pub fn change(
        &self,
        slug: &Slug,
        change: &TenantChange,
        current: impl FnOnce(&Tenant) -> bool,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Tenant, TenancyError> {
        let _alone = self.alone();
        let tenant = self.find(slug.as_str())?;
        if !current(&tenant) {
            return Err(TenancyError::Stale);
        }
        let changed = change.of(&tenant)?;
        if changed == tenant {
            // Said twice; or the commit before is known to have failed only now.
            self.admit_record(&tenant);
            return Ok(tenant);
        }
        let (action, outcome) = match changed.state {
            state if state == tenant.state => ("tenant.change", Outcome::Done),
            TenantState::Suspended => ("tenant.suspend", Outcome::Done),
            TenantState::Deleting => ("tenant.delete", Outcome::Begun),
            TenantState::Active | TenantState::Creating => ("tenant.resume", Outcome::Done),
        };
        let event = by.did(action, format!("tenant:{}", tenant.id));
        let event = event.before(told(&tenant)).after(told(&changed)).ended(outcome);
        let act = Completion {
            expect: vec![unchanged(&tenant)?],
            writes: vec![put(TENANTS, tenant.id.as_str().as_bytes(), changed.encode()?)],
            told: by.told(&tenant.id, event),
        };
        self.store_change(&tenant, &changed, &act, now_ms)?;
        Ok(changed)
    }

    /// Stores that `tenant` is `changed`, and lets it count.
    fn store_change(
        &self,
        tenant: &Tenant,
        changed: &Tenant,
        act: &Completion,
        now_ms: TimeMs,
    ) -> Result<(), TenancyError> {
        if changed.state != TenantState::Active {
            // Where nobody knows whether it is stored, keeping out is the safe side.
            self.admit_record(changed);
        }
        match act.commit(self.log(), now_ms) {
            Ok(true) => {
                self.admit_record(changed);
                Ok(())
            }
            Ok(false) => {
                self.admit_record(tenant);
                Err(TenancyError::Conflict { slug: tenant.slug.clone() })
            }
            Err(error) => {
                if !matches!(error, StoreError::OutcomeUnknown { .. }) {
                    self.admit_record(tenant);
                }
                Err(error.into())
            }
        }
    }
}

/// What is to become of a tenant; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantChange {
    /// How people read it from now on; `Some(None)`: by its slug.
    pub display_name: Option<Option<DisplayName>>,
    /// Whether every question is told in its audit log from now on.
    pub audit_queries: Option<bool>,
    /// Its state.
    pub state: Option<TenantState>,
}

impl TenantChange {
    /// Into `state`, and nothing else.
    pub fn to(state: TenantState) -> Self {
        Self { state: Some(state), ..Self::default() }
    }

    /// What `tenant` becomes, if there is a way to that.
    fn of(&self, tenant: &Tenant) -> Result<Tenant, TenancyError> {
        let state = self.state.unwrap_or(tenant.state);
        let stays = state == tenant.state;
        // What is on its way out is not changed any more.
        let settings_stay = self.display_name.is_none() && self.audit_queries.is_none();
        let may_change = tenant.state != TenantState::Deleting || settings_stay;
        if !may_change || !stays && !tenant.state.turns_into(state) {
            let (slug, is) = (tenant.slug.clone(), tenant.state.as_str());
            return Err(TenancyError::State { slug, is });
        }
        let display_name = self.display_name.clone().unwrap_or(tenant.display_name.clone());
        let audit_queries = self.audit_queries.unwrap_or(tenant.audit_queries);
        Ok(Tenant { state, display_name, audit_queries, ..tenant.clone() })
    }
}

/// What the audit log tells of a tenant that is changed.
fn told(tenant: &Tenant) -> Value {
    json!({
        "state": tenant.state, "display_name": tenant.display_name,
        "audit_queries": tenant.audit_queries,
    })
}

/// The condition that nobody changed the tenant since.
fn unchanged(tenant: &Tenant) -> Result<Expect, StoreError> {
    let (table, key) = (TENANTS.into(), tenant.id.as_str().as_bytes().into());
    Ok(Expect { table, key, value: Some(tenant.encode()?) })
}

#[cfg(test)]
#[path = "life_tests.rs"]
mod tests;
