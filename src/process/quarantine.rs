//! What could not be accepted but is not thrown away: kept whole, with the reason.

use super::admit::Refusal;
use serde::{Deserialize, Serialize};
use storage::engine::TableWrite;
use storage::row::TimeMs;
use xxhash_rust::xxh3::xxh3_128;

/// The table of a keyspace that entries lie in.
pub const TABLE: &str = "quarantine";

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// When it arrived, Unix milliseconds.
    pub received_ms: TimeMs,
    /// Where it came from.
    pub origin: String,
    /// Why, as a stable word.
    pub code: String,
    /// JSON pointer of the offending field.
    pub pointer: String,
    /// Why, and what to do, as a sentence.
    pub detail: String,
    /// The record as it came.
    pub raw: String,
}

/// The write that keeps `raw` aside. Its key is a hash of the record and the reason: the same
/// record again is the same entry, whatever file it comes in.
pub fn entry(raw: &[u8], refusal: &Refusal, received_ms: TimeMs, origin: &str) -> TableWrite {
    let mut hashed = Vec::with_capacity(raw.len() + refusal.code.len() + 1);
    hashed.extend_from_slice(refusal.code.as_bytes());
    hashed.push(0);
    hashed.extend_from_slice(raw);
    let record = Quarantined {
        received_ms,
        origin: origin.to_owned(),
        code: refusal.code.to_owned(),
        pointer: refusal.pointer.clone(),
        detail: refusal.detail.clone(),
        raw: String::from_utf8_lossy(raw).into_owned(),
    };
    let value = serde_json::to_vec(&record).unwrap_or_default(); // strings and a number: no error
    TableWrite {
        table: TABLE.to_owned(),
        key: xxh3_128(&hashed).to_be_bytes().to_vec(),
        value: Some(value),
    }
}

/// Reads the stored form of an entry.
pub fn read(value: &[u8]) -> Option<Quarantined> {
    serde_json::from_slice(value).ok()
}
