//! The reader in `docs/read_keyspace.py`, which was written from the format's page alone, reads what
//! the program stored: the page says what the bytes are.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "support/binary.rs"]
mod binary;

use binary::{Binary, TENANT};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Rows of the made-up company: enough for blocks with every view's partial aggregates.
const SAMPLE_ROWS: &str = "70000";

/// What the sample does not have: texts, labels, odd numbers, quotes and line breaks.
const TABLE: &str = "started,command,user,labels.branch,values.tokens,took_s,exit_code,error\n\
    2026-03-01T10:00:00Z,make,ann,main,1.5,2.25,0,\n\
    2026-03-01T10:00:01Z,make,bob,,-3,,2,\"boom, \"\"quoted\"\"\nline two\"\n\
    2026-03-02T10:00:01Z,cargo test,böb,dev,1e300,0.000001,124,é\n";

/// The file of the only tenant.
fn keyspace_file(data_dir: &Path) -> PathBuf {
    let mut tenants = std::fs::read_dir(data_dir.join("tenants")).unwrap();
    tenants.next().unwrap().unwrap().path().join("metrics.redb")
}

fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Numbers as doubles: one side writes 1e300, the other 1e+300.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

#[test]
fn a_reader_in_another_language_gives_the_same_rows() {
    let dir = tempfile::tempdir().unwrap();
    let binary = Binary::initialised(&dir.path().join("data"));
    let (sample, table) = (dir.path().join("sample.ndjson"), dir.path().join("table.csv"));
    std::fs::write(&sample, binary.run(&["sample", "--rows", SAMPLE_ROWS, "--seed", "7"])).unwrap();
    std::fs::write(&table, TABLE).unwrap();
    binary.import(&sample);
    binary.run(&["import", table.to_str().unwrap(), "--tenant", TENANT]);
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/read_keyspace.py");
    let read = Command::new("python3").arg(reader).arg(keyspace_file(binary.data_dir())).output();
    let Ok(read) = read else {
        eprintln!("skipped: reading a keyspace in another language, for there is no `python3`");
        return;
    };
    let said = String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success(), "the reader in Python: {said}");
    assert!(!said.contains("partial aggregates seen 0"), "{said}");
    let found = rows(&String::from_utf8(read.stdout).unwrap());
    let wanted = rows(&binary.run(&["export", "--tenant", TENANT, "--format", "ndjson"]));
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().zip(&wanted) {
        assert!(same(found, wanted), "{found}\nis not\n{wanted}");
    }
}
