//! Versioned records in the platform's tables: JSON, so that a support case can be read with any
//! tool, with the version beside the fields.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::hint::black_box;
use storage::engine::{Expect, TableWrite, Tables};
use storage::error::{Corrupt, StoreError};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The version that records are written in.
const VERSION: u32 = 1;

#[derive(serde::Serialize)]
struct Written<'a, T> {
    version: u32,
    #[serde(flatten)]
    fields: &'a T,
}

#[derive(serde::Deserialize)]
struct VersionOnly {
    version: u32,
}

/// The bytes of `fields` as a record. Fails only for maps whose keys are not text.
pub fn encode<T: Serialize>(fields: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(&Written { version: VERSION, fields })
        .map_err(|e| StoreError::Corrupt(Corrupt::new(format!("a record to be written: {e}"))))
}

/// The fields of the record `bytes`, which was found at `what` (for the error).
pub fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, StoreError> {
    let damaged = |e: serde_json::Error| StoreError::Corrupt(Corrupt::new(format!("{what}: {e}")));
    let VersionOnly { version } = serde_json::from_slice(bytes).map_err(damaged)?;
    if version > VERSION {
        return Err(StoreError::NewerFormat { found: version, known: VERSION });
    }
    serde_json::from_slice(bytes).map_err(damaged)
}

/// The same where a damaged record is as good as none: for whoever clears away what is over.
pub fn decode_if_sound<T: DeserializeOwned>(
    what: &str,
    bytes: &[u8],
) -> Result<Option<T>, StoreError> {
    match decode(what, bytes) {
        Ok(fields) => Ok(Some(fields)),
        Err(StoreError::Corrupt(corrupt)) => {
            tracing::warn!(%corrupt, "a damaged record is cleared away");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Takes as long as reading and [`decode`] of `decoy`, which would be found at `what`, and does nothing: for
/// where there is no record, so that time does not tell whether one is there that may not be seen.
pub fn decode_decoy<T: DeserializeOwned>(what: &str, decoy: &str) {
    // Its key, its sum and its bytes, as the store has them.
    let key = black_box(what.as_bytes().to_vec());
    black_box(xxh3_64_with_seed(black_box(decoy.as_bytes()), xxh3_64(&key)));
    let read = black_box(decoy.as_bytes().to_vec());
    let _is_nothing: Result<T, _> = black_box(decode(what, &read));
}

/// Sets `key` of `table` to `value`.
pub fn put(table: &str, key: &[u8], value: Vec<u8>) -> TableWrite {
    TableWrite { table: table.into(), key: key.into(), value: Some(value) }
}

/// Deletes `key` of `table`.
pub fn delete(table: &str, key: &[u8]) -> TableWrite {
    TableWrite { table: table.into(), key: key.into(), value: None }
}

/// There must be no `key` in `table`.
pub fn absent(table: &str, key: &[u8]) -> Expect {
    Expect { table: table.into(), key: key.into(), value: None }
}

/// `key` of `table` must be `value`.
pub fn present(table: &str, key: &[u8], value: Vec<u8>) -> Expect {
    Expect { table: table.into(), key: key.into(), value: Some(value) }
}

/// Writes like [`Tables::write`], and where the store cannot tell whether the commit took place,
/// looks whether `writes[0]` is there. So the first write must set a value that nobody else
/// writes, such as a record with a fresh random id.
pub fn write_surely(
    tables: &dyn Tables,
    expect: &[Expect],
    writes: &[TableWrite],
) -> Result<bool, StoreError> {
    match (tables.write(expect, writes), writes.first()) {
        (Err(unknown @ StoreError::OutcomeUnknown { .. }), Some(first)) => {
            match tables.get(&first.table, &first.key) {
                Ok(found) if found == first.value => Ok(true),
                _ => Err(unknown),
            }
        }
        (outcome, _) => outcome,
    }
}

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Every entry of `table` whose key begins with `prefix`, in order of the keys.
pub fn all(tables: &dyn Tables, table: &str, prefix: &[u8]) -> Result<Vec<Entry>, StoreError> {
    const PAGE: usize = 1000; // bounds what one read transaction holds
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let after = entries.last().map(|(key, _)| key.clone());
        let page = tables.list(table, prefix, after.as_deref(), PAGE)?;
        let full = page.len() == PAGE;
        entries.extend(page);
        if !full {
            return Ok(entries);
        }
    }
}

/// Deletes every entry of `table`, page by page.
pub fn clear(tables: &dyn Tables, table: &str) -> Result<(), StoreError> {
    const PAGE: usize = 1000; // bounds one transaction
    loop {
        let entries = tables.list(table, b"", None, PAGE)?;
        if entries.is_empty() {
            return Ok(());
        }
        let writes: Vec<_> = entries.iter().map(|(key, _)| delete(table, key)).collect();
        tables.write(&[], &writes)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Fields {
        name: String,
    }

    #[test]
    fn a_record_round_trips_and_a_newer_or_damaged_one_is_refused() {
        let fields = Fields { name: "x".into() };
        let bytes = encode(&fields).unwrap();
        assert_eq!(bytes, br#"{"version":1,"name":"x"}"#);
        assert_eq!(decode::<Fields>("t/k", &bytes).unwrap(), fields);
        let newer = decode::<Fields>("t/k", br#"{"version":2,"title":"x"}"#);
        assert!(matches!(newer, Err(StoreError::NewerFormat { found: 2, known: 1 })));
        for bad in [&b"{}"[..], b"", b"{\"version\":1}", b"\xff"] {
            assert!(matches!(decode::<Fields>("t/k", bad), Err(StoreError::Corrupt(_))));
        }
    }
}
