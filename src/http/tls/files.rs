//! Files as a whole: read with a bound, replaced so that a power cut leaves the old or the new.

use super::error::TlsError;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::volume::Volume;

/// Largest file that is read: ten certificates and a key take some 30 KiB, and whoever names a log
/// or a disk by mistake is told so at once.
pub(super) const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Permission bits of whoever is neither the owner nor of the owner's group. A group may read a
/// key: that is how container platforms hand a volume to a process (`fsGroup`).
const OTHERS: u32 = 0o007;

/// All of the file `path`, of [`FILE_BYTES_MAX`] at most.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(TlsError::io("read", path))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(TlsError::TooLarge { path: path.into(), bytes_max: FILE_BYTES_MAX });
    }
    Ok(bytes)
}

/// A folder of small files that survive a power cut.
#[derive(Debug)]
pub(super) struct Folder {
    volume: Arc<dyn Volume>,
    /// Where the volume is in the file system: for messages, and for the modes of files, which a
    /// volume does not know.
    root: PathBuf,
    name: PathBuf,
}

impl Folder {
    /// The folder `name` of `volume`, whose root is the directory `root`.
    pub(super) fn new(volume: Arc<dyn Volume>, root: &Path, name: &str) -> Self {
        Self { volume, root: root.into(), name: name.into() }
    }

    /// Where the file `name` is, whether or not it is there.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(&self.name).join(name)
    }

    /// Makes it, if it is not there, and removes what earlier attempts to replace `names` left.
    /// Names are synced also if nothing is made: a process that was killed right after making
    /// them did not get to that.
    pub(super) fn prepare(&self, names: &[&str]) -> Result<(), TlsError> {
        let prepare = || -> io::Result<()> {
            self.volume.create_dir(&self.name)?;
            self.volume.sync_dir(Path::new(""))?;
            names.iter().try_for_each(|name| self.volume.remove_file(&self.part(name)))?;
            self.volume.sync_dir(&self.name)
        };
        prepare().map_err(TlsError::io("write", self.path("")))
    }

    /// All of the file `name`, or nothing if there is none.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, TlsError> {
        let path = self.path(name);
        let read = || -> io::Result<(u64, Option<Vec<u8>>)> {
            let disk = match self.volume.open(&self.name.join(name), false) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, None)),
                opened => opened?,
            };
            let len = disk.len()?;
            let mut bytes = vec![0; usize::try_from(len.min(FILE_BYTES_MAX)).unwrap_or_default()];
            disk.read(0, &mut bytes)?;
            Ok((len, Some(bytes)))
        };
        match read().map_err(TlsError::io("read", &path))? {
            (len, _) if len > FILE_BYTES_MAX => {
                Err(TlsError::TooLarge { path, bytes_max: FILE_BYTES_MAX })
            }
            (_, bytes) => Ok(bytes),
        }
    }

    /// Puts `bytes` in the place of the file `name`, readable by its owner only. Once this returns
    /// they survive a power cut; before, either the old file is there or the new one, whole.
    pub(super) fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), TlsError> {
        let part = self.part(name);
        let write = || -> io::Result<()> {
            // A left-over part may have another mode; a file made anew has 0600.
            self.volume.remove_file(&part)?;
            let disk = self.volume.open(&part, true)?;
            disk.write(0, bytes)?;
            disk.sync()?;
            drop(disk);
            self.volume.rename(&part, &self.name.join(name))?;
            self.volume.sync_dir(&self.name)
        };
        write().map_err(TlsError::io("write", self.path(name)))
    }

    /// Where the next `name` is written before it takes its place.
    fn part(&self, name: &str) -> PathBuf {
        self.name.join(format!("{name}.part"))
    }
}

/// The permission bits of `path`, if everybody on this machine may do something with it.
pub(super) fn exposed_mode(path: &Path) -> Option<u32> {
    let mode = std::fs::metadata(path).ok()?.mode() & 0o7777;
    (mode & OTHERS != 0).then_some(mode)
}

/// What tells one state of a file from another without reading it: of the file that a path leads
/// to through all symbolic links, for that is what Kubernetes swaps (inotify on the path sees
/// nothing of it). A file written in place within one tick of the file system's clock and of the
/// same size goes unseen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Option<[i64; 7]>);

impl Stamp {
    /// The present one of `path`; a file that cannot be looked at has one too.
    pub(super) fn of(path: &Path) -> Self {
        Self(std::fs::metadata(path).ok().as_ref().map(Self::fields))
    }

    fn fields(meta: &Metadata) -> [i64; 7] {
        [
            meta.dev().cast_signed(),
            meta.ino().cast_signed(),
            meta.size().cast_signed(),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ctime(), // catches a copy that kept the time of what it was copied from
            meta.ctime_nsec(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use storage::volume::OsVolume;

    #[test]
    fn a_replaced_file_is_whole_private_and_leaves_no_part() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(OsVolume::shared(dir.path()), dir.path(), "tls");
        folder.prepare(&["key"]).unwrap();
        let part = dir.path().join("tls/key.part");
        fs::write(&part, "of an earlier attempt, and longer").unwrap();
        fs::set_permissions(&part, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(folder.read("key").unwrap(), None);
        for bytes in ["first", "next"] {
            folder.replace("key", bytes.as_bytes()).unwrap();
            assert_eq!(folder.read("key").unwrap().unwrap(), bytes.as_bytes());
            assert_eq!(exposed_mode(&folder.path("key")), None);
        }
        assert_eq!(fs::read_dir(dir.path().join("tls")).unwrap().count(), 1);
        fs::write(&part, "of a later one").unwrap();
        folder.prepare(&["key"]).unwrap();
        assert!(!part.exists());
    }

    #[test]
    fn what_is_no_pem_file_is_not_read_to_its_end() {
        assert!(matches!(read(Path::new("/dev/zero")), Err(TlsError::TooLarge { .. })));
        let error = read(Path::new("/nowhere/server.pem")).unwrap_err().to_string();
        assert!(error.starts_with("cannot read `/nowhere/server.pem`"), "{error}");
    }

    #[test]
    fn a_stamp_sees_through_symbolic_links() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (folder, text) in [("one", "abc"), ("two", "abc")] {
            fs::create_dir(at(folder)).unwrap();
            fs::write(at(folder).join("tls.crt"), text).unwrap();
        }
        symlink("one", at("data")).unwrap();
        symlink("data/tls.crt", at("tls.crt")).unwrap();
        let before = Stamp::of(&at("tls.crt"));
        assert_eq!(before, Stamp::of(&at("tls.crt")));
        symlink("two", at("data.next")).unwrap();
        fs::rename(at("data.next"), at("data")).unwrap();
        assert_ne!(before, Stamp::of(&at("tls.crt")));
        fs::remove_file(at("data")).unwrap();
        assert_eq!(Stamp::of(&at("tls.crt")), Stamp(None));
    }
}
