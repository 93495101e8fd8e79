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
fn fresh(grain_minutes: u32) -> (tempfile::TempDir, EmbeddedEngine, Arc<dyn Keyspace>) {
    let dir = tempfile::tempdir().unwrap();
    let settings = EngineSettings { seal_rows: 24, background: false, ..EngineSettings::default() };
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
        4 => (1_usize..60).prop_map(Act::Append),
        2 => Just(Act::Settle),
        1 => proptest::sample::select(vec!["red", "blue"]).prop_map(Act::RemoveTeam),
        1 => proptest::collection::vec(0_usize..120, 1..6).prop_map(Act::RemoveIds),
        1 => proptest::collection::btree_map(0_usize..120, any_row(anchor), 1..6)
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

type Story = (Vec<PlainRow>, Vec<Act>, Vec<Value>, u32);

fn any_story() -> impl Strategy<Value = Story> {
    any_rows(0..120).prop_flat_map(|(anchor, rows)| {
        (
            Just(rows),
            proptest::collection::vec(any_act(anchor), 1..8),
            proptest::collection::vec(oracle::any_question(anchor), 4),
            proptest::sample::select(vec![60, 30, 15]),
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60, max_shrink_iters: 300, ..ProptestConfig::default()
    })]

    #[test]
    fn answers_stay_right_whatever_happens_to_the_rows(
        (rows, acts, questions, grain) in any_story()
    ) {
        let (_dir, _engine, keyspace) = fresh(grain);
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
        (rows, _, questions, grain) in any_story()
    ) {
        let (_dir, _engine, keyspace) = fresh(grain);
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
