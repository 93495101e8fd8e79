//! Instants as the outer contract writes them: RFC 3339 in, RFC 3339 in UTC with milliseconds out.
//!
//! Time is kept in whole milliseconds. What a caller sends finer than that is cut towards the
//! past (`…59.9999Z` is `…59.999`), so that a row never moves into the next hour, and two texts
//! of one instant always give the same number.

use std::fmt;
use storage::row::TimeMs;

const MS_PER_DAY: i64 = 86_400_000;

/// Why a text is not an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not of the form at all.
    #[error("is not RFC 3339: write it like `2026-03-01T09:30:00.000Z`")]
    Form,
    /// No offset: nobody knows which instant is meant.
    #[error("has no offset: end it with `Z` or an offset like `+01:00`")]
    NoOffset,
    /// A month, day, hour, minute, second or offset that does not exist.
    #[error("names a date or time of day that does not exist")]
    Nonexistent,
    /// Second 60. Unix time has none, and moving it would be a guess.
    #[error("is a leap second, which Unix time does not have: send second 59 or the next second")]
    LeapSecond,
}

/// The instant that `text` names, by RFC 3339 §5.6: `T` and `Z` in either case, a space in the
/// place of `T`, any number of digits of a second, and always an offset.
pub fn parse_rfc3339(text: &str) -> Result<TimeMs, TimeError> {
    let bytes = text.as_bytes();
    let Some((head, tail)) = bytes.split_first_chunk::<19>() else {
        return Err(TimeError::Form);
    };
    let separated = head[4] == b'-'
        && head[7] == b'-'
        && matches!(head[10], b'T' | b't' | b' ')
        && head[13] == b':'
        && head[16] == b':';
    let (Some(century), Some(year), Some(month), Some(day), Some(hour), Some(minute), Some(second)) = (
        two_digits(head, 0),
        two_digits(head, 2),
        two_digits(head, 5),
        two_digits(head, 8),
        two_digits(head, 11),
        two_digits(head, 14),
        two_digits(head, 17),
    ) else {
        return Err(TimeError::Form);
    };
    if !separated {
        return Err(TimeError::Form);
    }
    let (millis, tail) = fraction(tail)?;
    let offset_minutes = offset(tail)?;
    let year = century * 100 + year;
    if month == 0 || month > 12 || day == 0 || day > days_in_month(year, month) {
        return Err(TimeError::Nonexistent);
    }
    if second == 60 {
        return Err(TimeError::LeapSecond);
    }
    if hour > 23 || minute > 59 || second > 59 {
        return Err(TimeError::Nonexistent);
    }
    let minutes = i64::from(hour) * 60 + i64::from(minute) - offset_minutes;
    Ok(days_from_civil(year, month, day) * MS_PER_DAY
        + minutes * 60_000
        + i64::from(second) * 1000
        + millis)
}

fn two_digits(bytes: &[u8; 19], at: usize) -> Option<u32> {
    let (tens, ones) = (bytes[at].wrapping_sub(b'0'), bytes[at + 1].wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| u32::from(tens) * 10 + u32::from(ones))
}

/// The milliseconds of `.123456…`, and what follows.
fn fraction(tail: &[u8]) -> Result<(i64, &[u8]), TimeError> {
    let Some((b'.', digits)) = tail.split_first() else {
        return Ok((0, tail));
    };
    let count = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    if count == 0 {
        return Err(TimeError::Form);
    }
    let digit = |n: usize| if n < count { i64::from(digits[n] - b'0') } else { 0 };
    Ok((digit(0) * 100 + digit(1) * 10 + digit(2), &digits[count..]))
}

/// The minutes that local time is ahead of UTC.
fn offset(tail: &[u8]) -> Result<i64, TimeError> {
    match tail {
        [b'Z' | b'z'] => Ok(0),
        [] => Err(TimeError::NoOffset),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2]
            if [h1, h2, m1, m2].into_iter().all(u8::is_ascii_digit) =>
        {
            let hours = i64::from((h1 - b'0') * 10 + (h2 - b'0'));
            let minutes = i64::from((m1 - b'0') * 10 + (m2 - b'0'));
            if hours > 23 || minutes > 59 {
                return Err(TimeError::Nonexistent);
            }
            let ahead = hours * 60 + minutes;
            Ok(if *sign == b'-' { -ahead } else { ahead })
        }
        _ => Err(TimeError::Form),
    }
}

fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"): years
/// begin in March, so that the leap day is the last of its year.
fn days_from_civil(year: u32, month: u32, day: u32) -> i64 {
    let year = i64::from(year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = i64::from((month + 9) % 12);
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of a day since 1970-01-01; the inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, u8, u8) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u8;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month as u8, day)
}

/// An instant as text, `2026-03-01T09:30:00.000Z`, without a heap allocation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rfc3339 {
    text: [u8; 24],
}

impl Rfc3339 {
    /// The text of `ms`; `None` outside the years 0 to 9999, which the form cannot write.
    pub fn new(ms: TimeMs) -> Option<Self> {
        let (year, month, day) = civil_from_days(ms.div_euclid(MS_PER_DAY));
        let year = u16::try_from(year).ok().filter(|&year| year <= 9999)?;
        let ms_of_day = ms.rem_euclid(MS_PER_DAY) as u32;
        let mut text = *b"0000-00-00T00:00:00.000Z";
        put_two(&mut text, 0, (year / 100) as u8);
        put_two(&mut text, 2, (year % 100) as u8);
        put_two(&mut text, 5, month);
        put_two(&mut text, 8, day);
        put_two(&mut text, 11, (ms_of_day / 3_600_000) as u8);
        put_two(&mut text, 14, (ms_of_day / 60_000 % 60) as u8);
        put_two(&mut text, 17, (ms_of_day / 1000 % 60) as u8);
        text[20] = b'0' + (ms_of_day / 100 % 10) as u8;
        put_two(&mut text, 21, (ms_of_day % 100) as u8);
        Some(Self { text })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // Only ASCII digits and separators are ever put in.
        std::str::from_utf8(&self.text).unwrap_or_default()
    }
}

fn put_two(text: &mut [u8; 24], at: usize, number: u8) {
    text[at] = b'0' + number / 10;
    text[at + 1] = b'0' + number % 10;
}

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text of `ms` in the contract's form, or the number itself where the form has no year for
/// it.
pub fn format_rfc3339(ms: TimeMs) -> String {
    Rfc3339::new(ms).map_or_else(|| ms.to_string(), |text| text.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: Result<TimeMs, TimeError>) {
        assert_eq!(parse_rfc3339(text), expected, "{text}");
    }

    #[test]
    fn texts_name_instants() {
        check("1970-01-01T00:00:00Z", Ok(0));
        check("1970-01-01T00:00:00.001Z", Ok(1));
        check("1969-12-31T23:59:59.999Z", Ok(-1));
        check("2026-03-01T01:00:00+01:00", Ok(1_772_323_200_000));
        check("2026-02-28 19:00:00-05:00", Ok(1_772_323_200_000));
        check("2026-03-01t05:45:00+05:45", Ok(1_772_323_200_000));
        check("2026-03-01T00:00:00-00:00", Ok(1_772_323_200_000));
        check("2026-03-01T00:00:00.5z", Ok(1_772_323_200_500));
        check("2026-03-01T00:00:00.1234567890123Z", Ok(1_772_323_200_123));
        check("1969-12-31T23:59:59.9999Z", Ok(-1));
        check("2024-02-29T23:59:59.999Z", Ok(1_709_251_199_999));
        check("2000-02-29T00:00:00Z", Ok(951_782_400_000));
        check("0000-01-01T00:00:00Z", Ok(-62_167_219_200_000));
        check("9999-12-31T23:59:59.999Z", Ok(253_402_300_799_999));
    }

    #[test]
    fn other_texts_do_not() {
        for text in [
            "",
            "now",
            "2026-03-01",
            "2026-03-01T00:00Z",
            "20260301T000000Z",
            "2026-03-01T00:00:00.Z",
            "2026-03-01T00:00:00,5Z",
            "2026-03-01T00:00:00+0100",
            "2026-03-01T00:00:00+1:00",
            "2026-03-01T00:00:00ZZ",
            " 2026-03-01T00:00:00Z",
            "2026-03-01T00:00:00 Z",
            "+026-03-01T00:00:00Z",
            "2026-03-01T00:00:0éZ",
            "2026-03-01T00:00:00+00:é",
        ] {
            check(text, Err(TimeError::Form));
        }
        check("2026-03-01T00:00:00", Err(TimeError::NoOffset));
        check("2026-03-01T00:00:00.123", Err(TimeError::NoOffset));
        check("2016-12-31T23:59:60Z", Err(TimeError::LeapSecond));
        for text in [
            "2026-00-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-04-00T00:00:00Z",
            "2026-03-01T24:00:00Z",
            "2026-03-01T00:60:00Z",
            "2026-03-01T00:00:61Z",
            "2026-03-01T00:00:00+24:00",
            "2026-03-01T00:00:00+00:60",
        ] {
            check(text, Err(TimeError::Nonexistent));
        }
    }

    #[test]
    fn years_beyond_the_form_are_written_as_numbers() {
        assert_eq!(format_rfc3339(253_402_300_800_000), "253402300800000");
        assert_eq!(format_rfc3339(i64::MIN), i64::MIN.to_string());
        assert_eq!(format_rfc3339(-62_167_219_200_000), "0000-01-01T00:00:00.000Z");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(ms in -62_167_219_200_000_i64..=253_402_300_799_999) {
            prop_assert_eq!(parse_rfc3339(&format_rfc3339(ms)), Ok(ms));
        }

        #[test]
        fn days_agree_with_a_library(ms in -62_000_000_000_000_i64..=253_000_000_000_000) {
            let theirs = jiff::Timestamp::from_millisecond(ms).unwrap();
            prop_assert_eq!(format_rfc3339(ms), format!("{theirs:.3}"));
        }

        #[test]
        fn nothing_panics(text in "\\PC*", near in "[0-9+:.TtZz -]{15,32}") {
            let _ = parse_rfc3339(&text);
            let _ = parse_rfc3339(&near);
        }
    }
}
