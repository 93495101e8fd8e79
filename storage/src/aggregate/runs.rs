//! Histograms of many groups with few rows each: lists of buckets, those of a slot together.
//!
//! Pairs of slot and bucket are kept as they come until they make a *run*, which is put in order
//! at once: so a row takes four bytes, however many rows there are. Runs are merged, and equal
//! pairs counted together, where that makes them smaller.

use super::histogram::rank;
use super::quantile::NO_BUCKET;

/// Pairs of a run: sorting them stays within a processor's caches, and what waits is 8 MiB.
const PAIRS_PER_RUN: usize = 1 << 20;

/// Runs after which merging them is considered.
const RUNS_MAX: usize = 16;

/// Slots by which it is judged whether merging would make runs smaller.
const SAMPLED_SLOTS: usize = 256;

/// Buckets by slot, in no particular order within one, each met once or as often as counted.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// Pairs met once each that are in no run yet, as [`pack`]ed.
    ones: Vec<u64>,
    /// Pairs met more often, likewise.
    many: Vec<(u64, u32)>,
    runs: Vec<Run>,
    /// Pairs in runs when merging them was last considered.
    considered: usize,
}

/// A pair in an order of slot, then bucket.
fn pack(slot: u32, bucket: i32) -> u64 {
    u64::from(slot) << 32 | u64::from(bucket as u32 ^ SIGN)
}

fn bucket_in(pair: u64) -> i32 {
    (pair as u32 ^ SIGN) as i32
}

fn slot_in(pair: u64) -> u32 {
    (pair >> 32) as u32
}

const SIGN: u32 = 1 << 31;

impl Runs {
    /// Takes a pair that was met `count` times.
    pub(super) fn push(&mut self, slot: u32, bucket: i32, count: u32) {
        if count == 1 {
            self.ones.push(pack(slot, bucket));
        } else {
            self.many.push((pack(slot, bucket), count));
        }
    }

    /// Puts what has come in order once it is enough. To be called after some thousand pairs.
    pub(super) fn tidy(&mut self) {
        if self.ones.len() >= PAIRS_PER_RUN || self.many.len() >= PAIRS_PER_RUN {
            self.finish_run();
        }
        let pairs: usize = self.runs.iter().map(|run| run.buckets.len()).sum();
        if self.runs.len() > RUNS_MAX && pairs >= 2 * self.considered {
            if self.merging_pays() {
                self.runs = vec![merged(&self.runs)];
            }
            self.considered = self.runs.iter().map(|run| run.buckets.len()).sum();
        }
    }

    /// Everything is in a run afterwards.
    pub(super) fn finish_run(&mut self) {
        if !self.ones.is_empty() {
            self.runs.push(Run::of_ones(&self.ones));
            self.ones.clear();
        }
        if !self.many.is_empty() {
            self.runs.push(Run::of_counted(&mut self.many));
            self.many.clear();
        }
    }

    /// Whether equal pairs are so frequent that counting them makes the runs half as large.
    fn merging_pays(&self) -> bool {
        let Some(first) = self.runs.first() else { return false };
        let mut slots = Slots::new(&self.runs, 0);
        let step = (first.slots.len() / SAMPLED_SLOTS).max(1);
        let (mut pairs, mut distinct) = (0, 0);
        for &slot in first.slots.iter().step_by(step) {
            slots.go_to(slot);
            pairs += slots.met.len() + slots.counted.len();
            distinct += slots.counts().len();
        }
        // A counted pair takes eight bytes, one that is not takes four.
        distinct * 4 <= pairs
    }

    /// Adds `other`, whose slot `n` is the slot `slots[n]` here.
    pub(super) fn merge(&mut self, other: Self, slots: &[u32]) {
        let moved = |pair: u64| pack(slots[slot_in(pair) as usize], bucket_in(pair));
        self.ones.extend(other.ones.into_iter().map(moved));
        self.many.extend(other.many.into_iter().map(|(pair, n)| (moved(pair), n)));
        self.runs.extend(other.runs.into_iter().map(|run| run.moved(slots)));
        self.tidy();
    }

    /// Heap bytes held, and those that finishing the last run takes.
    pub(super) fn heap_bytes(&self) -> usize {
        let runs: usize = self.runs.iter().map(Run::heap_bytes).sum();
        self.ones.capacity() * 12 + self.many.capacity() * 24 + runs
    }

    /// The buckets of the slots from `slot` on, one after the other. Every run must be finished.
    pub(super) fn slots(&self, slot: u32) -> Slots<'_> {
        debug_assert!(self.ones.is_empty() && self.many.is_empty());
        Slots::new(&self.runs, slot)
    }
}

/// Some pairs in order of slot.
#[derive(Debug, Default)]
struct Run {
    /// The slots that occur, ascending.
    slots: Vec<u32>,
    /// Where in `buckets` those of each slot end.
    ends: Vec<u32>,
    buckets: Vec<i32>,
    /// How often each was met; empty: once each.
    counts: Vec<u32>,
}

impl Run {
    /// A counting sort by slot.
    fn of_ones(pairs: &[u64]) -> Self {
        let slots = pairs.iter().map(|&pair| slot_in(pair) as usize + 1).max().unwrap_or(0);
        let mut ends = vec![0_u32; slots + 1];
        for &pair in pairs {
            ends[slot_in(pair) as usize + 1] += 1;
        }
        for slot in 1..ends.len() {
            ends[slot] += ends[slot - 1];
        }
        let mut buckets = vec![0; pairs.len()];
        for &pair in pairs {
            let at = &mut ends[slot_in(pair) as usize];
            buckets[*at as usize] = bucket_in(pair);
            *at += 1;
        }
        ends.pop();
        let mut run = Self { buckets, ..Self::default() };
        let mut before = 0;
        for (slot, end) in (0..).zip(ends) {
            if end > before {
                run.slots.push(slot);
                run.ends.push(end);
                before = end;
            }
        }
        run
    }

    fn of_counted(pairs: &mut [(u64, u32)]) -> Self {
        pairs.sort_unstable();
        let mut run = Self::default();
        for of_slot in pairs.chunk_by(|a, b| slot_in(a.0) == slot_in(b.0)) {
            let pairs = of_slot.iter().map(|&(pair, count)| (bucket_in(pair), count));
            run.add(slot_in(of_slot[0].0), pairs);
        }
        run
    }

    /// Appends a slot that is behind all others.
    fn add(&mut self, slot: u32, counted: impl Iterator<Item = (i32, u32)>) {
        for (bucket, count) in counted {
            self.buckets.push(bucket);
            self.counts.push(count);
        }
        self.slots.push(slot);
        self.ends.push(self.buckets.len() as u32);
    }

    /// The same with other slots: `n` becomes `to[n]`, no two the same.
    fn moved(self, to: &[u32]) -> Self {
        let mut order: Vec<(u32, u32)> =
            (0..).zip(&self.slots).map(|(n, &slot)| (to[slot as usize], n)).collect();
        order.sort_unstable();
        let mut run = Self {
            slots: Vec::with_capacity(self.slots.len()),
            ends: Vec::with_capacity(self.ends.len()),
            buckets: Vec::with_capacity(self.buckets.len()),
            counts: Vec::with_capacity(self.counts.len()),
        };
        for (slot, n) in order {
            let (buckets, counts) = self.of(n as usize);
            run.slots.push(slot);
            run.buckets.extend_from_slice(buckets);
            run.counts.extend_from_slice(counts);
            run.ends.push(run.buckets.len() as u32);
        }
        run
    }

    /// The buckets of the `n`-th slot, and their counts if they are counted.
    fn of(&self, n: usize) -> (&[i32], &[u32]) {
        let start = if n == 0 { 0 } else { self.ends[n - 1] as usize };
        let end = self.ends[n] as usize;
        (&self.buckets[start..end], self.counts.get(start..end).unwrap_or(&[]))
    }

    fn heap_bytes(&self) -> usize {
        4 * (self.slots.capacity()
            + self.ends.capacity()
            + self.buckets.capacity()
            + self.counts.capacity())
    }
}

/// All of `runs` in one, equal pairs counted together.
fn merged(runs: &[Run]) -> Run {
    let mut all: Vec<u32> = runs.iter().flat_map(|run| &run.slots).copied().collect();
    all.sort_unstable();
    all.dedup();
    let mut slots = Slots::new(runs, 0);
    let mut run = Run::default();
    for slot in all {
        slots.go_to(slot);
        run.add(slot, slots.counts().iter().copied());
    }
    run
}

/// Goes through the slots of several runs.
pub(super) struct Slots<'a> {
    /// Each with the place of the next slot.
    runs: Vec<(&'a Run, usize)>,
    /// Of the slot it is at: the buckets met once each,
    met: Vec<i32>,
    /// and those that are counted.
    counted: Vec<(i32, u32)>,
}

impl<'a> Slots<'a> {
    fn new(runs: &'a [Run], slot: u32) -> Self {
        let at = |run: &'a Run| (run, run.slots.partition_point(|&s| s < slot));
        Self { runs: runs.iter().map(at).collect(), met: Vec::new(), counted: Vec::new() }
    }

    /// Collects what is there of `slot`, which is behind the one before.
    fn go_to(&mut self, slot: u32) {
        self.met.clear();
        self.counted.clear();
        for (run, next) in &mut self.runs {
            while run.slots.get(*next).is_some_and(|&s| s < slot) {
                *next += 1;
            }
            if run.slots.get(*next) == Some(&slot) {
                match run.of(*next) {
                    (buckets, []) => self.met.extend_from_slice(buckets),
                    (buckets, counts) => {
                        let pairs = buckets.iter().copied().zip(counts.iter().copied());
                        self.counted.extend(pairs);
                    }
                }
            }
        }
    }

    /// The buckets of the slot, ascending, with how often each was met.
    fn counts(&mut self) -> &[(i32, u32)] {
        self.counted.extend(self.met.drain(..).map(|bucket| (bucket, 1)));
        self.counted.sort_unstable();
        self.counted.dedup_by(|next, kept| {
            // Two entries of a bucket where one could not count it.
            let sum = kept.1.checked_add(next.1).filter(|_| kept.0 == next.0);
            kept.1 = sum.unwrap_or(kept.1);
            sum.is_some()
        });
        &self.counted
    }

    /// The buckets that the percentiles `permilles` (ascending) of `slot` lie in, which is behind
    /// the one before; [`NO_BUCKET`] without numbers.
    pub(super) fn select(&mut self, slot: u32, permilles: &[u16], out: &mut [i32]) {
        self.go_to(slot);
        if self.counted.is_empty() {
            self.met.sort_unstable();
            let known = self.met.len() as u64;
            for (&permille, out) in permilles.iter().zip(out) {
                let place = rank(permille, known) as usize - 1;
                *out = self.met.get(place).copied().unwrap_or(NO_BUCKET);
            }
            return;
        }
        let counted = self.counts();
        let known = counted.iter().map(|&(_, n)| u64::from(n)).sum();
        let mut entries = counted.iter();
        let (mut bucket, mut passed) = (NO_BUCKET, 0);
        for (&permille, out) in permilles.iter().zip(out) {
            let rank = rank(permille, known);
            while passed < rank
                && let Some(&(next, n)) = entries.next()
            {
                bucket = next;
                passed += u64::from(n);
            }
            *out = bucket;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every slot has the numbers that were pushed, whatever became of the runs.
    fn check(runs: &mut Runs, slots: u32, expected: impl Fn(u32) -> Vec<(i32, u32)>) {
        runs.finish_run();
        let mut found = runs.slots(0);
        for slot in 0..slots {
            found.go_to(slot);
            assert_eq!(found.counts(), expected(slot), "slot {slot}");
        }
    }

    #[test]
    fn frequent_pairs_are_counted_and_rare_ones_are_not() {
        const SLOTS: u32 = 100;
        for (buckets, merges) in [(4_u32, true), (1 << 30, false)] {
            let mut runs = Runs::default();
            let mut expected = vec![std::collections::BTreeMap::new(); SLOTS as usize];
            for n in 0..40_000_u32 {
                let (slot, bucket) = (n % SLOTS, (n / SLOTS).wrapping_mul(7919) % buckets);
                runs.push(slot, bucket as i32, 1);
                *expected[slot as usize].entry(bucket as i32).or_insert(0) += 1;
                if n % 1000 == 999 {
                    runs.finish_run(); // as if it were long enough
                    runs.tidy();
                }
            }
            assert_eq!(runs.runs.len() <= RUNS_MAX, merges);
            check(&mut runs, SLOTS, |slot| {
                expected[slot as usize].iter().map(|(&bucket, &count)| (bucket, count)).collect()
            });
        }
    }

    #[test]
    fn slots_are_moved_with_what_they_have() {
        let mut other = Runs::default();
        for (slot, bucket, count) in [(0, 5, 1), (2, -7, 3), (1, 9, 1), (2, 9, 1), (0, 5, 1)] {
            other.push(slot, bucket, count);
            other.finish_run();
        }
        other.push(1, 1, 2);
        let mut runs = Runs::default();
        runs.push(0, 1, 1);
        runs.merge(other, &[4, 0, 3]);
        check(&mut runs, 5, |slot| match slot {
            0 => vec![(1, 3), (9, 1)],
            3 => vec![(-7, 3), (9, 1)],
            4 => vec![(5, 2)],
            _ => Vec::new(),
        });
    }

    #[test]
    fn counts_beyond_their_width_are_kept_apart() {
        let mut runs = Runs::default();
        runs.push(0, 3, u32::MAX);
        runs.push(0, 3, 2);
        runs.push(0, 4, 1);
        runs.finish_run();
        let mut out = [0; 2];
        runs.slots(0).select(0, &[500, 1000], &mut out);
        assert_eq!(out, [3, 4]);
    }
}
