//! Answers a JSON question over plain rows from the contract's words alone: it knows neither the
//! library's question nor its buckets, and asks the calendar about every row.

use super::{PlainRow, ZONES};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan, civil::Date};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use storage::row::{Status, TimeMs};

/// A group: its bucket's start and its words.
pub type Key = (Option<TimeMs>, Vec<Option<String>>);

/// Every group there is with its metrics, before order, limit and fill.
pub fn answer(question: &Value, rows: &[PlainRow], tenant: &str) -> BTreeMap<Key, Vec<Value>> {
    let names = |key: &str| -> Vec<String> {
        let list = question[key].as_array().cloned().unwrap_or_default();
        list.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let (group_by, metrics) = (names("group_by"), names("metrics"));
    let zone = TimeZone::get(question["time_zone"].as_str().unwrap_or("UTC")).unwrap();
    let mut groups: BTreeMap<Key, Vec<&PlainRow>> = BTreeMap::new();
    for row in rows.iter().filter(|row| passes(row, question, tenant)) {
        let bucket = bucket_of(question["bucket"].as_str().unwrap_or("none"), &zone, row.ts);
        let words = group_by.iter().map(|name| word(row, name, tenant)).collect();
        groups.entry((bucket, words)).or_default().push(row);
    }
    if groups.is_empty()
        && question["bucket"].as_str().unwrap_or("none") == "none"
        && group_by.iter().all(|name| name == "organization_id")
    {
        let words = group_by.iter().map(|_| Some(tenant.to_owned())).collect();
        groups.insert((None, words), Vec::new());
    }
    let compute = |rows: Vec<&PlainRow>| metrics.iter().map(|name| metric(name, &rows)).collect();
    groups.into_iter().map(|(key, rows)| (key, compute(rows))).collect()
}

fn word(row: &PlainRow, name: &str, tenant: &str) -> Option<String> {
    Some(match name {
        "organization_id" => tenant.to_owned(),
        "command" => row.words[0].clone(),
        "user_id" => row.words[1].clone(),
        "team_id" => row.words[2].clone(),
        "host" => row.words[5].clone(),
        "status" => row.status.as_str().to_owned(),
        "actor" => row.actor.as_str().to_owned(),
        label => return row.label(label.strip_prefix("labels.").unwrap()).map(str::to_owned),
    })
}

/// The number in the contract's unit.
fn number(row: &PlainRow, name: &str) -> Option<f64> {
    match name {
        "duration_ms" => row.duration_us.map(|us| us as f64 / 1000.0),
        "exit_code" => row.exit_code.map(|code| code as f64),
        value => row.value(value.strip_prefix("values.").unwrap()),
    }
}

fn is_number(name: &str) -> bool {
    name == "duration_ms" || name == "exit_code" || name.starts_with("values.")
}

fn passes(row: &PlainRow, question: &Value, tenant: &str) -> bool {
    let bound = |key: &str| question[key].as_i64();
    if bound("from").is_some_and(|from| row.ts < from) || bound("to").is_some_and(|to| row.ts >= to)
    {
        return false;
    }
    let filters = question["filters"].as_array().cloned().unwrap_or_default();
    filters.iter().all(|filter| {
        let (field, op) = (filter["field"].as_str().unwrap(), filter["op"].as_str().unwrap());
        let value = &filter["value"];
        if op == "ne" {
            return !holds(row, field, "eq", value, tenant);
        }
        holds(row, field, op, value, tenant)
    })
}

fn holds(row: &PlainRow, field: &str, op: &str, value: &Value, tenant: &str) -> bool {
    if op == "exists" {
        let there = if is_number(field) {
            number(row, field).is_some()
        } else {
            word(row, field, tenant).is_some_and(|w| field.starts_with("labels.") || !w.is_empty())
        };
        return there == value.as_bool().unwrap_or(true);
    }
    if op == "in" {
        return value.as_array().unwrap().iter().any(|v| holds(row, field, "eq", v, tenant));
    }
    if is_number(field) {
        let (Some(x), Some(y)) = (number(row, field), value.as_f64()) else { return false };
        return match op {
            "eq" => x == y,
            "gt" => x > y,
            "gte" => x >= y,
            "lt" => x < y,
            _ => x <= y,
        };
    }
    let (Some(word), Some(value)) = (word(row, field, tenant), value.as_str()) else {
        return false;
    };
    if op == "prefix" { word.starts_with(value) } else { word == value }
}

fn metric(name: &str, rows: &[&PlainRow]) -> Value {
    let known = || rows.iter().filter(|row| row.status != Status::Unknown).count();
    let is = |status| rows.iter().filter(|row| row.status == status).count();
    match name {
        "count" | "command_count" => return json!(rows.len()),
        "failure_count" => return json!(is(Status::Failure) + is(Status::Timeout)),
        "success_rate" if known() == 0 => return Value::Null,
        "success_rate" => return json!(is(Status::Success) as f64 / known() as f64),
        "avg_execution_time" => return metric("avg(duration_ms)", rows),
        _ => {}
    }
    let (function, field) = name.strip_suffix(')').unwrap().split_once('(').unwrap();
    if function == "count_distinct" {
        let fixed = !field.starts_with("labels.");
        let mut words: Vec<_> = rows.iter().filter_map(|row| word(row, field, "")).collect();
        words.retain(|word| !(fixed && word.is_empty()));
        words.sort();
        words.dedup();
        return json!(words.len());
    }
    let mut numbers: Vec<f64> = rows.iter().filter_map(|row| number(row, field)).collect();
    numbers.sort_by(f64::total_cmp);
    let n = numbers.len();
    if n == 0 || (function == "stddev" && n < 2) {
        return Value::Null;
    }
    let sum: f64 = numbers.iter().sum();
    let mean = sum / n as f64;
    let squares: f64 = numbers.iter().map(|x| (x - mean) * (x - mean)).sum();
    json!(match function {
        "sum" => sum,
        "avg" => mean,
        "min" => numbers[0],
        "max" => numbers[n - 1],
        "stddev" => (squares / (n - 1) as f64).sqrt(),
        percentile => {
            let digits = &percentile[1..];
            let p: usize = digits.parse().unwrap();
            let hundred = if digits.len() == 3 { 1000 } else { 100 };
            numbers[(p * n).div_ceil(hundred).max(1) - 1]
        }
    })
}

/// Whether a cell is what the oracle computed, as exactly as the contract promises.
pub fn agrees(name: &str, found: &Value, wanted: &Value, rows: &[PlainRow]) -> bool {
    let name = if name == "avg_execution_time" { "avg(duration_ms)" } else { name };
    let (Some(found), Some(wanted)) = (found.as_f64(), wanted.as_f64()) else {
        return found == wanted;
    };
    let difference = (found - wanted).abs();
    let is_percentile = name.starts_with('p') && name.contains('(');
    if is_percentile {
        return difference <= 0.01 * wanted.abs() + 1e-12;
    }
    let total: f64 = match name.split_once('(') {
        Some((_, field)) if is_number(field.trim_end_matches(')')) => {
            let field = field.trim_end_matches(')');
            rows.iter().filter_map(|row| number(row, field)).map(f64::abs).sum()
        }
        _ => 1.0,
    };
    difference <= 1e-9 * (total + 1e-9)
}

/// The first instant of a local date, if there is one.
fn first_instant(zone: &TimeZone, date: Date) -> Option<TimeMs> {
    let midnight = date.at(0, 0, 0, 0);
    let instant = match zone.to_ambiguous_timestamp(midnight).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(midnight).unwrap(),
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(midnight).unwrap(),
        AmbiguousOffset::Gap { before, .. } => {
            let would_be = before.to_timestamp(midnight).unwrap();
            let after = would_be.checked_add(1.second()).unwrap();
            zone.preceding(after).next().unwrap().timestamp()
        }
    };
    (zone.to_datetime(instant).date() == date).then(|| instant.as_millisecond())
}

/// The start of the bucket of one instant.
pub fn bucket_of(width: &str, zone: &TimeZone, ts: TimeMs) -> Option<TimeMs> {
    let at = Timestamp::from_millisecond(ts).unwrap();
    let offset = zone.to_offset(at);
    let local = offset.to_datetime(at);
    let mut date = match width {
        "none" => return None,
        "hour" => {
            let hour = local.date().at(local.hour(), 0, 0, 0);
            let mut start = offset.to_timestamp(hour).unwrap().as_millisecond();
            // Minute by minute back from the end of the hour's other offset, if it had one.
            while zone.to_offset(Timestamp::from_millisecond(start).unwrap()) != offset {
                start += 60_000;
            }
            return Some(start);
        }
        "day" => local.date(),
        "week" => {
            let back = i64::from(local.date().weekday().to_monday_zero_offset());
            local.date().checked_sub(back.days()).unwrap()
        }
        _ => local.date().first_of_month(),
    };
    loop {
        if let Some(start) = first_instant(zone, date) {
            return Some(start);
        }
        date = date.tomorrow().unwrap();
    }
}

fn names(all: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(all, 0..=most).prop_shuffle()
}

fn any_filter() -> impl Strategy<Value = Value> {
    let filter =
        |field: &str, op: &str, value: Value| json!({ "field": field, "op": op, "value": value });
    let word_fields = ["user_id", "team_id", "labels.branch", "labels.none", "organization_id"];
    let number_fields = ["duration_ms", "values.x", "exit_code", "values.none"];
    let of_word = (
        proptest::sample::select(word_fields.to_vec()),
        proptest::sample::select(vec!["eq", "ne", "prefix"]),
        proptest::sample::select(vec!["", "ann", "b", "bob", "red", "main", "d", "acme"]),
    );
    let of_number = (
        proptest::sample::select(number_fields.to_vec()),
        proptest::sample::select(vec!["eq", "ne", "gt", "gte", "lt", "lte"]),
        prop_oneof![Just(0.0), Just(1.0), Just(2.5), Just(1.001), -3.0..5.0_f64, 0.0..1e7_f64],
    );
    prop_oneof![
        of_word.prop_map(move |(field, op, value)| filter(field, op, json!(value))),
        of_number.prop_map(move |(field, op, value)| filter(field, op, json!(value))),
        (proptest::sample::select(word_fields.to_vec()), any::<bool>())
            .prop_map(move |(field, there)| filter(field, "exists", json!(there))),
        (proptest::sample::select(number_fields.to_vec()), any::<bool>())
            .prop_map(move |(field, there)| filter(field, "exists", json!(there))),
        names(&["success", "failure", "timeout", "unknown"], 4)
            .prop_filter("in needs values", |words| !words.is_empty())
            .prop_map(move |words| filter("status", "in", json!(words))),
        Just(filter("exit_code", "in", json!([0, 1, 3]))),
        Just(filter("actor", "ne", json!("ci"))),
    ]
}

/// Columns whose order a reader can check from the cells shown.
const ORDERED: [&str; 12] = [
    "count",
    "failure_count",
    "success_rate",
    "count_distinct(user_id)",
    "sum(duration_ms)",
    "avg(duration_ms)",
    "min(values.x)",
    "max(duration_ms)",
    "p95(duration_ms)",
    "team_id",
    "labels.branch",
    "bucket",
];

prop_compose! {
    /// Any question about rows near `anchor`, without a limit.
    pub fn any_question(anchor: TimeMs)(
        bucket in proptest::sample::select(vec!["none", "hour", "day", "week", "month"]),
        zone in proptest::sample::select(&ZONES[..]),
        group_by in names(
            &["team_id", "labels.branch", "status", "organization_id", "actor", "labels.none"], 3),
        mut metrics in names(
            &[
                "count", "command_count", "failure_count", "success_rate", "avg_execution_time",
                "count_distinct(user_id)", "count_distinct(labels.branch)", "count_distinct(status)",
                "sum(duration_ms)", "avg(duration_ms)", "min(duration_ms)", "max(duration_ms)",
                "stddev(duration_ms)", "p50(duration_ms)", "p75(duration_ms)", "p90(values.x)",
                "p95(duration_ms)", "p99(values.x)", "p999(duration_ms)", "sum(values.x)",
                "avg(values.x)", "min(values.x)", "max(values.x)", "stddev(values.x)",
                "sum(values.none)",
            ],
            8),
        filters in proptest::collection::vec(any_filter(), 0..3),
        from in proptest::option::of(-3_000_000_000_i64..1_000_000_000),
        span in proptest::option::of(1_i64..3_000_000_000),
        order in proptest::collection::vec(
            (proptest::sample::select(&ORDERED[..]), any::<bool>()), 0..3),
        fill in proptest::sample::select(vec!["none", "zero", "null"]),
    ) -> Value {
        if metrics.is_empty() {
            metrics.push("count");
        }
        let order_by: Vec<Value> = order
            .iter()
            .filter(|(key, _)| {
                (*key == "bucket" && bucket != "none") || group_by.contains(key) || metrics.contains(key)
            })
            .map(|(key, desc)| json!({ "key": key, "desc": desc }))
            .collect();
        let mut question = json!({
            "bucket": bucket, "time_zone": zone, "group_by": group_by, "metrics": metrics,
            "filters": filters, "order_by": order_by, "fill": fill, "limit": 1_000_000,
        });
        if let Some(from) = from {
            question["from"] = json!(anchor + from);
        }
        if let Some(span) = span {
            question["to"] = json!(anchor + from.unwrap_or(-1_500_000_000) + span);
        }
        question
    }
}
