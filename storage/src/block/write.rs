//! Rows become a block.

use super::column::ColumnId;
use super::entry::{BlockEntry, BlockId};
use crate::aggregate::{Partial, View};
use crate::batch::RowBatch;
use crate::codec::frame::Frame;
use crate::codec::{filter, floats, ids, ints, words};
use crate::row::{RowId, Word};
use crate::words::Words;
use std::sync::Arc;

/// A block ready to be stored.
#[derive(Debug)]
pub struct EncodedBlock {
    /// Its manifest entry.
    pub entry: BlockEntry,
    /// Its stored values, framed, in the order of `entry.columns`.
    pub values: Vec<Vec<u8>>,
}

/// Encodes `batch`, whose rows are sorted by `(ts, seq)`, as block `id`. `key` makes the key that
/// a column's frame is sealed under. `None` if there is no row.
pub fn encode_block(
    id: BlockId,
    batch: &RowBatch,
    views: &[View],
    grain_ms: i64,
    key: impl Fn(BlockId, ColumnId) -> Vec<u8>,
) -> Option<EncodedBlock> {
    let (&ts_min, &ts_max) = (batch.ts.first()?, batch.ts.last()?);
    let mut writer = Writer { id, key, columns: Vec::new() };
    writer.rows(batch);
    let partials = writer.partials(batch, views, grain_ms);
    writer.columns.sort_by_key(|(column, _)| *column);
    Some(EncodedBlock {
        entry: BlockEntry {
            id,
            rows: batch.len,
            ts_min,
            ts_max,
            seq_min: batch.seq.iter().copied().min().unwrap_or(0),
            seq_max: batch.seq.iter().copied().max().unwrap_or(0),
            grain_ms,
            labels: batch.labels.iter().map(|c| Arc::clone(&c.key)).collect(),
            values: batch.values.iter().map(|c| Arc::clone(&c.key)).collect(),
            columns: writer.columns.iter().map(|(column, v)| (*column, v.len())).collect(),
            partials,
        },
        values: writer.columns.into_iter().map(|(_, value)| value).collect(),
    })
}

struct Writer<K> {
    id: BlockId,
    key: K,
    columns: Vec<(ColumnId, Vec<u8>)>,
}

impl<K: Fn(BlockId, ColumnId) -> Vec<u8>> Writer<K> {
    /// Adds the value that `encode` appends to a buffer.
    fn put(&mut self, column: ColumnId, encode: impl FnOnce(&mut Vec<u8>)) {
        let mut out = Vec::new();
        let frame = Frame::begin(&mut out, super::read::KIND);
        encode(&mut out);
        frame.finish(&mut out, &(self.key)(self.id, column));
        self.columns.push((column, out));
    }

    /// As [`put`](Self::put), but a column that the batch does not have is not stored.
    fn put_some<T>(
        &mut self,
        column: ColumnId,
        values: &[T],
        encode: impl FnOnce(&[T], &mut Vec<u8>),
    ) {
        if !values.is_empty() {
            self.put(column, |out| encode(values, out));
        }
    }

    fn rows(&mut self, batch: &RowBatch) {
        self.put(ColumnId::IDS, |out| ids::encode_ids(&batch.ids, batch.len, out));
        let hashes: Vec<u64> = (0..batch.len).map(|row| RowId::hash(&batch.ids.get(row))).collect();
        self.put(ColumnId::FILTER, |out| filter::encode_filter(&hashes, out));
        self.put_some(ColumnId::TS, &batch.ts, ints::encode_i64s);
        let given: Vec<u8> = batch.ts_given.iter().map(|&given| given.into()).collect();
        self.put_some(ColumnId::TS_GIVEN, &given, ints::encode_u8s);
        self.put_some(ColumnId::RECEIVED, &batch.received, ints::encode_i64s);
        self.put_some(ColumnId::SEQ, &batch.seq, ints::encode_u64s);
        self.put_some(ColumnId::STATUS, &batch.status, ints::encode_u8s);
        self.put_some(ColumnId::ACTOR, &batch.actor, ints::encode_u8s);
        self.put_some(ColumnId::DURATION, &batch.duration, ints::encode_u64s);
        self.put_some(ColumnId::EXIT_CODE, &batch.exit_code, ints::encode_i64s);
        for word in Word::ALL {
            let column = &batch.words[word as usize];
            self.words(ColumnId::word_table(word), ColumnId::word_codes(word), column);
        }
        for (n, column) in batch.labels.iter().enumerate() {
            self.words(ColumnId::label_table(n), ColumnId::label_codes(n), &column.words);
        }
        for (n, column) in batch.values.iter().enumerate() {
            self.put_some(ColumnId::value(n), &column.values, floats::encode_f64s);
        }
    }

    fn words(&mut self, table: ColumnId, codes: ColumnId, column: &Words) {
        if !column.codes.is_empty() {
            self.put(table, |out| words::encode_table(&column.table, out));
            self.put(codes, |out| words::encode_codes(&column.codes, out));
        }
    }

    /// Adds the partials that are worth their space; gives their views and numbers of groups.
    fn partials(&mut self, batch: &RowBatch, views: &[View], grain_ms: i64) -> Vec<(usize, usize)> {
        let mut kept = Vec::new();
        for (n, view) in views.iter().enumerate() {
            if let Some(partial) = Partial::build_if_worth(batch, view, grain_ms) {
                self.put(ColumnId::partial(n), |out| partial.encode(out));
                kept.push((n, partial.groups()));
            }
        }
        kept
    }
}
