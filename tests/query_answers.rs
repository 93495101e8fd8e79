//! From the text of a question to the text of its answer: against an oracle, and in detail.

mod query_model;

use emx::query::{Question, Scope, ask, render};
use proptest::prelude::*;
use query_model::fake::Fake;
use query_model::oracle::{self, Key};
use query_model::{PlainRow, any_rows};
use serde_json::{Value, json};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;
use storage::ask::{Budget, Predicate, WordTest};
use storage::engine::Keyspace;
use storage::row::{Dimension, Status, TimeMs, Word};

#[expect(clippy::disallowed_methods, reason = "a test has no clock to be given")]
fn now() -> Instant {
    Instant::now()
}

const TENANT: &str = "acme";

fn scope<'a>(keyspace: &'a dyn Keyspace, policy: &'a [Predicate]) -> Scope<'a> {
    Scope { keyspace, keyspace_id: "k1", organization_id: TENANT, policy }
}

/// The answer's JSON, its text parsed again.
fn answer(keyspace: &dyn Keyspace, question: &Value) -> Value {
    let question = Question::from_json(question.to_string().as_bytes()).unwrap();
    let answer = ask(&scope(keyspace, &[]), &question, &Budget::default(), &now).unwrap();
    let mut text = Vec::new();
    render::write_json(&mut text, &answer).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn rows_of(answer: &Value) -> Vec<Vec<Value>> {
    let rows = answer["rows"].as_array().unwrap();
    rows.iter().map(|row| row.as_array().unwrap().clone()).collect()
}

fn list(question: &Value, key: &str) -> Vec<String> {
    let items = question[key].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// The columns' names, in the contract's order.
fn column_names(question: &Value) -> Vec<String> {
    let bucket = question["bucket"].as_str().is_some_and(|bucket| bucket != "none");
    let mut names: Vec<String> = bucket.then(|| "bucket".to_owned()).into_iter().collect();
    names.extend(list(question, "group_by"));
    names.extend(list(question, "metrics"));
    names
}

fn key_of(question: &Value, row: &[Value]) -> Key {
    let has_bucket = usize::from(question["bucket"] != json!("none"));
    let groups = list(question, "group_by").len();
    let bucket = row[..has_bucket].first().map(|cell| {
        let time: jiff::Timestamp = cell.as_str().unwrap().parse().unwrap();
        time.as_millisecond()
    });
    let word = |cell: &Value| cell.as_str().map(str::to_owned);
    (bucket, row[has_bucket..has_bucket + groups].iter().map(word).collect())
}

fn by_cell(a: &Value, b: &Value, desc: bool) -> Ordering {
    if a.is_null() || b.is_null() {
        return a.is_null().cmp(&b.is_null());
    }
    let order = match (a.as_str(), b.as_str()) {
        (Some(a), Some(b)) => a.cmp(b),
        _ => a.as_f64().partial_cmp(&b.as_f64()).unwrap(),
    };
    if desc { order.reverse() } else { order }
}

/// Whether row `a` may stand before row `b`.
fn in_order(question: &Value, a: &[Value], b: &[Value]) -> bool {
    let names = column_names(question);
    for order in question["order_by"].as_array().unwrap() {
        let place = names.iter().position(|name| order["key"] == json!(name)).unwrap();
        let desc = order["desc"].as_bool().unwrap_or(false);
        match by_cell(&a[place], &b[place], desc) {
            Ordering::Less => return true,
            Ordering::Greater => return false,
            Ordering::Equal => {}
        }
    }
    let keys = names.len() - list(question, "metrics").len();
    let cells = a[..keys].iter().zip(&b[..keys]);
    cells.map(|(a, b)| by_cell(a, b, false)).find(|o| o.is_ne()).unwrap_or(Ordering::Less).is_lt()
}

/// The buckets that filling must give every group: those of the range, or of the rows' range.
fn filled_buckets(question: &Value, rows: &[PlainRow]) -> BTreeSet<TimeMs> {
    let times = || rows.iter().map(|row| row.ts);
    let from = question["from"].as_i64().or_else(|| times().min());
    let to = question["to"].as_i64().or_else(|| times().max().map(|last| last + 1));
    let zone = jiff::tz::TimeZone::get(question["time_zone"].as_str().unwrap()).unwrap();
    let width = question["bucket"].as_str().unwrap();
    let mut buckets = BTreeSet::new();
    let (Some(mut at), Some(to)) = (from, to) else { return buckets };
    // No bucket of any zone is shorter than half an hour; Casablanca and Apia have none odd.
    while at < to {
        buckets.extend(oracle::bucket_of(width, &zone, at));
        at += 15 * 60_000;
    }
    if from < Some(to) {
        buckets.extend(oracle::bucket_of(width, &zone, to - 1));
    }
    buckets
}

/// Checks one answer against the oracle; `rows` are what the keyspace has.
fn check(
    keyspace: &dyn Keyspace,
    rows: &[PlainRow],
    question: &Value,
) -> Result<(), TestCaseError> {
    let found = answer(keyspace, question);
    let names: Vec<&str> =
        found["columns"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    prop_assert_eq!(&names, &column_names(question));
    prop_assert_eq!(&found["truncated"], &json!(false));
    prop_assert_eq!(&found["as_of_seq"], &json!(keyspace.last_seq().unwrap()));
    let shown = rows_of(&found);
    for pair in shown.windows(2) {
        prop_assert!(in_order(question, &pair[0], &pair[1]), "{:?} before {:?}", pair[0], pair[1]);
    }

    let metrics = list(question, "metrics");
    let wanted = oracle::answer(question, rows, TENANT);
    let mut missing: BTreeMap<_, _> = wanted.iter().collect();
    let mut filled = BTreeSet::new();
    for row in &shown {
        let key = key_of(question, row);
        let cells = &row[row.len() - metrics.len()..];
        match missing.remove(&key) {
            Some(wanted) => {
                for ((name, found), wanted) in metrics.iter().zip(cells).zip(wanted) {
                    let good = oracle::agrees(name, found, wanted, rows);
                    prop_assert!(good, "{key:?} {name}: {found} is not {wanted}");
                }
            }
            None => {
                let filler = match question["fill"].as_str().unwrap() {
                    "zero" => json!(0),
                    "null" => Value::Null,
                    _ => return Err(TestCaseError::fail(format!("{key:?} is not wanted"))),
                };
                prop_assert!(cells.iter().all(|cell| *cell == filler), "{key:?} {cells:?}");
                filled.insert(key);
            }
        }
    }
    prop_assert!(missing.is_empty(), "not answered: {missing:?}");
    check_fill(question, rows, &wanted, &filled)?;
    check_limits(keyspace, question, &shown)
}

fn check_fill(
    question: &Value,
    rows: &[PlainRow],
    wanted: &BTreeMap<Key, Vec<Value>>,
    filled: &BTreeSet<Key>,
) -> Result<(), TestCaseError> {
    let mut expected = BTreeSet::new();
    if question["fill"] != json!("none") && question["bucket"] != json!("none") {
        let mut groups: BTreeSet<Vec<Option<String>>> =
            wanted.keys().map(|(_, words)| words.clone()).collect();
        let group_by = list(question, "group_by");
        if group_by.iter().all(|name| name == "organization_id") {
            groups.insert(group_by.iter().map(|_| Some(TENANT.to_owned())).collect());
        }
        for bucket in filled_buckets(question, rows) {
            let keys = groups.iter().map(|words| (Some(bucket), words.clone()));
            expected.extend(keys.filter(|key| !wanted.contains_key(key)));
        }
    }
    prop_assert_eq!(filled, &expected);
    Ok(())
}

/// A limit gives the first rows of the whole answer, and says so.
fn check_limits(
    keyspace: &dyn Keyspace,
    question: &Value,
    all: &[Vec<Value>],
) -> Result<(), TestCaseError> {
    for limit in [1, all.len() / 2, all.len()] {
        let mut limited = question.clone();
        limited["limit"] = json!(limit.max(1));
        let found = answer(keyspace, &limited);
        prop_assert_eq!(&found["truncated"], &json!(limit.max(1) < all.len()));
        prop_assert_eq!(&rows_of(&found), &all[..limit.max(1).min(all.len())]);
    }
    Ok(())
}

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
