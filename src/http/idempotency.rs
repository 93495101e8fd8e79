//! Sending the same again: an answer is remembered under the caller's `Idempotency-Key` for a day,
//! in the transaction that did what was asked (contract §1).
//!
//! *Invariants*: an answer is remembered exactly if the act took place, for one transaction holds
//! both: in the tenant's tables, or of what concerns all tenants, or people and keys, in the platform's.
//! There it is sealed, with what was asked, for passwords and keys may stand in either. Two requests with one key do not run at
//! the same time: one process owns the data, so a set in memory is enough for that.

use super::call::Call;
use super::problem::Problem;
use super::reply::{self, Reply};
use crate::audit::PLATFORM;
use crate::tenancy::record::{self, delete, put};
use crate::tenancy::scope::TenantScope;
use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use storage::engine::{Appended, Receipt, TableWrite, Tables};
use storage::error::StoreError;
use storage::row::TimeMs;
use xxhash_rust::xxh3::xxh3_128;

/// Answers by key, then by when it was used: a key that is used again after a day has two, until the
/// older one is forgotten.
const ANSWERS: &str = "idempotency";
/// The keys of answers by their age, so that old ones are found.
const AGES: &str = "idempotency_ages";
/// How long an answer is remembered.
const REMEMBERED_MS: TimeMs = 24 * 3600 * 1000;
/// Old answers that are forgotten with each new one: more than one, so that they run out.
const FORGOTTEN_AT_ONCE: usize = 4;
/// The same, in one transaction, where no new one comes.
const FORGOTTEN_TOGETHER: usize = 256;
/// Uses of one key that are looked at: each is a day after the one before, and the oldest go first.
const USES_KEPT_MAX: usize = 64;
/// Longest key, characters.
const KEY_CHARS_MAX: usize = 255;

/// An answer that was given.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    /// SHA-256 of what was asked, hexadecimal.
    asked: String,
    status: u16,
    answer: Value,
    at_ms: TimeMs,
}

/// Keys of requests under way.
#[derive(Debug, Default)]
pub struct InFlight(Mutex<HashSet<(Arc<str>, u128)>>);

/// What an `Idempotency-Key` comes to.
pub(super) enum Entered {
    /// It was answered before.
    Before(Reply),
    /// It is to be done now; `None`: without a key.
    Now(Option<Key>),
}

/// The right to do what one key stands for.
pub(super) struct Key {
    server: Arc<super::server::Server>,
    place: Place,
    key: u128,
    asked: String,
    now_ms: TimeMs,
    forget: Vec<TableWrite>,
}

/// Where answers are remembered.
#[derive(Clone)]
struct Place {
    /// A tenant's id, or the platform.
    name: Arc<str>,
    tables: Arc<dyn Tables>,
    is_sealed: bool,
}

impl Drop for Key {
    fn drop(&mut self) {
        let mut keys = self.server.in_flight.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.remove(&(Arc::clone(&self.place.name), self.key));
    }
}

/// Looks whether the key of `call`, if it has one, was used before in the scope's tenant.
pub(super) async fn enter(
    call: &Call,
    scope: &TenantScope,
    body: &Bytes,
) -> Result<Entered, Problem> {
    let (name, tables) = (Arc::clone(scope.id().as_arc()), Arc::clone(scope.keyspace()));
    enter_at(call, Place { name, tables, is_sealed: false }, body).await
}

/// The same for what concerns all tenants.
pub(super) async fn enter_platform(call: &Call, body: &Bytes) -> Result<Entered, Problem> {
    let (name, tables) = (PLATFORM.into(), call.server.tenancy.platform());
    enter_at(call, Place { name, tables, is_sealed: true }, body).await
}

/// The same for what is in the scope's tenant, and lies in the platform's tables: people and keys.
pub(super) async fn enter_sealed(
    call: &Call,
    scope: &TenantScope,
    body: &Bytes,
) -> Result<Entered, Problem> {
    let (name, tables) = (Arc::clone(scope.id().as_arc()), call.server.tenancy.platform());
    enter_at(call, Place { name, tables, is_sealed: true }, body).await
}

async fn enter_at(call: &Call, place: Place, body: &Bytes) -> Result<Entered, Problem> {
    let Some(text) = call.request.text_header("idempotency-key")? else {
        return Ok(Entered::Now(None));
    };
    if text.is_empty() || text.len() > KEY_CHARS_MAX {
        let detail = format!("`Idempotency-Key` must have 1 to {KEY_CHARS_MAX} characters");
        return Err(Problem::bad_request("invalid_idempotency_key", detail));
    }
    let subject = call.principal()?.subject();
    // Of several tenants whose answers lie in one table, each has keys of its own.
    let named = match place.is_sealed && &*place.name != PLATFORM {
        true => format!("{}\n{subject}\n{text}", place.name),
        false => format!("{subject}\n{text}"),
    };
    let key = xxh3_128(named.as_bytes());
    let server = Arc::clone(&call.server);
    let claimed = {
        let mut keys = server.in_flight.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.insert((Arc::clone(&place.name), key))
    };
    if !claimed {
        let detail = "a request with this `Idempotency-Key` is under way: wait for its answer";
        return Err(Problem::new(StatusCode::CONFLICT, "idempotency_in_progress", detail));
    }
    let target = format!(
        "{} {}?{}\n",
        call.request.method,
        call.request.path,
        call.request.query.as_deref().unwrap_or_default()
    );
    let now_ms = server.clock.now_ms();
    let (tables, asked) = (Arc::clone(&place.tables), String::new());
    let mut entry = Key { server, place, key, asked, now_ms, forget: Vec::new() };
    let body = body.clone();
    let looked = call.on_disk(move || {
        let mut asked = Context::new(&SHA256);
        asked.update(target.as_bytes());
        asked.update(&body);
        // Of the times that the key was used, the last is the one that counts.
        let known = tables.list(ANSWERS, &key.to_be_bytes(), None, USES_KEPT_MAX)?.pop();
        let oldest = tables.list(AGES, &[], None, FORGOTTEN_AT_ONCE)?;
        Ok::<_, StoreError>((hex(asked.finish().as_ref()), known, oldest))
    });
    let (asked, known, oldest) = looked.await??;
    entry.asked = asked;
    let known = known.map(|(_, bytes)| entry.read(&bytes)).transpose()?;
    match known.filter(|known| now_ms - known.at_ms < REMEMBERED_MS) {
        Some(known) if known.asked == entry.asked => {
            let status = StatusCode::from_u16(known.status).unwrap_or(StatusCode::OK);
            Ok(Entered::Before(reply::json(status, &known.answer)))
        }
        Some(_) => {
            let detail = "this `Idempotency-Key` was used for another request: use a new one";
            Err(Problem::new(StatusCode::CONFLICT, "idempotency_key_reused", detail))
        }
        None => {
            let ages = oldest.iter().map(|(age, _)| age.as_slice());
            entry.forget = ages.filter_map(|age| forgotten(age, now_ms)).flatten().collect();
            Ok(Entered::Now(Some(entry)))
        }
    }
}

/// What forgets the answer of the age `age`, if it is old enough.
fn forgotten(age: &[u8], now_ms: TimeMs) -> Option<[TableWrite; 2]> {
    let (at_ms, key) = age.split_first_chunk::<8>()?;
    let old = now_ms - TimeMs::from_be_bytes(*at_ms) >= REMEMBERED_MS;
    old.then(|| [delete(AGES, age), delete(ANSWERS, &[key, at_ms].concat())])
}

/// Forgets what is old in `tables`, whether or not a key is sent there again: what concerns all tenants
/// may have a password in it.
pub(super) fn forget_old(tables: &dyn Tables, now_ms: TimeMs) -> Result<(), StoreError> {
    loop {
        let oldest = tables.list(AGES, &[], None, FORGOTTEN_TOGETHER)?;
        let old: Vec<_> = oldest.iter().filter_map(|(age, _)| forgotten(age, now_ms)).collect();
        if !old.is_empty() {
            tables.write(&[], old.as_flattened())?;
        }
        if old.len() < FORGOTTEN_TOGETHER {
            return Ok(());
        }
    }
}

impl Key {
    /// What was remembered in `bytes`.
    fn read(&self, bytes: &[u8]) -> Result<Remembered, Problem> {
        if !self.place.is_sealed {
            return Ok(record::decode(ANSWERS, bytes)?);
        }
        let opened = self.server.identity.master_key().open(&self.context(), bytes);
        Ok(record::decode(ANSWERS, &opened.map_err(|error| Problem::internal(&error))?)?)
    }

    /// What a sealed answer is sealed for.
    fn context(&self) -> String {
        format!("{ANSWERS}/{:032x}", self.key)
    }

    /// What remembers `answer`, in a place where answers are sealed.
    fn remember(&self, status: StatusCode, answer: &Value) -> Result<Vec<TableWrite>, StoreError> {
        let (asked, answer) = (self.asked.clone(), answer.clone());
        let remembered = Remembered { asked, status: status.as_u16(), answer, at_ms: self.now_ms };
        let text = record::encode(&remembered)?;
        let unsealed = |error| StoreError::Io {
            doing: "sealing an answer",
            source: std::io::Error::other(error),
        };
        let sealed = self.server.identity.master_key().seal(&self.context(), &text);
        let sealed = sealed.map_err(unsealed)?;
        Ok(writes(self.key.to_be_bytes(), self.now_ms, sealed, &self.forget))
    }

    /// What remembers the answer that `answer` makes of what became of the rows; `None` of it:
    /// nothing is remembered.
    pub(super) fn receipt(
        &self,
        answer: impl Fn(&Appended) -> Option<(StatusCode, Value)> + Send + Sync + 'static,
    ) -> Receipt {
        let (key, asked, at_ms) = (self.key.to_be_bytes(), self.asked.clone(), self.now_ms);
        let forget = self.forget.clone();
        Receipt(Arc::new(move |appended| {
            let Some((status, answer)) = answer(appended) else { return Vec::new() };
            let asked = asked.clone();
            let remembered = Remembered { asked, status: status.as_u16(), answer, at_ms };
            // A value of plain fields always becomes JSON.
            let Ok(bytes) = record::encode(&remembered) else { return Vec::new() };
            writes(key, at_ms, bytes, &forget)
        }))
    }
}

/// What stores `answer` as that of the key `key` at `at_ms`, and forgets others.
fn writes(key: [u8; 16], at_ms: TimeMs, answer: Vec<u8>, forget: &[TableWrite]) -> Vec<TableWrite> {
    let age = [&at_ms.to_be_bytes()[..], &key].concat();
    let use_of_key = [&key[..], &at_ms.to_be_bytes()].concat();
    let mut writes = forget.to_vec();
    writes.extend([put(ANSWERS, &use_of_key, answer), put(AGES, &age, Vec::new())]);
    writes
}

/// What remembers that something was made, as `answer` says, if there is a key to remember it by.
pub(super) fn remembered(key: Option<&Key>, answer: &Value) -> Result<Vec<TableWrite>, StoreError> {
    let Some(key) = key else { return Ok(Vec::new()) };
    key.remember(StatusCode::CREATED, answer)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a text does not fail.
        let _written = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenancy::fake::FakeEngine;

    #[test]
    fn what_is_a_day_old_is_forgotten_without_another_key() {
        const OLD: usize = 2 * FORGOTTEN_TOGETHER + 3;
        let tables = FakeEngine::default();
        let remember = |n: usize, at_ms| {
            let key = (n as u128).to_be_bytes();
            tables.write(&[], &writes(key, at_ms, vec![7; 40], &[])).unwrap()
        };
        assert!((0..OLD).all(|n| remember(n, n as TimeMs)));
        let last_ms = OLD as TimeMs + REMEMBERED_MS;
        assert!(remember(OLD, last_ms));
        forget_old(&tables, last_ms).unwrap();
        assert_eq!(tables.list(AGES, &[], None, OLD).unwrap().len(), 1);
        let left = tables.list(ANSWERS, &[], None, OLD).unwrap();
        assert_eq!(left.len(), 1);
        assert!(left[0].0.starts_with(&(OLD as u128).to_be_bytes()));
        // Not a moment too early.
        forget_old(&tables, last_ms + REMEMBERED_MS - 1).unwrap();
        assert_eq!(tables.platform_len(), 2);
        forget_old(&tables, last_ms + REMEMBERED_MS).unwrap();
        assert_eq!(tables.platform_len(), 0);
    }
}
