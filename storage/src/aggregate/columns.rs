//! Columns as the kernel reads them: by name, wherever they were fetched to.

use super::ColumnSet;
use crate::batch::{Ids, RowBatch};
use crate::row::{Actor, Dimension, Status, TimeMs};
use crate::words::{ABSENT, Words};

/// The column of a dimension.
#[derive(Clone, Copy, Debug)]
pub(super) enum Codes<'a> {
    /// Codes of a local word table; `None` if no row has a word.
    Words(Option<&'a Words>),
    /// The stored byte of a status or an actor, empty if it is 0 in every row.
    Few {
        /// One byte a row.
        stored: &'a [u8],
        /// The words, by byte.
        names: &'static [&'static str],
    },
}

impl Codes<'_> {
    /// The code in row `row`.
    pub(super) fn at(&self, row: usize) -> u32 {
        match self {
            Self::Words(words) => {
                words.and_then(|words| words.codes.get(row)).copied().unwrap_or(ABSENT)
            }
            Self::Few { stored, names } => {
                few_code(stored.get(row).copied().unwrap_or(0), names.len())
            }
        }
    }
}

/// The code of a stored status or actor; a byte that stands for nothing is read as 0.
pub(super) fn few_code(byte: u8, names: usize) -> u32 {
    if usize::from(byte) < names { u32::from(byte) } else { 0 }
}

/// The words of [`Status`], by stored byte.
pub(super) const STATUS_NAMES: [&str; Status::ALL.len()] = {
    let mut names = [""; Status::ALL.len()];
    let mut n = 0;
    while n < names.len() {
        names[n] = Status::ALL[n].as_str();
        n += 1;
    }
    names
};

/// The words of [`Actor`], by stored byte.
pub(super) const ACTOR_NAMES: [&str; Actor::ALL.len()] = {
    let mut names = [""; Actor::ALL.len()];
    let mut n = 0;
    while n < names.len() {
        names[n] = Actor::ALL[n].as_str();
        n += 1;
    }
    names
};

/// The names of a dimension whose words are fixed; `None` if it has a word table.
pub(super) fn fixed_names(dimension: &Dimension) -> Option<&'static [&'static str]> {
    match dimension {
        Dimension::Status => Some(&STATUS_NAMES),
        Dimension::Actor => Some(&ACTOR_NAMES),
        Dimension::Word(_) | Dimension::Label(_) => None,
    }
}

/// One or two batches of the same rows that hold different columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns<'a> {
    first: &'a RowBatch,
    /// The batch with what was not in `first`, and what was.
    rest: Option<(&'a RowBatch, &'a ColumnSet)>,
}

impl<'a> Columns<'a> {
    /// All columns in one batch.
    pub(super) fn whole(batch: &'a RowBatch) -> Self {
        Self { first: batch, rest: None }
    }

    /// The columns `in_first` in `first`, all others in `rest`.
    pub(super) fn split(first: &'a RowBatch, in_first: &'a ColumnSet, rest: &'a RowBatch) -> Self {
        Self { first, rest: Some((rest, in_first)) }
    }

    fn batch(&self, in_first: impl Fn(&ColumnSet) -> bool) -> &'a RowBatch {
        match self.rest {
            Some((rest, set)) if !in_first(set) => rest,
            _ => self.first,
        }
    }

    pub(super) fn ts(&self) -> &'a [TimeMs] {
        &self.batch(|set| set.ts).ts
    }

    pub(super) fn ids(&self) -> &'a Ids {
        &self.batch(|set| set.ids).ids
    }

    pub(super) fn status(&self) -> &'a [u8] {
        &self.batch(|set| set.status).status
    }

    pub(super) fn duration(&self) -> &'a [u64] {
        &self.batch(|set| set.duration).duration
    }

    pub(super) fn exit_code(&self) -> &'a [i64] {
        &self.batch(|set| set.exit_code).exit_code
    }

    /// Empty if no row has the value.
    pub(super) fn value(&self, key: &str) -> &'a [f64] {
        self.batch(|set| set.values.contains(key)).value(key).unwrap_or_default()
    }

    pub(super) fn dimension(&self, dimension: &Dimension) -> Codes<'a> {
        match dimension {
            Dimension::Word(word) => {
                let n = *word as usize;
                Codes::Words(Some(&self.batch(|set| set.words[n]).words[n]))
            }
            Dimension::Label(key) => {
                Codes::Words(self.batch(|set| set.labels.contains(key)).label(key))
            }
            Dimension::Status => Codes::Few { stored: self.status(), names: &STATUS_NAMES },
            Dimension::Actor => {
                Codes::Few { stored: &self.batch(|set| set.actor).actor, names: &ACTOR_NAMES }
            }
        }
    }
}
