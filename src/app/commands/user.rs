//! `emx user`: who may sign in.

use crate::app::act::{Act, text};
use crate::app::output;
use crate::app::password;
use crate::app::problem::Failure;
use crate::app::session::Session;
use crate::app::table::{Side, TextTable, instant};
use crate::identity::Identity;
use crate::identity::account::Account;
use crate::identity::email::Email;
use crate::identity::password::Password;
use crate::tenancy::by::By;
use crate::tenancy::permission::Role;
use crate::tenancy::registry::{Tenancy, TenancyError};
use crate::tenancy::tenant::Tenant;
use anyhow::Result;
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;
use storage::row::TimeMs;

/// What to do with users.
#[derive(Debug, Subcommand)]
pub(in crate::app) enum Command {
    /// Make a user
    Create(CreateFlags),
    /// List the users of a tenant
    List(TenantFlag),
    /// Give a user another password, and end the user's sessions
    Passwd(PasswordFlags),
    /// Keep a user out, and end the user's sessions
    Disable(UserFlags),
    /// Let a user in again
    Enable(UserFlags),
}

/// Whose users.
#[derive(Debug, Args)]
pub(in crate::app) struct TenantFlag {
    /// The tenant
    #[arg(long, value_name = "NAME")]
    tenant: String,
}

/// Which user.
#[derive(Debug, Args)]
pub(in crate::app) struct UserFlags {
    #[command(flatten)]
    tenant: TenantFlag,
    /// The user's e-mail address
    email: String,
}

/// The user to be made.
#[derive(Debug, Args)]
pub(in crate::app) struct CreateFlags {
    #[command(flatten)]
    user: UserFlags,
    /// What the user is: viewer, member, manager, admin or owner
    #[arg(long, value_name = "ROLE", default_value = "member")]
    role: String,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
}

/// Whose password is changed.
#[derive(Debug, Args)]
pub(in crate::app) struct PasswordFlags {
    #[command(flatten)]
    user: UserFlags,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
}

/// An act on users, as it is performed here or where the data is open.
#[derive(Clone, Deserialize, Serialize)]
#[serde(tag = "user_act", rename_all = "snake_case", deny_unknown_fields)]
pub(in crate::app) enum UserAct {
    /// Makes a user.
    Create { tenant: String, email: String, role: String, password: String },
    /// Lists the users of a tenant.
    List { tenant: String },
    /// Gives a user another password.
    SetPassword { tenant: String, email: String, password: String },
    /// Keeps a user out.
    Disable { tenant: String, email: String },
    /// Lets a user in again.
    Enable { tenant: String, email: String },
}

impl fmt::Debug for UserAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserAct(…)") // has a password in it
    }
}

impl UserAct {
    /// Performs the act, and gives what came of it.
    pub(in crate::app) fn perform(
        &self,
        identity: &Identity,
        tenancy: &Tenancy,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Value> {
        match self {
            Self::Create { tenant, email, role, password } => {
                let (tenant, email, role) =
                    (tenant_named(tenancy, tenant)?, Email::parse(email)?, role_named(role)?);
                let password = Password::choose(password, &email)?;
                let made = identity.create_user(&tenant.id, &email, role, &password, by, now_ms)?;
                Ok(as_json(&made))
            }
            Self::List { tenant } => {
                let users = identity.list_of(&tenant_named(tenancy, tenant)?.id)?;
                let items: Vec<Value> = users.iter().map(as_json).collect();
                Ok(json!({ "items": items, "next_cursor": null }))
            }
            Self::SetPassword { tenant, email, password } => {
                let (tenant, email) = (tenant_named(tenancy, tenant)?, Email::parse(email)?);
                let password = Password::choose(password, &email)?;
                let user = identity.user_by_email(&tenant.id, &email)?;
                Ok(as_json(&identity.set_password(&tenant.id, &user.id, &password, by, now_ms)?))
            }
            Self::Disable { tenant, email } => {
                let (tenant, email) = (tenant_named(tenancy, tenant)?, Email::parse(email)?);
                let user = identity.user_by_email(&tenant.id, &email)?;
                Ok(as_json(&identity.disable_user(&tenant.id, &user.id, by, now_ms)?))
            }
            Self::Enable { tenant, email } => {
                let (tenant, email) = (tenant_named(tenancy, tenant)?, Email::parse(email)?);
                let user = identity.user_by_email(&tenant.id, &email)?;
                Ok(as_json(&identity.enable_user(&tenant.id, &user.id, by, now_ms)?))
            }
        }
    }
}

/// The tenant called `slug`, also while it is suspended: its people and keys can be looked after.
pub(super) fn tenant_named(tenancy: &Tenancy, slug: &str) -> Result<Tenant, TenancyError> {
    let known = tenancy.list()?.into_iter().find(|tenant| tenant.slug.as_str() == slug);
    known.ok_or_else(|| TenancyError::NotFound { slug: slug.into() })
}

/// The role called `word`.
pub(super) fn role_named(word: &str) -> Result<Role> {
    let unknown = || {
        let words = Role::ALL.map(Role::as_str).join(", ");
        Failure::usage(format!("`{word}` is not a role")).help(format!("roles are {words}"))
    };
    Ok(Role::parse(word).ok_or_else(unknown)?)
}

fn as_json(user: &Account) -> Value {
    json!({
        "id": user.id, "email": user.email, "role": user.role, "platform": user.platform,
        "disabled": user.disabled, "created_at": instant(user.created_ms),
    })
}

pub(super) fn run(command: &Command, session: &Session) -> Result<()> {
    match command {
        Command::Create(flags) => create(flags, session),
        Command::List(flags) => list(flags, session),
        Command::Passwd(flags) => passwd(flags, session),
        Command::Disable(flags) => disable(flags, session),
        Command::Enable(flags) => enable(flags, session),
    }
}

/// Everything that is typed is checked before somebody is asked for a password.
fn create(flags: &CreateFlags, session: &Session) -> Result<()> {
    let email = Email::parse(&flags.user.email)?;
    role_named(&flags.role)?;
    let chosen = password::choose(&email, flags.password_stdin)?;
    let act = UserAct::Create {
        tenant: flags.user.tenant.tenant.clone(),
        email: email.to_string(),
        role: flags.role.clone(),
        password: chosen.password.reveal().into(),
    };
    let made = session.perform(Act::User(act))?;
    tell(session, &format!("made user `{email}`, {}", flags.role), made, &chosen)
}

fn passwd(flags: &PasswordFlags, session: &Session) -> Result<()> {
    let email = Email::parse(&flags.user.email)?;
    let chosen = password::choose(&email, flags.password_stdin)?;
    let act = UserAct::SetPassword {
        tenant: flags.user.tenant.tenant.clone(),
        email: email.to_string(),
        password: chosen.password.reveal().into(),
    };
    let changed = session.perform(Act::User(act))?;
    tell(session, &format!("changed the password of `{email}`"), changed, &chosen)
}

/// Says what was done, and once the password if it was made up.
fn tell(session: &Session, done: &str, mut user: Value, chosen: &password::Chosen) -> Result<()> {
    let password = chosen.made_up.then(|| chosen.password.reveal());
    if session.json {
        user["password"] = json!(password);
        return output::json(&user);
    }
    let shown = password.map(|text| format!("password: {text} (shown only now)\n"));
    Ok(output::text(&format!("{done}\n{}", shown.unwrap_or_default()))?)
}

fn disable(flags: &UserFlags, session: &Session) -> Result<()> {
    let (tenant, email) = (flags.tenant.tenant.clone(), flags.email.clone());
    let user = session.perform(Act::User(UserAct::Disable { tenant, email }))?;
    if session.json {
        return output::json(&user);
    }
    Ok(output::text(&format!("`{}` cannot sign in any more\n", text(&user, "email")))?)
}

fn enable(flags: &UserFlags, session: &Session) -> Result<()> {
    let (tenant, email) = (flags.tenant.tenant.clone(), flags.email.clone());
    let user = session.perform(Act::User(UserAct::Enable { tenant, email }))?;
    if session.json {
        return output::json(&user);
    }
    Ok(output::text(&format!("`{}` can sign in again\n", text(&user, "email")))?)
}

fn list(flags: &TenantFlag, session: &Session) -> Result<()> {
    let users = session.perform(Act::User(UserAct::List { tenant: flags.tenant.clone() }))?;
    if session.json {
        return output::json(&users);
    }
    let headings = ["user", "role", "state", "id", "created"];
    let mut table = TextTable::new(&headings.map(|heading| (heading, Side::Left)));
    for user in users["items"].as_array().into_iter().flatten() {
        let state = if user["disabled"] == true { "disabled" } else { "active" };
        table.push([
            text(user, "email"),
            text(user, "role"),
            state,
            text(user, "id"),
            text(user, "created_at"),
        ]);
    }
    Ok(output::text(&table.render())?)
}
