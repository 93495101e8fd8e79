//! Sending the same again: an answer is remembered under the caller's `Idempotency-Key` for a day,
//! in the transaction that did what was asked (contract §1).
//!
//! *Invariants*: an answer is remembered exactly if the act took place, for one transaction holds
//! both. Two requests with one key do not run at the same time: one process owns the data, so a set
//! in memory is enough for that.

use super::call::Call;
use super::problem::Problem;
use super::reply::{self, Reply};
use crate::tenancy::record::{self, delete, put};
use crate::tenancy::scope::TenantScope;
use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use storage::engine::{Appended, Receipt, TableWrite};
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
    tenant: Arc<str>,
    key: u128,
    asked: String,
    now_ms: TimeMs,
    forget: Vec<TableWrite>,
}

impl Drop for Key {
    fn drop(&mut self) {
        let mut keys = self.server.in_flight.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.remove(&(Arc::clone(&self.tenant), self.key));
    }
}

/// Looks whether the key of `call`, if it has one, was used before.
pub(super) async fn enter(
    call: &Call,
    scope: &TenantScope,
    body: &Bytes,
) -> Result<Entered, Problem> {
    let Some(text) = call.request.text_header("idempotency-key")? else {
        return Ok(Entered::Now(None));
    };
    if text.is_empty() || text.len() > KEY_CHARS_MAX {
        let detail = format!("`Idempotency-Key` must have 1 to {KEY_CHARS_MAX} characters");
        return Err(Problem::bad_request("invalid_idempotency_key", detail));
    }
    let subject = call.principal()?.subject();
    let named = format!("{subject}\n{text}");
    let key = xxh3_128(named.as_bytes());
    let tenant = Arc::clone(scope.id().as_arc());
    let server = Arc::clone(&call.server);
    let claimed = {
        let mut keys = server.in_flight.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.insert((Arc::clone(&tenant), key))
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
    let mut entry = Key { server, tenant, key, asked: String::new(), now_ms, forget: Vec::new() };
    let keyspace = Arc::clone(scope.keyspace());
    let body = body.clone();
    let looked = call.server.threads.run(move || {
        let mut asked = Context::new(&SHA256);
        asked.update(target.as_bytes());
        asked.update(&body);
        // Of the times that the key was used, the last is the one that counts.
        let known = keyspace.list(ANSWERS, &key.to_be_bytes(), None, USES_KEPT_MAX)?.pop();
        let oldest = keyspace.list(AGES, &[], None, FORGOTTEN_AT_ONCE)?;
        Ok::<_, storage::error::StoreError>((hex(asked.finish().as_ref()), known, oldest))
    });
    let (asked, known, oldest) = looked.await??;
    entry.asked = asked;
    let known =
        known.map(|(_, bytes)| record::decode::<Remembered>(ANSWERS, &bytes)).transpose()?;
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

impl Key {
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
            let age = [&at_ms.to_be_bytes()[..], &key].concat();
            let mut writes = forget.clone();
            let use_of_key = [&key[..], &at_ms.to_be_bytes()].concat();
            writes.extend([put(ANSWERS, &use_of_key, bytes), put(AGES, &age, Vec::new())]);
            writes
        }))
    }
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
