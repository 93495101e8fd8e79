//! Sealing and merging: small blocks become large ones.
//!
//! *Sealing* takes the oldest unsealed rows, by seq, and writes them as blocks sorted by time.
//! *Merging* bounds two things. Small blocks (of tenants that send little) are put together when
//! [`FAN_IN`] of a size class exist. Full blocks that overlap in time are put together when
//! [`FAN_IN`] of a density class cover one instant, and come out as neighbours that do not
//! overlap: rows that arrive in the order of time are never merged, rows that arrive in any order
//! are rewritten about once per eightfold growth. So few blocks cover any instant, and a repeat
//! is looked for in few filters.

use super::block::Block;
use super::commit::Probe;
use super::db::{OrStoreError, WRITING};
use super::keyspace::{EmbeddedKeyspace, State, Writer};
use super::layout::{
    BLOCKS, DEAD, FEED, PARTS, delete_entries, delete_parts, write_part, write_progress,
};
use super::tail;
use crate::aggregate::{ColumnSet, default_views};
use crate::batch::RowBatch;
use crate::block::{BlockId, EncodedBlock, HEAP_BYTES_MAX, ROWS_MAX, encode_block};
use crate::codec::frame;
use crate::error::StoreError;
use crate::gather::{Pick, all_rows, gather, sort_by_time};
use crate::row::Seq;
use crate::stored::key::kind;
use crate::stored::meta::Progress;
use redb::WriteTransaction;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// Blocks of one class that are put together when there are so many.
pub(super) const FAN_IN: usize = 8;

/// Most blocks that one merge reads.
const MERGE_BLOCKS_MAX: usize = 8;

/// Bytes, as stored, beyond which a block is not merged with others: with long texts it can be twenty
/// times as large as usual, and eight of them would be a quarter of a gigabyte of memory.
const MERGED_BLOCK_BYTES_MAX: u64 = 8 << 20;

/// A tail so many times larger than what is sealed at once makes its writers seal themselves, if
/// nothing else changes blocks just then.
const TAIL_SLACK: usize = 3;

/// A tail so many times larger makes them wait until they can: the bound of a tail's memory.
const TAIL_MAX: usize = 8;

/// What a change of blocks does to the manifest.
#[derive(Default)]
pub(super) struct ManifestChange {
    pub(super) add: Vec<EncodedBlock>,
    pub(super) retire: Vec<BlockId>,
    /// The first seq that is in no block afterwards; `None`: as before.
    pub(super) unsealed_from: Option<Seq>,
}

impl EmbeddedKeyspace {
    /// Whether there is enough to seal.
    pub(super) fn wants_seal(&self, state: &State) -> bool {
        state.unsealed_rows() >= self.settings.seal_rows
            || state.unsealed_bytes() >= self.settings.seal_bytes
    }

    /// Called after a commit that left enough to seal: rings for the upkeep, or does it here where
    /// there is none, or where it lags so far behind that memory would grow.
    pub(super) fn make_room(&self) {
        let state = self.state();
        let is_over = |times: usize| {
            state.unsealed_rows() >= times * self.settings.seal_rows
                || state.unsealed_bytes() >= times * self.settings.seal_bytes
        };
        let rings = self.settings.background && !self.rung.swap(true, Ordering::SeqCst);
        if rings && !(self.bells.dirty)() {
            // Nobody heard: the next commit rings again.
            self.rung.store(false, Ordering::SeqCst);
        }
        // A long merge or rewrite holds the right to change blocks: not worth waiting for so soon.
        let lagging = is_over(TAIL_MAX) || (is_over(TAIL_SLACK) && !self.is_changing_blocks());
        if lagging && let Err(error) = self.seal_some(false) {
            // The rows are safe where they are; the next commit tries again.
            tracing::warn!(keyspace = %self.identity.name, %error, "sealing failed");
        }
    }

    /// Seals full blocks (or, if `all`, every unsealed row). Gives whether anything was done.
    pub(super) fn seal_some(&self, all: bool) -> Result<bool, StoreError> {
        let _upkeep = self.lock_upkeep();
        drop(self.lock_writer()?); // what is looked at below must be what the disk has
        let Some(change) = self.sealing(all) else { return Ok(false) };
        let mut writer = self.lock_writer()?;
        self.change_manifest(&mut writer, change)?;
        Ok(true)
    }

    /// The blocks of the oldest unsealed rows: full ones, or one for every row if `all`. The
    /// caller holds the upkeep lock.
    pub(super) fn sealing(&self, all: bool) -> Option<ManifestChange> {
        let state = self.state();
        let unsealed = state.unsealed_rows();
        let rows = if all || state.unsealed_bytes() >= self.settings.seal_bytes {
            unsealed
        } else {
            unsealed / self.settings.seal_rows * self.settings.seal_rows
        };
        if rows == 0 {
            return None;
        }
        let (sealing, _) = tail::split(&state.tail, rows, self.grain_ms());
        let parts: Vec<&RowBatch> = sealing.iter().map(|batch| &*batch.rows).collect();
        let last = *parts.last()?.seq.last()?;
        let add = self.encode(&parts, state.progress.next_block);
        Some(ManifestChange { add, retire: Vec::new(), unsealed_from: Some(last + 1) })
    }

    /// Merges once if something should be merged. Gives whether it did.
    pub(super) fn merge_once(&self) -> Result<bool, StoreError> {
        let _upkeep = self.lock_upkeep();
        drop(self.lock_writer()?); // what is looked at below must be what the disk has
        let state = self.state();
        let rows_full = self.settings.seal_rows.min(ROWS_MAX);
        let Some(merging) = to_merge(&state.blocks, rows_full) else {
            return Ok(false);
        };
        let read = |block: &Arc<Block>| block.read(&ColumnSet::all());
        let rows = merging.iter().map(read).collect::<Result<Vec<RowBatch>, _>>()?;
        let parts: Vec<&RowBatch> = rows.iter().collect();
        let are_small = merging.iter().all(|block| !block.is_full(rows_full));
        if are_small && self.shares(&parts, rows.iter().map(|part| part.len).sum()) >= merging.len()
        {
            // Long texts: the blocks were small in rows alone. They are full, as far as merging goes.
            merging.iter().for_each(|block| block.set_full());
            return Ok(true);
        }
        let add = self.encode(&parts, state.progress.next_block);
        let retire = merging.iter().map(|block| block.entry.id).collect();
        let change = ManifestChange { add, retire, unsealed_from: None };
        let mut writer = self.lock_writer()?;
        self.change_manifest(&mut writer, change)?;
        Ok(true)
    }

    /// The rows of `parts` as blocks with ids from `next_block`, sorted by time.
    pub(super) fn encode(&self, parts: &[&RowBatch], next_block: BlockId) -> Vec<EncodedBlock> {
        let mut picks = all_rows(parts);
        sort_by_time(parts, &mut picks);
        self.encode_picks(parts, &picks, next_block)
    }

    /// As [`encode`](Self::encode) for some rows, already in order.
    pub(super) fn encode_picks(
        &self,
        parts: &[&RowBatch],
        picks: &[Pick],
        next_block: BlockId,
    ) -> Vec<EncodedBlock> {
        let shares = self.shares(parts, picks.len());
        let views = default_views();
        let key = |id, column| self.home.salt.part(id, column);
        let chunks = picks.chunks(picks.len().div_ceil(shares).max(1));
        let encode = |(n, chunk): (usize, &[Pick])| {
            let rows = gather(parts, chunk);
            encode_block(next_block + n as BlockId, &rows, &views, self.grain_ms(), key)
        };
        chunks.enumerate().filter_map(encode).collect()
    }

    /// Into how many blocks `rows` rows of `parts` go: equal shares rather than full blocks and a
    /// small rest.
    fn shares(&self, parts: &[&RowBatch], rows: usize) -> usize {
        let bytes: usize = parts.iter().map(|part| part.heap_bytes()).sum();
        let total: usize = parts.iter().map(|part| part.len).sum();
        let bytes_a_row = bytes / total.max(1) + 1;
        let bytes_max = self.settings.seal_bytes.min(HEAP_BYTES_MAX);
        let rows_max = self.settings.seal_rows.min(ROWS_MAX).min(bytes_max / bytes_a_row);
        rows.div_ceil(rows_max.max(1)).max(1)
    }

    /// Writes and publishes a change of blocks in one transaction. The caller holds the upkeep lock.
    pub(super) fn change_manifest(
        &self,
        writer: &mut Writer,
        change: ManifestChange,
    ) -> Result<(), StoreError> {
        let mut next = State::clone(&self.state());
        let (progress, trimmed) = self.write_change(writer, &change, Probe::Nothing, |_| Ok(()))?;
        next.progress = progress;
        for (_, bytes) in writer.feed.drain(..trimmed) {
            next.feed_bytes -= bytes;
        }
        self.apply_change(writer, next, change);
        Ok(())
    }

    /// Writes a change of blocks in one transaction, together with what `also` writes; deletes the
    /// parts of blocks that nobody holds any more, and what of the feed is beyond its window. Gives
    /// the new progress and how many entries of the feed went; memory is as it was. The caller holds
    /// the upkeep lock.
    pub(super) fn write_change(
        &self,
        writer: &mut Writer,
        change: &ManifestChange,
        probe: Probe,
        also: impl FnOnce(&WriteTransaction) -> Result<(), StoreError>,
    ) -> Result<(Progress, usize), StoreError> {
        self.demand_room()?;
        let state = self.state();
        let buried = std::mem::take(
            &mut *self.home.graveyard.lock().unwrap_or_else(PoisonError::into_inner),
        );
        let unsealed_from = change.unsealed_from.unwrap_or(state.progress.unsealed_from);
        let (feed_from, trimmed) = self.feed_window(writer, &state, unsealed_from);
        let progress = Progress {
            unsealed_from,
            next_block: change
                .add
                .iter()
                .map(|block| block.entry.id + 1)
                .fold(state.progress.next_block, BlockId::max),
            feed_from,
            blocks: (state.blocks.len() + change.add.len() - change.retire.len()) as u64,
        };
        let written = self.write(writer, probe, |transaction| {
            bury(transaction, &buried)?;
            self.write_blocks(transaction, change)?;
            if trimmed > 0 {
                let mut feed = transaction.open_table(FEED).or_store(WRITING)?;
                delete_entries(&mut feed, 0, feed_from)?;
            }
            write_progress(self.home.salt, transaction, progress)?;
            also(transaction)
        });
        if let Err(e) = written {
            // They are dead still, or again: deleting parts twice does no harm.
            self.home.graveyard.lock().unwrap_or_else(PoisonError::into_inner).extend(buried);
            return Err(e);
        }
        Ok((progress, trimmed))
    }

    fn write_blocks(
        &self,
        transaction: &WriteTransaction,
        change: &ManifestChange,
    ) -> Result<(), StoreError> {
        let salt = self.home.salt;
        let mut blocks = transaction.open_table(BLOCKS).or_store(WRITING)?;
        let mut parts = transaction.open_table(PARTS).or_store(WRITING)?;
        let mut dead = transaction.open_table(DEAD).or_store(WRITING)?;
        for block in &change.add {
            let id = block.entry.id;
            let mut payload = Vec::new();
            block.entry.encode(&mut payload);
            let value = frame::seal(&salt.block(id), kind::BLOCK, &payload);
            blocks.insert(id, value.as_slice()).or_store(WRITING)?;
            for (&(column, _), value) in block.entry.columns.iter().zip(&block.values) {
                write_part(&mut parts, id, column, value)?;
            }
        }
        for &id in &change.retire {
            blocks.remove(id).or_store(WRITING)?;
            dead.insert(id, ()).or_store(WRITING)?;
        }
        Ok(())
    }

    /// Makes the committed change visible.
    fn apply_change(&self, writer: &mut Writer, mut next: State, change: ManifestChange) {
        for block in &next.blocks {
            if change.retire.contains(&block.entry.id) {
                block.retire();
            }
        }
        next.blocks.retain(|block| !change.retire.contains(&block.entry.id));
        for block in change.add {
            next.blocks.push(Arc::new(Block::new(block.entry, Arc::clone(&self.home))));
        }
        if change.unsealed_from.is_some() {
            let from = next.progress.unsealed_from;
            let sealed = next.tail.iter().flat_map(|batch| &batch.rows.seq);
            let sealed = sealed.filter(|&&seq| seq < from).count();
            (_, next.tail) = tail::split(&next.tail, sealed, self.grain_ms());
            writer.recent.forget_before(from);
        }
        self.publish(next);
    }

    /// From which seq on the feed is kept, and how many entries go: never one that is not sealed.
    fn feed_window(&self, writer: &Writer, state: &State, unsealed_from: Seq) -> (Seq, usize) {
        let mut excess = state.feed_bytes.saturating_sub(self.settings.feed_window_bytes);
        let (mut from, mut trimmed) = (state.progress.feed_from, 0);
        for (n, &(_, bytes)) in writer.feed.iter().enumerate() {
            let next = writer.feed.get(n + 1).map_or(state.last_seq + 1, |&(seq, _)| seq);
            if excess == 0 || next > unsealed_from {
                break;
            }
            excess = excess.saturating_sub(bytes);
            (from, trimmed) = (next, n + 1);
        }
        (from, trimmed)
    }
}

/// Deletes the parts of blocks that nobody holds.
fn bury(transaction: &WriteTransaction, buried: &[BlockId]) -> Result<(), StoreError> {
    if buried.is_empty() {
        return Ok(());
    }
    let mut parts = transaction.open_table(PARTS).or_store(WRITING)?;
    let mut dead = transaction.open_table(DEAD).or_store(WRITING)?;
    for &id in buried {
        delete_parts(&mut parts, id)?;
        dead.remove(id).or_store(WRITING)?;
    }
    Ok(())
}

/// The blocks that should be merged now, by time; `None` if all is well. A block of `rows_full`
/// rows is full. Those of more than [`MERGED_BLOCK_BYTES_MAX`] stay as they are.
///
/// It ends: merging small blocks leaves fewer of them or declares them full, and after merging
/// overlapping ones at most one of the results reaches beyond any instant, so none of them is merged
/// with another again.
fn to_merge(blocks: &[Arc<Block>], rows_full: usize) -> Option<Vec<Arc<Block>>> {
    let mut by_time: Vec<&Arc<Block>> = blocks.iter().collect();
    by_time.retain(|block| block.entry.bytes() <= MERGED_BLOCK_BYTES_MAX);
    by_time.sort_by_key(|block| (block.entry.ts_min, block.entry.id));
    let (large, small): (Vec<_>, Vec<_>) =
        by_time.into_iter().partition(|block| block.is_full(rows_full));
    small_alike(&small).or_else(|| overlapping_alike(&large))
}

/// Some of `blocks` to be merged, if there are [`FAN_IN`].
fn enough<'a>(blocks: impl Iterator<Item = &'a Arc<Block>>) -> Option<Vec<Arc<Block>>> {
    let some: Vec<Arc<Block>> = blocks.take(MERGE_BLOCKS_MAX).map(Arc::clone).collect();
    (some.len() >= FAN_IN).then_some(some)
}

/// [`FAN_IN`] blocks of one size class.
fn small_alike(by_time: &[&Arc<Block>]) -> Option<Vec<Arc<Block>>> {
    let class = |block: &Block| block.entry.rows.max(1).ilog2() / 3;
    for wanted in 0..=ROWS_MAX.ilog2() / 3 {
        let alike = by_time.iter().copied().filter(|block| class(block) == wanted);
        if let Some(alike) = enough(alike) {
            return Some(alike);
        }
    }
    None
}

/// [`FAN_IN`] blocks of one density class that reach beyond one instant.
fn overlapping_alike(by_time: &[&Arc<Block>]) -> Option<Vec<Arc<Block>>> {
    let class = |block: &Block| {
        let span = block.entry.ts_max.abs_diff(block.entry.ts_min);
        (span / block.entry.rows as u64 + 1).ilog2() / 3
    };
    for (n, latest) in by_time.iter().enumerate() {
        let at = latest.entry.ts_min;
        let reaching = by_time[..=n]
            .iter()
            .copied()
            .filter(|block| block.entry.ts_max > at && class(block) == class(latest));
        if let Some(reaching) = enough(reaching) {
            return Some(reaching);
        }
    }
    None
}
