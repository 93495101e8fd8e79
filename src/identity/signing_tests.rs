//! Rotation, restarts, and what is stored of a key.

use super::*;
use crate::tenancy::fake::{Death, FakeEngine};

fn start(platform: &FakeEngine, master: &Arc<MasterKey>) -> Result<SigningKeys, SigningError> {
    SigningKeys::start(Arc::new(AuditLog::new(Arc::new(platform.clone()))), master.clone(), 0)
}

fn master() -> Arc<MasterKey> {
    Arc::new(MasterKey::random().unwrap())
}

fn kids(keys: &SigningKeys, now_ms: TimeMs) -> Vec<String> {
    let jwks = keys.jwks(now_ms);
    let kids = jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap());
    kids.map(str::to_owned).collect()
}

#[test]
fn published_keys_are_public_and_named_by_their_thumbprint() {
    let (platform, master) = (FakeEngine::default(), master());
    let keys = start(&platform, &master).unwrap();
    let jwks = keys.jwks(0);
    assert_eq!(jwks["keys"].as_array().unwrap().len(), 2);
    for key in jwks["keys"].as_array().unwrap() {
        let members: Vec<&String> = key.as_object().unwrap().keys().collect();
        assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"]);
        assert_eq!(
            (&key["alg"], &key["kty"], &key["use"]),
            (&json!("RS256"), &json!("RSA"), &json!("sig"))
        );
        let canonical = format!(r#"{{"e":{},"kty":"RSA","n":{}}}"#, key["e"], key["n"]);
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, canonical.as_bytes());
        let thumbprint = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(hash);
        assert_eq!(key["kid"], thumbprint);
    }
}

#[test]
fn a_restart_finds_the_same_keys_and_another_master_key_does_not() {
    let (platform, right) = (FakeEngine::default(), master());
    let before = kids(&start(&platform, &right).unwrap(), 0);
    assert_eq!(kids(&start(&platform, &right).unwrap(), 0), before);
    let error = start(&platform, &master()).unwrap_err();
    assert!(matches!(error, SigningError::Secret(SecretError::Open)));
    assert!(error.to_string().contains("secret.key"), "{error}");
}

#[test]
fn a_key_is_published_before_it_signs_and_until_its_tokens_have_expired() {
    let (platform, master) = (FakeEngine::default(), master());
    let keys = start(&platform, &master).unwrap();
    let [first, second] = kids(&keys, 0).try_into().unwrap();
    assert_eq!(keys.sign(|kid, _| kid.to_owned()), first);
    for (now_ms, expected_s) in [(0, 300), (1, 300), (JWKS_CACHE_MS - 1, 1)] {
        let soon = keys.rotate(&By::operator(), now_ms).unwrap_err();
        let SigningError::TooSoon { retry_after_s } = soon else { panic!("{soon}") };
        assert_eq!(retry_after_s, expected_s);
    }

    assert_eq!(keys.rotate(&By::operator(), JWKS_CACHE_MS).unwrap(), second);
    assert_eq!(keys.sign(|kid, _| kid.to_owned()), second);
    let until_ms = JWKS_CACHE_MS + PREVIOUS_MS;
    let [now, _next, before] = kids(&keys, until_ms - 1).try_into().unwrap();
    assert_eq!((&now, &before), (&second, &first));
    assert!(keys.with_key(&first, until_ms - 1, |_| ()).is_some());
    assert!(keys.with_key(&first, until_ms, |_| ()).is_none());
    assert_eq!(kids(&keys, until_ms).len(), 2);
    const { assert!(PREVIOUS_MS >= ACCESS_MS + LEEWAY_MS) };

    let restarted = start(&platform, &master).unwrap();
    assert_eq!(kids(&restarted, 1_000), kids(&keys, 1_000));
    restarted.rotate(&By::operator(), until_ms).unwrap();
    assert_eq!(platform.platform_len(), 3, "the first key is gone for good");
    assert_eq!(restarted.sign(|kid, _| kid.to_owned()), *kids(&restarted, until_ms)[0]);
}

#[test]
fn there_are_so_many_keys_and_no_more_however_often_they_are_rotated() {
    let (platform, master) = (FakeEngine::default(), master());
    let keys = start(&platform, &master).unwrap();
    let mut now_ms = 0;
    for _ in 0..6 {
        now_ms += JWKS_CACHE_MS;
        keys.rotate(&By::operator(), now_ms).unwrap();
        // None is dropped before its tokens have expired.
        let published = 2 + (PREVIOUS_MS / JWKS_CACHE_MS + 1).min(now_ms / JWKS_CACHE_MS);
        assert_eq!(kids(&keys, now_ms).len(), published as usize);
    }
    // The clock is set back again and again.
    for _ in 0..PREVIOUS_MAX {
        now_ms -= 1;
        keys.rotate(&By::operator(), now_ms).unwrap();
    }
    assert_eq!(kids(&keys, 0).len(), PREVIOUS_MAX + 2);
    assert_eq!(platform.platform_len(), PREVIOUS_MAX + 2);
    let [mut stored, mut known] = [start(&platform, &master).unwrap(), keys].map(|k| kids(&k, 0));
    stored.sort();
    known.sort();
    assert_eq!(stored, known);
}

#[test]
fn a_key_is_replaced_when_it_has_signed_for_its_time() {
    const DAY_MS: TimeMs = 24 * 3_600_000;
    let (platform, master) = (FakeEngine::default(), master());
    let keys = start(&platform, &master).unwrap();
    let second = kids(&keys, 0)[1].clone();
    assert_eq!(keys.rotate_if_due(DAY_MS, DAY_MS - 1).unwrap(), None);
    assert_eq!(keys.rotate_if_due(DAY_MS, DAY_MS).unwrap(), Some(second));
    let told = keys.log.page(PLATFORM, None, 9).unwrap();
    assert_eq!(
        (told[0].event.actor.as_str(), &*told[0].event.action),
        (SERVER, "signing_key.rotate")
    );
    // By hand: then its time begins anew, after a restart too.
    keys.rotate(&By::operator(), DAY_MS + DAY_MS / 2).unwrap();
    let keys = start(&platform, &master).unwrap();
    assert_eq!(keys.rotate_if_due(DAY_MS, 2 * DAY_MS).unwrap(), None);
    assert!(keys.rotate_if_due(DAY_MS, 2 * DAY_MS + DAY_MS / 2).unwrap().is_some());
    // Shorter than a cache may be old it never is.
    let now_ms = 3 * DAY_MS;
    assert!(keys.rotate_if_due(1, now_ms).unwrap().is_some());
    assert_eq!(keys.rotate_if_due(1, now_ms + JWKS_CACHE_MS - 1).unwrap(), None);
    assert!(keys.rotate_if_due(1, now_ms + JWKS_CACHE_MS).unwrap().is_some());
}

#[test]
fn dropped_keys_are_gone_at_once_all_of_them() {
    let (platform, master) = (FakeEngine::default(), master());
    let keys = start(&platform, &master).unwrap();
    keys.rotate(&By::operator(), JWKS_CACHE_MS).unwrap();
    let before = kids(&keys, JWKS_CACHE_MS);
    assert_eq!(before.len(), 3);
    let current = keys.drop_all(&By::operator(), JWKS_CACHE_MS).unwrap();
    let after = kids(&keys, JWKS_CACHE_MS);
    assert_eq!((after.len(), &after[0]), (2, &current));
    assert_eq!(keys.sign(|kid, _| kid.to_owned()), current);
    for kid in before {
        assert!(!after.contains(&kid) && keys.with_key(&kid, JWKS_CACHE_MS, |_| ()).is_none());
    }
    assert_eq!(platform.platform_len(), 2);
    assert_eq!(kids(&start(&platform, &master).unwrap(), 0), after);
}

#[test]
fn killed_while_rotating_the_keys_are_as_before_or_as_after() {
    for takes_effect in [false, true] {
        let (platform, master) = (FakeEngine::default(), master());
        let keys = start(&platform, &master).unwrap();
        platform.die_at(Some(Death { call: 0, takes_effect, recovers: false }));
        assert!(keys.rotate(&By::operator(), JWKS_CACHE_MS).is_err());
        platform.die_at(Some(Death { call: 0, takes_effect, recovers: true }));
        // Where the store is there again, what was done is known.
        let again = start(&platform, &master).unwrap();
        assert_eq!(kids(&again, 0).len(), if takes_effect { 3 } else { 2 });
        let (before, dropped) = (kids(&again, 0), again.drop_all(&By::operator(), 0));
        assert_eq!(dropped.is_ok(), takes_effect);
        platform.die_at(None);
        let restarted = start(&platform, &master).unwrap();
        assert_eq!(kids(&restarted, 0) == before, !takes_effect);
        restarted.rotate(&By::operator(), 2 * JWKS_CACHE_MS).unwrap();
    }
}

#[test]
fn what_is_stored_can_be_damaged_but_not_believed() {
    let (platform, master) = (FakeEngine::default(), master());
    start(&platform, &master).unwrap();
    let entries = record::all(&platform, SIGNING_KEYS, b"").unwrap();
    let (key, bytes) = &entries[0];
    let swapped = String::from_utf8(entries[1].1.clone()).unwrap();
    for bad in [b"{}".to_vec(), bytes[..bytes.len() / 2].to_vec(), swapped.into_bytes()] {
        platform.write(&[], &[put(SIGNING_KEYS, key, bad)]).unwrap();
        assert!(start(&platform, &master).is_err());
    }
    platform.write(&[], &[delete(SIGNING_KEYS, key)]).unwrap();
    assert!(start(&platform, &master).is_err());
}
