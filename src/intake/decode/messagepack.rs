//! MessagePack: an array of maps, or one map.
//!
//! The body is cut into rows by walking over its markers, which takes no memory however deep it
//! nests; each row is then read by `rmp-serde` on its own. So an error while cutting is the body's,
//! and one while reading a row is the row's.

use super::row::RowReader;
use super::{BodyError, Rows, Shape};
use crate::model::limits::DEPTH_MAX;
use crate::model::problem::row;
use rmp_serde::decode;

/// A body of one array, or of one map.
pub(super) fn decode(body: &[u8], shape: Shape, rows: &mut Rows<'_>) -> Result<(), BodyError> {
    if body.is_empty() {
        return Err(BodyError::Empty);
    }
    let (count, mut at) = match (shape, Head::read(body, 0)) {
        (Shape::Many, Some(Head { kind: Kind::Array, children, len })) => (children, len),
        _ => (1, 0),
    };
    let mut reader = RowReader::default();
    for index in 0..count {
        let end = skip(body, at).ok_or(BodyError::InvalidMessagePack { offset: at })?;
        // Counting is bounded by `rows_max`, so that `index` fits.
        self::row(index as usize, &body[at..end], &mut reader, rows)?;
        at = end;
    }
    if at == body.len() { Ok(()) } else { Err(BodyError::InvalidMessagePack { offset: at }) }
}

fn row<'a>(
    index: usize,
    raw: &'a [u8],
    reader: &mut RowReader<'a>,
    rows: &mut Rows<'_>,
) -> Result<(), BodyError> {
    rows.begin()?;
    if rows.is_too_large(index, raw) {
        return Ok(());
    }
    let mut from = rmp_serde::Deserializer::from_read_ref(raw);
    // The library counts down to zero and refuses there.
    from.set_max_depth(DEPTH_MAX + 1);
    match reader.read(&mut from) {
        Ok(()) => {}
        Err(decode::Error::DepthLimitExceeded) => {
            reader.at = None;
            let detail = format!("the row is nested deeper than {DEPTH_MAX}: send it flatter");
            reader.fail(row::TOO_DEEP, detail);
        }
        Err(_) => {
            let detail = "a value cannot be read as MessagePack: encode it again";
            reader.fail(row::INVALID_MESSAGEPACK, detail.to_owned());
        }
    }
    rows.settle(index, reader, raw);
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Array,
    Other,
}

/// The marker of a value with its length: what stands before its children.
struct Head {
    kind: Kind,
    /// How many values follow that belong to it.
    children: u64,
    /// Its bytes, those of text and numbers included.
    len: usize,
}

impl Head {
    /// The head at `at`, by the MessagePack specification's table of formats.
    fn read(bytes: &[u8], at: usize) -> Option<Self> {
        let number = |width: usize| -> Option<u64> {
            let digits = bytes.get(at + 1..at + 1 + width)?;
            Some(digits.iter().fold(0, |n, &byte| n << 8 | u64::from(byte)))
        };
        let sized = |width: usize, more: usize| -> Option<(Kind, u64, usize)> {
            let payload = usize::try_from(number(width)?).ok()?;
            Some((Kind::Other, 0, (1 + width + more).checked_add(payload)?))
        };
        let marker = *bytes.get(at)?;
        let (kind, children, len) = match marker {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => (Kind::Other, 0, 1),
            0x80..=0x8f => (Kind::Other, 2 * u64::from(marker & 0x0f), 1),
            0x90..=0x9f => (Kind::Array, u64::from(marker & 0x0f), 1),
            0xa0..=0xbf => (Kind::Other, 0, 1 + usize::from(marker & 0x1f)),
            0xc1 => return None,
            0xc4 | 0xd9 => sized(1, 0)?,
            0xc5 | 0xda => sized(2, 0)?,
            0xc6 | 0xdb => sized(4, 0)?,
            0xc7 => sized(1, 1)?,
            0xc8 => sized(2, 1)?,
            0xc9 => sized(4, 1)?,
            0xcc | 0xd0 => (Kind::Other, 0, 2),
            0xcd | 0xd1 => (Kind::Other, 0, 3),
            0xca | 0xce | 0xd2 => (Kind::Other, 0, 5),
            0xcb | 0xcf | 0xd3 => (Kind::Other, 0, 9),
            0xd4..=0xd8 => (Kind::Other, 0, 2 + (1 << (marker - 0xd4))),
            0xdc => (Kind::Array, number(2)?, 3),
            0xdd => (Kind::Array, number(4)?, 5),
            0xde => (Kind::Other, 2 * number(2)?, 3),
            0xdf => (Kind::Other, 2 * number(4)?, 5),
        };
        Some(Self { kind, children, len })
    }
}

/// Where the value that begins at `at` ends; `None` if it does not.
fn skip(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut left = 1_u64;
    while left > 0 {
        let head = Head::read(bytes, at)?;
        at = at.checked_add(head.len).filter(|&end| end <= bytes.len())?;
        // At most 2^33 a byte, so this cannot overflow.
        left = left - 1 + head.children;
    }
    Some(at)
}
