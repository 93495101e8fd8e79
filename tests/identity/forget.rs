//! What is left of the people of a tenant that is deleted: nothing.

use crate::authenticator::Authenticator;
use crate::world::{EMAIL, NOW_MS, PASSWORD, World, client, credentials};
use emx::identity::account::NewUser;
use emx::identity::api_key::NewApiKey;
use emx::identity::email::Email;
use emx::identity::enrolment::Proof;
use emx::identity::key_networks::KeyNetworks;
use emx::identity::login::Credentials;
use emx::identity::rules::RulesChange;
use emx::tenancy::by::By;
use emx::tenancy::permission::Role;
use emx::tenancy::tenant::Tenant;

/// Where something of people is kept.
const TABLES: [&str; 12] = [
    "users",
    "user_emails",
    "one_time_links",
    "second_factors",
    "teams",
    "team_names",
    "sign_in_rules",
    "families",
    "refresh_tokens",
    "user_families",
    "api_keys",
    "known_networks",
];

/// Gives a tenant something of everything.
fn furnish(world: &World, tenant: &Tenant) {
    let (identity, operator) = (&world.identity, By::operator());
    let team = identity.create_team(&tenant.id, "Platform", &[], &operator, NOW_MS).unwrap();
    let mut new = NewUser::plain(Email::parse("new@example.org").unwrap(), Role::Member);
    new.teams = vec![team.id];
    identity.invite(&tenant.id, &new, &operator, NOW_MS).unwrap();
    let client = client("192.0.2.1", "curl");
    let credentials = Credentials { client, ..credentials(tenant.slug.as_str(), EMAIL, PASSWORD) };
    let signed_in = identity.login(&world.tenancy, &credentials, NOW_MS).unwrap();
    let owner = world.who(&signed_in, NOW_MS);
    let begun = identity.begin_otp(&world.tenancy, &owner, &Proof::default(), NOW_MS).unwrap();
    let app = Authenticator::scanned(&begun.uri, &begun.secret);
    identity.confirm_otp(&owner, &app.code(NOW_MS), NOW_MS).unwrap();
    let change = RulesChange { require_otp: Some(true), ..RulesChange::default() };
    identity.set_sign_in_rules(&tenant.id, change, &operator, |_| true, NOW_MS).unwrap();
    let (networks, expires_ms) = (KeyNetworks::default(), None);
    let key = NewApiKey { name: "ci".into(), role: Role::Ingest, expires_ms, networks };
    identity.api_keys().create(&tenant.id, key, &operator, NOW_MS).unwrap();
}

/// How many entries of each table there are.
fn counts(world: &World) -> [usize; TABLES.len()] {
    TABLES.map(|table| world.platform.list(table, b"", None, 1000).unwrap().len())
}

#[test]
fn nothing_is_left_of_the_people_of_a_tenant_that_is_deleted() {
    let world = World::new();
    furnish(&world, &world.other);
    let before = counts(&world);
    furnish(&world, &world.acme);
    let both = counts(&world);
    for (n, table) in TABLES.iter().enumerate() {
        assert!(before[n] > 0 && both[n] > before[n], "{table}: {before:?}, {both:?}");
    }
    let tenant = world.begin_deletion(&world.acme);
    world.identity.finish_deletion(&world.tenancy, &tenant, NOW_MS).unwrap();
    // `acme` had an owner from the start, who is gone too.
    let mut left = before;
    left[0] -= 1;
    left[1] -= 1;
    assert_eq!(counts(&world), left);
    let world = world.restarted();
    assert_eq!(counts(&world), left);
    assert_eq!(world.identity.list_of(&world.other.id).unwrap().len(), 2);
}

#[test]
fn where_somebody_signed_in_is_forgotten_with_the_user_and_with_the_tenant() {
    let world = World::new();
    let (identity, operator) = (&world.identity, By::operator());
    let kim = world.user("Kim@example.org", Role::Member);
    let sign_in = |tenant: &Tenant, email: &str, from: &str| {
        let client = client(from, "curl");
        let credentials =
            Credentials { client, ..credentials(tenant.slug.as_str(), email, PASSWORD) };
        identity.login(&world.tenancy, &credentials, NOW_MS).unwrap();
    };
    let known = || world.platform.list("known_networks", b"", None, 1000).unwrap().len();
    sign_in(&world.acme, "kim@EXAMPLE.org", "192.0.2.1");
    sign_in(&world.acme, "Kim@example.org", "198.51.100.1");
    sign_in(&world.other, EMAIL, "192.0.2.1");
    assert_eq!(known(), 3);
    identity.remove_user(&world.acme.id, &kim.id, &operator, |_| true, NOW_MS).unwrap();
    assert_eq!(known(), 1);
    let tenant = world.begin_deletion(&world.other);
    identity.finish_deletion(&world.tenancy, &tenant, NOW_MS).unwrap();
    assert_eq!(known(), 0);
}
