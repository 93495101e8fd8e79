//! Puts a backup back: into a directory beside the wanted one, which gets its name at the end.

use super::OnProgress;
use super::inspect::{Depth, engine_at, inspect};
use super::listing::Backup;
use super::manifest::Holds;
use super::problem::{BackupError, cannot};
use super::scratch::{Scratch, make_dir, parent};
use super::verify::Verified;
use crate::identity::{family, link};
use std::fs;
use std::io;
use std::path::Path;
use storage::engine::Engine;

/// Makes the data directory `data_dir`, which must be empty or not there, of the backup `path`.
/// Whatever fails, nothing of it stays. Nobody is signed in there, and no link is good: neither sessions
/// that were ended nor links that were used since the backup was made come back.
pub fn restore(
    path: &Path,
    data_dir: &Path,
    tell: OnProgress<'_>,
) -> Result<Verified, BackupError> {
    let data_dir = std::path::absolute(data_dir).map_err(cannot("find", data_dir))?;
    demand_empty(&data_dir)?;
    let mut backup = Backup::open(path)?;
    backup.demand(Holds::Installation)?;
    make_dir(parent(&data_dir))?;
    let scratch = Scratch::beside(&data_dir)?;
    backup.extract(scratch.path(), tell)?;
    let (tenants, findings) = inspect(scratch.path(), &backup.manifest, Depth::Quick, tell)?;
    if let Some(finding) = findings.into_iter().next() {
        return Err(BackupError::Altered { path: path.to_owned(), what: finding });
    }
    forget_what_may_be_over(scratch.path())?;
    scratch.rename(&data_dir)?;
    Ok(Verified { manifest: backup.manifest, tenants, findings: Vec::new() })
}

fn forget_what_may_be_over(dir: &Path) -> Result<(), BackupError> {
    let platform = engine_at(dir)?.platform()?;
    family::remove_all(&*platform)?;
    link::remove_all(&*platform)?;
    Ok(())
}

fn demand_empty(dir: &Path) -> Result<(), BackupError> {
    let not_empty = || BackupError::NotEmpty { path: dir.to_owned() };
    match fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(not_empty()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(not_empty()),
        Err(error) => Err(cannot("look into", dir)(error)),
    }
}
