//! Where sessions of an account began lately: whoever comes from there is most likely its owner.
//!
//! *Invariants*: an account has a bounded number of these; they are written with the session that
//! begins, and go with the user. They are kept by hash, of accounts that there are not as of others, so that asking tells
//! nothing about which there are.

use super::tally::{Key, key_text};
use crate::model::network::network;
use crate::tenancy::record::{self, delete, put};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use storage::engine::{TableEntry, TableWrite, Tables};
use storage::error::StoreError;
use storage::row::TimeMs;

/// Networks by `<account, base64url>/<network>`.
const KNOWN: &str = "known_networks";

/// How long a network is known after the last session that began there: as long as sessions last.
pub const KNOWN_MS: TimeMs = 30 * 24 * 3_600_000;

/// Networks of an account: home, the office, and where one travels.
pub const KNOWN_PER_ACCOUNT_MAX: usize = 16;

/// How many are looked at when it is looked which to forget.
const PAGE: usize = 256;

#[derive(Serialize, Deserialize)]
struct Known {
    used_ms: TimeMs,
}

impl Known {
    fn is_over(&self, now_ms: TimeMs) -> bool {
        now_ms >= self.used_ms.saturating_add(KNOWN_MS)
    }
}

/// Whether a session of `account` began lately where `address` is.
pub(super) fn contains(
    platform: &dyn Tables,
    account: &Key,
    address: IpAddr,
    now_ms: TimeMs,
) -> Result<bool, StoreError> {
    let key = key_of(account, address);
    let Some(bytes) = platform.get(KNOWN, key.as_bytes())? else { return Ok(false) };
    Ok(!decode(key.as_bytes(), &bytes)?.is_over(now_ms))
}

/// What makes a network known, and forgets that of the same account which was used longest ago where
/// there are too many.
pub(super) fn addition(
    platform: &dyn Tables,
    account: &Key,
    address: IpAddr,
    now_ms: TimeMs,
) -> Result<Vec<TableWrite>, StoreError> {
    let key = key_of(account, address);
    let prefix = format!("{}/", key_text(account));
    let mut others = Vec::new();
    for (other, bytes) in record::all(platform, KNOWN, prefix.as_bytes())? {
        if other != key.as_bytes() {
            others.push((decode(&other, &bytes)?.used_ms, other));
        }
    }
    others.sort();
    let surplus = (others.len() + 1).saturating_sub(KNOWN_PER_ACCOUNT_MAX);
    let mut writes = vec![put(KNOWN, key.as_bytes(), record::encode(&Known { used_ms: now_ms })?)];
    writes.extend(others.iter().take(surplus).map(|(_, other)| delete(KNOWN, other)));
    Ok(writes)
}

/// What forgets the networks of an account.
pub(super) fn removal(platform: &dyn Tables, account: &Key) -> Result<Vec<TableWrite>, StoreError> {
    let prefix = format!("{}/", key_text(account));
    let entries = record::all(platform, KNOWN, prefix.as_bytes())?; // a bounded number
    Ok(entries.iter().map(|(key, _)| delete(KNOWN, key)).collect())
}

/// Looks at some of all entries, those after `after`, and forgets what is over. Gives after which to
/// go on; nothing at the end.
pub(super) fn sweep(
    platform: &dyn Tables,
    after: Option<&[u8]>,
    now_ms: TimeMs,
) -> Result<Option<Vec<u8>>, StoreError> {
    let page: Vec<TableEntry> = platform.list(KNOWN, b"", after, PAGE)?;
    let mut writes = Vec::new();
    let mut expect = Vec::new();
    for (key, bytes) in &page {
        let known: Option<Known> = record::decode_if_sound(KNOWN, bytes)?;
        if known.is_none_or(|known| known.is_over(now_ms)) {
            expect.push(record::present(KNOWN, key, bytes.clone()));
            writes.push(delete(KNOWN, key));
        }
    }
    if !writes.is_empty() {
        platform.write(&expect, &writes)?; // if one was used meanwhile, another time
    }
    Ok(page.into_iter().nth(PAGE - 1).map(|(key, _)| key))
}

fn key_of(account: &Key, address: IpAddr) -> String {
    format!("{}/{}", key_text(account), network(address))
}

fn decode(key: &[u8], bytes: &[u8]) -> Result<Known, StoreError> {
    record::decode(&format!("{KNOWN}/{}", String::from_utf8_lossy(key)), bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::tally::key;
    use crate::tenancy::fake::FakeEngine;

    fn add(engine: &FakeEngine, account: &Key, address: &str, now_ms: TimeMs) {
        let writes = addition(engine, account, address.parse().unwrap(), now_ms).unwrap();
        engine.write(&[], &writes).unwrap();
    }

    fn knows(engine: &FakeEngine, account: &Key, address: &str, now_ms: TimeMs) -> bool {
        contains(engine, account, address.parse().unwrap(), now_ms).unwrap()
    }

    #[test]
    fn a_network_is_known_to_its_account_for_its_time() {
        let (engine, me, you) = (FakeEngine::default(), key(&["me"]), key(&["you"]));
        add(&engine, &me, "2001:db8::1", 0);
        assert!(knows(&engine, &me, "2001:db8::2", KNOWN_MS - 1));
        assert!(!knows(&engine, &me, "2001:db8::1", KNOWN_MS));
        assert!(!knows(&engine, &me, "2001:db8:0:1::1", 1));
        assert!(!knows(&engine, &you, "2001:db8::1", 1));
        add(&engine, &me, "2001:db8::9", 5);
        assert!(knows(&engine, &me, "2001:db8::1", KNOWN_MS));
        assert_eq!(engine.platform_len(), 1);
    }

    #[test]
    fn an_account_has_so_many_and_what_is_over_goes() {
        let (engine, me) = (FakeEngine::default(), key(&["me"]));
        for n in 0..=KNOWN_PER_ACCOUNT_MAX {
            add(&engine, &me, &format!("192.0.2.{n}"), n as TimeMs);
        }
        assert_eq!(engine.platform_len(), KNOWN_PER_ACCOUNT_MAX);
        assert!(!knows(&engine, &me, "192.0.2.0", 20) && knows(&engine, &me, "192.0.2.1", 20));
        for n in 0..PAGE {
            add(&engine, &key(&[&n.to_string()]), "192.0.2.1", 7);
        }
        let after = sweep(&engine, None, KNOWN_MS + 7).unwrap();
        assert_eq!(sweep(&engine, after.as_deref(), KNOWN_MS + 7).unwrap(), None);
        assert_eq!(engine.platform_len(), KNOWN_PER_ACCOUNT_MAX - 7);
    }
}
