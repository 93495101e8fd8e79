//! The result cache: never stale, however asking and writing interleave.

#![allow(clippy::unwrap_used, reason = "a test says by failing what it did not expect")]

mod query_model;

use emx::query::{AnswerCache, Freshness, Question, Scope, ask};
use proptest::prelude::*;
use query_model::fake::Fake;
use query_model::{ANCHORS, PlainRow, any_row, batch};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use storage::ask::{Budget, Predicate, Selection, WordTest};
use storage::engine::Keyspace;
use storage::row::{Dimension, Word};

#[expect(clippy::disallowed_methods, reason = "a test has no clock to be given")]
fn now() -> Instant {
    Instant::now()
}

const CACHE_BYTES: usize = 16 << 20;

fn scope(keyspace: &Fake) -> Scope<'_> {
    Scope { keyspace, keyspace_id: "k1", organization_id: "acme", policy: &[], aggregates: &[] }
}

fn question(json: &str) -> Question {
    Question::from_json(json.as_bytes()).unwrap()
}

/// Questions that any change of rows is likely to answer otherwise.
const QUESTIONS: [&str; 5] = [
    r#"{"metrics": ["count", "sum(duration_ms)", "sum(values.x)"]}"#,
    r#"{"group_by": ["team_id"], "order_by": [{"key": "count", "desc": true}]}"#,
    r#"{"bucket": "day", "time_zone": "Europe/Berlin", "fill": "zero"}"#,
    r#"{"bucket": "hour", "group_by": ["labels.branch"], "metrics": ["count", "p95(duration_ms)"]}"#,
    r#"{"filters": [{"field": "user_id", "op": "eq", "value": "ann"}]}"#,
];

#[derive(Clone, Debug)]
enum Act {
    Append(PlainRow, u8),
    Replace(PlainRow, u8),
    RemoveId(u8),
    RemoveTeam(&'static str),
    Ask(usize),
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => (any_row(ANCHORS[0]), 0_u8..20).prop_map(|(row, id)| Act::Append(row, id)),
        1 => (any_row(ANCHORS[0]), 0_u8..20).prop_map(|(row, id)| Act::Replace(row, id)),
        1 => (0_u8..20).prop_map(Act::RemoveId),
        1 => proptest::sample::select(vec!["red", "blue"]).prop_map(Act::RemoveTeam),
        6 => (0..QUESTIONS.len()).prop_map(Act::Ask),
    ]
}

/// Rows with one id have one time, so that replacing means something.
fn named(row: &PlainRow, id: u8) -> PlainRow {
    let ts = ANCHORS[0] + i64::from(id) * 1_234_567;
    PlainRow { id: format!("row-{id}"), ts, ..row.clone() }
}

fn remove(fake: &Fake, predicate: Predicate) {
    fake.remove(&Selection { predicates: vec![predicate], ..Selection::all() }).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn an_answer_is_the_answer_of_now(acts in proptest::collection::vec(any_act(), 1..60)) {
        let fake = Fake::default();
        let cache = AnswerCache::new(CACHE_BYTES);
        let mut kept = BTreeSet::new();
        for act in acts {
            let seq = fake.last_seq().unwrap();
            match act {
                Act::Append(row, id) => fake.add(&[named(&row, id)]),
                Act::Replace(row, id) => {
                    fake.replace(batch([&named(&row, id)])).unwrap();
                }
                Act::RemoveId(id) => {
                    remove(&fake, Predicate::IdIn(vec![format!("row-{id}").into()]));
                }
                Act::RemoveTeam(team) => {
                    let test = WordTest::In(vec![team.into()]);
                    remove(&fake, Predicate::Word(Dimension::Word(Word::Team), test));
                }
                Act::Ask(n) => {
                    let (question, budget) = (question(QUESTIONS[n]), Budget::default());
                    let found = cache
                        .ask(&scope(&fake), &question, &budget, &now, Freshness::Cached)
                        .unwrap();
                    let fresh = ask(&scope(&fake), &question, &budget, &now).unwrap();
                    prop_assert_eq!(&found.table, &fresh.table);
                    // And it is a cache: what was asked since the last change is there.
                    prop_assert_eq!(found.cached, !kept.insert(n));
                }
            }
            if fake.last_seq().unwrap() != seq {
                kept.clear();
            }
        }
    }
}

#[test]
fn a_hit_asks_the_keyspace_nothing_and_no_cache_always() {
    let fake = Fake::with(&[PlainRow::new("a", 0)]);
    let cache = AnswerCache::new(CACHE_BYTES);
    let question = question("{}");
    for (freshness, cached, asked) in [
        (Freshness::Cached, false, 1),
        (Freshness::Cached, true, 1),
        (Freshness::Computed, false, 2),
        (Freshness::Cached, true, 2),
    ] {
        let budget = Budget::default();
        let answer = cache.ask(&scope(&fake), &question, &budget, &now, freshness).unwrap();
        assert_eq!((answer.cached, fake.asked()), (cached, asked));
    }
}

#[test]
fn nobody_gets_anothers_answer() {
    let cache = AnswerCache::new(CACHE_BYTES);
    let (one, two) = (PlainRow::new("a", 0).with(Word::Team, "red"), PlainRow::new("b", 0));
    // Both keyspaces stand at the same seq.
    let (first, second) = (Fake::with(&[one.clone(), two]), Fake::with(&[one.clone(), one]));
    let second_more = PlainRow::new("c", 0);
    second.add(&[second_more]);
    let red = WordTest::In(vec!["red".into()]);
    let policy = [Predicate::Word(Dimension::Word(Word::Team), red)];
    let base = scope(&first);
    let question = question(r#"{"group_by": ["organization_id"]}"#);
    for scope in [
        base,
        Scope { aggregates: &policy, ..base },
        Scope { organization_id: "other", ..base },
        Scope { keyspace: &second, keyspace_id: "k2", ..base },
    ] {
        let budget = Budget::default();
        let found = cache.ask(&scope, &question, &budget, &now, Freshness::Cached).unwrap();
        assert!(!found.cached);
        assert_eq!(found.table, ask(&scope, &question, &budget, &now).unwrap().table);
    }
}

#[test]
fn what_is_too_large_is_not_kept() {
    let fake = Fake::with(&[PlainRow::new("a", 0)]);
    for (bytes, cached) in [(0, false), (1_000, false), (CACHE_BYTES, true)] {
        let cache = AnswerCache::new(bytes);
        let ask = || {
            let budget = Budget::default();
            cache.ask(&scope(&fake), &question("{}"), &budget, &now, Freshness::Cached).unwrap()
        };
        ask();
        assert_eq!(ask().cached, cached, "{bytes}");
    }
}

/// A reader that begins after an acknowledged write sees it, with open time ends as well.
#[test]
fn readers_beside_a_writer_never_miss_what_was_acknowledged() {
    const ROWS: u64 = 300;
    let fake = Fake::default();
    let cache = AnswerCache::new(CACHE_BYTES);
    let acknowledged = AtomicU64::new(0);
    let count = |json: &str| -> (u64, u64) {
        let before = acknowledged.load(Ordering::SeqCst);
        let (question, budget) = (question(json), Budget::default());
        let answer = cache.ask(&scope(&fake), &question, &budget, &now, Freshness::Cached).unwrap();
        let counted = answer.table.rows().map(|row| match row[row.len() - 1] {
            emx::query::answer::Value::Int(n) => n as u64,
            _ => 0,
        });
        (before, counted.sum())
    };
    std::thread::scope(|threads| {
        for json in ["{}", r#"{"bucket": "day"}"#, r#"{"bucket": "day"}"#] {
            threads.spawn(|| {
                loop {
                    let (before, counted) = count(json);
                    assert!(counted >= before, "{counted} rows, {before} were acknowledged");
                    if before == ROWS {
                        break;
                    }
                }
            });
        }
        for n in 0..ROWS {
            // Each row lies beyond all before it: the open range grows with every write.
            let ts = if n % 2 == 0 { n as i64 } else { -(n as i64) } * 40_000_000;
            fake.add(&[PlainRow::new(&n.to_string(), ts)]);
            acknowledged.fetch_add(1, Ordering::SeqCst);
        }
    });
}
