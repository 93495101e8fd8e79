//! Times in questions: RFC 3339 with offset, or integer Unix milliseconds; on the command line
//! also relative ones.

use super::node::Node;
use super::problem::Problems;
use storage::row::TimeMs;

/// Years 0001 to 9998 in every zone: what RFC 3339 can write and the calendar can compute.
const TIME_MS: std::ops::RangeInclusive<TimeMs> = -62_135_510_400_000..=253_370_764_799_999;

/// Reads the time at `pointer`.
pub(crate) fn read(node: &Node, pointer: &str, problems: &mut Problems) -> Option<TimeMs> {
    let time = match node {
        Node::Int(ms) => Some(*ms),
        Node::Text(text) => instant(text),
        Node::Bare(text) => text.parse().ok().or_else(|| instant(text)),
        other => {
            let detail = format!("must be a time, is {}", other.kind());
            problems.add(pointer, "wrong_type", detail);
            return None;
        }
    };
    let Some(time) = time else {
        let detail = "must be RFC 3339 with offset, like `2026-03-01T00:00:00Z`, or integer Unix \
                      milliseconds";
        problems.add(pointer, "bad_time", detail);
        return None;
    };
    if !TIME_MS.contains(&time) {
        problems.add(pointer, "out_of_range", "must lie in the years 1 to 9998");
        return None;
    }
    Some(time)
}

/// The instant that RFC 3339 text names, cut to milliseconds.
fn instant(text: &str) -> Option<TimeMs> {
    let timestamp: jiff::Timestamp = text.parse().ok()?;
    // Division towards the past: 1 µs before the epoch lies in millisecond -1.
    Some(timestamp.as_microsecond().div_euclid(1000))
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

    #[test]
    fn instants() {
        for (text, wanted) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-01T01:00:00.5+01:00", Some(500)),
            ("1969-12-31T23:59:59.999999Z", Some(-1)),
            ("2026-03-01T00:00:00", None),
            ("2026-03-01", None),
            ("2026-02-30T00:00:00Z", None),
            ("yesterday", None),
        ] {
            assert_eq!(instant(text), wanted, "{text}");
        }
    }
}
