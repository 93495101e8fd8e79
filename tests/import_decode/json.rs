//! JSON and NDJSON.

use super::table::{Expected, Fails, File, GONE, KEPT, Problem, Rows, given, named, table};
use emx::transfer::Format;
use emx::transfer::source::LINE_BYTES_MAX;

const JSON: File<'static> = given(Format::Json);
const LINES: File<'static> = given(Format::Ndjson);
const A: &str = r#"{"ts":"2026-02-01T00:00:00Z","command":"a"}"#;
const B: &str = r#"{"ts":"2026-02-01T00:00:01Z","command":"b"}"#;

fn good() -> Expected {
    Rows(1, 0, vec![])
}

/// `{"ts":…, "command":"x", …}`.
fn with(members: &str) -> String {
    format!(r#"{{"ts":"2026-02-01T00:00:00Z","command":"x",{members}}}"#)
}

fn aside(code: &'static str, pointer: &'static str) -> Option<Problem<'static>> {
    Some((1, code, pointer, KEPT))
}

fn gone(code: &'static str, pointer: &'static str) -> Option<Problem<'static>> {
    Some((1, code, pointer, GONE))
}

#[test]
fn a_bad_line_concerns_only_itself() {
    let mut t = table();
    let both: &[&[&str]] = &[&["command=a"], &["command=b"]];
    for (name, bad, code) in [
        ("cut short", r#"{"command":"#, "invalid_json"),
        ("no JSON", "make: *** [all] Error 2", "invalid_json"),
        ("an array", "[1,2]", "invalid_json"),
        ("a number", "5", "invalid_json"),
        ("null", "null", "invalid_json"),
        ("two on a line", r#"{"command":"x"} {"command":"y"}"#, "invalid_json"),
        ("a comma behind", r#"{"command":"x"},"#, "invalid_json"),
        ("single quotes", "{'command':'x'}", "invalid_json"),
        ("NaN", r#"{"command":"x","duration_ms":NaN}"#, "invalid_json"),
        ("1e400", r#"{"command":"x","duration_ms":1e400}"#, "invalid_json"),
        ("half a surrogate", r#"{"command":"\ud800"}"#, "invalid_json"),
        ("a raw tab", "{\"command\":\"a\tb\"}", "invalid_json"),
        ("nothing in it", "{}", "missing_ts"),
    ] {
        let pointer = if code == "missing_ts" { "/ts" } else { "" };
        let lines = format!("{A}\n{bad}\n{B}\n");
        let outcome = t.check(name, LINES, lines, Rows(2, 0, vec![(2, code, pointer, KEPT)]));
        outcome.stores(both);
        outcome.keeps(&[bad]);
    }
    let utf8 = [A.as_bytes(), b"\n{\"command\":\"\xff\"}\n", B.as_bytes()].concat();
    t.check("bad UTF-8", LINES, utf8, Rows(2, 0, vec![(2, "invalid_utf8", "", KEPT)])).stores(both);
    t.check("CRLF and a BOM", LINES, format!("\u{feff}{A}\r\n{B}\r\n"), Rows(2, 0, vec![]))
        .stores(both);
    let blank = format!("\n{A}\n  \n\t\n{{\n{B}");
    t.check("blank lines count", LINES, blank, Rows(2, 0, vec![(5, "invalid_json", "", KEPT)]));
    t.check("nothing", LINES, "", Rows(0, 0, vec![]));
    let secret = r#"{"command":"x","command_line":"curl -u me:hunter2 https://x""#;
    t.check("a secret", LINES, secret, Rows(0, 0, vec![(1, "invalid_json", "", KEPT)]))
        .keeps(&[r#"{"command":"x","command_line":"curl -u me:*** https://x""#]);
    let pad = |len: usize| format!("{A}{}\n{B}\n", " ".repeat(len - A.len()));
    t.check("as long as may be", LINES, pad(LINE_BYTES_MAX), Rows(2, 0, vec![])).stores(both);
    let fate = vec![(1, "too_long", "", GONE)];
    t.check("longer", LINES, pad(LINE_BYTES_MAX + 1), Rows(1, 0, fate)).stores(&[&["command=b"]]);
}

#[test]
fn a_bad_element_of_an_array_concerns_only_itself() {
    let mut t = table();
    let two = || Rows(2, 0, vec![]);
    let both: &[&[&str]] = &[&["command=a"], &["command=b"]];
    for (name, bytes) in [
        ("an array", format!("[{A},{B}]")),
        ("an array over lines", format!("[\r\n  {A},\r\n  {B}\r\n]\r\n")),
        ("one after the other", format!("{A}{B}")),
        ("a comma too many", format!("[{A},,{B},]")),
        ("arrays in an array", format!("[[{A}],[[{B}]]]")),
        (
            "pretty",
            format!("[{A},{B}]").replace(',', ",\n").replace('{', "{\n").replace('}', "\n}"),
        ),
        ("a BOM", format!("\u{feff}[{A},{B}]")),
    ] {
        t.check(name, JSON, bytes, two()).stores(both);
    }
    for (name, bad, code) in [
        ("a number", "17", "invalid_json"),
        ("null", "null", "invalid_json"),
        ("a text", r#""a, {b} [c]""#, "invalid_json"),
        ("a text never closed", r#""oops, {"#, "invalid_json"),
        ("no value", r#"{"command":}"#, "invalid_json"),
        ("a brace too many", "}", "invalid_json"),
        ("a quote too few", r#"{"ts":1769904000,"command":"x}"#, "invalid_json"),
        ("no time", r#"{"command":"x"}"#, "missing_ts"),
        ("a time and no more", r#"{"ts":1769904000}"#, "required"),
    ] {
        let pointer = match code {
            "missing_ts" => "/ts",
            "required" => "/command",
            _ => "",
        };
        let array = format!("[{A},\n{bad}\n,{B}]");
        t.check(name, JSON, array, Rows(2, 0, vec![(2, code, pointer, KEPT)])).stores(both);
    }
    let cut = format!("[{A},\n{}", &B[..20]);
    let outcome =
        t.check("cut in an object", JSON, cut, Rows(1, 0, vec![(2, "invalid_json", "", KEPT)]));
    outcome.keeps(&[&B[..20]]);
    outcome.says(&["EOF"]);
    for (name, bytes, stored) in [
        ("cut behind an object", format!("[{A},{B}"), 2),
        ("cut behind a comma", format!("[\n{A},\n{B},\n"), 2),
        ("cut at once", "[".to_owned(), 0),
    ] {
        t.check(name, JSON, bytes, Fails("unreadable", stored)).says(&["not closed"]);
    }
    t.check("an empty array", JSON, " [ ] ", Rows(0, 0, vec![]));
    t.check("nothing", JSON, "", Rows(0, 0, vec![]));
    t.check("one object", JSON, A, good());
    let utf8 = [b"[", A.as_bytes(), b",{\"command\":\"\xc3\x28\"},", B.as_bytes(), b"]"].concat();
    t.check("bad UTF-8", JSON, utf8, Rows(2, 0, vec![(1, "invalid_utf8", "", KEPT)])).stores(both);
    let wrapped = format!(r#"{{"rows":[{A},{B}]}}"#);
    t.check(
        "rows within a document",
        JSON,
        wrapped,
        Rows(0, 0, vec![(1, "missing_ts", "/ts", KEPT)]),
    );
    // All on one line, longer than a record may be.
    let row = |n: usize| {
        A.replace(r#""a""#, &format!(r#""a","id":"{n}","error":"{}""#, "x".repeat(9000)))
    };
    let rows: Vec<_> = (0..40).map(row).collect();
    t.check("a long line", JSON, format!("[{}]", rows.join(",")), Rows(40, 0, vec![]));
    let pad = |len: usize| {
        let object =
            with(&format!(r#""unread":"{}""#, "x".repeat(len - with(r#""unread":"""#).len())));
        format!("[{A},\n{object},\n{B}]")
    };
    t.check("as long as may be", JSON, pad(LINE_BYTES_MAX), Rows(3, 0, vec![]));
    let fate = || vec![(2, "too_long", "", GONE)];
    t.check("longer", JSON, pad(LINE_BYTES_MAX + 1), Rows(2, 0, fate())).stores(both);
    t.check("huge", JSON, pad(2 << 20), Rows(2, 0, fate())).stores(both);
    let endless = format!("[{A},\n{{{}", "\"x\":[".repeat(LINE_BYTES_MAX));
    t.check("never closed", JSON, endless, Rows(1, 0, fate()));
}

#[test]
fn members_are_read_or_the_record_is_kept_aside() {
    let mut t = table();
    let many = |what: &str, n: usize, value: &str| {
        let members: Vec<_> = (0..n).map(|n| format!(r#""k{n}":{value}"#)).collect();
        with(&format!(r#""{what}":{{{}}}"#, members.join(",")))
    };
    let deep = |n: usize| with(&format!(r#""new":{}{}"#, "[".repeat(n), "]".repeat(n)));
    let cases = [
        ("a list for a word", with(r#""user":["u"]"#), aside("wrong_type", "/user_id")),
        ("an object for a number", with(r#""duration_ms":{"a":[]}"#), None),
        (
            "a list for a label",
            with(r#""labels":{"a/b":[1]}"#),
            aside("wrong_type", "/labels/a~1b"),
        ),
        ("labels as a list", with(r#""labels":["a"]"#), aside("wrong_type", "/labels")),
        ("labels as a text", with(r#""labels":"a=b""#), aside("wrong_type", "/labels")),
        ("values as a number", with(r#""values":5"#), aside("wrong_type", "/values")),
        ("a text for a value", with(r#""values":{"v":"many"}"#), aside("bad_number", "/values/v")),
        ("a boolean for a value", with(r#""values":{"v":true}"#), aside("bad_number", "/values/v")),
        ("a boolean for a number", with(r#""exit_code":true"#), aside("bad_number", "/exit_code")),
        (
            "a number below zero",
            with(r#""duration_ms":-0.001"#),
            aside("out_of_range", "/duration_ms"),
        ),
        (
            "a number too large",
            with(r#""duration_ms":1e300"#),
            aside("out_of_range", "/duration_ms"),
        ),
        ("a status unknown here", with(r#""status":"great""#), aside("unknown_value", "/status")),
        ("a NUL", with(r#""host":"a\u0000b""#), aside("control_character", "/host")),
        (
            "an escape",
            with(r#""labels":{"a":"\u001b[31m"}"#),
            aside("control_character", "/labels/a"),
        ),
        ("a wild key", with(r#""labels":{"a\nb":"x"}"#), aside("control_character", "/labels")),
        ("a key twice", with(r#""host":"a","host":"a""#), gone("duplicate_key", "/host")),
        ("an unknown key twice", with(r#""new":1,"new":2"#), gone("duplicate_key", "/new")),
        ("a null twice", with(r#""new":null,"new":null"#), gone("duplicate_key", "/new")),
        (
            "a label twice",
            with(r#""labels":{"a/b":"x","a/b":"y"}"#),
            gone("duplicate_key", "/labels/a~1b"),
        ),
        (
            "a label in two ways",
            with(r#""labels":{"a":"x"},"labels.a":"y""#),
            gone("duplicate_key", "/labels/a"),
        ),
        (
            "a long host",
            with(&format!(r#""host":"{}""#, "é".repeat(129))),
            gone("too_long", "/host"),
        ),
        ("as many values as may be", many("values", 32, "1"), None),
        ("more values", many("values", 33, "1"), gone("too_many_entries", "/values")),
        ("more labels", many("labels", 33, "\"x\""), gone("too_many_entries", "/labels")),
        ("as deep as may be", deep(126), None),
        ("deeper", deep(127), gone("too_deep", "")),
        ("100,000 deep", deep(100_000), gone("too_deep", "")),
        ("10,000 members", many("new", 10_000, "1"), None),
    ];
    let cases = cases.map(|(name, text, problem)| (name, text.into_bytes(), problem));
    t.each(LINES, &cases);
    t.each(JSON, &cases);
    for (members, stored) in [
        (r#""duration_ms":1.5"#, "duration_us=1500"),
        (r#""elapsed_us":7"#, "duration_us=7"),
        (r#""duration_ms":null"#, "duration_us=-1"),
        (r#""exit_code":0"#, "status=success"),
        (r#""exit_code":2.0"#, "exit_code=2"),
        (r#""host":5"#, "host=5"),
        (r#""labels":{"n":1,"b":true,"z":null}"#, "entries=2"),
        (r#""labels":{"git":{"branch":"main"}}"#, "labels.git.branch=main"),
        (r#""labels":{},"values":null"#, "entries=0"),
        (r#""values":{"v":1e20}"#, "values.v=100000000000000000000"),
        (r#""user":"first","login":"second""#, "user_id=first"),
        (r#""error":"a\nb\u00e9""#, "error=a\nbé"),
    ] {
        let members = with(members);
        t.check(&members, LINES, &members, good()).stores(&[&[stored]]);
    }
    let two = with(r#""user":"first","login":"second""#);
    let file = File { map: &["login=user_id"], ..LINES };
    t.check("a rule wins over a guess", file, two, good()).stores(&[&["user_id=second"]]);
}

#[test]
fn a_format_is_told_by_its_content_or_its_name() {
    let mut t = table();
    let csv = "ts,command\n2026-02-01,x\n";
    let bad = || vec![(1, "invalid_json", "", KEPT)];
    for (name, bytes, format, expected) in [
        ("x", A.to_owned(), Format::Ndjson, good()),
        ("x", format!("{A}\n{B}"), Format::Ndjson, Rows(2, 0, vec![])),
        ("x.csv", format!("[{A}]"), Format::Json, good()),
        ("x", A.replace(',', ",\n"), Format::Json, good()),
        ("x.JSONL", format!("{{\"cut\n{A}"), Format::Ndjson, Rows(1, 0, bad())),
        ("x.ndjson.gz", format!("oops, no JSON\n{A}"), Format::Ndjson, Rows(1, 0, bad())),
        ("x.json", String::new(), Format::Json, Rows(0, 0, vec![])),
        ("x.swf", "; a, b\n".to_owned(), Format::Swf, Rows(0, 0, vec![])),
        ("x", "; UnixStartTime: 0\n".to_owned(), Format::Swf, Rows(0, 0, vec![])),
        ("x", csv.to_owned(), Format::Csv, good()),
        ("x", csv.replace(',', ";"), Format::Csv, good()),
        ("x", csv.replace(',', "\t"), Format::Tsv, good()),
        (
            "x.csv",
            format!(";{csv}").replace(',', ";").replace("2026", ";2026"),
            Format::Csv,
            good(),
        ),
    ] {
        let outcome = t.check(&format!("{name}: {bytes}"), named(name), &bytes, expected);
        assert_eq!(outcome.taken.expect("a format").format, format, "{name}: {bytes}");
    }
    for (name, bytes, code, words) in [
        ("x", &b""[..], "empty_file", "nothing to import"),
        ("x.gz", b"\n \n", "empty_file", "nothing to import"),
        ("x", b"\xef\xbb\xbf", "empty_file", "nothing to import"),
        ("x.csv", b"", "missing_header", "first line"),
        ("x", b"hello", "unknown_format", "swf, csv, tsv, json, ndjson"),
        ("x.txt", b"make all\nmake test\n", "unknown_format", "--format"),
        ("x", b"\x00\x01\x02\x03", "unknown_format", "--format"),
        ("x", b"1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n", "unknown_format", "--format"),
        ("x", b"Dear all, see below\n", "missing_column", "Dear all"),
        ("x.csv", b"PK\x03\x04\x14\x00", "unsupported_encoding", "unzip"),
        ("x.csv", b"BZh91AY", "unsupported_encoding", "bunzip2"),
        ("x.csv", b"\xfd7zXZ\0\0", "unsupported_encoding", "unxz"),
        ("x.csv", b"\xff\xfet\0s\0", "unsupported_encoding", "iconv"),
        ("x.parquet", b"PAR1\x15\x04", "unsupported_encoding", "Parquet"),
    ] {
        t.check(&format!("{name}: {bytes:?}"), named(name), bytes, Fails(code, 0)).says(&[words]);
    }
}
