//! What was ended before its time: access tokens that would still be within theirs, by themselves, by
//! their session or by their user, and who is to be told.
//!
//! *Invariants*: what is on the deny list is refused from the moment the call that put it there
//! returns, a restart in between or not; an entry stays until no access token that it is about can be
//! valid. Looking one up reads memory only.

use super::token::{ACCESS_MS, LEEWAY_MS};
use crate::audit::{AuditLog, Told};
use crate::tenancy::record::{self, delete, present, put};
use crate::tenancy::registry::Completion;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use storage::engine::{TableWrite, Tables};
use storage::error::StoreError;
use storage::row::TimeMs;

/// Families that were ended, by id.
const FAMILIES: &str = "denied_families";

/// Access tokens that were ended, by id.
const TOKENS: &str = "denied_tokens";

/// Users all of whose access tokens were ended that there were at a time, by id.
const USERS: &str = "denied_users";

/// Two calls at the same moment may have read the clock this far apart; so much longer than its
/// access tokens live is something denied.
const CLOCK_READINGS_MS: TimeMs = 60_000;

/// How long something is denied.
const DENIAL_MS: TimeMs = ACCESS_MS + LEEWAY_MS + CLOCK_READINGS_MS;

/// How far ahead of the clock a denial may lie and still count: what is made then is dated after it,
/// by up to a second, and has to be valid at once.
const AHEAD_MS: TimeMs = LEEWAY_MS - 1_000;

/// How many denials that have run out are cleared away at once: a login does no more for others.
const SWEEP_MAX: usize = 64;

/// Something that was ended before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// A session: its family of refresh tokens, and with it its access tokens.
    Session {
        /// The family's id.
        family: Arc<str>,
    },
    /// One access token.
    Token {
        /// The token's id.
        token_id: Arc<str>,
    },
    /// Everything that a user held.
    User {
        /// The user's id.
        user_id: Arc<str>,
    },
    /// Every access token there was.
    AllTokens,
    /// An API key.
    ApiKey {
        /// The key's id.
        key_id: Arc<str>,
    },
}

/// Is called with everything that ends before its time, by the thread that ended it: it must be
/// quick and must not call back.
pub type Listener = Arc<dyn Fn(&Revoked) + Send + Sync>;

/// An access token as the deny list may know it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Presented<'a> {
    pub(super) token_id: &'a str,
    pub(super) family: &'a str,
    pub(super) user_id: &'a str,
    /// When it was made.
    pub(super) issued_ms: TimeMs,
}

/// An entry of the list.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Denial {
    until_ms: TimeMs,
    /// Of a user: when; what was made later is not meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at_ms: Option<TimeMs>,
}

impl Denial {
    fn at(now_ms: TimeMs) -> Self {
        Self { until_ms: now_ms.saturating_add(DENIAL_MS), at_ms: None }
    }
}

type Denials = HashMap<Arc<str>, Denial>;

/// A denial, and where it stands on the list.
type Entry = (&'static str, Arc<str>, Denial);

/// The list in memory.
#[derive(Debug, Default)]
struct Denied {
    families: Denials,
    tokens: Denials,
    users: Denials,
    /// When every access token there was was ended. What signed them is gone, so this is only for
    /// those who came in before, and not stored.
    all_at_ms: Option<TimeMs>,
}

impl Denied {
    fn tables(&self) -> [(&'static str, &Denials); 3] {
        [(FAMILIES, &self.families), (TOKENS, &self.tokens), (USERS, &self.users)]
    }

    fn tables_mut(&mut self) -> [(&'static str, &mut Denials); 3] {
        [(FAMILIES, &mut self.families), (TOKENS, &mut self.tokens), (USERS, &mut self.users)]
    }

    /// Until when what was made for `user_id` is denied, if it is. A denial that lies ahead is the
    /// work of a clock that was set back, and would keep everybody out until then.
    fn bar_ms(&self, user_id: &str, now_ms: TimeMs) -> Option<TimeMs> {
        let of_user = self.users.get(user_id).and_then(|denial| denial.at_ms);
        let bars = of_user.into_iter().chain(self.all_at_ms);
        bars.filter(|at_ms| *at_ms <= now_ms.saturating_add(AHEAD_MS)).max()
    }
}

/// The deny list and those who listen.
#[derive(Default)]
pub(super) struct Revocations {
    denied: RwLock<Denied>,
    listeners: RwLock<Vec<Listener>>,
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations").finish_non_exhaustive()
    }
}

impl Revocations {
    /// The deny list as it is stored.
    pub(super) fn load(platform: &dyn Tables) -> Result<Self, StoreError> {
        let mut denied = Denied::default();
        for (table, denials) in denied.tables_mut() {
            for (key, bytes) in record::all(platform, table, b"")? {
                let id = String::from_utf8_lossy(&key);
                let denial = record::decode(&format!("{table}/{id}"), &bytes)?;
                denials.insert(id.as_ref().into(), denial);
            }
        }
        Ok(Self { denied: RwLock::new(denied), listeners: RwLock::default() })
    }

    /// What puts `family` on the stored list.
    pub(super) fn denial(family: &str, now_ms: TimeMs) -> Result<TableWrite, StoreError> {
        Ok(put(FAMILIES, family.as_bytes(), record::encode(&Denial::at(now_ms))?))
    }

    /// What puts everything that a user holds at `now_ms` on the stored list.
    pub(super) fn denial_of_user(user_id: &str, now_ms: TimeMs) -> Result<TableWrite, StoreError> {
        let denial = Denial { at_ms: Some(now_ms), ..Denial::at(now_ms) };
        Ok(put(USERS, user_id.as_bytes(), record::encode(&denial)?))
    }

    /// Ends one access token, and tells it in `log`.
    pub(super) fn end_token(
        &self,
        log: &AuditLog,
        token_id: &str,
        told: Told,
        now_ms: TimeMs,
    ) -> Result<(), StoreError> {
        let denial = put(TOKENS, token_id.as_bytes(), record::encode(&Denial::at(now_ms))?);
        let (expect, writes, told) = (Vec::new(), vec![denial], vec![told]);
        let outcome = Completion { expect, writes, told }.commit(log, now_ms);
        // Where nobody knows whether it is stored, refusing is the safe side.
        self.deny_token(token_id, now_ms);
        outcome.map(|_| ())
    }

    /// Whether the stored list denies `presented`: what is denied in memory may not be on it, where that
    /// could not be stored.
    pub(super) fn is_stored(
        &self,
        platform: &dyn Tables,
        presented: &Presented<'_>,
    ) -> Result<bool, StoreError> {
        for (table, id) in [(FAMILIES, presented.family), (TOKENS, presented.token_id)] {
            if platform.get(table, id.as_bytes())?.is_some() {
                return Ok(true);
            }
        }
        let Some(bytes) = platform.get(USERS, presented.user_id.as_bytes())? else {
            return Ok(false);
        };
        let what = format!("{USERS}/{}", presented.user_id);
        let Denial { at_ms, .. } = record::decode(&what, &bytes)?;
        Ok(at_ms.is_some_and(|at_ms| presented.issued_ms <= at_ms))
    }

    /// Puts `family` on the list in memory and tells those who listen. To be called once its
    /// [`denial`](Self::denial) is stored.
    pub(super) fn deny_session(&self, family: &str, now_ms: TimeMs) {
        let family: Arc<str> = family.into();
        self.deny(|denied| denied.families.insert(Arc::clone(&family), Denial::at(now_ms)));
        self.tell(&Revoked::Session { family });
    }

    /// The same for everything that a user holds.
    pub(super) fn deny_user(&self, user_id: &str, now_ms: TimeMs) {
        let user_id: Arc<str> = user_id.into();
        let denial = Denial { at_ms: Some(now_ms), ..Denial::at(now_ms) };
        self.deny(|denied| denied.users.insert(Arc::clone(&user_id), denial));
        self.tell(&Revoked::User { user_id });
    }

    /// The same for one access token.
    fn deny_token(&self, token_id: &str, now_ms: TimeMs) {
        let token_id: Arc<str> = token_id.into();
        self.deny(|denied| denied.tokens.insert(Arc::clone(&token_id), Denial::at(now_ms)));
        self.tell(&Revoked::Token { token_id });
    }

    /// The same for every access token there is. To be called once nothing can verify them any more.
    pub(super) fn deny_all_tokens(&self, now_ms: TimeMs) {
        self.deny(|denied| denied.all_at_ms.replace(now_ms));
        self.tell(&Revoked::AllTokens);
    }

    /// Whether an access token is to be refused.
    pub(super) fn is_denied(&self, presented: &Presented<'_>, now_ms: TimeMs) -> bool {
        let denied = self.denied.read().unwrap_or_else(PoisonError::into_inner);
        denied.families.contains_key(presented.family)
            || denied.tokens.contains_key(presented.token_id)
            || denied
                .bar_ms(presented.user_id, now_ms)
                .is_some_and(|bar_ms| presented.issued_ms <= bar_ms)
    }

    /// When an access token that is made at `now_ms` for a user has to say that it was made, in whole
    /// seconds, so that it is told from those that are denied.
    pub(super) fn issue_s(&self, user_id: &str, now_ms: TimeMs) -> i64 {
        let denied = self.denied.read().unwrap_or_else(PoisonError::into_inner);
        let first_s = denied.bar_ms(user_id, now_ms).map(|bar_ms| bar_ms.div_euclid(1000) + 1);
        now_ms.div_euclid(1000).max(first_s.unwrap_or(i64::MIN))
    }

    /// Calls `listener` from now on.
    pub(super) fn listen(&self, listener: Listener) {
        self.listeners.write().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    /// Tells those who listen.
    pub(super) fn tell(&self, revoked: &Revoked) {
        let listeners = self.listeners.read().unwrap_or_else(PoisonError::into_inner).clone();
        for listener in listeners {
            listener(revoked);
        }
    }

    /// Clears some of the denials that have run out, from the store and then from memory.
    pub(super) fn sweep(&self, platform: &dyn Tables, now_ms: TimeMs) -> Result<(), StoreError> {
        let over = self.over(now_ms);
        let (mut expect, mut writes) = (Vec::new(), Vec::new());
        for (table, id, denial) in &over {
            expect.push(present(table, id.as_bytes(), record::encode(denial)?));
            writes.push(delete(table, id.as_bytes()));
        }
        if writes.is_empty() {
            return Ok(());
        }
        if platform.write(&expect, &writes)? {
            self.forget(&over, now_ms);
            return Ok(());
        }
        for entry in over {
            if sweep_one(platform, &entry, now_ms)? {
                self.forget(&[entry], now_ms);
            }
        }
        Ok(())
    }

    /// Takes from memory what is no longer stored, unless it was denied anew meanwhile.
    fn forget(&self, gone: &[Entry], now_ms: TimeMs) {
        let mut denied = self.denied.write().unwrap_or_else(PoisonError::into_inner);
        for (table, denials) in denied.tables_mut() {
            for (_, id, _) in gone.iter().filter(|(of, ..)| *of == table) {
                if denials.get(id).is_some_and(|denial| denial.until_ms <= now_ms) {
                    denials.remove(id);
                }
            }
        }
    }

    fn over(&self, now_ms: TimeMs) -> Vec<Entry> {
        let denied = self.denied.read().unwrap_or_else(PoisonError::into_inner);
        let all = denied.tables().into_iter().flat_map(|(table, denials)| {
            denials.iter().map(move |(id, denial)| (table, Arc::clone(id), *denial))
        });
        all.filter(|(.., denial)| denial.until_ms <= now_ms).take(SWEEP_MAX).collect()
    }

    fn deny<R>(&self, change: impl FnOnce(&mut Denied) -> R) -> R {
        change(&mut self.denied.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Clears one denial that has run out from the store, where something else may stand than memory knows:
/// nothing, or an older one, if its commit failed. Gives whether nothing is left of it there; one that
/// was denied anew goes another time.
fn sweep_one(
    platform: &dyn Tables,
    (table, id, _): &Entry,
    now_ms: TimeMs,
) -> Result<bool, StoreError> {
    let Some(bytes) = platform.get(table, id.as_bytes())? else { return Ok(true) };
    // What cannot be read denies nothing.
    let stored = record::decode::<Denial>(table, &bytes).ok();
    if stored.is_some_and(|denial| denial.until_ms > now_ms) {
        return Ok(false);
    }
    platform.write(&[present(table, id.as_bytes(), bytes)], &[delete(table, id.as_bytes())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Event, Source};
    use crate::tenancy::fake::{Death, FakeEngine};
    use std::sync::Mutex;

    fn presented<'a>(token_id: &'a str, family: &'a str, user_id: &'a str) -> Presented<'a> {
        Presented { token_id, family, user_id, issued_ms: 0 }
    }

    #[test]
    fn denials_outlive_a_restart_and_end_once_no_token_can_be_valid() {
        let platform = FakeEngine::default();
        let revocations = Revocations::load(&platform).unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = told.clone();
        revocations.listen(Arc::new(move |revoked| tell.lock().unwrap().push(revoked.clone())));
        let writes =
            [Revocations::denial("f", 0).unwrap(), Revocations::denial_of_user("u", 0).unwrap()];
        platform.write(&[], &writes).unwrap();
        revocations.deny_session("f", 0);
        let log = AuditLog::new(Arc::new(platform.clone()));
        let event = Event::new("user:u".into(), "token.revoke", String::new(), Source::default());
        revocations.end_token(&log, "t", event.in_chain("c"), 0).unwrap();
        revocations.deny_user("u", 0);
        let expected = [
            Revoked::Session { family: "f".into() },
            Revoked::Token { token_id: "t".into() },
            Revoked::User { user_id: "u".into() },
        ];
        assert_eq!(*told.lock().unwrap(), expected);

        let restarted = Revocations::load(&platform).unwrap();
        for list in [&revocations, &restarted] {
            list.sweep(&platform, ACCESS_MS + LEEWAY_MS).unwrap();
            let denied = |t, f, u| list.is_denied(&presented(t, f, u), 1);
            assert!(denied("t", "-", "-") && denied("-", "f", "-") && denied("-", "-", "u"));
            assert!(!denied("-", "-", "-") && !denied("f", "u", "t"));
        }
        restarted.sweep(&platform, DENIAL_MS).unwrap();
        assert!(!restarted.is_denied(&presented("t", "f", "u"), 1));
        assert_eq!(platform.platform_len(), 0);
    }

    #[test]
    fn what_a_user_gets_after_a_denial_is_not_meant_by_it() {
        let platform = FakeEngine::default();
        let revocations = Revocations::load(&platform).unwrap();
        let denied = |issued_s: i64, now_ms| {
            let token = Presented { issued_ms: issued_s * 1000, ..presented("t", "f", "u") };
            revocations.is_denied(&token, now_ms)
        };
        assert_eq!(revocations.issue_s("u", 10_500), 10);
        revocations.deny_user("u", 10_500);
        assert_eq!(revocations.issue_s("u", 10_501), 11, "in the same second");
        assert!(denied(9, 10_501) && denied(10, 10_501) && !denied(11, 10_501));
        assert_eq!(revocations.issue_s("v", 10_501), 10);
        revocations.deny_all_tokens(12_000);
        assert!(denied(12, 12_000) && !denied(13, 12_000));
        assert_eq!(revocations.issue_s("v", 12_001), 13);
        // The clock was set back: nobody is kept out until it has caught up.
        assert!(!denied(1, 1_500));
        assert_eq!(revocations.issue_s("u", 1_500), 1);
    }

    #[test]
    fn one_that_was_never_stored_keeps_no_others_from_being_cleared_away() {
        let engine = FakeEngine::default();
        let revocations = Revocations::load(&engine).unwrap();
        let log = AuditLog::new(Arc::new(engine.clone()));
        let end = |token_id: &str, now_ms| {
            let event = Event::new("user:u".into(), "token.revoke", "".into(), Source::default());
            revocations.end_token(&log, token_id, event.in_chain("c"), now_ms)
        };
        end("older", 0).unwrap();
        end("stored", 0).unwrap();
        engine.die_at(Some(Death { call: 0, takes_effect: false, recovers: true }));
        end("lost", 0).unwrap_err();
        engine.die_at(Some(Death { call: 0, takes_effect: false, recovers: true }));
        end("older", 1).unwrap_err();
        engine.die_at(None);
        let denied = |token_id| revocations.is_denied(&presented(token_id, "-", "-"), 1);
        let is_stored =
            |token_id| revocations.is_stored(&engine, &presented(token_id, "-", "-")).unwrap();
        let ids = ["older", "stored", "lost"];
        assert_eq!(ids.map(denied), [true; 3]);
        assert_eq!(ids.map(is_stored), [true, true, false]);
        revocations.sweep(&engine, DENIAL_MS + 1).unwrap();
        assert_eq!(ids.map(denied), [false; 3]);
        assert_eq!(engine.platform_len(), 0);
    }

    #[test]
    fn what_is_denied_anew_while_it_is_cleared_away_stays() {
        let platform = FakeEngine::default();
        platform.write(&[], &[Revocations::denial_of_user("u", 0).unwrap()]).unwrap();
        let revocations = Revocations::load(&platform).unwrap();
        platform.write(&[], &[Revocations::denial_of_user("u", DENIAL_MS).unwrap()]).unwrap();
        revocations.sweep(&platform, DENIAL_MS).unwrap();
        let restarted = Revocations::load(&platform).unwrap();
        assert!(restarted.is_denied(&presented("t", "f", "u"), DENIAL_MS));
    }
}
