//! A column of words: a code per row and the table that the codes point into.

use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

/// The code of "no word". Word `n` of a table has code `n + 1`.
pub const ABSENT: u32 = 0;

/// The distinct words of a column in order of first appearance, in one buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WordTable {
    text: String,
    ends: Vec<u32>,
}

impl WordTable {
    /// Makes a table of `text` cut at `ends` (ascending, on character borders, the last one at
    /// the end of `text`); `None` if they do not fit.
    pub fn from_parts(text: String, ends: Vec<u32>) -> Option<Self> {
        let mut start = 0;
        for &end in &ends {
            if end < start || !text.is_char_boundary(end as usize) {
                return None;
            }
            start = end;
        }
        (start as usize == text.len()).then_some(Self { text, ends })
    }

    /// How many words there are; codes go from 1 to this.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no word.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The word with `code`; `None` for [`ABSENT`] and for codes beyond the table.
    pub fn get(&self, code: u32) -> Option<&str> {
        let n = (code as usize).checked_sub(1)?;
        let end = *self.ends.get(n)? as usize;
        let start = if n == 0 { 0 } else { self.ends[n - 1] as usize };
        Some(&self.text[start..end])
    }

    /// The words in code order, from code 1.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (1..=self.len() as u32).filter_map(|code| self.get(code))
    }

    /// All words joined.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where each word ends in [`text`](Self::text).
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// Appends a word without looking whether it is there, and gives its code.
    pub fn append(&mut self, word: &str) -> u32 {
        self.text.push_str(word);
        self.ends.push(self.text.len() as u32);
        self.ends.len() as u32
    }

    /// Heap bytes held.
    pub fn heap_bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * 4
    }
}

/// A [`WordTable`] under construction: finds the code of a word, or gives it one.
///
/// The hash is seeded per process, so nobody outside can aim words at one bucket.
#[derive(Clone, Debug, Default)]
pub struct WordInterner {
    table: WordTable,
    lookup: HashTable<(u32, u32)>,
    hasher: DefaultHashBuilder,
    last: u32,
}

impl WordInterner {
    /// The code of `word`, which is added if it is new. Runs of one word cost a comparison each.
    pub fn code(&mut self, word: &str) -> u32 {
        if self.table.get(self.last) == Some(word) {
            return self.last;
        }
        let hash = self.hasher.hash_one(word);
        let tag = (hash >> 32) as u32;
        let found =
            self.lookup.find(hash, |&(t, code)| t == tag && self.table.get(code) == Some(word));
        self.last = match found {
            Some(&(_, code)) => code,
            None => {
                let code = self.table.append(word);
                let Self { table, lookup, hasher, .. } = self;
                lookup.insert_unique(hash, (tag, code), |&(_, code)| {
                    hasher.hash_one(table.get(code).unwrap_or_default())
                });
                code
            }
        };
        self.last
    }

    /// The code of `word` if it is there.
    pub fn find(&self, word: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(word);
        let tag = (hash >> 32) as u32;
        self.lookup
            .find(hash, |&(t, code)| t == tag && self.table.get(code) == Some(word))
            .map(|&(_, code)| code)
    }

    /// The words so far.
    pub fn table(&self) -> &WordTable {
        &self.table
    }

    /// Drops the lookup and keeps the words.
    pub fn into_table(self) -> WordTable {
        self.table
    }
}

/// A column of words. A column that no row of the batch uses has no codes at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// One code a row, or none if every row is [`ABSENT`].
    pub codes: Vec<u32>,
    /// The distinct words.
    pub table: WordTable,
}

impl Words {
    /// The word of row `row`, or `None` where it is absent.
    pub fn get(&self, row: usize) -> Option<&str> {
        self.table.get(self.codes.get(row).copied().unwrap_or(ABSENT))
    }

    /// Heap bytes held.
    pub fn heap_bytes(&self) -> usize {
        self.table.heap_bytes() + self.codes.capacity() * 4
    }
}
