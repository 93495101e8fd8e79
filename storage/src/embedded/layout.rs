//! What lies where in a keyspace file. [`stored`](crate::stored) has the form of the values.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | name | framed: [`Identity`], [`Progress`], [`TablesDigest`] |
//! | `feed` | first seq of the entry, piece; `u128::MAX`: the head | a piece of a framed entry |
//! | `blocks` | block id | framed manifest entry |
//! | `parts` | large?, block, column, piece | a piece of a framed value |
//! | `dead` | block id | nothing: parts to be deleted |
//! | `tables` | table name, 0, key | framed small value |
//!
//! *Invariant*: a block's parts are in the file if the manifest names it; parts that no manifest
//! entry names are listed in `dead`. A commit touches `feed` alone (and `tables` if it carries
//! small things), whose head lies in the page of the newest entry: one path of pages to write.

use super::db::{OrStoreError, READING, WRITING};
use crate::block::{BlockId, ColumnId};
use crate::error::{Corrupt, StoreError};
use crate::row::Seq;
use crate::stored::feed::{open_head, seal_head};
use crate::stored::key::Salt;
use crate::stored::meta::{Identity, Progress, TablesDigest};
use crate::stored::pieces::{
    EntryJoiner, entry_pieces, feed_key, join_part, part_pieces, part_range, seq_of,
};
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
pub(super) const FEED: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("feed");
pub(super) const BLOCKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("blocks");
pub(super) const PARTS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("parts");
pub(super) const DEAD: TableDefinition<'_, u64, ()> = TableDefinition::new("dead");
pub(super) const TABLES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("tables");

/// The key of the feed's head.
const HEAD_KEY: u128 = u128::MAX;

/// Stores what the file says of itself.
pub(super) fn write_identity(
    identity: &Identity,
    transaction: &WriteTransaction,
) -> Result<(), StoreError> {
    let mut table = transaction.open_table(META).or_store(WRITING)?;
    table.insert(Identity::NAME, identity.seal().as_slice()).or_store(WRITING)?;
    Ok(())
}

/// Makes every table of a keyspace in which there is nothing yet.
pub(super) fn write_beginning(
    salt: Salt,
    transaction: &WriteTransaction,
) -> Result<(), StoreError> {
    write_progress(salt, transaction, Progress::START)?;
    let mut feed = transaction.open_table(FEED).or_store(WRITING)?;
    write_head(salt, &mut feed, 1)?;
    transaction.open_table(META).or_store(WRITING)?;
    transaction.open_table(BLOCKS).or_store(WRITING)?;
    transaction.open_table(PARTS).or_store(WRITING)?;
    transaction.open_table(DEAD).or_store(WRITING)?;
    transaction.open_table(TABLES).or_store(WRITING)?;
    Ok(())
}

/// Reads what the file says of itself, whatever its name; refuses a format beyond `known`.
pub(super) fn identity_of(
    transaction: &ReadTransaction,
    known: u32,
) -> Result<Identity, StoreError> {
    let table = transaction.open_table(META).or_store(READING)?;
    stored_identity(&table, known)
}

/// Reads what the file says of itself and refuses a file of another name, or of a format beyond
/// `known`.
pub(super) fn read_identity(
    transaction: &ReadTransaction,
    name: &str,
    known: u32,
) -> Result<Identity, StoreError> {
    let identity = identity_of(transaction, known)?;
    if identity.name != name {
        let expected = name.to_owned();
        return Err(StoreError::WrongKeyspace { found: identity.name, expected });
    }
    Ok(identity)
}

/// What the file says of itself, whatever its name.
pub(super) fn stored_identity(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
    known: u32,
) -> Result<Identity, StoreError> {
    let value = meta.get(Identity::NAME).or_store(READING)?;
    let value = value.ok_or_else(|| Corrupt::new("a keyspace without identity"))?;
    Identity::open(value.value(), known)
}

/// Stores how far sealing has come.
pub(super) fn write_progress(
    salt: Salt,
    transaction: &WriteTransaction,
    progress: Progress,
) -> Result<(), StoreError> {
    let mut table = transaction.open_table(META).or_store(WRITING)?;
    table.insert(Progress::NAME, progress.seal(salt).as_slice()).or_store(WRITING)?;
    Ok(())
}

/// Reads how far sealing has come.
pub(super) fn read_progress(
    salt: Salt,
    transaction: &ReadTransaction,
) -> Result<Progress, StoreError> {
    let table = transaction.open_table(META).or_store(READING)?;
    let value = table.get(Progress::NAME).or_store(READING)?;
    let value = value.ok_or_else(|| Corrupt::new("a keyspace without progress"))?;
    Ok(Progress::open(salt, value.value())?)
}

/// Reads the digest of the small tables; a file without any has no entries.
pub(super) fn read_digest(
    salt: Salt,
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<TablesDigest, StoreError> {
    match meta.get(TablesDigest::NAME).or_store(READING)? {
        Some(value) => Ok(TablesDigest::open(salt, value.value())?),
        None => Ok(TablesDigest::default()),
    }
}

/// Stores the digest of the small tables.
pub(super) fn write_digest(
    salt: Salt,
    meta: &mut redb::Table<'_, &'static str, &'static [u8]>,
    digest: TablesDigest,
) -> Result<(), StoreError> {
    meta.insert(TablesDigest::NAME, digest.seal(salt).as_slice()).or_store(WRITING)?;
    Ok(())
}

/// Stores the head of the feed: the next seq.
pub(super) fn write_head(
    salt: Salt,
    feed: &mut redb::Table<'_, u128, &[u8]>,
    next_seq: Seq,
) -> Result<(), StoreError> {
    feed.insert(HEAD_KEY, seal_head(salt, next_seq).as_slice()).or_store(WRITING)?;
    Ok(())
}

/// The next seq as the head says it.
pub(super) fn read_head(
    salt: Salt,
    feed: &impl ReadableTable<u128, &'static [u8]>,
) -> Result<Seq, StoreError> {
    let value = feed.get(HEAD_KEY).or_store(READING)?;
    let value = value.ok_or_else(|| Corrupt::new("a feed without head"))?;
    Ok(open_head(salt, value.value())?)
}

/// Stores the framed `value` of the entry whose first seq is `first`, in pieces that fill pages.
pub(super) fn write_entry(
    feed: &mut redb::Table<'_, u128, &[u8]>,
    first: Seq,
    value: &[u8],
) -> Result<(), StoreError> {
    entry_pieces(first, value, |key, piece| {
        feed.insert(key, piece).or_store(WRITING)?;
        Ok(())
    })
}

/// Calls `each` with the first seq and the framed value of every entry whose first seq lies in
/// `from..to`, ascending, until it answers `false`.
pub(super) fn for_each_entry(
    feed: &impl ReadableTable<u128, &'static [u8]>,
    from: Seq,
    to: Seq,
    mut each: impl FnMut(Seq, &[u8]) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let mut joiner = EntryJoiner::default();
    for item in feed.range(feed_key(from, 0)..feed_key(to, 0)).or_store(READING)? {
        let (key, piece) = item.or_store(READING)?;
        if let Some((first, value)) = joiner.add(key.value(), piece.value())?
            && !each(first, value)?
        {
            return Ok(());
        }
    }
    Ok(joiner.end()?)
}

/// The first seq of the entry that holds `seq` or, if there is none, `seq` itself.
pub(super) fn entry_of(
    feed: &impl ReadableTable<u128, &'static [u8]>,
    seq: Seq,
) -> Result<Seq, StoreError> {
    let mut range = feed.range(..feed_key(seq, u32::MAX as usize)).or_store(READING)?;
    match range.next_back() {
        Some(item) => Ok(seq_of(item.or_store(READING)?.0.value())),
        None => Ok(seq),
    }
}

/// Deletes the entries whose first seq lies in `from..to`.
pub(super) fn delete_entries(
    feed: &mut redb::Table<'_, u128, &[u8]>,
    from: Seq,
    to: Seq,
) -> Result<(), StoreError> {
    feed.retain_in(feed_key(from, 0)..feed_key(to, 0), |_, _| false).or_store(WRITING)
}

/// Every entry: the head is not one.
pub(super) const ALL_ENTRIES: (Seq, Seq) = (0, Seq::MAX);

/// Stores the framed `value` of a column in pieces.
pub(super) fn write_part(
    parts: &mut redb::Table<'_, u128, &[u8]>,
    id: BlockId,
    column: ColumnId,
    value: &[u8],
) -> Result<(), StoreError> {
    part_pieces(id, column, value, |key, piece| {
        parts.insert(key, piece).or_store(WRITING)?;
        Ok(())
    })
}

/// Calls `f` with the framed value of a column that is `len` bytes long.
pub(super) fn with_part<R>(
    parts: &impl ReadableTable<u128, &'static [u8]>,
    id: BlockId,
    column: ColumnId,
    len: usize,
    f: impl FnOnce(&[u8]) -> Result<R, StoreError>,
) -> Result<R, StoreError> {
    let get = |key| parts.get(key).or_store(READING);
    join_part((id, column, len), get, |piece| piece.value(), f)
}

/// Deletes every piece of a block.
pub(super) fn delete_parts(
    parts: &mut redb::Table<'_, u128, &[u8]>,
    id: BlockId,
) -> Result<(), StoreError> {
    for large in [false, true] {
        parts.retain_in(part_range(id, large), |_, _| false).or_store(WRITING)?;
    }
    Ok(())
}
