//! What can be asked of rows, in the engine's own words, and what comes back.

use crate::row::{Dimension, Measure, Seq, TimeMs};
use crate::turns::{Turn, Turns};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

/// Which rows: those in `[from_ms, to_ms)` that pass every predicate.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// First instant, inclusive.
    pub from_ms: TimeMs,
    /// Last instant, exclusive.
    pub to_ms: TimeMs,
    /// All must hold.
    pub predicates: Vec<Predicate>,
}

impl Selection {
    /// Every row.
    pub fn all() -> Self {
        Self { from_ms: TimeMs::MIN, to_ms: TimeMs::MAX, predicates: Vec::new() }
    }
}

/// One condition on a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicate {
    /// On a word. In the fixed columns an absent word is `""`; a missing label passes only
    /// [`WordTest::Absent`] and [`WordTest::NotIn`].
    Word(Dimension, WordTest),
    /// On a number. A row without it passes only [`NumberTest::Absent`] and [`NumberTest::NotIn`].
    Number(Measure, NumberTest),
    /// The row's id is one of these.
    IdIn(Vec<Box<str>>),
    /// One of these holds; none does if there are none.
    Any(Vec<Predicate>),
}

/// A condition on a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WordTest {
    /// It is one of these.
    In(Vec<Box<str>>),
    /// It is none of these.
    NotIn(Vec<Box<str>>),
    /// It begins so.
    Prefix(Box<str>),
    /// There is one: not empty in the fixed columns, and for a label present at all.
    Present,
    /// There is none.
    Absent,
}

/// A condition on a number. Durations are microseconds here.
#[derive(Clone, Debug, PartialEq)]
pub enum NumberTest {
    /// It equals one of these.
    In(Vec<f64>),
    /// It equals none of these.
    NotIn(Vec<f64>),
    /// It is larger, or at least (`or_equal`).
    Above {
        /// The bound.
        bound: f64,
        /// Whether the bound itself passes.
        or_equal: bool,
    },
    /// It is smaller, or at most (`or_equal`).
    Below {
        /// The bound.
        bound: f64,
        /// Whether the bound itself passes.
        or_equal: bool,
    },
    /// There is one.
    Present,
    /// There is none.
    Absent,
}

/// A percentile in thousandths: 950 is p95. Nearest rank, within 1 % of the exact value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Permille(pub u16);

/// A number computed for every group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Rows.
    Count,
    /// Rows that failed or timed out.
    FailureCount,
    /// Successes among the rows whose outcome is known, 0..1.
    SuccessRate,
    /// How many different words, absent not counted.
    CountDistinct(Dimension),
    /// Sum; null where no row has the number.
    Sum(Measure),
    /// Mean.
    Avg(Measure),
    /// Smallest.
    Min(Measure),
    /// Largest.
    Max(Measure),
    /// Sample standard deviation; null below two rows.
    Stddev(Measure),
    /// Percentile.
    Quantile(Measure, Permille),
}

/// Groups rows and computes metrics for each group.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregateRequest {
    /// Which rows.
    pub selection: Selection,
    /// Ascending starts of the time buckets; bucket `n` is `[starts[n], starts[n + 1])` and the
    /// last one is open. The first is at or before `from_ms`. Empty: no buckets.
    pub bucket_starts: Vec<TimeMs>,
    /// Groups by these, in this order.
    pub group_by: Vec<Dimension>,
    /// What to compute.
    pub metrics: Vec<Metric>,
    /// Whether stored partial aggregates may be used. Never changes an answer.
    pub partials: bool,
}

/// The keys of groups, column by column; distinct, in no particular order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupKeys {
    /// Of each group the index into `bucket_starts`; 0 without buckets.
    pub buckets: Vec<u32>,
    /// A column per `group_by`.
    pub columns: Vec<KeyColumn>,
}

/// The words of groups in one dimension.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyColumn {
    /// Distinct words, ascending; `None`, absent, before all others. Some may be no group's.
    pub words: Vec<Option<Arc<str>>>,
    /// Of each group the index of its word in `words`: codes are in the order of their words.
    pub codes: Vec<u32>,
}

impl GroupKeys {
    /// No group, in `columns` dimensions.
    pub fn none(columns: usize) -> Self {
        Self { buckets: Vec::new(), columns: vec![KeyColumn::default(); columns] }
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Whether there is no group.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// The words of group `n`, one per `group_by`.
    pub fn words(&self, n: usize) -> impl Iterator<Item = Option<&Arc<str>>> {
        self.columns.iter().map(move |column| column.word(n))
    }
}

impl KeyColumn {
    /// The word of group `n`; `None` where absent.
    pub fn word(&self, n: usize) -> Option<&Arc<str>> {
        self.words[self.codes[n] as usize].as_ref()
    }
}

/// A computed number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    /// Nothing to compute from.
    Null,
    /// An exact whole number.
    Int(i128),
    /// An exact whole number of microseconds.
    Micros(i128),
    /// A double. Of a duration: microseconds.
    Float(f64),
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Only partial aggregates.
    Rollup,
    /// Only rows.
    Scan,
    /// Both.
    Mixed,
}

/// The groups, in no particular order.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregated {
    /// Their keys.
    pub keys: GroupKeys,
    /// For each metric asked, a cell per group.
    pub cells: Vec<Vec<Cell>>,
    /// Where it came from.
    pub source: Source,
    /// The view whose partials were used.
    pub view: Option<String>,
    /// Rows looked at one by one.
    pub rows_scanned: u64,
    /// The newest seq the answer includes.
    pub as_of_seq: Seq,
}

/// How much a question may cost. Checked between blocks.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Past this instant the question ends with [`AskError::TimeExceeded`].
    pub deadline: Option<Instant>,
    /// Bytes of working memory, after which it ends with [`AskError::MemoryExceeded`].
    pub memory_bytes: usize,
    /// Set by whoever no longer wants the answer.
    pub cancelled: Arc<AtomicBool>,
    /// Raised to the most bytes of working memory that were used.
    pub peak_bytes: Arc<AtomicUsize>,
    /// With whom the processors are shared; `None`: with nobody.
    pub turns: Option<Arc<dyn Turns>>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            deadline: None,
            memory_bytes: 256 << 20,
            cancelled: Arc::new(AtomicBool::new(false)),
            peak_bytes: Arc::default(),
            turns: None,
        }
    }
}

impl Budget {
    /// Waits for a turn with up to `wanted` processors, no longer than the deadline. What computes for
    /// long does it in turns, and asks each whether it [is over](Turn::is_over).
    pub fn turn(&self, wanted: usize) -> Result<Turn<'_>, AskError> {
        let turn = Turn::wait(self.turns.as_deref(), wanted, self.deadline)?;
        self.check(0)?;
        Ok(turn)
    }

    /// Fails if the time is up, the memory is used up or nobody waits any more.
    pub fn check(&self, used_bytes: usize) -> Result<(), AskError> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(AskError::Cancelled);
        }
        self.peak_bytes.fetch_max(used_bytes, Ordering::Relaxed);
        if used_bytes > self.memory_bytes {
            return Err(AskError::MemoryExceeded { limit_bytes: self.memory_bytes });
        }
        if self.deadline.is_some_and(|deadline| now() > deadline) {
            return Err(AskError::TimeExceeded);
        }
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "a deadline is compared with the one clock there is")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The deadline passed.
    #[error("the question took longer than it may: ask for a shorter time range or fewer groups")]
    TimeExceeded,
    /// The groups do not fit.
    #[error(
        "the question needs more than the {limit_bytes} bytes of memory it may use: \
         group by fewer dimensions, use larger buckets or a shorter time range"
    )]
    MemoryExceeded {
        /// The limit that was met.
        limit_bytes: usize,
    },
    /// The caller went away.
    #[error("the question was cancelled")]
    Cancelled,
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] crate::error::StoreError),
}
