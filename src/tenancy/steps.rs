//! What is made of a tenant before anybody can see it, step by step.
//!
//! *Invariants*: a step lies outside of the platform's tables, and done twice it is as done once, so
//! that one that failed is simply done again. What lies in the platform's tables (the first
//! administrator, settings) is no step: it is part of the one transaction that makes the tenant
//! visible, after the last step. Whoever has something to make in every new keyspace adds a step
//! to the list.

use super::id::TenantId;
use super::tenant::Tenant;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use storage::engine::{Engine, KeyspaceSettings};
use storage::error::StoreError;

/// How often a step is done that fails: a sync may fail once and not again.
const TRIES: usize = 2;

/// A tenant that nobody sees yet, and what its parts are made with.
pub(super) struct Unborn<'a> {
    pub(super) tenant: &'a Tenant,
    pub(super) engine: &'a dyn Engine,
    pub(super) settings: KeyspaceSettings,
    /// A keyspace's file that becomes the tenant's; `None`: an empty one.
    pub(super) from: Option<&'a Path>,
}

/// One step.
struct Step {
    /// What it makes, for the log.
    name: &'static str,
    take: fn(&Unborn<'_>) -> Result<(), StoreError>,
}

/// Every step, in order.
const STEPS: [Step; 2] =
    [Step { name: "keyspace", take: make_keyspace }, Step { name: "way in", take: try_way_in }];

impl Unborn<'_> {
    /// Takes every step.
    pub(super) fn prepare(&self) -> Result<(), StoreError> {
        STEPS.iter().try_for_each(|step| self.take(step))
    }

    fn take(&self, step: &Step) -> Result<(), StoreError> {
        for _ in 1..TRIES {
            match (step.take)(self) {
                Err(error) if error.is_transient() => {
                    let (tenant, step) = (&self.tenant.slug, step.name);
                    tracing::warn!(%tenant, step, %error, "a step of its creation is taken again");
                }
                taken => return taken,
            }
        }
        (step.take)(self)
    }
}

/// The tenants whose steps are being taken: what there is of them belongs to somebody.
#[derive(Debug, Default)]
pub(super) struct Making(Mutex<BTreeSet<TenantId>>);

/// One of them, until this is dropped.
pub(super) struct Made<'a> {
    making: &'a Making,
    id: TenantId,
}

impl Making {
    pub(super) fn begin(&self, id: &TenantId) -> Made<'_> {
        self.lock().insert(id.clone());
        Made { making: self, id: id.clone() }
    }

    pub(super) fn has(&self, id: &TenantId) -> bool {
        self.lock().contains(id)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<TenantId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        self.making.lock().remove(&self.id);
    }
}

fn make_keyspace(unborn: &Unborn<'_>) -> Result<(), StoreError> {
    let Unborn { tenant, engine, settings, from } = unborn;
    let id = tenant.id.as_str();
    let made = match from {
        None => engine.create(id, settings),
        Some(from) => engine.adopt(id, from, settings),
    };
    match made {
        // The id is fresh and random: it is what an earlier try made, whole.
        Err(StoreError::Exists { .. }) => Ok(()),
        made => made,
    }
}

/// A tenant that could not be opened would be there and let nobody in.
fn try_way_in(unborn: &Unborn<'_>) -> Result<(), StoreError> {
    unborn.engine.open(unborn.tenant.id.as_str()).map(drop)
}
