//! Access tokens: everything that a token can be and must not.

use crate::hostile::{self, ALPHABET, Row, rows};
use crate::world::{Forger, NOW_MS, World};
use emx::identity::signing::{JWKS_CACHE_MS, PREVIOUS_MS, SigningError};
use emx::identity::token::{ACCESS_MS, LEEWAY_MS, TOKEN_BYTES_MAX, TokenError};
use emx::tenancy::by::By;
use emx::tenancy::permission::{Permission, Role};
use emx::tenancy::scope::Principal;
use serde_json::json;
use std::collections::BTreeSet;

/// A world, a token of its own and somebody who can forge others.
struct Scene {
    world: World,
    good: String,
    forger: Forger,
}

impl Scene {
    fn new() -> Self {
        let world = World::new();
        let good = world.sign_in(NOW_MS).access_token;
        let forger = Forger::of(&world, &good);
        Self { world, good, forger }
    }

    fn verdict(&self, token: &str) -> Option<TokenError> {
        self.world.identity.verify(token, NOW_MS).err()
    }

    #[track_caller]
    fn refuses(&self, what: &str, token: &str) {
        assert!(self.verdict(token).is_some(), "{what}: {token:.300}");
    }
}

#[test]
fn a_token_says_who_it_is_and_what_a_client_may_know() {
    let scene = Scene::new();
    let access = scene.world.identity.verify(&scene.good, NOW_MS).unwrap();
    let Principal::User { tenant_id, role, platform, family, .. } = &access.principal else {
        panic!("{access:?}");
    };
    assert_eq!((tenant_id, *role, *platform), (&scene.world.acme.id, Role::Owner, false));
    assert_eq!(*family, access.family);
    let claims = scene.forger.claims.as_object().unwrap();
    let names: Vec<&String> = claims.keys().collect();
    let expected =
        ["aud", "exp", "fam", "iat", "iss", "jti", "nbf", "org", "permissions", "role", "sub"];
    assert_eq!(names, expected);
    assert_eq!(claims["permissions"].as_array().unwrap().len(), Role::Owner.permissions().len());
    assert!(claims["permissions"].as_array().unwrap().contains(&json!(Permission::KeysManage)));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);
    assert!(scene.good.len() < TOKEN_BYTES_MAX / 2, "{} bytes", scene.good.len());
    let again = scene
        .forger
        .sign(scene.forger.header().as_bytes(), scene.forger.claims.to_string().as_bytes());
    assert_eq!(scene.verdict(&again), None, "the forger can forge what is right");
}

#[test]
fn what_is_hostile_is_refused_for_what_it_is() {
    let scene = Scene::new();
    let stranger = Scene::new();
    let signed_in = scene.world.sign_in(NOW_MS);
    let jwk = scene.world.identity.jwks(NOW_MS)["keys"][0].clone();
    let api_key = format!("emx_{}_{}", "a".repeat(16), "A".repeat(43));
    let rows = rows(&hostile::Scene {
        forger: &scene.forger,
        good: &scene.good,
        stranger: &stranger.forger,
        foreign: &stranger.good,
        jwk: &jwk,
        others: &[
            ("a refresh token", &signed_in.refresh_token),
            ("an API key", &api_key),
            ("a ticket, an invitation, a reset or a state", &"A".repeat(43)),
            ("a password", crate::world::PASSWORD),
            ("a session's id", &signed_in.session.id),
            ("the key's id", &scene.forger.kid),
        ],
    });
    let names: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    for Row { name, token, outcome } in &rows {
        assert_eq!(scene.verdict(token), Some(*outcome), "{name}: {token:.300}");
    }
    assert!(names.len() >= 120);
    println!("{} hostile tokens, {} of them different in kind", rows.len(), names.len());
    assert_eq!(scene.verdict(&scene.good), None);
}

#[test]
fn a_key_that_has_been_dropped_or_is_not_of_today_lets_nobody_in() {
    let scene = Scene::new();
    let identity = &scene.world.identity;
    assert_eq!(scene.verdict(&scene.good), None);
    identity.drop_signing_keys(&By::operator(), NOW_MS).unwrap();
    assert_eq!(scene.verdict(&scene.good), Some(TokenError::UnknownKey), "remembered or not");
    // Sessions go on, and what they get in the same second is believed.
    let again = scene.world.sign_in(NOW_MS);
    let access = identity.verify(&again.access_token, NOW_MS).unwrap();
    assert!(identity.stands(&access.principal, NOW_MS));
    let forged = scene.forger.with("jti", json!("another"));
    assert_eq!(scene.verdict(&forged), Some(TokenError::UnknownKey));
    let world = scene.world.restarted();
    let outcome = world.identity.verify(&scene.good, NOW_MS);
    assert_eq!(outcome, Err(TokenError::UnknownKey));
    world.identity.verify(&again.access_token, NOW_MS).unwrap();
}

#[test]
fn one_signature_fits_one_text() {
    let scene = Scene::new();
    let good = &scene.good;
    let parts: Vec<&str> = good.split('.').collect();
    assert_eq!(parts.len(), 3);
    for (n, _) in good.char_indices() {
        for other in ['A', 'B', '_', '.', '=', '+', '\u{e9}'] {
            let mut changed = good.clone();
            changed.replace_range(n..=n, other.encode_utf8(&mut [0; 4]));
            if changed != *good {
                scene.refuses("one character changed", &changed);
            }
        }
    }
    for part in 0..3 {
        for last in ALPHABET.chars() {
            let mut changed: Vec<String> = parts.iter().map(|part| part.to_string()).collect();
            changed[part].pop();
            changed[part].push(last);
            let changed = changed.join(".");
            if changed != *good {
                scene.refuses("spare bits", &changed);
            }
        }
    }
    assert_eq!(scene.verdict(good), None);
}

#[test]
fn a_token_has_its_time_and_a_remembered_one_too() {
    let scene = Scene::new();
    let identity = &scene.world.identity;
    let verdict = |now_ms| identity.verify(&scene.good, now_ms).err();
    let end_ms = NOW_MS + ACCESS_MS;
    for _first_and_remembered in 0..2 {
        assert_eq!(verdict(NOW_MS - LEEWAY_MS - 1), Some(TokenError::NotYet));
        assert_eq!(verdict(NOW_MS - LEEWAY_MS), None);
        assert_eq!(verdict(end_ms + LEEWAY_MS - 1), None);
        assert_eq!(verdict(end_ms + LEEWAY_MS), Some(TokenError::Expired));
        assert_eq!(verdict(NOW_MS + 30 * ACCESS_MS), Some(TokenError::Expired));
    }
    const { assert!(LEEWAY_MS <= 5_000) };
}

#[test]
fn a_token_ends_with_its_session_and_stays_ended_after_a_restart() {
    let world = World::new();
    let (one, two) = (world.sign_in(NOW_MS), world.sign_in(NOW_MS));
    let seen = world.identity.verify(&one.access_token, NOW_MS).unwrap();
    assert!(world.identity.logout(&seen.family, &By::operator(), NOW_MS).unwrap());
    let remembered = world.identity.verify(&one.access_token, NOW_MS);
    assert_eq!(remembered, Err(TokenError::Revoked));
    assert!(!world.identity.logout(&seen.family, &By::operator(), NOW_MS).unwrap());
    let world = world.restarted();
    let ended = world.identity.verify(&one.access_token, NOW_MS);
    assert_eq!(ended, Err(TokenError::Revoked));
    world.identity.verify(&two.access_token, NOW_MS).unwrap();
    let late = world.identity.verify(&one.access_token, NOW_MS + ACCESS_MS + LEEWAY_MS);
    assert_eq!(late, Err(TokenError::Expired));
}

#[test]
fn rotated_keys_stand_for_their_tokens_as_long_as_these_last() {
    let scene = Scene::new();
    let identity = &scene.world.identity;
    let soon = identity.rotate_signing_keys(&By::operator(), NOW_MS).unwrap_err();
    assert!(matches!(soon, SigningError::TooSoon { retry_after_s: 300 }), "{soon}");
    let rotated_ms = NOW_MS + JWKS_CACHE_MS;
    identity.rotate_signing_keys(&By::operator(), rotated_ms).unwrap();
    let newer = scene.world.sign_in(rotated_ms).access_token;
    for token in [&scene.good, &newer] {
        identity.verify(token, rotated_ms).unwrap();
    }
    assert_ne!(Forger::of(&scene.world, &newer).kid, scene.forger.kid);
    let gone_ms = rotated_ms + PREVIOUS_MS;
    let late = scene.forger.claims.clone();
    assert!(identity.rotate_signing_keys(&By::operator(), gone_ms).is_ok());
    // Even where its time were right, a key that is gone signs nothing.
    let mut late = late.as_object().unwrap().clone();
    for claim in ["iat", "nbf", "exp"] {
        late[claim] = json!(late[claim].as_i64().unwrap() + (gone_ms - NOW_MS) / 1000);
    }
    let text = json!(late).to_string();
    let forged = scene.forger.sign(scene.forger.header().as_bytes(), text.as_bytes());
    assert_eq!(identity.verify(&forged, gone_ms), Err(TokenError::UnknownKey));
}
