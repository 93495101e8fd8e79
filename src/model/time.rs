//! Times as text: RFC 3339 in, RFC 3339 UTC with milliseconds out.
//!
//! Written by hand because every event on the intake path carries one: a general parser costs
//! more than the rest of its line. Calendar arithmetic: Howard Hinnant, "chrono-Compatible
//! Low-Level Date Algorithms" (2013), `days_from_civil` and `civil_from_days`.

use storage::row::TimeMs;

/// Milliseconds of a day.
pub const DAY_MS: i64 = 24 * 3600 * 1000;

/// Reads `2026-03-01T09:30:00.123+01:00`: date, `T` (or `t`, or a space), time with an optional
/// fraction, and `Z` or an offset. Digits beyond milliseconds are cut off, not rounded, so that a
/// time never moves into the next bucket. A leap second counts as the second after it. `None` if
/// it is not such a time.
pub fn parse_rfc3339(text: &str) -> Option<TimeMs> {
    let bytes = text.as_bytes();
    let (date_time, rest) = bytes.split_at_checked(19)?;
    let (year, month, day) = parse_date(date_time)?;
    if !matches!(date_time[10], b'T' | b't' | b' ')
        || date_time[13] != b':'
        || date_time[16] != b':'
    {
        return None;
    }
    let (hour, minute, second) =
        (digits(&date_time[11..13])?, digits(&date_time[14..16])?, digits(&date_time[17..19])?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (millis, zone) = parse_fraction(rest)?;
    let offset_minutes = parse_offset(zone)?;
    let days = days_from_civil(year, month, day);
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset_minutes * 60;
    Some(seconds * 1000 + millis)
}

/// The first ten bytes as year, month and day, if they are a date of the calendar.
fn parse_date(bytes: &[u8]) -> Option<(i64, i64, i64)> {
    if bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let (year, month, day) = (digits(&bytes[..4])?, digits(&bytes[5..7])?, digits(&bytes[8..10])?);
    let valid = (1..=12).contains(&month) && day >= 1 && day <= days_of_month(year, month);
    valid.then_some((year, month, day))
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
}

/// `.123456` as milliseconds, and what follows.
fn parse_fraction(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let Some(fraction) = bytes.strip_prefix(b".") else { return Some((0, bytes)) };
    let len = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
    let (fraction, rest) = fraction.split_at(len);
    let millis = digits(&fraction[..len.min(3)])? * [1000, 100, 10, 1][len.min(3)];
    (len > 0).then_some((millis, rest))
}

/// `Z` or `+hh:mm` in minutes.
fn parse_offset(bytes: &[u8]) -> Option<i64> {
    match bytes {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
            let total = hours * 60 + minutes;
            (hours <= 23 && minutes <= 59).then_some(if *sign == b'-' { -total } else { total })
        }
        _ => None,
    }
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + is_leap(year) as i64,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar.
pub const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = (month + 9) % 12; // March is 0
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The date `days` after 1970-01-01, as year, month, day.
pub const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + (month <= 2) as i64, month, day)
}

/// `ts_ms` as `2026-03-01T08:30:00.123Z`.
pub fn format_rfc3339(ts_ms: TimeMs) -> String {
    let (year, month, day) = civil_from_days(ts_ms.div_euclid(DAY_MS));
    let ms = ts_ms.rem_euclid(DAY_MS);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    let millis = ms % 1000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_rfc_3339_allows_and_nothing_else() {
        let cases: &[(&str, Option<i64>)] = &[
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-01t00:00:00z", Some(0)),
            ("1970-01-01 00:00:00.5Z", Some(500)),
            ("1970-01-01T00:00:00.1239999Z", Some(123)),
            ("1970-01-01T01:00:00+01:00", Some(0)),
            ("1969-12-31T18:15:00-05:45", Some(0)),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800_000)),
            ("2016-12-31T23:59:60Z", Some(1_483_228_800_000)),
            ("2026-03-01T09:30:00.123+01:00", Some(1_772_353_800_123)),
            ("2023-02-29T00:00:00Z", None),
            ("2023-13-01T00:00:00Z", None),
            ("2023-00-01T00:00:00Z", None),
            ("2023-01-32T00:00:00Z", None),
            ("2023-01-01T24:00:00Z", None),
            ("2023-01-01T00:60:00Z", None),
            ("2023-01-01T00:00:00", None),
            ("2023-01-01T00:00:00.Z", None),
            ("2023-01-01T00:00:00+0100", None),
            ("2023-01-01T00:00:00+24:00", None),
            ("2023-01-01", None),
            ("+023-01-01T00:00:00Z", None),
            ("2023-01-01T00:00:00Zx", None),
            ("", None),
            ("yesterday at nine o'clock", None),
        ];
        for (text, want) in cases {
            assert_eq!(parse_rfc3339(text), *want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(ts in -62_135_596_800_000i64..253_402_300_800_000) {
            prop_assert_eq!(parse_rfc3339(&format_rfc3339(ts)), Some(ts));
        }

        #[test]
        fn any_text_is_no_panic(text in "\\PC{0,40}") {
            let _ = parse_rfc3339(&text);
        }
    }
}
