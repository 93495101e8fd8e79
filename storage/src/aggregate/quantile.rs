//! Histograms of many groups at once, and the percentiles read from them.
//!
//! Few groups with many rows have a dense row of counters each; many groups with few rows share a
//! list of `(slot, bucket)` pairs, which is sorted by slot when the percentiles are wanted. The
//! first turns into the second when it would become too large, never back.

use super::histogram::rank;
use super::span::Span;
use rayon::prelude::*;

/// In a list of buckets: this row has no number.
pub(super) const NO_BUCKET: i32 = i32::MIN;

/// Most dense counters of one worker: 16 MiB.
const DENSE_CELLS_MAX: usize = 4 << 20;

/// Dense counters that are always allowed: 256 KiB.
const DENSE_CELLS_MIN: usize = 1 << 16;

/// Dense counters for each row: clearing and reading eight costs less than sorting one pair.
const DENSE_CELLS_PER_ROW: u64 = 8;

/// Single pairs after which equal ones are counted together: 32 MiB.
const ONES_MAX: usize = 4 << 20;

/// Slots whose percentiles one task reads.
const SLOTS_PER_TASK: usize = 1024;

/// Cells whose sum is taken at once on the way to a rank.
const CELLS_PER_STEP: usize = 64;

/// One histogram for each slot.
#[derive(Debug)]
pub(super) struct Histograms {
    slots: usize,
    weight: u64,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Dense(Dense),
    Sparse(Sparse),
}

#[derive(Debug, Default)]
struct Dense {
    span: Span,
    /// `span.width()` counters for each slot.
    cells: Vec<u32>,
}

#[derive(Debug, Default)]
struct Sparse {
    /// Pairs met once each, as [`pack`]ed.
    ones: Vec<u64>,
    /// Pairs with how often they were met.
    many: Vec<(u64, u64)>,
}

/// A pair in an order of slot, then bucket.
fn pack(slot: u32, bucket: i32) -> u64 {
    u64::from(slot) << 32 | u64::from(bucket as u32 ^ SIGN)
}

fn bucket_in(pair: u64) -> i32 {
    (pair as u32 ^ SIGN) as i32
}

fn slot_in(pair: u64) -> usize {
    (pair >> 32) as usize
}

const SIGN: u32 = 1 << 31;

impl Default for Histograms {
    fn default() -> Self {
        Self { slots: 0, weight: 0, form: Form::Dense(Dense::default()) }
    }
}

impl Histograms {
    /// Counts one number of each row: `slots` and `buckets` by row, [`NO_BUCKET`] for none.
    pub(super) fn add_rows(&mut self, slots: &[u32], buckets: &[i32], slot_count: usize) {
        let mut span = Span::default();
        buckets.iter().filter(|&&b| b != NO_BUCKET).for_each(|&b| span.include(b));
        match self.prepare(span, slot_count, slots.len() as u64) {
            Form::Dense(dense) => {
                let (cells, width, place) =
                    (&mut dense.cells, dense.span.width(), dense.span.places());
                for (&slot, &bucket) in slots.iter().zip(buckets) {
                    if bucket != NO_BUCKET {
                        cells[slot as usize * width + place.of(bucket)] += 1;
                    }
                }
            }
            Form::Sparse(sparse) => {
                let pairs = slots.iter().zip(buckets).filter(|&(_, &b)| b != NO_BUCKET);
                sparse.ones.extend(pairs.map(|(&slot, &bucket)| pack(slot, bucket)));
                sparse.compact_if_long();
            }
        }
    }

    /// Adds stored histograms: of each group its slot, its buckets (all within `span`) and how
    /// often each was met; `weight` is all of that together.
    pub(super) fn add_counts<'a>(
        &mut self,
        groups: impl Iterator<Item = (u32, (&'a [i32], &'a [u32]))>,
        span: Span,
        weight: u64,
        slot_count: usize,
    ) {
        match self.prepare(span, slot_count, weight) {
            Form::Dense(dense) => {
                let (width, place) = (dense.span.width(), dense.span.places());
                for (slot, (buckets, counts)) in groups {
                    let cells = &mut dense.cells[slot as usize * width..][..width];
                    for (&bucket, &count) in buckets.iter().zip(counts) {
                        cells[place.of(bucket)] += count;
                    }
                }
            }
            Form::Sparse(sparse) => {
                for (slot, (buckets, counts)) in groups {
                    for (&bucket, &count) in buckets.iter().zip(counts) {
                        sparse.push(pack(slot, bucket), u64::from(count));
                    }
                }
                sparse.compact_if_long();
            }
        }
    }

    /// Makes room for more slots and a wider span, in the form that suits from now on.
    fn prepare(&mut self, span: Span, slot_count: usize, weight: u64) -> &mut Form {
        self.slots = self.slots.max(slot_count);
        self.weight = self.weight.saturating_add(weight);
        if let Form::Dense(dense) = &mut self.form {
            let wider = dense.span.union(span);
            let cells = self.slots.saturating_mul(wider.width());
            let allowed = (self.weight.saturating_mul(DENSE_CELLS_PER_ROW) as usize)
                .clamp(DENSE_CELLS_MIN, DENSE_CELLS_MAX);
            if cells <= allowed && self.weight <= u64::from(u32::MAX) {
                dense.widen(wider, self.slots);
            } else {
                self.form = Form::Sparse(dense.to_sparse());
            }
        }
        &mut self.form
    }

    /// Adds `other`, whose slot `n` is the slot `slots[n]` here.
    pub(super) fn merge(&mut self, other: Self, slots: &[u32], slot_count: usize) {
        match other.form {
            Form::Dense(theirs) => match self.prepare(theirs.span, slot_count, other.weight) {
                Form::Dense(mine) => mine.merge(&theirs, slots),
                Form::Sparse(mine) => {
                    for (slot, bucket, n) in theirs.entries() {
                        mine.push(pack(slots[slot as usize], bucket), u64::from(n));
                    }
                    mine.compact_if_long();
                }
            },
            Form::Sparse(theirs) => {
                let moved =
                    |pair: u64| u64::from(slots[slot_in(pair)]) << 32 | u64::from(pair as u32);
                if let Form::Dense(dense) = &self.form {
                    self.form = Form::Sparse(dense.to_sparse());
                }
                if let Form::Sparse(mine) = self.prepare(Span::default(), slot_count, other.weight)
                {
                    mine.ones.extend(theirs.ones.into_iter().map(moved));
                    mine.many.extend(theirs.many.into_iter().map(|(p, n)| (moved(p), n)));
                    mine.compact_if_long();
                }
            }
        }
    }

    /// Heap bytes held.
    pub(super) fn heap_bytes(&self) -> usize {
        match &self.form {
            Form::Dense(dense) => dense.cells.capacity() * 4,
            // Selecting sorts a copy of the buckets.
            Form::Sparse(s) => s.ones.capacity() * 12 + s.many.capacity() * 28,
        }
    }

    /// The buckets that the percentiles `permilles` (ascending) of each slot lie in: a list of
    /// `permilles.len()` for each of `slot_count` slots; [`NO_BUCKET`] without numbers.
    pub(super) fn select(&self, permilles: &[u16], slot_count: usize) -> Vec<i32> {
        let mut out = vec![NO_BUCKET; slot_count * permilles.len()];
        if permilles.is_empty() {
            return out;
        }
        let tasks = out.par_chunks_mut(SLOTS_PER_TASK * permilles.len()).enumerate();
        match &self.form {
            Form::Dense(dense) => tasks.for_each(|(task, out)| {
                for (n, out) in out.chunks_mut(permilles.len()).enumerate() {
                    dense.select(task * SLOTS_PER_TASK + n, permilles, out);
                }
            }),
            Form::Sparse(sparse) => {
                let (ones, many) = (sparse.ones_by_slot(slot_count), sparse.many_by_slot());
                tasks.for_each(|(task, out)| {
                    let mut slots = SparseSlots { ones: &ones, many: &many, met: Vec::new() };
                    for (n, out) in out.chunks_mut(permilles.len()).enumerate() {
                        slots.select(task * SLOTS_PER_TASK + n, permilles, out);
                    }
                });
            }
        }
        out
    }
}

/// Sorted lists of pairs, and memory to go through those of one slot.
struct SparseSlots<'a> {
    ones: &'a BySlot,
    many: &'a [(u64, u64)],
    met: Vec<i32>,
}

impl SparseSlots<'_> {
    fn select(&mut self, slot: usize, permilles: &[u16], out: &mut [i32]) {
        self.met.clear();
        self.met.extend_from_slice(self.ones.of(slot));
        self.met.sort_unstable();
        if self.many.is_empty() {
            let known = self.met.len() as u64;
            for (&permille, out) in permilles.iter().zip(out) {
                let place = rank(permille, known) as usize - 1;
                *out = self.met.get(place).copied().unwrap_or(NO_BUCKET);
            }
            return;
        }
        let first = self.many.partition_point(|&(pair, _)| slot_in(pair) < slot);
        let mine = self.many[first..].iter().take_while(|&&(pair, _)| slot_in(pair) == slot);
        let mut counted: Vec<(i32, u64)> = mine.map(|&(pair, n)| (bucket_in(pair), n)).collect();
        counted.extend(self.met.iter().map(|&bucket| (bucket, 1)));
        counted.sort_unstable();
        let known = counted.iter().map(|&(_, n)| n).sum();
        let mut entries = counted.iter();
        let (mut bucket, mut passed) = (NO_BUCKET, 0);
        for (&permille, out) in permilles.iter().zip(out) {
            let rank = rank(permille, known);
            while passed < rank
                && let Some(&(next, n)) = entries.next()
            {
                bucket = next;
                passed += n;
            }
            *out = bucket;
        }
    }
}

impl Dense {
    fn widen(&mut self, span: Span, slots: usize) {
        let (old_width, width) = (self.span.width(), span.width());
        if span == self.span {
            if self.cells.len() < slots * width {
                self.cells.resize(slots * width, 0);
            }
            return;
        }
        let mut cells = vec![0; slots * width];
        let (from, to) = (self.span, span.places());
        for (old, new) in self.cells.chunks(old_width).zip(cells.chunks_mut(width)) {
            for (piece, first_bucket) in from.pieces() {
                let at = to.of(first_bucket);
                new[at..at + piece.len()].copy_from_slice(&old[piece]);
            }
        }
        *self = Self { span, cells };
    }

    /// Adds the counters of `other`, whose span is within this one's.
    fn merge(&mut self, other: &Self, slots: &[u32]) {
        let (width, places) = (self.span.width(), self.span.places());
        for (theirs, &slot) in other.cells.chunks(other.span.width()).zip(slots) {
            let mine = &mut self.cells[slot as usize * width..][..width];
            for (piece, first_bucket) in other.span.pieces() {
                let at = places.of(first_bucket);
                let mine = &mut mine[at..at + piece.len()];
                mine.iter_mut().zip(&theirs[piece]).for_each(|(mine, theirs)| *mine += theirs);
            }
        }
    }

    /// Every counter that is not zero: `(slot, bucket, count)`.
    fn entries(&self) -> impl Iterator<Item = (u32, i32, u32)> {
        let span = self.span;
        (0..).zip(self.cells.chunks(span.width())).flat_map(move |(slot, cells)| {
            let counted = cells.iter().enumerate().filter(|(_, n)| **n != 0);
            counted.map(move |(place, &n)| (slot, span.bucket_at(place), n))
        })
    }

    fn to_sparse(&self) -> Sparse {
        let mut sparse = Sparse::default();
        for (slot, bucket, count) in self.entries() {
            sparse.push(pack(slot, bucket), u64::from(count));
        }
        sparse
    }

    fn select(&self, slot: usize, permilles: &[u16], out: &mut [i32]) {
        let width = self.span.width();
        let Some(cells) = self.cells.get(slot * width..(slot + 1) * width) else { return };
        // The weight is at most `u32::MAX`, so no sum overflows.
        let known: u32 = cells.iter().sum();
        if known == 0 {
            return;
        }
        let (mut place, mut passed) = (0, 0);
        for (&permille, out) in permilles.iter().zip(out) {
            let rank = rank(permille, u64::from(known)) as u32;
            while place + CELLS_PER_STEP <= width {
                let step: u32 = cells[place..place + CELLS_PER_STEP].iter().sum();
                if passed + step >= rank {
                    break;
                }
                passed += step;
                place += CELLS_PER_STEP;
            }
            while passed + cells[place] < rank {
                passed += cells[place];
                place += 1;
            }
            *out = self.span.bucket_at(place);
        }
    }
}

/// Buckets in one list, those of a slot together.
struct BySlot {
    buckets: Vec<i32>,
    ends: Vec<u32>,
}

impl BySlot {
    fn of(&self, slot: usize) -> &[i32] {
        let start = if slot == 0 { 0 } else { self.ends[slot - 1] as usize };
        &self.buckets[start..self.ends[slot] as usize]
    }
}

impl Sparse {
    fn push(&mut self, pair: u64, count: u64) {
        if count == 1 {
            self.ones.push(pair);
        } else {
            self.many.push((pair, count));
        }
    }

    /// Counts equal pairs together once there are many. Where that frees little, the next time
    /// is put off until there are twice as many, so that the cost per pair stays bounded.
    fn compact_if_long(&mut self) {
        if self.ones.len() + self.many.len() <= ONES_MAX.max(2 * self.many.len()) {
            return;
        }
        self.ones.par_sort_unstable();
        let counted = self.ones.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as u64));
        self.many.extend(counted);
        self.ones = Vec::new();
        self.many.par_sort_unstable();
        self.many.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 += if same { next.1 } else { 0 };
            same
        });
    }

    /// A counting sort of the single pairs by slot.
    fn ones_by_slot(&self, slots: usize) -> BySlot {
        let mut ends = vec![0_u32; slots + 1];
        for &pair in &self.ones {
            ends[slot_in(pair) + 1] += 1;
        }
        for slot in 1..ends.len() {
            ends[slot] += ends[slot - 1];
        }
        let mut buckets = vec![0; self.ones.len()];
        for &pair in &self.ones {
            let at = &mut ends[slot_in(pair)];
            buckets[*at as usize] = bucket_in(pair);
            *at += 1;
        }
        BySlot { buckets, ends }
    }

    fn many_by_slot(&self) -> Vec<(u64, u64)> {
        let mut many = self.many.clone();
        many.par_sort_unstable();
        many
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The percentiles, whatever the form and however the histograms were put together.
    fn check(rows: &[(u32, i32)], permilles: &[u16]) {
        let slots = rows.iter().map(|r| r.0 as usize + 1).max().unwrap_or(0);
        let expected: Vec<i32> = (0..slots as u32)
            .flat_map(|slot| {
                let mut mine: Vec<i32> = rows.iter().filter(|r| r.0 == slot).map(|r| r.1).collect();
                mine.sort_unstable();
                let at = move |p: &u16| {
                    mine.get(rank(*p, mine.len() as u64) as usize - 1).copied().unwrap_or(NO_BUCKET)
                };
                permilles.iter().map(at).collect::<Vec<_>>()
            })
            .collect();
        let (slot, bucket): (Vec<u32>, Vec<i32>) = rows.iter().copied().unzip();
        let identity: Vec<u32> = (0..slots as u32).collect();
        let half = rows.len() / 2;
        for (sparse_left, sparse_right) in [(false, false), (true, false), (false, true)] {
            let make = |sparse: bool, range: std::ops::Range<usize>| {
                let mut made = Histograms::default();
                if sparse {
                    made.form = Form::Sparse(Sparse::default());
                }
                for n in range {
                    made.add_rows(&slot[n..=n], &bucket[n..=n], slots);
                }
                made
            };
            let mut left = make(sparse_left, 0..half);
            left.merge(make(sparse_right, half..rows.len()), &identity, slots);
            assert_eq!(left.select(permilles, slots), expected);
        }
    }

    #[test]
    fn percentiles_are_of_nearest_rank_in_every_form() {
        check(&[], &[500]);
        check(&[(0, 5)], &[0, 500, 999]);
        check(
            &[(0, -70), (0, 0), (0, 70), (2, 9000), (2, -9000), (2, 1)],
            &[1, 334, 500, 667, 990],
        );
        let many: Vec<_> = (0..2000).map(|n| (n % 7, (n as i32 * 7919) % 900 - 300)).collect();
        check(&many, &[10, 500, 900, 950, 990, 999]);
    }

    #[test]
    fn compaction_keeps_the_counts() {
        let mut sparse = Sparse::default();
        for n in 0..=ONES_MAX as u32 {
            sparse.push(pack(n % 3, 1), 1);
        }
        sparse.compact_if_long();
        assert!(sparse.ones.is_empty());
        assert_eq!(sparse.many.len(), 3);
        assert_eq!(sparse.many.iter().map(|m| m.1).sum::<u64>(), ONES_MAX as u64 + 1);
    }
}
