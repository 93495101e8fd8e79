//! Sessions: what lets somebody who signed in go on without a password.
//!
//! A session is a *family* of refresh tokens. Each is used once and replaced by the next; one that
//! is used again shows that two hold it, the one it was given to and one who took it, and as
//! nobody can tell which is which, the whole family ends. But for a moment after a token was spent
//! the client that spent it gets the [same successor](super::grace) again: its answer may be lost.
//!
//! *Invariants*: a family has at most one token that is not spent; finding it, checking it,
//! marking it spent and inserting its successor are one transaction under the conditions that were
//! checked. A token that was spent is known as such for as long as its family is. Only hashes are
//! stored, and one successor sealed. No use moves the end of a family. Whatever ends one before its
//! time puts it on the [deny list](super::revocation) in the same transaction.

use super::client::Client;
use super::family::{Family, StoredFamily, StoredToken};
use super::opaque::{self, NoRandomness, SECRET_CHARS};
use super::revocation::Revocations;
use super::secret::{MasterKey, SecretError};
use super::settings::SessionSettings;
use super::throttle::Refused;
use super::user::{self, StoredUser, User};
use super::{family, grace, rules};
use crate::audit::{AuditLog, Told};
use crate::tenancy::id::random_word;
use crate::tenancy::registry::Completion;
use serde_json::json;
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
    /// The caller named a tenant, and the session is of another.
    #[error("the session is not of the tenant that header or host name")]
    TenantMismatch,
    /// Another client than the one that the session is bound to asks.
    #[error("the session belongs to another client: sign in again")]
    Elsewhere,
    /// It was gone on with too often.
    #[error(transparent)]
    TooMany(#[from] Refused),
    /// Others changed the session or its user again and again.
    #[error("the session is being changed by others: try again")]
    Contended,
    /// No randomness.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// A successor could not be sealed, or does not open.
    #[error(transparent)]
    Secret(#[from] SecretError),
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
            Self::TenantMismatch => "tenant_mismatch",
            Self::Elsewhere => "client_changed",
            Self::TooMany(_) => Refused::CODE,
            Self::Contended => "session_contended",
            Self::NoRandomness(_) => "no_randomness",
            Self::Secret(secret) => secret.code(),
            Self::Store(_) => "store_failed",
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unknown | Self::Expired | Self::Reused | Self::Closed | Self::Elsewhere => false,
            Self::TenantMismatch => false,
            Self::TooMany(_) | Self::Contended | Self::NoRandomness(_) => true,
            Self::Secret(secret) => secret.is_transient(),
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

/// The identity provider by which somebody signs in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vouching<'a> {
    pub(super) provider_id: &'a str,
    /// When the session ends at the latest.
    pub(super) ends_ms: TimeMs,
}

/// Somebody who wants to go on with a session.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// The refresh token.
    pub(super) text: &'a str,
    pub(super) client: Client<'a>,
    /// Says whether a session that is there may be gone on with now. Called once.
    pub(super) admit: &'a dyn Fn(&Family) -> Result<(), SessionError>,
}

/// The sessions of this installation.
#[derive(Debug)]
pub(super) struct Sessions {
    platform: Arc<dyn Tables>,
    log: Arc<AuditLog>,
    master: Arc<MasterKey>,
    revocations: Arc<Revocations>,
    settings: SessionSettings,
    /// Held while a session begins, so that a user's sessions can be counted.
    beginning: Mutex<()>,
}

impl Sessions {
    /// Takes over the sessions in the tables of `log` at a start.
    pub(super) fn start(
        log: Arc<AuditLog>,
        master: Arc<MasterKey>,
        revocations: Arc<Revocations>,
        settings: SessionSettings,
        now_ms: TimeMs,
    ) -> Result<Self, StoreError> {
        let platform = Arc::clone(log.platform());
        grace::reopen(&*platform, now_ms)?;
        Ok(Self { platform, log, master, revocations, settings, beginning: Mutex::new(()) })
    }

    /// Begins a session of `stored` by `client`, unless that user was changed since it was read, under
    /// the conditions of `act` and together with what it writes and tells. The oldest of too many
    /// sessions ends.
    pub(super) fn begin(
        &self,
        stored: StoredUser,
        client: Client<'_>,
        act: Completion,
        now_ms: TimeMs,
    ) -> Result<Opened, SessionError> {
        self.begin_any(None, stored, client, act, now_ms)
    }

    /// The same, where an identity provider vouches for the user.
    pub(super) fn begin_vouched(
        &self,
        vouching: Vouching<'_>,
        stored: StoredUser,
        client: Client<'_>,
        act: Completion,
        now_ms: TimeMs,
    ) -> Result<Opened, SessionError> {
        self.begin_any(Some(vouching), stored, client, act, now_ms)
    }

    fn begin_any(
        &self,
        vouching: Option<Vouching<'_>>,
        stored: StoredUser,
        client: Client<'_>,
        act: Completion,
        now_ms: TimeMs,
    ) -> Result<Opened, SessionError> {
        self.sweep(now_ms);
        let _alone = self.beginning.lock().unwrap_or_else(PoisonError::into_inner);
        let mut others = family::of_user(&*self.platform, &stored.user.id)?;
        others.sort_by_key(|other| other.family.created_ms);
        let surplus = (others.len() + 1).saturating_sub(FAMILIES_PER_USER_MAX);
        others.truncate(surplus);
        let ends_ms = vouching.map_or(TimeMs::MAX, |vouching| vouching.ends_ms);
        let family = Family {
            id: random_word(),
            user_id: stored.user.id.clone(),
            tenant_id: stored.user.tenant_id.clone(),
            created_ms: now_ms,
            used_ms: now_ms,
            until_ms: now_ms.saturating_add(self.settings.absolute_ms).min(ends_ms),
            refreshes: 0,
            address: client.address,
            agent: client.kept_agent().map(str::to_owned),
        };
        let refresh_token = new_token(&family.id)?;
        let mut creation = family.creation(&refresh_token)?;
        creation.expect.push(stored.unchanged());
        let mut begun = family.told("session.begin", client.source());
        if let Some(Vouching { provider_id, .. }) = vouching {
            begun.event.after = json!({ "provider": provider_id });
        }
        creation.told.push(begun);
        creation.expect.extend(act.expect);
        creation.writes.extend(act.writes);
        // They end with the beginning of this one, or not at all.
        let expired = others.iter().map(|o| o.family.told("session.expire", client.source()));
        let creation = creation.telling(expired.collect::<Vec<_>>()).telling(act.told);
        match self.try_end(&others, None, &creation, now_ms)? {
            true => Ok(Opened { family, user: stored.user, refresh_token }),
            false => Err(SessionError::Contended),
        }
    }

    /// Takes a refresh token for its successor.
    pub(super) fn refresh(&self, asked: Asked<'_>, now_ms: TimeMs) -> Result<Opened, SessionError> {
        for attempt in 0..ATTEMPTS_MAX {
            let (token, stored) = self.find(asked.text)?;
            if attempt == 0 {
                (asked.admit)(&stored.family)?;
            }
            if let Some(opened) = self.try_refresh(&token, &stored, &asked, now_ms)? {
                return Ok(opened);
            }
        }
        Err(SessionError::Contended)
    }

    /// A refresh token that is known, and its family.
    fn find(&self, text: &str) -> Result<(StoredToken, StoredFamily), SessionError> {
        let id = family_of(text).ok_or(SessionError::Unknown)?;
        let token = family::token(&*self.platform, id, text)?.ok_or(SessionError::Unknown)?;
        let stored = family::get(&*self.platform, id)?.ok_or(SessionError::Unknown)?;
        Ok((token, stored))
    }

    /// Nothing if somebody changed what was checked.
    fn try_refresh(
        &self,
        token: &StoredToken,
        stored: &StoredFamily,
        asked: &Asked<'_>,
        now_ms: TimeMs,
    ) -> Result<Option<Opened>, SessionError> {
        let family = &stored.family;
        // Of a token that is spent only a client that may have lost the answer gets more.
        let again = match token.is_spent {
            false => None,
            true => Some(self.successor(family, asked, now_ms)?),
        };
        if again.as_ref().is_some_and(Option::is_none) {
            let told = |family: &Family| family.told("session.reuse", asked.client.source());
            self.end_telling(&family.id, |family| vec![told(family)], now_ms)?;
            return Err(SessionError::Reused);
        }
        if family.is_over(&self.settings, now_ms) {
            self.end(&family.id, asked.client, now_ms)?;
            return Err(SessionError::Expired);
        }
        let user = user::get(&*self.platform, &family.user_id)?;
        let Some(user) = user.filter(|stored| !stored.user.disabled) else {
            self.end(&family.id, asked.client, now_ms)?;
            return Err(SessionError::Unknown);
        };
        let rules = rules::get(&*self.platform, &family.tenant_id)?;
        if rules.end(&user.user, family.created_ms) {
            self.end(&family.id, asked.client, now_ms)?;
            return Err(SessionError::Unknown);
        }
        if !self.settings.binding.holds(family.client(), asked.client) {
            return Err(SessionError::Elsewhere);
        }
        match again.flatten() {
            Some(refresh_token) => Ok(Some(self.opened(family.clone(), user.user, refresh_token))),
            None => self.replace(token, stored, &user, asked, now_ms),
        }
    }

    /// What the token `asked.text`, which is spent, was replaced by, if that may be told.
    fn successor(
        &self,
        family: &Family,
        asked: &Asked<'_>,
        now_ms: TimeMs,
    ) -> Result<Option<String>, SessionError> {
        if !family.client().resembles(asked.client) {
            return Ok(None);
        }
        grace::find(&*self.platform, &self.master, &family.id, asked.text, now_ms)
    }

    fn replace(
        &self,
        token: &StoredToken,
        stored: &StoredFamily,
        user: &StoredUser,
        asked: &Asked<'_>,
        now_ms: TimeMs,
    ) -> Result<Option<Opened>, SessionError> {
        let id = &stored.family.id;
        let refresh_token = new_token(id)?;
        let (family, mut act) = stored.succession(token, &refresh_token, asked.client, now_ms)?;
        act.expect.push(user.unchanged());
        act.writes.push(grace::keep(&self.master, id, asked.text, &refresh_token, now_ms)?);
        let done = act.commit(&self.log, now_ms)?;
        Ok(done.then(|| self.opened(family, user.user.clone(), refresh_token)))
    }

    fn opened(&self, family: Family, user: User, refresh_token: String) -> Opened {
        Opened { family: family.shown(&self.settings), user, refresh_token }
    }

    /// Ends the session of a refresh token that is known, spent or not, as `client` gives it back. Gives
    /// whether there was one. `admit` says whether the client may.
    pub(super) fn end_of(
        &self,
        text: &str,
        admit: &dyn Fn(&Family) -> Result<(), SessionError>,
        client: Client<'_>,
        now_ms: TimeMs,
    ) -> Result<bool, SessionError> {
        match self.find(text) {
            Ok((_, stored)) => {
                admit(&stored.family)?;
                let told = |family: &Family| vec![family.told("session.end", client.source())];
                self.end_telling(&stored.family.id, told, now_ms)
            }
            Err(SessionError::Unknown) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Ends a session, its access tokens included, because its time has come or its user has gone.
    fn end(&self, id: &str, client: Client<'_>, now_ms: TimeMs) -> Result<bool, SessionError> {
        let told = |family: &Family| vec![family.told("session.expire", client.source())];
        self.end_telling(id, told, now_ms)
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
            if self.try_end(&[stored], None, &act, now_ms)? {
                return Ok(true);
            }
        }
        Err(SessionError::Contended)
    }

    /// Ends every session of a user, but for the one called `except`, in one transaction with
    /// `act`, which changes the user; without an exception, everything that the user holds. Gives
    /// whether the conditions of `act` held.
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
            let of_user = except.is_none().then_some(user_id);
            if self.try_end(&families, of_user, act, now_ms)? {
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

    /// Ends `families`, and whatever else the user called `user_id` holds.
    fn try_end(
        &self,
        families: &[StoredFamily],
        user_id: Option<&str>,
        act: &Completion,
        now_ms: TimeMs,
    ) -> Result<bool, SessionError> {
        let mut act = act.clone();
        for stored in families {
            act.expect.push(stored.unchanged());
            act.writes.push(Revocations::denial(&stored.family.id, now_ms)?);
            act.writes.extend(stored.family.removal(&*self.platform)?);
        }
        if let Some(user_id) = user_id {
            act.writes.push(Revocations::denial_of_user(user_id, now_ms)?);
        }
        let outcome = act.commit(&self.log, now_ms);
        // Where nobody knows whether it happened, refusing is the safe side.
        if !matches!(outcome, Ok(false)) {
            for stored in families {
                self.revocations.deny_session(&stored.family.id, now_ms);
            }
            if let Some(user_id) = user_id {
                self.revocations.deny_user(user_id, now_ms);
            }
        }
        Ok(outcome?)
    }

    /// The sessions of a user that can go on, newest first.
    pub(super) fn list(&self, user_id: &str, now_ms: TimeMs) -> Result<Vec<Family>, SessionError> {
        let stored = family::of_user(&*self.platform, user_id)?.into_iter();
        let mut families: Vec<Family> =
            stored.map(|stored| stored.family.shown(&self.settings)).collect();
        families.retain(|family| !family.is_over(&self.settings, now_ms));
        families.sort_by(|a, b| (b.created_ms, &b.id).cmp(&(a.created_ms, &a.id)));
        Ok(families)
    }

    /// What is decided about sessions.
    pub(super) fn settings(&self) -> &SessionSettings {
        &self.settings
    }

    /// Removes the successors whose window is over. To be called every few seconds.
    pub(super) fn forget_successors(&self, now_ms: TimeMs) -> Result<(), StoreError> {
        grace::sweep(&*self.platform, now_ms)
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
