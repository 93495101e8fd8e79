//! The whole way, from a question's text through the engine's files: the same answer as the
//! oracle's before, while and after rows are sealed, removed and replaced.

#![allow(clippy::unwrap_used, reason = "a test says by failing what it did not expect")]

mod query_model;

use proptest::prelude::*;
use query_model::check::check;
use query_model::{PlainRow, any_row, any_rows, batch, oracle};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use storage::ask::{Predicate, Selection, WordTest};
use storage::embedded::{EmbeddedEngine, EngineSettings};
use storage::engine::{Append, Engine, Keyspace, KeyspaceSettings};
use storage::row::{Dimension, Word};
use storage::volume::OsVolume;

/// A keyspace whose blocks are so small that a few rows make several.
fn fresh(
    grain_minutes: u32,
    seal_rows: usize,
) -> (tempfile::TempDir, EmbeddedEngine, Arc<dyn Keyspace>) {
    let dir = tempfile::tempdir().unwrap();
    let settings = EngineSettings { seal_rows, background: false, ..EngineSettings::default() };
    let engine = EmbeddedEngine::open(OsVolume::shared(dir.path()), settings).unwrap();
    engine.create("t", &KeyspaceSettings { grain_minutes }).unwrap();
    let keyspace = engine.open("t").unwrap();
    (dir, engine, keyspace)
}

/// What happens to the rows between two rounds of questions.
#[derive(Clone, Debug)]
enum Act {
    /// This many of the rows still to come arrive.
    Append(usize),
    /// Everything is sealed.
    Settle,
    /// A team's rows go.
    RemoveTeam(&'static str),
    /// The rows with these numbers go.
    RemoveIds(Vec<usize>),
    /// Rows take the place of those with these numbers, or are added.
    Replace(Vec<(usize, PlainRow)>),
}

fn any_act(anchor: i64) -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1_usize..150).prop_map(Act::Append),
        2 => Just(Act::Settle),
        1 => proptest::sample::select(vec!["red", "blue"]).prop_map(Act::RemoveTeam),
        1 => proptest::collection::vec(0_usize..250, 1..6).prop_map(Act::RemoveIds),
        1 => proptest::collection::btree_map(0_usize..250, any_row(anchor), 1..6)
            .prop_map(|rows| Act::Replace(rows.into_iter().collect())),
    ]
}

/// The rows as they should be, and those still to come.
struct Model {
    rows: Vec<PlainRow>,
    coming: Vec<PlainRow>,
    all: Vec<PlainRow>,
}

impl Model {
    fn act(&mut self, act: &Act, keyspace: &dyn Keyspace) {
        let remove = |predicate| {
            let selection = Selection { predicates: vec![predicate], ..Selection::all() };
            keyspace.remove(&selection).unwrap()
        };
        let before = self.rows.len();
        match act {
            Act::Append(count) => {
                let rest = self.coming.split_off((*count).min(self.coming.len()));
                let arriving = std::mem::replace(&mut self.coming, rest);
                let append = Append { rows: batch(&arriving), ..Append::default() };
                keyspace.append(vec![append]).unwrap();
                self.rows.extend(arriving);
            }
            Act::Settle => keyspace.settle().unwrap(),
            Act::RemoveTeam(team) => {
                let test = WordTest::In(vec![(*team).into()]);
                let removed = remove(Predicate::Word(Dimension::Word(Word::Team), test));
                self.rows.retain(|row| row.words[Word::Team as usize] != *team);
                assert_eq!(removed as usize, before - self.rows.len());
            }
            Act::RemoveIds(numbers) => {
                let ids: Vec<String> = numbers.iter().map(|n| format!("row-{n}")).collect();
                let removed =
                    remove(Predicate::IdIn(ids.iter().map(|id| id.as_str().into()).collect()));
                self.rows.retain(|row| !ids.contains(&row.id));
                assert_eq!(removed as usize, before - self.rows.len());
            }
            Act::Replace(rows) => self.replace(rows, keyspace),
        }
    }

    fn replace(&mut self, rows: &[(usize, PlainRow)], keyspace: &dyn Keyspace) {
        let named = |(n, row): &(usize, PlainRow)| {
            let original = self.all.get(*n);
            let ts = original.map_or(row.ts, |original| original.ts);
            PlainRow { id: format!("row-{n}"), ts, ..row.clone() }
        };
        let rows: Vec<PlainRow> = rows.iter().map(named).collect();
        keyspace.replace(batch(&rows)).unwrap();
        let same = |a: &PlainRow, b: &PlainRow| (&a.id, a.ts) == (&b.id, b.ts);
        self.rows.retain(|old| !rows.iter().any(|row| same(old, row)));
        // What has been replaced before it came arrives later as a repeat.
        self.coming.retain(|row| !rows.iter().any(|new| same(new, row)));
        self.rows.extend(rows);
    }
}

type Story = (Vec<PlainRow>, Vec<Act>, Vec<Value>, (u32, usize));

fn any_story() -> impl Strategy<Value = Story> {
    any_rows(0..250).prop_flat_map(|(anchor, rows)| {
        (
            Just(rows),
            proptest::collection::vec(any_act(anchor), 1..8),
            proptest::collection::vec(oracle::any_question(anchor), 4),
            (
                proptest::sample::select(vec![60, 30, 15]),
                proptest::sample::select(vec![24, 120, 1_000]),
            ),
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60, max_shrink_iters: 300, ..ProptestConfig::default()
    })]

    #[test]
    fn answers_stay_right_whatever_happens_to_the_rows(
        (rows, acts, questions, (grain, seal_rows)) in any_story()
    ) {
        let (_dir, _engine, keyspace) = fresh(grain, seal_rows);
        let mut model = Model { rows: Vec::new(), coming: rows.clone(), all: rows };
        for act in &acts {
            model.act(act, &*keyspace);
            for question in &questions {
                check(&*keyspace, &model.rows, question)?;
            }
        }
        keyspace.settle().unwrap();
        for question in &questions {
            check(&*keyspace, &model.rows, question)?;
        }
        prop_assert_eq!(keyspace.check().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn answers_stay_right_while_rows_are_sealed(
        (rows, _, questions, (grain, seal_rows)) in any_story()
    ) {
        let (_dir, _engine, keyspace) = fresh(grain, seal_rows);
        for rows in rows.chunks(7) {
            let append = Append { rows: batch(rows), ..Append::default() };
            keyspace.append(vec![append]).unwrap();
        }
        let sealed = AtomicBool::new(false);
        let checked = std::thread::scope(|threads| {
            threads.spawn(|| {
                keyspace.settle().unwrap();
                sealed.store(true, Ordering::SeqCst);
            });
            loop {
                let last = sealed.load(Ordering::SeqCst);
                let all = questions.iter().map(|question| check(&*keyspace, &rows, question));
                let round: Result<(), TestCaseError> = all.collect();
                if last || round.is_err() {
                    break round;
                }
            }
        });
        checked?;
    }
}

/// Many rows an hour, sealed: the partial aggregates answer, and answer the same.
#[test]
fn partials_answer_as_the_rows_do() {
    let anchor = query_model::ANCHORS[1];
    let rows: Vec<PlainRow> = (0..2_000_u64)
        .map(|n| {
            let mut row = PlainRow::new(&format!("row-{n}"), anchor + n as i64 * 20_011)
                .with(Word::Command, ["git", "make", "cargo"][n as usize % 3])
                .with(Word::Team, ["red", "blue", ""][(n / 7) as usize % 3]);
            row.status = storage::row::Status::ALL[(n / 3) as usize % 5];
            row.duration_us = (n % 11 != 0).then_some(n * n * 17 % 9_000_000);
            row.values = vec![("x".to_owned(), (n as f64 - 900.0) / 7.0)];
            row
        })
        .collect();
    let mut sources = std::collections::BTreeMap::new();
    for (grain, zone) in [
        (60, "UTC"),
        (60, "Europe/Berlin"),
        (30, "Australia/Lord_Howe"),
        (30, "Asia/Kolkata"),
        (15, "Asia/Kathmandu"),
        (60, "Asia/Kathmandu"),
    ] {
        let (_dir, _engine, keyspace) = fresh(grain, 1_000);
        keyspace.append(vec![Append { rows: batch(&rows), ..Append::default() }]).unwrap();
        keyspace.settle().unwrap();
        for (bucket, group_by) in
            [("hour", "team_id"), ("day", "command"), ("none", "team_id"), ("day", "host")]
        {
            let question = serde_json::json!({
                "bucket": bucket, "time_zone": zone, "group_by": [group_by], "filters": [],
                "metrics": [
                    "count", "failure_count", "success_rate", "sum(duration_ms)",
                    "avg(duration_ms)", "min(duration_ms)", "max(duration_ms)",
                    "stddev(duration_ms)", "p50(duration_ms)", "p99(duration_ms)",
                ],
                "order_by": [{ "key": "count", "desc": true }], "fill": "zero",
                "limit": 1_000_000,
            });
            check(&*keyspace, &rows, &question).unwrap();
            let source = query_model::check::answer(&*keyspace, &question)["source"].clone();
            *sources.entry(source.as_str().unwrap_or_default().to_owned()).or_insert(0) += 1;
        }
    }
    assert!(sources.get("rollup").is_some_and(|&n| n >= 10), "{sources:?}");
    // No view has hosts, and hours of Kathmandu are not whole grains of an hour.
    assert!(sources.get("scan").is_some_and(|&n| n >= 6), "{sources:?}");
}
