//! What `emx serve` says when it starts, the first time and later, and a server that is asked elsewhere.

use crate::emx::{Emx, Ran};
use emx::runtime::clock::Clock;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::time::Duration;

/// How often, and after which pause, it is looked whether the server answers: together two minutes.
const READY_LOOKS_MAX: usize = 1200;
const READY_PAUSE: Duration = Duration::from_millis(100);

/// A server with its demo, that ends with the test whatever happens.
struct Serving {
    child: Option<Child>,
    url: String,
    ca_file: String,
}

impl Serving {
    fn start(emx: &Emx) -> Self {
        let ready = emx.place.path().join("ready.json");
        let arguments =
            ["serve", "--demo", "--listen", "127.0.0.1:0", "--ready-file", "ready.json"];
        let mut command = emx.command(&arguments);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut serving = Self { child: Some(child), url: String::new(), ca_file: String::new() };
        let clock = Clock::system();
        for _ in 0..READY_LOOKS_MAX {
            if let Ok(text) = std::fs::read_to_string(&ready) {
                let told: Value = serde_json::from_str(&text).unwrap();
                serving.url = told["url"].as_str().unwrap().to_owned();
                let ca_file = emx.place.path().join(told["ca_file"].as_str().unwrap());
                serving.ca_file = ca_file.to_str().unwrap().to_owned();
                return serving;
            }
            clock.pause(READY_PAUSE);
        }
        panic!("the server is not ready");
    }

    /// Tells it to end, and gives what it has said.
    fn end(mut self) -> Ran {
        let child = self.child.take().unwrap();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let ran = Ran::from(child.wait_with_output().unwrap());
        assert_eq!(ran.code, 0, "{ran:?}");
        ran
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _gone = child.kill();
            let _gone = child.wait();
        }
    }
}

#[test]
fn an_address_that_is_taken_is_told_with_what_to_do() {
    let emx = Emx::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = emx.fails(&["serve", "--listen", &address], 1, "cannot_listen");
    assert!(ran.err.contains(&address) && ran.err.contains("help: "), "{}", ran.err);
    assert!(ran.err.contains("--listen"), "{}", ran.err);
    let ran = emx.fails(&["serve", "--listen", "192.0.2.1:8443"], 1, "cannot_listen");
    assert!(ran.err.contains("help: ") && ran.err.contains("--listen"), "{}", ran.err);
    assert!(!emx.data_dir().exists(), "it has left something behind");
}

#[test]
fn a_demo_is_made_once_and_says_each_time_how_to_sign_in() {
    let emx = Emx::new();
    let first = Serving::start(&emx);
    key_says_the_tenant(&emx, &first);
    let first = first.end();
    let file = emx.data_dir().join("first-password.txt");
    assert!(first.err.contains("making up three months"), "{first:?}");
    assert!(first.out.contains("data/first-password.txt"), "{first:?}");

    let second = Serving::start(&emx).end();
    assert!(!second.err.contains("making up"), "{second:?}");
    assert!(second.out.contains("the first password is still in"), "{second:?}");

    std::fs::remove_file(file).unwrap();
    let third = Serving::start(&emx).end();
    assert!(third.out.contains("emx user passwd --tenant demo admin@localhost"), "{third:?}");
}

/// At a server elsewhere the key says whose executions are meant, and nobody else has to.
fn key_says_the_tenant(emx: &Emx, server: &Serving) {
    let made = emx.json(&["key", "create", "--tenant", "demo", "--name", "x", "--role", "viewer"]);
    let key = made["key"].as_str().unwrap();
    let elsewhere = Emx::new();
    let at = ["--url", &server.url, "--key", key, "--ca", &server.ca_file];
    for command in [
        &["query", "--metric", "count", "--json"][..],
        &["top", "--once", "--json"],
        &["export", "--format", "csv"],
    ] {
        let told = elsewhere.ok(&[command, &at].concat());
        assert!(told.lines().count() >= 1, "{command:?}: {told}");
        let same = elsewhere.ok(&[command, &at, &["--tenant", "demo"]].concat());
        assert!(same.lines().count() >= 1, "{command:?}: {same}");
        let other = elsewhere.run(&[command, &at, &["--tenant", "other"]].concat());
        assert_eq!(other.code, 1, "{command:?}: {other:?}");
        // Here there may be several.
        let here: Vec<&str> = command.iter().copied().filter(|word| *word != "--json").collect();
        let here = emx.fails(&here, 2, "usage");
        assert!(here.err.contains("--tenant"), "{here:?}");
    }
}
