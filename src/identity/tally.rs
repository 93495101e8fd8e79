//! Counts of attempts within windows of time, that may be stored and taken up again.
//!
//! *Invariants*: memory is bounded, and whoever counts most is remembered. A window begins with its
//! first attempt. Worth storing are counts of at least half of their limit: a restart gives others
//! their whole allowance again, and a flood of attempts is no flood of entries.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};
use storage::row::TimeMs;

/// How long attempts are counted together.
pub const WINDOW_MS: TimeMs = 5 * 60_000;

/// What is counted at the same time of one kind: some 1 MB. Beyond it whoever counts least is
/// forgotten.
const COUNTED_MAX: usize = 16_384;

/// How many places are made at once where all are taken, so that looking through all is rare.
const FORGOTTEN_AT_ONCE: usize = 1_024;

/// Bytes of a key.
const KEY_BYTES: usize = 16;

/// There were too many attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there were too many attempts: wait {retry_after_s} seconds; programs keep their session, or have an API key"
)]
pub struct Refused {
    /// How many there may be in a window.
    pub limit: u32,
    /// When to try again, seconds from now.
    pub retry_after_s: u64,
}

impl Refused {
    /// A stable word for programs.
    pub const CODE: &'static str = "too_many_attempts";

    /// How long a window is, seconds.
    pub const WINDOW_S: u64 = (WINDOW_MS / 1000).unsigned_abs();
}

/// Whose attempts are counted together: a hash, for what is typed may be long.
pub(super) type Key = [u8; KEY_BYTES];

/// The key of what these words name together.
pub(super) fn key(words: &[&str]) -> Key {
    let hash = digest(&SHA256, words.join("\0").as_bytes());
    let mut key = Key::default();
    key.copy_from_slice(&hash.as_ref()[..KEY_BYTES]);
    key
}

/// The key as text.
pub(super) fn key_text(key: &Key) -> String {
    URL_SAFE_NO_PAD.encode(key)
}

/// The key that `text` stands for.
pub(super) fn read_key(text: &str) -> Option<Key> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// Attempts of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Count {
    pub(super) attempts: u32,
    pub(super) since_ms: TimeMs,
}

impl Count {
    /// A clock that was set back ends a window too.
    pub(super) fn is_over(self, now_ms: TimeMs) -> bool {
        now_ms < self.since_ms || now_ms >= self.since_ms.saturating_add(WINDOW_MS)
    }
}

/// Counts of one kind.
#[derive(Debug)]
pub(super) struct Tally {
    limit: u32,
    counts: HashMap<Key, Count>,
    /// Counts that are stored, and those whose entry is not what it should be.
    stored: HashSet<Key>,
    changed: HashSet<Key>,
}

impl Tally {
    /// A tally of at most `limit` attempts in a window.
    pub(super) fn new(limit: u32) -> Self {
        let (stored, changed) = (HashSet::new(), HashSet::new());
        Self { limit, counts: HashMap::new(), stored, changed }
    }

    /// Takes up a count that was stored.
    pub(super) fn restore(&mut self, key: Key, count: Count) {
        if self.counts.len() < COUNTED_MAX {
            self.counts.insert(key, count);
            self.stored.insert(key);
        }
    }

    /// Why there may be no further attempt, if so.
    pub(super) fn refusal(&self, key: &Key, now_ms: TimeMs) -> Option<Refused> {
        let count = self.counts.get(key)?;
        if count.attempts < self.limit || count.is_over(now_ms) {
            return None;
        }
        let left_ms = count.since_ms.saturating_add(WINDOW_MS).saturating_sub(now_ms);
        let retry_after_s = left_ms.unsigned_abs().div_ceil(1000).max(1);
        Some(Refused { limit: self.limit, retry_after_s })
    }

    /// Counts an attempt. Gives whether it was the last that there may be.
    pub(super) fn add(&mut self, key: Key, now_ms: TimeMs) -> bool {
        let attempts = match self.counts.get_mut(&key) {
            Some(count) if !count.is_over(now_ms) => {
                count.attempts = count.attempts.saturating_add(1);
                count.attempts
            }
            Some(count) => {
                *count = Count { attempts: 1, since_ms: now_ms };
                1
            }
            None => {
                if self.counts.len() >= COUNTED_MAX {
                    self.make_room(now_ms);
                }
                self.counts.insert(key, Count { attempts: 1, since_ms: now_ms });
                1
            }
        };
        self.note(key, attempts);
        attempts == self.limit
    }

    /// Takes back one attempt.
    pub(super) fn take_back(&mut self, key: &Key) {
        let Some(count) = self.counts.get_mut(key) else { return };
        count.attempts = count.attempts.saturating_sub(1);
        let attempts = count.attempts;
        self.note(*key, attempts);
    }

    /// Takes back all.
    pub(super) fn forget(&mut self, key: &Key) {
        self.counts.remove(key);
        self.note(*key, 0);
    }

    /// Up to `most` entries that are not stored as they should be, with what they should be; they
    /// count as stored from now on.
    pub(super) fn take_changed(&mut self, most: usize) -> Vec<(Key, Option<Count>)> {
        let keys: Vec<Key> = self.changed.iter().take(most).copied().collect();
        let taken = keys.into_iter().map(|key| {
            self.changed.remove(&key);
            let count = self.counts.get(&key).copied();
            let count = count.filter(|count| self.is_worth_storing(count.attempts));
            match count {
                Some(_) => self.stored.insert(key),
                None => self.stored.remove(&key),
            };
            (key, count)
        });
        taken.collect()
    }

    /// An entry could not be stored.
    pub(super) fn not_stored(&mut self, key: Key) {
        self.changed.insert(key);
    }

    /// Forgets what is over, in memory.
    pub(super) fn sweep(&mut self, now_ms: TimeMs) {
        self.counts.retain(|_, count| !count.is_over(now_ms));
        self.stored.retain(|key| self.counts.contains_key(key));
        self.changed.retain(|key| self.counts.contains_key(key));
    }

    fn is_worth_storing(&self, attempts: u32) -> bool {
        attempts >= self.limit.div_ceil(2)
    }

    fn note(&mut self, key: Key, attempts: u32) {
        if self.is_worth_storing(attempts) || self.stored.contains(&key) {
            self.changed.insert(key);
        }
    }

    /// Forgets whose window is over, else those who count least and longest ago.
    fn make_room(&mut self, now_ms: TimeMs) {
        self.sweep(now_ms);
        if self.counts.len() + FORGOTTEN_AT_ONCE <= COUNTED_MAX {
            return;
        }
        let mut order: Vec<(u32, TimeMs, Key)> =
            self.counts.iter().map(|(key, count)| (count.attempts, count.since_ms, *key)).collect();
        order.sort_unstable();
        for (.., key) in order.into_iter().take(FORGOTTEN_AT_ONCE) {
            self.forget(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Key = [1; KEY_BYTES];

    #[test]
    fn there_are_so_many_in_a_window_and_it_begins_with_the_first() {
        let mut tally = Tally::new(3);
        assert_eq!([1_000, 1_001, 1_002].map(|now_ms| tally.add(ME, now_ms)), [false, false, true]);
        let refused = Refused { limit: 3, retry_after_s: 299 };
        assert_eq!(tally.refusal(&ME, 2_000), Some(refused));
        assert_eq!(tally.refusal(&[2; KEY_BYTES], 2_000), None);
        let last = Refused { limit: 3, retry_after_s: 1 };
        assert_eq!(tally.refusal(&ME, 999 + WINDOW_MS), Some(last));
        assert_eq!(tally.refusal(&ME, 1_000 + WINDOW_MS), None);
        assert_eq!(tally.refusal(&ME, 999), None, "the clock was set back");
        assert!(!tally.add(ME, 1_000 + WINDOW_MS));
        tally.take_back(&ME);
        assert_eq!([0; 3].map(|n| tally.add(ME, n + 2_000 + WINDOW_MS)), [false, false, true]);
        tally.forget(&ME);
        assert_eq!(tally.refusal(&ME, 2_000 + WINDOW_MS), None);
    }

    #[test]
    fn what_is_half_used_up_is_worth_storing_until_it_is_taken_back() {
        let mut tally = Tally::new(5);
        tally.add(ME, 0);
        tally.add(ME, 0);
        assert_eq!(tally.take_changed(9), []);
        tally.add(ME, 0);
        assert_eq!(tally.take_changed(9), [(ME, Some(Count { attempts: 3, since_ms: 0 }))]);
        assert_eq!(tally.take_changed(9), []);
        tally.not_stored(ME);
        assert_eq!(tally.take_changed(9).len(), 1);
        tally.take_back(&ME);
        assert_eq!(tally.take_changed(9), [(ME, None)]);
        assert_eq!(tally.take_changed(9), []);
        for now_ms in 0..5 {
            tally.add(ME, now_ms);
        }
        tally.forget(&ME);
        assert_eq!(tally.take_changed(9), [(ME, None)]);

        for n in 0..10 {
            for now_ms in 0..5 {
                tally.add([n; KEY_BYTES], now_ms);
            }
        }
        assert_eq!([4, 4, 4].map(|most| tally.take_changed(most).len()), [4, 4, 2]);
        assert_eq!(read_key(&key_text(&ME)), Some(ME));
        assert_eq!(read_key("AAAA"), None);
    }

    #[test]
    fn memory_is_bounded_and_whoever_counts_most_is_remembered() {
        let mut tally = Tally::new(10);
        for _ in 0..10 {
            tally.add(ME, 0);
        }
        tally.take_changed(1);
        for n in 0..3 * COUNTED_MAX {
            tally.add(key(&[&n.to_string()]), 1);
        }
        assert!(tally.counts.len() <= COUNTED_MAX && tally.stored.len() + tally.changed.len() <= 1);
        assert!(tally.refusal(&ME, 2).is_some());
        tally.sweep(1 + WINDOW_MS);
        assert!(tally.counts.is_empty() && tally.stored.is_empty());
    }
}
