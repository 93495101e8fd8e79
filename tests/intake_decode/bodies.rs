//! What is wrong with a body, or with one row among others.

use super::support::arrival;
use super::table::{
    Expected::{Body as Whole, Rows},
    JSON, LIMITS, LINES, ONE, PACK, gzip, noise, pack, table, zstd,
};
use emx::intake::decode::{Body, DecodeLimits, Encoding, Format, Shape, decode, decode_counted};
use serde_json::json;

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
fn rows_are_counted_up_to_where_a_body_breaks() {
    let good = "{\"command\":\"x\"},".repeat(2500);
    for (body, is_whole) in [(format!("[{good}{{]"), false), (format!("[{good}7]"), true)] {
        let mut breaths = 0;
        let mut breathe = || breaths += 1;
        let limits = DecodeLimits::default();
        let (count, decoded) =
            decode_counted(body.as_bytes(), JSON, arrival(), &limits, &mut breathe);
        assert_eq!((count, decoded.is_ok()), (2500 + usize::from(is_whole), is_whole));
        assert_eq!(breaths, 2, "after a thousand each");
    }
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
