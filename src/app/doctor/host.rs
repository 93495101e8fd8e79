//! The machine, and the data directory on it.

use super::Findings;
use crate::app::password;
use crate::app::table::instant;
use rustix::fs::{statfs, statvfs};
use rustix::process::{Resource, geteuid, getrlimit};
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use storage::embedded::{KEYSPACE_FILE, PLATFORM_FILE, TENANTS};
use storage::row::TimeMs;

const DAY_MS: i64 = 24 * 3_600_000;

/// Below it the store refuses to write, and below it a message should come in time.
const FREE_BYTES_MIN: u64 = 8 << 20;
const FREE_BYTES_FEW: u64 = 1 << 30;

/// Descriptors beside those of keyspaces: connections, logs, libraries.
const FILES_BESIDE: u64 = 256;

/// Most files whose owners and modes are looked at: one a tenant, and some more.
const FILES_MAX: usize = 100_000;

/// Bits that others than the owner must not have.
const FOREIGN_MODE: u32 = 0o077;

/// File systems, by the numbers of statfs(2), on which data is not safe, and why.
const UNSAFE_SYSTEMS: [(u64, &str, &str); 6] = [
    (0x0102_1994, "tmpfs", "it is memory: everything is gone when the machine stops"),
    (0x8584_58f6, "ramfs", "it is memory: everything is gone when the machine stops"),
    (0x6969, "NFS", "locks and syncs of a network file system cannot be relied on"),
    (0xff53_4d42, "CIFS", "locks and syncs of a network file system cannot be relied on"),
    (0xfe53_4d42, "SMB", "locks and syncs of a network file system cannot be relied on"),
    (0x0102_1997, "9P", "locks and syncs of a network file system cannot be relied on"),
];

/// The program's version and the kernel's.
pub(super) fn versions() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let (os, kernel) = (std::env::consts::OS, kernel.trim());
    format!("emx {} on {os} {kernel}", env!("CARGO_PKG_VERSION")).trim_end().to_owned()
}

/// Whether the machine's clock can be right.
pub(super) fn clock(now_ms: TimeMs, dir: &Path, findings: &mut Findings) {
    const SET_CLOCK: &str = "set the machine's clock, and let NTP keep it";
    const FIRST_MS: TimeMs = 1_767_225_600_000; // 2026-01-01: there was no emx before
    const LAST_MS: TimeMs = 4_102_444_800_000; // 2100-01-01
    let written_ms = fs::metadata(dir.join(PLATFORM_FILE)).map_or(i64::MIN, |m| m.mtime() * 1000);
    if !(FIRST_MS..LAST_MS).contains(&now_ms) {
        findings.fail("clock", format!("the clock says {}", instant(now_ms)), SET_CLOCK);
    } else if now_ms < written_ms.saturating_sub(DAY_MS) {
        let detail = format!(
            "the clock says {}, but the data was written to at {}",
            instant(now_ms),
            instant(written_ms)
        );
        findings.warn("clock", detail, SET_CLOCK);
    } else {
        findings.ok("clock", format!("the clock says {}", instant(now_ms)));
    }
}

/// Whether enough files can be open.
pub(super) fn open_files(keyspaces_max: usize, findings: &mut Findings) {
    let needed = keyspaces_max as u64 + FILES_BESIDE;
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < needed => findings.warn(
            "open_files",
            format!("{limit} files may be open at a time, {needed} are wanted"),
            "raise the limit (`ulimit -n`, LimitNOFILE of the unit), or lower \
             `storage.open_keyspaces_max`",
        ),
        Some(limit) => {
            let detail = format!("{limit} files may be open at a time, {needed} are wanted");
            findings.ok("open_files", detail);
        }
        None => findings.ok("open_files", "any number of files may be open at a time"),
    }
}

/// Whether there is a data directory of whoever asks. Without one there is nothing more to see.
pub(super) fn directory(dir: &Path, findings: &mut Findings) -> bool {
    let name = dir.display();
    let found = match fs::metadata(dir) {
        Ok(found) if found.is_dir() => found,
        Ok(_) => {
            let help = "name a directory with `--data-dir`";
            findings.fail("data_dir", format!("`{name}` is not a directory"), help);
            return false;
        }
        Err(error) => {
            let help = format!(
                "name the right one with `--data-dir`, or begin with `emx init --data-dir {name} \
                 --tenant NAME --admin EMAIL`"
            );
            findings.fail("data_dir", format!("`{name}`: {error}"), help);
            return false;
        }
    };
    let me = geteuid();
    if found.uid() != me.as_raw() && !me.is_root() {
        let detail =
            format!("`{name}` belongs to user {}, and this is {}", found.uid(), me.as_raw());
        findings.fail("data_dir", detail, "run `emx` as its owner");
        return false;
    }
    if found.mode() & FOREIGN_MODE != 0 {
        let detail = format!("others may look into `{name}` (mode {:o})", found.mode() & 0o777);
        findings.warn("data_dir", detail, format!("chmod 700 {name}"));
    } else {
        findings.ok("data_dir", format!("`{name}` is there and its owner's alone"));
    }
    true
}

/// What the data lies on, and how much room there is.
pub(super) fn file_system(dir: &Path, findings: &mut Findings) {
    let kind = statfs(dir).map(|stat| stat.f_type.cast_unsigned() & u64::from(u32::MAX));
    match kind.map(|kind| UNSAFE_SYSTEMS.iter().find(|(number, ..)| *number == kind)) {
        Ok(Some((_, name, why))) => {
            let help = "put the data on a disk of this machine with `--data-dir`";
            findings.warn("file_system", format!("the data lies on {name}: {why}"), help);
        }
        Ok(None) => findings.ok("file_system", "the data lies on a local disk"),
        Err(error) => findings.warn("file_system", error, "look at the disk"),
    }
    let Ok(stat) = statvfs(dir) else { return };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let largest = keyspace_files(dir).filter_map(|path| fs::metadata(path).ok());
    let largest = largest.map(|file| file.blocks() * 512).max().unwrap_or(0);
    let detail = format!("{} MiB are free", free >> 20);
    if free < FREE_BYTES_MIN {
        findings.fail("free_space", detail, "free some space: nothing is accepted until then");
    } else if free < FREE_BYTES_FEW.max(largest / 8 * 9) {
        let largest = largest >> 20;
        let detail = format!("{detail}; the largest tenant has {largest} MiB");
        let help =
            "free some space: a tenant's file is written anew beside the old one to become smaller";
        findings.warn("free_space", detail, help);
    } else {
        findings.ok("free_space", detail);
    }
}

/// Owners and modes of what lies in the directory, and what should not lie there.
pub(super) fn files(dir: &Path, findings: &mut Findings) {
    let owner = fs::metadata(dir).map_or(0, |found| found.uid());
    let (mut foreign, mut open) = (Vec::new(), Vec::new());
    for (path, found) in all_files(dir) {
        if found.uid() != owner {
            foreign.push(path);
        } else if found.is_file() && is_private(&path) && found.mode() & FOREIGN_MODE != 0 {
            open.push(path);
        }
    }
    let name = dir.display();
    if let Some(first) = foreign.first() {
        let detail = format!(
            "`{}` and {} more belong to another user than `{name}`",
            first.display(),
            foreign.len() - 1
        );
        findings.fail("owners", detail, format!("chown -R --reference={name} {name}"));
    }
    if let Some(first) = open.first() {
        let detail = format!("others may read `{}` and {} more", first.display(), open.len() - 1);
        findings.fail("modes", detail, format!("chmod -R go= {name}; rotate the signing keys"));
    }
    if foreign.is_empty() && open.is_empty() {
        findings.ok("files", "every file is the owner's alone");
    }
    let password = dir.join(password::FILE_NAME);
    if password.exists() {
        let detail = format!("the first password still lies in `{}`", password.display());
        findings.warn("first_password", detail, password::FILE_ADVICE);
    }
}

/// Whether what lies in the file is nobody else's business.
fn is_private(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.ends_with(".key") || name.ends_with(".redb") || name == password::FILE_NAME
}

/// The files of all keyspaces, known or not.
pub(super) fn keyspace_files(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let tenants = fs::read_dir(dir.join(TENANTS)).into_iter().flatten();
    tenants.flatten().map(|entry| entry.path().join(KEYSPACE_FILE)).filter(|path| path.exists())
}

/// Everything below `dir`, the links themselves and not what they lead to.
fn all_files(dir: &Path) -> Vec<(PathBuf, Metadata)> {
    let mut found = Vec::new();
    let mut to_visit = vec![dir.to_owned()];
    while let Some(dir) = to_visit.pop() {
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries.into_iter().flatten().flatten(),
        };
        for entry in entries {
            let Ok(metadata) = fs::symlink_metadata(entry.path()) else { continue };
            // A file system has one of its own, which is root's.
            if entry.file_name() == "lost+found" || found.len() >= FILES_MAX {
                continue;
            }
            if metadata.is_dir() {
                to_visit.push(entry.path());
            }
            found.push((entry.path(), metadata));
        }
    }
    found
}
