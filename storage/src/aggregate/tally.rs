//! What one worker has accumulated: for every group it met, the numbers that the metrics need.

use super::columns::{Codes, Columns};
use super::dictionary::Dictionary;
use super::distinct::Distinct;
use super::group::GroupTable;
use super::histogram::{bucket_of, bucket_of_duration};
use super::partial::Partial;
use super::quantile::{Histograms, NO_BUCKET};
use super::select::Rows;
use super::stats::{DurationSums, Extremes, NumberStats};
use super::wants::Wants;
use crate::batch::{NO_DURATION, NO_EXIT_CODE};
use crate::row::{Measure, Status};

/// Rows of each [`Status`] in a group, by its stored number.
pub(super) type Outcomes = [u64; Status::ALL.len()];

/// Per slot, what the metrics of a question need; what they do not need stays empty.
#[derive(Debug)]
pub(super) struct Tally {
    /// The groups' keys: bucket, then a code of the question per dimension grouped by.
    pub(super) groups: GroupTable,
    pub(super) counts: Vec<u64>,
    pub(super) outcomes: Vec<Outcomes>,
    pub(super) duration_sums: Vec<DurationSums>,
    pub(super) extremes: Vec<Extremes>,
    pub(super) duration_buckets: Histograms,
    /// By [`Wants::numbers`].
    pub(super) numbers: Vec<(Vec<NumberStats>, Histograms)>,
    /// By [`Wants::distinct`].
    pub(super) distinct: Vec<Distinct>,
    scratch: Scratch,
}

/// Memory used again for every part.
#[derive(Debug, Default)]
struct Scratch {
    status: Vec<u8>,
    durations: Vec<u64>,
    exit_codes: Vec<i64>,
    numbers: Vec<f64>,
    buckets: Vec<i32>,
    codes: Vec<u32>,
    known: Vec<u32>,
}

impl Tally {
    pub(super) fn new(wants: &Wants, dictionaries: &[Dictionary]) -> Self {
        Self {
            groups: GroupTable::new(1 + wants.group_by.len()),
            counts: Vec::new(),
            outcomes: Vec::new(),
            duration_sums: Vec::new(),
            extremes: Vec::new(),
            duration_buckets: Histograms::default(),
            numbers: wants.numbers.iter().map(|_| Default::default()).collect(),
            distinct: wants
                .distinct
                .iter()
                .map(|&n| Distinct::new(dictionaries[n].first_code()))
                .collect(),
            scratch: Scratch::default(),
        }
    }

    /// Heap bytes held.
    pub(super) fn heap_bytes(&self) -> usize {
        let numbers: usize = self
            .numbers
            .iter()
            .map(|(stats, buckets)| {
                stats.capacity() * size_of::<NumberStats>() + buckets.heap_bytes()
            })
            .sum();
        self.groups.heap_bytes()
            + self.counts.capacity() * size_of::<u64>()
            + self.outcomes.capacity() * size_of::<Outcomes>()
            + self.duration_sums.capacity() * size_of::<DurationSums>()
            + self.extremes.capacity() * size_of::<Extremes>()
            + self.duration_buckets.heap_bytes()
            + numbers
            + self.distinct.iter().map(Distinct::heap_bytes).sum::<usize>()
    }

    /// Gives every group met so far a place in what is accumulated.
    fn make_room(&mut self, wants: &Wants) -> usize {
        let slots = self.groups.len();
        if wants.counts {
            self.counts.resize(slots, 0);
        }
        if wants.outcomes {
            self.outcomes.resize(slots, Outcomes::default());
        }
        if wants.duration_sums {
            self.duration_sums.resize(slots, DurationSums::default());
        }
        if wants.extremes {
            self.extremes.resize(slots, Extremes::default());
        }
        self.numbers.iter_mut().for_each(|(stats, _)| stats.resize(slots, NumberStats::default()));
        slots
    }

    /// Adds rows of a part: `slots` is the group of each.
    pub(super) fn add_rows(
        &mut self,
        wants: &Wants,
        dictionaries: &[Dictionary],
        columns: &Columns<'_>,
        rows: &Rows,
        slots: &[u32],
    ) {
        let slot_count = self.make_room(wants);
        if wants.counts {
            slots.iter().for_each(|&slot| self.counts[slot as usize] += 1);
        }
        if wants.outcomes {
            self.add_outcomes(columns.status(), rows, slots);
        }
        self.add_durations(wants, columns.duration(), rows, slots, slot_count);
        self.add_numbers(wants, columns, rows, slots, slot_count);
        let Scratch { codes, known, .. } = &mut self.scratch;
        for (distinct, &n) in self.distinct.iter_mut().zip(&wants.distinct) {
            let column = columns.dimension(&dictionaries[n].dimension);
            let places = 0..rows.len();
            dictionaries[n].translate(&column, places.map(|at| rows.row(at)), known, codes);
            distinct.add(slots, codes, slot_count);
        }
    }

    fn add_outcomes(&mut self, status: &[u8], rows: &Rows, slots: &[u32]) {
        if status.is_empty() {
            let unknown = Status::Unknown as usize;
            slots.iter().for_each(|&slot| self.outcomes[slot as usize][unknown] += 1);
            return;
        }
        let status = rows.gather(status, &mut self.scratch.status);
        for (&slot, &stored) in slots.iter().zip(status) {
            let known = if usize::from(stored) < Status::ALL.len() { stored } else { 0 };
            self.outcomes[slot as usize][usize::from(known)] += 1;
        }
    }

    fn add_durations(
        &mut self,
        wants: &Wants,
        durations: &[u64],
        rows: &Rows,
        slots: &[u32],
        slot_count: usize,
    ) {
        if durations.is_empty() || !(wants.duration_sums || wants.extremes) {
            return;
        }
        let Scratch { durations: scratch, buckets, .. } = &mut self.scratch;
        let durations = rows.gather(durations, scratch);
        let known = || slots.iter().zip(durations).filter(|&(_, &us)| us != NO_DURATION);
        if wants.duration_sums {
            known().for_each(|(&slot, &us)| self.duration_sums[slot as usize].add(us));
        }
        if wants.extremes {
            for (&slot, &us) in known() {
                self.extremes[slot as usize].merge(Extremes { min: us, max: us });
            }
        }
        if wants.duration_buckets() {
            let bucket =
                |&us: &u64| if us == NO_DURATION { NO_BUCKET } else { bucket_of_duration(us) };
            buckets.clear();
            buckets.extend(durations.iter().map(bucket));
            self.duration_buckets.add_rows(slots, buckets, slot_count);
        }
    }

    fn add_numbers(
        &mut self,
        wants: &Wants,
        columns: &Columns<'_>,
        rows: &Rows,
        slots: &[u32],
        slot_count: usize,
    ) {
        for (want, (stats, histograms)) in wants.numbers.iter().zip(&mut self.numbers) {
            let Scratch { exit_codes, numbers, buckets, .. } = &mut self.scratch;
            let numbers: &[f64] = match &want.measure {
                Measure::Value(key) if columns.value(key).is_empty() => continue,
                Measure::Value(key) => rows.gather(columns.value(key), numbers),
                Measure::ExitCode if columns.exit_code().is_empty() => continue,
                Measure::ExitCode => {
                    let codes = rows.gather(columns.exit_code(), exit_codes);
                    let number = |&c: &i64| if c == NO_EXIT_CODE { f64::NAN } else { c as f64 };
                    numbers.clear();
                    numbers.extend(codes.iter().map(number));
                    numbers
                }
                // Durations have their own, exact accumulators.
                Measure::Duration => continue,
            };
            for (&slot, &number) in slots.iter().zip(numbers) {
                if !number.is_nan() {
                    stats[slot as usize].add(number);
                }
            }
            if !want.permilles.is_empty() {
                buckets.clear();
                buckets.extend(
                    numbers.iter().map(|&x| if x.is_nan() { NO_BUCKET } else { bucket_of(x) }),
                );
                histograms.add_rows(slots, buckets, slot_count);
            }
        }
    }

    /// Adds groups of a partial: `slots` is the group of each here.
    pub(super) fn add_partial<'a>(
        &mut self,
        wants: &Wants,
        dictionaries: &[Dictionary],
        partial: &Partial,
        codes_of: &dyn Fn(usize) -> Codes<'a>,
        rows: &Rows,
        slots: &[u32],
    ) {
        let slot_count = self.make_room(wants);
        let from = |at: usize| rows.row(at);
        if wants.counts || wants.outcomes {
            for (at, &slot) in slots.iter().enumerate() {
                let outcomes = &partial.outcomes[from(at)];
                if wants.counts {
                    self.counts[slot as usize] += outcomes.iter().sum::<u64>();
                }
                if wants.outcomes {
                    let mine = &mut self.outcomes[slot as usize];
                    mine.iter_mut().zip(outcomes).for_each(|(mine, theirs)| *mine += theirs);
                }
            }
        }
        if wants.duration_sums {
            for (at, &slot) in slots.iter().enumerate() {
                self.duration_sums[slot as usize].merge(&partial.sums[from(at)]);
            }
        }
        if wants.extremes {
            for (at, &slot) in slots.iter().enumerate() {
                self.extremes[slot as usize].merge(partial.extremes[from(at)]);
            }
        }
        if wants.duration_buckets() {
            let weight = (0..slots.len()).map(|at| partial.sums[from(at)].known).sum();
            let groups = slots.iter().enumerate();
            let groups = groups.map(|(at, &slot)| (slot, partial.histograms.of(from(at))));
            let span = partial.histograms.span();
            self.duration_buckets.add_counts(groups, span, weight, slot_count);
        }
        let Scratch { codes, known, .. } = &mut self.scratch;
        for (distinct, &n) in self.distinct.iter_mut().zip(&wants.distinct) {
            let places = 0..rows.len();
            dictionaries[n].translate(&codes_of(n), places.map(from), known, codes);
            distinct.add(slots, codes, slot_count);
        }
    }

    /// Adds all that `other` has accumulated.
    pub(super) fn merge(&mut self, wants: &Wants, other: Self) {
        let slots: Vec<u32> =
            (0..other.groups.len()).map(|n| self.groups.slot(other.groups.key(n))).collect();
        let slot_count = self.make_room(wants);
        for (&slot, theirs) in slots.iter().zip(&other.counts) {
            self.counts[slot as usize] += theirs;
        }
        for (&slot, theirs) in slots.iter().zip(&other.outcomes) {
            let mine = &mut self.outcomes[slot as usize];
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
        }
        for (&slot, theirs) in slots.iter().zip(&other.duration_sums) {
            self.duration_sums[slot as usize].merge(theirs);
        }
        for (&slot, &theirs) in slots.iter().zip(&other.extremes) {
            self.extremes[slot as usize].merge(theirs);
        }
        self.duration_buckets.merge(other.duration_buckets, &slots, slot_count);
        for ((mine, mine_buckets), (theirs, buckets)) in self.numbers.iter_mut().zip(other.numbers)
        {
            for (&slot, theirs) in slots.iter().zip(&theirs) {
                mine[slot as usize].merge(theirs);
            }
            mine_buckets.merge(buckets, &slots, slot_count);
        }
        for (mine, theirs) in self.distinct.iter_mut().zip(other.distinct) {
            mine.merge(theirs, &slots, slot_count);
        }
    }
}
