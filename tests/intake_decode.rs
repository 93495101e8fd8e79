//! What becomes of bad bodies: exactly which row is refused, by which code, at which pointer; and
//! that nothing is stored that was refused.

#[path = "intake_support/mod.rs"]
mod support;

use emx::intake::batch::{BatchReport, prepare};
use emx::intake::decode::{Body, DecodeLimits, Encoding, Format, Shape, decode};
use emx::process::quarantine::TABLE;
use proptest::prelude::*;
use serde_json::json;
use std::io::Write;
use storage::row::Word;
use support::{Store, all_rows, arrival};

/// What is expected of a body.
enum Expected {
    /// The whole body is refused by this code.
    Body(&'static str),
    /// So many rows are accepted and so many quarantined; the others are rejected. Each problem is
    /// `(index, code, pointer)`.
    Rows(usize, usize, Vec<(usize, &'static str, &'static str)>),
}
use Expected::{Body as Whole, Rows};

/// Small bounds, so that bodies over them are small too.
const LIMITS: DecodeLimits = DecodeLimits {
    body_bytes_max: 1 << 20,
    expanded_bytes_max: 2 << 20,
    ratio_max: 50,
    row_bytes_max: 64 << 10,
    rows_max: 1000,
};

const JSON: Body = Body { format: Format::Json, encoding: Encoding::Identity, shape: Shape::Many };
const ONE: Body = Body { shape: Shape::One, ..JSON };
const LINES: Body = Body { format: Format::Ndjson, ..JSON };
const PACK: Body = Body { format: Format::MessagePack, ..JSON };

struct Table {
    store: Store,
    cases: usize,
}

impl Table {
    fn check(&mut self, name: &str, body: Body, bytes: impl AsRef<[u8]>, expected: Expected) {
        self.cases += 1;
        let keyspace = self.store.keyspace(&format!("case-{}", self.cases));
        let decoded = decode(bytes.as_ref(), body, arrival(), &LIMITS);
        let (accepted, quarantined, problems) = match (decoded, expected) {
            (Err(e), Whole(code)) => return assert_eq!(e.code(), code, "{name}: {e}"),
            (Err(e), Rows(..)) => panic!("{name}: the body was refused: {e}"),
            (Ok(decoded), Whole(code)) => panic!("{name}: not {code} but {decoded:?}"),
            (Ok(decoded), Rows(accepted, quarantined, problems)) => {
                let total = decoded.total;
                let atomic = prepare(decoded.clone(), arrival(), true);
                assert_eq!(atomic.is_err(), !problems.is_empty(), "{name}: atomic");
                let prepared = prepare(decoded, arrival(), false).expect("not atomic");
                let appended = keyspace.append(vec![prepared.append]).expect("an append");
                let report = prepared.ledger.settle(&appended[0]).expect("not atomic");
                assert_eq!(counted(&report), total, "{name}: every row is counted once");
                check_report(name, &report, &problems);
                (accepted, quarantined, report)
            }
        };
        assert_eq!((problems.accepted, problems.quarantined), (accepted, quarantined), "{name}");
        assert_eq!(all_rows(&*keyspace).len, accepted, "{name}: rows stored");
        let kept = keyspace.list(TABLE, &[], None, 10_000).expect("the quarantine").len();
        assert_eq!(kept, quarantined, "{name}: rows kept in quarantine");
    }

    fn line(&mut self, name: &str, line: &str, problems: &[(&'static str, &'static str)]) {
        let problems: Vec<_> = problems.iter().map(|&(code, pointer)| (0, code, pointer)).collect();
        let accepted = usize::from(problems.is_empty());
        self.check(name, LINES, line, Rows(accepted, 0, problems.clone()));
        // The same row in an array has the same fate, but where the array cannot be cut.
        if !problems.iter().any(|(_, code, _)| *code == "invalid_json") {
            self.check(name, JSON, format!("[{line}]"), Rows(accepted, 0, problems.clone()));
            self.check(name, ONE, line, Rows(accepted, 0, problems));
        }
    }

    fn quarantined(&mut self, name: &str, line: &str, code: &'static str) {
        self.check(name, LINES, line, Rows(0, 1, vec![(0, code, "/ts")]));
        self.check(name, ONE, line, Rows(0, 1, vec![(0, code, "/ts")]));
    }
}

fn counted(report: &BatchReport) -> usize {
    report.accepted + report.duplicates + report.quarantined + report.rejected
}

fn check_report(name: &str, report: &BatchReport, problems: &[(usize, &str, &str)]) {
    let found: Vec<_> =
        report.errors.iter().map(|e| (e.index, e.code, e.pointer.as_str())).collect();
    assert_eq!(found, problems, "{name}: {:?}", report.errors);
    for error in &report.errors {
        assert!(!error.detail.is_empty(), "{name}: a problem without a sentence");
    }
}

fn table() -> Table {
    Table { store: Store::new(), cases: 0 }
}

/// `{"command":"x", …}`.
fn with(members: &str) -> String {
    format!(r#"{{"command":"x",{members}}}"#)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("into memory");
    encoder.finish().expect("into memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("into memory")
}

/// Letters that compress to about a tenth: each of a random sequence 16 times (xorshift32).
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut letters = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        [b'a' + (state >> 27) as u8 % 26; 16]
    });
    letters.by_ref().take(len / 16).flatten().collect()
}

fn pack(value: &serde_json::Value) -> Vec<u8> {
    rmp_serde::to_vec(value).expect("into memory")
}

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
fn a_bad_line_rejects_only_itself() {
    let mut t = table();
    let good = r#"{"command":"x"}"#;
    let middle = format!("{good}\n{{\"command\":\n{good}\n");
    t.check("a bad line in the middle", LINES, middle, Rows(2, 0, vec![(1, "invalid_json", "")]));
    let broken = [good.as_bytes(), b"\n{\"command\":\"\xff\"}\n", good.as_bytes()].concat();
    t.check("bytes that are no UTF-8", LINES, broken, Rows(2, 0, vec![(1, "invalid_utf8", "")]));
    let blank = format!("\n\n{good}\n  \n[]\n{good}\n\n");
    t.check("empty lines count", LINES, blank, Rows(2, 0, vec![(4, "wrong_type", "")]));
    t.check("CRLF and a BOM", LINES, format!("\u{feff}{good}\r\n{good}\r\n"), Rows(2, 0, vec![]));
    let pair = format!("{good} {good}");
    t.check("two on a line", LINES, pair, Rows(0, 0, vec![(0, "invalid_json", "")]));
    t.check("nothing", LINES, "", Rows(0, 0, vec![]));
    t.check("cut short", LINES, &good[..10], Rows(0, 0, vec![(0, "invalid_json", "")]));
    let mixed = format!("{good}\n{{\"command\":\"x\",\"ts\":-1}}\n{{}}\n");
    let fates = vec![(1, "ts_before_1970", "/ts"), (2, "required", "/command")];
    t.check("each by itself", LINES, mixed, Rows(1, 1, fates));
    t.check("too many", LINES, format!("{good}\n").repeat(1001), Whole("too_many_rows"));
    t.check("as many as may be", LINES, format!("{good}\n").repeat(1000), Rows(1000, 0, vec![]));
    let same = "{\"command\":\"x\",\"ts\":-1}\n".repeat(3);
    let repeats = decode(same.as_bytes(), LINES, arrival(), &LIMITS).expect("three rows");
    assert_eq!(repeats.refused.len(), 3);
}

#[test]
fn an_array_that_cannot_be_cut_is_refused_whole() {
    let mut t = table();
    let good = r#"{"command":"x"}"#;
    for (name, body, code) in [
        ("a missing comma", format!("[{good} {good}]"), "invalid_json"),
        ("a comma too many", format!("[{good},]"), "invalid_json"),
        ("no end", format!("[{good},{good}"), "invalid_json"),
        ("more after the end", format!("[{good}]]"), "invalid_json"),
        ("an error inside a row", format!("[{good},{{\"command\":}}]"), "invalid_json"),
        ("lines sent as JSON", format!("{good}\n{good}"), "invalid_json"),
        ("only spaces", "  \n ".to_owned(), "empty_body"),
        ("nothing", String::new(), "empty_body"),
        ("too many rows", format!("[{}{good}]", format!("{good},").repeat(1000)), "too_many_rows"),
    ] {
        t.check(name, JSON, body, Whole(code));
    }
    t.check("bad UTF-8", JSON, b"[{\"command\":\"\xc3\x28\"}]", Whole("invalid_utf8"));
    t.check("UTF-16", JSON, b"\xff\xfe[\x00]\x00", Whole("invalid_utf8"));
    t.check("a BOM", JSON, format!("\u{feff}[{good}]"), Rows(1, 0, vec![]));
    t.check("no rows", JSON, "[]", Rows(0, 0, vec![]));
    t.check("one for many", JSON, good, Rows(1, 0, vec![]));
    t.check("many for one", ONE, format!("[{good}]"), Rows(0, 0, vec![(0, "wrong_type", "")]));
    let mixed = format!("[{good}, 7, {{\"command\":\"x\",\"values\":{{\"v\":1e400}}}}, {good}]");
    let fates = vec![(1, "wrong_type", ""), (2, "out_of_range", "/values")];
    t.check("each by itself", JSON, mixed, Rows(2, 0, fates));
    t.check("deep", JSON, "[".repeat(100_000), Whole("invalid_json"));
}

#[test]
fn compressed_bodies_are_bounded() {
    let mut t = table();
    let good = b"{\"command\":\"x\"}\n".repeat(3);
    let bomb = vec![b' '; 8 << 20];
    for (encoding, compress) in
        [(Encoding::Gzip, gzip as fn(&[u8]) -> Vec<u8>), (Encoding::Zstd, zstd)]
    {
        let body = Body { encoding, ..LINES };
        let packed = compress(&good);
        t.check("whole", body, &packed, Rows(3, 0, vec![]));
        t.check(
            "several members",
            body,
            [packed.clone(), packed.clone()].concat(),
            Rows(6, 0, vec![]),
        );
        t.check("cut short", body, &packed[..packed.len() - 3], Whole("invalid_encoding"));
        t.check("not compressed", body, &good, Whole("invalid_encoding"));
        t.check("garbage behind", body, [&packed[..], b"xyz"].concat(), Whole("invalid_encoding"));
        t.check("a bomb", body, compress(&bomb), Whole("expands_too_much"));
        let array = Body { encoding, ..JSON };
        t.check("compressed twice", array, compress(&compress(b"[]")), Whole("invalid_utf8"));
    }
    let packed = gzip(&noise(3 << 20));
    assert!(packed.len() < LIMITS.body_bytes_max && packed.len() * LIMITS.ratio_max > 3 << 20);
    let wide = Body { encoding: Encoding::Gzip, ..LINES };
    t.check("over its expanded bytes", wide, packed, Whole("body_too_large"));
    t.check("over its bytes", LINES, vec![b' '; (1 << 20) + 1], Whole("body_too_large"));
    assert_eq!(Encoding::of("gzip, gzip"), None);
    assert_eq!(Encoding::of("br"), None);
    assert_eq!(Encoding::of(" GZIP "), Some(Encoding::Gzip));
    assert_eq!(Format::of("application/json; charset=UTF-8"), Some(Format::Json));
    assert_eq!(Format::of("application/json; charset=latin1"), None);
    assert_eq!(Format::of("text/plain"), None);
}

#[test]
fn messagepack_is_judged_like_json() {
    let mut t = table();
    let good = json!({"command": "x", "ts": "2026-02-01T00:00:00Z", "labels": {"a": "b"}, "values": {"v": 1.5}});
    t.check("an array", PACK, pack(&json!([good, good])), Rows(2, 0, vec![]));
    t.check("a map", PACK, pack(&good), Rows(1, 0, vec![]));
    t.check("one map", Body { shape: Shape::One, ..PACK }, pack(&good), Rows(1, 0, vec![]));
    let bad = json!([{"command": 5}, good, 7, {"command": "x", "ts": -1}, {"command": "x", "labels": {"a": 1}}]);
    let fates = vec![
        (0, "wrong_type", "/command"),
        (2, "wrong_type", ""),
        (3, "ts_before_1970", "/ts"),
        (4, "wrong_type", "/labels/a"),
    ];
    t.check("each by itself", PACK, pack(&bad), Rows(1, 1, fates));
    let map = |tail: &[u8]| [b"\x82\xa7command\xa1x".as_slice(), tail].concat();
    let one = |code, pointer| Rows(0, 0, vec![(0, code, pointer)]);
    t.check(
        "NaN",
        PACK,
        map(b"\xabduration_ms\xcb\x7f\xf8\0\0\0\0\0\0"),
        one("not_finite", "/duration_ms"),
    );
    t.check(
        "infinite",
        PACK,
        map(b"\xa6values\x81\xa1v\xca\x7f\x80\0\0"),
        one("not_finite", "/values/v"),
    );
    t.check("bytes for a word", PACK, map(b"\xa4host\xc4\x01a"), one("wrong_type", "/host"));
    t.check("bad UTF-8", PACK, map(b"\xa4host\xa2\xc3\x28"), one("invalid_utf8", "/host"));
    t.check("a number as key", PACK, map(b"\x05\x06"), one("wrong_type", ""));
    t.check("a key twice", PACK, map(b"\xa7command\xa1y"), one("duplicate_key", "/command"));
    t.check("an extension", PACK, map(b"\xa2ts\xd6\xff\0\0\0\0"), one("wrong_type", "/ts"));
    t.check("an unknown extension", PACK, map(b"\xa3new\xd6\xff\0\0\0\0"), Rows(1, 0, vec![]));
    t.check("a reserved marker", PACK, map(b"\xa4host\xc1"), Whole("invalid_messagepack"));
    t.check("cut short", PACK, map(b"\xa4ho"), Whole("invalid_messagepack"));
    t.check("4 billion promised", PACK, b"\xdd\xff\xff\xff\xff\x80", Whole("invalid_messagepack"));
    t.check("4 billion bytes", PACK, b"\x91\xdb\xff\xff\xff\xff", Whole("invalid_messagepack"));
    t.check("more after the end", PACK, b"\x90\x90", Whole("invalid_messagepack"));
    t.check("nothing", PACK, b"", Whole("empty_body"));
    t.check("no rows", PACK, b"\x90", Rows(0, 0, vec![]));
    let deep = |n: usize| [map(b"\xa3new"), vec![0x91; n], vec![1]].concat();
    t.check("as deep as may be", PACK, deep(31), Rows(1, 0, vec![]));
    t.check("deeper", PACK, deep(32), one("too_deep", ""));
    t.check("60,000 deep", PACK, deep(60_000), one("too_deep", ""));
}

#[test]
fn unknown_fields_are_told_in_bounds() {
    let lines: String =
        (0..50).map(|n| format!("{{\"command\":\"x\",\"new\":1,\"n{n}\":{{}}}}\n")).collect();
    let decoded = decode(lines.as_bytes(), LINES, arrival(), &LIMITS).expect("50 rows");
    assert_eq!((decoded.rows.len, decoded.warnings.len()), (50, 20));
    let first = &decoded.warnings[0];
    assert_eq!(
        (first.code, &*first.pointer, first.index, first.rows),
        ("unknown_field", "/new", 0, 50)
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

/// Any bytes, and JSON that something small has happened to.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let good = r#"{"id":"a","ts":"2026-02-01T00:00:00Z","command":"x","duration_ms":1.5,"labels":{"a":"b"},"values":{"v":1},"new":[{}]}"#;
    let arrays = prop_oneof![
        Just(good.as_bytes().to_vec()),
        Just(format!("[{good},{good}]").into_bytes()),
        Just(format!("{good}\n{good}").into_bytes()),
        Just(pack(&serde_json::from_str::<serde_json::Value>(&format!("[{good}]")).expect("JSON"))),
    ];
    let edits =
        proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..4);
    let mutated = (arrays, edits).prop_map(|(mut body, edits)| {
        for (at, byte, kind) in edits {
            let at = at.index(body.len().max(1)).min(body.len().saturating_sub(1));
            match kind {
                _ if body.is_empty() => {}
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                _ => drop(body.remove(at)),
            }
        }
        body
    });
    prop_oneof![mutated, proptest::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_bytes_panic_and_every_row_is_counted(bytes in bodies()) {
        for format in [Format::Json, Format::Ndjson, Format::MessagePack] {
            for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Zstd] {
                for shape in [Shape::One, Shape::Many] {
                    let body = Body { format, encoding, shape };
                    let Ok(decoded) = decode(&bytes, body, arrival(), &LIMITS) else { continue };
                    prop_assert_eq!(decoded.rows.len, decoded.row_index.len());
                    prop_assert_eq!(decoded.rows.len + decoded.refused.len(), decoded.total);
                    prop_assert!(decoded.refused.iter().all(|refused| !refused.problems.is_empty()));
                }
            }
        }
    }

    #[test]
    fn an_array_and_lines_give_the_same_rows(
        rows in proptest::collection::vec(("[a-z]{0,3}", any::<i64>(), any::<f64>(), "\\PC{0,9}"), 0..9),
    ) {
        let rows: Vec<_> = rows.iter().enumerate().map(|(n, (command, ts, x, text))| json!({
            "id": format!("r{n}"), "command": command, "ts": ts, "duration_ms": x, "error": text,
            "values": {"x": x},
        })).collect();
        let lines: Vec<_> = rows.iter().map(ToString::to_string).collect();
        let array = serde_json::Value::Array(rows);
        let from_lines = decode(lines.join("\n").as_bytes(), LINES, arrival(), &LIMITS).expect("lines");
        let from_array = decode(array.to_string().as_bytes(), JSON, arrival(), &LIMITS).expect("an array");
        let from_pack = decode(&pack(&array), PACK, arrival(), &LIMITS).expect("a pack");
        prop_assert_eq!(&from_lines.rows, &from_array.rows);
        prop_assert_eq!(&from_lines.row_index, &from_pack.row_index);
        prop_assert_eq!(from_lines.rows.ids, from_pack.rows.ids);
    }
}
