//! Executions that are none, alone and in batches.

use crate::peer::Ask;
use crate::world::{World, row};

#[test]
fn one_execution() {
    let mut world = World::new();
    let json =
        |name: &str, body: &str, code: &'static str| row(name, world.execution(body), 400, code);
    let rows = [
        json("nothing", "", "empty_body"),
        json("white space", " \n ", "empty_body"),
        json("cut short", r#"{"command":"x""#, "invalid_json"),
        json("no value", r#"{"command":}"#, "invalid_json"),
        json("a comma too many", r#"{"command":"x",}"#, "invalid_json"),
        json("single quotes", "{'command':'x'}", "invalid_json"),
        json("something behind it", r#"{"command":"x"} {}"#, "invalid_json"),
        json("NaN", r#"{"command":"x","duration_ms":NaN}"#, "invalid_json"),
        json("Infinity", r#"{"command":"x","duration_ms":-Infinity}"#, "invalid_json"),
        json("a leading zero", r#"{"command":"x","duration_ms":01}"#, "invalid_json"),
        json("a raw line end", "{\"command\":\"a\nb\"}", "invalid_json"),
    ];
    world.check(rows);
    let field = |name: &str, fields: &str, code: &'static str, pointer: &str| {
        let body = format!(r#"{{"command":"x",{fields}}}"#);
        row(name, world.execution(&body), 422, code).at(&[pointer])
    };
    let long = |bytes: usize| "a".repeat(bytes);
    let entries = |count: usize, value: &str| {
        let entries: Vec<String> = (0..count).map(|n| format!(r#""k{n}":{value}"#)).collect();
        format!("{{{}}}", entries.join(","))
    };
    let rows = [
        field("a duration of text", r#""duration_ms":"1""#, "wrong_type", "/duration_ms"),
        field("a negative duration", r#""duration_ms":-1"#, "out_of_range", "/duration_ms"),
        field(
            "a duration of ages",
            r#""duration_ms":1000000000001"#,
            "out_of_range",
            "/duration_ms",
        ),
        field("a huge number", r#""duration_ms":1e400"#, "out_of_range", "/duration_ms"),
        field(
            "a number of 5,000 digits",
            &format!(r#""duration_ms":{}"#, "9".repeat(5000)),
            "out_of_range",
            "/duration_ms",
        ),
        field("a broken exit code", r#""exit_code":1.5"#, "wrong_type", "/exit_code"),
        field(
            "a huge exit code",
            r#""exit_code":99999999999999999999"#,
            "out_of_range",
            "/exit_code",
        ),
        field("a day that is none", r#""ts":"2026-02-30T00:00:00Z""#, "invalid_time", "/ts"),
        field("a time without offset", r#""ts":"2026-02-03T00:00:00""#, "invalid_time", "/ts"),
        field("a time with a fraction", r#""ts":1.5"#, "wrong_type", "/ts"),
        field("a time of truth", r#""ts":true"#, "wrong_type", "/ts"),
        field("no such status", r#""status":"done""#, "invalid_value", "/status"),
        field("no such actor", r#""actor":"robot""#, "invalid_value", "/actor"),
        field("a long id", &format!(r#""id":"{}""#, long(129)), "too_long", "/id"),
        field("a long word", &format!(r#""host":"{}""#, long(257)), "too_long", "/host"),
        field(
            "a long text",
            &format!(r#""error":"{}""#, long((16 << 10) + 1)),
            "too_long",
            "/error",
        ),
        field("an id with NUL", r#""id":"a\u0000b""#, "control_character", "/id"),
        field("half a character", r#""host":"\ud800""#, "invalid_unicode", "/host"),
        field("a list of labels", r#""labels":[]"#, "wrong_type", "/labels"),
        field("a label of number", r#""labels":{"a/b":1}"#, "wrong_type", "/labels/a~1b"),
        field(
            "33 labels",
            &format!(r#""labels":{}"#, entries(33, "\"v\"")),
            "too_many_entries",
            "/labels",
        ),
        field(
            "33 values",
            &format!(r#""values":{}"#, entries(33, "1")),
            "too_many_entries",
            "/values",
        ),
        field("a value of text", r#""values":{"a":"1"}"#, "wrong_type", "/values/a"),
        field("a huge value", r#""values":{"a":1e999}"#, "out_of_range", "/values"),
        field("the same field twice", r#""host":"a","host":"b""#, "duplicate_key", "/host"),
        field(
            "the same label twice",
            r#""labels":{"a":"1","a":"2"}"#,
            "duplicate_key",
            "/labels/a",
        ),
        field(
            "too deep",
            &format!(r#""x":{}{}"#, "[".repeat(10_000), "]".repeat(10_000)),
            "too_deep",
            "",
        ),
        row("no command", world.execution("{}"), 422, "required").at(&["/command"]),
        row("an empty command", world.execution(r#"{"command":""}"#), 422, "required")
            .at(&["/command"]),
        row("two faults", world.execution(r#"{"command":1,"ts":"x"}"#), 422, "wrong_type")
            .at(&["/command", "/ts"]),
        row("a list", world.execution(r#"[{"command":"x"}]"#), 422, "wrong_type").at(&[""]),
        row("a text", world.execution(r#""x""#), 422, "wrong_type").at(&[""]),
        row("null", world.execution("null"), 422, "wrong_type").at(&[""]),
    ];
    world.check(rows);
    let packed = |bytes: &[u8]| world.post("/api/v1/executions").body("application/msgpack", bytes);
    let rows = [
        row(
            "no UTF-8",
            world
                .post("/api/v1/executions")
                .body("application/json", &b"{\"command\":\"\xff\"}"[..]),
            400,
            "invalid_utf8",
        ),
        row(
            "UTF-16",
            world.post("/api/v1/executions").body("application/json", &b"\xff\xfe{\0}\0"[..]),
            400,
            "invalid_utf8",
        ),
        row("no MessagePack", packed(b"\xc1"), 400, "invalid_messagepack"),
        row("MessagePack cut short", packed(b"\x81\xa7comm"), 400, "invalid_messagepack"),
        row(
            "a map of four billion",
            packed(b"\xdf\xff\xff\xff\xff\xa1a\xa1b"),
            400,
            "invalid_messagepack",
        ),
        row(
            "a text of four billion",
            packed(b"\x81\xa7command\xdb\xff\xff\xff\xffx"),
            400,
            "invalid_messagepack",
        ),
        row(
            "NaN in MessagePack",
            packed(b"\x82\xa7command\xa1x\xabduration_ms\xcb\x7f\xf8\0\0\0\0\0\0"),
            422,
            "not_finite",
        )
        .at(&["/duration_ms"]),
    ];
    world.check(rows);
    // What nobody knows is ignored, and said.
    let ask =
        world.execution(r#"{"command":"x","tenant_id":"acme","org":"acme","nested":{"a":[1]}}"#);
    let answer = world.accept(&ask, 1, 0).json();
    let warned: Vec<&str> = answer["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|w| w["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(warned, ["/tenant_id", "/org", "/nested"], "{answer}");
    // What cannot be true is kept outside of everything.
    for ts in ["2226-01-01T00:00:00Z", "1969-12-31T23:59:59Z"] {
        let ask = world.execution(&format!(r#"{{"command":"x","ts":"{ts}"}}"#));
        assert_eq!(world.accept(&ask, 0, 1).json()["outcome"], "quarantined");
    }
    world.finish();
}

#[test]
fn batches() {
    let mut world = World::new();
    let post = |query: &str| world.post(&format!("/api/v1/executions/batch{query}"));
    let lines = |query: &str, text: &str| post(query).body("application/x-ndjson", text);
    let good = r#"{"command":"x"}"#;
    let middle = format!("{good}\n{{\"command\":5}}\n{good}\n");
    let unreadable = format!("{good}\n{{\"command\":\n{good}\n");
    let future = format!("{good}\n{{\"command\":\"x\",\"ts\":\"2226-01-01T00:00:00Z\"}}\n");
    let refused =
        |name: &str, ask: Ask, pointers: &[&str]| row(name, ask, 422, "batch_refused").at(pointers);
    let many = vec![r#"{"command":1}"#; 150].join("\n");
    let hundred: Vec<String> = (0..100).map(|n| format!("/{n}/command")).collect();
    let hundred: Vec<&str> = hundred.iter().map(String::as_str).collect();
    let rows = [
        row("an array cut short", post("").json(&format!("[{good},{good}")), 400, "invalid_json"),
        row("an array and more", post("").json(&format!("[{good}]{good}")), 400, "invalid_json"),
        row("atomic, perhaps", lines("?atomic=perhaps", good), 422, "invalid_value")
            .at(&["/atomic"])
            .closes(),
        row("another parameter", lines("?dry_run=true", good), 422, "unknown_field")
            .at(&["/dry_run"])
            .closes(),
        refused("atomic, a bad row in the middle", lines("?atomic=true", &middle), &["/1/command"]),
        refused("atomic, a line that is none", lines("?atomic=true", &unreadable), &["/1"]),
        refused("atomic, a row of the future", lines("?atomic=1", &future), &["/1/ts"]),
        refused(
            "atomic, a bad row in an array",
            post("?atomic=true").json(&format!("[{good},{{}},{good}]")),
            &["/1/command"],
        ),
        refused("atomic, 150 bad rows", lines("?atomic=true", &many), &hundred),
    ];
    world.check(rows);
    let lines =
        |text: &str| world.post("/api/v1/executions/batch").body("application/x-ndjson", text);
    let (middle, unreadable, future, many) =
        (lines(&middle), lines(&unreadable), lines(&future), lines(&many));
    // A batch of nothing is one, and a value that is no object is a row that is none.
    for (body, rejected) in [("", 0), ("[]", 0), ("7", 1), ("[7,null]", 2)] {
        let media_type = if body.is_empty() { "application/x-ndjson" } else { "application/json" };
        let ask = world.post("/api/v1/executions/batch").body(media_type, body);
        assert_eq!(world.accept(&ask, 0, 0).json()["rejected"], rejected, "{body}");
    }
    let report = world.accept(&middle, 2, 0).json();
    assert_eq!((&report["accepted"], &report["rejected"]), (&2.into(), &1.into()), "{report}");
    assert_eq!(
        (&report["errors"][0]["index"], &report["errors"][0]["pointer"]),
        (&1.into(), &"/command".into())
    );
    let report = world.accept(&unreadable, 2, 0).json();
    assert_eq!(
        (&report["errors"][0]["index"], &report["errors"][0]["code"]),
        (&1.into(), &"invalid_json".into())
    );
    let report = world.accept(&future, 1, 1).json();
    assert_eq!(
        (&report["quarantined"], &report["errors"][0]["code"]),
        (&1.into(), &"ts_in_future".into())
    );
    let report = world.accept(&many, 0, 0).json();
    assert_eq!(
        (&report["rejected"], report["errors"].as_array().unwrap().len()),
        (&150.into(), 100)
    );
    world.finish();
}
