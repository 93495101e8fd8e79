//! What questions say, what they may not say, and how they are told so.

#![allow(clippy::unwrap_used, reason = "a test says by failing what it did not expect")]

use emx::query::bucket::{Width, Zone};
use emx::query::filter::Filter;
use emx::query::question::{Fill, OrderColumn, OrderKey};
use emx::query::{QueryError, Question};
use storage::ask::{Metric, NumberTest, Permille, Predicate, WordTest};
use storage::row::{Dimension, Measure, Word};

/// `(code, pointer)` of everything that is wrong with `json`.
fn refusals<T>(result: Result<T, QueryError>) -> Vec<(String, String)> {
    match result {
        Ok(_) => Vec::new(),
        Err(error) if error.problems().is_empty() => vec![(error.code().into(), String::new())],
        Err(error) => {
            error.problems().iter().map(|p| (p.code.to_owned(), p.pointer.clone())).collect()
        }
    }
}

fn check(json: &str, wanted: &[(&str, &str)]) {
    let found = refusals(Question::from_json(json.as_bytes()));
    let found: Vec<_> = found.iter().map(|(c, p)| (c.as_str(), p.as_str())).collect();
    assert_eq!(found, wanted, "{json}");
}

#[test]
fn bad_questions_are_refused_where_they_are_bad() {
    for (json, code, pointer) in [
        // The document.
        ("", "invalid_json", ""),
        ("{", "invalid_json", ""),
        ("{} {}", "invalid_json", ""),
        (r#"{"limit": NaN}"#, "invalid_json", ""),
        ("[]", "wrong_type", ""),
        ("null", "wrong_type", ""),
        ("\"count\"", "wrong_type", ""),
        (r#"{"metric": ["count"]}"#, "unknown_key", "/metric"),
        (r#"{"a/b~c": 1}"#, "unknown_key", "/a~1b~0c"),
        (r#"{"limit": 1, "limit": 2}"#, "duplicate_key", "/limit"),
        // Times.
        (r#"{"from": "yesterday"}"#, "invalid_time", "/from"),
        (r#"{"from": "2026-03-01"}"#, "invalid_time", "/from"),
        (r#"{"to": "2026-03-01T00:00:00"}"#, "invalid_time", "/to"),
        (r#"{"from": "2026-02-30T00:00:00Z"}"#, "invalid_time", "/from"),
        (r#"{"from": "now-7d"}"#, "invalid_time", "/from"),
        (r#"{"from": 1.5}"#, "wrong_type", "/from"),
        (r#"{"from": true}"#, "wrong_type", "/from"),
        (r#"{"to": 253402300800000}"#, "out_of_range", "/to"),
        (r#"{"from": -9223372036854775808}"#, "out_of_range", "/from"),
        (r#"{"from": 5, "to": 5}"#, "empty_range", "/to"),
        (
            r#"{"from": "2026-03-02T00:00:00Z", "to": "2026-03-02T00:30:00+01:00"}"#,
            "empty_range",
            "/to",
        ),
        // Buckets, zone, fill, limit.
        (r#"{"bucket": "year"}"#, "unknown_bucket", "/bucket"),
        (r#"{"bucket": "Hour"}"#, "unknown_bucket", "/bucket"),
        (r#"{"bucket": 3600}"#, "wrong_type", "/bucket"),
        (r#"{"time_zone": "Mars/Olympus"}"#, "unknown_time_zone", "/time_zone"),
        (r#"{"time_zone": "+02:00"}"#, "unknown_time_zone", "/time_zone"),
        (r#"{"time_zone": ["UTC"]}"#, "wrong_type", "/time_zone"),
        (r#"{"fill": "previous"}"#, "unknown_fill", "/fill"),
        (r#"{"limit": 0}"#, "out_of_range", "/limit"),
        (r#"{"limit": -1}"#, "out_of_range", "/limit"),
        (r#"{"limit": 1000001}"#, "out_of_range", "/limit"),
        (r#"{"limit": "10"}"#, "wrong_type", "/limit"),
        (r#"{"limit": 10.5}"#, "wrong_type", "/limit"),
        // Groups.
        (r#"{"group_by": "team_id"}"#, "wrong_type", "/group_by"),
        (r#"{"group_by": [1]}"#, "wrong_type", "/group_by/0"),
        (r#"{"group_by": ["team"]}"#, "unknown_field", "/group_by/0"),
        (r#"{"group_by": ["labels."]}"#, "unknown_field", "/group_by/0"),
        (r#"{"group_by": ["team_id", "duration_ms"]}"#, "not_groupable", "/group_by/1"),
        (r#"{"group_by": ["values.x"]}"#, "not_groupable", "/group_by/0"),
        (r#"{"group_by": ["command_line"]}"#, "not_groupable", "/group_by/0"),
        (r#"{"group_by": ["id"]}"#, "not_groupable", "/group_by/0"),
        (r#"{"group_by": ["host", "host"]}"#, "duplicate_column", "/group_by/1"),
        // Metrics.
        (r#"{"metrics": []}"#, "empty_list", "/metrics"),
        (r#"{"metrics": {}}"#, "wrong_type", "/metrics"),
        (r#"{"metrics": [null]}"#, "wrong_type", "/metrics/0"),
        (r#"{"metrics": ["median"]}"#, "unknown_metric", "/metrics/0"),
        (r#"{"metrics": ["duration_ms"]}"#, "unknown_metric", "/metrics/0"),
        (r#"{"metrics": ["count", "p97(duration_ms)"]}"#, "unknown_function", "/metrics/1"),
        (r#"{"metrics": ["P95(duration_ms)"]}"#, "unknown_function", "/metrics/0"),
        (r#"{"metrics": ["sum"]}"#, "field_required", "/metrics/0"),
        (r#"{"metrics": ["count_distinct"]}"#, "field_required", "/metrics/0"),
        (r#"{"metrics": ["count(duration_ms)"]}"#, "no_field_allowed", "/metrics/0"),
        (r#"{"metrics": ["success_rate()"]}"#, "no_field_allowed", "/metrics/0"),
        (r#"{"metrics": ["sum()"]}"#, "unknown_field", "/metrics/0"),
        (r#"{"metrics": ["sum(tokens)"]}"#, "unknown_field", "/metrics/0"),
        (r#"{"metrics": ["p95(team_id)"]}"#, "not_a_number", "/metrics/0"),
        (r#"{"metrics": ["avg(labels.x)"]}"#, "not_a_number", "/metrics/0"),
        (r#"{"metrics": ["max(exit_code)"]}"#, "not_a_number", "/metrics/0"),
        (r#"{"metrics": ["count_distinct(duration_ms)"]}"#, "not_groupable", "/metrics/0"),
        (r#"{"metrics": ["count", "count"]}"#, "duplicate_column", "/metrics/1"),
        // Filters.
        (r#"{"filters": {"status": "failure"}}"#, "wrong_type", "/filters"),
        (r#"{"filters": ["status"]}"#, "wrong_type", "/filters/0"),
        (r#"{"filters": [{"op": "eq", "value": "x"}]}"#, "required", "/filters/0/field"),
        (r#"{"filters": [{"field": "host", "value": "x"}]}"#, "required", "/filters/0/op"),
        (r#"{"filters": [{"field": "host", "op": "eq"}]}"#, "required", "/filters/0/value"),
        (
            r#"{"filters": [{"field": "host", "op": "eq", "value": null}]}"#,
            "required",
            "/filters/0/value",
        ),
        (
            r#"{"filters": [{"field": "host", "op": "eq", "val": "x", "value": "x"}]}"#,
            "unknown_key",
            "/filters/0/val",
        ),
        (r#"{"filters": [{"field": 1, "op": "exists"}]}"#, "wrong_type", "/filters/0/field"),
        (
            r#"{"filters": [{"field": "hosts", "op": "exists"}]}"#,
            "unknown_field",
            "/filters/0/field",
        ),
        (
            r#"{"filters": [{"field": "ts", "op": "gt", "value": 5}]}"#,
            "unknown_field",
            "/filters/0/field",
        ),
        (
            r#"{"filters": [{"field": "host", "op": "like", "value": "x"}]}"#,
            "unknown_op",
            "/filters/0/op",
        ),
        (
            r#"{"filters": [{"field": "host", "op": "gt", "value": "x"}]}"#,
            "op_not_for_field",
            "/filters/0/op",
        ),
        (
            r#"{"filters": [{"field": "labels.a", "op": "lte", "value": "x"}]}"#,
            "op_not_for_field",
            "/filters/0/op",
        ),
        (
            r#"{"filters": [{"field": "duration_ms", "op": "prefix", "value": "1"}]}"#,
            "op_not_for_field",
            "/filters/0/op",
        ),
        (
            r#"{"filters": [{"field": "id", "op": "ne", "value": "a"}]}"#,
            "op_not_for_field",
            "/filters/0/op",
        ),
        (
            r#"{"filters": [{"field": "host", "op": "eq", "value": 5}]}"#,
            "wrong_type",
            "/filters/0/value",
        ),
        (
            r#"{"filters": [{"field": "host", "op": "eq", "value": ["x"]}]}"#,
            "wrong_type",
            "/filters/0/value",
        ),
        (
            r#"{"filters": [{"field": "host", "op": "in", "value": "x"}]}"#,
            "wrong_type",
            "/filters/0/value",
        ),
        (
            r#"{"filters": [{"field": "host", "op": "in", "value": []}]}"#,
            "empty_list",
            "/filters/0/value",
        ),
        (
            r#"{"filters": [{"field": "host", "op": "in", "value": ["a", 1]}]}"#,
            "wrong_type",
            "/filters/0/value/1",
        ),
        (
            r#"{"filters": [{"field": "host", "op": "exists", "value": "no"}]}"#,
            "wrong_type",
            "/filters/0/value",
        ),
        (
            r#"{"filters": [{"field": "status", "op": "eq", "value": "failed"}]}"#,
            "unknown_value",
            "/filters/0/value",
        ),
        (
            r#"{"filters": [{"field": "actor", "op": "in", "value": ["ci", "bot"]}]}"#,
            "unknown_value",
            "/filters/0/value/1",
        ),
        (
            r#"{"filters": [{"field": "duration_ms", "op": "gt", "value": "5"}]}"#,
            "wrong_type",
            "/filters/0/value",
        ),
        (
            r#"{"filters": [{"field": "exit_code", "op": "in", "value": [1, null]}]}"#,
            "wrong_type",
            "/filters/0/value/1",
        ),
        // Order.
        (r#"{"order_by": ["count"]}"#, "wrong_type", "/order_by/0"),
        (r#"{"order_by": [{"desc": true}]}"#, "required", "/order_by/0/key"),
        (r#"{"order_by": [{"key": "bucket"}]}"#, "unknown_order_key", "/order_by/0/key"),
        (r#"{"order_by": [{"key": "failure_count"}]}"#, "unknown_order_key", "/order_by/0/key"),
        (r#"{"order_by": [{"key": "count", "desc": "yes"}]}"#, "wrong_type", "/order_by/0/desc"),
        (r#"{"order_by": [{"key": "count", "dir": "asc"}]}"#, "unknown_key", "/order_by/0/dir"),
    ] {
        check(json, &[(code, pointer)]);
    }
}

#[test]
fn everything_wrong_is_told_at_once() {
    check(
        r#"{"from": "x", "bucket": "x", "metrics": ["x", "count", "p95(host)"], "limit": 0,
            "filters": [{"field": "x", "op": "y"}], "order_by": [{"key": "z"}]}"#,
        &[
            ("invalid_time", "/from"),
            ("unknown_bucket", "/bucket"),
            ("unknown_metric", "/metrics/0"),
            ("not_a_number", "/metrics/2"),
            ("unknown_field", "/filters/0/field"),
            ("unknown_op", "/filters/0/op"),
            ("out_of_range", "/limit"),
            ("unknown_order_key", "/order_by/0/key"),
        ],
    );
}

#[test]
fn lists_and_names_are_bounded() {
    let names = |n: usize, prefix: &str| -> String {
        let all: Vec<String> = (0..n).map(|n| format!("\"{prefix}{n}\"")).collect();
        all.join(",")
    };
    check(&format!(r#"{{"group_by": [{}]}}"#, names(16, "labels.")), &[]);
    check(&format!(r#"{{"group_by": [{}]}}"#, names(17, "labels.")), &[("too_many", "/group_by")]);
    let metrics = |n: usize| names(n, "sum(values.").replace("\",", ")\",");
    check(&format!(r#"{{"metrics": [{}]}}"#, metrics(65)), &[("too_many", "/metrics")]);
    let filter = r#"{"field": "host", "op": "exists"}"#;
    check(&format!(r#"{{"filters": [{}]}}"#, vec![filter; 64].join(",")), &[]);
    check(
        &format!(r#"{{"filters": [{}]}}"#, vec![filter; 65].join(",")),
        &[("too_many", "/filters")],
    );
    let many = format!(
        r#"{{"filters": [{{"field": "host", "op": "in", "value": [{}]}}]}}"#,
        names(10_001, "h")
    );
    check(&many, &[("too_many", "/filters/0/value")]);
    let order = r#"{"key": "count"}"#;
    check(
        &format!(r#"{{"order_by": [{}]}}"#, vec![order; 82].join(",")),
        &[("too_many", "/order_by")],
    );
    let long = "x".repeat(600);
    check(&format!(r#"{{"group_by": ["labels.{long}"]}}"#), &[("too_long", "/group_by/0")]);
    check(&format!(r#"{{"metrics": ["{long}"]}}"#), &[("too_long", "/metrics/0")]);
    let word = "x".repeat(16 * 1024 + 1);
    check(
        &format!(r#"{{"filters": [{{"field": "host", "op": "eq", "value": "{word}"}}]}}"#),
        &[("too_long", "/filters/0/value")],
    );
    let bad = format!(
        r#"{{"metrics": [{}], "group_by": [{}], "filters": [{}]}}"#,
        names(64, "m"),
        names(16, "g"),
        vec!["1"; 64].join(",")
    );
    assert_eq!(refusals(Question::from_json(bad.as_bytes())).len(), 100);
    let deep = "[".repeat(100_000);
    check(&deep, &[("invalid_json", "")]);
}

fn parse(json: &str) -> Question {
    Question::from_json(json.as_bytes()).unwrap()
}

fn word(dimension: Dimension, test: WordTest) -> Filter {
    Filter::Row(Predicate::Word(dimension, test))
}

fn words(words: &[&str]) -> Vec<Box<str>> {
    words.iter().map(|&word| word.into()).collect()
}

#[test]
fn an_empty_question_counts_everything() {
    let question = parse("{}");
    assert_eq!((question.from, question.to), (None, None));
    assert_eq!((question.bucket, question.fill, question.limit), (Width::None, Fill::None, 1000));
    assert_eq!(question.zone, Zone::utc());
    assert_eq!(question.metrics.len(), 1);
    assert_eq!(question.metrics[0].metric, Metric::Count);
    assert!(question.group_by.is_empty() && question.filters.is_empty());
    assert_eq!(question, parse(r#"{"from": null, "metrics": null, "filters": null}"#));
}

#[test]
fn the_contracts_example_is_understood() {
    let question = parse(
        r#"{"from": "2026-03-01T00:00:00Z", "to": "2026-04-01T00:00:00+02:00",
            "bucket": "day", "time_zone": "europe/berlin",
            "group_by": ["team_id", "labels.branch", "organization_id"],
            "metrics": ["command_count", "avg_execution_time", "success_rate", "p999(duration_ms)",
                        "sum(values.tokens)", "count_distinct(user_id)"],
            "filters": [{"field": "status", "op": "eq", "value": "failure"}],
            "order_by": [{"key": "count", "desc": true}, {"key": "avg(duration_ms)"},
                         {"key": "labels.branch"}, {"key": "bucket", "desc": false},
                         {"key": "command_count"}],
            "limit": 1000000, "fill": "null"}"#,
    );
    assert_eq!(question.from, Some(1_772_323_200_000));
    assert_eq!(question.to, Some(1_774_994_400_000));
    assert_eq!(question.zone.name(), "Europe/Berlin");
    let groups: Vec<_> = question.group_by.iter().map(|c| c.dimension.clone()).collect();
    assert_eq!(
        groups,
        [Some(Dimension::Word(Word::Team)), Some(Dimension::Label("branch".into())), None]
    );
    let metrics: Vec<_> = question.metrics.iter().map(|c| c.metric.clone()).collect();
    assert_eq!(
        metrics,
        [
            Metric::Count,
            Metric::Avg(Measure::Duration),
            Metric::SuccessRate,
            Metric::Quantile(Measure::Duration, Permille(999)),
            Metric::Sum(Measure::Value("tokens".into())),
            Metric::CountDistinct(Dimension::Word(Word::User)),
        ]
    );
    assert_eq!(question.filters, [word(Dimension::Status, WordTest::In(words(&["failure"])))]);
    let key = |column, desc| OrderKey { column, desc };
    assert_eq!(
        question.order_by,
        [
            key(OrderColumn::Metric(0), true),
            key(OrderColumn::Metric(1), false),
            key(OrderColumn::Group(1), false),
            key(OrderColumn::Bucket, false),
        ]
    );
    assert_eq!((question.limit, question.fill), (1_000_000, Fill::Null));
}

fn filter(field: &str, op: &str, value: &str) -> Filter {
    let json =
        format!(r#"{{"filters": [{{"field": "{field}", "op": "{op}", "value": {value}}}]}}"#);
    parse(&json).filters.remove(0)
}

#[test]
fn filters_become_predicates() {
    let host = || Dimension::Word(Word::Host);
    let branch = || Dimension::Label("branch".into());
    let number = |measure, test| Filter::Row(Predicate::Number(measure, test));
    let above = |bound, or_equal| NumberTest::Above { bound, or_equal };
    let below = |bound, or_equal| NumberTest::Below { bound, or_equal };
    for (field, op, value, wanted) in [
        ("host", "eq", "\"a\"", word(host(), WordTest::In(words(&["a"])))),
        ("host", "ne", "\"\"", word(host(), WordTest::NotIn(words(&[""])))),
        ("host", "in", r#"["b","a","b"]"#, word(host(), WordTest::In(words(&["a", "b"])))),
        ("labels.branch", "prefix", "\"re\"", word(branch(), WordTest::Prefix("re".into()))),
        ("labels.branch", "exists", "true", word(branch(), WordTest::Present)),
        ("labels.branch", "exists", "false", word(branch(), WordTest::Absent)),
        ("labels.branch", "exists", "null", word(branch(), WordTest::Present)),
        ("duration_ms", "eq", "1.001", number(Measure::Duration, NumberTest::In(vec![1001.0]))),
        ("duration_ms", "ne", "-0.0", number(Measure::Duration, NumberTest::NotIn(vec![0.0]))),
        ("duration_ms", "gt", "0.0005", number(Measure::Duration, above(0.5, false))),
        ("duration_ms", "gte", "1000000000000", number(Measure::Duration, above(1e15, true))),
        ("duration_ms", "lt", "3", number(Measure::Duration, below(3000.0, false))),
        ("values.x", "lte", "2.5", number(Measure::Value("x".into()), below(2.5, true))),
        ("values.x", "exists", "false", number(Measure::Value("x".into()), NumberTest::Absent)),
        ("exit_code", "in", "[2,1,2]", number(Measure::ExitCode, NumberTest::In(vec![1.0, 2.0]))),
        ("id", "eq", "\"a\"", Filter::Row(Predicate::IdIn(words(&["a"])))),
        ("id", "in", r#"["b","a"]"#, Filter::Row(Predicate::IdIn(words(&["a", "b"])))),
        ("organization_id", "ne", "\"t\"", Filter::Organization(WordTest::NotIn(words(&["t"])))),
    ] {
        assert_eq!(filter(field, op, value), wanted, "{field} {op} {value}");
    }
}

#[test]
fn the_canonical_text_ignores_the_order_of_filters_and_nothing_else() {
    let a = r#"{"field": "host", "op": "eq", "value": "a"}"#;
    let b = r#"{"field": "status", "op": "in", "value": ["success", "failure"]}"#;
    let b2 = r#"{"field": "status", "op": "in", "value": ["failure", "success", "failure"]}"#;
    let text = |filters: &str, rest: &str| {
        parse(&format!(r#"{{"filters": [{filters}] {rest}}}"#)).canonical()
    };
    assert_eq!(text(&format!("{a},{b}"), ""), text(&format!("{b2},{a},{a}"), ""));
    let mut all = vec![
        text("", ""),
        text(a, ""),
        text(b, ""),
        text(&format!("{a},{b}"), ""),
        text("", r#","limit": 999"#),
        text("", r#","fill": "zero""#),
        text("", r#","bucket": "day""#),
        text("", r#","time_zone": "Asia/Kolkata""#),
        text("", r#","from": 0"#),
        text("", r#","to": 0"#),
        text("", r#","metrics": ["command_count"]"#),
        text("", r#","group_by": ["host"]"#),
        text("", r#","group_by": ["labels.host"]"#),
        text("", r#","order_by": [{"key": "count"}]"#),
        text("", r#","order_by": [{"key": "count", "desc": true}]"#),
    ];
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
}
