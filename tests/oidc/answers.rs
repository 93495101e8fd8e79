//! Providers that are down, slow, broken or not who they say: each fails a sign-in and nothing else.

use crate::site::Reply;
use crate::wire::PUBLIC;
use crate::world::{ISSUER, World};
use emx::identity::oidc::OidcError;
use emx::runtime::outgoing::OutgoingError;
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::time::Duration;

/// What the client asks, in order, each by its path.
const ASKED: [&str; 4] = ["/.well-known/openid-configuration", "/token", "/jwks", "/userinfo"];

/// A provider whose ID token leaves open what user information tells, so that all is asked.
fn has_to_ask(world: &World) {
    world.provider().claims = json!({ "groups": null });
}

fn html() -> Reply {
    Reply::new(200, &[("Content-Type", "text/html")], "<html>Sign in to the hotel's network</html>")
}

#[tokio::test]
async fn each_bad_answer_fails_that_sign_in_alone() {
    let text = |body: &str| Reply::new(200, &[("Content-Type", "application/json")], body);
    let large = text(&format!("{{\"a\":\"{}\"}}", "x".repeat(10 << 20)));
    let cut = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{";
    let elsewhere = [("Location", "http://169.254.169.254/")];
    for path in ASKED {
        for (what, reply, expected, is_transient) in [
            ("500", Reply::new(500, &[], ""), "provider_failed", true),
            ("503", Reply::new(503, &[], "x"), "provider_failed", true),
            ("429", Reply::new(429, &[], ""), "provider_failed", true),
            ("404", Reply::new(404, &[], ""), "provider_failed", false),
            ("204", Reply::new(204, &[], ""), "provider_failed", false),
            ("302", Reply::new(302, &elsewhere, ""), "redirect_refused", false),
            ("10 MB", large.clone(), "answer_too_large", false),
            ("endless", Reply::endless(), "answer_too_large", false),
            ("cut", Reply::Bytes(cut.to_vec()), "answer_broken", true),
            ("closed", Reply::Bytes(Vec::new()), "answer_broken", true),
            ("html", html(), "provider_answer_invalid", false),
            ("no type", Reply::new(200, &[], "{}"), "provider_answer_invalid", false),
            ("array", text("[]"), "provider_answer_invalid", false),
            ("null", text("null"), "provider_answer_invalid", false),
            ("no JSON", text("{"), "provider_answer_invalid", false),
            ("deep", text(&"{\"a\":".repeat(5_000)), "provider_answer_invalid", false),
        ] {
            let mut world = World::new().await;
            has_to_ask(&world);
            world.provider().instead.insert(path, reply);
            let error = world.sign_in().await.unwrap_err();
            let verdict = (error.code(), error.is_transient());
            assert_eq!(verdict, (expected, is_transient), "{path} {what}: {error}");
            world.provider().instead.clear();
            world.pass(5_000);
            assert_eq!(world.verdict().await, "ok", "{path} {what}");
        }
    }
}

#[tokio::test]
async fn no_answer_is_waited_for_without_end() {
    for path in ASKED {
        let mut world = World::impatient().await;
        has_to_ask(&world);
        world.provider().instead.insert(path, Reply::Stuck(b"HTTP/1.1 200 OK\r\n".to_vec()));
        assert_eq!(world.verdict().await, "answer_slow", "{path}");
        world.provider().instead.clear();
        world.pass(5_000);
        assert_eq!(world.verdict().await, "ok", "{path}");
    }
}

#[tokio::test]
async fn a_provider_that_is_down_is_an_error_of_its_own_sign_ins() {
    let mut world = World::new().await;
    let mut others = world.settings.clone();
    others.issuer = "https://down.example.org".to_owned();
    assert_eq!(world.client.check(&others).await.unwrap_err().code(), "name_unresolved");
    world.wire.name("down.example.org", &[&["198.41.0.99"]]);
    world.client.check(&others).await.unwrap();
    let error = world.client.start(&others, &world.clock).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("connect_failed", true));
    assert_eq!(world.verdict().await, "ok");
    // It comes back, and is asked again a moment later.
    world.wire.connected();
    assert!(world.client.start(&others, &world.clock).await.is_err());
    assert!(world.wire.connected().is_empty(), "it is left alone for a moment");
    world.pass(5_000);
    assert!(world.client.start(&others, &world.clock).await.is_err());
    assert_eq!(world.wire.connected(), ["198.41.0.99:443"]);
}

#[tokio::test]
async fn many_who_sign_in_at_once_ask_once() {
    const MANY: usize = 50;
    let mut world = World::new().await;
    for outcome in join_all((0..MANY).map(|_| world.start())).await {
        assert!(outcome.is_ok());
    }
    assert_eq!(world.provider().asked(ASKED[0]), 1);
    // Where it fails, those who wait are told what the first was told.
    world.forget();
    world.provider().instead.insert(ASKED[0], Reply::new(503, &[], ""));
    for outcome in join_all((0..MANY).map(|_| world.start())).await {
        assert_eq!(outcome.unwrap_err().code(), "provider_failed");
    }
    assert_eq!(world.provider().asked(ASKED[0]), 1);
}

#[tokio::test]
async fn what_the_provider_says_of_a_code_is_not_repeated() {
    let world = World::new().await;
    for (said, told) in [
        (json!({ "error": "invalid_grant", "error_description": "<b>" }), "invalid_grant"),
        (json!({ "error": "<script>" }), "unknown_error"),
    ] {
        world.provider().instead.insert("/token", Reply::json(400, &said));
        let error = world.sign_in().await.unwrap_err();
        assert_eq!(error, OidcError::Exchange { reason: told });
        assert!(!error.to_string().contains('<'));
    }
    for tokens in [
        json!({ "id_token": null }),
        json!({ "id_token": 7 }),
        json!({ "id_token": ["a.b.c"] }),
        json!({ "access_token": {} }),
    ] {
        world.provider().instead.clear();
        world.provider().tokens = tokens.clone();
        assert_eq!(world.verdict().await, "provider_answer_invalid", "{tokens}");
    }
}

#[tokio::test]
async fn a_discovery_document_speaks_for_its_issuer_alone() {
    for (field, value, expected) in [
        ("issuer", json!("https://evil.example.org"), "discovery_invalid"),
        ("issuer", json!("https://idp.example.org/"), "discovery_invalid"),
        ("issuer", json!("https://IDP.example.org"), "discovery_invalid"),
        ("issuer", json!("https://idp.example.org:443"), "discovery_invalid"),
        ("issuer", json!("http://idp.example.org"), "discovery_invalid"),
        ("issuer", json!("https://idp.example.org/{tenantid}/v2.0"), "discovery_invalid"),
        ("issuer", json!(["https://idp.example.org"]), "provider_answer_invalid"),
        ("issuer", Value::Null, "provider_answer_invalid"),
        ("token_endpoint", Value::Null, "provider_answer_invalid"),
        ("token_endpoint", json!("http://idp.example.org/token"), "url_not_https"),
        ("token_endpoint", json!("https://169.254.169.254/token"), "address_refused"),
        ("token_endpoint", json!("https://127.0.0.1/token"), "address_refused"),
        ("token_endpoint", json!("https://127.1/token"), "url_invalid"),
        ("token_endpoint", json!("https://idp.example.org:6379/"), "port_refused"),
        ("token_endpoint", json!("https://a@idp.example.org/"), "url_invalid"),
        ("jwks_uri", Value::Null, "provider_answer_invalid"),
        ("jwks_uri", json!("http://idp.example.org/jwks"), "url_not_https"),
        ("jwks_uri", json!("file:///etc/passwd"), "url_invalid"),
        ("jwks_uri", json!("https://[::ffff:127.0.0.1]/jwks"), "address_refused"),
        ("userinfo_endpoint", json!("http://idp.example.org/userinfo"), "url_not_https"),
        ("userinfo_endpoint", json!("https://10.0.0.1/"), "address_refused"),
        ("authorization_endpoint", Value::Null, "provider_answer_invalid"),
        ("authorization_endpoint", json!("http://idp.example.org/a"), "discovery_invalid"),
        ("authorization_endpoint", json!("javascript:alert(1)"), "discovery_invalid"),
        ("authorization_endpoint", json!("https://idp.example.org/#a"), "discovery_invalid"),
        ("response_types_supported", json!(["id_token"]), "discovery_invalid"),
        ("code_challenge_methods_supported", json!(["plain"]), "discovery_invalid"),
        ("code_challenge_methods_supported", json!([]), "discovery_invalid"),
        ("id_token_signing_alg_values_supported", json!(["HS256", "none"]), "discovery_invalid"),
        ("id_token_signing_alg_values_supported", json!([]), "discovery_invalid"),
        ("userinfo_endpoint", Value::Null, "ok"),
        ("code_challenge_methods_supported", Value::Null, "ok"),
        ("response_types_supported", Value::Null, "ok"),
        ("what_nobody_knows", json!({ "a": [1] }), "ok"),
    ] {
        let world = World::new().await;
        world.provider().document[field] = value.clone();
        assert_eq!(world.verdict().await, expected, "{field} {value}");
        if expected != "ok" {
            assert_eq!(world.provider().asked("/token"), 0, "{field} {value}");
        }
        let reached = world.wire.connected();
        assert!(reached.iter().all(|address| *address == format!("{PUBLIC}:443")), "{reached:?}");
    }
}

#[tokio::test]
async fn an_endpoint_whose_name_leads_inside_is_asked_nothing() {
    for field in ["token_endpoint", "jwks_uri", "userinfo_endpoint"] {
        let world = World::new().await;
        has_to_ask(&world);
        world.wire.name("inside.example.org", &[&["10.0.0.1"]]);
        world.provider().document[field] = json!("https://inside.example.org/x");
        assert_eq!(world.verdict().await, "address_refused", "{field}");
        assert!(world.wire.connected().iter().all(|address| address.starts_with(PUBLIC)));
    }
}

#[tokio::test]
async fn a_name_that_leads_inside_later_is_asked_nothing() {
    let mut world = World::new().await;
    world.client.check(&world.settings).await.unwrap();
    assert_eq!(world.verdict().await, "ok");
    world.wire.name("idp.example.org", &[&["127.0.0.1"]]);
    world.wire.connected();
    let error = world.sign_in().await.unwrap_err();
    let OidcError::Outgoing { source: OutgoingError::Address { can_be_opened, .. }, .. } = error
    else {
        panic!("{error:?}");
    };
    assert!(can_be_opened);
    world.pass(10 * 60_000);
    assert_eq!(world.verdict().await, "address_refused");
    assert!(world.wire.connected().is_empty());
    assert_eq!(world.settings.issuer, ISSUER);
}

#[tokio::test]
async fn key_sets_are_read_as_far_as_they_are_of_use() {
    let world = World::new().await;
    let own = world.provider().jwks["keys"][0].clone();
    world.provider().jwks =
        json!({ "keys": [7, null, { "kty": "AKP" }, { "kty": "oct", "k": "AA" }, own] });
    assert_eq!(world.verdict().await, "ok");
    for (jwks, expected) in [
        (json!({}), "provider_answer_invalid"),
        (json!({ "keys": {} }), "provider_answer_invalid"),
        (json!({ "keys": [] }), "id_token_key"),
    ] {
        let world = World::new().await;
        world.provider().jwks = jwks.clone();
        assert_eq!(world.verdict().await, expected, "{jwks}");
    }
}

#[tokio::test]
async fn those_who_waited_for_a_slow_provider_do_not_ask_it_one_after_the_other() {
    const ASKED: &str = "/.well-known/openid-configuration";
    let mut world = World::new().await;
    // Longer than a failure is remembered, counted from when it was begun.
    let slow = (ASKED, world.clock.clone(), Duration::from_secs(20));
    world.provider().slow = Some(slow);
    world.provider().instead.insert(ASKED, Reply::new(503, &[], ""));
    let all = join_all((0..8).map(|_| world.start())).await;
    assert!(all.iter().all(|started| started.as_ref().unwrap_err().code() == "provider_failed"));
    assert_eq!(world.provider().asked(ASKED), 1);
    // It is left alone for a moment from then on, and asked anew after that.
    assert!(world.start().await.is_err());
    assert_eq!(world.provider().asked(ASKED), 0);
    world.provider().instead.clear();
    world.pass(5_000);
    assert_eq!(world.verdict().await, "ok");
}

#[tokio::test]
async fn what_a_provider_takes_its_time_for_is_judged_by_the_time_when_it_is_there() {
    for path in ["/token", "/.well-known/openid-configuration"] {
        let mut world = World::new().await;
        let started = world.start().await.unwrap();
        let callback = world.provider().authorize(&started.url);
        world.pass(600_000); // so that all is asked for anew
        // Longer than clocks may differ: the token is made after that.
        world.provider().slow = Some((path, world.clock.clone(), Duration::from_secs(600)));
        world.finish(&started, &callback).await.unwrap();
    }
}
