//! A disk that is full: `507`, and nothing else changes.

use crate::http_ledger::{acknowledged, count, demand_all, owner_key};
use crate::peer::Ask;
use crate::server::Server;
use crate::small_disk::{ballast, on_small_disk};
use crate::{Refusals, Round, demand_reads, demand_refused, wait_for};
use std::path::Path;

const FULL: Refusals = &[(507, "disk_full")];

/// A commit that was under way when the last block was taken may have taken place or not.
const FULL_MIDWAY: Refusals = &[(507, "disk_full"), (503, "outcome_unknown")];

/// Text of each row that does not compress: the disk is full after some thousands.
const NOISE_BYTES: usize = 4 << 10;

/// What is set aside, to be given back when the disk is full.
const SPARE_BYTES: usize = 10 << 20;

/// How often the rest of the disk is taken at once.
const SUDDEN_ROUNDS: usize = 4;

/// Acknowledged calls before that: enough that all writers are at it.
const SUDDEN_CALLS: usize = 40;

#[test]
fn a_full_disk_refuses_writes_and_nothing_else() {
    let name = "full::a_full_disk_refuses_writes_and_nothing_else";
    let Some(dir) = on_small_disk(name) else { return };
    let (spare, rest) = (dir.join("spare"), dir.join("rest"));
    std::fs::write(&spare, vec![1; SPARE_BYTES]).unwrap();
    let server = Server::start(&dir.join("data"));
    let (key, token) = (owner_key(&server), server.sign_in());
    let round =
        Round { server: &server, key: &key, number: 0, noise_bytes: NOISE_BYTES, refusals: FULL };

    let mut calls = round.write(drop);
    // Not a byte more: so nothing that is given back lets a write through after all.
    ballast(&rest, 0);
    round.demand_refused_again(&calls);
    demand_reads(&server, &key);
    demand_others(&server, &key, &token);
    let stored = demand_all(&server, &key, 0, &calls);
    assert_eq!(stored, acknowledged(&calls), "what was refused is stored");
    assert_eq!(count(&server, &key), stored);

    std::fs::remove_file(&rest).unwrap();
    std::fs::remove_file(&spare).unwrap();
    round.send_again(&mut calls);
    assert!(calls.iter().all(crate::Call::is_first), "what was refused was stored all the same");
    let next = Round { number: 1, ..round };
    let more = next.write(drop);
    assert!(acknowledged(&more) > 0, "freed space is of no use");
    let demand = |server: &Server| {
        let stored = demand_all(server, &key, 0, &calls) + demand_all(server, &key, 1, &more);
        assert_eq!(stored, acknowledged(&calls) + acknowledged(&more));
        assert_eq!(count(server, &key), stored);
    };
    demand(&server);
    println!("{} rows were acknowledged", acknowledged(&calls) + acknowledged(&more));
    end_and_check(server, demand);
}

#[test]
fn a_disk_that_is_taken_away_at_once_takes_nothing_back() {
    let name = "full::a_disk_that_is_taken_away_at_once_takes_nothing_back";
    let Some(dir) = on_small_disk(name) else { return };
    let rest = dir.join("rest");
    let server = Server::start(&dir.join("data"));
    let key = owner_key(&server);
    let mut ledger = Vec::new();
    for number in 0..SUDDEN_ROUNDS {
        let round = Round {
            server: &server,
            key: &key,
            number,
            noise_bytes: NOISE_BYTES / 4,
            refusals: FULL_MIDWAY,
        };
        let mut calls = round.write(|told| {
            wait_for(&told, SUDDEN_CALLS);
            ballast(&rest, 0);
        });
        demand_reads(&server, &key);
        std::fs::remove_file(&rest).unwrap();
        round.send_again(&mut calls);
        ledger.push(calls);
    }
    let demand = |server: &Server| {
        for (n, calls) in ledger.iter().enumerate() {
            assert_eq!(demand_all(server, &key, n, calls), acknowledged(calls));
        }
    };
    demand(&server);
    end_and_check(server, demand);
}

/// Signing in, keys and readiness, while the disk is full.
fn demand_others(server: &Server, key: &str, token: &str) {
    // A session has to be stored. Whoever has one goes on with it.
    demand_refused(&server.login(&server.first_login().1), FULL);
    assert_eq!(server.login("a wrong one").status, 401);
    for who in [key, token] {
        let me = server.ask(&Ask::get("/api/v1/auth/me").bearer(who));
        assert_eq!(me.status, 200, "{me:?}");
    }
    let body = r#"{"name":"another","role":"viewer"}"#;
    demand_refused(&server.ask(&Ask::post("/api/v1/api-keys").bearer(key).json(body)), FULL);
    demand_refused(&server.ask(&Ask::get("/readyz")), FULL);
}

/// The server ends without a fault, its files are sound, and the next one holds the same.
fn end_and_check(server: Server, demand: impl Fn(&Server)) {
    let data_dir = server.data_dir().to_owned();
    server.end();
    check(&data_dir);
    let server = Server::start(&data_dir);
    demand(&server);
    server.end();
}

/// `emx check` finds nothing.
pub(crate) fn check(data_dir: &Path) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_emx"))
        .args(["check", "--data-dir"])
        .arg(data_dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}
