//! `emx user`: who may sign in.

use crate::app::act::{Act, Acts, text};
use crate::app::output;
use crate::app::password;
use crate::app::problem::Failure;
use crate::app::session::Session;
use crate::app::table::{Side, TextTable, instant};
use crate::identity::Identity;
use crate::identity::account::{Account, NewUser};
use crate::identity::email::Email;
use crate::identity::link::Link;
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
    /// Make a user, and a link to hand over by which the user chooses a password
    Invite(InviteFlags),
    /// Make a link to hand over by which a user chooses another password
    Reset(UserFlags),
    /// Take away the second factor of a user who lost it, and end the user's sessions
    ResetOtp(UserFlags),
    /// Have a user administer the platform, all tenants, or not any more; ends the user's sessions
    Platform(PlatformFlags),
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
    /// The user also administers the platform: all tenants
    #[arg(long)]
    platform: bool,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
}

/// Who is to administer the platform, or not any more.
#[derive(Debug, Args)]
pub(in crate::app) struct PlatformFlags {
    #[command(flatten)]
    user: UserFlags,
    /// From now on
    #[arg(long, required_unless_present = "revoke", conflicts_with = "revoke")]
    grant: bool,
    /// Not any more
    #[arg(long)]
    revoke: bool,
}

/// The user to be invited.
#[derive(Debug, Args)]
pub(in crate::app) struct InviteFlags {
    #[command(flatten)]
    user: UserFlags,
    /// What the user is: viewer, member, manager, admin or owner
    #[arg(long, value_name = "ROLE", default_value = "member")]
    role: String,
    /// How executions name the user; can be repeated
    #[arg(long, value_name = "NAME")]
    reported_as: Vec<String>,
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
    Create {
        tenant: String,
        email: String,
        role: String,
        password: String,
        #[serde(default)]
        platform: bool,
    },
    /// Lists the users of a tenant.
    List { tenant: String },
    /// Gives a user another password.
    SetPassword { tenant: String, email: String, password: String },
    /// Keeps a user out.
    Disable { tenant: String, email: String },
    /// Lets a user in again.
    Enable { tenant: String, email: String },
    /// Makes a user and a link. What comes of it holds the link.
    Invite { tenant: String, email: String, role: String, reported_as: Vec<String> },
    /// Makes a link for a user. What comes of it holds the link.
    Reset { tenant: String, email: String },
    /// Takes a second factor away.
    ResetOtp { tenant: String, email: String },
    /// Has a user administer the platform, or not any more.
    SetPlatform { tenant: String, email: String, platform: bool },
}

impl fmt::Debug for UserAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserAct(…)") // has a password in it
    }
}

impl UserAct {
    /// Performs the act, and gives what came of it.
    pub(in crate::app) fn perform(&self, acts: &Acts, by: &By) -> Result<Value> {
        let (identity, tenancy): (&Identity, &Tenancy) = (&acts.identity, &acts.tenancy);
        let now_ms = acts.clock.now_ms();
        match self {
            Self::Create { tenant, email, role, password, platform } => {
                let (tenant, email, role) =
                    (tenant_named(tenancy, tenant)?, Email::parse(email)?, role_named(role)?);
                let password = Password::choose(password, &email, tenant.slug.as_str())?;
                let id = &tenant.id;
                let made = match platform {
                    true => identity.create_administrator(id, &email, role, &password, by, now_ms),
                    false => identity.create_user(id, &email, role, &password, by, now_ms),
                };
                Ok(as_json(&made?))
            }
            Self::List { tenant } => {
                let users = identity.list_of(&tenant_named(tenancy, tenant)?.id)?;
                let items: Vec<Value> = users.iter().map(as_json).collect();
                Ok(json!({ "items": items, "next_cursor": null }))
            }
            Self::SetPassword { tenant, email, password } => {
                let (tenant, user) = user_named(identity, tenancy, tenant, email)?;
                let password = Password::choose(password, &user.email, tenant.slug.as_str())?;
                Ok(as_json(&identity.set_password(&tenant.id, &user.id, &password, by, now_ms)?))
            }
            Self::Disable { tenant, email } => {
                let (tenant, user) = user_named(identity, tenancy, tenant, email)?;
                Ok(as_json(&identity.disable_user(&tenant.id, &user.id, by, now_ms)?))
            }
            Self::Enable { tenant, email } => {
                let (tenant, user) = user_named(identity, tenancy, tenant, email)?;
                Ok(as_json(&identity.enable_user(&tenant.id, &user.id, by, now_ms)?))
            }
            Self::Invite { tenant, email, role, reported_as } => {
                let tenant = tenant_named(tenancy, tenant)?;
                let new = NewUser {
                    reported_as: reported_as.clone(),
                    ..NewUser::plain(Email::parse(email)?, role_named(role)?)
                };
                Ok(link_as_json(&identity.invite(&tenant.id, &new, by, now_ms)?, acts))
            }
            Self::Reset { tenant, email } => {
                let (tenant, user) = user_named(identity, tenancy, tenant, email)?;
                let link = identity.reset_link(&tenant.id, &user.id, by, now_ms)?;
                Ok(link_as_json(&link, acts))
            }
            Self::ResetOtp { tenant, email } => {
                let (tenant, user) = user_named(identity, tenancy, tenant, email)?;
                Ok(as_json(&identity.reset_otp(&tenant.id, &user.id, by, now_ms)?))
            }
            Self::SetPlatform { tenant, email, platform } => {
                let (tenant, user) = user_named(identity, tenancy, tenant, email)?;
                Ok(as_json(&identity.set_platform(&tenant.id, &user.id, *platform, by, now_ms)?))
            }
        }
    }
}

/// The tenant called `slug`, and the user there with the address `email`.
pub(super) fn user_named(
    identity: &Identity,
    tenancy: &Tenancy,
    slug: &str,
    email: &str,
) -> Result<(Tenant, Account)> {
    let (tenant, email) = (tenant_named(tenancy, slug)?, Email::parse(email)?);
    let user = identity.user_by_email(&tenant.id, &email)?;
    Ok((tenant, user))
}

/// The tenant called `slug`, also while it is suspended: its people and keys can be looked after.
pub(in crate::app) fn tenant_named(tenancy: &Tenancy, slug: &str) -> Result<Tenant, TenancyError> {
    tenancy.find(slug)
}

/// The role called `word`.
pub(super) fn role_named(word: &str) -> Result<Role> {
    let unknown = || {
        let words = Role::ALL.map(Role::as_str).join(", ");
        Failure::usage(format!("`{word}` is not a role")).help(format!("roles are {words}"))
    };
    Ok(Role::parse(word).ok_or_else(unknown)?)
}

pub(super) fn as_json(user: &Account) -> Value {
    json!({
        "id": user.id, "email": user.email, "role": user.role, "platform": user.platform,
        "disabled": user.disabled, "has_password": user.has_password, "has_otp": user.has_otp,
        "reported_as": user.reported_as, "teams": user.teams,
        "created_at": instant(user.created_ms),
    })
}

fn link_as_json(link: &Link, acts: &Acts) -> Value {
    let path = link.path();
    json!({
        "user": as_json(&link.user), "purpose": link.purpose, "token": link.token,
        "link": format!("{}{path}", acts.site.url()), "path": path,
        "expires_at": instant(link.until_ms),
    })
}

pub(super) fn run(command: &Command, session: &Session) -> Result<()> {
    match command {
        Command::Create(flags) => create(flags, session),
        Command::List(flags) => list(flags, session),
        Command::Passwd(flags) => passwd(flags, session),
        Command::Disable(flags) => disable(flags, session),
        Command::Enable(flags) => enable(flags, session),
        Command::Invite(flags) => invite(flags, session),
        Command::Reset(flags) => reset(flags, session),
        Command::ResetOtp(flags) => reset_otp(flags, session),
        Command::Platform(flags) => set_platform(flags, session),
    }
}

/// Everything that is typed is checked before somebody is asked for a password.
fn create(flags: &CreateFlags, session: &Session) -> Result<()> {
    let email = Email::parse(&flags.user.email)?;
    role_named(&flags.role)?;
    let chosen = password::choose(&email, &flags.user.tenant.tenant, flags.password_stdin)?;
    let act = UserAct::Create {
        tenant: flags.user.tenant.tenant.clone(),
        email: email.to_string(),
        role: flags.role.clone(),
        password: chosen.password.reveal().into(),
        platform: flags.platform,
    };
    let made = session.perform(Act::User(act))?;
    tell(session, &format!("made user `{email}`, {}", flags.role), made, &chosen)
}

fn passwd(flags: &PasswordFlags, session: &Session) -> Result<()> {
    let email = Email::parse(&flags.user.email)?;
    let chosen = password::choose(&email, &flags.user.tenant.tenant, flags.password_stdin)?;
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
    say(session, UserAct::Disable { tenant, email }, "cannot sign in any more")
}

fn enable(flags: &UserFlags, session: &Session) -> Result<()> {
    let (tenant, email) = (flags.tenant.tenant.clone(), flags.email.clone());
    say(session, UserAct::Enable { tenant, email }, "can sign in again")
}

fn reset_otp(flags: &UserFlags, session: &Session) -> Result<()> {
    let (tenant, email) = (flags.tenant.tenant.clone(), flags.email.clone());
    say(session, UserAct::ResetOtp { tenant, email }, "has no second factor any more")
}

fn set_platform(flags: &PlatformFlags, session: &Session) -> Result<()> {
    let (tenant, email) = (flags.user.tenant.tenant.clone(), flags.user.email.clone());
    let (platform, so) = match flags.grant {
        true => (true, "administers the platform"),
        false => (false, "does not administer the platform any more"),
    };
    say(session, UserAct::SetPlatform { tenant, email, platform }, so)
}

/// Has `act` performed, and says what is so of its user from then on.
fn say(session: &Session, act: UserAct, so: &str) -> Result<()> {
    let user = session.perform(Act::User(act))?;
    if session.json {
        return output::json(&user);
    }
    Ok(output::text(&format!("`{}` {so}\n", text(&user, "email")))?)
}

fn invite(flags: &InviteFlags, session: &Session) -> Result<()> {
    Email::parse(&flags.user.email)?;
    role_named(&flags.role)?;
    let act = UserAct::Invite {
        tenant: flags.user.tenant.tenant.clone(),
        email: flags.user.email.clone(),
        role: flags.role.clone(),
        reported_as: flags.reported_as.clone(),
    };
    hand_over(session, act)
}

fn reset(flags: &UserFlags, session: &Session) -> Result<()> {
    let (tenant, email) = (flags.tenant.tenant.clone(), flags.email.clone());
    hand_over(session, UserAct::Reset { tenant, email })
}

/// Has `act` performed, and tells the link that comes of it.
fn hand_over(session: &Session, act: UserAct) -> Result<()> {
    let made = session.perform(Act::User(act))?;
    if session.json {
        return output::json(&made);
    }
    let (email, until) = (text(&made["user"], "email"), text(&made, "expires_at"));
    let link = text(&made, "link");
    Ok(output::text(&format!(
        "hand this to `{email}`; it works once, until {until}, and is shown only now:\n{link}\n"
    ))?)
}

fn list(flags: &TenantFlag, session: &Session) -> Result<()> {
    let users = session.perform(Act::User(UserAct::List { tenant: flags.tenant.clone() }))?;
    if session.json {
        return output::json(&users);
    }
    let headings = ["user", "role", "platform", "state", "id", "created"];
    let mut table = TextTable::new(&headings.map(|heading| (heading, Side::Left)));
    for user in users["items"].as_array().into_iter().flatten() {
        let state = match (&user["disabled"], &user["has_password"]) {
            (Value::Bool(true), _) => "disabled",
            (_, Value::Bool(false)) => "no password",
            _ => "active",
        };
        table.push([
            text(user, "email"),
            text(user, "role"),
            if user["platform"] == true { "administers" } else { "" },
            state,
            text(user, "id"),
            text(user, "created_at"),
        ]);
    }
    Ok(output::text(&table.render())?)
}
