//! Questions, lists and exports.

use crate::world::{World, row};

#[test]
fn questions() {
    let mut world = World::new();
    let ask = |body: &str| world.post("/api/v1/query").json(body);
    let bad = |fields: &str, code: &'static str, pointer: &str| {
        let body = format!(r#"{{"metrics":["count"]{fields}}}"#);
        row(fields, ask(&body), 422, code).at(&[pointer])
    };
    let metrics = |metrics: &str, code: &'static str, pointer: &str| {
        row(metrics, ask(&format!(r#"{{"metrics":{metrics}}}"#)), 422, code).at(&[pointer])
    };
    let rows = [
        row("nothing", ask(""), 400, "invalid_json"),
        row("cut short", ask(r#"{"metrics":["#), 400, "invalid_json"),
        row("NaN", ask(r#"{"metrics":["count"],"limit":NaN}"#), 400, "invalid_json"),
        row(
            "deep",
            ask(&format!(r#"{{"metrics":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000))),
            400,
            "invalid_json",
        ),
        row("a list", ask("[]"), 422, "wrong_type").at(&[""]),
        metrics("[]", "empty_list", "/metrics"),
        metrics("5", "wrong_type", "/metrics"),
        metrics("[5]", "wrong_type", "/metrics/0"),
        metrics(r#"["count","median"]"#, "unknown_metric", "/metrics/1"),
        metrics(r#"["sum(host)"]"#, "not_a_number", "/metrics/0"),
        metrics(r#"["count","count"]"#, "duplicate_column", "/metrics/1"),
        bad(r#","from":"then""#, "invalid_time", "/from"),
        bad(r#","from":5,"to":5"#, "empty_range", "/to"),
        bad(r#","bucket":"minute""#, "unknown_bucket", "/bucket"),
        bad(r#","time_zone":"Mars/Base""#, "unknown_time_zone", "/time_zone"),
        bad(r#","fill":"blue""#, "unknown_fill", "/fill"),
        bad(r#","group_by":"host""#, "wrong_type", "/group_by"),
        bad(r#","group_by":["shoe_size"]"#, "unknown_field", "/group_by/0"),
        bad(r#","limit":0"#, "out_of_range", "/limit"),
        bad(r#","limit":1000001"#, "out_of_range", "/limit"),
        bad(r#","limit":1.5"#, "wrong_type", "/limit"),
        bad(r#","limit":"5""#, "wrong_type", "/limit"),
        bad(r#","colour":"blue""#, "unknown_key", "/colour"),
        bad(r#","limit":5,"limit":6"#, "duplicate_key", "/limit"),
        bad(r#","filters":{}"#, "wrong_type", "/filters"),
        bad(r#","filters":[{"field":"host"}]"#, "required", "/filters/0/op"),
        bad(
            r#","filters":[{"field":"host","op":"like","value":"x"}]"#,
            "unknown_op",
            "/filters/0/op",
        ),
        bad(
            r#","filters":[{"field":"shoe","op":"eq","value":"x"}]"#,
            "unknown_field",
            "/filters/0/field",
        ),
        bad(
            r#","filters":[{"field":"status","op":"eq","value":"odd"}]"#,
            "unknown_value",
            "/filters/0/value",
        ),
        bad(
            r#","filters":[{"field":"host","op":"gt","value":"x"}]"#,
            "op_not_for_field",
            "/filters/0/op",
        ),
        bad(
            r#","filters":[{"field":"host","op":"eq","value":5}]"#,
            "wrong_type",
            "/filters/0/value",
        ),
        bad(r#","order_by":[{"key":"host"}]"#, "unknown_order_key", "/order_by/0/key"),
        row("two faults", ask(r#"{"metrics":["x"],"limit":0}"#), 422, "invalid_question")
            .at(&["/metrics/0", "/limit"]),
    ];
    world.check(rows);
    let get = |query: &str, code: &'static str, pointer: &str| {
        let ask = world.get(&format!("/api/v1/query?{query}"));
        row(query, ask, 422, code).at(&[pointer])
    };
    let many = format!("/api/v1/query?{}", "filter=host%3Da&".repeat(257));
    let rows = [
        get("metrics=count&limit=0", "out_of_range", "/limit"),
        get("metrics=count&limit=5&limit=6", "duplicate_key", "/limit"),
        get("metrics=count&colour=blue", "unknown_key", "/colour"),
        get("metrics=count&from=yesterday", "invalid_time", "/from"),
        get("metrics=count&filter=status", "required", "/filters/0/op"),
        get("metrics=count&filter=%7B", "invalid_json", "/filters/0"),
        row("257 parameters", world.get(&many), 400, "too_many_parameters"),
    ];
    world.check(rows);
    world.finish();
}

#[test]
fn lists_and_exports() {
    let mut world = World::new();
    let three = world
        .post("/api/v1/executions/batch")
        .body("application/x-ndjson", "{\"command\":\"x\"}\n".repeat(3));
    world.accept(&three, 3, 0);
    let page = world.server.ask(&world.get("/api/v1/executions?limit=1")).json();
    let cursor = page["next_cursor"].as_str().unwrap().to_owned();
    let list = |list: &str, query: &str, code: &'static str, pointer: &str| {
        let target = format!("/api/v1/{list}?{query}");
        row(&target, world.get(&target), 422, code).at(&[pointer])
    };
    let rows = [
        list("executions", "limit=0", "out_of_range", "/limit"),
        list("executions", "limit=10001", "out_of_range", "/limit"),
        list("executions", "limit=-1", "out_of_range", "/limit"),
        list("executions", "limit=ten", "wrong_type", "/limit"),
        list("executions", "limit=1&limit=2", "duplicate_key", "/limit"),
        list("executions", "offset=5", "unknown_key", "/offset"),
        list("executions", "cursor=nonsense", "bad_cursor", "/cursor"),
        list("executions", &format!("cursor={cursor}&filter=host%3Da"), "bad_cursor", "/cursor"),
        list("executions", &format!("cursor={cursor}&from_seq=1"), "bad_cursor", "/cursor"),
        list("executions", &format!("cursor={cursor}A"), "bad_cursor", "/cursor"),
        list("executions", "from_seq=x", "wrong_type", "/from_seq"),
        list("executions", "from_seq=5&to_seq=4", "empty_range", "/to_seq"),
        list("executions", "from=now", "invalid_time", "/from"),
        list("executions/x", "ts=now", "invalid_time", "/ts"),
        list("executions/x", "limit=1", "unknown_field", "/limit"),
        list("quarantine", "limit=0", "out_of_range", "/limit"),
        list("quarantine", "limit=1001", "out_of_range", "/limit"),
        list("quarantine", "limit=x", "wrong_type", "/limit"),
        list("quarantine", &format!("cursor={cursor}"), "invalid_cursor", "/cursor"),
        list("quarantine", "colour=blue", "unknown_field", "/colour"),
        list("api-keys", "limit=1001", "out_of_range", "/limit"),
        list("api-keys", &format!("cursor={cursor}"), "invalid_cursor", "/cursor"),
        list("api-keys", "colour=blue", "unknown_field", "/colour"),
        list("export", "format=xlsx", "invalid_value", "/format"),
        list("export", "colour=blue", "unknown_key", "/colour"),
        list("export", &format!("cursor={cursor}"), "not_here", "/cursor"),
        list("export", "from_seq=1", "not_here", "/cursor"),
        list("export", "from=5&to=4", "empty_range", "/to"),
    ];
    world.check(rows);
    // The other tenant's list did not give this cursor.
    let ask = crate::peer::Ask::get(&format!("/api/v1/executions?cursor={cursor}"))
        .bearer(&world.other_key);
    world.check([row("a cursor of another tenant", ask, 422, "bad_cursor").at(&["/cursor"])]);
    world.finish();
}
