//! A whole batch of rows as one value: the small block of a commit.
//!
//! ```text
//! +-------------+----------------------------------------------+
//! | rows varint | columns, each: column u8, length varint, body |
//! +-------------+----------------------------------------------+
//! ```
//!
//! Columns stand in ascending order of their number and only those that the batch has:
//!
//! | number | column | body |
//! |---|---|---|
//! | 1 | ids | [`ids`] |
//! | 2 | ts | [`ints`], i64 |
//! | 3 | ts_given | [`ints`], u8: 0 or 1 |
//! | 4 | received | [`ints`], i64 |
//! | 5 | seq | [`ints`], u64 |
//! | 6 | status | [`ints`], u8 |
//! | 7 | actor | [`ints`], u8 |
//! | 8 | duration | [`ints`], u64, absent is 2^64 - 1 |
//! | 9 | exit_code | [`ints`], i64, absent is -2^63 |
//! | 16 + n | fixed word column n | [`words`] |
//! | 32 | a label column, any number of times | key length varint, key, [`words`] |
//! | 33 | a value column, any number of times | key length varint, key, [`floats`] |
//!
//! The keys of the label columns are distinct, and those of the value columns. Rows times columns
//! are at most 2^26.

use super::cursor::{Cursor, put_part, put_varint};
use super::{ROWS_MAX, floats, ids, ints, words};
use crate::KEYS_MAX;
use crate::batch::{LabelColumn, RowBatch, ValueColumn};
use crate::error::{Corrupt, StoreError};
use crate::row::Word;
use hashbrown::HashSet;

mod column {
    pub(super) const IDS: u8 = 1;
    pub(super) const TS: u8 = 2;
    pub(super) const TS_GIVEN: u8 = 3;
    pub(super) const RECEIVED: u8 = 4;
    pub(super) const SEQ: u8 = 5;
    pub(super) const STATUS: u8 = 6;
    pub(super) const ACTOR: u8 = 7;
    pub(super) const DURATION: u8 = 8;
    pub(super) const EXIT_CODE: u8 = 9;
    pub(super) const WORD: u8 = 16;
    pub(super) const LABEL: u8 = 32;
    pub(super) const VALUE: u8 = 33;
}

/// Most numbers that a batch may have in all its columns (rows times columns): 64 Mi. A batch is
/// one commit; this bounds what a damaged one can ask for.
pub const CELLS_MAX: usize = 1 << 26;

/// The columns that are not labels or values.
pub const COLUMNS_FIXED: usize = 9 + Word::ALL.len();

const WORD_LAST: u8 = column::WORD + Word::ALL.len() as u8 - 1;

/// Appends the encoded batch. Fails, with nothing appended, if it has more than
/// [`ROWS_MAX`] rows or [`CELLS_MAX`] numbers: it could not be read again, and
/// must be committed in parts.
pub fn encode_batch(batch: &RowBatch, out: &mut Vec<u8>) -> Result<(), StoreError> {
    let columns = COLUMNS_FIXED + batch.labels.len() + batch.values.len();
    for (what, found, limit) in [
        ("the number of rows of a commit", batch.len, ROWS_MAX),
        ("the number of label keys of a commit", batch.labels.len(), KEYS_MAX),
        ("the number of value keys of a commit", batch.values.len(), KEYS_MAX),
        ("rows times columns of a commit", batch.len.saturating_mul(columns), CELLS_MAX),
    ] {
        if found > limit {
            return Err(StoreError::OverLimit { what, limit });
        }
    }
    put_varint(batch.len as u64, out);
    let mut columns = Columns { out, body: Vec::new() };
    columns.put(column::IDS, !batch.ids.slots.is_empty(), |body| {
        ids::encode_ids(&batch.ids, batch.len, body);
    });
    columns.put(column::TS, !batch.ts.is_empty(), |body| ints::encode_i64s(&batch.ts, body));
    columns.put(column::TS_GIVEN, !batch.ts_given.is_empty(), |body| {
        let given: Vec<u8> = batch.ts_given.iter().map(|&g| u8::from(g)).collect();
        ints::encode_u8s(&given, body);
    });
    columns.put(column::RECEIVED, !batch.received.is_empty(), |body| {
        ints::encode_i64s(&batch.received, body);
    });
    columns.put(column::SEQ, !batch.seq.is_empty(), |body| ints::encode_u64s(&batch.seq, body));
    columns.put(column::STATUS, !batch.status.is_empty(), |body| {
        ints::encode_u8s(&batch.status, body);
    });
    columns.put(column::ACTOR, !batch.actor.is_empty(), |body| {
        ints::encode_u8s(&batch.actor, body);
    });
    columns.put(column::DURATION, !batch.duration.is_empty(), |body| {
        ints::encode_u64s(&batch.duration, body);
    });
    columns.put(column::EXIT_CODE, !batch.exit_code.is_empty(), |body| {
        ints::encode_i64s(&batch.exit_code, body);
    });
    for (number, words) in (column::WORD..).zip(&batch.words) {
        columns.put(number, !(words.codes.is_empty() && words.table.is_empty()), |body| {
            words::encode_words(words, batch.len, body);
        });
    }
    for label in &batch.labels {
        columns.put(column::LABEL, true, |body| {
            put_part(label.key.as_bytes(), body);
            words::encode_words(&label.words, batch.len, body);
        });
    }
    for value in &batch.values {
        columns.put(column::VALUE, true, |body| {
            put_part(value.key.as_bytes(), body);
            floats::encode_f64s(&value.values, body);
        });
    }
    Ok(())
}

/// Writes columns with their length before them.
struct Columns<'a> {
    out: &'a mut Vec<u8>,
    body: Vec<u8>,
}

impl Columns<'_> {
    fn put(&mut self, number: u8, present: bool, encode: impl FnOnce(&mut Vec<u8>)) {
        if present {
            self.body.clear();
            encode(&mut self.body);
            self.out.push(number);
            put_part(&self.body, self.out);
        }
    }
}

/// The batch in `bytes`.
pub fn decode_batch(bytes: &[u8]) -> Result<RowBatch, Corrupt> {
    let mut cursor = Cursor::new(bytes, "a small block");
    let mut batch = RowBatch { len: cursor.count(ROWS_MAX)?, ..RowBatch::default() };
    // Counted before any column is decoded, so that nothing is allocated for too many.
    let (mut ahead, mut columns) = (cursor.clone(), 0);
    while !ahead.is_empty() {
        ahead.byte()?;
        ahead.part()?;
        columns += 1;
    }
    if batch.len.saturating_mul(columns) > CELLS_MAX {
        return Err(cursor.damaged());
    }
    let (mut last, mut keys) = (0, HashSet::new());
    while !cursor.is_empty() {
        let number = cursor.byte()?;
        let repeats = matches!(number, column::LABEL | column::VALUE) && number == last;
        if number <= last && !repeats {
            return Err(cursor.damaged());
        }
        if number != last {
            keys.clear(); // a label and a value may have one key
        }
        last = number;
        decode_column(number, cursor.part()?, &mut keys, &mut batch)?;
    }
    Ok(batch)
}

fn decode_column<'a>(
    number: u8,
    body: &'a [u8],
    keys: &mut HashSet<&'a str>,
    batch: &mut RowBatch,
) -> Result<(), Corrupt> {
    let rows = batch.len;
    match number {
        column::IDS => batch.ids = ids::decode_ids(body, rows)?,
        column::TS => ints::decode_i64s(body, rows, &mut batch.ts)?,
        column::TS_GIVEN => {
            let mut given = Vec::new();
            ints::decode_u8s(body, rows, &mut given)?;
            if given.iter().any(|&g| g > 1) {
                return Err(Corrupt::new("a small block: `ts_given`"));
            }
            batch.ts_given = given.iter().map(|&g| g == 1).collect();
        }
        column::RECEIVED => ints::decode_i64s(body, rows, &mut batch.received)?,
        column::SEQ => ints::decode_u64s(body, rows, &mut batch.seq)?,
        column::STATUS => ints::decode_u8s(body, rows, &mut batch.status)?,
        column::ACTOR => ints::decode_u8s(body, rows, &mut batch.actor)?,
        column::DURATION => ints::decode_u64s(body, rows, &mut batch.duration)?,
        column::EXIT_CODE => ints::decode_i64s(body, rows, &mut batch.exit_code)?,
        column::WORD..=WORD_LAST => {
            batch.words[usize::from(number - column::WORD)] = words::decode_words(body, rows)?;
        }
        column::LABEL => {
            let (key, body) = decode_key(body, keys)?;
            let words = words::decode_words(body, rows)?;
            batch.labels.push(LabelColumn { key: key.into(), words });
        }
        column::VALUE => {
            let (key, body) = decode_key(body, keys)?;
            let mut values = Vec::new();
            floats::decode_f64s(body, rows, &mut values)?;
            batch.values.push(ValueColumn { key: key.into(), values });
        }
        _ => return Err(Corrupt::new(format!("a small block: column {number} is unknown"))),
    }
    Ok(())
}

/// The key of a label or value column, whose like have had `keys`, and its body.
fn decode_key<'a>(
    body: &'a [u8],
    keys: &mut HashSet<&'a str>,
) -> Result<(&'a str, &'a [u8]), Corrupt> {
    let mut cursor = Cursor::new(body, "a small block: a key");
    let key = std::str::from_utf8(cursor.part()?).map_err(|_| cursor.damaged())?;
    if keys.len() >= KEYS_MAX || !keys.insert(key) {
        return Err(cursor.damaged());
    }
    Ok((key, cursor.rest()))
}

#[cfg(test)]
mod tests;
