//! Writes the fields of a line. All words of the generator are plain ASCII without quotes, so
//! nothing needs escaping.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// A number without sign.
pub(super) fn push_number(out: &mut Vec<u8>, number: u64) {
    push_digits(out, number, 1);
}

/// A number without sign, with zeros in front up to `width` digits.
pub(super) fn push_digits(out: &mut Vec<u8>, mut number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    while number > 0 {
        at -= 1;
        digits[at] = DIGITS[(number % 10) as usize];
        number /= 10;
    }
    out.extend_from_slice(&digits[at.min(digits.len() - width)..]);
}

/// `,"name":"word"`, or `{"name":"word"` at the start of an object.
pub(super) fn push_word(out: &mut Vec<u8>, opening: &[u8], word: &str) {
    out.extend_from_slice(opening);
    out.extend_from_slice(word.as_bytes());
    out.push(b'"');
}

/// Microseconds as milliseconds with three decimals.
pub(super) fn push_millis(out: &mut Vec<u8>, micros: u64) {
    push_number(out, micros / 1000);
    out.push(b'.');
    push_digits(out, micros % 1000, 3);
}

/// A random UUID (RFC 9562 §5.4, version 4) of the 128 bits in `high` and `low`.
pub(super) fn push_uuid(out: &mut Vec<u8>, high: u64, low: u64) {
    let high = high & !0xf000 | 0x4000;
    let low = low & !(0xc << 60) | 0x8 << 60;
    for (bits, shift, digits) in
        [(high, 32, 8), (high, 16, 4), (high, 0, 4), (low, 48, 4), (low, 0, 12)]
    {
        if out.last().is_some_and(|&last| last != b'"') {
            out.push(b'-');
        }
        push_hex(out, bits >> shift, digits);
    }
}

/// The lowest `digits` hexadecimal digits of `bits`.
pub(super) fn push_hex(out: &mut Vec<u8>, bits: u64, digits: u32) {
    out.extend((0..digits).rev().map(|n| DIGITS[(bits >> (4 * n) & 0xf) as usize]));
}

/// An instant after 1970 as RFC 3339 with milliseconds, UTC.
pub(super) fn push_time(out: &mut Vec<u8>, ms: i64) {
    let ms = ms.max(0) as u64;
    let (year, month, day) = civil_from_days(ms / 86_400_000);
    for (number, width, end) in [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (ms / 3_600_000 % 24, 2, b':'),
        (ms / 60_000 % 60, 2, b':'),
        (ms / 1000 % 60, 2, b'.'),
        (ms % 1000, 3, b'Z'),
    ] {
        push_digits(out, number, width);
        out.push(end);
    }
}

/// Year, month and day of a day after 1970-01-01. Counting years from March puts the leap day
/// last (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    const DAYS_PER_400_YEARS: u64 = 146_097;
    const DAYS_TO_1970: u64 = 719_468; // from 0000-03-01
    let days = days + DAYS_TO_1970;
    let (era, day_of_era) = (days / DAYS_PER_400_YEARS, days % DAYS_PER_400_YEARS);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(write: impl Fn(&mut Vec<u8>), expected: &str) {
        let mut out = b"\"".to_vec();
        write(&mut out);
        assert_eq!(std::str::from_utf8(&out[1..]), Ok(expected));
    }

    #[test]
    fn fields_read_as_they_should() {
        check(|out| push_number(out, 0), "0");
        check(|out| push_number(out, u64::MAX), "18446744073709551615");
        check(|out| push_millis(out, 1_002_003), "1002.003");
        check(|out| push_uuid(out, 0, 0), "00000000-0000-4000-8000-000000000000");
        check(|out| push_uuid(out, u64::MAX, u64::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        check(|out| push_time(out, 0), "1970-01-01T00:00:00.000Z");
        check(|out| push_time(out, 1_709_251_199_999), "2024-02-29T23:59:59.999Z");
        check(|out| push_time(out, 1_772_323_200_000), "2026-03-01T00:00:00.000Z");
        check(|out| push_time(out, 4_102_444_799_001), "2099-12-31T23:59:59.001Z");
    }
}
