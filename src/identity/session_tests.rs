//! Refresh tokens: re-use, races, ends, and death at every call of the store.

use super::*;
use crate::identity::client::Binding;
use crate::identity::email::Email;
use crate::identity::family::{ABSOLUTE_MS, IDLE_MS, REFRESHES_MAX};
use crate::identity::grace::GRACE_MS;
use crate::identity::password::Password;
use crate::identity::revocation::{Presented, Revoked};
use crate::identity::token::{ACCESS_MS, LEEWAY_MS};
use crate::identity::user::Owner;
use crate::tenancy::fake::{Death, FakeEngine};
use crate::tenancy::id::TenantId;
use std::sync::Barrier;

#[path = "session_ends_tests.rs"]
mod ends;

struct World {
    engine: FakeEngine,
    master: Arc<MasterKey>,
    settings: SessionSettings,
    revocations: Arc<Revocations>,
    sessions: Sessions,
    user_id: String,
}

/// Somebody else: elsewhere, with something else.
fn stranger() -> Client<'static> {
    Client { address: "192.0.2.7".parse().ok(), agent: Some("curl"), request_id: None }
}

impl World {
    fn new() -> Self {
        Self::with(SessionSettings::default())
    }

    fn with(settings: SessionSettings) -> Self {
        let engine = FakeEngine::default();
        let email = Email::parse("you@example.org").unwrap();
        let password = Password::random().hash().unwrap();
        let owner = Owner { email, password, platform: false };
        let user = User::owner(TenantId::random(), owner, 0);
        let creation = user.creation().unwrap();
        engine.write(&creation.expect, &creation.writes).unwrap();
        let master = Arc::new(MasterKey::random().unwrap());
        Self::over(engine, master, settings, user.id, 0)
    }

    fn over(
        engine: FakeEngine,
        master: Arc<MasterKey>,
        settings: SessionSettings,
        user_id: String,
        now_ms: TimeMs,
    ) -> Self {
        let revocations = Arc::new(Revocations::load(&engine).unwrap());
        let log = Arc::new(AuditLog::new(Arc::new(engine.clone())));
        let (key, denied) = (master.clone(), revocations.clone());
        let sessions = Sessions::start(log, key, denied, settings, now_ms).unwrap();
        Self { engine, master, settings, revocations, sessions, user_id }
    }

    fn restarted(&self, now_ms: TimeMs) -> Self {
        self.under(self.settings, now_ms)
    }

    fn under(&self, settings: SessionSettings, now_ms: TimeMs) -> Self {
        self.engine.die_at(None);
        let (engine, master) = (self.engine.clone(), self.master.clone());
        Self::over(engine, master, settings, self.user_id.clone(), now_ms)
    }

    fn user(&self) -> StoredUser {
        user::get(&self.engine, &self.user_id).unwrap().unwrap()
    }

    fn begin(&self, now_ms: TimeMs) -> Opened {
        self.begin_as(Client::default(), now_ms)
    }

    fn begin_as(&self, client: Client<'_>, now_ms: TimeMs) -> Opened {
        self.sessions.begin(self.user(), client, Completion::default(), now_ms).unwrap()
    }

    fn refresh(&self, text: &str, now_ms: TimeMs) -> Result<Opened, SessionError> {
        self.refresh_as(Client::default(), text, now_ms)
    }

    fn refresh_as(
        &self,
        client: Client<'_>,
        text: &str,
        now_ms: TimeMs,
    ) -> Result<Opened, SessionError> {
        self.sessions.refresh(Asked { text, client, admit: &|_| Ok(()) }, now_ms)
    }

    fn is_denied(&self, opened: &Opened) -> bool {
        let family = &opened.family.id;
        let token = Presented { token_id: "", family, user_id: "", issued_ms: 0 };
        self.revocations.is_denied(&token, 0)
    }

    /// Tokens of a family that are not spent.
    fn unspent(&self, family: &str) -> usize {
        let tokens = self.engine.list("refresh_tokens", family.as_bytes(), None, 10_000).unwrap();
        tokens.iter().filter(|(_, bytes)| !bytes.windows(8).any(|w| w == b"spent_ms")).count()
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
    let second = world.refresh(&first.refresh_token, 1).unwrap();
    let third = world.refresh(&second.refresh_token, 2).unwrap();
    assert_eq!((third.family.refreshes, third.family.used_ms), (2, 2));
    assert!(!world.is_denied(&first));

    let stolen = world.refresh(&first.refresh_token, 3);
    assert!(matches!(stolen, Err(SessionError::Reused)), "one successor deep");
    assert!(world.is_denied(&first));
    let family = first.family.id.as_str().into();
    assert_eq!(*told.lock().unwrap(), [Revoked::Session { family }]);
    for token in [&first, &second, &third] {
        let outcome = world.refresh(&token.refresh_token, 4);
        assert!(matches!(outcome, Err(SessionError::Unknown)));
    }
    assert!(world.restarted(4).is_denied(&first));
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
        let outcome = world.refresh(bad, 0);
        assert!(matches!(outcome, Err(SessionError::Unknown)), "{bad:.80}");
    }
    world.refresh(text, 0).unwrap();
}

#[test]
fn a_hundred_uses_at_once_have_one_successor_and_all_are_told_it() {
    const THREADS: usize = 100;
    for _ in 0..5 {
        let world = World::new();
        let opened = world.begin(0);
        let together = Barrier::new(THREADS);
        let mut successors = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        together.wait();
                        world.refresh(&opened.refresh_token, 1).unwrap().refresh_token
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        successors.dedup();
        assert_eq!(successors.len(), 1);
        assert_eq!(world.unspent(&opened.family.id), 1);
        assert!(!world.is_denied(&opened));
        world.refresh(&successors[0], 2).unwrap();
    }
}

/// Who gets what for a token that is spent, and whether the session goes on.
#[test]
fn a_client_that_lost_its_answer_gets_the_same_again_and_nobody_else_does() {
    let client =
        Client { address: "198.51.100.7".parse().ok(), agent: Some("Firefox"), request_id: None };
    let near = Client { address: "198.51.100.99".parse().ok(), ..client };
    let browser = Client { agent: Some("Chromium"), ..client };
    let far = Client { address: "198.51.101.7".parse().ok(), ..client };
    for (who, now_ms, gets) in [
        (client, 100_000, true),
        (client, 100_000 + GRACE_MS - 1, true),
        (client, 100_000 - LEEWAY_MS, true),
        (near, 100_001, true),
        (client, 100_000 + GRACE_MS, false),
        (browser, 100_001, false),
        (far, 100_001, false),
        (stranger(), 100_001, false),
        (Client::default(), 100_001, false),
    ] {
        let world = World::new();
        let opened = world.begin_as(client, 0);
        let next = world.refresh_as(client, &opened.refresh_token, 100_000).unwrap();
        let again = world.refresh_as(who, &opened.refresh_token, now_ms);
        match again {
            Ok(again) => {
                assert!(gets, "{who:?} {now_ms}");
                assert_eq!(again.refresh_token, next.refresh_token);
                assert_eq!((again.family.refreshes, again.family.used_ms), (1, 100_000));
                assert_eq!(world.unspent(&opened.family.id), 1);
                world.refresh_as(client, &next.refresh_token, now_ms + 1).unwrap();
            }
            Err(SessionError::Reused) => {
                assert!(!gets && world.is_denied(&opened), "{who:?} {now_ms}");
                let after = world.refresh_as(client, &next.refresh_token, now_ms + 1);
                assert!(matches!(after, Err(SessionError::Unknown)));
                assert_eq!(world.engine.platform_len(), 3, "a user, its address, a denial");
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn whoever_took_a_token_and_whom_it_was_taken_from_cannot_both_go_on() {
    let client =
        Client { address: "198.51.100.7".parse().ok(), agent: Some("Firefox"), request_id: None };
    for [first, second] in [[client, stranger()], [stranger(), client]] {
        let world = World::new();
        let opened = world.begin_as(client, 0);
        let next = world.refresh_as(first, &opened.refresh_token, 1).unwrap();
        let late = world.refresh_as(second, &opened.refresh_token, 2);
        assert!(matches!(late, Err(SessionError::Reused)));
        assert!(world.refresh_as(first, &next.refresh_token, 3).is_err());
        assert!(world.is_denied(&opened) && world.live(3) == 0);
    }
}

#[test]
fn a_successor_is_forgotten_when_its_window_is_over_and_a_start_opens_it_anew() {
    let world = World::new();
    let opened = world.begin(0);
    let next = world.refresh(&opened.refresh_token, 1).unwrap();
    let kept = || world.engine.list("refresh_successors", b"", None, 9).unwrap().len();
    world.sessions.forget_successors(GRACE_MS).unwrap();
    assert_eq!(kept(), 1);
    // The process ended before the answer was out, and was away for longer than the window.
    let again = world.restarted(60_000);
    let told = again.refresh(&opened.refresh_token, 60_000 + GRACE_MS - 1).unwrap();
    assert_eq!(told.refresh_token, next.refresh_token);
    again.sessions.forget_successors(60_000 + GRACE_MS).unwrap();
    assert_eq!(kept(), 0);
    let next = again.refresh(&next.refresh_token, 90_000).unwrap();
    again.sessions.end(&next.family.id, Client::default(), 90_000).unwrap();
    assert_eq!(kept(), 0, "it goes with its family");
}

#[test]
fn an_allowance_is_asked_for_once_and_only_for_a_token_that_is_known() {
    let world = World::new();
    let opened = world.begin(0);
    let asked = Mutex::new(Vec::new());
    let refused = Refused { limit: 1, retry_after_s: 7 };
    let admit = |family: &Family| {
        asked.lock().unwrap().push(family.id.clone());
        Err(refused.into())
    };
    let refresh = |text: &str| {
        let asked = Asked { text, client: Client::default(), admit: &admit };
        world.sessions.refresh(asked, 1).unwrap_err()
    };
    let other = format!("{}{}", &opened.refresh_token[..20], "A".repeat(43));
    assert!(matches!(refresh(&other), SessionError::Unknown));
    assert!(asked.lock().unwrap().is_empty());
    assert!(
        matches!(refresh(&opened.refresh_token), SessionError::TooMany(found) if found == refused)
    );
    assert_eq!(*asked.lock().unwrap(), std::slice::from_ref(&opened.family.id));
    world.refresh(&opened.refresh_token, 1).unwrap();
}

#[test]
fn a_bound_session_goes_on_only_where_it_is_bound_to() {
    let here =
        Client { address: "198.51.100.7".parse().ok(), agent: Some("Firefox"), request_id: None };
    let near = Client { address: "198.51.100.8".parse().ok(), ..here };
    let far = Client { address: "198.51.101.7".parse().ok(), ..here };
    let other = Client { agent: Some("curl"), ..here };
    for (binding, may) in [
        (Binding::None, [true, true, true]),
        (Binding::Address, [true, false, true]),
        (Binding::Agent, [true, true, false]),
        (Binding::Both, [true, false, false]),
    ] {
        let settings = SessionSettings { binding, ..SessionSettings::default() };
        for (client, may) in [near, far, other].into_iter().zip(may) {
            let world = World::with(settings);
            let opened = world.begin_as(here, 0);
            let elsewhere = world.refresh_as(client, &opened.refresh_token, 1);
            match elsewhere {
                Ok(_) => assert!(may, "{binding:?} {client:?}"),
                Err(SessionError::Elsewhere) => {
                    assert!(!may, "{binding:?} {client:?}");
                    // It goes on where it began.
                    world.refresh_as(here, &opened.refresh_token, 2).unwrap();
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn todays_decision_shortens_sessions_that_began_before() {
    const HOUR_MS: TimeMs = 3_600_000;
    let world = World::new();
    let (rests, lasts) = (world.begin(0), world.begin(0));
    let shorter = |idle_ms, absolute_ms| SessionSettings { idle_ms, absolute_ms, ..world.settings };
    let idle = world.under(shorter(HOUR_MS, ABSOLUTE_MS), 1);
    assert_eq!((idle.live(HOUR_MS - 1), idle.live(HOUR_MS)), (2, 0));
    let outcome = idle.refresh(&rests.refresh_token, HOUR_MS);
    assert!(matches!(outcome, Err(SessionError::Expired)));

    let short = world.under(shorter(IDLE_MS, HOUR_MS), 1);
    let next = short.refresh(&lasts.refresh_token, HOUR_MS - 1).unwrap();
    assert_eq!(next.family.until_ms, HOUR_MS);
    let outcome = short.refresh(&next.refresh_token, HOUR_MS);
    assert!(matches!(outcome, Err(SessionError::Expired)));
    assert_eq!(world.engine.platform_len(), 4, "a user, its address, two denials");
}

#[test]
fn a_session_ends_by_rest_and_by_age_and_no_use_moves_its_end() {
    let world = World::new();
    let resting = world.begin(0);
    assert!(world.refresh(&resting.refresh_token, IDLE_MS - 1).is_ok());
    let resting = world.begin(0);
    let outcome = world.refresh(&resting.refresh_token, IDLE_MS);
    assert!(matches!(outcome, Err(SessionError::Expired)));

    let mut busy = world.begin(0);
    let day_ms = 24 * 3_600_000;
    for now_ms in (day_ms..ABSOLUTE_MS).step_by(day_ms as usize) {
        busy = world.refresh(&busy.refresh_token, now_ms).unwrap();
        assert_eq!(busy.family.until_ms, ABSOLUTE_MS);
    }
    let outcome = world.refresh(&busy.refresh_token, ABSOLUTE_MS);
    assert!(matches!(outcome, Err(SessionError::Expired)));
}

#[test]
fn a_session_is_refreshed_so_often_and_no_more() {
    let world = World::new();
    let mut opened = world.begin(0);
    for _ in 0..REFRESHES_MAX {
        opened = world.refresh(&opened.refresh_token, 0).unwrap();
    }
    let outcome = world.refresh(&opened.refresh_token, 0);
    assert!(matches!(outcome, Err(SessionError::Expired)));
    assert_eq!(world.engine.platform_len(), 3, "nothing of it is left but its denial");
}

#[test]
fn a_user_who_is_kept_out_or_changed_meanwhile_gets_no_session() {
    let world = World::new();
    let opened = world.begin(0);
    let stale = world.user();
    let disabled = User { disabled: true, ..stale.user.clone() };
    let act = stale.change(&disabled).unwrap();
    assert!(world.engine.write(&act.expect, &act.writes).unwrap());
    let outcome = world.sessions.begin(stale, Client::default(), Completion::default(), 1);
    assert!(matches!(outcome, Err(SessionError::Contended)));
    let outcome = world.refresh(&opened.refresh_token, 1);
    assert!(matches!(outcome, Err(SessionError::Unknown)));
    assert!(world.is_denied(&opened));
}

#[test]
fn ending_all_changes_the_user_with_it_or_nothing() {
    let world = World::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = told.clone();
    world.revocations.listen(Arc::new(move |revoked| tell.lock().unwrap().push(revoked.clone())));
    let (kept, ended) = (world.begin(0), world.begin(0));
    let stored = world.user();
    let act = stored.change(&User { platform: true, ..stored.user.clone() }).unwrap();
    assert!(world.sessions.end_all(&world.user_id, Some(&kept.family.id), &act, 1).unwrap());
    assert!(world.user().user.platform);
    assert!(world.refresh(&ended.refresh_token, 2).is_err());
    let kept = world.refresh(&kept.refresh_token, 2).unwrap();

    assert!(!world.sessions.end_all(&world.user_id, None, &act, 3).unwrap(), "it is changed");
    let kept = world.refresh(&kept.refresh_token, 4).unwrap();
    let nothing = Completion::default();
    assert!(world.sessions.end_all(&world.user_id, None, &nothing, 5).unwrap());
    assert!(world.refresh(&kept.refresh_token, 6).is_err());
    let session = |opened: &Opened| Revoked::Session { family: opened.family.id.as_str().into() };
    let user = Revoked::User { user_id: world.user_id.as_str().into() };
    assert_eq!(*told.lock().unwrap(), [session(&ended), session(&kept), user]);
    for list in [&world.revocations, &world.restarted(7).revocations] {
        let held = Presented { token_id: "", family: "", user_id: &world.user_id, issued_ms: 5 };
        let later = Presented { issued_ms: 6, ..held };
        assert!(list.is_denied(&held, 7) && !list.is_denied(&later, 7));
    }
}

/// What was acknowledged holds after a death at any call; what was not is there whole or not, and
/// whoever did not hear the answer goes on.
#[test]
fn killed_at_any_call_a_family_has_one_live_token_or_is_gone() {
    for call in 0..3 {
        for (takes_effect, recovers) in [(false, false), (true, false), (false, true), (true, true)]
        {
            let death = Death { call, takes_effect, recovers };
            let world = World::new();
            let opened = world.begin(0);
            world.engine.die_at(Some(death));
            let next = world.refresh(&opened.refresh_token, 1);
            let ended = next
                .as_ref()
                .ok()
                .map(|next| world.sessions.end(&next.family.id, Client::default(), 2));
            let again = world.restarted(3);
            let was_told = again.unspent(&opened.family.id);
            let old = again.refresh(&opened.refresh_token, 3);
            match (&next, ended) {
                (Ok(_), Some(Ok(_))) => {
                    assert_eq!(again.live(3), 0, "{death:?}");
                    assert!(again.is_denied(&opened), "{death:?}");
                }
                // The end was not acknowledged: the session is there, or it is gone.
                (Ok(next), _) => match old {
                    Ok(old) => {
                        assert_eq!((was_told, &old.refresh_token), (1, &next.refresh_token));
                        again.refresh(&next.refresh_token, 4).unwrap();
                    }
                    Err(_) => {
                        assert!(takes_effect && was_told == 0, "{death:?}");
                        assert!(again.refresh(&next.refresh_token, 4).is_err(), "{death:?}");
                    }
                },
                // The answer is lost, whether or not there was one: there is a way on, and one only.
                (Err(_), _) => {
                    let old = old.unwrap();
                    assert_eq!((was_told, again.unspent(&opened.family.id)), (1, 1), "{death:?}");
                    assert_eq!(old.family.refreshes, 1, "{death:?}");
                    again.refresh(&old.refresh_token, 4).unwrap();
                }
            }
        }
    }
    const { assert!(ACCESS_MS < IDLE_MS) };
}
