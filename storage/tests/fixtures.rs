//! A data directory of every format version, as a program of that version wrote it: they are read
//! for ever, and written on.
//!
//! `EMX_WRITE_FIXTURE=1` writes the directory of the present version. It is done once, when a
//! version begins; afterwards the files only ever get company.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "support/ledger.rs"]
mod ledger;
#[path = "support/questions.rs"]
mod questions;
#[path = "support/versions.rs"]
mod versions;

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use ledger::{Act, Ledger, LedgerRow, Part, TABLE};
use questions::ask_all;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use storage::embedded::{EmbeddedEngine, EngineSettings};
use storage::engine::Engine;
use storage::volume::OsVolume;

const TENANT: &str = "t-1";

/// The files of a data directory.
const FILES: [&str; 2] = ["platform.redb", "tenants/t-1/metrics.redb"];

fn directory_of(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(format!("version-{version}"))
}

fn open(dir: &Path) -> Arc<dyn Engine> {
    let settings =
        EngineSettings { seal_rows: 256, background: false, ..EngineSettings::default() };
    Arc::new(EmbeddedEngine::open(OsVolume::shared(dir), settings).unwrap())
}

/// What was done to the directory of every version: blocks that were merged, rows removed and
/// replaced, a cursor, small values, and rows that are not sealed.
fn acts() -> Vec<Act> {
    let tenant = || TENANT.to_owned();
    let some = |numbers, origin: &str| {
        let note = Some((origin.as_bytes().to_vec(), b"noted".to_vec()));
        let rows = LedgerRow::many(numbers, 0, origin);
        Act::Append(tenant(), vec![Part { rows, note }])
    };
    let mut acts = vec![Act::Claim(b"tenant/acme".to_vec(), TENANT.into()), Act::Create(tenant())];
    for n in 0..9 {
        acts.extend([some(n * 20..n * 20 + 20, "one"), Act::Settle(tenant())]);
    }
    acts.extend([
        some(200..900, "many"),
        Act::Settle(tenant()),
        some(900..1000, "gone"),
        Act::Remove(tenant(), "gone".to_owned()),
        Act::Replace(tenant(), LedgerRow::many(880..905, 1, "corrected")),
        Act::Cursor(tenant(), "search".to_owned(), 1000),
        some(1000..1060, "unsealed"),
    ]);
    acts
}

/// Does all of it in `dir`; gives what was promised.
fn perform(dir: &Path) -> Ledger {
    let (engine, mut ledger) = (open(dir), Ledger::default());
    for act in acts() {
        let seqs = act.ask(&*engine, &ledger, true).unwrap();
        ledger = act.applied_to(&ledger);
        if let Some(keyspace) = ledger.keyspaces.get_mut(act.keyspace()) {
            keyspace.seqs.extend(seqs);
        }
    }
    ledger
}

fn pack(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    let mut packed = GzEncoder::new(File::create_new(to).unwrap(), Compression::best());
    std::io::copy(&mut File::open(from).unwrap(), &mut packed).unwrap();
    packed.finish().unwrap();
}

fn unpack(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    let mut packed = GzDecoder::new(File::open(from).unwrap());
    std::io::copy(&mut packed, &mut File::create(to).unwrap()).unwrap();
}

fn packed(file: &str) -> String {
    format!("{file}.gz")
}

fn check(version: u32) {
    let (made, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut promised = perform(made.path());
    let fixture = directory_of(version);
    if std::env::var_os("EMX_WRITE_FIXTURE").is_some() && !fixture.exists() {
        for file in FILES {
            pack(&made.path().join(file), &fixture.join(packed(file)));
        }
    }
    for file in FILES {
        unpack(&fixture.join(packed(file)), &dir.path().join(file));
    }
    demand_read_by_others(&dir.path().join(FILES[1]), &promised);
    // As it lies there, written on, sealed and merged, and in a file of its own.
    let engine = open(dir.path());
    for (key, value) in &promised.platform {
        let found = engine.platform().unwrap().get(TABLE, key).unwrap();
        assert_eq!(found.as_ref(), Some(value));
    }
    ask_all(&*engine.open(TENANT).unwrap(), &promised.keyspaces[TENANT]).unwrap();
    let more = vec![Part { rows: LedgerRow::many(1040..1100, 0, "more"), note: None }];
    for act in [
        Act::Append(TENANT.to_owned(), more),
        Act::Settle(TENANT.to_owned()),
        Act::Remove(TENANT.to_owned(), "one".to_owned()),
        Act::Rewrite(TENANT.to_owned()),
    ] {
        let seqs = act.ask(&*engine, &promised, true).unwrap();
        promised = act.applied_to(&promised);
        promised.keyspaces.get_mut(TENANT).unwrap().seqs.extend(seqs);
        ask_all(&*engine.open(TENANT).unwrap(), &promised.keyspaces[TENANT])
            .unwrap_or_else(|e| panic!("after {}: {e:?}", act.name()));
    }
}

/// Demands that the reader that was written in another language from the format's page gives every
/// row of the keyspace file `path`, and finds all it checks in order.
fn demand_read_by_others(path: &Path, promised: &Ledger) {
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/read_keyspace.py");
    let read = Command::new("python3").arg(reader).arg(path).args(["--name", TENANT]).output();
    let Ok(read) = read else {
        eprintln!("skipped: reading a keyspace in another language, for there is no `python3`");
        return;
    };
    let said = String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success(), "the reader in Python: {said}");
    let mut missing = promised.keyspaces[TENANT].rows.clone();
    for line in String::from_utf8(read.stdout).unwrap().lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let promised = missing.remove(row["id"].as_str().unwrap());
        demand_row(&row, &promised.unwrap_or_else(|| panic!("{row} is not there, or twice")));
    }
    assert!(missing.is_empty(), "not read: {:?}", missing.keys());
}

fn demand_row(found: &serde_json::Value, row: &LedgerRow) {
    let text = |name: &str| found[name].as_str().unwrap_or_default();
    assert_eq!(text("command"), row.command, "{found}");
    assert_eq!(text("user_id"), row.user, "{found}");
    assert_eq!(text("session_id"), row.session, "{found}");
    assert_eq!(text("status"), row.status.as_str(), "{found}");
    assert_eq!(text("actor"), row.actor.as_str(), "{found}");
    assert_eq!(found["labels"]["zone"].as_str(), row.label.as_deref(), "{found}");
    assert_eq!(found["exit_code"].as_i64(), row.exit_code, "{found}");
    assert_eq!(found["values"]["size"].as_f64(), row.value, "{found}");
    let duration_ms = row.duration_us.map(|us| us as f64 / 1000.0);
    assert_eq!(found["duration_ms"].as_f64(), duration_ms, "{found}");
}

/// A file that a program of version 1 wrote gets to version 2 and back, and holds what it held.
#[test]
fn version_1_is_taken_to_version_2_and_back() {
    let (made, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let promised = &perform(made.path()).keyspaces[TENANT];
    for file in FILES {
        unpack(&directory_of(1).join(packed(file)), &dir.path().join(file));
    }
    let settings = EngineSettings {
        background: false,
        schema: &versions::SCHEMA,
        ..EngineSettings::default()
    };
    for (from, to) in [(1, 2), (2, 1), (1, 2)] {
        let engine = EmbeddedEngine::open(OsVolume::shared(dir.path()), settings).unwrap();
        let keyspace = engine.open(TENANT).unwrap();
        let moved = keyspace.migrate(to).unwrap();
        assert_eq!((moved.from, moved.to), (from, to));
        assert_eq!(versions::agrees(&*keyspace, &promised.notes).unwrap(), Ok(()));
        ask_all(&*keyspace, promised).unwrap();
        assert_eq!(keyspace.check().unwrap(), Vec::<String>::new());
    }
}

#[test]
fn version_1_is_read_and_written_on() {
    check(1);
}
