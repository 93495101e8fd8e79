//! Keeps keyspaces: makes, opens, closes and deletes them, and runs their upkeep.

use super::adopt::adopt;
use super::cache::{self, BlockCache};
use super::commit::{self, classify};
use super::db::{CommitMode, Db};
use super::keyspace::{Bells, EmbeddedKeyspace};
use super::layout::{write_beginning, write_identity};
use super::open::OpenKeyspaces;
use super::rewrite::{Slack, fresh_path, put_in_place};
use crate::engine::{Engine, Keyspace, KeyspaceSettings, Listener, Tables};
use crate::error::{Corrupt, StoreError};
use crate::row::Seq;
use crate::schema::Schema;
use crate::stored::key::Salt;
use crate::stored::meta::Identity;
use crate::volume::Volume;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

/// How the engine works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// Memory for all caches together, in bytes: half for decoded filters, tables of words and
    /// partials, half for pages, shared out among the open keyspaces.
    pub cache_bytes: usize,
    /// Pages that one open keyspace may cache, in bytes. Follows from the two others.
    pub page_cache_bytes: usize,
    /// Keyspaces that stay open when nobody uses them.
    pub open_keyspaces_max: usize,
    /// Rows that are sealed into one block.
    pub seal_rows: usize,
    /// Memory of unsealed rows, in bytes, at which they are sealed however few they are.
    pub seal_bytes: usize,
    /// Bytes of the feed that are kept for those who follow it.
    pub feed_window_bytes: u64,
    /// Whether a thread seals and merges by itself; without, only `settle` does.
    pub background: bool,
    /// What the small tables of keyspaces look like. The platform's tables have no versions.
    pub schema: &'static Schema,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            cache_bytes: 512 << 20,
            page_cache_bytes: 0,
            open_keyspaces_max: 32,
            seal_rows: crate::block::ROWS_MAX,
            seal_bytes: 32 << 20,
            feed_window_bytes: 16 << 20,
            background: true,
            schema: &Schema::NONE,
        }
        .shared_out()
    }
}

impl EngineSettings {
    /// With `page_cache_bytes` computed from the whole budget.
    pub fn shared_out(mut self) -> Self {
        const PAGE_CACHE_BYTES_MIN: usize = 1 << 20;
        self.open_keyspaces_max = self.open_keyspaces_max.max(1);
        self.page_cache_bytes =
            (self.cache_bytes / 2 / self.open_keyspaces_max).max(PAGE_CACHE_BYTES_MIN);
        self.seal_rows = self.seal_rows.clamp(1, crate::block::ROWS_MAX);
        self
    }
}

/// The engine on redb.
#[derive(Debug)]
pub struct EmbeddedEngine {
    inner: Arc<Inner>,
    upkeep: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Inner {
    volume: Arc<dyn Volume>,
    settings: EngineSettings,
    cache: Arc<BlockCache>,
    open: OpenKeyspaces,
    platform: Mutex<Option<Arc<EmbeddedKeyspace>>>,
    listener: RwLock<Option<Listener>>,
    bell: Mutex<Option<SyncSender<String>>>,
    stopping: AtomicBool,
}

const PLATFORM: &str = "platform";
/// The platform's file in the data directory.
pub const PLATFORM_FILE: &str = "platform.redb";
/// The directory of the keyspaces in the data directory; each has a directory of its name there.
pub const TENANTS: &str = "tenants";
/// The file of a keyspace in its directory.
pub const KEYSPACE_FILE: &str = "metrics.redb";

/// Longest name of a keyspace.
const NAME_BYTES_MAX: usize = 64;

/// Keyspaces waiting for upkeep; one that does not fit rings again with its next commit.
const BELLS_MAX: usize = 1024;

/// Keyspaces that fell idle are looked for after so many bells, if it is never quiet.
const BELLS_PER_LOOK: usize = 64;

/// How long rows that are too few for a block wait, without any being added, until they are
/// sealed all the same.
const IDLE_SEAL: Duration = Duration::from_secs(5);

/// Rows that are too few to be worth a block of their own while the tenant may send more.
const IDLE_SEAL_ROWS_MIN: usize = 4096;

impl EmbeddedEngine {
    /// Opens the data directory `volume`. Keyspaces are opened when they are asked for.
    pub fn open(volume: Arc<dyn Volume>, settings: EngineSettings) -> Result<Self, StoreError> {
        let settings = settings.shared_out();
        let inner = Arc::new(Inner {
            volume,
            settings,
            cache: cache::new(settings.cache_bytes as u64 / 2),
            open: OpenKeyspaces::default(),
            platform: Mutex::default(),
            listener: RwLock::default(),
            bell: Mutex::new(None),
            stopping: AtomicBool::new(false),
        });
        let mut upkeep = None;
        if settings.background {
            let (bell, rung) = mpsc::sync_channel(BELLS_MAX);
            *inner.bell.lock().unwrap_or_else(PoisonError::into_inner) = Some(bell);
            let weak = Arc::downgrade(&inner);
            let thread = std::thread::Builder::new().name("emx-upkeep".to_owned());
            let spawned = thread.spawn(move || run_upkeep(&weak, &rung));
            upkeep = Some(spawned.map_err(|source| StoreError::Io {
                doing: "starting the upkeep thread",
                source,
            })?);
        }
        Ok(Self { inner, upkeep: Mutex::new(upkeep) })
    }
}

impl EmbeddedEngine {
    /// A full disk by its name, any other error as it is.
    fn full_or(&self, error: StoreError) -> StoreError {
        classify(error, &*self.inner.volume)
    }

    /// Makes the directory of the keyspace `name`, in which `file` makes the file of that path.
    fn make(
        &self,
        name: &str,
        file: impl FnOnce(&Path) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let (inner, directory) = (&self.inner, directory(name)?);
        self.platform()?; // there is never a tenant without the platform that knows it
        let _claim = inner.open.claim(name); // nobody opens it meanwhile
        let path = directory.join(KEYSPACE_FILE);
        inner.volume.create_dir(&directory).map_err(|e| self.full_or(creating(e)))?;
        // From the root down, so that no synced name lies in a directory that could vanish; and
        // before "exists" is answered, for an earlier call may have failed at just this.
        for directory in [Path::new(""), Path::new(TENANTS), &directory] {
            inner.volume.sync_dir(directory).map_err(creating)?;
        }
        if inner.volume.exists(&path).map_err(creating)? {
            return Err(StoreError::Exists { name: name.to_owned() });
        }
        let made = file(&path).map_err(|e| self.full_or(e));
        if made.is_err() {
            // It may have its name already without that being on stable storage.
            let _ = inner.volume.remove_file(&path);
            let _ = inner.volume.remove_file(&fresh_path(&path));
        }
        made
    }
}

/// The platform's file as a whole.
impl EmbeddedEngine {
    /// Writes a consistent copy of the platform's tables into the new file `to` while others write.
    pub fn snapshot_platform(&self, to: &Path) -> Result<(), StoreError> {
        self.with_platform(|platform| platform.snapshot(to))
    }

    /// Reads and verifies the platform's tables. Gives the findings, none if all is well.
    pub fn check_platform(&self) -> Result<Vec<String>, StoreError> {
        self.with_platform(|platform| platform.check())
    }

    fn with_platform<R>(
        &self,
        f: impl FnOnce(&dyn Keyspace) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        self.platform()?; // opens it
        let closed = || StoreError::NotFound { name: PLATFORM.to_owned() };
        f(&*self.inner.find_open(PLATFORM).ok_or_else(closed)?)
    }
}

impl Drop for EmbeddedEngine {
    fn drop(&mut self) {
        self.inner.stopping.store(true, Ordering::SeqCst);
        self.inner.bell.lock().unwrap_or_else(PoisonError::into_inner).take();
        let upkeep = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = upkeep
            && thread.join().is_err()
        {
            tracing::error!("the upkeep thread panicked");
        }
    }
}

/// What the upkeep saw of a keyspace when nothing had rung for a while.
struct Look {
    last_seq: Seq,
    is_tidy: bool,
}

/// Seals and merges whatever rings, and what has been idle for a while, until the engine goes.
fn run_upkeep(engine: &Weak<Inner>, rung: &mpsc::Receiver<String>) {
    let mut looked: HashMap<String, Look> = HashMap::new();
    let mut bells = 0;
    loop {
        let rung = rung.recv_timeout(IDLE_SEAL);
        let Some(inner) = engine.upgrade() else { return };
        if inner.stopping.load(Ordering::SeqCst) {
            return;
        }
        match rung {
            Ok(name) => {
                inner.seal_and_tidy(&name);
                bells += 1;
            }
            Err(RecvTimeoutError::Timeout) => bells = BELLS_PER_LOOK,
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if bells >= BELLS_PER_LOOK {
            inner.tidy_idle(&mut looked);
            bells = 0;
        }
    }
}

/// Runs the upkeep of one keyspace. What goes wrong there, a panic even, is its own matter.
fn upkeep_of(keyspace: &EmbeddedKeyspace, work: impl FnOnce() -> Result<(), StoreError>) {
    let name = &keyspace.identity.name;
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(keyspace = %name, %error, "upkeep failed"),
        Err(_) => tracing::error!(keyspace = %name, "upkeep panicked"),
    }
}

impl Inner {
    fn lock_platform(&self) -> MutexGuard<'_, Option<Arc<EmbeddedKeyspace>>> {
        self.platform.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seals, merges and reclaims in keyspaces that got no row since the last look, once for each
    /// time they fall idle. One that fails keeps no other from its turn.
    fn tidy_idle(&self, looked: &mut HashMap<String, Look>) {
        let mut names = self.open.names();
        looked.retain(|name, _| name == PLATFORM || names.contains(name));
        names.push(PLATFORM.to_owned());
        for name in names {
            if self.stopping.load(Ordering::SeqCst) {
                return;
            }
            // Held one at a time: whoever wants to close or delete another can.
            let Some(keyspace) = self.find_open(&name) else { continue };
            let last_seq = keyspace.state().last_seq;
            let look = looked.entry(name).or_insert(Look { last_seq, is_tidy: false });
            if look.last_seq != last_seq {
                *look = Look { last_seq, is_tidy: false };
            } else if !look.is_tidy {
                // Also if it fails: not again before something has changed.
                look.is_tidy = true;
                upkeep_of(&keyspace, || {
                    if keyspace.state().unsealed_rows() >= IDLE_SEAL_ROWS_MIN {
                        keyspace.seal_some(true)?;
                    }
                    keyspace.tidy(Slack::IDLE)
                });
            }
        }
    }

    /// The keyspace `name` if it is open.
    fn find_open(&self, name: &str) -> Option<Arc<EmbeddedKeyspace>> {
        match name {
            PLATFORM => self.lock_platform().clone(),
            _ => self.open.peek(name),
        }
    }

    fn seal_and_tidy(&self, name: &str) {
        let Some(keyspace) = self.find_open(name) else { return };
        keyspace.rung.store(false, Ordering::SeqCst);
        upkeep_of(&keyspace, || {
            // Once: a keyspace that fills as fast as it is sealed rings again.
            keyspace.seal_some(false)?;
            keyspace.tidy(Slack::BUSY)
        });
    }

    fn open_file(
        self: &Arc<Self>,
        name: &str,
        path: &Path,
        mode: CommitMode,
    ) -> Result<Arc<EmbeddedKeyspace>, StoreError> {
        let (engine, ringing) = (Arc::downgrade(self), name.to_owned());
        let bell = move || {
            let Some(engine) = engine.upgrade() else { return false };
            let bell = engine.bell.lock().unwrap_or_else(PoisonError::into_inner);
            bell.as_ref().is_some_and(|bell| bell.try_send(ringing.clone()).is_ok())
        };
        let (engine, heard) = (Arc::downgrade(self), name.to_owned());
        let news = move || {
            let Some(engine) = engine.upgrade() else { return };
            let listener = engine.listener.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(Listener(listener)) = listener.as_ref() {
                listener(&heard);
            }
        };
        EmbeddedKeyspace::open(
            Arc::clone(&self.volume),
            path,
            name,
            EngineSettings { schema: self.schema_of(name), ..self.settings },
            mode,
            Arc::clone(&self.cache),
            Bells { dirty: Box::new(bell), news: Box::new(news) },
        )
        .map(Arc::new)
    }

    fn schema_of(&self, name: &str) -> &'static Schema {
        if name == PLATFORM { &Schema::NONE } else { self.settings.schema }
    }

    /// Makes the file `path` of an empty keyspace: whole under another name first.
    fn create_file(
        &self,
        name: &str,
        path: &Path,
        settings: &KeyspaceSettings,
        mode: CommitMode,
    ) -> Result<(), StoreError> {
        let fresh = fresh_path(path);
        self.volume.remove_file(&fresh).map_err(creating)?;
        let db = Db::create(&*self.volume, &fresh, self.settings.page_cache_bytes, mode)?;
        let salt = Salt(uuid::Uuid::new_v4().as_u64_pair().0);
        let identity = Identity {
            format: self.schema_of(name).newest(),
            name: name.to_owned(),
            salt,
            grain_minutes: settings.grain_minutes,
        };
        let written = db.write(|transaction| {
            write_identity(&identity, transaction)?;
            write_beginning(salt, transaction)
        });
        written.map_err(|failure| failure.error)?;
        db.close()?;
        put_in_place(&*self.volume, &fresh, path)
    }
}

/// The directory of keyspace `name`, if it is a name.
fn directory(name: &str) -> Result<PathBuf, StoreError> {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(allowed) {
        return Err(StoreError::NotFound { name: name.to_owned() });
    }
    Ok(Path::new(TENANTS).join(name))
}

fn creating(source: std::io::Error) -> StoreError {
    StoreError::Io { doing: "making a keyspace", source }
}

impl Engine for EmbeddedEngine {
    fn create(&self, name: &str, settings: &KeyspaceSettings) -> Result<(), StoreError> {
        let mode = CommitMode::OnePhase;
        self.make(name, |path| self.inner.create_file(name, path, settings, mode))
    }

    fn adopt(
        &self,
        name: &str,
        from: &Path,
        settings: &KeyspaceSettings,
    ) -> Result<(), StoreError> {
        let Inner { volume, settings: engine, .. } = &*self.inner;
        let whose = (name, settings);
        let how = (engine.page_cache_bytes, engine.schema.newest());
        self.make(name, |path| adopt(&**volume, path, from, whose, how))
    }

    fn open(&self, name: &str) -> Result<Arc<dyn Keyspace>, StoreError> {
        let (inner, path) = (&self.inner, directory(name)?.join(KEYSPACE_FILE));
        if let Some(keyspace) = inner.open.find(name) {
            return Ok(keyspace);
        }
        let claim = inner.open.claim(name);
        if let Some(keyspace) = inner.open.find(name) {
            return Ok(keyspace); // whoever had the claim before opened it
        }
        inner.open.make_room(inner.settings.open_keyspaces_max);
        let keyspace = inner.open_file(name, &path, CommitMode::OnePhase).map_err(|e| match e {
            StoreError::NotFound { .. } => StoreError::NotFound { name: name.to_owned() },
            other => other,
        })?;
        claim.put(Arc::clone(&keyspace));
        Ok(keyspace)
    }

    fn opened(&self, name: &str) -> Option<Arc<dyn Keyspace>> {
        let keyspace = self.inner.open.find(name)?;
        Some(keyspace)
    }

    fn listen(&self, listener: Listener) {
        *self.inner.listener.write().unwrap_or_else(PoisonError::into_inner) = Some(listener);
    }

    fn delete(&self, name: &str) -> Result<(), StoreError> {
        let (inner, directory) = (&self.inner, directory(name)?);
        let claim = inner.open.claim(name);
        claim.close()?;
        // Whatever fails here may have removed something: only deleting again makes it certain.
        let unknown = |e: std::io::Error| StoreError::OutcomeUnknown { reason: e.to_string() };
        inner.volume.remove_dir(&directory).map_err(unknown)?;
        if inner.volume.exists(Path::new(TENANTS)).map_err(unknown)? {
            inner.volume.sync_dir(Path::new(TENANTS)).map_err(unknown)?;
        }
        Ok(())
    }

    fn list(&self) -> Result<Vec<String>, StoreError> {
        let io = |source| StoreError::Io { doing: "listing keyspaces", source };
        let mut names = Vec::new();
        for name in self.inner.volume.list(Path::new(TENANTS)).map_err(io)? {
            let file = Path::new(TENANTS).join(&name).join(KEYSPACE_FILE);
            if self.inner.volume.exists(&file).map_err(io)? {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn platform(&self) -> Result<Arc<dyn Tables>, StoreError> {
        let (inner, path) = (&self.inner, Path::new(PLATFORM_FILE));
        let mut open = inner.lock_platform();
        if let Some(platform) = &*open {
            return Ok(Arc::<EmbeddedKeyspace>::clone(platform));
        }
        if !inner.volume.exists(path).map_err(creating)? {
            if !inner.volume.list(Path::new(TENANTS)).map_err(creating)?.is_empty() {
                let what = "there are tenants but no `platform.redb`";
                return Err(Corrupt::new(what).into());
            }
            inner.create_file(
                PLATFORM,
                path,
                &KeyspaceSettings::default(),
                CommitMode::TwoPhase,
            )?;
        }
        let platform = inner.open_file(PLATFORM, path, CommitMode::TwoPhase)?;
        *open = Some(Arc::clone(&platform));
        Ok(platform)
    }

    fn settle(&self) -> Result<(), StoreError> {
        let names = self.inner.open.names();
        let mut open = names.iter().filter_map(|name| self.inner.open.peek(name));
        open.try_for_each(|keyspace| Keyspace::settle(&*keyspace))
    }

    fn demand_room(&self) -> Result<(), StoreError> {
        commit::demand_room(&*self.inner.volume)
    }
}
