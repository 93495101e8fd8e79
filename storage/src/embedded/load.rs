//! Takes what is in memory from what is on disk: when a keyspace is opened, and after a failure.

use super::block::{Block, BlockHome};
use super::db::{OrStoreError, READING};
use super::keyspace::{State, Writer};
use super::layout::{ALL_ENTRIES, BLOCKS, DEAD, FEED, for_each_entry, read_head, read_progress};
use super::repeats::RecentIds;
use super::tail::{self, TailBatch};
use crate::block::{BlockEntry, BlockId};
use crate::codec::frame;
use crate::error::{Corrupt, StoreError};
use crate::row::Seq;
use crate::stored::feed;
use crate::stored::key::kind;
use crate::stored::meta::{Identity, Progress};
use hashbrown::HashSet;
use redb::{ReadTransaction, ReadableTable};
use std::collections::VecDeque;
use std::sync::Arc;

/// What was taken.
pub(super) struct Loaded {
    pub(super) state: State,
    pub(super) writer: Writer,
}

/// Reads manifest and feed. Blocks of `known` that the manifest still names are used again, so
/// that whoever pins one keeps it; the others are retired.
pub(super) fn load(
    home: &Arc<BlockHome>,
    identity: &Identity,
    known: &[Arc<Block>],
) -> Result<Loaded, StoreError> {
    home.db.read(|transaction| {
        let table_bytes = super::tables::verify(home.salt, transaction)?;
        let progress = read_progress(home.salt, transaction)?;
        let blocks = blocks(home, transaction, progress, known)?;
        let unsealed = unsealed(home, identity, transaction, progress)?;
        let tail = unsealed.tail;
        let mut writer = Writer {
            recent: RecentIds::of(&tail),
            label_keys: HashSet::new(),
            value_keys: HashSet::new(),
            failed: None,
            feed: unsealed.feed,
        };
        for block in &blocks {
            writer.label_keys.extend(block.entry.labels.iter().cloned());
            writer.value_keys.extend(block.entry.values.iter().cloned());
        }
        for batch in &tail {
            writer.learn_keys(&batch.rows);
        }
        let state = State {
            blocks,
            tail,
            last_seq: unsealed.next_seq - 1,
            progress,
            feed_bytes: writer.feed.iter().map(|&(_, bytes)| bytes).sum(),
            table_bytes,
        };
        Ok(Loaded { state, writer })
    })
}

fn blocks(
    home: &Arc<BlockHome>,
    transaction: &ReadTransaction,
    progress: Progress,
    known: &[Arc<Block>],
) -> Result<Vec<Arc<Block>>, StoreError> {
    let table = transaction.open_table(BLOCKS).or_store(READING)?;
    let mut blocks: Vec<Arc<Block>> = Vec::new();
    for item in table.iter().or_store(READING)? {
        let (id, value) = item.or_store(READING)?;
        let id = id.value();
        if let Some(block) = known.iter().find(|block| block.entry.id == id) {
            blocks.push(Arc::clone(block));
            continue;
        }
        let payload = frame::open(&home.salt.block(id), kind::BLOCK, value.value())?;
        blocks.push(Arc::new(Block::new(BlockEntry::decode(id, payload)?, Arc::clone(home))));
    }
    if blocks.len() as u64 != progress.blocks {
        return Err(Corrupt::new("a manifest with missing entries").into());
    }
    for block in known {
        if !blocks.iter().any(|b| b.entry.id == block.entry.id) {
            block.retire();
        }
    }
    Ok(blocks)
}

/// What the feed says of the rows that are in no block.
struct Unsealed {
    tail: Vec<Arc<TailBatch>>,
    feed: VecDeque<(Seq, u64)>,
    next_seq: Seq,
}

fn unsealed(
    home: &BlockHome,
    identity: &Identity,
    transaction: &ReadTransaction,
    progress: Progress,
) -> Result<Unsealed, StoreError> {
    let grain_ms = i64::from(identity.grain_minutes) * 60_000;
    let table = transaction.open_table(FEED).or_store(READING)?;
    let next_seq = read_head(home.salt, &table)?;
    let (mut tail, mut feed, mut expected) = (Vec::new(), VecDeque::new(), progress.feed_from);
    let (from, to) = ALL_ENTRIES;
    for_each_entry(&table, from, to, |first, value| {
        feed.push_back((first, value.len() as u64));
        if first != expected {
            return Err(Corrupt::new("a feed with a gap").into());
        }
        let item = feed::decode(home.salt, first, value)?;
        expected = item.last + 1;
        if item.last < progress.unsealed_from {
            return Ok(true);
        }
        if let Some(rows) = item.entry.rows().filter(|rows| rows.len > 0) {
            match rows.seq.partition_point(|&seq| seq < progress.unsealed_from) {
                0 => tail::push(&mut tail, rows.clone(), grain_ms),
                sealed => {
                    let batch = Arc::new(TailBatch::new(rows.clone(), grain_ms));
                    let (_, rest) = tail::split(&[batch], sealed, grain_ms);
                    tail.extend(rest);
                }
            }
        }
        Ok(true)
    })?;
    if expected != next_seq || progress.unsealed_from > next_seq {
        return Err(Corrupt::new("a feed that ends before its head").into());
    }
    Ok(Unsealed { tail, feed, next_seq })
}

/// Blocks that no manifest names and whose parts are still there.
pub(super) fn dead_blocks(home: &BlockHome) -> Result<Vec<BlockId>, StoreError> {
    home.db.read(|transaction| {
        let dead = transaction.open_table(DEAD).or_store(READING)?;
        let mut ids = Vec::new();
        for item in dead.iter().or_store(READING)? {
            ids.push(item.or_store(READING)?.0.value());
        }
        Ok(ids)
    })
}
