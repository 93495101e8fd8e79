//! Counts the different words of many groups at once: a bit for each (group, word) while that is
//! small, else a list of the pairs that is sorted and thinned now and then.

/// Most 64-bit words of bits: 8 MiB for each worker.
const BIT_WORDS_MAX: usize = 1 << 20;

/// Pairs after which repeats are dropped: 8 MiB.
const PAIRS_MIN: usize = 1 << 20;

/// The different codes met in each slot. Code 0 may mean "absent" and is then not counted.
#[derive(Debug)]
pub(super) struct Distinct {
    first_code: u32,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Bits { words_per_slot: usize, bits: Vec<u64> },
    Pairs { pairs: Vec<u64>, thin_at: usize },
}

impl Distinct {
    /// Counts codes from `first_code` on.
    pub(super) fn new(first_code: u32) -> Self {
        Self { first_code, form: Form::Bits { words_per_slot: 0, bits: Vec::new() } }
    }

    /// Adds the code of each row.
    pub(super) fn add(&mut self, slots: &[u32], codes: &[u32], slot_count: usize) {
        let first_code = self.first_code;
        let codes_end = codes.iter().max().map_or(0, |&max| max as usize + 1);
        self.make_room(slot_count, codes_end);
        let rows = slots.iter().zip(codes).filter(|&(_, &code)| code >= first_code);
        match &mut self.form {
            Form::Bits { words_per_slot, bits } => {
                for (&slot, &code) in rows {
                    bits[slot as usize * *words_per_slot + code as usize / 64] |= 1 << (code % 64);
                }
            }
            Form::Pairs { pairs, thin_at } => {
                pairs.extend(rows.map(|(&slot, &code)| pair(slot, code)));
                thin_if_long(pairs, thin_at);
            }
        }
    }

    fn make_room(&mut self, slot_count: usize, codes_end: usize) {
        let Form::Bits { words_per_slot, bits } = &mut self.form else { return };
        let needed = codes_end.div_ceil(64);
        if needed > *words_per_slot {
            let wider = needed.max(*words_per_slot * 2);
            if wider.saturating_mul(slot_count) > BIT_WORDS_MAX {
                self.use_pairs();
                return;
            }
            let mut moved = vec![0; wider * slot_count];
            if *words_per_slot > 0 {
                for (old, new) in bits.chunks(*words_per_slot).zip(moved.chunks_mut(wider)) {
                    new[..old.len()].copy_from_slice(old);
                }
            }
            (*words_per_slot, *bits) = (wider, moved);
        } else if words_per_slot.saturating_mul(slot_count) > BIT_WORDS_MAX {
            self.use_pairs();
        } else if bits.len() < *words_per_slot * slot_count {
            bits.resize(*words_per_slot * slot_count, 0);
        }
    }

    fn use_pairs(&mut self) {
        if let Form::Bits { .. } = self.form {
            let pairs = self.pairs();
            self.form = Form::Pairs { thin_at: PAIRS_MIN.max(pairs.len() * 2), pairs };
        }
    }

    fn pairs(&self) -> Vec<u64> {
        match &self.form {
            Form::Pairs { pairs, .. } => pairs.clone(),
            Form::Bits { words_per_slot, bits } => bits
                .iter()
                .enumerate()
                .flat_map(|(at, &word)| {
                    let slot = (at / words_per_slot) as u32;
                    let first = (at % words_per_slot * 64) as u32;
                    let set = (0..64).filter(move |bit| word >> bit & 1 == 1);
                    set.map(move |bit| pair(slot, first + bit))
                })
                .collect(),
        }
    }

    /// Adds `other`, whose slot `n` is the slot `slots[n]` here.
    pub(super) fn merge(&mut self, other: Self, slots: &[u32], slot_count: usize) {
        let pairs = other.pairs();
        let mapped: Vec<u32> = pairs.iter().map(|&pair| slots[(pair >> 32) as usize]).collect();
        let codes: Vec<u32> = pairs.iter().map(|&pair| pair as u32).collect();
        self.add(&mapped, &codes, slot_count);
    }

    /// Heap bytes held.
    pub(super) fn heap_bytes(&self) -> usize {
        match &self.form {
            Form::Bits { bits, .. } => bits.capacity() * 8,
            Form::Pairs { pairs, .. } => pairs.capacity() * 8,
        }
    }

    /// How many different codes each slot has.
    pub(super) fn counts(self, slot_count: usize) -> Vec<u64> {
        let mut counts = vec![0; slot_count];
        match self.form {
            Form::Bits { words_per_slot, bits } if words_per_slot > 0 => {
                for (slot, bits) in bits.chunks(words_per_slot).enumerate() {
                    counts[slot] = bits.iter().map(|word| u64::from(word.count_ones())).sum();
                }
            }
            Form::Bits { .. } => {}
            Form::Pairs { mut pairs, .. } => {
                thin(&mut pairs);
                pairs.iter().for_each(|&pair| counts[(pair >> 32) as usize] += 1);
            }
        }
        counts
    }
}

fn pair(slot: u32, code: u32) -> u64 {
    u64::from(slot) << 32 | u64::from(code)
}

fn thin(pairs: &mut Vec<u64>) {
    pairs.sort_unstable();
    pairs.dedup();
}

/// Drops repeats once there are twice as many pairs as there were different ones last time.
fn thin_if_long(pairs: &mut Vec<u64>, thin_at: &mut usize) {
    if pairs.len() > *thin_at {
        thin(pairs);
        *thin_at = PAIRS_MIN.max(pairs.len() * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(codes_end: u32, slot_count: usize, as_pairs: bool) {
        let rows: Vec<(u32, u32)> = (0..5000_u32)
            .map(|n| (n % slot_count as u32, n.wrapping_mul(2_654_435_761) % codes_end))
            .collect();
        let mut expected: Vec<_> = rows.iter().filter(|row| row.1 > 0).collect();
        expected.sort_unstable();
        expected.dedup();
        let mut left = Distinct::new(1);
        let mut right = Distinct::new(1);
        if as_pairs {
            left.use_pairs();
        }
        for (n, &(slot, code)) in rows.iter().enumerate() {
            let half = if n % 2 == 0 { &mut left } else { &mut right };
            half.add(&[slot], &[code], slot_count);
        }
        let identity: Vec<u32> = (0..slot_count as u32).collect();
        left.merge(right, &identity, slot_count);
        let counts = left.counts(slot_count);
        assert_eq!(counts.iter().sum::<u64>(), expected.len() as u64);
        for (slot, &count) in counts.iter().enumerate() {
            let mine = expected.iter().filter(|row| row.0 as usize == slot).count();
            assert_eq!(count, mine as u64);
        }
    }

    #[test]
    fn different_words_are_counted_once() {
        check(2, 1, false);
        check(1000, 3, false);
        check(1000, 3, true);
        check(1 << 30, 4, false);
    }
}
