//! What is accumulated of the numbers of one group.

use crate::batch::NO_DURATION;

/// Smallest and largest duration of a group, microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extremes {
    /// Smallest; [`NO_DURATION`] without rows.
    pub(super) min: u64,
    /// Largest; 0 without rows.
    pub(super) max: u64,
}

impl Default for Extremes {
    fn default() -> Self {
        Self { min: NO_DURATION, max: 0 }
    }
}

impl Extremes {
    /// Widens it to what `other` has.
    #[inline]
    pub(super) fn merge(&mut self, other: Self) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}

/// Sums of the durations of a group, exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DurationSums {
    /// Rows that have one.
    pub(super) known: u64,
    /// Sum of microseconds.
    pub(super) sum: u128,
    /// Sum of squares, modulo 2^128: exact for 3.4 * 10^8 rows of the longest duration there is.
    pub(super) squares: u128,
}

impl DurationSums {
    /// Adds a row's duration, which is one.
    #[inline]
    pub(super) fn add(&mut self, us: u64) {
        self.known += 1;
        self.sum += u128::from(us);
        self.squares = self.squares.wrapping_add(u128::from(us) * u128::from(us));
    }

    /// Adds all rows of `other`.
    #[inline]
    pub(super) fn merge(&mut self, other: &Self) {
        self.known += other.known;
        self.sum = self.sum.wrapping_add(other.sum);
        self.squares = self.squares.wrapping_add(other.squares);
    }

    /// Sum of the squared differences from the mean.
    ///
    /// Differences are first taken from the whole part `q` of the mean, in integers, where the
    /// sums cancel exactly (also modulo 2^128); what is left is of the size of the result.
    fn squared_differences(&self) -> f64 {
        let known = u128::from(self.known);
        let (q, r) = (self.sum / known, self.sum % known);
        let around_q = self
            .squares
            .wrapping_sub(q.wrapping_mul(2).wrapping_mul(self.sum))
            .wrapping_add(known.wrapping_mul(q.wrapping_mul(q)));
        match known.checked_mul(around_q) {
            Some(scaled) => scaled.saturating_sub(r * r) as f64 / known as f64,
            // `r` is below `known`: its part is lost in the rounding of so large a number.
            None => around_q as f64,
        }
    }

    /// Sample standard deviation in microseconds, from two rows on.
    pub(super) fn deviation(&self) -> Option<f64> {
        (self.known > 1).then(|| (self.squared_differences() / (self.known - 1) as f64).sqrt())
    }

    /// Mean in microseconds.
    pub(super) fn mean(&self) -> Option<f64> {
        (self.known > 0).then(|| {
            let known = u128::from(self.known);
            (self.sum / known) as f64 + (self.sum % known) as f64 / known as f64
        })
    }
}

/// Doubles of a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct NumberStats {
    /// Rows that have one.
    pub(super) known: u64,
    /// Smallest; infinity without rows.
    pub(super) min: f64,
    /// Largest; minus infinity without rows.
    pub(super) max: f64,
    sum: f64,
    /// What the rounding of `sum` has lost (Neumaier 1974).
    lost: f64,
    mean: f64,
    /// Sum of the squared differences from the mean.
    m2: f64,
}

impl Default for NumberStats {
    fn default() -> Self {
        Self {
            known: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            sum: 0.0,
            lost: 0.0,
            mean: 0.0,
            m2: 0.0,
        }
    }
}

impl NumberStats {
    /// Adds a row's number, which is finite. Mean and squares as in Welford 1962.
    #[inline]
    pub(super) fn add(&mut self, number: f64) {
        // Turns -0 into 0, so that the smallest of both does not depend on their order.
        let number = number + 0.0;
        self.known += 1;
        self.min = self.min.min(number);
        self.max = self.max.max(number);
        self.add_to_sum(number);
        let delta = number - self.mean;
        self.mean += delta / self.known as f64;
        self.m2 += delta * (number - self.mean);
    }

    #[inline]
    fn add_to_sum(&mut self, number: f64) {
        let sum = self.sum + number;
        self.lost += if self.sum.abs() >= number.abs() {
            (self.sum - sum) + number
        } else {
            (number - sum) + self.sum
        };
        self.sum = sum;
    }

    /// Adds all rows of `other`: Chan, Golub and LeVeque 1979, the pairwise update of mean and
    /// squares.
    pub(super) fn merge(&mut self, other: &Self) {
        if other.known == 0 {
            return;
        }
        if self.known == 0 {
            *self = *other;
            return;
        }
        let (mine, theirs) = (self.known as f64, other.known as f64);
        let delta = other.mean - self.mean;
        self.known += other.known;
        let all = self.known as f64;
        self.mean += delta * (theirs / all);
        self.m2 += other.m2 + delta * delta * (mine / all) * theirs;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.add_to_sum(other.sum);
        self.lost += other.lost;
    }

    /// The sum; infinite if it is beyond a double.
    pub(super) fn sum(&self) -> Option<f64> {
        (self.known > 0).then(|| {
            let sum = self.sum + self.lost;
            if sum.is_finite() { sum } else { self.sum }
        })
    }

    /// The mean.
    pub(super) fn mean(&self) -> Option<f64> {
        let sum = self.sum()?;
        // The running mean does not overflow where the sum does.
        Some(if sum.is_finite() { sum / self.known as f64 } else { self.mean })
    }

    /// Sample standard deviation, from two rows on.
    pub(super) fn deviation(&self) -> Option<f64> {
        (self.known > 1).then(|| (self.m2 / (self.known - 1) as f64).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_durations(durations: &[u64], expected: Option<f64>) {
        let mut stats = DurationSums::default();
        durations.iter().for_each(|&us| stats.add(us));
        match (stats.deviation(), expected) {
            (Some(found), Some(expected)) => {
                assert!((found - expected).abs() <= expected * 1e-12, "{found} for {expected}");
            }
            (found, expected) => assert_eq!(found, expected),
        }
    }

    #[test]
    fn deviations_do_not_suffer_from_large_means() {
        check_durations(&[], None);
        check_durations(&[7], None);
        check_durations(&[7, 7, 7], Some(0.0));
        check_durations(&[1, 2], Some(0.5_f64.sqrt()));
        let large = 999_999_999_999_998;
        check_durations(&[large, large + 1, large + 2], Some(1.0));
        check_durations(&[0, 1_000_000_000_000_000], Some(1e15 / 2_f64.sqrt()));
    }

    #[test]
    fn sums_keep_small_numbers_beside_large_ones() {
        let mut stats = NumberStats::default();
        [1e17, 1.0, 1.0, -1e17].into_iter().for_each(|x| stats.add(x));
        assert_eq!(stats.sum(), Some(2.0));
    }
}
