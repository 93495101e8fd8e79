//! Where files live: the one door through which the engine touches a file system.
//!
//! [`OsVolume`] is the real one. Tests put a simulated one in its place that loses power, tears
//! writes and fails syncs, so everything the engine relies on is said here: after
//! [`Disk::sync`] returns, what was written to that file survives; after
//! [`Volume::sync_dir`] returns, so do the names made, renamed and removed in that directory.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// An open file of random access.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Its length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether it has no bytes yet.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `out` from `offset`; an error if the file ends before.
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Writes all of `data` at `offset`.
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Cuts or extends (with zeros) to `len`.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Returns once all that was written is on stable storage.
    fn sync(&self) -> io::Result<()>;

    /// Bytes the file system has allocated for it.
    fn allocated(&self) -> io::Result<u64>;
}

/// A tree of directories and files, named relative to its root.
pub trait Volume: Send + Sync + fmt::Debug {
    /// Opens the file `path`, exclusively: [`io::ErrorKind::WouldBlock`] if anybody has it open.
    /// Makes it, empty, if `create`; else [`io::ErrorKind::NotFound`].
    fn open(&self, path: &Path, create: bool) -> io::Result<Box<dyn Disk>>;

    /// Whether there is a file or directory `path`.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Makes the directory `path` and those above it.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Names (without directories) in the directory `path`, in no order; none if it is missing.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Puts the file `from` in the place of `to`, atomically.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes the file `path`; not there is fine.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes the directory `path` and all in it; not there is fine.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Returns once the names in the directory `path` are on stable storage.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Bytes that may still be written. Where they are plenty the answer may be a moment old.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// A directory of the operating system.
#[derive(Debug)]
pub struct OsVolume {
    root: PathBuf,
    /// When and what the file system last said of its free space, if that was plenty.
    plenty: Mutex<Option<(Instant, u64)>>,
}

/// So much free space does not vanish within [`PLENTY_HOLDS`]: asking at every commit would cost as
/// much as the commit's own work.
const PLENTY_BYTES: u64 = 1 << 30;
/// How long an answer of [`PLENTY_BYTES`] or more is used again.
const PLENTY_HOLDS: Duration = Duration::from_millis(50);

impl OsVolume {
    /// The volume rooted at `root`, which must exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), plenty: Mutex::new(None) }
    }

    /// As a shared volume.
    pub fn shared(root: impl Into<PathBuf>) -> Arc<dyn Volume> {
        Arc::new(Self::new(root))
    }
}

#[expect(clippy::disallowed_methods, reason = "how old an answer is decides nothing but its cost")]
fn now() -> Instant {
    Instant::now()
}

/// Treats "not there" as done.
fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

impl Volume for OsVolume {
    fn open(&self, path: &Path, create: bool) -> io::Result<Box<dyn Disk>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(create);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(self.root.join(path))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(OsDisk { file })),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.root.join(path).try_exists()
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(self.root.join(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(self.root.join(path)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(self.root.join(from), self.root.join(to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        absent_is_fine(std::fs::remove_file(self.root.join(path)))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        absent_is_fine(std::fs::remove_dir_all(self.root.join(path)))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(self.root.join(path))?.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let mut plenty = self.plenty.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, free)) = plenty.filter(|(asked, _)| asked.elapsed() < PLENTY_HOLDS) {
            return Ok(free);
        }
        let stat = rustix::fs::statvfs(&self.root)?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        *plenty = (free >= PLENTY_BYTES).then(|| (now(), free));
        Ok(free)
    }
}

/// A file of the operating system, locked while open.
#[derive(Debug)]
struct OsDisk {
    file: File,
}

impl Disk for OsDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn allocated(&self) -> io::Result<u64> {
        const SECTOR_BYTES: u64 = 512; // st_blocks counts these, whatever the file system's own size
        Ok(std::os::unix::fs::MetadataExt::blocks(&self.file.metadata()?) * SECTOR_BYTES)
    }
}
