//! An open redb file: where its bytes go, and the two ways to run a transaction.
//!
//! *Invariant*: every call into redb goes through [`Db::read`] or [`Db::write`] (or opens, checks
//! or copies a file, here). A panic inside the library, which a damaged file can cause, becomes
//! [`Corrupt`] at this border. After a failed write the handle is not used again: it is dropped
//! and the file is opened anew, for only the disk knows whether the commit took place. After a
//! failed sync it is only looked into ([`Db::look`]) until it has been copied.

use super::rewrite;
use super::shadow::Shadow;
use crate::error::{Corrupt, StoreError};
use crate::volume::{Disk, Volume};
use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase, Savepoint, StorageBackend,
    WriteTransaction,
};
use std::cell::Cell;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How commits reach the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommitMode {
    /// One sync; after a crash the file is walked and its checksums decide.
    OnePhase,
    /// Two syncs and a stored allocator state: nothing to walk, and no trust in checksums needed.
    TwoPhase,
}

/// An open file.
pub(super) struct Db {
    /// Taken only when it is closed.
    database: Option<Database>,
    disk: Arc<SyncedDisk>,
    mode: CommitMode,
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db").field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// Why a write failed.
#[derive(Debug)]
pub(super) struct WriteError {
    pub(super) error: StoreError,
    /// The commit had begun: whether it took place is open. Else nothing was stored.
    pub(super) outcome_unknown: bool,
}

/// A disk that remembers whether a sync has failed: then the page cache may show bytes that the
/// disk never got, and the file must be written anew before it is trusted.
#[derive(Debug)]
struct SyncedDisk {
    disk: Arc<dyn Disk>,
    /// What is to be marked as suspect then: not every failure is told to anybody, for files are
    /// closed in passing. `None`: nothing but this handle depends on the file.
    file: Option<(Arc<dyn Volume>, PathBuf)>,
    sync_failed: AtomicBool,
}

impl SyncedDisk {
    fn own(disk: Arc<dyn Disk>) -> Self {
        Self { disk, file: None, sync_failed: AtomicBool::new(false) }
    }
}

#[derive(Debug)]
struct Backend(Arc<SyncedDisk>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.disk.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.disk.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.disk.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let result = self.0.disk.sync();
        if result.is_err()
            && !self.0.sync_failed.swap(true, Ordering::SeqCst)
            && let Some((volume, path)) = &self.0.file
        {
            rewrite::suspect(&**volume, path);
        }
        result
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.disk.write(offset, data)
    }
}

impl Db {
    /// Opens the file `path`. If ever a sync of it fails, it is marked as suspect.
    pub(super) fn open(
        volume: &Arc<dyn Volume>,
        path: &Path,
        cache_bytes: usize,
        mode: CommitMode,
    ) -> Result<Self, StoreError> {
        let disk = open_disk(&**volume, path, false)?;
        let file = Some((Arc::clone(volume), path.to_owned()));
        Self::over(SyncedDisk { file, ..SyncedDisk::own(disk) }, cache_bytes, mode)
    }

    /// Makes the file `path`, which is thrown away if anything fails before it is closed.
    pub(super) fn create(
        volume: &dyn Volume,
        path: &Path,
        cache_bytes: usize,
        mode: CommitMode,
    ) -> Result<Self, StoreError> {
        Self::over(SyncedDisk::own(open_disk(volume, path, true)?), cache_bytes, mode)
    }

    /// Opens the file `path` to look into it: nothing of it changes.
    pub(super) fn look(
        volume: &dyn Volume,
        path: &Path,
        cache_bytes: usize,
    ) -> Result<Self, StoreError> {
        Self::shadowing(open_disk(volume, path, false)?, cache_bytes)
    }

    /// This file, which has failed, to look into it: nothing of it changes any more. It need not be
    /// possible to open it once more.
    pub(super) fn into_look(self, cache_bytes: usize) -> Result<Self, StoreError> {
        let disk = Arc::clone(&self.disk.disk);
        drop(self); // a handle that has failed writes nothing when it goes
        Self::shadowing(disk, cache_bytes)
    }

    fn shadowing(disk: Arc<dyn Disk>, cache_bytes: usize) -> Result<Self, StoreError> {
        let shadow = Shadow::of(disk).map_err(|source| from_io(OPENING, source))?;
        // Whatever it writes goes nowhere: in the way that costs least.
        Self::over(SyncedDisk::own(Arc::new(shadow)), cache_bytes, CommitMode::OnePhase)
    }

    fn over(disk: SyncedDisk, cache_bytes: usize, mode: CommitMode) -> Result<Self, StoreError> {
        let disk = Arc::new(disk);
        let backend = Backend(Arc::clone(&disk));
        let database = guarded(OPENING, || {
            Builder::new()
                .set_cache_size(cache_bytes)
                .create_with_backend(backend)
                .map_err(|e| from_redb(OPENING, e.into()))
        })?;
        Ok(Self { database: Some(database), disk, mode })
    }

    /// Runs `f` in a read transaction. Keep it short: while it lives no freed page is used again.
    pub(super) fn read<R>(
        &self,
        f: impl FnOnce(&ReadTransaction) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        guarded("reading a keyspace", || {
            let transaction =
                self.database()?.begin_read().map_err(|e| from_redb(READING, e.into()))?;
            f(&transaction)
        })
    }

    /// Runs `f` in a write transaction and commits it to stable storage.
    pub(super) fn write<R>(
        &self,
        f: impl FnOnce(&WriteTransaction) -> Result<R, StoreError>,
    ) -> Result<R, WriteError> {
        let committing = Cell::new(false);
        let written = guarded(WRITING, || {
            let mut transaction =
                self.database()?.begin_write().map_err(|e| from_redb(WRITING, e.into()))?;
            if self.mode == CommitMode::TwoPhase {
                transaction.set_quick_repair(true);
            }
            let result = f(&transaction)?;
            committing.set(true);
            transaction.commit().map_err(|e| from_redb(WRITING, e.into()))?;
            Ok(result)
        });
        written.map_err(|error| WriteError { error, outcome_unknown: committing.get() })
    }

    /// Runs `f` in a write transaction that is only durable with the next [`write`](Self::write).
    pub(super) fn write_lazily<R>(
        &self,
        f: impl FnOnce(&WriteTransaction) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        guarded("writing a keyspace", || {
            let mut transaction =
                self.database()?.begin_write().map_err(|e| from_redb(WRITING, e.into()))?;
            transaction
                .set_durability(redb::Durability::None)
                .map_err(|e| from_redb(WRITING, e.into()))?;
            let result = f(&transaction)?;
            transaction.commit().map_err(|e| from_redb(WRITING, e.into()))?;
            Ok(result)
        })
    }

    /// The present state, which [`restore`](Self::restore) brings back. While it lives no freed page is
    /// used again; it goes with the handle.
    pub(super) fn savepoint(&self) -> Result<Savepoint, StoreError> {
        guarded(WRITING, || {
            let transaction = self.database()?.begin_write().or_store(WRITING)?;
            let savepoint = transaction.ephemeral_savepoint().or_store(WRITING)?;
            transaction.abort().or_store(WRITING)?;
            Ok(savepoint)
        })
    }

    /// Takes back what was written since, all of it lazily: on the disk nothing has changed.
    pub(super) fn restore(&self, savepoint: &Savepoint) -> Result<(), StoreError> {
        guarded(WRITING, || {
            let mut transaction = self.database()?.begin_write().or_store(WRITING)?;
            transaction.set_durability(redb::Durability::None).or_store(WRITING)?;
            transaction.restore_savepoint(savepoint).or_store(WRITING)?;
            transaction.commit().or_store(WRITING)
        })
    }

    /// Verifies the checksums of all pages. No transaction may live.
    pub(super) fn check_integrity(&mut self) -> Result<bool, StoreError> {
        guarded(CHECKING, || match &mut self.database {
            Some(db) => db.check_integrity().map_err(|e| from_redb(CHECKING, e.into())),
            None => Err(StoreError::Closed { reason: "the file is being closed".to_owned() }),
        })
    }

    /// Closes the file. Closing writes and syncs too, and only here its failure is told.
    pub(super) fn close(mut self) -> Result<(), StoreError> {
        let database = self.database.take();
        guarded(WRITING, || match database {
            Some(database) => database.close().map_err(|e| from_redb(WRITING, e.into())),
            None => Ok(()),
        })?;
        if self.sync_failed() {
            let source = io::Error::other("a sync failed");
            return Err(StoreError::Io { doing: WRITING, source });
        }
        Ok(())
    }

    fn database(&self) -> Result<&Database, StoreError> {
        let closed = || StoreError::Closed { reason: "the file is being closed".to_owned() };
        self.database.as_ref().ok_or_else(closed)
    }

    /// Whether a sync has failed since the file was opened.
    pub(super) fn sync_failed(&self) -> bool {
        self.disk.sync_failed.load(Ordering::SeqCst)
    }

    /// Bytes the file system has allocated for the file.
    pub(super) fn allocated_bytes(&self) -> Result<u64, StoreError> {
        self.disk
            .disk
            .allocated()
            .map_err(|source| StoreError::Io { doing: "measuring a keyspace", source })
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        // The library can panic here after it panicked before; its locks are then poisoned.
        let database = self.database.take();
        if catch_unwind(AssertUnwindSafe(|| drop(database))).is_err() {
            tracing::error!("the storage library panicked while closing a file");
        }
    }
}

/// Opens the bytes of the file `path`; makes it if `create`.
fn open_disk(volume: &dyn Volume, path: &Path, create: bool) -> Result<Arc<dyn Disk>, StoreError> {
    let disk = volume.open(path, create).map_err(|e| match e.kind() {
        io::ErrorKind::WouldBlock => StoreError::InUse,
        io::ErrorKind::NotFound => {
            StoreError::NotFound { name: path.to_string_lossy().into_owned() }
        }
        _ => from_io(OPENING, e),
    })?;
    if !create && disk.is_empty().map_err(|source| from_io(OPENING, source))? {
        return Err(Corrupt::new("the keyspace file is empty").into());
    }
    Ok(Arc::from(disk))
}

/// What was being done, in the words of an error.
const OPENING: &str = "opening a keyspace";
/// What was being done, in the words of an error.
pub(super) const READING: &str = "reading a keyspace";
/// What was being done, in the words of an error.
const CHECKING: &str = "checking a keyspace";
/// What was being done, in the words of an error.
pub(super) const WRITING: &str = "writing a keyspace";

/// Runs `f`; a panic in it becomes damage.
fn guarded<R>(
    doing: &'static str,
    f: impl FnOnce() -> Result<R, StoreError>,
) -> Result<R, StoreError> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no reason given");
        tracing::error!(doing, said, "the storage library panicked");
        Err(Corrupt::new(format!("{doing}: the storage library gave up ({said})")).into())
    })
}

/// Whether the disk was full, also where the error lies within another one.
pub(super) fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::StorageFull
        || error.get_ref().and_then(|inner| inner.downcast_ref::<io::Error>()).is_some_and(is_full)
}

/// An error of the disk in the engine's words. What is left of a full one is asked for later.
fn from_io(doing: &'static str, source: io::Error) -> StoreError {
    if is_full(&source) {
        return StoreError::DiskFull { free_bytes: 0 };
    }
    StoreError::Io { doing, source }
}

/// An error of redb in the engine's words.
pub(super) fn from_redb(doing: &'static str, error: redb::Error) -> StoreError {
    match error {
        // What the library says of a file that is none of its own.
        redb::Error::Io(source) if source.kind() == io::ErrorKind::InvalidData => {
            Corrupt::new(format!("{doing}: {source}")).into()
        }
        redb::Error::Io(source) => from_io(doing, source),
        redb::Error::DatabaseAlreadyOpen => StoreError::InUse,
        redb::Error::PreviousIo => StoreError::Closed { reason: "an earlier failure".to_owned() },
        redb::Error::UpgradeRequired(found) => {
            StoreError::NewerFormat { found: found.into(), known: 0 }
        }
        other => Corrupt::new(format!("{doing}: {other}")).into(),
    }
}

/// Maps any error of redb with what was being done.
pub(super) trait OrStoreError<T> {
    /// The value, or the error in the engine's words.
    fn or_store(self, doing: &'static str) -> Result<T, StoreError>;
}

impl<T, E: Into<redb::Error>> OrStoreError<T> for Result<T, E> {
    fn or_store(self, doing: &'static str) -> Result<T, StoreError> {
        self.map_err(|e| from_redb(doing, e.into()))
    }
}
