//! Entries of the feed as stored.
//!
//! ```text
//! rows     (kind 3): last_seq varint | small batch
//! removed  (kind 4): last_seq varint | seqs that went
//! replaced (kind 5): last_seq varint | length varint, seqs that went | small batch
//! ```
//!
//! Seqs that went: their number (varint) and an [`ints`] column. An entry's key is its first seq,
//! and the next entry's key is its last seq plus one: a gap is damage. The batch may hold fewer
//! rows than the entry has seqs, for rows that were removed later are removed here too.

use super::keyspace::EmbeddedKeyspace;
use super::layout::{FEED, Salt, entry_of, for_each_entry, kind};
use crate::batch::RowBatch;
use crate::codec::cursor::{Cursor, put_part, put_varint};
use crate::codec::frame::{self, Frame};
use crate::codec::{ROWS_MAX, ints, small};
use crate::engine::{CursorState, FeedEntry, TableWrite, Tables};
use crate::error::{Corrupt, StoreError};
use crate::row::Seq;

use super::db::{OrStoreError, READING};
use redb::ReadableTableMetadata;

/// An entry with the seqs it takes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spanned {
    pub(super) first: Seq,
    pub(super) last: Seq,
    pub(super) entry: FeedEntry,
}

/// What an entry says, borrowed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body<'a> {
    Rows(&'a RowBatch),
    Removed(&'a [Seq]),
    Replaced(&'a [Seq], &'a RowBatch),
}

impl<'a> From<&'a FeedEntry> for Body<'a> {
    fn from(entry: &'a FeedEntry) -> Self {
        match entry {
            FeedEntry::Rows(rows) => Self::Rows(rows),
            FeedEntry::Removed { rows, .. } => Self::Removed(rows),
            FeedEntry::Replaced { removed, rows } => Self::Replaced(removed, rows),
        }
    }
}

/// The stored form of an entry that takes the seqs `first..=last`.
pub(super) fn encode(
    salt: Salt,
    first: Seq,
    last: Seq,
    body: Body<'_>,
) -> Result<Vec<u8>, StoreError> {
    let (kind, removed, rows) = match body {
        Body::Rows(rows) => (kind::FEED_ROWS, None, Some(rows)),
        Body::Removed(seqs) => (kind::FEED_REMOVED, Some(seqs), None),
        Body::Replaced(seqs, rows) => (kind::FEED_REPLACED, Some(seqs), Some(rows)),
    };
    let mut out = Vec::with_capacity(rows.map_or(64, |rows| 64 + rows.len * 48));
    let frame = Frame::begin(&mut out, kind);
    put_varint(last, &mut out);
    if let Some(seqs) = removed {
        let mut body = Vec::new();
        put_varint(seqs.len() as u64, &mut body);
        ints::encode_u64s(seqs, &mut body);
        put_part(&body, &mut out);
    }
    if let Some(rows) = rows {
        small::encode_batch(rows, &mut out)?;
    }
    frame.finish(&mut out, &salt.feed(first));
    Ok(out)
}

/// Reads the entry stored under `first`.
pub(super) fn decode(salt: Salt, first: Seq, value: &[u8]) -> Result<Spanned, Corrupt> {
    let kind = *value.get(1).ok_or_else(|| Corrupt::new("a feed entry"))?;
    let payload = frame::open(&salt.feed(first), kind, value)?;
    let mut cursor = Cursor::new(payload, "a feed entry");
    let last = cursor.varint()?;
    if last < first {
        return Err(cursor.damaged());
    }
    let mut removed = Vec::new();
    if matches!(kind, kind::FEED_REMOVED | kind::FEED_REPLACED) {
        let mut body = Cursor::new(cursor.part()?, "a feed entry");
        let n = body.count(ROWS_MAX * 16)?;
        ints::decode_u64s(body.rest(), n, &mut removed)?;
    }
    let entry = match kind {
        kind::FEED_ROWS => FeedEntry::Rows(small::decode_batch(cursor.rest())?),
        kind::FEED_REMOVED => FeedEntry::Removed { seq: first, rows: removed },
        kind::FEED_REPLACED => {
            FeedEntry::Replaced { removed, rows: small::decode_batch(cursor.rest())? }
        }
        _ => return Err(cursor.damaged()),
    };
    if let Some(rows) = entry.rows()
        && !(rows.seq.is_sorted()
            && rows.seq.len() == rows.len
            && rows.seq.first().is_none_or(|&seq| seq >= first)
            && rows.seq.last().is_none_or(|&seq| seq <= last))
    {
        return Err(Corrupt::new("a feed entry: its rows lie outside of it"));
    }
    Ok(Spanned { first, last, entry })
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

impl EmbeddedKeyspace {
    /// See [`crate::engine::Keyspace::feed`].
    pub(super) fn read_feed(
        &self,
        from: Seq,
        bytes_max: usize,
    ) -> Result<Vec<Spanned>, StoreError> {
        let state = self.state();
        let first_seq = state.progress.feed_from;
        if from < first_seq {
            return Err(StoreError::SeqExpired { first_seq });
        }
        self.home.db.read(|transaction| {
            let feed = transaction.open_table(FEED).or_store(READING)?;
            // The entry that holds `from` may begin before it.
            let begin = entry_of(&feed, from)?;
            let (mut entries, mut bytes) = (Vec::new(), 0);
            // What was committed but not answered yet lies behind the newest seq.
            for_each_entry(&feed, begin, state.last_seq + 1, |first, value| {
                let spanned = decode(self.home.salt, first, value)?;
                if spanned.last >= from {
                    bytes += value.len();
                    entries.push(spanned);
                }
                Ok(bytes < bytes_max || entries.is_empty())
            })?;
            Ok(entries)
        })
    }

    /// See [`crate::engine::Keyspace::feed_footprint`].
    pub(super) fn measure_feed(&self) -> Result<u64, StoreError> {
        self.home.db.read(|transaction| {
            let feed = transaction.open_table(FEED).or_store(READING)?;
            let stats = feed.stats().or_store(READING)?;
            Ok(stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes())
        })
    }

    /// See [`crate::engine::Keyspace::cursor`].
    pub(super) fn read_cursor(&self, consumer: &str) -> Result<CursorState, StoreError> {
        let Some(value) = self.get(CURSORS, consumer.as_bytes())? else {
            return Ok(CursorState::Missing);
        };
        let bytes = value.try_into().map_err(|_| Corrupt::new("a feed cursor"))?;
        let seq = Seq::from_le_bytes(bytes);
        let expired = seq < self.state().progress.feed_from;
        Ok(if expired { CursorState::Detached } else { CursorState::At(seq) })
    }

    /// See [`crate::engine::Keyspace::set_cursor`].
    pub(super) fn write_cursor(&self, consumer: &str, next_seq: Seq) -> Result<(), StoreError> {
        let write = TableWrite {
            table: CURSORS.to_owned(),
            key: consumer.as_bytes().to_vec(),
            value: Some(next_seq.to_le_bytes().to_vec()),
        };
        Tables::write(self, &[], &[write]).map(drop)
    }
}

/// The small table of the durable cursors: consumer, next seq (u64, little endian).
const CURSORS: &str = "feed_cursors";
