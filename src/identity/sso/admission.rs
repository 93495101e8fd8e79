//! Letting in whom a provider vouches for.
//!
//! *Invariants*: what may be used once is stored as used before anybody is let in by it. A session
//! begins only if the provider is still what it was when the answer was judged, and ends with the
//! provider's own at the latest. These calls wait for a disk.

use super::flow::{self, Flow};
use super::person::Person;
use super::provider::StoredProvider;
use super::{SignInError, registry, replay};
use crate::audit::{ANONYMOUS, Event, Outcome};
use crate::identity::client::Client;
use crate::identity::session::SessionError;
use crate::identity::throttle::Attempt;
use crate::identity::{Identity, SignedIn, oidc, saml};
use crate::tenancy::registry::Completion;
use storage::row::TimeMs;

/// How often it is tried anew because somebody changed the user meanwhile: two tabs of one person, or
/// an administrator at work.
const ATTEMPTS_MAX: usize = 4;

/// An attempt to finish a sign-in, which counts as a failure until it is told how it went.
#[derive(Debug)]
pub struct SignInAttempt(Attempt);

impl Identity {
    /// Counts an attempt of `client` to finish `flow`, if there may be one. Nobody else's account is
    /// locked by it: what is counted beside the address is the flow, which is finished once anyway.
    pub fn begin_attempt(
        &self,
        tenant: &str,
        flow: &Flow,
        client: Client<'_>,
        now_ms: TimeMs,
    ) -> Result<SignInAttempt, SignInError> {
        let attempt = self.passwords.throttle.begin(tenant, flow.id(), client.address, now_ms)?;
        Ok(SignInAttempt(attempt))
    }

    /// Says how an attempt went. Only an answer that is not believed counts against the address.
    pub fn end_attempt(&self, attempt: &SignInAttempt, failed_with: Option<&SignInError>) {
        use SignInError as E;
        match failed_with {
            Some(E::Refused { .. } | E::Replayed | E::UnknownFlow) => {}
            None => self.passwords.throttle.succeeded(&attempt.0),
            Some(_) => self.passwords.throttle.abandoned(&attempt.0),
        }
    }

    /// Counts for a tenant's auditors that somebody was not let in.
    pub fn count_sso_refused(
        &self,
        known: &StoredProvider,
        error: &SignInError,
        client: Client<'_>,
    ) {
        let target = registry::target(&known.provider.id);
        let event = Event::new(ANONYMOUS.to_owned(), "session.begin", target, client.source());
        let event = event.ended(Outcome::Refused).after(error.code().into());
        self.log.count(event.in_chain(known.provider.tenant_id.as_str()));
    }

    /// Says that an attempt came to no end, by no fault of whoever made it.
    pub fn abandon_attempt(&self, attempt: &SignInAttempt) {
        self.passwords.throttle.abandoned(&attempt.0);
    }

    /// Lets in whom an OpenID provider vouches for. The flow was finished before.
    pub fn admit_external(
        &self,
        known: &StoredProvider,
        external: oidc::External,
        client: Client<'_>,
        now_ms: TimeMs,
    ) -> Result<SignedIn, SignInError> {
        self.admit(known, &external.into(), &Completion::default(), client, now_ms)
    }

    /// Lets in whom a SAML provider vouches for in answer to `flow`, and finishes that.
    pub fn admit_assertion(
        &self,
        known: &StoredProvider,
        flow: &Flow,
        assertion: saml::Assertion,
        client: Client<'_>,
        now_ms: TimeMs,
    ) -> Result<SignedIn, SignInError> {
        flow::forget(&*self.platform, now_ms)?;
        replay::forget(&*self.platform, now_ms)?;
        if replay::is_used(&*self.platform, &known.provider, &assertion)? {
            return Err(SignInError::Replayed);
        }
        let (mut once, used) = (flow.finish(), replay::usage(&known.provider, &assertion));
        once.expect.extend(used.expect);
        once.writes.extend(used.writes);
        self.admit(known, &assertion.into(), &once, client, now_ms)
    }

    /// Lets `person` in. `once` is what can be done once; it is not done for whoever is refused.
    fn admit(
        &self,
        known: &StoredProvider,
        person: &Person,
        once: &Completion,
        client: Client<'_>,
        now_ms: TimeMs,
    ) -> Result<SignedIn, SignInError> {
        let mut is_used = once.writes.is_empty();
        for _ in 0..ATTEMPTS_MAX {
            let judged = self.judge(&known.provider, person, now_ms)?;
            if !is_used {
                if !once.commit(&self.log, now_ms)? {
                    return Err(SignInError::UnknownFlow);
                }
                is_used = true;
            }
            let Some(stored) = self.settle_person(known, person, judged, client, now_ms)? else {
                continue;
            };
            let as_judged = Completion { expect: vec![known.unchanged()], ..Completion::default() };
            let ends_ms = person.until_ms.unwrap_or(TimeMs::MAX);
            match self.sessions.begin_until(ends_ms, stored, client, as_judged, now_ms) {
                Err(SessionError::Contended) => {}
                begun => return Ok(self.signed_in(begun?, client, now_ms)?),
            }
        }
        Err(SessionError::Contended.into())
    }
}
