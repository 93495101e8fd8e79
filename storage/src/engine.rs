//! The engine's public words. Whoever stands above `storage` sees these traits and plain data,
//! never the library underneath.

use crate::ask::{AggregateRequest, Aggregated, AskError, Budget, Predicate, Selection};
use crate::batch::RowBatch;
use crate::error::StoreError;
use crate::row::{RowId, Seq, TimeMs};
use crate::schema::{Index, Indexed, Moved, SchemaState};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Opens and makes keyspaces under one data directory.
pub trait Engine: Send + Sync + fmt::Debug {
    /// Makes a keyspace. All or nothing, on stable storage when it returns.
    ///
    /// `name` is the keyspace's never-reused id (`[a-z0-9_-]{1,64}`) and is kept inside the file.
    fn create(&self, name: &str, settings: &KeyspaceSettings) -> Result<(), StoreError>;

    /// Makes the keyspace `name` of a copy of the file `from`, which is a snapshot of any keyspace that was
    /// made with the same settings. All or nothing, on stable storage when it returns. Does not
    /// verify what is in it: [`Keyspace::check`] does.
    fn adopt(&self, name: &str, from: &Path, settings: &KeyspaceSettings)
    -> Result<(), StoreError>;

    /// The keyspace `name`, opened if it is not. Idle ones are closed when too many are open.
    fn open(&self, name: &str) -> Result<Arc<dyn Keyspace>, StoreError>;

    /// The keyspace `name` if it is open already. Never waits for a disk.
    fn opened(&self, name: &str) -> Option<Arc<dyn Keyspace>>;

    /// Has `listener` called whenever the newest seq of a keyspace has moved, with the keyspace's
    /// name, on the thread that moved it: it hands over and returns. One listener at a time.
    fn listen(&self, listener: Listener);

    /// Deletes a keyspace and its files. Deleting what is not there succeeds.
    fn delete(&self, name: &str) -> Result<(), StoreError>;

    /// The names of all keyspaces on disk.
    fn list(&self) -> Result<Vec<String>, StoreError>;

    /// The platform's own tables (tenants, users, …).
    fn platform(&self) -> Result<Arc<dyn Tables>, StoreError>;

    /// Waits until nothing is left to seal or merge in any open keyspace.
    fn settle(&self) -> Result<(), StoreError>;

    /// Fails where the disk is too full for anything to be written.
    fn demand_room(&self) -> Result<(), StoreError>;
}

/// Told which keyspace has news.
#[derive(Clone)]
pub struct Listener(pub Arc<dyn Fn(&str) + Send + Sync>);

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener(…)")
    }
}

/// What is fixed when a keyspace is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyspaceSettings {
    /// Width of the time grain that partial aggregates are kept in: 60, 30 or 15 minutes, so that
    /// hours of the tenant's zone are whole grains.
    pub grain_minutes: u32,
}

impl Default for KeyspaceSettings {
    fn default() -> Self {
        Self { grain_minutes: 60 }
    }
}

/// Small things by key, ordered, in named tables. Beside the rows of a keyspace, and all there is
/// in the platform's.
pub trait Tables: Send + Sync + fmt::Debug {
    /// The value of `key` in `table`.
    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Up to `limit` entries whose key begins with `prefix` and lies after `after`, ascending.
    fn list(
        &self,
        table: &str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<TableEntry>, StoreError>;

    /// Applies every write in one transaction, on stable storage when it returns. Fails with
    /// nothing written if one of `expect` does not hold: that is how a name is taken only once.
    fn write(&self, expect: &[Expect], writes: &[TableWrite]) -> Result<bool, StoreError>;
}

/// A key and its value.
pub type TableEntry = (Vec<u8>, Vec<u8>);

/// A condition on a table's entry at the time of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    /// The table.
    pub table: String,
    /// The key.
    pub key: Vec<u8>,
    /// What the value must be; `None`: there must be none.
    pub value: Option<Vec<u8>>,
}

/// Sets or deletes an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableWrite {
    /// The table.
    pub table: String,
    /// The key.
    pub key: Vec<u8>,
    /// The new value; `None` deletes.
    pub value: Option<Vec<u8>>,
}

/// Rows to append and what must become true together with them.
#[derive(Clone, Debug, Default)]
pub struct Append {
    /// The rows; `seq` is given by the engine.
    pub rows: RowBatch,
    /// Entries written in the same transaction.
    pub writes: Vec<TableWrite>,
    /// Store all rows or none: a row over a limit of the engine refuses the whole batch.
    /// (A repeat does not: it is there already.)
    pub atomic: bool,
    /// Written in the same transaction too, unless the batch is refused: what depends on what became
    /// of the rows.
    pub receipt: Option<Receipt>,
}

/// Entries that say what became of an [`Append`], made once that is decided and before it is stored.
#[derive(Clone)]
pub struct Receipt(pub Arc<WriteReceipt>);

/// Makes the entries of a [`Receipt`].
pub type WriteReceipt = dyn Fn(&Appended) -> Vec<TableWrite> + Send + Sync;

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receipt(…)")
    }
}

/// What became of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOutcome {
    /// Stored now.
    Accepted,
    /// Stored before, by this id and time.
    Duplicate,
    /// Not stored: its label or value keys would exceed [`crate::KEYS_MAX`] for the tenant.
    TooManyKeys,
}

/// What became of an [`Append`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// One per row, in order.
    pub outcomes: Vec<RowOutcome>,
    /// The seqs given, first and last, if any row was stored. Rows get theirs in order.
    pub seqs: Option<(Seq, Seq)>,
}

/// What a page of rows begins after: the `(ts, seq)` of the last row seen.
pub type PageCursor = (TimeMs, Seq);

/// Sizes of a keyspace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyspaceStats {
    /// Rows that are there.
    pub rows: u64,
    /// Rows that are not sealed yet.
    pub unsealed_rows: u64,
    /// Sealed blocks.
    pub blocks: u64,
    /// Earliest and latest `ts`, if there is a row.
    pub time_range: Option<(TimeMs, TimeMs)>,
    /// The newest seq.
    pub last_seq: Seq,
    /// The oldest seq the feed still has.
    pub feed_first_seq: Seq,
    /// Bytes of the feed window.
    pub feed_bytes: u64,
    /// Bytes of the file as the file system allocates them.
    pub file_bytes: u64,
    /// Bytes of sealed columns, partials and filters.
    pub block_bytes: u64,
}

/// One tenant's data. Every call may be made from any thread; none may be made from an async one,
/// for all of them can wait for a disk.
pub trait Keyspace: Tables {
    /// Appends many callers' rows in one transaction (group commit), or in a few where they are too
    /// wide together for one: on stable storage, visible to every later question and never counted
    /// twice once it returns. One result each. After an error some of them may be stored; sending
    /// all again is harmless.
    fn append(&self, appends: Vec<Append>) -> Result<Vec<Appended>, StoreError>;

    /// Removes the selected rows from everything: blocks, partials, feed window. One transaction.
    /// Gives how many were removed.
    fn remove(&self, selection: &Selection) -> Result<u64, StoreError>;

    /// Puts each row in the place of the one with the same id and time, or adds it; one
    /// transaction. Gives how many rows were replaced.
    fn replace(&self, rows: RowBatch) -> Result<u64, StoreError>;

    /// Groups and aggregates.
    fn aggregate(
        &self,
        request: &AggregateRequest,
        budget: &Budget,
    ) -> Result<Aggregated, AskError>;

    /// Up to `limit` selected rows, newest `(ts, seq)` first, strictly after `after`.
    fn page(
        &self,
        selection: &Selection,
        after: Option<PageCursor>,
        limit: usize,
        budget: &Budget,
    ) -> Result<RowBatch, AskError>;

    /// The rows with this id that pass every one of `predicates`, newest `ts` first.
    fn find(
        &self,
        id: RowId<'_>,
        ts_ms: Option<TimeMs>,
        predicates: &[Predicate],
    ) -> Result<RowBatch, AskError>;

    /// Calls `each` with all selected rows in order of `(ts, seq)`, batch by batch, until it
    /// answers `false`. Memory stays bounded however many rows there are.
    fn scan(
        &self,
        selection: &Selection,
        budget: &Budget,
        each: &mut dyn FnMut(&RowBatch) -> bool,
    ) -> Result<(), AskError>;

    /// Up to `limit` rows with `from <= seq <= to`, ascending by seq.
    fn rows_by_seq(&self, from: Seq, to: Seq, limit: usize) -> Result<RowBatch, AskError>;

    /// What the feed has from `from_seq` on, at least one item if there is one, up to about
    /// `bytes_max`. Items follow each other without a gap; the first begins at `from_seq`.
    fn feed(&self, from_seq: Seq, bytes_max: usize) -> Result<Vec<FeedItem>, StoreError>;

    /// The durable cursor of `consumer`: the next seq it wants.
    fn cursor(&self, consumer: &str) -> Result<CursorState, StoreError>;

    /// Moves the durable cursor of `consumer`, creating it.
    fn set_cursor(&self, consumer: &str, next_seq: Seq) -> Result<(), StoreError>;

    /// The newest acknowledged seq.
    fn last_seq(&self) -> Result<Seq, StoreError>;

    /// Bytes of the file that the feed window takes, pages only partly filled included. Walks the
    /// feed: not for every second.
    fn feed_footprint(&self) -> Result<u64, StoreError>;

    /// Sizes.
    fn stats(&self) -> Result<KeyspaceStats, StoreError>;

    /// Bytes of the file as the file system allocates them.
    fn file_bytes(&self) -> Result<u64, StoreError> {
        Ok(self.stats()?.file_bytes)
    }

    /// Which version its small tables are at.
    fn schema(&self) -> Result<SchemaState, StoreError>;

    /// Takes the small tables to version `to`, step by step: each is whole or absent, on stable storage
    /// before the next begins. Reading goes on meanwhile, writing waits. Of a failed step nothing stays,
    /// and calling again goes on from there.
    fn migrate(&self, to: u32) -> Result<Moved, StoreError>;

    /// Up to `limit` entries that `index` finds after the place `after`, in its order; `None` where the
    /// keyspace is at a version without it.
    fn list_by(
        &self,
        index: &Index,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Option<Vec<Indexed>>, StoreError>;

    /// Seals what is unsealed and merges what should be merged, until nothing is left to do.
    fn settle(&self) -> Result<(), StoreError>;

    /// Writes a consistent copy into the new file `to` while appends go on.
    fn snapshot(&self, to: &Path) -> Result<(), StoreError>;

    /// Gives freed space back to the file system by rewriting the file.
    fn rewrite(&self) -> Result<(), StoreError>;

    /// Reads and verifies everything. Gives the findings, none if all is well.
    fn check(&self) -> Result<Vec<String>, StoreError>;
}

/// A durable cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorState {
    /// Never set.
    Missing,
    /// The consumer wants this seq next.
    At(Seq),
    /// It lagged beyond the feed's bound: its consumer rebuilds from the rows and sets it anew.
    Detached,
}

/// An entry of the feed with the seqs it takes. Whoever has taken it in wants the one after `last`
/// next: not the one after its last row, for rows that were removed since are gone from it.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedItem {
    /// The first seq.
    pub first: Seq,
    /// The last seq.
    pub last: Seq,
    /// What happened.
    pub entry: FeedEntry,
}

/// Something that happened to a keyspace.
#[derive(Clone, Debug, PartialEq)]
pub enum FeedEntry {
    /// Rows were added, with consecutive seqs.
    Rows(RowBatch),
    /// Rows were removed; the entry takes one seq.
    Removed {
        /// The entry's seq.
        seq: Seq,
        /// The seqs of the rows that went, ascending.
        rows: Vec<Seq>,
    },
    /// Rows were put in the place of others.
    Replaced {
        /// The seqs of the rows that went, ascending.
        removed: Vec<Seq>,
        /// What came, with the entry's seqs.
        rows: RowBatch,
    },
}

impl FeedEntry {
    /// The rows that came with it.
    pub fn rows(&self) -> Option<&RowBatch> {
        match self {
            Self::Rows(rows) | Self::Replaced { rows, .. } => Some(rows),
            Self::Removed { .. } => None,
        }
    }
}
