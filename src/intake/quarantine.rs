//! What decodes but cannot be true: kept whole, outside every aggregate, until somebody decides.
//!
//! An entry's key is a hash of what the row says, whatever format or origin it came by, so that a
//! repeat adds nothing. Rows are kept as JSON with their secrets masked; what is no execution at
//! all (a line of an import that cannot be read) is kept as text and can only be deleted.

use super::decode::{Body, BodyError, DecodeLimits, Encoding, Format, Shape, decode};
use crate::model::limits::ROW_BYTES_MAX;
use crate::process::admit::{Arrival, Refusal};
use crate::process::mask::mask;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use storage::engine::{Append, Expect, Keyspace, RowOutcome, TableWrite, Tables};
use storage::error::{Corrupt, StoreError};
use storage::row::TimeMs;

/// The table of a keyspace that the entries stand in.
pub const TABLE: &str = "quarantine";

/// Bounds of a kept row. It was inside the bounds when it came; as JSON it may be longer.
const KEPT_LIMITS: DecodeLimits = DecodeLimits {
    body_bytes_max: 8 * ROW_BYTES_MAX,
    expanded_bytes_max: 8 * ROW_BYTES_MAX,
    ratio_max: 1,
    row_bytes_max: 8 * ROW_BYTES_MAX,
    rows_max: 1,
};

/// The name of an entry: 128 bits of XXH3 over its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId([u8; 16]);

impl EntryId {
    /// Reads what [`Display`](fmt::Display) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let number = u128::from_str_radix(text, 16).ok().filter(|_| hex)?;
        Some(Self(number.to_be_bytes()))
    }

    /// The key in [`TABLE`].
    pub fn key(&self) -> &[u8] {
        &self.0
    }

    /// The id of the row when it is retried and came without: always the same one, so that two
    /// retries are one row. UUIDv8 (RFC 9562 §5.8).
    fn row_id(self) -> String {
        uuid::Builder::from_custom_bytes(self.0).into_uuid().hyphenated().to_string()
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// What [`Entry::raw`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A JSON object with the contract's fields.
    Execution,
    /// Text that could not be read.
    Text,
}

/// One entry, as stored and as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<'e> {
    /// When it was received, Unix milliseconds; of repeats the last.
    pub received: TimeMs,
    /// One sentence that says what to do.
    pub reason: Cow<'e, str>,
    /// A stable snake_case word.
    pub code: Cow<'e, str>,
    /// JSON pointer of the offending field.
    pub pointer: Cow<'e, str>,
    /// What `raw` is.
    pub form: Form,
    /// What was sent, secrets masked.
    pub raw: Cow<'e, str>,
}

/// The write that keeps a refused row. Belongs into the transaction of the rows it came with.
pub fn keep(raw: &[u8], format: Format, refusal: &Refusal, received_ms: TimeMs) -> TableWrite {
    let (form, raw) = match execution_of(raw, format) {
        Some(json) => (Form::Execution, json),
        None => (Form::Text, mask(&String::from_utf8_lossy(raw)).into_owned()),
    };
    write_of(form, &raw, refusal, received_ms)
}

/// The write that keeps a text that could not be read as a row at all.
pub fn keep_text(raw: &str, refusal: &Refusal, received_ms: TimeMs) -> TableWrite {
    write_of(Form::Text, &mask(raw), refusal, received_ms)
}

fn write_of(form: Form, raw: &str, refusal: &Refusal, received_ms: TimeMs) -> TableWrite {
    let entry = Entry {
        received: received_ms,
        reason: Cow::Borrowed(&refusal.detail),
        code: Cow::Borrowed(refusal.code),
        pointer: Cow::Borrowed(&refusal.pointer),
        form,
        raw: Cow::Borrowed(raw),
    };
    let hash = xxhash_rust::xxh3::xxh3_128_with_seed(raw.as_bytes(), form as u64);
    let value = serde_json::to_vec(&entry).ok();
    TableWrite { table: TABLE.to_owned(), key: hash.to_be_bytes().to_vec(), value }
}

/// The row as JSON, keys in order, secrets masked; `None` if JSON cannot say it.
fn execution_of(raw: &[u8], format: Format) -> Option<String> {
    let mut row: Value = match format {
        Format::Json | Format::Ndjson => serde_json::from_slice(raw).ok()?,
        Format::MessagePack => rmp_serde::from_slice(raw).ok()?,
    };
    for field in ["command_line", "error"] {
        if let Some(Value::String(text)) = row.get_mut(field) {
            *text = mask(text).into_owned();
        }
    }
    Some(row.to_string())
}

/// Up to `limit` entries after `after`, in the order of their ids.
pub fn list(
    tables: &dyn Tables,
    after: Option<EntryId>,
    limit: usize,
) -> Result<Vec<(EntryId, Entry<'static>)>, StoreError> {
    let found = tables.list(TABLE, &[], after.as_ref().map(EntryId::key), limit)?;
    found.into_iter().map(|(key, value)| Ok((id_of(&key)?, entry_of(&value)?))).collect()
}

/// One entry.
pub fn get(tables: &dyn Tables, id: EntryId) -> Result<Option<Entry<'static>>, StoreError> {
    tables.get(TABLE, id.key())?.map(|value| entry_of(&value)).transpose()
}

/// Throws an entry away. `false` if it is not there.
pub fn delete(tables: &dyn Tables, id: EntryId) -> Result<bool, StoreError> {
    let Some(value) = tables.get(TABLE, id.key())? else { return Ok(false) };
    let expect = Expect { table: TABLE.to_owned(), key: id.key().to_vec(), value: Some(value) };
    tables.write(&[expect], &[gone(id)])
}

/// What came of a retry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retried {
    /// There is no such entry.
    Missing,
    /// It is text: nothing to decode.
    NotAnExecution,
    /// It is still refused, and stays.
    Refused(Vec<Refusal>),
    /// The row is there now, and the entry gone.
    Stored(RowOutcome),
}

/// Judges a kept row again as of `arrival`. If it is stored now, its entry goes in the same
/// transaction. A row that came without id gets one from its entry, so that retrying twice at
/// once stores it once.
pub fn retry(
    keyspace: &dyn Keyspace,
    id: EntryId,
    arrival: Arrival<'_>,
) -> Result<Retried, StoreError> {
    let Some(entry) = get(keyspace, id)? else { return Ok(Retried::Missing) };
    let Ok(Value::Object(mut row)) = serde_json::from_str(&entry.raw) else {
        return Ok(Retried::NotAnExecution);
    };
    if row.get("id").is_none_or(Value::is_null) {
        row.insert("id".to_owned(), Value::String(id.row_id()));
    }
    let body = Body { format: Format::Json, encoding: Encoding::Identity, shape: Shape::One };
    let row = Value::Object(row).to_string();
    let decoded = match decode(row.as_bytes(), body, arrival, &KEPT_LIMITS) {
        Ok(decoded) => decoded,
        Err(e) => return Ok(Retried::Refused(vec![whole(&e)])),
    };
    if let Some(refused) = decoded.refused.into_iter().next() {
        return Ok(Retried::Refused(refused.problems));
    }
    let append = Append { rows: decoded.rows, writes: vec![gone(id)], atomic: true };
    let appended = keyspace.append(vec![append])?;
    let outcome = appended.first().and_then(|appended| appended.outcomes.first());
    Ok(match outcome {
        Some(&outcome @ (RowOutcome::Accepted | RowOutcome::Duplicate)) => Retried::Stored(outcome),
        _ => Retried::Refused(vec![super::batch::too_many_keys()]),
    })
}

fn whole(error: &BodyError) -> Refusal {
    Refusal::rejected(error.code(), String::new(), error.to_string())
}

fn gone(id: EntryId) -> TableWrite {
    TableWrite { table: TABLE.to_owned(), key: id.key().to_vec(), value: None }
}

fn id_of(key: &[u8]) -> Result<EntryId, StoreError> {
    let key = key.try_into().map_err(|_| Corrupt::new("a key of the quarantine"))?;
    Ok(EntryId(key))
}

fn entry_of(value: &[u8]) -> Result<Entry<'static>, StoreError> {
    let entry = serde_json::from_slice(value).map_err(|_| Corrupt::new("a quarantined row"))?;
    Ok(entry)
}
