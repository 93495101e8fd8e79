//! Who did what: entries chained by their hashes, one chain for each tenant and one for the platform.
//!
//! *Invariants*: an entry is written in the transaction of the act that it tells of, or the act does
//! not take place. Entry `n` holds the hash of entry `n - 1`, the head the hash of the last one, so that
//! whoever alters, removes, moves or inserts an entry has to write every later one anew, and an
//! [`Anchor`] that lies elsewhere shows even that. Nothing is changed or deleted here.

mod entry;
mod filter;
mod tally;
mod verify;

pub use entry::{Entry, Event, Link, Outcome, Source, Told};
pub use filter::{Filter, Found, Listed};
pub use verify::{Anchor, Finding, Harm, Verdict, verify_lines};

use aws_lc_rs::digest::{SHA256, digest};
use entry::Head;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use storage::engine::{Expect, TableWrite, Tables};
use storage::error::{Corrupt, StoreError};
use storage::row::TimeMs;
use tally::Tally;

/// Entries by `<chain>/<u64::MAX - seq, big endian>`: the newest comes first.
const ENTRIES: &str = "audit";

/// The head of each chain.
const HEADS: &str = "audit_heads";

/// The chain of what concerns no tenant, or all.
pub const PLATFORM: &str = "platform";

/// The actor of whoever is not known.
pub const ANONYMOUS: &str = "anonymous";

/// The actor of what the server does by itself.
pub const SERVER: &str = "server";

/// Longest page of entries.
pub const PAGE_MAX: usize = 1000;

/// Bytes of a question that is told whole: one that the page asks has some hundreds.
const QUESTION_BYTES_MAX: usize = 2048;

/// Entries of one transaction, where what was counted is written.
const TOLD_MAX: usize = 1000;

/// Entries as they are stored, with their seqs, newest first.
pub type StoredPage = Vec<(u64, Vec<u8>)>;

/// The log of an installation. One for a process, which owns the platform's tables.
pub struct AuditLog {
    platform: Arc<dyn Tables>,
    /// Held while an entry is added: the next one is chained to it.
    adding: Mutex<()>,
    /// What is told by itself and waits for that. Whoever adds next adds it all: as many wait as threads
    /// do, and they wait for one commit or two, however many they are.
    waiting: Mutex<Vec<Arc<Waiting>>>,
    tally: Tally,
}

struct Waiting {
    told: Vec<Told>,
    is_told: AtomicBool,
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").finish_non_exhaustive()
    }
}

impl AuditLog {
    /// The log that lies in `platform`.
    pub fn new(platform: Arc<dyn Tables>) -> Self {
        let (adding, waiting, tally) = (Mutex::default(), Mutex::default(), Tally::default());
        Self { platform, adding, waiting, tally }
    }

    /// The tables that acts change and the log lies in.
    pub fn platform(&self) -> &Arc<dyn Tables> {
        &self.platform
    }

    /// Does what `writes` say under the conditions `expect`, and tells `told`, all or nothing. Gives
    /// whether the conditions held. Where the store cannot tell whether the commit took place, it is
    /// looked up.
    pub fn write(
        &self,
        told: Vec<Told>,
        now_ms: TimeMs,
        expect: &[Expect],
        writes: &[TableWrite],
    ) -> Result<bool, StoreError> {
        let _alone = lock(&self.adding);
        self.write_alone(told, now_ms, expect, writes)
    }

    /// The same for one who holds `adding`.
    fn write_alone(
        &self,
        told: Vec<Told>,
        now_ms: TimeMs,
        expect: &[Expect],
        writes: &[TableWrite],
    ) -> Result<bool, StoreError> {
        let mut heads: BTreeMap<Box<str>, Head> = BTreeMap::new();
        let mut all = Vec::with_capacity(2 * told.len() + writes.len());
        for Told { chain, event } in told {
            let head = match heads.entry(chain.clone()) {
                Slot::Occupied(known) => known.into_mut(),
                Slot::Vacant(new) => new.insert(self.head(&chain)?),
            };
            let entry = Entry { seq: head.seq + 1, at_ms: now_ms, prev: head.hash, event };
            let bytes = entry.encode()?;
            *head = Head { seq: entry.seq, hash: hash_of(&bytes) };
            all.push(put(ENTRIES, entry_key(&chain, entry.seq), bytes));
        }
        for (chain, head) in &heads {
            all.push(put(HEADS, chain.as_bytes().into(), head.encode()?));
        }
        all.extend_from_slice(writes);
        match (self.platform.write(expect, &all), all.first()) {
            // An entry is unlike every other, so that it tells of its whole transaction.
            (Err(unknown @ StoreError::OutcomeUnknown { .. }), Some(first)) => {
                match self.platform.get(&first.table, &first.key) {
                    Ok(found) if found == first.value => Ok(true),
                    _ => Err(unknown),
                }
            }
            (outcome, _) => outcome,
        }
    }

    /// Tells what changes nothing else: what was read, or an act that lies elsewhere. What others tell
    /// meanwhile comes with it, or it with theirs.
    pub fn tell(&self, told: Vec<Told>, now_ms: TimeMs) -> Result<(), StoreError> {
        let mine = Arc::new(Waiting { told, is_told: AtomicBool::new(false) });
        lock(&self.waiting).push(Arc::clone(&mine));
        let _alone = lock(&self.adding);
        if mine.is_told.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut together = std::mem::take(&mut *lock(&self.waiting));
        if !together.iter().any(|waiting| Arc::ptr_eq(waiting, &mine)) {
            together.push(mine); // it was taken by one who failed
        }
        let told = together.iter().flat_map(|waiting| waiting.told.clone()).collect();
        self.write_alone(told, now_ms, &[], &[])?;
        together.iter().for_each(|waiting| waiting.is_told.store(true, Ordering::Release));
        Ok(())
    }

    /// Tells what only reads, so that it may go on where nothing can be written, on a full disk as while
    /// syncs fail: it is told later then. Fails where too much is to be told later already.
    pub fn tell_now_or_later(&self, told: Vec<Told>, now_ms: TimeMs) -> Result<(), StoreError> {
        let Err(error) = self.tell(told.clone(), now_ms) else { return Ok(()) };
        tracing::warn!(%error, "what was read is not in the audit log yet");
        match told.iter().all(|told| self.tally.later(told)) {
            true => Ok(()),
            false => Err(error),
        }
    }

    /// Counts what was refused; [`flush`](Self::flush) writes it. Waits for nothing, so that a flood of
    /// refusals is no flood of writes.
    pub fn count(&self, told: Told) {
        self.tally.count(told);
    }

    /// Counts what was read again by the same one from the same place since the last
    /// [`flush`](Self::flush). Gives `told` back if it is the first time: it is to be told before
    /// anything is shown.
    pub fn read(&self, told: Told) -> Option<Told> {
        self.tally.read(told)
    }

    /// Writes what was counted. What cannot be written now is kept. Gives how many entries there were.
    pub fn flush(&self, now_ms: TimeMs) -> Result<usize, StoreError> {
        let mut counted = self.tally.take();
        let count = counted.len();
        while !counted.is_empty() {
            let later = counted.split_off(counted.len().min(TOLD_MAX));
            if let Err(error) = self.tell(counted.clone(), now_ms) {
                counted.into_iter().chain(later).for_each(|told| self.keep(told));
                return Err(error);
            }
            counted = later;
        }
        Ok(count)
    }

    fn keep(&self, told: Told) {
        if told.event.outcome == Outcome::Refused {
            self.tally.count(told);
        } else if !self.tally.later(&told) {
            tracing::error!(?told, "this does not come into the audit log: too much waits for it");
        }
    }

    /// Up to `limit` entries of `chain` before the entry `before` (`None`: from the last one on),
    /// newest first.
    pub fn page(
        &self,
        chain: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let stored = self.page_as_stored(chain, before, limit)?;
        stored.iter().map(|(_, bytes)| Entry::decode(bytes)).collect()
    }

    /// Up to `limit` entries of `chain` before the entry `before`, as they are stored and hashed.
    pub fn page_as_stored(
        &self,
        chain: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<StoredPage, StoreError> {
        let after = before.map(|seq| entry_key(chain, seq));
        let prefix = chain_prefix(chain);
        let found = self.platform.list(ENTRIES, &prefix, after.as_deref(), limit.min(PAGE_MAX))?;
        found.into_iter().map(|(key, bytes)| Ok((seq_of(&key)?, bytes))).collect()
    }

    /// What tells the state of `chain`: kept elsewhere, it shows later whether what it covers is still
    /// the same.
    pub fn anchor(&self, chain: &str) -> Result<Anchor, StoreError> {
        let Head { seq, hash } = self.head(chain)?;
        Ok(Anchor { chain: chain.into(), seq, hash })
    }

    /// Every chain that has entries, in order of their names.
    pub fn chains(&self) -> Result<Vec<String>, StoreError> {
        let mut chains = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.platform.list(HEADS, b"", after.as_deref(), PAGE_MAX)?;
            chains.extend(page.iter().map(|(key, _)| String::from_utf8_lossy(key).into_owned()));
            if page.len() < PAGE_MAX {
                return Ok(chains);
            }
            after = page.into_iter().last().map(|(key, _)| key);
        }
    }

    fn head(&self, chain: &str) -> Result<Head, StoreError> {
        let stored = self.platform.get(HEADS, chain.as_bytes())?;
        Ok(stored.as_deref().map(Head::decode).transpose()?.unwrap_or_default())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn put(table: &str, key: Vec<u8>, value: Vec<u8>) -> TableWrite {
    TableWrite { table: table.into(), key, value: Some(value) }
}

fn chain_prefix(chain: &str) -> Vec<u8> {
    format!("{chain}/").into_bytes()
}

fn entry_key(chain: &str, seq: u64) -> Vec<u8> {
    let mut key = chain_prefix(chain);
    key.extend_from_slice(&(u64::MAX - seq).to_be_bytes());
    key
}

/// The seq that a key says.
fn seq_of(key: &[u8]) -> Result<u64, StoreError> {
    let last = key.last_chunk::<8>().ok_or_else(|| Corrupt::new("the key of an audit entry"))?;
    Ok(u64::MAX - u64::from_be_bytes(*last))
}

/// A question as it is told: one that is very long by its beginning, its length and the hash of it all.
pub fn excerpt(asked: String) -> String {
    if asked.len() <= QUESTION_BYTES_MAX {
        return asked;
    }
    let beginning = &asked[..asked.floor_char_boundary(QUESTION_BYTES_MAX)];
    format!("{beginning}… ({} bytes, SHA-256 {})", asked.len(), hash_of(asked.as_bytes()))
}

/// The SHA-256 of `bytes`, as an entry is chained by it.
fn hash_of(bytes: &[u8]) -> Link {
    let mut link = [0; 32];
    link.copy_from_slice(digest(&SHA256, bytes).as_ref());
    Link(link)
}
