//! Which rows pass: every predicate is tested once per distinct word, then by code per row.

use super::columns::{Codes, Columns};
use crate::ask::{NumberTest, Predicate, Selection, WordTest};
use crate::batch::{NO_DURATION, NO_EXIT_CODE, RowBatch};
use crate::row::{Dimension, Measure, RowId, TimeMs};
use crate::words::ABSENT;
use hashbrown::HashSet;
use std::ops::Range;

/// Rows of a part, ascending.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rows {
    /// All of a range.
    Range(Range<usize>),
    /// These.
    Picked(Vec<u32>),
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Range(range) => range.len(),
            Self::Picked(picked) => picked.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row at place `at` of these rows.
    pub(super) fn row(&self, at: usize) -> usize {
        match self {
            Self::Range(range) => range.start + at,
            Self::Picked(picked) => picked[at] as usize,
        }
    }

    /// One more than the last row; 0 if there is none.
    fn end(&self) -> usize {
        match self {
            Self::Range(range) => range.end,
            Self::Picked(picked) => picked.last().map_or(0, |&row| row as usize + 1),
        }
    }

    /// The entries of `column` for these rows: borrowed if they lie together, else gathered.
    pub(super) fn gather<'a, T: Copy>(&self, column: &'a [T], scratch: &'a mut Vec<T>) -> &'a [T] {
        match self {
            Self::Range(range) => &column[range.clone()],
            Self::Picked(picked) => {
                scratch.clear();
                scratch.extend(picked.iter().map(|&row| column[row as usize]));
                scratch
            }
        }
    }

    /// Keeps the rows whose entry in `column` passes.
    fn keep<T: Copy>(&mut self, column: &[T], pass: impl Fn(T) -> bool) {
        match self {
            Self::Range(range) => {
                let mut picked = vec![0; range.len()];
                let mut kept = 0;
                for (row, &entry) in (range.start as u32..).zip(&column[range.clone()]) {
                    picked[kept] = row;
                    kept += usize::from(pass(entry));
                }
                picked.truncate(kept);
                *self = Self::Picked(picked);
            }
            Self::Picked(picked) => picked.retain(|&row| pass(column[row as usize])),
        }
    }

    fn clear(&mut self) {
        *self = Self::Range(0..0);
    }
}

/// The indices of the rows of `batch` that pass, ascending. `batch` has at least the columns of
/// [`ColumnSet::for_selection`](super::ColumnSet::for_selection); without `ts` every row is taken
/// to lie in the time range.
pub fn select(batch: &RowBatch, selection: &Selection) -> Vec<u32> {
    let mut rows = Rows::Range(0..batch.len);
    if !batch.ts.is_empty() {
        keep_time(&mut rows, &batch.ts, false, selection);
    }
    let columns = Columns::whole(batch);
    for predicate in &selection.predicates {
        keep_predicate(&mut rows, &columns, predicate);
    }
    match rows {
        Rows::Range(range) => (range.start as u32..range.end as u32).collect(),
        Rows::Picked(picked) => picked,
    }
}

/// Keeps what lies in the selection's time range, by two binary searches if `ts` ascends.
pub(super) fn keep_time(rows: &mut Rows, ts: &[TimeMs], sorted: bool, selection: &Selection) {
    let (from, to) = (selection.from_ms, selection.to_ms);
    let inside = |t: TimeMs| from <= t && t < to;
    match rows {
        Rows::Range(range) if sorted => {
            let entries = &ts[range.clone()];
            let first = entries.partition_point(|&t| t < from);
            let end = entries.partition_point(|&t| t < to);
            *range = range.start + first..range.start + end.max(first);
        }
        _ => rows.keep(ts, inside),
    }
}

/// Keeps the rows that pass `predicate`.
pub(super) fn keep_predicate(rows: &mut Rows, columns: &Columns<'_>, predicate: &Predicate) {
    if rows.is_empty() {
        return;
    }
    match predicate {
        Predicate::Word(dimension, test) => {
            keep_words(rows, &columns.dimension(dimension), dimension, test);
        }
        Predicate::Number(measure, test) => keep_numbers(rows, columns, measure, test),
        Predicate::IdIn(ids) => keep_ids(rows, columns, ids),
        Predicate::Any(predicates) => {
            keep_any(rows, predicates, &|rows, predicate| keep_predicate(rows, columns, predicate));
        }
    }
}

/// Keeps the rows that pass one of `predicates`; `keep` keeps those that pass a certain one.
pub(super) fn keep_any(
    rows: &mut Rows,
    predicates: &[Predicate],
    keep: &dyn Fn(&mut Rows, &Predicate),
) {
    if let [only] = predicates {
        return keep(rows, only);
    }
    let mut passes = vec![false; rows.end()];
    for predicate in predicates {
        let mut passing = rows.clone();
        keep(&mut passing, predicate);
        (0..passing.len()).for_each(|at| passes[passing.row(at)] = true);
    }
    rows.keep(&passes, |passes| passes);
}

/// Keeps the rows whose word passes `test`; also for the groups of a partial.
pub(super) fn keep_words(
    rows: &mut Rows,
    codes: &Codes<'_>,
    dimension: &Dimension,
    test: &WordTest,
) {
    let passing = Passing::of(codes, dimension, test);
    match codes {
        Codes::Words(Some(words)) if !words.codes.is_empty() => match passing {
            Passing::All => {}
            Passing::None => rows.clear(),
            Passing::One(code) => rows.keep(&words.codes, |c| c == code),
            Passing::Some(table) => {
                rows.keep(&words.codes, |c| table.get(c as usize).copied().unwrap_or(false));
            }
        },
        Codes::Words(_) => {
            if !passing.contains(ABSENT) {
                rows.clear();
            }
        }
        Codes::Few { stored, names } => {
            // A byte that stands for nothing is read as the first name, as everywhere.
            let table: [bool; 256] = std::array::from_fn(|byte| {
                passing.contains(if byte < names.len() { byte as u32 } else { 0 })
            });
            if stored.is_empty() {
                if !table[0] {
                    rows.clear();
                }
            } else {
                rows.keep(stored, |byte| table[usize::from(byte)]);
            }
        }
    }
}

/// The codes of a column whose words pass a test.
enum Passing {
    All,
    None,
    One(u32),
    Some(Vec<bool>),
}

impl Passing {
    fn of(codes: &Codes<'_>, dimension: &Dimension, test: &WordTest) -> Self {
        let test = Compiled::new(test);
        // The absent word of a fixed column is the empty one; a missing label is no word at all.
        let absent_passes = match test.test {
            WordTest::Present => false,
            WordTest::Absent => true,
            _ => test.passes((!matches!(dimension, Dimension::Label(_))).then_some("")),
        };
        let empty_is_absent = matches!(dimension, Dimension::Word(_));
        let table: Vec<bool> = match codes {
            Codes::Words(None) => vec![absent_passes],
            Codes::Words(Some(words)) => std::iter::once(absent_passes)
                .chain(words.table.iter().map(|word| {
                    if word.is_empty() && empty_is_absent {
                        absent_passes
                    } else {
                        test.passes(Some(word))
                    }
                }))
                .collect(),
            Codes::Few { names, .. } => names.iter().map(|name| test.passes(Some(name))).collect(),
        };
        let mut codes = (0..).zip(&table).filter(|(_, pass)| **pass).map(|(code, _)| code);
        match (codes.next(), codes.next()) {
            (None, _) => Self::None,
            (Some(code), None) => Self::One(code),
            _ if table.iter().all(|&pass| pass) => Self::All,
            _ => Self::Some(table),
        }
    }

    fn contains(&self, code: u32) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::One(one) => *one == code,
            Self::Some(table) => table.get(code as usize).copied().unwrap_or(false),
        }
    }
}

/// Lists longer than this are looked up by hash, shorter ones compared word by word.
const LIST_COMPARED_MAX: usize = 8;

/// A test with its list ready to be looked up in.
struct Compiled<'a> {
    test: &'a WordTest,
    long_list: Option<HashSet<&'a str>>,
}

impl<'a> Compiled<'a> {
    fn new(test: &'a WordTest) -> Self {
        let long_list = match test {
            WordTest::In(list) | WordTest::NotIn(list) if list.len() > LIST_COMPARED_MAX => {
                Some(list.iter().map(|word| &**word).collect())
            }
            _ => None,
        };
        Self { test, long_list }
    }

    /// Whether a word passes; `None` is a missing label.
    fn passes(&self, word: Option<&str>) -> bool {
        let listed = |list: &[Box<str>]| {
            word.is_some_and(|word| match &self.long_list {
                Some(set) => set.contains(word),
                None => list.iter().any(|listed| **listed == *word),
            })
        };
        match self.test {
            WordTest::In(list) => listed(list),
            WordTest::NotIn(list) => !listed(list),
            WordTest::Prefix(prefix) => word.is_some_and(|word| word.starts_with(&**prefix)),
            WordTest::Present => word.is_some(),
            WordTest::Absent => word.is_none(),
        }
    }
}

fn keep_numbers(rows: &mut Rows, columns: &Columns<'_>, measure: &Measure, test: &NumberTest) {
    match measure {
        Measure::Duration => keep_present(rows, columns.duration(), |us| {
            number_passes(test, (us != NO_DURATION).then_some(us as f64))
        }),
        Measure::ExitCode => keep_present(rows, columns.exit_code(), |code| {
            number_passes(test, (code != NO_EXIT_CODE).then_some(code as f64))
        }),
        Measure::Value(key) => keep_present(rows, columns.value(key), |value: f64| {
            number_passes(test, (!value.is_nan()).then_some(value))
        }),
    }

    fn keep_present<T: Copy + Absent>(rows: &mut Rows, column: &[T], pass: impl Fn(T) -> bool) {
        if !column.is_empty() {
            rows.keep(column, pass);
        } else if !pass(T::ABSENT) {
            rows.clear();
        }
    }
}

/// What stands for "no number" in a column.
trait Absent {
    const ABSENT: Self;
}

impl Absent for u64 {
    const ABSENT: Self = NO_DURATION;
}

impl Absent for i64 {
    const ABSENT: Self = NO_EXIT_CODE;
}

impl Absent for f64 {
    const ABSENT: Self = Self::NAN;
}

fn number_passes(test: &NumberTest, number: Option<f64>) -> bool {
    match (test, number) {
        (NumberTest::Absent | NumberTest::NotIn(_), None) => true,
        (_, None) | (NumberTest::Absent, _) => false,
        (NumberTest::In(numbers), Some(x)) => numbers.contains(&x),
        (NumberTest::NotIn(numbers), Some(x)) => !numbers.contains(&x),
        (NumberTest::Above { bound, or_equal }, Some(x)) => {
            x > *bound || (*or_equal && x == *bound)
        }
        (NumberTest::Below { bound, or_equal }, Some(x)) => {
            x < *bound || (*or_equal && x == *bound)
        }
        (NumberTest::Present, Some(_)) => true,
    }
}

fn keep_ids(rows: &mut Rows, columns: &Columns<'_>, wanted: &[Box<str>]) {
    let wanted: HashSet<RowId<'_>> = wanted.iter().map(|id| RowId::parse(id)).collect();
    let ids = columns.ids();
    let picked = (0..rows.len())
        .map(|at| rows.row(at))
        .filter(|&row| row < ids.slots.len() && wanted.contains(&ids.get(row)));
    *rows = Rows::Picked(picked.map(|row| row as u32).collect());
}
