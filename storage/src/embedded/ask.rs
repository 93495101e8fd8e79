//! The keyspace's public face: every call of [`Keyspace`] goes to the part that does it.

use super::db::Db;
use super::keyspace::EmbeddedKeyspace;
use super::rewrite::Slack;
use crate::aggregate::{Part, aggregate, default_views};
use crate::ask::{AggregateRequest, Aggregated, AskError, Budget, Predicate, Selection};
use crate::batch::RowBatch;
use crate::engine::{Append, Appended, CursorState, FeedItem, Keyspace, KeyspaceStats, PageCursor};
use crate::error::StoreError;
use crate::row::{RowId, Seq, TimeMs};
use crate::schema::{Index, Indexed, Moved, SchemaState};
use std::path::Path;

impl Keyspace for EmbeddedKeyspace {
    fn append(&self, appends: Vec<Append>) -> Result<Vec<Appended>, StoreError> {
        self.append_group(appends)
    }

    fn remove(&self, selection: &Selection) -> Result<u64, StoreError> {
        self.remove_rows(selection)
    }

    fn replace(&self, rows: RowBatch) -> Result<u64, StoreError> {
        self.replace_rows(rows)
    }

    fn aggregate(
        &self,
        request: &AggregateRequest,
        budget: &Budget,
    ) -> Result<Aggregated, AskError> {
        self.healing(|| {
            let state = self.state();
            let sealed = state.blocks.iter().map(|block| &**block as &dyn Part);
            let parts: Vec<&dyn Part> =
                sealed.chain(state.tail.iter().map(|batch| &**batch as &dyn Part)).collect();
            let mut answer = aggregate(&parts, &default_views(), request, budget)?;
            answer.as_of_seq = state.last_seq;
            Ok(answer)
        })
    }

    fn page(
        &self,
        selection: &Selection,
        after: Option<PageCursor>,
        limit: usize,
        budget: &Budget,
    ) -> Result<RowBatch, AskError> {
        self.healing(|| self.read_page(selection, after, limit, budget))
    }

    fn find(
        &self,
        id: RowId<'_>,
        ts_ms: Option<TimeMs>,
        predicates: &[Predicate],
    ) -> Result<RowBatch, AskError> {
        self.healing(|| self.find_rows(id, ts_ms, predicates))
    }

    fn scan(
        &self,
        selection: &Selection,
        budget: &Budget,
        each: &mut dyn FnMut(&RowBatch) -> bool,
    ) -> Result<(), AskError> {
        // What was given out cannot be taken back, so the file is looked at before, not after.
        self.healing(|| self.home.db.read(|_| Ok(())))?;
        self.scan_rows(selection, budget, each)
    }

    fn rows_by_seq(&self, from: Seq, to: Seq, limit: usize) -> Result<RowBatch, AskError> {
        self.healing(|| self.read_by_seq(from, to, limit))
    }

    fn feed(&self, from_seq: Seq, bytes_max: usize) -> Result<Vec<FeedItem>, StoreError> {
        self.healing(|| self.read_feed(from_seq, bytes_max))
    }

    fn cursor(&self, consumer: &str) -> Result<CursorState, StoreError> {
        self.healing(|| self.read_cursor(consumer))
    }

    fn set_cursor(&self, consumer: &str, next_seq: Seq) -> Result<(), StoreError> {
        self.write_cursor(consumer, next_seq)
    }

    fn last_seq(&self) -> Result<Seq, StoreError> {
        Ok(self.state().last_seq)
    }

    fn feed_footprint(&self) -> Result<u64, StoreError> {
        self.healing(|| self.measure_feed())
    }

    fn stats(&self) -> Result<KeyspaceStats, StoreError> {
        let state = self.state();
        let unsealed_rows = state.unsealed_rows() as u64;
        let sealed_rows: u64 = state.blocks.iter().map(|block| block.entry.rows as u64).sum();
        let sealed = state.blocks.iter().map(|block| block.time_range());
        let ranges = sealed.chain(state.tail.iter().map(|batch| batch.range));
        Ok(KeyspaceStats {
            rows: sealed_rows + unsealed_rows,
            unsealed_rows,
            blocks: state.blocks.len() as u64,
            time_range: ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))),
            last_seq: state.last_seq,
            feed_first_seq: state.progress.feed_from,
            feed_bytes: state.feed_bytes,
            file_bytes: self.file_bytes()?,
            block_bytes: state.blocks.iter().map(|block| block.entry.bytes()).sum(),
        })
    }

    fn file_bytes(&self) -> Result<u64, StoreError> {
        self.healing(|| self.home.db.seen(Db::allocated_bytes)?)
    }

    fn schema(&self) -> Result<SchemaState, StoreError> {
        self.healing(|| self.schema_state())
    }

    fn migrate(&self, to: u32) -> Result<Moved, StoreError> {
        self.migrate_to(to)
    }

    fn list_by(
        &self,
        index: &Index,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Option<Vec<Indexed>>, StoreError> {
        self.healing(|| self.list_in_order(index, after, limit))
    }

    fn settle(&self) -> Result<(), StoreError> {
        while self.seal_some(true)? {}
        self.tidy(Slack::IDLE)
    }

    fn snapshot(&self, to: &Path) -> Result<(), StoreError> {
        self.snapshot_to(to)
    }

    fn rewrite(&self) -> Result<(), StoreError> {
        self.rewrite_file()
    }

    fn check(&self) -> Result<Vec<String>, StoreError> {
        self.verify()
    }
}

impl EmbeddedKeyspace {
    /// Merges what should be merged and gives space back where more is free than `slack` allows.
    pub(super) fn tidy(&self, slack: Slack) -> Result<(), StoreError> {
        while self.merge_once()? {}
        if !self.is_wasteful(slack)? {
            return Ok(());
        }
        if !self.has_room_for_copy() {
            tracing::debug!(keyspace = %self.identity.name, "no room to give space back by a copy");
            return Ok(());
        }
        self.rewrite_file()
    }
}
