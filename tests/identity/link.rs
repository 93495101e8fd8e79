//! Invitations and ways back: one use, in time, by the right one, for the right thing.

use crate::world::{EMAIL, NOBODY, NOW_MS, NOWHERE, PASSWORD, World};
use emx::identity::account::{AccountError, NewUser};
use emx::identity::email::Email;
use emx::identity::link::{INVITATION_MS, Link, LinkError, Purpose, RESET_MS};
use emx::identity::password::Password;
use emx::identity::token::TokenError;
use emx::tenancy::by::By;
use emx::tenancy::permission::Role;
use emx::tenancy::record::put;
use std::sync::Barrier;
use storage::row::TimeMs;

const NEW: &str = "new@example.org";
const CHOSEN: &str = "another fine day";

fn invite(world: &World) -> Link {
    let new = NewUser::plain(Email::parse(NEW).unwrap(), Role::Member);
    let operator = By::operator();
    world.identity.invite(&world.acme.id, &new, &operator, NOW_MS).unwrap()
}

/// A way back for the owner of `acme`.
fn reset(world: &World, now_ms: TimeMs) -> Link {
    let email = Email::parse(EMAIL).unwrap();
    let owner = world.identity.user_by_email(&world.acme.id, &email).unwrap();
    let operator = By::operator();
    world.identity.reset_link(&world.acme.id, &owner.id, &operator, now_ms).unwrap()
}

fn accept(world: &World, token: &str, now_ms: TimeMs) -> Result<String, LinkError> {
    let accepted = world.identity.accept(&world.tenancy, token, CHOSEN, None, &NOWHERE, now_ms);
    accepted.map(|(user, tenant)| format!("{} at {}", user.email, tenant.slug))
}

#[track_caller]
fn invalid(world: &World, token: &str, now_ms: TimeMs) {
    let before = world.identity.password_hashes();
    let error = accept(world, token, now_ms).unwrap_err();
    assert!(matches!(error, LinkError::Invalid), "{error}");
    assert_eq!((error.code(), error.is_transient()), ("invalid_link", false));
    assert_eq!(world.identity.password_hashes(), before, "nothing is hashed for nobody");
}

#[test]
fn an_invitation_is_a_user_who_cannot_sign_in_until_it_is_taken_once() {
    let world = World::new();
    let link = invite(&world);
    assert_eq!((link.purpose, link.until_ms), (Purpose::Invitation, NOW_MS + INVITATION_MS));
    assert!(link.token.starts_with("eml_") && link.token.len() >= 4 + 16 + 43, "{}", link.token);
    assert_eq!(link.path(), format!("/accept#token={}", link.token));
    assert!(!link.user.has_password);
    for password in ["", PASSWORD, CHOSEN] {
        let before = world.identity.password_hashes();
        let refused = world.try_sign_in(NEW, password, None, NOW_MS).unwrap_err();
        assert_eq!(refused.code(), "invalid_credentials");
        assert_eq!(world.identity.password_hashes() - before, 1);
    }
    let world = world.restarted();
    assert_eq!(accept(&world, &link.token, NOW_MS).unwrap(), "new@example.org at acme");
    let signed_in = world.try_sign_in(NEW, CHOSEN, None, NOW_MS).unwrap();
    assert_eq!((signed_in.user.role, signed_in.user.has_password), (Role::Member, true));
    invalid(&world, &link.token, NOW_MS);
    let world = world.restarted();
    invalid(&world, &link.token, NOW_MS);
    assert!(
        !world.is_on_disk(&link.token[20..]) && !format!("{link:?}").contains(&link.token[20..])
    );
}

#[test]
fn a_way_back_changes_nothing_until_it_is_taken_and_then_ends_every_session() {
    let world = World::new();
    let sessions = [world.sign_in(NOW_MS), world.sign_in(NOW_MS)];
    let link = reset(&world, NOW_MS);
    assert_eq!((link.purpose, link.until_ms), (Purpose::Reset, NOW_MS + RESET_MS));
    let before = world.sign_in(NOW_MS);
    for session in &sessions {
        world.identity.verify(&session.access_token, NOW_MS).unwrap();
    }
    accept(&world, &link.token, NOW_MS).unwrap();
    for session in sessions.iter().chain([&before]) {
        let ended = world.identity.verify(&session.access_token, NOW_MS);
        assert_eq!(ended, Err(TokenError::Revoked));
        assert!(world.refresh(&session.refresh_token, NOW_MS).is_err());
    }
    assert!(world.try_sign_in(EMAIL, PASSWORD, None, NOW_MS).is_err());
    world.try_sign_in(EMAIL, CHOSEN, None, NOW_MS).unwrap();
    invalid(&world, &link.token, NOW_MS);
}

#[test]
fn it_lasts_so_long_and_another_takes_its_place() {
    let world = World::new();
    let link = invite(&world);
    invalid(&world, &link.token, NOW_MS + INVITATION_MS);
    let (first, second) = (reset(&world, NOW_MS), reset(&world, NOW_MS + 1));
    invalid(&world, &first.token, NOW_MS + 1);
    invalid(&world, &second.token, NOW_MS + 1 + RESET_MS);
    accept(&world, &second.token, NOW_MS + RESET_MS).unwrap();
    // One that was not taken in time is asked for again, and is an invitation still.
    let again = world.identity.reset_link(
        &world.acme.id,
        &link.user.id,
        &By::operator(),
        NOW_MS + INVITATION_MS,
    );
    let again = again.unwrap();
    assert_eq!(again.purpose, Purpose::Invitation);
    accept(&world, &again.token, NOW_MS + 2 * INVITATION_MS - 1).unwrap();
}

#[test]
fn it_is_for_one_tenant_and_one_purpose() {
    let world = World::new();
    let link = reset(&world, NOW_MS);
    let elsewhere =
        world.identity.accept(&world.tenancy, &link.token, CHOSEN, Some("other"), &NOWHERE, NOW_MS);
    assert!(matches!(elsewhere, Err(LinkError::Invalid)));
    let operator = By::operator();
    let foreign = world.identity.reset_link(&world.other.id, &link.user.id, &operator, NOW_MS);
    assert!(matches!(foreign, Err(LinkError::Account(AccountError::NotFound { .. }))));

    // What is stored of it, as if it were for something else.
    let key = link.user.id.as_bytes();
    let stored = world.platform.get("one_time_links", key).unwrap().unwrap();
    let stored = String::from_utf8(stored).unwrap();
    let other_tenant = stored.replace(world.acme.id.as_str(), world.other.id.as_str());
    let other_purpose = stored.replace("\"reset\"", "\"invitation\"");
    for changed in [other_tenant, other_purpose] {
        assert_ne!(changed, stored);
        let write = put("one_time_links", key, changed.into_bytes());
        world.platform.write(&[], &[write]).unwrap();
        invalid(&world, &link.token, NOW_MS);
    }
    let write = put("one_time_links", key, stored.into_bytes());
    world.platform.write(&[], &[write]).unwrap();

    // It opens nothing else, and nothing else is one.
    let signed_in = world.sign_in(NOW_MS);
    assert!(world.refresh(&link.token, NOW_MS).is_err());
    assert!(world.identity.verify(&link.token, NOW_MS).is_err());
    assert!(world.identity.authenticate_key(&link.token, NOBODY, NOW_MS).is_err());
    invalid(&world, &signed_in.refresh_token, NOW_MS);
    invalid(&world, &signed_in.access_token, NOW_MS);
    invalid(&world, &signed_in.refresh_token.replace("emr_", "eml_"), NOW_MS);
    let named =
        world.identity.accept(&world.tenancy, &link.token, CHOSEN, Some("acme"), &NOWHERE, NOW_MS);
    named.unwrap();
}

#[test]
fn what_is_not_the_whole_token_is_nothing() {
    let world = World::new();
    let token = invite(&world).token;
    let mut last = token.clone().into_bytes();
    *last.last_mut().unwrap() = if token.ends_with('A') { b'B' } else { b'A' };
    let last = String::from_utf8(last).unwrap();
    let nobody = token.replace(&token[4..20], "aaaaaaaaaaaaaaaa");
    let long = "x".repeat(10_000);
    for wrong in [
        "",
        "eml_",
        &token[..token.len() - 1],
        &format!("{token}A"),
        &token[4..],
        &last,
        &nobody,
        &token.to_uppercase(),
        &format!(" {token}"),
        &token.replace("eml_", "eml-"),
        &long,
    ] {
        invalid(&world, wrong, NOW_MS);
    }
    accept(&world, &token, NOW_MS).unwrap();
}

#[test]
fn a_bad_password_does_not_use_it_up() {
    let world = World::new();
    let token = invite(&world).token;
    for bad in ["short", "new@example.org", "acme", "password123", "two\nlines of it"] {
        let before = world.identity.password_hashes();
        let refused = world.identity.accept(&world.tenancy, &token, bad, None, &NOWHERE, NOW_MS);
        assert_eq!(refused.unwrap_err().code(), "invalid_password", "{bad}");
        assert_eq!(world.identity.password_hashes(), before);
    }
    accept(&world, &token, NOW_MS).unwrap();
}

#[test]
fn it_ends_where_its_user_does_or_gets_a_password_otherwise() {
    let world = World::new();
    let link = invite(&world);
    let (tenant, user) = (&world.acme.id, link.user.id.as_str());
    let operator = By::operator();
    let again = || world.identity.reset_link(tenant, user, &operator, NOW_MS);
    world.identity.disable_user(tenant, user, &operator, NOW_MS).unwrap();
    invalid(&world, &link.token, NOW_MS);
    assert!(matches!(again(), Err(LinkError::Disabled { .. })));
    world.identity.enable_user(tenant, user, &operator, NOW_MS).unwrap();
    invalid(&world, &link.token, NOW_MS);

    let link = again().unwrap();
    let email = Email::parse(NEW).unwrap();
    let password = Password::choose(PASSWORD, &email, "acme").unwrap();
    world.identity.set_password(tenant, user, &password, &operator, NOW_MS).unwrap();
    invalid(&world, &link.token, NOW_MS);

    let link = again().unwrap();
    world.identity.remove_user(tenant, user, &operator, |_| true, NOW_MS).unwrap();
    invalid(&world, &link.token, NOW_MS);
    assert!(matches!(again(), Err(LinkError::Account(AccountError::NotFound { .. }))));
}

#[test]
fn of_many_at_once_one_takes_it() {
    const THREADS: usize = 8;
    let world = World::new();
    let token = invite(&world).token;
    let together = Barrier::new(THREADS);
    let chosen: Vec<String> = (0..THREADS).map(|n| format!("another fine day {n}")).collect();
    let took: Vec<&String> = std::thread::scope(|scope| {
        let tries = chosen.iter().map(|chosen| {
            let (world, token, together) = (&world, &token, &together);
            scope.spawn(move || {
                together.wait();
                let outcome =
                    world.identity.accept(&world.tenancy, token, chosen, None, &NOWHERE, NOW_MS);
                outcome.is_ok().then_some(chosen)
            })
        });
        let tries: Vec<_> = tries.collect();
        tries.into_iter().filter_map(|tried| tried.join().unwrap()).collect()
    });
    assert_eq!(took.len(), 1);
    world.try_sign_in(NEW, took[0], None, NOW_MS).unwrap();
}
