//! Sealed blocks: whole columns become rows again, and damage to what is inside of the frames is
//! refused or gives rows that can be looked at.
#![no_main]

mod damage;
mod rows;

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use storage::aggregate::{ColumnSet, Partial, default_views};
use storage::batch::RowBatch;
use storage::block::{BlockEntry, ColumnId, ColumnSource, encode_block, read_columns};
use storage::codec::filter::FilterRef;
use storage::codec::frame;
use storage::error::{Corrupt, StoreError};
use storage::gather::{all_rows, gather, sort_by_time};

/// The kind that a block's values are framed as.
const KIND: u8 = 2;

const HOUR_MS: i64 = 3_600_000;

/// The values of a block without their frames.
struct Values(BTreeMap<ColumnId, Vec<u8>>);

impl ColumnSource for Values {
    fn with<R>(
        &self,
        column: ColumnId,
        decode: impl FnOnce(&[u8]) -> Result<R, Corrupt>,
    ) -> Result<Option<R>, StoreError> {
        Ok(self.0.get(&column).map(|value| decode(value)).transpose()?)
    }
}

fn key(id: u64, column: ColumnId) -> Vec<u8> {
    [id.to_le_bytes(), u64::from(column.0).to_le_bytes()].concat()
}

/// All that an engine reads of a block.
fn read(values: &Values, entry: &BlockEntry) -> Result<RowBatch, StoreError> {
    let batch = read_columns(values, entry, &ColumnSet::all())?;
    assert_eq!(batch.len, entry.rows);
    rows::check(&batch, true);
    if let Some(filter) = values.0.get(&ColumnId::FILTER)
        && let Ok(filter) = FilterRef::parse(filter)
    {
        (0..batch.len).for_each(|row| _ = filter.contains(batch.ids.get(row).hash()));
    }
    // Whoever asks by a partial or by rows must get along with what was read.
    for view in default_views() {
        Partial::build(&batch, &view, entry.grain_ms);
    }
    Ok(batch)
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = damage::rows(data) else { return };
    let unsorted = rows::numbered(data, 1);
    let mut picks = all_rows(&[&unsorted]);
    sort_by_time(&[&unsorted], &mut picks);
    let batch = gather(&[&unsorted], &picks);
    let Some(block) = encode_block(7, &batch, &default_views(), HOUR_MS, key) else { return };
    let mut values = Values(BTreeMap::new());
    for (&(column, length), value) in block.entry.columns.iter().zip(&block.values) {
        assert_eq!(length, value.len());
        let payload = frame::open(&key(7, column), KIND, value).expect("it was just sealed");
        values.0.insert(column, payload.to_vec());
    }
    let back = read(&values, &block.entry).expect("what was just written can be read");
    assert_eq!(rows::encode(&back), rows::encode(&batch));

    // One value becomes the fuzzer's, is damaged, or goes.
    let column = block.entry.columns[choice % block.entry.columns.len()].0;
    let mut value = values.0.remove(&column).unwrap_or_default();
    match choice >> 8 & 3 {
        0 => drop(values.0.insert(column, data.to_vec())),
        1 => {}
        _ => {
            damage::damage(&mut value, data);
            values.0.insert(column, value);
        }
    }
    drop(read(&values, &block.entry));
});
