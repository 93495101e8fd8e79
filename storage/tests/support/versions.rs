//! A schema of two versions: the second finds notes in the order of a number made of their values.
#![allow(dead_code, reason = "every test that includes it uses another part")]

use std::collections::BTreeMap;
use storage::engine::Keyspace;
use storage::error::StoreError;
use storage::schema::{Index, Schema, Step};

/// The table whose entries are indexed.
const TABLE: &str = "notes";

/// Notes by a number made of their values.
pub(crate) const BY_VALUE: Index =
    Index { since: 2, table: TABLE, name: "notes_by_value", order: number_of };

pub(crate) fn number_of(value: &[u8]) -> u64 {
    value.iter().fold(7, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)))
}

/// From version 1 to version 2.
pub(crate) const STEP_2: Step = Step {
    from: 1,
    to: 2,
    summary: "notes by their values",
    up: |tables| BY_VALUE.build(tables),
    down: |tables| BY_VALUE.clear(tables),
};

/// Both versions.
pub(crate) static SCHEMA: Schema = Schema { steps: &[STEP_2], indexes: &[BY_VALUE] };

/// Whether the keyspace finds exactly `notes` by their values, if its version does; else why not.
pub(crate) fn agrees(
    keyspace: &dyn Keyspace,
    notes: &BTreeMap<Vec<u8>, Vec<u8>>,
) -> Result<Result<(), String>, StoreError> {
    const NOTES_MAX: usize = 100_000;
    let version = keyspace.schema()?.version;
    let Some(found) = keyspace.list_by(&BY_VALUE, None, NOTES_MAX)? else {
        return Ok(match version {
            1 => Ok(()),
            _ => Err(format!("version {version} has no index")),
        });
    };
    if version < 2 {
        return Ok(Err("version 1 has an index".to_owned()));
    }
    let mut expected: Vec<_> = notes.iter().map(|(k, v)| (number_of(v), k, v)).collect();
    expected.sort();
    let found: Vec<_> = found.iter().map(|n| (number_of(&n.value), &n.key, &n.value)).collect();
    Ok(match found == expected {
        true => Ok(()),
        false => Err(format!("{} notes by value, {} there", found.len(), expected.len())),
    })
}
