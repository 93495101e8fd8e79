//! Numbers rows by the combination of their time bucket and their words.
//!
//! First within a part, by its own codes and without a hash where the combinations are few; then
//! each *different* combination is looked up once in the table of all groups of the question.

use super::columns::{Codes, few_code};
use super::select::Rows;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use std::hash::BuildHasher;

/// No number given yet.
const NONE: u32 = u32::MAX;

/// Combinations that a table without hashing may have at least, however few the rows: 256 KiB.
const DIRECT_CELLS_MIN: usize = 1 << 16;

/// Combinations that such a table may have for each row. Clearing a cell costs a sixteenth of a
/// look-up by hash.
const DIRECT_CELLS_PER_ROW: usize = 8;

/// A number per row, below `cardinality`.
#[derive(Debug, Default)]
pub(super) struct Numbering {
    /// By place among the rows.
    pub(super) numbers: Vec<u32>,
    cardinality: usize,
}

impl Numbering {
    /// Number 0 for every one of `rows` rows; reuses its memory.
    pub(super) fn begin(&mut self, rows: usize) {
        self.numbers.clear();
        self.numbers.resize(rows, 0);
        self.cardinality = 1;
    }

    /// Takes the numbers that `fill` writes; it gives what all are below.
    pub(super) fn begin_with(&mut self, fill: impl FnOnce(&mut Vec<u32>) -> usize) {
        self.numbers.clear();
        let cardinality = fill(&mut self.numbers);
        self.cardinality = cardinality.max(1);
    }

    fn direct_cells_max(&self) -> usize {
        (self.numbers.len() * DIRECT_CELLS_PER_ROW).max(DIRECT_CELLS_MIN)
    }

    /// Tells rows apart by their code in a column, too.
    pub(super) fn refine(&mut self, codes: &Codes<'_>, rows: &Rows) {
        match codes {
            Codes::Words(Some(words)) if !words.codes.is_empty() => {
                self.combine(rows, &words.codes, words.table.len() + 1, |code| code);
            }
            Codes::Few { stored, names } if !stored.is_empty() => {
                let names = names.len();
                self.combine(rows, stored, names, |byte| few_code(byte, names));
            }
            // Every row has code 0.
            Codes::Words(_) | Codes::Few { .. } => {}
        }
    }

    fn combine<T: Copy>(
        &mut self,
        rows: &Rows,
        column: &[T],
        cardinality: usize,
        code: impl Fn(T) -> u32,
    ) {
        let product = self.cardinality.saturating_mul(cardinality);
        if product <= self.direct_cells_max() {
            let factor = cardinality as u32;
            self.each(rows, column, |number, entry| *number = *number * factor + code(entry));
            self.cardinality = product;
        } else {
            let mut found: HashMap<u64, u32> = HashMap::new();
            self.each(rows, column, |number, entry| {
                let pair = u64::from(*number) << 32 | u64::from(code(entry));
                let next = found.len() as u32;
                *number = *found.entry(pair).or_insert(next);
            });
            self.cardinality = found.len();
        }
    }

    fn each<T: Copy>(&mut self, rows: &Rows, column: &[T], mut f: impl FnMut(&mut u32, T)) {
        match rows {
            Rows::Range(range) => {
                for (number, &entry) in self.numbers.iter_mut().zip(&column[range.clone()]) {
                    f(number, entry);
                }
            }
            Rows::Picked(picked) => {
                for (number, &row) in self.numbers.iter_mut().zip(picked) {
                    f(number, column[row as usize]);
                }
            }
        }
    }

    /// Renumbers the combinations that occur from 0 on, in order of appearance. Gives the place
    /// among the rows of each one's first row.
    pub(super) fn close_up(&mut self, table: &mut Vec<u32>) -> Vec<u32> {
        let mut firsts = Vec::new();
        if self.cardinality == 1 {
            firsts.extend((!self.numbers.is_empty()).then_some(0));
            return firsts;
        }
        table.clear();
        table.resize(self.cardinality, NONE);
        for (place, number) in self.numbers.iter_mut().enumerate() {
            let cell = &mut table[*number as usize];
            if *cell == NONE {
                *cell = firsts.len() as u32;
                firsts.push(place as u32);
            }
            *number = *cell;
        }
        firsts
    }

    /// Replaces every number by its entry in `to`.
    pub(super) fn map(&mut self, to: &[u32]) {
        for number in &mut self.numbers {
            *number = to[*number as usize];
        }
    }
}

/// Bits of a key, all its numbers together, up to which its slot is found in a plain table rather
/// than by hash: the table then has at most 4 MiB.
const DIRECT_BITS_MAX: u32 = 20;

/// All groups of a question that one worker met: keys of equal length by slot, slots from 0.
#[derive(Debug)]
pub(super) struct GroupTable {
    width: usize,
    keys: Vec<u32>,
    slots: usize,
    lookup: Lookup,
}

/// From a key to its slot.
#[derive(Debug)]
enum Lookup {
    /// A table indexed by the numbers of the key, each in so many bits.
    Direct { bits: Vec<u32>, cells: Vec<u32> },
    /// Tag of the hash, and slot.
    Hashed { table: HashTable<(u32, u32)>, hasher: DefaultHashBuilder },
}

impl GroupTable {
    /// A table of keys of `width` numbers.
    pub(super) fn new(width: usize) -> Self {
        let lookup = Lookup::Direct { bits: vec![0; width], cells: vec![NONE] };
        Self { width, keys: Vec::new(), slots: 0, lookup }
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.slots
    }

    /// The key of a slot.
    pub(super) fn key(&self, slot: usize) -> &[u32] {
        &self.keys[slot * self.width..][..self.width]
    }

    /// The slot of `key`, which is added if it is new.
    pub(super) fn slot(&mut self, key: &[u32]) -> u32 {
        debug_assert_eq!(key.len(), self.width);
        let slot = self.slots as u32;
        let found = match &mut self.lookup {
            Lookup::Direct { bits, cells } => match direct_index(bits, key) {
                Some(index) => {
                    let cell = &mut cells[index];
                    if *cell == NONE {
                        *cell = slot;
                    }
                    *cell
                }
                None => {
                    self.widen(key);
                    return self.slot(key);
                }
            },
            Lookup::Hashed { table, hasher } => {
                let (keys, width) = (&self.keys, self.width);
                let at = |slot: u32| &keys[slot as usize * width..][..width];
                let hash = hasher.hash_one(key);
                let tag = (hash >> 32) as u32;
                let is_it = |&(t, slot): &(u32, u32)| t == tag && at(slot).iter().eq(key);
                match table.find(hash, is_it) {
                    Some(&(_, slot)) => slot,
                    None => {
                        let rehash = |&(_, slot): &(u32, u32)| hasher.hash_one(at(slot));
                        table.insert_unique(hash, (tag, slot), rehash);
                        slot
                    }
                }
            }
        };
        if found == slot {
            self.keys.extend_from_slice(key);
            self.slots += 1;
        }
        found
    }

    /// Makes the plain table wide enough for `key`, or goes over to hashing.
    fn widen(&mut self, key: &[u32]) {
        let Lookup::Direct { bits, .. } = &mut self.lookup else { return };
        for (bits, &number) in bits.iter_mut().zip(key) {
            *bits = (*bits).max(u32::BITS - number.leading_zeros());
        }
        let all: u32 = bits.iter().sum();
        if all > DIRECT_BITS_MAX {
            let hasher = DefaultHashBuilder::default();
            let mut table = HashTable::with_capacity(self.slots * 2);
            for (slot, key) in (0..).zip(self.keys.chunks(self.width)) {
                let hash = hasher.hash_one(key);
                let rehash = |&(_, slot): &(u32, u32)| {
                    hasher.hash_one(&self.keys[slot as usize * self.width..][..self.width])
                };
                table.insert_unique(hash, ((hash >> 32) as u32, slot), rehash);
            }
            self.lookup = Lookup::Hashed { table, hasher };
            return;
        }
        let mut cells = vec![NONE; 1 << all];
        for (slot, key) in (0..).zip(self.keys.chunks(self.width)) {
            if let Some(index) = direct_index(bits, key) {
                cells[index] = slot;
            }
        }
        let bits = std::mem::take(bits);
        self.lookup = Lookup::Direct { bits, cells };
    }

    /// Heap bytes held.
    pub(super) fn heap_bytes(&self) -> usize {
        let lookup = match &self.lookup {
            Lookup::Direct { cells, .. } => cells.capacity() * 4,
            Lookup::Hashed { table, .. } => table.capacity() * 9,
        };
        self.keys.capacity() * 4 + lookup
    }
}

/// The numbers of `key` side by side; `None` if one needs more bits than it has.
fn direct_index(bits: &[u32], key: &[u32]) -> Option<usize> {
    let mut index = 0_usize;
    let mut beyond = 0;
    for (&bits, &number) in bits.iter().zip(key) {
        index = index << bits | number as usize;
        beyond |= u64::from(number) >> bits;
    }
    (beyond == 0).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every key has one slot, however wide the keys are.
    fn check(keys: &[[u32; 3]]) {
        let mut table = GroupTable::new(3);
        let mut expected: Vec<[u32; 3]> = Vec::new();
        for key in keys.iter().chain(keys) {
            let slot = expected.iter().position(|k| k == key).unwrap_or_else(|| {
                expected.push(*key);
                expected.len() - 1
            });
            assert_eq!(table.slot(key), slot as u32);
            assert_eq!(table.key(slot), key);
        }
        assert_eq!(table.len(), expected.len());
    }

    #[test]
    fn every_key_has_its_own_slot() {
        check(&[[0, 0, 0]]);
        check(&[[0, 0, 1], [0, 1, 0], [1, 0, 0], [7, 8, 9], [0, 0, 2]]);
        check(&[[1, 2, 3], [1 << 20, 0, 5], [u32::MAX, u32::MAX, u32::MAX], [0, 0, 0]]);
        let many: Vec<_> = (0..300).map(|n| [n % 7, n * 37, n % 13 * 1000]).collect();
        check(&many);
    }
}
