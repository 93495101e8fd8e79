//! The column of row ids.
//!
//! A column of no rows is no bytes. Otherwise:
//!
//! ```text
//! +---------+--------------------------------+-------------------------+-------------------+
//! | kind u8 | mixed only: length varint,     | kinds 0 and 2: length   | kinds 1 and 2:    |
//! |         | column of u8 ([`ints`]): 1 for | varint, UUIDs, in the   | texts, in the     |
//! |         | a text, 0 for a UUID           | order of their rows     | order of the rows |
//! +---------+--------------------------------+-------------------------+-------------------+
//! ```
//!
//! Kind 0 has only UUIDs, 1 only texts, 2 both.
//!
//! UUIDs are laid out as [`uuids`](super::uuids) says. Texts are a table of words
//! ([`words`](super::words)), one word a row, whether or not it was there before.

use super::cursor::{Cursor, put_part};
use super::uuids::{decode_uuids, encode_uuids};
use super::words::{decode_texts, encode_texts};
use super::{ROWS_MAX, ints};
use crate::batch::Ids;
use crate::error::Corrupt;
use crate::words::WordTable;

/// The bytes of a column's first byte.
mod kind {
    pub(super) const UUIDS: u8 = 0;
    pub(super) const TEXTS: u8 = 1;
    pub(super) const MIXED: u8 = 2;
}

/// Appends the encoded ids of `rows` rows.
pub fn encode_ids(ids: &Ids, rows: usize, out: &mut Vec<u8>) {
    debug_assert!(ids.slots.len() == rows && rows <= ROWS_MAX);
    let texts = ids.is_text.iter().filter(|&&text| text).count();
    let mut body = Vec::new();
    match (rows, texts) {
        (0, _) => {}
        (_, 0) => {
            out.push(kind::UUIDS);
            encode_uuids(&ids.slots, &mut body);
            put_part(&body, out);
        }
        _ if texts == rows => {
            out.push(kind::TEXTS);
            encode_texts(&texts_of(&ids.texts, &ids.slots), out);
        }
        _ => {
            out.push(kind::MIXED);
            let flags: Vec<u8> = ids.is_text.iter().map(|&text| u8::from(text)).collect();
            ints::encode_u8s(&flags, &mut body);
            put_part(&body, out);
            let (mut uuids, mut codes) = (Vec::new(), Vec::new());
            for (slot, &text) in ids.slots.iter().zip(&ids.is_text) {
                if text { codes.push(*slot) } else { uuids.push(*slot) }
            }
            body.clear();
            encode_uuids(&uuids, &mut body);
            put_part(&body, out);
            encode_texts(&texts_of(&ids.texts, &codes), out);
        }
    }
}

/// The texts whose codes are in `slots`, in their order.
fn texts_of(table: &WordTable, slots: &[[u8; 16]]) -> WordTable {
    let mut texts = WordTable::default();
    for &[a, b, c, d, ..] in slots {
        texts.append(table.get(u32::from_le_bytes([a, b, c, d])).unwrap_or_default());
    }
    texts
}

/// The ids of `rows` rows in `bytes`. Their texts are in the order of the rows, as a
/// [`RowBatchBuilder`](crate::batch::RowBatchBuilder) makes them.
pub fn decode_ids(bytes: &[u8], rows: usize) -> Result<Ids, Corrupt> {
    let mut cursor = Cursor::new(bytes, "a column of ids");
    if rows > ROWS_MAX {
        return Err(cursor.damaged());
    }
    if rows == 0 {
        cursor.end()?;
        return Ok(Ids::default());
    }
    let kind = cursor.byte()?;
    let mut is_text = Vec::new();
    let mut texts = 0;
    match kind {
        kind::UUIDS => {}
        kind::TEXTS => {
            texts = rows;
            is_text = vec![true; rows];
        }
        kind::MIXED => {
            let mut flags = Vec::new();
            ints::decode_u8s(cursor.part()?, rows, &mut flags)?;
            texts = flags.iter().filter(|&&flag| flag == 1).count();
            if texts == 0 || texts == rows || flags.iter().any(|&flag| flag > 1) {
                return Err(cursor.damaged());
            }
            is_text = flags.iter().map(|&flag| flag == 1).collect();
        }
        _ => return Err(cursor.damaged()),
    }
    let uuids = if texts < rows { decode_uuids(cursor.part()?, rows - texts)? } else { Vec::new() };
    if texts == 0 {
        cursor.end()?;
        return Ok(Ids { slots: uuids, ..Ids::default() });
    }
    let table = decode_texts(cursor.rest(), texts)?;
    Ok(Ids { slots: merge(&uuids, &is_text), is_text, texts: table })
}

/// The slots of a column whose texts have the codes 1, 2, 3, … in the order of their rows.
fn merge(uuids: &[[u8; 16]], is_text: &[bool]) -> Vec<[u8; 16]> {
    let mut uuids = uuids.iter();
    let mut code = 0_u32;
    let mut slot = |&text: &bool| {
        let mut slot = [0; 16];
        if text {
            code += 1;
            slot[..4].copy_from_slice(&code.to_le_bytes());
        } else if let Some(uuid) = uuids.next() {
            slot = *uuid;
        }
        slot
    };
    is_text.iter().map(&mut slot).collect()
}

#[cfg(test)]
mod tests;
