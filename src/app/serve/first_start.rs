//! The first start: what must be there before anybody can sign in.

use crate::app::output;
use crate::app::password;
use crate::app::session::Session;
use crate::identity::email::Email;
use crate::identity::password::Password;
use crate::identity::user::{Owner, User};
use crate::tenancy::by::By;
use crate::tenancy::registry::{NewTenant, Tenancy};
use crate::tenancy::slug::Slug;
use anyhow::{Context, Result};
use std::fs::{self, DirBuilder};
use std::io::{self, IsTerminal};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The tenant that a first start makes.
const DEFAULT_TENANT: &str = "default";
/// The tenant of `--demo`.
pub(super) const DEMO_TENANT: &str = "demo";
/// The administrator that a first start makes.
const ADMINISTRATOR: &str = "admin@localhost";

/// What a first start made.
struct Made {
    tenant: Slug,
    email: Email,
    shown: Shown,
}

/// Where the password is told.
enum Shown {
    /// On the terminal.
    Here(Password),
    /// In a file.
    File(PathBuf),
}

impl Made {
    /// What the administrator is told.
    fn told(&self) -> String {
        let Self { tenant, email, shown } = self;
        let mut text = format!("made tenant `{tenant}`\n  sign in as: {email}\n");
        text += &match shown {
            Shown::Here(password) => {
                format!("  password:   {} (shown only now)\n\n", password.reveal())
            }
            Shown::File(file) => {
                let advice = password::FILE_ADVICE;
                format!("  password:   in `{}`; {advice}\n\n", file.display())
            }
        };
        text
    }
}

/// Makes the data directory, for its owner alone.
pub(super) fn make_directory(dir: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot make the directory `{}`", dir.display()))
}

/// Says at a later start where the password is that an earlier one made, if that can still be said; of the
/// demo, which somebody has forgotten by the next time, how to get another.
fn remind(name: &str, demo: bool, session: &Session) -> Result<()> {
    let file = session.data_dir().join(password::FILE_NAME);
    let text = match file.exists() {
        true => {
            let advice = password::FILE_ADVICE;
            format!("the first password is still in `{}`; {advice}\n\n", file.display())
        }
        false if demo => format!(
            "sign in as {ADMINISTRATOR}, with the password that the first start showed; \
             `emx user passwd --tenant {name} {ADMINISTRATOR}` sets another\n\n"
        ),
        false => return Ok(()),
    };
    if session.json { Ok(()) } else { Ok(output::text(&text)?) }
}

/// Makes the first tenant with its administrator, and the demo's, where they are missing, and says at once
/// how to sign in: whatever comes next may fail.
pub(super) fn run(tenancy: &Tenancy, demo: bool, session: &Session) -> Result<()> {
    let name = if demo { DEMO_TENANT } else { DEFAULT_TENANT };
    let tenants = tenancy.list()?;
    let is_there = if demo {
        tenants.iter().any(|tenant| tenant.slug.as_str() == name)
    } else {
        !tenants.is_empty()
    };
    if is_there {
        return remind(name, demo, session);
    }
    let (slug, email) = (Slug::parse(name)?, Email::parse(ADMINISTRATOR)?);
    let password = Password::random();
    let hash = password.hash()?;
    // Before the user exists: a password that nobody can be told is worse than one of nobody.
    let shown = if io::stdout().is_terminal() && !session.json {
        Shown::Here(password)
    } else {
        Shown::File(password::write_file(session.data_dir(), &email, &password)?)
    };
    let now_ms = session.clock.now_ms();
    let new = NewTenant { slug: slug.clone(), time_zone: "UTC".to_owned() };
    let platform = tenants.is_empty();
    let made = tenancy.create(new, &By::operator(), now_ms, |tenant| {
        let owner = Owner { email: email.clone(), password: hash, platform };
        User::owner(tenant.id.clone(), owner, now_ms).creation_by(&By::operator())
    });
    if let (Err(_), Shown::File(file)) = (&made, &shown) {
        let _may_stay = fs::remove_file(file); // it opens nothing
    }
    made?;
    if !session.json {
        output::text(&Made { tenant: slug, email, shown }.told())?;
    }
    Ok(())
}
