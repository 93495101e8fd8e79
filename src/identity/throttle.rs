//! How often somebody may try passwords, and go on with sessions: per account, client address and
//! tenant, in windows of five minutes.
//!
//! Whoever tries from where a session of the account began lately has an allowance of its own: what
//! strangers do keeps out strangers alone. Sign-ins with the right password are bounded too, for each
//! costs a hash that all tenants wait for.
//!
//! *Invariants*: an attempt is counted before its password is looked at, so that parallel ones are no
//! more than others; what fails is counted alike of a tenant or user that is there and of one that is not,
//! and only whoever knows passwords uses up what sign-ins there may be; memory is bounded. A restart takes up what was counted: what is used up is stored at once, but for a flood,
//! the rest every few seconds, in one transaction however many there are.

use super::email::Email;
use super::known_networks as known;
use super::tally::{Count, Key, Tally, key, key_text, read_key};
use crate::model::network::network;
use crate::tenancy::id::TenantId;
use crate::tenancy::record::{self, delete, put};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use storage::engine::{TableWrite, Tables};
use storage::error::StoreError;
use storage::row::TimeMs;

pub use super::tally::{Refused, WINDOW_MS};

/// Counts by `<kind>/<key, base64url>`.
const COUNTS: &str = "attempts";

/// Failures for one account within a window: a person who has forgotten gives up earlier, and a
/// program gets 2,880 guesses a day. As many from each network that is known to the account.
pub const FAILURES_PER_ACCOUNT_MAX: u32 = 10;

/// Failures from one client address within a window: an office may sit behind one.
pub const FAILURES_PER_ADDRESS_MAX: u32 = 50;

/// Failures from one client address within a window on accounts that know it: an office where many
/// mistype, and no list of accounts that is tried out from a place that some of them know.
pub const FAILURES_FROM_KNOWN_MAX: u32 = 200;

/// Failures in one tenant within a window, from wherever: what many addresses together may try.
pub const FAILURES_PER_TENANT_MAX: u32 = 1_000;

/// Times that one account's right password is typed within a window, whatever comes of it: a program that
/// signs in for each call, once a second.
pub const SIGN_INS_PER_ACCOUNT_MAX: u32 = 300;

/// The same from one client address: an office that comes to work.
pub const SIGN_INS_PER_ADDRESS_MAX: u32 = 3_000;

/// The same in one tenant: ten a second, a third of what a processor can hash, so that
/// other tenants' people are let in beside it.
pub const SIGN_INS_PER_TENANT_MAX: u32 = 3_000;

/// Refreshes for one account within a window: somebody who loads the page every second.
pub const REFRESHES_PER_ACCOUNT_MAX: u32 = 300;

/// Refreshes from one client address within a window: an office that comes to work.
pub const REFRESHES_PER_ADDRESS_MAX: u32 = 3_000;

/// Refreshes with what is no token from one client address within a window. Whoever has a token is not
/// kept out by that.
pub const UNKNOWN_PER_ADDRESS_MAX: u32 = 300;

/// Refreshes in one tenant within a window: each is a transaction, and these are a hundred a second.
pub const REFRESHES_PER_TENANT_MAX: u32 = 30_000;

/// How soon after another transaction a count that is used up may be stored.
const STORE_AGAIN_MS: TimeMs = 1_000;

/// Counts stored in one transaction.
const STORED_AT_ONCE: usize = 1_024;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    LoginAccount,
    LoginKnown,
    LoginKnownAddress,
    LoginAddress,
    LoginTenant,
    SignInAccount,
    SignInAddress,
    SignInTenant,
    RefreshAccount,
    RefreshAddress,
    RefreshTenant,
    RefreshUnknown,
}

/// Each kind, its word in the store, and its limit. Stands in the order of [`Kind`].
const KINDS: [(Kind, &str, u32); 12] = [
    (Kind::LoginAccount, "login_account", FAILURES_PER_ACCOUNT_MAX),
    (Kind::LoginKnown, "login_known", FAILURES_PER_ACCOUNT_MAX),
    (Kind::LoginKnownAddress, "login_known_address", FAILURES_FROM_KNOWN_MAX),
    (Kind::LoginAddress, "login_address", FAILURES_PER_ADDRESS_MAX),
    (Kind::LoginTenant, "login_tenant", FAILURES_PER_TENANT_MAX),
    (Kind::SignInAccount, "sign_in_account", SIGN_INS_PER_ACCOUNT_MAX),
    (Kind::SignInAddress, "sign_in_address", SIGN_INS_PER_ADDRESS_MAX),
    (Kind::SignInTenant, "sign_in_tenant", SIGN_INS_PER_TENANT_MAX),
    (Kind::RefreshAccount, "refresh_account", REFRESHES_PER_ACCOUNT_MAX),
    (Kind::RefreshAddress, "refresh_address", REFRESHES_PER_ADDRESS_MAX),
    (Kind::RefreshTenant, "refresh_tenant", REFRESHES_PER_TENANT_MAX),
    (Kind::RefreshUnknown, "refresh_unknown", UNKNOWN_PER_ADDRESS_MAX),
];

type Counted = (Kind, Key);

/// An attempt that was let through.
#[derive(Debug)]
pub(super) struct Attempt {
    account: Key,
    address: Option<IpAddr>,
    /// As a failure.
    failing: Vec<Counted>,
    /// As one of whoever is let in.
    signing_in: Vec<Counted>,
}

/// The counts.
#[derive(Debug)]
pub(super) struct Throttle {
    platform: Arc<dyn Tables>,
    counts: Mutex<Counts>,
    /// Held while counts are stored; when that was last.
    storing: Mutex<TimeMs>,
    /// Whether something that is used up waits for that.
    owed: AtomicBool,
    /// Where the search for networks to forget goes on.
    swept: Mutex<Option<Vec<u8>>>,
}

#[derive(Debug)]
struct Counts([Tally; KINDS.len()]);

impl Counts {
    fn of(&mut self, kind: Kind) -> &mut Tally {
        &mut self.0[kind as usize]
    }

    /// Counts an attempt everywhere, or says why there may be none. Gives whether something was used
    /// up by it.
    fn add(&mut self, counted: &[Counted], now_ms: TimeMs) -> Result<bool, Refused> {
        let refusals =
            counted.iter().filter_map(|(kind, key)| self.0[*kind as usize].refusal(key, now_ms));
        if let Some(longest) = refusals.max_by_key(|refused| refused.retry_after_s) {
            return Err(longest);
        }
        let mut used_up = false;
        for (kind, key) in counted {
            used_up |= self.of(*kind).add(*key, now_ms);
        }
        Ok(used_up)
    }
}

impl Throttle {
    /// Takes up what was counted before the start.
    pub(super) fn load(platform: Arc<dyn Tables>, now_ms: TimeMs) -> Result<Self, StoreError> {
        let mut counts = Counts(KINDS.map(|(.., limit)| Tally::new(limit)));
        for (name, bytes) in record::all(&*platform, COUNTS, b"")? {
            let count = decode(&name, &bytes)?;
            if let Some((kind, key)) = read_name(&name)
                && !count.is_over(now_ms)
            {
                counts.of(kind).restore(key, count);
            }
        }
        let (storing, swept) = (Mutex::new(TimeMs::MIN), Mutex::default());
        let owed = AtomicBool::new(false);
        Ok(Self { platform, counts: Mutex::new(counts), storing, owed, swept })
    }

    /// Counts an attempt on the account `email` of `tenant`, which is the id of one that there is, from
    /// `address` as a failure and as a success, if there may be either: one is taken back.
    pub(super) fn begin(
        &self,
        tenant: &str,
        email: &str,
        address: Option<IpAddr>,
        now_ms: TimeMs,
    ) -> Result<Attempt, Refused> {
        let tenant = tenant.to_lowercase();
        let account = account_of(&tenant, email);
        let failing = match address {
            Some(address) if self.knows(&account, address, now_ms) => {
                let from = network(address).to_string();
                let of_both = (Kind::LoginKnown, key(&[&key_text(&account), &from]));
                vec![of_both, (Kind::LoginKnownAddress, key_of(address))]
            }
            _ => {
                let of_all = [(Kind::LoginAccount, account), (Kind::LoginTenant, key(&[&tenant]))];
                let of_address = address.map(|address| (Kind::LoginAddress, key_of(address)));
                of_all.into_iter().chain(of_address).collect()
            }
        };
        let of_all = [(Kind::SignInAccount, account), (Kind::SignInTenant, key(&[&tenant]))];
        let of_address = address.map(|address| (Kind::SignInAddress, key_of(address)));
        let signing_in: Vec<Counted> = of_all.into_iter().chain(of_address).collect();
        self.add(&[&*failing, &signing_in].concat(), now_ms)?;
        Ok(Attempt { account, address, failing, signing_in })
    }

    /// Whether a session of the account began lately where the attempt comes from. Nobody is let in
    /// by that, so where it cannot be told the answer is no.
    fn knows(&self, account: &Key, address: IpAddr, now_ms: TimeMs) -> bool {
        let found = known::contains(&*self.platform, account, address, now_ms);
        found.unwrap_or_else(|error| {
            tracing::warn!(%error, "it cannot be read where somebody signed in before");
            false
        })
    }

    /// Takes back the failure that an attempt was counted as, for it succeeded, and all of its account.
    pub(super) fn succeeded(&self, attempt: &Attempt) {
        let mut counts = self.lock();
        for (kind, key) in &attempt.failing {
            match kind {
                Kind::LoginAccount | Kind::LoginKnown => counts.of(*kind).forget(key),
                kind => counts.of(*kind).take_back(key),
            }
        }
    }

    /// Takes back the success that an attempt was counted as.
    pub(super) fn failed(&self, attempt: &Attempt) {
        self.take_back(&attempt.signing_in);
    }

    /// Takes back the failure that an attempt was counted as, for it ended by no fault of the password: it
    /// has cost what a success costs.
    pub(super) fn abandoned(&self, attempt: &Attempt) {
        self.take_back(&attempt.failing);
    }

    fn take_back(&self, counted: &[Counted]) {
        let mut counts = self.lock();
        for (kind, key) in counted {
            counts.of(*kind).take_back(key);
        }
    }

    /// Counts an attempt from `address` alone as a failure, if there may be one: whose account it is about
    /// is not known yet, and strangers who fail must not keep out a tenant's own people.
    pub(super) fn begin_at(&self, address: Option<IpAddr>, now_ms: TimeMs) -> Result<(), Refused> {
        let Some(address) = address else { return Ok(()) };
        self.add(&[(Kind::LoginAddress, key_of(address))], now_ms)
    }

    /// Takes back what [`begin_at`](Self::begin_at) counted.
    pub(super) fn take_back_at(&self, address: Option<IpAddr>) {
        if let Some(address) = address {
            self.lock().of(Kind::LoginAddress).take_back(&key_of(address));
        }
    }

    /// What makes the place of an attempt known to its account: to be written with the session that
    /// begins.
    pub(super) fn known_by(
        &self,
        attempt: &Attempt,
        now_ms: TimeMs,
    ) -> Result<Vec<TableWrite>, StoreError> {
        let Some(address) = attempt.address else { return Ok(Vec::new()) };
        known::addition(&*self.platform, &attempt.account, address, now_ms)
    }

    /// Counts that somebody at `address` goes on with a session of a user of a tenant, if there may be
    /// that.
    pub(super) fn refreshing(
        &self,
        user_id: &str,
        tenant_id: &str,
        address: Option<IpAddr>,
        now_ms: TimeMs,
    ) -> Result<(), Refused> {
        let user = (Kind::RefreshAccount, key(&[user_id]));
        let of_all = [user, (Kind::RefreshTenant, key(&[tenant_id]))];
        let of_address = address.map(|address| (Kind::RefreshAddress, key_of(address)));
        let counted: Vec<Counted> = of_all.into_iter().chain(of_address).collect();
        self.add(&counted, now_ms)
    }

    /// Counts that somebody at `address` wanted to go on with what is no session, if there may be that.
    pub(super) fn refreshed_nothing(
        &self,
        address: Option<IpAddr>,
        now_ms: TimeMs,
    ) -> Result<(), Refused> {
        let Some(address) = address else { return Ok(()) };
        self.add(&[(Kind::RefreshUnknown, key_of(address))], now_ms)
    }

    fn add(&self, counted: &[Counted], now_ms: TimeMs) -> Result<(), Refused> {
        let outcome = self.lock().add(counted, now_ms);
        if outcome == Ok(true) {
            self.owed.store(true, Ordering::Relaxed);
        }
        if self.owed.load(Ordering::Relaxed)
            && let Err(error) = self.store_unless_just_done(now_ms)
        {
            tracing::warn!(%error, "attempts are counted, but not stored");
        }
        outcome.map(|_| ())
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store_unless_just_done(&self, now_ms: TimeMs) -> Result<(), StoreError> {
        // Whoever stores now stores this one too, or it is stored a moment later.
        let Ok(mut last_ms) = self.storing.try_lock() else { return Ok(()) };
        if (*last_ms..last_ms.saturating_add(STORE_AGAIN_MS)).contains(&now_ms) {
            return Ok(());
        }
        self.store_some(&mut last_ms, now_ms)
    }

    /// Stores what has changed. To be called every few seconds, and at the end.
    pub(super) fn store(&self, now_ms: TimeMs) -> Result<(), StoreError> {
        let mut last_ms = self.storing.lock().unwrap_or_else(PoisonError::into_inner);
        self.store_some(&mut last_ms, now_ms)
    }

    fn store_some(&self, last_ms: &mut TimeMs, now_ms: TimeMs) -> Result<(), StoreError> {
        self.owed.store(false, Ordering::Relaxed);
        let mut taken: Vec<(Kind, Key, Option<Count>)> = Vec::new();
        {
            let mut counts = self.lock();
            for (kind, ..) in KINDS {
                let some = counts.of(kind).take_changed(STORED_AT_ONCE - taken.len());
                taken.extend(some.into_iter().map(|(key, count)| (kind, key, count)));
            }
        }
        if taken.is_empty() {
            return Ok(());
        }
        *last_ms = now_ms;
        let outcome = self.write(&taken);
        if outcome.is_err() {
            let mut counts = self.lock();
            taken.iter().for_each(|(kind, key, _)| counts.of(*kind).not_stored(*key));
        }
        outcome
    }

    fn write(&self, taken: &[(Kind, Key, Option<Count>)]) -> Result<(), StoreError> {
        let mut writes = Vec::new();
        for (kind, key, count) in taken {
            let name = name_of(*kind, key);
            writes.push(match count {
                Some(count) => put(COUNTS, name.as_bytes(), record::encode(count)?),
                None => delete(COUNTS, name.as_bytes()),
            });
        }
        self.platform.write(&[], &writes).map(|_| ())
    }

    /// Forgets what is over, and some of the networks nobody came from lately. To be called every
    /// minute or so.
    pub(super) fn sweep(&self, now_ms: TimeMs) -> Result<(), StoreError> {
        let mut counts = self.lock();
        KINDS.iter().for_each(|(kind, ..)| counts.of(*kind).sweep(now_ms));
        drop(counts);
        let counts = self.sweep_counts(now_ms);
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        *swept = known::sweep(&*self.platform, swept.as_deref(), now_ms)?;
        counts
    }

    fn sweep_counts(&self, now_ms: TimeMs) -> Result<(), StoreError> {
        // Nothing is stored anew meanwhile, so that what is deleted is what was read.
        let _alone = self.storing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut over = Vec::new();
        for (name, bytes) in record::all(&*self.platform, COUNTS, b"")? {
            let what = format!("{COUNTS}/{}", String::from_utf8_lossy(&name));
            let count: Option<Count> = record::decode_if_sound(&what, &bytes)?;
            if count.is_none_or(|count| count.is_over(now_ms)) {
                over.push(delete(COUNTS, &name));
            }
        }
        for some in over.chunks(STORED_AT_ONCE) {
            self.platform.write(&[], some)?;
        }
        Ok(())
    }
}

/// The key of an account.
fn account_of(tenant: &str, email: &str) -> Key {
    key(&[tenant, &email.trim().to_lowercase()])
}

/// What forgets where sessions of a user began.
pub(super) fn removal_of_networks(
    platform: &dyn Tables,
    tenant_id: &TenantId,
    email: &Email,
) -> Result<Vec<TableWrite>, StoreError> {
    known::removal(platform, &account_of(tenant_id.as_str(), email.as_str()))
}

/// The key of a client's address.
fn key_of(address: IpAddr) -> Key {
    key(&[&network(address).to_string()])
}

fn name_of(kind: Kind, key: &Key) -> String {
    format!("{}/{}", KINDS[kind as usize].1, key_text(key))
}

fn read_name(name: &[u8]) -> Option<Counted> {
    let (word, key) = std::str::from_utf8(name).ok()?.split_once('/')?;
    let (kind, ..) = KINDS.iter().find(|(_, known, _)| *known == word)?;
    Some((*kind, read_key(key)?))
}

fn decode(name: &[u8], bytes: &[u8]) -> Result<Count, StoreError> {
    record::decode(&format!("{COUNTS}/{}", String::from_utf8_lossy(name)), bytes)
}

#[cfg(test)]
#[path = "throttle_tests.rs"]
mod tests;
