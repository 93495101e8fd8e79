//! Entries as they lie in the log: JSON, so that an auditor can read them with any tool.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::fmt;
use std::net::IpAddr;
use storage::error::{Corrupt, StoreError};
use storage::row::TimeMs;

/// The version that entries are written in.
const VERSION: u32 = 1;

/// A SHA-256 that chains an entry to the one before; all zero before the first.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Link(pub(super) [u8; 32]);

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Link {
    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut link = [0; 32];
        if text.len() != 2 * link.len() || !text.is_ascii() {
            return None;
        }
        for (at, byte) in link.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(Self(link))
    }
}

impl Serialize for Link {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("no SHA-256"))
    }
}

/// What became of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It took place.
    Done,
    /// It was refused.
    Refused,
    /// It is begun: its effect lies outside of this log's transaction, and another entry tells how it
    /// ended.
    Begun,
    /// It was begun, and failed.
    Failed,
}

/// From where somebody acted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The address; `None`: at the machine itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The request, as the server's log knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Box<str>>,
}

/// Something that happened, and in which chain it is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// A tenant's id, or [`PLATFORM`](super::PLATFORM).
    pub chain: Box<str>,
    /// What happened.
    pub event: Event,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Who: `operator`, `user:<id>`, `key:<id>`, `sso_provider:<id>`, [`SERVER`](super::SERVER), or
    /// [`ANONYMOUS`](super::ANONYMOUS).
    pub actor: String,
    /// What, as `noun.verb`; of a request that was refused, its method and address.
    pub action: String,
    /// To what, as `noun:<id>`; empty where the action says all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// From where.
    #[serde(flatten)]
    pub source: Source,
    /// What became of it.
    pub outcome: Outcome,
    /// How often, where one entry tells of several.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub count: u64,
    /// The target before, without secrets; null where there was none.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub before: Value,
    /// The target after, without secrets; of a refusal its code.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub after: Value,
}

fn once() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_once(count: &u64) -> bool {
    *count == 1
}

impl Event {
    /// That `actor` did `action` to `target`, from `source`.
    pub fn new(actor: String, action: &str, target: String, source: Source) -> Self {
        Self {
            actor,
            action: action.into(),
            target,
            source,
            outcome: Outcome::Done,
            count: 1,
            before: Value::Null,
            after: Value::Null,
        }
    }

    /// With what the target was before.
    #[must_use]
    pub fn before(self, before: Value) -> Self {
        Self { before, ..self }
    }

    /// With what the target is after.
    #[must_use]
    pub fn after(self, after: Value) -> Self {
        Self { after, ..self }
    }

    /// With another outcome than that it was done.
    #[must_use]
    pub fn ended(self, outcome: Outcome) -> Self {
        Self { outcome, ..self }
    }

    /// In the chain of a tenant, or the platform's.
    pub fn in_chain(self, chain: &str) -> Told {
        Told { chain: chain.into(), event: self }
    }
}

/// An entry of a chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place, from 1 on without gaps.
    pub seq: u64,
    /// When, Unix milliseconds.
    pub at_ms: TimeMs,
    /// The hash of the entry before it.
    pub prev: Link,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    #[serde(flatten)]
    fields: T,
}

impl Entry {
    /// Its hash, which the next entry holds.
    pub fn hash(&self) -> Result<Link, StoreError> {
        Ok(super::hash_of(&self.encode()?))
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, StoreError> {
        encode(self)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        decode("an audit entry", bytes)
    }
}

/// The last entry of a chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) seq: u64,
    pub(super) hash: Link,
}

impl Head {
    pub(super) fn encode(&self) -> Result<Vec<u8>, StoreError> {
        encode(self)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        decode("the head of an audit chain", bytes)
    }
}

fn encode<T: Serialize>(fields: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(&Versioned { version: VERSION, fields })
        .map_err(|error| Corrupt::new(format!("an audit entry to be written: {error}")).into())
}

fn decode<T: for<'de> Deserialize<'de>>(what: &str, bytes: &[u8]) -> Result<T, StoreError> {
    let read: Versioned<T> =
        serde_json::from_slice(bytes).map_err(|error| Corrupt::new(format!("{what}: {error}")))?;
    if read.version > VERSION {
        return Err(StoreError::NewerFormat { found: read.version, known: VERSION });
    }
    Ok(read.fields)
}
