//! `emx team`: who belongs together.

use super::user::{self, tenant_named, user_named};
use crate::app::act::{Act, text};
use crate::app::output;
use crate::app::session::Session;
use crate::app::table::{Side, TextTable, instant};
use crate::identity::Identity;
use crate::identity::team::Team;
use crate::tenancy::by::By;
use crate::tenancy::registry::Tenancy;
use anyhow::Result;
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use storage::row::TimeMs;

/// What to do with teams.
#[derive(Debug, Subcommand)]
pub(in crate::app) enum Command {
    /// Make a team
    Create(CreateFlags),
    /// List the teams of a tenant, and who is in them
    List(TenantFlag),
    /// Put a user into a team
    Add(MemberFlags),
    /// Take a user out of a team
    Remove(MemberFlags),
    /// Remove a team; its members stay
    Delete(TeamFlags),
}

/// Whose teams.
#[derive(Debug, Args)]
pub(in crate::app) struct TenantFlag {
    /// The tenant
    #[arg(long, value_name = "NAME")]
    tenant: String,
}

/// Which team.
#[derive(Debug, Args)]
pub(in crate::app) struct TeamFlags {
    #[command(flatten)]
    tenant: TenantFlag,
    /// The team's name
    team: String,
}

/// The team to be made.
#[derive(Debug, Args)]
pub(in crate::app) struct CreateFlags {
    #[command(flatten)]
    team: TeamFlags,
    /// How executions name the team; can be repeated
    #[arg(long, value_name = "NAME")]
    reported_as: Vec<String>,
}

/// Who, and in which team.
#[derive(Debug, Args)]
pub(in crate::app) struct MemberFlags {
    #[command(flatten)]
    team: TeamFlags,
    /// The user's e-mail address
    email: String,
}

/// An act on teams, as it is performed here or where the data is open.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "team_act", rename_all = "snake_case", deny_unknown_fields)]
pub(in crate::app) enum TeamAct {
    /// Makes a team.
    Create { tenant: String, team: String, reported_as: Vec<String> },
    /// Lists the teams of a tenant with their members.
    List { tenant: String },
    /// Puts a user into a team, or takes the user out of it.
    SetMember { tenant: String, team: String, email: String, is_member: bool },
    /// Removes a team.
    Delete { tenant: String, team: String },
}

impl TeamAct {
    /// Performs the act, and gives what came of it.
    pub(in crate::app) fn perform(
        &self,
        identity: &Identity,
        tenancy: &Tenancy,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Value> {
        match self {
            Self::Create { tenant, team, reported_as } => {
                let tenant = tenant_named(tenancy, tenant)?;
                Ok(as_json(&identity.create_team(&tenant.id, team, reported_as, by, now_ms)?))
            }
            Self::List { tenant } => list_of(identity, tenancy, tenant),
            Self::SetMember { tenant, team, email, is_member } => {
                let (tenant, user) = user_named(identity, tenancy, tenant, email)?;
                let team = identity.team_by_name(&tenant.id, team)?;
                let (team, user) = (&team.id, &user.id);
                let changed =
                    identity.set_member(&tenant.id, team, user, *is_member, by, now_ms)?;
                Ok(user::as_json(&changed))
            }
            Self::Delete { tenant, team } => {
                let tenant = tenant_named(tenancy, tenant)?;
                let team = identity.team_by_name(&tenant.id, team)?;
                identity.remove_team(&tenant.id, &team.id, by, |_| true, now_ms)?;
                Ok(as_json(&team))
            }
        }
    }
}

fn list_of(identity: &Identity, tenancy: &Tenancy, tenant: &str) -> Result<Value> {
    let tenant = tenant_named(tenancy, tenant)?;
    let users = identity.list_of(&tenant.id)?;
    let with_members = |team: &Team| {
        let members = users.iter().filter(|user| user.teams.contains(&team.id));
        let mut shown = as_json(team);
        shown["members"] = members.map(|user| user.email.as_str()).collect();
        shown
    };
    let items: Vec<Value> = identity.teams(&tenant.id)?.iter().map(with_members).collect();
    Ok(json!({ "items": items, "next_cursor": null }))
}

fn as_json(team: &Team) -> Value {
    json!({
        "id": team.id, "name": team.name, "reported_as": team.reported_as,
        "created_at": instant(team.created_ms),
    })
}

pub(super) fn run(command: &Command, session: &Session) -> Result<()> {
    match command {
        Command::Create(flags) => create(flags, session),
        Command::List(flags) => list(flags, session),
        Command::Add(flags) => set_member(flags, true, session),
        Command::Remove(flags) => set_member(flags, false, session),
        Command::Delete(flags) => delete(flags, session),
    }
}

fn create(flags: &CreateFlags, session: &Session) -> Result<()> {
    let (tenant, team) = (flags.team.tenant.tenant.clone(), flags.team.team.clone());
    let reported_as = flags.reported_as.clone();
    let made = session.perform(Act::Team(TeamAct::Create { tenant, team, reported_as }))?;
    tell(session, &made, &format!("made team `{}`", text(&made, "name")))
}

fn delete(flags: &TeamFlags, session: &Session) -> Result<()> {
    let (tenant, team) = (flags.tenant.tenant.clone(), flags.team.clone());
    let gone = session.perform(Act::Team(TeamAct::Delete { tenant, team }))?;
    tell(session, &gone, &format!("removed team `{}`", text(&gone, "name")))
}

fn set_member(flags: &MemberFlags, is_member: bool, session: &Session) -> Result<()> {
    let (tenant, team) = (flags.team.tenant.tenant.clone(), flags.team.team.clone());
    let email = flags.email.clone();
    let act = TeamAct::SetMember { tenant, team, email, is_member };
    let user = session.perform(Act::Team(act))?;
    let so = if is_member { "is in" } else { "is not in" };
    tell(session, &user, &format!("`{}` {so} `{}`", text(&user, "email"), flags.team.team))
}

fn tell(session: &Session, answer: &Value, done: &str) -> Result<()> {
    if session.json {
        return output::json(answer);
    }
    Ok(output::text(&format!("{done}\n"))?)
}

fn list(flags: &TenantFlag, session: &Session) -> Result<()> {
    let teams = session.perform(Act::Team(TeamAct::List { tenant: flags.tenant.clone() }))?;
    if session.json {
        return output::json(&teams);
    }
    let headings = ["team", "members", "reported as", "id", "created"];
    let mut table = TextTable::new(&headings.map(|heading| (heading, Side::Left)));
    for team in teams["items"].as_array().into_iter().flatten() {
        let [members, reported_as] = ["members", "reported_as"].map(|key| words(&team[key]));
        let (name, id, created) = (text(team, "name"), text(team, "id"), text(team, "created_at"));
        table.push([name, &members, &reported_as, id, created]);
    }
    Ok(output::text(&table.render())?)
}

fn words(list: &Value) -> String {
    let words = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    words.collect::<Vec<_>>().join(", ")
}
