//! The successor of a refresh token, kept for a moment after that was spent: a client that lost its
//! answer, or asked twice at once, gets the same again.
//!
//! *Invariants*: a family has at most one, that of the token spent last; it lies sealed, comes with
//! the transaction that spends the token, and goes as soon as its window is over or the family is.
//! Which client may have it is for the caller to judge.

use super::opaque;
use super::secret::{MasterKey, SecretError};
use super::session::SessionError;
use super::token::LEEWAY_MS;
use crate::tenancy::record::{self, delete, present, put};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use storage::engine::{TableWrite, Tables};
use storage::error::{Corrupt, StoreError};
use storage::row::TimeMs;

/// Successors by family.
const SUCCESSORS: &str = "refresh_successors";

/// How long a spent token still gets its successor: some retries of a client on a bad line.
pub const GRACE_MS: TimeMs = 10_000;

/// How long the server may have been away so that those who wait for their answer still get it: a
/// crash, its repair and a start.
pub const AWAY_MS_MAX: TimeMs = 10 * 60_000;

/// How many are looked at in one transaction.
const PAGE: usize = 256;

#[derive(Serialize, Deserialize)]
struct Successor {
    /// The hash of the spent token.
    of: String,
    /// When its window began and ends.
    from_ms: TimeMs,
    until_ms: TimeMs,
    /// The successor, sealed, in base64.
    sealed: String,
}

impl Successor {
    fn is_open(&self, now_ms: TimeMs) -> bool {
        // Calls that were made at once may have read the clock in another order.
        (self.from_ms.saturating_sub(LEEWAY_MS)..self.until_ms).contains(&now_ms)
    }
}

/// What keeps `successor`, which replaces the token `spent` of `family` at `now_ms`.
pub(super) fn keep(
    master: &MasterKey,
    family: &str,
    spent: &str,
    successor: &str,
    now_ms: TimeMs,
) -> Result<TableWrite, SessionError> {
    let of = name(spent);
    let sealed = STANDARD.encode(master.seal(&context(family, &of), successor.as_bytes())?);
    let until_ms = now_ms.saturating_add(GRACE_MS);
    let kept = Successor { of, from_ms: now_ms, until_ms, sealed };
    Ok(put(SUCCESSORS, family.as_bytes(), record::encode(&kept)?))
}

/// The successor of the token `spent` of `family`, while it can still be had.
pub(super) fn find(
    platform: &dyn Tables,
    master: &MasterKey,
    family: &str,
    spent: &str,
    now_ms: TimeMs,
) -> Result<Option<String>, SessionError> {
    let Some(bytes) = platform.get(SUCCESSORS, family.as_bytes())? else { return Ok(None) };
    let kept = decode(family.as_bytes(), &bytes)?;
    if kept.of != name(spent) || !kept.is_open(now_ms) {
        return Ok(None);
    }
    let sealed = STANDARD.decode(&kept.sealed).map_err(|_| SecretError::Open)?;
    let successor = master.open(&context(family, &kept.of), &sealed)?;
    let damaged = |_| StoreError::from(Corrupt::new(format!("{SUCCESSORS}/{family}")));
    Ok(Some(String::from_utf8(successor).map_err(damaged)?))
}

/// What removes that of `family`.
pub(super) fn removal(family: &str) -> TableWrite {
    delete(SUCCESSORS, family.as_bytes())
}

/// Removes all.
pub(super) fn remove_all(platform: &dyn Tables) -> Result<(), StoreError> {
    record::clear(platform, SUCCESSORS)
}

/// Removes those whose window is over, in one transaction for each page.
pub(super) fn sweep(platform: &dyn Tables, now_ms: TimeMs) -> Result<(), StoreError> {
    each_page(platform, |kept| match kept.is_open(now_ms) {
        true => Change::Keep,
        false => Change::Remove,
    })
}

/// Opens every window anew at a start: whoever waited for an answer when the process ended has not
/// had the time to ask again. Those that began long ago go, however often the process ended since.
pub(super) fn reopen(platform: &dyn Tables, now_ms: TimeMs) -> Result<(), StoreError> {
    each_page(platform, |kept| {
        let away_ms = now_ms.saturating_sub(kept.from_ms.saturating_add(GRACE_MS));
        match away_ms <= AWAY_MS_MAX && now_ms >= kept.from_ms.saturating_sub(LEEWAY_MS) {
            true => Change::Until(now_ms.saturating_add(GRACE_MS)),
            false => Change::Remove,
        }
    })
}

enum Change {
    Keep,
    Remove,
    Until(TimeMs),
}

fn each_page(
    platform: &dyn Tables,
    change: impl Fn(&Successor) -> Change,
) -> Result<(), StoreError> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = platform.list(SUCCESSORS, b"", after.as_deref(), PAGE)?;
        let (mut expect, mut writes) = (Vec::new(), Vec::new());
        for (key, bytes) in &page {
            let kept: Option<Successor> = record::decode_if_sound(SUCCESSORS, bytes)?;
            writes.push(match kept.map(|kept| (change(&kept), kept)) {
                Some((Change::Keep, _)) => continue,
                Some((Change::Remove, _)) | None => delete(SUCCESSORS, key),
                Some((Change::Until(until_ms), kept)) => {
                    put(SUCCESSORS, key, record::encode(&Successor { until_ms, ..kept })?)
                }
            });
            expect.push(present(SUCCESSORS, key, bytes.clone()));
        }
        if !writes.is_empty() {
            platform.write(&expect, &writes)?; // if one has changed, another time
        }
        if page.len() < PAGE {
            return Ok(());
        }
        after = page.into_iter().last().map(|(key, _)| key);
    }
}

fn decode(family: &[u8], bytes: &[u8]) -> Result<Successor, StoreError> {
    record::decode(&format!("{SUCCESSORS}/{}", String::from_utf8_lossy(family)), bytes)
}

fn name(token: &str) -> String {
    opaque::hash_text(&opaque::hash(token))
}

fn context(family: &str, of: &str) -> String {
    format!("refresh_successor/{family}/{of}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenancy::fake::FakeEngine;

    struct World {
        engine: FakeEngine,
        master: MasterKey,
    }

    impl World {
        fn new() -> Self {
            Self { engine: FakeEngine::default(), master: MasterKey::random().unwrap() }
        }

        fn keep(&self, family: &str, spent: &str, successor: &str, now_ms: TimeMs) {
            let write = keep(&self.master, family, spent, successor, now_ms).unwrap();
            self.engine.write(&[], &[write]).unwrap();
        }

        fn find(&self, family: &str, spent: &str, now_ms: TimeMs) -> Option<String> {
            find(&self.engine, &self.master, family, spent, now_ms).unwrap()
        }
    }

    #[test]
    fn a_successor_is_had_for_its_window_by_its_token_and_lies_sealed() {
        let world = World::new();
        world.keep("f", "one", "two", 100_000);
        for (now_ms, there) in [
            (100_000 - LEEWAY_MS - 1, false),
            (100_000 - LEEWAY_MS, true),
            (100_000 + GRACE_MS - 1, true),
            (100_000 + GRACE_MS, false),
        ] {
            assert_eq!(world.find("f", "one", now_ms).is_some(), there, "{now_ms}");
        }
        assert_eq!(world.find("f", "one", 100_000).as_deref(), Some("two"));
        assert_eq!(world.find("f", "two", 100_000), None);
        assert_eq!(world.find("g", "one", 100_000), None);
        let stored = world.engine.get(SUCCESSORS, b"f").unwrap().unwrap();
        assert!(!String::from_utf8(stored).unwrap().contains("two"));

        world.keep("f", "two", "three", 100_001);
        assert_eq!(world.find("f", "one", 100_001), None, "one deep");
        assert_eq!(world.find("f", "two", 100_001).as_deref(), Some("three"));
        let elsewhere = MasterKey::random().unwrap();
        assert!(find(&world.engine, &elsewhere, "f", "two", 100_001).is_err());
        let moved = world.engine.get(SUCCESSORS, b"f").unwrap().unwrap();
        world.engine.write(&[], &[put(SUCCESSORS, b"g", moved)]).unwrap();
        let moved = find(&world.engine, &world.master, "g", "two", 100_001);
        assert!(matches!(moved, Err(SessionError::Secret(SecretError::Open))));
    }

    #[test]
    fn what_is_over_goes_and_a_start_opens_windows_anew() {
        let world = World::new();
        for n in 0..2 * PAGE as TimeMs {
            world.keep(&format!("{n:04}"), "one", "two", n * 20);
        }
        sweep(&world.engine, 2_000 + GRACE_MS).unwrap();
        assert_eq!(world.engine.platform_len(), 2 * PAGE - 101);
        sweep(&world.engine, 20_000 + GRACE_MS).unwrap();
        assert_eq!(world.engine.platform_len(), 0);

        world.keep("f", "one", "two", 0);
        let start_ms = GRACE_MS + AWAY_MS_MAX;
        reopen(&world.engine, start_ms).unwrap();
        assert_eq!(world.find("f", "one", start_ms + GRACE_MS - 1).as_deref(), Some("two"));
        assert_eq!(world.find("f", "one", start_ms + GRACE_MS), None);
        sweep(&world.engine, start_ms + GRACE_MS).unwrap();
        assert_eq!(world.engine.platform_len(), 0);
        for start_ms in [start_ms + 1, -LEEWAY_MS - 1] {
            world.keep("f", "one", "two", 0);
            reopen(&world.engine, start_ms).unwrap();
            assert_eq!(world.engine.platform_len(), 0, "{start_ms}");
        }
    }
}
