//! What becomes of a tenant after it was made: kept out, let in again, gone.
//!
//! *Invariants*: whoever begins a call after a tenant was suspended or its deletion begun does not get
//! in. A deletion that was begun is gone on with until it is done, over restarts; the record goes last,
//! and nothing of the tenant is left then but its log.

use super::by::By;
use super::record::{delete, put};
use super::registry::{Completion, Tenancy, TenancyError};
use super::slug::Slug;
use super::tenant::{SLUGS, TENANTS, Tenant, TenantState};
use crate::audit::{Outcome, PLATFORM};
use serde_json::json;
use storage::engine::Expect;
use storage::error::StoreError;
use storage::row::TimeMs;

impl Tenancy {
    /// Keeps everybody out of a tenant, whose data stays.
    pub fn suspend(&self, slug: &Slug, by: &By, now_ms: TimeMs) -> Result<Tenant, TenancyError> {
        self.turn(slug, TenantState::Suspended, "tenant.suspend", by, now_ms)
    }

    /// Lets everybody into a suspended tenant again.
    pub fn resume(&self, slug: &Slug, by: &By, now_ms: TimeMs) -> Result<Tenant, TenancyError> {
        self.turn(slug, TenantState::Active, "tenant.resume", by, now_ms)
    }

    /// Begins the end of a tenant: nobody enters it any more. [`finish_deletion`](Self::finish_deletion)
    /// does the rest.
    pub fn begin_deletion(
        &self,
        slug: &Slug,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Tenant, TenancyError> {
        self.turn(slug, TenantState::Deleting, "tenant.delete", by, now_ms)
    }

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
            writes: vec![delete(TENANTS, id), delete(SLUGS, tenant.slug.as_str().as_bytes())],
            told: vec![event.before(before).ended(Outcome::Done).in_chain(PLATFORM)],
        };
        // Somebody else may have come to the end first.
        if done.commit(self.log(), now_ms)? || self.platform().get(TENANTS, id)?.is_none() {
            return Ok(());
        }
        Err(TenancyError::Conflict { slug: tenant.slug.clone() })
    }

    /// Makes the tenant called `slug` into one in `state`, which it must be able to get into.
    fn turn(
        &self,
        slug: &Slug,
        state: TenantState,
        action: &str,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Tenant, TenancyError> {
        let _alone = self.alone();
        let not_found = || TenancyError::NotFound { slug: slug.as_str().into() };
        let tenant = self.lookup(slug)?.ok_or_else(not_found)?;
        if tenant.state == TenantState::Creating {
            return Err(not_found());
        }
        if tenant.state == state {
            return Ok(tenant); // said twice
        }
        if !tenant.state.turns_into(state) {
            let (slug, is) = (slug.clone(), tenant.state.as_str());
            return Err(TenancyError::State { slug, is });
        }
        let turned = Tenant { state, ..tenant.clone() };
        let event = by.did(action, format!("tenant:{}", tenant.id));
        let begun = if state == TenantState::Deleting { Outcome::Begun } else { Outcome::Done };
        let event = event
            .before(json!({ "state": tenant.state }))
            .after(json!({ "state": state }))
            .ended(begun);
        let id = tenant.id.as_str().as_bytes();
        let change = Completion {
            expect: vec![unchanged(&tenant)?],
            writes: vec![put(TENANTS, id, turned.encode()?)],
            told: by.told(&tenant.id, event),
        };
        if state != TenantState::Active {
            // Where nobody knows whether it is stored, keeping out is the safe side.
            self.admit_record(&turned);
        }
        let outcome = change.commit(self.log(), now_ms);
        match outcome {
            Ok(true) => {}
            Ok(false) => {
                self.admit_record(&tenant);
                return Err(TenancyError::Conflict { slug: slug.clone() });
            }
            Err(error) => {
                if !matches!(error, StoreError::OutcomeUnknown { .. }) {
                    self.admit_record(&tenant);
                }
                return Err(error.into());
            }
        }
        self.admit_record(&turned);
        Ok(turned)
    }
}

/// The condition that nobody changed the tenant since.
fn unchanged(tenant: &Tenant) -> Result<Expect, StoreError> {
    let (table, key) = (TENANTS.into(), tenant.id.as_str().as_bytes().into());
    Ok(Expect { table, key, value: Some(tenant.encode()?) })
}

#[cfg(test)]
#[path = "life_tests.rs"]
mod tests;
