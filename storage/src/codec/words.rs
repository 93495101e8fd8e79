//! Columns of words: the table of distinct words and a code per row, together or apart.

use super::ints;
use crate::error::Corrupt;
use crate::words::{WordTable, Words};

/// Appends the encoded table of words; their order is kept.
pub fn encode_table(table: &WordTable, out: &mut Vec<u8>) {
    out.extend_from_slice(&(table.len() as u32).to_le_bytes());
    ints::encode_u32s(table.ends(), out);
    out.extend_from_slice(table.text().as_bytes());
}

/// The table of words in `bytes`.
pub fn decode_table(bytes: &[u8]) -> Result<WordTable, Corrupt> {
    let damaged = || Corrupt::new("a table of words");
    let (len, rest) = bytes.split_first_chunk::<4>().ok_or_else(damaged)?;
    let len = u32::from_le_bytes(*len) as usize;
    let (ends_bytes, text) = rest.split_at_checked(len * 4).ok_or_else(damaged)?;
    let mut ends = Vec::new();
    ints::decode_u32s(ends_bytes, len, &mut ends)?;
    let text = String::from_utf8(text.to_vec()).map_err(|_| damaged())?;
    WordTable::from_parts(text, ends).ok_or_else(damaged)
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
    if codes.iter().any(|&c| c as usize > words) {
        return Err(Corrupt::new("a column of words: a code beyond its table"));
    }
    Ok(codes)
}

/// Appends table and codes of a column of `rows` rows as one value.
pub fn encode_words(words: &Words, rows: usize, out: &mut Vec<u8>) {
    debug_assert!(words.codes.is_empty() || words.codes.len() == rows);
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    encode_table(&words.table, out);
    let len = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&len.to_le_bytes());
    encode_codes(&words.codes, out);
}

/// The column of `rows` words in `bytes`.
pub fn decode_words(bytes: &[u8], rows: usize) -> Result<Words, Corrupt> {
    let damaged = || Corrupt::new("a column of words");
    let (len, rest) = bytes.split_first_chunk::<4>().ok_or_else(damaged)?;
    let (table, codes) =
        rest.split_at_checked(u32::from_le_bytes(*len) as usize).ok_or_else(damaged)?;
    let table = decode_table(table)?;
    let codes = decode_codes(codes, rows, table.len())?;
    Ok(Words { codes, table })
}
