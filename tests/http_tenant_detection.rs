//! Which tenant a request is for: token or key, `X-Tenant` and subdomain, in every combination, and the
//! ways of naming a host that a server and its proxy might read differently. Whoever administers the
//! platform may name another tenant, which is told in the logs of both.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "support/peer.rs"]
mod peer;
#[path = "support/server.rs"]
mod server;

use peer::{Answer, Ask};
use serde_json::{Value, json};
use server::{Server, TENANT};
use std::process::Command;

const BASE: &str = "metrics.test";
const ME: &str = "/api/v1/auth/me";
/// The other tenant, one that is suspended, and one that there is not.
const OTHER: &str = "acme";
const SUSPENDED: &str = "asleep";
const NOBODY: &str = "nobody";
const PASSWORD: &str = "correct horse battery staple";

struct World {
    _place: tempfile::TempDir,
    server: Server,
    /// Administers the platform, at home in the first tenant.
    platform: String,
    key: String,
    other_key: String,
}

impl World {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("data");
        // As one might write it: in capitals, with the final dot.
        let server = Server::start_with(&dir, &[("EMX_SERVER__BASE_DOMAIN", "Metrics.Test.")]);
        for args in [["create", OTHER], ["create", SUSPENDED], ["suspend", SUSPENDED]] {
            let done = Command::new(env!("CARGO_BIN_EXE_emx"))
                .arg("tenant")
                .args(args)
                .arg("--data-dir")
                .arg(&dir)
                .output()
                .unwrap();
            assert!(done.status.success(), "{done:?}");
        }
        let platform = server.sign_in();
        let key = |tenant: &str| {
            let body = r#"{"name":"k","role":"viewer"}"#;
            let ask = Ask::post("/api/v1/api-keys").bearer(&platform).header("X-Tenant", tenant);
            let made = server.ask(&ask.json(body));
            assert_eq!(made.status, 201, "{made:?}");
            made.json()["key"].as_str().unwrap().to_owned()
        };
        let (key, other_key) = (key(TENANT), key(OTHER));
        Self { _place: place, server, platform, key, other_key }
    }

    /// The tenant that somebody is answered for, or the code of the refusal.
    fn found(&self, ask: &Ask) -> String {
        let answer = self.server.ask(ask);
        match answer.status {
            200 => answer.json()["tenant"]["slug"].as_str().unwrap().to_owned(),
            status => format!("{status} {}", answer.code()),
        }
    }

    fn entries(&self, tenant: &str, action: &str) -> Vec<Value> {
        let target = format!("/api/v1/audit?action={action}");
        let ask = Ask::get(&target).bearer(&self.platform).header("X-Tenant", tenant);
        let answer = self.server.ask(&ask);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["items"].as_array().unwrap().clone()
    }
}

/// What the rules say (contract §1), of somebody at home in `home`.
fn expected(home: &str, platform: bool, header: Option<&str>, label: Option<&str>) -> String {
    let mismatch = "403 tenant_mismatch".to_owned();
    if header.is_some() && label.is_some() && header != label {
        return mismatch;
    }
    match header.or(label) {
        None => home.to_owned(),
        Some(named) if named == home => home.to_owned(),
        Some(_) if !platform => mismatch,
        Some(OTHER) => OTHER.to_owned(),
        Some(SUSPENDED) => "403 tenant_suspended".to_owned(),
        Some(_) => "404 tenant_not_found".to_owned(),
    }
}

#[test]
fn token_key_header_and_host_in_every_combination() {
    let world = World::new();
    let names = [None, Some(TENANT), Some(OTHER), Some(SUSPENDED), Some(NOBODY), Some("")];
    let labels = [names.as_slice(), &[Some("a.b"), Some("ACME"), Some("..")]].concat();
    let mut checked = 0;
    for (who, home, platform) in [
        (&world.key, TENANT, false),
        (&world.other_key, OTHER, false),
        (&world.platform, TENANT, true),
    ] {
        for header in names {
            for label in &labels {
                let mut ask = Ask::get(ME).bearer(who);
                if let Some(header) = header {
                    ask = ask.header("X-Tenant", header);
                }
                if let Some(label) = label {
                    ask = ask.with("Host", &format!("{label}.{BASE}:8443"));
                }
                // Names of hosts have no capitals, tenants have none either.
                let label = label.map(str::to_lowercase);
                let wanted = expected(home, platform, header, label.as_deref());
                assert_eq!(world.found(&ask), wanted, "{ask:?}");
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 3 * 6 * 9);
    // In the other header for keys the same.
    let ask = Ask::get(ME).header("X-Api-Key", &world.key).header("X-Tenant", OTHER);
    assert_eq!(world.found(&ask), "403 tenant_mismatch");
    world.server.end();
}

#[test]
fn a_host_is_read_in_one_way_or_not_at_all() {
    let world = World::new();
    let host = |host: &str| Ask::get(ME).bearer(&world.key).with("Host", host);
    let mismatch = "403 tenant_mismatch";
    let invalid = "400 invalid_host";
    for (ask, wanted) in [
        (host("default.metrics.test"), TENANT),
        (host("DEFAULT.METRICS.TEST"), TENANT),
        (host("default.metrics.test:1"), TENANT),
        (host("default.metrics.test."), TENANT),
        (host("metrics.test"), TENANT),
        (host("acmemetrics.test"), TENANT),
        (host("acme.metrics.test.evil.example"), TENANT),
        (host("acme.evil.example"), TENANT),
        (host("[::1]:8443"), TENANT),
        (host("acme.metrics.test"), mismatch),
        (host("ACME.metrics.test"), mismatch),
        (host("acme.metrics.test:8443"), mismatch),
        (host("acme.metrics.test."), mismatch),
        (host("acme.metrics.test.."), mismatch),
        (host("acme.metrics.test.:8443"), mismatch),
        (host("www.default.metrics.test"), mismatch),
        (host("default.acme.metrics.test"), mismatch),
        (host("xn--acme.metrics.test"), mismatch),
        (host("default@acme.metrics.test"), invalid),
        (host("acme.metrics.test@default.metrics.test"), invalid),
        (host("%61cme.metrics.test"), invalid),
        (host("acme%2emetrics.test"), invalid),
        (host("acme.metrics.test:a"), invalid),
        (host("acme.metrics.test/"), invalid),
        (host("acme.metrics.test default.metrics.test"), invalid),
        (host("acme.metrics.test, default.metrics.test"), invalid),
        (host("\u{e4}cme.metrics.test"), invalid),
        (host("default.metrics.test").header("Host", "acme.metrics.test"), invalid),
        (host("acme.metrics.test").header("Host", "default.metrics.test"), invalid),
        // A proxy's word for the host is not taken: none is known here.
        (host("localhost").header("X-Forwarded-Host", "acme.metrics.test"), TENANT),
        (host("localhost").header("Forwarded", "host=acme.metrics.test"), TENANT),
    ] {
        assert_eq!(world.found(&ask), wanted, "{ask:?}");
    }
    // A target in absolute form wins over `Host`, which must not name another.
    let absolute = |target: &str, host: &str| {
        Ask::get(&format!("https://{target}{ME}")).bearer(&world.key).with("Host", host)
    };
    for (target, host, wanted) in [
        ("default.metrics.test", "default.metrics.test", TENANT),
        ("default.metrics.test:1", "default.metrics.test", TENANT),
        ("acme.metrics.test", "acme.metrics.test", mismatch),
        ("acme.metrics.test", "default.metrics.test", invalid),
        ("default.metrics.test", "acme.metrics.test", invalid),
        ("x@acme.metrics.test", "acme.metrics.test", invalid),
    ] {
        assert_eq!(world.found(&absolute(target, host)), wanted, "{target}, {host}");
    }
    world.server.end();
}

#[test]
fn nobody_signs_in_to_one_tenant_by_the_name_of_another() {
    let world = World::new();
    let (email, password) = world.server.first_login();
    let body = json!({ "tenant": TENANT, "email": email, "password": password }).to_string();
    let login = || Ask::post("/api/v1/auth/login").json(&body);
    let verdict = |answer: Answer| (answer.status, answer.code());
    let fine = (200, String::new());
    let mismatch = (403, "tenant_mismatch".to_owned());
    for (ask, wanted) in [
        (login(), &fine),
        (login().header("X-Tenant", TENANT), &fine),
        (login().with("Host", "default.metrics.test"), &fine),
        (login().header("X-Tenant", OTHER), &mismatch),
        (login().header("X-Tenant", NOBODY), &mismatch),
        (login().with("Host", "acme.metrics.test"), &mismatch),
        (login().with("Host", "nobody.metrics.test"), &mismatch),
        (login().with("Host", "default.metrics.test").header("X-Tenant", OTHER), &mismatch),
    ] {
        assert_eq!(&verdict(world.server.ask(&ask)), wanted, "{ask:?}");
    }
    world.server.end();
}

#[test]
fn nobody_goes_on_or_gives_back_by_the_name_of_another_tenant() {
    let world = World::new();
    let verdict = |answer: &Answer| (answer.status, answer.code());
    let mismatch = (403, "tenant_mismatch".to_owned());
    let user = "you@example.org";
    let made = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "echo '{PASSWORD}' | {} user create --tenant {TENANT} {user} --role viewer \
             --password-stdin --data-dir {}",
            env!("CARGO_BIN_EXE_emx"),
            world.server.data_dir().display()
        ))
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let body = |tenant: &str, email: &str, password: &str| {
        json!({ "tenant": tenant, "email": email, "password": password }).to_string()
    };
    let login = Ask::post("/api/v1/auth/login").json(&body(TENANT, user, PASSWORD));
    let session = world.server.ask(&login).json();
    let refresh = |token: &Value| {
        let body = json!({ "refresh_token": token }).to_string();
        Ask::post("/api/v1/auth/refresh").json(&body)
    };
    let revoke = |token: &Value| {
        Ask::post("/api/v1/auth/revoke").json(&json!({ "token": token }).to_string())
    };
    let enrol = || Ask::post("/api/v1/auth/otp/enrol").json(&body(TENANT, user, PASSWORD));
    let elsewhere = |ask: Ask| {
        [
            ask.clone().header("X-Tenant", OTHER),
            ask.clone().header("X-Tenant", NOBODY),
            ask.with("Host", "acme.metrics.test"),
        ]
    };
    let (token, access) = (&session["refresh_token"], &session["access_token"]);
    for ask in
        [refresh(token), revoke(token), revoke(access), enrol()].into_iter().flat_map(elsewhere)
    {
        assert_eq!(verdict(&world.server.ask(&ask)), mismatch, "{ask:?}");
    }
    // Nothing of that was used up, or ended.
    let me = Ask::get(ME).bearer(access.as_str().unwrap());
    assert_eq!(world.server.ask(&me).status, 200);
    let next = world.server.ask(&refresh(token).header("X-Tenant", TENANT));
    assert_eq!(next.status, 200, "{next:?}");
    let give_back = revoke(&next.json()["refresh_token"]).with("Host", "default.metrics.test");
    assert_eq!(world.server.ask(&give_back).status, 204);
    assert_eq!(world.server.ask(&me).status, 401);
    // Who administers the platform names whom they like.
    let (email, password) = world.server.first_login();
    let login = Ask::post("/api/v1/auth/login").json(&body(TENANT, &email, &password));
    let session = world.server.ask(&login).json();
    let next = world.server.ask(&refresh(&session["refresh_token"]).header("X-Tenant", OTHER));
    assert_eq!(next.status, 200, "{next:?}");
    let give_back = revoke(&next.json()["refresh_token"]).header("X-Tenant", OTHER);
    assert_eq!(world.server.ask(&give_back).status, 204);
    world.server.end();
}

#[test]
fn entering_another_tenant_is_told_in_both_and_counted() {
    let world = World::new();
    let me = world.server.ask(&Ask::get(ME).bearer(&world.platform)).json();
    let actor = format!("user:{}", me["user"]["id"].as_str().unwrap());
    let query = || Ask::get("/api/v1/query?metrics=count").bearer(&world.platform);
    for _ in 0..3 {
        let answer = world.server.ask(&query().header("X-Tenant", OTHER));
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let acme = {
        let ask = Ask::get(ME).bearer(&world.platform).header("X-Tenant", OTHER);
        world.server.ask(&ask).json()["tenant"]["id"].as_str().unwrap().to_owned()
    };
    for log in [TENANT, OTHER] {
        let entered = world.entries(log, "tenant.enter");
        // Making its key went in there as well, within the same minute.
        assert_eq!(entered.len(), 1, "{log}: {entered:?}");
        assert_eq!(entered[0]["actor"], *actor, "{log}");
        assert_eq!(entered[0]["target"], format!("tenant:{acme}"), "{log}");
    }
    let listed = Command::new(env!("CARGO_BIN_EXE_emx"))
        .args(["audit", "list", "--action", "tenant.enter", "--json", "--data-dir"])
        .arg(world.server.data_dir())
        .output()
        .unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let platform: Vec<&Value> = listed["items"].as_array().unwrap().iter().collect();
    assert_eq!(platform.len(), 1, "{listed}");
    // Whoever is at home there, or may not go there, is told of nowhere.
    for who in [&world.key, &world.platform] {
        assert_eq!(world.server.ask(&Ask::get(ME).bearer(who)).status, 200);
    }
    let refused = Ask::get(ME).bearer(&world.key).header("X-Tenant", OTHER);
    assert_eq!(world.server.ask(&refused).status, 403);
    assert_eq!(world.entries(OTHER, "tenant.enter").len(), 1);
    world.server.end();
}
