//! What is seen is what was last written, whoever writes and whatever is read meanwhile.

use super::*;
use crate::tenancy::fake::{Death, FakeEngine};
use crate::tenancy::life::TenantChange;
use crate::tenancy::permission::Role;
use crate::tenancy::record::delete;
use crate::tenancy::registry::NewTenant;
use crate::tenancy::row_policy::{RoleSight, RowPolicy};
use crate::tenancy::slug::Slug;
use crate::tenancy::tenant::{Tenant, TenantState};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const USERS: &str = "users";

/// People whose one name is what is written beside their id, with their tenant behind a slash or without.
#[derive(Debug)]
struct Book {
    platform: Arc<dyn Tables>,
    reads: AtomicUsize,
    /// Writes another name after it has read one.
    is_rewritten: AtomicBool,
}

impl People for Book {
    fn tables(&self) -> &'static [&'static str] {
        &[USERS]
    }

    fn tenant_of(&self, record: &[u8]) -> Option<TenantId> {
        let (_, id) = std::str::from_utf8(record).ok()?.split_once('/')?;
        TenantId::parse(id)
    }

    fn names(&self, _: &TenantId, user_id: &str) -> Result<Names, StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let name = self.platform.get(USERS, user_id.as_bytes())?.unwrap_or_default();
        if self.is_rewritten.swap(false, Ordering::Relaxed) {
            rename(&*self.platform, user_id, "later");
        }
        let name = String::from_utf8_lossy(&name);
        let users = vec![name.split('/').next().unwrap().into()];
        Ok(Names { users, teams: Vec::new() })
    }
}

fn rename(platform: &dyn Tables, user_id: &str, name: &str) {
    platform.write(&[], &[put(USERS, user_id.as_bytes(), name.as_bytes().to_vec())]).unwrap();
}

struct World {
    engine: FakeEngine,
    tenancy: Tenancy,
    tenant: Tenant,
    book: Arc<Book>,
}

impl World {
    /// A tenant in which everybody sees their own, and a user whom executions call Ann.
    fn new() -> Self {
        let engine = FakeEngine::default();
        let tenancy = Tenancy::start(engine.shared()).unwrap();
        let slug = Slug::parse("acme").unwrap();
        let new = NewTenant { slug, time_zone: "UTC".into() };
        let tenant = tenancy.create(new, &By::operator(), 0, |_| Ok(Completion::default()));
        let (platform, reads) = (tenancy.platform(), AtomicUsize::new(0));
        rename(&*platform, "u", "ann");
        let book = Arc::new(Book { platform, reads, is_rewritten: false.into() });
        tenancy.know(Arc::<Book>::clone(&book));
        let world = Self { engine, tenancy, tenant: tenant.unwrap(), book };
        world.set(own_rows());
        world
    }

    fn set(&self, rules: RowRules) {
        let by = By::operator();
        self.tenancy.set_row_rules(&self.tenant.id, rules, &by, |_| true, 0).unwrap();
    }

    fn user(&self, role: Role) -> Principal {
        Principal::User {
            user_id: "u".into(),
            tenant_id: self.tenant.id.clone(),
            role,
            platform: false,
            family: "f".into(),
            token_id: "t".into(),
            issued_ms: 0,
        }
    }

    fn sees(&self, principal: &Principal) -> RowPolicy {
        self.tenancy.enter_own(principal).unwrap().policy().clone()
    }
}

fn own_rows() -> RowRules {
    let own = RoleSight { rows: Sight::Own, ..RoleSight::default() };
    RowRules { viewer: own, member: own, manager: own }
}

fn only(name: &str) -> RowPolicy {
    RowPolicy::only(Names { users: vec![name.into()], teams: Vec::new() })
}

#[test]
fn what_is_known_is_not_read_again_and_a_write_is_seen_at_once() {
    let world = World::new();
    let ann = world.user(Role::Member);
    assert!(world.tenancy.enter_opened(&ann).is_none(), "nothing is known yet");
    for _ in 0..3 {
        assert_eq!(world.sees(&ann), only("ann"));
        let opened = world.tenancy.enter_opened(&ann).unwrap();
        assert_eq!(opened.policy(), &only("ann"));
    }
    assert_eq!(world.book.reads.load(Ordering::Relaxed), 1);
    let scope = world.tenancy.enter_own(&ann).unwrap();
    rename(&*world.tenancy.platform(), "u", "bob");
    assert!(world.tenancy.enter_opened(&ann).is_none());
    assert!(!world.tenancy.sees_the_same(&scope));
    assert_eq!(world.sees(&ann), only("bob"));
    world.set(RowRules::OPEN);
    assert_eq!(world.sees(&ann), RowPolicy::all_rows());
    // What is written elsewhere changes nothing.
    let reads = world.tenancy.sight_age();
    world.tenancy.platform().write(&[], &[put("else", b"u", Vec::new())]).unwrap();
    assert_eq!(world.tenancy.sight_age(), reads);
}

#[test]
fn what_was_read_before_a_write_is_not_kept_after_it() {
    let world = World::new();
    let ann = world.user(Role::Manager);
    world.book.is_rewritten.store(true, Ordering::Relaxed);
    assert_eq!(world.sees(&ann), only("ann"), "it asked before the write was answered");
    assert!(world.tenancy.enter_opened(&ann).is_none());
    assert_eq!(world.sees(&ann), only("later"));
}

#[test]
fn a_write_of_unknown_outcome_is_looked_up() {
    let world = World::new();
    let ann = world.user(Role::Viewer);
    assert_eq!(world.sees(&ann), only("ann"));
    world.engine.die_at(Some(Death { call: 0, takes_effect: true, recovers: true }));
    let write = put(USERS, b"u", b"bob".to_vec());
    assert!(world.tenancy.platform().write(&[], &[write]).is_err());
    world.engine.die_at(None);
    assert_eq!(world.sees(&ann), only("bob"));
}

#[test]
fn keys_and_strangers_have_no_rows_and_who_administers_has_all() {
    let world = World::new();
    let tenant_id = world.tenant.id.clone();
    let key = |role| Principal::ApiKey { key_id: "u".into(), tenant_id: tenant_id.clone(), role };
    for role in [Role::Viewer, Role::Member, Role::Manager] {
        assert_eq!(world.sees(&key(role)), RowPolicy::only(Names::default()));
    }
    for principal in [key(Role::Admin), key(Role::Owner), world.user(Role::Owner)] {
        assert_eq!(world.sees(&principal), RowPolicy::all_rows());
        assert!(world.tenancy.enter_opened(&principal).is_some(), "nothing need be read");
    }
    world.set(RowRules::OPEN);
    assert_eq!(world.sees(&key(Role::Viewer)), RowPolicy::all_rows());
    assert_eq!(world.sees(&key(Role::Ingest)), RowPolicy::only(Names::default()));
}

#[test]
fn whoever_listens_is_told_before_the_write_is_answered() {
    let world = World::new();
    let told: Arc<Mutex<Vec<RowPolicy>>> = Arc::default();
    let (kept, ann, id) = (Arc::clone(&told), world.user(Role::Member), world.tenant.id.clone());
    let listener = move |sights: &Sights, _: Option<&BTreeSet<TenantId>>| {
        kept.lock().unwrap().push(sights.of(&ann, &id).unwrap().rows);
    };
    world.tenancy.on_sight_changed(Arc::new(listener));
    rename(&*world.tenancy.platform(), "u", "bob");
    assert_eq!(*told.lock().unwrap(), [only("bob")]);
    world.set(RowRules::STRICT);
    world.set(RowRules::OPEN);
    assert_eq!(*told.lock().unwrap(), [only("bob"), only("bob"), RowPolicy::all_rows()]);
}

#[test]
fn what_is_written_of_one_tenant_is_no_matter_of_another() {
    let world = World::new();
    let (tenancy, by) = (&world.tenancy, By::operator());
    let new = NewTenant { slug: Slug::parse("other").unwrap(), time_zone: "UTC".into() };
    let other = tenancy.create(new, &by, 0, |_| Ok(Completion::default())).unwrap();
    let told: Arc<Mutex<Vec<Option<BTreeSet<TenantId>>>>> = Arc::default();
    let kept = Arc::clone(&told);
    tenancy.on_sight_changed(Arc::new(move |_: &Sights, tenants: Option<&BTreeSet<TenantId>>| {
        kept.lock().unwrap().push(tenants.cloned());
    }));
    let ann = world.user(Role::Member);
    world.sees(&ann);
    // Somebody of the other one is made and removed, and what is seen there changes.
    let platform = tenancy.platform();
    rename(&*platform, "w", &format!("win/{}", other.id));
    platform.write(&[], &[delete(USERS, b"w")]).unwrap();
    tenancy.set_row_rules(&other.id, RowRules::STRICT, &by, |_| true, 0).unwrap();
    assert!(tenancy.enter_opened(&ann).is_some(), "nothing of its own was written");
    let only_other = Some(BTreeSet::from([other.id.clone()]));
    assert_eq!(*told.lock().unwrap(), [only_other.clone(), only_other.clone(), only_other]);
    told.lock().unwrap().clear();
    rename(&*platform, "u", &format!("bob/{}", world.tenant.id));
    assert!(tenancy.enter_opened(&ann).is_none());
    assert_eq!(world.sees(&ann), only("bob"));
    // Of what says no tenant, everything is forgotten.
    rename(&*platform, "x", "nobody's");
    assert!(tenancy.enter_opened(&ann).is_none());
    assert_eq!(*told.lock().unwrap(), [Some(BTreeSet::from([world.tenant.id.clone()])), None]);
}

#[test]
fn rules_are_changed_by_who_has_seen_them_and_go_with_the_tenant() {
    let world = World::new();
    let (tenancy, id) = (&world.tenancy, &world.tenant.id);
    let by = By::operator();
    let set =
        |current: RowRules, rules| tenancy.set_row_rules(id, rules, &by, |now| *now == current, 0);
    assert!(matches!(set(RowRules::OPEN, RowRules::STRICT), Err(TenancyError::Stale)));
    assert_eq!(set(own_rows(), RowRules::STRICT).unwrap(), RowRules::STRICT);
    assert_eq!(tenancy.row_rules(id).unwrap(), RowRules::STRICT);
    let last = &tenancy.log().page(id.as_str(), None, 1).unwrap()[0];
    assert_eq!(&*last.event.action, "row_policy.change");
    assert_eq!(last.event.after, json!(RowRules::STRICT));
    let deleting = TenantChange::to(TenantState::Deleting);
    let tenant = tenancy.change(&world.tenant.slug, &deleting, |_| true, &by, 0).unwrap();
    // What goes is given no rules that would stay behind.
    let late = |current, rules| set(current, rules).unwrap_err().code();
    assert_eq!(late(RowRules::STRICT, RowRules::OPEN), "tenant_not_found");
    tenancy.finish_deletion(&tenant, 0).unwrap();
    assert_eq!(tenancy.row_rules(id).unwrap(), RowRules::OPEN);
    let left = world.engine.platform_len();
    assert_eq!(late(RowRules::OPEN, RowRules::STRICT), "tenant_not_found");
    assert_eq!(world.engine.platform_len(), left);
}
