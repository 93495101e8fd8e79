//! Reading the feed, and the durable cursors of those who follow it.
//! [`stored::feed`](crate::stored::feed) has the form of the entries.

use super::db::{OrStoreError, READING};
use super::keyspace::EmbeddedKeyspace;
use super::layout::{FEED, entry_of, for_each_entry};
use crate::engine::{CursorState, FeedEntry, FeedItem, TableWrite, Tables};
use crate::error::StoreError;
use crate::gather::{all_rows, gather};
use crate::row::Seq;
use crate::stored::feed::{decode, decode_cursor, encode_cursor};
use redb::ReadableTableMetadata;

impl EmbeddedKeyspace {
    /// See [`crate::engine::Keyspace::feed`].
    pub(super) fn read_feed(
        &self,
        from: Seq,
        bytes_max: usize,
    ) -> Result<Vec<FeedItem>, StoreError> {
        let state = self.state();
        let first_seq = state.progress.feed_from;
        if from < first_seq {
            return Err(StoreError::SeqExpired { first_seq });
        }
        let mut items = self.home.db.read(|transaction| {
            let feed = transaction.open_table(FEED).or_store(READING)?;
            // The entry that holds `from` may begin before it.
            let begin = entry_of(&feed, from)?;
            let (mut items, mut bytes) = (Vec::new(), 0);
            // What was committed but not answered yet lies behind the newest seq.
            for_each_entry(&feed, begin, state.last_seq + 1, |first, value| {
                let item = decode(self.home.salt, first, value)?;
                if item.last >= from {
                    bytes += value.len();
                    items.push(item);
                }
                Ok(bytes < bytes_max || items.is_empty())
            })?;
            Ok(items)
        })?;
        if let Some(item) = items.first_mut() {
            if item.first > from {
                // It went between the look at the state and the look into the file.
                return Err(StoreError::SeqExpired { first_seq: item.first });
            }
            begin_at(item, from);
        }
        Ok(items)
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
        let seq = decode_cursor(&value)?;
        let expired = seq < self.state().progress.feed_from;
        Ok(if expired { CursorState::Detached } else { CursorState::At(seq) })
    }

    /// See [`crate::engine::Keyspace::set_cursor`].
    pub(super) fn write_cursor(&self, consumer: &str, next_seq: Seq) -> Result<(), StoreError> {
        let write = TableWrite {
            table: CURSORS.to_owned(),
            key: consumer.as_bytes().to_vec(),
            value: Some(encode_cursor(next_seq).to_vec()),
        };
        Tables::write(self, &[], &[write]).map(drop)
    }
}

/// Leaves out of `item` what lies before `from`, which is one of its seqs.
fn begin_at(item: &mut FeedItem, from: Seq) {
    if let FeedEntry::Rows(rows) | FeedEntry::Replaced { rows, .. } = &mut item.entry {
        let before = rows.seq.partition_point(|&seq| seq < from);
        if before > 0 {
            *rows = gather(&[rows], &all_rows(&[rows])[before..]);
        }
    }
    item.first = from;
}

/// The small table of the durable cursors, by consumer.
const CURSORS: &str = "feed_cursors";
