//! From the text of a question to the text of its answer: against an oracle, and in detail.

#![allow(clippy::unwrap_used, reason = "a test says by failing what it did not expect")]

mod query_model;

use emx::query::{Question, ask, render};
use proptest::prelude::*;
use query_model::any_rows;
use query_model::check::{check, now, scope};
use query_model::fake::Fake;
use query_model::{PlainRow, oracle};
use serde_json::{Value, json};
use storage::ask::{Budget, Predicate, WordTest};
use storage::row::{Dimension, Status, Word};

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn answers_agree_with_the_oracle(
        (rows, question) in any_rows(0..50).prop_flat_map(|(anchor, rows)| {
            (Just(rows), oracle::any_question(anchor))
        }),
    ) {
        check(&Fake::with(&rows), &rows, &question)?;
    }
}

fn sample() -> Vec<PlainRow> {
    let row = |id: &str, ts, team: &str, status, us| {
        let mut row = PlainRow::new(id, ts).with(Word::Team, team);
        (row.status, row.duration_us) = (status, us);
        row
    };
    vec![
        row("a", 0, "red", Status::Success, Some(1_001)),
        row("b", 3_600_000, "red", Status::Failure, Some(2_000)),
        row("c", 3_600_001, "=blue", Status::Unknown, None),
        row("d", 4 * 3_600_000, "", Status::Timeout, Some(1_000_000_000_000_000)),
    ]
}

fn text(question: Value) -> String {
    let fake = Fake::with(&sample());
    let question = Question::from_json(question.to_string().as_bytes()).unwrap();
    let clock = now();
    let answer = ask(&scope(&fake, &[]), &question, &Budget::default(), &|| clock).unwrap();
    let mut text = Vec::new();
    render::write_json(&mut text, &answer).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn the_answer_has_the_contracts_shape_and_exact_milliseconds() {
    let found = text(json!({
        "bucket": "hour", "group_by": ["team_id", "labels.x", "organization_id"],
        "metrics": ["count", "success_rate", "sum(duration_ms)", "avg(duration_ms)"],
    }));
    assert_eq!(
        found,
        concat!(
            r#"{"columns":[{"name":"bucket","type":"time","unit":null},"#,
            r#"{"name":"team_id","type":"string","unit":null},"#,
            r#"{"name":"labels.x","type":"string","unit":null},"#,
            r#"{"name":"organization_id","type":"string","unit":null},"#,
            r#"{"name":"count","type":"integer","unit":null},"#,
            r#"{"name":"success_rate","type":"number","unit":"ratio"},"#,
            r#"{"name":"sum(duration_ms)","type":"number","unit":"ms"},"#,
            r#"{"name":"avg(duration_ms)","type":"number","unit":"ms"}],"rows":["#,
            r#"["1970-01-01T00:00:00.000Z","red",null,"acme",1,1,1.001,1.001],"#,
            r#"["1970-01-01T01:00:00.000Z","=blue",null,"acme",1,null,null,null],"#,
            r#"["1970-01-01T01:00:00.000Z","red",null,"acme",1,0,2,2],"#,
            r#"["1970-01-01T04:00:00.000Z","",null,"acme",1,0,1000000000000,1000000000000]],"#,
            r#""source":"scan","view":null,"rows_scanned":4,"elapsed_ms":0,"cached":false,"#,
            r#""as_of_seq":4,"truncated":false}"#,
        )
    );
}

#[test]
fn sums_keep_every_microsecond() {
    let found = text(json!({ "metrics": ["sum(duration_ms)"] }));
    assert!(found.contains("[[1000000000003.001]]"), "{found}");
}

#[test]
fn nulls_come_last_in_both_directions() {
    for desc in [false, true] {
        let found = text(json!({
            "group_by": ["team_id"], "metrics": ["success_rate"],
            "order_by": [{ "key": "success_rate", "desc": desc }],
        }));
        let wanted = if desc {
            r#"[["red",0.5],["",0],["=blue",null]]"#
        } else {
            r#"[["",0],["red",0.5],["=blue",null]]"#
        };
        assert!(found.contains(wanted), "{found}");
    }
}

#[test]
fn nothing_counts_as_zero() {
    let nobody = json!([{ "field": "organization_id", "op": "eq", "value": "other" }]);
    let found = text(json!({ "metrics": ["count", "avg(duration_ms)"], "filters": nobody }));
    assert!(found.contains(r#""rows":[[0,null]]"#), "{found}");
    let found = text(json!({ "group_by": ["team_id"], "filters": nobody }));
    assert!(found.contains(r#""rows":[]"#), "{found}");
}

#[test]
fn spreadsheets_run_nothing() {
    let question = json!({
        "bucket": "day", "group_by": ["team_id"], "metrics": ["count", "avg(duration_ms)"],
        "to": 3_600_002,
    });
    let question = Question::from_json(question.to_string().as_bytes()).unwrap();
    let fake = Fake::with(&sample());
    let answer = ask(&scope(&fake, &[]), &question, &Budget::default(), &now).unwrap();
    let mut csv = Vec::new();
    render::write_csv(&mut csv, &answer.table).unwrap();
    assert_eq!(
        String::from_utf8(csv).unwrap(),
        "bucket,team_id,count,avg(duration_ms)\r\n\
         1970-01-01T00:00:00.000Z,'=blue,1,\r\n\
         1970-01-01T00:00:00.000Z,red,2,1.5005\r\n"
    );
}

#[test]
fn the_row_policy_holds_whatever_is_asked() {
    let fake = Fake::with(&sample());
    let red = WordTest::In(vec!["red".into()]);
    let policy = [Predicate::Word(Dimension::Word(Word::Team), red)];
    let question = Question::from_json(br#"{"group_by": ["team_id"]}"#).unwrap();
    let answer = ask(&scope(&fake, &policy), &question, &Budget::default(), &now).unwrap();
    assert_eq!(answer.table.rows().len(), 1);
}

/// The code and pointer of a question that is refused only when it is asked.
fn refused(question: Value, budget: Budget) -> (&'static str, String) {
    let fake = Fake::with(&sample());
    let question = Question::from_json(question.to_string().as_bytes()).unwrap();
    let error = ask(&scope(&fake, &[]), &question, &budget, &now).unwrap_err();
    (error.code(), error.problems().first().map_or_else(String::new, |p| p.pointer.clone()))
}

#[test]
fn budgets_and_bounds_are_kept() {
    let refusal = |code, pointer: &str| (code, pointer.to_owned());
    let wide = json!({ "bucket": "hour", "from": -60_000_000_000_000_i64, "to": 0 });
    assert_eq!(refused(wide, Budget::default()), refusal("too_many_buckets", "/bucket"));
    let filled = json!({ "bucket": "hour", "group_by": ["team_id"], "fill": "zero",
        "from": 0, "to": 400_000 * 3_600_000_i64 });
    assert_eq!(refused(filled.clone(), Budget::default()), refusal("fill_too_large", "/fill"));
    let small = Budget { memory_bytes: 1_000, ..Budget::default() };
    let mut narrow = filled;
    narrow["to"] = json!(40 * 3_600_000);
    assert_eq!(refused(narrow, small), refusal("query_memory_exceeded", ""));
    let late = Budget { deadline: Some(now()), ..Budget::default() };
    assert_eq!(refused(json!({}), late), refusal("query_time_exceeded", ""));
    let gone = Budget::default();
    gone.cancelled.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(refused(json!({}), gone), refusal("cancelled", ""));
}
