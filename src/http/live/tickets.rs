//! Tickets: what a browser, which cannot send a header with a WebSocket, is let in with.
//!
//! *Invariants*: a ticket lets its owner in once, within [`TICKET_S`] seconds, into the tenant it was
//! made for. Only its hash is kept, in memory. There is a bounded number, of each owner too.

use super::super::call::Caller;
use super::hub::Credential;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use storage::row::TimeMs;

/// How long a ticket is good for, seconds.
pub(super) const TICKET_S: u64 = 30;

/// Bytes of randomness in a ticket.
const TICKET_BYTES: usize = 32;

/// Most tickets at a time, and of one owner: a browser with this many tabs opening at once.
const TICKETS_MAX: usize = 10_000;
const TICKETS_PER_OWNER_MAX: usize = 64;

/// Why there is no ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TicketError {
    /// Too many are out.
    #[error("too many tickets are out: use them, or try again in {TICKET_S} seconds")]
    TooMany,
    /// The system gave none.
    #[error("there is no randomness at the moment: try again")]
    NoRandomness,
}

/// Who may come in with a ticket.
#[derive(Clone, Debug)]
pub(super) struct Admitted {
    pub(super) caller: Caller,
    /// When what the ticket was asked for with ends, Unix milliseconds, if it does.
    pub(super) until_ms: Option<TimeMs>,
    /// Which client it was made for, where that matters.
    pub(super) mark: Option<String>,
}

#[derive(Debug)]
struct Ticket {
    admitted: Admitted,
    credentials: Vec<Credential>,
    until: Instant,
}

type Hash = [u8; 32];

/// The tickets that are out.
#[derive(Debug, Default)]
pub(super) struct Tickets(Mutex<HashMap<Hash, Ticket>>);

impl Tickets {
    fn lock(&self) -> MutexGuard<'_, HashMap<Hash, Ticket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a ticket.
    pub(super) fn issue(&self, admitted: Admitted, now: Instant) -> Result<String, TicketError> {
        let mut bytes = [0; TICKET_BYTES];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| TicketError::NoRandomness)?;
        let text = URL_SAFE_NO_PAD.encode(bytes);
        let credentials = Credential::of(&admitted.caller.principal);
        let mut tickets = self.lock();
        tickets.retain(|_, ticket| ticket.until > now);
        let owner = credentials.first();
        let owned = tickets.values().filter(|ticket| ticket.credentials.first() == owner).count();
        if tickets.len() >= TICKETS_MAX || owned >= TICKETS_PER_OWNER_MAX {
            return Err(TicketError::TooMany);
        }
        let until = now + Duration::from_secs(TICKET_S);
        tickets.insert(hash(&text), Ticket { admitted, credentials, until });
        Ok(text)
    }

    /// Takes a ticket in. It is spent whatever happens then.
    pub(super) fn redeem(&self, text: &str, now: Instant) -> Option<Admitted> {
        let ticket = self.lock().remove(&hash(text))?;
        (ticket.until > now).then_some(ticket.admitted)
    }

    /// Takes back the tickets of whoever came in with `credential`.
    pub(super) fn revoke(&self, credential: &Credential) {
        self.revoke_where(|known| known == credential);
    }

    /// The same for every credential that `is_revoked`.
    pub(super) fn revoke_where(&self, is_revoked: impl Fn(&Credential) -> bool) {
        self.lock().retain(|_, ticket| !ticket.credentials.iter().any(&is_revoked));
    }
}

fn hash(text: &str) -> Hash {
    let mut hash = Hash::default();
    let digest = digest(&SHA256, text.as_bytes());
    hash.copy_from_slice(digest.as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::clock::Clock;
    use crate::tenancy::id::TenantId;
    use crate::tenancy::permission::Role;
    use crate::tenancy::scope::Principal;
    use std::sync::Arc;

    fn admitted(key: &str) -> Admitted {
        let key_id: Arc<str> = key.into();
        let principal =
            Principal::ApiKey { key_id, tenant_id: TenantId::random(), role: Role::Viewer };
        Admitted { caller: Caller { principal, tenant: None }, until_ms: None, mark: None }
    }

    #[test]
    fn a_ticket_is_good_once_for_its_time_and_until_it_is_taken_back() {
        let (tickets, clock) = (Tickets::default(), Clock::manual(0));
        let text = tickets.issue(admitted("a"), clock.instant()).unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(&text).unwrap().len() * 8, 256);
        assert!(tickets.redeem("", clock.instant()).is_none());
        assert!(tickets.redeem(&text, clock.instant()).is_some());
        assert!(tickets.redeem(&text, clock.instant()).is_none());

        let text = tickets.issue(admitted("a"), clock.instant()).unwrap();
        clock.advance(Duration::from_secs(TICKET_S));
        assert!(tickets.redeem(&text, clock.instant()).is_none());

        let (a, b) = (admitted("a"), admitted("b"));
        let taken = tickets.issue(a.clone(), clock.instant()).unwrap();
        let left = tickets.issue(b, clock.instant()).unwrap();
        tickets.revoke(&Credential::of(&a.caller.principal)[0]);
        assert!(tickets.redeem(&taken, clock.instant()).is_none());
        assert!(tickets.redeem(&left, clock.instant()).is_some());
    }

    #[test]
    fn one_owner_has_a_bounded_number_and_others_still_get_theirs() {
        let (tickets, clock) = (Tickets::default(), Clock::manual(0));
        for _ in 0..TICKETS_PER_OWNER_MAX {
            tickets.issue(admitted("a"), clock.instant()).unwrap();
        }
        assert_eq!(tickets.issue(admitted("a"), clock.instant()), Err(TicketError::TooMany));
        assert!(tickets.issue(admitted("b"), clock.instant()).is_ok());
        clock.advance(Duration::from_secs(TICKET_S));
        assert!(tickets.issue(admitted("a"), clock.instant()).is_ok());
    }
}
