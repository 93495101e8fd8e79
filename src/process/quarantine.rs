//! What could not be accepted but is not thrown away: kept whole, with the reason, secrets masked.
//!
//! An entry's key is a hash of what was sent, whatever origin it came by and whatever was wrong
//! with it, so that a repeat adds nothing.

use super::admit::Refusal;
use super::mask::mask;
use serde::{Deserialize, Serialize};
use storage::engine::TableWrite;
use storage::row::TimeMs;
use storage::schema::Index;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// The table of a keyspace that entries lie in.
pub const TABLE: &str = "quarantine";

/// Finds what came last first. A repeat comes anew.
pub const BY_RECEIPT: Index =
    Index { since: 2, table: TABLE, name: "quarantine_by_receipt", order: newest_first };

/// Descending by [`Quarantined::received_ms`]; what cannot be read is last.
fn newest_first(value: &[u8]) -> u64 {
    const SIGN: u64 = 1 << 63;
    let received = serde_json::from_slice::<Received>(value);
    let received_ms = received.map_or(TimeMs::MIN, |received| received.received_ms);
    !(received_ms.cast_unsigned() ^ SIGN)
}

#[derive(Deserialize)]
struct Received {
    received_ms: TimeMs,
}

/// What [`Quarantined::raw`] is. The numbers are hashed: they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Form {
    /// Text that could not be read as an execution.
    Text = 0,
    /// A JSON object with the contract's fields.
    Execution = 1,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// When it arrived, Unix milliseconds; of repeats the last.
    pub received_ms: TimeMs,
    /// Where it came from.
    pub origin: String,
    /// Why, as a stable word.
    pub code: String,
    /// JSON pointer of the offending field.
    pub pointer: String,
    /// Why, and what to do, as a sentence.
    pub detail: String,
    /// What `raw` is.
    pub form: Form,
    /// The record as it came, but for its secrets.
    pub raw: String,
}

/// The write that keeps a record aside that could not be read, as text.
pub fn entry(raw: &[u8], refusal: &Refusal, received_ms: TimeMs, origin: &str) -> TableWrite {
    let text = String::from_utf8_lossy(raw);
    write(Form::Text, mask(&text).into_owned(), refusal, received_ms, origin)
}

/// The write that keeps an execution aside, as JSON whose secrets are masked already.
pub fn execution_entry(
    json: String,
    refusal: &Refusal,
    received_ms: TimeMs,
    origin: &str,
) -> TableWrite {
    write(Form::Execution, json, refusal, received_ms, origin)
}

fn write(
    form: Form,
    raw: String,
    refusal: &Refusal,
    received_ms: TimeMs,
    origin: &str,
) -> TableWrite {
    let hash = xxh3_128_with_seed(raw.as_bytes(), form as u64);
    let record = Quarantined {
        received_ms,
        origin: origin.to_owned(),
        code: refusal.code.to_owned(),
        pointer: refusal.pointer.clone(),
        detail: refusal.detail.clone(),
        form,
        raw,
    };
    let value = serde_json::to_vec(&record).unwrap_or_default(); // strings and a number: no error
    TableWrite { table: TABLE.to_owned(), key: hash.to_be_bytes().to_vec(), value: Some(value) }
}

/// Reads the stored form of an entry.
pub fn read(value: &[u8]) -> Option<Quarantined> {
    serde_json::from_slice(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(value: &[u8]) {
        if let Some(entry) = read(value) {
            assert_eq!(read(&serde_json::to_vec(&entry).unwrap()), Some(entry));
        }
    }

    #[test]
    fn what_came_last_is_first_and_what_cannot_be_read_last() {
        let order = |received_ms: TimeMs| {
            let refusal = Refusal::rejected("code", "/ts".to_owned(), "why".to_owned());
            newest_first(&entry(b"raw", &refusal, received_ms, "api").value.unwrap())
        };
        let times = [TimeMs::MAX, 1_767_225_600_001, 1_767_225_600_000, 1, 0, -1];
        assert!(times.map(order).is_sorted_by(|a, b| a < b));
        assert_eq!(newest_first(b"{}"), order(TimeMs::MIN));
        assert_eq!(newest_first(b"{}"), u64::MAX);
    }

    proptest! {
        #[test]
        fn what_is_kept_is_read_and_damage_is_refused_or_an_entry(
            raw: Vec<u8>,
            at: prop::sample::Index,
            byte: u8,
        ) {
            check(&raw);
            let refusal = Refusal::rejected("code", "/ts".to_owned(), "why".to_owned());
            let mut value = entry(&raw, &refusal, 7, "api").value.unwrap();
            let kept = read(&value).unwrap();
            prop_assert_eq!((kept.received_ms, kept.form, &*kept.code), (7, Form::Text, "code"));
            let at = at.index(value.len());
            check(&value[..at]);
            value[at] = byte;
            check(&value);
        }
    }
}
