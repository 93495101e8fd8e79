//! How often somebody may try passwords.
//!
//! *Invariants*: an attempt is counted before its password is looked at, so that parallel ones
//! are no more than others; memory is bounded; a tenant or user that is not there is counted like
//! one that is. Counts are per account and per client address, in windows that begin with the
//! first failure. A start forgets them.

use crate::model::network::network;
use aws_lc_rs::digest::{SHA256, digest};
use hashbrown::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use storage::row::TimeMs;

/// How long failures are counted together.
pub const WINDOW_MS: TimeMs = 5 * 60_000;

/// Failures for one account within a window: a person who has forgotten gives up earlier, and a
/// program gets 2,880 guesses a day.
pub const FAILURES_PER_ACCOUNT_MAX: u32 = 10;

/// Failures from one client address within a window: an office may sit behind one.
pub const FAILURES_PER_ADDRESS_MAX: u32 = 50;

/// Accounts and addresses that are counted at the same time, each: some 2 MB together. Beyond it
/// whoever failed least is forgotten.
const COUNTED_MAX: usize = 16_384;

/// How many places are made at once where all are taken, so that looking through all is rare.
const FORGOTTEN_AT_ONCE: usize = 1_024;

/// Whoever may try again, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) retry_after_s: u64,
}

/// An account's name in the counts: a hash, for what is typed may be long.
type AccountKey = [u8; 32];

/// An attempt that was let through.
#[derive(Debug)]
pub(super) struct Attempt {
    account: AccountKey,
    address: Option<IpAddr>,
}

/// The counts.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    accounts: HashMap<AccountKey, Count>,
    addresses: HashMap<IpAddr, Count>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    failures: u32,
    since_ms: TimeMs,
}

impl Count {
    /// A clock that was set back ends a window too.
    fn is_over(self, now_ms: TimeMs) -> bool {
        now_ms < self.since_ms || now_ms >= self.since_ms.saturating_add(WINDOW_MS)
    }

    fn refusal(self, max: u32, now_ms: TimeMs) -> Option<Refused> {
        if self.failures < max || self.is_over(now_ms) {
            return None;
        }
        let left_ms = self.since_ms.saturating_add(WINDOW_MS).saturating_sub(now_ms);
        Some(Refused { retry_after_s: left_ms.unsigned_abs().div_ceil(1000).max(1) })
    }
}

impl Throttle {
    /// Counts an attempt on the account `tenant`, `email` from `address` as a failure, if there
    /// may be one.
    pub(super) fn begin(
        &self,
        tenant: &str,
        email: &str,
        address: Option<IpAddr>,
        now_ms: TimeMs,
    ) -> Result<Attempt, Refused> {
        let account = account_key(tenant, email);
        let address = address.map(network);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let of_account = counts.accounts.get(&account);
        let of_address = address.and_then(|address| counts.addresses.get(&address));
        let refusals = [
            of_account.and_then(|count| count.refusal(FAILURES_PER_ACCOUNT_MAX, now_ms)),
            of_address.and_then(|count| count.refusal(FAILURES_PER_ADDRESS_MAX, now_ms)),
        ];
        let longest = refusals.into_iter().flatten().max_by_key(|refused| refused.retry_after_s);
        if let Some(refused) = longest {
            return Err(refused);
        }
        add(&mut counts.accounts, account, now_ms);
        if let Some(address) = address {
            add(&mut counts.addresses, address, now_ms);
        }
        Ok(Attempt { account, address })
    }

    /// Takes back the count of an attempt that succeeded, and all of its account.
    pub(super) fn succeeded(&self, attempt: &Attempt) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.accounts.remove(&attempt.account);
        counts.take_back(attempt.address);
    }

    /// Takes back the count of an attempt that failed by no fault of the password.
    pub(super) fn abandoned(&self, attempt: &Attempt) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.accounts.get_mut(&attempt.account) {
            count.failures = count.failures.saturating_sub(1);
        }
        counts.take_back(attempt.address);
    }
}

impl Counts {
    fn take_back(&mut self, address: Option<IpAddr>) {
        if let Some(count) = address.and_then(|address| self.addresses.get_mut(&address)) {
            count.failures = count.failures.saturating_sub(1);
        }
    }
}

fn add<K: Copy + Eq + Hash>(counts: &mut HashMap<K, Count>, key: K, now_ms: TimeMs) {
    match counts.get_mut(&key) {
        Some(count) if !count.is_over(now_ms) => count.failures += 1,
        Some(count) => *count = Count { failures: 1, since_ms: now_ms },
        None => {
            if counts.len() >= COUNTED_MAX {
                make_room(counts, now_ms);
            }
            counts.insert(key, Count { failures: 1, since_ms: now_ms });
        }
    }
}

/// Forgets whose window is over, else those who failed least and longest ago.
fn make_room<K: Copy + Eq + Hash>(counts: &mut HashMap<K, Count>, now_ms: TimeMs) {
    counts.retain(|_, count| !count.is_over(now_ms));
    if counts.len() + FORGOTTEN_AT_ONCE <= COUNTED_MAX {
        return;
    }
    let mut order: Vec<(u32, TimeMs, K)> =
        counts.iter().map(|(key, count)| (count.failures, count.since_ms, *key)).collect();
    order.sort_unstable_by_key(|(failures, since_ms, _)| (*failures, *since_ms));
    for (.., key) in order.into_iter().take(FORGOTTEN_AT_ONCE) {
        counts.remove(&key);
    }
}

fn account_key(tenant: &str, email: &str) -> AccountKey {
    let text = format!("{}\0{}", tenant.to_lowercase(), email.trim().to_lowercase());
    let mut key = AccountKey::default();
    key.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn fail(throttle: &Throttle, email: &str, address: Option<IpAddr>, now_ms: TimeMs) -> bool {
        throttle.begin("acme", email, address, now_ms).is_ok()
    }

    #[test]
    fn an_account_has_ten_failures_in_five_minutes_in_whatever_case_it_is_typed() {
        let throttle = Throttle::default();
        for n in 0..FAILURES_PER_ACCOUNT_MAX {
            let email = if n % 2 == 0 { "you@example.org" } else { " YOU@example.org" };
            assert!(fail(&throttle, email, None, 1_000), "{n}");
        }
        let refused = throttle.begin("acme", "you@example.org", from("::1"), 2_000).unwrap_err();
        assert_eq!(refused.retry_after_s, 299);
        assert!(fail(&throttle, "me@example.org", None, 2_000));
        assert!(throttle.begin("other", "you@example.org", None, 2_000).is_ok());
        assert!(!fail(&throttle, "you@example.org", None, 1_000 + WINDOW_MS - 1));
        assert!(fail(&throttle, "you@example.org", None, 1_000 + WINDOW_MS));
    }

    #[test]
    fn a_success_forgets_the_account_and_what_is_abandoned_does_not_count() {
        let throttle = Throttle::default();
        for _ in 0..3 {
            for _ in 1..FAILURES_PER_ACCOUNT_MAX {
                assert!(fail(&throttle, "you@example.org", None, 0));
            }
            let attempt = throttle.begin("acme", "you@example.org", None, 0).unwrap();
            throttle.succeeded(&attempt);
        }
        for _ in 0..100 {
            let attempt = throttle.begin("acme", "you@example.org", from("::1"), 0).unwrap();
            throttle.abandoned(&attempt);
        }
    }

    #[test]
    fn a_network_has_fifty_failures_whatever_the_accounts() {
        let throttle = Throttle::default();
        for n in 0..FAILURES_PER_ADDRESS_MAX {
            let address = from(&format!("2001:db8::{n:x}"));
            assert!(fail(&throttle, &format!("{n}@example.org"), address, 0), "{n}");
        }
        assert!(!fail(&throttle, "x@example.org", from("2001:db8::ffff:1"), 0));
        assert!(fail(&throttle, "x@example.org", from("2001:db8:0:1::1"), 0));
    }

    #[test]
    fn memory_is_bounded_and_whoever_failed_most_is_remembered() {
        let throttle = Throttle::default();
        for _ in 0..FAILURES_PER_ACCOUNT_MAX {
            fail(&throttle, "you@example.org", None, 0);
        }
        for n in 0..2 * COUNTED_MAX {
            assert!(fail(&throttle, &format!("{n}@example.org"), None, 1));
        }
        assert!(throttle.counts.lock().unwrap().accounts.len() <= COUNTED_MAX);
        assert!(!fail(&throttle, "you@example.org", None, 2));
    }
}
