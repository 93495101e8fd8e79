//! Makes a backup while the tenants go on writing.
//!
//! The platform's tables are copied first, and the keyspaces of the tenants that this copy knows
//! afterwards. So a tenant made meanwhile is not in it at all. One deleted meanwhile has no
//! keyspace any more: then everything is begun anew, from a copy that does not know it. What a
//! copy holds is one moment of that tenant: there is nothing in one tenant's data that refers to
//! another's.

use super::archive::ArchiveWriter;
use super::inspect::{engine_at, is_going, tenants};
use super::manifest::{
    Holds, Kind, MANIFEST, Manifest, SECRET_KEY, SETTINGS, StoredFile, TLS, is_plain, keyspace_name,
};
use super::problem::{BackupError, cannot};
use super::scratch::{Scratch, put_in_place};
use super::{OnProgress, Progress};
use crate::model::time::format_rfc3339;
use crate::tenancy::tenant::Tenant;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use storage::embedded::{EmbeddedEngine, PLATFORM_FILE};
use storage::engine::Engine;
use storage::error::StoreError;
use storage::row::TimeMs;

/// How often it is begun anew because a tenant was deleted meanwhile.
const ROUNDS_MAX: usize = 5;

/// Largest of the files beside the keyspaces: keys, certificates and settings have some kilobytes.
const BESIDE_BYTES_MAX: u64 = 16 << 20;

/// Of what a backup is made.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The engine that has the data open.
    pub engine: &'a EmbeddedEngine,
    /// Where its data lies.
    pub data_dir: &'a Path,
    /// The random id of the installation, where it has one.
    pub installation_id: Option<&'a str>,
    /// Unix milliseconds.
    pub now_ms: TimeMs,
}

/// A backup that was made.
#[derive(Clone, Debug)]
pub struct Created {
    /// Where it is.
    pub path: PathBuf,
    /// What is in it.
    pub manifest: Manifest,
}

/// Makes the backup `to`, or one named by the time in the directory `to`. Needs room for it and,
/// for a while, for the largest keyspace once more, beside it.
pub fn create(
    source: &Source<'_>,
    to: &Path,
    tell: OnProgress<'_>,
) -> Result<Created, BackupError> {
    let path = path_for(to, "emx", source.now_ms)?;
    let mut round = 1;
    loop {
        let scratch = Scratch::beside(&path)?;
        match Attempt::begin(source, scratch.path())?.run(tell) {
            Err(BackupError::Missing { tenant }) if round < ROUNDS_MAX => {
                tracing::info!(%tenant, "it was deleted meanwhile: the backup is begun anew");
                round += 1;
            }
            made => {
                let (whole, manifest) = made?;
                put_in_place(&whole, &path)?;
                return Ok(Created { path, manifest });
            }
        }
    }
}

/// The path of a file that is to be `to`, or in the directory `to`; nothing is there yet.
pub(super) fn path_for(to: &Path, of: &str, now_ms: TimeMs) -> Result<PathBuf, BackupError> {
    let path = if to.is_dir() { to.join(name_at(of, now_ms)) } else { to.to_owned() };
    match fs::symlink_metadata(&path) {
        Ok(_) => Err(BackupError::Exists { path }),
        Err(_) => Ok(path),
    }
}

/// The name of a copy of `of` made at `now_ms`, without what file systems do not take.
fn name_at(of: &str, now_ms: TimeMs) -> String {
    let time: String = format_rfc3339(now_ms).chars().take_while(|&c| c != '.').collect();
    format!("{of}-{}Z.tar", time.replace(':', "-"))
}

/// The archive until it has its name, and the copy that is just put into it.
const WHOLE: &str = "whole.tar";
const COPY: &str = "copy.redb";

/// One try.
pub(super) struct Attempt<'a> {
    source: &'a Source<'a>,
    dir: &'a Path,
    archive: ArchiveWriter,
    files: Vec<StoredFile>,
}

impl<'a> Attempt<'a> {
    pub(super) fn begin(source: &'a Source<'a>, dir: &'a Path) -> Result<Self, BackupError> {
        let path = dir.join(WHOLE);
        let mut options = OpenOptions::new();
        let out = options.write(true).create_new(true).mode(0o600).open(&path);
        let mtime_s = u64::try_from(source.now_ms / 1000).unwrap_or(0);
        let archive = ArchiveWriter::new(out.map_err(cannot("make", &path))?, mtime_s);
        Ok(Self { source, dir, archive, files: Vec::new() })
    }

    /// The whole archive.
    fn run(mut self, tell: OnProgress<'_>) -> Result<(PathBuf, Manifest), BackupError> {
        let platform = self.dir.join(PLATFORM_FILE);
        self.source.engine.snapshot_platform(&platform)?;
        let mut tenants = tenants(&engine_at(self.dir)?)?; // closed again: what follows reads the file
        tenants.retain(|tenant| !is_going(tenant)); // nobody gets that back
        self.append(PLATFORM_FILE, Kind::Platform, &platform)?;
        let total = tenants.len();
        for (done, tenant) in tenants.into_iter().enumerate() {
            tell(Progress { name: tenant.slug.as_str(), done, total });
            self.append_keyspace(&tenant)?;
        }
        self.append_beside()?;
        self.finish(Holds::Installation)
    }

    /// The keyspace of `tenant` as it is now.
    pub(super) fn append_keyspace(&mut self, tenant: &Tenant) -> Result<(), BackupError> {
        let copy = self.dir.join(COPY);
        let copied = self.source.engine.open(tenant.id.as_str()).and_then(|of| of.snapshot(&copy));
        match copied {
            Err(StoreError::NotFound { .. }) => {
                return Err(BackupError::Missing { tenant: tenant.slug.clone() });
            }
            other => other?,
        }
        self.append(&keyspace_name(&tenant.id), Kind::Tenant, &copy)?;
        if let Some(file) = self.files.last_mut() {
            (file.tenant_id, file.slug) = (Some(tenant.id.clone()), Some(tenant.slug.clone()));
        }
        fs::remove_file(&copy).map_err(cannot("remove", &copy))
    }

    /// What lies in the data directory beside the keyspaces.
    fn append_beside(&mut self) -> Result<(), BackupError> {
        let mut beside =
            vec![(SETTINGS.to_owned(), Kind::Settings), (SECRET_KEY.to_owned(), Kind::SecretKey)];
        let tls = self.source.data_dir.join(TLS);
        let entries = match fs::read_dir(&tls) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            other => Some(other.map_err(cannot("look into", &tls))?),
        };
        let mut names = Vec::new();
        for entry in entries.into_iter().flatten() {
            let name = entry.map_err(cannot("look into", &tls))?.file_name();
            names.extend(name.to_str().filter(|name| is_plain(name)).map(str::to_owned));
        }
        names.sort();
        beside.extend(names.into_iter().map(|name| (format!("{TLS}/{name}"), Kind::Tls)));
        for (name, kind) in beside {
            let path = self.source.data_dir.join(&name);
            match fs::metadata(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Ok(found) if !found.is_file() || found.len() > BESIDE_BYTES_MAX => {
                    tracing::warn!(file = %path.display(), "left out of the backup: it is no small file");
                }
                _ => self.append(&name, kind, &path)?,
            }
        }
        Ok(())
    }

    pub(super) fn append(
        &mut self,
        name: &str,
        kind: Kind,
        path: &Path,
    ) -> Result<(), BackupError> {
        let read = cannot("read", path);
        let file = File::open(path).map_err(&read)?;
        let bytes = file.metadata().map_err(&read)?.len();
        let append = cannot("put into the backup", path);
        let sha256 = self.archive.append(name, bytes, file).map_err(append)?;
        let (tenant_id, slug) = (None, None);
        self.files.push(StoredFile { name: name.to_owned(), kind, tenant_id, slug, bytes, sha256 });
        Ok(())
    }

    /// Ends the archive, and gives where it is and what is in it.
    pub(super) fn finish(mut self, holds: Holds) -> Result<(PathBuf, Manifest), BackupError> {
        let manifest = Manifest {
            format: holds.format(),
            holds,
            emx: env!("CARGO_PKG_VERSION").to_owned(),
            created_at: format_rfc3339(self.source.now_ms),
            installation_id: self.source.installation_id.map(str::to_owned),
            files: self.files,
        };
        let write = cannot("write", self.dir);
        let mut text = serde_json::to_vec_pretty(&manifest).map_err(|e| write(e.into()))?;
        text.push(b'\n');
        self.archive.append(MANIFEST, text.len() as u64, text.as_slice()).map_err(&write)?;
        self.archive.finish().map_err(&write)?;
        Ok((self.dir.join(WHOLE), manifest))
    }
}
