//! What is wrong inside a row.

use super::support::arrival;
use super::table::{Expected::Rows, LIMITS, LINES, ONE, table, with};
use emx::intake::decode::decode;
use storage::row::Word;

#[test]
fn values_of_wrong_types_are_told_by_their_pointers() {
    let mut t = table();
    t.line("nothing wrong", &with(r#""ts":1772323200000,"duration_ms":1.5,"exit_code":0"#), &[]);
    t.line("nulls are absent", &with(r#""ts":null,"id":null,"labels":null,"status":null"#), &[]);
    t.line(
        "a string for a number",
        &with(r#""duration_ms":"5""#),
        &[("wrong_type", "/duration_ms")],
    );
    t.line("a boolean for a number", &with(r#""exit_code":true"#), &[("wrong_type", "/exit_code")]);
    t.line(
        "a fraction for an integer",
        &with(r#""exit_code":1.5"#),
        &[("wrong_type", "/exit_code")],
    );
    t.line("a whole double is an integer", &with(r#""exit_code":2.0"#), &[]);
    t.line("a number for a word", &with(r#""host":7"#), &[("wrong_type", "/host")]);
    t.line("an object for a word", &with(r#""user_id":{"a":1}"#), &[("wrong_type", "/user_id")]);
    t.line("an array for an id", &with(r#""id":["a"]"#), &[("wrong_type", "/id")]);
    t.line("a number for the command", r#"{"command":5}"#, &[("wrong_type", "/command")]);
    t.line("a fraction for a time", &with(r#""ts":1.5"#), &[("wrong_type", "/ts")]);
    t.line("a boolean for a time", &with(r#""ts":false"#), &[("wrong_type", "/ts")]);
    t.line("an array for labels", &with(r#""labels":[1]"#), &[("wrong_type", "/labels")]);
    t.line("a string for values", &with(r#""values":"x""#), &[("wrong_type", "/values")]);
    t.line(
        "a number for a label",
        &with(r#""labels":{"a/b":1}"#),
        &[("wrong_type", "/labels/a~1b")],
    );
    t.line("a string for a value", &with(r#""values":{"v":"1"}"#), &[("wrong_type", "/values/v")]);
    t.line("an array for a row", "[1]", &[("wrong_type", "")]);
    t.line("a number for a row", "5", &[("wrong_type", "")]);
    t.line("null for a row", "null", &[("wrong_type", "")]);
    t.line(
        "every offending field is told",
        r#"{"host":1,"duration_ms":-1,"status":"bad"}"#,
        &[
            ("wrong_type", "/host"),
            ("out_of_range", "/duration_ms"),
            ("invalid_value", "/status"),
            ("required", "/command"),
        ],
    );
}

#[test]
fn numbers_out_of_their_range_are_rejected() {
    let mut t = table();
    t.line("the longest duration", &with(r#""duration_ms":1000000000000"#), &[]);
    let over = [("out_of_range", "/duration_ms")];
    t.line("a longer duration", &with(r#""duration_ms":1000000000001"#), &over);
    t.line("a longer fraction", &with(r#""duration_ms":1000000000000.5"#), &over);
    t.line("a negative duration", &with(r#""duration_ms":-0.001"#), &over);
    t.line("a negative integer", &with(r#""duration_ms":-1"#), &over);
    t.line("minus zero", &with(r#""duration_ms":-0.0"#), &[]);
    t.line("beyond doubles", &with(r#""duration_ms":1e400"#), &over);
    t.line(
        "a value beyond doubles",
        &with(r#""values":{"v":1e400}"#),
        &[("out_of_range", "/values")],
    );
    t.line("beyond doubles where nobody looks", &with(r#""new":1e400"#), &[]);
    t.line(
        "an exit code beyond 64 bits",
        &with(r#""exit_code":9223372036854775808"#),
        &[("out_of_range", "/exit_code")],
    );
    t.line(
        "no exit code",
        &with(r#""exit_code":-9223372036854775808"#),
        &[("out_of_range", "/exit_code")],
    );
    t.line(
        "a time beyond 64 bits",
        &with(r#""ts":18446744073709551615"#),
        &[("out_of_range", "/ts")],
    );
    t.line("NaN is no JSON", &with(r#""duration_ms":NaN"#), &[("invalid_json", "")]);
    t.line("a leading zero is no JSON", &with(r#""duration_ms":01"#), &[("invalid_json", "")]);
}

#[test]
fn times_are_read_or_refused() {
    let mut t = table();
    t.line("with an offset", &with(r#""ts":"2026-02-28T23:59:59.9999+05:45""#), &[]);
    for (name, ts) in [
        ("no offset", "2026-03-01T00:00:00"),
        ("no such day", "2026-02-30T00:00:00Z"),
        ("a leap second", "2016-12-31T23:59:60Z"),
        ("a date alone", "2026-03-01"),
        ("an empty text", ""),
        ("a number as text", "1772323200000"),
    ] {
        t.line(name, &with(&format!(r#""ts":"{ts}""#)), &[("invalid_time", "/ts")]);
    }
    t.line("24 hours ahead", &with(r#""ts":1772409600000"#), &[]);
    t.quarantined("a millisecond more", &with(r#""ts":1772409600001"#), "ts_in_future");
    t.quarantined(
        "seconds taken for milliseconds",
        &with(r#""ts":1772323200"#),
        "before_retention",
    );
    t.quarantined("microseconds", &with(r#""ts":1772323200000000"#), "ts_in_future");
    t.quarantined("before 1970", &with(r#""ts":-1"#), "ts_before_1970");
    t.quarantined("year 0", &with(r#""ts":"0000-01-01T00:00:00Z""#), "ts_before_1970");
    t.line(
        "rejected rather than quarantined",
        &with(r#""ts":-1,"host":1"#),
        &[("wrong_type", "/host")],
    );
}

#[test]
fn lengths_are_kept_to_the_byte() {
    let mut t = table();
    let text =
        |field: &str, len: usize| format!(r#"{{"command":"x","{field}":"{}"}}"#, "a".repeat(len));
    for (field, pointer, len_max) in [
        ("id", "/id", 128),
        ("user_id", "/user_id", 256),
        ("session_id", "/session_id", 256),
        ("command_line", "/command_line", 16 << 10),
        ("error", "/error", 16 << 10),
    ] {
        t.line("at its limit", &text(field, len_max), &[]);
        t.line("over its limit", &text(field, len_max + 1), &[("too_long", pointer)]);
    }
    let command = |len: usize| format!(r#"{{"command":"{}"}}"#, "é".repeat(len));
    t.line("bytes, not characters", &command(128), &[]);
    t.line("bytes over the limit", &command(129), &[("too_long", "/command")]);
    t.line("an empty id", &with(r#""id":"""#), &[("too_short", "/id")]);
    t.line("an empty command", r#"{"command":""}"#, &[("required", "/command")]);
    t.line("no field at all", "{}", &[("required", "/command")]);
    let labels = |n: usize| (0..n).map(|n| format!(r#""k{n}":"v""#)).collect::<Vec<_>>().join(",");
    let values = |n: usize| (0..n).map(|n| format!(r#""k{n}":1"#)).collect::<Vec<_>>().join(",");
    t.line("32 labels", &with(&format!(r#""labels":{{{}}}"#, labels(32))), &[]);
    t.line(
        "33 labels",
        &with(&format!(r#""labels":{{{}}}"#, labels(33))),
        &[("too_many_entries", "/labels")],
    );
    t.line("32 values", &with(&format!(r#""values":{{{}}}"#, values(32))), &[]);
    t.line(
        "500 values",
        &with(&format!(r#""values":{{{}}}"#, values(500))),
        &[("too_many_entries", "/values")],
    );
    t.line("an empty key", &with(r#""labels":{"":"v"}"#), &[("too_short", "/labels/")]);
    let key = "k".repeat(257);
    t.line(
        "a long key",
        &with(&format!(r#""labels":{{"{key}":"v"}}"#)),
        &[("too_long", "/labels")],
    );
    t.line(
        "a long label",
        &with(&format!(r#""labels":{{"k":"{key}"}}"#)),
        &[("too_long", "/labels/k")],
    );
    let huge = with(&format!(r#""new":"{}""#, "a".repeat(64 << 10)));
    t.line("a row over its bytes", &huge, &[("row_too_large", "")]);
}

#[test]
fn keys_twice_are_rejected_and_unknown_ones_ignored() {
    let mut t = table();
    let twice = |pointer| [("duplicate_key", pointer)];
    t.line("a field twice", &with(r#""host":"a","host":"a""#), &twice("/host"));
    t.line("an escaped field twice", &with(r#""host":"a","h\u006fst":"b""#), &twice("/host"));
    t.line("a null field twice", &with(r#""host":null,"host":"b""#), &twice("/host"));
    t.line("an object twice", &with(r#""labels":{},"labels":{}"#), &twice("/labels"));
    t.line("a label twice", &with(r#""labels":{"a":"1","a":"2"}"#), &twice("/labels/a"));
    t.line("a null label twice", &with(r#""labels":{"a":null,"a":"2"}"#), &twice("/labels/a"));
    t.line("a value twice", &with(r#""values":{"a":1,"a":1}"#), &twice("/values/a"));
    t.line("an unknown field twice", &with(r#""new":1,"new":2"#), &twice("/new"));
    t.line("unknown fields", &with(r#""new":{"a":[1,{"b":null}]},"old":"x""#), &[]);
    let many: Vec<_> = (0..70).map(|n| format!(r#""u{n}":1"#)).collect();
    t.line("too many unknown ones", &with(&many.join(",")), &[("too_many_entries", "")]);
    let nested = |n: usize| with(&format!(r#""new":{}1{}"#, "[".repeat(n), "]".repeat(n)));
    t.line("as deep as may be", &nested(31), &[]);
    t.line("deeper", &nested(32), &[("too_deep", "")]);
    t.line("10,000 deep", &nested(10_000), &[("too_deep", "")]);
    let deep = "[".repeat(30_000);
    t.line("deep without an end", &with(&format!(r#""host":{deep}"#)), &[("invalid_json", "")]);
}

#[test]
fn a_batch_has_no_more_keys_than_a_tenant() {
    let mut t = table();
    let row = |n: usize| {
        let labels: Vec<_> = (0..32).map(|k| format!(r#""k{n}-{k}":"v""#)).collect();
        with(&format!(r#""labels":{{{}}}"#, labels.join(",")))
    };
    let lines: Vec<_> = (0..100).map(row).collect();
    let over: Vec<_> = (32..100).map(|n| (n, "too_many_keys", "")).collect();
    t.check("32 new keys a row", LINES, lines.join("\n"), Rows(32, 0, over));
}

#[test]
fn characters_that_confuse_are_rejected() {
    let mut t = table();
    t.line("a line break in a word", &with(r#""host":"a\nb""#), &[("control_character", "/host")]);
    t.line("NUL in an id", &with(r#""id":"a\u0000""#), &[("control_character", "/id")]);
    t.line("DEL in a command", r#"{"command":"a\u007f"}"#, &[("control_character", "/command")]);
    t.line("a C1 control", &with(r#""team_id":"a\u0085b""#), &[("control_character", "/team_id")]);
    t.line(
        "a tab in a label",
        &with(r#""labels":{"a":"\t"}"#),
        &[("control_character", "/labels/a")],
    );
    t.line(
        "a control in a key",
        &with(r#""labels":{"\u0001":"v"}"#),
        &[("control_character", "/labels")],
    );
    t.line("NUL in a text", &with(r#""error":"a\u0000b""#), &[("control_character", "/error")]);
    t.line("lines and colours in a text", &with(r#""error":"a\n\t\u001b[31mb""#), &[]);
    t.line("any script in a word", &with(r#""user_id":"Ünïcødé 密码 🦀""#), &[]);
    t.line("half a pair", &with(r#""host":"\ud800""#), &[("invalid_unicode", "/host")]);
    t.line("a raw control is no JSON", "{\"command\":\"a\u{1}\"}", &[("invalid_json", "")]);
    t.line(
        "an unknown word for a status",
        &with(r#""status":"ok""#),
        &[("invalid_value", "/status")],
    );
    t.line(
        "an unknown word for an actor",
        &with(r#""actor":"robot""#),
        &[("invalid_value", "/actor")],
    );
    t.line(
        "status in another case",
        &with(r#""status":"Success""#),
        &[("invalid_value", "/status")],
    );
}

#[test]
fn rows_are_completed_and_masked() {
    let line = r#"{"command":"c","command_line":"x --password p","error":"t=ghp_0123456789abcdef0123","exit_code":124}"#;
    let decoded = decode(line.as_bytes(), ONE, arrival(), &LIMITS).expect("one row");
    let rows = decoded.rows;
    assert_eq!(rows.word(Word::CommandLine, 0), "x --password ***");
    assert_eq!(rows.word(Word::Error, 0), "t=***");
    assert_eq!(rows.word(Word::Origin, 0), "api");
    assert_eq!(rows.status(0).as_str(), "timeout");
    assert!(!rows.ts_given(0));
    assert_eq!(rows.ts[0], arrival().received_ms);
    let id = rows.ids.get(0).to_string();
    assert_eq!((id.len(), &id[14..15]), (36, "7"));
}
