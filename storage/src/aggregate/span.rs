//! The range of buckets that dense histograms have counters for.

use super::histogram::OCTAVE;
use std::ops::Range;

/// Buckets in counters: those of negative numbers, that of zero, those of positive numbers. Zero
/// is far from the smallest number above it, so the gap between them has no counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    /// The lowest negative bucket, and how many follow it; whole octaves.
    below: (i32, usize),
    /// The lowest positive bucket, and how many follow it; whole octaves.
    above: (i32, usize),
}

/// Where the counter of each bucket lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    below: i32,
    zero: usize,
    above: i32,
}

impl Places {
    /// The place of a bucket of the span.
    #[inline]
    pub(super) fn of(self, bucket: i32) -> usize {
        if bucket > 0 {
            self.zero + 1 + (bucket - self.above) as usize
        } else if bucket == 0 {
            self.zero
        } else {
            (bucket - self.below) as usize
        }
    }
}

impl Span {
    /// Widens it so that `bucket` is in it.
    #[inline]
    pub(super) fn include(&mut self, bucket: i32) {
        let side = if bucket > 0 {
            &mut self.above
        } else if bucket < 0 {
            &mut self.below
        } else {
            return;
        };
        if bucket < side.0 || bucket >= side.0 + side.1 as i32 {
            let octave = (bucket - i32::from(bucket > 0)).div_euclid(OCTAVE) * OCTAVE
                + i32::from(bucket > 0);
            *side = join(*side, (octave, OCTAVE as usize));
        }
    }

    /// The span of both.
    pub(super) fn union(self, other: Self) -> Self {
        Self { below: join(self.below, other.below), above: join(self.above, other.above) }
    }

    /// How many counters there are.
    pub(super) fn width(self) -> usize {
        self.below.1 + 1 + self.above.1
    }

    /// How to find them.
    pub(super) fn places(self) -> Places {
        Places { below: self.below.0, zero: self.below.1, above: self.above.0 }
    }

    /// The bucket counted at `place`.
    pub(super) fn bucket_at(self, place: usize) -> i32 {
        let zero = self.below.1;
        if place < zero {
            self.below.0 + place as i32
        } else if place == zero {
            0
        } else {
            self.above.0 + (place - zero - 1) as i32
        }
    }

    /// The runs of places that hold consecutive buckets, each with its first bucket.
    pub(super) fn pieces(self) -> impl Iterator<Item = (Range<usize>, i32)> {
        let zero = self.below.1;
        [(0..zero, self.below.0), (zero..zero + 1, 0), (zero + 1..self.width(), self.above.0)]
            .into_iter()
            .filter(|(range, _)| !range.is_empty())
    }
}

fn join(a: (i32, usize), b: (i32, usize)) -> (i32, usize) {
    match (a.1, b.1) {
        (0, _) => b,
        (_, 0) => a,
        _ => {
            let first = a.0.min(b.0);
            let end = (a.0 + a.1 as i32).max(b.0 + b.1 as i32);
            (first, (end - first) as usize)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_has_its_own_place() {
        for buckets in [vec![], vec![0], vec![1], vec![-1], vec![64, 65, -64, -65, 200, -1000]] {
            let mut span = Span::default();
            buckets.iter().for_each(|&b| span.include(b));
            for &bucket in &buckets {
                assert_eq!(span.bucket_at(span.places().of(bucket)), bucket);
            }
            let covered: usize = span.pieces().map(|(range, _)| range.len()).sum();
            assert_eq!(covered, span.width());
        }
    }
}
