//! Reads and verifies everything in a keyspace.

use super::block::Block;
use super::db::{OrStoreError, READING};
use super::keyspace::{EmbeddedKeyspace, Slot};
use super::layout::{ALL_ENTRIES, FEED, for_each_entry};
use crate::aggregate::{ColumnSet, Part, Partial, default_views};
use crate::batch::RowBatch;
use crate::codec::filter::FilterRef;
use crate::error::StoreError;
use crate::stored::feed;
use std::sync::PoisonError;

impl EmbeddedKeyspace {
    /// See [`crate::engine::Keyspace::check`].
    pub(super) fn verify(&self) -> Result<Vec<String>, StoreError> {
        let mut findings = Vec::new();
        for block in &self.state().blocks {
            if let Err(found) = verify_block(block, self.grain_ms()) {
                findings.push(format!("block {}: {found}", block.entry.id));
            }
        }
        if let Err(e) = self.verify_feed() {
            findings.push(format!("feed: {e}"));
        }
        if let Err(e) = self.home.db.read(|t| super::tables::verify(self.home.salt, t)) {
            findings.push(format!("small tables: {e}"));
        }
        if let Err(e) = self.home.db.read(|t| super::tables::verify_indexes(self.form(), t)) {
            findings.push(format!("small tables: {e}"));
        }
        let _upkeep = self.lock_upkeep();
        let _writer = self.lock_writer()?;
        let mut slot = self.home.db.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Slot::Open(db) = &mut *slot
            && !db.check_integrity()?
        {
            findings.push("the file needed a repair, which was made".to_owned());
        }
        Ok(findings)
    }

    fn verify_feed(&self) -> Result<(), StoreError> {
        self.home.db.read(|transaction| {
            let table = transaction.open_table(FEED).or_store(READING)?;
            let (from, to) = ALL_ENTRIES;
            for_each_entry(&table, from, to, |first, value| {
                feed::decode(self.home.salt, first, value)?;
                Ok(true)
            })
        })
    }
}

/// What is wrong with a block, in words.
fn verify_block(block: &Block, grain_ms: i64) -> Result<(), String> {
    let entry = &block.entry;
    let rows = block.read(&ColumnSet::all()).map_err(|e| e.to_string())?;
    let claims = [
        (rows.ts.len() == entry.rows && rows.seq.len() == entry.rows, "a column is missing"),
        (rows.ids.slots.len() == entry.rows, "ids are missing"),
        (is_sorted_by_time(&rows), "its rows are not sorted by time and seq"),
        (rows.time_range() == Some(block.time_range()), "its time range is wrong"),
        (rows.seq.iter().min() == Some(&entry.seq_min), "its smallest seq is wrong"),
        (rows.seq.iter().max() == Some(&entry.seq_max), "its largest seq is wrong"),
    ];
    if let Some((_, claim)) = claims.iter().find(|(holds, _)| !holds) {
        return Err((*claim).to_owned());
    }
    let filter = block.filter().map_err(|e| e.to_string())?.ok_or("its filter is missing")?;
    let filter = FilterRef::parse(&filter).map_err(|e| e.to_string())?;
    if !(0..rows.len).all(|row| filter.contains(rows.ids.get(row).hash())) {
        return Err("its filter misses an id".to_owned());
    }
    for (n, view) in default_views().iter().enumerate() {
        if let Some(partial) = block.partial(n).map_err(|e| e.to_string())?
            && *partial != Partial::build(&rows, view, grain_ms)
        {
            return Err(format!("its partial of view `{}` disagrees with its rows", view.name));
        }
    }
    Ok(())
}

fn is_sorted_by_time(rows: &RowBatch) -> bool {
    rows.ts.iter().zip(&rows.seq).is_sorted()
}
