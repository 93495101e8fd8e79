//! Acknowledged means stored: the server is killed, or told to end, while many write to it in every
//! way there is. A ledger outside of it knows what was acknowledged; after each restart nothing of
//! that is missing, nothing is there twice, an atomic batch is there whole or not at all, and a
//! call that is repeated under its key gets its first answer.
//!
//! `EMX_SOAK=1` kills 200 times, otherwise 10 times.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "support/peer.rs"]
mod peer;
#[path = "support/server.rs"]
mod server;

use peer::{Ask, Peer};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use server::{PATIENCE, Server, TENANT, is_soak};
use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{Sender, channel};

const ROUNDS_FULL: usize = 200;
const ROUNDS_SHORT: usize = 10;

/// Writers of each kind.
const WRITERS: usize = 2;
/// Rows of a batch.
const BATCH_ROWS: usize = 20;
/// A round ends after at most so many calls were acknowledged.
const CALLS_MAX: usize = 400;

/// How somebody writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Single,
    Batch,
    Atomic,
    Idempotent,
}

const KINDS: [Kind; 4] = [Kind::Single, Kind::Batch, Kind::Atomic, Kind::Idempotent];

/// One call, in the ledger before it is made.
#[derive(Debug)]
struct Call {
    kind: Kind,
    /// What its rows are known by.
    names: Vec<String>,
    /// Its answer, once it is acknowledged.
    answer: Option<Value>,
}

impl Call {
    /// The `n`th call of a writer.
    fn new(kind: Kind, writer: &str, n: usize) -> Self {
        let rows = if matches!(kind, Kind::Batch | Kind::Atomic) { BATCH_ROWS } else { 1 };
        let names = (0..rows).map(|row| format!("{writer}-{n}-{row}")).collect();
        Self { kind, names, answer: None }
    }

    fn ask(&self, round: usize, key: &str) -> Ask {
        let execution = |name: &String| {
            let mut row = json!({ "command": "make", "host": name, "session_id": session(round) });
            // An idempotent call leaves the id to the server.
            if self.kind != Kind::Idempotent {
                row["id"] = name.as_str().into();
            }
            row
        };
        let rows: Vec<Value> = self.names.iter().map(execution).collect();
        match self.kind {
            Kind::Single => Ask::post("/api/v1/executions").json(&rows[0].to_string()),
            Kind::Idempotent => Ask::post("/api/v1/executions")
                .header("Idempotency-Key", &self.names[0])
                .json(&rows[0].to_string()),
            Kind::Batch => Ask::post("/api/v1/executions/batch").json(&json!(rows).to_string()),
            Kind::Atomic => {
                Ask::post("/api/v1/executions/batch?atomic=true").json(&json!(rows).to_string())
            }
        }
        .bearer(key)
    }
}

fn session(round: usize) -> String {
    format!("round-{round}")
}

/// Writes until that fails. The last call may have been made or not.
fn write(
    server: &Server,
    key: &str,
    round: usize,
    kind: Kind,
    n: usize,
    told: &Sender<()>,
) -> Vec<Call> {
    let writer = format!("{kind:?}-{round}-{n}");
    let mut calls = Vec::new();
    let Ok(mut peer) = Peer::connect(server.address, server.client("http/1.1")) else {
        return calls;
    };
    loop {
        let mut call = Call::new(kind, &writer, calls.len());
        let answered = peer.ask(&call.ask(round, key));
        let ended = match answered {
            Ok(answer) if matches!(answer.status, 200 | 201) => {
                call.answer = Some(answer.json());
                false
            }
            Ok(answer) => {
                assert_eq!(answer.status, 503, "{answer:?}");
                assert!(answer.header("retry-after").is_some(), "{answer:?}");
                true
            }
            Err(_gone) => true,
        };
        calls.push(call);
        if ended || told.send(()).is_err() {
            return calls;
        }
    }
}

/// Has everybody write, ends the server with `end` after `acknowledged` calls, and gives the ledger.
fn written(
    server: &Server,
    key: &str,
    round: usize,
    acknowledged: usize,
    end: impl FnOnce(),
) -> Vec<Call> {
    std::thread::scope(|scope| {
        let (tell, told) = channel();
        let mut writers = Vec::new();
        for kind in KINDS {
            for n in 0..WRITERS {
                let tell = tell.clone();
                writers.push(scope.spawn(move || write(server, key, round, kind, n, &tell)));
            }
        }
        drop(tell);
        for _ in 0..acknowledged {
            told.recv_timeout(PATIENCE).unwrap();
        }
        end();
        let calls = writers.into_iter().flat_map(|writer| writer.join().unwrap());
        calls.collect()
    })
}

/// How many rows there are of each name in a round.
fn stored(server: &Server, key: &str, round: usize) -> HashMap<String, usize> {
    let target = format!("/api/v1/export?format=ndjson&filter=session_id%3D{}", session(round));
    let answer = server.ask(&Ask::get(&target).bearer(key));
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut found = HashMap::new();
    for line in String::from_utf8(answer.body).unwrap().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        *found.entry(row["host"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    found
}

fn count(server: &Server, key: &str) -> u64 {
    let answer = server.ask(&Ask::get("/api/v1/query?metrics=count").bearer(key));
    answer.json()["rows"][0][0].as_u64().unwrap()
}

/// Everything that the ledger says about a round is so. Gives how many rows there are of it.
fn demand_all(server: &Server, key: &str, round: usize, calls: &[Call]) -> usize {
    let found = stored(server, key, round);
    let twice = found.iter().find(|(_, rows)| **rows != 1);
    assert_eq!(twice, None, "round {round}");
    let sent: HashSet<&str> =
        calls.iter().flat_map(|call| &call.names).map(String::as_str).collect();
    assert!(found.keys().all(|name| sent.contains(name.as_str())), "a row of nobody's");
    for call in calls {
        let there = call.names.iter().filter(|name| found.contains_key(*name)).count();
        let all = call.names.len();
        assert!(call.answer.is_none() || there == all, "{there} of {all} of {call:?}");
        assert!(call.kind != Kind::Atomic || there == 0 || there == all, "{there} of {call:?}");
    }
    found.len()
}

/// Calls under a key are repeated: the acknowledged ones get their first answer, and the others one
/// that stays. Gives how many rows that has added, which nobody had acknowledged.
fn repeat(server: &Server, key: &str, round: usize, calls: &[Call], found: usize) -> usize {
    let mut peer = server.connect();
    for call in calls.iter().filter(|call| call.kind == Kind::Idempotent) {
        let answers = [(); 2].map(|()| {
            let answer = peer.ask(&call.ask(round, key)).unwrap();
            assert_eq!(answer.status, 201, "{answer:?}");
            answer.json()
        });
        let first = call.answer.as_ref().unwrap_or(&answers[0]);
        assert!(answers.iter().all(|answer| answer == first), "{answers:?}: {call:?}");
    }
    let after = stored(server, key, round);
    assert!(after.values().all(|rows| *rows == 1), "a repeated call was stored again");
    after.len() - found
}

fn owner_key(server: &Server) -> String {
    let token = server.sign_in();
    let body = r#"{"name":"ledger","role":"owner"}"#;
    let answer = server.ask(&Ask::post("/api/v1/api-keys").bearer(&token).json(body));
    answer.json()["key"].as_str().unwrap().to_owned()
}

#[test]
fn what_was_acknowledged_outlives_every_kill() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let rounds = if is_soak() { ROUNDS_FULL } else { ROUNDS_SHORT };
    let mut chance = StdRng::seed_from_u64(rounds as u64);
    let mut server = Server::start(&data_dir);
    let key = owner_key(&server);
    let (mut rows, mut acknowledged, mut open) = (0, 0, 0);
    for round in 0..rounds {
        let calls =
            written(&server, &key, round, chance.random_range(1..CALLS_MAX), || server.kill_now());
        server.kill();
        server = Server::start(&data_dir);
        let found = demand_all(&server, &key, round, &calls);
        rows += found + repeat(&server, &key, round, &calls, found);
        assert_eq!(count(&server, &key), rows as u64, "after round {round}");
        acknowledged += calls.iter().filter(|call| call.answer.is_some()).count();
        open += calls.iter().filter(|call| call.answer.is_none()).count();
    }
    println!("{rounds} kills: {acknowledged} calls acknowledged, {open} cut off, {rows} rows");
    server.end();
}

#[test]
fn what_was_acknowledged_outlives_the_end_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let server = Server::start(&data_dir);
    let key = owner_key(&server);
    let calls = written(&server, &key, 0, CALLS_MAX, || server.tell_to_end());
    let (status, log) = server.wait(PATIENCE);
    assert!(
        status.success() && !log.contains("ERROR") && !log.contains("panicked"),
        "{status}\n{log}"
    );
    assert!(!data_dir.join("control.sock").exists(), "nobody answers there");
    let server = Server::start(&data_dir);
    let found = demand_all(&server, &key, 0, &calls);
    // What was cut off was answered or not even begun: nothing is stored that nobody was told of.
    let told = calls.iter().filter(|call| call.answer.is_some()).map(|call| call.names.len());
    assert_eq!(found, told.sum::<usize>());
    server.end();
}

#[test]
fn a_second_server_on_the_same_data_says_so_and_leaves_the_first_alone() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let server = Server::start(&data_dir);
    let key = owner_key(&server);
    let Err((status, log)) = Server::try_start(&data_dir, &[]) else { panic!("it has started") };
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("another `emx` is using it"), "{log}");
    let me = server.ask(&Ask::get("/api/v1/auth/me").bearer(&key)).json();
    assert_eq!(me["tenant"]["slug"], TENANT);
    // Commands still find the first one.
    let tenants = std::process::Command::new(env!("CARGO_BIN_EXE_emx"))
        .args(["tenant", "list", "--data-dir"])
        .arg(server.data_dir())
        .output()
        .unwrap();
    assert!(tenants.status.success(), "{tenants:?}");
    server.end();
}
