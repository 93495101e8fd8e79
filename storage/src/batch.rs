//! Rows by column: the one shape that rows have in memory, between intake and disk and between
//! disk and answer.
//!
//! *Invariant*: every column of a batch is either empty or has exactly [`RowBatch::len`] entries.
//! An empty column means that it was not asked for, or that no row has a value in it. Words are
//! local to the batch; nothing here knows a tenant.

use crate::KEYS_MAX;
use crate::codec::small::{CELLS_MAX, COLUMNS_FIXED};
use crate::row::{Actor, Dimension, Measure, Row, RowId, Seq, Status, TimeMs, Word};
use crate::words::{WordInterner, WordTable, Words};
use hashbrown::HashMap;
use std::sync::Arc;

/// Duration of a row that has none.
pub const NO_DURATION: u64 = u64::MAX;

/// Exit code of a row that has none.
pub const NO_EXIT_CODE: i64 = i64::MIN;

/// The ids of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    /// A UUID, or in its first four bytes (little endian) the code of a word of `texts`.
    pub slots: Vec<[u8; 16]>,
    /// Whether a slot is a code; empty if none is.
    pub is_text: Vec<bool>,
    /// The ids that are not UUIDs, each occurrence on its own.
    pub texts: WordTable,
}

impl Ids {
    /// The id of row `row`.
    pub fn get(&self, row: usize) -> RowId<'_> {
        let slot = &self.slots[row];
        if self.is_text.get(row).copied().unwrap_or(false) {
            let code = u32::from_le_bytes([slot[0], slot[1], slot[2], slot[3]]);
            RowId::Text(self.texts.get(code).unwrap_or_default())
        } else {
            RowId::Uuid(*slot)
        }
    }

    /// Appends an id.
    pub fn push(&mut self, id: RowId<'_>) {
        match id {
            RowId::Uuid(bytes) => {
                self.slots.push(bytes);
                if !self.is_text.is_empty() {
                    self.is_text.push(false);
                }
            }
            RowId::Text(text) => {
                let mut slot = [0; 16];
                slot[..4].copy_from_slice(&self.texts.append(text).to_le_bytes());
                self.is_text.resize(self.slots.len(), false);
                self.slots.push(slot);
                self.is_text.push(true);
            }
        }
    }
}

/// A column of `labels.<key>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelColumn {
    /// The label's key.
    pub key: Arc<str>,
    /// Its words.
    pub words: Words,
}

/// A column of `values.<key>`; NaN where a row has none.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueColumn {
    /// The value's key.
    pub key: Arc<str>,
    /// One number a row.
    pub values: Vec<f64>,
}

/// Rows by column. See the module for the invariant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowBatch {
    /// How many rows.
    pub len: usize,
    /// The ids.
    pub ids: Ids,
    /// Starts of the runs, Unix milliseconds.
    pub ts: Vec<TimeMs>,
    /// Whether the caller gave `ts`; empty means that all did.
    pub ts_given: Vec<bool>,
    /// Times of receipt, Unix milliseconds.
    pub received: Vec<TimeMs>,
    /// Places in the feed; empty until committed.
    pub seq: Vec<Seq>,
    /// The fixed word columns, by `Word as usize`.
    pub words: [Words; Word::ALL.len()],
    /// [`Status`] as stored; empty means all unknown.
    pub status: Vec<u8>,
    /// [`Actor`] as stored; empty means all unknown.
    pub actor: Vec<u8>,
    /// Microseconds or [`NO_DURATION`].
    pub duration: Vec<u64>,
    /// Exit codes or [`NO_EXIT_CODE`].
    pub exit_code: Vec<i64>,
    /// Label columns in order of first appearance, keys distinct.
    pub labels: Vec<LabelColumn>,
    /// Value columns in order of first appearance, keys distinct.
    pub values: Vec<ValueColumn>,
}

impl RowBatch {
    /// Smallest and largest `ts`; `None` if there is no row.
    pub fn time_range(&self) -> Option<(TimeMs, TimeMs)> {
        let first = *self.ts.first()?;
        Some(self.ts.iter().fold((first, first), |(lo, hi), &t| (lo.min(t), hi.max(t))))
    }

    /// Whether row `row` came with a `ts`.
    pub fn ts_given(&self, row: usize) -> bool {
        self.ts_given.get(row).copied().unwrap_or(true)
    }

    /// How the run of row `row` ended.
    pub fn status(&self, row: usize) -> Status {
        let stored = self.status.get(row).copied().unwrap_or(0);
        Status::ALL.get(stored as usize).copied().unwrap_or_default()
    }

    /// Who ran row `row`.
    pub fn actor(&self, row: usize) -> Actor {
        let stored = self.actor.get(row).copied().unwrap_or(0);
        Actor::ALL.get(stored as usize).copied().unwrap_or_default()
    }

    /// The duration of row `row` in microseconds.
    pub fn duration(&self, row: usize) -> Option<u64> {
        self.duration.get(row).copied().filter(|&d| d != NO_DURATION)
    }

    /// The exit code of row `row`.
    pub fn exit_code(&self, row: usize) -> Option<i64> {
        self.exit_code.get(row).copied().filter(|&c| c != NO_EXIT_CODE)
    }

    /// The fixed word `word` of row `row`; `""` where absent.
    pub fn word(&self, word: Word, row: usize) -> &str {
        self.words[word as usize].get(row).unwrap_or_default()
    }

    /// The column of a label, if a row has it.
    pub fn label(&self, key: &str) -> Option<&Words> {
        self.labels.iter().find(|c| &*c.key == key).map(|c| &c.words)
    }

    /// The column of a value, if a row has it.
    pub fn value(&self, key: &str) -> Option<&[f64]> {
        self.values.iter().find(|c| &*c.key == key).map(|c| c.values.as_slice())
    }

    /// The number `measure` of row `row` as a double; `None` where absent.
    pub fn number(&self, measure: &Measure, row: usize) -> Option<f64> {
        match measure {
            Measure::Duration => self.duration(row).map(|us| us as f64),
            Measure::ExitCode => self.exit_code(row).map(|code| code as f64),
            Measure::Value(key) => {
                self.value(key).and_then(|v| v.get(row)).copied().filter(|v| !v.is_nan())
            }
        }
    }

    /// The word of `dimension` in row `row`; `None` where absent.
    pub fn dimension(&self, dimension: &Dimension, row: usize) -> Option<&str> {
        match dimension {
            Dimension::Word(word) => self.words[*word as usize].get(row),
            Dimension::Status => Some(self.status(row).as_str()),
            Dimension::Actor => Some(self.actor(row).as_str()),
            Dimension::Label(key) => self.label(key).and_then(|words| words.get(row)),
        }
    }

    /// Calls `f` with row `row` in the borrowed shape it was pushed in.
    pub fn with_row<R>(&self, row: usize, f: impl FnOnce(&Row<'_>) -> R) -> R {
        let labels: Vec<(&str, &str)> =
            self.labels.iter().filter_map(|c| Some((&*c.key, c.words.get(row)?))).collect();
        let values: Vec<(&str, f64)> = self
            .values
            .iter()
            .filter_map(|c| Some((&*c.key, *c.values.get(row)?)))
            .filter(|(_, v)| !v.is_nan())
            .collect();
        f(&Row {
            id: self.ids.get(row),
            ts_ms: self.ts[row],
            ts_given: self.ts_given(row),
            received_ms: self.received[row],
            words: Word::ALL.map(|w| self.word(w, row)),
            status: self.status(row),
            actor: self.actor(row),
            duration_us: self.duration(row),
            exit_code: self.exit_code(row),
            labels: &labels,
            values: &values,
        })
    }

    /// About how much memory it holds, in bytes.
    pub fn heap_bytes(&self) -> usize {
        let words: usize = self.words.iter().map(Words::heap_bytes).sum();
        let labels: usize = self.labels.iter().map(|c| c.words.heap_bytes() + c.key.len()).sum();
        let values: usize = self.values.iter().map(|c| c.values.capacity() * 8).sum();
        self.ids.slots.capacity() * 16
            + self.ids.is_text.capacity()
            + self.ids.texts.heap_bytes()
            + (self.ts.capacity() + self.received.capacity() + self.seq.capacity()) * 8
            + (self.duration.capacity() + self.exit_code.capacity()) * 8
            + self.ts_given.capacity()
            + self.status.capacity()
            + self.actor.capacity()
            + words
            + labels
            + values
    }
}

/// Makes a [`RowBatch`] row by row.
#[derive(Debug, Default)]
pub struct RowBatchBuilder {
    batch: RowBatch,
    words: [WordInterner; Word::ALL.len()],
    labels: KeyedColumns<WordInterner>,
    values: KeyedColumns<()>,
}

/// Finds the column of a key; `S` is what building that column needs beside it.
#[derive(Debug)]
struct KeyedColumns<S> {
    by_key: HashMap<Arc<str>, usize>,
    state: Vec<S>,
}

impl<S> Default for KeyedColumns<S> {
    fn default() -> Self {
        Self { by_key: HashMap::new(), state: Vec::new() }
    }
}

impl RowBatchBuilder {
    /// A builder with room for `rows` rows.
    pub fn with_capacity(rows: usize) -> Self {
        let mut builder = Self::default();
        let batch = &mut builder.batch;
        batch.ids.slots.reserve(rows);
        batch.ts.reserve(rows);
        batch.received.reserve(rows);
        batch.status.reserve(rows);
        batch.duration.reserve(rows);
        builder
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.batch.len
    }

    /// Whether there is no row yet.
    pub fn is_empty(&self) -> bool {
        self.batch.len == 0
    }

    /// Whether a row with these keys of labels and values can be appended: a batch has at most
    /// [`KEYS_MAX`] of either, as its tenant has, and [`CELLS_MAX`] numbers in all its columns. Every
    /// new key makes a column for all rows, so this is what bounds a batch's memory.
    pub fn has_room_for<'k>(
        &self,
        labels: impl Iterator<Item = &'k str>,
        values: impl Iterator<Item = &'k str>,
    ) -> bool {
        let new = |known: &HashMap<Arc<str>, usize>, key: &str| !known.contains_key(key);
        let labels =
            self.labels.by_key.len() + labels.filter(|key| new(&self.labels.by_key, key)).count();
        let values =
            self.values.by_key.len() + values.filter(|key| new(&self.values.by_key, key)).count();
        let columns = COLUMNS_FIXED + labels + values;
        labels <= KEYS_MAX
            && values <= KEYS_MAX
            && (self.batch.len + 1).saturating_mul(columns) <= CELLS_MAX
    }

    /// Appends a row; whether there is room for it has been asked.
    pub fn push(&mut self, row: &Row<'_>) {
        let at = self.batch.len;
        let batch = &mut self.batch;
        batch.ids.push(row.id);
        batch.ts.push(row.ts_ms);
        batch.received.push(row.received_ms);
        push_sparse(&mut batch.ts_given, at, row.ts_given, true);
        push_sparse(&mut batch.status, at, row.status as u8, Status::Unknown as u8);
        push_sparse(&mut batch.actor, at, row.actor as u8, Actor::Unknown as u8);
        push_sparse(&mut batch.duration, at, row.duration_us.unwrap_or(NO_DURATION), NO_DURATION);
        push_sparse(&mut batch.exit_code, at, row.exit_code.unwrap_or(NO_EXIT_CODE), NO_EXIT_CODE);
        for (n, word) in row.words.iter().enumerate() {
            if !word.is_empty() {
                let code = self.words[n].code(word);
                push_sparse(&mut batch.words[n].codes, at, code, 0);
            }
        }
        for &(key, word) in row.labels {
            let n = self.label_column(key);
            let code = self.labels.state[n].code(word);
            push_sparse(&mut self.batch.labels[n].words.codes, at, code, 0);
        }
        for &(key, value) in row.values {
            let n = self.value_column(key);
            push_sparse(&mut self.batch.values[n].values, at, value, f64::NAN);
        }
        self.batch.len = at + 1;
    }

    fn label_column(&mut self, key: &str) -> usize {
        if let Some(&n) = self.labels.by_key.get(key) {
            return n;
        }
        let key: Arc<str> = key.into();
        self.batch.labels.push(LabelColumn { key: key.clone(), words: Words::default() });
        self.labels.state.push(WordInterner::default());
        self.labels.by_key.insert(key, self.batch.labels.len() - 1);
        self.batch.labels.len() - 1
    }

    fn value_column(&mut self, key: &str) -> usize {
        if let Some(&n) = self.values.by_key.get(key) {
            return n;
        }
        let key: Arc<str> = key.into();
        self.batch.values.push(ValueColumn { key: key.clone(), values: Vec::new() });
        self.values.by_key.insert(key, self.batch.values.len() - 1);
        self.batch.values.len() - 1
    }

    /// The batch; columns that no row used are empty, the others are filled up.
    pub fn finish(self) -> RowBatch {
        let mut batch = self.batch;
        let len = batch.len;
        pad(&mut batch.ts_given, len, true);
        pad(&mut batch.status, len, Status::Unknown as u8);
        pad(&mut batch.actor, len, Actor::Unknown as u8);
        pad(&mut batch.duration, len, NO_DURATION);
        pad(&mut batch.exit_code, len, NO_EXIT_CODE);
        pad(&mut batch.ids.is_text, len, false);
        for (column, words) in batch.words.iter_mut().zip(self.words) {
            column.table = words.into_table();
            pad(&mut column.codes, len, 0);
        }
        for (column, words) in batch.labels.iter_mut().zip(self.labels.state) {
            column.words.table = words.into_table();
            pad(&mut column.words.codes, len, 0);
        }
        for column in &mut batch.values {
            pad(&mut column.values, len, f64::NAN);
        }
        batch
    }
}

/// Puts `value` at index `at` of a column that is only begun when a row differs from `absent`.
fn push_sparse<T: Copy + PartialEq>(column: &mut Vec<T>, at: usize, value: T, absent: T) {
    if column.len() < at {
        if value == absent {
            return;
        }
        column.resize(at, absent);
    } else if column.is_empty() && value == absent {
        return;
    }
    column.push(value);
}

/// Fills a begun column up to `len`.
fn pad<T: Copy>(column: &mut Vec<T>, len: usize, absent: T) {
    if !column.is_empty() {
        column.resize(len, absent);
    }
}
