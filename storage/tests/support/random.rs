//! Random rows and questions that have something to do with each other.

use super::naive::{self, NaiveRow};
use proptest::prelude::*;
use storage::ask::{
    AggregateRequest, Metric, NumberTest, Permille, Predicate, Selection, WordTest,
};
use storage::row::{Actor, Dimension, Measure, Status, Word};

/// Milliseconds of an hour.
pub(crate) const HOUR: i64 = 3_600_000;
/// When the rows begin, a full hour.
pub(crate) const START: i64 = 1_700_000_000_000 / HOUR * HOUR;
/// How many hours they go on for.
pub(crate) const HOURS: i64 = 60;

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
    pub(crate) fn row()(
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

pub(crate) fn dimension() -> impl Strategy<Value = Dimension> {
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

pub(crate) fn measure() -> impl Strategy<Value = Measure> {
    prop_oneof![
        4 => Just(Measure::Duration),
        1 => Just(Measure::ExitCode),
        2 => "[vwn]".prop_map(|key| Measure::Value(key.into())),
    ]
}

pub(crate) fn metric() -> impl Strategy<Value = Metric> {
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
        4 => simple_predicate(),
        1 => prop::collection::vec(simple_predicate(), 0..4).prop_map(Predicate::Any),
        // As row policies are, and of one dimension, so that a partial decides it.
        1 => (dimension(), prop::collection::vec(word_test(), 0..3)).prop_map(|(dimension, tests)| {
            let test = |test| Predicate::Word(dimension.clone(), test);
            Predicate::Any(tests.into_iter().map(test).collect())
        }),
    ]
}

fn simple_predicate() -> impl Strategy<Value = Predicate> {
    prop_oneof![
        5 => (dimension(), word_test()).prop_map(|(d, t)| Predicate::Word(d, t)),
        2 => (measure(), number_test()).prop_map(|(m, t)| Predicate::Number(m, t)),
        1 => prop::collection::vec(0..40_u32, 0..20).prop_map(|ids| {
            Predicate::IdIn(ids.into_iter().map(|id| format!("id-{id}").into()).collect())
        }),
    ]
}

pub(crate) fn selection() -> impl Strategy<Value = Selection> {
    let border = |open: i64| prop_oneof![2 => Just(open), 3 => instant()];
    (border(i64::MIN), border(i64::MAX), prop::collection::vec(predicate(), 0..3))
        .prop_map(|(from_ms, to_ms, predicates)| Selection { from_ms, to_ms, predicates })
}

prop_compose! {
    pub(crate) fn request()(
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
