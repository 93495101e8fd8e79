//! Checks an answer against the oracle: its columns, cells, order, filled buckets and limits.

use super::PlainRow;
use super::oracle::{self, Key};
use emx::query::{Question, Scope, ask, render};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;
use storage::ask::{Budget, Predicate};
use storage::engine::Keyspace;
use storage::row::TimeMs;

#[expect(clippy::disallowed_methods, reason = "a test has no clock to be given")]
pub fn now() -> Instant {
    Instant::now()
}

const TENANT: &str = "acme";

pub fn scope<'a>(keyspace: &'a dyn Keyspace, policy: &'a [Predicate]) -> Scope<'a> {
    Scope { keyspace, keyspace_id: "k1", organization_id: TENANT, policy, aggregates: policy }
}

/// The answer's JSON, its text parsed again.
pub fn answer(keyspace: &dyn Keyspace, question: &Value) -> Value {
    answer_in(&scope(keyspace, &[]), question)
}

/// The same in a scope of one's own.
pub fn answer_in(scope: &Scope<'_>, question: &Value) -> Value {
    let question = Question::from_json(question.to_string().as_bytes()).unwrap();
    let answer = ask(scope, &question, &Budget::default(), &now).unwrap();
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
pub fn check(
    keyspace: &dyn Keyspace,
    rows: &[PlainRow],
    question: &Value,
) -> Result<(), TestCaseError> {
    check_in(&scope(keyspace, &[]), rows, question)
}

/// The same in a scope of one's own; `rows` are what an answer may be made of.
pub fn check_in(
    scope: &Scope<'_>,
    rows: &[PlainRow],
    question: &Value,
) -> Result<(), TestCaseError> {
    let found = answer_in(scope, question);
    let names: Vec<&str> =
        found["columns"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    prop_assert_eq!(&names, &column_names(question));
    prop_assert_eq!(&found["truncated"], &json!(false));
    prop_assert_eq!(&found["as_of_seq"], &json!(scope.keyspace.last_seq().unwrap()));
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
    check_limits(scope, rows, question, &shown)
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

/// A limit gives the first rows of the whole answer, and says so. Between the two the engine may
/// have sealed rows, and then adds up doubles in another order.
fn check_limits(
    scope: &Scope<'_>,
    rows: &[PlainRow],
    question: &Value,
    all: &[Vec<Value>],
) -> Result<(), TestCaseError> {
    let names = column_names(question);
    let same = |(name, (a, b)): (&String, (&Value, &Value))| {
        let rounded = name.starts_with("stddev(") || name.ends_with("(values.x)");
        a == b || (rounded && oracle::agrees(name, a, b, rows))
    };
    for limit in [1, all.len() / 2, all.len()] {
        let limit = limit.max(1);
        let mut limited = question.clone();
        limited["limit"] = json!(limit);
        let found = answer_in(scope, &limited);
        prop_assert_eq!(&found["truncated"], &json!(limit < all.len()));
        let found = rows_of(&found);
        prop_assert_eq!(found.len(), limit.min(all.len()));
        for (a, b) in found.iter().zip(all) {
            let mut cells = names.iter().zip(a.iter().zip(b));
            prop_assert!(cells.all(same), "{a:?} is not {b:?}");
        }
    }
    Ok(())
}
