//! How long a tenant's requests took, in buckets so narrow that two percentiles can be compared.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets for each doubling: each is at most an eighth wider than the one before.
const PER_DOUBLING: usize = 8;
const PER_DOUBLING_BITS: u32 = 3;

/// What is faster is in the first bucket: below 2^16 ns, 66 µs.
const FIRST_BITS: u32 = 16;

/// Doublings from there to 2^36 ns, 69 s; what is slower is in the last bucket.
const DOUBLINGS: usize = 20;

const BUCKETS: usize = DOUBLINGS * PER_DOUBLING + 2;

/// Counts of durations.
#[derive(Debug)]
pub struct Latencies {
    counts: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
}

/// What was counted up to a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    counts: Vec<u64>,
    /// All durations together.
    pub sum: Duration,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; BUCKETS], sum_ns: AtomicU64::new(0) }
    }
}

impl Latencies {
    /// Counts one.
    pub fn observe(&self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket_of(ns)].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// All until now.
    pub fn counted(&self) -> Counted {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        Counted { counts, sum: Duration::from_nanos(self.sum_ns.load(Ordering::Relaxed)) }
    }
}

/// The first bucket whose bound is not below `ns`.
fn bucket_of(ns: u64) -> usize {
    let Some(below) = ns.checked_sub(1).filter(|below| *below >= 1 << FIRST_BITS) else { return 0 };
    let bits = u64::BITS - 1 - below.leading_zeros();
    let part = (below >> (bits - PER_DOUBLING_BITS)) as usize % PER_DOUBLING;
    let bucket = (bits - FIRST_BITS) as usize * PER_DOUBLING + part + 1;
    bucket.min(BUCKETS - 1)
}

/// The upper bound of a bucket, inclusive; the last one has none.
fn bound_of(bucket: usize) -> Option<Duration> {
    let doubling = bucket / PER_DOUBLING;
    let part = (bucket % PER_DOUBLING) as u64;
    let whole = 1_u64 << (FIRST_BITS as usize + doubling);
    (bucket < BUCKETS - 1)
        .then(|| Duration::from_nanos(whole + part * (whole >> PER_DOUBLING_BITS)))
}

impl Counted {
    /// How many there were.
    pub fn len(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bound of the bucket in which the `permille`-th of all lies, by nearest rank; `None` without
    /// any, and where it lies beyond the last bound.
    pub fn quantile(&self, permille: u64) -> Option<Duration> {
        let rank = (self.len() * permille).div_ceil(1000).max(1);
        let mut sum = 0;
        let bucket = self.counts.iter().position(|count| {
            sum += count;
            sum >= rank
        });
        bound_of(bucket?)
    }

    /// Each bucket's upper bound, `None` of the last one, and how many are in it.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        self.counts.iter().enumerate().map(|(bucket, count)| (bound_of(bucket), *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_below_its_bucket_s_bound_and_above_the_one_before() {
        let mut ns = 1_u64;
        while ns < 1 << 37 {
            for ns in [ns - 1, ns, ns + 1] {
                let bucket = bucket_of(ns);
                let bound = bound_of(bucket).map_or(u128::MAX, |bound| bound.as_nanos());
                assert!(u128::from(ns) <= bound, "{ns} in {bucket}");
                if bucket > 0 {
                    let before = bound_of(bucket - 1).unwrap().as_nanos();
                    assert!(u128::from(ns) > before, "{ns} in {bucket}, after {before}");
                }
            }
            ns += 1 + ns / 7;
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_within_an_eighth() {
        let latencies = Latencies::default();
        assert_eq!(latencies.counted().quantile(990), None);
        (1..=1000).for_each(|ms| latencies.observe(Duration::from_millis(ms)));
        let counted = latencies.counted();
        assert_eq!((counted.len(), counted.sum), (1000, Duration::from_millis(500_500)));
        for permille in [500, 990, 1000] {
            let ms = counted.quantile(permille).unwrap().as_secs_f64() * 1000.0;
            let exact = permille as f64;
            assert!(ms >= exact && ms <= exact * 1.125, "{permille}: {ms}");
        }
        assert_eq!(counted.buckets().map(|(_, count)| count).sum::<u64>(), 1000);
    }
}
