//! A disk that is full: a clear error, reading goes on, writing resumes when there is space again,
//! without a restart, and nothing is lost.
//!
//! `support/small_disk.rs` makes the small disk. `http_disk.rs` has the same through the server.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "support/binary.rs"]
mod binary;
#[path = "support/small_disk.rs"]
mod small_disk;

use binary::{Binary, TENANT};
use small_disk::{ballast, on_small_disk};
use std::collections::BTreeSet;
use storage::ask::{Budget, Selection};
use storage::batch::{RowBatch, RowBatchBuilder};
use storage::embedded::{EmbeddedEngine, EngineSettings};
use storage::engine::{Append, Engine, Keyspace, KeyspaceSettings, RowOutcome};
use storage::error::StoreError;
use storage::row::{Actor, Row, RowId, Status, Word};
use storage::volume::OsVolume;

const BATCH_ROWS: u64 = 500;

fn rows(batch: u64) -> RowBatch {
    let mut builder = RowBatchBuilder::default();
    for n in batch * BATCH_ROWS..(batch + 1) * BATCH_ROWS {
        // Text that does not repeat, so that the disk fills soon.
        let noise = format!("{:x}{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15), n * n * 31);
        let mut words = [""; Word::ALL.len()];
        words[Word::Command as usize] = "fill";
        words[Word::CommandLine as usize] = &noise;
        builder.push(&Row {
            id: RowId::parse(&format!("row-{n}")),
            ts_ms: n as i64 * 1000,
            ts_given: true,
            received_ms: 0,
            words,
            status: Status::Success,
            actor: Actor::Human,
            duration_us: Some(n),
            exit_code: None,
            labels: &[],
            values: &[],
        });
    }
    builder.finish()
}

fn append(keyspace: &dyn Keyspace, batch: u64) -> Result<Vec<RowOutcome>, StoreError> {
    let append = Append { rows: rows(batch), atomic: true, ..Append::default() };
    Ok(keyspace.append(vec![append])?.remove(0).outcomes)
}

/// The ids that are there are exactly those of the acknowledged batches.
fn demand_exactly(keyspace: &dyn Keyspace, batches: &BTreeSet<u64>) {
    let mut ids = BTreeSet::new();
    let mut each = |found: &RowBatch| {
        for at in 0..found.len {
            let id = found.ids.get(at).to_string();
            assert!(ids.insert(id.clone()), "`{id}` is there twice");
        }
        true
    };
    keyspace.scan(&Selection::all(), &Budget::default(), &mut each).unwrap();
    let expected: BTreeSet<String> = batches
        .iter()
        .flat_map(|b| b * BATCH_ROWS..(b + 1) * BATCH_ROWS)
        .map(|n| format!("row-{n}"))
        .collect();
    assert_eq!(ids.len(), expected.len());
    assert!(ids == expected, "other rows than were acknowledged");
}

/// Appends until the disk is full; everything before is acknowledged. Gives the refused batch.
fn fill(keyspace: &dyn Keyspace, from: u64, acknowledged: &mut BTreeSet<u64>) -> u64 {
    const BATCHES_MAX: u64 = 10_000;
    for batch in from..BATCHES_MAX {
        match append(keyspace, batch) {
            Ok(outcomes) => {
                assert!(outcomes.iter().all(|o| *o == RowOutcome::Accepted), "batch {batch}");
                acknowledged.insert(batch);
            }
            Err(e) => {
                assert!(matches!(e, StoreError::DiskFull { .. }), "batch {batch}: {e}");
                return batch;
            }
        }
    }
    panic!("the disk never fills");
}

#[test]
fn the_engine_outlives_a_full_disk() {
    let Some(dir) = on_small_disk("the_engine_outlives_a_full_disk") else { return };
    let spare = dir.join("spare");
    std::fs::write(&spare, vec![1; 5 << 20]).unwrap();
    let settings =
        EngineSettings { seal_rows: 2000, background: false, ..EngineSettings::default() };
    let engine = EmbeddedEngine::open(OsVolume::shared(&dir), settings).unwrap();
    engine.create("t-1", &KeyspaceSettings::default()).unwrap();
    let keyspace = engine.open("t-1").unwrap();
    let mut acknowledged = BTreeSet::new();

    let refused = fill(&*keyspace, 0, &mut acknowledged);
    assert!(!acknowledged.is_empty(), "the disk is full from the start");
    demand_exactly(&*keyspace, &acknowledged);
    // Not a byte more: reading and even sealing must still end in order.
    ballast(&dir.join("ballast"), 0);
    for _ in 0..3 {
        let again = append(&*keyspace, refused).unwrap_err();
        assert!(matches!(again, StoreError::DiskFull { .. }), "{again}");
        assert!(again.to_string().contains("full"), "{again}");
        if let Err(e) = keyspace.settle() {
            assert!(matches!(e, StoreError::DiskFull { .. }), "sealing: {e}");
        }
        demand_exactly(&*keyspace, &acknowledged);
    }
    let other = engine.create("t-2", &KeyspaceSettings::default()).unwrap_err();
    assert!(matches!(other, StoreError::DiskFull { .. }), "{other}");

    // Space returns, and so does writing, in the same process.
    std::fs::remove_file(dir.join("ballast")).unwrap();
    std::fs::remove_file(&spare).unwrap();
    engine.create("t-2", &KeyspaceSettings::default()).unwrap();
    let outcomes = append(&*keyspace, refused).unwrap();
    assert!(outcomes.iter().all(|o| *o == RowOutcome::Accepted));
    acknowledged.insert(refused);
    let refused_again = fill(&*keyspace, refused + 1, &mut acknowledged);
    assert!(refused_again > refused + 1, "freed space is of no use");
    demand_exactly(&*keyspace, &acknowledged);
    assert_eq!(keyspace.check().unwrap(), Vec::<String>::new());
    println!("{} batches of {BATCH_ROWS} rows were acknowledged", acknowledged.len());

    drop(keyspace);
    drop(engine);
    let engine = EmbeddedEngine::open(OsVolume::shared(&dir), settings).unwrap();
    let keyspace = engine.open("t-1").unwrap();
    demand_exactly(&*keyspace, &acknowledged);
    assert_eq!(keyspace.check().unwrap(), Vec::<String>::new());
}

#[test]
fn an_import_outlives_a_full_disk() {
    let Some(dir) = on_small_disk("an_import_outlives_a_full_disk") else { return };
    const ROWS: u64 = 200_000;
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("sample.csv");
    let mut text = String::from("id,ts,command,duration_ms\n");
    for n in 0..ROWS {
        let minute = n % 60;
        // Ids that do not compress: the file must outgrow what is left of the disk.
        let id = uuid::Uuid::from_u64_pair(n.wrapping_mul(0x9e37_79b9_7f4a_7c15), !n << 20);
        text += &format!("{id},2026-03-01T00:{minute:02}:00Z,make {},{}\n", n % 17, n % 1000);
    }
    std::fs::write(&file, text).unwrap();
    let binary = Binary::initialised(&dir.join("data"));
    ballast(&dir.join("ballast"), 9 << 20);

    let args = ["import", file.to_str().unwrap(), "--tenant", TENANT, "--json"];
    let output = binary.output::<&str>(&args, &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("full") && !said.contains("panicked"), "{said}");

    let count = |answer: serde_json::Value| answer["rows"][0][0].as_u64().unwrap();
    let question = ["query", "--tenant", TENANT, "--metric", "count", "--json"];
    let before = count(binary.json(&question));
    assert!((1..ROWS).contains(&before), "{before} rows before the disk was full");

    std::fs::remove_file(dir.join("ballast")).unwrap();
    let report = binary.import(&file);
    assert_eq!(report["duplicates"].as_u64(), Some(before), "{report}");
    assert_eq!(report["accepted"].as_u64(), Some(ROWS - before), "{report}");
    assert_eq!(count(binary.json(&question)), ROWS);
    binary.run(&["check"]);
}
