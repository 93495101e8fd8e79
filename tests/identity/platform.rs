//! Who administers the platform, who says so, and that somebody always does, whoever acts at once.

use crate::world::{NOBODY, NOW_MS, NOWHERE, PASSWORD, World, credentials};
use emx::audit::PLATFORM;
use emx::identity::SignedIn;
use emx::identity::account::{Account, AccountError};
use emx::identity::administration::AccountChange;
use emx::identity::api_key::NewApiKey;
use emx::identity::email::Email;
use emx::identity::forget::ForgetError;
use emx::identity::key_networks::KeyNetworks;
use emx::identity::password::Password;
use emx::identity::token::TokenError;
use emx::tenancy::by::By;
use emx::tenancy::life::TenantChange;
use emx::tenancy::permission::Role;
use emx::tenancy::tenant::{Tenant, TenantState};
use std::sync::Barrier;

/// A viewer of `tenant` who administers the platform.
fn administrator(world: &World, tenant: &Tenant, email: &str) -> Account {
    let email = Email::parse(email).unwrap();
    let password = Password::choose(PASSWORD, &email, tenant.slug.as_str()).unwrap();
    let (identity, by) = (&world.identity, By::operator());
    let made =
        identity.create_administrator(&tenant.id, &email, Role::Viewer, &password, &by, NOW_MS);
    made.unwrap()
}

fn sign_in(world: &World, tenant: &Tenant, user: &Account) -> SignedIn {
    let credentials = credentials(tenant.slug.as_str(), user.email.as_str(), PASSWORD);
    world.identity.login(&world.tenancy, &credentials, NOW_MS).unwrap()
}

/// Has a user of `acme` administer the platform, or not.
fn set(world: &World, by: &By, user: &Account, platform: bool) -> Result<Account, AccountError> {
    world.identity.set_platform(&world.acme.id, &user.id, platform, by, NOW_MS)
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, AccountError>, code: &str) {
    assert_eq!(outcome.unwrap_err().code(), code);
}

#[test]
fn who_does_says_who_else_does_and_it_counts_at_once() {
    let world = World::new();
    let (identity, acme) = (&world.identity, &world.acme);
    let first = administrator(&world, acme, "first@example.org");
    let by_first = world.who(&sign_in(&world, acme, &first), NOW_MS);
    let owner = world.who(&world.sign_in(NOW_MS), NOW_MS);
    let kim = world.user("kim@example.org", Role::Member);
    let networks = KeyNetworks::default();
    let key = NewApiKey { name: "k".into(), role: Role::Owner, expires_ms: None, networks };
    let key = identity.api_keys().create(&acme.id, key, &By::operator(), NOW_MS).unwrap();
    let key = identity.authenticate_key(&key.text, NOBODY, NOW_MS).unwrap();
    for by in [&owner, &By { principal: key, source: NOWHERE }] {
        refused(set(&world, by, &kim, true), "forbidden");
        set(&world, by, &kim, false).unwrap(); // as it is
        let (email, password) = (Email::parse("x@example.org").unwrap(), Password::random());
        let role = Role::Viewer;
        let made = identity.create_administrator(&acme.id, &email, role, &password, by, NOW_MS);
        refused(made, "forbidden");
    }

    // What the owner made for a member does not let the owner in as somebody who may more.
    let session = sign_in(&world, acme, &kim);
    let link = identity.reset_link(&acme.id, &kim.id, &owner, NOW_MS).unwrap();
    assert!(set(&world, &by_first, &kim, true).unwrap().platform);
    assert_eq!(identity.verify(&session.access_token, NOW_MS), Err(TokenError::Revoked));
    assert!(world.refresh(&session.refresh_token, NOW_MS).is_err());
    let accepted = identity.accept(&world.tenancy, &link.token, PASSWORD, None, &NOWHERE, NOW_MS);
    assert_eq!(accepted.unwrap_err().code(), "invalid_link");
    let by_kim = world.who(&sign_in(&world, acme, &kim), NOW_MS);
    assert!(by_kim.principal.is_platform() && !owner.principal.is_platform());
    world.tenancy.enter(&by_kim.principal, "other").unwrap();

    // Who does not any more says nothing any more, not even by what began before.
    let session = sign_in(&world, acme, &first);
    assert!(!set(&world, &by_kim, &first, false).unwrap().platform);
    assert_eq!(identity.verify(&session.access_token, NOW_MS), Err(TokenError::Revoked));
    refused(set(&world, &by_first, &first, true), "forbidden");
    let again = world.who(&sign_in(&world, acme, &first), NOW_MS);
    assert!(!again.principal.is_platform());
    refused(set(&world, &again, &first, true), "forbidden");
    refused(set(&world, &By::operator(), &kim, false), "last_platform_administrator");

    for chain in [acme.id.as_str(), PLATFORM] {
        let entries = world.tenancy.log().page(chain, None, 1000).unwrap();
        let told = entries.iter().rev().map(|entry| &entry.event);
        let told: Vec<(&str, String)> = told
            .filter(|event| event.action.ends_with("_platform"))
            .map(|event| (&*event.action, event.actor.clone()))
            .collect();
        let by = |by: &By| by.principal.subject();
        let expected =
            [("user.grant_platform", by(&by_first)), ("user.revoke_platform", by(&by_kim))];
        assert_eq!(told, expected, "{chain}");
    }
    let world = world.restarted();
    let kept = world.identity.list_of(&world.acme.id).unwrap();
    let platform: Vec<&str> =
        kept.iter().filter(|user| user.platform).map(|user| user.email.as_str()).collect();
    assert_eq!(platform, ["kim@example.org"]);
}

#[test]
fn a_link_is_kept_where_nobody_may_more_by_it() {
    let world = World::new();
    let (identity, acme, by) = (&world.identity, &world.acme, By::operator());
    let kim = world.user("kim@example.org", Role::Manager);
    for (role, works) in [(Role::Viewer, true), (Role::Admin, false)] {
        let link = identity.reset_link(&acme.id, &kim.id, &by, NOW_MS).unwrap();
        let change = AccountChange { role: Some(role), ..AccountChange::default() };
        identity.change_account(&acme.id, &kim.id, &change, &by, |_| true, NOW_MS).unwrap();
        let accepted =
            identity.accept(&world.tenancy, &link.token, PASSWORD, None, &NOWHERE, NOW_MS);
        assert_eq!(accepted.is_ok(), works, "{role}");
    }
}

#[test]
fn people_of_a_tenant_that_is_closed_do_not_count() {
    let world = World::new();
    let by = By::operator();
    let here = administrator(&world, &world.acme, "here@example.org");
    let last = "last_platform_administrator";
    let suspend = |tenant: &Tenant| turn(&world, tenant, TenantState::Suspended);
    let delete = |tenant: &Tenant| turn(&world, tenant, TenantState::Deleting);
    for refused in [suspend(&world.acme), delete(&world.acme)] {
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), last);
        assert!(refused.to_string().contains("emx user platform --grant"), "{refused}");
    }
    administrator(&world, &world.other, "there@example.org");
    suspend(&world.other).unwrap();
    refused(set(&world, &by, &here, false), last);
    assert_eq!(delete(&world.acme).unwrap_err().code(), last);
    turn(&world, &world.other, TenantState::Active).unwrap();
    set(&world, &by, &here, false).unwrap();
    assert_eq!(suspend(&world.other).unwrap_err().code(), last);
    delete(&world.acme).unwrap();
}

#[test]
fn of_two_who_are_taken_away_at_once_one_stays() {
    type Act = fn(&World, &Tenant, &Account) -> bool;
    let acts: [Act; 3] = [
        |world, tenant, user| {
            let by = By::operator();
            world.identity.set_platform(&tenant.id, &user.id, false, &by, NOW_MS).is_ok()
        },
        |world, tenant, user| {
            world.identity.disable_user(&tenant.id, &user.id, &By::operator(), NOW_MS).is_ok()
        },
        |world, tenant, _| turn(world, tenant, TenantState::Suspended).is_ok(),
    ];
    let world = World::new();
    let (acme, other) = (&world.acme, &world.other);
    let here = administrator(&world, acme, "here@example.org");
    let there = administrator(&world, other, "there@example.org");
    let both = [(&**acme, &here), (&**other, &there)];
    for (n, m) in (0..acts.len()).flat_map(|n| (0..acts.len()).map(move |m| (n, m))) {
        let barrier = Barrier::new(2);
        let done = std::thread::scope(|scope| {
            let (world, barrier) = (&world, &barrier);
            let tries = [(acts[n], both[0]), (acts[m], both[1])].map(|(act, (tenant, user))| {
                scope.spawn(move || {
                    barrier.wait();
                    act(world, tenant, user)
                })
            });
            tries.map(|tried| tried.join().unwrap())
        });
        assert_eq!(done.iter().filter(|done| **done).count(), 1, "{n} and {m}");
        let by = By::operator();
        for (tenant, user) in both {
            turn(&world, tenant, TenantState::Active).unwrap();
            world.identity.enable_user(&tenant.id, &user.id, &by, NOW_MS).unwrap();
            world.identity.set_platform(&tenant.id, &user.id, true, &by, NOW_MS).unwrap();
        }
    }
}

/// Has `tenant` come to be in `state`.
fn turn(world: &World, tenant: &Tenant, state: TenantState) -> Result<Tenant, ForgetError> {
    let change = TenantChange { state: Some(state), ..TenantChange::default() };
    let (tenancy, by) = (&world.tenancy, By::operator());
    world.identity.change_tenant(tenancy, &tenant.slug, &change, |_| true, &by, NOW_MS)
}
