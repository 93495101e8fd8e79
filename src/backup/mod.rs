//! A copy of everything in one file, made while the tenants go on writing, and put back.
//!
//! In reading order: [`manifest`] is what the file says of itself; [`archive`] is how it is
//! written, [`listing`] how it is read; [`create()`], [`verify()`] and [`restore()`] are what can be done,
//! and with one tenant alone [`export()`] and [`unpack()`].
//!
//! The file is an uncompressed tar archive (POSIX.1-1988 `ustar`), so that in need any machine can
//! unpack it: keyspaces are compressed already, and nothing in it can grow when it is read. Its
//! last two entries are `manifest.json` and `sha256`, the digest of every byte before it.
//!
//! *Invariants*: a file that lacks a byte, has one changed or is of another kind is refused as a
//! whole. What is in it is written to names that follow from the manifest's checked ids, never to
//! what an archive says. Neither a backup nor a restored directory has its name before it is whole
//! and on stable storage; neither takes the place of anything.

mod archive;
mod create;
mod inspect;
mod listing;
mod manifest;
mod problem;
mod restore;
mod scratch;
mod tenant;
mod verify;

pub use create::{Created, Source, create};
pub use inspect::TenantReport;
pub use manifest::{FORMAT, Holds, Kind, Manifest, StoredFile};
pub use problem::BackupError;
pub use restore::restore;
pub use tenant::{Arrived, LogEnd, Records, export, unpack};
pub use verify::{Verified, verify};

/// How far it is: what is at work now, how many are done, and of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file or tenant.
    pub name: &'a str,
    /// How many are done.
    pub done: usize,
    /// How many there are.
    pub total: usize,
}

/// Told how far it is.
pub type OnProgress<'a> = &'a mut dyn FnMut(Progress<'_>);
