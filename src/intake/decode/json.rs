//! JSON documents and lines.

use super::record::Reader;
use super::{BodyError, Rows};
use crate::model::execution::Execution;
use crate::process::admit::Refusal;
use serde::de::DeserializeSeed;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// One object a line; empty lines count nothing, a bad line is refused by itself.
pub(super) fn decode_lines(body: &[u8], rows: &mut Rows<'_>) -> Result<(), BodyError> {
    let body = without_bom(body);
    let mut reader = Reader::default();
    let mut execution = Execution::default();
    // One pass over the whole body is several times cheaper than one a line.
    let whole = std::str::from_utf8(body).ok();
    let mut at = 0;
    for line in body.split(|&b| b == b'\n') {
        let (from, to) = (at, at + line.len());
        at = to + 1;
        let text = match whole {
            Some(whole) => whole.get(from..to),
            None => std::str::from_utf8(line).ok(),
        };
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let read = match text {
            _ if line.len() > rows.limits.row_bytes_max => Err(rows.too_long()),
            None => Err(not_utf8(line)),
            Some(text) => read_object(text, &mut reader, &mut execution),
        };
        rows.take(read.map(|()| &execution), || Cow::Borrowed(line))?;
        rows.warn(reader.unknown());
    }
    Ok(())
}

/// One object, or an array of them. What is not JSON is refused whole.
pub(super) fn decode_document(body: &[u8], rows: &mut Rows<'_>) -> Result<(), BodyError> {
    let text = std::str::from_utf8(without_bom(body)).map_err(|e| BodyError::Malformed {
        what: "JSON",
        detail: format!("it is not UTF-8 from byte {} on", e.valid_up_to()),
    })?;
    let malformed =
        |e: serde_json::Error| BodyError::Malformed { what: "JSON", detail: e.to_string() };
    let items: Vec<&RawValue> = if text.trim_start().starts_with('[') {
        serde_json::from_str(text).map_err(malformed)?
    } else {
        vec![serde_json::from_str(text).map_err(malformed)?]
    };
    let mut reader = Reader::default();
    let mut execution = Execution::default();
    for item in items {
        let text = item.get();
        let read = if text.len() > rows.limits.row_bytes_max {
            Err(rows.too_long())
        } else {
            read_object(text, &mut reader, &mut execution)
        };
        rows.take(read.map(|()| &execution), || Cow::Borrowed(text.as_bytes()))?;
        rows.warn(reader.unknown());
    }
    Ok(())
}

fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

fn not_utf8(line: &[u8]) -> Refusal {
    let at = std::str::from_utf8(line).map_or_else(|e| e.valid_up_to(), str::len);
    Refusal::reject("invalid_utf8", "", format!("the row is not UTF-8 from byte {at} on"))
}

fn read_object<'r>(
    text: &'r str,
    reader: &mut Reader,
    execution: &mut Execution<'r>,
) -> Result<(), Refusal> {
    let mut json = serde_json::Deserializer::from_str(text);
    let read = reader.begin(execution).deserialize(&mut json).and_then(|()| json.end());
    if let Err(error) = read {
        let code = match error.classify() {
            serde_json::error::Category::Data => "wrong_type",
            _ if error.to_string().starts_with("number out of range") => "out_of_range",
            _ => "invalid_json",
        };
        return Err(Refusal::reject(code, reader.pointer(), error.to_string()));
    }
    reader.end()
}
