//! Who somebody is, from what a provider claims.
//!
//! *Invariants*: a person is known by issuer and subject and never by an e-mail address, which can be
//! given to somebody else. An address is verified only if the source that gives it says so.

use super::claims::Claims;
use super::error::OidcError;
use super::id_token::{IdTokenError, session_ends_ms, subject};
use super::settings::Settings;
use storage::row::TimeMs;

/// Longest e-mail address and longest name of a group that is taken over, bytes.
const EMAIL_BYTES_MAX: usize = 320;
const GROUP_BYTES_MAX: usize = 256;

/// A person, as a provider knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    /// Who says so.
    pub issuer: String,
    /// What the person is called there, now and for ever: `sub`, or for Entra ID `<tid>/<oid>`.
    pub subject: String,
    /// An e-mail address, for people to read.
    pub email: Option<String>,
    /// Whether the provider has seen that the address is the person's.
    pub email_verified: bool,
    /// The person's groups.
    pub groups: Vec<String>,
    /// When a session must end at the latest, Unix milliseconds, where the provider says so.
    pub until_ms: Option<TimeMs>,
}

/// Whether the ID token leaves open what user information may tell.
pub(super) fn is_incomplete(settings: &Settings, id_token: &Claims) -> bool {
    // What Entra ID tells there adds nothing.
    let groups_claim = settings.groups_claim.as_deref();
    let lacks_groups = groups_claim.is_some_and(|claim| id_token.get(claim).is_none());
    settings.pins.directory.is_none() && (id_token.get("email").is_none() || lacks_groups)
}

/// The person whom `id_token` is about. `userinfo`, which is known to be about the same, tells what the
/// token leaves out.
pub(super) fn person(
    settings: &Settings,
    id_token: &Claims,
    userinfo: Option<&Claims>,
) -> Result<External, OidcError> {
    let with_email = [Some(id_token), userinfo];
    let with_email = with_email.into_iter().flatten().find(|claims| claims.get("email").is_some());
    let email = with_email.map(|claims| claims.text("email")).transpose();
    let email = email.map_err(IdTokenError::from)?.flatten();
    let email = email.filter(|email| {
        email.len() <= EMAIL_BYTES_MAX && email.contains('@') && !email.contains(char::is_control)
    });
    Ok(External {
        issuer: settings.issuer.clone(),
        subject: pinned_subject(settings, id_token)?,
        email_verified: email.is_some()
            && with_email.is_some_and(|claims| claims.is_true("email_verified")),
        email: email.map(str::to_owned),
        groups: groups(settings, id_token, userinfo)?,
        until_ms: session_ends_ms(id_token)?,
    })
}

/// The subject, once the token names whom it must name besides.
fn pinned_subject(settings: &Settings, id_token: &Claims) -> Result<String, OidcError> {
    let text = |name| id_token.text(name).map_err(IdTokenError::from);
    let pins = &settings.pins;
    if !pins.hosted_domains.is_empty() {
        let domain = text("hd")?.unwrap_or_default();
        if !pins.hosted_domains.iter().any(|pinned| pinned.eq_ignore_ascii_case(domain)) {
            return Err(OidcError::HostedDomain);
        }
    }
    let Some(directory) = &pins.directory else { return Ok(subject(id_token)?.to_owned()) };
    if text("tid")? != Some(directory) {
        return Err(OidcError::Directory);
    }
    match text("oid")?.filter(|id| !id.is_empty() && !id.contains(char::is_control)) {
        Some(id) => Ok(format!("{directory}/{id}")),
        None => Err(IdTokenError::Claims.into()),
    }
}

fn groups(
    settings: &Settings,
    id_token: &Claims,
    userinfo: Option<&Claims>,
) -> Result<Vec<String>, OidcError> {
    let Some(claim) = settings.groups_claim.as_deref() else { return Ok(Vec::new()) };
    // Where there are too many, Entra ID says where they can be asked for instead.
    let elsewhere = id_token.get("_claim_names").is_some_and(|names| names.get(claim).is_some());
    if elsewhere || id_token.is_true("hasgroups") {
        return Err(OidcError::Groups);
    }
    let sources = [Some(id_token), userinfo].into_iter().flatten();
    for claims in sources {
        if let Some(groups) = claims.texts(claim).map_err(IdTokenError::from)? {
            let named = groups.into_iter().filter(|group| {
                (1..=GROUP_BYTES_MAX).contains(&group.len()) && !group.contains(char::is_control)
            });
            return Ok(named.map(str::to_owned).collect());
        }
    }
    Ok(Vec::new())
}
