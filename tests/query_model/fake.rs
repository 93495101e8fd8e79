//! A keyspace in memory that walks over all rows for everything.

use super::{PlainRow, batch};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use storage::ask::*;
use storage::batch::RowBatch;
use storage::engine::*;
use storage::error::StoreError;
use storage::row::{Dimension, Measure, RowId, Seq, TimeMs};
use storage::schema::{Index, Indexed, Moved, SchemaState};

/// The slow keyspace.
#[derive(Debug, Default)]
pub struct Fake {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rows: Vec<(Seq, PlainRow)>,
    last_seq: Seq,
    asked: usize,
}

impl Fake {
    pub fn with(rows: &[PlainRow]) -> Self {
        let fake = Self::default();
        fake.add(rows);
        fake
    }

    pub fn add(&self, rows: &[PlainRow]) {
        self.append(vec![Append { rows: batch(rows), ..Append::default() }]).unwrap();
    }

    /// How often the keyspace was asked to aggregate.
    pub fn asked(&self) -> usize {
        self.lock().asked
    }

    pub fn rows(&self) -> Vec<PlainRow> {
        self.lock().rows.iter().map(|(_, row)| row.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn to_batch(rows: &[&(Seq, PlainRow)]) -> RowBatch {
    let mut batch = batch(rows.iter().map(|(_, row)| row));
    batch.seq = rows.iter().map(|(seq, _)| *seq).collect();
    batch
}

fn of_batch(batch: &RowBatch) -> Vec<PlainRow> {
    (0..batch.len).map(|n| batch.with_row(n, PlainRow::of_row)).collect()
}

fn word_of<'a>(row: &'a PlainRow, dimension: &Dimension) -> Option<&'a str> {
    match dimension {
        Dimension::Word(word) => Some(&row.words[*word as usize]),
        Dimension::Status => Some(row.status.as_str()),
        Dimension::Actor => Some(row.actor.as_str()),
        Dimension::Label(key) => row.label(key),
    }
}

fn number_of(row: &PlainRow, measure: &Measure) -> Option<f64> {
    match measure {
        Measure::Duration => row.duration_us.map(|us| us as f64),
        Measure::ExitCode => row.exit_code.map(|code| code as f64),
        Measure::Value(key) => row.value(key),
    }
}

fn passes(row: &PlainRow, selection: &Selection) -> bool {
    (selection.from_ms..selection.to_ms).contains(&row.ts)
        && selection.predicates.iter().all(|predicate| passes_one(row, predicate))
}

fn passes_one(row: &PlainRow, predicate: &Predicate) -> bool {
    match predicate {
        Predicate::IdIn(ids) => ids.iter().any(|id| **id == *row.id),
        Predicate::Word(dimension, test) => word_passes(word_of(row, dimension), dimension, test),
        Predicate::Number(measure, test) => number_passes(number_of(row, measure), test),
        Predicate::Any(predicates) => predicates.iter().any(|p| passes_one(row, p)),
    }
}

fn word_passes(word: Option<&str>, dimension: &Dimension, test: &WordTest) -> bool {
    let there = match dimension {
        Dimension::Label(_) => word.is_some(),
        _ => word.is_some_and(|word| !word.is_empty()),
    };
    let among = |words: &[Box<str>]| word.is_some_and(|word| words.iter().any(|w| **w == *word));
    match test {
        WordTest::In(words) => among(words),
        WordTest::NotIn(words) => !among(words),
        WordTest::Prefix(prefix) => word.is_some_and(|word| word.starts_with(&**prefix)),
        WordTest::Present => there,
        WordTest::Absent => !there,
    }
}

fn number_passes(number: Option<f64>, test: &NumberTest) -> bool {
    let is = |test: &dyn Fn(f64) -> bool| number.is_some_and(test);
    match test {
        NumberTest::In(numbers) => is(&|x| numbers.contains(&x)),
        NumberTest::NotIn(numbers) => !is(&|x| numbers.contains(&x)),
        NumberTest::Above { bound, or_equal } => is(&|x| x > *bound || (*or_equal && x == *bound)),
        NumberTest::Below { bound, or_equal } => is(&|x| x < *bound || (*or_equal && x == *bound)),
        NumberTest::Present => number.is_some(),
        NumberTest::Absent => number.is_none(),
    }
}

fn compute(rows: &[&PlainRow], metric: &Metric) -> Cell {
    let numbers = |measure: &Measure| -> Vec<f64> {
        let mut all: Vec<f64> = rows.iter().filter_map(|row| number_of(row, measure)).collect();
        all.sort_unstable_by(f64::total_cmp);
        all
    };
    let whole = |measure: &Measure, value: f64| match measure {
        Measure::Duration => Cell::Micros(value as i128),
        _ => Cell::Float(value),
    };
    let count = |n: usize| Cell::Int(n as i128);
    let mean = |numbers: &[f64]| numbers.iter().sum::<f64>() / numbers.len() as f64;
    match metric {
        Metric::Count => count(rows.len()),
        Metric::FailureCount => count(rows.iter().filter(|r| r.status.is_failure()).count()),
        Metric::SuccessRate => {
            use storage::row::Status;
            let known = rows.iter().filter(|row| row.status != Status::Unknown).count();
            let good = rows.iter().filter(|row| row.status == Status::Success).count();
            if known == 0 { Cell::Null } else { Cell::Float(good as f64 / known as f64) }
        }
        Metric::CountDistinct(dimension) => {
            let fixed = !matches!(dimension, Dimension::Label(_));
            let words = rows.iter().filter_map(|row| word_of(row, dimension));
            count(words.filter(|word| !(fixed && word.is_empty())).collect::<BTreeSet<_>>().len())
        }
        Metric::Sum(m)
        | Metric::Avg(m)
        | Metric::Min(m)
        | Metric::Max(m)
        | Metric::Quantile(m, _)
            if numbers(m).is_empty() =>
        {
            Cell::Null
        }
        Metric::Sum(measure) => whole(measure, numbers(measure).iter().sum()),
        Metric::Avg(measure) => Cell::Float(mean(&numbers(measure))),
        Metric::Min(measure) => whole(measure, numbers(measure)[0]),
        Metric::Max(measure) => whole(measure, numbers(measure)[numbers(measure).len() - 1]),
        Metric::Stddev(measure) => {
            let numbers = numbers(measure);
            if numbers.len() < 2 {
                return Cell::Null;
            }
            let mean = mean(&numbers);
            let squares: f64 = numbers.iter().map(|x| (x - mean).powi(2)).sum();
            Cell::Float((squares / (numbers.len() - 1) as f64).sqrt())
        }
        Metric::Quantile(measure, Permille(permille)) => {
            let numbers = numbers(measure);
            let rank = (numbers.len() * usize::from(*permille)).div_ceil(1000).max(1);
            Cell::Float(numbers[rank - 1])
        }
    }
}

impl Keyspace for Fake {
    fn append(&self, appends: Vec<Append>) -> Result<Vec<Appended>, StoreError> {
        let mut state = self.lock();
        let mut done = Vec::new();
        for append in appends {
            let mut outcomes = Vec::new();
            let before = state.last_seq;
            for row in of_batch(&append.rows) {
                if state.rows.iter().any(|(_, r)| (&r.id, r.ts) == (&row.id, row.ts)) {
                    outcomes.push(RowOutcome::Duplicate);
                    continue;
                }
                state.last_seq += 1;
                let seq = state.last_seq;
                state.rows.push((seq, row));
                outcomes.push(RowOutcome::Accepted);
            }
            let seqs = (state.last_seq > before).then_some((before + 1, state.last_seq));
            done.push(Appended { outcomes, seqs });
        }
        Ok(done)
    }

    fn remove(&self, selection: &Selection) -> Result<u64, StoreError> {
        let mut state = self.lock();
        let before = state.rows.len();
        state.rows.retain(|(_, row)| !passes(row, selection));
        let removed = before - state.rows.len();
        state.last_seq += u64::from(removed > 0);
        Ok(removed as u64)
    }

    fn replace(&self, rows: RowBatch) -> Result<u64, StoreError> {
        let mut state = self.lock();
        let mut replaced = 0;
        for row in of_batch(&rows) {
            let before = state.rows.len();
            state.rows.retain(|(_, r)| (&r.id, r.ts) != (&row.id, row.ts));
            replaced += before - state.rows.len();
            state.last_seq += 1;
            let seq = state.last_seq;
            state.rows.push((seq, row));
        }
        Ok(replaced as u64)
    }

    fn aggregate(
        &self,
        request: &AggregateRequest,
        budget: &Budget,
    ) -> Result<Aggregated, AskError> {
        budget.check(0)?;
        let mut state = self.lock();
        state.asked += 1;
        let mut groups: BTreeMap<FakeKey, Vec<&PlainRow>> = BTreeMap::new();
        for (_, row) in state.rows.iter().filter(|(_, row)| passes(row, &request.selection)) {
            let bucket = request.bucket_starts.partition_point(|&start| start <= row.ts);
            let word = |dimension| -> Option<Arc<str>> {
                let fixed = !matches!(dimension, &Dimension::Label(_));
                // As the engine: an empty word of a fixed column is an absent one.
                word_of(row, dimension).filter(|w| !(fixed && w.is_empty())).map(Arc::from)
            };
            let words = request.group_by.iter().map(word).collect();
            let key = (bucket.saturating_sub(1) as u32, words);
            groups.entry(key).or_default().push(row);
        }
        let cells = |metric| groups.values().map(|rows| compute(rows, metric)).collect();
        let cells = request.metrics.iter().map(cells).collect();
        let rows_scanned = groups.values().map(|rows| rows.len() as u64).sum();
        // Reversed: nobody may rely on an order.
        let mut cells: Vec<Vec<Cell>> = cells;
        cells.iter_mut().for_each(|cells| cells.reverse());
        Ok(Aggregated {
            keys: columns_of(groups.into_keys().rev().collect(), request.group_by.len()),
            cells,
            source: Source::Scan,
            view: None,
            rows_scanned,
            as_of_seq: state.last_seq,
        })
    }

    fn page(
        &self,
        selection: &Selection,
        after: Option<PageCursor>,
        limit: usize,
        budget: &Budget,
    ) -> Result<RowBatch, AskError> {
        budget.check(0)?;
        let state = self.lock();
        let mut rows: Vec<_> = state.rows.iter().filter(|(_, r)| passes(r, selection)).collect();
        rows.sort_unstable_by_key(|(seq, row)| std::cmp::Reverse((row.ts, *seq)));
        rows.retain(|(seq, row)| after.is_none_or(|after| (row.ts, *seq) < after));
        rows.truncate(limit);
        Ok(to_batch(&rows))
    }

    fn find(
        &self,
        id: RowId<'_>,
        ts_ms: Option<TimeMs>,
        predicates: &[Predicate],
    ) -> Result<RowBatch, AskError> {
        let state = self.lock();
        let wanted =
            |row: &PlainRow| row.id == id.to_string() && ts_ms.is_none_or(|ts| ts == row.ts);
        let passes = |row: &PlainRow| predicates.iter().all(|p| passes_one(row, p));
        let mut rows: Vec<_> =
            state.rows.iter().filter(|(_, row)| wanted(row) && passes(row)).collect();
        rows.sort_unstable_by_key(|(_, row)| std::cmp::Reverse(row.ts));
        Ok(to_batch(&rows))
    }

    fn scan(
        &self,
        selection: &Selection,
        budget: &Budget,
        each: &mut dyn FnMut(&RowBatch) -> bool,
    ) -> Result<(), AskError> {
        budget.check(0)?;
        let state = self.lock();
        let mut rows: Vec<_> = state.rows.iter().filter(|(_, r)| passes(r, selection)).collect();
        rows.sort_unstable_by_key(|(seq, row)| (row.ts, *seq));
        each(&to_batch(&rows));
        Ok(())
    }

    fn rows_by_seq(&self, from: Seq, to: Seq, limit: usize) -> Result<RowBatch, AskError> {
        let state = self.lock();
        let mut rows: Vec<_> =
            state.rows.iter().filter(|(seq, _)| (from..=to).contains(seq)).collect();
        rows.sort_unstable_by_key(|(seq, _)| *seq);
        // Short answers are allowed and must not be taken for the end.
        rows.truncate(limit.min(7));
        Ok(to_batch(&rows))
    }

    fn feed(&self, _from_seq: Seq, _bytes_max: usize) -> Result<Vec<FeedItem>, StoreError> {
        Ok(Vec::new())
    }

    fn cursor(&self, _consumer: &str) -> Result<CursorState, StoreError> {
        Ok(CursorState::Missing)
    }

    fn set_cursor(&self, _consumer: &str, _next_seq: Seq) -> Result<(), StoreError> {
        Ok(())
    }

    fn last_seq(&self) -> Result<Seq, StoreError> {
        Ok(self.lock().last_seq)
    }

    fn feed_footprint(&self) -> Result<u64, StoreError> {
        Ok(self.stats()?.feed_bytes)
    }

    fn stats(&self) -> Result<KeyspaceStats, StoreError> {
        let state = self.lock();
        let times = || state.rows.iter().map(|(_, row)| row.ts);
        Ok(KeyspaceStats {
            rows: state.rows.len() as u64,
            time_range: times().min().zip(times().max()),
            last_seq: state.last_seq,
            ..KeyspaceStats::default()
        })
    }

    fn schema(&self) -> Result<SchemaState, StoreError> {
        Ok(SchemaState { version: 1, newest: 1, moving: None })
    }

    fn migrate(&self, to: u32) -> Result<Moved, StoreError> {
        Err(StoreError::NewerFormat { found: to, known: 1 })
    }

    fn list_by(
        &self,
        _: &Index,
        _: Option<&[u8]>,
        _: usize,
    ) -> Result<Option<Vec<Indexed>>, StoreError> {
        Ok(None)
    }

    fn settle(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn snapshot(&self, _to: &Path) -> Result<(), StoreError> {
        Ok(())
    }

    fn rewrite(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn check(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}

impl Tables for Fake {
    fn get(&self, _table: &str, _key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    fn list(
        &self,
        _table: &str,
        _prefix: &[u8],
        _after: Option<&[u8]>,
        _limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        Ok(Vec::new())
    }

    fn write(&self, _expect: &[Expect], _writes: &[TableWrite]) -> Result<bool, StoreError> {
        Ok(true)
    }
}

/// A group's bucket and words.
type FakeKey = (u32, Vec<Option<Arc<str>>>);

fn columns_of(keys: Vec<FakeKey>, columns: usize) -> GroupKeys {
    let column = |n: usize| {
        let mut words: Vec<_> = keys.iter().map(|(_, words)| words[n].clone()).collect();
        words.sort_unstable();
        words.dedup();
        let code = |(_, key): &FakeKey| words.binary_search(&key[n]).unwrap() as u32;
        KeyColumn { codes: keys.iter().map(code).collect(), words }
    };
    GroupKeys {
        buckets: keys.iter().map(|(bucket, _)| *bucket).collect(),
        columns: (0..columns).map(column).collect(),
    }
}
