//! Limits are stored with who changed them, hold at once, and are there after a start.

use super::*;
use crate::audit::Filter;
use crate::limits::Limit;
use crate::tenancy::fake::FakeEngine;
use crate::tenancy::life::TenantChange;
use crate::tenancy::registry::{NewTenant, Tenancy};
use crate::tenancy::slug::Slug;
use crate::tenancy::tenant::TenantState;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use storage::ask::Budget;
use storage::engine::{Expect, TableEntry, TableWrite, Tables};

struct World {
    engine: FakeEngine,
    tenancy: Tenancy,
    clock: Clock,
}

impl World {
    fn new() -> Self {
        let engine = FakeEngine::default();
        let tenancy = Tenancy::start(engine.shared()).unwrap();
        Self { engine, tenancy, clock: Clock::manual(0) }
    }

    fn tenant(&self, slug: &str) -> Tenant {
        let new = NewTenant { slug: Slug::parse(slug).unwrap(), time_zone: "UTC".into() };
        self.tenancy.create(new, &By::operator(), 0, |_| Ok(Completion::default())).unwrap()
    }

    fn start(&self) -> Registry {
        let log = Arc::clone(self.tenancy.log());
        Registry::start(log, Limits::default(), 2, &self.clock).unwrap()
    }
}

fn delete(world: &World, tenant: &Tenant) {
    let (tenancy, change) = (&world.tenancy, TenantChange::to(TenantState::Deleting));
    let gone = tenancy.change(&tenant.slug, &change, |_| true, &By::operator(), 0).unwrap();
    tenancy.finish_deletion(&gone, 0).unwrap();
}

fn set(registry: &Registry, tenant: &Tenant, limit: Limit, value: Option<u64>) -> Overrides {
    let change = |before: &Overrides| -> Result<Overrides, LimitError> {
        let mut after = *before;
        after.set(limit, value);
        Ok(after)
    };
    registry.change(tenant, change, &By::operator(), 7).unwrap()
}

#[test]
fn a_change_is_told_holds_at_once_and_after_a_start() {
    let world = World::new();
    let (acme, other) = (world.tenant("acme"), world.tenant("other"));
    let registry = world.start();
    let meter = registry.meter(&acme.id);
    assert_eq!(meter.limit(Limit::CpuShare), 50);
    set(&registry, &acme, Limit::CpuShare, Some(25));
    set(&registry, &acme, Limit::Storage, Some(1 << 30));
    assert_eq!(meter.limit(Limit::CpuShare), 25);
    assert!(Arc::ptr_eq(&meter, &registry.meter(&acme.id)));
    assert_eq!(registry.meter(&other.id).limit(Limit::CpuShare), 50);

    let again = world.start();
    assert_eq!(again.meter(&acme.id).limit(Limit::CpuShare), 25);
    assert_eq!(again.limits(&acme.id).of(Limit::Storage), 1 << 30);
    assert!(again.overrides(&other.id).is_empty());

    let filter = Filter { action: Some("tenant.limits".into()), ..Filter::default() };
    let found =
        world.tenancy.log().find(acme.id.as_str(), &filter, None, 10, &Budget::default()).unwrap();
    let last = &found.entries[0].entry.as_ref().unwrap().event;
    assert_eq!(last.before, serde_json::json!({ "cpu_share": 0.25 }));
    let after = serde_json::json!({ "cpu_share": 0.25, "storage_bytes": 1 << 30 });
    assert_eq!(last.after, after);
    assert_eq!(found.entries.len(), 2);
}

#[test]
fn what_is_taken_back_is_the_default_again_and_saying_it_twice_is_no_act() {
    let world = World::new();
    let acme = world.tenant("acme");
    let registry = world.start();
    let entries = world.engine.platform_len();
    set(&registry, &acme, Limit::EventsPerSecond, Some(5));
    assert_eq!(world.engine.platform_len(), entries + 1);
    world.engine.die_at(None);
    set(&registry, &acme, Limit::EventsPerSecond, Some(5));
    assert_eq!(world.engine.calls(), 0);
    set(&registry, &acme, Limit::EventsPerSecond, None);
    assert_eq!(registry.meter(&acme.id).limit(Limit::EventsPerSecond), 0);
    assert_eq!(world.engine.platform_len(), entries);
    assert!(world.start().overrides(&acme.id).is_empty());
}

#[test]
fn a_refused_change_changes_nothing() {
    let world = World::new();
    let acme = world.tenant("acme");
    let registry = world.start();
    let refused = registry.change(&acme, |_| Err(LimitError::Stale), &By::operator(), 0);
    assert!(matches!(refused, Err(LimitError::Stale)));
    assert!(registry.overrides(&acme.id).is_empty());
}

#[test]
fn tenants_that_are_gone_are_forgotten_with_their_limits() {
    let world = World::new();
    let (acme, other) = (world.tenant("acme"), world.tenant("other"));
    let registry = world.start();
    set(&registry, &acme, Limit::EventsPerSecond, Some(5));
    let (gone, kept) = (registry.meter(&acme.id), registry.meter(&other.id));
    delete(&world, &acme);
    registry.sweep(|id| world.tenancy.with_id(id).is_some());
    assert!(registry.overrides(&acme.id).is_empty());
    assert!(!Arc::ptr_eq(&gone, &registry.meter(&acme.id)));
    assert!(Arc::ptr_eq(&kept, &registry.meter(&other.id)));
    assert!(world.start().overrides(&acme.id).is_empty());
}

#[test]
fn what_is_gone_is_given_no_limits() {
    let world = World::new();
    let (acme, registry) = (world.tenant("acme"), world.start());
    let limit = |_: &Overrides| -> Result<Overrides, LimitError> {
        let mut limits = Overrides::default();
        limits.set(Limit::CpuShare, Some(25));
        Ok(limits)
    };
    delete(&world, &acme);
    let refused = registry.change(&acme, limit, &By::operator(), 0).unwrap_err();
    assert_eq!(refused.code(), "tenant_not_found");
    assert_eq!(world.engine.platform_len(), 0);
    assert!(registry.overrides(&acme.id).is_empty());
}

/// Tables that tell of a write, and do it when they are told to.
#[derive(Debug)]
struct Slow {
    tables: Arc<dyn Tables>,
    began: Sender<()>,
    go: Mutex<Receiver<()>>,
}

impl Tables for Slow {
    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.tables.get(table, key)
    }

    fn list(
        &self,
        table: &str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<TableEntry>, StoreError> {
        self.tables.list(table, prefix, after, limit)
    }

    fn write(&self, expect: &[Expect], writes: &[TableWrite]) -> Result<bool, StoreError> {
        self.began.send(()).unwrap();
        self.go.lock().unwrap().recv().unwrap();
        self.tables.write(expect, writes)
    }
}

#[test]
fn nobody_waits_for_the_disk_that_a_change_is_stored_on() {
    let world = World::new();
    let acme = world.tenant("acme");
    let ((began, begun), (go, wait)) = (channel(), channel());
    let slow = Slow { tables: world.tenancy.platform(), began, go: Mutex::new(wait) };
    let log = Arc::new(AuditLog::new(Arc::new(slow)));
    let registry = Registry::start(log, Limits::default(), 2, &world.clock).unwrap();
    std::thread::scope(|threads| {
        let changing = threads.spawn(|| set(&registry, &acme, Limit::CpuShare, Some(25)));
        begun.recv().unwrap();
        let (tell, told) = channel();
        let (registry, acme) = (&registry, &acme);
        threads.spawn(move || {
            let seen = registry.meter(&acme.id).limit(Limit::CpuShare);
            tell.send((seen, registry.overrides(&acme.id).is_empty()))
        });
        let told = told.recv_timeout(Duration::from_secs(10));
        go.send(()).unwrap();
        changing.join().unwrap();
        assert_eq!(told, Ok((50, true)));
    });
    // Who asked meanwhile is given what was stored then.
    assert_eq!(registry.meter(&acme.id).limit(Limit::CpuShare), 25);
}
