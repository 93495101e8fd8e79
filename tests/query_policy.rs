//! Whoever sees some rows of a tenant is answered as if there were no others, whatever is asked, from
//! rollups, from columns or from the cache.

#![allow(clippy::unwrap_used, reason = "a test says by failing what it did not expect")]

mod query_model;

use emx::query::rows::{RowsQuestion, by_id, page};
use emx::query::{AnswerCache, Freshness, Question, Scope};
use emx::tenancy::row_policy::{Names, RowPolicy};
use emx::transfer::export::{ExportFormat, export};
use proptest::prelude::*;
use query_model::check::{answer_in, check_in, now, scope};
use query_model::{PlainRow, any_rows, batch, oracle};
use serde_json::{Value, json};
use std::sync::Arc;
use storage::ask::{Budget, Predicate};
use storage::embedded::{EmbeddedEngine, EngineSettings};
use storage::engine::{Append, Engine, Keyspace, KeyspaceSettings};
use storage::row::Word;
use storage::volume::OsVolume;

fn names() -> impl Strategy<Value = Names> {
    let some = |words: &'static [&'static str]| {
        proptest::sample::subsequence(words, 0..=words.len())
            .prop_map(|words| words.into_iter().map(Box::from).collect())
    };
    (some(&["ann", "bob", "zoë", "nobody"]), some(&["red", "blue"]))
        .prop_map(|(users, teams)| Names { users, teams })
}

/// Rows of which some are sealed and some are not.
struct Stored {
    _dir: tempfile::TempDir,
    _engine: EmbeddedEngine,
    keyspace: Arc<dyn Keyspace>,
    rows: Vec<PlainRow>,
}

fn stored(rows: Vec<PlainRow>, sealed: usize, seal_rows: usize) -> Stored {
    let dir = tempfile::tempdir().unwrap();
    let settings = EngineSettings { seal_rows, background: false, ..EngineSettings::default() };
    let engine = EmbeddedEngine::open(OsVolume::shared(dir.path()), settings).unwrap();
    engine.create("t", &KeyspaceSettings { grain_minutes: 60 }).unwrap();
    let keyspace = engine.open("t").unwrap();
    for (n, rows) in rows.chunks(17).enumerate() {
        let append = Append { rows: batch(rows), ..Append::default() };
        keyspace.append(vec![append]).unwrap();
        if n == sealed {
            keyspace.settle().unwrap();
        }
    }
    Stored { _dir: dir, _engine: engine, keyspace, rows }
}

impl Stored {
    /// The rows that may be seen, as the words of the policy say.
    fn seen(&self, names: &Names) -> Vec<PlainRow> {
        let is_listed = |names: &[Box<str>], word: &str| names.iter().any(|name| **name == *word);
        let is_seen = |row: &&PlainRow| {
            is_listed(&names.users, &row.words[Word::User as usize])
                || is_listed(&names.teams, &row.words[Word::Team as usize])
        };
        self.rows.iter().filter(is_seen).cloned().collect()
    }
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

fn ids_of(rows: &[PlainRow]) -> Vec<String> {
    sorted(rows.iter().map(|row| row.id.clone()).collect())
}

/// Every id of a list, page by page.
fn paged(scope: &Scope<'_>, pairs: &[(&str, String)]) -> Vec<String> {
    let mut ids = Vec::new();
    let mut cursor = None;
    loop {
        let mut pairs = pairs.to_vec();
        pairs.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let question = RowsQuestion::from_params(pairs).unwrap();
        let page = page(scope, &question, &Budget::default()).unwrap();
        ids.extend(page.rows().map(|(batch, row)| batch.ids.get(row).to_string()));
        match page.next_cursor {
            None => return sorted(ids),
            next => cursor = next,
        }
    }
}

/// Every id of an export.
fn exported(scope: &Scope<'_>, format: ExportFormat) -> Vec<String> {
    let question = RowsQuestion::from_params::<&str, &str>([]).unwrap();
    let selection = question.selection(scope).unwrap();
    let mut file = Vec::new();
    export(scope.keyspace, &selection, format, &Budget::default(), &mut file, &mut |_| {}).unwrap();
    let text = String::from_utf8(file).unwrap();
    let id = |line: &str| match format {
        ExportFormat::Csv => line.split(',').next().unwrap().to_owned(),
        ExportFormat::Ndjson => {
            let row: Value = serde_json::from_str(line).unwrap();
            row["id"].as_str().unwrap().to_owned()
        }
    };
    let heading = usize::from(format == ExportFormat::Csv);
    sorted(text.lines().skip(heading).map(id).collect())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60, max_shrink_iters: 300, ..ProptestConfig::default()
    })]

    #[test]
    fn rows_that_may_not_be_seen_are_not_there(
        ((_, rows), names) in (any_rows(0..200), names()),
        (sealed, seal_rows, limit) in (0_usize..12, proptest::sample::select(vec![24, 200]), 1_usize..9),
    ) {
        let stored = stored(rows, sealed, seal_rows);
        let policy = RowPolicy::only(names.clone());
        let mine = scope(&*stored.keyspace, policy.conditions());
        let seen = stored.seen(&names);
        let limit = ("limit", limit.to_string());
        prop_assert_eq!(paged(&mine, std::slice::from_ref(&limit)), ids_of(&seen));
        let by_seq = [limit, ("from_seq", "0".to_owned())];
        prop_assert_eq!(paged(&mine, &by_seq), ids_of(&seen));
        for format in [ExportFormat::Csv, ExportFormat::Ndjson] {
            prop_assert_eq!(exported(&mine, format), ids_of(&seen));
        }
        for row in &stored.rows {
            let is_seen = seen.contains(row);
            prop_assert_eq!(by_id(&mine, &row.id, None).unwrap().is_some(), is_seen);
            prop_assert_eq!(by_id(&mine, &row.id, Some(row.ts)).unwrap().is_some(), is_seen);
            prop_assert_eq!(
                policy.admits(&row.words[Word::User as usize], &row.words[Word::Team as usize]),
                is_seen
            );
        }
    }

    #[test]
    fn aggregates_are_over_the_rows_that_they_may_be_over(
        (rows, questions) in any_rows(0..200).prop_flat_map(|(anchor, rows)| {
            (Just(rows), proptest::collection::vec(oracle::any_question(anchor), 4))
        }),
        names in names(),
        (sealed, seal_rows) in (0_usize..12, proptest::sample::select(vec![24, 200])),
    ) {
        let stored = stored(rows, sealed, seal_rows);
        let policy = RowPolicy::only(names.clone());
        let same = scope(&*stored.keyspace, policy.conditions());
        let all = Scope { aggregates: &[], ..same };
        let seen = stored.seen(&names);
        for question in &questions {
            check_in(&same, &seen, question)?;
            check_in(&all, &stored.rows, question)?;
        }
        // What picks out one row is about rows, whatever aggregates are over.
        for row in stored.rows.iter().take(5) {
            let filter = json!({ "field": "id", "op": "eq", "value": row.id });
            let question = json!({ "filters": [filter], "metrics": ["count"] });
            let counted = answer_in(&all, &question)["rows"][0][0].clone();
            prop_assert_eq!(counted, json!(u8::from(seen.contains(row))));
        }
    }

    #[test]
    fn nobody_is_answered_with_what_was_kept_for_another(
        (rows, questions) in any_rows(0..60).prop_flat_map(|(anchor, rows)| {
            (Just(rows), proptest::collection::vec(oracle::any_question(anchor), 2))
        }),
        people in proptest::collection::vec(names(), 1..4),
        asking in proptest::collection::vec((0_usize..4, 0_usize..2, any::<bool>()), 1..24),
    ) {
        let stored = stored(rows, 1, 24);
        let cache = AnswerCache::new(1 << 20);
        let policies: Vec<RowPolicy> = people.into_iter().map(RowPolicy::only).collect();
        for (who, what, is_blind) in asking {
            let rows: &[Predicate] = policies.get(who).map_or(&[], |policy| policy.conditions());
            let mine = scope(&*stored.keyspace, rows);
            let mine = if is_blind { Scope { aggregates: &[], ..mine } } else { mine };
            let text = questions[what].to_string();
            let question = Question::from_json(text.as_bytes()).unwrap();
            let budget = Budget::default();
            let [kept, fresh] = [Freshness::Cached, Freshness::Computed]
                .map(|freshness| cache.ask(&mine, &question, &budget, &now, freshness).unwrap());
            prop_assert_eq!(&kept.table, &fresh.table);
        }
    }
}

/// What was looked at for an answer tells which words there are: of rows that may not be seen, too.
#[test]
fn how_an_answer_was_found_is_not_told() {
    let row = |n: i64, user: &str, command: &str| {
        PlainRow::new(&format!("row-{n}"), n).with(Word::User, user).with(Word::Command, command)
    };
    let rows = (0..200).map(|n| row(n, if n % 2 == 0 { "ann" } else { "bob" }, "git"));
    let rows = rows.chain([row(500, "bob", "secret"), row(501, "ann", "make")]).collect();
    let stored = stored(rows, 20, 24);
    stored.keyspace.settle().unwrap();
    let ann = RowPolicy::only(Names { users: vec!["ann".into()], teams: Vec::new() });
    let mine = scope(&*stored.keyspace, ann.conditions());
    let told = |field: &str, value: &str| {
        let filter = json!({ "field": field, "op": "eq", "value": value });
        let question = json!({ "filters": [filter], "metrics": ["count"] });
        let mut answer = answer_in(&mine, &question);
        answer.as_object_mut().unwrap().remove("elapsed_ms");
        answer
    };
    assert_eq!(told("command", "secret"), told("command", "nothing"));
    assert_eq!(told("user_id", "bob"), told("user_id", "nobody"));
    assert_eq!(told("id", "row-1"), told("id", "row-none"));
    assert_ne!(told("command", "make"), told("command", "nothing"));
}
