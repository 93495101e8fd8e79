//! Sessions: what lets somebody who signed in go on without a password.
//!
//! A session is a *family* of refresh tokens. Each is used once and replaced by the next; one that
//! is used again shows that two hold it, the one it was given to and one who took it, and as
//! nobody can tell which is which, the whole family ends.
//!
//! *Invariants*: a family has at most one token that is not spent; finding it, checking it,
//! marking it spent and inserting its successor are one transaction under the conditions that were
//! checked. A token that was spent is known as such for as long as its family is. Only hashes are
//! stored. No use moves the end of a family. Whatever ends one before its time puts it on the
//! [deny list](super::revocation) in the same transaction.

use super::family::{self, ABSOLUTE_MS, Family, StoredFamily};
use super::opaque::{self, NoRandomness, SECRET_CHARS};
use super::revocation::Revocations;
use super::user::{self, StoredUser, User};
use crate::audit::{AuditLog, Source, Told};
use crate::tenancy::id::{TenantId, random_word};
use crate::tenancy::registry::Completion;
use std::sync::{Arc, Mutex, PoisonError};
use storage::engine::Tables;
use storage::error::StoreError;
use storage::row::TimeMs;

/// Sessions that one user may have; another one ends the oldest.
pub const FAMILIES_PER_USER_MAX: usize = 50;

/// How often an act is tried anew because somebody changed the family meanwhile. Whoever loses
/// finds another state, which mostly ends the matter; only different tokens in turn go on.
const ATTEMPTS_MAX: usize = 16;

/// How many sessions that have run out are cleared away at a login.
const SWEEP_MAX: usize = 8;

/// What refresh tokens begin with, so that scanners for secrets know them.
const PREFIX: &str = "emr_";

/// Length of a family's id, which follows.
const FAMILY_CHARS: usize = 16;

/// Why a session cannot go on, or could not be begun or ended.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// It is no refresh token that is known.
    #[error("the refresh token is not known: sign in again")]
    Unknown,
    /// The session has come to its end, by time, by rest or by the number of refreshes.
    #[error("the session has come to its end: sign in again")]
    Expired,
    /// The token was used before; its session is over.
    #[error("the refresh token was used before, so the session was ended: sign in again")]
    Reused,
    /// Nobody enters its tenant now.
    #[error("the tenant of the session is not open: ask whoever administers the server")]
    Closed,
    /// Others changed the session or its user again and again.
    #[error("the session is being changed by others: try again")]
    Contended,
    /// No randomness.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SessionError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "invalid_refresh_token",
            Self::Expired => "session_expired",
            Self::Reused => "refresh_token_reused",
            Self::Closed => "tenant_closed",
            Self::Contended => "session_contended",
            Self::NoRandomness(_) => "no_randomness",
            Self::Store(_) => "store_failed",
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unknown | Self::Expired | Self::Reused | Self::Closed => false,
            Self::Contended | Self::NoRandomness(_) => true,
            Self::Store(store) => store.is_transient(),
        }
    }
}

/// A session that begins or goes on.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) family: Family,
    pub(super) user: User,
    pub(super) refresh_token: String,
}

/// The sessions of this installation.
#[derive(Debug)]
pub(super) struct Sessions {
    platform: Arc<dyn Tables>,
    log: Arc<AuditLog>,
    revocations: Arc<Revocations>,
    /// Held while a session begins, so that a user's sessions can be counted.
    beginning: Mutex<()>,
}

impl Sessions {
    pub(super) fn new(log: Arc<AuditLog>, revocations: Arc<Revocations>) -> Self {
        let platform = Arc::clone(log.platform());
        Self { platform, log, revocations, beginning: Mutex::new(()) }
    }

    /// Begins a session of `stored`, unless that user was changed since it was read. The oldest of
    /// too many sessions ends.
    pub(super) fn begin(
        &self,
        stored: StoredUser,
        source: &Source,
        now_ms: TimeMs,
    ) -> Result<Opened, SessionError> {
        self.sweep(now_ms);
        let _alone = self.beginning.lock().unwrap_or_else(PoisonError::into_inner);
        let mut others = family::of_user(&*self.platform, &stored.user.id)?;
        others.sort_by_key(|other| other.family.created_ms);
        let surplus = (others.len() + 1).saturating_sub(FAMILIES_PER_USER_MAX);
        for other in &others[..surplus] {
            self.end(&other.family.id, source, now_ms)?;
        }
        let family = Family {
            id: random_word(),
            user_id: stored.user.id.clone(),
            tenant_id: stored.user.tenant_id.clone(),
            created_ms: now_ms,
            used_ms: now_ms,
            until_ms: now_ms.saturating_add(ABSOLUTE_MS),
            refreshes: 0,
        };
        let refresh_token = new_token(&family.id)?;
        let mut creation = family.creation(&refresh_token)?;
        creation.expect.push(stored.unchanged());
        creation.told.push(family.told("session.begin", source));
        match creation.commit(&self.log, now_ms)? {
            true => Ok(Opened { family, user: stored.user, refresh_token }),
            false => Err(SessionError::Contended),
        }
    }

    /// Takes the refresh token `text` for its successor, if its tenant `is_open`.
    pub(super) fn refresh(
        &self,
        text: &str,
        is_open: &dyn Fn(&TenantId) -> bool,
        source: &Source,
        now_ms: TimeMs,
    ) -> Result<Opened, SessionError> {
        let id = family_of(text).ok_or(SessionError::Unknown)?;
        for _ in 0..ATTEMPTS_MAX {
            if let Some(opened) = self.try_refresh(id, text, is_open, source, now_ms)? {
                return Ok(opened);
            }
        }
        Err(SessionError::Contended)
    }

    /// Nothing if somebody changed what was checked.
    fn try_refresh(
        &self,
        id: &str,
        text: &str,
        is_open: &dyn Fn(&TenantId) -> bool,
        source: &Source,
        now_ms: TimeMs,
    ) -> Result<Option<Opened>, SessionError> {
        let platform = &*self.platform;
        let token = family::token(platform, id, text)?.ok_or(SessionError::Unknown)?;
        let Some(stored) = family::get(platform, id)? else {
            return Err(SessionError::Unknown);
        };
        // Spent now, it would be taken for stolen once the tenant is open again.
        if !is_open(&stored.family.tenant_id) {
            return Err(SessionError::Closed);
        }
        // A spent token ends the session. Whoever lets a client repeat its last call for a moment
        // does so here.
        if token.is_spent {
            self.end_telling(id, |family| vec![family.told("session.reuse", source)], now_ms)?;
            return Err(SessionError::Reused);
        }
        if stored.family.is_over(now_ms) {
            self.end(id, source, now_ms)?;
            return Err(SessionError::Expired);
        }
        let user = user::get(platform, &stored.family.user_id)?;
        let Some(user) = user.filter(|stored| !stored.user.disabled) else {
            self.end(id, source, now_ms)?;
            return Err(SessionError::Unknown);
        };
        let refresh_token = new_token(id)?;
        let (family, mut act) = stored.succession(&token, &refresh_token, now_ms)?;
        act.expect.push(user.unchanged());
        let done = act.commit(&self.log, now_ms)?;
        Ok(done.then_some(Opened { family, user: user.user, refresh_token }))
    }

    /// Ends a session, its access tokens included, because its time has come or its user has gone.
    fn end(&self, id: &str, source: &Source, now_ms: TimeMs) -> Result<bool, SessionError> {
        self.end_telling(id, |family| vec![family.told("session.expire", source)], now_ms)
    }

    /// Ends a session at once, its access tokens included, and tells it. Ending one that is not there
    /// succeeds. Gives whether there was one.
    pub(super) fn end_telling(
        &self,
        id: &str,
        told: impl Fn(&Family) -> Vec<Told>,
        now_ms: TimeMs,
    ) -> Result<bool, SessionError> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(stored) = family::get(&*self.platform, id)? else { return Ok(false) };
            let act = Completion::default().telling(told(&stored.family));
            if self.try_end(&[stored], &act, now_ms)? {
                return Ok(true);
            }
        }
        Err(SessionError::Contended)
    }

    /// Ends every session of a user, but for the one called `except`, in one transaction with
    /// `act`, which changes the user. Gives whether the conditions of `act` held.
    pub(super) fn end_all(
        &self,
        user_id: &str,
        except: Option<&str>,
        act: &Completion,
        now_ms: TimeMs,
    ) -> Result<bool, SessionError> {
        // A session that begins meanwhile would change nothing of what is expected here.
        let _alone = self.beginning.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..ATTEMPTS_MAX {
            let mut families = family::of_user(&*self.platform, user_id)?;
            families.retain(|stored| Some(stored.family.id.as_str()) != except);
            if self.try_end(&families, act, now_ms)? {
                return Ok(true);
            }
            for expected in &act.expect {
                if self.platform.get(&expected.table, &expected.key)? != expected.value {
                    return Ok(false);
                }
            }
        }
        Err(SessionError::Contended)
    }

    fn try_end(
        &self,
        families: &[StoredFamily],
        act: &Completion,
        now_ms: TimeMs,
    ) -> Result<bool, SessionError> {
        let mut act = act.clone();
        for stored in families {
            act.expect.push(stored.unchanged());
            act.writes.push(Revocations::denial(&stored.family.id, now_ms)?);
            act.writes.extend(stored.family.removal(&*self.platform)?);
        }
        let outcome = act.commit(&self.log, now_ms);
        // Where nobody knows whether it happened, refusing is the safe side.
        if !matches!(outcome, Ok(false)) {
            for stored in families {
                self.revocations.deny_session(&stored.family.id, now_ms);
            }
        }
        Ok(outcome?)
    }

    /// The sessions of a user that can go on, newest first.
    pub(super) fn list(&self, user_id: &str, now_ms: TimeMs) -> Result<Vec<Family>, SessionError> {
        let stored = family::of_user(&*self.platform, user_id)?;
        let mut families: Vec<Family> = stored.into_iter().map(|stored| stored.family).collect();
        families.retain(|family| !family.is_over(now_ms));
        families.sort_by_key(|family| std::cmp::Reverse(family.created_ms));
        Ok(families)
    }

    /// Clears away some of what has run out. What cannot go now goes another time.
    fn sweep(&self, now_ms: TimeMs) {
        let swept = self.revocations.sweep(&*self.platform, now_ms);
        if let Err(error) = swept.and_then(|()| family::sweep(&*self.platform, SWEEP_MAX, now_ms)) {
            tracing::warn!(%error, "sessions that have run out cannot be cleared away yet");
        }
    }
}

fn new_token(family: &str) -> Result<String, NoRandomness> {
    Ok(format!("{PREFIX}{family}{}", opaque::random_secret()?))
}

/// The id of the family that a refresh token says to be of.
fn family_of(text: &str) -> Option<&str> {
    let rest = text.strip_prefix(PREFIX)?;
    let plain = rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    (plain && rest.len() == FAMILY_CHARS + SECRET_CHARS).then(|| &rest[..FAMILY_CHARS])
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
