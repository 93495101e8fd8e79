//! Decides about each record: stored, set aside, or rejected; and names those without an id.

use super::cell::aside;
use super::record::Record;
use super::report::ImportReport;
use crate::model::execution::Execution;
use crate::model::problem::row;
use crate::process::admit::{Arrival, Refusal, admit};
use crate::process::quarantine;
use hashbrown::HashMap;
use std::borrow::Cow;
use storage::batch::RowBatchBuilder;
use storage::engine::{Append, TableWrite};
use xxhash_rust::xxh3::xxh3_128;

/// Records without an id of which one file may hold; each takes about 24 bytes of memory, 400 MB
/// at the most.
pub(super) const NAMELESS_MAX: usize = 16 << 20;

/// Records set aside in one file, beyond which it is not read on: so many are no slips but a file
/// that is taken for something else, and each is kept whole.
pub(super) const QUARANTINED_MAX: u64 = 100_000;

/// Bytes of records that are stored together at the most, as they stand in the file: a batch of
/// long ones must not take the memory of a thousand times as many short ones.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// What is rejected in a file as it is in a request: over a limit of the contract, or its own
/// contradiction. A record that merely cannot be read is kept aside.
const NEVER_KEPT: [&str; 4] =
    [row::TOO_LONG, row::TOO_MANY_ENTRIES, row::TOO_DEEP, row::DUPLICATE_KEY];

/// What is stored together.
pub(super) struct Batch {
    pub(super) append: Append,
    /// The line of each row, for those that the store refuses.
    pub(super) lines: Vec<u64>,
}

/// A batch in the making.
pub(super) struct Judge<'a> {
    arrival: Arrival<'a>,
    builder: RowBatchBuilder,
    lines: Vec<u64>,
    writes: Vec<TableWrite>,
    /// Bytes of the records that wait.
    bytes: usize,
    /// How often each content without an id was met in this file.
    nameless: HashMap<u128, u32>,
    pub(super) report: ImportReport,
}

impl<'a> Judge<'a> {
    pub(super) fn new(arrival: Arrival<'a>) -> Self {
        Self {
            arrival,
            builder: RowBatchBuilder::default(),
            lines: Vec::new(),
            writes: Vec::new(),
            bytes: 0,
            nameless: HashMap::new(),
            report: ImportReport::default(),
        }
    }

    /// Takes a record.
    pub(super) fn take(&mut self, record: Record<'_>) {
        self.report.rows += 1;
        let Record { line, raw, read } = record;
        self.bytes += raw.len();
        let taken = read.and_then(|execution| self.admit(execution));
        let Err(mut refusal) = taken else { return self.lines.push(line) };
        refusal.quarantined |= !NEVER_KEPT.contains(&refusal.code);
        if refusal.quarantined {
            self.report.quarantined += 1;
            let (at, origin) = (self.arrival.received_ms, self.arrival.origin);
            self.writes.push(quarantine::entry(raw, &refusal, at, origin));
        } else {
            self.report.rejected += 1;
        }
        self.report.tell(line, refusal);
    }

    fn admit(&mut self, mut execution: Execution<'_>) -> Result<(), Refusal> {
        if execution.ts_ms.is_none() {
            return Err(aside("missing_ts", "ts", "the record has no time"));
        }
        if execution.id.is_none() {
            execution.id = Some(Cow::Owned(self.name(&execution)?));
        }
        admit(&execution, self.arrival, &mut self.builder)
    }

    /// An id from the content and the number of the same contents before it.
    fn name(&mut self, execution: &Execution<'_>) -> Result<String, Refusal> {
        let hash = content_hash(execution);
        if self.nameless.len() >= NAMELESS_MAX && !self.nameless.contains_key(&hash) {
            let detail = format!("a file has at most {NAMELESS_MAX} records without id: split it");
            return Err(aside("too_many_nameless", "id", detail));
        }
        let earlier = self.nameless.entry(hash).or_default();
        *earlier += 1;
        Ok(match *earlier {
            1 => format!("row:{hash:032x}"),
            n => format!("row:{hash:032x}.{n}"),
        })
    }

    /// Whether something waits to be stored.
    pub(super) fn has_waiting(&self) -> bool {
        self.waiting() > 0
    }

    /// Whether as much waits as is stored together.
    pub(super) fn is_full(&self, batch_rows: usize) -> bool {
        self.waiting() >= batch_rows || self.bytes >= BATCH_BYTES_MAX
    }

    /// How many rows and entries wait.
    fn waiting(&self) -> usize {
        self.builder.len() + self.writes.len()
    }

    /// What waits, to be stored.
    pub(super) fn batch(&mut self) -> Batch {
        self.bytes = 0;
        let append = Append {
            rows: std::mem::take(&mut self.builder).finish(),
            writes: std::mem::take(&mut self.writes),
            atomic: false,
            receipt: None,
        };
        Batch { append, lines: std::mem::take(&mut self.lines) }
    }
}

/// A hash of what a record says, whatever file and column order it comes in.
fn content_hash(execution: &Execution<'_>) -> u128 {
    let mut bytes = Vec::with_capacity(256);
    let mut put = |part: &[u8]| {
        bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
        bytes.extend_from_slice(part);
    };
    let number = |n: Option<i64>| {
        n.map_or([0xff; 9], |n| {
            let mut out = [0; 9];
            out[1..].copy_from_slice(&n.to_le_bytes());
            out
        })
    };
    put(&number(execution.ts_ms));
    put(&number(execution.duration_us.map(|us| us as i64)));
    put(&number(execution.exit_code));
    put(&[execution.status.map_or(0xff, |s| s as u8), execution.actor.map_or(0xff, |a| a as u8)]);
    for word in [
        &execution.command,
        &execution.command_line,
        &execution.user_id,
        &execution.team_id,
        &execution.project_id,
        &execution.session_id,
        &execution.host,
        &execution.error,
    ] {
        put(word.as_bytes());
    }
    let mut labels: Vec<_> = execution.labels.iter().collect();
    labels.sort();
    for (key, label) in labels {
        put(key.as_bytes());
        put(label.as_bytes());
    }
    let mut values: Vec<_> = execution.values.iter().map(|(key, v)| (key, v.to_bits())).collect();
    values.sort();
    for (key, value) in values {
        put(key.as_bytes());
        put(&value.to_le_bytes());
    }
    xxh3_128(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_bounded_in_rows_and_in_bytes() {
        let arrival = Arrival { received_ms: 1, origin: "import:test", retention_ms: None };
        let mut judge = Judge::new(arrival);
        let long = vec![b'x'; BATCH_BYTES_MAX / 4];
        for line in 1..=4 {
            assert!(!judge.is_full(5), "{line}");
            let execution =
                Execution { ts_ms: Some(0), command: Cow::Borrowed("x"), ..Execution::default() };
            judge.take(Record { line, raw: &long, read: Ok(execution) });
        }
        assert!(judge.is_full(5) && judge.is_full(4));
        assert_eq!(judge.batch().lines, [1, 2, 3, 4]);
        assert!(!judge.is_full(1) && !judge.has_waiting());
    }
}
