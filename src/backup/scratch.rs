//! Directories and files that have their name only once they are whole.

use super::problem::{BackupError, cannot};
use crate::tenancy::id::random_word;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A directory that goes with everything in it, unless it gets a name before.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A new one beside `path`, on the same file system, for nobody else to read.
    pub(super) fn beside(path: &Path) -> Result<Self, BackupError> {
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or(path.as_os_str()));
        name.push(format!(".{}.part", random_word()));
        Self::at(parent(path).join(name))
    }

    /// A new one in the system's directory for such.
    pub(super) fn anywhere() -> Result<Self, BackupError> {
        Self::at(std::env::temp_dir().join(format!("emx-{}.part", random_word())))
    }

    fn at(path: PathBuf) -> Result<Self, BackupError> {
        make_dir(&path)?;
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it the name `to`, where nothing or an empty directory is.
    pub(super) fn rename(self, to: &Path) -> Result<(), BackupError> {
        sync_tree(&self.path)?;
        fs::rename(&self.path, to).map_err(|source| match source.kind() {
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => {
                BackupError::NotEmpty { path: to.to_owned() }
            }
            io::ErrorKind::ResourceBusy | io::ErrorKind::CrossesDevices => {
                BackupError::MountPoint { path: to.to_owned() }
            }
            _ => BackupError::Io { doing: "put in place", path: to.to_owned(), source },
        })?;
        sync_dir(parent(to))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // After a rename nothing is there; what cannot be removed is in nobody's way.
        let _may_be_gone = fs::remove_dir_all(&self.path);
    }
}

/// Gives the file `from` the name `to`, on stable storage, unless something has it.
pub(super) fn put_in_place(from: &Path, to: &Path) -> Result<(), BackupError> {
    let renamed = match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that cannot promise it.
        Err(Errno::INVAL | Errno::NOSYS) if fs::symlink_metadata(to).is_err() => {
            fs::rename(from, to)
        }
        Err(Errno::EXIST | Errno::INVAL | Errno::NOSYS) => {
            return Err(BackupError::Exists { path: to.to_owned() });
        }
        other => other.map_err(io::Error::from),
    };
    renamed.map_err(cannot("put in place", to))?;
    sync_dir(parent(to))
}

/// The directory that `path` lies in.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a directory that only its owner may enter, and those above it.
pub(super) fn make_dir(path: &Path) -> Result<(), BackupError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(cannot("make", path))
}

fn sync_dir(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(cannot("sync", path))
}

/// Everything below `path`, on stable storage.
fn sync_tree(path: &Path) -> Result<(), BackupError> {
    let mut to_visit = vec![path.to_owned()];
    while let Some(dir) = to_visit.pop() {
        for entry in fs::read_dir(&dir).map_err(cannot("look into", &dir))? {
            let path = entry.map_err(cannot("look into", &dir))?.path();
            if path.is_dir() {
                to_visit.push(path);
            } else {
                File::open(&path)
                    .and_then(|file| file.sync_all())
                    .map_err(cannot("sync", &path))?;
            }
        }
        sync_dir(&dir)?;
    }
    Ok(())
}
