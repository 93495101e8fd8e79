//! API keys over the real store.

use crate::world::{NOBODY, NOW_MS, PASSWORD, World, by};
use emx::identity::api_key::{ApiKeyError, NewApiKey};
use emx::identity::email::Email;
use emx::identity::key_networks::KeyNetworks;
use emx::identity::password::Password;
use emx::tenancy::by::By;
use emx::tenancy::permission::{Permission, Role};
use emx::tenancy::record;
use emx::tenancy::registry::Tenancy;

fn new(role: Role, expires_ms: Option<i64>) -> NewApiKey {
    let networks = KeyNetworks::default();
    NewApiKey { name: "build server".into(), role, expires_ms, networks }
}

#[test]
fn a_key_enters_its_tenant_alone_and_lies_nowhere() {
    let world = World::new();
    let keys = world.identity.api_keys();
    let made =
        keys.create(&world.acme.id, new(Role::Ingest, None), &By::operator(), NOW_MS).unwrap();
    let (id, secret) = made.text.strip_prefix("emx_").unwrap().split_once('_').unwrap();
    assert!(id.len() >= 16 && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
    assert_eq!((id, secret.len()), (made.key.id.as_str(), 43));

    let principal = world.identity.authenticate_key(&made.text, NOBODY, NOW_MS).unwrap();
    assert!(
        principal.permits(Permission::ExecutionsWrite) && !principal.permits(Permission::Query)
    );
    assert_eq!(world.tenancy.enter_own(&principal).unwrap().id(), &world.acme.id);
    assert!(world.tenancy.enter(&principal, "acme").is_ok());
    let there = world.tenancy.enter(&principal, "other").unwrap_err();
    assert_eq!(there.code(), "tenant_not_found");
    assert!(world.identity.authenticate_token(&made.text, NOBODY, NOW_MS).is_err());
    let (id, secret) = (id.to_owned(), secret.to_owned());

    let world = world.restarted();
    assert!(world.is_on_disk(&id) && !world.is_on_disk(&secret));
    assert_eq!(world.identity.authenticate_key(&made.text, NOBODY, NOW_MS).unwrap(), principal);
    let keys = world.identity.api_keys();
    assert_eq!(keys.list(&world.acme.id), [keys.get(&world.acme.id, &id).unwrap()]);
    assert!(matches!(keys.get(&world.other.id, &id), Err(ApiKeyError::NotFound { .. })));
    keys.flush_used(NOW_MS).unwrap();
    keys.revoke(&world.acme.id, &id, &By::operator(), NOW_MS + 1).unwrap();
    assert!(world.identity.authenticate_key(&made.text, NOBODY, NOW_MS + 1).is_err());
    let world = world.restarted();
    assert!(world.identity.authenticate_key(&made.text, NOBODY, NOW_MS + 1).is_err());
    let known = world.identity.api_keys().get(&world.acme.id, &id).unwrap();
    assert_eq!((known.last_used_ms, known.revoked_ms), (Some(NOW_MS), Some(NOW_MS + 1)));
}

#[test]
fn a_user_gives_away_no_more_than_its_role() {
    let world = World::new();
    let signed_in = world.sign_in(NOW_MS);
    let owner = world.identity.authenticate_token(&signed_in.access_token, NOBODY, NOW_MS).unwrap();
    let owner = by(&owner);
    let keys = world.identity.api_keys();
    keys.create(&world.acme.id, new(Role::Owner, None), &owner, NOW_MS).unwrap();
    let elsewhere = keys.create(&world.other.id, new(Role::Ingest, None), &owner, NOW_MS);
    assert!(elsewhere.is_err());
    let made = keys.create(&world.acme.id, new(Role::Viewer, None), &owner, NOW_MS).unwrap();
    let viewer = by(&world.identity.authenticate_key(&made.text, NOBODY, NOW_MS).unwrap());
    let more = keys.create(&world.acme.id, new(Role::Admin, None), &viewer, NOW_MS);
    assert!(matches!(more, Err(ApiKeyError::Role { role: Role::Admin })));
}

#[test]
fn nobody_renames_or_revokes_a_key_that_may_more() {
    let world = World::new();
    let (keys, acme) = (world.identity.api_keys(), &world.acme.id);
    let make = |role| keys.create(acme, new(role, None), &By::operator(), NOW_MS).unwrap();
    let (owners, mine) = (make(Role::Owner), make(Role::Admin));
    let admin = by(&world.identity.authenticate_key(&mine.text, NOBODY, NOW_MS).unwrap());
    let refused = [
        keys.revoke(acme, &owners.key.id, &admin, NOW_MS),
        keys.rename(acme, &owners.key.id, "x", &admin, |_| true, NOW_MS),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(ApiKeyError::MayMore { role: Role::Owner })));
    }
    assert_eq!(keys.get(acme, &owners.key.id).unwrap().name, "build server");
    world.identity.authenticate_key(&owners.text, NOBODY, NOW_MS).unwrap();
    for own in [make(Role::Ingest), mine] {
        keys.revoke(acme, &own.key.id, &admin, NOW_MS).unwrap();
    }
}

#[test]
fn a_key_that_expires_makes_none_that_lasts_longer() {
    let world = World::new();
    let (keys, acme) = (world.identity.api_keys(), &world.acme.id);
    let until_ms = NOW_MS + 1_000;
    let expiring = new(Role::Admin, Some(until_ms));
    let made = keys.create(acme, expiring, &By::operator(), NOW_MS).unwrap();
    let expiring = by(&world.identity.authenticate_key(&made.text, NOBODY, NOW_MS).unwrap());
    let make = |expires_ms| keys.create(acme, new(Role::Viewer, expires_ms), &expiring, NOW_MS);
    for longer in [None, Some(until_ms + 1)] {
        assert!(matches!(make(longer), Err(ApiKeyError::ExpiryTooLate)), "{longer:?}");
    }
    make(Some(until_ms)).unwrap();
}

#[test]
fn nobody_is_made_in_a_tenant_that_goes() {
    let world = World::new();
    let id = world.acme.id.clone();
    let there = Tenancy::still_there(&*world.platform, &id).unwrap();
    world.begin_deletion(&world.acme);
    let key =
        world.identity.api_keys().create(&id, new(Role::Viewer, None), &By::operator(), NOW_MS);
    assert_eq!(key.unwrap_err().code(), "tenant_not_found");
    let email = Email::parse("late@example.org").unwrap();
    let password = Password::choose(PASSWORD, &email, "acme").unwrap();
    let (by, identity) = (By::operator(), &world.identity);
    let user = identity.create_user(&id, &email, Role::Viewer, &password, &by, NOW_MS);
    assert_eq!(user.unwrap_err().code(), "tenant_not_found");
    // Whoever looked before the deletion began is refused by what it saw.
    let late = record::put("users", b"late", Vec::new());
    assert!(!world.platform.write(&[there], &[late]).unwrap());
    assert_eq!(world.identity.list_of(&id).unwrap().len(), 1);
}
