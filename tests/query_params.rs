//! Questions as parameters: what they say, and how they are refused.

#![allow(clippy::unwrap_used, reason = "a test says by failing what it did not expect")]

use emx::query::rows::RowsQuestion;
use emx::query::{QueryError, Question};

/// `(code, pointer)` of everything that is wrong with what was asked.
fn refusals<T>(result: Result<T, QueryError>) -> Vec<(String, String)> {
    match result {
        Ok(_) => Vec::new(),
        Err(error) if error.problems().is_empty() => vec![(error.code().into(), String::new())],
        Err(error) => {
            error.problems().iter().map(|p| (p.code.to_owned(), p.pointer.clone())).collect()
        }
    }
}

fn parse(json: &str) -> Question {
    Question::from_json(json.as_bytes()).unwrap()
}

fn from_params(pairs: &[(&str, &str)]) -> Result<Question, QueryError> {
    Question::from_params(pairs.iter().copied())
}

#[test]
fn parameters_ask_the_same_as_json() {
    let json = parse(
        r#"{"from": "2026-03-01T00:00:00Z", "to": 1774994400000, "bucket": "week",
            "time_zone": "Asia/Kathmandu", "group_by": ["team_id", "labels.branch", "labels.a,b"],
            "metrics": ["count", "p95(duration_ms)", "sum(values.a,b)"],
            "filters": [{"field": "status", "op": "in", "value": ["failure", "timeout"]},
                        {"field": "labels.k8s:app", "op": "eq", "value": "a:eq:b"},
                        {"field": "labels.branch", "op": "exists"},
                        {"field": "labels.tag", "op": "exists", "value": false},
                        {"field": "duration_ms", "op": "gte", "value": 1.5},
                        {"field": "labels.c", "op": "eq", "value": "5"},
                        {"field": "host", "op": "eq", "value": ""},
                        {"field": "labels.x:eq:y", "op": "in", "value": ["1,5", "2"]}],
            "order_by": [{"key": "count", "desc": true}, {"key": "team_id"},
                         {"key": "p95(duration_ms)"}],
            "limit": 50, "fill": "zero"}"#,
    );
    let params = from_params(&[
        ("from", "2026-03-01T00:00:00Z"),
        ("to", "1774994400000"),
        ("bucket", "week"),
        ("time_zone", "Asia/Kathmandu"),
        ("group_by", "team_id,labels.branch"),
        ("group_by", r#"["labels.a,b"]"#),
        ("metrics", "count,p95(duration_ms)"),
        ("metric", "sum(values.a,b)"),
        ("filter", "status:in:failure,timeout"),
        ("filter", "labels.k8s:app:eq:a:eq:b"),
        ("filters", "labels.branch:exists"),
        ("filter", "labels.tag:exists:false"),
        ("filter", "duration_ms:gte:1.5"),
        ("filter", "labels.c:eq:5"),
        ("filter", "host:eq:"),
        ("filter", r#"{"field": "labels.x:eq:y", "op": "in", "value": ["1,5", "2"]}"#),
        ("order_by", "count:desc,team_id:asc"),
        ("order_by", r#"{"key": "p95(duration_ms)"}"#),
        ("limit", "50"),
        ("fill", "zero"),
    ]);
    assert_eq!(params.unwrap(), json);
}

#[test]
fn conditions_can_be_written_with_signs() {
    for (short, long) in [
        ("status=failure", "status:eq:failure"),
        ("team_id!=web", "team_id:ne:web"),
        ("team_id!=", "team_id:ne:"),
        ("duration_ms>=1000", "duration_ms:gte:1000"),
        ("exit_code=1", "exit_code:eq:1"),
        ("values.tokens>1000", "values.tokens:gt:1000"),
        ("values.tokens<=-0.5", "values.tokens:lte:-0.5"),
        ("command^=cargo", "command:prefix:cargo"),
        ("command^=a=b", "command:prefix:a=b"),
        ("labels.k8s:app=x:y", "labels.k8s:app:eq:x:y"),
        ("labels.a-b/c d!=e", "labels.a-b/c d:ne:e"),
        ("labels.a^b!c=d", "labels.a^b!c:eq:d"),
        ("host=a:eq:b", r#"{"field":"host","op":"eq","value":"a:eq:b"}"#),
        ("host:in:a=1, b", r#"{"field":"host","op":"in","value":["a=1","b"]}"#),
        ("labels.n=5", r#"{"field":"labels.n","op":"eq","value":"5"}"#),
    ] {
        let ask = |condition| from_params(&[("filter", condition)]).unwrap();
        assert_eq!(ask(short), ask(long), "{short}");
    }
    let spaced =
        from_params(&[("group_by", "host, team_id"), ("metrics", "count, p50(duration_ms)")]);
    let plain = from_params(&[("group_by", "host,team_id"), ("metrics", "count,p50(duration_ms)")]);
    assert_eq!(spaced.unwrap(), plain.unwrap());
}

#[test]
fn bad_parameters_are_refused_with_the_pointers_of_json() {
    for (pairs, code, pointer) in [
        (&[("limits", "5")][..], "unknown_key", "/limits"),
        (&[("limit", "5"), ("limit", "6")], "duplicate_key", "/limit"),
        (&[("limit", "five")], "wrong_type", "/limit"),
        (&[("from", "")], "invalid_time", "/from"),
        (&[("metrics", "")], "empty_list", "/metrics"),
        (&[("metrics", "count"), ("metrics", "x")], "unknown_metric", "/metrics/1"),
        (&[("group_by", "[\"host\"")], "invalid_json", "/group_by/0"),
        (&[("filter", "status")], "required", "/filters/0/op"),
        (&[("filter", "status:like:x")], "unknown_op", "/filters/0/op"),
        (&[("filter", "status:eq")], "required", "/filters/0/value"),
        (
            &[("filter", "host:exists"), ("filter", "status:eq:x")],
            "unknown_value",
            "/filters/1/value",
        ),
        (&[("filter", "duration_ms:gt:fast")], "wrong_type", "/filters/0/value"),
        (&[("filter", "duration_ms:gt:inf")], "wrong_type", "/filters/0/value"),
        (&[("filter", "duration_ms:eq:NaN")], "wrong_type", "/filters/0/value"),
        (&[("filter", "labels.a:exists:perhaps")], "wrong_type", "/filters/0/value"),
        (&[("filter", "duration_ms>fast")], "wrong_type", "/filters/0/value"),
        (&[("order_by", "x:desc")], "unknown_order_key", "/order_by/0/key"),
    ] {
        let found = refusals(from_params(pairs));
        let found: Vec<_> = found.iter().map(|(c, p)| (c.as_str(), p.as_str())).collect();
        let wanted = [(code, pointer)];
        assert_eq!(found, wanted, "{pairs:?}");
    }
}

#[test]
fn bad_row_questions_are_refused() {
    for (pairs, code, pointer) in [
        (&[("limit", "10001")][..], "out_of_range", "/limit"),
        (&[("metrics", "count")], "unknown_key", "/metrics"),
        (&[("from_seq", "-1")], "out_of_range", "/from_seq"),
        (&[("from_seq", "x")], "wrong_type", "/from_seq"),
        (&[("from_seq", "5"), ("to_seq", "4")], "empty_range", "/to_seq"),
        (&[("from", "5"), ("to", "4")], "empty_range", "/to"),
        (&[("filter", "status:gt:x")], "op_not_for_field", "/filters/0/op"),
    ] {
        let found = refusals(RowsQuestion::from_params(pairs.iter().copied()));
        assert_eq!(found, [(code.to_owned(), pointer.to_owned())], "{pairs:?}");
    }
}
