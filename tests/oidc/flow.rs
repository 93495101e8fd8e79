//! The flow: what is asked, what must come back, and what is kept in between.

use crate::provider::{CLIENT_ID, CLIENT_SECRET};
use crate::world::{ISSUER, NOW_MS, World};
use emx::identity::oidc::{External, OidcError, Started};
use serde_json::json;
use std::collections::HashSet;

#[tokio::test]
async fn whoever_signs_in_is_known() {
    let world = World::new().await;
    let expected = External {
        issuer: ISSUER.to_owned(),
        subject: "person-1".to_owned(),
        email: Some("you@example.org".to_owned()),
        email_verified: true,
        groups: vec!["staff".to_owned(), "builders".to_owned()],
        until_ms: None,
    };
    assert_eq!(world.sign_in().await, Ok(expected.clone()));
    assert_eq!(world.sign_in().await, Ok(expected));
    let mut provider = world.provider();
    assert_eq!(provider.asked("/openid-configuration"), 1, "it is remembered");
    assert_eq!(provider.asked("/jwks"), 1, "they are remembered");
    assert_eq!(provider.asked("/token"), 2);
    assert_eq!(provider.came.len(), 0, "nothing else is asked: the ID token says all");
}

#[tokio::test]
async fn what_is_kept_is_no_more_than_what_must_come_back() {
    let world = World::new().await;
    let started = world.start().await.unwrap();
    assert!(!format!("{started:?} {:?}", world.settings).contains(&started.verifier));
    assert!(!format!("{:?}", world.settings).contains(CLIENT_SECRET));
    let kept = serde_json::to_string(&started).unwrap();
    let again: Started = serde_json::from_str(&kept).unwrap();
    assert_eq!(again, Started { url: String::new(), ..started.clone() });
    let secrets = [&started.state, &started.nonce, &started.verifier];
    assert_eq!(secrets.iter().collect::<HashSet<_>>().len(), 3);
    assert!(!started.url.contains(&started.verifier), "the provider sees its hash alone");
    let callback = world.provider().authorize(&started.url);
    assert!(world.finish(&again, &callback).await.is_ok());
    // Settings are stored without the secret.
    let stored = serde_json::to_string(&world.settings).unwrap();
    assert!(stored.contains(CLIENT_ID) && !stored.contains("s3cret"), "{stored}");
}

#[tokio::test]
async fn an_answer_belongs_to_the_sign_in_that_asked() {
    let world = World::new().await;
    let (one, other) = (world.start().await.unwrap(), world.start().await.unwrap());
    let right = world.provider().authorize(&one.url);
    let others = world.provider().authorize(&other.url);
    world.provider().came.clear();
    for state in ["", "x", &others.state, &right.state[..42], &format!("{}A", right.state)] {
        let mut callback = right.clone();
        state.clone_into(&mut callback.state);
        assert_eq!(world.finish(&one, &callback).await, Err(OidcError::State), "{state}");
    }
    assert!(world.provider().came.is_empty(), "nothing is asked before");
    // Another's code with one's own state: PKCE refuses.
    let mut injected = right.clone();
    injected.code = others.code;
    let error = world.finish(&one, &injected).await.unwrap_err();
    assert_eq!(error, OidcError::Exchange { reason: "invalid_grant" });
    // Two at the same time, in two windows, go well.
    let third = world.start().await.unwrap();
    let callback = world.provider().authorize(&third.url);
    assert!(world.finish(&one, &right).await.is_ok());
    assert!(world.finish(&third, &callback).await.is_ok());
    // A code is good for one time.
    assert_eq!(world.finish(&one, &right).await.unwrap_err().code(), "code_refused");
}

#[tokio::test]
async fn a_code_is_exchanged_only_by_whoever_began() {
    let world = World::new().await;
    let started = world.start().await.unwrap();
    let callback = world.provider().authorize(&started.url);
    let stolen = Started { verifier: "x".repeat(43), ..started.clone() };
    assert_eq!(world.finish(&stolen, &callback).await.unwrap_err().code(), "code_refused");
    for code in ["", &"x".repeat(5_000)] {
        let mut callback = callback.clone();
        code.clone_into(&mut callback.code);
        world.provider().came.clear();
        assert_eq!(world.finish(&started, &callback).await.unwrap_err().code(), "code_refused");
        assert!(world.provider().came.is_empty());
    }
}

#[tokio::test]
async fn an_answer_of_another_provider_is_refused_before_its_code_is_sent() {
    let mut world = World::new().await;
    for (iss, advertised, expected) in [
        (Some(ISSUER), true, "ok"),
        (None, true, "issuer_mismatch"),
        (Some("https://evil.example.org"), true, "issuer_mismatch"),
        (Some("https://idp.example.org/"), true, "issuer_mismatch"),
        (Some(""), true, "issuer_mismatch"),
        (Some(ISSUER), false, "ok"),
        (None, false, "ok"),
        (Some("https://evil.example.org"), false, "issuer_mismatch"),
    ] {
        let flag = "authorization_response_iss_parameter_supported";
        world.provider().document[flag] = json!(advertised);
        world.forget();
        let started = world.start().await.unwrap();
        let mut callback = world.provider().authorize(&started.url);
        callback.iss = iss.map(str::to_owned);
        world.provider().came.clear();
        let verdict = world.finish(&started, &callback).await;
        let verdict = verdict.map_or_else(|error| error.code(), |_| "ok");
        assert_eq!(verdict, expected, "{iss:?} {advertised}");
        assert_eq!(world.provider().asked("/token"), usize::from(expected == "ok"));
    }
}

#[tokio::test]
async fn each_way_to_show_who_asks_is_known() {
    let mut world = World::new().await;
    let methods = "token_endpoint_auth_methods_supported";
    for (ways, expected) in [
        (json!(["client_secret_basic", "client_secret_post"]), "ok"),
        (json!(["client_secret_post"]), "ok"),
        (json!(["private_key_jwt", "tls_client_auth"]), "discovery_invalid"),
    ] {
        world.provider().document[methods] = ways.clone();
        world.forget();
        assert_eq!(world.verdict().await, expected, "{ways}");
    }
    world.provider().document[methods] = json!(["client_secret_basic"]);
    world.forget();
    world.settings.client_secret = Some("wrong".to_owned());
    let error = world.sign_in().await.unwrap_err();
    assert_eq!(error, OidcError::Exchange { reason: "invalid_client" });
    // A client without a secret has PKCE alone.
    world.settings.client_secret = None;
    world.provider().document[methods] = json!(["none"]);
    world.forget();
    assert_eq!(world.verdict().await, "ok");
}

#[tokio::test]
async fn an_endpoint_keeps_its_query() {
    let world = World::new().await;
    world.provider().document["authorization_endpoint"] = json!("https://idp.example.org/a?p=1");
    let started = world.start().await.unwrap();
    assert!(started.url.starts_with("https://idp.example.org/a?p=1&response_type=code&"));
}

#[test]
fn what_a_provider_says_instead_of_a_code_is_not_repeated() {
    for (said, told) in [
        ("access_denied", "access_denied"),
        ("login_required", "login_required"),
        ("temporarily_unavailable", "temporarily_unavailable"),
        ("<script>alert(1)</script>", "unknown_error"),
        ("access_denied\r\n", "unknown_error"),
        ("", "unknown_error"),
    ] {
        let error = OidcError::denied(said);
        assert_eq!(error, OidcError::Denied { reason: told });
        assert_eq!(error.code(), "sign_in_denied");
        assert!(error.to_string().contains(told) && !error.to_string().contains('<'));
    }
}

#[tokio::test]
async fn time_is_what_whoever_calls_says() {
    let mut world = World::new().await;
    assert_eq!(world.verdict().await, "ok");
    // The clock is set back and forth: what is remembered is old, and nothing else happens.
    for now_ms in [0, NOW_MS * 2, i64::MAX / 1_001, NOW_MS] {
        world.set(now_ms);
        assert_eq!(world.verdict().await, "ok", "{now_ms}");
    }
}
