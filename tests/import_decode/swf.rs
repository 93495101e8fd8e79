//! Job logs.

use super::table::{Expected, Fails, File, GONE, KEPT, Problem, Rows, given, named, table};
use emx::transfer::Format;
use emx::transfer::source::LINE_BYTES_MAX;

const SWF: File<'static> = given(Format::Swf);

/// The log begins on 2026-02-01T00:00:00Z.
const START: &str = "; UnixStartTime: 1769904000\n";

/// A job with other texts in the fields of these numbers.
fn job(changes: &[(usize, &str)]) -> String {
    let mut fields: Vec<&str> =
        "1 100 20 60 4 30 512 4 60 512 1 7 2 5 3 1 -1 -1".split(' ').collect();
    for &(n, text) in changes {
        fields[n - 1] = text;
    }
    fields.join(" ") + "\n"
}

fn one(changes: &[(usize, &str)]) -> Vec<u8> {
    (START.to_owned() + &job(changes)).into_bytes()
}

fn good() -> Expected {
    Rows(1, 0, vec![])
}

fn aside(code: &'static str, pointer: &'static str) -> Option<Problem<'static>> {
    Some((2, code, pointer, KEPT))
}

#[test]
fn fields_are_read_or_the_line_is_kept_aside() {
    let mut t = table();
    t.check("a job", SWF, one(&[]), good()).stores(&[&[
        "ts=2026-02-01T00:02:00.000Z",
        "command=exe-5",
        "user_id=user-7",
        "team_id=group-2",
        "project_id=partition-1",
        "status=success",
        "duration_us=60000000",
        "exit_code=-1",
        "labels.queue=3",
        "values.wait_ms=20000",
        "values.procs=4",
        "values.cpu_ms=30000",
        "values.memory_kb=512",
        "entries=5",
    ]]);
    let unknown: Vec<_> = (3..=18).map(|n| (n, "-1")).collect();
    t.check("nothing known but when", SWF, one(&unknown), good()).stores(&[&[
        "ts=2026-02-01T00:01:40.000Z",
        "command=job",
        "user_id=",
        "team_id=",
        "project_id=",
        "status=unknown",
        "duration_us=-1",
        "entries=0",
    ]]);
    t.check("a wait unknown as -1.0", SWF, one(&[(3, "-1.0")]), good())
        .stores(&[&["ts=2026-02-01T00:01:40.000Z", "entries=4"]]);
    t.check("fractions of seconds", SWF, one(&[(2, "0.5"), (3, "0.25"), (4, "0.0000015")]), good())
        .stores(&[&["ts=2026-02-01T00:00:00.750Z", "duration_us=2", "values.wait_ms=250"]]);
    t.check("leading zeros", SWF, one(&[(12, "007"), (15, "03"), (14, "5.0")]), good())
        .stores(&[&["user_id=user-7", "labels.queue=3", "command=exe-5"]]);
    let statuses = ["0", "1", "2", "3", "4", "5", "-1", "1.5"];
    let jobs: String =
        statuses.iter().enumerate().map(|(n, s)| job(&[(2, &n.to_string()), (11, s)])).collect();
    t.check("every status", SWF, START.to_owned() + &jobs, Rows(8, 0, vec![])).stores(&[
        &["status=failure"],
        &["status=success"],
        &["status=unknown"],
        &["status=unknown"],
        &["status=unknown"],
        &["status=cancelled"],
        &["status=unknown"],
        &["status=unknown"],
    ]);
    t.each(
        SWF,
        &[
            ("no submit time", one(&[(2, "-1")]), aside("missing_ts", "/ts")),
            ("a submit time below zero", one(&[(2, "-2")]), aside("out_of_range", "/ts")),
            ("a wait below zero", one(&[(3, "-0.5")]), aside("out_of_range", "/ts")),
            ("a run time below zero", one(&[(4, "-60")]), aside("out_of_range", "/duration_ms")),
            ("NaN", one(&[(4, "nan")]), aside("bad_number", "/duration_ms")),
            ("infinite", one(&[(4, "inf")]), aside("bad_number", "/duration_ms")),
            (
                "infinite, spelled out",
                one(&[(7, "-Infinity")]),
                aside("bad_number", "/values/memory_kb"),
            ),
            ("beyond a double", one(&[(2, "1e400")]), aside("bad_number", "/ts")),
            ("hexadecimal", one(&[(5, "0x10")]), aside("bad_number", "/values/procs")),
            ("a word", one(&[(6, "unknown")]), aside("bad_number", "/values/cpu_ms")),
            ("a word for a status", one(&[(11, "ok")]), aside("bad_number", "/status")),
            ("a status below zero", one(&[(11, "-2")]), aside("out_of_range", "/status")),
            ("half a user", one(&[(12, "7.5")]), aside("bad_number", "/user_id")),
            ("a user's name", one(&[(12, "alice")]), aside("bad_number", "/user_id")),
            ("a group below zero", one(&[(13, "-3")]), aside("out_of_range", "/team_id")),
            ("a queue's name", one(&[(15, "batch")]), aside("bad_number", "/labels/queue")),
            (
                "an endless number",
                one(&[(16, &"9".repeat(400))]),
                aside("bad_number", "/project_id"),
            ),
            ("the longest run", one(&[(4, "1000000000")]), None),
            ("a longer run", one(&[(4, "1000000001")]), aside("out_of_range", "/duration_ms")),
            ("a far future", one(&[(2, "1e300")]), aside("ts_in_future", "/ts")),
            // 29 days after the log begins is 24 hours after the import.
            ("24 hours ahead", one(&[(2, "2505600"), (3, "0")]), None),
            ("a second more", one(&[(2, "2505600"), (3, "1")]), aside("ts_in_future", "/ts")),
            ("a NUL", one(&[(8, "4\0")]), None), // field 8 is not read
            ("a NUL where it is read", one(&[(5, "4\0")]), aside("bad_number", "/values/procs")),
        ],
    );
    t.check(
        "what is wrong is quoted",
        SWF,
        one(&[(4, "nan")]),
        Rows(0, 0, vec![(2, "bad_number", "/duration_ms", KEPT)]),
    )
    .says(&["`nan` is not a finite number"]);
}

#[test]
fn lines_may_be_long_short_and_oddly_spaced() {
    let mut t = table();
    let line = job(&[]);
    let line = line.trim();
    let twentyone = format!("{START}{line} 5 x -7\n");
    t.check("21 fields", SWF, twentyone, good()).stores(&[&["command=exe-5", "entries=5"]]);
    let short = line.rsplit_once(' ').expect("fields").0;
    let fate = || vec![(2, "short_record", "", KEPT)];
    let outcome = t.check("17 fields", SWF, format!("{START}{short}\n"), Rows(0, 0, fate()));
    outcome.keeps(&[short]);
    outcome.says(&["18 fields", "has 17"]);
    t.check("CRLF", SWF, format!("{START}{line}\r\n").replace("000\n", "000\r\n"), good())
        .stores(&[&["ts=2026-02-01T00:02:00.000Z"]]);
    let same = format!("{START}{line}\n\t {}  \n", line.replace(' ', " \t "));
    t.check("a repeat with other spaces", SWF, same, Rows(1, 1, vec![]));
    t.check("no line end", SWF, format!("{START}{line}"), good());
    t.check("blank lines", SWF, format!("\n{START}\n  \n{line}\n\n\t\n"), good());
    t.check("a BOM", SWF, format!("\u{feff}{START}{line}\n"), good());
    let middle = format!("{START}{line}\n{short}\n1 2 3 # cut\n{}", job(&[(2, "5")]));
    let fates = vec![(3, "short_record", "", KEPT), (4, "short_record", "", KEPT)];
    t.check("bad lines in the middle", SWF, middle, Rows(2, 0, fates))
        .keeps(&[short, "1 2 3 # cut"]);
    let broken =
        [START.as_bytes(), &line.as_bytes()[..20], b"\xff\xfe", &line.as_bytes()[20..]].concat();
    t.check("bad UTF-8", SWF, broken, Rows(0, 0, vec![(2, "invalid_utf8", "", KEPT)]));
    let pad = |len: usize| format!("{START}{line}{}\n", " ".repeat(len - line.len()));
    t.check("as long as may be", SWF, pad(LINE_BYTES_MAX), good());
    let fate = vec![(2, "too_long", "", GONE)];
    t.check("longer", SWF, pad(LINE_BYTES_MAX + 1) + &job(&[(2, "5")]), Rows(1, 0, fate));
    let comment = format!("; {}\n{START}{line}\n", "=".repeat(2 * LINE_BYTES_MAX));
    t.check("a long comment is no record", SWF, comment, good());
    let mail = format!("{START}1 --password=hunter2 3\n");
    t.check("a secret", SWF, mail, Rows(0, 0, vec![(2, "short_record", "", KEPT)]))
        .keeps(&["1 --password=*** 3"]);
}

#[test]
fn a_log_says_when_it_begins_or_its_reader_does() {
    let mut t = table();
    let epoch = File { epoch_ms: Some(1_769_990_400_000), ..SWF }; // 2026-02-02
    let (line, later) = (job(&[]), job(&[(2, "3600")]));
    let first: &[&str] = &["ts=2026-02-01T00:02:00.000Z"];
    let by_epoch: &[&str] = &["ts=2026-02-02T00:02:00.000Z"];
    t.check("no header", SWF, &line, Fails("epoch_required", 0))
        .says(&["UnixStartTime", "--epoch"]);
    t.check("no header, but an epoch", epoch, &line, good()).stores(&[by_epoch]);
    t.check("the header wins", epoch, format!("{START}{line}"), good()).stores(&[first]);
    t.check("a header too late", SWF, format!("{line}{START}"), Fails("epoch_required", 0));
    t.check(
        "a header too late moves nothing",
        epoch,
        format!("{line}{START}{later}"),
        Rows(2, 0, vec![]),
    )
    .stores(&[by_epoch, &["ts=2026-02-02T01:00:20.000Z"]]);
    let twice = format!("{START}; UnixStartTime: 5\n{line}");
    t.check("the first of two headers", SWF, twice, good()).stores(&[first]);
    for (name, value) in [
        ("a word", "soon"),
        ("nothing", ""),
        ("a fraction", "1.5"),
        ("too large", "99999999999999999999"),
        ("too large for milliseconds", "9223372036854775807"),
    ] {
        let log = format!("; UnixStartTime: {value}\n{line}");
        t.check(name, SWF, &log, Fails("epoch_required", 0)).says(&["number of seconds"]);
        t.check(name, epoch, &log, good()).stores(&[by_epoch]);
    }
    let shouted = format!(";UNIXSTARTTIME:1769904000\n{line}");
    t.check("in capitals", SWF, shouted, good()).stores(&[first]);
    let junk = b";\n;:\n;;; : : :\n; \xff\xfe\n; Computer: one\n; Computer: two\n;UnixStartTime\n";
    let log = [&junk[..], START.as_bytes(), line.as_bytes()].concat();
    let outcome = t.check("headers of junk", SWF, log, good());
    let facts = outcome.taken.expect("what it was taken for").facts;
    assert_eq!(facts.iter().map(|(_, value)| &**value).collect::<Vec<_>>(), ["one", "1769904000"]);
    let at = |start: &str| format!("; UnixStartTime: {start}\n{line}");
    t.check("at 1970", SWF, at("0"), good()).stores(&[&["ts=1970-01-01T00:02:00.000Z"]]);
    t.check("before 1970", SWF, at("-121"), Rows(0, 0, vec![(2, "ts_before_1970", "/ts", KEPT)]));
    let end = at("9223372036854775");
    t.check("at the end of time", SWF, end, Rows(0, 0, vec![(2, "ts_in_future", "/ts", KEPT)]));
    t.check("only headers", SWF, START, Rows(0, 0, vec![]));
    t.check("nothing", SWF, "", Rows(0, 0, vec![]));
    t.check("nothing, by its name", named("empty.swf"), "", Rows(0, 0, vec![]));
}
