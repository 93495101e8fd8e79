//! Refresh tokens over the real store: races, restarts, and what lies on disk.

use crate::world::{EMAIL, NOW_MS, NOWHERE, PASSWORD, World, credentials};
use emx::identity::RefreshError;
use emx::identity::family::{ABSOLUTE_MS, IDLE_MS};
use emx::identity::revocation::Revoked;
use emx::identity::session::SessionError;
use emx::identity::token::TokenError;
use emx::tenancy::by::By;
use std::sync::{Arc, Barrier, Mutex};

#[test]
fn tokens_lie_on_disk_only_as_hashes_and_outlive_a_restart() {
    let world = World::new();
    let signed_in = world.sign_in(NOW_MS);
    assert!(signed_in.refresh_token.starts_with("emr_") && signed_in.refresh_token.len() >= 26);
    let next = world
        .identity
        .refresh(&world.tenancy, &signed_in.refresh_token, &NOWHERE, NOW_MS + 1)
        .unwrap();
    let world = world.restarted();
    let last =
        world.identity.refresh(&world.tenancy, &next.refresh_token, &NOWHERE, NOW_MS + 2).unwrap();
    assert_eq!(last.session.created_ms, NOW_MS);
    world.identity.verify(&last.access_token, NOW_MS + 2).unwrap();
    for text in [&signed_in, &next, &last] {
        let secret = &text.refresh_token[20..];
        assert!(!world.is_on_disk(secret));
        assert!(!world.is_on_disk(&text.access_token));
        assert!(!format!("{text:?}").contains(secret));
    }
    assert!(world.is_on_disk(&last.session.id), "the search finds what is there");
    assert!(!world.is_on_disk(PASSWORD));
}

#[test]
fn a_second_use_ends_everything_after_a_restart_too() {
    let world = World::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = told.clone();
    world.identity.on_revoked(Arc::new(move |revoked| tell.lock().unwrap().push(revoked.clone())));
    let first = world.sign_in(NOW_MS);
    let second =
        world.identity.refresh(&world.tenancy, &first.refresh_token, &NOWHERE, NOW_MS).unwrap();
    let stolen = world.identity.refresh(&world.tenancy, &first.refresh_token, &NOWHERE, NOW_MS);
    assert!(matches!(stolen, Err(RefreshError::Session(SessionError::Reused))));
    let family = first.session.id.as_str().into();
    assert_eq!(*told.lock().unwrap(), [Revoked::Session { family }]);
    let world = world.restarted();
    for signed_in in [first, second] {
        assert!(
            world
                .identity
                .refresh(&world.tenancy, &signed_in.refresh_token, &NOWHERE, NOW_MS)
                .is_err()
        );
        let outcome = world.identity.verify(&signed_in.access_token, NOW_MS);
        assert_eq!(outcome, Err(TokenError::Revoked));
    }
}

#[test]
fn a_hundred_at_once_make_one_successor_at_most() {
    const THREADS: usize = 100;
    let world = World::new();
    let signed_in = world.sign_in(NOW_MS);
    let together = Barrier::new(THREADS);
    let successors = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                together.wait();
                let next = world.identity.refresh(
                    &world.tenancy,
                    &signed_in.refresh_token,
                    &NOWHERE,
                    NOW_MS + 1,
                );
                successors.lock().unwrap().extend(next.ok());
            });
        }
    });
    let successors = successors.into_inner().unwrap();
    assert!(successors.len() <= 1, "{successors:?}");
    // Two had it: nobody keeps it.
    for next in successors {
        assert!(
            world
                .identity
                .refresh(&world.tenancy, &next.refresh_token, &NOWHERE, NOW_MS + 2)
                .is_err()
        );
        let outcome = world.identity.verify(&next.access_token, NOW_MS + 2);
        assert_eq!(outcome, Err(TokenError::Revoked));
    }
    assert!(world.identity.sessions(&signed_in.user.id, NOW_MS + 2).unwrap().is_empty());
}

#[test]
fn the_end_of_a_session_is_the_end_of_its_access_tokens() {
    let world = World::new();
    let mut signed_in = world.sign_in(NOW_MS);
    let mut now_ms = NOW_MS;
    while now_ms + IDLE_MS - 1 < NOW_MS + ABSOLUTE_MS {
        now_ms += IDLE_MS - 1;
        signed_in = world
            .identity
            .refresh(&world.tenancy, &signed_in.refresh_token, &NOWHERE, now_ms)
            .unwrap();
    }
    now_ms = NOW_MS + ABSOLUTE_MS - 10_000;
    signed_in =
        world.identity.refresh(&world.tenancy, &signed_in.refresh_token, &NOWHERE, now_ms).unwrap();
    assert_eq!(signed_in.expires_in_s, 10);
    let outcome = world.identity.refresh(
        &world.tenancy,
        &signed_in.refresh_token,
        &NOWHERE,
        NOW_MS + ABSOLUTE_MS,
    );
    assert!(matches!(outcome, Err(RefreshError::Session(SessionError::Expired))));
}

#[test]
fn one_ends_own_sessions_and_no_others() {
    let world = World::new();
    let mine = world.sign_in(NOW_MS);
    let theirs = world
        .identity
        .login(&world.tenancy, &credentials("other", EMAIL, PASSWORD), NOW_MS)
        .unwrap();
    let end = |family: &str| {
        world.identity.end_session(&mine.user.id, family, &By::operator(), NOW_MS).unwrap()
    };
    assert!(!end(&theirs.session.id) && !end("nobody") && !end(""));
    world.identity.verify(&theirs.access_token, NOW_MS).unwrap();
    let known = world.identity.sessions(&mine.user.id, NOW_MS).unwrap();
    assert_eq!(known, std::slice::from_ref(&mine.session));
    assert!(end(&mine.session.id));
    assert_eq!(world.identity.verify(&mine.access_token, NOW_MS), Err(TokenError::Revoked));
}
