//! Reads an archive: first whether it is whole, then what is in it, then its files.

use super::archive::{DIGEST, DIGEST_AT, Digest, TAIL_BYTES, copy, tail};
use super::manifest::{FORMAT, Holds, MANIFEST, Manifest, StoredFile};
use super::problem::{BackupError, cannot};
use super::scratch::make_dir;
use super::{OnProgress, Progress};
use serde::Deserialize;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Most entries: a tenant has one, and there are never a million.
const ENTRIES_MAX: usize = 1 << 20;

/// Largest manifest: an entry takes some 250 bytes there.
const MANIFEST_BYTES_MAX: u64 = 256 << 20;

/// A backup whose every byte is what was written.
#[derive(Debug)]
pub(super) struct Backup {
    pub(super) manifest: Manifest,
    path: PathBuf,
    file: File,
    /// Where the content of each of the manifest's files begins.
    offsets: Vec<u64>,
}

/// An entry as the archive tells it.
struct Entry {
    name: String,
    bytes: u64,
    offset: u64,
}

#[derive(Deserialize)]
struct FormatOnly {
    format: u64,
}

impl Backup {
    /// Reads all of `path` once, and what it says of itself.
    pub(super) fn open(path: &Path) -> Result<Self, BackupError> {
        let mut file = File::open(path).map_err(cannot("open", path))?;
        let whole = check_whole(path, &mut file)?;
        if !whole {
            let what = "its digest is another".to_owned();
            return Err(BackupError::Altered { path: path.to_owned(), what });
        }
        let altered = |what: String| BackupError::Altered { path: path.to_owned(), what };
        let entries = entries(&mut file).map_err(|e| altered(e.to_string()))?;
        let [files @ .., manifest, digest] = entries.as_slice() else {
            return Err(BackupError::NotABackup { path: path.to_owned() });
        };
        let named = manifest.name == MANIFEST && digest.name == DIGEST;
        if !named || manifest.bytes > MANIFEST_BYTES_MAX {
            return Err(BackupError::NotABackup { path: path.to_owned() });
        }
        let manifest = read_manifest(path, &mut file, manifest)?;
        let told =
            |file: &StoredFile, entry: &Entry| file.name == entry.name && file.bytes == entry.bytes;
        let agree = manifest.files.len() == files.len()
            && manifest.files.iter().zip(files).all(|(file, entry)| told(file, entry));
        if !agree {
            return Err(altered("its files are not those of its manifest".to_owned()));
        }
        if let Some(fault) = manifest.fault() {
            return Err(altered(fault));
        }
        let offsets = files.iter().map(|entry| entry.offset).collect();
        Ok(Self { manifest, path: path.to_owned(), file, offsets })
    }

    /// Fails where it is a copy of something else.
    pub(super) fn demand(&self, wanted: Holds) -> Result<(), BackupError> {
        match self.manifest.holds {
            holds if holds == wanted => Ok(()),
            holds => Err(BackupError::OfAnother { path: self.path.clone(), holds }),
        }
    }

    /// Writes every file below the empty directory `into`, and compares it with its digest.
    pub(super) fn extract(&mut self, into: &Path, tell: OnProgress<'_>) -> Result<(), BackupError> {
        let total = self.manifest.files.len();
        for (done, (stored, offset)) in self.manifest.files.iter().zip(&self.offsets).enumerate() {
            tell(Progress { name: &stored.name, done, total });
            // The manifest was checked: the name leads nowhere else.
            let to = into.join(&stored.name);
            make_dir(super::scratch::parent(&to))?;
            let mut options = OpenOptions::new();
            let options = options.write(true).create_new(true).mode(0o600);
            let mut out = options.open(&to).map_err(cannot("make", &to))?;
            self.file.seek(SeekFrom::Start(*offset)).map_err(cannot("read", &self.path))?;
            let mut digest = Digest::new();
            let mut content = (&self.file).take(stored.bytes);
            copy(&mut content, &mut |piece| {
                digest.add(piece);
                out.write_all(piece)
            })
            .map_err(cannot("write", &to))?;
            if digest.hex() != stored.sha256 {
                let what = format!("{:?} is not the file that it was", stored.name);
                return Err(BackupError::Altered { path: self.path.clone(), what });
            }
        }
        Ok(())
    }
}

/// Whether the digest at the end is that of all bytes before it. A file without such an end is no
/// backup.
fn check_whole(path: &Path, file: &mut File) -> Result<bool, BackupError> {
    let read = cannot("read", path);
    let not_a_backup = || BackupError::NotABackup { path: path.to_owned() };
    let len = file.seek(SeekFrom::End(0)).map_err(&read)?;
    let body = len.checked_sub(TAIL_BYTES).ok_or_else(not_a_backup)?;
    file.seek(SeekFrom::Start(body)).map_err(&read)?;
    let mut end = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut end).map_err(&read)?;
    let told = end.get(DIGEST_AT).and_then(|hex| std::str::from_utf8(hex).ok());
    let told = told.filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    let told = told.ok_or_else(not_a_backup)?;
    if tail(told).map_err(&read)? != end {
        return Err(not_a_backup());
    }
    file.seek(SeekFrom::Start(0)).map_err(&read)?;
    let mut digest = Digest::new();
    copy(&mut file.take(body), &mut |piece| {
        digest.add(piece);
        Ok(())
    })
    .map_err(&read)?;
    Ok(digest.hex() == told)
}

/// The entries of the archive: plain files, in their order.
fn entries(file: &mut File) -> io::Result<Vec<Entry>> {
    file.seek(SeekFrom::Start(0))?;
    let mut archive = tar::Archive::new(file);
    let mut found = Vec::new();
    // Raw: an entry that says something about the next one is refused like a link or a directory.
    for entry in archive.entries_with_seek()?.raw(true) {
        let entry = entry?;
        let name = std::str::from_utf8(&entry.path_bytes()).map(str::to_owned);
        let name = name.map_err(|_| io::Error::other("a name is not text"))?;
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(io::Error::other(format!("{name:?} is not a plain file")));
        }
        if found.len() == ENTRIES_MAX {
            return Err(io::Error::other("it has too many entries"));
        }
        found.push(Entry { name, bytes: entry.size(), offset: entry.raw_file_position() });
    }
    Ok(found)
}

fn read_manifest(path: &Path, file: &mut File, entry: &Entry) -> Result<Manifest, BackupError> {
    let read = cannot("read", path);
    let altered = |what: String| BackupError::Altered { path: path.to_owned(), what };
    file.seek(SeekFrom::Start(entry.offset)).map_err(&read)?;
    let mut text = Vec::new();
    file.take(entry.bytes).read_to_end(&mut text).map_err(&read)?;
    let fault = |e: serde_json::Error| altered(format!("its manifest cannot be read: {e}"));
    let FormatOnly { format } = serde_json::from_slice(&text).map_err(fault)?;
    if format > u64::from(FORMAT) {
        return Err(BackupError::Newer { found: format, known: FORMAT });
    }
    serde_json::from_slice(&text).map_err(fault)
}
