//! The words of a question: one code for a word, whichever part it is met in.

use super::columns::{Codes, fixed_names};
use crate::row::Dimension;
use crate::words::{ABSENT, WordInterner};
use std::sync::{Arc, Mutex, PoisonError};

/// No code known yet.
const UNKNOWN: u32 = u32::MAX;

/// One dimension of a question and the codes of its words, shared by all workers.
#[derive(Debug)]
pub(super) struct Dictionary {
    /// What the words are of.
    pub(super) dimension: Dimension,
    words: Mutex<WordInterner>,
}

impl Dictionary {
    pub(super) fn new(dimension: Dimension) -> Self {
        Self { dimension, words: Mutex::default() }
    }

    /// The first code that is a word: 1 where 0 is "absent".
    pub(super) fn first_code(&self) -> u32 {
        u32::from(fixed_names(&self.dimension).is_none())
    }

    /// Writes the question's code of the word in each of `rows` of a part's column to `out`. Only
    /// words that are met are looked up, each once; `known` is memory to do so.
    pub(super) fn translate(
        &self,
        codes: &Codes<'_>,
        rows: impl Iterator<Item = usize>,
        known: &mut Vec<u32>,
        out: &mut Vec<u32>,
    ) {
        out.clear();
        let Codes::Words(Some(words)) = codes else {
            out.extend(rows.map(|row| codes.at(row)));
            return;
        };
        if words.codes.is_empty() {
            out.extend(rows.map(|_| ABSENT));
            return;
        }
        known.clear();
        known.resize(words.table.len() + 1, UNKNOWN);
        known[ABSENT as usize] = ABSENT;
        let empty_is_absent = matches!(self.dimension, Dimension::Word(_));
        let mut interner = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        out.extend(rows.map(|row| {
            let code = words.codes[row];
            let Some(cell) = known.get_mut(code as usize) else { return ABSENT };
            if *cell == UNKNOWN {
                let word = words.table.get(code).unwrap_or_default();
                *cell =
                    if word.is_empty() && empty_is_absent { ABSENT } else { interner.code(word) };
            }
            *cell
        }));
    }

    /// About how many bytes its words take.
    pub(super) fn heap_bytes(&self) -> usize {
        let interner = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        // The lookup has about as much for each word again.
        interner.table().heap_bytes() + interner.table().len() * 12
    }

    /// The words by code, `None` for an absent one.
    pub(super) fn into_words(self) -> Vec<Option<Arc<str>>> {
        if let Some(names) = fixed_names(&self.dimension) {
            return names.iter().map(|&name| Some(name.into())).collect();
        }
        let interner = self.words.into_inner().unwrap_or_else(PoisonError::into_inner);
        std::iter::once(None).chain(interner.table().iter().map(|word| Some(word.into()))).collect()
    }
}
