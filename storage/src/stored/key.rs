//! Which place a framed value belongs to, and of what kind it is.

use crate::block::{BlockId, ColumnId};
use crate::row::Seq;

/// The kinds of framed values. Stored: they never change. (2 is that of a block's columns.)
pub mod kind {
    /// A value of the table `meta`.
    pub const META: u8 = 1;
    /// A feed entry: rows came.
    pub const FEED_ROWS: u8 = 3;
    /// A feed entry: rows went.
    pub const FEED_REMOVED: u8 = 4;
    /// A feed entry: rows came in the place of others.
    pub const FEED_REPLACED: u8 = 5;
    /// The head of the feed.
    pub const HEAD: u8 = 6;
    /// An entry of the manifest.
    pub const BLOCK: u8 = 7;
    /// An entry of a small table.
    pub const SMALL: u8 = 8;
}

/// Makes the keys that frames are sealed under: they bind a value to its place in this keyspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt(pub u64);

impl Salt {
    fn key(self, table: &str, key: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + table.len() + 1 + key.len());
        out.extend_from_slice(&self.0.to_le_bytes());
        out.extend_from_slice(table.as_bytes());
        out.push(0);
        out.extend_from_slice(key);
        out
    }

    /// The key of the value `name` of `meta`.
    pub fn meta(self, name: &str) -> Vec<u8> {
        self.key("meta", name.as_bytes())
    }

    /// The key of the feed entry whose first seq is `seq`.
    pub fn feed(self, seq: Seq) -> Vec<u8> {
        self.key("feed", &seq.to_le_bytes())
    }

    /// The key of a block's manifest entry.
    pub fn block(self, id: BlockId) -> Vec<u8> {
        self.key("blocks", &id.to_le_bytes())
    }

    /// The key of a block's column.
    pub fn part(self, id: BlockId, column: ColumnId) -> Vec<u8> {
        let mut key = [0; 12];
        key[..8].copy_from_slice(&id.to_le_bytes());
        key[8..].copy_from_slice(&column.0.to_le_bytes());
        self.key("parts", &key)
    }

    /// The key of an entry of a small table, whose name is in `key`.
    pub fn small(self, key: &[u8]) -> Vec<u8> {
        self.key("tables", key)
    }
}
