//! Exports: where they go, and what stays when they fail.

use crate::emx::Emx;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

const EXPORT: [&str; 5] = ["export", "--tenant", "demo", "--format", "csv"];

#[test]
fn a_file_is_replaced_only_by_a_whole_export() {
    let emx = Emx::with_builds();
    let path = emx.place.path().join("rows.csv");
    fs::write(&path, "older").unwrap();
    let to_file = [&EXPORT[..], &["--output", "rows.csv"]].concat();
    emx.fails(&[&to_file[..], &["--filter", "colour=red"]].concat(), 2, "unknown_field");
    assert_eq!(fs::read_to_string(&path).unwrap(), "older");
    assert_eq!(emx.ok(&to_file), "8 rows written to rows.csv\n");
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 9);
    let files = fs::read_dir(emx.place.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(files.into_iter().all(|name| !name.to_string_lossy().ends_with(".part")));
    emx.fails(&[&EXPORT[..], &["--output", "no/such/place.csv"]].concat(), 1, "failed");
}

#[test]
fn filters_read_numbers_and_an_excluded_tenant_gives_an_empty_file() {
    let emx = Emx::with_builds();
    let rows = |filter: &str| {
        let out = emx.ok(&[&EXPORT[..], &["--filter", filter]].concat());
        out.lines().count() - 1
    };
    assert_eq!(rows("duration_ms>=188900"), 4);
    assert_eq!(rows("labels.branch^=release/"), 2);
    assert_eq!(rows("user_id!=ada"), 5);
    let none = ["--filter", "organization_id=other", "--output", "none.csv"];
    assert_eq!(emx.ok(&[&EXPORT[..], &none].concat()), "0 rows written to none.csv\n");
    let text = fs::read_to_string(emx.place.path().join("none.csv")).unwrap();
    assert!(text.starts_with("id,ts,command,"), "{text}");
}

#[test]
fn a_date_is_a_day_of_the_tenants_zone() {
    let emx = Emx::with_builds();
    emx.ok(&["tenant", "create", "east", "--time-zone", "Asia/Kolkata"]);
    fs::write(emx.place.path().join("local.csv"), "time,command\n2026-03-02 00:10:00,x\n").unwrap();
    emx.ok(&["import", "local.csv", "--tenant", "east"]);
    let query = ["query", "--tenant", "east", "--from", "2026-03-02", "--to", "2026-03-03"];
    let answer = emx.json(&[&query[..], &["--bucket", "day"]].concat());
    assert_eq!(answer["rows"][0][0], "2026-03-01T18:30:00.000Z", "{answer}");
    assert_eq!(answer["rows"][0][1], 1);
    let ran = emx.fails(&["query", "--tenant", "east", "--from", "1772323200"], 2, "usage");
    assert!(ran.err.contains("`--from`") && ran.err.contains("milliseconds"), "{ran:?}");
}

#[test]
fn a_reader_who_has_enough_ends_csv_quietly() {
    let emx = Emx::initialised();
    let rows: String = (0..20_000).map(|n| format!("2026-03-01T00:00:00Z,c{n}\n")).collect();
    fs::write(emx.place.path().join("many.csv"), format!("ts,command\n{rows}")).unwrap();
    emx.ok(&["import", "many.csv", "--tenant", "demo"]);
    let query = ["query", "--tenant", "demo", "--group-by", "command", "--limit", "20000", "--csv"];
    for arguments in [&EXPORT[..], &query] {
        let mut command = emx.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.ends_with("\r\n"), "{line}");
        let output = child.wait_with_output().unwrap(); // the pipe is closed by now
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*said), (Some(0), ""), "{arguments:?}");
    }
}
