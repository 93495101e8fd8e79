//! Entries of the feed, its head, and the cursors of those who follow it.
//!
//! ```text
//! rows     (kind 3): last_seq varint | small batch
//! removed  (kind 4): last_seq varint | seqs that went
//! replaced (kind 5): last_seq varint | length varint, seqs that went | small batch
//! head     (kind 6): next_seq varint
//! ```
//!
//! Seqs that went: their number (varint) and an [`ints`] column. An entry's key is its first seq,
//! and the next entry's key is its last seq plus one: a gap is damage. The batch may hold fewer
//! rows than the entry has seqs, for rows that were removed later are removed here too.

use super::key::{Salt, kind};
use crate::batch::RowBatch;
use crate::codec::cursor::{Cursor, put_part, put_varint};
use crate::codec::frame::{self, Frame};
use crate::codec::{ROWS_MAX, ints, small};
use crate::engine::{FeedEntry, FeedItem};
use crate::error::{Corrupt, StoreError};
use crate::row::Seq;

/// Most seqs that an entry says went: a column has no more.
pub const REMOVED_MAX: usize = ROWS_MAX;

/// The seq that the head is sealed as. No row has it.
const HEAD: Seq = Seq::MAX;

/// What an entry says, borrowed.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// Rows came.
    Rows(&'a RowBatch),
    /// Rows with these seqs went.
    Removed(&'a [Seq]),
    /// Rows with these seqs went, and these rows came.
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

/// The stored form of an entry that takes the seqs `first..=last`. Fails where it could not be
/// read again: with more rows than [`small::encode_batch`] takes or more than [`REMOVED_MAX`]
/// seqs that went.
pub fn encode(salt: Salt, first: Seq, last: Seq, body: Body<'_>) -> Result<Vec<u8>, StoreError> {
    let (kind, removed, rows) = match body {
        Body::Rows(rows) => (kind::FEED_ROWS, None, Some(rows)),
        Body::Removed(seqs) => (kind::FEED_REMOVED, Some(seqs), None),
        Body::Replaced(seqs, rows) => (kind::FEED_REPLACED, Some(seqs), Some(rows)),
    };
    let mut out = Vec::with_capacity(rows.map_or(64, |rows| 64 + rows.len * 48));
    let frame = Frame::begin(&mut out, kind);
    put_varint(last, &mut out);
    if let Some(seqs) = removed {
        if seqs.len() > REMOVED_MAX {
            let what = "the number of rows to change at once";
            return Err(StoreError::OverLimit { what, limit: REMOVED_MAX });
        }
        let mut body = Vec::new();
        put_varint(seqs.len() as u64, &mut body);
        ints::encode_u64s(seqs, &mut body);
        put_part(&body, &mut out);
    }
    if let Some(rows) = rows {
        debug_assert!(is_whole(rows), "rows without ids, times or seqs");
        small::encode_batch(rows, &mut out)?;
    }
    frame.finish(&mut out, &salt.feed(first));
    Ok(out)
}

/// Reads the entry stored under `first`, which is at least 1; the last seq is below [`Seq::MAX`]. Its
/// rows have ids, times and seqs, these ascending within the span; the seqs that went ascend and lie
/// before it.
pub fn decode(salt: Salt, first: Seq, value: &[u8]) -> Result<FeedItem, Corrupt> {
    let kind = *value.get(1).ok_or_else(|| Corrupt::new("a feed entry"))?;
    let payload = frame::open(&salt.feed(first), kind, value)?;
    let mut cursor = Cursor::new(payload, "a feed entry");
    let last = cursor.varint()?;
    if first == 0 || last < first || last == HEAD {
        return Err(cursor.damaged());
    }
    let mut removed = Vec::new();
    if matches!(kind, kind::FEED_REMOVED | kind::FEED_REPLACED) {
        let mut body = Cursor::new(cursor.part()?, "a feed entry");
        let n = body.count(REMOVED_MAX)?;
        ints::decode_u64s(body.rest(), n, &mut removed)?;
        if !ascend(&removed) || removed.last().is_some_and(|&seq| seq >= first) {
            return Err(Corrupt::new("a feed entry: what went did not come before it"));
        }
    }
    let entry = match kind {
        kind::FEED_ROWS => FeedEntry::Rows(small::decode_batch(cursor.rest())?),
        kind::FEED_REMOVED => {
            cursor.end()?;
            FeedEntry::Removed { seq: first, rows: removed }
        }
        kind::FEED_REPLACED => {
            FeedEntry::Replaced { removed, rows: small::decode_batch(cursor.rest())? }
        }
        _ => return Err(cursor.damaged()),
    };
    if let Some(rows) = entry.rows() {
        if !is_whole(rows) {
            return Err(Corrupt::new("a feed entry: its rows lack a column"));
        }
        if !ascend(&rows.seq)
            || rows.seq.first().is_some_and(|&seq| seq < first)
            || rows.seq.last().is_some_and(|&seq| seq > last)
        {
            return Err(Corrupt::new("a feed entry: its rows lie outside of it"));
        }
    }
    Ok(FeedItem { first, last, entry })
}

/// Whether there is all that every row has: whoever reads rows of the tail counts on it.
fn is_whole(rows: &RowBatch) -> bool {
    [rows.ids.slots.len(), rows.ts.len(), rows.received.len(), rows.seq.len()] == [rows.len; 4]
}

fn ascend(seqs: &[Seq]) -> bool {
    seqs.is_sorted_by(|a, b| a < b)
}

/// The stored form of the head: the next seq.
pub fn seal_head(salt: Salt, next_seq: Seq) -> Vec<u8> {
    let mut payload = Vec::new();
    put_varint(next_seq, &mut payload);
    frame::seal(&salt.feed(HEAD), kind::HEAD, &payload)
}

/// The next seq as the head says it, at least 1.
pub fn open_head(salt: Salt, value: &[u8]) -> Result<Seq, Corrupt> {
    let mut cursor =
        Cursor::new(frame::open(&salt.feed(HEAD), kind::HEAD, value)?, "a feed's head");
    let next_seq = cursor.varint()?;
    if next_seq == 0 {
        return Err(cursor.damaged());
    }
    cursor.end()?;
    Ok(next_seq)
}

/// The value of a durable cursor: the next seq that its consumer wants (u64, little endian).
pub fn encode_cursor(next_seq: Seq) -> [u8; 8] {
    next_seq.to_le_bytes()
}

/// Reads the value of a durable cursor.
pub fn decode_cursor(value: &[u8]) -> Result<Seq, Corrupt> {
    let bytes = value.try_into().map_err(|_| Corrupt::new("a feed cursor"))?;
    Ok(Seq::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::RowBatchBuilder;
    use crate::row::{Actor, Row, RowId, Status};

    const SALT: Salt = Salt(3);

    fn rows(seqs: &[Seq]) -> RowBatch {
        let mut builder = RowBatchBuilder::default();
        for &seq in seqs {
            builder.push(&Row {
                id: RowId::Uuid([seq as u8; 16]),
                ts_ms: 5,
                ts_given: true,
                received_ms: 6,
                words: [""; 9],
                status: Status::Success,
                actor: Actor::Human,
                duration_us: None,
                exit_code: None,
                labels: &[],
                values: &[],
            });
        }
        RowBatch { seq: seqs.to_vec(), ..builder.finish() }
    }

    #[track_caller]
    fn check(first: Seq, last: Seq, body: Body<'_>, good: bool) {
        let read = decode(SALT, first, &encode(SALT, first, last, body).unwrap());
        assert_eq!(read.is_ok(), good, "{first}..={last} {body:?}: {read:?}");
    }

    #[test]
    fn seqs_lie_in_the_span_of_their_entry() {
        check(3, 5, Body::Rows(&rows(&[3, 4, 5])), true);
        check(3, 5, Body::Rows(&rows(&[4])), true);
        check(3, 5, Body::Rows(&rows(&[])), true);
        check(3, 5, Body::Rows(&rows(&[2, 3])), false);
        check(3, 5, Body::Rows(&rows(&[5, 6])), false);
        check(3, 5, Body::Rows(&rows(&[4, 4])), false);
        check(3, 2, Body::Rows(&rows(&[])), false);
        check(0, 2, Body::Rows(&rows(&[1])), false);
        check(3, Seq::MAX, Body::Rows(&rows(&[3])), false);
    }

    #[test]
    fn what_went_came_before() {
        check(9, 9, Body::Removed(&[1, 2, 8]), true);
        check(9, 9, Body::Removed(&[]), true);
        check(9, 9, Body::Removed(&[2, 1]), false);
        check(9, 9, Body::Removed(&[2, 2]), false);
        check(9, 9, Body::Removed(&[9]), false);
        check(9, 9, Body::Replaced(&[8], &rows(&[9])), true);
        check(9, 9, Body::Replaced(&[10], &rows(&[9])), false);
    }

    #[test]
    fn rows_without_ids_times_or_seqs_are_refused() {
        let whole = rows(&[1, 2]);
        let lacking = [
            RowBatch { ids: Default::default(), ..whole.clone() },
            RowBatch { ts: Vec::new(), ..whole.clone() },
            RowBatch { received: Vec::new(), ..whole.clone() },
            RowBatch { seq: Vec::new(), ..whole.clone() },
        ];
        for rows in lacking {
            let mut value = Vec::new();
            let frame = Frame::begin(&mut value, kind::FEED_ROWS);
            put_varint(2, &mut value);
            small::encode_batch(&rows, &mut value).unwrap();
            frame.finish(&mut value, &SALT.feed(1));
            let read = decode(SALT, 1, &value);
            assert!(read.is_err_and(|e| e.what.contains("lack a column")), "{rows:?}");
        }
        check(1, 2, Body::Rows(&whole), true);
    }

    #[test]
    fn no_entry_is_written_that_could_not_be_read() {
        let seqs: Vec<Seq> = (1..=REMOVED_MAX as Seq + 1).collect();
        let first = seqs.len() as Seq + 1;
        check(first, first, Body::Removed(&seqs[1..]), true);
        let over = encode(SALT, first, first, Body::Removed(&seqs));
        assert!(matches!(over, Err(StoreError::OverLimit { limit: REMOVED_MAX, .. })));
    }

    #[test]
    fn heads_and_cursors_are_a_seq_and_nothing_else() {
        assert_eq!(open_head(SALT, &seal_head(SALT, 7)), Ok(7));
        assert!(open_head(SALT, &seal_head(SALT, 0)).is_err());
        let longer = frame::seal(&SALT.feed(HEAD), kind::HEAD, &[7, 0]);
        assert!(open_head(SALT, &longer).is_err());
        assert_eq!(decode_cursor(&encode_cursor(7)), Ok(7));
        assert!(decode_cursor(&[0; 7]).is_err() && decode_cursor(&[0; 9]).is_err());
    }
}
