//! A server with an administrator and a user, and what they ask it.
#![allow(dead_code, reason = "every test that includes it uses another part")]

use crate::peer::{Answer, Ask, Peer};
use crate::server::{Server, TENANT};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

pub(crate) const USER: &str = "user@example.org";
pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) struct World {
    pub(crate) server: Server,
    settings: Vec<(&'static str, &'static str)>,
    _dir: TempDir,
}

/// What somebody got who signed in or refreshed.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) user_id: String,
}

impl Session {
    pub(crate) fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer:?}");
        let told = answer.json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            access: text(&told["access_token"]),
            refresh: text(&told["refresh_token"]),
            user_id: text(&told["user"]["id"]),
        }
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// With these settings.
    pub(crate) fn with(settings: &[(&'static str, &'static str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start_with(&dir.path().join("data"), settings);
        make_user(&server, USER, "viewer");
        Self { server, settings: settings.to_vec(), _dir: dir }
    }

    /// The same after the process was killed and another began.
    pub(crate) fn killed(self) -> Self {
        self.killed_and(|_| {})
    }

    /// The same; between the two `look` has the data to itself.
    pub(crate) fn killed_and(self, look: impl FnOnce(&Path)) -> Self {
        self.again(|server| {
            let data_dir = server.data_dir().to_owned();
            server.kill();
            look(&data_dir);
        })
    }

    /// The same after the process ended in peace and another began.
    pub(crate) fn restarted(self) -> Self {
        self.again(Server::end)
    }

    fn again(self, end: impl FnOnce(Server)) -> Self {
        let Self { server, settings, _dir } = self;
        let data_dir = server.data_dir().to_owned();
        end(server);
        let server = Server::start_with(&data_dir, &settings);
        Self { server, settings, _dir }
    }

    pub(crate) fn ask(&self, ask: &Ask) -> Answer {
        self.server.ask(ask)
    }

    /// Asks, and demands the status and the code of the answer.
    #[track_caller]
    pub(crate) fn check(&self, ask: &Ask, status: u16, code: &str) -> Answer {
        checked(self.ask(ask), status, code)
    }

    /// Who did `action` to what, as the audit log tells it to `auditor`, oldest first.
    pub(crate) fn told(&self, query: &str, auditor: &Session) -> Vec<(String, String)> {
        let ask = Ask::get(&format!("/api/v1/audit?{query}")).bearer(&auditor.access);
        let items = self.check(&ask, 200, "").json()["items"].as_array().unwrap().clone();
        let text = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
        items.iter().rev().map(|item| (text(item, "actor"), text(item, "target"))).collect()
    }

    pub(crate) fn sign_in(&self) -> Session {
        Session::of(&self.ask(&login(USER, PASSWORD)))
    }

    pub(crate) fn administrator(&self) -> Session {
        let (email, password) = self.server.first_login();
        Session::of(&self.ask(&login(&email, &password)))
    }
}

#[track_caller]
pub(crate) fn checked(answer: Answer, status: u16, code: &str) -> Answer {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{answer:?}");
    answer
}

pub(crate) fn login(email: &str, password: &str) -> Ask {
    let body = json!({ "tenant": TENANT, "email": email, "password": password });
    Ask::post("/api/v1/auth/login").json(&body.to_string())
}

pub(crate) fn refresh(token: &str) -> Ask {
    let body = json!({ "refresh_token": token });
    Ask::post("/api/v1/auth/refresh").json(&body.to_string())
}

pub(crate) fn me(token: &str) -> Ask {
    Ask::get("/api/v1/auth/me").bearer(token)
}

/// Asks over a connection that is there.
#[track_caller]
pub(crate) fn check_at(peer: &mut Peer, ask: &Ask, status: u16, code: &str) -> Answer {
    checked(peer.ask(ask).unwrap(), status, code)
}

pub(crate) fn make_user(server: &Server, email: &str, role: &str) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_emx"))
        .args(["user", "create", "--tenant", TENANT, email, "--role", role])
        .args(["--password-stdin", "--data-dir"])
        .arg(server.data_dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{PASSWORD}").unwrap();
    assert!(child.wait().unwrap().success(), "emx user create {email}");
}
