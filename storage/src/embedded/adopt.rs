//! Takes in a copy of a keyspace's file under another name.
//!
//! *Invariants*: the copy says whose it is by now before it has its place; the file that it is made of
//! stays as it is; a file of another grain, format or kind is refused.

use super::db::{CommitMode, Db};
use super::layout::{identity_of, write_identity};
use super::rewrite::{fresh_path, put_in_place};
use crate::engine::KeyspaceSettings;
use crate::error::{Corrupt, StoreError};
use crate::stored::meta::Identity;
use crate::volume::{OsVolume, Volume};
use std::io;
use std::path::{Path, PathBuf};

/// Bytes copied at a time.
const COPY_BYTES: usize = 1 << 20;

/// What was being done, in the words of an error.
const ADOPTING: &str = "taking in a keyspace";

/// Makes the file `path` of the keyspace `name` on `volume` of the file `from`, which lies anywhere:
/// whole under another name first. Formats up to `known` are taken in.
pub(super) fn adopt(
    volume: &dyn Volume,
    path: &Path,
    from: &Path,
    (name, settings): (&str, &KeyspaceSettings),
    (cache_bytes, known): (usize, u32),
) -> Result<(), StoreError> {
    let fresh = fresh_path(path);
    volume.remove_file(&fresh).map_err(io)?;
    copy(volume, &fresh, from)?;
    let db = Db::create(volume, &fresh, cache_bytes, CommitMode::OnePhase)?;
    let was = db.read(|transaction| identity_of(transaction, known))?;
    if was.grain_minutes != settings.grain_minutes {
        let what = format!("its grain is {} minutes, not its time zone's", was.grain_minutes);
        return Err(Corrupt::new(what).into());
    }
    let identity = Identity { name: name.to_owned(), ..was };
    let written = db.write(|transaction| write_identity(&identity, transaction));
    written.map_err(|failure| failure.error)?;
    db.close()?;
    put_in_place(volume, &fresh, path)
}

/// Copies the file `from` into the new file `to` of `volume`, on stable storage.
fn copy(volume: &dyn Volume, to: &Path, from: &Path) -> Result<(), StoreError> {
    let not_found = || StoreError::NotFound { name: from.to_string_lossy().into_owned() };
    let name = from.file_name().map(PathBuf::from).ok_or_else(not_found)?;
    let parent = from.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let source = OsVolume::new(parent).open(&name, false).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => not_found(),
        _ => io(error),
    })?;
    let (len, target) = (source.len().map_err(io)?, volume.open(to, true).map_err(io)?);
    if len == 0 {
        return Err(Corrupt::new("the keyspace file is empty").into());
    }
    let mut buffer = vec![0; COPY_BYTES];
    let mut at = 0;
    while at < len {
        let take = usize::try_from(len - at).unwrap_or(COPY_BYTES).min(COPY_BYTES);
        let piece = &mut buffer[..take];
        source.read(at, piece).map_err(io)?;
        target.write(at, piece).map_err(io)?;
        at += take as u64;
    }
    target.sync().map_err(io)
}

fn io(source: io::Error) -> StoreError {
    StoreError::Io { doing: ADOPTING, source }
}
