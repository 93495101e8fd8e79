//! Answers from columns, from partials and from a naive model are the same; partials are a
//! commutative monoid; their stored form reads back as it was and never panics.

#[path = "support/naive.rs"]
mod naive;
#[path = "support/random.rs"]
mod random;

use naive::{Expected, Key, NaiveRow, batch_of};
use proptest::prelude::*;
use random::{HOUR, HOURS, START, request, row, selection};
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::aggregate::{
    ColumnSet, KeySet, Part, Partial, View, aggregate, bucket_middle, bucket_of, default_views,
    select,
};
use storage::ask::{
    AggregateRequest, Aggregated, Budget, Cell, Metric, Permille, Predicate, Selection, Source,
    WordTest,
};
use storage::batch::RowBatch;
use storage::error::StoreError;
use storage::row::{Dimension, Measure, Word};

/// A part in memory that gives exactly the columns it is asked for.
struct MemoryPart {
    batch: RowBatch,
    is_sorted: bool,
    grain_ms: i64,
    slack_ms: i64,
    partials: Vec<Option<Arc<Partial>>>,
}

impl Part for MemoryPart {
    fn rows(&self) -> usize {
        self.batch.len
    }

    fn time_range(&self) -> (i64, i64) {
        let (first, last) = self.batch.time_range().unwrap_or((0, 0));
        (first - self.slack_ms, last + self.slack_ms)
    }

    fn grain_ms(&self) -> i64 {
        self.grain_ms
    }

    fn is_sorted(&self) -> bool {
        self.is_sorted
    }

    fn columns(&self, want: &ColumnSet) -> Result<Arc<RowBatch>, StoreError> {
        Ok(Arc::new(only(&self.batch, want)))
    }

    fn partial(&self, view: usize) -> Result<Option<Arc<Partial>>, StoreError> {
        Ok(self.partials[view].clone())
    }

    fn partial_groups(&self, view: usize) -> Option<usize> {
        self.partials[view].as_ref().map(|partial| partial.groups())
    }
}

/// The batch with all other columns taken out.
fn only(batch: &RowBatch, want: &ColumnSet) -> RowBatch {
    let mut kept = batch.clone();
    let clear = |clear: bool, f: &mut dyn FnMut()| {
        if clear {
            f();
        }
    };
    clear(!want.ids, &mut || kept.ids = Default::default());
    clear(!want.ts, &mut || kept.ts.clear());
    clear(!want.received, &mut || kept.received.clear());
    clear(!want.status, &mut || kept.status.clear());
    clear(!want.actor, &mut || kept.actor.clear());
    clear(!want.duration, &mut || kept.duration.clear());
    clear(!want.exit_code, &mut || kept.exit_code.clear());
    for (words, want) in kept.words.iter_mut().zip(want.words) {
        clear(!want, &mut || *words = Default::default());
    }
    kept.labels.retain(|column| want.labels.contains(&column.key));
    kept.values.retain(|column| want.values.contains(&column.key));
    kept
}

fn views() -> Vec<View> {
    let view = |name: &str, dimensions: Vec<Dimension>| View { name: name.into(), dimensions };
    let mut views = default_views();
    views.push(view("outcome", vec![Dimension::Status, Dimension::Word(Word::Team)]));
    let label = Dimension::Label("x".into());
    views.push(view("wide", vec![label, Dimension::Actor, Dimension::Word(Word::Command)]));
    views
}

/// A question that some view covers, so that partials are put to the test.
fn covered_request() -> impl Strategy<Value = AggregateRequest> {
    (request(), 0..views().len(), any::<bool>()).prop_map(|(mut request, n, hours)| {
        let dimensions = &views()[n].dimensions;
        let has = |d: &Dimension| dimensions.contains(d);
        request.group_by.retain(has);
        request.selection.predicates.retain(|p| matches!(p, Predicate::Word(d, _) if has(d)));
        if request.group_by.is_empty() {
            request.group_by.extend(dimensions.last().cloned());
        }
        for metric in &mut request.metrics {
            *metric = match metric.clone() {
                Metric::CountDistinct(d) if !has(&d) => Metric::Count,
                Metric::Sum(_) => Metric::Sum(Measure::Duration),
                Metric::Avg(_) => Metric::Avg(Measure::Duration),
                Metric::Min(_) => Metric::Min(Measure::Duration),
                Metric::Max(_) => Metric::Max(Measure::Duration),
                Metric::Stddev(_) => Metric::Stddev(Measure::Duration),
                Metric::Quantile(_, p) => Metric::Quantile(Measure::Duration, p),
                other => other,
            };
        }
        if hours {
            let whole = |t: i64| if t == i64::MIN || t == i64::MAX { t } else { t / HOUR * HOUR };
            request.selection.from_ms = whole(request.selection.from_ms);
            request.selection.to_ms = whole(request.selection.to_ms);
            request.bucket_starts.iter_mut().for_each(|s| *s = whole(*s));
            request.bucket_starts.dedup();
        }
        request
    })
}

/// Splits rows by the part number that each is given.
fn split(rows: &[(NaiveRow, usize)], grain_ms: i64, slack_ms: i64) -> Vec<MemoryPart> {
    (0..6)
        .map(|part| {
            let mut mine: Vec<NaiveRow> =
                rows.iter().filter(|r| r.1 == part).map(|r| r.0.clone()).collect();
            let is_sorted = part % 3 != 0;
            if is_sorted {
                mine.sort_by_key(|row| row.ts);
            }
            let batch = batch_of(&mine);
            let partials = views()
                .iter()
                .map(|view| (part != 4).then(|| Arc::new(Partial::build(&batch, view, grain_ms))))
                .collect();
            MemoryPart { batch, is_sorted, grain_ms, slack_ms, partials }
        })
        .collect()
}

fn answer(parts: &[MemoryPart], request: &AggregateRequest) -> Aggregated {
    let parts: Vec<&dyn Part> = parts.iter().map(|part| part as &dyn Part).collect();
    aggregate(&parts, &views(), request, &Budget::default()).expect("within the budget")
}

fn by_key(answer: &Aggregated) -> BTreeMap<Key, Vec<Cell>> {
    let groups = (0..answer.keys.len()).map(|n| {
        let words = answer.keys.words(n).map(|w| w.map(|w| w.to_string())).collect();
        let key = (answer.keys.buckets[n], words);
        (key, answer.cells.iter().map(|cells| cells[n]).collect())
    });
    assert!(answer.keys.columns.iter().all(|c| c.words.is_sorted()), "codes are in order");
    let map: BTreeMap<_, _> = groups.collect();
    assert_eq!(map.len(), answer.keys.len(), "keys are distinct");
    map
}

fn check_cells(found: &BTreeMap<Key, Vec<Cell>>, expected: &BTreeMap<Key, Vec<Expected>>) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (key, expected) in expected {
        assert_eq!(found[key].len(), expected.len());
        for (n, (found, expected)) in found[key].iter().zip(expected).enumerate() {
            let holds = match (*found, *expected) {
                (Cell::Null, Expected::Null) => true,
                (Cell::Int(a), Expected::Int(b)) | (Cell::Micros(a), Expected::Micros(b)) => a == b,
                (Cell::Float(a), Expected::Near(b, off)) => (a - b).abs() <= off,
                _ => false,
            };
            assert!(holds, "metric {n} of {key:?} is {found:?}, expected {expected:?}");
        }
    }
}

fn check_request(rows: &[(NaiveRow, usize)], request: &AggregateRequest, grain: i64, slack: i64) {
    let all: Vec<NaiveRow> = rows.iter().map(|r| r.0.clone()).collect();
    let expected = naive::aggregate(&all, request);
    let parts = split(rows, grain, slack);
    let from_columns = answer(&parts, &AggregateRequest { partials: false, ..request.clone() });
    assert_eq!(from_columns.source, Source::Scan);
    assert_eq!(from_columns.view, None);
    check_cells(&by_key(&from_columns), &expected);
    let as_planned = answer(&parts, request);
    assert_eq!(as_planned.view.is_none(), as_planned.source == Source::Scan);
    assert_eq!(by_key(&as_planned), by_key(&from_columns));
    let mut turned = split(rows, grain, slack);
    turned.reverse();
    check_cells(&by_key(&answer(&turned, request)), &expected);
}

fn grain() -> impl Strategy<Value = i64> {
    prop::sample::select(vec![HOUR, HOUR / 2, HOUR / 4])
}

fn rows_in_parts() -> impl Strategy<Value = Vec<(NaiveRow, usize)>> {
    prop::collection::vec((row(), 0..6_usize), 0..150)
}

/// `PROPTEST_CASES` asks for more than the least.
fn config() -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig { cases: asked.cases.max(400), failure_persistence: None, ..asked }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_answer_is_the_naive_one(
        rows in rows_in_parts(), request in request(), grain in grain(), slack in 0..2 * HOUR,
    ) {
        check_request(&rows, &request, grain, slack);
    }

    #[test]
    fn a_covered_answer_is_the_naive_one(
        rows in rows_in_parts(), request in covered_request(), grain in grain(), slack in 0..2_i64,
    ) {
        check_request(&rows, &request, grain, slack);
    }

    #[test]
    fn the_selected_rows_are_the_naive_ones(
        rows in prop::collection::vec(row(), 0..60), selection in selection(),
    ) {
        let expected: Vec<u32> = (0..).zip(&rows)
            .filter(|(_, row)| naive::passes(row, &selection)).map(|(n, _)| n).collect();
        let want = ColumnSet::for_selection(&selection, true);
        prop_assert_eq!(select(&only(&batch_of(&rows), &want), &selection), expected);
    }

    #[test]
    fn partials_are_a_commutative_monoid(
        rows in prop::collection::vec((row(), 0..3_usize), 0..90), n in 0..views().len(), grain in grain(),
    ) {
        let view = &views()[n];
        let of = |wanted: &dyn Fn(usize) -> bool| {
            let mine: Vec<NaiveRow> =
                rows.iter().filter(|r| wanted(r.1)).map(|r| r.0.clone()).collect();
            Partial::build(&batch_of(&mine), view, grain)
        };
        let [a, b, c] = [0, 1, 2].map(|part| of(&move |p| p == part));
        let whole = of(&|_| true);
        let empty = Partial::empty(view, grain);
        prop_assert_eq!(&a.merge(&b), &b.merge(&a));
        prop_assert_eq!(&a.merge(&b).merge(&c), &a.merge(&b.merge(&c)));
        prop_assert_eq!(&a.merge(&b).merge(&c), &whole);
        prop_assert_eq!(&a.merge(&empty), &a);
        prop_assert_eq!(&empty.merge(&a), &a);
        prop_assert_eq!(&of(&|_| false), &empty);
    }

    #[test]
    fn the_stored_form_of_a_partial_reads_back(
        rows in prop::collection::vec(row(), 0..90), n in 0..views().len(), grain in grain(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let partial = Partial::build(&batch_of(&rows), &views()[n], grain);
        let mut bytes = Vec::new();
        partial.encode(&mut bytes);
        prop_assert_eq!(&Partial::decode(&bytes).expect("as written"), &partial);
        prop_assert!(Partial::decode(&bytes[..cut.index(bytes.len())]).is_err());
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            // What still reads is canonical: it is written as it was read, and can be merged.
            if let Ok(read) = Partial::decode(&bytes) {
                let mut again = Vec::new();
                read.encode(&mut again);
                prop_assert_eq!(&again, &bytes);
                prop_assert_eq!(read.merge(&read).groups(), read.groups());
            }
        }
    }

    #[test]
    fn noise_is_no_partial(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(read) = Partial::decode(&bytes) {
            let mut again = Vec::new();
            read.encode(&mut again);
            prop_assert_eq!(again, bytes);
        }
    }

    #[test]
    fn a_bucket_keeps_numbers_within_one_percent(bits in any::<u64>()) {
        let number = f64::from_bits(bits);
        prop_assume!(number.is_finite());
        prop_assert!((bucket_middle(bucket_of(number)) - number).abs() <= number.abs() * 0.01);
    }

    #[test]
    fn buckets_are_in_the_order_of_their_numbers(a in any::<f64>(), b in any::<f64>()) {
        prop_assert!(a > b || bucket_of(a) <= bucket_of(b));
    }
}

#[test]
fn answers_do_not_depend_on_the_number_of_threads() {
    let rows: Vec<(NaiveRow, usize)> = (0..3000_u64)
        .map(|n| {
            let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut row = NaiveRow {
                ts: START + (mixed % (HOURS * HOUR) as u64) as i64,
                duration: Some(mixed >> 24),
                ..NaiveRow::default()
            };
            row.values.insert("v".into(), (mixed >> 11) as f64 * 1e-7 - 3e8);
            naive::set_word(&mut row, Word::Team, ["red", "blue", ""][(mixed >> 40) as usize % 3]);
            (row, (mixed >> 17) as usize % 6)
        })
        .collect();
    let parts = split(&rows, HOUR, 0);
    let value = || Measure::Value("v".into());
    let request = AggregateRequest {
        selection: Selection::all(),
        bucket_starts: vec![i64::MIN, START + 7 * HOUR, START + 31 * HOUR + 5],
        group_by: vec![Dimension::Word(Word::Team)],
        metrics: vec![
            Metric::Sum(value()),
            Metric::Stddev(value()),
            Metric::Quantile(value(), Permille(900)),
            Metric::Quantile(Measure::Duration, Permille(500)),
        ],
        partials: true,
    };
    let with_threads = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        by_key(&pool.install(|| answer(&parts, &request)))
    };
    let one = with_threads(1);
    assert_eq!(one.len(), 9);
    assert_eq!(one, with_threads(2));
    assert_eq!(one, with_threads(5));
}

#[test]
fn zero_beside_short_and_long_durations_in_one_group() {
    let rows: Vec<(NaiveRow, usize)> = [0, 1, 70, 1_000_000, 1_000_000_000_000_000]
        .into_iter()
        .map(|us| (NaiveRow { ts: START, duration: Some(us), ..NaiveRow::default() }, 1))
        .collect();
    let quantile = |p| Metric::Quantile(Measure::Duration, Permille(p));
    let request = AggregateRequest {
        selection: Selection::all(),
        bucket_starts: Vec::new(),
        group_by: Vec::new(),
        metrics: [0, 200, 201, 500, 800, 1000].into_iter().map(quantile).collect(),
        partials: true,
    };
    for present in [&[0, 1, 2, 3, 4][..], &[0, 1, 4], &[0, 2], &[0], &[1, 4]] {
        let rows: Vec<_> = present.iter().map(|&n: &usize| rows[n].clone()).collect();
        check_request(&rows, &request, HOUR, 0);
    }
}

#[test]
fn partials_are_used_where_they_answer_exactly() {
    let rows: Vec<(NaiveRow, usize)> = (0..600)
        .map(|n| {
            let ts = START + n * HOUR / 10;
            let mut row = NaiveRow { ts, duration: Some(n as u64), ..NaiveRow::default() };
            naive::set_word(&mut row, Word::Team, ["red", "blue"][n as usize % 2]);
            // Parts that follow each other in time, without the one that has no partials.
            (row, [0, 1, 2, 3, 5][n as usize / 120])
        })
        .collect();
    let parts = split(&rows, HOUR, 0);
    let check = |from_ms, predicate: Option<Predicate>, metric, expected| {
        let request = AggregateRequest {
            selection: Selection {
                from_ms,
                to_ms: i64::MAX,
                predicates: predicate.into_iter().collect(),
            },
            bucket_starts: vec![i64::MIN, START + 24 * HOUR],
            group_by: vec![Dimension::Word(Word::Team)],
            metrics: vec![metric],
            partials: true,
        };
        let answer = answer(&parts, &request);
        assert_eq!((answer.source, answer.view.as_deref(), answer.rows_scanned), expected);
    };
    let p95 = || Metric::Quantile(Measure::Duration, Permille(950));
    let status = Predicate::Word(Dimension::Status, WordTest::Present);
    let host = Predicate::Word(Dimension::Word(Word::Host), WordTest::Absent);
    check(i64::MIN, None, p95(), (Source::Rollup, Some("team"), 0));
    check(START + 6 * HOUR, None, p95(), (Source::Rollup, Some("team"), 0));
    check(START + 6 * HOUR, Some(status), p95(), (Source::Rollup, Some("outcome"), 0));
    // Part 0, which the start cuts within an hour, is not sorted: all of its rows are looked at.
    check(START + 6 * HOUR + 1, None, p95(), (Source::Mixed, Some("team"), 120));
    check(START + 12 * HOUR - 1, None, p95(), (Source::Rollup, Some("team"), 0));
    check(i64::MIN, Some(host), p95(), (Source::Scan, None, 600));
    check(i64::MIN, None, Metric::Sum(Measure::Value("v".into())), (Source::Scan, None, 600));
}

#[test]
fn a_budget_that_is_used_up_ends_the_question() {
    let rows: Vec<(NaiveRow, usize)> = (0..2000)
        .map(|n| {
            let mut row = NaiveRow { ts: START + n, ..NaiveRow::default() };
            naive::set_word(&mut row, Word::Session, &format!("session-{n}"));
            (row, n as usize % 6)
        })
        .collect();
    let parts = split(&rows, HOUR, 0);
    let parts: Vec<&dyn Part> = parts.iter().map(|part| part as &dyn Part).collect();
    let request = AggregateRequest {
        selection: Selection::all(),
        bucket_starts: Vec::new(),
        group_by: vec![Dimension::Word(Word::Session)],
        metrics: vec![Metric::Count],
        partials: true,
    };
    let ask = |budget: &Budget| aggregate(&parts, &views(), &request, budget);
    let small = ask(&Budget { memory_bytes: 10_000, ..Budget::default() });
    assert!(matches!(small, Err(storage::ask::AskError::MemoryExceeded { .. })));
    let budget = Budget::default();
    budget.cancelled.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(matches!(ask(&budget), Err(storage::ask::AskError::Cancelled)));
}

#[test]
fn a_column_set_less_another_is_the_difference() {
    let mut some = ColumnSet { ts: true, ..ColumnSet::default() };
    some.add_dimension(&Dimension::Label("x".into()));
    assert!(some.without(&ColumnSet::all()).is_empty());
    assert_eq!(some.without(&ColumnSet::default()), some);
    assert!(!ColumnSet::all().without(&some).ts);
    assert_eq!(ColumnSet::all().without(&some).labels, KeySet::All);
}
