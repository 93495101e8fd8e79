//! Removing and replacing rows: new blocks, new partials and a feed entry in one transaction.

use super::commit::{NewKeys, Probe};
use super::db::{OrStoreError, WRITING};
use super::keyspace::{EmbeddedKeyspace, Writer};
use super::layout::{ALL_ENTRIES, FEED, delete_entries, for_each_entry, write_entry, write_head};
use super::repeats::find_sealed;
use super::upkeep::ManifestChange;
use crate::aggregate::{ColumnSet, select};
use crate::ask::Selection;
use crate::batch::RowBatch;
use crate::engine::FeedEntry;
use crate::error::StoreError;
use crate::gather::{Pick, gather};
use crate::row::Seq;
use crate::stored::feed::{self, Body, REMOVED_MAX};
use hashbrown::HashMap;
use redb::WriteTransaction;

/// Most rows that one call removes or replaces: their seqs go into one feed entry.
const EDIT_ROWS_MAX: usize = REMOVED_MAX;

/// Rows of blocks that are to go.
#[derive(Default)]
struct Doomed {
    change: ManifestChange,
    seqs: Vec<Seq>,
}

impl EmbeddedKeyspace {
    /// See [`crate::engine::Keyspace::remove`]. Rows that arrive while it works stay.
    pub(super) fn remove_rows(&self, selection: &Selection) -> Result<u64, StoreError> {
        self.seal_some(true)?;
        let _upkeep = self.lock_upkeep();
        drop(self.lock_writer()?); // what is looked at below must be what the disk has
        let mut doomed = Doomed::default();
        for (n, block) in self.state().blocks.iter().enumerate() {
            if block.entry.ts_max < selection.from_ms || block.entry.ts_min >= selection.to_ms {
                continue;
            }
            let rows = block.read(&ColumnSet::for_selection(selection, true))?;
            self.doom(&mut doomed, n, &select(&rows, selection))?;
        }
        if doomed.seqs.is_empty() {
            return Ok(0);
        }
        let mut writer = self.lock_writer()?;
        self.commit_edit(&mut writer, doomed, None)
    }

    /// See [`crate::engine::Keyspace::replace`]. Of several rows with one id and time the last
    /// counts.
    pub(super) fn replace_rows(&self, rows: RowBatch) -> Result<u64, StoreError> {
        let rows = last_of_each(rows);
        if rows.len == 0 {
            return Ok(0);
        }
        // The writer's lock is held from the sealing on, so that no row that would have to be
        // replaced can arrive in between.
        let _upkeep = self.lock_upkeep();
        let mut writer = self.lock_writer()?;
        if let Some(change) = self.sealing(true) {
            self.change_manifest(&mut writer, change)?;
        }
        let hashes: Vec<u64> = (0..rows.len).map(|row| rows.ids.get(row).hash()).collect();
        let found = find_sealed(&self.state().blocks, &rows, &hashes)?;
        let mut by_block: HashMap<usize, Vec<u32>> = HashMap::new();
        for (block, row) in found.into_values() {
            by_block.entry(block).or_default().push(row);
        }
        let mut doomed = Doomed::default();
        for (n, mut going) in by_block {
            going.sort_unstable();
            going.dedup();
            self.doom(&mut doomed, n, &going)?;
        }
        let (over, _) = NewKeys::default().with(&writer, &rows);
        if !over.is_empty() {
            return Err(StoreError::OverLimit {
                what: "the number of label or value keys",
                limit: crate::KEYS_MAX,
            });
        }
        self.commit_edit(&mut writer, doomed, Some(rows))
    }

    /// Plans block `n` (of the state) without the rows `going`.
    fn doom(&self, doomed: &mut Doomed, n: usize, going: &[u32]) -> Result<(), StoreError> {
        if going.is_empty() {
            return Ok(());
        }
        let state = self.state();
        let block = &state.blocks[n];
        if doomed.seqs.len() + going.len() > EDIT_ROWS_MAX {
            return Err(StoreError::OverLimit {
                what: "the number of rows to change at once",
                limit: EDIT_ROWS_MAX,
            });
        }
        doomed.change.retire.push(block.entry.id);
        let rows = block.read(&ColumnSet::all())?;
        doomed.seqs.extend(going.iter().map(|&row| rows.seq[row as usize]));
        let mut going = going.iter().copied().peekable();
        let stays = |row: &u32| going.next_if_eq(row).is_none();
        let picks: Vec<Pick> =
            (0..rows.len as u32).filter(stays).map(|row| Pick { part: 0, row }).collect();
        let last = doomed.change.add.last();
        let next_block = last.map_or(state.progress.next_block, |block| block.entry.id + 1);
        doomed.change.add.extend(self.encode_picks(&[&rows], &picks, next_block));
        Ok(())
    }

    /// One transaction: blocks, manifest, the feed entry, and the feed's window without the rows
    /// that went. Gives how many went.
    fn commit_edit(
        &self,
        writer: &mut Writer,
        mut doomed: Doomed,
        rows: Option<RowBatch>,
    ) -> Result<u64, StoreError> {
        doomed.seqs.sort_unstable();
        let (salt, seqs) = (self.home.salt, doomed.seqs);
        let first = self.state().last_seq + 1;
        let came = rows.map(|mut rows| {
            rows.seq = (first..first + rows.len as Seq).collect();
            rows
        });
        let last = came.as_ref().map_or(first, |rows| first + rows.len as Seq - 1);
        let body = match &came {
            Some(rows) => Body::Replaced(&seqs, rows),
            None => Body::Removed(&seqs),
        };
        let value = feed::encode(salt, first, last, body)?;
        self.write_change(writer, &doomed.change, Probe::LastSeq, |transaction| {
            erase_from_feed(self, transaction, &seqs)?;
            let mut feed = transaction.open_table(FEED).or_store(WRITING)?;
            write_entry(&mut feed, first, &value)?;
            write_head(salt, &mut feed, last + 1)
        })?;
        let removed = seqs.len() as u64;
        // What is on disk now is read back in one place and shown at once: blocks, tail, feed, seq.
        match super::load::load(&self.home, &self.identity, &self.state().blocks) {
            Ok(loaded) => {
                self.publish(loaded.state);
                *writer = loaded.writer;
            }
            Err(e) => {
                // It is done all the same. Nobody may read what was before: whoever comes next,
                // reader or writer, opens the file anew.
                writer.failed = Some(e.to_string());
                let _ = self.home.db.replace(|| Err(e));
            }
        }
        Ok(removed)
    }
}

/// Takes the rows `seqs` (ascending) out of the feed entries that are kept.
fn erase_from_feed(
    keyspace: &EmbeddedKeyspace,
    transaction: &WriteTransaction,
    seqs: &[Seq],
) -> Result<(), StoreError> {
    let salt = keyspace.home.salt;
    let mut feed = transaction.open_table(FEED).or_store(WRITING)?;
    let mut rewritten = Vec::new();
    let (from, to) = ALL_ENTRIES;
    for_each_entry(&feed, from, to, |first, value| {
        let item = feed::decode(salt, first, value)?;
        let Some(rows) = item.entry.rows() else { return Ok(true) };
        let stays = |&row: &u32| seqs.binary_search(&rows.seq[row as usize]).is_err();
        let picks: Vec<Pick> =
            (0..rows.len as u32).filter(stays).map(|row| Pick { part: 0, row }).collect();
        if picks.len() == rows.len {
            return Ok(true);
        }
        let kept = gather(&[rows], &picks);
        let entry = match item.entry {
            FeedEntry::Replaced { removed, .. } => FeedEntry::Replaced { removed, rows: kept },
            _ => FeedEntry::Rows(kept),
        };
        let value = feed::encode(salt, item.first, item.last, (&entry).into())?;
        rewritten.push((item.first, value));
        Ok(true)
    })?;
    for (first, value) in rewritten {
        delete_entries(&mut feed, first, first + 1)?;
        write_entry(&mut feed, first, &value)?;
    }
    Ok(())
}

/// The last row of each id and time, in order.
fn last_of_each(rows: RowBatch) -> RowBatch {
    let mut last: HashMap<(crate::row::RowId<'_>, Option<i64>), u32> = HashMap::new();
    for row in 0..rows.len {
        let ts = rows.ts_given(row).then(|| rows.ts[row]);
        last.insert((rows.ids.get(row), ts), row as u32);
    }
    let mut keep: Vec<u32> = last.into_values().collect();
    if keep.len() == rows.len {
        return rows;
    }
    keep.sort_unstable();
    let picks: Vec<Pick> = keep.into_iter().map(|row| Pick { part: 0, row }).collect();
    gather(&[&rows], &picks)
}
