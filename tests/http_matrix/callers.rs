//! Everybody who may ask: nobody, strangers, people and keys of every role in two tenants, and whoever
//! administers the platform.

use crate::peer::{Answer, Ask};
use crate::server::{Server, TENANT};
use crate::world::{credentials, open};
use emx::identity::settings::IdentitySettings;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// The roles, each of which may what those before it may, but for the first, which only keys have.
pub(crate) const ROLES: [&str; 6] = ["ingest", "viewer", "member", "manager", "admin", "owner"];

/// The second tenant.
pub(crate) const OTHER: &str = "acme";

const PASSWORD: &str = "a word that nobody guesses 7";

/// What somebody is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Person,
    Key,
}

/// Somebody of a tenant.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) kind: Kind,
    pub(crate) role: &'static str,
    /// Its access token or key.
    pub(crate) bearer: String,
    /// The id of the user or of the key.
    pub(crate) id: String,
    /// Another session of a person, to be ended.
    pub(crate) to_end: String,
}

/// A running server and everybody who knows it.
pub(crate) struct Scene {
    _place: tempfile::TempDir,
    pub(crate) server: Server,
    /// Whoever owns the first tenant and administers the platform.
    pub(crate) platform: String,
    /// The same, an hour ago.
    pub(crate) expired: String,
    pub(crate) mine: Vec<Member>,
    pub(crate) theirs: Vec<Member>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("data");
        let server = Server::start(&dir);
        let (email, password) = server.first_login();
        server.end();
        let expired = signed_in_an_hour_ago(&dir, &email, &password);
        let server = Server::start(&dir);
        emx(&server, &["tenant", "create", OTHER], None);
        let platform = server.sign_in();
        let [mine, theirs] = [TENANT, OTHER].map(|tenant| {
            let people = ROLES[1..].iter().map(|role| person(&server, tenant, role));
            let keys = ROLES.iter().map(|role| key(&server, &platform, tenant, role));
            people.chain(keys).collect()
        });
        Self { _place: place, server, platform, expired, mine, theirs }
    }

    pub(crate) fn ask(&self, ask: Ask, bearer: &str) -> Answer {
        self.server.ask(&ask.bearer(bearer))
    }

    /// The person with `role` of the first tenant, or of the other.
    pub(crate) fn person(&self, of_other: bool, role: &str) -> &Member {
        let members = if of_other { &self.theirs } else { &self.mine };
        members.iter().find(|m| m.kind == Kind::Person && m.role == role).unwrap()
    }

    pub(crate) fn document(&self) -> Value {
        self.server.ask(&Ask::get("/api/openapi.json")).json()
    }
}

/// The access token of somebody who signed in long enough ago that it is no good any more.
#[expect(clippy::disallowed_methods, reason = "the server of the test reads the same clock")]
fn signed_in_an_hour_ago(dir: &Path, email: &str, password: &str) -> String {
    const HOUR_MS: i64 = 3_600_000;
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let then_ms = i64::try_from(now_ms).unwrap() - HOUR_MS;
    let (_platform, tenancy, identity) = open(dir, &IdentitySettings::default(), then_ms);
    let credentials = credentials(TENANT, email, password);
    identity.login(&tenancy, &credentials, then_ms).unwrap().access_token
}

/// What `emx` prints.
fn emx(server: &Server, arguments: &[&str], input: Option<&str>) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_emx"))
        .args(arguments)
        .arg("--data-dir")
        .arg(server.data_dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.unwrap_or_default().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn person(server: &Server, tenant: &str, role: &'static str) -> Member {
    let email = format!("{role}@example.org");
    let create = [
        &["user", "create", "--tenant", tenant, "--role", role, "--password-stdin"][..],
        &["--json", &email],
    ]
    .concat();
    let made: Value = serde_json::from_str(&emx(server, &create, Some(PASSWORD))).unwrap();
    let sign_in = || {
        let body = json!({ "tenant": tenant, "email": email, "password": PASSWORD });
        let answer = server.ask(&Ask::post("/api/v1/auth/login").json(&body.to_string()));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["access_token"].as_str().unwrap().to_owned()
    };
    let id = made["id"].as_str().unwrap().to_owned();
    Member { kind: Kind::Person, role, bearer: sign_in(), id, to_end: sign_in() }
}

fn key(server: &Server, platform: &str, tenant: &str, role: &'static str) -> Member {
    let body = json!({ "name": role, "role": role }).to_string();
    let ask = Ask::post("/api/v1/api-keys").json(&body).bearer(platform);
    let made = server.ask(&ask.header("X-Tenant", tenant));
    assert_eq!(made.status, 201, "{made:?}");
    let text = |name: &str| made.json()[name].as_str().unwrap().to_owned();
    let key = text("key");
    Member { kind: Kind::Key, role, bearer: key.clone(), id: text("id"), to_end: key }
}
