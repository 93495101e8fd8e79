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
use crate::identity::session::{SessionError, Vouching};
use crate::identity::{Identity, SignedIn, oidc, saml};
use crate::tenancy::registry::Completion;
use std::net::IpAddr;
use storage::row::TimeMs;

/// How often it is tried anew because somebody changed the user meanwhile: two tabs of one person, or
/// an administrator at work.
const ATTEMPTS_MAX: usize = 4;

/// An attempt to finish a sign-in, which counts as a failure until it is told how it went.
#[derive(Debug)]
pub struct SignInAttempt {
    /// From where.
    address: Option<IpAddr>,
}

impl Identity {
    /// Counts an attempt of `client` to finish a flow, if there may be one. Only its address is counted:
    /// anybody can begin flows and fail, from many addresses, and keeps out neither an account nor a tenant.
    pub fn begin_attempt(
        &self,
        client: Client<'_>,
        now_ms: TimeMs,
    ) -> Result<SignInAttempt, SignInError> {
        let address = client.address;
        self.passwords.throttle.begin_at(address, now_ms)?;
        Ok(SignInAttempt { address })
    }

    /// Says how an attempt went. Only an answer that is not believed counts against the address.
    pub fn end_attempt(&self, attempt: &SignInAttempt, failed_with: Option<&SignInError>) {
        use SignInError as E;
        match failed_with {
            Some(E::Refused { .. } | E::Replayed | E::UnknownFlow) => {}
            _ => self.abandon_attempt(attempt),
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
        self.passwords.throttle.take_back_at(attempt.address);
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
            let vouching = Vouching { provider_id: &known.provider.id, ends_ms };
            match self.sessions.begin_vouched(vouching, stored, client, as_judged, now_ms) {
                Err(SessionError::Contended) => {}
                begun => return Ok(self.signed_in(begun?, client, now_ms)?),
            }
        }
        Err(SessionError::Contended.into())
    }
}
