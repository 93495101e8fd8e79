//! A block becomes rows again: only the columns that somebody wants.

use super::column::ColumnId;
use super::entry::BlockEntry;
use crate::aggregate::ColumnSet;
use crate::batch::{LabelColumn, RowBatch, ValueColumn};
use crate::codec::{floats, ids, ints, words};
use crate::error::{Corrupt, StoreError};
use crate::row::Word;
use crate::words::{WordTable, Words};
use std::sync::Arc;

/// The kind of frame that a block's values are in.
pub(crate) const KIND: u8 = 2;

/// Where the stored values of a block are read from, checked and without their frame.
pub trait ColumnSource {
    /// Calls `decode` with the value of `column`; `None` if the block does not have it.
    fn with<R>(
        &self,
        column: ColumnId,
        decode: impl FnOnce(&[u8]) -> Result<R, Corrupt>,
    ) -> Result<Option<R>, StoreError>;

    /// The table of words stored as `column`.
    fn table(&self, column: ColumnId) -> Result<Option<Arc<WordTable>>, StoreError> {
        Ok(self.with(column, words::decode_table)?.map(Arc::new))
    }
}

/// The wanted columns of the block `entry` describes.
pub fn read_columns(
    source: &impl ColumnSource,
    entry: &BlockEntry,
    want: &ColumnSet,
) -> Result<RowBatch, StoreError> {
    let rows = entry.rows;
    let mut batch = RowBatch { len: rows, ..RowBatch::default() };
    if want.ids {
        batch.ids = source.with(ColumnId::IDS, |b| ids::decode_ids(b, rows))?.unwrap_or_default();
    }
    let u64s = |b: &[u8]| collect(b, rows, ints::decode_u64s);
    let i64s = |b: &[u8]| collect(b, rows, ints::decode_i64s);
    let u8s = |b: &[u8]| collect(b, rows, ints::decode_u8s);
    batch.ts = some(source, want.ts, ColumnId::TS, i64s)?;
    let given = some(source, want.ts_given, ColumnId::TS_GIVEN, u8s)?;
    batch.ts_given = given.into_iter().map(|g| g != 0).collect();
    batch.received = some(source, want.received, ColumnId::RECEIVED, i64s)?;
    batch.seq = some(source, want.seq, ColumnId::SEQ, u64s)?;
    batch.status = some(source, want.status, ColumnId::STATUS, u8s)?;
    batch.actor = some(source, want.actor, ColumnId::ACTOR, u8s)?;
    batch.duration = some(source, want.duration, ColumnId::DURATION, u64s)?;
    batch.exit_code = some(source, want.exit_code, ColumnId::EXIT_CODE, i64s)?;
    for word in Word::ALL {
        if want.words[word as usize] {
            let (table, codes) = (ColumnId::word_table(word), ColumnId::word_codes(word));
            batch.words[word as usize] = read_words(source, rows, table, codes)?;
        }
    }
    for (n, key) in entry.labels.iter().enumerate() {
        if want.labels.contains(key) {
            let (table, codes) = (ColumnId::label_table(n), ColumnId::label_codes(n));
            let words = read_words(source, rows, table, codes)?;
            batch.labels.push(LabelColumn { key: Arc::clone(key), words });
        }
    }
    for (n, key) in entry.values.iter().enumerate() {
        if want.values.contains(key) {
            let values =
                some(source, true, ColumnId::value(n), |b| collect(b, rows, floats::decode_f64s))?;
            batch.values.push(ValueColumn { key: Arc::clone(key), values });
        }
    }
    Ok(batch)
}

fn read_words(
    source: &impl ColumnSource,
    rows: usize,
    table: ColumnId,
    codes: ColumnId,
) -> Result<Words, StoreError> {
    let Some(table) = source.table(table)? else {
        return Ok(Words::default());
    };
    let codes = source.with(codes, |b| words::decode_codes(b, rows, table.len()))?;
    let table = Arc::try_unwrap(table).unwrap_or_else(|shared| (*shared).clone());
    Ok(Words { codes: codes.unwrap_or_default(), table })
}

fn some<T>(
    source: &impl ColumnSource,
    wanted: bool,
    column: ColumnId,
    decode: impl FnOnce(&[u8]) -> Result<Vec<T>, Corrupt>,
) -> Result<Vec<T>, StoreError> {
    if !wanted {
        return Ok(Vec::new());
    }
    Ok(source.with(column, decode)?.unwrap_or_default())
}

fn collect<T>(
    bytes: &[u8],
    rows: usize,
    decode: impl FnOnce(&[u8], usize, &mut Vec<T>) -> Result<(), Corrupt>,
) -> Result<Vec<T>, Corrupt> {
    let mut values = Vec::new();
    decode(bytes, rows, &mut values)?;
    Ok(values)
}
