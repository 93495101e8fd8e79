//! A sealed block that can be read: pinned by whoever holds it.
//!
//! *Invariant*: a block's parts are deleted only after its last holder is gone. A manifest change
//! retires a block; dropping the last reference puts it into the graveyard, and the next upkeep
//! transaction deletes its parts. So a question reads the blocks it began with, however long it
//! takes, with read transactions that live for one column only.

use super::cache::{BlockCache, Cached};
use super::keyspace::DbSlot;
use super::layout::{PARTS, with_part};
use crate::aggregate::{ColumnSet, Part, Partial};
use crate::ask::{Predicate, WordTest};
use crate::batch::RowBatch;
use crate::block::{BlockEntry, BlockId, ColumnId, ColumnSource, read_columns};
use crate::codec::{frame, words};
use crate::error::{Corrupt, StoreError};
use crate::row::{Dimension, TimeMs, Word};
use crate::stored::key::Salt;
use crate::words::WordTable;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Blocks whose parts may be deleted.
pub(super) type Graveyard = Mutex<Vec<BlockId>>;

/// What the blocks of a keyspace share.
#[derive(Debug)]
pub(super) struct BlockHome {
    /// The keyspace's number in this process, for the cache.
    pub(super) number: u64,
    pub(super) salt: Salt,
    pub(super) db: Arc<DbSlot>,
    pub(super) cache: Arc<BlockCache>,
    pub(super) graveyard: Graveyard,
}

/// A sealed block.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) entry: BlockEntry,
    home: Arc<BlockHome>,
    retired: AtomicBool,
    /// Merging it with its likes did not make fewer blocks of them.
    full: AtomicBool,
}

impl Block {
    pub(super) fn new(entry: BlockEntry, home: Arc<BlockHome>) -> Self {
        Self { entry, home, retired: AtomicBool::new(false), full: AtomicBool::new(false) }
    }

    /// Whether it is as large as blocks get, `rows_full` being the rows of one without long texts.
    pub(super) fn is_full(&self, rows_full: usize) -> bool {
        self.entry.rows >= rows_full / 2 || self.full.load(Ordering::Relaxed)
    }

    /// Long texts make it full with few rows.
    pub(super) fn set_full(&self) {
        self.full.store(true, Ordering::Relaxed);
    }

    /// No manifest names it any more: its parts go when its last holder does.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
    }

    /// The wanted columns.
    pub(super) fn read(&self, want: &ColumnSet) -> Result<RowBatch, StoreError> {
        read_columns(self, &self.entry, want)
    }

    /// The stored filter over the ids' hashes.
    pub(super) fn filter(&self) -> Result<Option<Arc<[u8]>>, StoreError> {
        let found = self.cached(ColumnId::FILTER, |bytes| Ok(Cached::Filter(bytes.into())))?;
        Ok(found.and_then(|cached| match cached {
            Cached::Filter(bytes) => Some(bytes),
            _ => None,
        }))
    }

    fn cached(
        &self,
        column: ColumnId,
        decode: impl FnOnce(&[u8]) -> Result<Cached, Corrupt>,
    ) -> Result<Option<Cached>, StoreError> {
        let key = (self.home.number, self.entry.id, column);
        if let Some(found) = self.home.cache.get(&key) {
            return Ok(Some(found));
        }
        let value = self.with(column, decode)?;
        if let Some(value) = &value {
            self.home.cache.insert(key, value.clone());
        }
        Ok(value)
    }

    /// Whether a word that passes `test` is in the block's table of `word`.
    fn has_word(&self, word: Word, wanted: &[Box<str>]) -> bool {
        if wanted.iter().any(|w| w.is_empty()) {
            return true; // absent words are not in the table
        }
        match self.table(ColumnId::word_table(word)) {
            Ok(Some(table)) => has_one_of(&table, wanted),
            Ok(None) => false,
            Err(_) => true, // let the read itself report the damage
        }
    }
}

fn has_one_of(table: &WordTable, wanted: &[Box<str>]) -> bool {
    /// Lists longer than this are looked up by hash.
    const COMPARED_MAX: usize = 8;
    if wanted.len() <= COMPARED_MAX {
        return table.iter().any(|word| wanted.iter().any(|w| **w == *word));
    }
    let wanted: hashbrown::HashSet<&str> = wanted.iter().map(|w| &**w).collect();
    table.iter().any(|word| wanted.contains(word))
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.retired.load(Ordering::SeqCst)
            && let Ok(mut graveyard) = self.home.graveyard.lock()
        {
            graveyard.push(self.entry.id);
        }
    }
}

impl ColumnSource for Block {
    fn with<R>(
        &self,
        column: ColumnId,
        decode: impl FnOnce(&[u8]) -> Result<R, Corrupt>,
    ) -> Result<Option<R>, StoreError> {
        let Some(len) = self.entry.length(column) else {
            return Ok(None);
        };
        let id = self.entry.id;
        self.home.db.read(|transaction| {
            let parts = transaction
                .open_table(PARTS)
                .map_err(|e| super::db::from_redb(super::db::READING, e.into()))?;
            with_part(&parts, id, column, len, |value| {
                let key = self.home.salt.part(id, column);
                let payload = frame::open(&key, crate::block::read::KIND, value)?;
                Ok(Some(decode(payload)?))
            })
        })
    }

    fn table(&self, column: ColumnId) -> Result<Option<Arc<WordTable>>, StoreError> {
        let decode = |bytes: &[u8]| Ok(Cached::Words(Arc::new(words::decode_table(bytes)?)));
        Ok(self.cached(column, decode)?.and_then(|cached| match cached {
            Cached::Words(table) => Some(table),
            _ => None,
        }))
    }
}

impl Part for Block {
    fn rows(&self) -> usize {
        self.entry.rows
    }

    fn time_range(&self) -> (TimeMs, TimeMs) {
        (self.entry.ts_min, self.entry.ts_max)
    }

    fn grain_ms(&self) -> i64 {
        self.entry.grain_ms
    }

    fn is_sorted(&self) -> bool {
        true
    }

    fn columns(&self, want: &ColumnSet) -> Result<Arc<RowBatch>, StoreError> {
        self.read(want).map(Arc::new)
    }

    fn partial(&self, view: usize) -> Result<Option<Arc<Partial>>, StoreError> {
        if self.entry.partial_groups(view).is_none() {
            return Ok(None);
        }
        let decode = |bytes: &[u8]| Ok(Cached::Partial(Arc::new(Partial::decode(bytes)?)));
        Ok(self.cached(ColumnId::partial(view), decode)?.and_then(|cached| match cached {
            Cached::Partial(partial) => Some(partial),
            _ => None,
        }))
    }

    fn partial_groups(&self, view: usize) -> Option<usize> {
        self.entry.partial_groups(view)
    }

    fn may_match(&self, predicate: &Predicate) -> bool {
        match predicate {
            Predicate::Word(Dimension::Word(word), WordTest::In(wanted)) => {
                self.has_word(*word, wanted)
            }
            Predicate::Word(Dimension::Label(key), WordTest::In(_) | WordTest::Prefix(_)) => {
                self.entry.labels.iter().any(|k| **k == **key)
            }
            Predicate::Any(predicates) => predicates.iter().any(|p| self.may_match(p)),
            _ => true,
        }
    }
}
