//! Small stored values that are asked for again and again: filters, tables of words, partials.
//!
//! Columns are not kept decoded: unpacking one is about as fast as fetching it, and an answer over
//! ten times the rows must not depend on what fits in memory.

use crate::aggregate::Partial;
use crate::block::{BlockId, ColumnId};
use crate::words::WordTable;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;

/// A value of a block, ready to use.
#[derive(Clone, Debug)]
pub(super) enum Cached {
    Filter(Arc<[u8]>),
    Words(Arc<WordTable>),
    Partial(Arc<Partial>),
}

/// Which value: the keyspace's number in this process, the block, the column.
pub(super) type CacheKey = (u64, BlockId, ColumnId);

/// Counts bytes.
#[derive(Clone, Debug)]
pub(super) struct Bytes;

impl Weighter<CacheKey, Cached> for Bytes {
    fn weight(&self, _key: &CacheKey, value: &Cached) -> u64 {
        const ENTRY_BYTES: u64 = 96;
        ENTRY_BYTES
            + match value {
                Cached::Filter(bytes) => bytes.len() as u64,
                Cached::Words(table) => table.heap_bytes() as u64,
                Cached::Partial(partial) => partial.heap_bytes() as u64,
            }
    }
}

/// The cache of all open keyspaces, bounded by bytes.
pub(super) type BlockCache = Cache<CacheKey, Cached, Bytes>;

/// A cache of at most `bytes`.
pub(super) fn new(bytes: u64) -> Arc<BlockCache> {
    const ENTRY_BYTES_MEAN: u64 = 16 << 10; // an estimate that only sizes the first allocation
    let items = (bytes / ENTRY_BYTES_MEAN).max(64) as usize;
    Arc::new(Cache::with_weighter(items, bytes, Bytes))
}
