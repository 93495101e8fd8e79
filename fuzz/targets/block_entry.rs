//! Entries of the manifest.
#![no_main]

mod damage;
mod rows;

use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use storage::block::{BlockEntry, ColumnId, ROWS_MAX};
use storage::{KEYS_MAX, VIEWS_MAX};

fn encode(entry: &BlockEntry) -> Vec<u8> {
    let mut out = Vec::new();
    entry.encode(&mut out);
    out
}

/// What is read keeps what the entry's fields promise, and comes back when it is written again.
fn read(id: u64, bytes: &[u8]) {
    let Ok(entry) = BlockEntry::decode(id, bytes) else { return };
    assert_eq!(BlockEntry::decode(id, &encode(&entry)).as_ref(), Ok(&entry));
    assert!(entry.id == id && (1..=ROWS_MAX).contains(&entry.rows) && entry.grain_ms > 0);
    assert!(entry.ts_min <= entry.ts_max && entry.seq_min <= entry.seq_max);
    for keys in [&entry.labels, &entry.values] {
        assert!(keys.len() <= KEYS_MAX);
        rows::distinct(keys.iter().map(|key| &**key).collect());
    }
    let mut bytes = 0;
    for &(column, length) in &entry.columns {
        assert_eq!(entry.length(column), Some(length));
        bytes += length as u64;
    }
    assert_eq!(entry.bytes(), bytes);
    for &(view, groups) in &entry.partials {
        assert!(view < VIEWS_MAX && groups <= ROWS_MAX);
        assert_eq!(entry.partial_groups(view), Some(groups));
    }
}

/// An entry that a block could have.
fn entry(id: u64, numbers: &[u64]) -> BlockEntry {
    let number = |n: usize| numbers.get(n).copied().unwrap_or(n as u64);
    let count = |n: usize, max: usize| number(n) as usize % (max + 1);
    let (a, b) = (number(0) as i64, number(1) as i64);
    let (c, d) = (number(2), number(3));
    let keys = |n: usize| -> Vec<Arc<str>> {
        (0..count(n, 20)).map(|key| format!("{:x}{key}", number(n + 1)).into()).collect()
    };
    let lengths = || numbers.iter().map(|&n| n as usize % (1 << 20));
    let mut column = 0;
    BlockEntry {
        id,
        rows: count(4, ROWS_MAX - 1) + 1,
        ts_min: a.min(b),
        ts_max: a.max(b),
        seq_min: c.min(d),
        seq_max: c.max(d),
        grain_ms: (number(5) as i64).max(1),
        labels: keys(6),
        values: keys(8),
        columns: lengths()
            .take(50)
            .map(|length| {
                column += 1 + length as u32 % 7;
                (ColumnId(column), length)
            })
            .collect(),
        partials: (0..VIEWS_MAX).zip(lengths()).map(|(n, l)| (n, l % ROWS_MAX)).collect(),
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((id, data)) = damage::rows(data) else { return };
    let id = id as u64;
    read(id, data);
    let entry = entry(id, &damage::numbers(data));
    let mut out = encode(&entry);
    assert_eq!(BlockEntry::decode(id, &out).as_ref(), Ok(&entry));
    damage::damage(&mut out, data);
    read(id, &out);
});
