//! Which rows are there already.
//!
//! Unsealed rows are known exactly, by a set in memory that names them by seq. Sealed blocks have
//! a filter each; what a filter does not exclude is looked up in the block, a batch at a time.
//!
//! The rule (contract §2): a row with `ts` repeats any row of the same id and `ts`, also one that got
//! its `ts` from its receipt; a row without `ts` repeats a row without `ts` of the same id that was
//! received within 24 hours.

use super::block::Block;
use super::tail::{self, TailBatch};
use crate::REPEAT_WINDOW_MS;
use crate::aggregate::ColumnSet;
use crate::batch::RowBatch;
use crate::codec::filter::FilterRef;
use crate::error::StoreError;
use crate::row::{RowId, Seq, TimeMs};
use hashbrown::{HashMap, HashTable};
use std::sync::Arc;

/// The ids of the unsealed rows: each by its id and time, for one id may come with many times, and
/// those without `ts` also by their id alone.
#[derive(Debug, Default)]
pub(super) struct RecentIds {
    entries: HashTable<(u64, Seq)>,
}

impl RecentIds {
    /// Adds the row with `seq`; `hash` is its id's.
    pub(super) fn insert(&mut self, hash: u64, key: &RowKey<'_>, seq: Seq) {
        let with_time = hash_with_time(hash, key.ts_ms);
        self.entries.insert_unique(with_time, (with_time, seq), |entry| entry.0);
        if !key.ts_given {
            self.entries.insert_unique(hash, (hash, seq), |entry| entry.0);
        }
    }

    /// Whether one of the rows that `key` could repeat passes `is_same`; `hash` is its id's.
    pub(super) fn any(
        &self,
        hash: u64,
        key: &RowKey<'_>,
        mut is_same: impl FnMut(Seq) -> bool,
    ) -> bool {
        let hash = if key.ts_given { hash_with_time(hash, key.ts_ms) } else { hash };
        self.entries.find(hash, |&(h, seq)| h == hash && is_same(seq)).is_some()
    }

    /// Forgets the rows before `seq`.
    pub(super) fn forget_before(&mut self, seq: Seq) {
        self.entries.retain(|entry| entry.1 >= seq);
    }

    /// The set of the rows of `tail`.
    pub(super) fn of(tail: &[Arc<TailBatch>]) -> Self {
        let rows = tail.iter().map(|batch| batch.rows.len).sum();
        let mut ids = Self { entries: HashTable::with_capacity(rows) };
        for batch in tail {
            for row in 0..batch.rows.len {
                let hash = batch.rows.ids.get(row).hash();
                ids.insert(hash, &RowKey::of(&batch.rows, row), batch.rows.seq[row]);
            }
        }
        ids
    }
}

/// Spreads the times of one id (the multiplier is that of SplitMix64, an odd number without pattern).
fn hash_with_time(hash: u64, ts_ms: TimeMs) -> u64 {
    hash ^ (ts_ms as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What decides whether two rows are the same execution.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowKey<'a> {
    pub(super) id: RowId<'a>,
    pub(super) ts_ms: TimeMs,
    pub(super) ts_given: bool,
    pub(super) received_ms: TimeMs,
}

impl<'a> RowKey<'a> {
    /// The key of row `row`; the batch has ids, times and `ts_given`.
    pub(super) fn of(batch: &'a RowBatch, row: usize) -> Self {
        Self {
            id: batch.ids.get(row),
            ts_ms: batch.ts[row],
            ts_given: batch.ts_given(row),
            // A row without `ts` has its time of receipt there.
            received_ms: batch.ts[row],
        }
    }

    /// Whether `other`, which is stored, is the same execution.
    pub(super) fn repeats(&self, other: &RowKey<'_>) -> bool {
        let in_time = if self.ts_given {
            self.ts_ms == other.ts_ms
        } else {
            !other.ts_given
                && self.received_ms.abs_diff(other.received_ms) <= REPEAT_WINDOW_MS as u64
        };
        in_time && self.id == other.id
    }

    /// The times at which a stored row that this one repeats can lie.
    fn window(&self) -> (TimeMs, TimeMs) {
        if self.ts_given {
            (self.ts_ms, self.ts_ms)
        } else {
            (
                self.received_ms.saturating_sub(REPEAT_WINDOW_MS),
                self.received_ms.saturating_add(REPEAT_WINDOW_MS),
            )
        }
    }
}

/// Whether the unsealed row `seq` is the execution `key`.
pub(super) fn is_unsealed_row(tail: &[Arc<TailBatch>], seq: Seq, key: &RowKey<'_>) -> bool {
    tail::find(tail, seq).is_some_and(|(batch, row)| key.repeats(&RowKey::of(batch, row)))
}

/// For each row of `batch` (whose id hashes are `hashes`), the sealed block and row it repeats.
pub(super) fn find_sealed(
    blocks: &[Arc<Block>],
    batch: &RowBatch,
    hashes: &[u64],
) -> Result<HashMap<u32, (usize, u32)>, StoreError> {
    let mut found = HashMap::new();
    let Some((mut from, mut to)) = batch.time_range() else {
        return Ok(found);
    };
    if !batch.ts_given.is_empty() {
        (from, to) = (from.saturating_sub(REPEAT_WINDOW_MS), to.saturating_add(REPEAT_WINDOW_MS));
    }
    for (n, block) in blocks.iter().enumerate() {
        if block.entry.ts_max < from || block.entry.ts_min > to {
            continue;
        }
        let suspects = suspects(block, batch, hashes)?;
        if !suspects.is_empty() {
            verify(block, batch, &suspects, |row, at| {
                found.insert(row, (n, at));
            })?;
        }
    }
    Ok(found)
}

/// The rows of `batch` that the filter and the times of `block` do not exclude.
fn suspects(block: &Block, batch: &RowBatch, hashes: &[u64]) -> Result<Vec<u32>, StoreError> {
    let Some(filter) = block.filter()? else {
        return Ok((0..batch.len as u32).collect());
    };
    let filter = FilterRef::parse(&filter)?;
    let in_time = |row: usize| {
        let (from, to) = RowKey::of(batch, row).window();
        from <= block.entry.ts_max && to >= block.entry.ts_min
    };
    let suspect = |row: &usize| filter.contains(hashes[*row]) && in_time(*row);
    Ok((0..batch.len).filter(suspect).map(|row| row as u32).collect())
}

/// Calls `same` with each suspect that is in the block, and where. The times are read first: they
/// are a fraction of the ids, and acquit nearly everybody whom the filter suspects for nothing.
fn verify(
    block: &Block,
    batch: &RowBatch,
    suspects: &[u32],
    mut same: impl FnMut(u32, u32),
) -> Result<(), StoreError> {
    let times = block.read(&ColumnSet { ts: true, ..ColumnSet::default() })?.ts;
    let candidates = |suspect: u32| {
        let (from, to) = RowKey::of(batch, suspect as usize).window();
        let first = times.partition_point(|&ts| ts < from);
        first..times.partition_point(|&ts| ts <= to)
    };
    let in_time = suspects.iter().map(|&suspect| (suspect, candidates(suspect)));
    let suspects: Vec<_> = in_time.filter(|(_, candidates)| !candidates.is_empty()).collect();
    if suspects.is_empty() {
        return Ok(());
    }
    let want = ColumnSet { ids: true, ts: true, ts_given: true, ..ColumnSet::default() };
    let stored = block.read(&want)?;
    let total: usize = suspects.iter().map(|(_, candidates)| candidates.len()).sum();
    if total > stored.len {
        verify_all(&stored, batch, suspects.into_iter().map(|(suspect, _)| suspect), same);
        return Ok(());
    }
    for (suspect, mut candidates) in suspects {
        let key = RowKey::of(batch, suspect as usize);
        if let Some(at) = candidates.find(|&at| key.repeats(&RowKey::of(&stored, at))) {
            same(suspect, at as u32);
        }
    }
    Ok(())
}

/// As [`verify`], in one pass over the stored rows: for suspects that could each be one of many, as
/// where thousands of rows have one time.
fn verify_all(
    stored: &RowBatch,
    batch: &RowBatch,
    suspects: impl ExactSizeIterator<Item = u32>,
    mut same: impl FnMut(u32, u32),
) {
    let mut by_id: HashMap<RowId<'_>, Vec<u32>> = HashMap::with_capacity(suspects.len());
    for suspect in suspects {
        by_id.entry(batch.ids.get(suspect as usize)).or_default().push(suspect);
    }
    for at in 0..stored.len {
        let key = RowKey::of(stored, at);
        let Some(suspects) = by_id.get_mut(&key.id) else { continue };
        suspects.retain(|&suspect| {
            let is_it = RowKey::of(batch, suspect as usize).repeats(&key);
            if is_it {
                same(suspect, at as u32);
            }
            !is_it
        });
    }
}
