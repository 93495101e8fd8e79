//! A list of UUIDs of 16 bytes each.
//!
//! It begins with a form:
//!
//! - 0: 16 bytes each.
//! - 1: all have one version and the variant `10`, which leaves 122 bits to be stored. A byte with
//!   the version; length varint and a column of u32 ([`ints`]) with ten bits each, the low four of
//!   byte 6 above the low six of byte 8; then 14 bytes each: bytes 0 to 5, 7, and 9 to 15.
//! - 2: as form 1, with the first six bytes (big endian, the milliseconds of a UUID of version 7)
//!   as a column of u64 ([`ints`]) with its length before it, between the ten bits and the rest,
//!   which is then 8 bytes each: bytes 7 and 9 to 15.

use super::cursor::{Cursor, put_part};
use super::ints;
use crate::error::Corrupt;

/// Fewer UUIDs are stored whole: what taking them apart saves would not pay for its own bytes.
const APART_MIN: usize = 64;

mod form {
    pub(super) const WHOLE: u8 = 0;
    pub(super) const VERSIONED: u8 = 1;
    pub(super) const TIMED: u8 = 2;
}

/// The version of `uuid` if its variant is the usual one.
fn version(uuid: &[u8; 16]) -> Option<u8> {
    (uuid[8] >> 6 == 0b10).then_some(uuid[6] >> 4)
}

/// Appends the list.
pub fn encode_uuids(uuids: &[[u8; 16]], out: &mut Vec<u8>) {
    let shared = uuids
        .first()
        .and_then(version)
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

/// The `count` UUIDs in `bytes`.
pub fn decode_uuids(bytes: &[u8], count: usize) -> Result<Vec<[u8; 16]>, Corrupt> {
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
