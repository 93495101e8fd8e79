//! An answer as a person reads it: units chosen to fit, shares in percent, times in the zone that
//! was asked for. Whoever wants exact numbers takes JSON or CSV.

use super::table::{Side, TextTable, grouped};
use crate::query::answer::{Column, ColumnType, Unit, Value, source_word};
use crate::query::bucket::Width;
use crate::query::{Answer, Question};
use jiff::tz::TimeZone;
use storage::row::TimeMs;

/// The table, its cells at most `cell_max` columns wide, and a line on where it came from.
pub(super) fn render(answer: &Answer, question: &Question, cell_max: usize) -> String {
    let zone = TimeZone::get(question.zone.name()).unwrap_or(TimeZone::UTC);
    let columns = &answer.table.columns;
    let headings: Vec<(String, Side)> = columns.iter().map(|c| heading(c, question)).collect();
    let headings: Vec<(&str, Side)> =
        headings.iter().map(|(h, side)| (h.as_str(), *side)).collect();
    let mut table = TextTable::new(&headings).cut_to(cell_max);
    for row in answer.table.rows() {
        let cells = row.iter().zip(columns);
        table.push(cells.map(|(value, column)| cell(value, column, question.bucket, &zone)));
    }
    table.render() + &footer(answer)
}

fn heading(column: &Column, question: &Question) -> (String, Side) {
    match column.kind {
        ColumnType::Time => (format!("{} ({})", column.name, question.zone.name()), Side::Left),
        ColumnType::Text => (column.name.clone(), Side::Left),
        ColumnType::Integer | ColumnType::Number => {
            // The unit stands in the cells.
            (column.name.replace("(duration_ms)", "(duration)"), Side::Right)
        }
    }
}

fn footer(answer: &Answer) -> String {
    let table = &answer.table;
    let rows = table.rows().len();
    let mut parts = [
        format!("{} {}", grouped(&rows.to_string()), if rows == 1 { "row" } else { "rows" }),
        format!("source: {}", source_word(table.source)),
        format!("{} executions scanned", grouped(&table.rows_scanned.to_string())),
        format!("{:.1} ms", answer.elapsed_ms),
    ];
    if table.truncated {
        parts[0] += " (there are more: raise --limit)";
    }
    format!("\n{}\n", parts.join(" · "))
}

fn cell(value: &Value, column: &Column, width: Width, zone: &TimeZone) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::Time(ms) => local_time(*ms, width, zone),
        Value::Text(text) if text.is_empty() => "(none)".to_owned(),
        Value::Text(text) => text.to_string(),
        Value::Int(number) => grouped(&number.to_string()),
        Value::Micros(us) => duration(*us as f64),
        Value::MicrosFloat(us) => duration(*us),
        Value::Float(share) if column.unit == Some(Unit::Ratio) => {
            format!("{:.2} %", share * 100.0)
        }
        Value::Float(number) => float(*number),
    }
}

/// The start of a bucket, as finely as its width needs.
fn local_time(ms: TimeMs, width: Width, zone: &TimeZone) -> String {
    let Ok(at) = jiff::Timestamp::from_millisecond(ms) else { return ms.to_string() };
    let local = zone.to_datetime(at);
    let pattern = match width {
        Width::Month => "%Y-%m",
        Width::Day | Width::Week => "%Y-%m-%d",
        Width::Hour | Width::None => "%Y-%m-%d %H:%M",
    };
    local.strftime(pattern).to_string()
}

/// Microseconds in the unit that needs few digits.
fn duration(us: f64) -> String {
    const MS: f64 = 1e3;
    const S: f64 = 1e6;
    const MIN: f64 = 60.0 * S;
    const H: f64 = 60.0 * MIN;
    const DAY: f64 = 24.0 * H;
    let (scale, unit) = match us.abs() {
        us if us < MS => (1.0, "µs"),
        us if us < S => (MS, "ms"),
        us if us < MIN => (S, "s"),
        us if us < H => (MIN, "min"),
        us if us < 3.0 * DAY => (H, "h"),
        _ => (DAY, "d"),
    };
    format!("{} {unit}", three_digits(us / scale))
}

fn float(number: f64) -> String {
    const PLAIN_MAX: f64 = 1e15; // beyond it doubles have no digits after the point to show
    if number == 0.0 || (1e-3..PLAIN_MAX).contains(&number.abs()) {
        grouped(&three_digits(number))
    } else {
        format!("{number:.2e}")
    }
}

/// At least three digits: `1.23`, `12.3`, `123`, `12345`.
fn three_digits(number: f64) -> String {
    match number.abs() {
        n if n < 9.995 => format!("{number:.2}"),
        n if n < 99.95 => format!("{number:.1}"),
        _ => grouped(&format!("{number:.0}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_choose_their_unit() {
        let cases = [
            (0.0, "0.00 µs"),
            (999.0, "999 µs"),
            (1_234.0, "1.23 ms"),
            (234_568.0, "235 ms"),
            (2_345_678.0, "2.35 s"),
            (90e6, "1.50 min"),
            (7_200e6, "2.00 h"),
            (100.0 * 3_600e6, "4.17 d"),
            (86_400e6 * 12_345.0, "12 345 d"),
        ];
        for (us, shown) in cases {
            assert_eq!(duration(us), shown);
        }
    }

    #[test]
    fn numbers_are_short() {
        let cases = [
            (0.0, "0.00"),
            (0.0123, "0.01"),
            (1e-9, "1.00e-9"),
            (-12.34, "-12.3"),
            (1_234_567.8, "1 234 568"),
            (1e20, "1.00e20"),
        ];
        for (number, shown) in cases {
            assert_eq!(float(number), shown);
        }
    }

    #[test]
    fn buckets_are_as_fine_as_they_are_wide() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let at = 1_774_994_400_000; // 2026-03-31T22:00Z, midnight of April in Berlin
        for (width, shown) in [
            (Width::Hour, "2026-04-01 00:00"),
            (Width::Day, "2026-04-01"),
            (Width::Month, "2026-04"),
        ] {
            assert_eq!(local_time(at, width, &berlin), shown);
        }
    }
}
