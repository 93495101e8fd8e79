//! `emx tenant`: who shares this installation.

use crate::app::output;
use crate::app::session::Session;
use crate::app::table::{Side, TextTable, instant};
use crate::tenancy::registry::{Completion, NewTenant};
use crate::tenancy::slug::Slug;
use crate::tenancy::tenant::Tenant;
use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// What to do with tenants.
#[derive(Debug, Subcommand)]
pub(in crate::app) enum Command {
    /// Make a tenant
    Create(CreateFlags),
    /// List all tenants
    List,
}

/// The tenant to be made.
#[derive(Debug, Args)]
pub(in crate::app) struct CreateFlags {
    /// Its name: 2 to 40 of a-z, 0-9 and -
    name: String,
    /// Its time zone
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    time_zone: String,
}

pub(super) fn run(command: &Command, session: &Session) -> Result<()> {
    match command {
        Command::Create(flags) => create(flags, session),
        Command::List => list(session),
    }
}

fn create(flags: &CreateFlags, session: &Session) -> Result<()> {
    let slug = Slug::parse(&flags.name)?;
    let data = session.open()?;
    let new = NewTenant { slug, time_zone: flags.time_zone.clone() };
    let tenant = data.tenancy.create(new, session.clock.now_ms(), |_| Ok(Completion::default()))?;
    if session.json {
        return output::json(&as_json(&tenant));
    }
    Ok(output::text(&format!("made tenant `{}` ({})\n", tenant.slug, tenant.id))?)
}

fn list(session: &Session) -> Result<()> {
    let tenants = session.open()?.tenancy.list()?;
    if session.json {
        let items: Vec<Value> = tenants.iter().map(as_json).collect();
        return output::json(&json!({"items": items, "next_cursor": null}));
    }
    let headings = ["tenant", "id", "state", "time zone", "created"];
    let mut table = TextTable::new(&headings.map(|heading| (heading, Side::Left)));
    for tenant in &tenants {
        let created = instant(tenant.created_ms);
        table.push([
            tenant.slug.as_str(),
            tenant.id.as_str(),
            tenant.state.as_str(),
            &tenant.time_zone,
            &created,
        ]);
    }
    Ok(output::text(&table.render())?)
}

fn as_json(tenant: &Tenant) -> Value {
    json!({
        "id": tenant.id, "slug": tenant.slug, "state": tenant.state,
        "time_zone": tenant.time_zone, "created_at": instant(tenant.created_ms),
    })
}
