//! What lies where in a keyspace file.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | name | framed: [`Identity`], [`Progress`] |
//! | `feed` | first seq of the entry, piece; `u128::MAX`: the head | a piece of a framed entry |
//! | `blocks` | block id | framed manifest entry |
//! | `parts` | large?, block, column, piece | a piece of a framed value |
//! | `dead` | block id | nothing: parts to be deleted |
//! | `tables` | table name, 0, key | framed small value |
//! | `cursors` | consumer | framed seq |
//!
//! *Invariant*: a block's parts are in the file if the manifest names it; parts that no manifest
//! entry names are listed in `dead`. A commit touches `feed` alone (and `tables` if it carries
//! small things), whose head lies in the page of the newest entry: one path of pages to write.

use super::db::{OrStoreError, READING, WRITING};
use crate::block::{self, BlockId, ColumnId, cut};
use crate::codec::cursor::{Cursor, put_part, put_varint};
use crate::codec::frame;
use crate::error::{Corrupt, StoreError};
use crate::row::Seq;
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
pub(super) const FEED: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("feed");
pub(super) const BLOCKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("blocks");
pub(super) const PARTS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("parts");
pub(super) const DEAD: TableDefinition<'_, u64, ()> = TableDefinition::new("dead");
pub(super) const TABLES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("tables");
pub(super) const CURSORS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("cursors");

/// The key of the feed's head.
const HEAD_KEY: u128 = u128::MAX;

/// The seq that the head is sealed as.
const HEAD: Seq = Seq::MAX;

/// The format of the file that this program writes and the newest it reads.
pub(super) const FORMAT: u32 = 1;

/// The kinds of framed values. Stored: they never change. (2 is a block's, see `block::read`.)
pub(super) mod kind {
    pub(crate) const META: u8 = 1;
    pub(crate) const FEED_ROWS: u8 = 3;
    pub(crate) const FEED_REMOVED: u8 = 4;
    pub(crate) const FEED_REPLACED: u8 = 5;
    pub(crate) const HEAD: u8 = 6;
    pub(crate) const BLOCK: u8 = 7;
    pub(crate) const SMALL: u8 = 8;
    pub(crate) const CURSOR: u8 = 9;
}

/// Makes the keys that frames are sealed under: they bind a value to its place in this keyspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Salt(pub(super) u64);

impl Salt {
    fn key(self, table: &str, key: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + table.len() + 1 + key.len());
        out.extend_from_slice(&self.0.to_le_bytes());
        out.extend_from_slice(table.as_bytes());
        out.push(0);
        out.extend_from_slice(key);
        out
    }

    pub(super) fn meta(self, name: &str) -> Vec<u8> {
        self.key("meta", name.as_bytes())
    }

    pub(super) fn feed(self, seq: Seq) -> Vec<u8> {
        self.key("feed", &seq.to_le_bytes())
    }

    pub(super) fn block(self, id: BlockId) -> Vec<u8> {
        self.key("blocks", &id.to_le_bytes())
    }

    pub(super) fn part(self, id: BlockId, column: ColumnId) -> Vec<u8> {
        let mut key = [0; 12];
        key[..8].copy_from_slice(&id.to_le_bytes());
        key[8..].copy_from_slice(&column.0.to_le_bytes());
        self.key("parts", &key)
    }

    pub(super) fn small(self, key: &[u8]) -> Vec<u8> {
        self.key("tables", key)
    }

    pub(super) fn cursor(self, consumer: &str) -> Vec<u8> {
        self.key("cursors", consumer.as_bytes())
    }
}

/// What a file says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) format: u32,
    pub(super) name: String,
    pub(super) salt: Salt,
    pub(super) grain_minutes: u32,
}

impl Identity {
    const NAME: &'static str = "identity";

    /// The one value whose key is not salted: it holds the salt.
    const SALT: Salt = Salt(0);

    pub(super) fn write(&self, transaction: &WriteTransaction) -> Result<(), StoreError> {
        let mut payload = Vec::new();
        put_varint(self.format.into(), &mut payload);
        put_part(self.name.as_bytes(), &mut payload);
        put_varint(self.salt.0, &mut payload);
        put_varint(self.grain_minutes.into(), &mut payload);
        let value = frame::seal(&Self::SALT.meta(Self::NAME), kind::META, &payload);
        let mut table = transaction.open_table(META).or_store(WRITING)?;
        table.insert(Self::NAME, value.as_slice()).or_store(WRITING)?;
        Ok(())
    }

    /// Reads it and refuses a file of another name or a newer format.
    pub(super) fn read(transaction: &ReadTransaction, name: &str) -> Result<Self, StoreError> {
        let table = transaction.open_table(META).or_store(READING)?;
        let value = table.get(Self::NAME).or_store(READING)?;
        let value = value.ok_or_else(|| Corrupt::new("a keyspace without identity"))?;
        let payload = frame::open(&Self::SALT.meta(Self::NAME), kind::META, value.value())?;
        let mut cursor = Cursor::new(payload, "a keyspace's identity");
        let format = cursor.count(u32::MAX as usize)? as u32;
        if format > FORMAT {
            return Err(StoreError::NewerFormat { found: format, known: FORMAT });
        }
        let found = String::from_utf8_lossy(cursor.part()?).into_owned();
        if found != name {
            return Err(StoreError::WrongKeyspace { found, expected: name.to_owned() });
        }
        let salt = Salt(cursor.varint()?);
        let grain_minutes = cursor.count(24 * 60)? as u32;
        cursor.end()?;
        Ok(Self { format, name: found, salt, grain_minutes })
    }
}

/// How far sealing has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// The first seq that is not in a block.
    pub(super) unsealed_from: Seq,
    /// The next block id.
    pub(super) next_block: BlockId,
    /// The oldest seq the feed still has; equal to the next seq if it has none.
    pub(super) feed_from: Seq,
    /// How many blocks the manifest has, so that a lost entry is noticed.
    pub(super) blocks: u64,
}

impl Progress {
    const NAME: &'static str = "progress";

    pub(super) const START: Self =
        Self { unsealed_from: 1, next_block: 1, feed_from: 1, blocks: 0 };

    pub(super) fn write(
        self,
        salt: Salt,
        transaction: &WriteTransaction,
    ) -> Result<(), StoreError> {
        let mut payload = Vec::new();
        for number in [self.unsealed_from, self.next_block, self.feed_from, self.blocks] {
            put_varint(number, &mut payload);
        }
        let value = frame::seal(&salt.meta(Self::NAME), kind::META, &payload);
        let mut table = transaction.open_table(META).or_store(WRITING)?;
        table.insert(Self::NAME, value.as_slice()).or_store(WRITING)?;
        Ok(())
    }

    pub(super) fn read(salt: Salt, transaction: &ReadTransaction) -> Result<Self, StoreError> {
        let table = transaction.open_table(META).or_store(READING)?;
        let value = table.get(Self::NAME).or_store(READING)?;
        let value = value.ok_or_else(|| Corrupt::new("a keyspace without progress"))?;
        let payload = frame::open(&salt.meta(Self::NAME), kind::META, value.value())?;
        let mut cursor = Cursor::new(payload, "a keyspace's progress");
        let progress = Self {
            unsealed_from: cursor.varint()?,
            next_block: cursor.varint()?,
            feed_from: cursor.varint()?,
            blocks: cursor.varint()?,
        };
        cursor.end()?;
        Ok(progress)
    }
}

/// The head of the feed: the next seq.
pub(super) fn write_head(
    salt: Salt,
    feed: &mut redb::Table<'_, u128, &[u8]>,
    next_seq: Seq,
) -> Result<(), StoreError> {
    let mut payload = Vec::new();
    put_varint(next_seq, &mut payload);
    let value = frame::seal(&salt.feed(HEAD), kind::HEAD, &payload);
    feed.insert(HEAD_KEY, value.as_slice()).or_store(WRITING)?;
    Ok(())
}

/// The next seq as the head says it.
pub(super) fn read_head(
    salt: Salt,
    feed: &impl ReadableTable<u128, &'static [u8]>,
) -> Result<Seq, StoreError> {
    let value = feed.get(HEAD_KEY).or_store(READING)?;
    let value = value.ok_or_else(|| Corrupt::new("a feed without head"))?;
    let mut cursor =
        Cursor::new(frame::open(&salt.feed(HEAD), kind::HEAD, value.value())?, "a feed's head");
    Ok(cursor.varint()?)
}

/// The key of piece `piece` of the entry whose first seq is `seq`.
fn feed_key(seq: Seq, piece: usize) -> u128 {
    u128::from(seq) << 32 | piece as u128
}

/// Stores the framed `value` of the entry whose first seq is `first`, in pieces that fill pages.
/// The first one begins with the length of the whole (u32, little endian).
pub(super) fn write_entry(
    feed: &mut redb::Table<'_, u128, &[u8]>,
    first: Seq,
    value: &[u8],
) -> Result<(), StoreError> {
    let mut whole = Vec::with_capacity(ENTRY_LENGTH_BYTES + value.len());
    whole.extend_from_slice(&(value.len() as u32).to_le_bytes());
    whole.extend_from_slice(value);
    let mut rest = whole.as_slice();
    for (n, len) in cut(whole.len()).enumerate() {
        let (piece, others) = rest.split_at(len);
        feed.insert(feed_key(first, n), piece).or_store(WRITING)?;
        rest = others;
    }
    Ok(())
}

const ENTRY_LENGTH_BYTES: usize = 4;

/// Calls `each` with the first seq and the framed value of every entry whose first seq lies in
/// `from..to`, ascending, until it answers `false`.
pub(super) fn for_each_entry(
    feed: &impl ReadableTable<u128, &'static [u8]>,
    from: Seq,
    to: Seq,
    mut each: impl FnMut(Seq, &[u8]) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let (mut first, mut missing, mut value) = (0, 0, Vec::new());
    for item in feed.range(feed_key(from, 0)..feed_key(to, 0)).or_store(READING)? {
        let (key, piece) = item.or_store(READING)?;
        let (seq, piece) = ((key.value() >> 32) as Seq, piece.value());
        if missing == 0 {
            let (len, begin) = piece
                .split_first_chunk::<ENTRY_LENGTH_BYTES>()
                .ok_or_else(|| Corrupt::new("a feed entry"))?;
            (first, missing) = (seq, u32::from_le_bytes(*len) as usize);
            value.clear();
            value.extend_from_slice(begin);
        } else {
            value.extend_from_slice(piece);
        }
        if seq != first || value.len() > missing {
            return Err(Corrupt::new("a feed entry: a piece is missing").into());
        }
        if value.len() == missing {
            missing = 0;
            if !each(first, &value)? {
                return Ok(());
            }
        }
    }
    if missing > 0 { Err(Corrupt::new("a feed entry: a piece is missing").into()) } else { Ok(()) }
}

/// The first seq of the entry that holds `seq` or, if there is none, `seq` itself.
pub(super) fn entry_of(
    feed: &impl ReadableTable<u128, &'static [u8]>,
    seq: Seq,
) -> Result<Seq, StoreError> {
    let range = feed.range(..feed_key(seq, u32::MAX as usize)).or_store(READING)?;
    match range.rev().next() {
        Some(item) => Ok((item.or_store(READING)?.0.value() >> 32) as Seq),
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

/// The key of a piece. Pieces that fill pages and those that share them lie apart, so that a
/// small one never makes a large one's page twice as big.
pub(super) fn part_key(id: BlockId, column: ColumnId, piece: usize, len: usize) -> u128 {
    let large = u128::from(block::fills_a_page(len));
    large << 127 | u128::from(id) << 40 | u128::from(column.0) << 16 | piece as u128
}

/// The block that the piece `key` belongs to.
pub(super) const fn block_of(key: u128) -> BlockId {
    (key << 1 >> 41) as BlockId
}

/// The range of keys of all small (`false`) or large (`true`) pieces of a block.
pub(super) fn part_range(id: BlockId, large: bool) -> std::ops::RangeInclusive<u128> {
    let first = u128::from(large) << 127 | u128::from(id) << 40;
    first..=(first | ((1 << 40) - 1))
}

/// Stores the framed `value` of a column in pieces.
pub(super) fn write_part(
    parts: &mut redb::Table<'_, u128, &[u8]>,
    id: BlockId,
    column: ColumnId,
    value: &[u8],
) -> Result<(), StoreError> {
    let mut rest = value;
    for (n, len) in cut(value.len()).enumerate() {
        let (piece, others) = rest.split_at(len);
        parts.insert(part_key(id, column, n, len), piece).or_store(WRITING)?;
        rest = others;
    }
    Ok(())
}

/// Calls `f` with the framed value of a column that is `len` bytes long.
pub(super) fn with_part<R>(
    parts: &impl ReadableTable<u128, &'static [u8]>,
    id: BlockId,
    column: ColumnId,
    len: usize,
    f: impl FnOnce(&[u8]) -> Result<R, StoreError>,
) -> Result<R, StoreError> {
    let missing = || Corrupt::new(format!("column {} of block {id}: a piece is missing", column.0));
    let mut lengths = cut(len);
    if lengths.next() == Some(len) {
        let value = parts.get(part_key(id, column, 0, len)).or_store(READING)?;
        return f(value.ok_or_else(missing)?.value());
    }
    let mut whole = Vec::with_capacity(len);
    for (n, piece_len) in cut(len).enumerate() {
        let piece = parts.get(part_key(id, column, n, piece_len)).or_store(READING)?;
        whole.extend_from_slice(piece.ok_or_else(missing)?.value());
    }
    f(&whole)
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
