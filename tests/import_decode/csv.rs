//! Tables: CSV and TSV, their columns and their cells.

use super::table::{Expected, Fails, File, GONE, KEPT, Problem, Rows, given, named, table};
use emx::transfer::Format;
use emx::transfer::source::LINE_BYTES_MAX;

const CSV: File<'static> = given(Format::Csv);
const TS: &str = "2026-02-01T00:00:00Z";

fn good() -> Expected {
    Rows(1, 0, vec![])
}

fn aside(code: &'static str, pointer: &'static str) -> Option<Problem<'static>> {
    Some((2, code, pointer, KEPT))
}

fn gone(code: &'static str, pointer: &'static str) -> Option<Problem<'static>> {
    Some((2, code, pointer, GONE))
}

/// A table with a time, a command, and one column more.
fn with(column: &str, cell: impl AsRef<[u8]>) -> Vec<u8> {
    [format!("ts,command,{column}\n{TS},x,").as_bytes(), cell.as_ref(), b"\n"].concat()
}

#[test]
fn lines_are_taken_apart_as_spreadsheets_write_them() {
    let mut t = table();
    let two = Rows(2, 0, vec![]);
    let text = |error: &str| format!("ts,command,error\n{TS},a,{error}\n{TS},b,\n");
    for (name, cell, stored) in [
        ("a comma in quotes", r#""a,b""#, "error=a,b"),
        ("a line break in quotes", "\"a\nb\"", "error=a\nb"),
        ("CRLF in quotes", "\"a\r\nb\"", "error=a\r\nb"),
        ("a blank line in quotes", "\"a\n\nb\"", "error=a\n\nb"),
        ("doubled quotes", r#""say ""hi"", twice""#, r#"error=say "hi", twice"#),
        ("only quotes", r#""""""""#, r#"error="""#),
        ("an empty quote", r#""""#, "error="),
        ("a quote within a cell", r#"5" disk"#, r#"error=5" disk"#),
        ("a quote behind a cell", r#"disk""#, r#"error=disk""#),
        ("more behind a quote", r#""a"b"#, "error=ab"),
        ("a quote behind a space", r#" "a"#, r#"error= "a"#),
        ("a CR alone", "a\rb", "error=a\rb"),
        ("a formula", r#""=HYPERLINK(""x"")""#, r#"error==HYPERLINK("x")"#),
    ] {
        let outcome = t.check(name, CSV, text(cell), Rows(2, 0, vec![]));
        outcome.stores(&[&["command=a", stored], &["command=b"]]);
    }
    let crlf = format!("ts,command\r\n{TS},a\r\n\r\n{TS},b\r\n");
    t.check("CRLF", CSV, crlf, two).stores(&[&["command=a"], &["command=b"]]);
    let bom = format!("\u{feff}\"ts\",\"command\"\n\"{TS}\",\"a\"\n");
    t.check("a BOM and a quoted header", CSV, bom, good()).stores(&[&["command=a"]]);
    let wide = format!("\"ts\",\"com\nment\",command\n{TS},,a\n{TS},b\n");
    t.check(
        "a line break in the header",
        CSV,
        wide,
        Rows(1, 0, vec![(4, "short_record", "", KEPT)]),
    );
    let semicolons = format!("ts;command;\"a,b,c,d\"\n{TS};x;1,5\n");
    t.check("semicolons", CSV, semicolons, good()).stores(&[&["command=x"]]);
    t.check("blank lines before the header", CSV, format!("\n \r\nts,command\n{TS},a"), good());
    let spaced = format!(" TS , Command Name ,user-id\n{TS},a,u\n");
    t.check("names as people write them", CSV, spaced, good())
        .stores(&[&["command=a", "user_id=u"]]);
    t.check("columns without a name", CSV, format!("ts,,command,\n{TS},1,a,2\n"), good());
    let same = format!("id,ts,command\nr1,{TS},a\nr1,{TS},b\nr1,2026-02-02,c\n");
    t.check("an id twice", CSV, same, Rows(2, 1, vec![])).stores(&[&["command=a"], &["command=c"]]);
    t.check(
        "the same line without id",
        CSV,
        format!("ts,command\n{TS},a\n{TS},a\n"),
        Rows(2, 0, vec![]),
    );
    let tsv = format!("ts\tcommand\tuser\n{TS}\ta, b\tu\n{TS}\tc\n");
    let fates = vec![(3, "short_record", "", KEPT)];
    t.check("TSV", given(Format::Tsv), &tsv, Rows(1, 0, fates.clone()))
        .stores(&[&["command=a, b"]]);
    t.check("TSV, told by its tabs", named("x"), tsv, Rows(1, 0, fates));
    let quoted = format!("ts\tcommand\terror\r\n{TS}\tx\t\"a\tb\nc\"\r\n");
    t.check("quotes in TSV", given(Format::Tsv), quoted, good()).stores(&[&["error=a\tb\nc"]]);
}

#[test]
fn tabs_separate_as_commas_do() {
    let mut t = table();
    let tsv = given(Format::Tsv);
    let with =
        |rest: &[u8]| [format!("ts\tcommand\terror\n{TS}\tx\t").as_bytes(), rest, b"\n"].concat();
    t.each(
        tsv,
        &[
            ("commas and semicolons", with(b"a,b;c"), None),
            ("an empty cell", with(b""), None),
            ("a quote within a cell", with(b"5\" disk"), None),
            ("a tab too many", with(b"a\t"), aside("long_record", "")),
            ("a quote never closed", with(b"\"a"), aside("unclosed_quote", "")),
            ("bad UTF-8", with(b"\xff"), aside("invalid_utf8", "")),
            ("a NUL", with(b"a\0"), aside("control_character", "/error")),
            ("the longest error", with(&[b'x'; 16384]), None),
            ("a longer error", with(&[b'x'; 16385]), gone("too_long", "/error")),
            ("a longer line", with(&[b'x'; LINE_BYTES_MAX]), gone("too_long", "")),
        ],
    );
    t.check("a BOM and CRLF", tsv, format!("\u{feff}ts\tcommand\r\n{TS}\ta\r\n"), good());
    t.check("commas", tsv, format!("ts,command\n{TS},a\n"), Fails("missing_column", 0));
    t.check("a column twice", tsv, "ts\tcommand\tts\n", Fails("duplicate_column", 0));
    t.check("nothing", named("x.tsv"), "", Fails("missing_header", 0));
}

#[test]
fn lines_that_do_not_fit_are_kept_aside_whole() {
    let mut t = table();
    let table_of = |bad: &str| format!("ts,command,error\n{TS},a,\n{bad}\n{TS},b,\n");
    for (name, bad, code) in [
        ("too short", format!("{TS},x"), "short_record"),
        ("too long", format!("{TS},x,,"), "long_record"),
        ("one cell", "oops".to_owned(), "short_record"),
        ("another separator", format!("{TS};x;"), "short_record"),
        ("a repeated header", "ts,command,error".to_owned(), "bad_time"),
        ("no time", ",x,".to_owned(), "missing_ts"),
        ("no command", format!("{TS},,"), "required"),
        ("a command of spaces", format!("{TS},  ,"), "required"),
        ("only commas", ",,".to_owned(), "missing_ts"),
    ] {
        let pointer = match code {
            "bad_time" | "missing_ts" => "/ts",
            "required" => "/command",
            _ => "",
        };
        let fate = vec![(3, code, pointer, KEPT)];
        t.check(name, CSV, table_of(&bad), Rows(2, 0, fate)).keeps(&[&bad]);
    }
    let unclosed = format!("{TS},x,\"never\n{TS},b,");
    let cut = format!("ts,command,error\n{TS},a,\n{unclosed}\n");
    let outcome = t.check(
        "a quote never closed",
        CSV,
        cut,
        Rows(1, 0, vec![(3, "unclosed_quote", "", KEPT)]),
    );
    outcome.keeps(&[&unclosed]);
    outcome.says(&["never closed"]);
    let two = format!("ts,command,error\n{TS},\"x,\n{TS},b,\"\n{TS},c,\n");
    t.check("a quote closed too late", CSV, two, Rows(1, 0, vec![(2, "short_record", "", KEPT)]));
    let twice = format!("ts,command\nsame\n{TS},a\nsame\n");
    let fates = vec![(2, "short_record", "", KEPT), (4, "short_record", "", KEPT)];
    t.check("a bad line twice is kept once", CSV, twice, Rows(1, 0, fates)).keeps(&["same"]);
    let secret = format!("ts,command,command_line\n{TS},curl,curl -u me:hunter2 https://x,more\n");
    let outcome = t.check("a secret", CSV, secret, Rows(0, 0, vec![(2, "long_record", "", KEPT)]));
    outcome.keeps(&[&format!("{TS},curl,curl -u me:*** https://x,more")]);
    let pad = |len: usize| {
        let line = format!("{TS},a,");
        let rest = "x".repeat(len - line.len());
        format!("ts,command,unread\n{line}{rest}\n{TS},b,\n")
    };
    t.check("as long as may be", CSV, pad(LINE_BYTES_MAX), Rows(2, 0, vec![]));
    let fate = || vec![(2, "too_long", "", GONE)];
    t.check("longer", CSV, pad(LINE_BYTES_MAX + 1), Rows(1, 0, fate())).stores(&[&["command=b"]]);
    let lines = |bytes: usize| {
        let cell = "line of a text\n".repeat(bytes / 15);
        format!("ts,command,unread\n{TS},a,\"{cell}\"\n{TS},b,\n")
    };
    t.check("a long text in quotes", CSV, lines(LINE_BYTES_MAX - 50), Rows(2, 0, vec![]));
    let over = lines(LINE_BYTES_MAX + 20).replace("line of a text\n\"", "line of a text\"");
    let short = |line| (line, "short_record", "", KEPT);
    let fates = vec![(2, "too_long", "", GONE), short(17_477), short(17_478)];
    t.check("a text over the bound", CSV, over, Rows(1, 0, fates)).says(&["quote"]);
    // A quote that is never closed takes what a record may have, and no more.
    let (opened, row) = (format!("{TS},x,\"\n"), format!("{TS},b,\n"));
    let swallowed = (LINE_BYTES_MAX + 1 - opened.len()) / row.len() + 1;
    let many = format!("ts,command,error\n{opened}{}", row.repeat(swallowed + 7));
    t.check("an open quote over the bound", CSV, many, Rows(7, 0, fate())).says(&["quote"]);
    let huge = format!("ts,command,error\n{TS},a,\"{}\"\n{TS},b,\n", "y".repeat(3 << 20));
    t.check("a huge cell", CSV, huge, Rows(1, 0, fate()));
}

#[test]
fn a_first_line_that_names_no_columns_is_an_error() {
    let mut t = table();
    let row = format!("{TS},a\n");
    for (name, bytes, code, words) in [
        ("nothing", String::new(), "missing_header", "first line"),
        ("only blank lines", "\n\r\n \n".to_owned(), "missing_header", "first line"),
        ("only separators", ",,\n".to_owned(), "missing_header", "first line"),
        ("no time", format!("who,command\n{row}"), "missing_column", "`ts`"),
        ("no command", format!("ts,what\n{row}"), "missing_column", "are ts, what"),
        ("no header", row.repeat(2), "missing_column", "--map"),
        ("a column twice", format!("ts,command,ts\n{TS},a,b\n"), "duplicate_column", "`ts`"),
        ("a quote never closed", format!("ts,\"command\n{row}"), "bad_header", "quote"),
        ("CR alone", format!("ts,command\r{row}").replace('\n', "\r"), "bad_header", "tr '"),
        ("a long line", "x".repeat(LINE_BYTES_MAX + 1) + "\n" + &row, "bad_header", "longer"),
        ("UTF-16", "t\0s\0,\0c\0\n\0".to_owned(), "missing_column", "t\u{fffd}s"),
    ] {
        t.check(name, CSV, bytes, Fails(code, 0)).says(&[words]);
    }
    t.check("only a header", CSV, "ts,command\n", Rows(0, 0, vec![]));
    t.check("a header without its end", CSV, "ts,command", Rows(0, 0, vec![]));
    // 40,000 columns, and a message that can still be read.
    let many: String = (0..40_000).map(|n| format!("{n},")).collect();
    let outcome = t.check("many columns", CSV, many + "\n", Fails("missing_column", 0));
    assert!(outcome.message.len() < 4000, "{}", outcome.message.len());
    outcome.says(&["and 39969 more"]);
}

#[test]
fn columns_are_mapped_as_told_or_the_import_is_refused() {
    let mut t = table();
    let bytes = format!("when,what,took,n,took_ms,labels.a\n{TS},x,2,7,5,b\n");
    let map = |map| File { map, ..CSV };
    let outcome = t.check("by name", map(&["what=command"]), &bytes, good());
    outcome.stores(&[&["command=x", "duration_us=2000000", "labels.a=b", "entries=1"]]);
    let shown = outcome.taken.expect("a plan").columns;
    let shown: Vec<_> = shown.iter().map(|column| &*column.field).collect();
    assert_eq!(shown, ["ts", "command", "duration_ms (from s)", "-", "-", "labels.a"]);
    for (name, rules, stored) in [
        ("a unit", &["what=command", "took=duration_us"][..], "duration_us=2"),
        (
            "a rule wins over an earlier guess",
            &["what=command", "took_ms=duration_ms"],
            "duration_us=5000",
        ),
        ("a value", &["what=command", "n=values.n"], "values.n=7"),
        ("a label", &["what=command", "n=labels.n"], "labels.n=7"),
        ("a label from another column", &["what=command", "n=labels.a"], "labels.a=7"),
        ("left out", &["what=command", "took=-", "took_ms=-"], "duration_us=-1"),
    ] {
        t.check(name, map(rules), &bytes, good()).stores(&[&[stored]]);
    }
    for (name, rules, code, words) in [
        ("no such column", &["whta=command"][..], "unknown_column", "when, what"),
        ("no such field", &["what=comand"], "bad_mapping", "`command`"),
        ("no field", &["what"], "bad_mapping", "COLUMN=FIELD"),
        ("no column", &["=command"], "bad_mapping", "COLUMN=FIELD"),
        ("no key", &["n=labels."], "bad_mapping", "labels.<key>"),
        ("a unit that is none", &["took=duration_weeks"], "bad_mapping", "COLUMN=FIELD"),
        ("one field from two", &["what=command", "n=command"], "bad_mapping", "`what` and `n`"),
        ("one label from two", &["what=labels.x", "n=labels.x"], "bad_mapping", "`labels.x`"),
        ("one value from two", &["took=values.x", "n=values.x"], "bad_mapping", "`values.x`"),
        ("two fields from one", &["what=command", "what=host"], "bad_mapping", "`what`"),
    ] {
        t.check(name, map(rules), &bytes, Fails(code, 0)).says(&[words]);
    }
}

#[test]
fn cells_are_read_or_the_line_is_kept_aside() {
    let mut t = table();
    let at = |column: &str, len: usize| with(column, "x".repeat(len));
    let long_key = format!("values.{}", "k".repeat(257));
    let labels = |n: usize| {
        let names: String = (0..n).map(|n| format!(",labels.k{n}")).collect();
        format!("ts,command{names}\n{TS},x{}\n", ",y".repeat(n)).into_bytes()
    };
    let command = |len: usize| format!("ts,command\n{TS},{}\n", "x".repeat(len)).into_bytes();
    t.each(
        CSV,
        &[
            ("a duration of a word", with("duration", "long"), aside("bad_number", "/duration_ms")),
            (
                "a duration below zero",
                with("duration", "-1"),
                aside("out_of_range", "/duration_ms"),
            ),
            ("NaN", with("duration", "NaN"), aside("bad_number", "/duration_ms")),
            ("infinite", with("duration", "inf"), aside("bad_number", "/duration_ms")),
            ("1e400", with("duration", "1e400"), aside("out_of_range", "/duration_ms")),
            ("a clock", with("duration", "1:30"), aside("bad_number", "/duration_ms")),
            ("a decimal comma", with("duration", "\"1,5\""), aside("bad_number", "/duration_ms")),
            ("the longest", with("duration_ms", "1000000000000"), None),
            (
                "longer",
                with("duration_ms", "1000000000000.001"),
                aside("out_of_range", "/duration_ms"),
            ),
            ("the longest in hours", with("duration_h", "277777.777"), None),
            (
                "longer in hours",
                with("duration_h", "277778"),
                aside("out_of_range", "/duration_ms"),
            ),
            (
                "an exit code of a word",
                with("exit_code", "SIGKILL"),
                aside("bad_number", "/exit_code"),
            ),
            ("half an exit code", with("exit_code", "1.5"), aside("bad_number", "/exit_code")),
            (
                "no exit code",
                with("exit_code", "-9223372036854775808"),
                aside("out_of_range", "/exit_code"),
            ),
            (
                "beyond an exit code",
                with("exit_code", "9223372036854775808"),
                aside("bad_number", "/exit_code"),
            ),
            ("a status unknown here", with("status", "great"), aside("unknown_value", "/status")),
            ("an actor unknown here", with("actor", "robot"), aside("unknown_value", "/actor")),
            ("a value of a word", with("values.a/b", "many"), aside("bad_number", "/values/a~1b")),
            ("a value of NaN", with("values.v", "nan"), aside("bad_number", "/values/v")),
            (
                "a value beyond a double",
                with("values.v", "1e400"),
                aside("bad_number", "/values/v"),
            ),
            ("the longest id", at("id", 128), None),
            ("a longer id", at("id", 129), gone("too_long", "/id")),
            ("the longest command", command(256), None),
            ("a longer command", command(257), gone("too_long", "/command")),
            ("the longest host", at("host", 256), None),
            ("a longer host", at("host", 257), gone("too_long", "/host")),
            ("the longest error", at("error", 16384), None),
            ("a longer error", at("error", 16385), gone("too_long", "/error")),
            ("a longer label", at("labels.a", 257), gone("too_long", "/labels/a")),
            ("a longer key", with(&long_key, "1"), gone("too_long", "/values")),
            ("a longer key and no number", with(&long_key, "x"), aside("bad_number", "/values")),
            ("as many labels as may be", labels(32), None),
            ("more labels", labels(33), gone("too_many_entries", "/labels")),
            ("bad UTF-8", with("user", b"\xc3\x28"), aside("invalid_utf8", "")),
            ("half a character", with("user", b"\xe2\x82"), aside("invalid_utf8", "")),
            ("a NUL", with("user", "a\0b"), aside("control_character", "/user_id")),
            ("a NUL in a text", with("error", "a\0b"), aside("control_character", "/error")),
            ("a tab in a word", with("host", "a\tb"), aside("control_character", "/host")),
            ("a CR in a word", with("host", "a\rb"), aside("control_character", "/host")),
            (
                "a line break in a word",
                with("host", "\"a\nb\""),
                aside("control_character", "/host"),
            ),
            ("a C1 control", with("host", "a\u{85}b"), aside("control_character", "/host")),
        ],
    );
    for (column, cell, stored) in [
        ("elapsed_ns", "1500", "duration_us=2"),
        ("elapsed_us", "1500", "duration_us=1500"),
        ("elapsed_ms", "1.5", "duration_us=1500"),
        ("elapsed_s", "1.5e-3", "duration_us=1500"),
        ("elapsed_min", ".5", "duration_us=30000000"),
        ("elapsed_h", "0.5", "duration_us=1800000000"),
        ("Run Time (s)", "2", "duration_us=-1"),
        ("duration", " 2 ", "duration_us=2000000"),
        ("duration_ms", "", "duration_us=-1"),
        ("exit_code", "0", "status=success"),
        ("exit_code", "124", "status=timeout"),
        ("exit_code", "130", "status=cancelled"),
        ("exit_code", "2.0", "exit_code=2"),
        ("exit", "-11", "status=failure"),
        ("rc", "", "status=unknown"),
        ("state", "Timed Out", "status=timeout"),
        ("result", "PASSED", "status=success"),
        ("conclusion", "canceled", "status=cancelled"),
        ("actor", "CI", "actor=ci"),
        ("stderr", "é€😀", "error=é€😀"),
        ("args", "curl -u me:hunter2 x", "command_line=curl -u me:*** x"),
        ("labels.a", "", "entries=0"),
        ("values.v", "-1.5e3", "values.v=-1500"),
    ] {
        t.check(&format!("{column}: {cell}"), CSV, with(column, cell), good()).stores(&[&[stored]]);
    }
}
