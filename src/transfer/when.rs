//! Times as files hold them: with an offset, without one, or as a Unix number.

use super::decimal::Decimal;
use crate::model::time::parse_rfc3339;
use jiff::tz::{AmbiguousOffset, TimeZone};
use std::fmt;
use storage::row::TimeMs;

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds.
    Nanos,
    /// Microseconds.
    Micros,
    /// Milliseconds.
    Millis,
    /// Seconds.
    Seconds,
    /// Minutes.
    Minutes,
    /// Hours.
    Hours,
}

impl Unit {
    /// How it is written behind a field: `duration_s`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nanos => "ns",
            Self::Micros => "us",
            Self::Millis => "ms",
            Self::Seconds => "s",
            Self::Minutes => "min",
            Self::Hours => "h",
        }
    }

    /// Its usual names, as suffixes of columns and behind numbers.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "ns" | "nsec" | "nsecs" | "nanos" | "nanosecond" | "nanoseconds" => Self::Nanos,
            "us" | "usec" | "usecs" | "micros" | "microsecond" | "microseconds" => Self::Micros,
            "ms" | "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => Self::Millis,
            "s" | "sec" | "secs" | "second" | "seconds" => Self::Seconds,
            "min" | "mins" | "minute" | "minutes" => Self::Minutes,
            "h" | "hr" | "hrs" | "hour" | "hours" => Self::Hours,
            _ => return None,
        })
    }

    /// The power of ten to seconds, and what is left to multiply by.
    const fn scale(self) -> (i32, i128) {
        match self {
            Self::Nanos => (-9, 1),
            Self::Micros => (-6, 1),
            Self::Millis => (-3, 1),
            Self::Seconds => (0, 1),
            Self::Minutes => (0, 60),
            Self::Hours => (0, 3600),
        }
    }

    /// `number` of this unit in microseconds, rounded to the nearest.
    pub(crate) fn micros(self, number: &Decimal) -> Option<i128> {
        // Minutes and hours are multiplied at a thousandth of a microsecond and rounded then.
        let (power, factor) = self.scale();
        if factor == 1 {
            return number.rounded(6 + power);
        }
        let nanos = number.rounded(9)?.checked_mul(factor)?;
        Some((nanos + nanos.signum() * 500) / 1000)
    }
}

/// How a time was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// With `Z` or an offset.
    Offset,
    /// Without: read in the zone of the options.
    Local,
    /// A number since 1970.
    Unix(Unit),
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offset => f.write_str("time with offset"),
            Self::Local => f.write_str("time without offset"),
            Self::Unix(unit) => write!(f, "Unix time in {}", unit.as_str()),
        }
    }
}

/// Why a time cannot be read: a code and a detail.
pub(crate) type Unreadable = (&'static str, &'static str);

const BAD_TIME: Unreadable =
    ("bad_time", "write it as 2026-03-01T09:30:00.000+01:00, or as a Unix time");
const NO_UNIT: Unreadable = (
    "bad_time",
    "a Unix time before 1973 in every unit cannot be told from another number: name its unit \
     with --map COLUMN=ts_s or ts_ms",
);
const AMBIGUOUS: Unreadable = (
    "ambiguous_time",
    "the clock showed this time twice when summer time ended: export it with its offset",
);
const NEVER: Unreadable =
    ("bad_time", "the clock never showed this time in the time zone given: check --time-zone");

/// Below this a number of seconds lies before March 1973, which no record of a command does: it
/// is rather something else. Every further unit begins where the one before has reached 5138, so
/// that each covers 1973 to 5138.
const UNIX_MIN: i128 = 100_000_000;

/// Reads a time. A number is of `unit`, or of the unit in which it lies between 1973 and 5138;
/// a time without an offset is one of `zone`.
pub(crate) fn read(
    text: &str,
    unit: Option<Unit>,
    zone: &TimeZone,
) -> Result<(TimeMs, Shape), Unreadable> {
    let text = text.trim_ascii();
    if let Ok(ts) = parse_rfc3339(text) {
        return Ok((ts, Shape::Offset));
    }
    if let Some(number) = Decimal::parse(text) {
        let unit = match unit {
            Some(unit) => unit,
            None => guess(&number).ok_or(NO_UNIT)?,
        };
        let (power, factor) = unit.scale();
        let ms = number.floored(3 + power).and_then(|ms| ms.checked_mul(factor));
        let ms = ms.and_then(|ms| TimeMs::try_from(ms).ok()).ok_or(BAD_TIME)?;
        return Ok((ms, Shape::Unix(unit)));
    }
    let Some((canonical, has_offset)) = Canonical::of(text.as_bytes()) else {
        return Err(BAD_TIME);
    };
    let ts = canonical.as_str().and_then(|text| parse_rfc3339(text).ok()).ok_or(BAD_TIME)?;
    if has_offset { Ok((ts, Shape::Offset)) } else { Ok((in_zone(ts, zone)?, Shape::Local)) }
}

/// The unit in which `number` lies between 1973 and 5138.
fn guess(number: &Decimal) -> Option<Unit> {
    let whole = number.floored(0)?.abs();
    let units = [Unit::Seconds, Unit::Millis, Unit::Micros, Unit::Nanos];
    let mut least = UNIX_MIN;
    for unit in units {
        if whole >= least && whole < least * 1000 {
            return Some(unit);
        }
        least *= 1000;
    }
    None
}

/// The instant at which the clocks of `zone` show what UTC's show at `shown`.
fn in_zone(shown: TimeMs, zone: &TimeZone) -> Result<TimeMs, Unreadable> {
    if *zone == TimeZone::UTC {
        return Ok(shown);
    }
    let timestamp = jiff::Timestamp::from_millisecond(shown).map_err(|_| BAD_TIME)?;
    let shown_time = jiff::tz::Offset::UTC.to_datetime(timestamp);
    let offset = match zone.to_ambiguous_timestamp(shown_time).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset,
        AmbiguousOffset::Gap { .. } => return Err(NEVER),
        AmbiguousOffset::Fold { .. } => return Err(AMBIGUOUS),
    };
    Ok(shown - i64::from(offset.seconds()) * 1000)
}

/// A time rewritten as RFC 3339.
struct Canonical {
    bytes: [u8; Self::BYTES_MAX],
    len: usize,
}

impl Canonical {
    /// Date, time, fraction of up to nine digits, offset, and some to spare.
    const BYTES_MAX: usize = 48;

    /// Understands `2026-03-01`, `2026/03/01`, followed by `T` or a space, `09:30`, `09:30:00`,
    /// `09:30:00.123` or `,123`, followed by nothing or, behind a space or not, `Z`, `UTC`,
    /// `GMT`, `+01`, `+0100` or `+01:00`. Whether the values are a date and a time is not
    /// checked. Also says whether there was an offset.
    fn of(text: &[u8]) -> Option<(Self, bool)> {
        let mut out = Self { bytes: [0; Self::BYTES_MAX], len: 0 };
        let (date, rest) = text.split_at_checked(10)?;
        if !matches!(date[4], b'-' | b'/') || date[4] != date[7] {
            return None;
        }
        out.push(&date[..4])?;
        out.push(b"-")?;
        out.push(&date[5..7])?;
        out.push(b"-")?;
        out.push(&date[8..])?;
        out.push(b"T")?;
        let Some((separator, rest)) = rest.split_first() else {
            out.push(b"00:00:00Z")?;
            return Some((out, false));
        };
        if !matches!(separator, b'T' | b't' | b' ') {
            return None;
        }
        let clock = rest.iter().take_while(|b| b.is_ascii_digit() || b":.,".contains(b)).count();
        let (clock, zone) = rest.split_at(clock);
        let (clock, fraction) = match clock.iter().position(|b| b".,".contains(b)) {
            Some(at) => (&clock[..at], Some(&clock[at + 1..])),
            None => (clock, None),
        };
        out.push(clock)?;
        match (clock.len(), fraction) {
            (5, None) => out.push(b":00")?,
            (8, None) => {}
            (8, Some(fraction)) => {
                out.push(b".")?;
                out.push(fraction)?;
            }
            _ => return None,
        }
        let zone = zone.strip_prefix(b" ").unwrap_or(zone);
        match zone {
            b"" | b"Z" | b"z" | b"UTC" | b"GMT" => out.push(b"Z")?,
            [sign @ (b'+' | b'-'), hours @ ..] => {
                out.push(&[*sign])?;
                match hours {
                    [h1, h2] => out.push(&[*h1, *h2, b':', b'0', b'0'])?,
                    [h1, h2, b':', m1, m2] | [h1, h2, m1, m2] => {
                        out.push(&[*h1, *h2, b':', *m1, *m2])?;
                    }
                    _ => return None,
                }
            }
            _ => return None,
        }
        Some((out, !zone.is_empty()))
    }

    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        self.bytes.get_mut(self.len..self.len + bytes.len())?.copy_from_slice(bytes);
        self.len += bytes.len();
        Some(())
    }

    fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes[..self.len]).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The time and how it was written, or the code of what is wrong.
    type Wanted<'w> = Result<(&'w str, Shape), &'w str>;

    fn check(zone: &TimeZone, cases: &[(&str, Wanted<'_>)]) {
        for (text, want) in cases {
            let got = read(text, None, zone).map_err(|(code, _)| code);
            let want =
                want.map(|(time, shape)| (parse_rfc3339(time).expect("a time to expect"), shape));
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn times_are_read_in_every_shape() {
        use Shape::{Local, Offset, Unix};
        check(
            &TimeZone::UTC,
            &[
                ("2026-03-01T09:30:00.123+01:00", Ok(("2026-03-01T08:30:00.123Z", Offset))),
                (" 2026-03-01 09:30:00Z ", Ok(("2026-03-01T09:30:00Z", Offset))),
                ("2026-03-01 09:30:00 +0100", Ok(("2026-03-01T08:30:00Z", Offset))),
                ("2026-03-01 09:30:00+01", Ok(("2026-03-01T08:30:00Z", Offset))),
                ("2026-03-01 09:30:00 UTC", Ok(("2026-03-01T09:30:00Z", Offset))),
                ("2026-03-01T09:30Z", Ok(("2026-03-01T09:30:00Z", Offset))),
                ("2026-03-01 09:30:00", Ok(("2026-03-01T09:30:00Z", Local))),
                ("2026-03-01 09:30:00,5", Ok(("2026-03-01T09:30:00.5Z", Local))),
                ("2026/03/01 09:30:00.123456789", Ok(("2026-03-01T09:30:00.123Z", Local))),
                ("2026-03-01", Ok(("2026-03-01T00:00:00Z", Local))),
                ("1772357400", Ok(("2026-03-01T09:30:00Z", Unix(Unit::Seconds)))),
                ("1772357400.5", Ok(("2026-03-01T09:30:00.5Z", Unix(Unit::Seconds)))),
                ("1772357400500", Ok(("2026-03-01T09:30:00.5Z", Unix(Unit::Millis)))),
                ("1772357400500999", Ok(("2026-03-01T09:30:00.5Z", Unix(Unit::Micros)))),
                ("1772357400500999999", Ok(("2026-03-01T09:30:00.5Z", Unix(Unit::Nanos)))),
                ("0", Err("bad_time")),
                ("20260301", Err("bad_time")),
                ("1e40", Err("bad_time")),
                ("2026-03/01", Err("bad_time")),
                ("2026-02-30", Err("bad_time")),
                ("2026-03-01T25:00:00", Err("bad_time")),
                ("2026-03-01 09:30:00 CET", Err("bad_time")),
                ("2026-03-01 09:30:00.", Err("bad_time")),
                ("2026-03-01 09", Err("bad_time")),
                ("01.03.2026 09:30", Err("bad_time")),
                ("yesterday", Err("bad_time")),
                ("", Err("bad_time")),
            ],
        );
    }

    #[test]
    fn a_time_zone_is_for_times_without_offset() {
        use Shape::{Local, Offset};
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        check(
            &berlin,
            &[
                ("2026-03-01 09:30:00", Ok(("2026-03-01T08:30:00Z", Local))),
                ("2026-07-01 09:30:00", Ok(("2026-07-01T07:30:00Z", Local))),
                ("2026-07-01 09:30:00Z", Ok(("2026-07-01T09:30:00Z", Offset))),
                ("2026-03-29 02:30:00", Err("bad_time")),
                ("2026-10-25 02:30:00", Err("ambiguous_time")),
                ("2026-10-25 02:30:00+01:00", Ok(("2026-10-25T01:30:00Z", Offset))),
            ],
        );
    }

    #[test]
    fn a_given_unit_wins() {
        let utc = TimeZone::UTC;
        assert_eq!(read("5", Some(Unit::Seconds), &utc), Ok((5000, Shape::Unix(Unit::Seconds))));
        assert_eq!(read("-1", Some(Unit::Micros), &utc), Ok((-1, Shape::Unix(Unit::Micros))));
        assert_eq!(
            read("1772357400", Some(Unit::Millis), &utc),
            Ok((1_772_357_400, Shape::Unix(Unit::Millis)))
        );
    }

    proptest! {
        #[test]
        fn any_text_is_no_panic(text in "\\PC{0,60}", near in "[0-9TZ :./,+-]{0,40}") {
            let berlin = TimeZone::get("Europe/Berlin").unwrap();
            let _ = (read(&text, None, &berlin), read(&near, Some(Unit::Hours), &berlin));
        }
    }
}
