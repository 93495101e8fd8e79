//! What was ended before its time: sessions whose access tokens are still within theirs, and who
//! is to be told.
//!
//! *Invariants*: a session on the deny list is refused from the moment the call that ended it
//! returns, a restart in between or not; its entry stays until no access token of it can be valid.
//! Looking one up reads memory only.

use super::token::{ACCESS_MS, LEEWAY_MS};
use crate::tenancy::record::{self, delete, put};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use storage::engine::{TableWrite, Tables};
use storage::error::StoreError;
use storage::row::TimeMs;

/// Families that were ended, by id.
const DENIED: &str = "denied_families";

/// Two calls at the same moment may have read the clock this far apart; so much longer than its
/// access tokens live is a family denied.
const CLOCK_READINGS_MS: TimeMs = 60_000;

/// How long a family is denied.
const DENIAL_MS: TimeMs = ACCESS_MS + LEEWAY_MS + CLOCK_READINGS_MS;

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
    /// An API key.
    ApiKey {
        /// The key's id.
        key_id: Arc<str>,
    },
}

/// Is called with everything that ends before its time, by the thread that ended it: it must be
/// quick and must not call back.
pub type Listener = Arc<dyn Fn(&Revoked) + Send + Sync>;

#[derive(Serialize, Deserialize)]
struct Denial {
    until_ms: TimeMs,
}

/// The deny list and those who listen.
#[derive(Default)]
pub(super) struct Revocations {
    denied: RwLock<HashMap<Arc<str>, TimeMs>>,
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
        let revocations = Self::default();
        for (key, bytes) in record::all(platform, DENIED, b"")? {
            let family = String::from_utf8_lossy(&key);
            let denial: Denial = record::decode(&format!("{DENIED}/{family}"), &bytes)?;
            revocations.deny(&family, denial.until_ms);
        }
        Ok(revocations)
    }

    /// What puts `family` on the stored list.
    pub(super) fn denial(family: &str, now_ms: TimeMs) -> Result<TableWrite, StoreError> {
        let denial = Denial { until_ms: now_ms.saturating_add(DENIAL_MS) };
        Ok(put(DENIED, family.as_bytes(), record::encode(&denial)?))
    }

    /// Puts `family` on the list in memory and tells those who listen. To be called once its
    /// [`denial`](Self::denial) is stored.
    pub(super) fn deny_session(&self, family: &str, now_ms: TimeMs) {
        self.deny(family, now_ms.saturating_add(DENIAL_MS));
        self.tell(&Revoked::Session { family: family.into() });
    }

    /// Whether access tokens of `family` are to be refused.
    pub(super) fn is_denied(&self, family: &str) -> bool {
        self.denied.read().unwrap_or_else(PoisonError::into_inner).contains_key(family)
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
        let over: Vec<Arc<str>> = {
            let denied = self.denied.read().unwrap_or_else(PoisonError::into_inner);
            let over = denied.iter().filter(|(_, until_ms)| **until_ms <= now_ms);
            over.map(|(family, _)| family.clone()).take(SWEEP_MAX).collect()
        };
        if over.is_empty() {
            return Ok(());
        }
        let writes: Vec<_> = over.iter().map(|f| delete(DENIED, f.as_bytes())).collect();
        platform.write(&[], &writes)?;
        let mut denied = self.denied.write().unwrap_or_else(PoisonError::into_inner);
        denied.retain(|family, _| !over.contains(family));
        Ok(())
    }

    fn deny(&self, family: &str, until_ms: TimeMs) {
        let mut denied = self.denied.write().unwrap_or_else(PoisonError::into_inner);
        denied.insert(family.into(), until_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenancy::fake::FakeEngine;
    use std::sync::Mutex;

    #[test]
    fn a_denial_outlives_a_restart_and_ends_once_no_token_can_be_valid() {
        let platform = FakeEngine::default();
        let revocations = Revocations::load(&platform).unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = told.clone();
        revocations.listen(Arc::new(move |revoked| tell.lock().unwrap().push(revoked.clone())));
        platform.write(&[], &[Revocations::denial("f", 0).unwrap()]).unwrap();
        revocations.deny_session("f", 0);
        assert_eq!(*told.lock().unwrap(), [Revoked::Session { family: "f".into() }]);

        let restarted = Revocations::load(&platform).unwrap();
        restarted.sweep(&platform, ACCESS_MS + LEEWAY_MS).unwrap();
        assert!(restarted.is_denied("f") && !restarted.is_denied("g"));
        restarted.sweep(&platform, DENIAL_MS).unwrap();
        assert!(!restarted.is_denied("f"));
        assert_eq!(platform.platform_len(), 0);
    }
}
