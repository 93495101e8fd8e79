//! Buckets of numbers, log-linear: 64 of equal width in every octave, mirrored for negative
//! numbers, and one for zero.
//!
//! The one function from a number to its bucket is used by scans and by stored partials alike, so
//! a percentile does not depend on where it was computed from. The middle of a bucket is at most
//! 1/128 of a number away from any number in it (0.8 %). Equal widths within an octave are HDR
//! Histogram's way, so that a bucket is a shift of the double's bits; that buckets of bounded
//! relative width give percentiles of bounded relative error is shown by Masson, Rim and Lee,
//! "DDSketch", PVLDB 12 (2019).

/// Bits of the mantissa that the bucket ignores: 52 less the 6 that make 64 buckets an octave.
const DROPPED_BITS: u32 = 46;

/// Buckets in an octave.
pub(super) const OCTAVE: i32 = 1 << (52 - DROPPED_BITS);

/// Octaves of the subnormal numbers, which have fewer significant bits the smaller they are.
const SUBNORMAL_OCTAVES: i32 = 52;

/// 2^52: lifts every subnormal number into the normal range, exactly.
const SUBNORMAL_LIFT: f64 = (1_u64 << SUBNORMAL_OCTAVES) as f64;

/// Added to `bits >> DROPPED_BITS`, so that the smallest subnormal number is in bucket 1.
const OFFSET: i32 = (SUBNORMAL_OCTAVES - 1) * OCTAVE + 1;

/// The bucket of `number`, which is not NaN: ascending with the number, 0 for zero.
pub fn bucket_of(number: f64) -> i32 {
    let size = number.abs();
    let bucket = if size >= f64::MIN_POSITIVE {
        (size.to_bits() >> DROPPED_BITS) as i32 + OFFSET
    } else if size == 0.0 {
        0
    } else {
        ((size * SUBNORMAL_LIFT).to_bits() >> DROPPED_BITS) as i32 - SUBNORMAL_OCTAVES * OCTAVE
            + OFFSET
    };
    if number < 0.0 { -bucket } else { bucket }
}

/// The bucket of a duration in microseconds, the same as of that number as a double.
pub fn bucket_of_duration(us: u64) -> i32 {
    if us == 0 { 0 } else { ((us as f64).to_bits() >> DROPPED_BITS) as i32 + OFFSET }
}

/// The bucket of the shortest duration above zero, one microsecond.
const FIRST_DURATION_BUCKET: i32 = (f64::MAX_EXP - 1) * OCTAVE + OFFSET;

/// The buckets of durations counted from 0, which is zero's: 64 bits have 64 octaves, so they fit in
/// 16. `None` for a bucket that no duration has.
#[inline]
pub(super) fn code_of_bucket(bucket: i32) -> Option<u16> {
    if bucket == 0 {
        return Some(0);
    }
    u16::try_from(bucket - (FIRST_DURATION_BUCKET - 1)).ok().filter(|&code| code > 0)
}

/// The bucket that has this code.
#[inline]
pub(super) fn bucket_of_code(code: u16) -> i32 {
    if code == 0 { 0 } else { i32::from(code) + (FIRST_DURATION_BUCKET - 1) }
}

/// The number that stands for all numbers of `bucket`: its middle.
pub fn bucket_middle(bucket: i32) -> f64 {
    let cut = i64::from(bucket.unsigned_abs()) - i64::from(OFFSET);
    let size = if bucket == 0 {
        0.0
    } else if cut >= i64::from(OCTAVE) {
        f64::from_bits(((cut as u64) << DROPPED_BITS) + (1 << (DROPPED_BITS - 1)))
    } else {
        subnormal_middle(cut)
    };
    if bucket < 0 { -size } else { size }
}

/// Subnormal numbers are multiples of the smallest: the middle of the first and the last multiple
/// in the bucket, for the middle itself would be rounded to a neighbour's.
fn subnormal_middle(cut: i64) -> f64 {
    let multiple = |cut: i64| {
        let lifted = ((cut + i64::from(SUBNORMAL_OCTAVES * OCTAVE)) as u64) << DROPPED_BITS;
        // 2^1022: the smallest lifted number is 2^-1022.
        (f64::from_bits(lifted) * f64::from_bits((1022 + 1023) << 52)).ceil() as u64
    };
    let first = multiple(cut);
    let last = multiple(cut + 1).saturating_sub(1).max(first);
    f64::from_bits((first + last) / 2)
}

/// Which of `known` numbers in ascending order is the percentile, from 1: nearest rank.
pub(super) fn rank(permille: u16, known: u64) -> u64 {
    let rank = (u128::from(permille) * u128::from(known)).div_ceil(1000);
    (rank as u64).clamp(1, known.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(number: f64) {
        let bucket = bucket_of(number);
        let middle = bucket_middle(bucket);
        let error = (middle - number).abs();
        assert!(error <= number.abs() * 0.008, "{number:e} became {middle:e}");
        assert_eq!(bucket_of(-number), -bucket);
        assert_eq!(bucket_of(middle), bucket, "{number:e}");
    }

    #[test]
    fn every_magnitude_keeps_its_value_within_one_percent() {
        check(0.0);
        check(f64::MAX);
        check(f64::MIN_POSITIVE);
        for bits in 1..5000 {
            check(f64::from_bits(bits));
        }
        for exponent in 0..2047_u64 {
            for mantissa in [0, 1, (1 << 45) - 1, 1 << 45, (1 << 46) - 1, 1 << 51, (1 << 52) - 1] {
                check(f64::from_bits(exponent << 52 | mantissa));
            }
        }
    }

    #[test]
    fn buckets_ascend_with_their_numbers() {
        let mut last = bucket_of(0.0);
        for cut in 1..(2047 << 8_u64) {
            let bucket = bucket_of(f64::from_bits(cut << 44));
            assert!(bucket == last || bucket == last + 1 || cut < 256);
            assert!(bucket >= last);
            last = bucket;
        }
    }

    #[test]
    fn durations_share_the_buckets_of_doubles() {
        for shift in 0..50 {
            for us in [(1_u64 << shift) - 1, 1 << shift, (1 << shift) + 1, 3 << shift] {
                assert_eq!(bucket_of_duration(us), bucket_of(us as f64));
            }
        }
    }

    #[test]
    fn every_duration_has_a_code() {
        assert_eq!(bucket_of_duration(1), FIRST_DURATION_BUCKET);
        for us in (0..64).map(|shift| 1_u64 << shift).chain([0, 3, 1_000_003, u64::MAX]) {
            let bucket = bucket_of_duration(us);
            assert_eq!(code_of_bucket(bucket).map(bucket_of_code), Some(bucket), "{us}");
        }
        assert_eq!([1, -1, FIRST_DURATION_BUCKET - 1].map(code_of_bucket), [None; 3]);
    }

    #[test]
    fn the_rank_is_the_nearest() {
        for (permille, known, expected) in
            [(500, 1, 1), (500, 2, 1), (501, 2, 2), (990, 100, 99), (999, 100, 100), (0, 5, 1)]
        {
            assert_eq!(rank(permille, known), expected);
        }
    }
}
