//! Opens what was unpacked as the program would, and compares it with the manifest.

use super::manifest::Manifest;
use super::problem::BackupError;
use super::{OnProgress, Progress};
use crate::tenancy::id::TenantId;
use crate::tenancy::registry::Tenancy;
use crate::tenancy::schema::SCHEMA;
use crate::tenancy::slug::Slug;
use crate::tenancy::tenant::{Tenant, TenantState};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use storage::embedded::{EmbeddedEngine, EngineSettings};
use storage::engine::{Engine, KeyspaceStats};
use storage::error::StoreError;
use storage::row::Seq;
use storage::volume::OsVolume;

/// What is in a backup of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TenantReport {
    /// What it was called.
    pub tenant: Slug,
    /// Its id.
    pub id: TenantId,
    /// Its executions.
    pub rows: u64,
    /// The newest seq that is in it.
    pub last_seq: Seq,
    /// What is wrong with it; nothing, if all is well.
    pub findings: Vec<String>,
}

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// Opens every file: it is whose it says it is.
    Quick,
    /// Reads and verifies every value.
    Whole,
}

/// Opens the data directory `dir`. Gives what is in it, or why it cannot be `manifest`'s.
pub(super) fn inspect(
    dir: &Path,
    manifest: &Manifest,
    depth: Depth,
    tell: OnProgress<'_>,
) -> Result<(Vec<TenantReport>, Vec<String>), BackupError> {
    let engine = engine_at(dir)?;
    let known = tenants(&engine)?;
    let mut findings = Vec::new();
    let told: BTreeSet<&TenantId> = manifest.tenants().map(|(id, ..)| id).collect();
    // Of a tenant that is being deleted the file may be there or not.
    let must: BTreeSet<&TenantId> =
        known.iter().filter(|tenant| !is_going(tenant)).map(|tenant| &tenant.id).collect();
    let may: BTreeSet<&TenantId> = known.iter().map(|tenant| &tenant.id).collect();
    if !(must.is_subset(&told) && told.is_subset(&may)) {
        findings.push("the tenants it knows are not those whose files it has".to_owned());
    }
    if depth == Depth::Whole {
        findings.extend(engine.check_platform()?);
    }
    let mut reports = Vec::new();
    for (done, (id, slug, _)) in manifest.tenants().enumerate() {
        tell(Progress { name: slug.as_str(), done, total: told.len() });
        let (stats, findings) = match look(&engine, id, depth) {
            // Whoever wants to know everything is told of the others too.
            Err(error) if depth == Depth::Whole => {
                (KeyspaceStats::default(), vec![error.to_string()])
            }
            looked => looked?,
        };
        let (tenant, id) = (slug.clone(), id.clone());
        let (rows, last_seq) = (stats.rows, stats.last_seq);
        reports.push(TenantReport { tenant, id, rows, last_seq, findings });
    }
    Ok((reports, findings))
}

fn look(
    engine: &EmbeddedEngine,
    id: &TenantId,
    depth: Depth,
) -> Result<(KeyspaceStats, Vec<String>), StoreError> {
    let keyspace = engine.open(id.as_str())?;
    let findings = if depth == Depth::Whole { keyspace.check()? } else { Vec::new() };
    Ok((keyspace.stats()?, findings))
}

/// The engine on the data directory `dir`, which nobody else knows of: nothing is sealed there.
pub(super) fn engine_at(dir: &Path) -> Result<Arc<EmbeddedEngine>, BackupError> {
    const KEYSPACES_OPEN: usize = 4; // one after the other is looked at
    const CACHE_BYTES: usize = 64 << 20;
    let settings = EngineSettings {
        background: false,
        open_keyspaces_max: KEYSPACES_OPEN,
        cache_bytes: CACHE_BYTES,
        schema: &SCHEMA,
        ..EngineSettings::default()
    };
    Ok(Arc::new(EmbeddedEngine::open(OsVolume::shared(dir), settings)?))
}

/// Whether the tenant is being deleted.
pub(super) fn is_going(tenant: &Tenant) -> bool {
    tenant.state == TenantState::Deleting
}

/// The tenants that the platform's tables know; what is left of half-made ones is cleared.
pub(super) fn tenants(engine: &Arc<EmbeddedEngine>) -> Result<Vec<Tenant>, BackupError> {
    let engine: Arc<dyn Engine> = Arc::<EmbeddedEngine>::clone(engine);
    Ok(Tenancy::start(engine)?.list()?)
}
