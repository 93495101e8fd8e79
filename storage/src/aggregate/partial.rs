//! The partial aggregate of a block: its groups by time grain and the words of one view.
//!
//! *Invariant* (canonical form): groups ascend by `(grain, codes)`, keys are distinct; the words
//! of a table ascend, are distinct and all used; a group's buckets ascend. Equal rows therefore
//! give equal partials, and merging is a merge of two sorted lists.

use super::columns::{ACTOR_NAMES, Codes, Columns, STATUS_NAMES, few_code};
use super::group::Numbering;
use super::histogram::{bucket_of_code, bucket_of_duration, code_of_bucket};
use super::select::Rows;
use super::span::Span;
use super::stats::{DurationSums, Extremes};
use super::tally::Outcomes;
use super::{View, worth_keeping};
use crate::batch::{NO_DURATION, RowBatch};
use crate::row::{Dimension, Status, TimeMs};
use crate::words::{ABSENT, WordTable, Words};
use hashbrown::HashMap;
use std::cmp::Ordering;

/// The groups of one view over the rows of one block, per time grain. Merging is associative and
/// commutative, and [`Partial::empty`] is its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partial {
    pub(super) grain_ms: i64,
    /// Start of each group's grain.
    pub(super) grains: Vec<TimeMs>,
    /// In the order of the view.
    pub(super) dimensions: Vec<GroupWords>,
    pub(super) outcomes: Vec<Outcomes>,
    pub(super) sums: Vec<DurationSums>,
    pub(super) extremes: Vec<Extremes>,
    pub(super) histograms: HistogramList,
}

/// The word of each group in one dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GroupWords {
    /// Codes and their table.
    Words(Words),
    /// Stored bytes of [`Dimension::Status`].
    Status(Vec<u8>),
    /// Stored bytes of [`Dimension::Actor`].
    Actor(Vec<u8>),
}

/// A histogram of durations for each group, one after another. A group has about as many entries as
/// rows, so each takes four bytes: a bucket's code, and how often it was met. One that was met more
/// often than an entry can say has several, all but the last full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HistogramList {
    /// Where each group's entries end.
    ends: Vec<u32>,
    /// See [`code_of_bucket`].
    codes: Vec<u16>,
    counts: Vec<u16>,
    span: Span,
}

impl HistogramList {
    /// Appends a bucket of the group that [`end_group`](Self::end_group) ends next: one that a
    /// duration can have, above those before.
    #[inline]
    pub(super) fn push(&mut self, bucket: i32, count: u32) {
        let code = code_of_bucket(bucket).unwrap_or_default();
        let mut left = count;
        while left > u32::from(u16::MAX) {
            self.codes.push(code);
            self.counts.push(u16::MAX);
            left -= u32::from(u16::MAX);
        }
        self.codes.push(code);
        self.counts.push(left as u16);
    }

    /// Ends a group.
    pub(super) fn end_group(&mut self) {
        let start = self.ends.last().map_or(0, |&end| end as usize);
        let codes = &self.codes[start..];
        // The smallest may be that of zero, which tells nothing of the positive ones after it.
        let above_zero = codes.partition_point(|&code| code == 0);
        let ends = codes.first().into_iter().chain(codes.get(above_zero)).chain(codes.last());
        ends.for_each(|&code| self.span.include(bucket_of_code(code)));
        self.ends.push(self.codes.len() as u32);
    }

    /// The range of all buckets that occur.
    pub(super) fn span(&self) -> Span {
        self.span
    }

    /// The entries of a group: codes of buckets, ascending, and the count of each.
    #[inline]
    pub(super) fn of(&self, group: usize) -> (&[u16], &[u16]) {
        let start = if group == 0 { 0 } else { self.ends[group - 1] as usize };
        let entries = start..self.ends[group] as usize;
        (&self.codes[entries.clone()], &self.counts[entries])
    }

    /// The `(bucket, count)` of a group, ascending and distinct.
    pub(super) fn entries_of(&self, group: usize) -> impl Iterator<Item = (i32, u32)> {
        let (codes, counts) = self.of(group);
        let mut start = 0;
        codes.chunk_by(|a, b| a == b).map(move |same| {
            let counts = &counts[start..start + same.len()];
            start += same.len();
            (bucket_of_code(same[0]), counts.iter().map(|&n| u32::from(n)).sum())
        })
    }
}

impl GroupWords {
    fn new(dimension: &Dimension) -> Self {
        match dimension {
            Dimension::Word(_) | Dimension::Label(_) => Self::Words(Words::default()),
            Dimension::Status => Self::Status(Vec::new()),
            Dimension::Actor => Self::Actor(Vec::new()),
        }
    }

    /// The code of each group.
    pub(super) fn codes(&self) -> Codes<'_> {
        match self {
            Self::Words(words) => Codes::Words(Some(words)),
            Self::Status(stored) => Codes::Few { stored, names: &STATUS_NAMES },
            Self::Actor(stored) => Codes::Few { stored, names: &ACTOR_NAMES },
        }
    }

    /// Appends the code of the next group.
    pub(super) fn push(&mut self, code: u32) {
        match self {
            Self::Words(words) => words.codes.push(code),
            Self::Status(stored) | Self::Actor(stored) => stored.push(code as u8),
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Self::Words(words) => words.heap_bytes(),
            Self::Status(stored) | Self::Actor(stored) => stored.capacity(),
        }
    }
}

impl Partial {
    /// The partial of no rows.
    pub fn empty(view: &View, grain_ms: i64) -> Self {
        Self::with_dimensions(view.dimensions.iter().map(GroupWords::new).collect(), grain_ms)
    }

    pub(super) fn with_dimensions(dimensions: Vec<GroupWords>, grain_ms: i64) -> Self {
        Self {
            grain_ms: grain_ms.max(1),
            grains: Vec::new(),
            dimensions,
            outcomes: Vec::new(),
            sums: Vec::new(),
            extremes: Vec::new(),
            histograms: HistogramList::default(),
        }
    }

    /// Makes room for more groups and for buckets of all of them together.
    pub(super) fn reserve(&mut self, groups: usize, buckets: usize) {
        self.grains.reserve(groups);
        self.outcomes.reserve(groups);
        self.sums.reserve(groups);
        self.extremes.reserve(groups);
        self.histograms.ends.reserve(groups);
        self.histograms.codes.reserve(buckets);
        self.histograms.counts.reserve(buckets);
    }

    /// Groups the rows of `batch` (which has `ts`, `status`, `duration` and the view's columns)
    /// by time grains of `grain_ms` since 1970 and by the view's dimensions.
    pub fn build(batch: &RowBatch, view: &View, grain_ms: i64) -> Self {
        let grouped = Grouped::of(batch, view, grain_ms.max(1));
        Self::fill(batch, view, grain_ms, grouped)
    }

    /// As [`build`](Self::build), but stops after counting the groups if they are too many to be
    /// [worth keeping](worth_keeping).
    pub fn build_if_worth(batch: &RowBatch, view: &View, grain_ms: i64) -> Option<Self> {
        let grouped = Grouped::of(batch, view, grain_ms.max(1));
        worth_keeping(grouped.firsts.len(), batch.len)
            .then(|| Self::fill(batch, view, grain_ms, grouped))
    }

    fn fill(batch: &RowBatch, view: &View, grain_ms: i64, grouped: Grouped) -> Self {
        let mut partial = Self::empty(view, grain_ms);
        let Grouped { mut numbering, firsts } = grouped;
        let group_of = partial.add_keys(batch, view, &firsts);
        numbering.map(&group_of);
        let groups = &numbering.numbers;
        partial.outcomes.resize(partial.grains.len(), Outcomes::default());
        for (row, &group) in groups.iter().enumerate() {
            let stored = batch.status.get(row).copied().unwrap_or(Status::Unknown as u8);
            let status = few_code(stored, Status::ALL.len());
            partial.outcomes[group as usize][status as usize] += 1;
        }
        partial.sums.resize(partial.grains.len(), DurationSums::default());
        partial.extremes.resize(partial.grains.len(), Extremes::default());
        for (&us, &group) in batch.duration.iter().zip(groups) {
            if us != NO_DURATION {
                partial.sums[group as usize].add(us);
                partial.extremes[group as usize].merge(Extremes { min: us, max: us });
            }
        }
        partial.add_histograms(&batch.duration, groups);
        partial
    }

    /// Appends the keys of the groups whose first rows are `firsts`, in canonical order. Gives the
    /// group that each became.
    fn add_keys(&mut self, batch: &RowBatch, view: &View, firsts: &[u32]) -> Vec<u32> {
        let columns = Columns::whole(batch);
        let mut codes: Vec<Vec<u32>> = Vec::with_capacity(view.dimensions.len());
        for (dimension, mine) in view.dimensions.iter().zip(&mut self.dimensions) {
            let column = columns.dimension(dimension);
            let mut used: Vec<u32> = firsts.iter().map(|&row| column.at(row as usize)).collect();
            if let (GroupWords::Words(words), Codes::Words(Some(from))) = (mine, &column) {
                let empty_is_absent = matches!(dimension, Dimension::Word(_));
                words.table = sort_words(&mut used, &from.table, empty_is_absent);
            }
            codes.push(used);
        }
        let grain = |n: u32| grain_start(batch.ts[firsts[n as usize] as usize], self.grain_ms);
        let key_order = |a: u32, b: u32| {
            grain(a).cmp(&grain(b)).then_with(|| {
                codes.iter().fold(Ordering::Equal, |order, codes| {
                    order.then_with(|| codes[a as usize].cmp(&codes[b as usize]))
                })
            })
        };
        let mut order: Vec<u32> = (0..firsts.len() as u32).collect();
        order.sort_unstable_by(|&a, &b| key_order(a, b));
        let mut group_of = vec![0; firsts.len()];
        let mut last = None;
        for n in order {
            // Two codes can stand for one word: absent and empty do.
            if last.is_none_or(|last| key_order(last, n).is_ne()) {
                self.grains.push(grain(n));
                for (mine, codes) in self.dimensions.iter_mut().zip(&codes) {
                    mine.push(codes[n as usize]);
                }
            }
            group_of[n as usize] = self.grains.len() as u32 - 1;
            last = Some(n);
        }
        group_of
    }

    /// Sorts the buckets of every group: by group in one counting sort, then within each.
    fn add_histograms(&mut self, durations: &[u64], groups: &[u32]) {
        let mut at: Vec<u32> = Vec::with_capacity(self.sums.len());
        let mut total = 0;
        for sums in &self.sums {
            at.push(total);
            total += sums.known as u32;
        }
        let mut buckets = vec![0; total as usize];
        for (&us, &group) in durations.iter().zip(groups) {
            if us != NO_DURATION {
                let at = &mut at[group as usize];
                buckets[*at as usize] = bucket_of_duration(us);
                *at += 1;
            }
        }
        let mut start = 0;
        for end in at {
            let mine = &mut buckets[start..end as usize];
            mine.sort_unstable();
            for run in mine.chunk_by(|a, b| a == b) {
                self.histograms.push(run[0], run.len() as u32);
            }
            self.histograms.end_group();
            start = end as usize;
        }
    }

    /// How many groups there are.
    pub fn groups(&self) -> usize {
        self.grains.len()
    }

    /// About how much memory it holds, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.grains.capacity() * size_of::<TimeMs>()
            + self.dimensions.iter().map(GroupWords::heap_bytes).sum::<usize>()
            + self.outcomes.capacity() * size_of::<Outcomes>()
            + self.sums.capacity() * size_of::<DurationSums>()
            + self.extremes.capacity() * size_of::<Extremes>()
            + self.histograms.ends.capacity() * 4
            + self.histograms.codes.capacity() * 4
    }

    /// The partial of the rows of both, which must be of one view and one grain.
    pub fn merge(&self, other: &Self) -> Self {
        let mut codes = Vec::with_capacity(self.dimensions.len());
        let mut dimensions = Vec::with_capacity(self.dimensions.len());
        for (mine, theirs) in self.dimensions.iter().zip(&other.dimensions) {
            let (merged, mine, theirs) = merge_words(mine, theirs);
            dimensions.push(merged);
            codes.push((mine, theirs));
        }
        let mut merged = Self::with_dimensions(dimensions, self.grain_ms);
        let (mut left, mut right) = (0, 0);
        while left < self.groups() || right < other.groups() {
            let order = match (self.grains.get(left), other.grains.get(right)) {
                (Some(_), None) => Ordering::Less,
                (None, _) => Ordering::Greater,
                (Some(mine), Some(theirs)) => mine.cmp(theirs).then_with(|| {
                    codes.iter().fold(Ordering::Equal, |order, (mine, theirs)| {
                        order.then_with(|| mine[left].cmp(&theirs[right]))
                    })
                }),
            };
            for (words, (mine, theirs)) in merged.dimensions.iter_mut().zip(&codes) {
                words.push(if order.is_le() { mine[left] } else { theirs[right] });
            }
            match order {
                Ordering::Less => merged.push_group(self, left),
                Ordering::Greater => merged.push_group(other, right),
                Ordering::Equal => merged.push_both((self, left), (other, right)),
            }
            left += usize::from(order.is_le());
            right += usize::from(order.is_ge());
        }
        merged
    }

    /// Appends a group of `from`; its codes have been appended.
    fn push_group(&mut self, from: &Self, group: usize) {
        self.grains.push(from.grains[group]);
        self.outcomes.push(from.outcomes[group]);
        self.sums.push(from.sums[group]);
        self.extremes.push(from.extremes[group]);
        from.histograms.entries_of(group).for_each(|(bucket, n)| self.histograms.push(bucket, n));
        self.histograms.end_group();
    }

    /// Appends two groups of the same key as one; the key's codes have been appended.
    fn push_both(&mut self, (a, group_a): (&Self, usize), (b, group_b): (&Self, usize)) {
        self.grains.push(a.grains[group_a]);
        let mut outcomes = a.outcomes[group_a];
        outcomes.iter_mut().zip(b.outcomes[group_b]).for_each(|(mine, theirs)| *mine += theirs);
        self.outcomes.push(outcomes);
        let mut sums = a.sums[group_a];
        sums.merge(&b.sums[group_b]);
        self.sums.push(sums);
        let mut extremes = a.extremes[group_a];
        extremes.merge(b.extremes[group_b]);
        self.extremes.push(extremes);
        let mut mine = a.histograms.entries_of(group_a).peekable();
        let mut theirs = b.histograms.entries_of(group_b).peekable();
        loop {
            let bucket = match (mine.peek(), theirs.peek()) {
                (Some(mine), Some(theirs)) => mine.0.min(theirs.0),
                (Some(only), None) | (None, Some(only)) => only.0,
                (None, None) => break,
            };
            let is_it = |entry: &(i32, u32)| entry.0 == bucket;
            let count =
                mine.next_if(is_it).map_or(0, |e| e.1) + theirs.next_if(is_it).map_or(0, |e| e.1);
            self.histograms.push(bucket, count);
        }
        self.histograms.end_group();
    }
}

/// The start of the grain that `ts` lies in.
pub(super) fn grain_start(ts: TimeMs, grain_ms: i64) -> TimeMs {
    ts.div_euclid(grain_ms).saturating_mul(grain_ms)
}

/// Rows numbered by group, in order of appearance.
struct Grouped {
    numbering: Numbering,
    /// The first row of each.
    firsts: Vec<u32>,
}

impl Grouped {
    fn of(batch: &RowBatch, view: &View, grain_ms: i64) -> Self {
        let mut numbering = Numbering::default();
        let mut grains: HashMap<TimeMs, u32> = HashMap::new();
        numbering.begin_with(|numbers| {
            let (mut start, mut end, mut number) = (0, 0, 0);
            numbers.extend(batch.ts.iter().map(|&ts| {
                if ts < start || ts >= end {
                    start = grain_start(ts, grain_ms);
                    end = start.saturating_add(grain_ms);
                    let next = grains.len() as u32;
                    number = *grains.entry(start).or_insert(next);
                }
                number
            }));
            grains.len()
        });
        let rows = Rows::Range(0..batch.len);
        let columns = Columns::whole(batch);
        for dimension in &view.dimensions {
            numbering.refine(&columns.dimension(dimension), &rows);
        }
        let firsts = numbering.close_up(&mut Vec::new());
        Self { numbering, firsts }
    }
}

/// Replaces the codes `used` of `table` by codes of a table of just these words, ascending.
fn sort_words(used: &mut [u32], table: &WordTable, empty_is_absent: bool) -> WordTable {
    let mut words: Vec<(&str, u32)> = {
        let mut codes = used.to_vec();
        codes.sort_unstable();
        codes.dedup();
        codes.into_iter().filter_map(|code| Some((table.get(code)?, code))).collect()
    };
    words.sort_unstable();
    let mut sorted = WordTable::default();
    let mut new_code = vec![ABSENT; table.len() + 1];
    let mut last = None;
    for (word, code) in words {
        if word.is_empty() && empty_is_absent {
            continue;
        }
        if last != Some(word) {
            sorted.append(word);
            last = Some(word);
        }
        new_code[code as usize] = sorted.len() as u32;
    }
    for code in used {
        *code = new_code.get(*code as usize).copied().unwrap_or(ABSENT);
    }
    sorted
}

/// The words of both without codes, and the codes of each in that table.
fn merge_words(mine: &GroupWords, theirs: &GroupWords) -> (GroupWords, Vec<u32>, Vec<u32>) {
    match (mine, theirs) {
        (GroupWords::Words(mine), GroupWords::Words(theirs)) => {
            let mut table = WordTable::default();
            let mut mine_to = vec![ABSENT];
            let mut theirs_to = vec![ABSENT];
            let (mut left, mut right) =
                (mine.table.iter().peekable(), theirs.table.iter().peekable());
            while let Some(&word) = match (left.peek(), right.peek()) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (only, None) | (None, only) => only,
            } {
                let code = table.append(word);
                mine_to.extend(left.next_if_eq(&word).map(|_| code));
                theirs_to.extend(right.next_if_eq(&word).map(|_| code));
            }
            let map = |codes: &[u32], to: &[u32]| -> Vec<u32> {
                codes.iter().map(|&c| to.get(c as usize).copied().unwrap_or(ABSENT)).collect()
            };
            let codes = (map(&mine.codes, &mine_to), map(&theirs.codes, &theirs_to));
            (GroupWords::Words(Words { codes: Vec::new(), table }), codes.0, codes.1)
        }
        (GroupWords::Status(mine), GroupWords::Status(theirs)) => {
            (GroupWords::Status(Vec::new()), widen(mine), widen(theirs))
        }
        (GroupWords::Actor(mine), GroupWords::Actor(theirs)) => {
            (GroupWords::Actor(Vec::new()), widen(mine), widen(theirs))
        }
        // Of different views: the caller broke the condition, and the groups keep no words.
        (mine, theirs) => {
            debug_assert!(false, "partials of different views: {mine:?}, {theirs:?}");
            let absent = |words: &GroupWords| match words {
                GroupWords::Words(words) => vec![ABSENT; words.codes.len()],
                GroupWords::Status(stored) | GroupWords::Actor(stored) => {
                    vec![ABSENT; stored.len()]
                }
            };
            (GroupWords::Words(Words::default()), absent(mine), absent(theirs))
        }
    }
}

fn widen(stored: &[u8]) -> Vec<u32> {
    stored.iter().map(|&byte| u32::from(byte)).collect()
}
