//! Batches of rows made of the fuzzer's bytes, and what must hold of every batch that was read.

#![allow(dead_code, reason = "each target uses some of it")]

use storage::batch::{RowBatch, RowBatchBuilder};
use storage::codec::small;
use storage::gather::{all_rows, gather};
use storage::row::{Actor, Row, RowId, Seq, Status};

/// A batch as a commit makes it, of rows that eleven bytes each describe.
pub fn batch(data: &[u8]) -> RowBatch {
    const WORDS: [&str; 4] = ["", "cargo", "make test", "é"];
    let mut builder = RowBatchBuilder::default();
    for (n, [kind, flags, rest @ ..]) in data.as_chunks::<11>().0.iter().enumerate() {
        let number =
            u64::from_le_bytes([rest[0], rest[1], rest[2], rest[3], rest[4], rest[5], 0, 0]);
        let text = format!("{}-{n}", WORDS[usize::from(kind & 3)]);
        let word = WORDS[usize::from(kind >> 2 & 3)];
        let labels = [("a", word), ("b", text.as_str())];
        let values = [("x", f64::from(*kind)), ("y", number as f64 / 7.0)];
        builder.push(&Row {
            id: if flags & 1 == 0 { RowId::Uuid([*kind; 16]) } else { RowId::Text(&text) },
            ts_ms: number as i64 - (1 << 40),
            ts_given: flags & 2 == 0,
            received_ms: 1_700_000_000_000 + i64::from(rest[6]),
            words: [word, &text, "", "", "", "", "", word, "api"],
            status: Status::ALL[usize::from(rest[7]) % Status::ALL.len()],
            actor: Actor::ALL[usize::from(rest[8]) % Actor::ALL.len()],
            duration_us: (flags & 4 == 0).then_some(number),
            exit_code: (flags & 8 == 0).then_some(i64::from(rest[8] as i8)),
            labels: &labels[..usize::from(flags >> 4 & 1) + usize::from(flags >> 5 & 1)],
            values: &values[..usize::from(flags >> 6 & 1) + usize::from(flags >> 7 & 1)],
        });
    }
    builder.finish()
}

/// As [`batch`], with seqs from `first` on.
pub fn numbered(data: &[u8], first: Seq) -> RowBatch {
    let batch = batch(data);
    RowBatch { seq: (first..).take(batch.len).collect(), ..batch }
}

/// The stored form. Batches are compared by it, since absent values are NaN.
pub fn encode(batch: &RowBatch) -> Vec<u8> {
    let mut out = Vec::new();
    small::encode_batch(batch, &mut out).expect("within the limits of a commit");
    out
}

/// A batch keeps its invariant: each column is empty or has an entry for each row, codes lie in
/// their tables, keys are distinct. One that is `whole` has ids, times and seqs, and its rows can
/// be looked at.
pub fn check(batch: &RowBatch, whole: bool) {
    let rows = batch.len;
    let words = batch.words.iter().chain(batch.labels.iter().map(|column| &column.words));
    let lengths = [
        batch.ids.slots.len(),
        batch.ids.is_text.len(),
        batch.ts.len(),
        batch.ts_given.len(),
        batch.received.len(),
        batch.seq.len(),
        batch.status.len(),
        batch.actor.len(),
        batch.duration.len(),
        batch.exit_code.len(),
    ];
    let lengths = lengths.into_iter().chain(words.clone().map(|words| words.codes.len()));
    let lengths = lengths.chain(batch.values.iter().map(|column| column.values.len()));
    assert!(lengths.into_iter().all(|length| length == 0 || length == rows));
    for words in words {
        assert!(words.codes.iter().all(|&code| code as usize <= words.table.len()));
    }
    distinct(batch.labels.iter().map(|column| &*column.key).collect());
    distinct(batch.values.iter().map(|column| &*column.key).collect());
    assert!(batch.heap_bytes() >= rows * usize::from(whole));
    if whole {
        (0..rows).for_each(|row| batch.with_row(row, |row| drop(row.id.to_string())));
        let picks = all_rows(&[batch]);
        let again = gather(&[batch], &picks);
        assert_eq!((again.len, &again.ts, &again.seq), (rows, &batch.ts, &batch.seq));
        assert!((0..rows).all(|row| again.ids.get(row) == batch.ids.get(row)));
    }
}

/// No key is there twice.
pub fn distinct(mut keys: Vec<&str>) {
    let all = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), all);
}
