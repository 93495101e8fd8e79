//! Times in questions: RFC 3339 with offset, or integer Unix milliseconds; on the command line
//! also relative ones.

use super::bucket::Zone;
use super::node::Node;
use super::problem::Problems;
use crate::model::problem::excerpt;
use crate::model::time::parse_rfc3339;
use storage::row::TimeMs;

/// Years 0001 to 9998 in every zone: what RFC 3339 can write and the calendar can compute.
const TIME_MS: std::ops::RangeInclusive<TimeMs> = -62_135_510_400_000..=253_370_764_799_999;

/// Reads the time at `pointer`.
pub(crate) fn read(node: &Node, pointer: &str, problems: &mut Problems) -> Option<TimeMs> {
    let parsed = match node {
        Node::Int(ms) => Ok(*ms),
        Node::Text(text) => parse_rfc3339(text),
        Node::Bare(text) => text.parse().or_else(|_| parse_rfc3339(text)),
        other => {
            let detail = format!("must be a time, is {}", other.kind());
            problems.add(pointer, "wrong_type", detail);
            return None;
        }
    };
    let time = match parsed {
        Ok(time) => time,
        Err(error) => {
            let detail = format!("{error}; or send integer Unix milliseconds");
            problems.add(pointer, "invalid_time", detail);
            return None;
        }
    };
    if !TIME_MS.contains(&time) {
        problems.add(pointer, "out_of_range", "must lie in the years 1 to 9998");
        return None;
    }
    Some(time)
}

/// Numbers below are not milliseconds of any year that people ask about (they end in March 1973),
/// but seconds, or a year.
const TYPED_MS_MIN: u64 = 100_000_000_000;

/// What a person types for a time, as the parameter that it means: a relative time, a date (the
/// beginning of that day in `zone`), or whatever the contract has. Fails with what to write for a
/// number that cannot be meant as milliseconds.
pub fn typed(text: &str, now_ms: TimeMs, zone: &Zone) -> Result<String, String> {
    if let Some(ms) = relative(text, now_ms).or_else(|| day_start(text, zone)) {
        return Ok(ms.to_string());
    }
    match text.parse::<i64>() {
        Ok(number) if number.unsigned_abs() < TYPED_MS_MIN => Err(format!(
            "`{}` is no time: write Unix milliseconds (of today they have 13 digits), a date or \
             -7d",
            excerpt(text)
        )),
        _ => Ok(text.to_owned()),
    }
}

/// The first instant of the day `text`, as `2026-03-01`, in `zone`; `None` if it is no date.
fn day_start(text: &str, zone: &Zone) -> Option<TimeMs> {
    const DATE_BYTES: usize = "2026-03-01".len();
    let date: jiff::civil::Date =
        if text.len() == DATE_BYTES { text.parse().ok()? } else { return None };
    // Where a gap swallows midnight, this is the first instant behind it.
    let start = zone.rules().to_timestamp(date.at(0, 0, 0, 0)).ok()?;
    Some(start.as_millisecond())
}

/// Longest relative time, in any unit, so that no product overflows: a thousand years of seconds.
const RELATIVE_MAX: i64 = 32_000_000_000;

/// The instant of a relative time, for the command line: `now`, `now-7d`, `now+1h`, `-30d`, with
/// the units `s m h d w` (a day is 24 hours). `None` if `text` is not one.
pub fn relative(text: &str, now_ms: TimeMs) -> Option<TimeMs> {
    let offset = text.strip_prefix("now").unwrap_or(text);
    if offset.is_empty() {
        return (text == "now").then_some(now_ms);
    }
    let sign = match offset.as_bytes().first()? {
        b'-' => -1,
        b'+' if offset.len() < text.len() => 1,
        _ => return None,
    };
    let (digits, unit) = offset.get(1..)?.split_at_checked(offset.len().checked_sub(2)?)?;
    let unit_ms = match unit {
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 604_800_000,
        _ => return None,
    };
    let plain = digits.bytes().all(|digit| digit.is_ascii_digit());
    let count: i64 = digits.parse().ok().filter(|&n| plain && n <= RELATIVE_MAX)?;
    now_ms.checked_add(count.checked_mul(unit_ms)? * sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type() {
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        let santiago = Zone::parse("America/Santiago").unwrap();
        for (text, zone, wanted) in [
            ("-1h", &berlin, Some("1699996400000")),
            ("2026-03-01", &berlin, Some("1772319600000")),
            ("2026-03-01", &Zone::utc(), Some("1772323200000")),
            // That day begins at one o'clock.
            ("2026-09-06", &santiago, Some("1788667200000")),
            ("2026-02-30", &berlin, Some("2026-02-30")), // refused by whoever reads it
            ("1700000000000", &berlin, Some("1700000000000")),
            ("2026-03-01T00:00:00Z", &berlin, Some("2026-03-01T00:00:00Z")),
            ("soon", &berlin, Some("soon")),
            ("1700000000", &berlin, None),
            ("2026", &berlin, None),
            ("-7", &berlin, None),
        ] {
            assert_eq!(typed(text, 1_700_000_000_000, zone).ok().as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn relative_times() {
        const NOW: TimeMs = 1_700_000_000_000;
        for (text, wanted) in [
            ("now", Some(NOW)),
            ("now-7d", Some(NOW - 7 * 86_400_000)),
            ("now+1h", Some(NOW + 3_600_000)),
            ("-30d", Some(NOW - 30 * 86_400_000)),
            ("-90s", Some(NOW - 90_000)),
            ("-2w", Some(NOW - 1_209_600_000)),
            ("-5m", Some(NOW - 300_000)),
            ("+5m", None),
            ("", None),
            ("-", None),
            ("-d", None),
            ("now-", None),
            ("now7d", None),
            ("7d", None),
            ("--7d", None),
            ("-7y", None),
            ("-7é", None),
            ("-99999999999999999999d", None),
            ("2026-03-01T00:00:00Z", None),
        ] {
            assert_eq!(relative(text, NOW), wanted, "{text}");
        }
    }
}
