//! What the workload promises, counted.

use super::*;
use std::collections::{HashMap, HashSet};

const END_MS: i64 = 1_772_323_200_000; // 2026-03-01T00:00:00Z

fn rows(workload: &Workload) -> Vec<serde_json::Value> {
    let mut text = Vec::new();
    workload.write_to(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn distinct(rows: &[serde_json::Value], pointer: &str) -> usize {
    rows.iter().map(|row| row.pointer(pointer).unwrap().to_string()).collect::<HashSet<_>>().len()
}

/// Every value of `key` goes with one value of `of` only.
fn belongs(rows: &[serde_json::Value], key: &str, of: &str) {
    let mut seen = HashMap::new();
    for row in rows {
        let of = row[of].as_str().unwrap();
        assert_eq!(*seen.entry(row[key].as_str().unwrap()).or_insert(of), of);
    }
}

#[test]
fn the_benchmark_has_the_numbers_it_is_known_for() {
    let rows = rows(&Workload::benchmark(100_000, END_MS));
    assert_eq!(rows.len(), 100_000);
    assert_eq!(distinct(&rows, "/id"), 100_000);
    let counts = ["/command", "/team_id", "/project_id", "/host"];
    assert_eq!(counts.map(|pointer| distinct(&rows, pointer)), [200, 20, 60, 40]);
    // A tenth of the million leaves some of the quietest out.
    let users = distinct(&rows, "/user_id");
    assert!((480..=500).contains(&users), "{users}");
    let sessions = distinct(&rows, "/session_id");
    assert!((4_500..5_500).contains(&sessions), "{sessions}");
    belongs(&rows, "user_id", "team_id");
    for of in ["user_id", "host", "project_id"] {
        belongs(&rows, "session_id", of);
    }
    let failures = rows.iter().filter(|row| row["exit_code"] != 0).count();
    assert!((2_700..3_300).contains(&failures), "{failures}");
    // RFC 3339 in UTC sorts as text.
    let mut newest = "";
    let mut late = 0;
    for row in &rows {
        let ts = row["ts"].as_str().unwrap();
        assert!(("2025-12-01T00:00:00.000Z".."2026-03-01T00:00:00.000Z").contains(&ts));
        late += u32::from(ts < newest);
        newest = newest.max(ts);
    }
    assert!((1_500..2_300).contains(&late), "{late}");
}

#[test]
fn a_line_has_about_250_bytes() {
    let mut text = Vec::new();
    Workload::benchmark(10_000, END_MS).write_to(&mut text).unwrap();
    let mean = text.len() / 10_000;
    assert!((240..=265).contains(&mean), "{mean}");
}

#[test]
fn the_seed_decides_every_byte() {
    let write = |seed| {
        let mut text = Vec::new();
        Workload { seed, ..Workload::benchmark(1_000, END_MS) }.write_to(&mut text).unwrap();
        text
    };
    assert_eq!(write(7), write(7));
    assert_ne!(write(7), write(8));
}

#[test]
fn hard_shapes_are_hard_in_one_way() {
    let shaped = |shape| rows(&Workload { shape, ..Workload::benchmark(20_000, END_MS) });
    for (shape, pointer) in [
        (Shape::ManySessions, "/session_id"),
        (Shape::ManyHosts, "/host"),
        (Shape::ManyLabels, "/labels/x"),
        (Shape::ManyCommands, "/command"),
    ] {
        let rows = shaped(shape);
        let found = distinct(&rows, pointer);
        assert!((17_500..19_000).contains(&found), "{shape:?} has {found}");
        belongs(&rows, "session_id", "user_id");
        assert_eq!(Shape::parse(shape.as_str()), Some(shape));
    }
    let times: Vec<String> =
        shaped(Shape::RandomTime).iter().map(|row| row["ts"].to_string()).collect();
    let back = times.windows(2).filter(|pair| pair[1] < pair[0]).count();
    assert!((9_000..11_000).contains(&back), "{back}");
}
