//! The keys that sign access tokens: RSA of 2048 bits, signing with RS256 (RFC 7518 §3.3).
//!
//! *Invariants*: there is always one current key, which signs, and one next key, which is
//! published already, so that whoever caches the key set knows it when it comes to sign: it does so
//! no sooner than a cache may be old. A key that has signed stays published until every token it
//! signed has expired, unless all are dropped because somebody else may have them. Private parts are
//! sealed in the tables and never leave this module.

use super::secret::{MasterKey, SecretError};
use super::token::{ACCESS_MS, LEEWAY_MS};
use crate::audit::{AuditLog, Event, PLATFORM, SERVER, Source, Told};
use crate::tenancy::by::By;
use crate::tenancy::record::{self, absent, delete, put, write_surely};
use crate::tenancy::registry::Completion;
use arc_swap::ArcSwap;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use storage::engine::{Expect, Tables};
use storage::error::{Corrupt, StoreError};
use storage::row::TimeMs;

/// Signing keys by their id.
const SIGNING_KEYS: &str = "signing_keys";

/// How long whoever verifies tokens elsewhere may keep the key set.
pub const JWKS_CACHE_MS: TimeMs = 5 * 60_000;

/// How long a rotation may take, in which the key that is replaced still signs.
const ROTATION_MS_MAX: TimeMs = 10_000;

/// How long a key stays published that signs no more.
pub const PREVIOUS_MS: TimeMs = ACCESS_MS + LEEWAY_MS + ROTATION_MS_MAX;

/// Keys that have signed and are still published, at most. As a rotation comes no sooner than a cache
/// may be old, there are no more than half as many; a clock that is set back leaves more.
const PREVIOUS_MAX: usize = 8;

/// Why a key could not be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The cryptography failed: no randomness, or no memory.
    #[error("could not {doing}: try again")]
    Crypto {
        /// What was being done.
        doing: &'static str,
    },
    /// The private part does not open, or could not be sealed.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Whoever caches the key set may not know the next key yet.
    #[error(
        "the next signing key is published since too short a time: wait {retry_after_s} seconds, or \
         drop all keys if somebody else may have them"
    )]
    TooSoon {
        /// When it can sign.
        retry_after_s: u64,
    },
    /// Somebody else rotated at the same moment.
    #[error("the signing keys were changed at the same moment: look at them and try again")]
    Conflict,
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SigningError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Crypto { .. } => "signing_failed",
            Self::Secret(secret) => secret.code(),
            Self::TooSoon { .. } => "rotation_too_soon",
            Self::Conflict => "conflict",
            Self::Store(_) => "store_failed",
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Crypto { .. } | Self::TooSoon { .. } | Self::Conflict => true,
            Self::Secret(secret) => secret.is_transient(),
            Self::Store(store) => store.is_transient(),
        }
    }
}

/// What a key is for at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// Published, to sign after the next rotation.
    Next,
    /// It signs.
    Current,
    /// It has signed; its tokens are accepted until then.
    Previous { until_ms: TimeMs },
}

/// A key as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    kid: String,
    state: State,
    created_ms: TimeMs,
    /// Since when it signs, of one that has begun to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signs_ms: Option<TimeMs>,
    /// The private key, PKCS#8 DER, sealed, in base64.
    sealed: String,
}

/// A key at work.
struct SigningKey {
    record: Record,
    stored: Vec<u8>,
    encoding: EncodingKey,
    decoding: DecodingKey,
    jwk: Value,
}

impl SigningKey {
    fn generate(master: &MasterKey, state: State, now_ms: TimeMs) -> Result<Self, SigningError> {
        let pair = KeyPair::generate(KeySize::Rsa2048)
            .map_err(|_| SigningError::Crypto { doing: "make a signing key" })?;
        let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair)
            .map_err(|_| SigningError::Crypto { doing: "encode a signing key" })?;
        let (encoding, jwk) = read_private(private.as_ref())?;
        let kid = thumbprint(&jwk)?;
        let sealed = STANDARD.encode(master.seal(&context(&kid), private.as_ref())?);
        let signs_ms = (state == State::Current).then_some(now_ms);
        let record = Record { kid, state, created_ms: now_ms, signs_ms, sealed };
        Self::of(record, &pair, encoding, jwk)
    }

    fn unseal(master: &MasterKey, record: Record) -> Result<Self, SigningError> {
        let damaged = || Corrupt::new(format!("{SIGNING_KEYS}/{}", record.kid));
        let sealed = STANDARD.decode(&record.sealed).map_err(|_| StoreError::from(damaged()))?;
        let private = master.open(&context(&record.kid), &sealed)?;
        let pair = KeyPair::from_pkcs8(&private).map_err(|_| StoreError::from(damaged()))?;
        let (encoding, jwk) = read_private(&private)?;
        if thumbprint(&jwk)? != record.kid {
            return Err(StoreError::from(damaged()).into());
        }
        Self::of(record, &pair, encoding, jwk)
    }

    fn of(
        record: Record,
        pair: &KeyPair,
        encoding: EncodingKey,
        mut jwk: Jwk,
    ) -> Result<Self, SigningError> {
        jwk.common.key_id = Some(record.kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let jwk = serde_json::to_value(&jwk)
            .map_err(|_| SigningError::Crypto { doing: "publish a signing key" })?;
        let decoding = DecodingKey::from_rsa_der(pair.public_key().as_ref());
        let stored = record::encode(&record)?;
        Ok(Self { record, stored, encoding, decoding, jwk })
    }

    fn unchanged(&self) -> Expect {
        let (table, key) = (SIGNING_KEYS.into(), self.record.kid.as_bytes().into());
        Expect { table, key, value: Some(self.stored.clone()) }
    }

    /// The same key in another state from `now_ms` on.
    fn turned(&self, state: State, now_ms: TimeMs) -> Result<Self, SigningError> {
        let signs_ms = self.record.signs_ms.or((state == State::Current).then_some(now_ms));
        let record = Record { state, signs_ms, ..self.record.clone() };
        let stored = record::encode(&record)?;
        let (encoding, decoding) = (self.encoding.clone(), self.decoding.clone());
        Ok(Self { record, stored, encoding, decoding, jwk: self.jwk.clone() })
    }

    fn is_published(&self, now_ms: TimeMs) -> bool {
        !matches!(self.record.state, State::Previous { until_ms } if until_ms <= now_ms)
    }
}

/// Reads a private key of PKCS#8 DER. It goes through PEM because the library takes DER only of
/// PKCS#1, and tells the difference no sooner than at the first signature.
fn read_private(pkcs8: &[u8]) -> Result<(EncodingKey, Jwk), SigningError> {
    const LINE_CHARS: usize = 64; // RFC 7468 §2
    let unreadable = |_| SigningError::Crypto { doing: "read a signing key" };
    let text = STANDARD.encode(pkcs8);
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    for line in text.as_bytes().chunks(LINE_CHARS) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    let encoding = EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(unreadable)?;
    let jwk = Jwk::from_encoding_key(&encoding, Algorithm::RS256).map_err(unreadable)?;
    Ok((encoding, jwk))
}

/// The key's id: its thumbprint by SHA-256 (RFC 7638).
fn thumbprint(jwk: &Jwk) -> Result<String, SigningError> {
    jwk.thumbprint(ThumbprintHash::SHA256)
        .map_err(|_| SigningError::Crypto { doing: "name a signing key" })
}

fn context(kid: &str) -> String {
    format!("signing_key/{kid}")
}

/// All keys, the current one first.
struct KeySet {
    current: Arc<SigningKey>,
    next: Arc<SigningKey>,
    /// From the newest on.
    previous: Vec<Arc<SigningKey>>,
}

impl KeySet {
    fn all(&self) -> impl Iterator<Item = &Arc<SigningKey>> {
        [&self.current, &self.next].into_iter().chain(&self.previous)
    }
}

/// The signing keys of this installation.
pub(super) struct SigningKeys {
    log: Arc<AuditLog>,
    master: Arc<MasterKey>,
    set: ArcSwap<KeySet>,
    rotation: Mutex<()>,
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kids = self.set.load().all().map(|key| key.record.kid.clone()).collect::<Vec<_>>();
        f.debug_struct("SigningKeys").field("kids", &kids).finish_non_exhaustive()
    }
}

impl SigningKeys {
    /// The stored keys; where there are none, two are made (some 100 ms each).
    pub(super) fn start(
        log: Arc<AuditLog>,
        master: Arc<MasterKey>,
        now_ms: TimeMs,
    ) -> Result<Self, SigningError> {
        let platform = &**log.platform();
        let mut keys = load(platform, &master)?;
        if keys.is_empty() {
            keys = first_keys(platform, &master, now_ms)?;
        }
        let set = ArcSwap::from_pointee(arrange(keys)?);
        Ok(Self { log, master, set, rotation: Mutex::new(()) })
    }

    /// Signs with the current key: calls `sign` with its id and itself.
    pub(super) fn sign<R>(&self, sign: impl FnOnce(&str, &EncodingKey) -> R) -> R {
        let current = self.set.load().current.clone();
        sign(&current.record.kid, &current.encoding)
    }

    /// Calls `verify` with the key called `kid`, if there is one whose tokens are accepted.
    pub(super) fn with_key<R>(
        &self,
        kid: &str,
        now_ms: TimeMs,
        verify: impl FnOnce(&DecodingKey) -> R,
    ) -> Option<R> {
        let set = self.set.load();
        let key = set.all().find(|key| key.record.kid == kid && key.is_published(now_ms))?;
        Some(verify(&key.decoding))
    }

    /// The public keys whose tokens are or will be accepted, as a JWK set (RFC 7517 §5).
    pub(super) fn jwks(&self, now_ms: TimeMs) -> Value {
        let set = self.set.load();
        let keys: Vec<&Value> =
            set.all().filter(|key| key.is_published(now_ms)).map(|key| &key.jwk).collect();
        json!({ "keys": keys })
    }

    /// Lets the next key sign from now on and makes another next one, in one transaction. The key
    /// that signed until now stays published until its tokens have expired. Gives the id of the
    /// key that signs now.
    pub(super) fn rotate(&self, by: &By, now_ms: TimeMs) -> Result<String, SigningError> {
        self.rotate_telling(|kid| did(by, "signing_key.rotate", kid), now_ms)
    }

    fn rotate_telling(
        &self,
        told: impl Fn(&str) -> Told,
        now_ms: TimeMs,
    ) -> Result<String, SigningError> {
        let _alone = self.rotation.lock().unwrap_or_else(PoisonError::into_inner);
        let set = self.set.load_full();
        // A key of the time to come was made before the clock was set back.
        let known_ms = now_ms.saturating_sub(set.next.record.created_ms);
        if (0..JWKS_CACHE_MS).contains(&known_ms) {
            let retry_after_s = (JWKS_CACHE_MS - known_ms).unsigned_abs().div_ceil(1000);
            return Err(SigningError::TooSoon { retry_after_s });
        }
        let fresh = SigningKey::generate(&self.master, State::Next, now_ms)?;
        let until_ms = now_ms.saturating_add(PREVIOUS_MS);
        let current = set.next.turned(State::Current, now_ms)?;
        let retired = set.current.turned(State::Previous { until_ms }, now_ms)?;
        let published = set.previous.iter().filter(|key| key.is_published(now_ms)).cloned();
        let kept: Vec<_> = published.take(PREVIOUS_MAX - 1).collect();
        let mut previous = vec![Arc::new(retired)];
        previous.extend(kept);
        let (current, next) = (Arc::new(current), Arc::new(fresh));
        self.replace(&set, KeySet { current, next, previous }, told, now_ms)
    }

    /// Drops all keys at once, with every token that they signed, and makes others: for when somebody
    /// else may have them. Gives the id of the key that signs now.
    pub(super) fn drop_all(&self, by: &By, now_ms: TimeMs) -> Result<String, SigningError> {
        let _alone = self.rotation.lock().unwrap_or_else(PoisonError::into_inner);
        let set = self.set.load_full();
        let current = Arc::new(SigningKey::generate(&self.master, State::Current, now_ms)?);
        let next = Arc::new(SigningKey::generate(&self.master, State::Next, now_ms)?);
        let fresh = KeySet { current, next, previous: Vec::new() };
        self.replace(&set, fresh, |kid| did(by, "signing_key.drop", kid), now_ms)
    }

    /// Rotates where the current key has signed for `period_ms`, and the next one may. Gives the id of
    /// the key that signs from now on, if that is another.
    pub(super) fn rotate_if_due(
        &self,
        period_ms: TimeMs,
        now_ms: TimeMs,
    ) -> Result<Option<String>, SigningError> {
        let Record { signs_ms, created_ms, .. } = self.set.load().current.record.clone();
        if now_ms < signs_ms.unwrap_or(created_ms).saturating_add(period_ms) {
            return Ok(None);
        }
        let told = |kid: &str| {
            let (actor, target) = (SERVER.to_owned(), format!("signing_key:{kid}"));
            Event::new(actor, "signing_key.rotate", target, Source::default()).in_chain(PLATFORM)
        };
        match self.rotate_telling(told, now_ms) {
            Err(SigningError::TooSoon { .. }) => Ok(None),
            rotated => rotated.map(Some),
        }
    }

    /// Puts `fresh` in the place of `set`, in one transaction, which removes the keys that are in it no
    /// more and tells of it. Gives the id of the key that signs now.
    fn replace(
        &self,
        set: &KeySet,
        fresh: KeySet,
        told: impl Fn(&str) -> Told,
        now_ms: TimeMs,
    ) -> Result<String, SigningError> {
        let mut expect = vec![set.current.unchanged(), set.next.unchanged()];
        let mut writes = Vec::new();
        let is_in = |set: &KeySet, kid: &str| set.all().any(|key| key.record.kid == kid);
        for key in [&fresh.next, &fresh.current].into_iter().chain(&fresh.previous) {
            let kid = key.record.kid.as_bytes();
            if !is_in(set, &key.record.kid) {
                expect.push(absent(SIGNING_KEYS, kid));
            }
            writes.push(put(SIGNING_KEYS, kid, key.stored.clone()));
        }
        let gone = set.all().filter(|key| !is_in(&fresh, &key.record.kid));
        writes.extend(gone.map(|key| delete(SIGNING_KEYS, key.record.kid.as_bytes())));
        let kid = fresh.current.record.kid.clone();
        let told = vec![told(&kid)];
        if !(Completion { expect, writes, told }).commit(&self.log, now_ms)? {
            return Err(SigningError::Conflict);
        }
        self.set.store(Arc::new(fresh));
        Ok(kid)
    }
}

/// That somebody did `action`, after which the key called `kid` signs.
fn did(by: &By, action: &str, kid: &str) -> Told {
    by.did(action, format!("signing_key:{kid}")).in_chain(PLATFORM)
}

fn load(platform: &dyn Tables, master: &MasterKey) -> Result<Vec<SigningKey>, SigningError> {
    let mut keys = Vec::new();
    for (key, bytes) in record::all(platform, SIGNING_KEYS, b"")? {
        let what = format!("{SIGNING_KEYS}/{}", String::from_utf8_lossy(&key));
        let record: Record = record::decode(&what, &bytes)?;
        if record.kid.as_bytes() != key {
            return Err(StoreError::from(Corrupt::new(what)).into());
        }
        keys.push(SigningKey { stored: bytes, ..SigningKey::unseal(master, record)? });
    }
    Ok(keys)
}

fn first_keys(
    platform: &dyn Tables,
    master: &MasterKey,
    now_ms: TimeMs,
) -> Result<Vec<SigningKey>, SigningError> {
    let current = SigningKey::generate(master, State::Current, now_ms)?;
    let next = SigningKey::generate(master, State::Next, now_ms)?;
    let keys = vec![current, next];
    let (mut expect, mut writes) = (Vec::new(), Vec::new());
    for key in &keys {
        let kid = key.record.kid.as_bytes();
        expect.push(absent(SIGNING_KEYS, kid));
        writes.push(put(SIGNING_KEYS, kid, key.stored.clone()));
    }
    match write_surely(platform, &expect, &writes)? {
        true => Ok(keys),
        false => Err(SigningError::Conflict),
    }
}

fn arrange(keys: Vec<SigningKey>) -> Result<KeySet, StoreError> {
    let (mut current, mut next, mut previous) = (None, None, Vec::new());
    for key in keys.into_iter().map(Arc::new) {
        let place = match key.record.state {
            State::Current => &mut current,
            State::Next => &mut next,
            State::Previous { until_ms } => {
                previous.push((until_ms, key));
                continue;
            }
        };
        if place.replace(key).is_some() {
            return Err(Corrupt::new(format!("{SIGNING_KEYS}: two keys in one place")).into());
        }
    }
    previous.sort_by_key(|(until_ms, _)| std::cmp::Reverse(*until_ms));
    let previous = previous.into_iter().map(|(_, key)| key).collect();
    match (current, next) {
        (Some(current), Some(next)) => Ok(KeySet { current, next, previous }),
        _ => Err(Corrupt::new(format!("{SIGNING_KEYS}: a key is missing")).into()),
    }
}

#[cfg(test)]
#[path = "signing_tests.rs"]
mod tests;
