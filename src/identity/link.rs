//! Links that let somebody choose a password, once: an invitation, or a way back for whoever
//! forgot. An administrator hands them over; nothing is sent by anybody here.
//!
//! *Invariants*: a user has one link at most, and another takes its place; a link is for one user
//! of one tenant and for one purpose, lasts so long and no longer, and is used up in the same
//! transaction that stores the password. Only its hash is stored. Whoever makes one neither learns
//! nor chooses the password, and makes none for a user who may more, nor for oneself.

use super::Identity;
use super::account::{Account, AccountError, NewUser, demand_another, target};
use super::opaque::{self, NoRandomness, SECRET_CHARS};
use super::password::{Password, PasswordError};
use super::session::SessionError;
use super::user::{self, StoredUser, User};
use crate::audit::{Event, Source};
use crate::tenancy::by::By;
use crate::tenancy::id::TenantId;
use crate::tenancy::record::{self, delete, put};
use crate::tenancy::registry::{Completion, Tenancy};
use crate::tenancy::tenant::Tenant;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt;
use std::sync::Arc;
use storage::engine::{Expect, TableWrite, Tables};
use storage::error::StoreError;
use storage::row::TimeMs;

/// Links by user.
const LINKS: &str = "one_time_links";

/// How long an invitation lasts: a week, for whoever is on leave.
pub const INVITATION_MS: TimeMs = 7 * 24 * 3_600_000;

/// How long a way back lasts: a day, for whoever asked for it waits for it.
pub const RESET_MS: TimeMs = 24 * 3_600_000;

/// What their tokens begin with, so that scanners for secrets know them.
const PREFIX: &str = "eml_";

/// Length of a user's id, which follows.
const USER_CHARS: usize = 16;

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The first password of a user who has none.
    Invitation,
    /// Another password of a user who has one.
    Reset,
}

impl Purpose {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invitation => "invitation",
            Self::Reset => "reset",
        }
    }

    /// What a link for `user` is for.
    fn of(user: &User) -> Self {
        if user.password.is_some() { Self::Reset } else { Self::Invitation }
    }

    const fn lasts_ms(self) -> TimeMs {
        match self {
            Self::Invitation => INVITATION_MS,
            Self::Reset => RESET_MS,
        }
    }
}

/// Why no link was made, or one was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It is no link that is known, or not any more. A caller is not told which.
    #[error("the link is not valid, was used before or has expired: ask for another")]
    Invalid,
    /// The user is kept out.
    #[error("`{user}` is disabled: let the user in again first")]
    Disabled {
        /// Whose it would be.
        user: String,
    },
    /// The user cannot be found, made or changed, or the password breaks the rules.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// No randomness.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LinkError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid => "invalid_link",
            Self::Disabled { .. } => "user_disabled",
            Self::Account(account) => account.code(),
            Self::NoRandomness(_) => "no_randomness",
            Self::Store(_) => "store_failed",
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Invalid | Self::Disabled { .. } => false,
            Self::Account(account) => account.is_transient(),
            Self::NoRandomness(_) => true,
            Self::Store(store) => store.is_transient(),
        }
    }
}

/// A link that was made; the only time that the whole of it is there.
#[derive(Clone)]
pub struct Link {
    /// What is to be presented.
    pub token: String,
    /// What it is for.
    pub purpose: Purpose,
    /// Until when it can be used, Unix milliseconds.
    pub until_ms: TimeMs,
    /// Whose it is.
    pub user: Account,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({:?}, {}, …)", self.purpose, self.user.id)
    }
}

impl Link {
    /// Where the page takes it, below the server's address. A browser sends to nobody what stands
    /// behind `#`.
    pub fn path(&self) -> String {
        format!("/accept#token={}", self.token)
    }
}

/// A link as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    tenant_id: TenantId,
    purpose: Purpose,
    /// The token's SHA-256 in base64url.
    hash: String,
    until_ms: TimeMs,
    created_ms: TimeMs,
    /// Who made it, as [`Principal::subject`](crate::tenancy::scope::Principal::subject).
    created_by: String,
}

/// What ends the link of a user, be there one or not.
pub(super) fn removal(user_id: &str) -> TableWrite {
    delete(LINKS, user_id.as_bytes())
}

/// Removes every link, for one that was used since the tables were copied must not be one again.
pub fn remove_all(platform: &dyn Tables) -> Result<(), StoreError> {
    record::clear(platform, LINKS)
}

/// Somebody who presents a link that is valid.
struct Redeemer {
    stored: StoredUser,
    tenant: Arc<Tenant>,
    purpose: Purpose,
    /// The condition that the link was not used since.
    unused: Expect,
}

impl User {
    /// What makes this user exist, who has no password, and the link to choose one.
    pub fn invitation_by(&self, by: &By, now_ms: TimeMs) -> Result<(Link, Completion), LinkError> {
        let (link, write) = new_link(self, by, now_ms)?;
        let mut act = self.creation_telling(("user.invite", by))?;
        act.writes.push(write);
        Ok((link, act))
    }
}

impl Identity {
    /// Makes a user without a password, and a link to choose one.
    pub fn invite(
        &self,
        tenant_id: &TenantId,
        new: &NewUser,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Link, LinkError> {
        self.invite_and(tenant_id, new, by, now_ms, |_| Ok(Vec::new()))
    }

    /// The same, together with what `also` wants written.
    pub fn invite_and(
        &self,
        tenant_id: &TenantId,
        new: &NewUser,
        by: &By,
        now_ms: TimeMs,
        also: impl FnOnce(&Link) -> Result<Vec<TableWrite>, StoreError>,
    ) -> Result<Link, LinkError> {
        self.demand_unbound(&by.principal)?;
        let user = self.new_user(tenant_id, new, &by.principal, now_ms)?;
        let (link, write) = new_link(&user, by, now_ms)?;
        let mut writes = also(&link)?;
        writes.push(write);
        self.add_user(&user, writes, ("user.invite", by), now_ms)?;
        Ok(link)
    }

    /// Makes a link for another password, or for the first one of a user who has none yet: of somebody
    /// else. Until it is used, everything stays as it is.
    pub fn reset_link(
        &self,
        tenant_id: &TenantId,
        user_id: &str,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Link, LinkError> {
        let stored = self.stored_user(tenant_id, user_id)?;
        stored.user.demand_below(&by.principal)?;
        demand_another(&by.principal, user_id, "/api/v1/auth/password")?;
        self.demand_unbound(&by.principal)?;
        if stored.user.disabled {
            return Err(LinkError::Disabled { user: stored.user.email.to_string() });
        }
        let (link, write) = new_link(&stored.user, by, now_ms)?;
        let event = by.did("user.reset", target(user_id)).after(json!({ "link": link.purpose }));
        let told = by.told(tenant_id, event);
        let act = Completion { expect: vec![stored.unchanged()], writes: vec![write], told };
        match act.commit(&self.log, now_ms)? {
            true => Ok(link),
            false => Err(AccountError::from(SessionError::Contended).into()),
        }
    }

    /// Takes the link `token` for the password `chosen`, ends every session of its user, and gives
    /// who and where that is. Where the caller came by a tenant's own address, `named` is that
    /// tenant's name, and the link must be of there. Hashes once the link is known: some 15 ms.
    pub fn accept(
        &self,
        tenancy: &Tenancy,
        token: &str,
        chosen: &str,
        named: Option<&str>,
        source: &Source,
        now_ms: TimeMs,
    ) -> Result<(Account, Arc<Tenant>), LinkError> {
        let Redeemer { stored, tenant, purpose, unused } =
            self.redeemer(tenancy, token, now_ms)?.ok_or(LinkError::Invalid)?;
        if named.is_some_and(|named| named != tenant.slug.as_str()) {
            return Err(LinkError::Invalid);
        }
        let refused = |error: PasswordError| LinkError::Account(error.into());
        let chosen = Password::choose(chosen, &stored.user.email, tenant.slug.as_str());
        let hash = self.passwords.hash(&chosen.map_err(refused)?).map_err(refused)?;
        let changed = User { password: Some(hash), ..stored.user.clone() };
        let mut act = stored.change(&changed)?;
        act.expect.push(unused.clone());
        act.writes.push(removal(&changed.id));
        let (actor, source) = (target(&changed.id), source.clone());
        let event = Event::new(actor, "user.accept", target(&changed.id), source);
        act.told.push(event.after(json!({ "link": purpose })).in_chain(tenant.id.as_str()));
        let done = self.sessions.end_all(&changed.id, None, &act, now_ms);
        match done.map_err(AccountError::from)? {
            true => Ok((changed.into(), tenant)),
            false if self.platform.get(&unused.table, &unused.key)? != unused.value => {
                Err(LinkError::Invalid)
            }
            false => Err(AccountError::from(SessionError::Contended).into()),
        }
    }

    /// Who presents `token`, if that is a link that can be used.
    fn redeemer(
        &self,
        tenancy: &Tenancy,
        token: &str,
        now_ms: TimeMs,
    ) -> Result<Option<Redeemer>, StoreError> {
        let Some(user_id) = user_of(token) else { return Ok(None) };
        let Some(bytes) = self.platform.get(LINKS, user_id.as_bytes())? else { return Ok(None) };
        let record: Record = record::decode(&format!("{LINKS}/{user_id}"), &bytes)?;
        let known = opaque::read_hash(&record.hash);
        let typed = opaque::hash(token);
        let fits = known.is_some_and(|known| verify_slices_are_equal(&known, &typed).is_ok());
        if !fits || now_ms >= record.until_ms {
            return Ok(None);
        }
        let Some(tenant) = tenancy.with_id(&record.tenant_id) else { return Ok(None) };
        let stored = user::get(&*self.platform, user_id)?.filter(|stored| {
            let user = &stored.user;
            user.tenant_id == record.tenant_id
                && !user.disabled
                && Purpose::of(user) == record.purpose
        });
        let (table, key) = (LINKS.into(), user_id.as_bytes().into());
        let unused = Expect { table, key, value: Some(bytes) };
        let purpose = record.purpose;
        Ok(stored.map(|stored| Redeemer { stored, tenant, purpose, unused }))
    }
}

/// A link for `user`, and what stores it in the place of any other.
fn new_link(user: &User, by: &By, now_ms: TimeMs) -> Result<(Link, TableWrite), LinkError> {
    let token = format!("{PREFIX}{}{}", user.id, opaque::random_secret()?);
    let purpose = Purpose::of(user);
    let until_ms = now_ms.saturating_add(purpose.lasts_ms());
    let record = Record {
        tenant_id: user.tenant_id.clone(),
        purpose,
        hash: opaque::hash_text(&opaque::hash(&token)),
        until_ms,
        created_ms: now_ms,
        created_by: by.principal.subject(),
    };
    let write = put(LINKS, user.id.as_bytes(), record::encode(&record)?);
    Ok((Link { token, purpose, until_ms, user: user.clone().into() }, write))
}

/// The id of the user that a token says to be for.
fn user_of(token: &str) -> Option<&str> {
    let rest = token.strip_prefix(PREFIX)?;
    let plain = rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    (plain && rest.len() == USER_CHARS + SECRET_CHARS).then(|| &rest[..USER_CHARS])
}
