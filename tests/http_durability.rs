//! Acknowledged means stored: the server is killed, or told to end, while many write to it in every
//! way there is. A ledger outside of it knows what was acknowledged; after each restart nothing of
//! that is missing, nothing is there twice, an atomic batch is there whole or not at all, and a
//! call that is repeated under its key gets its first answer.
//!
//! `EMX_SOAK=1` kills 200 times, otherwise 10 times.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "support/http_ledger.rs"]
mod http_ledger;
#[path = "support/peer.rs"]
mod peer;
#[path = "support/server.rs"]
mod server;

use http_ledger::{Call, KINDS, Kind, acknowledged, count, demand_all, owner_key, repeat};
use peer::{Ask, Peer};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use server::{PATIENCE, Server, TENANT, is_soak};
use std::sync::mpsc::{Sender, channel};

const ROUNDS_FULL: usize = 200;
const ROUNDS_SHORT: usize = 10;

/// Writers of each kind.
const WRITERS: usize = 2;
/// A round ends after at most so many calls were acknowledged.
const CALLS_MAX: usize = 400;

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
            Ok(answer) if call.note(&answer) => false,
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

#[test]
fn what_was_acknowledged_outlives_every_kill() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let rounds = if is_soak() { ROUNDS_FULL } else { ROUNDS_SHORT };
    let mut chance = StdRng::seed_from_u64(rounds as u64);
    let mut server = Server::start(&data_dir);
    let key = owner_key(&server);
    let (mut rows, mut told, mut open) = (0, 0, 0);
    for round in 0..rounds {
        let calls =
            written(&server, &key, round, chance.random_range(1..CALLS_MAX), || server.kill_now());
        server.kill();
        server = Server::start(&data_dir);
        let found = demand_all(&server, &key, round, &calls);
        rows += found + repeat(&server, &key, round, &calls, found);
        assert_eq!(count(&server, &key), rows, "after round {round}");
        told += calls.iter().filter(|call| call.answer.is_some()).count();
        open += calls.iter().filter(|call| call.answer.is_none()).count();
    }
    println!("{rounds} kills: {told} calls acknowledged, {open} cut off, {rows} rows");
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
    assert_eq!(found, acknowledged(&calls));
    server.end();
}

/// Who cannot serve makes nothing, above all no password that nobody is told.
#[test]
fn a_first_start_whose_address_is_taken_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_emx"))
        .args(["serve", "--listen", &taken.local_addr().unwrap().to_string(), "--data-dir"])
        .arg(&data_dir)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot listen at"), "{output:?}");
    assert!(output.stdout.is_empty() && !data_dir.exists(), "{output:?}");
}

#[test]
fn a_second_server_on_the_same_data_says_so_and_leaves_the_first_alone() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let server = Server::start(&data_dir);
    let key = owner_key(&server);
    let Err((status, log)) = Server::try_start(&data_dir, &[]) else { panic!("it has started") };
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("a server has it open"), "{log}");
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
