//! Milliseconds and microseconds without floating-point dust.
//!
//! A client writes and reads milliseconds, the engine counts microseconds. Multiplying a double by
//! a thousand turns 1.001 into 1000.9999999999999; moving the decimal point of its shortest
//! text does not.

use std::io::{self, Write};

/// Powers of ten up to this are exact doubles.
const EXACT_PLACES_MAX: i32 = 22;

/// `number` × 10^`places`: exact for every number of at most 15 significant digits.
pub fn shifted(number: f64, places: i32) -> f64 {
    if is_whole(number) && (-EXACT_PLACES_MAX..0).contains(&places) {
        // Both are exact, so their quotient is the double nearest to the decimal (IEEE 754 §4.3).
        return number / 10_f64.powi(-places);
    }
    let text = format!("{number:e}");
    let exact = text.split_once('e').and_then(|(digits, exponent)| {
        let exponent: i32 = exponent.parse().ok()?;
        format!("{digits}e{}", exponent + places).parse().ok()
    });
    // Only infinities and NaN have no exponent, and they stay what they are.
    exact.unwrap_or(number)
}

/// Writes an integer.
pub fn write_int(out: &mut impl Write, number: impl itoa::Integer) -> io::Result<()> {
    out.write_all(itoa::Buffer::new().format(number).as_bytes())
}

/// Writes whole microseconds as milliseconds: all digits, no trailing zeros.
pub fn write_micros_as_ms(out: &mut impl Write, micros: i128) -> io::Result<()> {
    if micros < 0 {
        out.write_all(b"-")?;
    }
    let micros = micros.unsigned_abs();
    // Those of an execution's own size are divided as machine words.
    let (whole, rest) = match u64::try_from(micros) {
        Ok(micros) => (u128::from(micros / 1000), micros % 1000),
        Err(_) => (micros / 1000, (micros % 1000) as u64),
    };
    write_int(out, whole)?;
    if rest == 0 {
        return Ok(());
    }
    let digits = [rest / 100, rest / 10 % 10, rest % 10].map(|digit| b'0' + digit as u8);
    let zeros = digits.iter().rev().take_while(|digit| **digit == b'0').count();
    out.write_all(b".")?;
    out.write_all(&digits[..digits.len() - zeros])
}

/// Below this every whole double is exact, and is written without exponent.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// Whether `number` is an integer that a double holds exactly.
fn is_whole(number: f64) -> bool {
    number.fract() == 0.0 && number.abs() < WHOLE_MAX
}

/// Writes a finite number as JSON does: the shortest text that reads back as the same double.
pub fn write_float(out: &mut impl Write, number: f64) -> io::Result<()> {
    if is_whole(number) { write_int(out, number as i64) } else { write!(out, "{number:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(write: impl Fn(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_point_moves_and_the_digits_stay() {
        for (ms, us) in
            [(1.001, 1001.0), (0.003, 3.0), (0.0005, 0.5), (1e12, 1e15), (-2.5, -2500.0)]
        {
            assert_eq!(shifted(ms, 3), us);
            assert_eq!(shifted(us, -3), ms);
        }
        assert_eq!(shifted(f64::INFINITY, 3), f64::INFINITY);
    }

    #[test]
    fn micros_are_written_exactly() {
        for (us, ms) in [
            (0, "0"),
            (1, "0.001"),
            (1500, "1.5"),
            (-1500, "-1.5"),
            (-7, "-0.007"),
            (123_456_789, "123456.789"),
            (i128::MAX, "170141183460469231731687303715884105.727"),
        ] {
            assert_eq!(text(|out| write_micros_as_ms(out, us)), ms);
        }
    }

    proptest! {
        #[test]
        fn every_duration_survives_the_way_out_and_back(us in 0_u64..=storage::DURATION_US_MAX) {
            let ms: f64 = text(|out| write_micros_as_ms(out, i128::from(us))).parse().unwrap();
            prop_assert_eq!(shifted(ms, 3), us as f64);
        }

        #[test]
        fn floats_read_back(number in proptest::num::f64::NORMAL | proptest::num::f64::ZERO) {
            let read: f64 = text(|out| write_float(out, number)).parse().unwrap();
            prop_assert_eq!(read, number);
        }
    }
}
