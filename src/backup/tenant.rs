//! One tenant in a file of its own: made while others write, and taken in elsewhere as a new tenant.
//!
//! The file is an archive like a backup, of format 2. It holds the tenant's records (its name, its people,
//! where its log ended), its log as `emx audit verify --file` reads it, and its keyspace. It does not
//! hold what is the installation's: sessions, signing keys, certificates, settings, and nothing that is
//! sealed by `secret.key`.

use super::create::{Attempt, Created, Source, path_for};
use super::inspect::{TenantReport, engine_at};
use super::listing::Backup;
use super::manifest::{Holds, Kind, LOG, Manifest, RECORDS, keyspace_name};
use super::problem::{BackupError, cannot};
use super::scratch::{Scratch, put_in_place};
use super::{OnProgress, Progress};
use crate::audit::{self, Anchor, AuditLog, Link, PAGE_MAX};
use crate::identity::carry::People;
use crate::tenancy::tenant::Tenant;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use storage::engine::Engine;

/// Largest records: as many users as a tenant may have take some 5 MB.
const RECORDS_BYTES_MAX: u64 = 64 << 20;

/// Longest line of a log that is read as one: many times an entry.
const LOG_LINE_BYTES_MAX: u64 = 16 << 20;

/// What the platform's tables know of a tenant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Records {
    /// The tenant as it was.
    pub tenant: Tenant,
    /// Its people.
    pub people: People,
    /// Where its log ended.
    pub log: LogEnd,
}

/// The end of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEnd {
    /// The seq of its last entry.
    pub seq: u64,
    /// The hash of that, 64 hexadecimal digits.
    pub hash: String,
}

impl LogEnd {
    fn of(anchor: &Anchor) -> Self {
        Self { seq: anchor.seq, hash: anchor.hash.to_string() }
    }
}

/// Makes the file `to` of `tenant` and its `people`, or one named by both and the time in the directory
/// `to`. Needs room for the keyspace twice, for a while.
pub fn export(
    source: &Source<'_>,
    log: &AuditLog,
    (tenant, people): (&Tenant, People),
    to: &Path,
    tell: OnProgress<'_>,
) -> Result<Created, BackupError> {
    let path = path_for(to, tenant.slug.as_str(), source.now_ms)?;
    let scratch = Scratch::beside(&path)?;
    let mut attempt = Attempt::begin(source, scratch.path())?;
    let end = LogEnd::of(&log.anchor(tenant.id.as_str())?);
    let records = Records { tenant: tenant.clone(), people, log: end };
    let at = scratch.path().join(RECORDS);
    write_records(&at, &records).map_err(cannot("write", &at))?;
    attempt.append(RECORDS, Kind::Records, &at)?;
    let at = scratch.path().join(LOG);
    write_log(&at, log, &records)?;
    attempt.append(LOG, Kind::Log, &at)?;
    tell(Progress { name: tenant.slug.as_str(), done: 0, total: 1 });
    attempt.append_keyspace(tenant)?;
    let (whole, manifest) = attempt.finish(Holds::Tenant)?;
    put_in_place(&whole, &path)?;
    Ok(Created { path, manifest })
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn write_records(path: &Path, records: &Records) -> io::Result<()> {
    new_file(path)?.write_all(&serde_json::to_vec(records)?)
}

/// Writes the log up to where the records say that it ends, newest first, an entry a line.
fn write_log(path: &Path, log: &AuditLog, records: &Records) -> Result<(), BackupError> {
    let write = cannot("write", path);
    let mut out = BufWriter::new(new_file(path).map_err(&write)?);
    let mut before = Some(records.log.seq.saturating_add(1));
    while let Some(seq) = before {
        let page = log.page_as_stored(records.tenant.id.as_str(), Some(seq), PAGE_MAX)?;
        for (_, line) in &page {
            out.write_all(line).and_then(|()| out.write_all(b"\n")).map_err(&write)?;
        }
        before = page.last().filter(|_| page.len() == PAGE_MAX).map(|(seq, _)| *seq);
    }
    out.flush().map_err(write)
}

/// A tenant's file that was read and verified, unpacked until this goes.
#[derive(Debug)]
pub struct Arrived {
    /// What it says of itself.
    pub manifest: Manifest,
    /// What it knows of the tenant.
    pub records: Records,
    /// What is in the keyspace.
    pub report: TenantReport,
    keyspace: PathBuf,
    _scratch: Scratch,
}

impl Arrived {
    /// The file of the keyspace, under the id that the tenant had.
    pub fn keyspace(&self) -> &Path {
        &self.keyspace
    }
}

/// Reads all of the tenant's file `path`, unpacks it beside it (or, where that cannot be, among temporary
/// files), and verifies every value in it.
pub fn unpack(path: &Path, tell: OnProgress<'_>) -> Result<Arrived, BackupError> {
    let mut backup = Backup::open(path)?;
    backup.demand(Holds::Tenant)?;
    let scratch = Scratch::beside(path).or_else(|_| Scratch::anywhere())?;
    backup.extract(scratch.path(), tell)?;
    let altered = |what: String| BackupError::Altered { path: path.to_owned(), what };
    let records = read_records(&scratch.path().join(RECORDS), path)?;
    let tenant = &records.tenant;
    let named = backup.manifest.tenants().next().map(|(id, slug, _)| (id, slug));
    if named != Some((&tenant.id, &tenant.slug)) {
        return Err(altered("its records are not of the tenant whose keyspace it has".to_owned()));
    }
    if let Some(fault) = records.people.fault() {
        return Err(altered(fault));
    }
    check_log(&scratch.path().join(LOG), &records, path)?;
    let engine = engine_at(scratch.path())?;
    let keyspace = engine.open(tenant.id.as_str())?;
    if let Some(finding) = keyspace.check()?.into_iter().next() {
        return Err(altered(finding));
    }
    let stats = keyspace.stats()?;
    let report = TenantReport {
        tenant: tenant.slug.clone(),
        id: tenant.id.clone(),
        rows: stats.rows,
        last_seq: stats.last_seq,
        findings: Vec::new(),
    };
    drop((keyspace, engine)); // closed again: what follows reads the file
    let keyspace = scratch.path().join(keyspace_name(&tenant.id));
    Ok(Arrived { manifest: backup.manifest, records, report, keyspace, _scratch: scratch })
}

/// Fails where the log in `file` is not the whole one whose end the records name.
fn check_log(file: &Path, records: &Records, path: &Path) -> Result<(), BackupError> {
    let altered = |what: String| BackupError::Altered { path: path.to_owned(), what };
    let (chain, seq) = (records.tenant.id.as_str(), records.log.seq);
    let hash = Link::parse(&records.log.hash).filter(|hash| seq > 0 || *hash == Link::default());
    let hash = hash.ok_or_else(|| altered("its records name no end of a log".to_owned()))?;
    let read = cannot("read", file);
    let mut text = BufReader::new(File::open(file).map_err(&read)?);
    let lines = std::iter::from_fn(|| {
        let mut line = Vec::new();
        // What is left of one that is longer is no entry, and found as that.
        match text.by_ref().take(LOG_LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) => return Some(Err(error)),
        }
        line.pop_if(|byte| *byte == b'\n');
        Some(Ok(line))
    });
    let anchor = Anchor { chain: chain.into(), seq, hash };
    let verdict = audit::verify_lines(lines, chain, &[anchor]).map_err(&read)?;
    match verdict.findings.first() {
        Some(finding) => Err(altered(format!("of its log, {finding}"))),
        None if verdict.entries != seq => {
            Err(altered("its log does not end where its records say".to_owned()))
        }
        None => Ok(()),
    }
}

fn read_records(file: &Path, path: &Path) -> Result<Records, BackupError> {
    let read = cannot("read", file);
    let altered = |what: String| BackupError::Altered { path: path.to_owned(), what };
    if fs::metadata(file).map_err(&read)?.len() > RECORDS_BYTES_MAX {
        return Err(altered("its records are larger than those of a tenant".to_owned()));
    }
    let text = fs::read(file).map_err(&read)?;
    let unreadable = |error| altered(format!("its records cannot be read: {error}"));
    serde_json::from_slice(&text).map_err(unreadable)
}
