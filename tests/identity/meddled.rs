//! The store with somebody else's hand in it, who acts before a write or has it fail.

use crate::world::{NOW_MS, World};
use emx::audit::AuditLog;
use emx::identity::Identity;
use emx::identity::secret::MasterKey;
use emx::identity::settings::IdentitySettings;
use std::fmt;
use std::sync::Arc;
use storage::engine::{Expect, TableEntry, TableWrite, Tables};
use storage::error::StoreError;

type BeforeWrite = dyn Fn(&dyn Tables, &[TableWrite]) -> Result<(), StoreError> + Send + Sync;

struct Meddled {
    tables: Arc<dyn Tables>,
    before_write: Box<BeforeWrite>,
}

impl fmt::Debug for Meddled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meddled")
    }
}

impl Tables for Meddled {
    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.tables.get(table, key)
    }

    fn list(
        &self,
        table: &str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<TableEntry>, StoreError> {
        self.tables.list(table, prefix, after, limit)
    }

    fn write(&self, expect: &[Expect], writes: &[TableWrite]) -> Result<bool, StoreError> {
        (self.before_write)(&*self.tables, writes)?;
        self.tables.write(expect, writes)
    }
}

/// The identities of `world`, where `before_write` is called with every write, and may have it fail.
pub(crate) fn identity(
    world: &World,
    before_write: impl Fn(&dyn Tables, &[TableWrite]) -> Result<(), StoreError> + Send + Sync + 'static,
) -> Identity {
    let (tables, before_write) = (Arc::clone(&world.platform), Box::new(before_write));
    let log = Arc::new(AuditLog::new(Arc::new(Meddled { tables, before_write })));
    let master = MasterKey::load_or_make(world.dir.path()).unwrap();
    Identity::start(log, master, &IdentitySettings::default(), NOW_MS).unwrap()
}

/// Whether one of `writes` is of `table`.
pub(crate) fn is_of(writes: &[TableWrite], table: &str) -> bool {
    writes.iter().any(|write| write.table == table)
}

/// A disk that fails.
pub(crate) fn failure() -> StoreError {
    StoreError::Io { doing: "writing", source: std::io::Error::other("a test wants it") }
}
