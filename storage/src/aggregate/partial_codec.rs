//! The stored form of a partial.
//!
//! All numbers are LEB128 varints; `zz` is zigzag. Checksums are the container's business.
//!
//! ```text
//! grain_ms, number of dimensions
//! per dimension   kind (0 words, 1 status, 2 actor); words: number, then (length, bytes) each
//! number of groups, then per group in canonical order:
//!   zz grain index, less the one before
//!   code per dimension
//!   rows << 2 | other outcomes << 1 | durations missing
//!   if other outcomes: unknown, failure, timeout, cancelled (the rest are successes)
//!   if durations missing: how many rows have none
//!   known durations: 1 to 3: the smallest, then each one's difference to the one before;
//!     more: smallest, largest - smallest, sum, squares,
//!           per bucket (bucket - the one before) << 1 | several, if several: count - 2;
//!           the counts add up to the known durations
//! ```
//!
//! Up to three durations follow from smallest, largest and sum, and the rest from them.

use super::histogram::{bucket_of_duration, code_of_bucket};
use super::partial::{GroupWords, HistogramList, Partial};
use super::stats::{DurationSums, Extremes};
use super::tally::Outcomes;
use crate::batch::NO_DURATION;
use crate::error::Corrupt;
use crate::row::{Actor, Status};
use crate::words::{WordTable, Words};

/// Groups with at most so many known durations store them one by one.
const LISTED_MAX: u64 = 3;

/// Most dimensions a view may have.
const DIMENSIONS_MAX: u64 = 64;

/// Most rows of one group: a block has no more.
const GROUP_ROWS_MAX: u64 = u32::MAX as u64;

const KIND_WORDS: u64 = 0;
const KIND_STATUS: u64 = 1;
const KIND_ACTOR: u64 = 2;

impl Partial {
    /// Appends the stored form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put(out, self.grain_ms as u128);
        put(out, self.dimensions.len() as u128);
        for words in &self.dimensions {
            match words {
                GroupWords::Words(words) => {
                    put(out, KIND_WORDS.into());
                    put(out, words.table.len() as u128);
                    for word in words.table.iter() {
                        put(out, word.len() as u128);
                        out.extend_from_slice(word.as_bytes());
                    }
                }
                GroupWords::Status(_) => put(out, KIND_STATUS.into()),
                GroupWords::Actor(_) => put(out, KIND_ACTOR.into()),
            }
        }
        put(out, self.groups() as u128);
        let mut last = 0;
        for group in 0..self.groups() {
            let grain = self.grains[group].div_euclid(self.grain_ms);
            put(out, zigzag(grain.wrapping_sub(last)).into());
            last = grain;
            for words in &self.dimensions {
                put(out, words.codes().at(group).into());
            }
            self.encode_group(group, out);
        }
    }

    fn encode_group(&self, group: usize, out: &mut Vec<u8>) {
        let outcomes = &self.outcomes[group];
        let rows: u64 = outcomes.iter().sum();
        let others = rows != outcomes[Status::Success as usize];
        let DurationSums { known, sum, squares } = self.sums[group];
        let Extremes { min, max } = self.extremes[group];
        let missing = rows - known;
        put(out, u128::from(rows) << 2 | u128::from(others) << 1 | u128::from(missing > 0));
        if others {
            OTHERS.iter().for_each(|&status| put(out, outcomes[status as usize].into()));
        }
        if missing > 0 {
            put(out, missing.into());
        }
        if known == 0 {
            return;
        }
        put(out, min.into());
        match known {
            1 => {}
            2 => put(out, (max - min).into()),
            LISTED_MAX => {
                let middle = (sum - u128::from(min) - u128::from(max)) as u64;
                put(out, (middle - min).into());
                put(out, (max - middle).into());
            }
            _ => {
                put(out, (max - min).into());
                put(out, sum);
                put(out, squares);
                let mut last = 0;
                for (bucket, count) in self.histograms.entries_of(group) {
                    put(out, (bucket - last) as u128 * 2 + u128::from(count > 1));
                    if count > 1 {
                        put(out, u128::from(count) - 2);
                    }
                    last = bucket;
                }
            }
        }
    }

    /// Reads the stored form, which must be all of `bytes`. Whatever it accepts is canonical.
    pub fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut input = Input { bytes };
        let partial = input.partial().ok_or_else(|| Corrupt::new("a partial aggregate"))?;
        if input.bytes.is_empty() { Ok(partial) } else { Err(Corrupt::new("a partial's end")) }
    }
}

/// The statuses that are stored, the others being successes.
const OTHERS: [Status; 4] = [Status::Unknown, Status::Failure, Status::Timeout, Status::Cancelled];

fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

fn put(out: &mut Vec<u8>, mut number: u128) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// What is left to read. `None` everywhere means: not what [`Partial::encode`] writes.
struct Input<'a> {
    bytes: &'a [u8],
}

impl Input<'_> {
    #[inline]
    fn number(&mut self) -> Option<u64> {
        let (&first, rest) = self.bytes.split_first()?;
        if first < 0x80 {
            self.bytes = rest;
            return Some(first.into());
        }
        u64::try_from(self.long_number()?).ok()
    }

    fn long_number(&mut self) -> Option<u128> {
        let mut number = 0_u128;
        for shift in (0..128).step_by(7) {
            let (&byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            let bits = u128::from(byte & 0x7f);
            if bits << shift >> shift != bits || (byte == 0 && shift > 0) {
                return None;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn partial(&mut self) -> Option<Partial> {
        let grain_ms = i64::try_from(self.number()?).ok().filter(|&ms| ms > 0)?;
        let count = self.number().filter(|&n| n <= DIMENSIONS_MAX)?;
        let dimensions = (0..count).map(|_| self.group_words()).collect::<Option<Vec<_>>>()?;
        let mut partial = Partial::with_dimensions(dimensions, grain_ms);
        let groups = self.number()?;
        // A group takes three bytes or more, a bucket one: what is reserved is bounded by what
        // there is to read.
        partial.reserve((groups as usize).min(self.bytes.len() / 3), self.bytes.len() / 2);
        let mut grain = 0_i64;
        let mut key = vec![0; count as usize];
        let mut last_key: Option<(i64, Vec<u32>)> = None;
        for _ in 0..groups {
            let delta = self.number()?;
            grain = grain.checked_add((delta >> 1) as i64 ^ -((delta & 1) as i64))?;
            partial.grains.push(grain.checked_mul(grain_ms)?);
            for (words, code) in partial.dimensions.iter_mut().zip(&mut key) {
                *code = u32::try_from(self.number()?).ok()?;
                let known = match words {
                    GroupWords::Words(words) => *code as usize <= words.table.len(),
                    GroupWords::Status(_) => (*code as usize) < Status::ALL.len(),
                    GroupWords::Actor(_) => (*code as usize) < Actor::ALL.len(),
                };
                known.then(|| words.push(*code))?;
            }
            match &mut last_key {
                Some((last_grain, last)) => {
                    if (grain, &key) <= (*last_grain, last) {
                        return None;
                    }
                    *last_grain = grain;
                    last.copy_from_slice(&key);
                }
                None => last_key = Some((grain, key.clone())),
            }
            self.group(&mut partial)?;
        }
        words_are_all_used(&partial).then_some(partial)
    }

    fn group_words(&mut self) -> Option<GroupWords> {
        match self.number()? {
            KIND_STATUS => return Some(GroupWords::Status(Vec::new())),
            KIND_ACTOR => return Some(GroupWords::Actor(Vec::new())),
            KIND_WORDS => {}
            _ => return None,
        }
        let mut table = WordTable::default();
        for _ in 0..self.number()? {
            let length = usize::try_from(self.number()?).ok()?;
            let (word, rest) = self.bytes.split_at_checked(length)?;
            let word = std::str::from_utf8(word).ok()?;
            self.bytes = rest;
            if table.get(table.len() as u32).is_some_and(|last| last >= word) {
                return None;
            }
            table.append(word);
        }
        Some(GroupWords::Words(Words { codes: Vec::new(), table }))
    }

    fn group(&mut self, partial: &mut Partial) -> Option<()> {
        let head = self.number()?;
        let rows = (head >> 2 > 0 && head >> 2 <= GROUP_ROWS_MAX).then_some(head >> 2)?;
        let mut outcomes = Outcomes::default();
        let mut others = 0_u64;
        if head & 2 != 0 {
            for status in OTHERS {
                let count = self.number()?;
                others = others.checked_add(count)?;
                outcomes[status as usize] = count;
            }
            (others > 0).then_some(())?;
        }
        outcomes[Status::Success as usize] = rows.checked_sub(others)?;
        partial.outcomes.push(outcomes);
        let missing = if head & 1 != 0 { self.number().filter(|&n| n > 0)? } else { 0 };
        let known = rows.checked_sub(missing)?;
        let (sums, extremes) = if known <= LISTED_MAX {
            self.listed_durations(known, &mut partial.histograms)?
        } else {
            self.durations(known, &mut partial.histograms)?
        };
        partial.sums.push(sums);
        partial.extremes.push(extremes);
        partial.histograms.end_group();
        Some(())
    }

    fn listed_durations(&mut self, known: u64, histograms: &mut HistogramList) -> Option<Stats> {
        let mut sums = DurationSums::default();
        let mut extremes = Extremes::default();
        let mut last = 0_u64;
        let mut run: Option<(i32, u32)> = None;
        for _ in 0..known {
            last = last.checked_add(self.number()?).filter(|&us| us != NO_DURATION)?;
            sums.add(last);
            extremes.merge(Extremes { min: last, max: last });
            let bucket = bucket_of_duration(last);
            run = match run {
                Some((same, n)) if same == bucket => Some((same, n + 1)),
                done => {
                    done.into_iter().for_each(|(b, n)| histograms.push(b, n));
                    Some((bucket, 1))
                }
            };
        }
        run.into_iter().for_each(|(bucket, n)| histograms.push(bucket, n));
        Some((sums, extremes))
    }

    fn durations(&mut self, known: u64, histograms: &mut HistogramList) -> Option<Stats> {
        let min = self.number()?;
        let max = min.checked_add(self.number()?).filter(|&us| us != NO_DURATION)?;
        let sum = self.long_number()?;
        let bounds = u128::from(known) * u128::from(min)..=u128::from(known) * u128::from(max);
        let squares = bounds.contains(&sum).then(|| self.long_number())??;
        let (lowest, highest) = (bucket_of_duration(min), bucket_of_duration(max));
        let mut counted = 0;
        let mut bucket = 0_i32;
        while counted < known {
            let entry = self.number()?;
            let next = bucket.checked_add(i32::try_from(entry >> 1).ok()?)?;
            let first = counted == 0;
            let fits = if first { next == lowest } else { next > bucket && next <= highest };
            (fits && code_of_bucket(next).is_some()).then_some(())?;
            bucket = next;
            let count = if entry & 1 != 0 { self.number()?.checked_add(2)? } else { 1 };
            counted = counted.checked_add(count).filter(|&n| n <= known)?;
            histograms.push(bucket, count as u32);
        }
        let sums = DurationSums { known, sum, squares };
        (bucket == highest).then_some((sums, Extremes { min, max }))
    }
}

/// What is known of the durations of a group beside their histogram.
type Stats = (DurationSums, Extremes);

fn words_are_all_used(partial: &Partial) -> bool {
    partial.dimensions.iter().all(|words| match words {
        GroupWords::Words(words) => {
            let mut used = vec![false; words.table.len() + 1];
            words.codes.iter().for_each(|&code| used[code as usize] = true);
            used[1..].iter().all(|&used| used)
        }
        GroupWords::Status(_) | GroupWords::Actor(_) => true,
    })
}
