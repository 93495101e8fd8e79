//! Takes tenants' keyspaces to the newest version of their [schema](super::schema), and back by a step.
//!
//! *Invariants*: each tenant is a matter of its own: one that fails keeps no other from its turn, and
//! what was interrupted goes on when it is called again. That a step begins is told in the audit log
//! before, and how it ended after it.

use super::by::By;
use super::registry::{Tenancy, TenancyError};
use super::tenant::{Tenant, TenantState};
use crate::audit::{Outcome, Told};
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use storage::error::StoreError;
use storage::row::TimeMs;
use storage::schema::{FIRST_VERSION, Moved, SchemaState};

/// Tenants that are migrated at a time: their files' syncs overlap, and most threads are left to those
/// who are served.
const MIGRATED_AT_A_TIME: usize = 4;

/// How many tenants are migrated at this moment, whoever has them migrated, and how many may be.
#[derive(Debug)]
pub(super) struct Migrating {
    running: Mutex<usize>,
    ended: Condvar,
    most: AtomicUsize,
}

/// The right to migrate one, until this is dropped.
struct Place<'a>(&'a Migrating);

impl Default for Migrating {
    fn default() -> Self {
        let (running, ended) = Default::default();
        Self { running, ended, most: AtomicUsize::new(MIGRATED_AT_A_TIME) }
    }
}

impl Migrating {
    /// Waits for a place.
    fn enter(&self) -> Place<'_> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |running: &mut usize| *running >= self.most.load(Ordering::Relaxed);
        let waited = self.ended.wait_while(running, is_full);
        *waited.unwrap_or_else(PoisonError::into_inner) += 1;
        Place(self)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.0.running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.ended.notify_one();
    }
}

/// Where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the newest version, by as many steps as it takes.
    Newest,
    /// To the version before.
    Back,
}

/// Why a tenant was not migrated.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// There is nothing before the first version.
    #[error("the tenant is at version {FIRST_VERSION} already, before which there is none")]
    Oldest,
    /// The tenant cannot be found, or its store refused or failed.
    #[error(transparent)]
    Tenancy(#[from] TenancyError),
}

impl From<StoreError> for MigrationError {
    fn from(error: StoreError) -> Self {
        Self::Tenancy(error.into())
    }
}

impl MigrationError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Oldest => "nothing_to_roll_back",
            Self::Tenancy(error) => error.code(),
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Tenancy(error) if error.is_transient())
    }
}

impl Direction {
    /// The version that leads to from `state`.
    fn target(self, state: &SchemaState) -> Result<u32, MigrationError> {
        match self {
            Self::Newest => Ok(state.newest),
            Self::Back if state.version <= FIRST_VERSION => Err(MigrationError::Oldest),
            Self::Back => Ok(state.version - 1),
        }
    }

    /// What the audit log calls it.
    fn action(self) -> &'static str {
        match self {
            Self::Newest => "tenant.migrate",
            Self::Back => "tenant.rollback",
        }
    }
}

impl Tenancy {
    /// Has as many tenants migrated at a time, from now on, as leaves one of so many lanes to those who
    /// write: the lane of a tenant that is migrated waits for that.
    pub fn migrate_beside(&self, lanes: usize) {
        let most = lanes.saturating_sub(1).clamp(1, MIGRATED_AT_A_TIME);
        self.migrating.most.store(most, Ordering::Relaxed);
    }

    /// The tenant called `slug` if it can be migrated, suspended or not.
    pub fn named_with_data(&self, slug: &str) -> Result<Tenant, TenancyError> {
        let not_found = || TenancyError::NotFound { slug: slug.into() };
        Some(self.find(slug)?).filter(has_data).ok_or_else(not_found)
    }

    /// The tenants that can be migrated, in order of their names.
    pub fn with_data(&self) -> Result<Vec<Tenant>, TenancyError> {
        let mut tenants = self.list()?;
        tenants.retain(has_data);
        Ok(tenants)
    }

    /// Which version a tenant's keyspace is at.
    pub fn schema_of(&self, tenant: &Tenant) -> Result<SchemaState, TenancyError> {
        Ok(self.keyspace_of(tenant)?.schema()?)
    }

    /// Migrates a tenant; `now` tells the time. Nothing is told of one that is there already.
    pub fn migrate(
        &self,
        tenant: &Tenant,
        direction: Direction,
        by: &By,
        now: &dyn Fn() -> TimeMs,
    ) -> Result<Moved, MigrationError> {
        let keyspace = self.keyspace_of(tenant)?;
        let state = keyspace.schema()?;
        let (from, to) = (state.version, direction.target(&state)?);
        if from == to {
            return Ok(Moved { from, to, entries: 0 });
        }
        let _place = self.migrating.enter();
        let told = |outcome| -> Vec<Told> {
            let event = by.did(direction.action(), format!("tenant:{}", tenant.id));
            let event = event
                .before(json!({ "schema_version": from }))
                .after(json!({ "schema_version": to }))
                .ended(outcome);
            by.told(&tenant.id, event)
        };
        self.log().tell(told(Outcome::Begun), now())?;
        let moved = keyspace.migrate(to);
        let outcome = if moved.is_ok() { Outcome::Done } else { Outcome::Failed };
        if let Err(error) = self.log().tell_now_or_later(told(outcome), now()) {
            tracing::error!(tenant = %tenant.slug, %error, "how a migration ended is not told");
        }
        let moved = moved?;
        tracing::debug!(tenant = %tenant.slug, from, to, entries = moved.entries, "migrated");
        Ok(moved)
    }

    /// Migrates `tenants`, some at a time. Gives what became of each, in their order.
    pub fn migrate_each(
        &self,
        tenants: &[Tenant],
        direction: Direction,
        by: &By,
        now: &(dyn Fn() -> TimeMs + Sync),
    ) -> Vec<Result<Moved, MigrationError>> {
        let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(tenants.len())));
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(tenant) = tenants.get(at) else { return };
                let moved = self.migrate(tenant, direction, by, &|| now());
                if let Err(error) = &moved {
                    tracing::warn!(tenant = %tenant.slug, %error, "a tenant was not migrated");
                }
                done.lock().unwrap_or_else(PoisonError::into_inner).push((at, moved));
            }
        };
        std::thread::scope(|threads| {
            for _ in 1..MIGRATED_AT_A_TIME.min(tenants.len()) {
                threads.spawn(work);
            }
            work();
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_unstable_by_key(|(at, _)| *at);
        done.into_iter().map(|(_, moved)| moved).collect()
    }
}

/// Whether a tenant is whole and stays.
fn has_data(tenant: &Tenant) -> bool {
    matches!(tenant.state, TenantState::Active | TenantState::Suspended)
}
