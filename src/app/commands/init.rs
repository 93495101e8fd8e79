//! `emx init`: from nothing to a tenant that can be entered.

use crate::app::output;
use crate::app::password;
use crate::app::problem::Failure;
use crate::app::session::Session;
use crate::config::load::FILE_NAME;
use crate::identity::email::Email;
use crate::identity::user::{Owner, User};
use crate::tenancy::by::By;
use crate::tenancy::registry::NewTenant;
use crate::tenancy::slug::Slug;
use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use std::fs::{self, DirBuilder};
use std::io::{self, IsTerminal};
use std::os::unix::fs::DirBuilderExt;

/// What to begin with.
#[derive(Debug, Args)]
pub(in crate::app) struct Flags {
    /// The first tenant's name
    #[arg(long, value_name = "NAME")]
    tenant: String,
    /// The first administrator's e-mail address
    #[arg(long, value_name = "EMAIL")]
    admin: String,
    /// Read the administrator's password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// The tenant's time zone
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    time_zone: String,
}

/// Everything is checked and the password chosen before the first file is made. The tenant and
/// its administrator then come into being in one transaction, so that whatever interrupts this
/// leaves either an installation or a directory in which it can be run again.
pub(super) fn run(flags: &Flags, session: &Session) -> Result<()> {
    let slug = Slug::parse(&flags.tenant)?;
    let email = Email::parse(&flags.admin)?;
    check_unused(session)?;
    let chosen = password::choose(&email, slug.as_str(), flags.password_stdin)?;
    let hash = chosen.password.hash()?;
    let dir = session.data_dir();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot make the directory `{}`", dir.display()))?;
    let tenancy = session.acts(session.open_or_make()?)?.tenancy; // makes the keys
    // Before the user exists: a password that nobody can be told is worse than one of nobody.
    let on_terminal = io::stdout().is_terminal() && !session.json;
    let file = match chosen.made_up && !on_terminal {
        true => Some(password::write_file(dir, &email, &chosen.password)?),
        false => None,
    };
    let now_ms = session.clock.now_ms();
    let new = NewTenant { slug, time_zone: flags.time_zone.clone() };
    let tenant = tenancy.create(new, &By::operator(), now_ms, |tenant| {
        let owner = Owner { email: email.clone(), password: hash, platform: true };
        User::owner(tenant.id.clone(), owner, now_ms).creation_by(&By::operator())
    });
    if let (Err(_), Some(file)) = (&tenant, &file) {
        let _may_stay = fs::remove_file(file); // it opens nothing
    }
    let tenant = tenant?;
    if session.json {
        return output::json(&json!({
            "data_dir": dir.display().to_string(), "tenant": tenant.slug, "tenant_id": tenant.id,
            "admin": email, "password_file": file.map(|file| file.display().to_string()),
        }));
    }
    let mut text = format!("made `{}` with tenant `{}`\n", dir.display(), tenant.slug);
    text += &format!("administrator: {email}\n");
    if let Some(file) = &file {
        let advice = password::FILE_ADVICE;
        text += &format!("password: in `{}`; {advice}\n", file.display());
    } else if chosen.made_up {
        text += &format!("password: {} (shown only now)\n", chosen.password.reveal());
    }
    Ok(output::text(&text)?)
}

/// Refuses a directory that is in use already, or is somebody else's. One in which an earlier
/// attempt was interrupted is neither.
fn check_unused(session: &Session) -> Result<()> {
    let dir = session.data_dir();
    if session.is_initialised()? {
        let tenants = session.open_or_make()?.tenancy.list()?;
        if tenants.is_empty() {
            return Ok(());
        }
        let detail = format!("`{}` is initialised already", dir.display());
        return Err(Failure::new("already_initialised", detail)
            .help("`emx tenant create NAME` makes another tenant")
            .into());
    }
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.with_context(|| format!("cannot look into `{}`", dir.display()))?,
    };
    for entry in entries {
        let name = entry?.file_name();
        if name != FILE_NAME && name != password::FILE_NAME {
            let detail = format!("`{}` has other files in it", dir.display());
            return Err(Failure::new("not_empty", detail)
                .help("choose a new or an empty directory with `--data-dir`")
                .into());
        }
    }
    Ok(())
}
