//! What is open of a keyspace: its file, what questions read, and what the one writer knows.
//!
//! Locks are taken in the order `upkeep`, `writer`, `db`; `state` is only ever held to copy or
//! replace the pointer in it.

use super::block::{Block, BlockHome};
use super::cache::BlockCache;
use super::db::{CommitMode, Db};
use super::engine::EngineSettings;
use super::layout::read_identity;
use super::repeats::RecentIds;
use super::rewrite;
use super::tail::TailBatch;
use crate::ask::AskError;
use crate::error::StoreError;
use crate::row::Seq;
use crate::schema::Moving;
use crate::stored::meta::{Identity, Progress};
use crate::volume::Volume;
use hashbrown::HashSet;
use redb::ReadTransaction;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};

/// The file of a keyspace.
#[derive(Debug)]
pub(super) enum Slot {
    Open(Db),
    /// Why it is closed. After a failed sync it can be looked into until it has been copied.
    Closed {
        reason: String,
        look: Option<Db>,
    },
}

impl Slot {
    fn closed(reason: impl Into<String>) -> Self {
        Self::Closed { reason: reason.into(), look: None }
    }
}

/// The file of a keyspace, under the lock of whoever opens and closes it.
///
/// *Invariant*: what a failed commit may have left in a file that is only looked into is not shown.
/// Blocks and the feed are found by what is in memory, which is as it was before; whatever else there
/// is, is read [`with`](Self::with) the open file alone.
#[derive(Debug)]
pub(super) struct DbSlot(pub(super) RwLock<Slot>);

impl DbSlot {
    /// Runs `f` in a read transaction on the file, be it open or looked into.
    pub(super) fn read<R>(
        &self,
        f: impl FnOnce(&ReadTransaction) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        self.seen(|db| db.read(f))?
    }

    /// Runs `f` with the file, be it open or looked into.
    pub(super) fn seen<R>(&self, f: impl FnOnce(&Db) -> R) -> Result<R, StoreError> {
        let slot = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Slot::Open(db) | Slot::Closed { look: Some(db), .. } => Ok(f(db)),
            Slot::Closed { reason, look: None } => {
                Err(StoreError::Closed { reason: reason.clone() })
            }
        }
    }

    /// Runs `f` with the open file.
    pub(super) fn with<R>(&self, f: impl FnOnce(&Db) -> R) -> Result<R, StoreError> {
        let slot = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Slot::Open(db) => Ok(f(db)),
            Slot::Closed { reason, .. } => Err(StoreError::Closed { reason: reason.clone() }),
        }
    }

    /// Closes the file and puts what `open` gives in its place.
    pub(super) fn replace(
        &self,
        open: impl FnOnce() -> Result<Db, StoreError>,
    ) -> Result<(), StoreError> {
        let mut slot = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *slot = Slot::closed("it is being reopened"); // drops the handle, and its lock, first
        match open() {
            Ok(db) => {
                *slot = Slot::Open(db);
                Ok(())
            }
            Err(e) => {
                *slot = Slot::closed(e.to_string());
                Err(e)
            }
        }
    }

    /// Whether the file is closed but for looking into it.
    fn is_looked_into(&self) -> bool {
        let slot = self.0.read().unwrap_or_else(PoisonError::into_inner);
        matches!(&*slot, Slot::Closed { look: Some(_), .. })
    }

    /// Closes the file but for looking into it. `look` opens it for that, from what there was.
    fn only_look(
        &self,
        reason: &str,
        look: impl FnOnce(Option<Db>) -> Result<Db, StoreError>,
    ) -> Result<(), StoreError> {
        let mut slot = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let open = match std::mem::replace(&mut *slot, Slot::closed(reason)) {
            Slot::Open(db) => Some(db),
            Slot::Closed { look, .. } => look,
        };
        *slot = Slot::Closed { reason: reason.to_owned(), look: Some(look(open)?) };
        Ok(())
    }
}

/// What questions read: a snapshot that never changes.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// The manifest, by id.
    pub(super) blocks: Vec<Arc<Block>>,
    /// The unsealed rows, by seq.
    pub(super) tail: Vec<Arc<TailBatch>>,
    /// The newest acknowledged seq; 0 if there is none.
    pub(super) last_seq: Seq,
    /// How far sealing has come.
    pub(super) progress: Progress,
    /// Bytes of the feed's entries.
    pub(super) feed_bytes: u64,
    /// Bytes of the small tables when they were last read whole.
    pub(super) table_bytes: u64,
}

impl State {
    /// Rows that are not sealed.
    pub(super) fn unsealed_rows(&self) -> usize {
        self.tail.iter().map(|batch| batch.rows.len).sum()
    }

    /// Memory that the unsealed rows hold.
    pub(super) fn unsealed_bytes(&self) -> usize {
        self.tail.iter().map(|batch| batch.heap_bytes).sum()
    }
}

/// What the one writer knows beside the state.
#[derive(Debug)]
pub(super) struct Writer {
    /// The ids of the unsealed rows.
    pub(super) recent: RecentIds,
    /// Every label key and every value key of the tenant.
    pub(super) label_keys: HashSet<Arc<str>>,
    pub(super) value_keys: HashSet<Arc<str>>,
    /// The file failed and must be opened anew before the next write.
    pub(super) failed: Option<String>,
    /// Bytes and first seq of each feed entry that is kept, oldest first.
    pub(super) feed: std::collections::VecDeque<(Seq, u64)>,
}

/// An open keyspace.
#[derive(Debug)]
pub(crate) struct EmbeddedKeyspace {
    /// As it was when the file was opened: the format can be another one by now.
    pub(super) identity: Identity,
    pub(super) volume: Arc<dyn Volume>,
    pub(super) path: PathBuf,
    pub(super) settings: EngineSettings,
    pub(super) mode: CommitMode,
    pub(super) home: Arc<BlockHome>,
    pub(super) state: RwLock<Arc<State>>,
    pub(super) writer: Mutex<Writer>,
    /// Held by whoever changes blocks.
    pub(super) upkeep: Mutex<()>,
    /// Tells the engine.
    pub(super) bells: Bells,
    /// It has been told and has not begun yet.
    pub(super) rung: AtomicBool,
    /// Bytes that the file took beyond what it holds when it was last written anew.
    pub(super) overhead_bytes: AtomicU64,
    /// A sync failed and the file was not written anew since.
    pub(super) suspect: AtomicBool,
    /// The step that is under way.
    pub(super) moving: Mutex<Option<Moving>>,
}

/// What a keyspace tells its engine.
pub(super) struct Bells {
    /// That there is something to seal. Gives whether that was heard.
    pub(super) dirty: Box<dyn Fn() -> bool + Send + Sync>,
    /// That the newest seq has moved.
    pub(super) news: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Bells {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bells")
    }
}

/// An error that may say that the file is closed after a failure.
pub(super) trait ClosedError: From<StoreError> {
    /// Whether it does.
    fn is_closed(&self) -> bool;
}

impl ClosedError for StoreError {
    fn is_closed(&self) -> bool {
        matches!(self, Self::Closed { .. })
    }
}

impl ClosedError for AskError {
    fn is_closed(&self) -> bool {
        matches!(self, Self::Store(StoreError::Closed { .. }))
    }
}

/// Numbers keyspaces in this process, for the cache's keys.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

impl EmbeddedKeyspace {
    /// Opens the keyspace `name` in the file `path`.
    pub(super) fn open(
        volume: Arc<dyn Volume>,
        path: &Path,
        name: &str,
        settings: EngineSettings,
        mode: CommitMode,
        cache: Arc<BlockCache>,
        bells: Bells,
    ) -> Result<Self, StoreError> {
        let cache_bytes = settings.page_cache_bytes;
        let is_suspect = rewrite::is_suspect(&*volume, path)?;
        if is_suspect {
            let to = rewrite::begin_copy(&*volume, path, cache_bytes, mode)?;
            let from = Db::look(&*volume, path, cache_bytes)?;
            rewrite::salvage(&*volume, path, &from, to)?;
        }
        let db = Db::open(&volume, path, cache_bytes, mode)?;
        if is_suspect {
            rewrite::acquit(&*volume, path)?;
        }
        let known = settings.schema.newest();
        let identity = db.read(|transaction| read_identity(transaction, name, known))?;
        let home = Arc::new(BlockHome {
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            salt: identity.salt,
            db: Arc::new(DbSlot(RwLock::new(Slot::Open(db)))),
            cache,
            graveyard: Mutex::default(),
        });
        let loaded = super::load::load(&home, &identity, &[])?;
        // Nobody reads yet: whatever an earlier process left for dead can go.
        home.graveyard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(super::load::dead_blocks(&home)?);
        Ok(Self {
            identity,
            volume,
            path: path.to_owned(),
            settings,
            mode,
            home,
            state: RwLock::new(Arc::new(loaded.state)),
            writer: Mutex::new(loaded.writer),
            upkeep: Mutex::new(()),
            bells,
            rung: AtomicBool::new(false),
            overhead_bytes: AtomicU64::new(0),
            suspect: AtomicBool::new(false),
            moving: Mutex::default(),
        })
    }

    /// The newest snapshot.
    pub(super) fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Shows `state` to every later question.
    pub(super) fn publish(&self, state: State) {
        let last_seq = state.last_seq;
        let before = {
            let mut shown = self.state.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *shown, Arc::new(state))
        };
        if before.last_seq != last_seq {
            (self.bells.news)();
        }
    }

    /// The right to change blocks.
    pub(super) fn lock_upkeep(&self) -> MutexGuard<'_, ()> {
        self.upkeep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody changes blocks just now.
    pub(super) fn is_changing_blocks(&self) -> bool {
        matches!(self.upkeep.try_lock(), Err(TryLockError::WouldBlock))
    }

    /// The right to write, on a file that is in order: one that failed is opened anew first.
    pub(super) fn lock_writer(&self) -> Result<MutexGuard<'_, Writer>, StoreError> {
        let mut writer = match self.writer.lock() {
            Ok(writer) => writer,
            Err(poisoned) => {
                // A panic in the middle of a write: what is in memory is not to be trusted.
                self.writer.clear_poison();
                let mut writer = poisoned.into_inner();
                writer.failed = Some("a write panicked".to_owned());
                writer
            }
        };
        if let Some(reason) = writer.failed.clone() {
            self.reopen(&mut writer, &reason)?;
        }
        Ok(writer)
    }

    /// Puts a copy of the file in its place, while whoever reads looks into the old one.
    fn rewrite_suspect(&self, reason: &str) -> Result<(), StoreError> {
        let (volume, cache_bytes) = (&*self.volume, self.settings.page_cache_bytes);
        let look = |open: Option<Db>| match open {
            Some(db) => db.into_look(cache_bytes),
            None => Db::look(volume, &self.path, cache_bytes),
        };
        rewrite::suspect(volume, &self.path);
        if !self.home.db.is_looked_into() {
            self.home.db.only_look(reason, look)?;
        }
        // While syncs go on failing the first of them fails here, and nothing more is done.
        let to = rewrite::begin_copy(volume, &self.path, cache_bytes, self.mode)?;
        // Opened once more, which checks what the file shows now: the system may have forgotten
        // since what the disk never got, and a look that has failed reads nothing any more.
        self.home.db.only_look(reason, look)?;
        self.home.db.seen(|from| rewrite::salvage(volume, &self.path, from, to))?
    }

    /// Closes the file, opens it again and takes everything in memory from it. If a sync had
    /// failed, the file is written anew first: the page cache may hold what the disk never got. Until
    /// that is done, whoever reads looks into the old one.
    pub(super) fn reopen(&self, writer: &mut Writer, reason: &str) -> Result<(), StoreError> {
        tracing::warn!(keyspace = %self.identity.name, reason, "reopening after a failure");
        writer.failed = Some(reason.to_owned());
        if self.home.db.with(Db::sync_failed).unwrap_or(false)
            || rewrite::is_suspect(&*self.volume, &self.path)?
        {
            self.suspect.store(true, Ordering::SeqCst);
        }
        let must_rewrite = self.suspect.load(Ordering::SeqCst);
        let cache_bytes = self.settings.page_cache_bytes;
        if must_rewrite {
            self.rewrite_suspect(reason)?;
        }
        self.home.db.replace(|| {
            // Closing it may have been what its sync failed at: then it is written anew next time.
            if !must_rewrite && rewrite::is_suspect(&*self.volume, &self.path)? {
                return Err(StoreError::Closed { reason: "its sync failed".to_owned() });
            }
            Db::open(&self.volume, &self.path, cache_bytes, self.mode)
        })?;
        if must_rewrite {
            rewrite::acquit(&*self.volume, &self.path)?;
            self.suspect.store(false, Ordering::SeqCst);
        }
        let known = self.state().blocks.clone();
        let loaded = match super::load::load(&self.home, &self.identity, &known) {
            Ok(loaded) => loaded,
            Err(e) => {
                // What is in memory may be older than the file: nobody reads it beside an open one.
                let _ = self.home.db.replace(|| Err(StoreError::Closed { reason: e.to_string() }));
                return Err(e);
            }
        };
        self.publish(loaded.state);
        *writer = loaded.writer;
        Ok(())
    }

    /// Runs `read`; if the file turns out to be closed after a failure, opens it anew, or else to be
    /// looked into, and tries once more.
    pub(super) fn healing<R, E: ClosedError>(
        &self,
        read: impl Fn() -> Result<R, E>,
    ) -> Result<R, E> {
        match read() {
            Err(e) if e.is_closed() => {
                let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
                // Of several readers that found it closed the first has opened it by now.
                let opened = match self.home.db.with(|db| db.read(|_| Ok(()))) {
                    Ok(Ok(())) => Ok(()),
                    _ => self.reopen(&mut writer, "a reader found the file closed"),
                };
                drop(writer);
                match (read(), opened) {
                    (Err(e), Err(failure)) if e.is_closed() => Err(failure.into()),
                    (answer, _) => answer,
                }
            }
            other => other,
        }
    }

    /// The grain of partials, milliseconds.
    pub(super) fn grain_ms(&self) -> i64 {
        i64::from(self.identity.grain_minutes) * 60_000
    }
}
