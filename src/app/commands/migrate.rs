//! `emx tenant migrate` and `rollback`: which version tenants' data is at, one tenant or all.

use crate::app::act::{Act, text};
use crate::app::output;
use crate::app::problem::{Failure, Problem};
use crate::app::session::{Performer, Session};
use crate::app::table::printable;
use crate::runtime::clock::Clock;
use crate::tenancy::by::By;
use crate::tenancy::migration::{Direction, MigrationError};
use crate::tenancy::registry::{Tenancy, TenancyError};
use crate::tenancy::tenant::Tenant;
use anyhow::Result;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use storage::schema::Moved;

/// Tenants that one act is about: so many are done before the progress is told again.
const TENANTS_AT_A_TIME: usize = 32;

/// Which tenants.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(in crate::app) struct Which {
    /// The tenant's name
    name: Option<String>,
    /// Every tenant
    #[arg(long)]
    all: bool,
}

/// What is done with them.
#[derive(Debug, Args)]
pub(in crate::app) struct Flags {
    #[command(flatten)]
    which: Which,
    /// Only say which version the data is at
    #[arg(long)]
    dry_run: bool,
}

/// What is done with the version of tenants' data, here or where the data is open.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "migrate_act", rename_all = "snake_case", deny_unknown_fields)]
pub(in crate::app) enum MigrateAct {
    /// Names the tenants that have data.
    List,
    /// Looks at the version of each.
    Look { tenants: Vec<String> },
    /// Takes each to the newest version.
    Forward { tenants: Vec<String> },
    /// Takes each back to the version before.
    Back { tenants: Vec<String> },
}

impl MigrateAct {
    /// Performs the act. A tenant that fails is told of with the others.
    pub(in crate::app) fn perform(
        &self,
        tenancy: &Tenancy,
        by: &By,
        clock: &Clock,
    ) -> Result<Value> {
        let (names, direction) = match self {
            Self::List => {
                let named = |tenant: Tenant| tenant.slug.as_str().to_owned();
                let names: Vec<_> = tenancy.with_data()?.into_iter().map(named).collect();
                return Ok(json!({ "items": names }));
            }
            Self::Look { tenants } => (tenants, None),
            Self::Forward { tenants } => (tenants, Some(Direction::Newest)),
            Self::Back { tenants } => (tenants, Some(Direction::Back)),
        };
        let found: Vec<_> = names.iter().map(|slug| tenancy.named_with_data(slug)).collect();
        let there: Vec<Tenant> = found.iter().flatten().cloned().collect();
        let mut outcomes = match direction {
            Some(direction) => tenancy.migrate_each(&there, direction, by, &|| clock.now_ms()),
            None => there.iter().map(|tenant| look(tenancy, tenant)).collect(),
        }
        .into_iter();
        let mut items = Vec::with_capacity(names.len());
        for (slug, found) in names.iter().zip(found) {
            let (id, outcome) = match found {
                Ok(tenant) => (Some(tenant.id), outcomes.next()),
                Err(error) => (None, Some(Err(error.into()))),
            };
            let missing = || Err(TenancyError::NotFound { slug: slug.clone() }.into());
            let mut item = told(outcome.unwrap_or_else(missing));
            item["tenant"] = json!(slug);
            item["id"] = json!(id);
            items.push(item);
        }
        Ok(json!({ "items": items }))
    }
}

fn look(tenancy: &Tenancy, tenant: &Tenant) -> Result<Moved, MigrationError> {
    let state = tenancy.schema_of(tenant)?;
    Ok(Moved { from: state.version, to: state.version, entries: 0 })
}

/// What became of a tenant.
fn told(outcome: Result<Moved, MigrationError>) -> Value {
    match outcome {
        Ok(Moved { from, to, entries }) => json!({
            "outcome": if from == to { "unchanged" } else { "moved" },
            "from": from, "version": to, "entries": entries, "error": null,
        }),
        Err(MigrationError::Oldest) => json!({ "outcome": "unchanged", "from": 1, "version": 1,
            "entries": 0, "error": null }),
        Err(error) => {
            let error = Problem::of(&error.into());
            json!({ "outcome": "failed", "from": null, "version": null, "entries": 0,
                "error": error })
        }
    }
}

/// Takes tenants to the newest version.
pub(super) fn forward(flags: &Flags, session: &Session) -> Result<()> {
    run(flags, session, |tenants| MigrateAct::Forward { tenants })
}

/// Takes tenants back to the version before.
pub(super) fn back(flags: &Flags, session: &Session) -> Result<()> {
    run(flags, session, |tenants| MigrateAct::Back { tenants })
}

fn run(flags: &Flags, session: &Session, act: impl Fn(Vec<String>) -> MigrateAct) -> Result<()> {
    let performer = session.performer()?;
    let names = match &flags.which.name {
        Some(name) => vec![name.clone()],
        None => names(&performer)?,
    };
    let bar = progress(names.len() as u64);
    let mut items = Vec::with_capacity(names.len());
    for some in names.chunks(TENANTS_AT_A_TIME) {
        let tenants = some.to_vec();
        let act = if flags.dry_run { MigrateAct::Look { tenants } } else { act(tenants) };
        let done = performer.perform(Act::Migrate(act))?;
        items.extend(done["items"].as_array().into_iter().flatten().cloned());
        bar.inc(some.len() as u64);
    }
    bar.finish_and_clear();
    let failed = items.iter().filter(|item| item["outcome"] == "failed").count();
    if session.json {
        output::json(&json!({ "ok": failed == 0, "items": items }))?;
    } else {
        output::text(&as_text(&items))?;
    }
    if failed == 0 {
        return Ok(());
    }
    let detail = format!("{failed} of {} tenants failed, the others are done", items.len());
    Err(Failure::new("migration_failed", detail)
        .help("`emx check --tenant NAME` says more of each; then the same command goes on")
        .into())
}

fn names(performer: &Performer) -> Result<Vec<String>> {
    let known = performer.perform(Act::Migrate(MigrateAct::List))?;
    let names = known["items"].as_array().into_iter().flatten();
    Ok(names.filter_map(|name| name.as_str().map(str::to_owned)).collect())
}

/// How many got where, and each that failed.
fn as_text(items: &[Value]) -> String {
    let mut counts = std::collections::BTreeMap::new();
    for item in items.iter().filter(|item| item["outcome"] != "failed") {
        let moved = item["outcome"] == "moved";
        *counts.entry((item["version"].as_u64(), moved)).or_insert(0_u64) += 1;
    }
    let mut out = String::new();
    for ((version, moved), count) in counts {
        let version = version.unwrap_or_default();
        let tenants = if count == 1 { "1 tenant".to_owned() } else { format!("{count} tenants") };
        out += &match moved {
            true => format!("{tenants} taken to version {version}\n"),
            false => format!("{tenants} at version {version}, as before\n"),
        };
    }
    for item in items.iter().filter(|item| item["outcome"] == "failed") {
        let why = printable(text(&item["error"], "detail"));
        out += &format!("FAILED {}: {why}\n", text(item, "tenant"));
    }
    out
}

fn progress(tenants: u64) -> ProgressBar {
    if tenants <= 1 || !output::shows_progress() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} tenants");
    ProgressBar::new(tenants).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
