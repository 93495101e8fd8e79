//! The names of what is stored for a block.

use crate::row::Word;

/// One stored value of a block: a column, a table of words, a partial or the filter. The numbers
/// are stored: they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ColumnId(pub u32);

impl ColumnId {
    /// The ids.
    pub const IDS: Self = Self(0);
    /// Starts of the runs.
    pub const TS: Self = Self(1);
    /// Whether `ts` was given.
    pub const TS_GIVEN: Self = Self(2);
    /// Times of receipt.
    pub const RECEIVED: Self = Self(3);
    /// Places in the feed.
    pub const SEQ: Self = Self(4);
    /// Statuses.
    pub const STATUS: Self = Self(5);
    /// Actors.
    pub const ACTOR: Self = Self(6);
    /// Durations.
    pub const DURATION: Self = Self(7);
    /// Exit codes.
    pub const EXIT_CODE: Self = Self(8);
    /// The filter over the hashes of the ids.
    pub const FILTER: Self = Self(15);

    const WORD_CODES: u32 = 16;
    const WORD_TABLES: u32 = 32;
    const PARTIALS: u32 = 64;
    const LABELS: u32 = 1 << 16;
    const VALUES: u32 = 2 << 16;

    /// Codes of a fixed word column.
    pub const fn word_codes(word: Word) -> Self {
        Self(Self::WORD_CODES + word as u32)
    }

    /// Table of a fixed word column.
    pub const fn word_table(word: Word) -> Self {
        Self(Self::WORD_TABLES + word as u32)
    }

    /// The partial of view `view`, below [`VIEWS_MAX`](crate::VIEWS_MAX).
    pub const fn partial(view: usize) -> Self {
        Self(Self::PARTIALS + view as u32)
    }

    /// Codes of the block's label key `n`.
    pub const fn label_codes(n: usize) -> Self {
        Self(Self::LABELS + 2 * n as u32)
    }

    /// Table of the block's label key `n`.
    pub const fn label_table(n: usize) -> Self {
        Self(Self::LABELS + 2 * n as u32 + 1)
    }

    /// The block's value key `n`.
    pub const fn value(n: usize) -> Self {
        Self(Self::VALUES + n as u32)
    }
}
