//! Opaque cursors of row pages.
//!
//! A cursor is text that only this program reads: hexadecimal digits of a kind, a
//! position, and a fingerprint of whose rows were asked and how. A cursor continues exactly the
//! question that gave it; with another one it is refused and never mixes two lists. It grants
//! nothing: filters and row policy apply to every page anew.

use super::problem::QueryError;
use storage::engine::PageCursor;
use storage::row::Seq;
use xxhash_rust::xxh3::xxh3_64;

/// Where a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// Behind this row, newest first.
    After(PageCursor),
    /// At this seq, ascending.
    Seq(Seq),
}

/// Kind, two words of position, fingerprint.
const BYTES: usize = 1 + 8 + 8 + 8;

const KIND_AFTER: u8 = 1;
const KIND_SEQ: u8 = 2;

/// A fingerprint of what a list is made of.
pub(crate) fn fingerprint(parts: &str) -> u64 {
    xxh3_64(parts.as_bytes())
}

/// The text of a position in the list with that fingerprint.
pub(crate) fn encode(position: Position, fingerprint: u64) -> String {
    let (kind, ts, seq) = match position {
        Position::After((ts, seq)) => (KIND_AFTER, ts, seq),
        Position::Seq(seq) => (KIND_SEQ, 0, seq),
    };
    format!("{kind:02x}{:016x}{seq:016x}{fingerprint:016x}", ts as u64)
}

/// The position of a cursor that was given for the list with that fingerprint.
pub(crate) fn decode(cursor: &str, fingerprint: u64) -> Result<Position, QueryError> {
    let refuse = |detail: &str| Err(QueryError::invalid("/cursor", "bad_cursor", detail));
    let digits = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
    if cursor.len() != 2 * BYTES || !cursor.bytes().all(digits) {
        return refuse("this is no cursor: pass a `next_cursor` unchanged");
    }
    let word = |from: usize| u64::from_str_radix(&cursor[from..from + 16], 16).unwrap_or(u64::MAX);
    let (ts, seq, given_for) = (word(2), word(18), word(34));
    if given_for != fingerprint {
        return refuse("the cursor belongs to another list: start again without it");
    }
    match u8::from_str_radix(&cursor[..2], 16) {
        Ok(KIND_AFTER) => Ok(Position::After((ts as i64, seq))),
        Ok(KIND_SEQ) => Ok(Position::Seq(seq)),
        _ => refuse("this is no cursor: pass a `next_cursor` unchanged"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn foreign_text_is_refused() {
        let good = encode(Position::Seq(7), 9);
        assert!(decode(&good, 9).is_ok());
        for bad in ["", "x", &good[1..], &good.to_uppercase().replace('0', "A"), &"é".repeat(25)] {
            assert_eq!(decode(bad, 9).map_err(|e| e.code()), Err("bad_cursor"), "{bad}");
        }
        assert_eq!(decode(&good, 8).map_err(|e| e.code()), Err("bad_cursor"));
        let unknown_kind = format!("03{}", &good[2..]);
        assert_eq!(decode(&unknown_kind, 9).map_err(|e| e.code()), Err("bad_cursor"));
    }

    proptest! {
        #[test]
        fn positions_survive(ts: i64, seq: u64, print: u64) {
            for position in [Position::After((ts, seq)), Position::Seq(seq)] {
                let read = decode(&encode(position, print), print);
                prop_assert_eq!(read.ok(), Some(position));
            }
        }
    }
}
