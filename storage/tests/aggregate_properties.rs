//! Answers from columns, from partials and from a naive model are the same; partials are a
//! commutative monoid; their stored form reads back as it was and never panics.

#[path = "support/naive.rs"]
mod naive;

use naive::{Expected, Key, NaiveRow, batch_of};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::aggregate::{
    ColumnSet, KeySet, Part, Partial, View, aggregate, bucket_middle, bucket_of, default_views,
    select,
};
use storage::ask::{
    AggregateRequest, Aggregated, Budget, Cell, Metric, NumberTest, Permille, Predicate, Selection,
    Source, WordTest,
};
use storage::batch::RowBatch;
use storage::error::StoreError;
use storage::row::{Actor, Dimension, Measure, Status, Word};

const HOUR: i64 = 3_600_000;
const START: i64 = 1_700_000_000_000 / HOUR * HOUR;
const HOURS: i64 = 60;

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

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "a", "ab", "b", "build", "cargo", "z"]).prop_map(String::from)
}

fn double() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -1000..1000_i32,
        1 => Just(0),
        1 => any::<i32>(),
    ]
    .prop_flat_map(|n| {
        let n = f64::from(n);
        prop::sample::select(vec![n, n / 7.0, n * 1e-300 * 1e-10, n * 1e20, -0.0])
    })
}

fn duration() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![
        Just(None),
        Just(Some(0)),
        (0..200_u64).prop_map(Some),
        (0..50_u32, any::<u64>())
            .prop_map(|(bits, n)| Some(n % (1 << bits).min(1_000_000_000_000_001)))
    ]
}

fn instant() -> impl Strategy<Value = i64> {
    prop_oneof![
        (0..HOURS * HOUR).prop_map(|ms| START + ms),
        (0..HOURS * 4).prop_map(|quarter| START + quarter * HOUR / 4),
        (0..HOURS, -1..=1_i64).prop_map(|(hour, off)| START + hour * HOUR + off),
    ]
}

prop_compose! {
    fn row()(
        id in 0..40_u32,
        ts in instant(),
        words in prop::array::uniform4(word()),
        (status, actor) in (0..5_usize, 0..4_usize),
        duration in duration(),
        exit_code in prop::option::of(-2..3_i64),
        labels in prop::collection::btree_map("[xy]", word(), 0..2),
        values in prop::collection::btree_map("[vw]", double(), 0..2),
    ) -> NaiveRow {
        let mut row = NaiveRow {
            id: format!("id-{id}"),
            ts,
            status: Status::ALL[status],
            actor: Actor::ALL[actor],
            duration,
            exit_code,
            labels,
            values,
            ..NaiveRow::default()
        };
        for (word, text) in [Word::Command, Word::User, Word::Team, Word::Host].into_iter().zip(&words) {
            naive::set_word(&mut row, word, text);
        }
        row
    }
}

fn dimension() -> impl Strategy<Value = Dimension> {
    prop::sample::select(vec![
        Dimension::Word(Word::Command),
        Dimension::Word(Word::User),
        Dimension::Word(Word::Team),
        Dimension::Word(Word::Team),
        Dimension::Word(Word::Host),
        Dimension::Word(Word::Session),
        Dimension::Status,
        Dimension::Actor,
        Dimension::Label("x".into()),
        Dimension::Label("none".into()),
    ])
}

fn measure() -> impl Strategy<Value = Measure> {
    prop_oneof![
        4 => Just(Measure::Duration),
        1 => Just(Measure::ExitCode),
        2 => "[vwn]".prop_map(|key| Measure::Value(key.into())),
    ]
}

fn metric() -> impl Strategy<Value = Metric> {
    let permille = prop::sample::select(vec![0, 1, 250, 500, 750, 900, 950, 990, 999, 1000]);
    prop_oneof![
        Just(Metric::Count),
        Just(Metric::FailureCount),
        Just(Metric::SuccessRate),
        dimension().prop_map(Metric::CountDistinct),
        (measure(), 0..5_u8).prop_map(|(m, kind)| match kind {
            0 => Metric::Sum(m),
            1 => Metric::Avg(m),
            2 => Metric::Min(m),
            3 => Metric::Max(m),
            _ => Metric::Stddev(m),
        }),
        (measure(), permille).prop_map(|(m, p)| Metric::Quantile(m, Permille(p))),
    ]
}

fn word_test() -> impl Strategy<Value = WordTest> {
    let list = prop::collection::vec(
        prop_oneof![4 => word(), 1 => Just("failure".into()), 1 => Just("ci".into())],
        0..12,
    );
    (list, 0..5_u8).prop_map(|(list, kind)| {
        let list: Vec<Box<str>> = list.into_iter().map(Box::from).collect();
        match kind {
            0 => WordTest::In(list),
            1 => WordTest::NotIn(list),
            2 => WordTest::Prefix(list.into_iter().next().unwrap_or_default()),
            3 => WordTest::Present,
            _ => WordTest::Absent,
        }
    })
}

fn number_test() -> impl Strategy<Value = NumberTest> {
    let bound =
        prop_oneof![(-2..3_i32).prop_map(f64::from), double(), (0..300_u32).prop_map(f64::from)];
    (prop::collection::vec(bound, 1..4), 0..6_u8, any::<bool>()).prop_map(
        |(list, kind, or_equal)| match kind {
            0 => NumberTest::In(list),
            1 => NumberTest::NotIn(list),
            2 => NumberTest::Above { bound: list[0], or_equal },
            3 => NumberTest::Below { bound: list[0], or_equal },
            4 => NumberTest::Present,
            _ => NumberTest::Absent,
        },
    )
}

fn predicate() -> impl Strategy<Value = Predicate> {
    prop_oneof![
        5 => (dimension(), word_test()).prop_map(|(d, t)| Predicate::Word(d, t)),
        2 => (measure(), number_test()).prop_map(|(m, t)| Predicate::Number(m, t)),
        1 => prop::collection::vec(0..40_u32, 0..20).prop_map(|ids| {
            Predicate::IdIn(ids.into_iter().map(|id| format!("id-{id}").into()).collect())
        }),
    ]
}

fn selection() -> impl Strategy<Value = Selection> {
    let border = |open: i64| prop_oneof![2 => Just(open), 3 => instant()];
    (border(i64::MIN), border(i64::MAX), prop::collection::vec(predicate(), 0..3))
        .prop_map(|(from_ms, to_ms, predicates)| Selection { from_ms, to_ms, predicates })
}

prop_compose! {
    fn request()(
        selection in selection(),
        starts in prop::collection::btree_set(instant(), 0..8),
        aligned in prop::sample::select(vec![1, HOUR / 4, HOUR, 24 * HOUR]),
        group_by in prop::collection::vec(dimension(), 0..4),
        metrics in prop::collection::vec(metric(), 0..6),
    ) -> AggregateRequest {
        let mut bucket_starts: Vec<i64> = starts.into_iter().map(|s| s / aligned * aligned).collect();
        bucket_starts.dedup();
        if let Some(first) = bucket_starts.first_mut() {
            *first = selection.from_ms.min(*first);
        }
        AggregateRequest { selection, bucket_starts, group_by, metrics, partials: true }
    }
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
    let groups = answer.keys.iter().enumerate().map(|(n, key)| {
        let words = key.words.iter().map(|w| w.as_ref().map(|w| w.to_string())).collect();
        ((key.bucket, words), answer.cells.iter().map(|cells| cells[n]).collect())
    });
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

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
