//! Access tokens that must not be believed, over HTTP: each is refused with its exact status and code,
//! by a plain request and by a handshake for a WebSocket, and the connection goes on.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "identity/hostile.rs"]
mod hostile;
#[path = "support/peer.rs"]
mod peer;
#[path = "support/server.rs"]
mod server;
#[path = "identity/world.rs"]
mod world;

use hostile::{Row, rows};
use peer::{Ask, Peer};
use serde_json::{Value, json};
use server::Server;
use std::path::PathBuf;
use world::{EMAIL, Forger, NOW_MS, PASSWORD, World};

const ME: &str = "/api/v1/auth/me";

/// `acme.metrics.test` is a tenant's host.
const BASE_DOMAIN: &str = "metrics.test";

/// A server whose signing key a thief has, and a token of an owner of `acme`.
struct Scene {
    server: Server,
    good: String,
    refresh: String,
    thief: Forger,
    _dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let world = World::new();
        let thief = Forger::of(&world, &world.sign_in(NOW_MS).access_token);
        let (dir, data_dir): (_, PathBuf) = world.closed();
        let settings =
            [("EMX_SERVER__BASE_DOMAIN", BASE_DOMAIN), ("EMX_SECURITY__SIGNING_KEY_TIME", "0s")];
        let server = Server::start_with(&data_dir, &settings);
        let body = json!({ "tenant": "acme", "email": EMAIL, "password": PASSWORD }).to_string();
        let told = server.ask(&Ask::post("/api/v1/auth/login").json(&body)).json();
        let text = |name: &str| told[name].as_str().unwrap().to_owned();
        let (good, refresh) = (text("access_token"), text("refresh_token"));
        let thief = thief.imitating(&good);
        Self { server, good, refresh, thief, _dir: dir }
    }
}

/// Whether it can stand in a header as it is.
fn can_be_sent(row: &Row) -> bool {
    const HEADER_BYTES_MAX: usize = 16 << 10;
    let token = &row.token;
    let visible = token.bytes().all(|b| (0x20..0x7f).contains(&b)) && token.trim() == token;
    visible && !token.is_empty() && token.len() <= HEADER_BYTES_MAX && !token.starts_with("emx_")
}

fn watch(ask: Ask) -> Ask {
    ask.header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
}

#[track_caller]
fn check(peer: &mut Peer, name: &str, ask: &Ask, status: u16, code: &str) {
    let answer = peer.ask(ask).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{name}: {answer:?}");
}

#[test]
fn what_is_hostile_is_nobody_and_the_connection_goes_on() {
    let scene = Scene::new();
    let elsewhere = World::new();
    let foreign = elsewhere.sign_in(NOW_MS).access_token;
    let stranger = Forger::of(&elsewhere, &foreign);
    let jwks = scene.server.ask(&Ask::get("/.well-known/jwks.json")).json();
    let jwk: Value = jwks["keys"][0].clone();
    let mut peer = scene.server.connect();
    let ticket = peer.ask(&Ask::post("/api/v1/ws/ticket").bearer(&scene.good)).unwrap().json();
    let rows = rows(&hostile::Scene {
        forger: &scene.thief,
        good: &scene.good,
        stranger: &stranger,
        foreign: &foreign,
        jwk: &jwk,
        others: &[
            ("a refresh token", &scene.refresh),
            ("a ticket", ticket["ticket"].as_str().unwrap()),
            ("a password", PASSWORD),
        ],
    });
    let sent: Vec<&Row> = rows.iter().filter(|row| can_be_sent(row)).collect();
    assert!(sent.len() >= 400, "{}", sent.len());
    for row in &sent {
        let code = row.outcome.code();
        check(&mut peer, &row.name, &Ask::get(ME).bearer(&row.token), 401, code);
        let watched = watch(Ask::get("/api/v1/ws")).bearer(&row.token);
        check(&mut peer, &row.name, &watched, 401, code);
    }
    check(&mut peer, "the good one", &Ask::get(ME).bearer(&scene.good), 200, "");
    // The thief's own are believed: what was refused was refused for what is wrong with it.
    check(
        &mut peer,
        "a forged one",
        &Ask::get(ME).bearer(&scene.thief.with("jti", json!("x"))),
        200,
        "",
    );
    println!("{} hostile tokens, each twice", sent.len());
    drop(peer);
    scene.server.end();
}

#[test]
fn credentials_and_tenants_that_disagree_are_refused() {
    let scene = Scene::new();
    let (good, bad) = (scene.good.as_str(), "a.b.c");
    let mut peer = scene.server.connect();
    for (one, two) in [(good, good), (good, bad), (bad, good), (bad, bad)] {
        let twice = Ask::get(ME).bearer(one).bearer(two);
        check(&mut peer, "two `Authorization`", &twice, 400, "duplicate_header");
        let both = Ask::get(ME).bearer(one).header("X-Api-Key", two);
        check(&mut peer, "`Authorization` and `X-Api-Key`", &both, 400, "ambiguous_credentials");
        let joined = Ask::get(ME).header("Authorization", &format!("Bearer {one}, Bearer {two}"));
        check(&mut peer, "two in one", &joined, 401, "invalid_token");
    }
    for (scheme, status, code) in [
        ("bearer", 200, ""),
        ("BEARER", 200, ""),
        ("Basic", 401, "invalid_authorization"),
        ("DPoP", 401, "invalid_authorization"),
        ("Bearer:", 401, "invalid_authorization"),
    ] {
        let ask = Ask::get(ME).header("Authorization", &format!("{scheme} {good}"));
        check(&mut peer, scheme, &ask, status, code);
    }
    let hosts = [
        ("localhost", None),
        ("acme.metrics.test", Some(true)),
        ("other.metrics.test", Some(false)),
        ("nobody.metrics.test", Some(false)),
    ];
    let names = [
        (None, None),
        (Some("acme"), Some(true)),
        (Some("other"), Some(false)),
        (Some("nobody"), Some(false)),
        (Some("ACME"), Some(false)),
        (Some(""), Some(false)),
    ];
    for (host, by_host) in hosts {
        for (name, by_name) in names {
            let mut ask = Ask::get(ME).bearer(good).with("Host", host);
            if let Some(name) = name {
                ask = ask.header("X-Tenant", name);
            }
            let agree = by_host != Some(false) && by_name != Some(false);
            let (status, code) = if agree { (200, "") } else { (403, "tenant_mismatch") };
            check(&mut peer, &format!("{host} and {name:?}"), &ask, status, code);
        }
    }
    drop(peer);
    scene.server.end();
}
