//! The unsealed rows, decoded, in order of seq.

use crate::aggregate::{ColumnSet, Part};
use crate::batch::RowBatch;
use crate::error::StoreError;
use crate::gather::{all_rows, gather};
use crate::row::{Seq, TimeMs};
use std::sync::Arc;

/// A few rows that were committed together, or that were put together since.
#[derive(Debug)]
pub(super) struct TailBatch {
    pub(super) rows: Arc<RowBatch>,
    pub(super) range: (TimeMs, TimeMs),
    pub(super) heap_bytes: usize,
    sorted: bool,
    grain_ms: i64,
}

impl TailBatch {
    /// Takes rows with their seqs, ascending.
    pub(super) fn new(rows: RowBatch, grain_ms: i64) -> Self {
        Self {
            range: rows.time_range().unwrap_or((0, 0)),
            heap_bytes: rows.heap_bytes(),
            sorted: rows.ts.is_sorted(),
            grain_ms,
            rows: Arc::new(rows),
        }
    }

    fn first_seq(&self) -> Seq {
        self.rows.seq.first().copied().unwrap_or(0)
    }
}

impl Part for TailBatch {
    fn rows(&self) -> usize {
        self.rows.len
    }

    fn time_range(&self) -> (TimeMs, TimeMs) {
        self.range
    }

    fn grain_ms(&self) -> i64 {
        self.grain_ms
    }

    fn is_sorted(&self) -> bool {
        self.sorted
    }

    fn columns(&self, _want: &ColumnSet) -> Result<Arc<RowBatch>, StoreError> {
        Ok(Arc::clone(&self.rows))
    }
}

/// Neighbours of one size class that are put together when there are so many: a row is copied
/// once per class, and a tail of 64 Ki rows has at most 8 × 6 batches.
const FAN_IN: usize = 8;

/// Appends `rows` to the tail and keeps the number of batches small.
pub(super) fn push(tail: &mut Vec<Arc<TailBatch>>, rows: RowBatch, grain_ms: i64) {
    tail.push(Arc::new(TailBatch::new(rows, grain_ms)));
    while let Some(class) = tail.last().map(|batch| size_class(batch.rows.len)) {
        let alike = tail.iter().rev().take_while(|b| size_class(b.rows.len) <= class).count();
        if alike < FAN_IN || class >= CLASS_MAX {
            return;
        }
        let together = tail.split_off(tail.len() - alike);
        let parts: Vec<&RowBatch> = together.iter().map(|b| &*b.rows).collect();
        tail.push(Arc::new(TailBatch::new(gather(&parts, &all_rows(&parts)), grain_ms)));
    }
}

/// Batches of 8^4 rows and more are left as they are: copying them would cost more than it saves.
const CLASS_MAX: u32 = 4;

fn size_class(rows: usize) -> u32 {
    rows.max(1).ilog2() / 3
}

/// The batch and the row in it that have `seq`.
pub(super) fn find(tail: &[Arc<TailBatch>], seq: Seq) -> Option<(&RowBatch, usize)> {
    let at = tail.partition_point(|batch| batch.first_seq() <= seq).checked_sub(1)?;
    let rows = &*tail[at].rows;
    rows.seq.binary_search(&seq).ok().map(|row| (rows, row))
}

/// Splits the tail after `rows` rows: those before, and what remains.
pub(super) fn split(
    tail: &[Arc<TailBatch>],
    rows: usize,
    grain_ms: i64,
) -> (Vec<Arc<TailBatch>>, Vec<Arc<TailBatch>>) {
    let (mut before, mut after, mut left) = (Vec::new(), Vec::new(), rows);
    for batch in tail {
        let len = batch.rows.len;
        if len <= left {
            before.push(Arc::clone(batch));
        } else if left == 0 {
            after.push(Arc::clone(batch));
        } else {
            let all = all_rows(&[&batch.rows]);
            let (head, rest) = all.split_at(left);
            before.push(Arc::new(TailBatch::new(gather(&[&batch.rows], head), grain_ms)));
            after.push(Arc::new(TailBatch::new(gather(&[&batch.rows], rest), grain_ms)));
        }
        left = left.saturating_sub(len);
    }
    (before, after)
}
