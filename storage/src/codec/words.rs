//! Columns of words: the table of distinct words and a code per row, together or apart.
//!
//! **Table**:
//!
//! ```text
//! +--------------+----------------------+-----------------------------------+
//! | words varint | n << 2 | form varint | what the form says                |
//! +--------------+----------------------+-----------------------------------+
//! ```
//!
//! - form 0: `n` bytes of text, UTF-8, all words joined in the order of their codes, the first of
//!   which is 1. Then the length of each word in bytes, a column of u32 ([`ints`]), left out if
//!   there is one word. There are no more words than bytes of text and one.
//! - form 1: as form 0, but the text is packed: length varint, LZ4 block.
//! - form 2: all words begin with the same `n` bytes, which come first, and go on with
//!   - a byte 0, digits varint, then that many lower-case hexadecimal digits of each word, two a
//!     byte, the first in the high half; the low half of a last odd one is 0;
//!   - or a byte 1 and a column of u64 ([`ints`]): decimal numbers without leading zeros;
//!   - or a byte 2 and a list of UUIDs ([`uuids`](super::uuids)) in their canonical form.
//!
//! **Codes** are a column of u32 ([`ints`]), 0 is absent; no bytes at all if no row has a word.
//!
//! **Both** as one value: the length of the table as a varint, the table, the codes.

use super::cursor::{Cursor, put_part, put_varint};
use super::{ROWS_MAX, ints, lz};
use crate::error::Corrupt;
use crate::words::{WordTable, Words};

mod alike;

/// Longest joined text of a table. Sealed blocks stay far below: 64 Ki rows with a command line of
/// 4 KiB each are a quarter of this.
const TEXT_MAX: usize = 1 << 30;

/// Most words that a byte of a table can stand for. Words are distinct, so it is hardly more than
/// numbers that count up that could be shorter; a table of such is written as text.
const WORDS_PER_BYTE_MAX: usize = 64;

/// The low bits of a table's second number.
mod form {
    pub(super) const TEXT: usize = 0;
    pub(super) const PACKED: usize = 1;
    pub(super) const ALIKE: usize = 2;
    pub(super) const BITS: usize = 2;
}

/// Appends the encoded table of words, which are distinct; their order is kept.
pub fn encode_table(table: &WordTable, out: &mut Vec<u8>) {
    let at = out.len();
    let is_readable = |out: &[u8]| table.len() <= (out.len() - at) * WORDS_PER_BYTE_MAX;
    encode_texts(table, out);
    for pack in [true, false] {
        if !is_readable(out) {
            out.truncate(at);
            put_varint(table.len() as u64, out);
            encode_text(table, pack, out);
        }
    }
}

/// The table of words in `bytes`.
pub fn decode_table(bytes: &[u8]) -> Result<WordTable, Corrupt> {
    let mut cursor = Cursor::new(bytes, "a table of words");
    let words = cursor.count(bytes.len().saturating_mul(WORDS_PER_BYTE_MAX).min(ROWS_MAX))?;
    decode_words_of(cursor, words)
}

/// Appends a table of words that need not be distinct.
pub(super) fn encode_texts(table: &WordTable, out: &mut Vec<u8>) {
    put_varint(table.len() as u64, out);
    if !alike::encode(table, out) {
        encode_text(table, true, out);
    }
}

/// The table of exactly `words` words, not all of them distinct, in `bytes`.
pub(super) fn decode_texts(bytes: &[u8], words: usize) -> Result<WordTable, Corrupt> {
    let mut cursor = Cursor::new(bytes, "a list of texts");
    if cursor.count(ROWS_MAX)? != words {
        return Err(cursor.damaged());
    }
    decode_words_of(cursor, words)
}

/// Appends the joined words, packed if `pack` and if that is shorter.
fn encode_text(table: &WordTable, pack: bool, out: &mut Vec<u8>) {
    let text = table.text().as_bytes();
    let form_of = |form| (text.len() << form::BITS | form) as u64;
    match lz::squeeze(text).filter(|_| pack) {
        None => {
            put_varint(form_of(form::TEXT), out);
            out.extend_from_slice(text);
        }
        Some(packed) => {
            put_varint(form_of(form::PACKED), out);
            put_part(&packed, out);
        }
    }
    if table.len() > 1 {
        let mut start = 0;
        let lengths: Vec<u32> =
            table.ends().iter().map(|&end| end - std::mem::replace(&mut start, end)).collect();
        ints::encode_u32s(&lengths, out);
    }
}

fn decode_words_of(mut cursor: Cursor<'_>, words: usize) -> Result<WordTable, Corrupt> {
    let head = cursor.count(TEXT_MAX << form::BITS)?;
    let len = head >> form::BITS;
    let text = match head & ((1 << form::BITS) - 1) {
        form::TEXT => cursor.take(len)?.to_vec(),
        form::PACKED => {
            let packed = cursor.part()?;
            lz::unsqueeze(packed, len, &cursor)?
        }
        form::ALIKE => return alike::decode(cursor, len, words),
        _ => return Err(cursor.damaged()),
    };
    let damaged = cursor.damaged();
    let text = String::from_utf8(text).map_err(|_| cursor.damaged())?;
    let mut ends = Vec::new();
    if words == 1 {
        ends.push(text.len() as u32);
        cursor.end()?;
    } else if words <= text.len() + 1 {
        ints::decode_u32s(cursor.rest(), words, &mut ends)?;
        let mut end = 0_u32;
        for word in &mut ends {
            end = end.checked_add(*word).ok_or_else(|| damaged.clone())?;
            *word = end;
        }
    } else {
        return Err(damaged);
    }
    WordTable::from_parts(text, ends).ok_or(damaged)
}

/// Appends the encoded codes of a column of words; none if every row is absent.
pub fn encode_codes(codes: &[u32], out: &mut Vec<u8>) {
    ints::encode_u32s(codes, out);
}

/// The `rows` codes in `bytes`, none above `words` (the length of their table). None at all if
/// every row is absent.
pub fn decode_codes(bytes: &[u8], rows: usize, words: usize) -> Result<Vec<u32>, Corrupt> {
    let mut codes = Vec::new();
    if !bytes.is_empty() {
        ints::decode_u32s(bytes, rows, &mut codes)?;
    }
    let highest = codes.iter().fold(0, |highest, &code| code.max(highest));
    if highest as usize > words {
        return Err(Corrupt::new("a column of words: a code beyond its table"));
    }
    Ok(codes)
}

/// Appends table and codes of a column of `rows` rows as one value.
pub fn encode_words(words: &Words, rows: usize, out: &mut Vec<u8>) {
    debug_assert!(words.codes.is_empty() || words.codes.len() == rows);
    let mut table = Vec::with_capacity(words.table.text().len() + words.table.len() + 8);
    encode_table(&words.table, &mut table);
    put_part(&table, out);
    encode_codes(&words.codes, out);
}

/// The column of `rows` words in `bytes`.
pub fn decode_words(bytes: &[u8], rows: usize) -> Result<Words, Corrupt> {
    let mut cursor = Cursor::new(bytes, "a column of words");
    let table = decode_table(cursor.part()?)?;
    let codes = decode_codes(cursor.rest(), rows, table.len())?;
    Ok(Words { codes, table })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(words: &[String]) -> WordTable {
        let mut table = WordTable::default();
        for word in words {
            table.append(word);
        }
        table
    }

    fn check(words: &[String], codes: Vec<u32>) -> usize {
        let words = Words { codes, table: table(words) };
        let rows = words.codes.len();
        let mut out = Vec::new();
        encode_words(&words, rows, &mut out);
        assert_eq!(decode_words(&out, rows).unwrap(), words);
        out.len()
    }

    #[test]
    fn a_lone_word_costs_five_bytes_more() {
        assert_eq!(check(&["build".to_owned()], vec![1]), 5 + 5);
        check(&[], Vec::new());
        check(&[String::new()], vec![1, 0]);
        // Not what a table should be, but it must not be lost.
        check(&vec!["a".to_owned(); 10_000], vec![9_999]);
        check(&["é".into(), String::new(), "a".into()], vec![3, 2, 1]);
    }

    #[test]
    fn alike_words_are_packed() {
        let lines: Vec<String> =
            (0..5000).map(|n| format!("cargo test --package p{}", n % 700)).collect();
        assert!(check(&lines, (1..=5000).collect()) < 5000 * 10);
    }

    #[test]
    fn words_that_end_in_ids_are_taken_apart() {
        let hash = |n: usize| xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes());
        let check = |make: &dyn Fn(usize) -> String, bytes: usize| {
            let words: Vec<String> = (0..1000).map(make).collect();
            let len = check(&words, vec![1]) - 2;
            assert!(len < 1000 * bytes + 40, "{}: {len}", words[0]);
        };
        let uuid = |n: usize| uuid::Uuid::from_u64_pair(hash(n), hash(n + 1_000_000)).to_string();
        check(&|n| uuid(n), 16);
        check(&|n| format!("session/{}", uuid(n)), 16);
        check(&|n| format!("0190abcd-{}", &uuid(n)[9..]), 16);
        check(&|n| format!("s-{:08x}", hash(n) >> 32), 4);
        check(&|n| format!("host-{}", n * n), 3);
        check(&|n| format!("user-{n:04}"), 2);
        // Numbers that count up take next to nothing, which a table must not: see there.
        check(&|n| format!("run {n}"), 5);
    }

    #[test]
    fn codes_beyond_the_table_are_refused() {
        let mut out = Vec::new();
        encode_codes(&[1, 2, 3], &mut out);
        assert!(decode_codes(&out, 3, 3).is_ok());
        assert!(decode_codes(&out, 3, 2).is_err());
    }

    #[test]
    fn text_that_is_not_utf8_is_refused() {
        let mut out = Vec::new();
        encode_table(&table(&["é".into(), "a".into()]), &mut out);
        let at = out.windows(2).position(|w| w == "é".as_bytes()).unwrap();
        let mut bad = out.clone();
        bad[at] = 0xff;
        assert!(decode_table(&bad).is_err());
        // Still UTF-8, but the first word would end inside a character.
        let swapped = [&out[..at], "aé".as_bytes(), &out[at + 3..]].concat();
        assert!(decode_table(&swapped).is_err());
    }

    proptest! {
        #[test]
        fn every_column_round_trips(
            words in proptest::collection::vec(".{1,20}", 0..300),
            picks in proptest::collection::vec(any::<u32>(), 0..600),
        ) {
            let codes = picks.iter().map(|p| p % (words.len() as u32 + 1)).collect();
            check(&words, codes);
        }

        #[test]
        fn damage_is_refused_or_decoded(
            words in proptest::collection::vec("[a-c]{1,9}", 0..40),
            at in any::<prop::sample::Index>(), xor in 1_u8.., cut in any::<bool>(),
        ) {
            let mut out = Vec::new();
            encode_table(&table(&words), &mut out);
            let at = at.index(out.len());
            out[at] ^= xor;
            out.truncate(if cut { at } else { out.len() });
            if let Ok(back) = decode_table(&out) {
                prop_assert_eq!(back.iter().count(), back.len());
            }
            let _ = decode_words(&out, 7);
        }
    }
}
