//! Refresh tokens: re-use, races, ends, and death at every call of the store.

use super::*;
use crate::identity::email::Email;
use crate::identity::family::{IDLE_MS, REFRESHES_MAX};
use crate::identity::password::Password;
use crate::identity::revocation::Revoked;
use crate::identity::token::ACCESS_MS;
use crate::identity::user::Owner;
use crate::tenancy::fake::{Death, FakeEngine};
use crate::tenancy::id::TenantId;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

struct World {
    engine: FakeEngine,
    revocations: Arc<Revocations>,
    sessions: Sessions,
    user_id: String,
}

/// A tenant that is open.
fn open(_: &TenantId) -> bool {
    true
}

impl World {
    fn new() -> Self {
        let engine = FakeEngine::default();
        let email = Email::parse("you@example.org").unwrap();
        let password = Password::random().hash().unwrap();
        let owner = Owner { email, password, platform: false };
        let user = User::owner(TenantId::random(), owner, 0);
        let creation = user.creation().unwrap();
        engine.write(&creation.expect, &creation.writes).unwrap();
        Self::over(engine, user.id)
    }

    fn over(engine: FakeEngine, user_id: String) -> Self {
        let revocations = Arc::new(Revocations::load(&engine).unwrap());
        let log = Arc::new(AuditLog::new(Arc::new(engine.clone())));
        let sessions = Sessions::new(log, revocations.clone());
        Self { engine, revocations, sessions, user_id }
    }

    fn restarted(&self) -> Self {
        self.engine.die_at(None);
        Self::over(self.engine.clone(), self.user_id.clone())
    }

    fn user(&self) -> StoredUser {
        user::get(&self.engine, &self.user_id).unwrap().unwrap()
    }

    fn begin(&self, now_ms: TimeMs) -> Opened {
        self.sessions.begin(self.user(), &Source::default(), now_ms).unwrap()
    }

    fn live(&self, now_ms: TimeMs) -> usize {
        self.sessions.list(&self.user_id, now_ms).unwrap().len()
    }
}

#[test]
fn a_token_is_used_once_and_its_second_use_ends_the_family() {
    let world = World::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = told.clone();
    world.revocations.listen(Arc::new(move |revoked| tell.lock().unwrap().push(revoked.clone())));
    let first = world.begin(0);
    let second =
        world.sessions.refresh(&first.refresh_token, &open, &Source::default(), 1).unwrap();
    let third =
        world.sessions.refresh(&second.refresh_token, &open, &Source::default(), 2).unwrap();
    assert_eq!((third.family.refreshes, third.family.used_ms), (2, 2));
    assert!(!world.revocations.is_denied(&first.family.id));

    let stolen = world.sessions.refresh(&first.refresh_token, &open, &Source::default(), 3);
    assert!(matches!(stolen, Err(SessionError::Reused)));
    assert!(world.revocations.is_denied(&first.family.id));
    let family = first.family.id.as_str().into();
    assert_eq!(*told.lock().unwrap(), [Revoked::Session { family }]);
    for token in [&first, &second, &third] {
        let outcome = world.sessions.refresh(&token.refresh_token, &open, &Source::default(), 4);
        assert!(matches!(outcome, Err(SessionError::Unknown)));
    }
    assert!(world.restarted().revocations.is_denied(&first.family.id));
    assert_eq!(world.engine.platform_len(), 3, "a user, its address, a denial");
}

#[test]
fn what_is_no_token_is_not_known_and_harms_nobody() {
    let world = World::new();
    let opened = world.begin(0);
    let text = &opened.refresh_token;
    let other_secret = format!("{}{}", &text[..20], "A".repeat(43));
    let other_family = format!("emr_{}{}", "a".repeat(16), &text[20..]);
    for bad in [
        "",
        "emr_",
        &text[1..],
        &text[..text.len() - 1],
        &format!("{text}A"),
        &format!(" {text}"),
        &text.to_uppercase(),
        &text.replace("emr_", "emx_"),
        &format!("emr_{}é{}", &text[4..19], &text[21..]),
        &other_secret,
        &other_family,
        &"x".repeat(1 << 20),
    ] {
        let outcome = world.sessions.refresh(bad, &open, &Source::default(), 0);
        assert!(matches!(outcome, Err(SessionError::Unknown)), "{bad:.80}");
    }
    world.sessions.refresh(text, &open, &Source::default(), 0).unwrap();
}

#[test]
fn a_hundred_uses_at_once_have_one_successor_at_most_and_end_the_family() {
    const THREADS: usize = 100;
    for _ in 0..5 {
        let world = World::new();
        let opened = world.begin(0);
        let (together, succeeded) = (Barrier::new(THREADS), AtomicUsize::new(0));
        let successors = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    together.wait();
                    match world.sessions.refresh(
                        &opened.refresh_token,
                        &open,
                        &Source::default(),
                        1,
                    ) {
                        Ok(next) => {
                            succeeded.fetch_add(1, Ordering::Relaxed);
                            successors.lock().unwrap().push(next.refresh_token);
                        }
                        Err(SessionError::Reused | SessionError::Unknown) => {}
                        Err(other) => panic!("{other}"),
                    }
                });
            }
        });
        assert_eq!(succeeded.into_inner(), 1);
        assert!(world.revocations.is_denied(&opened.family.id));
        assert_eq!(world.live(1), 0);
        for successor in successors.into_inner().unwrap() {
            assert!(world.sessions.refresh(&successor, &open, &Source::default(), 2).is_err());
        }
    }
}

#[test]
fn a_session_ends_by_rest_and_by_age_and_no_use_moves_its_end() {
    let world = World::new();
    let resting = world.begin(0);
    assert!(
        world
            .sessions
            .refresh(&resting.refresh_token, &open, &Source::default(), IDLE_MS - 1)
            .is_ok()
    );
    let resting = world.begin(0);
    let outcome =
        world.sessions.refresh(&resting.refresh_token, &open, &Source::default(), IDLE_MS);
    assert!(matches!(outcome, Err(SessionError::Expired)));

    let mut busy = world.begin(0);
    let day_ms = 24 * 3_600_000;
    for now_ms in (day_ms..ABSOLUTE_MS).step_by(day_ms as usize) {
        busy =
            world.sessions.refresh(&busy.refresh_token, &open, &Source::default(), now_ms).unwrap();
        assert_eq!(busy.family.until_ms, ABSOLUTE_MS);
    }
    let outcome =
        world.sessions.refresh(&busy.refresh_token, &open, &Source::default(), ABSOLUTE_MS);
    assert!(matches!(outcome, Err(SessionError::Expired)));
}

#[test]
fn a_session_is_refreshed_so_often_and_no_more() {
    let world = World::new();
    let mut opened = world.begin(0);
    for _ in 0..REFRESHES_MAX {
        opened =
            world.sessions.refresh(&opened.refresh_token, &open, &Source::default(), 0).unwrap();
    }
    let outcome = world.sessions.refresh(&opened.refresh_token, &open, &Source::default(), 0);
    assert!(matches!(outcome, Err(SessionError::Expired)));
    assert_eq!(world.engine.platform_len(), 3, "nothing of it is left but its denial");
}

#[test]
fn a_user_has_so_many_sessions_and_the_oldest_ends() {
    let world = World::new();
    let first = world.begin(0);
    for now_ms in 1..FAMILIES_PER_USER_MAX as TimeMs {
        world.begin(now_ms);
    }
    assert_eq!(world.live(50), FAMILIES_PER_USER_MAX);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| world.begin(60));
        }
    });
    assert_eq!(world.live(60), FAMILIES_PER_USER_MAX);
    assert!(world.revocations.is_denied(&first.family.id));
    assert!(world.sessions.refresh(&first.refresh_token, &open, &Source::default(), 60).is_err());
}

#[test]
fn a_login_clears_away_what_has_run_out() {
    let world = World::new();
    for _ in 0..3 {
        world.begin(0);
    }
    world.sessions.end(&world.begin(0).family.id, &Source::default(), 0).unwrap();
    let left = 2 + 4; // a user and its address, a session and its ways to be found
    world.begin(ABSOLUTE_MS);
    assert_eq!(world.engine.platform_len(), left);
}

#[test]
fn a_user_who_is_kept_out_or_changed_meanwhile_gets_no_session() {
    let world = World::new();
    let opened = world.begin(0);
    let stale = world.user();
    let disabled = User { disabled: true, ..stale.user.clone() };
    let act = stale.change(&disabled).unwrap();
    assert!(world.engine.write(&act.expect, &act.writes).unwrap());
    assert!(matches!(
        world.sessions.begin(stale, &Source::default(), 1),
        Err(SessionError::Contended)
    ));
    let outcome = world.sessions.refresh(&opened.refresh_token, &open, &Source::default(), 1);
    assert!(matches!(outcome, Err(SessionError::Unknown)));
    assert!(world.revocations.is_denied(&opened.family.id));
}

#[test]
fn ending_all_changes_the_user_with_it_or_nothing() {
    let world = World::new();
    let (kept, ended) = (world.begin(0), world.begin(0));
    let stored = world.user();
    let act = stored.change(&User { platform: true, ..stored.user.clone() }).unwrap();
    assert!(world.sessions.end_all(&world.user_id, Some(&kept.family.id), &act, 1).unwrap());
    assert!(world.user().user.platform);
    assert!(world.sessions.refresh(&ended.refresh_token, &open, &Source::default(), 2).is_err());
    let kept = world.sessions.refresh(&kept.refresh_token, &open, &Source::default(), 2).unwrap();

    assert!(!world.sessions.end_all(&world.user_id, None, &act, 3).unwrap(), "it is changed");
    world.sessions.refresh(&kept.refresh_token, &open, &Source::default(), 4).unwrap();
}

/// What was acknowledged holds after a death at any call; what was not is there whole or not.
#[test]
fn killed_at_any_call_a_family_has_one_live_token_or_is_gone() {
    for call in 0..3 {
        for (takes_effect, recovers) in [(false, false), (true, false), (false, true), (true, true)]
        {
            let death = Death { call, takes_effect, recovers };
            let world = World::new();
            let opened = world.begin(0);
            world.engine.die_at(Some(death));
            let next = world.sessions.refresh(&opened.refresh_token, &open, &Source::default(), 1);
            let ended = next
                .as_ref()
                .ok()
                .map(|next| world.sessions.end(&next.family.id, &Source::default(), 2));
            let again = world.restarted();
            let old = again.sessions.refresh(&opened.refresh_token, &open, &Source::default(), 3);
            match (&next, ended) {
                (Ok(_), Some(Ok(_))) => {
                    assert_eq!(again.live(3), 0, "{death:?}");
                    assert!(again.revocations.is_denied(&opened.family.id), "{death:?}");
                }
                (Ok(next), _) => {
                    assert!(old.is_err(), "{death:?}");
                    assert!(
                        again
                            .sessions
                            .refresh(&next.refresh_token, &open, &Source::default(), 4)
                            .is_err(),
                        "{death:?}"
                    );
                }
                (Err(_), _) => assert_eq!(old.is_ok(), !takes_effect, "{death:?}"),
            }
        }
    }
    const { assert!(ACCESS_MS < IDLE_MS) };
}
