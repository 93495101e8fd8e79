//! What is believed of proxies, and of those who only say that they are: the client's address for the
//! throttle, the audit log and bindings, the host for tenants and origins, and whether it was encrypted.

use crate::elsewhere::connect_from;
use crate::peer::{Ask, Peer};
use crate::server::TENANT;
use crate::watch::{handshake, ticket};
use crate::world::{PASSWORD, Session, USER, World, check_at, login, me, refresh};
use serde_json::json;
use std::process::Command;

/// Two that are trusted, and one that is not.
const TRUSTED: &str = "127.0.0.2, 127.0.0.16/28";
const PROXY: &str = "127.0.0.2";
const INNER: &str = "127.0.0.17";
const STRANGER: &str = "127.0.0.32";

const FOR: &str = "X-Forwarded-For";
const HOST: &str = "X-Forwarded-Host";
const PROTO: &str = "X-Forwarded-Proto";

const CLIENT: &str = "198.51.100.7";

fn world(more: &[(&'static str, &'static str)]) -> World {
    World::with(&[&[("EMX_SERVER__TRUSTED_PROXIES", TRUSTED)], more].concat())
}

fn peer(world: &World, address: &str) -> Peer {
    connect_from(&world.server, address)
}

/// The address that the newest session of the user is said to have.
fn address_of(world: &World, session: &Session) -> String {
    let ask = Ask::get("/api/v1/auth/sessions?limit=1").bearer(&session.access);
    let sessions = world.check(&ask, 200, "").json();
    sessions["items"][0]["address"].as_str().unwrap().to_owned()
}

#[test]
fn the_client_is_the_one_that_a_trusted_proxy_names_and_nobody_elses_word_counts() {
    let world = world(&[]);
    let auditor = world.administrator();
    let forged = format!("127.0.0.1, {CLIENT}");
    let chain = format!("10.9.9.9, {CLIENT}, {INNER}");
    type Case<'c> = (&'c str, &'c [(&'c str, &'c str)], &'c str);
    let cases: [Case<'_>; 18] = [
        (PROXY, &[], PROXY),
        (PROXY, &[(FOR, CLIENT)], CLIENT),
        (PROXY, &[(FOR, &*forged)], CLIENT),
        (PROXY, &[(FOR, "127.0.0.1"), (FOR, CLIENT)], CLIENT),
        (PROXY, &[(FOR, &*chain)], CLIENT),
        (PROXY, &[(FOR, "2001:db8::1")], "2001:db8::1"),
        (PROXY, &[(FOR, "[2001:db8::2]:4711")], "2001:db8::2"),
        (PROXY, &[(FOR, "::ffff:198.51.100.9")], "198.51.100.9"),
        (PROXY, &[(FOR, "unknown")], PROXY),
        (INNER, &[(FOR, CLIENT)], CLIENT),
        (PROXY, &[("X-Real-IP", CLIENT)], PROXY),
        (PROXY, &[("Forwarded", "for=198.51.100.7;proto=https")], PROXY),
        (PROXY, &[("True-Client-IP", CLIENT)], PROXY),
        (STRANGER, &[(FOR, CLIENT)], STRANGER),
        (STRANGER, &[(FOR, "127.0.0.1")], STRANGER),
        (STRANGER, &[(FOR, "127.0.0.2")], STRANGER),
        (STRANGER, &[(FOR, &*chain), (HOST, "x"), (PROTO, "http")], STRANGER),
        ("127.0.0.15", &[(FOR, CLIENT)], "127.0.0.15"),
    ];
    for (from, lines, expected) in cases {
        let ask =
            lines.iter().fold(login(USER, PASSWORD), |ask, (name, value)| ask.header(name, value));
        let session = Session::of(&peer(&world, from).ask(&ask).unwrap());
        assert_eq!(address_of(&world, &session), expected, "{from} {lines:?}");
        assert_eq!(told_address(&world, &auditor, &session), expected, "{from} {lines:?}");
    }
    world.server.end();
}

/// The address that the audit log has of the user's newest sign-in.
fn told_address(world: &World, auditor: &Session, session: &Session) -> String {
    let of = format!("actor=user:{}&action=session.begin&limit=1", session.user_id);
    let ask = Ask::get(&format!("/api/v1/audit?{of}")).bearer(&auditor.access);
    let told = world.check(&ask, 200, "").json();
    told["items"][0]["address"].as_str().unwrap().to_owned()
}

#[test]
fn bindings_see_the_client_behind_the_proxy() {
    let world = world(&[("EMX_SECURITY__SESSION_BINDING", "address")]);
    let (mut proxy, mut stranger) = (peer(&world, PROXY), peer(&world, STRANGER));
    let of = |ask: Ask, client: &str| ask.header(FOR, client);
    for (client, near, far) in [
        (CLIENT, "198.51.100.200", "198.51.101.7"),
        ("2001:db8:1::1", "2001:db8:1:ff::2", "2001:db8:2::1"),
    ] {
        let session = Session::of(&proxy.ask(&of(login(USER, PASSWORD), client)).unwrap());
        check_at(&mut proxy, &of(me(&session.access), client), 200, "");
        check_at(&mut proxy, &of(me(&session.access), near), 200, "");
        for ask in [me(&session.access), refresh(&session.refresh)] {
            check_at(&mut proxy, &of(ask.clone(), far), 401, "client_changed");
            check_at(
                &mut proxy,
                &of(ask.clone(), &format!("{client}, {far}")),
                401,
                "client_changed",
            );
            check_at(&mut proxy, &ask, 401, "client_changed");
            check_at(&mut stranger, &of(ask.clone(), client), 401, "client_changed");
        }
        // The ticket of a WebSocket is the client's too.
        let made = of(Ask::post("/api/v1/ws/ticket").bearer(&session.access), client);
        let ticket = check_at(&mut proxy, &made, 200, "").json()["ticket"].clone();
        let watch = Ask::get(&format!("/api/v1/ws?ticket={}", ticket.as_str().unwrap()));
        let watch = watch.header("Origin", "https://localhost");
        assert_eq!(handshake(&mut peer(&world, STRANGER), &of(watch, client)), 401);
        let next = Session::of(&proxy.ask(&of(refresh(&session.refresh), near)).unwrap());
        check_at(&mut proxy, &of(me(&next.access), client), 200, "");
    }
    drop((proxy, stranger));
    world.server.end();
}

#[test]
fn the_throttle_counts_the_client_behind_the_proxy() {
    const UNKNOWN_PER_ADDRESS_MAX: usize = 300;
    let world = world(&[]);
    let (mut proxy, mut stranger) = (peer(&world, PROXY), peer(&world, STRANGER));
    let of = |client: &str| refresh("no token").header(FOR, client);
    // Whatever the client writes in front, and whichever of its /64 it comes from, is one client.
    for n in 0..UNKNOWN_PER_ADDRESS_MAX {
        let written = format!("203.0.113.{}, 2001:db8::{n:x}", n % 250);
        check_at(&mut proxy, &of(&written), 401, "invalid_refresh_token");
        check_at(&mut stranger, &of(&written), 401, "invalid_refresh_token");
    }
    check_at(&mut proxy, &of("2001:db8::ffff:1"), 429, "too_many_attempts");
    check_at(&mut proxy, &of("2001:db8:0:1::1"), 401, "invalid_refresh_token");
    check_at(&mut proxy, &refresh("no token"), 401, "invalid_refresh_token");
    check_at(&mut stranger, &of("192.0.2.55"), 429, "too_many_attempts");
    drop((proxy, stranger));
    world.server.end();
}

#[test]
fn what_came_in_the_clear_is_refused_where_a_trusted_proxy_says_so() {
    let world = world(&[]);
    let (mut proxy, mut stranger) = (peer(&world, PROXY), peer(&world, STRANGER));
    let token = world.sign_in().access;
    for (scheme, may) in [
        ("https", true),
        ("HTTPS", true),
        ("https, https", true),
        ("http", false),
        ("http, https", false),
        ("https, http", false),
        ("", false),
        ("ws", false),
    ] {
        let ask = me(&token).header(PROTO, scheme);
        let (status, code) = if may { (200, "") } else { (403, "not_encrypted") };
        check_at(&mut proxy, &ask, status, code);
        check_at(&mut stranger, &ask, 200, "");
    }
    drop((proxy, stranger));
    world.server.end();
}

#[test]
fn the_host_is_the_one_that_a_trusted_proxy_names() {
    let world = world(&[("EMX_SERVER__BASE_DOMAIN", "metrics.test")]);
    let made = Command::new(env!("CARGO_BIN_EXE_emx"))
        .args(["tenant", "create", "acme", "--data-dir"])
        .arg(world.server.data_dir())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let token = world.sign_in().access;
    let (mut proxy, mut stranger) = (peer(&world, PROXY), peer(&world, STRANGER));
    let own = format!("{TENANT}.metrics.test");
    // The host names a tenant.
    for (host, status, code) in [
        (&*own, 200, ""),
        ("metrics.test", 200, ""),
        ("elsewhere.example", 200, ""),
        ("acme.metrics.test", 403, "tenant_mismatch"),
        ("ACME.metrics.test:443", 403, "tenant_mismatch"),
        ("a.example, b.example", 400, "invalid_host"),
        ("user@metrics.test", 400, "invalid_host"),
        ("metrics.test:99999", 400, "invalid_host"),
        ("", 400, "invalid_host"),
    ] {
        let ask = me(&token).header(HOST, host);
        check_at(&mut proxy, &ask, status, code);
        check_at(&mut stranger, &ask, 200, "");
    }
    // And which page is the server's own: for the cookie, and for a WebSocket.
    let body = json!({ "tenant": TENANT, "email": USER, "password": PASSWORD, "cookie": true });
    let body = body.to_string();
    for (host, origin, may) in [
        (Some(&*own), "https://default.metrics.test", true),
        (Some(&*own), "https://localhost", false),
        (Some("default.metrics.test:8443"), "https://default.metrics.test:8443", true),
        (Some("default.metrics.test:8443"), "https://default.metrics.test", false),
        (None, "https://localhost", true),
    ] {
        let named = |ask: Ask| host.iter().fold(ask, |ask, host| ask.header(HOST, host));
        let sign_in = Ask::post("/api/v1/auth/login").json(&body).header("Origin", origin);
        let (status, code) = if may { (200, "") } else { (403, "origin_not_allowed") };
        check_at(&mut proxy, &named(sign_in.clone()), status, code);
        let is_own = origin == "https://localhost";
        let (status, code) = if is_own { (200, "") } else { (403, "origin_not_allowed") };
        check_at(&mut stranger, &named(sign_in), status, code);
        let watch = Ask::get(&format!("/api/v1/ws?ticket={}", ticket(&world.server, &token)));
        let watch = named(watch.header("Origin", origin));
        assert_eq!(handshake(&mut peer(&world, PROXY), &watch), if may { 101 } else { 403 });
    }
    drop((proxy, stranger));
    world.server.end();
}

#[test]
fn a_trusted_proxy_has_as_many_connections_as_there_may_be_in_all() {
    let world = world(&[("EMX_SERVER__CONNECTIONS_PER_ADDRESS_MAX", "2")]);
    let mut many: Vec<Peer> = (0..5).map(|_| peer(&world, PROXY)).collect();
    for peer in &mut many {
        assert_eq!(peer.ask(&Ask::get("/healthz")).unwrap().status, 200);
    }
    drop(many);
    world.server.end();
}
