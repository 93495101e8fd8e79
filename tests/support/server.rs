//! The real server on a data directory of its own, and its beginning and end.
#![allow(dead_code, reason = "every test that includes it uses another part")]

use crate::peer::{Answer, Peer};
use rustix::process::{Pid, Signal, kill_process};
use rustls::client::ClientConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{RootCertStore, pki_types::CertificateDer};
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long anything may take that takes a moment, on a machine that has much else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The tenant that a first start makes.
pub(crate) const TENANT: &str = "default";

/// Whether the long checks run in full.
pub(crate) fn is_soak() -> bool {
    std::env::var("EMX_SOAK").is_ok_and(|value| value == "1")
}

/// A running `emx serve`. It is killed when this is dropped.
pub(crate) struct Server {
    child: Child,
    data_dir: PathBuf,
    pub(crate) address: SocketAddr,
    client: Arc<ClientConfig>,
    log: Arc<Mutex<String>>,
    /// Gets a word when the server answers, and ends with it.
    life: Mutex<Receiver<()>>,
}

impl Server {
    /// Starts on the data directory `dir`, which need not exist, and waits until it answers.
    pub(crate) fn start(dir: &Path) -> Self {
        Self::start_with(dir, &[])
    }

    /// The same with settings from the environment.
    pub(crate) fn start_with(dir: &Path, settings: &[(&str, &str)]) -> Self {
        Self::try_start(dir, settings).unwrap_or_else(|(status, log)| panic!("{status}\n{log}"))
    }

    /// The same; if it ends before it answers, how, and what it said.
    pub(crate) fn try_start(
        dir: &Path,
        settings: &[(&str, &str)],
    ) -> Result<Self, (ExitStatus, String)> {
        let ready_file = dir.with_extension("ready");
        let _of_the_last_one = std::fs::remove_file(&ready_file);
        let mut child = Command::new(env!("CARGO_BIN_EXE_emx"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(dir)
            .arg("--ready-file")
            .arg(&ready_file)
            .env("RUST_BACKTRACE", "0")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let kept = Arc::clone(&log);
        let logging = std::thread::spawn(move || {
            let mut line = String::new();
            while errors.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                kept.lock().unwrap().push_str(&std::mem::take(&mut line));
            }
        });
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (alive, life) = channel();
        std::thread::spawn(move || {
            // This line comes after the ready file, the end with the process.
            let mut line = String::new();
            while output.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                if std::mem::take(&mut line).starts_with("serving at") {
                    let _nobody_waits = alive.send(());
                    break;
                }
            }
            let _ended = output.read_to_end(&mut Vec::new());
            let _ended = logging.join();
        });
        if life.recv_timeout(PATIENCE).is_err() {
            let _may_have_ended = child.kill();
            let status = child.wait().unwrap();
            let log = log.lock().unwrap().clone();
            return Err((status, log));
        }
        let ready: Value = serde_json::from_slice(&std::fs::read(&ready_file).unwrap()).unwrap();
        assert_eq!(ready["pid"].as_u64(), Some(child.id().into()), "{ready}");
        let port = ready["url"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        // There is none beside a certificate of one's own; those of tests are of the same authority.
        let ca_file =
            ready["ca_file"].as_str().map_or_else(|| dir.join("tls/ca.pem"), PathBuf::from);
        let client = trusting(&ca_file);
        Ok(Self { child, data_dir: dir.to_owned(), address, client, log, life: Mutex::new(life) })
    }

    /// A TLS configuration that believes in this server.
    pub(crate) fn client(&self, protocol: &str) -> Arc<ClientConfig> {
        let mut client = (*self.client).clone();
        client.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Arc::new(client)
    }

    /// A new connection, HTTP/1.1.
    pub(crate) fn connect(&self) -> Peer {
        Peer::connect(self.address, self.client("http/1.1")).unwrap()
    }

    /// Asks over a connection of its own.
    pub(crate) fn ask(&self, request: &crate::peer::Ask) -> Answer {
        let mut peer = self.connect();
        peer.ask(request).unwrap_or_else(|error| panic!("{error}: {request:?}"))
    }

    /// The e-mail address and the password of the administrator that the first start made.
    pub(crate) fn first_login(&self) -> (String, String) {
        let file = std::fs::read_to_string(self.data_dir.join("first-password.txt")).unwrap();
        let (email, password) = file.trim_end().split_once('\n').unwrap();
        (email.to_owned(), password.to_owned())
    }

    /// What the administrator is answered who signs in with `password`.
    pub(crate) fn login(&self, password: &str) -> Answer {
        let (email, _) = self.first_login();
        let body = json!({ "tenant": TENANT, "email": email, "password": password });
        self.ask(&crate::peer::Ask::post("/api/v1/auth/login").json(&body.to_string()))
    }

    /// The administrator's access token.
    pub(crate) fn sign_in(&self) -> String {
        let answer = self.login(&self.first_login().1);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// What it said on its standard error so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM, and nothing else.
    pub(crate) fn tell_to_end(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Waits until it has ended by itself, `within` this time.
    pub(crate) fn wait(mut self, within: Duration) -> (ExitStatus, String) {
        // The channel ends when the output does.
        let waited = self.life.get_mut().unwrap().recv_timeout(within);
        assert!(
            matches!(waited, Err(std::sync::mpsc::RecvTimeoutError::Disconnected)),
            "it did not end within {within:?}\n{}",
            self.log()
        );
        (self.child.wait().unwrap(), self.log())
    }

    /// SIGTERM, and a clean end without a word of a fault.
    pub(crate) fn end(self) {
        self.tell_to_end();
        let (status, log) = self.wait(PATIENCE);
        assert!(status.success(), "{status}\n{log}");
        for fault in ["panicked", "ERROR"] {
            assert!(!log.contains(fault), "{log}");
        }
    }

    /// SIGKILL, from whoever is not its owner.
    pub(crate) fn kill_now(&self) {
        kill_process(Pid::from_child(&self.child), Signal::KILL).unwrap();
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        let _may_be_dead = self.child.kill();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _may_have_ended = self.child.kill();
        let _may_have_ended = self.child.wait();
    }
}

fn trusting(ca_file: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca_file).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}
