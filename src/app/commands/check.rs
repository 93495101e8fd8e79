//! `emx check`: is everything that is stored still what was written?

use crate::app::output;
use crate::app::problem::{Failure, sentence};
use crate::app::session::{Data, Session};
use crate::app::table::printable;
use crate::tenancy::tenant::{Tenant, TenantState};
use anyhow::Result;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use storage::error::Corrupt;

/// What to check.
#[derive(Debug, Args)]
pub(in crate::app) struct Flags {
    /// Only this tenant
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    tenants: Vec<Finding>,
    /// Keyspaces that belong to no tenant.
    orphans: Vec<String>,
}

/// What was found in one tenant.
#[derive(Debug, Serialize)]
struct Finding {
    tenant: String,
    id: String,
    rows: Option<u64>,
    findings: Vec<String>,
}

/// Reads everything. A tenant that cannot even be opened is a finding, and the next one's turn.
pub(super) fn run(flags: &Flags, session: &Session) -> Result<()> {
    let data = session.open()?;
    let mut tenants = data.tenancy.list()?;
    tenants.retain(|tenant| tenant.state != TenantState::Deleting); // whose file may be gone
    let mut orphans = Vec::new();
    if let Some(slug) = &flags.tenant {
        tenants.retain(|tenant| slug == tenant.slug.as_str());
        if tenants.is_empty() {
            data.enter(slug)?; // says that there is none
        }
    } else {
        orphans = data.tenancy.orphans()?;
    }
    let bar = progress(tenants.len() as u64);
    let mut report = Report { ok: true, tenants: Vec::new(), orphans };
    for tenant in &tenants {
        bar.set_message(tenant.slug.to_string());
        let (rows, findings) = look_into(&data, tenant);
        let (tenant, id) = (tenant.slug.to_string(), tenant.id.to_string());
        report.tenants.push(Finding { tenant, id, rows, findings });
        bar.inc(1);
    }
    bar.finish_and_clear();
    report.ok = report.orphans.is_empty() && report.tenants.iter().all(|t| t.findings.is_empty());
    if session.json {
        output::json(&report)?;
    } else {
        output::text(&as_text(&report))?;
    }
    if report.ok {
        return Ok(());
    }
    Err(Failure::new("damage_found", "not everything stored is as it was written")
        .help("restore a copy of the data directory")
        .into())
}

fn look_into(data: &Data, tenant: &Tenant) -> (Option<u64>, Vec<String>) {
    let look = || -> Result<(u64, Vec<String>)> {
        let keyspace = data.tenancy.keyspace_of(tenant)?;
        let findings = keyspace.check()?;
        Ok((keyspace.stats()?.rows, findings))
    };
    match look() {
        Ok((rows, findings)) => (Some(rows), findings),
        Err(error) => (None, vec![unopened(&error)]),
    }
}

/// What is wrong with a keyspace that cannot even be opened, without the advice to look for it.
fn unopened(error: &anyhow::Error) -> String {
    let damage = error.chain().find_map(|cause| cause.downcast_ref::<Corrupt>());
    damage.map_or_else(|| sentence(error), ToString::to_string)
}

fn as_text(report: &Report) -> String {
    let mut text = String::new();
    for tenant in &report.tenants {
        let rows = tenant.rows.map_or("unknown".to_owned(), |rows| rows.to_string());
        let verdict = if tenant.findings.is_empty() { "sound" } else { "DAMAGED" };
        text += &format!("{}: {verdict}, {rows} rows\n", tenant.tenant);
        for finding in &tenant.findings {
            text += &format!("  {}\n", printable(finding));
        }
    }
    for orphan in &report.orphans {
        text += &format!("keyspace {orphan}: belongs to no tenant\n");
    }
    text
}

fn progress(tenants: u64) -> ProgressBar {
    if !output::shows_progress() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} tenants  {msg}");
    ProgressBar::new(tenants).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
