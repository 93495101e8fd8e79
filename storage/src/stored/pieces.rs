//! Long values lie in pieces: their keys, and how they are put together again.
//!
//! Pieces are cut as [`block::cut`](crate::block::cut) says.

use crate::block::{BlockId, ColumnId, cut, fills_a_page};
use crate::error::{Corrupt, StoreError};
use crate::row::Seq;

/// Bytes at the head of a feed entry's first piece: the length of the framed value.
const ENTRY_LENGTH_BYTES: usize = 4;

/// Bytes that are reserved for a value before its first piece was found.
const RESERVED_MAX: usize = 16 << 20;

/// The key of piece `piece` of the feed entry whose first seq is `seq`.
pub fn feed_key(seq: Seq, piece: usize) -> u128 {
    u128::from(seq) << 32 | piece as u128
}

/// The first seq of the feed entry that the piece `key` belongs to.
pub const fn seq_of(key: u128) -> Seq {
    (key >> 32) as Seq
}

/// The pieces of the feed entry whose first seq is `first` and whose framed value is `value`,
/// with their keys. The first one begins with the length of the value (u32, little endian). Fails
/// if the length does not fit there.
pub fn entry_pieces(
    first: Seq,
    value: &[u8],
    mut each: impl FnMut(u128, &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let length = u32::try_from(value.len()).map_err(|_| StoreError::OverLimit {
        what: "the bytes of a feed entry",
        limit: u32::MAX as usize,
    })?;
    let mut whole = Vec::with_capacity(ENTRY_LENGTH_BYTES + value.len());
    whole.extend_from_slice(&length.to_le_bytes());
    whole.extend_from_slice(value);
    let mut rest = whole.as_slice();
    for (n, len) in cut(whole.len()).enumerate() {
        let (piece, others) = rest.split_at(len);
        each(feed_key(first, n), piece)?;
        rest = others;
    }
    Ok(())
}

/// Puts the pieces of feed entries together, which come in the order of their keys.
#[derive(Debug, Default)]
pub struct EntryJoiner {
    /// The key of the next piece of an entry that has been begun.
    next: Option<u128>,
    len: usize,
    value: Vec<u8>,
}

impl EntryJoiner {
    /// Takes the next piece. Gives the first seq and the framed value of the entry that it
    /// completes.
    pub fn add(&mut self, key: u128, piece: &[u8]) -> Result<Option<(Seq, &[u8])>, Corrupt> {
        let piece = match self.next {
            Some(next) if next == key => piece,
            None if key == feed_key(seq_of(key), 0) => {
                let (len, begin) =
                    piece.split_first_chunk::<ENTRY_LENGTH_BYTES>().ok_or_else(missing)?;
                self.len = u32::from_le_bytes(*len) as usize;
                self.value.clear();
                begin
            }
            _ => return Err(missing()),
        };
        self.value.extend_from_slice(piece);
        if self.value.len() > self.len {
            return Err(missing());
        }
        let whole = self.value.len() == self.len;
        self.next = (!whole).then(|| key + 1);
        Ok(whole.then_some((seq_of(key), self.value.as_slice())))
    }

    /// Fails if the last entry lacks a piece.
    pub fn end(&self) -> Result<(), Corrupt> {
        if self.next.is_some() { Err(missing()) } else { Ok(()) }
    }
}

#[cold]
fn missing() -> Corrupt {
    Corrupt::new("a feed entry: a piece is missing")
}

/// The key of a piece of a block's column. Pieces that fill pages and those that share them lie
/// apart, so that a small one never makes a large one's page twice as big.
pub fn part_key(id: BlockId, column: ColumnId, piece: usize, len: usize) -> u128 {
    let large = u128::from(fills_a_page(len));
    large << 127 | u128::from(id) << 40 | u128::from(column.0) << 16 | piece as u128
}

/// The block that the piece `key` belongs to.
pub const fn block_of(key: u128) -> BlockId {
    (key << 1 >> 41) as BlockId
}

/// The range of keys of all small (`false`) or large (`true`) pieces of a block.
pub fn part_range(id: BlockId, large: bool) -> std::ops::RangeInclusive<u128> {
    let first = u128::from(large) << 127 | u128::from(id) << 40;
    first..=(first | ((1 << 40) - 1))
}

/// The pieces of a column's framed `value`, with their keys.
pub fn part_pieces<E>(
    id: BlockId,
    column: ColumnId,
    value: &[u8],
    mut each: impl FnMut(u128, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest = value;
    for (n, len) in cut(value.len()).enumerate() {
        let (piece, others) = rest.split_at(len);
        each(part_key(id, column, n, len), piece)?;
        rest = others;
    }
    Ok(())
}

/// Calls `f` with the framed value of a column that is `len` bytes long. `get` finds a piece by
/// its key, `bytes` are those of a piece. A value in one piece is not copied.
pub fn join_part<P, R, E: From<Corrupt>>(
    (id, column, len): (BlockId, ColumnId, usize),
    mut get: impl FnMut(u128) -> Result<Option<P>, E>,
    bytes: impl Fn(&P) -> &[u8],
    f: impl FnOnce(&[u8]) -> Result<R, E>,
) -> Result<R, E> {
    let missing = || Corrupt::new(format!("column {} of block {id}: a piece is missing", column.0));
    let mut piece = |n: usize, piece_len: usize| -> Result<P, E> {
        let piece = get(part_key(id, column, n, piece_len))?;
        Ok(piece.filter(|piece| bytes(piece).len() == piece_len).ok_or_else(missing)?)
    };
    if cut(len).next() == Some(len) {
        return f(bytes(&piece(0, len)?));
    }
    let mut whole = Vec::with_capacity(len.min(RESERVED_MAX));
    for (n, piece_len) in cut(len).enumerate() {
        whole.extend_from_slice(bytes(&piece(n, piece_len)?));
    }
    f(&whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn pieces(entries: &[(Seq, Vec<u8>)]) -> BTreeMap<u128, Vec<u8>> {
        let mut pieces = BTreeMap::new();
        for (first, value) in entries {
            entry_pieces(*first, value, |key, piece| {
                pieces.insert(key, piece.to_vec());
                Ok(())
            })
            .unwrap();
        }
        pieces
    }

    fn join(pieces: &BTreeMap<u128, Vec<u8>>) -> Result<Vec<(Seq, Vec<u8>)>, Corrupt> {
        let mut joiner = EntryJoiner::default();
        let mut entries = Vec::new();
        for (&key, piece) in pieces {
            entries.extend(joiner.add(key, piece)?.map(|(first, value)| (first, value.to_vec())));
        }
        joiner.end()?;
        Ok(entries)
    }

    #[test]
    fn a_missing_piece_of_an_entry_is_noticed() {
        let entries: Vec<(Seq, Vec<u8>)> =
            vec![(1, vec![1; 90]), (4, vec![0; 700_000]), (9, vec![2; 5000]), (u64::MAX, vec![3])];
        let whole = pieces(&entries);
        assert_eq!(join(&whole).unwrap(), entries);
        let in_pieces = whole.keys().filter(|&&key| [4, 9].contains(&seq_of(key)));
        assert!(in_pieces.clone().count() > 4);
        for key in in_pieces {
            let mut without = whole.clone();
            without.remove(key);
            assert!(join(&without).is_err(), "{key:x}");
        }
    }

    #[test]
    fn a_column_is_joined_of_pieces_of_their_lengths() {
        let value = vec![5; 300_000];
        let mut pieces = BTreeMap::new();
        let (id, column) = (u64::MAX, ColumnId::value(3));
        part_pieces::<Corrupt>(id, column, &value, |key, piece| {
            assert_eq!(block_of(key), id);
            pieces.insert(key, piece.to_vec());
            Ok(())
        })
        .unwrap();
        let join = |pieces: &BTreeMap<u128, Vec<u8>>, len| {
            let get = |key| Ok::<_, Corrupt>(pieces.get(&key));
            join_part((id, column, len), get, |piece| piece, |whole| Ok(whole.to_vec()))
        };
        assert_eq!(join(&pieces, value.len()), Ok(value.clone()));
        assert!(join(&pieces, value.len() + 1).is_err());
        for key in pieces.keys() {
            let mut shorter = pieces.clone();
            shorter.entry(*key).and_modify(|piece| piece.truncate(piece.len() - 1));
            assert!(join(&shorter, value.len()).is_err());
        }
    }
}
