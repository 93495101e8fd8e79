//! Is a backup one that can be put back?

use super::OnProgress;
use super::inspect::{Depth, TenantReport, inspect};
use super::listing::Backup;
use super::manifest::{Holds, Manifest};
use super::problem::BackupError;
use super::scratch::Scratch;
use std::path::Path;

/// What is in a backup.
#[derive(Clone, Debug)]
pub struct Verified {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Its tenants.
    pub tenants: Vec<TenantReport>,
    /// What is wrong with it as a whole; nothing, if all is well.
    pub findings: Vec<String>,
}

impl Verified {
    /// Whether everything in it is as it was written.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty() && self.tenants.iter().all(|tenant| tenant.findings.is_empty())
    }
}

/// Reads all of the backup `path`, unpacks it beside it (or, where that cannot be, among temporary
/// files), and verifies every value in it.
pub fn verify(path: &Path, tell: OnProgress<'_>) -> Result<Verified, BackupError> {
    let mut backup = Backup::open(path)?;
    backup.demand(Holds::Installation)?;
    let scratch = Scratch::beside(path).or_else(|_| Scratch::anywhere())?;
    backup.extract(scratch.path(), tell)?;
    let (tenants, findings) = inspect(scratch.path(), &backup.manifest, Depth::Whole, tell)?;
    Ok(Verified { manifest: backup.manifest, tenants, findings })
}
