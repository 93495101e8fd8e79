//! Takes the small tables of a file to another version of their schema.
//!
//! A step writes in lazy transactions, which bound its memory, under a savepoint; what it made is
//! verified; the last of them writes the version, and one commit brings everything to the disk. So a
//! crash leaves the file at the version before or after, and of a step that fails the savepoint takes
//! back what the process has seen of it. Whoever writes waits; whoever reads finds what the version in
//! the same transaction says: that of the older one for as long as a step takes, whichever way it goes,
//! for an index is whole only at its end or before its beginning.

use super::commit::{Probe, classify};
use super::db::{OrStoreError, READING};
use super::keyspace::{EmbeddedKeyspace, Writer};
use super::layout::{META, stored_identity, write_identity};
use super::tables::{self, Form};
use crate::engine::{TableEntry, TableWrite};
use crate::error::StoreError;
use crate::schema::{FIRST_VERSION, Move, Moved, Moving, SchemaState, StepTables};
use crate::stored::meta::Identity;
use redb::ReadTransaction;
use std::sync::{MutexGuard, PoisonError};

impl EmbeddedKeyspace {
    /// How the small tables are written.
    pub(super) fn form(&self) -> Form {
        Form { salt: self.home.salt, schema: self.settings.schema }
    }

    /// See [`crate::engine::Keyspace::schema`].
    pub(super) fn schema_state(&self) -> Result<SchemaState, StoreError> {
        let version = self.read_tables(|transaction| self.version_in(transaction))?;
        let newest = self.settings.schema.newest();
        Ok(SchemaState { version, newest, moving: *self.lock_moving() })
    }

    /// See [`crate::engine::Keyspace::migrate`].
    pub(super) fn migrate_to(&self, to: u32) -> Result<Moved, StoreError> {
        let schema = self.settings.schema;
        let unknown = || StoreError::NewerFormat { found: to, known: schema.newest() };
        if !(FIRST_VERSION..=schema.newest()).contains(&to) {
            return Err(unknown());
        }
        let mut writer = self.lock_writer()?;
        self.demand_room()?;
        let from = self.read_tables(|transaction| self.version_in(transaction))?;
        let (mut at, mut entries) = (from, 0);
        while at != to {
            let next = schema.next(at, to).ok_or_else(unknown)?;
            *self.lock_moving() = Some(Moving { to: next.to, entries: 0 });
            let taken = self.take(&mut writer, next);
            let moving = self.lock_moving().take();
            taken?;
            entries += moving.map_or(0, |moving| moving.entries);
            at = next.to;
        }
        Ok(Moved { from, to, entries })
    }

    /// Takes a step, all or nothing.
    fn take(&self, writer: &mut Writer, next: Move) -> Result<(), StoreError> {
        let savepoint = self.home.db.with(|db| db.savepoint())??;
        if let Err(error) = self.prepare(next) {
            let restored = self.home.db.with(|db| db.restore(&savepoint));
            drop(savepoint);
            if !matches!(restored, Ok(Ok(()))) {
                // The disk has failed: nothing of the step is there, for nothing was synced. If it
                // cannot be opened anew now, the next to write tries again.
                let _ = self.reopen(writer, &error.to_string());
            }
            return Err(classify(error, &*self.volume));
        }
        drop(savepoint);
        self.write(writer, Probe::Nothing, |_| Ok(()))
    }

    /// Does everything but to sync it.
    fn prepare(&self, next: Move) -> Result<(), StoreError> {
        if next.is_back {
            self.write_version(next.to)?;
        }
        (next.change)(&mut Tables { keyspace: self })?;
        self.read_tables(|transaction| {
            tables::verify(self.home.salt, transaction)?;
            tables::verify_indexes_at(self.form(), transaction, next.to)
        })?;
        if next.is_back { Ok(()) } else { self.write_version(next.to) }
    }

    fn write_version(&self, version: u32) -> Result<(), StoreError> {
        let identity = Identity { format: version, ..self.identity.clone() };
        self.home.db.with(|db| db.write_lazily(|t| write_identity(&identity, t)))?
    }

    fn version_in(&self, transaction: &ReadTransaction) -> Result<u32, StoreError> {
        let meta = transaction.open_table(META).or_store(READING)?;
        Ok(stored_identity(&meta, self.settings.schema.newest())?.format)
    }

    fn lock_moving(&self) -> MutexGuard<'_, Option<Moving>> {
        self.moving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The small tables in the hands of a step, which has the right to write.
struct Tables<'k> {
    keyspace: &'k EmbeddedKeyspace,
}

impl StepTables for Tables<'_> {
    fn list(
        &self,
        table: &str,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<TableEntry>, StoreError> {
        self.keyspace.list_entries(table, &[], after, limit)
    }

    fn write(&mut self, writes: &[TableWrite]) -> Result<(), StoreError> {
        let keyspace = self.keyspace;
        if writes.is_empty() {
            return Ok(());
        }
        let write = |t: &redb::WriteTransaction| tables::apply(keyspace.form(), t, writes);
        keyspace.home.db.with(|db| db.write_lazily(write))??;
        if let Some(moving) = keyspace.lock_moving().as_mut() {
            moving.entries += writes.len() as u64;
        }
        Ok(())
    }
}
