//! What the small tables of a keyspace look like, version by version, and how a file gets from one to
//! the next and back. What the tables mean is the business of whoever opens the engine: it brings the
//! [`Schema`]; the version that a file is at lies in the file.
//!
//! *Invariants*: a file is at one version, for a [`Step`] is one commit: whole or absent. An [`Index`]
//! is kept by the transactions that write its table, so it never disagrees with it.

use crate::engine::{TableEntry, TableWrite};
use crate::error::StoreError;

/// The version that everything begins with, before any step.
pub const FIRST_VERSION: u32 = 1;

/// Entries that a step reads and writes at a time: bounds its memory, wherever values are not larger
/// than a row.
pub const STEP_ENTRIES_MAX: usize = 1024;

/// Every version there is.
#[derive(Debug)]
pub struct Schema {
    /// From one version to the next, ascending: each begins where the one before ends, the first at
    /// [`FIRST_VERSION`].
    pub steps: &'static [Step],
    /// What is found in another order than that of its keys.
    pub indexes: &'static [Index],
}

/// From a version to the next one, and back.
#[derive(Debug)]
pub struct Step {
    /// The version before it.
    pub from: u32,
    /// The version after it, one more.
    pub to: u32,
    /// What it is for, in one line.
    pub summary: &'static str,
    /// Makes of the tables at `from` those at `to`.
    pub up: Change,
    /// Makes of the tables at `to` those at `from`, what was written since included.
    pub down: Change,
}

/// Changes small tables. What it does is one commit with the new version; it is tried anew from the
/// beginning if it does not get to its end.
pub type Change = fn(&mut dyn StepTables) -> Result<(), StoreError>;

/// The small tables while a step changes them: nobody else writes.
pub trait StepTables {
    /// Up to `limit` entries of `table` whose key lies after `after`, ascending.
    fn list(
        &self,
        table: &str,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<TableEntry>, StoreError>;

    /// Writes, for later calls of [`list`](Self::list) to see. Up to [`STEP_ENTRIES_MAX`] at a time.
    fn write(&mut self, writes: &[TableWrite]) -> Result<(), StoreError>;
}

/// Finds the entries of a table in another order than that of their keys.
#[derive(Debug)]
pub struct Index {
    /// The first version that has it.
    pub since: u32,
    /// The table whose entries it finds.
    pub table: &'static str,
    /// The table that it lies in: `order` as 8 bytes big endian and the entry's key, without a value.
    pub name: &'static str,
    /// What an entry with this value is ordered by; entries with the same, by their keys. Total: a
    /// value that cannot be read has a place too.
    pub order: fn(&[u8]) -> u64,
}

/// Bytes of an index's key before the entry's.
const ORDER_BYTES: usize = 8;

/// How a file gets to another version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Move {
    pub(crate) change: Change,
    /// The version it gets to.
    pub(crate) to: u32,
    /// Whether that is an older one.
    pub(crate) is_back: bool,
}

impl Schema {
    /// Of a keyspace whose small tables never changed.
    pub const NONE: Self = Self { steps: &[], indexes: &[] };

    /// The newest version, which new keyspaces begin with.
    pub fn newest(&self) -> u32 {
        self.steps.last().map_or(FIRST_VERSION, |step| step.to)
    }

    /// What leads from the version `at` towards `to`; none where that is not known.
    pub(crate) fn next(&self, at: u32, to: u32) -> Option<Move> {
        if at < to {
            let step = self.steps.iter().find(|step| step.from == at)?;
            Some(Move { change: step.up, to: step.to, is_back: false })
        } else {
            let step = self.steps.iter().find(|step| step.to == at)?;
            Some(Move { change: step.down, to: step.from, is_back: true })
        }
    }

    /// The indexes that a file at `version` has.
    pub(crate) fn indexes_at(&self, version: u32) -> impl Iterator<Item = &'static Index> {
        self.indexes.iter().filter(move |index| index.since <= version)
    }
}

/// Whether both have the same versions and indexes.
impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        let steps = |schema: &Self| schema.steps.iter().map(|s| (s.from, s.to, s.summary));
        let indexes = |schema: &Self| schema.indexes.iter().map(|i| (i.since, i.table, i.name));
        steps(self).eq(steps(other)) && indexes(self).eq(indexes(other))
    }
}

impl Eq for Schema {}

impl Index {
    /// The key in the index of the entry with this key and value.
    pub fn key_of(&self, key: &[u8], value: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(ORDER_BYTES + key.len());
        out.extend_from_slice(&(self.order)(value).to_be_bytes());
        out.extend_from_slice(key);
        out
    }

    /// The key of the entry that a key in the index finds.
    pub fn entry_key<'k>(&self, key: &'k [u8]) -> Option<&'k [u8]> {
        key.get(ORDER_BYTES..)
    }

    /// Makes the index of the entries there are, whatever was there under its name.
    pub fn build(&self, tables: &mut dyn StepTables) -> Result<(), StoreError> {
        self.clear(tables)?;
        let mut after: Option<Vec<u8>> = None;
        loop {
            let entries = tables.list(self.table, after.as_deref(), STEP_ENTRIES_MAX)?;
            let writes = entries.iter().map(|(key, value)| TableWrite {
                table: self.name.to_owned(),
                key: self.key_of(key, value),
                value: Some(Vec::new()),
            });
            tables.write(&writes.collect::<Vec<_>>())?;
            let Some((last, _)) = entries.into_iter().next_back() else { return Ok(()) };
            after = Some(last);
        }
    }

    /// Throws the index away.
    pub fn clear(&self, tables: &mut dyn StepTables) -> Result<(), StoreError> {
        loop {
            let entries = tables.list(self.name, None, STEP_ENTRIES_MAX)?;
            if entries.is_empty() {
                return Ok(());
            }
            let writes = entries.into_iter().map(|(key, _)| TableWrite {
                table: self.name.to_owned(),
                key,
                value: None,
            });
            tables.write(&writes.collect::<Vec<_>>())?;
        }
    }
}

/// Where the small tables of a keyspace are between versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemaState {
    /// The version that the file is at.
    pub version: u32,
    /// The newest version that this program knows.
    pub newest: u32,
    /// What is under way.
    pub moving: Option<Moving>,
}

/// A step that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moving {
    /// The version that it leads to.
    pub to: u32,
    /// Entries written so far.
    pub entries: u64,
}

/// What a migration did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The version before.
    pub from: u32,
    /// The version now.
    pub to: u32,
    /// Entries written.
    pub entries: u64,
}

/// An entry that an [`Index`] found, with its key there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indexed {
    /// The key in the index: what a page of a list begins after.
    pub place: Vec<u8>,
    /// The entry's key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: &mut dyn StepTables) -> Result<(), StoreError> {
        Ok(())
    }

    static SCHEMA: Schema = Schema {
        steps: &[
            Step { from: 1, to: 2, summary: "two", up: nothing, down: nothing },
            Step { from: 2, to: 3, summary: "three", up: nothing, down: nothing },
        ],
        indexes: &[Index { since: 3, table: "t", name: "t_n", order: |v| v.len() as u64 }],
    };

    #[test]
    fn one_step_after_the_other_leads_anywhere() {
        let to = |at, to| SCHEMA.next(at, to).map(|next| next.to);
        assert_eq!((to(1, 3), to(2, 3), to(3, 1), to(2, 1)), (Some(2), Some(3), Some(2), Some(1)));
        assert_eq!((to(3, 4), to(1, 0), to(7, 1)), (None, None, None));
        assert_eq!((SCHEMA.newest(), Schema::NONE.newest()), (3, FIRST_VERSION));
        assert_eq!((SCHEMA.indexes_at(2).count(), SCHEMA.indexes_at(3).count()), (0, 1));
        assert!(SCHEMA != Schema::NONE && Schema::NONE == Schema::NONE);
    }

    #[test]
    fn a_key_of_an_index_begins_with_the_order() {
        let index = &SCHEMA.indexes[0];
        let key = index.key_of(b"key", b"four");
        assert_eq!(key, b"\0\0\0\0\0\0\0\x04key");
        assert_eq!(index.entry_key(&key), Some(&b"key"[..]));
        assert_eq!(index.entry_key(b"short"), None);
    }
}
