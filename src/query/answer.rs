//! The answer: columns with their units, rows of exact cells, and where they came from.

use super::bucket::Width;
use super::field::MetricColumn;
use super::question::{BUCKET, Question};
use std::sync::Arc;
use storage::ask::{Cell, Metric, Source};
use storage::row::{Measure, Seq, TimeMs};

/// What the cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// RFC 3339 UTC with milliseconds.
    Time,
    /// Words.
    Text,
    /// Whole numbers.
    Integer,
    /// Any numbers.
    Number,
}

impl ColumnType {
    /// The contract's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Text => "string",
            Self::Integer => "integer",
            Self::Number => "number",
        }
    }
}

/// What the numbers of a column count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Ms,
    /// A share, 0 to 1.
    Ratio,
}

impl Unit {
    /// The contract's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ms => "ms",
            Self::Ratio => "ratio",
        }
    }
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name as asked.
    pub name: String,
    /// What its cells are.
    pub kind: ColumnType,
    /// What its numbers count, if they have a unit.
    pub unit: Option<Unit>,
}

impl Column {
    fn of_metric(column: &MetricColumn) -> Self {
        let (kind, unit) = match &column.metric {
            Metric::Count | Metric::FailureCount | Metric::CountDistinct(_) => {
                (ColumnType::Integer, None)
            }
            Metric::SuccessRate => (ColumnType::Number, Some(Unit::Ratio)),
            other => (ColumnType::Number, is_duration(other).then_some(Unit::Ms)),
        };
        Self { name: column.name.clone(), kind, unit }
    }
}

/// The columns that answer `question`: bucket, groups, metrics.
pub fn columns(question: &Question) -> Vec<Column> {
    let plain = |name: &str, kind| Column { name: name.to_owned(), kind, unit: None };
    let bucket = (question.bucket != Width::None).then(|| plain(BUCKET, ColumnType::Time));
    let groups = question.group_by.iter().map(|column| plain(&column.name, ColumnType::Text));
    let metrics = question.metrics.iter().map(Column::of_metric);
    bucket.into_iter().chain(groups).chain(metrics).collect()
}

fn is_duration(metric: &Metric) -> bool {
    use Metric::{Avg, Max, Min, Quantile, Stddev, Sum};
    match metric {
        Sum(measure)
        | Avg(measure)
        | Min(measure)
        | Max(measure)
        | Stddev(measure)
        | Quantile(measure, _) => *measure == Measure::Duration,
        _ => false,
    }
}

/// One cell of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing: an absent word, or nothing to compute from.
    Null,
    /// Unix milliseconds.
    Time(TimeMs),
    /// A word.
    Text(Arc<str>),
    /// A whole number.
    Int(i128),
    /// Whole microseconds, shown as milliseconds.
    Micros(i128),
    /// Fractional microseconds, shown as milliseconds.
    MicrosFloat(f64),
    /// A double.
    Float(f64),
}

impl Value {
    /// The value of a cell that the engine computed for `metric`.
    pub(crate) fn of_cell(cell: Cell, metric: &Metric) -> Self {
        match cell {
            Cell::Null => Self::Null,
            Cell::Int(n) => Self::Int(n),
            Cell::Micros(us) => Self::Micros(us),
            Cell::Float(x) if !x.is_finite() => Self::Null,
            Cell::Float(us) if is_duration(metric) => Self::MicrosFloat(us),
            Cell::Float(x) => Self::Float(x),
        }
    }
}

/// An answer's rows and where they came from: what the cache keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The columns.
    pub columns: Vec<Column>,
    /// The cells, row after row.
    pub cells: Vec<Value>,
    /// Where they came from.
    pub source: Source,
    /// The view whose partial aggregates were used.
    pub view: Option<String>,
    /// Rows looked at one by one.
    pub rows_scanned: u64,
    /// Every row up to this seq is in the answer.
    pub as_of_seq: Seq,
    /// Whether the limit cut rows off.
    pub truncated: bool,
}

impl Table {
    /// The rows; each has a cell per column.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[Value]> {
        // A question has at least one metric, so an answer has at least one column.
        self.cells.chunks_exact(self.columns.len().max(1))
    }

    /// About how much memory it holds, in bytes. Words are counted wherever they stand, though
    /// rows share them.
    pub fn heap_bytes(&self) -> usize {
        let words: usize = self
            .cells
            .iter()
            .map(|cell| if let Value::Text(word) = cell { word.len() + WORD_OVERHEAD } else { 0 })
            .sum();
        let names: usize = self.columns.iter().map(|c| size_of::<Column>() + c.name.len()).sum();
        self.cells.capacity() * size_of::<Value>() + words + names + size_of::<Self>()
    }
}

/// The two counters before the bytes of an `Arc<str>`.
const WORD_OVERHEAD: usize = 2 * size_of::<usize>();

/// A table as it was served.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The rows.
    pub table: Arc<Table>,
    /// How long the caller waited, in milliseconds.
    pub elapsed_ms: f64,
    /// Whether the table was there already.
    pub cached: bool,
}

/// The contract's word for a source.
pub const fn source_word(source: Source) -> &'static str {
    match source {
        Source::Rollup => "rollup",
        Source::Scan => "scan",
        Source::Mixed => "mixed",
    }
}
