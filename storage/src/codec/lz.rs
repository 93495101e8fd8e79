//! LZ4 where it pays.
//!
//! A compressed part is an LZ4 block (the raw block format, no frame) whose unpacked length is
//! stored before it by whoever uses it.

use super::cursor::Cursor;
use crate::error::Corrupt;
use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};

/// Shorter parts are left alone: what could be saved does not pay for the call.
const INPUT_MIN: usize = 64;

/// How much of a long part is tried first. Packed columns are alike from end to end, so what does
/// not shrink here does not shrink at all, and the rest is not even looked at.
const SAMPLE: usize = 16 * 1024;

/// A part must shrink by at least one in this many bytes to be worth the time to unpack it.
const SAVED_MIN: usize = 8;

/// What a byte of an LZ4 block can stand for at most: a length byte adds 255.
const EXPANSION_MAX: usize = 256;

/// The compressed form of `part`, if that is clearly shorter.
pub(super) fn squeeze(part: &[u8]) -> Option<Vec<u8>> {
    if part.len() < INPUT_MIN {
        return None;
    }
    if part.len() >= 2 * SAMPLE {
        squeeze_all(&part[..SAMPLE])?;
    }
    squeeze_all(part)
}

fn squeeze_all(part: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![0; get_maximum_output_size(part.len())];
    let len = compress_into(part, &mut out).ok()?;
    out.truncate(len);
    (len <= part.len() - part.len() / SAVED_MIN).then_some(out)
}

/// The `len` bytes that `packed` stands for. `len` comes from the stored bytes too: one that such
/// a block cannot reach is refused before anything is allocated.
pub(super) fn unsqueeze(packed: &[u8], len: usize, what: &Cursor<'_>) -> Result<Vec<u8>, Corrupt> {
    if len / EXPANSION_MAX > packed.len() {
        return Err(what.damaged());
    }
    let mut out = vec![0; len];
    match decompress_into(packed, &mut out) {
        Ok(found) if found == len => Ok(out),
        _ => Err(what.damaged()),
    }
}
