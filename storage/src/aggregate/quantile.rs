//! Histograms of many groups at once, and the percentiles read from them.
//!
//! Few groups with many rows have a dense row of counters each; many groups with few rows share
//! lists of their buckets (`runs`). The first turns into the second when it would become too large,
//! never back.

use super::histogram::{bucket_of_code, rank};
use super::runs::Runs;
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

/// Slots whose percentiles one task reads.
pub(super) const SLOTS_PER_TASK: usize = 1024;

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
    Sparse(Runs),
}

#[derive(Debug, Default)]
struct Dense {
    span: Span,
    /// `span.width()` counters for each slot.
    cells: Vec<u32>,
}

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
                for (&slot, &bucket) in slots.iter().zip(buckets).filter(|&(_, &b)| b != NO_BUCKET)
                {
                    sparse.push(slot, bucket, 1);
                }
                sparse.tidy();
            }
        }
    }

    /// Adds stored histograms of durations: of each group its slot, the ascending codes of its
    /// buckets (all within `span`) and how often each was met; `weight` is all of that together.
    pub(super) fn add_counts<'a>(
        &mut self,
        groups: impl Iterator<Item = (u32, (&'a [u16], &'a [u16]))>,
        span: Span,
        weight: u64,
        slot_count: usize,
    ) {
        match self.prepare(span, slot_count, weight) {
            Form::Dense(dense) => {
                let (width, places) = (dense.span.width(), dense.span.places());
                for (slot, (codes, counts)) in groups {
                    let cells = &mut dense.cells[slot as usize * width..][..width];
                    // Zero's counter lies apart; those of all other codes are neighbours.
                    let zeros = codes.partition_point(|&code| code == 0);
                    for &count in &counts[..zeros] {
                        cells[places.of(0)] += u32::from(count);
                    }
                    let Some(&lowest) = codes.get(zeros) else { continue };
                    let cells = &mut cells[places.of(bucket_of_code(lowest))..];
                    for (&code, &count) in codes[zeros..].iter().zip(&counts[zeros..]) {
                        cells[usize::from(code - lowest)] += u32::from(count);
                    }
                }
            }
            Form::Sparse(sparse) => {
                for (slot, (codes, counts)) in groups {
                    for (&code, &count) in codes.iter().zip(counts) {
                        sparse.push(slot, bucket_of_code(code), count.into());
                    }
                }
                sparse.tidy();
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
                        mine.push(slots[slot as usize], bucket, n);
                    }
                    mine.tidy();
                }
            },
            Form::Sparse(theirs) => {
                if let Form::Dense(dense) = &self.form {
                    self.form = Form::Sparse(dense.to_sparse());
                }
                if let Form::Sparse(mine) = self.prepare(Span::default(), slot_count, other.weight)
                {
                    mine.merge(theirs, slots);
                }
            }
        }
    }

    /// Heap bytes held.
    pub(super) fn heap_bytes(&self) -> usize {
        match &self.form {
            Form::Dense(dense) => dense.cells.capacity() * 4,
            Form::Sparse(sparse) => sparse.heap_bytes(),
        }
    }

    /// The buckets that the percentiles `permilles` (ascending) of each slot lie in: a list of
    /// `permilles.len()` for each of `slot_count` slots; [`NO_BUCKET`] without numbers.
    /// Computed by up to `processors` threads.
    pub(super) fn select(
        &mut self,
        permilles: &[u16],
        slot_count: usize,
        processors: usize,
    ) -> Vec<i32> {
        let mut out = vec![NO_BUCKET; slot_count * permilles.len()];
        if permilles.is_empty() {
            return out;
        }
        let each = SLOTS_PER_TASK * permilles.len();
        match &mut self.form {
            Form::Dense(dense) => in_tasks(&mut out, each, processors, |task, out| {
                for (n, out) in out.chunks_mut(permilles.len()).enumerate() {
                    dense.select(task * SLOTS_PER_TASK + n, permilles, out);
                }
            }),
            Form::Sparse(sparse) => {
                sparse.finish_run();
                in_tasks(&mut out, each, processors, |task, out| {
                    let first = (task * SLOTS_PER_TASK) as u32;
                    let mut slots = sparse.slots(first);
                    for (slot, out) in (first..).zip(out.chunks_mut(permilles.len())) {
                        slots.select(slot, permilles, out);
                    }
                });
            }
        }
        out
    }
}

/// Has `work` fill each piece of `each` numbers of `out`, which it is given with its number.
fn in_tasks(
    out: &mut [i32],
    each: usize,
    processors: usize,
    work: impl Fn(usize, &mut [i32]) + Sync,
) {
    if processors > 1 {
        return out.par_chunks_mut(each).enumerate().for_each(|(task, out)| work(task, out));
    }
    out.chunks_mut(each).enumerate().for_each(|(task, out)| work(task, out));
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

    fn to_sparse(&self) -> Runs {
        let mut sparse = Runs::default();
        for (slot, bucket, count) in self.entries() {
            sparse.push(slot, bucket, count);
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
                    made.form = Form::Sparse(Runs::default());
                }
                for n in range {
                    made.add_rows(&slot[n..=n], &bucket[n..=n], slots);
                }
                made
            };
            let mut left = make(sparse_left, 0..half);
            left.merge(make(sparse_right, half..rows.len()), &identity, slots);
            assert_eq!(left.select(permilles, slots, 1 + slots % 2), expected);
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
}
