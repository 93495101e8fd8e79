//! The real server in a process of its own, and what it costs.

use crate::client::{Client, Trust};
use crate::process::Process;
use crate::workload::fresh_directory;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long a server may take to start, and to become idle.
const START_LOOKS_MAX: usize = 600;
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Rows are sealed after five idle seconds: a server is idle that has not worked for longer.
const IDLE: Duration = Duration::from_secs(7);
/// Processor time of an idle server in that time.
const IDLE_CPU: Duration = Duration::from_millis(50);
const IDLE_LOOKS_MAX: usize = 60;

/// The variable that says how many connections there may be from one address.
pub(crate) const PER_ADDRESS_MAX: &str = "EMX_SERVER__CONNECTIONS_PER_ADDRESS_MAX";

/// The file that a server's messages go to where they are read.
const LOG: &str = "log.ndjson";

/// A server with one tenant, its address and a key for it.
pub(crate) struct Running {
    pub(crate) process: Process,
    pub(crate) trust: Trust,
    pub(crate) key: String,
    pub(crate) directory: PathBuf,
}

impl Running {
    /// Starts one in the empty directory `name`.
    pub(crate) fn start(name: &str) -> Result<Self> {
        Self::start_with(name, &[])
    }

    /// Starts one in the empty directory `name`, with settings as variables of its environment.
    pub(crate) fn start_with(name: &str, settings: &[(&str, String)]) -> Result<Self> {
        Self::begin(fresh_directory(name)?, settings, Stdio::inherit())
    }

    /// The same, with what it says in a file of its own.
    pub(crate) fn start_logged(name: &str, settings: &[(&str, String)]) -> Result<Self> {
        let directory = fresh_directory(name)?;
        let log = File::create(directory.join(LOG))?;
        Self::begin(directory, settings, log.into())
    }

    /// The file that a server that is logged writes.
    pub(crate) fn log(&self) -> PathBuf {
        self.directory.join(LOG)
    }

    fn begin(directory: PathBuf, settings: &[(&str, String)], log: Stdio) -> Result<Self> {
        let ready = directory.join("ready.json");
        let data = directory.join("data");
        let process = Command::new(env!("CARGO_BIN_EXE_emx"))
            .args(["serve", "--listen", "127.0.0.1:0", "--ready-file"])
            .arg(&ready)
            .arg("--data-dir")
            .arg(&data)
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let process = Process(process);
        let mut looks = 0;
        while !ready.exists() {
            ensure!(looks < START_LOOKS_MAX, "the server does not start");
            looks += 1;
            crate::measure::wait_until(crate::measure::now() + LOOK_EVERY);
        }
        let told: Value = serde_json::from_slice(&std::fs::read(&ready)?)?;
        let trust = Trust::of(
            told["url"].as_str().context("no address")?,
            told["ca_file"].as_str().context("no authority")?,
        )?;
        let mut running = Self { process, trust, key: String::new(), directory };
        running.key = running.make_key()?;
        Ok(running)
    }

    /// The password of the first administrator, `admin@localhost`.
    pub(crate) fn password(&self) -> Result<String> {
        let told = std::fs::read_to_string(self.directory.join("data/first-password.txt"))?;
        Ok(told.lines().nth(1).context("no password")?.to_owned())
    }

    /// Signs in with the first password and makes a key that may do everything.
    fn make_key(&self) -> Result<String> {
        let login = json!({ "tenant": "default", "email": "admin@localhost", "password": self.password()? });
        let mut client = self.client("")?;
        let session = client.json("POST", "/api/v1/auth/login", login.to_string().as_bytes())?;
        let token = session["access_token"].as_str().context("not signed in")?;
        let key = json!({ "name": "benchmark", "role": "owner" });
        let mut client = self.client(token)?;
        let made = client.json("POST", "/api/v1/api-keys", key.to_string().as_bytes())?;
        Ok(made["key"].as_str().context("no key")?.to_owned())
    }

    /// What a command of the program answers, which has this server do something.
    pub(crate) fn emx(&self, arguments: &[&str]) -> Result<Value> {
        let output = Command::new(env!("CARGO_BIN_EXE_emx"))
            .args(arguments)
            .args(["--json", "--data-dir"])
            .arg(self.directory.join("data"))
            .output()?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{arguments:?}: {told}");
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// A connection that presents `key`.
    pub(crate) fn client(&self, key: &str) -> Result<Client> {
        Client::connect(&self.trust, key)
    }

    /// User and system time of the server until now.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        self.process.cpu()
    }

    /// A size of the server's memory, bytes: `VmHWM:` (the most) or `VmRSS:` (now).
    pub(crate) fn memory(&self, name: &str) -> Result<u64> {
        self.process.memory(name)
    }

    /// Waits until the server has nothing left to do.
    pub(crate) fn settle(&self) -> Result<()> {
        for _ in 0..IDLE_LOOKS_MAX {
            let before = self.cpu()?;
            crate::measure::wait_until(crate::measure::now() + IDLE);
            if self.cpu()? - before <= IDLE_CPU {
                return Ok(());
            }
        }
        bail!("the server does not become idle");
    }
}
