//! `emx tenant`: who shares this installation.

use crate::app::act::{Act, text};
use crate::app::output;
use crate::app::problem::Failure;
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
    /// Say how people of a tenant sign in, or have them sign in otherwise
    SignIn(SignInFlags),
    /// Keep everybody out of a tenant, whose data stays
    Suspend(NameFlags),
    /// Let everybody into a suspended tenant again
    Resume(NameFlags),
    /// Delete a tenant: its users, its keys and everything that it has stored
    Delete(DeleteFlags),
}

/// Which tenant.
#[derive(Debug, Args)]
pub(in crate::app) struct NameFlags {
    /// Its name
    name: String,
}

/// The tenant that goes.
#[derive(Debug, Args)]
pub(in crate::app) struct DeleteFlags {
    /// Its name
    name: String,
    /// Its name once more: nothing brings a deleted tenant back but a backup
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
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

/// How people sign in.
#[derive(Debug, Args)]
pub(in crate::app) struct SignInFlags {
    /// The tenant
    name: String,
    /// Whether a password needs a second factor beside it; ends the sessions of who has none
    #[arg(long, value_name = "BOOL")]
    require_otp: Option<bool>,
}

pub(super) fn run(command: &Command, session: &Session) -> Result<()> {
    match command {
        Command::Create(flags) => create(flags, session),
        Command::List => list(session),
        Command::Suspend(flags) => {
            let slug = flags.name.clone();
            turn(session, Act::TenantSuspend { slug }, "is suspended: nobody enters it")
        }
        Command::Resume(flags) => {
            let slug = flags.name.clone();
            turn(session, Act::TenantResume { slug }, "can be entered again")
        }
        Command::Delete(flags) => delete(flags, session),
        Command::SignIn(flags) => sign_in(flags, session),
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

fn turn(session: &Session, act: Act, done: &str) -> Result<()> {
    let tenant = session.perform(act)?;
    if session.json {
        return output::json(&tenant);
    }
    Ok(output::text(&format!("tenant `{}` {done}\n", text(&tenant, "slug")))?)
}

fn delete(flags: &DeleteFlags, session: &Session) -> Result<()> {
    let slug = flags.name.clone();
    if flags.confirm.as_ref() != Some(&slug) {
        let detail = format!("`{slug}` would be deleted with everything in it");
        return Err(Failure::usage(detail)
            .help(format!("say `--confirm {slug}`; `emx backup create` keeps a copy before"))
            .into());
    }
    let tenant = session.perform(Act::TenantDelete { slug })?;
    if session.json {
        return output::json(&tenant);
    }
    let slug = text(&tenant, "slug");
    Ok(output::text(&match text(&tenant, "state") {
        "deleted" => format!("tenant `{slug}` is deleted\n"),
        _ => format!("nobody enters `{slug}` any more; it is deleted once nobody uses it\n"),
    })?)
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

fn sign_in(flags: &SignInFlags, session: &Session) -> Result<()> {
    let (slug, require_otp) = (flags.name.clone(), flags.require_otp);
    let rules = session.perform(Act::SignInRules { slug, require_otp })?;
    if session.json {
        return output::json(&rules);
    }
    let enough = if rules["require_otp"] == true { "and a second factor" } else { "alone" };
    Ok(output::text(&format!("`{}`: a password {enough}\n", text(&rules, "tenant")))?)
}
