//! `emx tenant`: who shares this installation.

use crate::app::act::{Act, text};
use crate::app::output;
use crate::app::session::Session;
use crate::app::table::{Side, TextTable};
use crate::tenancy::slug::Slug;
use anyhow::Result;
use clap::{Args, Subcommand};

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
    let slug = Slug::parse(&flags.name)?.as_str().to_owned();
    let act = Act::TenantCreate { slug, time_zone: flags.time_zone.clone() };
    let made = session.perform(act)?;
    if session.json {
        return output::json(&made);
    }
    let (slug, id) = (text(&made, "slug"), text(&made, "id"));
    Ok(output::text(&format!("made tenant `{slug}` ({id})\n"))?)
}

fn list(session: &Session) -> Result<()> {
    let tenants = session.perform(Act::TenantList)?;
    if session.json {
        return output::json(&tenants);
    }
    let headings = ["tenant", "id", "state", "time zone", "created"];
    let mut table = TextTable::new(&headings.map(|heading| (heading, Side::Left)));
    for tenant in tenants["items"].as_array().into_iter().flatten() {
        table.push(["slug", "id", "state", "time_zone", "created_at"].map(|key| text(tenant, key)));
    }
    Ok(output::text(&table.render())?)
}
