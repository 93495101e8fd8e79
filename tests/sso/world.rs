//! A server with two tenants, and the hands of their owners.

use crate::peer::{Answer, Ask};
use crate::server::{Server, TENANT};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// The other tenant.
pub(crate) const OTHER: &str = "acme";

pub(crate) const PROVIDERS: &str = "/api/v1/sso-providers";

pub(crate) struct World {
    pub(crate) server: Option<Server>,
    /// The access token of the first administrator, who administers the platform.
    pub(crate) owner: String,
    settings: Vec<(&'static str, String)>,
    dir: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// With settings.
    pub(crate) fn with(settings: &[(&'static str, String)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings.to_vec();
        let mut world = Self { server: None, owner: String::new(), settings, dir };
        world.start();
        let made = world.emx(&["tenant", "create", OTHER, "--json"]);
        assert_eq!(made.0, 0, "{made:?}");
        world
    }

    pub(crate) fn start(&mut self) {
        let settings: Vec<(&str, &str)> =
            self.settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let server = Server::start_with(&self.data_dir(), &settings);
        self.owner = server.sign_in();
        self.server = Some(server);
    }

    pub(crate) fn end(&mut self) {
        self.server.take().unwrap().end();
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// The server's log once `text` stands in it, which the reader of its lines may come to after the
    /// answer. Asks go on meanwhile, so many at most.
    #[track_caller]
    pub(crate) fn logged(&self, text: &str) -> String {
        const ASKS_MAX: usize = 500;
        for _ in 0..ASKS_MAX {
            let log = self.server().log();
            if log.contains(text) {
                return log;
            }
            self.server().ask(&Ask::get("/healthz"));
        }
        panic!("`{text}` is not told: {}", self.server().log());
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Runs a script with `emx` in it, where this is done: its status, and what it wrote.
    pub(crate) fn shell(&self, script: &str) -> (i32, String, String) {
        let emx = "emx() { \"$EMX\" \"$@\" --data-dir \"$DATA_DIR\"; }\n";
        let mut command = Command::new("sh");
        command.args(["-euc", &format!("{emx}{script}")]).current_dir(self.dir.path());
        command.env("EMX", env!("CARGO_BIN_EXE_emx")).env("DATA_DIR", self.data_dir());
        command.envs(self.settings.iter().map(|(name, value)| (*name, value)));
        run(&mut command)
    }

    /// Runs the binary: its status, and what it wrote to its two outputs.
    pub(crate) fn emx(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_emx"));
        command.args(arguments).arg("--data-dir").arg(self.data_dir());
        command.envs(self.settings.iter().map(|(name, value)| (*name, value)));
        run(&mut command)
    }

    /// Asks as the owner, in `tenant`.
    pub(crate) fn ask(&self, tenant: &str, ask: Ask) -> Answer {
        self.server().ask(&ask.bearer(&self.owner).header("X-Tenant", tenant))
    }

    /// Adds a provider, which must be taken.
    #[track_caller]
    pub(crate) fn add(&self, tenant: &str, body: &Value) -> Value {
        let answer = self.ask(tenant, Ask::post(PROVIDERS).json(&body.to_string()));
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    }

    /// Adds a provider that is refused, with these pointers and no others.
    #[track_caller]
    pub(crate) fn refuses(&self, body: &str, status: u16, code: &str, pointers: &[&str]) {
        let answer = self.ask(TENANT, Ask::post(PROVIDERS).json(body));
        assert_eq!((answer.status, &*answer.code()), (status, code), "{answer:?}");
        let errors = answer.json()["errors"].as_array().cloned().unwrap_or_default();
        let found: Vec<&str> = errors.iter().map(|e| e["pointer"].as_str().unwrap()).collect();
        assert_eq!(found, pointers, "{answer:?}");
    }

    /// A key of `role` in the first tenant.
    pub(crate) fn key(&self, role: &str) -> String {
        let body = json!({ "name": role, "role": role }).to_string();
        let answer = self.ask(TENANT, Ask::post("/api/v1/api-keys").json(&body));
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["key"].as_str().unwrap().to_owned()
    }
}

fn run(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The time by this machine's clock, Unix milliseconds.
#[expect(clippy::disallowed_methods, reason = "the server goes by the same clock")]
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}
