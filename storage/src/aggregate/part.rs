//! What the kernel reads from: parts of a keyspace, by column.

use super::Partial;
use crate::ask::{AggregateRequest, Metric, Predicate, Selection};
use crate::batch::RowBatch;
use crate::error::StoreError;
use crate::row::{Dimension, Measure, TimeMs, Word};
use std::sync::Arc;

/// One sealed block or one batch of the unsealed tail, as the kernel sees it.
pub trait Part: Sync {
    /// How many rows it has.
    fn rows(&self) -> usize;

    /// Earliest and latest `ts`, both inclusive. Bounds suffice: every row lies within.
    fn time_range(&self) -> (TimeMs, TimeMs);

    /// Width of the time grain of its partials, milliseconds.
    fn grain_ms(&self) -> i64;

    /// Whether its rows ascend by `ts`, as those of sealed blocks do.
    fn is_sorted(&self) -> bool;

    /// The wanted columns; others may be filled or empty. Called at most twice for a question,
    /// with disjoint sets: first what the predicates need and then, if a row passes, the rest.
    fn columns(&self, want: &ColumnSet) -> Result<Arc<RowBatch>, StoreError>;

    /// The stored partial aggregate of view `view` (index into the views of the question).
    fn partial(&self, _view: usize) -> Result<Option<Arc<Partial>>, StoreError> {
        Ok(None)
    }

    /// How many groups [`partial`](Self::partial) has, without reading it; `None` if it has none.
    fn partial_groups(&self, _view: usize) -> Option<usize> {
        None
    }

    /// `false` only if cheap statistics prove that no row passes `predicate`.
    fn may_match(&self, _predicate: &Predicate) -> bool {
        true
    }
}

/// Which keys of a free-form column group (`labels.*`, `values.*`) are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySet {
    /// These, without repeats.
    These(Vec<Box<str>>),
    /// All there are.
    All,
}

impl Default for KeySet {
    fn default() -> Self {
        Self::These(Vec::new())
    }
}

impl KeySet {
    /// Whether `key` is wanted.
    pub fn contains(&self, key: &str) -> bool {
        match self {
            Self::These(keys) => keys.iter().any(|k| **k == *key),
            Self::All => true,
        }
    }

    /// Whether none is wanted.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::These(keys) if keys.is_empty())
    }

    fn add(&mut self, key: &str) {
        if let Self::These(keys) = self
            && !keys.iter().any(|k| **k == *key)
        {
            keys.push(key.into());
        }
    }

    fn without(&self, other: &Self) -> Self {
        match (self, other) {
            (_, Self::All) => Self::default(),
            (Self::All, Self::These(_)) => Self::All,
            (Self::These(keys), other) => {
                Self::These(keys.iter().filter(|k| !other.contains(k)).cloned().collect())
            }
        }
    }
}

/// The columns of a [`RowBatch`] that somebody wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnSet {
    /// `ids`.
    pub ids: bool,
    /// `ts`.
    pub ts: bool,
    /// `ts_given`.
    pub ts_given: bool,
    /// `received`.
    pub received: bool,
    /// `seq`.
    pub seq: bool,
    /// The fixed word columns, by `Word as usize`.
    pub words: [bool; Word::ALL.len()],
    /// `status`.
    pub status: bool,
    /// `actor`.
    pub actor: bool,
    /// `duration`.
    pub duration: bool,
    /// `exit_code`.
    pub exit_code: bool,
    /// Columns of `labels`.
    pub labels: KeySet,
    /// Columns of `values`.
    pub values: KeySet,
}

impl ColumnSet {
    /// Every column.
    pub fn all() -> Self {
        Self {
            ids: true,
            ts: true,
            ts_given: true,
            received: true,
            seq: true,
            words: [true; Word::ALL.len()],
            status: true,
            actor: true,
            duration: true,
            exit_code: true,
            labels: KeySet::All,
            values: KeySet::All,
        }
    }

    /// What `request` needs; `ts` only if `need_ts`, for a part may lie within the asked range
    /// and within one bucket.
    pub fn for_request(request: &AggregateRequest, need_ts: bool) -> Self {
        let mut set = Self::for_selection(&request.selection, need_ts);
        request.group_by.iter().for_each(|d| set.add_dimension(d));
        for metric in &request.metrics {
            match metric {
                Metric::Count => {}
                Metric::FailureCount | Metric::SuccessRate => set.status = true,
                Metric::CountDistinct(dimension) => set.add_dimension(dimension),
                Metric::Sum(m)
                | Metric::Avg(m)
                | Metric::Min(m)
                | Metric::Max(m)
                | Metric::Stddev(m)
                | Metric::Quantile(m, _) => set.add_measure(m),
            }
        }
        set
    }

    /// What [`select`](super::select()) needs; `ts` only if `need_ts`.
    pub fn for_selection(selection: &Selection, need_ts: bool) -> Self {
        let mut set = Self { ts: need_ts, ..Self::default() };
        selection.predicates.iter().for_each(|p| set.add_predicate(p));
        set
    }

    fn add_predicate(&mut self, predicate: &Predicate) {
        match predicate {
            Predicate::Word(dimension, _) => self.add_dimension(dimension),
            Predicate::Number(measure, _) => self.add_measure(measure),
            Predicate::IdIn(_) => self.ids = true,
            Predicate::Any(predicates) => predicates.iter().for_each(|p| self.add_predicate(p)),
        }
    }

    /// Whether no column is wanted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds the column of `dimension`.
    pub fn add_dimension(&mut self, dimension: &Dimension) {
        match dimension {
            Dimension::Word(word) => self.words[*word as usize] = true,
            Dimension::Status => self.status = true,
            Dimension::Actor => self.actor = true,
            Dimension::Label(key) => self.labels.add(key),
        }
    }

    /// Adds the column of `measure`.
    pub fn add_measure(&mut self, measure: &Measure) {
        match measure {
            Measure::Duration => self.duration = true,
            Measure::ExitCode => self.exit_code = true,
            Measure::Value(key) => self.values.add(key),
        }
    }

    /// The columns of `self` that are not in `other`.
    pub fn without(&self, other: &Self) -> Self {
        let mut words = self.words;
        words.iter_mut().zip(other.words).for_each(|(mine, theirs)| *mine &= !theirs);
        Self {
            ids: self.ids & !other.ids,
            ts: self.ts & !other.ts,
            ts_given: self.ts_given & !other.ts_given,
            received: self.received & !other.received,
            seq: self.seq & !other.seq,
            words,
            status: self.status & !other.status,
            actor: self.actor & !other.actor,
            duration: self.duration & !other.duration,
            exit_code: self.exit_code & !other.exit_code,
            labels: self.labels.without(&other.labels),
            values: self.values.without(&other.values),
        }
    }
}
