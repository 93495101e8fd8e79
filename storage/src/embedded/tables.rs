//! Small things by key, in named tables that share one tree: the key is the table's name, a zero
//! byte and the entry's key.

use super::db::{OrStoreError, READING, WRITING};
use super::keyspace::EmbeddedKeyspace;
use super::layout::{META, TABLES, read_digest, write_digest};
use crate::codec::frame;
use crate::engine::{Expect, TableEntry, TableWrite, Tables};
use crate::error::{Corrupt, StoreError};
use crate::stored::key::{Salt, kind};
use crate::stored::meta::TablesDigest;
use redb::{ReadTransaction, ReadableTable, WriteTransaction};
use std::ops::Bound;

fn full_key(table: &str, key: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(table.len() + 1 + key.len());
    full.extend_from_slice(table.as_bytes());
    full.push(0);
    full.extend_from_slice(key);
    full
}

/// Applies `writes` in `transaction`.
pub(super) fn apply(
    salt: Salt,
    transaction: &WriteTransaction,
    writes: &[TableWrite],
) -> Result<(), StoreError> {
    if writes.is_empty() {
        return Ok(());
    }
    let mut meta = transaction.open_table(META).or_store(WRITING)?;
    let mut digest = read_digest(salt, &meta)?;
    let mut table = transaction.open_table(TABLES).or_store(WRITING)?;
    for write in writes {
        let key = full_key(&write.table, &write.key);
        let before = match &write.value {
            Some(value) => {
                let value = frame::seal(&salt.small(&key), kind::SMALL, value);
                digest.add(&key, &value);
                table.insert(key.as_slice(), value.as_slice()).or_store(WRITING)?
            }
            None => table.remove(key.as_slice()).or_store(WRITING)?,
        };
        if let Some(before) = before {
            digest.take(&key, before.value());
        }
    }
    write_digest(salt, &mut meta, digest)
}

/// Reads every entry and compares them with their digest. Gives how many bytes they are.
pub(super) fn verify(salt: Salt, transaction: &ReadTransaction) -> Result<u64, StoreError> {
    let meta = transaction.open_table(META).or_store(READING)?;
    let table = transaction.open_table(TABLES).or_store(READING)?;
    let (mut digest, mut bytes) = (TablesDigest::default(), 0);
    for item in table.iter().or_store(READING)? {
        let (key, value) = item.or_store(READING)?;
        frame::open(&salt.small(key.value()), kind::SMALL, value.value())?;
        digest.add(key.value(), value.value());
        bytes += (key.value().len() + value.value().len()) as u64;
    }
    if digest != read_digest(salt, &meta)? {
        return Err(Corrupt::new("the small tables: an entry is missing or foreign").into());
    }
    Ok(bytes)
}

impl EmbeddedKeyspace {
    /// Runs `f` in a read transaction on the open file: what a commit of unknown outcome may have left
    /// in these tables is shown to nobody before that outcome is known.
    fn read_tables<R>(
        &self,
        f: impl FnOnce(&ReadTransaction) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        self.home.db.with(|db| db.read(f))?
    }

    fn value_of(
        &self,
        table: &impl ReadableTable<&'static [u8], &'static [u8]>,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(value) = table.get(key).or_store(READING)? else {
            return Ok(None);
        };
        Ok(Some(frame::open(&self.home.salt.small(key), kind::SMALL, value.value())?.to_vec()))
    }
}

impl Tables for EmbeddedKeyspace {
    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.healing(|| {
            self.read_tables(|transaction| {
                let entries = transaction.open_table(TABLES).or_store(READING)?;
                self.value_of(&entries, &full_key(table, key))
            })
        })
    }

    fn list(
        &self,
        table: &str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<TableEntry>, StoreError> {
        let prefix = full_key(table, prefix);
        let from = after.map(|key| full_key(table, key)).filter(|key| *key >= prefix);
        let begin = match &from {
            Some(key) => Bound::Excluded(key.as_slice()),
            None => Bound::Included(prefix.as_slice()),
        };
        let read = |transaction: &ReadTransaction| {
            let entries = transaction.open_table(TABLES).or_store(READING)?;
            let mut found = Vec::new();
            let range = entries.range::<&[u8]>((begin, Bound::Unbounded)).or_store(READING)?;
            for item in range.take(limit) {
                let (key, value) = item.or_store(READING)?;
                let key = key.value();
                if !key.starts_with(&prefix) {
                    break;
                }
                let small = self.home.salt.small(key);
                let value = frame::open(&small, kind::SMALL, value.value())?;
                found.push((key[table.len() + 1..].to_vec(), value.to_vec()));
            }
            Ok(found)
        };
        self.healing(|| self.read_tables(read))
    }

    fn write(&self, expect: &[Expect], writes: &[TableWrite]) -> Result<bool, StoreError> {
        let mut writer = self.lock_writer()?;
        // Nobody else writes while the lock is held, so what is read now still holds below.
        let holds = self.read_tables(|transaction| {
            let entries = transaction.open_table(TABLES).or_store(READING)?;
            for expected in expect {
                let found = self.value_of(&entries, &full_key(&expected.table, &expected.key))?;
                if found != expected.value {
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        if holds {
            self.demand_room()?;
            let probe = super::commit::Probe::Nothing;
            EmbeddedKeyspace::write(self, &mut writer, probe, |transaction| {
                apply(self.home.salt, transaction, writes)
            })?;
        }
        Ok(holds)
    }
}
