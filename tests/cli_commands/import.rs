//! Imports: what is said of them, and how they fail.

use crate::emx::Emx;
use serde_json::Value;
use std::fs;

fn write(emx: &Emx, name: &str, text: &str) {
    fs::write(emx.place.path().join(name), text).unwrap();
}

#[test]
fn the_ending_of_a_column_says_its_unit() {
    let emx = Emx::initialised();
    write(&emx, "a.csv", "ts,command,took_s\n2026-03-01T00:00:00Z,x,2\n");
    for (map, shown) in [
        ("took_s=duration_ms", "duration_ms (from s)"),
        ("took_s=duration_us", "duration_ms (from us)"),
        ("took_s=duration_min", "duration_ms (from min)"),
    ] {
        let import = ["import", "a.csv", "--tenant", "demo", "--dry-run", "--map", map];
        let out = emx.ok(&import);
        assert!(out.contains(&format!("  took_s   {shown}\n")), "{out}");
    }
    let bad = ["import", "a.csv", "--tenant", "demo", "--map", "took_s=duration"];
    let ran = emx.fails(&bad, 2, "bad_mapping");
    assert!(ran.err.contains("`duration_s`") && ran.err.contains("`ts_ms`"), "{ran:?}");
    emx.ok(&["import", "a.csv", "--tenant", "demo", "--map", "took_s=duration_ms"]);
    let answer = emx.json(&["query", "--tenant", "demo", "--metric", "sum(duration_ms)"]);
    assert_eq!(answer["rows"][0][0], 2000);
}

#[test]
fn a_dry_run_says_that_it_is_one() {
    let emx = Emx::with_builds();
    write(&emx, "a.csv", "ts,command\n2026-03-01T00:00:00Z,x\n");
    let dry = ["import", "a.csv", "--tenant", "demo", "--dry-run"];
    let out = emx.ok(&dry);
    assert!(out.starts_with("a.csv (csv), a dry run: nothing is stored\n"), "{out}");
    assert!(out.contains("1 would be accepted unless already there\n"), "{out}");
    let report = emx.json(&dry);
    assert_eq!((&report["dry_run"], &report["file"]), (&true.into(), &"a.csv".into()));
    let report = emx.json(&["import", "a.csv", "--tenant", "demo"]);
    assert_eq!((report.get("dry_run"), &report["accepted"]), (None, &1.into()));
}

#[test]
fn a_file_of_which_nothing_is_taken_fails_with_a_hint() {
    let emx = Emx::initialised();
    let rows: String = (0..25).map(|n| format!("day {n},x\n")).collect();
    write(&emx, "bad.csv", &format!("ts,command\n{rows}"));
    let ran = emx.run(&["import", "bad.csv", "--tenant", "demo"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("line 2: quarantined: bad_time /ts: `day 0`: write it as"), "{ran:?}");
    assert!(ran.out.ends_with("  and 5 more\n"), "{ran:?}");
    assert!(ran.err.contains("none of the 25 records of `bad.csv` could be taken"), "{ran:?}");
    assert!(ran.err.contains("help: ") && ran.err.contains("`--map`"), "{ran:?}");
}

#[test]
fn a_file_that_is_something_else_is_not_kept_whole() {
    let emx = Emx::initialised();
    let rows = "yesterday,x\n".repeat(100_002);
    write(&emx, "bad.csv", &format!("ts,command\n{rows}"));
    let ran = emx.run(&["import", "bad.csv", "--tenant", "demo", "--dry-run", "--json"]);
    let problem: Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!((ran.code, &problem["code"]), (1, &"too_many_quarantined".into()));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("line 100002") && detail.contains("--map"), "{detail}");
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["quarantined"], 100_001);
}

#[test]
fn the_tenants_zone_is_that_of_times_without_one() {
    let emx = Emx::initialised();
    emx.ok(&["tenant", "create", "east", "--time-zone", "Asia/Kolkata"]);
    write(&emx, "a.csv", "ts,command\n2026-03-01 00:00:00,x\n");
    let first = |tenant: &'static str, more: &[&'static str]| {
        let import = ["import", "a.csv", "--dry-run", "--tenant", tenant];
        emx.json(&[&import[..], more].concat())["first_ts"].clone()
    };
    assert_eq!(first("demo", &[]), "2026-03-01T00:00:00.000Z");
    assert_eq!(first("east", &[]), "2026-02-28T18:30:00.000Z");
    assert_eq!(first("east", &["--time-zone", "UTC"]), "2026-03-01T00:00:00.000Z");
    let bad = ["import", "a.csv", "--tenant", "east", "--time-zone", "Mars/Olympus"];
    emx.fails(&bad, 2, "usage");
}

#[test]
fn a_bad_file_does_not_keep_the_others_out() {
    let emx = Emx::initialised();
    write(&emx, "a.csv", "ts,command\n2026-03-01T00:00:00Z,x\n");
    write(&emx, "b.csv", "colour\nred\n");
    write(&emx, "c.csv", "ts,command\n2026-03-01T00:00:01Z,y\n");
    let import = ["import", "a.csv", "b.csv", "none.csv", "c.csv", "--tenant", "demo", "--json"];
    let ran = emx.run(&import);
    assert_eq!(ran.code, 1, "{ran:?}");
    let lines = |text: &str| -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let files: Vec<Value> = lines(&ran.out).iter().map(|report| report["file"].clone()).collect();
    assert_eq!(files, ["a.csv", "c.csv"]);
    let problems = lines(&ran.err);
    let codes: Vec<&Value> = problems.iter().map(|problem| &problem["code"]).collect();
    assert_eq!(codes, ["missing_column", "unreadable", "import_incomplete"]);
    assert!(problems[0]["detail"].as_str().unwrap().contains("`b.csv`"), "{problems:?}");
    let answer = emx.json(&["query", "--tenant", "demo"]);
    assert_eq!(answer["rows"][0][0], 2);
}

#[test]
fn what_stands_before_damage_is_reported_and_then_the_damage() {
    let emx = Emx::initialised();
    let rows: String =
        (0..40_000).map(|n| format!("2026-03-01T00:00:00Z,c{},{n}\n", n * n % 9973)).collect();
    let whole = format!("ts,command,user\n{rows}");
    let mut packed = zstd::encode_all(whole.as_bytes(), 3).unwrap();
    packed.truncate(packed.len() - 100);
    fs::write(emx.place.path().join("cut.csv.zst"), packed).unwrap();
    let ran = emx.run(&["import", "cut.csv.zst", "--tenant", "demo", "--json"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let accepted = report["accepted"].as_u64().unwrap();
    assert!(accepted > 0 && report["rows"] == accepted, "{report}");
    let problem: Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!(problem["code"], "unreadable");
    let answer = emx.json(&["query", "--tenant", "demo"]);
    assert_eq!(answer["rows"][0][0], accepted);
}
