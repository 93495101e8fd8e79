//! Raw rows: pages without gap or repeat, by id, by seq, and as JSON.

#![allow(clippy::unwrap_used, reason = "a test says by failing what it did not expect")]

mod query_model;

use emx::query::rows::{Page, RowsQuestion, by_id, page, time_param};
use emx::query::{QueryError, Scope, render};
use proptest::prelude::*;
use query_model::fake::Fake;
use query_model::{PlainRow, any_rows};
use serde_json::{Value, json};
use storage::ask::{Budget, Predicate, WordTest};
use storage::engine::Keyspace;
use storage::row::{Actor, Dimension, Status, Word};

fn scope<'a>(keyspace: &'a dyn Keyspace, policy: &'a [Predicate]) -> Scope<'a> {
    Scope { keyspace, keyspace_id: "k1", organization_id: "acme", policy, aggregates: policy }
}

fn ask(scope: &Scope<'_>, pairs: &[(&str, &str)]) -> Result<Page, QueryError> {
    page(scope, &RowsQuestion::from_params(pairs.iter().copied())?, &Budget::default())
}

fn ids(page: &Page) -> Vec<String> {
    page.rows().map(|(batch, row)| batch.ids.get(row).to_string()).collect()
}

/// Follows the cursors to the end; between two pages `between` may write.
fn walk(scope: &Scope<'_>, pairs: &[(&str, &str)], mut between: impl FnMut(usize)) -> Vec<String> {
    let mut all = Vec::new();
    let mut cursor: Option<String> = None;
    for n in 0.. {
        let mut pairs = pairs.to_vec();
        pairs.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page = ask(scope, &pairs).unwrap();
        all.extend(ids(&page));
        match &page.next_cursor {
            Some(next) => cursor = Some(next.clone()),
            None => break,
        }
        between(n);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn pages_have_every_row_once(
        (_, rows) in any_rows(0..60),
        limit in 1_usize..10,
        by_seq: bool,
        filtered: bool,
    ) {
        let fake = Fake::with(&rows);
        let limit = limit.to_string();
        let mut pairs = vec![("limit", limit.as_str())];
        if by_seq {
            pairs.push(("from_seq", "3"));
        }
        if filtered {
            pairs.push(("filter", "team_id:eq:red"));
        }
        // Newer rows arrive while somebody turns the pages; none of them disturbs it.
        let found = walk(&scope(&fake, &[]), &pairs, |n| {
            if !by_seq {
                fake.add(&[PlainRow::new(&format!("new-{n}"), i64::MAX - 1)]);
            }
        });
        let mut wanted: Vec<_> = rows.iter().enumerate().map(|(n, row)| (n + 1, row)).collect();
        wanted.retain(|(seq, row)| {
            (!by_seq || *seq >= 3) && (!filtered || row.words[Word::Team as usize] == "red")
        });
        if !by_seq {
            wanted.sort_by_key(|(seq, row)| std::cmp::Reverse((row.ts, *seq)));
        }
        let wanted: Vec<_> = wanted.into_iter().map(|(_, row)| row.id.clone()).collect();
        prop_assert_eq!(found, wanted);
    }
}

fn numbered(count: usize) -> Fake {
    let rows: Vec<_> = (0..count as i64)
        .map(|n| {
            let team = if n % 2 == 0 { "red" } else { "blue" };
            PlainRow::new(&n.to_string(), n).with(Word::Team, team)
        })
        .collect();
    Fake::with(&rows)
}

fn only_red() -> [Predicate; 1] {
    let red = WordTest::In(vec!["red".into()]);
    [Predicate::Word(Dimension::Word(Word::Team), red)]
}

#[test]
fn cursors_serve_only_the_list_that_gave_them() {
    let fake = numbered(10);
    let policy = only_red();
    let open = scope(&fake, &[]);
    let cursor = ask(&open, &[("limit", "2")]).unwrap().next_cursor.unwrap();
    let with = |scope: &Scope<'_>, pairs: &[(&str, &str)]| {
        let mut pairs = pairs.to_vec();
        pairs.push(("cursor", &cursor));
        ask(scope, &pairs).map(|page| ids(&page)).map_err(|error| error.code())
    };
    assert_eq!(with(&open, &[("limit", "3")]), Ok(vec!["7".into(), "6".into(), "5".into()]));
    for pairs in [
        &[("from", "1")][..],
        &[("to", "1000")],
        &[("from_seq", "1")],
        &[("filter", "team_id:eq:red")],
    ] {
        assert_eq!(with(&open, pairs), Err("bad_cursor"), "{pairs:?}");
    }
    assert_eq!(with(&scope(&fake, &policy), &[]), Err("bad_cursor"));
    assert_eq!(with(&Scope { keyspace_id: "k2", ..open }, &[]), Err("bad_cursor"));
    let error = ask(&open, &[("cursor", "?")]).unwrap_err();
    assert_eq!((error.code(), error.problems()[0].pointer.as_str()), ("bad_cursor", "/cursor"));
}

#[test]
fn seq_ranges_are_inclusive_and_ascend() {
    let fake = numbered(30);
    let open = scope(&fake, &[]);
    let page = ask(&open, &[("from_seq", "3"), ("to_seq", "5")]).unwrap();
    assert_eq!((ids(&page), page.next_cursor), (vec!["2".into(), "3".into(), "4".into()], None));
    let page = ask(&open, &[("to_seq", "2")]).unwrap();
    assert_eq!(ids(&page), ["0", "1"]);
    let red = only_red();
    let page = ask(&scope(&fake, &red), &[("from_seq", "1"), ("to_seq", "30")]).unwrap();
    assert_eq!(page.len(), 15, "the row policy holds here too");
    assert!(ask(&open, &[("from_seq", "31")]).unwrap().is_empty());
}

#[test]
fn an_id_gives_its_newest_row_that_may_be_seen() {
    let fake = Fake::with(&[
        PlainRow::new("a", 5).with(Word::Team, "red"),
        PlainRow::new("a", 9).with(Word::Team, "blue"),
    ]);
    let ts_of = |policy: &[Predicate], id: &str, ts| {
        by_id(&scope(&fake, policy), id, ts).unwrap().map(|(batch, row)| batch.ts[row])
    };
    assert_eq!(ts_of(&[], "a", None), Some(9));
    assert_eq!(ts_of(&[], "a", Some(5)), Some(5));
    assert_eq!(ts_of(&[], "a", Some(6)), None);
    assert_eq!(ts_of(&[], "b", None), None);
    assert_eq!(ts_of(&only_red(), "a", None), Some(5));
    assert_eq!(ts_of(&only_red(), "a", Some(9)), None);
    assert_eq!(time_param("/ts", "1970-01-01T00:00:00.005Z").ok(), Some(5));
    assert_eq!(time_param("/ts", "5").ok(), Some(5));
    assert_eq!(time_param("/ts", "then").map_err(|e| e.code()), Err("invalid_time"));
}

#[test]
fn an_execution_has_the_contracts_fields() {
    let mut full = PlainRow::new("6ba7b810-9dad-11d1-80b4-00c04fd430c8", 1_774_994_400_001);
    for (word, text) in [
        (Word::Command, "cargo build"),
        (Word::CommandLine, "cargo build \"x\"\n"),
        (Word::User, "ann"),
        (Word::Team, "red"),
        (Word::Project, "p"),
        (Word::Session, "s"),
        (Word::Host, "h"),
        (Word::Error, "no"),
        (Word::Origin, "api"),
    ] {
        full = full.with(word, text);
    }
    (full.status, full.actor) = (Status::Failure, Actor::Ci);
    (full.duration_us, full.exit_code) = (Some(1_500), Some(-1));
    full.labels = vec![("branch".into(), "main".into()), ("empty".into(), String::new())];
    full.values = vec![("x".into(), 0.1), ("n".into(), -2.0)];
    let fake = Fake::with(&[full, PlainRow::new("b", 0)]);
    let mut text = Vec::new();
    render::write_page(&mut text, &ask(&scope(&fake, &[]), &[]).unwrap()).unwrap();
    let found: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(
        found,
        json!({
            "items": [
                {
                    "id": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "seq": 1,
                    "ts": "2026-03-31T22:00:00.001Z", "command": "cargo build",
                    "command_line": "cargo build \"x\"\n", "user_id": "ann", "team_id": "red",
                    "project_id": "p", "session_id": "s", "host": "h", "error": "no",
                    "duration_ms": 1.5, "exit_code": -1, "status": "failure", "actor": "ci",
                    "labels": { "branch": "main", "empty": "" }, "values": { "x": 0.1, "n": -2 },
                },
                { "id": "b", "seq": 2, "ts": "1970-01-01T00:00:00.000Z", "status": "unknown",
                  "actor": "unknown" },
            ],
            "next_cursor": null,
        })
    );
}

#[test]
fn nothing_is_read_for_another_tenant() {
    let fake = numbered(3);
    let pairs = [("filter", "organization_id:eq:other")];
    assert!(ask(&scope(&fake, &[]), &pairs).unwrap().is_empty());
    let pairs = [("filter", "organization_id:eq:acme")];
    assert_eq!(ask(&scope(&fake, &[]), &pairs).unwrap().len(), 3);
}
