//! What is remembered of a provider, and for how long.
//!
//! *Invariants*: of what is fetched once for many, one at a time is fetched; a provider that fails is
//! left alone for a moment from when it failed, so that those who wait for it do not wait one after the
//! other; a clock that was set back or ahead makes what is remembered old. That a tenant asks too much at a
//! time is not remembered, for others ask the same provider.

use super::document::Document;
use super::error::OidcError;
use super::keys::Keys;
use crate::runtime::outgoing::OutgoingError;
use std::sync::Arc;
use storage::row::TimeMs;
use tokio::sync::Mutex;

/// How long documents and keys are used: as long as it may take until a key that was withdrawn is
/// accepted no more.
pub(super) const LASTS_MS: TimeMs = 10 * 60_000;

/// How soon keys are fetched again because none fits a token. Providers publish keys ahead; whoever makes
/// up tokens must not make this server ask for each.
pub(super) const REFRESH_MS: TimeMs = 60_000;

/// For how long a failure is told to whoever asks next.
const FAILURE_MS: TimeMs = 5_000;

/// One issuer. Issuers are shared by tenants: what is known of one was said by the issuer itself, over
/// TLS, and nothing in it depends on who asks.
#[derive(Default)]
pub(super) struct Known {
    pub(super) document: Mutex<Slot<Document>>,
    pub(super) keys: Mutex<Slot<Keys>>,
}

/// Something that is fetched now and then.
pub(super) struct Slot<T> {
    value: Option<(TimeMs, Arc<T>)>,
    /// When it was last tried to fetch it, and how that failed if it did.
    tried: Option<(TimeMs, Option<OidcError>)>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { value: None, tried: None }
    }
}

impl<T> Slot<T> {
    /// What is known, or that it could not be fetched a moment ago; nothing if it is to be fetched.
    pub(super) fn get(&self, now_ms: TimeMs) -> Option<Result<Arc<T>, OidcError>> {
        match (&self.value, &self.tried) {
            (Some((at_ms, value)), _) if is_within(*at_ms, LASTS_MS, now_ms) => {
                Some(Ok(Arc::clone(value)))
            }
            (_, Some((at_ms, Some(error)))) if is_within(*at_ms, FAILURE_MS, now_ms) => {
                Some(Err(error.clone()))
            }
            _ => None,
        }
    }

    /// Whether it was tried to fetch it so lately that a token without a fitting key is no reason to.
    pub(super) fn was_tried_lately(&self, now_ms: TimeMs) -> bool {
        self.tried.as_ref().is_some_and(|(at_ms, _)| is_within(*at_ms, REFRESH_MS, now_ms))
    }

    /// Remembers what was fetched, which came to its end at `now_ms`. A failure leaves what is known.
    pub(super) fn put(
        &mut self,
        fetched: Result<T, OidcError>,
        now_ms: TimeMs,
    ) -> Result<Arc<T>, OidcError> {
        let fetched = fetched.map(Arc::new);
        if matches!(&fetched, Err(OidcError::Outgoing { source: OutgoingError::Busy { .. }, .. })) {
            return fetched;
        }
        self.tried = Some((now_ms, fetched.as_ref().err().cloned()));
        if let Ok(value) = &fetched {
            self.value = Some((now_ms, Arc::clone(value)));
        }
        fetched
    }
}

fn is_within(at_ms: TimeMs, span_ms: TimeMs, now_ms: TimeMs) -> bool {
    now_ms.abs_diff(at_ms) < span_ms.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_grows_old_and_failures_are_forgotten_soon() {
        let mut slot = Slot::default();
        assert!(slot.get(0).is_none() && !slot.was_tried_lately(0));
        slot.put(Ok(7), 0).unwrap();
        for now_ms in [0, LASTS_MS - 1, -LASTS_MS + 1] {
            assert_eq!(slot.get(now_ms).unwrap().as_deref(), Ok(&7), "{now_ms}");
        }
        for now_ms in [LASTS_MS, -LASTS_MS] {
            assert!(slot.get(now_ms).is_none(), "{now_ms}");
        }
        assert!(slot.was_tried_lately(REFRESH_MS - 1) && !slot.was_tried_lately(REFRESH_MS));
        // A failure hides what is still good from nobody, and what is old from everybody.
        assert!(slot.put(Err(OidcError::State), 1_000).is_err());
        assert_eq!(slot.get(1_000).unwrap().as_deref(), Ok(&7));
        assert!(slot.put(Err(OidcError::State), LASTS_MS).is_err());
        assert_eq!(slot.get(LASTS_MS).unwrap(), Err(OidcError::State));
        assert!(slot.get(LASTS_MS + FAILURE_MS).is_none());
        let source = OutgoingError::Busy { host: "idp.example.org".into() };
        let busy = OidcError::Outgoing { doing: "ask", source };
        assert_eq!(slot.put(Err(busy.clone()), LASTS_MS + FAILURE_MS), Err(busy));
        assert!(slot.get(LASTS_MS + FAILURE_MS).is_none(), "others may ask");
        slot.put(Ok(8), LASTS_MS + FAILURE_MS).unwrap();
        assert_eq!(slot.get(LASTS_MS + FAILURE_MS).unwrap().as_deref(), Ok(&8));
    }
}
