//! ID tokens: everything that one can be and must not.

use crate::provider::{CLIENT_ID, CLIENT_SECRET, KID, Provider, unsigned};
use crate::signer::{Signer, hs256};
use crate::world::{ISSUER, NOW_MS, World};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use emx::identity::oidc::{AGE_MS_MAX, LEEWAY_MS};
use serde_json::{Value, json};

const NOW_S: i64 = NOW_MS / 1000;
const LEEWAY_S: i64 = LEEWAY_MS / 1000;

#[tokio::test]
async fn each_claim_is_what_it_must_be() {
    let world = World::new().await;
    for (claims, expected) in [
        (json!({}), "ok"),
        // Who made it.
        (json!({ "iss": "https://evil.example.org" }), "id_token_issuer"),
        (json!({ "iss": "https://idp.example.org/" }), "id_token_issuer"),
        (json!({ "iss": "https://IDP.example.org" }), "id_token_issuer"),
        (json!({ "iss": [ISSUER] }), "id_token_claims"),
        (json!({ "iss": null }), "id_token_claims"),
        // For whom.
        (json!({ "aud": "other" }), "id_token_audience"),
        (json!({ "aud": "" }), "id_token_audience"),
        (json!({ "aud": [] }), "id_token_audience"),
        (json!({ "aud": ["other"] }), "id_token_audience"),
        (json!({ "aud": [CLIENT_ID] }), "ok"),
        (json!({ "aud": [CLIENT_ID, CLIENT_ID] }), "ok"),
        (json!({ "aud": [CLIENT_ID, "other"] }), "id_token_audience"),
        (json!({ "aud": [CLIENT_ID, "other"], "azp": "other" }), "id_token_audience"),
        (json!({ "aud": [CLIENT_ID, "other"], "azp": CLIENT_ID }), "ok"),
        (json!({ "aud": ["other"], "azp": CLIENT_ID }), "id_token_audience"),
        (json!({ "azp": CLIENT_ID }), "ok"),
        (json!({ "azp": "other" }), "id_token_audience"),
        (json!({ "azp": [CLIENT_ID] }), "id_token_claims"),
        (json!({ "aud": { "a": CLIENT_ID } }), "id_token_claims"),
        (json!({ "aud": [CLIENT_ID, 1] }), "id_token_claims"),
        (json!({ "aud": null }), "id_token_claims"),
        // For how long.
        (json!({ "exp": NOW_S - LEEWAY_S + 1 }), "ok"),
        (json!({ "exp": NOW_S - LEEWAY_S }), "id_token_expired"),
        (json!({ "exp": NOW_S - 86_400 }), "id_token_expired"),
        (json!({ "exp": -1 }), "id_token_expired"),
        (json!({ "exp": NOW_S as f64 + 300.5 }), "ok"),
        (json!({ "exp": (NOW_S + 300).to_string() }), "id_token_claims"),
        (json!({ "exp": null }), "id_token_claims"),
        // Since when.
        (json!({ "iat": NOW_S + LEEWAY_S }), "ok"),
        (json!({ "iat": NOW_S + LEEWAY_S + 1 }), "id_token_not_yet"),
        (json!({ "iat": NOW_S - AGE_MS_MAX / 1000 }), "ok"),
        (json!({ "iat": NOW_S - AGE_MS_MAX / 1000 - 1 }), "id_token_old"),
        (json!({ "iat": "now" }), "id_token_claims"),
        (json!({ "iat": null }), "id_token_claims"),
        (json!({ "nbf": NOW_S + LEEWAY_S }), "ok"),
        (json!({ "nbf": NOW_S + LEEWAY_S + 1 }), "id_token_not_yet"),
        (json!({ "nbf": 1e300 }), "id_token_not_yet"),
        (json!({ "nbf": [] }), "id_token_claims"),
        (json!({ "session_expiry": NOW_S + 60 }), "ok"),
        (json!({ "session_expiry": NOW_S }), "id_token_expired"),
        (json!({ "session_expiry": "never" }), "id_token_claims"),
        // For which sign-in.
        (json!({ "nonce": "other" }), "id_token_nonce"),
        (json!({ "nonce": "" }), "id_token_nonce"),
        (json!({ "nonce": null }), "id_token_nonce"),
        (json!({ "nonce": ["a"] }), "id_token_claims"),
        // About whom.
        (json!({ "sub": null }), "id_token_claims"),
        (json!({ "sub": "" }), "id_token_claims"),
        (json!({ "sub": 1 }), "id_token_claims"),
        (json!({ "sub": "a\nb" }), "id_token_claims"),
        (json!({ "sub": "a".repeat(255) }), "ok"),
        (json!({ "sub": "a".repeat(256) }), "id_token_claims"),
        // With which access token.
        (json!({ "at_hash": null }), "ok"),
        (json!({ "at_hash": "x" }), "id_token_access_token"),
        (json!({ "at_hash": "" }), "id_token_access_token"),
        (json!({ "at_hash": 7 }), "id_token_claims"),
    ] {
        world.provider().claims = claims.clone();
        assert_eq!(world.verdict().await, expected, "{claims}");
    }
}

#[tokio::test]
async fn a_hash_of_no_access_token_is_refused() {
    let world = World::new().await;
    world.provider().tokens = json!({ "access_token": null });
    assert_eq!(world.verdict().await, "id_token_access_token");
    world.provider().claims = json!({ "at_hash": null });
    assert_eq!(world.verdict().await, "ok");
}

#[tokio::test]
async fn each_algorithm_is_accepted_with_its_own_kind_of_key() {
    for (algorithm, signer) in [
        ("ES256", Signer::ec()),
        ("EdDSA", Signer::ed()),
        ("RS256", Signer::rsa()),
        ("PS256", Signer::rsa()),
    ] {
        let mut world = World::new().await;
        world.provider().sign_with(algorithm, signer);
        assert_eq!(world.verdict().await, "ok", "{algorithm}");
        // Only where the provider says that it uses it.
        let others =
            ["RS256", "ES256"].map(|other| if other == algorithm { "PS256" } else { other });
        world.provider().document["id_token_signing_alg_values_supported"] = json!(others);
        world.forget();
        let expected = if others.contains(&algorithm) { "ok" } else { "id_token_algorithm" };
        assert_eq!(world.verdict().await, expected, "{algorithm}");
        // And where the key does not say that it is for another one.
        world.provider().document["id_token_signing_alg_values_supported"] =
            json!(["RS256", "ES256", "PS256", "EdDSA"]);
        world.provider().jwks["keys"][0]["alg"] = json!("RS512");
        world.forget();
        assert_eq!(world.verdict().await, "id_token_key", "{algorithm}");
    }
}

/// A token whose header names `alg`, with a signature that `sign` makes.
fn forged(alg: Value, sign: impl Fn(&Provider, &str) -> Vec<u8> + Send + 'static) -> Forging {
    Box::new(move |provider, claims| {
        let header = json!({ "alg": alg, "kid": KID, "typ": "JWT" });
        let text = unsigned(&header.to_string(), &claims.to_string());
        let signature = sign(provider, &text);
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    })
}

type Forging = Box<dyn Fn(&Provider, Value) -> String + Send>;

#[tokio::test]
async fn nothing_but_the_providers_own_signature_is_one() {
    let world = World::new().await;
    world.provider().sign_with("RS256", Signer::rsa());
    assert_eq!(world.verdict().await, "ok");
    let pem = |der: &[u8]| {
        let text = STANDARD.encode(der);
        format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n").into_bytes()
    };
    let none = |_: &Provider, _: &str| Vec::new();
    let right = |provider: &Provider, text: &str| provider.signer.sign("RS256", text);
    let mut forgings: Vec<(&str, Forging, &str)> = Vec::new();
    for alg in ["none", "None", "NONE", "nOnE", "none ", "", "null", "NoNe"] {
        forgings.push((alg, forged(json!(alg), none), "id_token_algorithm"));
        forgings.push((alg, forged(json!(alg), right), "id_token_algorithm"));
    }
    let secret = |_: &Provider, text: &str| hs256(CLIENT_SECRET.as_bytes(), text);
    let public = |provider: &Provider, text: &str| hs256(&provider.signer.public_der(), text);
    let as_pem =
        move |provider: &Provider, text: &str| hs256(&pem(&provider.signer.public_der()), text);
    forgings.push(("secret", forged(json!("HS256"), secret), "id_token_algorithm"));
    forgings.push(("public", forged(json!("HS256"), public), "id_token_algorithm"));
    forgings.push(("PEM", forged(json!("HS256"), as_pem), "id_token_algorithm"));
    forgings.push((
        "empty",
        forged(json!("HS256"), |_, text| hs256(b"", text)),
        "id_token_algorithm",
    ));
    let rs512 = |provider: &Provider, text: &str| provider.signer.sign("RS512", text);
    forgings.push(("RS512", forged(json!("RS512"), rs512), "id_token_algorithm"));
    forgings.push(("rs256", forged(json!("rs256"), right), "id_token_algorithm"));
    forgings.push(("list", forged(json!(["RS256"]), right), "id_token_malformed"));
    forgings.push(("number", forged(json!(256), right), "id_token_malformed"));
    // Another algorithm of the same key, another kind of key, another key, no signature at all.
    forgings.push(("PSS", forged(json!("PS256"), right), "id_token_signature"));
    forgings.push(("512", forged(json!("RS256"), rs512), "id_token_signature"));
    forgings.push(("EC", forged(json!("ES256"), right), "id_token_key"));
    forgings.push(("psychic", forged(json!("ES256"), |_, _| vec![0; 64]), "id_token_key"));
    let other = Signer::rsa();
    let others = move |_: &Provider, text: &str| other.sign("RS256", text);
    forgings.push(("other", forged(json!("RS256"), others), "id_token_signature"));
    forgings.push(("without", forged(json!("RS256"), none), "id_token_signature"));
    forgings.push(("zero", forged(json!("RS256"), |_, _| vec![0; 256]), "id_token_signature"));
    for (what, forging, expected) in forgings {
        world.provider().forging = Some(forging);
        assert_eq!(world.verdict().await, expected, "{what}");
    }
    world.provider().forging = None;
    assert_eq!(world.verdict().await, "ok");
}

#[tokio::test]
async fn an_empty_signature_of_a_curve_is_none() {
    let world = World::new().await;
    for zero in [vec![], vec![0; 64], vec![0xff; 64], vec![0; 63]] {
        world.provider().forging = Some(forged(json!("ES256"), move |_, _| zero.clone()));
        assert_eq!(world.verdict().await, "id_token_signature");
    }
}

#[tokio::test]
async fn a_header_says_which_key_and_nothing_more() {
    let world = World::new().await;
    let stranger = Signer::ec().jwk(KID);
    for (extra, expected) in [
        (json!({}), "ok"),
        (json!({ "typ": "jwt" }), "ok"),
        (json!({ "typ": null }), "ok"),
        (json!({ "x5t": "abc" }), "ok"),
        (json!({ "typ": "at+jwt" }), "id_token_header"),
        (json!({ "typ": "logout+jwt" }), "id_token_header"),
        (json!({ "typ": "dpop+jwt" }), "id_token_header"),
        (json!({ "crit": ["exp"] }), "id_token_header"),
        (json!({ "crit": [] }), "id_token_header"),
        (json!({ "b64": false }), "id_token_header"),
        (json!({ "jwk": stranger }), "id_token_header"),
        (json!({ "jku": "https://evil.example.org/jwks" }), "id_token_header"),
        (json!({ "x5u": "https://evil.example.org/x5u" }), "id_token_header"),
        (json!({ "x5c": ["AAAA"] }), "id_token_header"),
        (json!({ "kid": { "a": 1 } }), "id_token_malformed"),
        (json!({ "kid": 1 }), "id_token_malformed"),
        (json!({ "kid": "" }), "id_token_key"),
        (json!({ "kid": "../../etc/passwd" }), "id_token_key"),
        (json!({ "kid": "k1\u{0}" }), "id_token_key"),
        (json!({ "kid": "' OR 1=1 --" }), "id_token_key"),
        (json!({ "kid": null }), "ok"), // there is but one key
    ] {
        let mut header = json!({ "alg": "ES256", "kid": KID });
        for (name, value) in extra.as_object().unwrap() {
            header[name] = value.clone();
        }
        world.provider().header = header;
        assert_eq!(world.verdict().await, expected, "{extra}");
    }
    let huge = json!({ "alg": "ES256", "kid": "k".repeat(1 << 20) });
    world.provider().header = huge;
    assert_eq!(world.verdict().await, "answer_too_large");
}

#[tokio::test]
async fn a_token_has_one_form() {
    let world = World::new().await;
    type Change = fn(&str, &str, &str) -> String;
    let changes: [(&str, Change, &str); 14] = [
        ("as it is", |h, c, s| format!("{h}.{c}.{s}"), "ok"),
        ("two parts", |h, c, _| format!("{h}.{c}"), "id_token_malformed"),
        ("four parts", |h, c, s| format!("{h}.{c}.{s}."), "id_token_malformed"),
        ("encrypted", |h, c, s| format!("{h}.{c}.{s}.{s}.{s}"), "id_token_malformed"),
        ("padded", |h, c, s| format!("{h}=.{c}.{s}"), "id_token_malformed"),
        ("no header", |_, c, s| format!(".{c}.{s}"), "id_token_malformed"),
        ("no claims", |h, _, s| format!("{h}..{s}"), "id_token_signature"),
        ("no signature", |h, c, _| format!("{h}.{c}."), "id_token_signature"),
        ("a space", |h, c, s| format!(" {h}.{c}.{s}"), "id_token_malformed"),
        ("empty", |_, _, _| String::new(), "id_token_malformed"),
        ("dots", |_, _, _| "..".to_owned(), "id_token_malformed"),
        ("swapped", |h, c, s| format!("{c}.{h}.{s}"), "id_token_malformed"),
        ("cut", |h, c, s| format!("{h}.{c}.{}", &s[..s.len() - 2]), "id_token_signature"),
        ("large", |h, c, s| format!("{h}.{c}{}.{s}", "A".repeat(65_536)), "id_token_malformed"),
    ];
    for (what, change, expected) in changes {
        world.provider().forging = Some(Box::new(move |provider, claims| {
            let token = provider.sign(&provider.header.to_string(), &claims.to_string());
            let mut parts = token.split('.');
            let mut part = || parts.next().unwrap();
            change(part(), part(), part())
        }));
        assert_eq!(world.verdict().await, expected, "{what}");
    }
    // Claims that say a thing twice, or are no object; rightly signed.
    type Rewrite = fn(String) -> String;
    let rewrites: [(Rewrite, &str); 6] = [
        (|claims| claims, "ok"),
        (|claims| claims.replacen('{', r#"{"sub":"admin","#, 1), "id_token_claims"),
        (|claims| format!("[{claims}]"), "id_token_claims"),
        (|claims| format!("{claims}x"), "id_token_claims"),
        (|_| "null".to_owned(), "id_token_claims"),
        (
            |claims| claims.replacen('{', &format!(r#"{{"x":{}"#, "[".repeat(10_000)), 1),
            "id_token_claims",
        ),
    ];
    for (rewrite, expected) in rewrites {
        world.provider().forging = Some(Box::new(move |provider, claims| {
            provider.sign(&provider.header.to_string(), &rewrite(claims.to_string()))
        }));
        assert_eq!(world.verdict().await, expected, "{:.60}", rewrite(String::new()));
    }
    let twice = r#"{"alg":"none","alg":"ES256","kid":"k1"}"#;
    world.provider().forging =
        Some(Box::new(|provider, claims| provider.sign(twice, &claims.to_string())));
    assert_eq!(world.verdict().await, "id_token_malformed");
}

#[tokio::test]
async fn keys_that_change_are_fetched_anew_once_a_minute() {
    let mut world = World::new().await;
    assert_eq!(world.verdict().await, "ok");
    assert_eq!(world.provider().asked("/jwks"), 1);
    // The provider signs with a new key, which it publishes.
    {
        let mut provider = world.provider();
        let old = provider.jwks["keys"][0].clone();
        provider.signer = Signer::ec();
        provider.header["kid"] = json!("k2");
        provider.jwks = json!({ "keys": [old, provider.signer.jwk("k2")] });
    }
    for _ in 0..3 {
        let error = world.sign_in().await.unwrap_err();
        assert_eq!((error.code(), error.is_transient()), ("id_token_key", true));
    }
    assert_eq!(world.provider().asked("/jwks"), 0, "a minute has not passed");
    world.pass(59_999);
    assert_eq!(world.verdict().await, "id_token_key");
    assert_eq!(world.provider().asked("/jwks"), 0);
    world.pass(1);
    assert_eq!(world.verdict().await, "ok");
    assert_eq!(world.provider().asked("/jwks"), 1);
    // Whoever makes up names of keys makes nobody ask more than once a minute.
    world.provider().header["kid"] = json!("made-up");
    for (ms, expected) in [(0, 0), (30_000, 0), (30_000, 1), (59_999, 0), (1, 1)] {
        world.pass(ms);
        for _ in 0..5 {
            assert_eq!(world.verdict().await, "id_token_key");
        }
        assert_eq!(world.provider().asked("/jwks"), expected, "after {ms} more");
    }
    // While one that is known needs no asking.
    world.provider().header["kid"] = json!("k2");
    assert_eq!(world.verdict().await, "ok");
    assert_eq!(world.provider().asked("/jwks"), 0);
    // Another key under the same name, and one without a name.
    for header in [json!({ "alg": "ES256", "kid": "k2" }), json!({ "alg": "ES256" })] {
        {
            let mut provider = world.provider();
            provider.signer = Signer::ec();
            provider.jwks = json!({ "keys": [provider.signer.jwk("k2")] });
            provider.header = header;
        }
        world.pass(59_999);
        assert_eq!(world.verdict().await, "id_token_signature");
        assert_eq!(world.provider().asked("/jwks"), 0, "a minute has not passed");
        world.pass(1);
        assert_eq!(world.verdict().await, "ok");
        assert_eq!(world.provider().asked("/jwks"), 1);
    }
}

#[tokio::test]
async fn a_key_that_is_withdrawn_is_accepted_for_ten_minutes_at_most() {
    let mut world = World::new().await;
    assert_eq!(world.verdict().await, "ok");
    world.provider().jwks = json!({ "keys": [Signer::ec().jwk("k9")] });
    assert_eq!(world.verdict().await, "ok");
    world.pass(10 * 60_000);
    assert_eq!(world.verdict().await, "id_token_key");
}

#[tokio::test]
async fn where_several_keys_could_be_meant_the_token_names_one() {
    let world = World::new().await;
    {
        let mut provider = world.provider();
        let own = provider.jwks["keys"][0].clone();
        provider.jwks = json!({ "keys": [Signer::ec().jwk("k0"), own, Signer::ed().jwk("k2")] });
        provider.header = json!({ "alg": "ES256" });
    }
    assert_eq!(world.verdict().await, "id_token_key");
    world.provider().header = json!({ "alg": "ES256", "kid": KID });
    assert_eq!(world.verdict().await, "ok");
    world.provider().header = json!({ "alg": "ES256", "kid": "k0" });
    assert_eq!(world.verdict().await, "id_token_signature");
}
