//! Clients that are not ours against the real server, with its certificate checked: curl, Python's
//! `requests` and `websockets`, Node's `ws`. What they run is in `examples/clients`, which so is known
//! to work. A client that is not here, or cannot be installed, is skipped.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "support/install.rs"]
mod install;
#[path = "support/peer.rs"]
mod peer;
#[path = "support/server.rs"]
mod server;

use emx::http::tls::{CertificateSource, Certificates};
use emx::runtime::clock::Clock;
use install::has;
use rustix::process::{Pid, Signal, kill_process};
use server::{PATIENCE, Server, TENANT};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};

/// Where the programs are.
fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/clients")
}

/// Runs a program against `server`; it believes in the authority in `ca_file`. One that hangs, because
/// what it waits for does not come, is killed.
fn run(server: &Server, program: &mut Command, ca_file: &Path) -> Output {
    let (email, password) = server.first_login();
    let child = program
        .env("EMX_URL", format!("https://localhost:{}", server.address.port()))
        .env("EMX_CA_FILE", ca_file)
        .env("NODE_EXTRA_CA_CERTS", ca_file)
        .env("EMX_TENANT", TENANT)
        .env("EMX_EMAIL", email)
        .env("EMX_PASSWORD", password)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (id, (end, ended)) = (Pid::from_child(&child), channel::<()>());
    let watchdog = std::thread::spawn(move || {
        if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            let _may_have_ended = kill_process(id, Signal::KILL);
        }
    });
    let output = child.wait_with_output().unwrap();
    drop(end);
    watchdog.join().unwrap();
    output
}

/// What a program says of a new server, line by line. It must not say anything of a server whose
/// authority it does not know.
fn told(program: impl Fn() -> Command) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let stranger = dir.path().join("stranger");
    std::fs::create_dir(&stranger).unwrap();
    let now_ms = Clock::system().now_ms();
    Certificates::open(&stranger, CertificateSource::LocalAuthority, &[], now_ms).unwrap();
    let fooled = run(&server, &mut program(), &stranger.join("tls/ca.pem"));
    assert!(!fooled.status.success() && fooled.stdout.is_empty(), "{fooled:?}");
    assert!(String::from_utf8_lossy(&fooled.stderr).to_lowercase().contains("certificate"));

    let output = run(&server, &mut program(), &server.data_dir().join("tls/ca.pem"));
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}\n{errors}", output.status);
    server.end();
    said.lines().map(str::to_owned).collect()
}

/// What whoever watches, breaks off and goes on is told.
const WATCHED: [&str; 4] =
    ["subscribed from 1", "seq 1 while watching", "subscribed from 2", "seq 2 while away"];

#[test]
fn curl_sends_and_asks() {
    if !has("curl") || !has("bash") || !has("gzip") {
        println!("skipped: a client by curl, for `curl`, `bash` or `gzip` is not there");
        return;
    }
    let said = told(|| Command::new(examples().join("send.sh")));
    let said: Vec<serde_json::Value> =
        said.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [one, many, asked] = said.as_slice() else { panic!("{said:?}") };
    assert_eq!((&one["outcome"], &one["seq"]), (&"accepted".into(), &1.into()), "{one}");
    assert_eq!((&many["accepted"], &many["last_seq"]), (&3.into(), &4.into()), "{many}");
    let rows = asked["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4, "{asked}");
    assert!(rows.contains(&serde_json::json!(["make test", 1, 193_200])), "{asked}");
}

/// What is refused before its body was read has an answer all the same, over HTTP/2 as over HTTP/1.1.
#[test]
fn curl_gets_the_answers_to_bodies_that_nobody_reads() {
    if !has("curl") {
        println!("skipped: refusals of bodies by curl, for `curl` is not there");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let body = dir.path().join("body");
    std::fs::write(&body, vec![b'a'; 3 << 20]).unwrap();
    let long = format!("@{}", body.display());
    for (path, headers, data, status) in [
        ("auth/login", "Content-Type: application/x-www-form-urlencoded", "tenant=demo", "415"),
        ("auth/login", "Content-Type: application/json", &*long, "413"),
        ("executions", "Authorization: Bearer emx_wrong", &*long, "401"),
        ("nowhere", "Content-Type: application/json", &*long, "404"),
    ] {
        for protocol in ["--http1.1", "--http2"].repeat(10) {
            let output = Command::new("curl")
                .args([protocol, "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", headers])
                .args(["-H", "Expect:", "--data-binary", data, "--cacert"])
                .arg(server.data_dir().join("tls/ca.pem"))
                .arg(format!("https://localhost:{}/api/v1/{path}", server.address.port()))
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert_eq!(said, status, "{protocol} {path}: {output:?}");
        }
    }
    server.end();
}

#[test]
fn python_has_a_session_and_watches() {
    let python = match install::python(&examples(), "python") {
        Ok(python) => python,
        Err(why) => return println!("skipped: clients in Python, for {why}"),
    };
    let program = |name: &'static str| {
        let python = python.clone();
        move || {
            let mut command = Command::new(&python);
            command.arg(examples().join(name));
            command
        }
    };
    let expected = [
        "user admin@localhost",
        "stored 201 the same answer again: True",
        "columns command status count p95(duration_ms)",
        "row cargo test failure 1 193200",
        "refused 422 application/problem+json out_of_range",
        "wrong /duration_ms out_of_range",
        "wrong /command required",
        "signed out 401",
    ];
    assert_eq!(told(program("session.py")), expected);
    assert_eq!(told(program("watch.py")), WATCHED);
}

#[test]
fn node_watches() {
    let dir = match install::node(&examples(), "node", &["watch.mjs"]) {
        Ok(dir) => dir,
        Err(why) => return println!("skipped: a client in Node, for {why}"),
    };
    let said = told(|| {
        let mut command = Command::new("node");
        command.arg(dir.join("watch.mjs"));
        command
    });
    assert_eq!(said, WATCHED);
}
