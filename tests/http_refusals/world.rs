//! A server with two tenants and a key of every role, and the one function that judges an answer.

use crate::peer::{Answer, Ask};
use crate::server::{Server, TENANT};
use serde_json::{Value, json};
use std::process::Command;
use tempfile::TempDir;

/// The other tenant.
pub(crate) const OTHER: &str = "acme";

/// `acme.metrics.test` is the other tenant's host.
pub(crate) const BASE_DOMAIN: &str = "metrics.test";

const ROLES: [&str; 6] = ["ingest", "viewer", "member", "manager", "admin", "owner"];

/// One bad request and how it is answered.
pub(crate) struct Row {
    name: String,
    ask: Ask,
    status: u16,
    code: &'static str,
    pointers: Vec<String>,
    closes: bool,
    /// An end that the protocol's version says already.
    ends: bool,
}

/// A request that gets `status` and `code`, after which the connection goes on.
pub(crate) fn row(name: &str, ask: Ask, status: u16, code: &'static str) -> Row {
    let (name, closes) = (name.to_owned(), code.is_empty());
    Row { name, ask, status, code, pointers: Vec::new(), closes, ends: false }
}

impl Row {
    /// With these pointers among its errors, and no others.
    pub(crate) fn at(mut self, pointers: &[&str]) -> Self {
        self.pointers = pointers.iter().map(ToString::to_string).collect();
        self
    }

    /// After which the connection ends, and the answer says so.
    pub(crate) fn closes(mut self) -> Self {
        self.closes = true;
        self
    }

    /// After which the connection ends without a word.
    pub(crate) fn ends(mut self) -> Self {
        self.ends = true;
        self
    }
}

/// The server and what it should hold.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) owner: String,
    keys: Vec<(&'static str, String)>,
    pub(crate) other_key: String,
    accepted: u64,
    quarantined: usize,
    rows: usize,
    faults: Vec<String>,
    _dir: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("data");
        let server = Server::start_with(&data_dir, &[("EMX_SERVER__BASE_DOMAIN", BASE_DOMAIN)]);
        let made = Command::new(env!("CARGO_BIN_EXE_emx"))
            .args(["tenant", "create", OTHER, "--json", "--data-dir"])
            .arg(&data_dir)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let owner = server.sign_in();
        let keys = ROLES.map(|role| (role, make_key(&server, &owner, TENANT, role, &Value::Null)));
        let other_key = make_key(&server, &owner, OTHER, "owner", &Value::Null);
        Self {
            server,
            owner,
            keys: keys.into(),
            other_key,
            accepted: 0,
            quarantined: 0,
            rows: 0,
            faults: Vec::new(),
            _dir: dir,
        }
    }

    /// The key of a role.
    pub(crate) fn key(&self, role: &str) -> &str {
        &self.keys.iter().find(|(known, _)| *known == role).unwrap().1
    }

    /// `GET` by somebody who may see all.
    pub(crate) fn get(&self, target: &str) -> Ask {
        Ask::get(target).bearer(self.key("owner"))
    }

    /// `POST` by somebody who may do all.
    pub(crate) fn post(&self, target: &str) -> Ask {
        Ask::post(target).bearer(self.key("owner"))
    }

    /// One execution, as JSON.
    pub(crate) fn execution(&self, body: &str) -> Ask {
        self.post("/api/v1/executions").json(body)
    }

    /// Sends what is taken: how many rows that stores and keeps in quarantine.
    pub(crate) fn accept(&mut self, ask: &Ask, accepted: u64, quarantined: usize) -> Answer {
        let answer = self.server.ask(ask);
        assert!((200..300).contains(&answer.status), "{ask:?}\n{answer:?}");
        self.count(accepted, quarantined);
        answer
    }

    /// Counts rows as stored.
    pub(crate) fn count(&mut self, accepted: u64, quarantined: usize) {
        self.accepted += accepted;
        self.quarantined += quarantined;
    }

    pub(crate) fn check(&mut self, rows: impl IntoIterator<Item = Row>) {
        for row in rows {
            self.rows += 1;
            let found = self.judge(&row);
            if let Err(fault) = found {
                self.faults.push(format!("{}: {fault}", row.name));
            }
        }
    }

    fn judge(&self, row: &Row) -> Result<(), String> {
        let mut peer = self.server.connect();
        let answer = peer.ask(&row.ask).map_err(|error| error.to_string())?;
        if answer.status != row.status || answer.code() != row.code {
            return Err(format!("wanted {} {}: {answer:?}", row.status, row.code));
        }
        if row.code.is_empty() {
            demand(answer.body.is_empty(), || format!("a body: {answer:?}"))?;
        } else {
            is_problem(&answer, &row.pointers)?;
            self.tells_nothing(&answer)?;
        }
        let says = answer.header("connection") == Some("close");
        demand(says == row.closes, || format!("closes: {answer:?}"))?;
        if row.closes || row.ends {
            return demand(peer.is_closed(), || "the connection goes on".to_owned());
        }
        let after = peer.ask(&Ask::get("/healthz")).map_err(|e| format!("afterwards: {e}"))?;
        demand(after.status == 200, || format!("afterwards {after:?}"))
    }

    /// No answer names a file, or the other tenant.
    fn tells_nothing(&self, answer: &Answer) -> Result<(), String> {
        let text = String::from_utf8_lossy(&answer.body);
        let dir = self.server.data_dir().to_str().unwrap();
        for secret in [dir, ".rs", "src/", OTHER] {
            demand(!text.contains(secret), || format!("`{secret}` in {text}"))?;
        }
        Ok(())
    }

    fn number(&self, target: &str) -> Value {
        let answer = self.server.ask(&self.get(target));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// What was refused is not there, what was accepted is, and the server ends in peace.
    pub(crate) fn finish(self) {
        let found = self.number("/api/v1/query?metrics=count");
        let rows = found["rows"][0][0].as_u64().unwrap_or_default();
        let kept = self.number("/api/v1/quarantine?limit=1000");
        let kept = kept["items"].as_array().unwrap().len();
        let Self { faults, rows: checked, server, .. } = self;
        println!("{checked} bad requests");
        assert!(faults.is_empty(), "{} of {checked}:\n{}", faults.len(), faults.join("\n"));
        assert_eq!((rows, kept), (self.accepted, self.quarantined), "rows, and in quarantine");
        server.end();
    }
}

fn demand(holds: bool, fault: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(fault()) }
}

/// RFC 9457, with what every answer of the server's has.
fn is_problem(answer: &Answer, pointers: &[String]) -> Result<(), String> {
    let body = answer.json();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    for (name, value) in [
        ("content-type", "application/problem+json"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("x-request-id", &text("request_id")),
    ] {
        let found = answer.header(name).unwrap_or_default();
        demand(found == value && !found.is_empty(), || format!("{name}: {answer:?}"))?;
    }
    for name in answer.headers.iter().map(|(name, _)| name.as_str()) {
        demand(!name.starts_with("access-control-") && name != "server", || name.to_owned())?;
    }
    let whole = body["status"] == answer.status && !text("title").is_empty();
    demand(whole && !text("detail").is_empty(), || body.to_string())?;
    let errors = body["errors"].as_array().cloned().unwrap_or_default();
    let found: Vec<&str> = errors.iter().filter_map(|error| error["pointer"].as_str()).collect();
    demand(found == pointers, || format!("wanted {pointers:?}: {body}"))?;
    let told = |error: &Value| error["code"].is_string() && error["detail"].is_string();
    demand(errors.iter().all(told), || body.to_string())
}

/// A key of `role` in `tenant`.
pub(crate) fn make_key(
    server: &Server,
    token: &str,
    tenant: &str,
    role: &str,
    expires_at: &Value,
) -> String {
    let body = json!({ "name": role, "role": role, "expires_at": expires_at }).to_string();
    let ask = Ask::post("/api/v1/api-keys").bearer(token).header("X-Tenant", tenant).json(&body);
    let answer = server.ask(&ask);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["key"].as_str().unwrap().to_owned()
}
