//! Which limits hold for which tenant: the defaults, and over them what was set for the tenant, stored in
//! the platform's tables with an entry in the audit log.

use super::meter::Meter;
use super::table::{Limits, Overrides};
use crate::audit::AuditLog;
use crate::runtime::clock::Clock;
use crate::runtime::turns::Turns;
use crate::tenancy::by::By;
use crate::tenancy::id::TenantId;
use crate::tenancy::record::{self, absent, delete, present, put};
use crate::tenancy::registry::{Completion, Tenancy, TenancyError};
use crate::tenancy::tenant::{LIMITS, Tenant};
use arc_swap::ArcSwap;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use storage::error::{Corrupt, StoreError};
use storage::row::TimeMs;

/// Why limits were not changed.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// Somebody has changed them since they were read.
    #[error("the limits have changed since they were read: read them again")]
    Stale,
    /// The tenant is not there any more.
    #[error(transparent)]
    Tenancy(TenancyError),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<TenancyError> for LimitError {
    fn from(error: TenancyError) -> Self {
        match error {
            TenancyError::Store(store) => Self::Store(store),
            other => Self::Tenancy(other),
        }
    }
}

impl LimitError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Stale => "precondition_failed",
            Self::Tenancy(tenancy) => tenancy.code(),
            Self::Store(_) => "store_failed",
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Store(store) if store.is_transient())
    }
}

/// The limits of all tenants, and what they use. One for a process.
#[derive(Debug)]
pub struct Registry {
    log: Arc<AuditLog>,
    defaults: Limits,
    /// Held while limits are changed, until that is stored.
    changing: Mutex<()>,
    /// Never held while anything waits for a disk: async threads take it.
    overrides: Mutex<HashMap<TenantId, Overrides>>,
    /// Those who have used something since the start. Reading takes no lock.
    meters: ArcSwap<HashMap<TenantId, Arc<Meter>>>,
    /// Processors for questions, and for decoding: rows do not wait behind questions.
    questions: Arc<Turns>,
    decoding: Arc<Turns>,
    began: Instant,
}

#[derive(Deserialize, Serialize)]
struct Record {
    limits: Overrides,
}

impl Registry {
    /// Takes up what was set before, for a machine with so many processors.
    pub fn start(
        log: Arc<AuditLog>,
        defaults: Limits,
        processors: usize,
        clock: &Clock,
    ) -> Result<Self, StoreError> {
        let mut overrides = HashMap::new();
        for (key, bytes) in record::all(&**log.platform(), LIMITS, b"")? {
            let id = std::str::from_utf8(&key).ok().and_then(TenantId::parse);
            let id = id.ok_or_else(|| Corrupt::new(format!("a key of `{LIMITS}`")))?;
            overrides.insert(id, decode(&key, &bytes)?);
        }
        let turns = || Arc::new(Turns::new(processors, clock.clone()));
        Ok(Self {
            log,
            defaults,
            changing: Mutex::default(),
            overrides: Mutex::new(overrides),
            meters: ArcSwap::default(),
            questions: turns(),
            decoding: turns(),
            began: clock.instant(),
        })
    }

    /// What holds for tenants that have no limits of their own.
    pub fn defaults(&self) -> &Limits {
        &self.defaults
    }

    /// What was set for a tenant.
    pub fn overrides(&self, id: &TenantId) -> Overrides {
        let overrides = self.overrides.lock().unwrap_or_else(PoisonError::into_inner);
        overrides.get(id).copied().unwrap_or_default()
    }

    /// What holds for a tenant.
    pub fn limits(&self, id: &TenantId) -> Limits {
        self.overrides(id).over(&self.defaults)
    }

    /// What counts for a tenant.
    pub fn meter(&self, id: &TenantId) -> Arc<Meter> {
        match self.meters.load().get(id) {
            Some(meter) => Arc::clone(meter),
            None => self.new_meter(id),
        }
    }

    fn new_meter(&self, id: &TenantId) -> Arc<Meter> {
        // With this held no change comes to count, and nobody else makes one.
        let overrides = self.overrides.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(meter) = self.meters.load().get(id) {
            return Arc::clone(meter);
        }
        let limits = overrides.get(id).copied().unwrap_or_default().over(&self.defaults);
        let [questions, decoding] = [&self.questions, &self.decoding].map(|turns| turns.party(0));
        let meter = Arc::new(Meter::new(limits, self.began, questions, decoding));
        let mut meters = HashMap::clone(&self.meters.load());
        meters.insert(id.clone(), Arc::clone(&meter));
        self.meters.store(Arc::new(meters));
        meter
    }

    /// Has other limits hold for `tenant`, from now on and after every start: those that `change` makes of
    /// what was set before. Gives them. Waits for the disk.
    pub fn change<E: From<LimitError>>(
        &self,
        tenant: &Tenant,
        change: impl FnOnce(&Overrides) -> Result<Overrides, E>,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Overrides, E> {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.stored(&tenant.id)?;
        let after = change(&before)?;
        if after != before {
            self.store(tenant, &before, &after, by, now_ms)?;
        }
        let mut overrides = self.overrides.lock().unwrap_or_else(PoisonError::into_inner);
        match after.is_empty() {
            true => overrides.remove(&tenant.id),
            false => overrides.insert(tenant.id.clone(), after),
        };
        if let Some(meter) = self.meters.load().get(&tenant.id) {
            meter.set(after.over(&self.defaults));
        }
        Ok(after)
    }

    /// What is stored for a tenant: after a commit of unknown outcome not what is in memory.
    fn stored(&self, id: &TenantId) -> Result<Overrides, LimitError> {
        let key = id.as_str().as_bytes();
        let bytes = self.log.platform().get(LIMITS, key)?;
        Ok(bytes.map(|bytes| decode(key, &bytes)).transpose()?.unwrap_or_default())
    }

    fn store(
        &self,
        tenant: &Tenant,
        before: &Overrides,
        after: &Overrides,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<(), LimitError> {
        let key = tenant.id.as_str().as_bytes();
        let bytes = |limits: &Overrides| record::encode(&Record { limits: *limits });
        let expect = match before.is_empty() {
            true => absent(LIMITS, key),
            false => present(LIMITS, key, bytes(before)?),
        };
        let write = match after.is_empty() {
            true => delete(LIMITS, key),
            false => put(LIMITS, key, bytes(after)?),
        };
        let event = by.did("tenant.limits", format!("tenant:{}", tenant.id));
        let event = event.before(Value::from(before.shown())).after(Value::from(after.shown()));
        let told = by.told(&tenant.id, event);
        let there = Tenancy::still_there(&**self.log.platform(), &tenant.id)?;
        let change = Completion { expect: vec![there, expect], writes: vec![write], told };
        match change.commit(&self.log, now_ms)? {
            true => Ok(()),
            false => Err(LimitError::Stale),
        }
    }

    /// Forgets tenants that are not there any more. To be called now and then.
    pub fn sweep(&self, is_there: impl Fn(&TenantId) -> bool) {
        let mut overrides = self.overrides.lock().unwrap_or_else(PoisonError::into_inner);
        overrides.retain(|id, _| is_there(id));
        let meters = self.meters.load();
        if meters.keys().all(&is_there) {
            return;
        }
        let kept = meters.iter().filter(|(id, _)| is_there(id));
        let kept = kept.map(|(id, meter)| (id.clone(), Arc::clone(meter))).collect();
        self.meters.store(Arc::new(kept));
    }
}

fn decode(key: &[u8], bytes: &[u8]) -> Result<Overrides, StoreError> {
    let what = format!("{LIMITS}/{}", String::from_utf8_lossy(key));
    record::decode(&what, bytes).map(|Record { limits }| limits)
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
