//! JSON: one object, an array of objects, or a line for each.
//!
//! The elements of an array are cut out first and then read one by one, as lines are. So an error
//! while cutting is the body's, and one while reading an element is the row's.

use super::row::RowReader;
use super::{BodyError, Rows};
use crate::model::limits::DEPTH_MAX;
use crate::model::problem::row;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// UTF-8's byte order mark, which some editors and shells write.
const BOM: &str = "\u{feff}";

/// A body of one object.
pub(super) fn one(body: &[u8], rows: &mut Rows<'_>) -> Result<(), BodyError> {
    let text = text_of(body)?;
    let raw: &RawValue = serde_json::from_str(text).map_err(invalid)?;
    let mut reader = RowReader::default();
    row(0, raw.get(), &mut reader, rows)
}

/// A body of an array, or of one object.
pub(super) fn many(body: &[u8], rows: &mut Rows<'_>) -> Result<(), BodyError> {
    let text = text_of(body)?;
    if !text.trim_ascii_start().starts_with('[') {
        return one(body, rows);
    }
    let mut refused = None;
    let mut from = serde_json::Deserializer::from_str(text);
    let elements = Elements { rows, refused: &mut refused };
    let read = from.deserialize_seq(elements).and_then(|()| from.end());
    match refused {
        Some(refused) => Err(refused),
        None => read.map_err(invalid),
    }
}

/// A body of lines. A line that cannot be read rejects only itself.
pub(super) fn lines(body: &[u8], rows: &mut Rows<'_>) -> Result<(), BodyError> {
    let body = body.strip_prefix(BOM.as_bytes()).unwrap_or(body);
    let mut reader = RowReader::default();
    if let Ok(text) = std::str::from_utf8(body) {
        for (index, line) in text.split('\n').enumerate() {
            row_of_line(index, line, &mut reader, rows)?;
        }
        return Ok(());
    }
    for (index, line) in body.split(|&byte| byte == b'\n').enumerate() {
        match std::str::from_utf8(line) {
            Ok(line) => row_of_line(index, line, &mut reader, rows)?,
            Err(e) => {
                rows.begin()?;
                let offset = e.valid_up_to();
                let detail =
                    format!("the line is not UTF-8 from byte {offset} on: encode it as UTF-8");
                rows.reject_whole(index, row::INVALID_UTF8, detail);
            }
        }
    }
    Ok(())
}

fn row_of_line<'a>(
    index: usize,
    line: &'a str,
    reader: &mut RowReader<'a>,
    rows: &mut Rows<'_>,
) -> Result<(), BodyError> {
    let line = line.trim_ascii();
    if line.is_empty() { Ok(()) } else { self::row(index, line, reader, rows) }
}

fn row<'a>(
    index: usize,
    raw: &'a str,
    reader: &mut RowReader<'a>,
    rows: &mut Rows<'_>,
) -> Result<(), BodyError> {
    rows.begin()?;
    if rows.is_too_large(index, raw.as_bytes()) {
        return Ok(());
    }
    let mut from = serde_json::Deserializer::from_str(raw);
    if let Err(e) = reader.read(&mut from).and_then(|()| from.end()) {
        unreadable(raw, &e, reader);
    }
    if reader.skipped && nesting(raw) > DEPTH_MAX {
        let detail = format!("the row is nested deeper than {DEPTH_MAX}: send it flatter");
        reader.problem(row::TOO_DEEP, "", detail);
    }
    rows.settle(index, reader, raw.as_bytes());
    Ok(())
}

/// Says why serde_json could not go on. Bytes that are JSON by its grammar can still be numbers
/// beyond any double and text that is no Unicode; those are told by their field.
#[cold]
fn unreadable(raw: &str, error: &serde_json::Error, reader: &mut RowReader<'_>) {
    if serde_json::from_str::<IgnoredAny>(raw).is_err() {
        reader.at = None;
        reader.fail(row::INVALID_JSON, format!("the row is not valid JSON: {error}"));
    } else if error.to_string().starts_with("number out of range") {
        reader.fail(row::OUT_OF_RANGE, "a number is out of range: send a smaller one".to_owned());
    } else {
        let detail = "text has half of a surrogate pair: send whole characters";
        reader.fail(row::INVALID_UNICODE, detail.to_owned());
    }
}

/// How deep brackets nest in `raw`, which is valid JSON.
fn nesting(raw: &str) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in raw.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn text_of(body: &[u8]) -> Result<&str, BodyError> {
    let text = std::str::from_utf8(body)
        .map_err(|e| BodyError::InvalidUtf8 { offset: e.valid_up_to() })?;
    let text = text.strip_prefix(BOM).unwrap_or(text);
    if text.trim_ascii().is_empty() { Err(BodyError::Empty) } else { Ok(text) }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn invalid(error: serde_json::Error) -> BodyError {
    BodyError::InvalidJson(error.to_string())
}

/// Reads the rows of an array while it is cut.
struct Elements<'e, 'r> {
    rows: &'e mut Rows<'r>,
    refused: &'e mut Option<BodyError>,
}

impl<'a> Visitor<'a> for Elements<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of executions")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut reader = RowReader::default();
        let mut index = 0;
        while let Some(raw) = seq.next_element::<&'a RawValue>()? {
            if self.refused.is_none() {
                *self.refused = row(index, raw.get(), &mut reader, self.rows).err();
            }
            index += 1;
        }
        Ok(())
    }
}
