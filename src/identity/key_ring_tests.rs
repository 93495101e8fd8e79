//! Keys: who is let in, who is not, bounds, and death at every call of the store.

use super::*;
use crate::audit::Source;
use crate::tenancy::fake::{Death, FakeEngine};
use crate::tenancy::permission::Role;
use crate::tenancy::registry::NewTenant;
use crate::tenancy::slug::Slug;

/// Who calls unless a test says otherwise.
const NOBODY: Client<'static> = Client { address: None, agent: None, request_id: None };

struct World {
    engine: FakeEngine,
    revocations: Arc<Revocations>,
    keys: ApiKeys,
}

impl World {
    fn over(engine: FakeEngine) -> Self {
        let revocations = Arc::new(Revocations::default());
        let log = Arc::new(AuditLog::new(Arc::new(engine.clone())));
        let keys = ApiKeys::load(log, revocations.clone()).unwrap();
        Self { engine, revocations, keys }
    }

    fn new() -> Self {
        Self::over(FakeEngine::default())
    }

    fn restarted(&self) -> Self {
        self.engine.die_at(None);
        Self::over(self.engine.clone())
    }

    fn tenant(&self) -> TenantId {
        let tenancy = Tenancy::start(self.engine.shared()).unwrap();
        let slug = Slug::parse(TenantId::random().as_str()).unwrap();
        let new = NewTenant { slug, time_zone: "UTC".into() };
        tenancy.create(new, &By::operator(), 0, |_| Ok(Completion::default())).unwrap().id
    }

    fn make(&self, tenant_id: &TenantId, expires_ms: Option<TimeMs>) -> MadeApiKey {
        let new = new(Role::Ingest, expires_ms);
        self.keys.create(tenant_id, new, &By::operator(), 1_000).unwrap()
    }
}

fn new(role: Role, expires_ms: Option<TimeMs>) -> NewApiKey {
    NewApiKey { name: "ci".into(), role, expires_ms, networks: KeyNetworks::default() }
}

#[test]
fn a_key_lets_in_as_what_it_is_and_nothing_else_does() {
    let world = World::new();
    let tenant_id = world.tenant();
    let (made, other) = (world.make(&tenant_id, None), world.make(&world.tenant(), None));
    for world in [&world, &world.restarted()] {
        let principal = world.keys.authenticate(&made.text, NOBODY, 2_000).unwrap();
        assert_eq!(principal.subject(), format!("key:{}", made.key.id));
        assert_eq!((principal.tenant_id(), principal.role()), (Some(&tenant_id), Role::Ingest));
    }
    let (text, id) = (&made.text, &made.key.id);
    let last = if text.ends_with('A') { "B" } else { "A" };
    for bad in [
        "",
        "emx_",
        "emx__",
        &format!("emx_{id}"),
        &format!("emx_{id}_"),
        &text[..text.len() - 1],
        &format!("{}{last}", &text[..text.len() - 1]),
        &format!("{text}A"),
        &format!(" {text}"),
        &text.to_uppercase(),
        &format!("emx_{}_{}", other.key.id, &text[21..]),
        &format!("emx_{}_{}", "a".repeat(16), &text[21..]),
        &"emx_".repeat(1 << 18),
    ] {
        let outcome = world.keys.authenticate(bad, NOBODY, 2_000);
        assert!(matches!(outcome, Err(ApiKeyError::Invalid)), "{bad:.80}");
    }
    let stored = record::all(&world.engine, API_KEYS, b"").unwrap();
    let secret = &text.as_bytes()[21..];
    for (_, value) in &stored {
        assert!(!value.windows(secret.len()).any(|bytes| bytes == secret));
    }
    assert!(!format!("{made:?} {:?}", world.keys).contains(&text[21..]));
}

#[test]
fn a_key_ends_when_it_expires_and_when_it_is_revoked() {
    let world = World::new();
    let tenant_id = world.tenant();
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = told.clone();
    world.revocations.listen(Arc::new(move |revoked| tell.lock().unwrap().push(revoked.clone())));
    let expiring = world.make(&tenant_id, Some(5_000));
    assert!(world.keys.authenticate(&expiring.text, NOBODY, 4_999).is_ok());
    assert!(world.keys.authenticate(&expiring.text, NOBODY, 5_000).is_err());

    let made = world.make(&tenant_id, None);
    let elsewhere = world.keys.revoke(&TenantId::random(), &made.key.id, &By::operator(), 2_000);
    assert!(matches!(elsewhere, Err(ApiKeyError::NotFound { .. })));
    assert!(world.keys.authenticate(&made.text, NOBODY, 2_000).is_ok());
    let revoked = world.keys.revoke(&tenant_id, &made.key.id, &By::operator(), 2_000).unwrap();
    assert_eq!(revoked.revoked_ms, Some(2_000));
    let again = world.keys.revoke(&tenant_id, &made.key.id, &By::operator(), 3_000).unwrap();
    assert_eq!(again.revoked_ms, Some(2_000));
    assert!(world.keys.authenticate(&made.text, NOBODY, 2_000).is_err());
    assert!(world.restarted().keys.authenticate(&made.text, NOBODY, 2_000).is_err());
    let key_id: Arc<str> = made.key.id.as_str().into();
    assert_eq!(told.lock().unwrap()[0], Revoked::ApiKey { key_id });
}

#[test]
fn a_key_is_no_more_than_whoever_made_it_and_has_a_name_and_a_future() {
    let world = World::new();
    let tenant_id = world.tenant();
    let admin = Principal::User {
        user_id: "admin".into(),
        tenant_id: tenant_id.clone(),
        role: Role::Admin,
        platform: false,
        family: "f".into(),
        token_id: "t".into(),
        issued_ms: 0,
    };
    let admin = By { principal: admin, source: Source::default() };
    let create = |tenant_id: &TenantId, new| world.keys.create(tenant_id, new, &admin, 1_000);
    assert!(matches!(create(&tenant_id, new(Role::Owner, None)), Err(ApiKeyError::Role { .. })));
    let elsewhere = create(&TenantId::random(), new(Role::Ingest, None));
    assert!(matches!(elsewhere, Err(ApiKeyError::Role { .. })));
    let made = create(&tenant_id, new(Role::Admin, None)).unwrap();
    assert_eq!(made.key.created_by, "user:admin");
    let past = create(&tenant_id, new(Role::Ingest, Some(1_000)));
    assert!(matches!(past, Err(ApiKeyError::Expiry)));
    for (name, good) in [
        ("", false),
        (" ", false),
        ("a\nb", false),
        (&"x".repeat(129) as &str, false),
        (&"ä".repeat(128), true),
    ] {
        let new = NewApiKey { name: name.into(), ..new(Role::Ingest, None) };
        assert_eq!(create(&tenant_id, new).is_ok(), good, "{name}");
        let renamed = world.keys.rename(&tenant_id, &made.key.id, name, &admin, |_| true, 1_000);
        assert_eq!(renamed.is_ok(), good, "{name}");
    }
    assert_eq!(world.restarted().keys.list(&tenant_id), world.keys.list(&tenant_id));
    assert_eq!(world.keys.list(&TenantId::random()), []);
}

#[test]
fn a_tenant_has_so_many_keys_and_those_that_ended_make_room() {
    let world = World::new();
    let tenant_id = world.tenant();
    let first = world.make(&tenant_id, None);
    for _ in 1..KEYS_PER_TENANT_MAX {
        world.make(&tenant_id, None);
    }
    let create = || world.keys.create(&tenant_id, new(Role::Ingest, None), &By::operator(), 9_000);
    assert!(matches!(create(), Err(ApiKeyError::TooMany)));
    world.make(&world.tenant(), None);
    world.keys.revoke(&tenant_id, &first.key.id, &By::operator(), 8_000).unwrap();
    create().unwrap();
    assert!(world.keys.get(&tenant_id, &first.key.id).is_err());
    assert_eq!(world.keys.list(&tenant_id).len(), KEYS_PER_TENANT_MAX);
    let of_tenants = 2 * 2; // a record and a name
    assert_eq!(world.engine.platform_len(), KEYS_PER_TENANT_MAX + 1 + of_tenants);
}

#[test]
fn the_last_use_is_known_at_once_and_stored_once_a_minute() {
    let world = World::new();
    let tenant_id = world.tenant();
    let made = world.make(&tenant_id, None);
    let last_used = |world: &World| world.keys.get(&tenant_id, &made.key.id).unwrap().last_used_ms;
    assert_eq!(world.keys.flush_used(1_000).unwrap(), 0);
    world.keys.authenticate(&made.text, NOBODY, 10_000).unwrap();
    assert_eq!((last_used(&world), last_used(&world.restarted())), (Some(10_000), None));
    assert_eq!(world.keys.flush_used(10_000).unwrap(), 1);
    assert_eq!(last_used(&world.restarted()), Some(10_000));
    world.keys.authenticate(&made.text, NOBODY, 20_000).unwrap();
    assert_eq!(world.keys.flush_used(69_999).unwrap(), 0);
    assert_eq!(world.keys.flush_used(70_000).unwrap(), 1);
    assert_eq!(world.keys.flush_used(999_000).unwrap(), 0);
    assert_eq!(last_used(&world.restarted()), Some(20_000));
}

#[test]
fn whatever_the_store_does_a_revoked_key_is_refused() {
    for (takes_effect, recovers) in [(false, false), (true, false), (false, true), (true, true)] {
        let world = World::new();
        let tenant_id = world.tenant();
        let made = world.make(&tenant_id, None);
        world.engine.die_at(Some(Death { call: 0, takes_effect, recovers }));
        let outcome = world.keys.revoke(&tenant_id, &made.key.id, &By::operator(), 2_000);
        assert!(world.keys.authenticate(&made.text, NOBODY, 2_000).is_err());
        let again = world.restarted();
        let refused = again.keys.authenticate(&made.text, NOBODY, 2_000).is_err();
        assert!(refused || outcome.is_err(), "acknowledged, and lost");
        assert_eq!(refused, takes_effect);
    }
}

#[test]
fn a_key_comes_from_its_networks_alone_and_the_log_tells_of_others() {
    let world = World::new();
    let tenant_id = world.tenant();
    let networks = KeyNetworks::parse(&["192.0.2.0/24".into()]).unwrap();
    let new = NewApiKey { networks, ..new(Role::Viewer, None) };
    let made = world.keys.create(&tenant_id, new, &By::operator(), 1_000).unwrap();
    let from = |address: &str| Client { address: address.parse().ok(), ..NOBODY };
    for world in [&world, &world.restarted()] {
        let principal = world.keys.authenticate(&made.text, from("192.0.2.7"), 2_000).unwrap();
        for outside in ["192.0.3.7", "::1", ""] {
            let refused = world.keys.authenticate(&made.text, from(outside), 3_000).unwrap_err();
            assert_eq!(refused.to_string(), ApiKeyError::Invalid.to_string());
            assert_eq!(refused.code(), "invalid_api_key");
            assert!(!world.keys.may_come_as(&principal, from(outside)), "{outside}");
        }
        assert!(world.keys.may_come_as(&principal, from("::ffff:192.0.2.255")));
        assert_eq!(world.keys.get(&tenant_id, &made.key.id).unwrap().last_used_ms, Some(2_000));
        assert_eq!(world.keys.log.flush(4_000).unwrap(), 3, "one for each network");
        let told = world.keys.log.page(tenant_id.as_str(), None, 3).unwrap();
        for entry in &told {
            let Event { actor, action, target, after, .. } = &entry.event;
            assert_eq!((&**action, after.as_str()), ("api_key.use", Some("key_not_from_here")));
            let id = &made.key.id;
            assert_eq!((&**actor, &**target), (&*format!("key:{id}"), &*format!("api_key:{id}")));
        }
    }
}

#[test]
fn a_key_with_networks_makes_none_that_comes_from_elsewhere() {
    let world = World::new();
    let tenant_id = world.tenant();
    let with = |networks: &[&str]| {
        let texts: Vec<String> = networks.iter().map(ToString::to_string).collect();
        NewApiKey { networks: KeyNetworks::parse(&texts).unwrap(), ..new(Role::Admin, None) }
    };
    let create = |new, by: &By| world.keys.create(&tenant_id, new, by, 1_000);
    let made = create(with(&["10.0.0.0/8", "::1"]), &By::operator()).unwrap();
    let here = Client { address: "10.0.0.1".parse().ok(), ..NOBODY };
    let principal = world.keys.authenticate(&made.text, here, 1_000).unwrap();
    let by = By { principal, source: Source::default() };
    for wider in [&[][..], &["11.0.0.0/8"], &["::1", "10.0.0.0/7"]] {
        let refused = create(with(wider), &by).unwrap_err();
        assert_eq!(refused.code(), "networks_too_wide", "{wider:?}");
    }
    assert_eq!(create(with(&["::1"]), &by).unwrap().key.created_by, by.principal.subject());
}
