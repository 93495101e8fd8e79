//! What the manifest says of a block.
//!
//! ```text
//! rows varint | ts_min zigzag | ts_max - ts_min varint | seq_min varint | seq_max - seq_min varint
//! | grain_ms varint | n varint, n label keys | n varint, n value keys
//! | n varint, n × (column varint, bytes varint) | n varint, n × (view varint, groups varint)
//! ```
//!
//! A key is its length (varint) and its bytes; the keys of a kind are distinct. Columns ascend;
//! `bytes` is the length of the column's whole stored value, frame included. Views ascend.

use super::column::ColumnId;
use crate::KEYS_MAX;
use crate::VIEWS_MAX;
use crate::codec::cursor::{Cursor, put_part, put_varint};
use crate::error::Corrupt;
use crate::row::{Seq, TimeMs};
use hashbrown::HashSet;
use std::sync::Arc;

/// A block's number in its keyspace, never used again.
pub type BlockId = u64;

/// What the manifest says of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockEntry {
    /// Its number: the manifest's key.
    pub id: BlockId,
    /// How many rows.
    pub rows: usize,
    /// Earliest `ts`.
    pub ts_min: TimeMs,
    /// Latest `ts`.
    pub ts_max: TimeMs,
    /// Smallest seq.
    pub seq_min: Seq,
    /// Largest seq.
    pub seq_max: Seq,
    /// The grain of its partials, milliseconds.
    pub grain_ms: i64,
    /// The keys of its label columns, by number; distinct.
    pub labels: Vec<Arc<str>>,
    /// The keys of its value columns, by number; distinct.
    pub values: Vec<Arc<str>>,
    /// Its stored values and their lengths, ascending by column.
    pub columns: Vec<(ColumnId, usize)>,
    /// For each view whose partial is kept, ascending: the view and the number of groups.
    pub partials: Vec<(usize, usize)>,
}

/// Most stored values of a block: the fixed ones, and two for a label key and one for a value key.
const COLUMNS_MAX: usize = 128 + 3 * KEYS_MAX;

/// Longest stored value of a column; far above what [`super::HEAP_BYTES_MAX`] can make.
const COLUMN_BYTES_MAX: usize = 1 << 30;

impl BlockEntry {
    /// The length of the stored value `column`, if the block has it.
    pub fn length(&self, column: ColumnId) -> Option<usize> {
        let at = self.columns.binary_search_by_key(&column, |&(id, _)| id).ok()?;
        Some(self.columns[at].1)
    }

    /// How many groups the kept partial of `view` has.
    pub fn partial_groups(&self, view: usize) -> Option<usize> {
        self.partials.iter().find(|&&(v, _)| v == view).map(|&(_, groups)| groups)
    }

    /// Bytes of all its stored values.
    pub fn bytes(&self) -> u64 {
        self.columns.iter().map(|&(_, len)| len as u64).sum()
    }

    /// Appends the stored form, without the id.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(self.rows as u64, out);
        put_varint(zigzag(self.ts_min), out);
        put_varint(self.ts_max.wrapping_sub(self.ts_min) as u64, out);
        put_varint(self.seq_min, out);
        put_varint(self.seq_max - self.seq_min, out);
        put_varint(self.grain_ms as u64, out);
        for keys in [&self.labels, &self.values] {
            put_varint(keys.len() as u64, out);
            for key in keys {
                put_part(key.as_bytes(), out);
            }
        }
        put_varint(self.columns.len() as u64, out);
        for &(column, len) in &self.columns {
            put_varint(column.0.into(), out);
            put_varint(len as u64, out);
        }
        put_varint(self.partials.len() as u64, out);
        for &(view, groups) in &self.partials {
            put_varint(view as u64, out);
            put_varint(groups as u64, out);
        }
    }

    /// Reads the stored form of block `id`, all of `bytes`.
    pub fn decode(id: BlockId, bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut cursor = Cursor::new(bytes, "a manifest entry");
        let rows = cursor.count(super::ROWS_MAX)?;
        let ts_min = unzigzag(cursor.varint()?);
        let ts_max = ts_min.wrapping_add(cursor.varint()? as i64);
        let seq_min = cursor.varint()?;
        let seq_max = seq_min.checked_add(cursor.varint()?).ok_or_else(|| cursor.damaged())?;
        let grain_ms = cursor.varint()? as i64;
        let labels = keys(&mut cursor)?;
        let values = keys(&mut cursor)?;
        let n = cursor.count(COLUMNS_MAX)?;
        let mut columns: Vec<(ColumnId, usize)> = Vec::with_capacity(n);
        for _ in 0..n {
            let column = ColumnId(cursor.count(u32::MAX as usize)? as u32);
            let len = cursor.count(COLUMN_BYTES_MAX)?;
            if columns.last().is_some_and(|&(last, _)| last >= column) {
                return Err(cursor.damaged());
            }
            columns.push((column, len));
        }
        let n = cursor.count(VIEWS_MAX)?;
        let mut partials: Vec<(usize, usize)> = Vec::with_capacity(n);
        for _ in 0..n {
            let (view, groups) = (cursor.count(VIEWS_MAX - 1)?, cursor.count(super::ROWS_MAX)?);
            if partials.last().is_some_and(|&(last, _)| last >= view) {
                return Err(cursor.damaged());
            }
            partials.push((view, groups));
        }
        if rows == 0 || ts_max < ts_min || grain_ms <= 0 {
            return Err(cursor.damaged());
        }
        cursor.end()?;
        Ok(Self {
            id,
            rows,
            ts_min,
            ts_max,
            seq_min,
            seq_max,
            grain_ms,
            labels,
            values,
            columns,
            partials,
        })
    }
}

fn keys(cursor: &mut Cursor<'_>) -> Result<Vec<Arc<str>>, Corrupt> {
    let n = cursor.count(KEYS_MAX)?;
    let mut keys = Vec::with_capacity(n);
    let mut seen = HashSet::with_capacity(n);
    for _ in 0..n {
        let key = std::str::from_utf8(cursor.part()?).map_err(|_| cursor.damaged())?;
        if !seen.insert(key) {
            return Err(cursor.damaged());
        }
        keys.push(key.into());
    }
    Ok(keys)
}

/// Maps small numbers of either sign to small unsigned ones.
const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> BlockEntry {
        BlockEntry {
            id: 7,
            rows: 3,
            ts_min: -5,
            ts_max: 5,
            seq_min: 1,
            seq_max: 3,
            grain_ms: 3_600_000,
            labels: vec!["a".into(), "b".into()],
            values: vec!["a".into()],
            columns: vec![(ColumnId::IDS, 20), (ColumnId::TS, 30)],
            partials: vec![(0, 1), (VIEWS_MAX - 1, 2)],
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut BlockEntry), good: bool) {
        let mut entry = entry();
        change(&mut entry);
        let mut out = Vec::new();
        entry.encode(&mut out);
        let read = BlockEntry::decode(entry.id, &out);
        assert_eq!(read.is_ok(), good, "{entry:?}: {read:?}");
        assert!(read.is_err() || read == Ok(entry));
    }

    #[test]
    fn an_entry_that_no_block_has_is_refused() {
        check(|_| (), true);
        check(|e| (e.ts_min, e.ts_max) = (i64::MIN, i64::MAX), true);
        check(|e| e.rows = 0, false);
        check(|e| e.ts_max = -6, false);
        check(|e| e.grain_ms = 0, false);
        check(|e| e.labels[1] = "a".into(), false);
        check(|e| e.values.push("a".into()), false);
        check(|e| e.columns.swap(0, 1), false);
        check(|e| e.partials.swap(0, 1), false);
        check(|e| e.partials[1].0 = 0, false);
        check(|e| e.partials[1].0 = VIEWS_MAX, false);
    }
}
