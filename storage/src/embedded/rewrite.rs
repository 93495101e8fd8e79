//! Copies of a keyspace's file: a snapshot elsewhere, a smaller file in its place, or a sound one
//! after a failed sync.
//!
//! Blocks never change while the upkeep lock is held, so they are copied while appends go on; the
//! rest (feed, small tables, meta) is copied with the writer's lock held, in one transaction.

use super::commit::classify;
use super::db::{CommitMode, Db, OrStoreError, READING, WRITING};
use super::keyspace::{EmbeddedKeyspace, State};
use super::layout::{BLOCKS, DEAD, FEED, META, PARTS, TABLES};
use crate::block::BlockId;
use crate::error::StoreError;
use crate::stored::pieces::block_of;
use crate::volume::{OsVolume, Volume};
use redb::{Key, ReadableTable, TableDefinition, TableHandle, Value};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

/// Entries that one transaction of a copy holds: bounds its memory to some 64 MB of large pieces.
const COPY_ENTRIES: usize = 256;

/// Bytes that a copy leaves free for what others write meanwhile.
const COPY_RESERVE_BYTES: u64 = 32 << 20;

/// How much of a file may be free before it is written anew.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slack {
    /// One part in so many of what the file holds,
    share: u64,
    /// and so many bytes, which are never worth a rewrite.
    bytes: u64,
}

impl Slack {
    /// While rows come: what is freed is soon used again, so only a third of the file is much.
    pub(super) const BUSY: Self = Self { share: 2, bytes: 4 << 20 };

    /// When nothing comes any more: nobody waits, and what is free now stays free.
    pub(super) const IDLE: Self = Self { share: 8, bytes: 256 << 10 };
}

impl EmbeddedKeyspace {
    /// Whether more of the file is free than `slack` allows.
    pub(super) fn is_wasteful(&self, slack: Slack) -> Result<bool, StoreError> {
        let state = self.state();
        let held = held_bytes(&state) + self.overhead_bytes.load(Ordering::Relaxed);
        let allocated = self.home.db.with(Db::allocated_bytes)??;
        Ok(allocated > held + held / slack.share + slack.bytes)
    }

    /// Whether there is room for a copy beside the file, and some for everybody else.
    pub(super) fn has_room_for_copy(&self) -> bool {
        let wanted = held_bytes(&self.state()) / 8 * 9 + COPY_RESERVE_BYTES;
        self.volume.free_bytes().is_ok_and(|free| free >= wanted)
    }

    /// See [`crate::engine::Keyspace::rewrite`].
    pub(super) fn rewrite_file(&self) -> Result<(), StoreError> {
        let _upkeep = self.lock_upkeep();
        drop(self.lock_writer()?); // what is copied below must be what the disk has
        let fresh = fresh_path(&self.path);
        self.volume.remove_file(&fresh).map_err(io)?;
        let to = Db::create(&*self.volume, &fresh, self.settings.page_cache_bytes, self.mode)?;
        let buried = std::mem::take(
            &mut *self.home.graveyard.lock().unwrap_or_else(PoisonError::into_inner),
        );
        let mut is_replacing = false;
        let copied = self.copy_live(to, &buried, |to| {
            to.close()?;
            is_replacing = true;
            self.home.db.replace(|| {
                put_in_place(&*self.volume, &fresh, &self.path)?;
                acquit(&*self.volume, &self.path)?; // if anything failed, it was with the old one
                self.open_file()
            })
        });
        if let Err(e) = copied {
            // The old file is as it was; the blocks are still dead in it.
            self.home.graveyard.lock().unwrap_or_else(PoisonError::into_inner).extend(buried);
            let _ = self.volume.remove_file(&fresh);
            if is_replacing {
                // Whether the new file's name is on the disk is open: it is written once more.
                self.suspect.store(true, Ordering::SeqCst);
                self.lock_writer()?.failed = Some(e.to_string());
            }
            return Err(classify(e, &*self.volume));
        }
        let allocated = self.home.db.with(Db::allocated_bytes)??;
        let overhead = allocated.saturating_sub(held_bytes(&self.state()));
        self.overhead_bytes.store(overhead, Ordering::Relaxed);
        Ok(())
    }

    fn open_file(&self) -> Result<Db, StoreError> {
        Db::open(&self.volume, &self.path, self.settings.page_cache_bytes, self.mode)
    }

    /// See [`crate::engine::Keyspace::snapshot`].
    pub(super) fn snapshot_to(&self, to: &Path) -> Result<(), StoreError> {
        let name = to
            .file_name()
            .map(PathBuf::from)
            .ok_or_else(|| StoreError::NotFound { name: to.to_string_lossy().into_owned() })?;
        let parent = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let volume = OsVolume::new(parent);
        if volume.exists(&name).map_err(io)? {
            return Err(StoreError::Exists { name: name.to_string_lossy().into_owned() });
        }
        let fresh = fresh_path(&name);
        volume.remove_file(&fresh).map_err(io)?;
        let _upkeep = self.lock_upkeep();
        drop(self.lock_writer()?); // what is copied below must be what the disk has
        let db = Db::create(&volume, &fresh, self.settings.page_cache_bytes, self.mode)?;
        self.copy_live(db, &[], |db| {
            db.close()?;
            put_in_place(&volume, &fresh, &name)
        })
    }

    /// Copies everything but the parts of the blocks `without`, then calls `finish` while nobody
    /// can write. The caller holds the upkeep lock.
    fn copy_live(
        &self,
        to: Db,
        without: &[BlockId],
        finish: impl FnOnce(Db) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let live = |id: BlockId| !without.contains(&id);
        self.home.db.with(|from| {
            copy_table(from, &to, BLOCKS, |_| true)?;
            copy_table(from, &to, PARTS, |key| live(block_of(key)))?;
            copy_table(from, &to, DEAD, live)?;
            // On the disk before the writers have to wait: what is copied then is little.
            to.write(|_| Ok(())).map_err(|failure| failure.error)
        })??;
        let _writer = self.lock_writer()?;
        self.home.db.with(|from| copy_rest(from, &to))??;
        finish(to)
    }
}

/// Bytes of what a file holds.
fn held_bytes(state: &State) -> u64 {
    let blocks: u64 = state.blocks.iter().map(|block| block.entry.bytes()).sum();
    blocks + state.feed_bytes + state.table_bytes
}

/// The beginning of a copy of the file `path`, which has been synced once.
pub(super) fn begin_copy(
    volume: &dyn Volume,
    path: &Path,
    cache_bytes: usize,
    mode: CommitMode,
) -> Result<Db, StoreError> {
    let fresh = fresh_path(path);
    volume.remove_file(&fresh).map_err(io)?;
    Db::create(volume, &fresh, cache_bytes, mode)
}

/// After a failed sync: copies what the file `path` shows, which `from` looks into, into what
/// [`begin_copy`] gave, syncs that, and puts it in place. What was acknowledged lies before the failure
/// and is on the disk. A copy that fails is removed: others may need its room.
pub(super) fn salvage(
    volume: &dyn Volume,
    path: &Path,
    from: &Db,
    to: Db,
) -> Result<(), StoreError> {
    let fresh = fresh_path(path);
    let copied = copy_all(from, to).and_then(|()| put_in_place(volume, &fresh, path));
    if copied.is_err() {
        let _may_be_gone = volume.remove_file(&fresh);
    }
    copied
}

fn copy_all(from: &Db, to: Db) -> Result<(), StoreError> {
    copy_table(from, &to, BLOCKS, |_| true)?;
    copy_table(from, &to, PARTS, |_| true)?;
    copy_table(from, &to, DEAD, |_| true)?;
    copy_rest(from, &to)?;
    to.close()
}

/// Marks the file as one whose page cache may show what the disk never got. The marker is not
/// synced: it lives exactly as long as that cache, beyond this process but not beyond a crash.
pub(super) fn suspect(volume: &dyn Volume, path: &Path) {
    if let Err(error) = volume.open(&suspect_path(path), true) {
        tracing::error!(%error, "a file whose sync failed cannot be marked");
    }
}

/// The copy is in place and open: the file is no longer suspect.
pub(super) fn acquit(volume: &dyn Volume, path: &Path) -> Result<(), StoreError> {
    volume.remove_file(&suspect_path(path)).map_err(io)
}

/// Whether [`suspect`] marked the file.
pub(super) fn is_suspect(volume: &dyn Volume, path: &Path) -> Result<bool, StoreError> {
    volume.exists(&suspect_path(path)).map_err(io)
}

/// The marker beside the file `path` that says so.
pub fn suspect_path(path: &Path) -> PathBuf {
    with_ending(path, ".suspect")
}

fn copy_rest(from: &Db, to: &Db) -> Result<(), StoreError> {
    copy_table(from, to, META, |_| true)?;
    copy_table(from, to, FEED, |_| true)?;
    copy_table(from, to, TABLES, |_| true)?;
    to.write(|_| Ok(())).map_err(|failure| failure.error)
}

/// Copies the entries of a table whose key `wanted` takes, in lazy transactions.
fn copy_table<K, V>(
    from: &Db,
    to: &Db,
    table: TableDefinition<'static, K, V>,
    wanted: impl for<'k> Fn(K::SelfType<'k>) -> bool,
) -> Result<(), StoreError>
where
    K: Key + 'static,
    V: Value + 'static,
{
    from.read(|source| {
        let source = source.open_table(table).or_store(READING)?;
        let mut entries = source.iter().or_store(READING)?.peekable();
        loop {
            to.write_lazily(|transaction| {
                let mut target = transaction.open_table(table).or_store(WRITING)?;
                for item in entries.by_ref().take(COPY_ENTRIES) {
                    let (key, value) = item.or_store(READING)?;
                    if wanted(key.value()) {
                        target.insert(key.value(), value.value()).or_store(WRITING)?;
                    }
                }
                Ok(())
            })?;
            if entries.peek().is_none() {
                tracing::debug!(table = table.name(), "copied");
                return Ok(());
            }
        }
    })
}

/// The name a file has until it is whole.
pub(super) fn fresh_path(path: &Path) -> PathBuf {
    with_ending(path, ".new")
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or(OsStr::new("keyspace")).to_owned();
    name.push(ending);
    path.with_file_name(name)
}

/// Renames a whole, synced file into its place, on stable storage.
pub(super) fn put_in_place(
    volume: &dyn Volume,
    fresh: &Path,
    path: &Path,
) -> Result<(), StoreError> {
    volume.rename(fresh, path).map_err(io)?;
    volume.sync_dir(path.parent().unwrap_or(Path::new(""))).map_err(io)
}

fn io(source: std::io::Error) -> StoreError {
    StoreError::Io { doing: "writing a keyspace file anew", source }
}
