//! The plainest model of rows and questions there is: owned rows, one loop, sorted lists. It shares
//! nothing with the kernel but the words of the question.

use std::collections::{BTreeMap, BTreeSet};
use storage::ask::{AggregateRequest, Metric, NumberTest, Predicate, Selection, WordTest};
use storage::batch::{RowBatch, RowBatchBuilder};
use storage::row::{Actor, Dimension, Measure, Row, RowId, Status, Word};

/// A row that owns its words.
#[derive(Clone, Debug, Default)]
pub(crate) struct NaiveRow {
    pub(crate) id: String,
    pub(crate) ts: i64,
    pub(crate) words: [String; 9],
    pub(crate) status: Status,
    pub(crate) actor: Actor,
    pub(crate) duration: Option<u64>,
    pub(crate) exit_code: Option<i64>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) values: BTreeMap<String, f64>,
}

impl NaiveRow {
    /// The row as the engine takes it.
    pub(crate) fn push_to(&self, builder: &mut RowBatchBuilder) {
        let labels: Vec<(&str, &str)> = self.labels.iter().map(|(k, v)| (&**k, &**v)).collect();
        let values: Vec<(&str, f64)> = self.values.iter().map(|(k, v)| (&**k, *v)).collect();
        builder.push(&Row {
            id: RowId::parse(&self.id),
            ts_ms: self.ts,
            ts_given: true,
            received_ms: self.ts,
            words: std::array::from_fn(|n| &*self.words[n]),
            status: self.status,
            actor: self.actor,
            duration_us: self.duration,
            exit_code: self.exit_code,
            labels: &labels,
            values: &values,
        });
    }

    fn word(&self, dimension: &Dimension) -> Option<String> {
        match dimension {
            Dimension::Word(word) => Some(self.words[*word as usize].clone()),
            Dimension::Status => Some(self.status.as_str().to_owned()),
            Dimension::Actor => Some(self.actor.as_str().to_owned()),
            Dimension::Label(key) => self.labels.get(&**key).cloned(),
        }
    }

    /// The word as a group's key has it: the empty word of a fixed column is none.
    fn key_word(&self, dimension: &Dimension) -> Option<String> {
        let is_fixed = matches!(dimension, Dimension::Word(_));
        self.word(dimension).filter(|word| !(is_fixed && word.is_empty()))
    }

    fn number(&self, measure: &Measure) -> Option<f64> {
        match measure {
            Measure::Duration => self.duration.map(|us| us as f64),
            Measure::ExitCode => self.exit_code.map(|code| code as f64),
            Measure::Value(key) => self.values.get(&**key).copied(),
        }
    }
}

/// The rows as one batch.
pub(crate) fn batch_of(rows: &[NaiveRow]) -> RowBatch {
    let mut builder = RowBatchBuilder::with_capacity(rows.len());
    rows.iter().for_each(|row| row.push_to(&mut builder));
    builder.finish()
}

/// Whether a row is selected.
pub(crate) fn passes(row: &NaiveRow, selection: &Selection) -> bool {
    row.ts >= selection.from_ms
        && row.ts < selection.to_ms
        && selection.predicates.iter().all(|predicate| passes_one(row, predicate))
}

fn passes_one(row: &NaiveRow, predicate: &Predicate) -> bool {
    match predicate {
        Predicate::IdIn(ids) => ids.iter().any(|id| **id == row.id),
        Predicate::Number(measure, test) => number_passes(row.number(measure), test),
        Predicate::Word(dimension, test) => word_passes(row, dimension, test),
        Predicate::Any(predicates) => predicates.iter().any(|p| passes_one(row, p)),
    }
}

fn word_passes(row: &NaiveRow, dimension: &Dimension, test: &WordTest) -> bool {
    let word = row.word(dimension);
    let listed = |list: &[Box<str>]| list.iter().any(|w| Some(&**w) == word.as_deref());
    match test {
        WordTest::In(list) => listed(list),
        WordTest::NotIn(list) => !listed(list),
        WordTest::Prefix(prefix) => word.is_some_and(|w| w.starts_with(&**prefix)),
        WordTest::Present => row.key_word(dimension).is_some(),
        WordTest::Absent => row.key_word(dimension).is_none(),
    }
}

fn number_passes(number: Option<f64>, test: &NumberTest) -> bool {
    let Some(x) = number else {
        return matches!(test, NumberTest::Absent | NumberTest::NotIn(_));
    };
    match test {
        NumberTest::In(list) => list.contains(&x),
        NumberTest::NotIn(list) => !list.contains(&x),
        NumberTest::Above { bound, or_equal: true } => x >= *bound,
        NumberTest::Above { bound, or_equal: false } => x > *bound,
        NumberTest::Below { bound, or_equal: true } => x <= *bound,
        NumberTest::Below { bound, or_equal: false } => x < *bound,
        NumberTest::Present => true,
        NumberTest::Absent => false,
    }
}

/// What a cell must be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    Null,
    Int(i128),
    Micros(i128),
    /// A double, and how far the answer may be from it.
    Near(f64, f64),
}

/// Bucket and words.
pub(crate) type Key = (u32, Vec<Option<String>>);

/// Every group's cells, in the order of the metrics.
pub(crate) fn aggregate(
    rows: &[NaiveRow],
    request: &AggregateRequest,
) -> BTreeMap<Key, Vec<Expected>> {
    let mut groups: BTreeMap<Key, Vec<&NaiveRow>> = BTreeMap::new();
    for row in rows.iter().filter(|row| passes(row, &request.selection)) {
        let mut bucket = 0;
        for (n, start) in request.bucket_starts.iter().enumerate() {
            if row.ts >= *start {
                bucket = n as u32;
            }
        }
        let words = request.group_by.iter().map(|d| row.key_word(d)).collect();
        groups.entry((bucket, words)).or_default().push(row);
    }
    let cells = |rows: &[&NaiveRow]| request.metrics.iter().map(|m| cell(rows, m)).collect();
    groups.into_iter().map(|(key, rows)| (key, cells(&rows))).collect()
}

fn cell(rows: &[&NaiveRow], metric: &Metric) -> Expected {
    let with = |statuses: &[Status]| {
        rows.iter().filter(|row| statuses.contains(&row.status)).count() as i128
    };
    match metric {
        Metric::Count => Expected::Int(rows.len() as i128),
        Metric::FailureCount => Expected::Int(with(&[Status::Failure, Status::Timeout])),
        Metric::SuccessRate => match rows.len() as i128 - with(&[Status::Unknown]) {
            0 => Expected::Null,
            known => Expected::Near(with(&[Status::Success]) as f64 / known as f64, 1e-15),
        },
        Metric::CountDistinct(dimension) => {
            let words: BTreeSet<String> =
                rows.iter().filter_map(|row| row.key_word(dimension)).collect();
            Expected::Int(words.len() as i128)
        }
        Metric::Sum(m)
        | Metric::Avg(m)
        | Metric::Min(m)
        | Metric::Max(m)
        | Metric::Stddev(m)
        | Metric::Quantile(m, _) => {
            let mut numbers: Vec<f64> = rows.iter().filter_map(|row| row.number(m)).collect();
            numbers.sort_by(f64::total_cmp);
            if numbers.is_empty() {
                return Expected::Null;
            }
            number_cell(&numbers, metric, *m == Measure::Duration)
        }
    }
}

/// `numbers` ascend and are not none.
fn number_cell(numbers: &[f64], metric: &Metric, is_duration: bool) -> Expected {
    let count = numbers.len() as f64;
    let size: f64 = numbers.iter().map(|x| x.abs()).sum();
    let sum: f64 = numbers.iter().sum();
    let near = |x: f64| Expected::Near(x, 1e-9 * size);
    let exact = |x: f64| {
        if is_duration { Expected::Micros(x as i128) } else { Expected::Near(x, 0.0) }
    };
    match metric {
        Metric::Sum(_) if is_duration => Expected::Micros(numbers.iter().map(|&x| x as i128).sum()),
        Metric::Sum(_) => near(sum),
        Metric::Avg(_) => near(sum / count),
        Metric::Min(_) => exact(numbers[0]),
        Metric::Max(_) => exact(numbers[numbers.len() - 1]),
        Metric::Stddev(_) if numbers.len() < 2 => Expected::Null,
        Metric::Stddev(_) => {
            let mean = sum / count;
            let squares: f64 = numbers.iter().map(|x| (x - mean) * (x - mean)).sum();
            near((squares / (count - 1.0)).sqrt())
        }
        Metric::Quantile(_, permille) => {
            let rank = (usize::from(permille.0) * numbers.len()).div_ceil(1000).max(1);
            let exact = numbers[rank - 1];
            Expected::Near(exact, exact.abs() * 0.01)
        }
        _ => Expected::Null,
    }
}

/// The words that [`Word`] numbers, for tests that fill them in by name.
pub(crate) fn set_word(row: &mut NaiveRow, word: Word, text: &str) {
    row.words[word as usize] = text.to_owned();
}
