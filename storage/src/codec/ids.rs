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
//! **UUIDs** begin with a form:
//!
//! - 0: 16 bytes each.
//! - 1: all have one version and the variant `10`, which leaves 122 bits to be stored. A byte with
//!   the version; length varint and a column of u32 ([`ints`]) with ten bits each, the low four of
//!   byte 6 above the low six of byte 8; then 14 bytes each: bytes 0 to 5, 7, and 9 to 15.
//! - 2: as form 1, with the first six bytes (big endian, the milliseconds of a UUID of version 7)
//!   as a column of u64 ([`ints`]) with its length before it, between the ten bits and the rest,
//!   which is then 8 bytes each: bytes 7 and 9 to 15.
//!
//! **Texts** begin with a form, too:
//!
//! - 0: a table of words ([`words`](super::words)), one word a row.
//! - 1: all begin alike and end in equally many lower-case hexadecimal digits: the prefix with its
//!   length before it, how many digits as a varint, then the digits of each text, two a byte, the
//!   first in the high half; the low half of the last byte is 0 if their number is odd.
//! - 2: all begin alike and end in a decimal number without leading zeros: the prefix with its length
//!   before it, then the numbers as a column of u64 ([`ints`]).

use super::cursor::{Cursor, put_part, put_varint};
use super::words::{decode_table, encode_table};
use super::{ROWS_MAX, ints};
use crate::batch::Ids;
use crate::error::Corrupt;

mod text;

/// Longest prefix, with its digits, of texts that are taken apart: the longest id there is.
const TEXT_MAX: usize = 128;

/// Fewer UUIDs are stored whole: what taking them apart saves would not pay for its own bytes.
const APART_MIN: usize = 64;

/// The bytes of a column's first byte.
mod kind {
    pub(super) const UUIDS: u8 = 0;
    pub(super) const TEXTS: u8 = 1;
    pub(super) const MIXED: u8 = 2;
}

mod form {
    pub(super) const WHOLE: u8 = 0;
    pub(super) const VERSIONED: u8 = 1;
    pub(super) const TIMED: u8 = 2;
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
            text::encode(&ids.texts, &ids.slots, out);
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
            text::encode(&ids.texts, &codes, out);
        }
    }
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
    let table = text::decode(cursor.rest(), texts)?;
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

/// The version of `uuid` if its variant is the usual one.
fn version(uuid: &[u8; 16]) -> Option<u8> {
    (uuid[8] >> 6 == 0b10).then_some(uuid[6] >> 4)
}

fn encode_uuids(uuids: &[[u8; 16]], out: &mut Vec<u8>) {
    let shared = version(&uuids[0])
        .filter(|&v| uuids.len() >= APART_MIN && uuids.iter().all(|u| version(u) == Some(v)));
    let Some(shared) = shared else {
        out.reserve(uuids.len() * 16 + 1);
        out.push(form::WHOLE);
        out.extend_from_slice(uuids.as_flattened());
        return;
    };
    let mut times = Vec::new();
    if shared == 7 {
        let time = |u: &[u8; 16]| u64::from_be_bytes([0, 0, u[0], u[1], u[2], u[3], u[4], u[5]]);
        ints::encode_u64s(&uuids.iter().map(time).collect::<Vec<_>>(), &mut times);
    }
    // Sorting by anything else than the id would leave the times as wide as they are.
    let timed = !times.is_empty() && times.len() < uuids.len() * 5;
    let tens: Vec<u32> =
        uuids.iter().map(|u| u32::from(u[6] & 15) << 6 | u32::from(u[8] & 63)).collect();
    let mut column = Vec::new();
    ints::encode_u32s(&tens, &mut column);
    out.reserve(uuids.len() * 16 + 32);
    out.extend_from_slice(&[if timed { form::TIMED } else { form::VERSIONED }, shared]);
    put_part(&column, out);
    if timed {
        put_part(&times, out);
        for u in uuids {
            out.extend_from_slice(&[u[7], u[9], u[10], u[11], u[12], u[13], u[14], u[15]]);
        }
    } else {
        for u in uuids {
            let mut rest = [0; 14];
            rest[..6].copy_from_slice(&u[..6]);
            rest[6] = u[7];
            rest[7..].copy_from_slice(&u[9..]);
            out.extend_from_slice(&rest);
        }
    }
}

fn decode_uuids(bytes: &[u8], count: usize) -> Result<Vec<[u8; 16]>, Corrupt> {
    let mut cursor = Cursor::new(bytes, "a column of uuids");
    let form = cursor.byte()?;
    if form == form::WHOLE {
        let (uuids, rest) = cursor.clone().rest().as_chunks();
        return if uuids.len() == count && rest.is_empty() {
            Ok(uuids.to_vec())
        } else {
            Err(cursor.damaged())
        };
    }
    let version = cursor.byte()?;
    let (mut tens, mut times) = (Vec::new(), Vec::new());
    ints::decode_u32s(cursor.part()?, count, &mut tens)?;
    if version > 15 || tens.iter().any(|&ten| ten >= 1 << 10) {
        return Err(cursor.damaged());
    }
    if form == form::TIMED {
        ints::decode_u64s(cursor.part()?, count, &mut times)?;
    } else if form != form::VERSIONED {
        return Err(cursor.damaged());
    }
    let each = if form == form::TIMED { 8 } else { 14 };
    let rests = cursor.take(count * each)?;
    cursor.end()?;
    let mut uuids = vec![[0; 16]; count];
    if form == form::TIMED {
        for ((uuid, time), rest) in uuids.iter_mut().zip(times).zip(rests.as_chunks::<8>().0) {
            uuid[..6].copy_from_slice(&time.to_be_bytes()[2..]);
            uuid[7] = rest[0];
            uuid[9..].copy_from_slice(&rest[1..]);
        }
    } else {
        for (uuid, rest) in uuids.iter_mut().zip(rests.as_chunks::<14>().0) {
            uuid[..6].copy_from_slice(&rest[..6]);
            uuid[7] = rest[6];
            uuid[9..].copy_from_slice(&rest[7..]);
        }
    }
    for (uuid, ten) in uuids.iter_mut().zip(tens) {
        uuid[6] = version << 4 | (ten >> 6) as u8;
        uuid[8] = 0b10 << 6 | (ten & 63) as u8;
    }
    Ok(uuids)
}

#[cfg(test)]
mod tests;
