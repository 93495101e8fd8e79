//! Who may ask what: every address of the OpenAPI document by nobody, by a key of every role, by a user
//! who administers the platform, and by all of them in another tenant. The table below says what is
//! expected; an address without a row fails. And what belongs to another tenant is told from what is
//! nowhere by nothing: neither status nor body nor size.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "support/peer.rs"]
mod peer;
#[path = "support/server.rs"]
mod server;

use Who::{Everybody, From, Ingest, Known, Platform};
use peer::{Answer, Ask};
use serde_json::{Value, json};
use server::{Server, TENANT};
use std::collections::BTreeSet;
use std::process::Command;

/// The roles of keys, each of which may what those before it may, but for the first.
const ROLES: [&str; 6] = ["ingest", "viewer", "member", "manager", "admin", "owner"];

/// Who may ask.
#[derive(Clone, Copy, Debug)]
enum Who {
    /// Without saying who.
    Everybody,
    /// Whoever is known.
    Known,
    /// Whoever has this role or a higher one.
    From(&'static str),
    /// The same, and keys that only send.
    Ingest(&'static str),
    /// Whoever administers the platform.
    Platform,
}

impl Who {
    fn lets(self, role: &str) -> bool {
        let rank = |role: &str| ROLES.iter().position(|known| *known == role).unwrap();
        match self {
            Everybody | Known => true,
            Platform => false,
            From(lowest) => role != "ingest" && rank(role) >= rank(lowest),
            Ingest(lowest) => role == "ingest" || rank(role) >= rank(lowest),
        }
    }
}

/// Every address, and who may ask there.
const TABLE: &[(&str, &str, Who)] = &[
    ("POST", "/api/v1/executions", Ingest("member")),
    ("POST", "/api/v1/executions/batch", Ingest("member")),
    ("GET", "/api/v1/executions", From("viewer")),
    ("GET", "/api/v1/executions/{id}", From("viewer")),
    ("GET", "/api/v1/quarantine", From("viewer")),
    ("POST", "/api/v1/quarantine/{id}/retry", From("manager")),
    ("DELETE", "/api/v1/quarantine/{id}", From("manager")),
    ("GET", "/api/v1/query", From("viewer")),
    ("POST", "/api/v1/query", From("viewer")),
    ("GET", "/api/v1/export", From("viewer")),
    ("POST", "/api/v1/auth/login", Everybody),
    ("POST", "/api/v1/auth/refresh", Everybody),
    ("POST", "/api/v1/auth/logout", Known),
    ("GET", "/api/v1/auth/me", Known),
    ("GET", "/api/v1/auth/otp", Known),
    ("POST", "/api/v1/auth/otp", Known),
    ("DELETE", "/api/v1/auth/otp", Known),
    ("POST", "/api/v1/auth/otp/enrol", Everybody),
    ("POST", "/api/v1/auth/accept", Everybody),
    ("GET", "/.well-known/jwks.json", Everybody),
    ("GET", "/api/v1/users", From("manager")),
    ("POST", "/api/v1/users", From("admin")),
    ("POST", "/api/v1/users/invite", From("admin")),
    ("GET", "/api/v1/users/{id}", From("manager")),
    ("PATCH", "/api/v1/users/{id}", From("admin")),
    ("DELETE", "/api/v1/users/{id}", From("admin")),
    ("POST", "/api/v1/users/{id}/reset", From("admin")),
    ("DELETE", "/api/v1/users/{id}/otp", From("admin")),
    ("GET", "/api/v1/teams", From("manager")),
    ("POST", "/api/v1/teams", From("admin")),
    ("GET", "/api/v1/teams/{id}", From("manager")),
    ("PATCH", "/api/v1/teams/{id}", From("admin")),
    ("DELETE", "/api/v1/teams/{id}", From("admin")),
    ("GET", "/api/v1/teams/{id}/members", From("manager")),
    ("PUT", "/api/v1/teams/{id}/members/{user_id}", From("admin")),
    ("DELETE", "/api/v1/teams/{id}/members/{user_id}", From("admin")),
    ("GET", "/api/v1/sign-in-rules", From("manager")),
    ("PATCH", "/api/v1/sign-in-rules", From("owner")),
    ("GET", "/api/v1/auth/sessions", Known),
    ("DELETE", "/api/v1/auth/sessions/{family}", Known),
    ("POST", "/api/v1/auth/revoke", Everybody),
    ("POST", "/api/v1/auth/password", Known),
    ("GET", "/api/v1/users/{id}/sessions", From("admin")),
    ("DELETE", "/api/v1/users/{id}/sessions", From("admin")),
    ("DELETE", "/api/v1/users/{id}/sessions/{family}", From("admin")),
    ("POST", "/api/v1/admin/signing-keys/rotate", Platform),
    ("GET", "/api/v1/api-keys", From("admin")),
    ("POST", "/api/v1/api-keys", From("admin")),
    ("GET", "/api/v1/api-keys/{id}", From("admin")),
    ("DELETE", "/api/v1/api-keys/{id}", From("admin")),
    ("GET", "/api/v1/audit", From("admin")),
    ("GET", "/api/v1/audit/anchor", From("admin")),
    ("GET", "/api/v1/audit/verify", From("admin")),
    ("GET", "/api/v1/audit/export", From("admin")),
    ("GET", "/healthz", Everybody),
    ("GET", "/readyz", Everybody),
    ("GET", "/metrics", From("viewer")),
    ("GET", "/ca.pem", Everybody),
    ("GET", "/api/openapi.json", Everybody),
    ("GET", "/api/docs", Everybody),
    ("GET", "/api/v1/ws", From("viewer")),
    ("POST", "/api/v1/ws/ticket", From("viewer")),
];

/// What nothing is called.
const NOWHERE: &str = "018f0000-0000-7000-8000-00000000dead";

struct World {
    _place: tempfile::TempDir,
    server: Server,
    /// A user who owns the first tenant and administers the platform.
    owner: String,
}

impl World {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("data");
        let server = Server::start(&dir);
        let made = Command::new(env!("CARGO_BIN_EXE_emx"))
            .args(["tenant", "create", "acme", "--data-dir"])
            .arg(&dir)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let owner = server.sign_in();
        Self { _place: place, server, owner }
    }

    fn key(&self, tenant: &str, role: &str) -> String {
        let body = json!({ "name": role, "role": role }).to_string();
        let ask = Ask::post("/api/v1/api-keys").json(&body).bearer(&self.owner);
        let made = self.server.ask(&ask.header("X-Tenant", tenant));
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["key"].as_str().unwrap().to_owned()
    }

    /// The id of a new user of `tenant`.
    fn user(&self, tenant: &str) -> String {
        let made = Command::new(env!("CARGO_BIN_EXE_emx"))
            .args([
                "user",
                "create",
                "--tenant",
                tenant,
                "user@example.org",
                "--json",
                "--data-dir",
            ])
            .arg(self.server.data_dir())
            .output()
            .unwrap();
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        made["id"].as_str().unwrap().to_owned()
    }

    fn document(&self) -> Value {
        self.server.ask(&Ask::get("/api/openapi.json")).json()
    }
}

fn code(answer: &Answer) -> String {
    let problem: Option<Value> = serde_json::from_slice(&answer.body).ok();
    problem.and_then(|problem| Some(problem["code"].as_str()?.to_owned())).unwrap_or_default()
}

/// What an answer says of who asked.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// It is not known who asks.
    Unknown,
    /// Whoever asks may not.
    May(bool),
    /// Whoever asks belongs elsewhere.
    Elsewhere,
}

fn verdict(answer: &Answer) -> Verdict {
    match (answer.status, &*code(answer)) {
        (401, _) => Verdict::Unknown,
        (403, "forbidden") => Verdict::May(false),
        (403, "tenant_mismatch") => Verdict::Elsewhere,
        _ => Verdict::May(true),
    }
}

#[test]
fn every_address_lets_in_who_may_and_nobody_else() {
    let world = World::new();
    let keys = ROLES.map(|role| (role, world.key(TENANT, role)));
    let others = ROLES.map(|role| (role, world.key("acme", role)));
    let mut faults = Vec::new();
    for (method, path, who) in TABLE {
        let target = path.replace("{id}", NOWHERE).replace("{user_id}", NOWHERE);
        let mut judge = |name: &str, ask: Ask, expected: Verdict| {
            if *path == "/api/v1/ws" && expected == Verdict::May(true) {
                return; // it would go on as a WebSocket: `live` tries that
            }
            let answer = world.server.ask(&ask);
            let (found, status) = (verdict(&answer), answer.status);
            if found != expected || status >= 500 {
                faults
                    .push(format!("{method} {path} {name}: {status} {found:?}, not {expected:?}"));
            }
        };
        let ask = || match *path {
            "/api/v1/ws" => Ask::new(method, &target)
                .header("Connection", "Upgrade")
                .header("Upgrade", "websocket")
                .header("Sec-WebSocket-Version", "13")
                .header("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
            _ => Ask::new(method, &target),
        };
        // What signs in says of everybody that it does not know them, without a body that it can read.
        let is_public = matches!(who, Everybody);
        let unknown = if is_public { Verdict::May(true) } else { Verdict::Unknown };
        let is_for_users = path.ends_with("/logout");
        if !path.starts_with("/api/v1/auth/refresh") {
            judge("nobody", ask(), unknown);
        }
        if is_public {
            continue;
        }
        judge("a made-up token", ask().bearer("a.b.c"), Verdict::Unknown);
        judge("a made-up key", ask().bearer("emx_0000000000000000_x"), Verdict::Unknown);
        for (role, key) in &keys {
            let expected = Verdict::May(who.lets(role));
            judge(role, ask().bearer(key), expected);
            let elsewhere = ask().bearer(key).header("X-Tenant", "acme");
            judge(&format!("{role}, elsewhere"), elsewhere, Verdict::Elsewhere);
            let nowhere = ask().bearer(key).header("X-Tenant", "nowhere");
            judge(&format!("{role}, nowhere"), nowhere, Verdict::Elsewhere);
        }
        for (role, key) in &others {
            let elsewhere = ask().bearer(key).header("X-Tenant", TENANT);
            judge(&format!("{role} of another"), elsewhere, Verdict::Elsewhere);
        }
        if !is_for_users {
            judge("the platform", ask().bearer(&world.owner), Verdict::May(true));
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    world.server.end();
}

#[test]
fn every_address_has_a_row() {
    let world = World::new();
    let document = world.document();
    let mut described = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys().filter(|key| *key != "parameters") {
            described.insert((method.to_uppercase(), path.clone()));
        }
    }
    let table: BTreeSet<(String, String)> =
        TABLE.iter().map(|(m, p, _)| ((*m).to_owned(), (*p).to_owned())).collect();
    let without: Vec<_> = described.difference(&table).collect();
    let gone: Vec<_> = table.difference(&described).collect();
    assert!(without.is_empty() && gone.is_empty(), "no row: {without:?}; gone: {gone:?}");
    world.server.end();
}

/// An answer without what belongs to the one request: its id, and what was asked for.
fn plain(answer: &Answer, id: &str) -> (u16, String) {
    let body = String::from_utf8_lossy(&answer.body).replace(id, "ID");
    let body = match serde_json::from_str::<Value>(&body) {
        Ok(mut body) => {
            if let Some(problem) = body.as_object_mut() {
                problem.remove("request_id");
            }
            body.to_string()
        }
        Err(_) => body,
    };
    (answer.status, body)
}

#[test]
fn what_belongs_to_another_tenant_is_nowhere() {
    let world = World::new();
    let mine = world.key(TENANT, "owner");
    let theirs = world.key("acme", "owner");
    let ask = |ask: Ask, who: &str| world.server.ask(&ask.bearer(who));
    // What another tenant has: an execution, one in quarantine, a key, a user, a team.
    let sent = ask(Ask::post("/api/v1/executions").json("{\"command\":\"secret\"}"), &theirs);
    let execution = sent.json()["id"].as_str().unwrap().to_owned();
    let ahead = "{\"command\":\"later\",\"ts\":\"2999-01-01T00:00:00Z\"}";
    assert_eq!(ask(Ask::post("/api/v1/executions").json(ahead), &theirs).status, 201);
    let kept = ask(Ask::get("/api/v1/quarantine"), &theirs).json();
    let quarantined = kept["items"][0]["id"].as_str().unwrap().to_owned();
    let keys = ask(Ask::get("/api/v1/api-keys"), &theirs).json();
    let key = keys["items"][0]["id"].as_str().unwrap().to_owned();
    let user = world.user("acme");
    let made = ask(Ask::post("/api/v1/teams").json(r#"{"name":"Platform"}"#), &theirs).json();
    let team = made["id"].as_str().unwrap().to_owned();

    for (method, path, theirs_id) in [
        ("GET", "/api/v1/executions/{id}", &execution),
        ("POST", "/api/v1/quarantine/{id}/retry", &quarantined),
        ("DELETE", "/api/v1/quarantine/{id}", &quarantined),
        ("GET", "/api/v1/api-keys/{id}", &key),
        ("DELETE", "/api/v1/api-keys/{id}", &key),
        ("GET", "/api/v1/users/{id}", &user),
        ("DELETE", "/api/v1/users/{id}", &user),
        ("POST", "/api/v1/users/{id}/reset", &user),
        ("DELETE", "/api/v1/users/{id}/otp", &user),
        ("GET", "/api/v1/teams/{id}", &team),
        ("DELETE", "/api/v1/teams/{id}", &team),
        ("GET", "/api/v1/teams/{id}/members", &team),
        ("GET", "/api/v1/users/{id}/sessions", &user),
        ("DELETE", "/api/v1/users/{id}/sessions", &user),
        ("DELETE", "/api/v1/users/{id}/sessions/x", &user),
    ] {
        // Of the same form, and of nobody.
        let nobodys: String =
            theirs_id.chars().map(|c| if c.is_ascii_digit() { '7' } else { c }).collect();
        let nobodys = if nobodys == *theirs_id { theirs_id.replace('7', "3") } else { nobodys };
        let [there, nowhere] = [theirs_id, &nobodys].map(|id| {
            let asked = Ask::new(method, &path.replace("{id}", id));
            plain(&ask(asked, &mine), id)
        });
        assert_eq!(there, nowhere, "{method} {path}");
        assert_eq!(there.0, 404, "{method} {path}: {there:?}");
    }
    // Nothing of it was changed, and nothing of it is in what I can list, count, take out or follow.
    assert_eq!(ask(Ask::get(&format!("/api/v1/executions/{execution}")), &theirs).status, 200);
    assert_eq!(ask(Ask::get("/api/v1/quarantine"), &theirs).json(), kept);
    for (list, id) in [("/api/v1/users", &user), ("/api/v1/teams", &team)] {
        assert_eq!(ask(Ask::get(&format!("{list}/{id}")), &theirs).status, 200);
        assert!(!ask(Ask::get(list), &mine).json().to_string().contains(id.as_str()), "{list}");
    }
    for list in ["/api/v1/executions", "/api/v1/quarantine"] {
        let answer = ask(Ask::get(list), &mine).json();
        assert_eq!(answer["items"], json!([]), "{list}");
    }
    let counted = ask(Ask::get("/api/v1/query?metrics=count"), &mine).json();
    assert_eq!(counted["rows"], json!([[0]]), "{counted}");
    assert!(ask(Ask::get("/api/v1/export"), &mine).body.is_empty());
    let followed = ask(Ask::get("/api/v1/executions?from_seq=1"), &mine).json();
    assert_eq!(followed["items"], json!([]));
    // An entity tag of theirs is no answer of mine.
    let theirs_list = ask(Ask::get("/api/v1/executions"), &theirs);
    let tag = theirs_list.header("etag").unwrap().to_owned();
    let tagged = ask(Ask::get("/api/v1/executions").header("If-None-Match", &tag), &mine);
    assert_eq!(tagged.status, 200);
    world.server.end();
}
