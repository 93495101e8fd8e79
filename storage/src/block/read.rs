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

/// The wanted columns of the block `entry` describes. Ids, times and seqs, which every row has,
/// must be there: whoever wants them counts on it. A label or value that no row has is left out.
pub fn read_columns(
    source: &impl ColumnSource,
    entry: &BlockEntry,
    want: &ColumnSet,
) -> Result<RowBatch, StoreError> {
    let rows = entry.rows;
    let mut batch = RowBatch { len: rows, ..RowBatch::default() };
    if want.ids {
        let ids = source.with(ColumnId::IDS, |b| ids::decode_ids(b, rows))?;
        batch.ids = ids.ok_or_else(|| missing(entry, ColumnId::IDS))?;
    }
    let u64s = |b: &[u8]| collect(b, rows, ints::decode_u64s);
    let i64s = |b: &[u8]| collect(b, rows, ints::decode_i64s);
    let u8s = |b: &[u8]| collect(b, rows, ints::decode_u8s);
    batch.ts = some(source, want.ts, ColumnId::TS, i64s)?;
    let given = some(source, want.ts_given, ColumnId::TS_GIVEN, u8s)?;
    batch.ts_given = given.into_iter().map(|g| g != 0).collect();
    batch.received = some(source, want.received, ColumnId::RECEIVED, i64s)?;
    batch.seq = some(source, want.seq, ColumnId::SEQ, u64s)?;
    for (wanted, column, found) in [
        (want.ts, ColumnId::TS, batch.ts.len()),
        (want.received, ColumnId::RECEIVED, batch.received.len()),
        (want.seq, ColumnId::SEQ, batch.seq.len()),
    ] {
        if wanted && found != rows {
            return Err(missing(entry, column).into());
        }
    }
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
            if !words.codes.is_empty() {
                batch.labels.push(LabelColumn { key: Arc::clone(key), words });
            }
        }
    }
    for (n, key) in entry.values.iter().enumerate() {
        if want.values.contains(key) {
            let column = ColumnId::value(n);
            let values = source.with(column, |b| collect(b, rows, floats::decode_f64s))?;
            if let Some(values) = values {
                batch.values.push(ValueColumn { key: Arc::clone(key), values });
            }
        }
    }
    Ok(batch)
}

#[cold]
fn missing(entry: &BlockEntry, column: ColumnId) -> Corrupt {
    Corrupt::new(format!("block {}: column {} is missing", entry.id, column.0))
}

fn read_words(
    source: &impl ColumnSource,
    rows: usize,
    table: ColumnId,
    codes: ColumnId,
) -> Result<Words, StoreError> {
    let found = source.table(table)?;
    let words = found.as_ref().map_or(0, |table| table.len());
    let codes = source.with(codes, |b| words::decode_codes(b, rows, words))?;
    match (found, codes) {
        (None, None) => Ok(Words::default()),
        (Some(table), Some(codes)) => {
            let table = Arc::try_unwrap(table).unwrap_or_else(|shared| (*shared).clone());
            Ok(Words { codes, table })
        }
        _ => Err(Corrupt::new(format!("column {}: codes without their words", table.0)).into()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::RowBatchBuilder;
    use crate::block::encode_block;
    use crate::codec::frame;
    use crate::row::{Actor, Row, RowId, Status};
    use hashbrown::HashMap;

    struct Values(HashMap<ColumnId, Vec<u8>>);

    impl ColumnSource for Values {
        fn with<R>(
            &self,
            column: ColumnId,
            decode: impl FnOnce(&[u8]) -> Result<R, Corrupt>,
        ) -> Result<Option<R>, StoreError> {
            Ok(self.0.get(&column).map(|value| decode(value)).transpose()?)
        }
    }

    #[test]
    fn a_block_without_a_column_that_it_must_have_is_refused() {
        let mut builder = RowBatchBuilder::default();
        builder.push(&Row {
            id: RowId::Text("a"),
            ts_ms: 5,
            ts_given: true,
            received_ms: 6,
            words: ["cargo", "", "", "", "", "", "", "", ""],
            status: Status::Success,
            actor: Actor::Human,
            duration_us: Some(7),
            exit_code: None,
            labels: &[("k", "v")],
            values: &[("k", 0.5)],
        });
        let batch = RowBatch { seq: vec![1], ..builder.finish() };
        let block = encode_block(1, &batch, &[], 1, |_, _| Vec::new()).unwrap();
        let without = |gone: &[ColumnId]| {
            let columns = block.entry.columns.iter().map(|&(column, _)| column);
            let stored = columns.zip(&block.values).filter(|(column, _)| !gone.contains(column));
            let open = |value| frame::open(&[], KIND, value).unwrap().to_vec();
            let values = Values(stored.map(|(column, value)| (column, open(value))).collect());
            read_columns(&values, &block.entry, &ColumnSet::all())
        };
        assert_eq!(without(&[]).unwrap(), batch);
        for column in [
            ColumnId::IDS,
            ColumnId::TS,
            ColumnId::RECEIVED,
            ColumnId::SEQ,
            ColumnId::label_table(0),
            ColumnId::label_codes(0),
            ColumnId::word_table(Word::Command),
            ColumnId::word_codes(Word::Command),
        ] {
            assert!(matches!(without(&[column]), Err(StoreError::Corrupt(_))), "{column:?}");
        }
        // These are left out where no row has anything in them.
        let label = [ColumnId::label_table(0), ColumnId::label_codes(0)];
        for gone in [&label[..], &[ColumnId::value(0)], &[ColumnId::DURATION]] {
            let rest = without(gone).unwrap();
            rest.with_row(0, |row| assert_eq!(row.id, RowId::Text("a")));
            assert!(rest.labels.len() + rest.values.len() + rest.duration.len() == 2);
        }
    }
}
