//! Refresh tokens over the real store: races, restarts, and what lies on disk.

use crate::meddled;
use crate::world::{EMAIL, NOBODY, NOW_MS, NOWHERE, PASSWORD, World, client, credentials};
use emx::backup;
use emx::identity::RefreshError;
use emx::identity::account::AccountError;
use emx::identity::client::{Binding, Client};
use emx::identity::family::{ABSOLUTE_MS, IDLE_MS};
use emx::identity::grace::GRACE_MS;
use emx::identity::link::LinkError;
use emx::identity::revocation::Revoked;
use emx::identity::session::SessionError;
use emx::identity::settings::{IdentitySettings, SessionSettings};
use emx::identity::throttle::{
    REFRESHES_PER_ACCOUNT_MAX, Refused, UNKNOWN_PER_ADDRESS_MAX, WINDOW_MS,
};
use emx::identity::token::{ACCESS_MS, TokenError};
use emx::tenancy::by::By;
use emx::tenancy::scope::Principal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use storage::embedded::{EmbeddedEngine, EngineSettings};
use storage::volume::OsVolume;

#[test]
fn tokens_lie_on_disk_only_as_hashes_and_outlive_a_restart() {
    let world = World::new();
    let signed_in = world.sign_in(NOW_MS);
    assert!(signed_in.refresh_token.starts_with("emr_") && signed_in.refresh_token.len() >= 26);
    let next = world.refresh(&signed_in.refresh_token, NOW_MS + 1).unwrap();
    let world = world.restarted();
    let last = world.refresh(&next.refresh_token, NOW_MS + 2).unwrap();
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
    let second = world.refresh(&first.refresh_token, NOW_MS).unwrap();
    let stolen = world.refresh(&first.refresh_token, NOW_MS + GRACE_MS);
    assert!(matches!(stolen, Err(RefreshError::Session(SessionError::Reused))));
    let family = first.session.id.as_str().into();
    assert_eq!(*told.lock().unwrap(), [Revoked::Session { family }]);
    let world = world.restarted();
    for signed_in in [first, second] {
        assert!(world.refresh(&signed_in.refresh_token, NOW_MS).is_err());
        let outcome = world.identity.verify(&signed_in.access_token, NOW_MS);
        assert_eq!(outcome, Err(TokenError::Revoked));
    }
}

#[test]
fn a_hundred_at_once_have_one_successor() {
    const THREADS: usize = 100;
    let world = World::new();
    let signed_in = world.sign_in(NOW_MS);
    let together = Barrier::new(THREADS);
    let successors = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                together.wait();
                let next = world.refresh(&signed_in.refresh_token, NOW_MS + 1).unwrap();
                world.identity.verify(&next.access_token, NOW_MS + 1).unwrap();
                successors.lock().unwrap().push(next.refresh_token);
            });
        }
    });
    let mut successors = successors.into_inner().unwrap();
    assert_eq!(successors.len(), THREADS);
    successors.dedup();
    assert_eq!(successors.len(), 1);
    let tokens = world.platform.list("refresh_tokens", b"", None, 1000).unwrap();
    let is_spent = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("spent_ms");
    assert_eq!(tokens.iter().filter(|(_, bytes)| !is_spent(bytes)).count(), 1);
    world.refresh(&successors[0], NOW_MS + 2).unwrap();
}

/// The owner and a thief have the same token and come at once, again and again.
#[test]
fn of_an_owner_and_a_thief_at_once_one_at_most_goes_on_and_then_nobody() {
    let clients = [client("198.51.100.7", "Firefox"), client("203.0.113.9", "curl")];
    let world = World::new();
    for _ in 0..20 {
        let signed_in = world.sign_in_as(clients[0], NOW_MS);
        let together = Barrier::new(clients.len());
        let outcomes = std::thread::scope(|scope| {
            let threads = clients.map(|client| {
                let (world, together, text) = (&world, &together, &signed_in.refresh_token);
                scope.spawn(move || {
                    together.wait();
                    world.identity.refresh(&world.tenancy, text, None, client, NOW_MS + 1)
                })
            });
            threads.map(|thread| thread.join().unwrap())
        });
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        for (outcome, client) in outcomes.into_iter().zip(clients) {
            let Ok(next) = outcome else { continue };
            assert!(
                world
                    .identity
                    .refresh(&world.tenancy, &next.refresh_token, None, client, NOW_MS + 2)
                    .is_err()
            );
            let access = world.identity.verify(&next.access_token, NOW_MS + 2);
            assert_eq!(access, Err(TokenError::Revoked));
        }
    }
    assert!(world.identity.sessions(&world.sign_in(NOW_MS).user.id, NOW_MS).unwrap().len() == 1);
}

#[test]
fn an_answer_that_was_lost_with_the_process_is_had_again() {
    let world = World::new();
    let signed_in = world.sign_in(NOW_MS);
    let next = world.refresh(&signed_in.refresh_token, NOW_MS + 1).unwrap();
    let later_ms = NOW_MS + 60_000;
    let world = world.restarted_at(later_ms);
    let again = world.refresh(&signed_in.refresh_token, later_ms + GRACE_MS - 1).unwrap();
    assert_eq!(again.refresh_token, next.refresh_token);
    world.identity.settle(later_ms + GRACE_MS).unwrap();
    assert!(world.platform.list("refresh_successors", b"", None, 9).unwrap().is_empty());
    let late = world.refresh(&signed_in.refresh_token, later_ms + GRACE_MS);
    assert!(matches!(late, Err(RefreshError::Session(SessionError::Reused))));
    assert!(world.refresh(&next.refresh_token, later_ms + GRACE_MS).is_err());
}

#[test]
fn nobody_is_signed_in_after_a_backup_was_put_back() {
    let world = World::new();
    let (ended, kept) = (world.sign_in(NOW_MS), world.sign_in(NOW_MS));
    world.refresh(&kept.refresh_token, NOW_MS).unwrap();
    let user_id = &kept.user.id;
    let link = world.identity.reset_link(&world.acme.id, user_id, &By::operator(), NOW_MS).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let (file, data_dir) = (elsewhere.path().join("b.tar"), elsewhere.path().join("data"));
    let (from, installation_id) = (world.dir.path().to_owned(), "x".to_owned());
    let world = world.between(|| {
        let settings = EngineSettings { background: false, ..EngineSettings::default() };
        let engine = EmbeddedEngine::open(OsVolume::shared(&from), settings).unwrap();
        let source = backup::Source {
            engine: &engine,
            data_dir: &from,
            installation_id: Some(&installation_id),
            now_ms: NOW_MS,
        };
        backup::create(&source, &file, &mut |_| {}).unwrap();
    });
    world.identity.logout(&ended.session.id, &By::operator(), NOW_MS).unwrap();
    backup::restore(&file, &data_dir, &mut |_| {}).unwrap();
    let restored = world.moved_to(elsewhere, &data_dir);
    for signed_in in [&ended, &kept] {
        let outcome = restored.refresh(&signed_in.refresh_token, NOW_MS);
        assert!(matches!(outcome, Err(RefreshError::Session(SessionError::Unknown))));
    }
    assert!(restored.identity.sessions(&kept.user.id, NOW_MS).unwrap().is_empty());
    // A link that was used since would be used again.
    let (token, chosen) = (&link.token, "another fine day");
    let taken = restored.identity.accept(&restored.tenancy, token, chosen, None, &NOWHERE, NOW_MS);
    assert!(matches!(taken, Err(LinkError::Invalid)));
    for table in [
        "families",
        "refresh_tokens",
        "user_families",
        "family_ends",
        "refresh_successors",
        "one_time_links",
    ] {
        assert!(restored.platform.list(table, b"", None, 9).unwrap().is_empty(), "{table}");
    }
    let again = restored.sign_in(NOW_MS);
    restored.identity.verify(&again.access_token, NOW_MS).unwrap();
}

#[test]
fn the_end_of_a_session_is_the_end_of_its_access_tokens() {
    let world = World::new();
    let mut signed_in = world.sign_in(NOW_MS);
    let mut now_ms = NOW_MS;
    while now_ms + IDLE_MS - 1 < NOW_MS + ABSOLUTE_MS {
        now_ms += IDLE_MS - 1;
        signed_in = world.refresh(&signed_in.refresh_token, now_ms).unwrap();
    }
    now_ms = NOW_MS + ABSOLUTE_MS - 10_000;
    signed_in = world.refresh(&signed_in.refresh_token, now_ms).unwrap();
    assert_eq!(signed_in.expires_in_s, 10);
    let outcome = world.refresh(&signed_in.refresh_token, NOW_MS + ABSOLUTE_MS);
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
    assert_eq!(world.identity.rests_until_ms(&known[0]), NOW_MS + IDLE_MS);
    assert!(end(&mine.session.id));
    assert_eq!(world.identity.verify(&mine.access_token, NOW_MS), Err(TokenError::Revoked));
}

#[test]
fn a_session_says_where_it_was_used_last_and_by_what() {
    let world = World::new();
    let long = "x".repeat(1000);
    let signed_in = world.sign_in_as(client("192.0.2.1", "curl/8"), NOW_MS);
    let mine = || world.identity.sessions(&signed_in.user.id, NOW_MS + 1).unwrap().remove(0);
    assert_eq!(
        (mine().address, mine().agent.as_deref()),
        ("192.0.2.1".parse().ok(), Some("curl/8"))
    );
    let elsewhere = client("2001:db8::1", &long);
    world
        .identity
        .refresh(&world.tenancy, &signed_in.refresh_token, None, elsewhere, NOW_MS + 1)
        .unwrap();
    assert_eq!((mine().address, mine().used_ms), ("2001:db8::1".parse().ok(), NOW_MS + 1));
    assert_eq!(mine().agent.unwrap().len(), 256);
}

#[test]
fn an_administrator_ends_sessions_of_the_own_tenants_users_alone() {
    let world = World::new();
    let (one, two) = (world.sign_in(NOW_MS), world.sign_in(NOW_MS + 1));
    let (user_id, identity) = (one.user.id.as_str(), &world.identity);
    let (acme, operator) = (&world.acme.id, &Principal::LocalOperator);
    let not_here = |error: AccountError| assert!(matches!(error, AccountError::NotFound { .. }));
    let other = &world.other.id;
    not_here(identity.sessions_of(other, user_id, operator, NOW_MS).unwrap_err());
    not_here(
        identity
            .end_session_of(other, user_id, &one.session.id, &By::operator(), NOW_MS)
            .unwrap_err(),
    );
    not_here(identity.end_sessions_of(other, user_id, &By::operator(), NOW_MS).unwrap_err());
    not_here(identity.sessions_of(acme, "nobody", operator, NOW_MS).unwrap_err());
    let list = identity.sessions_of(acme, user_id, operator, NOW_MS + 1).unwrap();
    let ids: Vec<&str> = list.iter().map(|session| session.id.as_str()).collect();
    assert_eq!(ids, [two.session.id.as_str(), one.session.id.as_str()]);

    assert!(
        identity
            .end_session_of(acme, user_id, &one.session.id, &By::operator(), NOW_MS + 2)
            .unwrap()
    );
    assert!(
        !identity
            .end_session_of(acme, user_id, &one.session.id, &By::operator(), NOW_MS + 2)
            .unwrap()
    );
    assert_eq!(identity.verify(&one.access_token, NOW_MS + 2), Err(TokenError::Revoked));
    identity.verify(&two.access_token, NOW_MS + 2).unwrap();
    identity.end_sessions_of(acme, user_id, &By::operator(), NOW_MS + 2).unwrap();
    identity.end_sessions_of(acme, user_id, &By::operator(), NOW_MS + 2).unwrap();
    assert_eq!(identity.verify(&two.access_token, NOW_MS + 2), Err(TokenError::Revoked));
    // Whoever signs in after that, in the same second, is in.
    let again = world.sign_in(NOW_MS + 3);
    let world = world.restarted();
    world.identity.verify(&again.access_token, NOW_MS + 3).unwrap();
    assert_eq!(world.identity.verify(&two.access_token, NOW_MS + 3), Err(TokenError::Revoked));
    world.refresh(&again.refresh_token, NOW_MS + 4).unwrap();
}

fn revoke(world: &World, token: &str) -> bool {
    world.identity.revoke_token(&world.tenancy, token, None, NOBODY, NOW_MS).unwrap()
}

#[test]
fn a_token_that_is_given_back_ends_by_itself_or_with_its_session() {
    let world = World::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = told.clone();
    world.identity.on_revoked(Arc::new(move |revoked| tell.lock().unwrap().push(revoked.clone())));
    let signed_in = world.sign_in(NOW_MS);
    let next = world.refresh(&signed_in.refresh_token, NOW_MS).unwrap();
    let access = world.identity.verify(&signed_in.access_token, NOW_MS).unwrap();
    let principal = access.principal.clone();
    assert!(world.identity.stands(&principal, NOW_MS));
    assert!(revoke(&world, &signed_in.access_token));
    assert!(!world.identity.stands(&principal, NOW_MS));
    assert_eq!(*told.lock().unwrap(), [Revoked::Token { token_id: access.token_id.clone() }]);
    assert!(!revoke(&world, &signed_in.access_token));
    for nothing in ["", "x", &signed_in.refresh_token[..30], &"x".repeat(10_000)] {
        assert!(!revoke(&world, nothing));
    }
    let world = world.restarted();
    let ended = world.identity.verify(&signed_in.access_token, NOW_MS);
    assert_eq!(ended, Err(TokenError::Revoked));
    // The session goes on, until its refresh token is given back, be it a spent one.
    world.identity.verify(&next.access_token, NOW_MS).unwrap();
    assert!(revoke(&world, &signed_in.refresh_token));
    assert_eq!(world.identity.verify(&next.access_token, NOW_MS), Err(TokenError::Revoked));
    assert!(world.refresh(&next.refresh_token, NOW_MS).is_err());
}

#[test]
fn the_tokens_of_a_bound_session_are_its_clients_alone() {
    let here = client("198.51.100.7", "Firefox");
    let others = [
        (client("198.51.100.200", "Firefox"), [true, true, true, true]),
        (client("198.51.101.7", "Firefox"), [true, false, true, false]),
        (client("198.51.100.7", "curl"), [true, true, false, false]),
        (client("2001:db8::1", "curl"), [true, false, false, false]),
        (NOBODY, [true, false, false, false]),
    ];
    for (n, binding) in
        [Binding::None, Binding::Address, Binding::Agent, Binding::Both].into_iter().enumerate()
    {
        let session = SessionSettings { binding, ..SessionSettings::default() };
        let world = World::with(IdentitySettings { session, ..IdentitySettings::default() });
        let signed_in = world.sign_in_as(here, NOW_MS);
        let present = |client: Client<'_>| {
            let who = world.identity.authenticate_token(&signed_in.access_token, client, NOW_MS);
            who.map(|_| ())
        };
        assert_eq!(present(here), Ok(()));
        for (client, may) in others {
            let expected = if may[n] { Ok(()) } else { Err(TokenError::Elsewhere) };
            assert_eq!(present(client), expected, "{binding:?} {client:?}");
        }
    }
}

#[test]
fn tokens_from_before_the_binding_was_wanted_are_refreshed_once() {
    let here = client("198.51.100.7", "Firefox");
    let world = World::new();
    let signed_in = world.sign_in_as(here, NOW_MS);
    let session = SessionSettings { binding: Binding::Both, ..SessionSettings::default() };
    let world = world.under(IdentitySettings { session, ..IdentitySettings::default() });
    let present = |text: &str| world.identity.authenticate_token(text, here, NOW_MS).map(|_| ());
    assert_eq!(present(&signed_in.access_token), Err(TokenError::Elsewhere));
    let next = world
        .identity
        .refresh(&world.tenancy, &signed_in.refresh_token, None, here, NOW_MS)
        .unwrap();
    assert_eq!(present(&next.access_token), Ok(()));
}

#[test]
fn a_session_is_gone_on_with_so_often_and_no_more_after_a_restart_too() {
    let world = World::new();
    let mut signed_in = world.sign_in(NOW_MS);
    let half = REFRESHES_PER_ACCOUNT_MAX / 2;
    for _ in 0..half {
        signed_in = world.refresh(&signed_in.refresh_token, NOW_MS).unwrap();
    }
    world.identity.settle(NOW_MS).unwrap();
    let world = world.restarted();
    for _ in half..REFRESHES_PER_ACCOUNT_MAX {
        signed_in = world.refresh(&signed_in.refresh_token, NOW_MS).unwrap();
    }
    let refused = world.refresh(&signed_in.refresh_token, NOW_MS + 1_000).unwrap_err();
    let RefreshError::Session(SessionError::TooMany(refused)) = refused else {
        panic!("{refused}")
    };
    assert_eq!(refused, Refused { limit: REFRESHES_PER_ACCOUNT_MAX, retry_after_s: 299 });
    let world = world.restarted();
    assert!(world.refresh(&signed_in.refresh_token, NOW_MS + 1).is_err());
    world.refresh(&signed_in.refresh_token, NOW_MS + WINDOW_MS).unwrap();
}

#[test]
fn whoever_makes_tokens_up_is_told_to_wait_and_who_has_one_is_not() {
    let here = client("192.0.2.1", "curl");
    let world = World::new();
    let signed_in = world.sign_in_as(here, NOW_MS);
    let made_up = format!("emr_{}", "a".repeat(59));
    let refresh = |text: &str| world.identity.refresh(&world.tenancy, text, None, here, NOW_MS);
    for _ in 0..UNKNOWN_PER_ADDRESS_MAX {
        let outcome = refresh(&made_up);
        assert!(matches!(outcome, Err(RefreshError::Session(SessionError::Unknown))));
    }
    for text in [made_up.as_str(), "x"] {
        let outcome = refresh(text);
        assert!(matches!(outcome, Err(RefreshError::Session(SessionError::TooMany(_)))));
    }
    refresh(&signed_in.refresh_token).unwrap();
}

#[test]
fn what_ends_everything_a_user_holds_does_so_before_a_token_can_be_refreshed_again() {
    let world = World::new();
    let signed_in = world.sign_in(NOW_MS);
    let identity = &world.identity;
    let (together, user_id) = (Barrier::new(2), signed_in.user.id.as_str());
    let refreshed = std::thread::scope(|scope| {
        let refreshing = scope.spawn(|| {
            together.wait();
            world.refresh(&signed_in.refresh_token, NOW_MS + 1).ok()
        });
        together.wait();
        identity.end_sessions_of(&world.acme.id, user_id, &By::operator(), NOW_MS + 1).unwrap();
        refreshing.join().unwrap()
    });
    for text in refreshed.into_iter().map(|next| next.access_token) {
        assert_eq!(identity.verify(&text, NOW_MS + ACCESS_MS - 1), Err(TokenError::Revoked));
    }
    assert!(identity.sessions(user_id, NOW_MS + 1).unwrap().is_empty());
}

/// A token that could not be put on the list is given back once more, and then is on it for good.
#[test]
fn a_token_whose_end_was_not_stored_ends_when_it_is_given_back_again() {
    let world = World::new();
    let signed_in = world.sign_in(NOW_MS);
    let fails = AtomicBool::new(true);
    let identity = meddled::identity(&world, move |_, writes| {
        let is_lost =
            meddled::is_of(writes, "denied_tokens") && fails.swap(false, Ordering::Relaxed);
        if is_lost { Err(meddled::failure()) } else { Ok(()) }
    });
    let token = &signed_in.access_token;
    let revoke = || identity.revoke_token(&world.tenancy, token, None, NOBODY, NOW_MS);
    revoke().unwrap_err();
    assert_eq!(identity.verify(token, NOW_MS), Err(TokenError::Revoked));
    assert!(revoke().unwrap());
    assert!(!revoke().unwrap());
    drop(identity);
    let world = world.restarted();
    assert_eq!(world.identity.verify(token, NOW_MS), Err(TokenError::Revoked));
}
