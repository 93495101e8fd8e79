//! Why there is no backup, or why one is not taken.

use super::manifest::Holds;
use crate::tenancy::registry::TenancyError;
use crate::tenancy::slug::Slug;
use std::io;
use std::path::{Path, PathBuf};
use storage::error::StoreError;

/// Why a backup was not made, is not sound, or was not put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Something has the name already.
    #[error(
        "`{}` is there already: name a file that is not, or a directory, in which it is named by the time",
        path.display()
    )]
    Exists {
        /// The name.
        path: PathBuf,
    },
    /// A tenant is known and its keyspace is not there, however often one looks.
    #[error(
        "the tenant `{tenant}` has no keyspace: it is just being deleted, or its file is lost: try again, \
         then ask `emx doctor`"
    )]
    Missing {
        /// Its name.
        tenant: Slug,
    },
    /// It does not end like a backup.
    #[error(
        "`{}` is not a whole backup of emx: it is another kind of file, or its end is missing",
        path.display()
    )]
    NotABackup {
        /// The file.
        path: PathBuf,
    },
    /// It was a backup.
    #[error("the backup `{}` is not what was written ({what}): take another copy of it", path.display())]
    Altered {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// It is a copy of something else.
    #[error("`{}` holds {}", path.display(), match holds {
        Holds::Installation => "a whole installation: `emx backup restore` puts it back",
        Holds::Tenant => "one tenant: `emx tenant import` verifies it and takes it in",
    })]
    OfAnother {
        /// The file.
        path: PathBuf,
        /// What it is a copy of.
        holds: Holds,
    },
    /// Made by a newer version.
    #[error("the backup has format {found}, this program knows up to {known}: use a newer `emx`")]
    Newer {
        /// The format in the file.
        found: u64,
        /// The newest one known here.
        known: u32,
    },
    /// There is something where it should be put.
    #[error("`{}` is not an empty directory: name one that is empty or not there", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// A directory that cannot be replaced as a whole.
    #[error(
        "`{}` cannot be put in place as a whole, for it is a mount point: name a directory inside of it",
        path.display()
    )]
    MountPoint {
        /// The directory.
        path: PathBuf,
    },
    /// The operating system failed.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tenants cannot be read.
    #[error(transparent)]
    Tenancy(#[from] TenancyError),
}

impl BackupError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Exists { .. } => "backup_exists",
            Self::Missing { .. } => "keyspace_not_found",
            Self::NotABackup { .. } => "not_a_backup",
            Self::Altered { .. } => "backup_altered",
            Self::OfAnother { .. } => "backup_of_another",
            Self::Newer { .. } => "backup_newer",
            Self::NotEmpty { .. } => "not_empty",
            Self::MountPoint { .. } => "mount_point",
            Self::Io { .. } => "backup_io",
            Self::Store(_) | Self::Tenancy(_) => "store_failed",
        }
    }
}

/// Says what was being done to which file.
pub(super) fn cannot(
    doing: &'static str,
    path: &Path,
) -> impl Fn(io::Error) -> BackupError + use<> {
    let path = path.to_owned();
    move |source| BackupError::Io { doing, path: path.clone(), source }
}
