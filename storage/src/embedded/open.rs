//! Which keyspaces are open, and who is opening, closing, making or deleting one.
//!
//! *Invariants*: one thread at a time works on the file of a name, the one with its [`Claim`]. No
//! disk is waited for under the lock, so whoever waits for one name keeps nobody from another.

use super::keyspace::EmbeddedKeyspace;
use crate::error::StoreError;
use hashbrown::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The open keyspaces by name.
#[derive(Debug, Default)]
pub(super) struct OpenKeyspaces {
    table: Mutex<Table>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct Table {
    /// Each with when it was last asked for.
    open: HashMap<String, (Arc<EmbeddedKeyspace>, u64)>,
    claimed: HashSet<String>,
    /// Counts uses, so that the one used longest ago is known.
    clock: u64,
}

/// The right to open, close, make or delete the file of one name.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    all: &'a OpenKeyspaces,
    name: String,
}

impl OpenKeyspaces {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keyspace `name` if it is open; it counts as used.
    pub(super) fn find(&self, name: &str) -> Option<Arc<EmbeddedKeyspace>> {
        let mut table = self.lock();
        table.clock += 1;
        let now = table.clock;
        let (keyspace, used) = table.open.get_mut(name)?;
        *used = now;
        Some(Arc::clone(keyspace))
    }

    /// The keyspace `name` if it is open; it does not count as used.
    pub(super) fn peek(&self, name: &str) -> Option<Arc<EmbeddedKeyspace>> {
        self.lock().open.get(name).map(|(keyspace, _)| Arc::clone(keyspace))
    }

    /// The names of those that are open.
    pub(super) fn names(&self) -> Vec<String> {
        self.lock().open.keys().cloned().collect()
    }

    /// Waits until nobody else works on `name`.
    pub(super) fn claim(&self, name: &str) -> Claim<'_> {
        let mut table = self.lock();
        while table.claimed.contains(name) {
            table = self.released.wait(table).unwrap_or_else(PoisonError::into_inner);
        }
        table.claimed.insert(name.to_owned());
        Claim { all: self, name: name.to_owned() }
    }

    /// Closes those that nobody uses, the longest unused first, until there is room for one more
    /// among `max`. Where all are in use, those who use them bound how many there are.
    pub(super) fn make_room(&self, max: usize) {
        let mut idle = Vec::new();
        let mut table = self.lock();
        while table.open.len() >= max {
            let Table { open, claimed, .. } = &mut *table;
            let unused = open.iter().filter(|(name, (keyspace, _))| {
                Arc::strong_count(keyspace) == 1 && !claimed.contains(*name)
            });
            let Some(name) = unused.min_by_key(|(_, (_, used))| *used).map(|(n, _)| n.clone())
            else {
                break;
            };
            let keyspace = open.remove(&name);
            claimed.insert(name.clone());
            idle.push((keyspace, Claim { all: self, name }));
        }
        drop(table);
        drop(idle); // each closes its file before its claim ends
    }
}

impl Claim<'_> {
    /// Lets everybody use `keyspace`.
    pub(super) fn put(&self, keyspace: Arc<EmbeddedKeyspace>) {
        let mut table = self.all.lock();
        table.clock += 1;
        let now = table.clock;
        table.open.insert(self.name.clone(), (keyspace, now));
    }

    /// Closes the keyspace, if it is open; fails if somebody uses it.
    pub(super) fn close(&self) -> Result<(), StoreError> {
        let mut table = self.all.lock();
        if let Some((keyspace, _)) = table.open.get(&self.name)
            && Arc::strong_count(keyspace) > 1
        {
            return Err(StoreError::InUse);
        }
        let closed = table.open.remove(&self.name);
        drop(table);
        drop(closed);
        Ok(())
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.all.lock().claimed.remove(&self.name);
        self.all.released.notify_all();
    }
}
