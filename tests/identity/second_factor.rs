//! The second factor: set up, asked for, used once, lost, and demanded.

use crate::authenticator::Authenticator;
use crate::meddled;
use crate::world::{EMAIL, NOW_MS, PASSWORD, World, credentials};
use emx::identity::SignedIn;
use emx::identity::enrolment::{FRESH_MS, OtpError, Proof};
use emx::identity::login::{Credentials, LoginError};
use emx::identity::rules::{RulesChange, RulesError, SignInRules};
use emx::identity::second_factor::{Enrolment, PENDING_MS};
use emx::identity::token::TokenError;
use emx::tenancy::by::By;
use emx::tenancy::permission::Role;
use std::sync::atomic::{AtomicBool, Ordering};
use storage::row::TimeMs;

const STEP_MS: TimeMs = 30_000;

/// A moment in the middle of a time step, some steps after everything begins.
const fn at_step(step: TimeMs) -> TimeMs {
    (NOW_MS / STEP_MS + 10 + step) * STEP_MS + STEP_MS / 2
}

fn scanned(enrolment: &Enrolment) -> Authenticator {
    Authenticator::scanned(&enrolment.uri, &enrolment.secret)
}

/// Sets the second factor of whoever signed in up, at step 0.
fn set_up(world: &World, signed_in: &SignedIn) -> (Authenticator, Vec<String>) {
    set_up_at(world, signed_in, at_step(0))
}

fn set_up_at(world: &World, signed_in: &SignedIn, now_ms: TimeMs) -> (Authenticator, Vec<String>) {
    let me = world.who(signed_in, now_ms);
    let begun = world.identity.begin_otp(&world.tenancy, &me, &Proof::default(), now_ms);
    let app = scanned(&begun.unwrap());
    let codes = world.identity.confirm_otp(&me, &app.code(now_ms), now_ms).unwrap();
    (app, codes)
}

#[track_caller]
fn refused(outcome: Result<SignedIn, LoginError>, code: &str) {
    assert_eq!(outcome.unwrap_err().code(), code);
}

#[test]
fn a_code_is_asked_for_after_the_right_password_and_for_nothing_else() {
    let world = World::new();
    let (app, _) = set_up(&world, &world.sign_in(NOW_MS));
    let now_ms = at_step(2);
    let (right, wrong) = (app.code(now_ms), app.wrong_code(now_ms));
    for (password, otp, code) in [
        (PASSWORD, None, "otp_required"),
        (PASSWORD, Some(""), "otp_required"),
        (PASSWORD, Some(wrong.as_str()), "invalid_otp"),
        (PASSWORD, Some("no code"), "invalid_otp"),
        ("wrong horse battery", None, "invalid_credentials"),
        ("wrong horse battery", Some(&right), "invalid_credentials"),
    ] {
        let before = world.identity.password_hashes();
        refused(world.try_sign_in(EMAIL, password, otp, now_ms), code);
        assert_eq!(world.identity.password_hashes() - before, 1);
    }
    let signed_in = world.try_sign_in(EMAIL, PASSWORD, Some(&right), now_ms).unwrap();
    assert!(signed_in.user.has_otp);
    // The other tenant's user has the same address and no second factor.
    world.identity.login(&world.tenancy, &credentials("other", EMAIL, PASSWORD), now_ms).unwrap();
}

#[test]
fn a_phone_may_be_a_step_off_and_each_step_is_used_once_whatever_restarts() {
    let world = World::new();
    let (app, _) = set_up(&world, &world.sign_in(NOW_MS));
    let sign_in = |world: &World, step: TimeMs, now: TimeMs| {
        world.try_sign_in(EMAIL, PASSWORD, Some(&app.code(at_step(step))), at_step(now))
    };
    refused(sign_in(&world, 0, 0), "invalid_otp"); // it confirmed
    refused(sign_in(&world, 2, 4), "invalid_otp");
    refused(sign_in(&world, 6, 4), "invalid_otp");
    sign_in(&world, 3, 4).unwrap();
    sign_in(&world, 5, 4).unwrap(); // a phone that is ahead
    let world = world.restarted();
    for step in [3, 4, 5] {
        refused(sign_in(&world, step, 4), "invalid_otp");
    }
    sign_in(&world, 6, 6).unwrap();
}

#[test]
fn many_at_once_with_one_code_are_let_in_once() {
    let world = World::new();
    let (app, codes) = set_up(&world, &world.sign_in(NOW_MS));
    for otp in [&app.code(at_step(2)), &codes[0]] {
        let let_in = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..8)
                .map(|_| {
                    scope
                        .spawn(|| world.try_sign_in(EMAIL, PASSWORD, Some(otp), at_step(2)).is_ok())
                })
                .collect();
            tries.into_iter().filter_map(|tried| tried.join().ok()).filter(|ok| *ok).count()
        });
        assert_eq!(let_in, 1, "{otp}");
    }
}

#[test]
fn a_recovery_code_is_used_once_and_lies_nowhere() {
    let world = World::new();
    let (app, codes) = set_up(&world, &world.sign_in(NOW_MS));
    assert_eq!(codes.len(), 10);
    let typed = codes[3].to_uppercase().replace('-', " ");
    let sign_in =
        |world: &World, otp: &str| world.try_sign_in(EMAIL, PASSWORD, Some(otp), at_step(2));
    let signed_in = sign_in(&world, &typed).unwrap();
    let me = world.who(&signed_in, at_step(2));
    assert_eq!(world.identity.otp_state(&me.principal).unwrap().recovery_left, 9);
    let world = world.restarted();
    refused(sign_in(&world, &codes[3]), "invalid_otp");
    sign_in(&world, &codes[4]).unwrap();
    sign_in(&world, &app.code(at_step(2))).unwrap();
    for code in &codes {
        assert!(!world.is_on_disk(code) && !world.is_on_disk(&code.replace('-', "")));
    }
}

#[test]
fn wrong_codes_count_like_wrong_passwords() {
    let world = World::new();
    let (app, _) = set_up(&world, &world.sign_in(NOW_MS));
    let now_ms = at_step(2);
    for _ in 0..20 {
        // Nobody guesses who sends none.
        refused(world.try_sign_in(EMAIL, PASSWORD, None, now_ms), "otp_required");
    }
    for _ in 0..10 {
        let wrong = app.wrong_code(now_ms);
        refused(world.try_sign_in(EMAIL, PASSWORD, Some(&wrong), now_ms), "invalid_otp");
    }
    let before = world.identity.password_hashes();
    let right = app.code(now_ms);
    refused(world.try_sign_in(EMAIL, PASSWORD, Some(&right), now_ms), "too_many_attempts");
    assert_eq!(world.identity.password_hashes(), before);
}

#[test]
fn setting_up_needs_a_fresh_session_or_the_password_and_a_code_in_time() {
    let world = World::new();
    let (mine, elsewhere) = (world.sign_in(NOW_MS), world.sign_in(NOW_MS));
    let later_ms = NOW_MS + FRESH_MS;
    let me = world.who(&mine, NOW_MS);
    let begin = |password: Option<&str>, now_ms| {
        let proof = Proof { password, ..Proof::default() };
        world.identity.begin_otp(&world.tenancy, &me, &proof, now_ms)
    };
    let confirm = |code: &str, now_ms| world.identity.confirm_otp(&me, code, now_ms);
    assert!(matches!(confirm("123456", NOW_MS), Err(OtpError::NotBegun)));
    assert!(matches!(begin(None, later_ms), Err(OtpError::Reauthenticate)));
    assert_eq!(begin(Some("wrong horse"), later_ms).unwrap_err().code(), "invalid_credentials");
    begin(None, later_ms - 1).unwrap();
    let begun = begin(Some(PASSWORD), later_ms).unwrap();
    assert!(begun.uri.contains("acme") && !format!("{begun:?}").contains(&begun.secret));
    let app = scanned(&begun);

    let until_ms = later_ms + PENDING_MS;
    assert!(matches!(confirm(&app.code(until_ms), until_ms), Err(OtpError::NotBegun)));
    let wrong = confirm(&app.wrong_code(until_ms - 1), until_ms - 1);
    assert_eq!(wrong.unwrap_err().code(), "invalid_otp");
    // Until it is confirmed, nothing is asked for.
    world.sign_in(until_ms - 1);
    confirm(&app.code(until_ms - 1), until_ms - 1).unwrap();
    refused(world.try_sign_in(EMAIL, PASSWORD, None, until_ms), "otp_required");
    assert!(world.refresh(&mine.refresh_token, until_ms).is_ok());
    assert!(world.refresh(&elsewhere.refresh_token, until_ms).is_err());
    assert!(!world.is_on_disk(&begun.secret));

    let nobody =
        world.identity.begin_otp(&world.tenancy, &By::operator(), &Proof::default(), NOW_MS);
    assert!(matches!(nobody, Err(OtpError::NoUser)));
}

#[test]
fn another_app_takes_the_place_of_one_only_once_it_is_confirmed() {
    let world = World::new();
    let signed_in = world.sign_in(at_step(0));
    let (old, old_codes) = set_up(&world, &signed_in);
    let me = world.who(&signed_in, at_step(0));
    let begun = world.identity.begin_otp(&world.tenancy, &me, &Proof::default(), at_step(1));
    let new = scanned(&begun.unwrap());
    let sign_in = |code: &str, step| world.try_sign_in(EMAIL, PASSWORD, Some(code), at_step(step));
    refused(sign_in(&new.code(at_step(2)), 2), "invalid_otp");
    sign_in(&old.code(at_step(2)), 2).unwrap();
    world.identity.confirm_otp(&me, &new.code(at_step(3)), at_step(3)).unwrap();
    refused(sign_in(&old.code(at_step(5)), 5), "invalid_otp");
    refused(sign_in(&old_codes[0], 5), "invalid_otp");
    sign_in(&new.code(at_step(5)), 5).unwrap();
}

#[test]
fn it_goes_with_a_code_or_the_password_and_ends_the_other_sessions() {
    let world = World::new();
    let signed_in = world.sign_in(NOW_MS);
    let (app, codes) = set_up(&world, &signed_in);
    let me = world.who(&signed_in, at_step(0));
    let remove = |code: Option<&str>, password: Option<&str>| {
        let proof = Proof { code, password };
        world.identity.remove_otp(&me, &proof, at_step(2))
    };
    assert!(matches!(remove(None, None), Err(OtpError::Unproven)));
    let wrong = app.wrong_code(at_step(2));
    assert_eq!(remove(Some(&wrong), None).unwrap_err().code(), "invalid_otp");
    let unknown = remove(None, Some("wrong horse")).unwrap_err();
    assert_eq!(unknown.code(), "invalid_credentials");
    let elsewhere = world.try_sign_in(EMAIL, PASSWORD, Some(&codes[0]), at_step(2)).unwrap();
    remove(Some(&app.code(at_step(2))), None).unwrap();
    assert!(matches!(remove(None, Some(PASSWORD)), Err(OtpError::NotSetUp)));
    let ended = world.identity.verify(&elsewhere.access_token, at_step(2));
    assert_eq!(ended, Err(TokenError::Revoked));
    world.identity.verify(&signed_in.access_token, at_step(2)).unwrap();
    let again = world.sign_in(at_step(2));

    set_up_at(&world, &again, at_step(2));
    let me = world.who(&again, at_step(2));
    let proof = Proof { password: Some(PASSWORD), ..Proof::default() };
    world.identity.remove_otp(&me, &proof, at_step(2)).unwrap();
    world.sign_in(at_step(2));
}

fn with<'a>(email: &'a str, otp: Option<&'a str>) -> Credentials<'a> {
    Credentials { otp, ..credentials("acme", email, PASSWORD) }
}

fn demand(world: &World, by: &By) -> Result<SignInRules, RulesError> {
    let change = RulesChange { require_otp: Some(true), ..RulesChange::default() };
    world.identity.set_sign_in_rules(&world.acme.id, change, by, |_| true, at_step(1))
}

#[test]
fn where_it_is_demanded_nobody_is_in_without_it() {
    let world = World::new();
    let member = world.user("member@example.org", Role::Member);
    let owner = world.sign_in(NOW_MS);
    let theirs = world.try_sign_in("member@example.org", PASSWORD, None, NOW_MS).unwrap();
    let foreign = credentials("other", EMAIL, PASSWORD);
    let foreign_session = world.identity.login(&world.tenancy, &foreign, NOW_MS).unwrap();
    let me = world.who(&owner, at_step(0));
    assert!(matches!(demand(&world, &me), Err(RulesError::NotSetUp)));
    let (app, _) = set_up(&world, &owner);
    demand(&world, &me).unwrap();

    let world = world.restarted();
    world.identity.verify(&owner.access_token, at_step(1)).unwrap();
    world.identity.verify(&foreign_session.access_token, at_step(1)).unwrap();
    let ended = world.identity.verify(&theirs.access_token, at_step(1));
    assert_eq!(ended, Err(TokenError::Revoked));
    assert!(world.refresh(&theirs.refresh_token, at_step(1)).is_err());
    let sign_in =
        |password, otp| world.try_sign_in("member@example.org", password, otp, at_step(1));
    refused(sign_in(PASSWORD, None), "otp_enrolment_required");
    refused(sign_in(PASSWORD, Some("123456")), "otp_enrolment_required");
    refused(sign_in("wrong horse battery", None), "invalid_credentials");
    world.identity.login(&world.tenancy, &foreign, at_step(1)).unwrap();
    let proof = Proof { password: Some(PASSWORD), ..Proof::default() };
    let removed = world.identity.remove_otp(&me, &proof, at_step(1));
    assert!(matches!(removed, Err(OtpError::Demanded)));
    // Who has one is asked for it as ever, and cannot enrol another with the password alone.
    let begun = world.identity.begin_enrolment(&world.tenancy, &with(EMAIL, None), at_step(1));
    assert_eq!(begun.unwrap_err().code(), "otp_required");
    world.try_sign_in(EMAIL, PASSWORD, Some(&app.code(at_step(2))), at_step(2)).unwrap();

    // An administrator takes a lost one away, and it is set up anew.
    for now_ms in [at_step(3), at_step(6)] {
        let begin = |credentials: &Credentials<'_>| {
            world.identity.begin_enrolment(&world.tenancy, credentials, now_ms)
        };
        let unknown = Credentials { password: "wrong", ..with("member@example.org", None) };
        assert_eq!(begin(&unknown).unwrap_err().code(), "invalid_credentials");
        let app = scanned(&begin(&with("member@example.org", None)).unwrap());
        let enrol = |code: &str| {
            let credentials = with("member@example.org", Some(code));
            world.identity.enrol(&world.tenancy, &credentials, now_ms)
        };
        assert_eq!(enrol(&app.wrong_code(now_ms)).unwrap_err().code(), "invalid_otp");
        let code = app.code(now_ms);
        let (signed_in, codes) = enrol(&code).unwrap();
        assert!(codes.len() == 10 && signed_in.user.has_otp);
        assert_eq!(enrol(&code).unwrap_err().code(), "otp_required");
        world.identity.verify(&signed_in.access_token, now_ms).unwrap();
        let sign_in = |otp, now_ms| world.try_sign_in("member@example.org", PASSWORD, otp, now_ms);
        refused(sign_in(Some(&code), now_ms), "invalid_otp");

        world.identity.reset_otp(&world.acme.id, &member.id, &me, now_ms + STEP_MS).unwrap();
        let ended = world.identity.verify(&signed_in.access_token, now_ms + STEP_MS);
        assert_eq!(ended, Err(TokenError::Revoked));
        refused(sign_in(None, now_ms + STEP_MS), "otp_enrolment_required");
    }
}

#[test]
fn where_it_is_not_demanded_nobody_enrols_before_signing_in() {
    let world = World::new();
    let credentials = credentials("acme", EMAIL, PASSWORD);
    let begun = world.identity.begin_enrolment(&world.tenancy, &credentials, NOW_MS);
    assert!(matches!(begun, Err(OtpError::NotDemanded)));
    let stale = world.identity.set_sign_in_rules(
        &world.acme.id,
        RulesChange { require_otp: Some(true), ..RulesChange::default() },
        &By::operator(),
        |rules| rules.require_otp,
        NOW_MS,
    );
    assert!(matches!(stale, Err(RulesError::Stale)));
    assert_eq!(world.identity.sign_in_rules(&world.acme.id).unwrap(), SignInRules::default());
}

#[test]
fn a_session_against_the_rules_ends_though_the_process_died_before_it_was_ended() {
    let world = World::new();
    world.user("member@example.org", Role::Member);
    let sign_in = |otp| world.try_sign_in("member@example.org", PASSWORD, otp, NOW_MS);
    let before = sign_in(None).unwrap();
    let is_set = AtomicBool::new(false);
    let identity = meddled::identity(&world, move |_, writes| {
        match is_set.fetch_or(meddled::is_of(writes, "sign_in_rules"), Ordering::Relaxed) {
            true => Err(meddled::failure()),
            false => Ok(()),
        }
    });
    let change = RulesChange { require_otp: Some(true), ..RulesChange::default() };
    let (acme, by) = (&world.acme.id, By::operator());
    identity.set_sign_in_rules(acme, change, &by, |_| true, NOW_MS).unwrap_err();
    drop(identity);
    let world = world.restarted();
    assert!(world.identity.sign_in_rules(&world.acme.id).unwrap().require_otp);
    world.identity.verify(&before.access_token, NOW_MS).unwrap();
    assert!(world.refresh(&before.refresh_token, NOW_MS + 1).is_err());
    let ended = world.identity.verify(&before.access_token, NOW_MS + 1);
    assert_eq!(ended, Err(TokenError::Revoked));
    assert!(world.identity.sessions(&before.user.id, NOW_MS + 1).unwrap().is_empty());
}
