//! Small things by key, in named tables that share one tree: the key is the table's name, a zero
//! byte and the entry's key.

use super::db::{OrStoreError, READING, WRITING};
use super::keyspace::EmbeddedKeyspace;
use super::layout::{META, TABLES, read_digest, stored_identity, write_digest};
use crate::codec::frame;
use crate::engine::{Expect, TableEntry, TableWrite, Tables};
use crate::error::{Corrupt, StoreError};
use crate::schema::{Index, Indexed, Schema};
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

/// How small tables are written: what their frames are sealed under, and which indexes are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub(super) salt: Salt,
    pub(super) schema: &'static Schema,
}

/// The redb table of the small tables, with their digest.
struct Target<'t> {
    salt: Salt,
    entries: redb::Table<'t, &'static [u8], &'static [u8]>,
    digest: TablesDigest,
}

impl Target<'_> {
    /// Sets or removes an entry; gives its value before, if that is `wanted`.
    fn put(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        wanted: bool,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let frame_key = self.salt.small(key);
        let before = match value {
            Some(value) => {
                let value = frame::seal(&frame_key, kind::SMALL, value);
                self.digest.add(key, &value);
                self.entries.insert(key, value.as_slice()).or_store(WRITING)?
            }
            None => self.entries.remove(key).or_store(WRITING)?,
        };
        let Some(before) = before else { return Ok(None) };
        self.digest.take(key, before.value());
        if !wanted {
            return Ok(None);
        }
        Ok(Some(frame::open(&frame_key, kind::SMALL, before.value())?.to_vec()))
    }

    /// The same, and in the `indexes` of its table.
    fn put_indexed(&mut self, write: &TableWrite, indexes: &[&Index]) -> Result<(), StoreError> {
        let (value, of_table) = (write.value.as_deref(), |i: &&&Index| i.table == write.table);
        let wanted = indexes.iter().any(|index| of_table(&index));
        let before = self.put(&full_key(&write.table, &write.key), value, wanted)?;
        for index in indexes.iter().filter(of_table) {
            let place = |value: &[u8]| full_key(index.name, &index.key_of(&write.key, value));
            if let Some(before) = &before {
                self.put(&place(before), None, false)?;
            }
            if let Some(value) = value {
                self.put(&place(value), Some(&[]), false)?;
            }
        }
        Ok(())
    }
}

/// Applies `writes` in `transaction`.
pub(super) fn apply(
    form: Form,
    transaction: &WriteTransaction,
    writes: &[TableWrite],
) -> Result<(), StoreError> {
    if writes.is_empty() {
        return Ok(());
    }
    let Form { salt, schema } = form;
    let mut meta = transaction.open_table(META).or_store(WRITING)?;
    let is_indexed = |index: &Index| writes.iter().any(|write| write.table == index.table);
    let indexes: Vec<&Index> = match schema.indexes.iter().any(is_indexed) {
        true => schema.indexes_at(stored_identity(&meta, schema.newest())?.format).collect(),
        false => Vec::new(),
    };
    let digest = read_digest(salt, &meta)?;
    let entries = transaction.open_table(TABLES).or_store(WRITING)?;
    let mut target = Target { salt, entries, digest };
    for write in writes {
        target.put_indexed(write, &indexes)?;
    }
    write_digest(salt, &mut meta, target.digest)
}

/// Fails where an index of the file's version does not find exactly the entries of its table.
pub(super) fn verify_indexes(form: Form, transaction: &ReadTransaction) -> Result<(), StoreError> {
    let meta = transaction.open_table(META).or_store(READING)?;
    let version = stored_identity(&meta, form.schema.newest())?.format;
    verify_indexes_at(form, transaction, version)
}

/// The same as if the file were at `version`.
pub(super) fn verify_indexes_at(
    form: Form,
    transaction: &ReadTransaction,
    version: u32,
) -> Result<(), StoreError> {
    let entries = transaction.open_table(TABLES).or_store(READING)?;
    for index in form.schema.indexes_at(version) {
        let (mut found, mut there) = (0_u64, 0_u64);
        for_each_entry(&entries, index.table, |key, value| {
            let value = frame::open(&form.salt.small(key), kind::SMALL, value)?;
            let place = index.key_of(&key[index.table.len() + 1..], value);
            let place = full_key(index.name, &place);
            found += u64::from(entries.get(place.as_slice()).or_store(READING)?.is_some());
            there += 1;
            Ok(())
        })?;
        let mut places = 0_u64;
        for_each_entry(&entries, index.name, |_, _| {
            places += 1;
            Ok(())
        })?;
        if found != there || places != there {
            let what = format!("`{}` does not find what is in `{}`", index.name, index.table);
            return Err(Corrupt::new(what).into());
        }
    }
    Ok(())
}

/// Calls `each` with the full key and the framed value of every entry of the small table `table`.
fn for_each_entry(
    entries: &impl ReadableTable<&'static [u8], &'static [u8]>,
    table: &str,
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let prefix = full_key(table, &[]);
    for item in entries.range::<&[u8]>(prefix.as_slice()..).or_store(READING)? {
        let (key, value) = item.or_store(READING)?;
        if !key.value().starts_with(&prefix) {
            break;
        }
        each(key.value(), value.value())?;
    }
    Ok(())
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
    pub(super) fn read_tables<R>(
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

    /// See [`Tables::list`].
    pub(super) fn list_entries(
        &self,
        table: &str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<TableEntry>, StoreError> {
        self.read_tables(|transaction| {
            let entries = transaction.open_table(TABLES).or_store(READING)?;
            self.list_of(&entries, table, prefix, after, limit)
        })
    }

    fn list_of(
        &self,
        entries: &impl ReadableTable<&'static [u8], &'static [u8]>,
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
    }

    /// See [`crate::engine::Keyspace::list_by`]: version, index and entries of one state.
    pub(super) fn list_in_order(
        &self,
        index: &Index,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Option<Vec<Indexed>>, StoreError> {
        self.read_tables(|transaction| {
            let meta = transaction.open_table(META).or_store(READING)?;
            let schema = self.settings.schema;
            let version = stored_identity(&meta, schema.newest())?.format;
            if !schema.indexes_at(version).any(|known| known.name == index.name) {
                return Ok(None);
            }
            let entries = transaction.open_table(TABLES).or_store(READING)?;
            let places = self.list_of(&entries, index.name, &[], after, limit)?;
            let lost = || Corrupt::new(format!("`{}` finds what is not there", index.name));
            let find = |(place, _): TableEntry| {
                let key = index.entry_key(&place).ok_or_else(lost)?.to_vec();
                let value = self.value_of(&entries, &full_key(index.table, &key))?;
                Ok(Indexed { place, key, value: value.ok_or_else(lost)? })
            };
            places.into_iter().map(find).collect::<Result<Vec<_>, StoreError>>().map(Some)
        })
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
        self.healing(|| self.list_entries(table, prefix, after, limit))
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
                apply(self.form(), transaction, writes)
            })?;
        }
        Ok(holds)
    }
}
