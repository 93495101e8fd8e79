//! A disk whose syncs fail, by a library below the server that answers for `fsync` and `fdatasync`.

use crate::full::check;
use crate::http_ledger::{Call, Kind, acknowledged, count, demand_all, owner_key};
use crate::peer::Ask;
use crate::server::{PATIENCE, Server};
use crate::{Refusals, Round, demand_reads, demand_refused, wait_for};
use emx::runtime::clock::Clock;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The first to be refused was in the commit that failed; the others come before it is mended.
const UNSTABLE: Refusals = &[(503, "outcome_unknown"), (503, "store_failed")];

/// Acknowledged calls before syncs fail: enough that all writers are at it.
const CALLS: usize = 40;

/// How often syncs fail and work again below one server.
const ROUNDS: usize = 3;

/// How often a call is repeated while syncs fail.
const REPEATS: usize = 3;

/// Rows that make a block, so that reading has to look into the file.
const BLOCK_ROWS: usize = 70_000;

/// Pause between two looks whether they have become one.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// The library, and the file while which syncs fail.
struct Shim {
    library: PathBuf,
    sign: PathBuf,
}

impl Shim {
    /// Made in `dir`; `None` where there is no C compiler.
    fn make(dir: &Path) -> Option<Self> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http_disk/failing_sync.c");
        let library = dir.join("failing_sync.so");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .args([&library, &source])
            .output();
        let Ok(output) = compiled else {
            println!("skipped: a disk whose syncs fail, for there is no `cc`");
            return None;
        };
        assert!(output.status.success(), "{output:?}");
        Some(Self { library, sign: dir.join("syncs-fail") })
    }

    fn try_start(&self, data_dir: &Path) -> Result<Server, String> {
        let settings = [
            ("LD_PRELOAD", self.library.to_str().unwrap()),
            ("FAILING_SYNC_WHILE", self.sign.to_str().unwrap()),
        ];
        Server::try_start(data_dir, &settings).map_err(|(status, log)| {
            assert_eq!(status.code(), Some(1), "{log}");
            log
        })
    }

    fn start(&self, data_dir: &Path) -> Server {
        self.try_start(data_dir).unwrap_or_else(|log| panic!("{log}"))
    }

    fn begin_to_fail(&self) {
        std::fs::write(&self.sign, "").unwrap();
    }

    fn work_again(&self) {
        std::fs::remove_file(&self.sign).unwrap();
    }
}

/// Stores a block of rows that belong to no round, and waits until it is one.
fn store_block(server: &Server, key: &str) {
    let row = |n: usize| format!("{{\"id\":\"sealed-{n}\",\"command\":\"sealed\"}}\n");
    let body: String = (0..BLOCK_ROWS).map(row).collect();
    let batch = Ask::post("/api/v1/executions/batch").body("application/x-ndjson", body);
    let answer = server.ask(&batch.bearer(key)).json();
    assert_eq!(answer["accepted"], BLOCK_ROWS);
    let looks = PATIENCE.as_millis() / LOOK_PAUSE.as_millis();
    for _ in 0..looks {
        let text = server.ask(&Ask::get("/metrics").bearer(key)).body;
        let text = String::from_utf8(text).unwrap();
        let line = text.lines().find(|line| line.starts_with("emx_unsealed_rows ")).unwrap();
        if line.rsplit(' ').next().unwrap().parse::<usize>().unwrap() < BLOCK_ROWS {
            return;
        }
        Clock::system().pause(LOOK_PAUSE);
    }
    panic!("the rows do not become a block");
}

/// Everything acknowledged is there once, and nothing that was never sent.
fn demand(server: &Server, key: &str, ledger: &[Vec<Call>]) {
    let rounds = ledger.iter().enumerate();
    let stored: usize = rounds.map(|(n, calls)| demand_all(server, key, n, calls)).sum();
    assert_eq!(count(server, key), BLOCK_ROWS + stored);
}

/// Signing in while syncs fail. It leaves the users' tables unstable too, which are not read then.
fn demand_others(server: &Server, token: &str) {
    demand_refused(&server.login(&server.first_login().1), UNSTABLE);
    demand_refused(&server.login("a wrong one"), UNSTABLE);
    demand_refused(&server.ask(&Ask::get("/api/v1/auth/me").bearer(token)), UNSTABLE);
    demand_refused(&server.ask(&Ask::get("/readyz")), UNSTABLE);
}

#[test]
fn while_syncs_fail_nothing_is_acknowledged_and_reading_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let Some(shim) = Shim::make(dir.path()) else { return };
    let server = shim.start(&data_dir);
    let (key, token) = (owner_key(&server), server.sign_in());
    store_block(&server, &key);
    let mut ledger = Vec::new();
    for number in 0..ROUNDS {
        let round =
            Round { server: &server, key: &key, number, noise_bytes: 0, refusals: UNSTABLE };
        let mut calls = round.write(|told| {
            wait_for(&told, CALLS);
            shim.begin_to_fail();
        });
        round.demand_refused_again(&calls);
        demand_reads(&server, &key);
        demand_others(&server, &token);
        let stored = demand_all(&server, &key, number, &calls);
        assert_eq!(stored, acknowledged(&calls), "what is not known to be stored is shown");
        shim.work_again();
        round.send_again(&mut calls);
        ledger.push(calls);
        demand(&server, &key, &ledger);
    }
    server.tell_to_end();
    let (status, log) = server.wait(PATIENCE);
    assert!(status.success() && !log.contains("panicked"), "{status}\n{log}");
    check(&data_dir);
    let server = Server::start(&data_dir);
    demand(&server, &key, &ledger);
    server.end();
}

#[test]
fn a_call_of_unknown_outcome_is_answered_once_the_outcome_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let Some(shim) = Shim::make(dir.path()) else { return };
    let server = shim.start(&dir.path().join("data"));
    let key = owner_key(&server);
    let mut call = Call::new(Kind::Idempotent, "unknown", 0);
    let mut peer = server.connect();
    let mut send = || peer.ask(&call.ask(0, &key)).unwrap();
    shim.begin_to_fail();
    demand_refused(&send(), &[(503, "outcome_unknown")]);
    // The file may show the row and the answer by now: they are not known to be on the disk.
    for _ in 0..REPEATS {
        demand_refused(&send(), UNSTABLE);
        assert_eq!(count(&server, &key), 0);
    }
    shim.work_again();
    let answers = [(); 2].map(|()| send());
    assert!(call.note(&answers[0]), "{answers:?}");
    assert_eq!(answers[0].json(), answers[1].json());
    assert_eq!(demand_all(&server, &key, 0, &[call]), 1);
    server.tell_to_end();
    let (status, log) = server.wait(PATIENCE);
    assert!(status.success() && !log.contains("panicked"), "{status}\n{log}");
}

#[test]
fn who_dies_while_syncs_fail_comes_back_with_everything_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let Some(shim) = Shim::make(dir.path()) else { return };
    let mut server = shim.start(&data_dir);
    let key = owner_key(&server);
    store_block(&server, &key);
    let mut ledger = Vec::new();
    for number in 0..ROUNDS {
        let round =
            Round { server: &server, key: &key, number, noise_bytes: 0, refusals: UNSTABLE };
        let calls = round.write(|told| {
            wait_for(&told, CALLS);
            shim.begin_to_fail();
        });
        ledger.push(calls);
        if number % 2 == 0 {
            server.kill();
        } else {
            server.tell_to_end();
            let (_, log) = server.wait(PATIENCE);
            assert!(!log.contains("panicked"), "{log}");
        }
        // Where nothing can be stored there is no server, and it says so.
        let Err(log) = shim.try_start(&data_dir) else { panic!("it has started") };
        assert!(log.contains("the disk failed") && !log.contains("panicked"), "{log}");
        shim.work_again();
        server = shim.start(&data_dir);
        demand(&server, &key, &ledger);
    }
    server.end();
    check(&data_dir);
}

#[test]
fn a_first_start_whose_syncs_fail_says_so_and_another_one_works() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let Some(shim) = Shim::make(dir.path()) else { return };
    shim.begin_to_fail();
    let Err(log) = shim.try_start(&data_dir) else { panic!("it has started") };
    assert!(log.contains("the disk failed") && !log.contains("panicked"), "{log}");
    shim.work_again();
    let server = shim.start(&data_dir);
    owner_key(&server);
    server.end();
}
