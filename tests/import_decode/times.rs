//! Times as tables and JSON hold them.

use super::table::{File, KEPT, Rows, given, table};
use emx::transfer::Format;

/// A zone, a column, what stands in it, and the time that is stored or the code of why none is.
type Case = (&'static str, &'static str, &'static str, Result<&'static str, &'static str>);

/// Received on 2026-03-01T00:00:00Z.
const CASES: &[Case] = &[
    ("UTC", "ts", "2026-02-01T00:00:00+01:00", Ok("2026-01-31T23:00:00.000Z")),
    ("UTC", "ts", "2026-02-01 00:00:00 -0530", Ok("2026-02-01T05:30:00.000Z")),
    ("UTC", "ts", "2026-02-01 00:00:00 UTC", Ok("2026-02-01T00:00:00.000Z")),
    ("UTC", "ts", "2026-02-01 12:30", Ok("2026-02-01T12:30:00.000Z")),
    ("UTC", "ts", "2026/02/01", Ok("2026-02-01T00:00:00.000Z")),
    ("UTC", "ts", "2026-02-01T00:00:00.9999Z", Ok("2026-02-01T00:00:00.999Z")),
    ("UTC", "ts", "2024-02-29T00:00:00Z", Ok("2024-02-29T00:00:00.000Z")),
    ("UTC", "ts", "2026-02-29T00:00:00Z", Err("bad_time")),
    ("UTC", "ts", "2026-02-01T24:00:00Z", Err("bad_time")),
    ("UTC", "ts", "2016-12-31T23:59:60Z", Err("bad_time")),
    ("UTC", "ts", "2026-02-01T00:00:00+25:00", Err("bad_time")),
    ("UTC", "ts", "2026-02-01 00:00:00 CET", Err("bad_time")),
    ("UTC", "ts", "01.02.2026 00:00", Err("bad_time")),
    ("UTC", "ts", "02/01/2026", Err("bad_time")),
    ("UTC", "ts", "20260201", Err("bad_time")),
    ("UTC", "ts", "yesterday", Err("bad_time")),
    ("UTC", "ts", "2026-02-01T00:00:0é", Err("bad_time")),
    ("UTC", "ts", "NaN", Err("bad_time")),
    ("UTC", "ts", "1e400", Err("bad_time")),
    ("UTC", "ts", "1769904000", Ok("2026-02-01T00:00:00.000Z")),
    ("UTC", "ts", "1769904000.25", Ok("2026-02-01T00:00:00.250Z")),
    ("UTC", "ts", "1769904000250", Ok("2026-02-01T00:00:00.250Z")),
    ("UTC", "ts", "1769904000250999", Ok("2026-02-01T00:00:00.250Z")),
    ("UTC", "ts", "1769904000250999999", Ok("2026-02-01T00:00:00.250Z")),
    ("UTC", "ts", "1.769904e9", Ok("2026-02-01T00:00:00.000Z")),
    ("UTC", "ts", "86400", Err("bad_time")),
    ("UTC", "ts", "0", Err("bad_time")),
    ("UTC", "ts_s", "0", Ok("1970-01-01T00:00:00.000Z")),
    ("UTC", "ts_s", "-0.001", Err("ts_before_1970")),
    ("UTC", "start_ms", "86400000", Ok("1970-01-02T00:00:00.000Z")),
    ("UTC", "time_us", "1769904000250999", Ok("2026-02-01T00:00:00.250Z")),
    ("UTC", "timestamp_ns", "1769904000250999999", Ok("2026-02-01T00:00:00.250Z")),
    ("UTC", "ts_s", "1769904000000", Err("ts_in_future")),
    ("UTC", "ts_s", "99999999999999999999999999999999", Err("bad_time")),
    ("UTC", "ts_ms", "2026-02-01T00:00:00Z", Ok("2026-02-01T00:00:00.000Z")),
    ("UTC", "ts", "-1769904000", Err("ts_before_1970")),
    ("UTC", "ts", "1969-12-31T23:59:59.999Z", Err("ts_before_1970")),
    ("UTC", "ts", "1970-01-01", Ok("1970-01-01T00:00:00.000Z")),
    ("UTC", "ts", "0000-01-01T00:00:00Z", Err("ts_before_1970")),
    ("UTC", "ts", "2026-03-02T00:00:00Z", Ok("2026-03-02T00:00:00.000Z")),
    ("UTC", "ts", "2026-03-02T00:00:00.001Z", Err("ts_in_future")),
    ("UTC", "ts", "9999-12-31T23:59:59Z", Err("ts_in_future")),
    ("Europe/Berlin", "ts", "2025-07-01 12:00:00", Ok("2025-07-01T10:00:00.000Z")),
    ("Europe/Berlin", "ts", "2025-07-01T12:00:00Z", Ok("2025-07-01T12:00:00.000Z")),
    ("Europe/Berlin", "ts", "2025-03-30 01:59:59", Ok("2025-03-30T00:59:59.000Z")),
    ("Europe/Berlin", "ts", "2025-03-30 02:30:00", Err("bad_time")),
    ("Europe/Berlin", "ts", "2025-03-30 03:00:00", Ok("2025-03-30T01:00:00.000Z")),
    ("Europe/Berlin", "ts", "2025-10-26 02:30:00", Err("ambiguous_time")),
    ("Europe/Berlin", "ts", "2025-10-26 02:30:00 +02:00", Ok("2025-10-26T00:30:00.000Z")),
    ("Europe/Berlin", "ts", "1769904000", Ok("2026-02-01T00:00:00.000Z")),
    ("Asia/Kathmandu", "ts", "2026-03-02 05:45:00", Ok("2026-03-02T00:00:00.000Z")),
    ("Asia/Kathmandu", "ts", "1970-01-01", Err("ts_before_1970")),
];

#[test]
fn times_are_read_or_the_record_is_kept_aside() {
    let mut t = table();
    for &(zone, column, text, wanted) in CASES {
        for (format, line, bytes) in [
            (Format::Csv, 2, format!("{column},command\n{text},x\n")),
            (Format::Ndjson, 1, format!("{{\"{column}\":\"{text}\",\"command\":\"x\"}}\n")),
        ] {
            let file = File { zone, ..given(format) };
            let name = format!("{text} in {column}, {zone}, {}", format.as_str());
            match wanted {
                Ok(ts) => {
                    let outcome = t.check(&name, file, bytes, Rows(1, 0, vec![]));
                    outcome.stores(&[&[&format!("ts={ts}")]]);
                    let report = outcome.report.expect("a report");
                    assert_eq!(report.first_ts, report.last_ts, "{name}");
                }
                Err(code) => {
                    let fate = vec![(line, code, "/ts", KEPT)];
                    t.check(&name, file, bytes, Rows(0, 0, fate));
                }
            }
        }
    }
}
