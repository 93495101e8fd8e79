//! `emx tenant`: who shares this installation.

use super::limits;
use super::row_policy;
use crate::app::act::{Act, text};
use crate::app::output;
use crate::app::password;
use crate::app::problem::Failure;
use crate::app::session::Session;
use crate::app::table::{Side, TextTable};
use crate::identity::email::Email;
use crate::identity::password::Password;
use crate::identity::user::Owner;
use crate::tenancy::slug::Slug;
use anyhow::Result;
use clap::{ArgGroup, Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt;
use std::path::PathBuf;

/// What to do with tenants.
#[derive(Debug, Subcommand)]
pub(in crate::app) enum Command {
    /// Make a tenant
    Create(CreateFlags),
    /// List all tenants
    List,
    /// Change how a tenant is read, or whether its audit log tells of questions
    Change(ChangeFlags),
    /// Say how people of a tenant sign in, or have them sign in otherwise
    SignIn(SignInFlags),
    /// Say which rows each role sees, or have them see others
    RowPolicy(row_policy::Flags),
    /// Show or change what a tenant may use
    Limits(limits::Flags),
    /// Keep everybody out of a tenant, whose data stays
    Suspend(NameFlags),
    /// Let everybody into a suspended tenant again
    Resume(NameFlags),
    /// Put a tenant into one file: its people, its keys, its log and everything that it has stored
    Export(ExportFlags),
    /// Make a new tenant of such a file, once everything in it is verified
    Import(ImportFlags),
    /// Delete a tenant: its users, its keys and everything that it has stored
    Delete(DeleteFlags),
    /// Take a tenant's data to the newest version; what was interrupted goes on
    Migrate(super::migrate::Flags),
    /// Take a tenant's data back by a version, for an older emx; what was written since included
    Rollback(super::migrate::Flags),
}

/// Which tenant.
#[derive(Debug, Args)]
pub(in crate::app) struct NameFlags {
    /// Its name
    name: String,
}

/// The tenant to be exported.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  emx tenant export acme /media/stick\n\n\
    The file has the hashes of passwords and keys in it. It has no sessions and nothing that the\n\
    server's `secret.key` seals.")]
pub(in crate::app) struct ExportFlags {
    /// Its name
    name: String,
    /// The file to make, or a directory in which it is named by the tenant and the time
    #[arg(value_name = "FILE_OR_DIR")]
    to: PathBuf,
}

/// The file to be imported.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  emx tenant import acme-2026-04-01T02-00-00Z.tar --as acme-2\n\n\
    People keep their passwords, and sign in anew; programs keep their API keys, but for those that\n\
    this installation knows already."
)]
pub(in crate::app) struct ImportFlags {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What to call the tenant, if not as it was called
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
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

/// What to change.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").args(["display_name", "audit_queries"]).required(true).multiple(true)))]
pub(in crate::app) struct ChangeFlags {
    /// Its name
    name: String,
    /// How people read it; empty: by its name
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,
    /// Whether each question is told in the tenant's audit log before it is answered
    #[arg(long, value_name = "BOOL")]
    audit_queries: Option<bool>,
}

/// The tenant to be made.
#[derive(Debug, Args)]
pub(in crate::app) struct CreateFlags {
    /// Its name: 2 to 40 of a-z, 0-9 and -
    name: String,
    /// Its time zone
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    time_zone: String,
    /// How people read it, such as "Acme Corporation"
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,
    /// The e-mail address of its first administrator, who comes with it
    #[arg(long, value_name = "EMAIL")]
    admin: Option<String>,
    /// Read the administrator's password from standard input
    #[arg(long, requires = "admin")]
    password_stdin: bool,
}

/// A tenant to be made here or where the data is open.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(in crate::app) struct TenantToMake {
    /// Its name.
    pub(in crate::app) slug: String,
    /// Its time zone.
    pub(in crate::app) time_zone: String,
    /// How people read it.
    pub(in crate::app) display_name: Option<String>,
    /// Who comes with it.
    pub(in crate::app) admin: Option<FirstAdmin>,
}

/// The first administrator of a tenant.
#[derive(Clone, Deserialize, Serialize)]
pub(in crate::app) struct FirstAdmin {
    email: String,
    password: String,
}

impl fmt::Debug for FirstAdmin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FirstAdmin({}, …)", self.email)
    }
}

impl FirstAdmin {
    /// The user that this becomes. Hashes the password: some 15 ms.
    pub(in crate::app) fn owner(&self, tenant: &str) -> Result<Owner> {
        let email = Email::parse(&self.email)?;
        let password = Password::choose(&self.password, &email, tenant)?.hash()?;
        Ok(Owner { email, password, platform: false })
    }
}

/// How people sign in.
#[derive(Debug, Args)]
pub(in crate::app) struct SignInFlags {
    /// The tenant
    name: String,
    /// Whether a password needs a second factor beside it; ends the sessions of who has none
    #[arg(long, value_name = "BOOL")]
    require_otp: Option<bool>,
    /// Whether people sign in by single sign-on alone; owners can still use their passwords
    #[arg(long, value_name = "BOOL")]
    require_sso: Option<bool>,
}

pub(super) fn run(command: &Command, session: &Session) -> Result<()> {
    match command {
        Command::Create(flags) => create(flags, session),
        Command::List => list(session),
        Command::Change(flags) => change(flags, session),
        Command::Limits(flags) => limits::run(flags, session),
        Command::Suspend(flags) => {
            let slug = flags.name.clone();
            turn(session, Act::TenantSuspend { slug }, "is suspended: nobody enters it")
        }
        Command::Resume(flags) => {
            let slug = flags.name.clone();
            turn(session, Act::TenantResume { slug }, "can be entered again")
        }
        Command::Export(flags) => export(flags, session),
        Command::Import(flags) => import(flags, session),
        Command::Delete(flags) => delete(flags, session),
        Command::SignIn(flags) => sign_in(flags, session),
        Command::RowPolicy(flags) => row_policy::run(flags, session),
        Command::Migrate(flags) => super::migrate::forward(flags, session),
        Command::Rollback(flags) => super::migrate::back(flags, session),
    }
}

/// Everything that is typed is checked before somebody is asked for a password.
fn create(flags: &CreateFlags, session: &Session) -> Result<()> {
    let slug = Slug::parse(&flags.name)?.as_str().to_owned();
    let email = flags.admin.as_deref().map(Email::parse).transpose()?;
    let chosen = email.as_ref().map(|email| password::choose(email, &slug, flags.password_stdin));
    let chosen = chosen.transpose()?;
    let admin = email.zip(chosen.as_ref()).map(|(email, chosen)| FirstAdmin {
        email: email.to_string(),
        password: chosen.password.reveal().into(),
    });
    let (time_zone, display_name) = (flags.time_zone.clone(), flags.display_name.clone());
    let new = TenantToMake { slug, time_zone, display_name, admin };
    let mut made = session.perform(Act::TenantCreate(new))?;
    let shown = chosen.as_ref().filter(|chosen| chosen.made_up);
    let shown = shown.map(|chosen| chosen.password.reveal());
    if session.json {
        if let Some(email) = &flags.admin {
            made["admin"] = json!({ "email": email, "password": shown });
        }
        return output::json(&made);
    }
    let (slug, id) = (text(&made, "slug"), text(&made, "id"));
    let mut told = format!("made tenant `{slug}` ({id})\n");
    if let Some(email) = &flags.admin {
        told += &format!("administrator: {email}\n");
    }
    if let Some(password) = shown {
        told += &format!("password: {password} (shown only now)\n");
    }
    Ok(output::text(&told)?)
}

fn change(flags: &ChangeFlags, session: &Session) -> Result<()> {
    let ChangeFlags { name, display_name, audit_queries } = flags;
    let (slug, display_name) = (name.clone(), display_name.clone());
    let changed =
        session.perform(Act::TenantChange { slug, display_name, audit_queries: *audit_queries })?;
    if session.json {
        return output::json(&changed);
    }
    let slug = text(&changed, "slug");
    let read_as = changed["display_name"].as_str().unwrap_or(slug);
    let questions = if changed["audit_queries"] == true { "are" } else { "are not" };
    Ok(output::text(&format!(
        "tenant `{slug}` is read as `{read_as}`; questions {questions} told in its audit log\n"
    ))?)
}

fn turn(session: &Session, act: Act, done: &str) -> Result<()> {
    let tenant = session.perform(act)?;
    if session.json {
        return output::json(&tenant);
    }
    Ok(output::text(&format!("tenant `{}` {done}\n", text(&tenant, "slug")))?)
}

fn export(flags: &ExportFlags, session: &Session) -> Result<()> {
    let (slug, to) = (flags.name.clone(), std::path::absolute(&flags.to)?);
    let made = session.perform(Act::TenantExport { slug, to })?;
    if session.json {
        return output::json(&made);
    }
    let (path, bytes) = (text(&made, "path"), &made["bytes"]);
    let (users, keys) = (&made["users"], &made["api_keys"]);
    Ok(output::text(&format!(
        "made `{path}`: {bytes} bytes; users: {users}, API keys: {keys}\n\
         it has hashes of passwords in it: keep it where only you can read it\n\
         `emx tenant import {path}` makes a new tenant of it\n"
    ))?)
}

fn import(flags: &ImportFlags, session: &Session) -> Result<()> {
    let (from, slug) = (std::path::absolute(&flags.file)?, flags.name.clone());
    let made = session.perform(Act::TenantImport { from, slug })?;
    if session.json {
        return output::json(&made);
    }
    let (slug, id, rows) = (text(&made, "slug"), text(&made, "id"), &made["rows"]);
    let (users, keys) = (&made["users"], &made["api_keys"]);
    let mut told = format!("made tenant `{slug}` ({id})\n");
    told += &format!("executions: {rows}, users: {users}, API keys: {keys}\n");
    for key in made["api_keys_left_out"].as_array().into_iter().flatten() {
        let key = key.as_str().unwrap_or_default();
        told += &format!("the key `{key}` is left out: there is one of this id already\n");
    }
    if made["require_sso_left_out"] == true {
        told += "single sign-on is not demanded here: its providers were not carried\n";
    }
    Ok(output::text(&told)?)
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
    let SignInFlags { name, require_otp, require_sso } = flags;
    let (slug, require_otp, require_sso) = (name.clone(), *require_otp, *require_sso);
    let rules = session.perform(Act::SignInRules { slug, require_otp, require_sso })?;
    if session.json {
        return output::json(&rules);
    }
    let enough = if rules["require_otp"] == true { "and a second factor" } else { "alone" };
    let by = if rules["require_sso"] == true { "single sign-on; owners: " } else { "" };
    Ok(output::text(&format!("`{}`: {by}a password {enough}\n", text(&rules, "tenant")))?)
}
