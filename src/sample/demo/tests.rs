//! What the demo promises of its lines; `tests/demo.rs` asks the engine about them.

use super::*;
use std::collections::HashSet;

const END_MS: i64 = 1_772_323_200_000; // 2026-03-01T00:00:00Z
const DAY_MS: i64 = 24 * HOUR_MS;

fn lines(mut history: History) -> String {
    let mut out = Vec::new();
    while history.append_to(&mut out) {}
    assert_eq!(history.remaining(), 0);
    String::from_utf8(out).unwrap()
}

fn live_lines(seed: u64, stretches_ms: &[i64]) -> String {
    let mut live = live(seed, END_MS, ROWS_LIVELY);
    let mut out = Vec::new();
    let mut to_ms = END_MS;
    let mut count = 0;
    for stretch_ms in stretches_ms {
        to_ms += stretch_ms;
        count += live.append_until(to_ms, &mut out);
    }
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.lines().count(), count);
    text
}

fn row(line: &str) -> serde_json::Value {
    serde_json::from_str(line).unwrap()
}

/// When the execution of a line ended.
fn end_ms(line: &str) -> f64 {
    let row = row(line);
    let ts: jiff::Timestamp = row["ts"].as_str().unwrap().parse().unwrap();
    ts.as_millisecond() as f64 + row["duration_ms"].as_f64().unwrap()
}

#[test]
fn the_seed_and_the_end_decide_every_byte() {
    let some = |seed, end_ms| lines(history(seed, end_ms, 3_000));
    let text = some(1, END_MS);
    assert_eq!((text.lines().count(), &text), (3_000, &some(1, END_MS)));
    assert_ne!(text, some(2, END_MS));
    assert_ne!(text, some(1, END_MS + HOUR_MS));
    assert_eq!(lines(history(1, END_MS, 1)).lines().count(), 1);
    assert_eq!(lines(history(1, END_MS, 0)), "");
}

#[test]
fn executions_come_in_the_order_in_which_they_ended_within_the_three_months() {
    let text = lines(history(7, END_MS + 1_234, 20_000));
    let start_ms = (END_MS + 1_234 - i64::from(DAYS) * DAY_MS) as f64;
    let mut last = start_ms;
    let mut ids = HashSet::new();
    for line in text.lines() {
        let end = end_ms(line);
        assert!(end >= last - 1.0, "{line}"); // `ts` has whole milliseconds
        assert!(end < (END_MS + 1_234 + 1) as f64, "{line}");
        last = last.max(end);
        assert!(ids.insert(row(line)["id"].to_string()), "{line}");
    }
}

#[test]
fn what_happens_now_does_not_depend_on_how_often_one_looks() {
    let whole = live_lines(1, &[6 * HOUR_MS]);
    assert_eq!(whole, live_lines(1, &[1_000; 6 * 3_600]));
    assert_eq!(whole, live_lines(1, &[0, 17, 2 * HOUR_MS - 18, 1, HOUR_MS, 3 * HOUR_MS]));
    assert_ne!(whole, live_lines(2, &[6 * HOUR_MS]));
    let ends: Vec<f64> = whole.lines().map(end_ms).collect();
    assert!(ends.windows(2).all(|pair| pair[0] <= pair[1] + 1.0));
    assert!(ends.iter().all(|&end| end >= END_MS as f64 - 1.0));
}

#[test]
fn something_happens_every_one_to_three_seconds_by_day() {
    // 2026-03-01 is a Sunday; the second day is a working day.
    let mut live = live(1, END_MS + DAY_MS, ROWS_LIVELY);
    let mut busy = 0;
    for hour in 0..24 {
        let count = live.append_until(END_MS + DAY_MS + (hour + 1) * HOUR_MS, &mut Vec::new());
        assert!(count > 100, "{count} in hour {hour}");
        busy += i32::from((1_200..=3_600).contains(&count));
    }
    assert!(busy >= 8, "{busy}");
}

#[test]
fn a_pace_is_the_same_before_and_after() {
    const ROWS: u64 = 91 * 2_000;
    let week_ms = 7 * DAY_MS;
    let text = lines(history(3, END_MS, ROWS));
    let before = text.lines().filter(|line| end_ms(line) >= (END_MS - week_ms) as f64).count();
    let after = live(3, END_MS, ROWS).append_until(END_MS + week_ms, &mut Vec::new());
    let ratio = after as f64 / before as f64;
    assert!((0.9..1.15).contains(&ratio), "{before}, then {after}");
}
