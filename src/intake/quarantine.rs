//! What decodes but cannot be true: kept whole, outside every aggregate, until somebody decides.
//!
//! Rows are kept as JSON with their keys in order, whatever format they came by, so that a repeat
//! in another format adds nothing. What is no execution at all (a line of an import that cannot
//! be read) is kept as text and can only be deleted. Entries are written by [`quarantine`].

use super::decode::{Body, BodyError, DecodeLimits, Encoding, Format, Shape, decode};
use crate::model::limits::ROW_BYTES_MAX;
use crate::process::admit::{Arrival, Refusal};
use crate::process::mask::mask;
use crate::process::quarantine::{self, BY_RECEIPT, Form, Quarantined, TABLE};
use serde_json::Value;
use std::fmt;
use storage::engine::{Append, Expect, Keyspace, RowOutcome, TableWrite, Tables};
use storage::error::{Corrupt, StoreError};
use storage::schema::Indexed;

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

/// The write that keeps a refused row. Belongs into the transaction of the rows it came with.
pub fn keep(raw: &[u8], format: Format, refusal: &Refusal, arrival: Arrival<'_>) -> TableWrite {
    let Arrival { received_ms, origin, .. } = arrival;
    match execution_of(raw, format) {
        Some(json) => quarantine::execution_entry(json, refusal, received_ms, origin),
        None => quarantine::entry(raw, refusal, received_ms, origin),
    }
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

/// What a page of the list begins after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An entry in the order of receipt, newest first.
    ByReceipt(Vec<u8>),
    /// An entry in the order of ids, which is all there is at version 1 of the schema.
    ById(EntryId),
}

impl Place {
    /// Bytes of the place of an entry in the order of receipt: 8 for the time, 16 for the id.
    const BY_RECEIPT_BYTES: usize = 24;

    /// Reads what [`Display`](fmt::Display) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (time, id) = match text.len() {
            32 => return EntryId::parse(text).map(Self::ById),
            48 => text.split_at_checked(16)?,
            _ => return None,
        };
        let hex = time.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let time = u64::from_str_radix(time, 16).ok().filter(|_| hex)?;
        let mut place = Vec::with_capacity(Self::BY_RECEIPT_BYTES);
        place.extend_from_slice(&time.to_be_bytes());
        place.extend_from_slice(EntryId::parse(id)?.key());
        Some(Self::ByReceipt(place))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByReceipt(place) => place.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Self::ById(id) => id.fmt(f),
        }
    }
}

/// An entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Where the list goes on after it.
    pub place: Place,
    /// Its name.
    pub id: EntryId,
    /// What was kept.
    pub entry: Quarantined,
}

/// Up to `limit` entries after `after`: newest first, or by their ids where the keyspace is at a version
/// that knows no other order. A list that was begun by ids goes on by ids. `None`: there is no such
/// order any more, and the list must be begun anew.
pub fn list(
    keyspace: &dyn Keyspace,
    after: Option<&Place>,
    limit: usize,
) -> Result<Option<Vec<Listed>>, StoreError> {
    let after_id = match after {
        Some(Place::ById(id)) => Some(id),
        Some(Place::ByReceipt(place)) => return by_receipt(keyspace, Some(place), limit),
        None => match by_receipt(keyspace, None, limit)? {
            None => None,
            listed => return Ok(listed),
        },
    };
    let found = keyspace.list(TABLE, &[], after_id.map(EntryId::key), limit)?;
    let listed = found.into_iter().map(|(key, value)| {
        let id = id_of(&key)?;
        Ok(Listed { place: Place::ById(id), id, entry: entry_of(&value)? })
    });
    listed.collect::<Result<_, StoreError>>().map(Some)
}

fn by_receipt(
    keyspace: &dyn Keyspace,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Option<Vec<Listed>>, StoreError> {
    let Some(found) = keyspace.list_by(&BY_RECEIPT, after, limit)? else { return Ok(None) };
    let listed = found.into_iter().map(|Indexed { place, key, value }| {
        Ok(Listed { place: Place::ByReceipt(place), id: id_of(&key)?, entry: entry_of(&value)? })
    });
    listed.collect::<Result<_, StoreError>>().map(Some)
}

/// One entry.
pub fn get(tables: &dyn Tables, id: EntryId) -> Result<Option<Quarantined>, StoreError> {
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
    let row = serde_json::from_str(&entry.raw).ok().filter(|_| entry.form == Form::Execution);
    let Some(Value::Object(mut row)) = row else { return Ok(Retried::NotAnExecution) };
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
    let append = Append { rows: decoded.rows, writes: vec![gone(id)], atomic: true, receipt: None };
    let appended = keyspace.append(vec![append])?;
    let outcome = appended.first().and_then(|appended| appended.outcomes.first());
    Ok(match outcome {
        Some(&outcome @ (RowOutcome::Accepted | RowOutcome::Duplicate)) => Retried::Stored(outcome),
        _ => Retried::Refused(vec![Refusal::too_many_keys()]),
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

fn entry_of(value: &[u8]) -> Result<Quarantined, StoreError> {
    Ok(quarantine::read(value).ok_or_else(|| Corrupt::new("a quarantined row"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_back_and_nothing_else_is_one() {
        let id = EntryId([0xab; 16]);
        let by_receipt = [&[0x01; 8][..], id.key()].concat();
        for place in [Place::ById(id), Place::ByReceipt(by_receipt)] {
            assert_eq!(Place::parse(&place.to_string()), Some(place));
        }
        let long = "0".repeat(48);
        assert!(Place::parse(&long).is_some());
        for text in ["", "7", &long[1..], &long.replace('0', "G"), &format!("+{}", &long[1..])] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
        assert_eq!(Place::parse(&format!("{}é{}", &long[..15], &long[17..])), None);
    }
}
