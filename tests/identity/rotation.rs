//! Signing keys that are replaced while many sign in, go on and are let in.

use crate::world::{NOW_MS, World};
use emx::identity::RefreshError;
use emx::identity::session::SessionError;
use emx::identity::settings::IdentitySettings;
use emx::identity::signing::JWKS_CACHE_MS;
use emx::identity::token::{ACCESS_MS, LEEWAY_MS, TokenError};
use emx::tenancy::by::By;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use storage::row::TimeMs;

fn kids(world: &World, now_ms: TimeMs) -> Vec<String> {
    let jwks = world.identity.jwks(now_ms);
    let keys = jwks["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// While keys are replaced as fast as they may be, and once by schedule, every token that has not run
/// out is believed, and none that has.
#[test]
fn under_load_no_token_is_refused_before_its_time_and_none_is_believed_after_it() {
    const WORKERS: usize = 4;
    const ROTATIONS: usize = 12;
    let world = World::new();
    let (now, is_over) = (AtomicI64::new(NOW_MS), AtomicBool::new(false));
    let judged = AtomicUsize::new(0);
    let identity = &world.identity;
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let mut refresh_token = world.sign_in(NOW_MS).refresh_token;
                let mut held: Vec<(String, TimeMs)> = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    let now_ms = now.load(Ordering::SeqCst);
                    match world.refresh(&refresh_token, now_ms) {
                        Ok(next) => {
                            refresh_token = next.refresh_token;
                            held.push((next.access_token, now_ms));
                        }
                        // A fast machine goes on more often than one may.
                        Err(RefreshError::Session(SessionError::TooMany(_))) => {}
                        Err(other) => panic!("{other}"),
                    }
                    for (text, issued_ms) in &held {
                        let outcome = identity.verify(text, now_ms).map(|_| ());
                        // The clock moves before keys are replaced.
                        if now.load(Ordering::SeqCst) != now_ms {
                            break;
                        }
                        let age_ms = now_ms - issued_ms;
                        let is_right = match outcome {
                            Ok(()) => age_ms < ACCESS_MS + LEEWAY_MS,
                            Err(TokenError::Expired | TokenError::UnknownKey) => {
                                age_ms >= ACCESS_MS
                            }
                            Err(_) => false,
                        };
                        assert!(is_right, "{outcome:?} after {age_ms} ms");
                        judged.fetch_add(1, Ordering::Relaxed);
                    }
                    held.retain(|(_, issued_ms)| now_ms - issued_ms < 2 * ACCESS_MS);
                }
            });
        }
        let mut signed = BTreeSet::new();
        for n in 0..ROTATIONS {
            // Everybody does something between two of them.
            let enough = judged.load(Ordering::Relaxed) + 20 * WORKERS;
            while judged.load(Ordering::Relaxed) < enough {
                std::thread::yield_now();
            }
            let now_ms = NOW_MS + (n as TimeMs + 1) * JWKS_CACHE_MS;
            let before = kids(&world, now_ms);
            now.store(now_ms, Ordering::SeqCst);
            let current = identity.rotate_signing_keys(&By::operator(), now_ms).unwrap();
            assert_eq!(before[1], current, "it was published before");
            assert!(signed.insert(current), "no key signs twice");
        }
        is_over.store(true, Ordering::Relaxed);
    });
    println!("{} verdicts over {ROTATIONS} rotations", judged.into_inner());
}

#[test]
fn a_schedule_replaces_keys_by_itself_and_none_does_not() {
    const HOUR_MS: TimeMs = 3_600_000;
    for (signing_key_ms, rotates) in [(Some(HOUR_MS), true), (None, false)] {
        let world = World::with(IdentitySettings { signing_key_ms, ..IdentitySettings::default() });
        let signed_in = world.sign_in(NOW_MS + HOUR_MS - 1);
        let before = kids(&world, NOW_MS);
        world.identity.keep_up(NOW_MS + HOUR_MS - 1).unwrap();
        assert_eq!(kids(&world, NOW_MS), before);
        world.identity.keep_up(NOW_MS + HOUR_MS).unwrap();
        let after = kids(&world, NOW_MS + HOUR_MS);
        assert_eq!(after[0], if rotates { before[1].clone() } else { before[0].clone() });
        world.identity.verify(&signed_in.access_token, NOW_MS + HOUR_MS).unwrap();
        let world = world.restarted();
        assert_eq!(kids(&world, NOW_MS + HOUR_MS), after);
        world.identity.verify(&signed_in.access_token, NOW_MS + HOUR_MS).unwrap();
    }
}
