//! Columns of doubles, where NaN means absent.
//!
//! A column of no rows is no bytes. Otherwise it begins with a form.
//!
//! **0, decimal**: measurements are mostly written with few digits behind the point.
//!
//! ```text
//! +---------+----------+------------------+------------------------------+------------------+
//! | form u8 | scale u8 | listed varint    | only if some are: length     | column of i64    |
//! |         |          |                  | varint, their rows, a column | ([`ints`])       |
//! |         |          |                  | of u32 ([`ints`]); 8 bytes each |               |
//! +---------+----------+------------------+------------------------------+------------------+
//! ```
//!
//! The number of a row is the integer `n` of its row divided by 10^scale, both as doubles, rounded
//! as IEEE 754 does. That gives back exactly the double that the decimal was read as. -2^63 is
//! absent. Doubles for which this does not hold (and -0.0) are listed and replace what the integer
//! of their row says. `scale` is at most 15 and the integers are below 2^51. (After Afroozeh,
//! Kuffó and Boncz, "ALP: adaptive lossless floating-point compression", 2023.)
//!
//! **1, bits**:
//!
//! ```text
//! +---------+----------+------------------------+
//! | form u8 | shift u8 | column of u64 ([`ints`]) |
//! +---------+----------+------------------------+
//! ```
//!
//! A number of the column, shifted left by `shift` and then rotated right by one bit, is the double
//! (so its sign was the lowest bit, and doubles of like size are like numbers). 2^64 - 1 is absent.

use super::cursor::{Cursor, put_part, put_varint};
use super::ints;
use crate::error::Corrupt;

mod form {
    pub(super) const DECIMAL: u8 = 0;
    pub(super) const BITS: u8 = 1;
}

/// The powers of ten that are tried. Products stay exact far beyond; measurements do not have
/// more digits than 15.
const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// 1.5 * 2^52: adding it leaves no bits behind the point, and the integer in the low ones.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// Up to where that works.
const INTEGER_MAX: f64 = 2_251_799_813_685_248.0;

/// How many numbers are looked at to find the scale.
const SAMPLES: usize = 64;

/// More than one number in this many that is no decimal, and the column is stored as bits.
const LISTED_SHARE: usize = 8;

/// Appends the encoded column. Every NaN is the same NaN; every other double is kept to the bit.
pub fn encode_f64s(values: &[f64], out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let scale = find_scale(values);
    if scale.is_none_or(|scale| !encode_decimals(values, scale, out)) {
        encode_bits(values, out);
    }
}

/// `value` times `power` as an integer, if that divided by `power` is `value` to the bit. The
/// integer is given as a double, too.
#[inline(always)]
fn as_decimal(value: f64, power: f64) -> (i64, bool) {
    let scaled = value * power;
    let shifted = scaled + ROUNDER;
    let back = (shifted - ROUNDER) / power;
    let integer = shifted.to_bits().wrapping_sub(ROUNDER.to_bits()) as i64;
    (integer, (back.to_bits() == value.to_bits()) & (scaled.abs() < INTEGER_MAX))
}

/// The fewest digits behind the point that do for most numbers of a sample.
fn find_scale(values: &[f64]) -> Option<usize> {
    let every = values.len().div_ceil(SAMPLES);
    let (mut scale, mut seen, mut failed) = (0, 0, 0);
    // Should the sample hit no number at all, nothing speaks against integers.
    for &value in values.iter().step_by(every).filter(|v| !v.is_nan()) {
        seen += 1;
        match (scale..POWERS.len()).find(|&s| as_decimal(value, POWERS[s]).1) {
            Some(found) => scale = found,
            None => failed += 1,
        }
    }
    (failed * LISTED_SHARE <= seen).then_some(scale)
}

/// Appends the column as decimals, or nothing if too many numbers are none.
fn encode_decimals(values: &[f64], scale: usize, out: &mut Vec<u8>) -> bool {
    let power = POWERS[scale];
    let mut integers = Vec::with_capacity(values.len());
    let mut listed: Vec<u32> = Vec::new();
    let mut last = 0;
    for (row, &value) in (0..).zip(values) {
        let (integer, exact) = as_decimal(value, power);
        if exact {
            last = integer;
            integers.push(integer);
        } else if value.is_nan() {
            integers.push(i64::MIN);
        } else {
            listed.push(row);
            integers.push(last);
        }
    }
    if listed.len() * LISTED_SHARE > values.len() {
        return false;
    }
    out.extend_from_slice(&[form::DECIMAL, scale as u8]);
    put_varint(listed.len() as u64, out);
    if !listed.is_empty() {
        let mut rows = Vec::new();
        ints::encode_u32s(&listed, &mut rows);
        put_part(&rows, out);
        for &row in &listed {
            out.extend_from_slice(&values[row as usize].to_bits().to_le_bytes());
        }
    }
    ints::encode_i64s(&integers, out);
    true
}

fn encode_bits(values: &[f64], out: &mut Vec<u8>) {
    let turned = |v: &f64| v.to_bits().rotate_left(1);
    let used = values.iter().filter(|v| !v.is_nan()).fold(0, |used, v| used | turned(v));
    let shift = used.trailing_zeros() % u64::BITS;
    let numbers: Vec<u64> =
        values.iter().map(|v| if v.is_nan() { u64::MAX } else { turned(v) >> shift }).collect();
    out.extend_from_slice(&[form::BITS, shift as u8]);
    ints::encode_u64s(&numbers, out);
}

/// Replaces what is in `values` by the `rows` doubles of an encoded column.
pub fn decode_f64s(bytes: &[u8], rows: usize, values: &mut Vec<f64>) -> Result<(), Corrupt> {
    values.clear();
    let mut cursor = Cursor::new(bytes, "a column of doubles");
    if rows == 0 {
        return cursor.end();
    }
    match cursor.byte()? {
        form::DECIMAL => decode_decimals(cursor, rows, values),
        form::BITS => decode_bits(cursor, rows, values),
        _ => Err(cursor.damaged()),
    }
}

fn decode_decimals(
    mut cursor: Cursor<'_>,
    rows: usize,
    values: &mut Vec<f64>,
) -> Result<(), Corrupt> {
    let what = cursor.clone();
    let scale = usize::from(cursor.byte()?);
    let power = *POWERS.get(scale).ok_or_else(|| cursor.damaged())?;
    let count = cursor.count(rows)?;
    let mut listed = Vec::new();
    let mut doubles: &[[u8; 8]] = &[];
    if count > 0 {
        ints::decode_u32s(cursor.part()?, count, &mut listed)?;
        doubles = cursor.take(count * 8)?.as_chunks().0;
    }
    let mut integers = Vec::new();
    ints::decode_i64s(cursor.rest(), rows, &mut integers)?;
    let absent_or = |n: i64, v: f64| if n == i64::MIN { f64::NAN } else { v };
    // The inverse of what `as_decimal` does, and for the same reason: it works on vectors.
    let double = |n: i64| f64::from_bits(ROUNDER.to_bits().wrapping_add(n as u64)) - ROUNDER;
    if scale == 0 {
        values.extend(integers.iter().map(|&n| absent_or(n, double(n))));
    } else {
        values.extend(integers.iter().map(|&n| absent_or(n, double(n) / power)));
    }
    for (row, bits) in listed.into_iter().zip(doubles) {
        let value = values.get_mut(row as usize).ok_or_else(|| what.damaged())?;
        *value = f64::from_bits(u64::from_le_bytes(*bits));
    }
    Ok(())
}

fn decode_bits(mut cursor: Cursor<'_>, rows: usize, values: &mut Vec<f64>) -> Result<(), Corrupt> {
    let shift = u32::from(cursor.byte()?);
    if shift >= u64::BITS {
        return Err(cursor.damaged());
    }
    let mut numbers = Vec::new();
    ints::decode_u64s(cursor.rest(), rows, &mut numbers)?;
    values.extend(numbers.iter().map(|&n| match n {
        u64::MAX => f64::NAN,
        n => f64::from_bits((n << shift).rotate_right(1)),
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(values: &[f64]) -> usize {
        let mut out = Vec::new();
        encode_f64s(values, &mut out);
        let mut back = vec![1.0; 2];
        decode_f64s(&out, values.len(), &mut back).unwrap();
        assert_eq!(back.len(), values.len());
        for (a, b) in values.iter().zip(&back) {
            assert!(a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()), "{a:?} {b:?}");
        }
        out.len()
    }

    fn noise(n: usize) -> u64 {
        xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes())
    }

    fn column(rows: usize, make: impl Fn(u64) -> f64) -> Vec<f64> {
        (0..rows).map(|n| make(noise(n))).collect()
    }

    #[test]
    fn doubles_come_back_to_the_bit() {
        let odd = [0.0, -0.0, 1.0, -1.0, 0.1, 0.1 + 0.2, f64::MIN_POSITIVE, 5e-324, f64::MAX];
        check(&[]);
        for &value in &odd {
            check(&[value]);
            check(&[value; 300]);
            check(&[value, f64::NAN]);
            check(&[value, -value, 3.25]);
        }
        check(&odd);
        check(&[f64::INFINITY, f64::NEG_INFINITY, f64::NAN]);
        check(&[f64::from_bits(u64::MAX), f64::from_bits(0x7ff8_0000_0000_0001)]);
        check(&[
            2f64.powi(51),
            2f64.powi(51) - 1.0,
            2f64.powi(53) + 2.0,
            -2f64.powi(51),
            -2f64.powi(62),
        ]);
        check(&[2_251_799_813_685_247.0, -2_251_799_813_685_247.0, 1.5, 1e15, 1e-15, 1e300]);
        check(&[f64::NAN; 700]);
    }

    #[test]
    fn decimals_and_integers_take_little_room() {
        let rows = 4096;
        assert!(check(&column(rows, |n| (n % 1000) as f64)) < rows * 11 / 8);
        assert!(check(&column(rows, |n| (n % 100_000) as f64 / 1000.0)) < rows * 18 / 8);
        assert!(check(&column(rows, |n| if n % 9 == 0 { f64::NAN } else { 0.25 })) < rows / 4);
        let sparse =
            |n: u64| if n.is_multiple_of(50) { (n >> 40) as f64 / 100.0 } else { f64::NAN };
        assert!(check(&column(rows, sparse)) < rows);
        let halves = |n: u64| f64::from((n >> 40) as f32 * 1.1e-7);
        assert!(check(&column(rows, halves)) < rows * 6);
        let real = |n: u64| (n >> 11) as f64 / 9e15 + 1.0;
        assert!(check(&column(rows, real)) < rows * 8);
        // One that is no decimal among many that are.
        let mut mixed = column(rows, |n| (n % 100_000) as f64 / 1000.0);
        mixed[17] = std::f64::consts::PI;
        assert!(check(&mixed) < rows * 18 / 8);
    }

    fn doubles() -> impl Strategy<Value = Vec<f64>> {
        let double = prop_oneof![
            Just(f64::NAN),
            any::<u64>().prop_map(f64::from_bits),
            any::<i16>().prop_map(f64::from),
            (any::<i32>(), 0..17).prop_map(|(n, e)| f64::from(n) / 10_f64.powi(e)),
        ];
        (proptest::collection::vec(double, 0..600), 0..4).prop_map(|(values, kind)| {
            let whole = |v: f64| if kind == 0 { v.round() } else { v };
            let near = |v: f64| if kind == 1 { 2.0 + v / 1e308 } else { v };
            values.into_iter().map(|v| near(whole(v))).collect()
        })
    }

    proptest! {
        #[test]
        fn every_column_round_trips(values in doubles()) {
            check(&values);
        }

        #[test]
        fn damage_is_refused_or_decoded(
            values in doubles(), noise in proptest::collection::vec(any::<u8>(), 0..64),
            at in any::<prop::sample::Index>(), xor in 1_u8.., cut in any::<bool>(),
        ) {
            let mut out = Vec::new();
            encode_f64s(&values, &mut out);
            if !out.is_empty() {
                let at = at.index(out.len());
                out[at] ^= xor;
                out.truncate(if cut { at } else { out.len() });
            }
            for bytes in [out, noise] {
                let mut back = Vec::new();
                if decode_f64s(&bytes, values.len(), &mut back).is_ok() {
                    prop_assert_eq!(back.len(), values.len());
                }
            }
        }
    }
}
