//! MessagePack documents: a map, or an array of maps.

use super::record::Reader;
use super::{BodyError, Rows};
use crate::model::execution::Execution;
use crate::process::admit::Refusal;
use serde::de::{Deserialize, DeserializeSeed, IgnoredAny};
use std::borrow::Cow;
use std::io::Cursor;

/// Deepest nesting: the array, an execution's two levels, and some for what is ignored.
const DEPTH_MAX: usize = 32;

/// Reads all rows of a body. MessagePack cannot be picked up again after an error: a body that
/// breaks off is refused whole.
pub(super) fn decode_document(body: &[u8], rows: &mut Rows<'_>) -> Result<(), BodyError> {
    let (count, rest) = array_header(body)?;
    let ends = row_ends(rest, count)?;
    let (mut reader, mut begin) = (Reader::default(), 0);
    let mut execution = Execution::default();
    for end in ends {
        let raw = &rest[begin..end];
        begin = end;
        let read = if raw.len() > rows.limits.row_bytes_max {
            Err(rows.too_long())
        } else {
            let mut decoder = rmp_serde::Deserializer::from_read_ref(raw);
            decoder.set_max_depth(DEPTH_MAX);
            let read = reader.begin(&mut execution).deserialize(&mut decoder);
            read.map_err(|e| Refusal::reject("invalid_msgpack", reader.pointer(), e.to_string()))
                .and_then(|()| reader.end())
        };
        rows.take(read.map(|()| &execution), || Cow::Owned(as_json(raw)))?;
        rows.warn(reader.unknown());
    }
    Ok(())
}

/// Where each of the `count` rows of `bytes` ends; the last one at the end of `bytes`.
fn row_ends(bytes: &[u8], count: usize) -> Result<Vec<usize>, BodyError> {
    let mut decoder = rmp_serde::Deserializer::new(Cursor::new(bytes));
    decoder.set_max_depth(DEPTH_MAX);
    let mut ends = Vec::new();
    for _ in 0..count {
        IgnoredAny::deserialize(&mut decoder).map_err(|e| malformed(&e.to_string()))?;
        ends.push(decoder.position() as usize);
    }
    match ends.last() {
        Some(&end) if end != bytes.len() => Err(malformed("bytes follow after its last row")),
        None if !bytes.is_empty() => Err(malformed("bytes follow after its last row")),
        _ => Ok(ends),
    }
}

fn malformed(detail: &str) -> BodyError {
    BodyError::Malformed { what: "MessagePack", detail: detail.to_owned() }
}

/// How many rows follow, and where they begin; a map alone is one row.
fn array_header(body: &[u8]) -> Result<(usize, &[u8]), BodyError> {
    match body {
        [] => Err(malformed("it is empty")),
        [head @ 0x90..=0x9f, rest @ ..] => Ok((usize::from(head & 0x0f), rest)),
        [0xdc, a, b, rest @ ..] => Ok((usize::from(u16::from_be_bytes([*a, *b])), rest)),
        [0xdd, a, b, c, d, rest @ ..] => Ok((u32::from_be_bytes([*a, *b, *c, *d]) as usize, rest)),
        [0xdc | 0xdd, ..] => Err(malformed("it ends within its first bytes")),
        _ => Ok((1, body)),
    }
}

/// A row as JSON, for whoever looks at it in the quarantine.
fn as_json(raw: &[u8]) -> Vec<u8> {
    rmp_serde::from_slice::<serde_json::Value>(raw)
        .ok()
        .and_then(|value| serde_json::to_vec(&value).ok())
        .unwrap_or_else(|| raw.to_vec())
}
