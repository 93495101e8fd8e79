//! A keyspace whose appends can be held at a gate and made to fail; all else is the real one's.

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use storage::ask::{AggregateRequest, Aggregated, AskError, Budget, Predicate, Selection};
use storage::batch::RowBatch;
use storage::engine::{
    Append, Appended, CursorState, Expect, FeedItem, Keyspace, KeyspaceStats, PageCursor,
    TableWrite, Tables,
};
use storage::error::StoreError;
use storage::row::{RowId, Seq, TimeMs};
use storage::schema::{Index, Indexed, Moved, SchemaState};

/// What an append does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// What it should.
    Go,
    /// It finds the disk full.
    Fail,
    /// It panics.
    Panic,
    /// It stores nothing and gives no results.
    Forget,
}

/// The keyspace.
#[derive(Debug)]
pub(crate) struct Scripted {
    /// The real one.
    pub(crate) inner: Arc<dyn Keyspace>,
    gate: Option<(Sender<()>, Receiver<()>)>,
    acts: Mutex<VecDeque<Act>>,
    groups: Mutex<Vec<usize>>,
}

/// Holds every append until it is opened (or dropped).
pub(crate) struct Gate {
    arrived: Receiver<()>,
    _shut: Sender<()>,
}

impl Gate {
    /// Waits until an append stands before it.
    pub(crate) fn wait_for_arrival(&self) {
        self.arrived.recv_timeout(Duration::from_secs(30)).expect("an append arrives");
    }

    /// Lets everything pass from now on.
    pub(crate) fn open(self) {}
}

impl Scripted {
    pub(crate) fn new(inner: Arc<dyn Keyspace>) -> Arc<Self> {
        let (acts, groups) = (Mutex::default(), Mutex::default());
        Arc::new(Self { inner, gate: None, acts, groups })
    }

    pub(crate) fn gated(inner: Arc<dyn Keyspace>) -> (Arc<Self>, Gate) {
        let (arrive, arrived) = unbounded();
        let (shut, opened) = bounded(0);
        let (acts, groups) = (Mutex::default(), Mutex::default());
        let keyspace = Arc::new(Self { inner, gate: Some((arrive, opened)), acts, groups });
        (keyspace, Gate { arrived, _shut: shut })
    }

    /// What the next append does that has no act yet.
    pub(crate) fn next(&self, act: Act) {
        self.acts.lock().unwrap_or_else(PoisonError::into_inner).push_back(act);
    }

    /// How many appends came in each call.
    pub(crate) fn group_sizes(&self) -> Vec<usize> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Keyspace for Scripted {
    fn append(&self, appends: Vec<Append>) -> Result<Vec<Appended>, StoreError> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).push(appends.len());
        if let Some((arrive, opened)) = &self.gate {
            // Nobody listens any more once the gate is open; it opens by being dropped.
            let _ = arrive.send(());
            let _ = opened.recv();
        }
        let act = self.acts.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        match act.unwrap_or(Act::Go) {
            Act::Go => self.inner.append(appends),
            Act::Fail => Err(StoreError::DiskFull { free_bytes: 0 }),
            Act::Panic => panic!("an append that panics"),
            Act::Forget => Ok(Vec::new()),
        }
    }

    fn remove(&self, selection: &Selection) -> Result<u64, StoreError> {
        self.inner.remove(selection)
    }

    fn replace(&self, rows: RowBatch) -> Result<u64, StoreError> {
        self.inner.replace(rows)
    }

    fn aggregate(&self, asked: &AggregateRequest, budget: &Budget) -> Result<Aggregated, AskError> {
        self.inner.aggregate(asked, budget)
    }

    fn page(
        &self,
        selection: &Selection,
        after: Option<PageCursor>,
        limit: usize,
        budget: &Budget,
    ) -> Result<RowBatch, AskError> {
        self.inner.page(selection, after, limit, budget)
    }

    fn find(
        &self,
        id: RowId<'_>,
        ts_ms: Option<TimeMs>,
        predicates: &[Predicate],
    ) -> Result<RowBatch, AskError> {
        self.inner.find(id, ts_ms, predicates)
    }

    fn scan(
        &self,
        selection: &Selection,
        budget: &Budget,
        each: &mut dyn FnMut(&RowBatch) -> bool,
    ) -> Result<(), AskError> {
        self.inner.scan(selection, budget, each)
    }

    fn rows_by_seq(&self, from: Seq, to: Seq, limit: usize) -> Result<RowBatch, AskError> {
        self.inner.rows_by_seq(from, to, limit)
    }

    fn feed(&self, from_seq: Seq, bytes_max: usize) -> Result<Vec<FeedItem>, StoreError> {
        self.inner.feed(from_seq, bytes_max)
    }

    fn cursor(&self, consumer: &str) -> Result<CursorState, StoreError> {
        self.inner.cursor(consumer)
    }

    fn set_cursor(&self, consumer: &str, next_seq: Seq) -> Result<(), StoreError> {
        self.inner.set_cursor(consumer, next_seq)
    }

    fn last_seq(&self) -> Result<Seq, StoreError> {
        self.inner.last_seq()
    }

    fn feed_footprint(&self) -> Result<u64, StoreError> {
        Ok(self.stats()?.feed_bytes)
    }

    fn stats(&self) -> Result<KeyspaceStats, StoreError> {
        self.inner.stats()
    }

    fn schema(&self) -> Result<SchemaState, StoreError> {
        self.inner.schema()
    }

    fn migrate(&self, to: u32) -> Result<Moved, StoreError> {
        self.inner.migrate(to)
    }

    fn list_by(
        &self,
        index: &Index,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Option<Vec<Indexed>>, StoreError> {
        self.inner.list_by(index, after, limit)
    }

    fn settle(&self) -> Result<(), StoreError> {
        self.inner.settle()
    }

    fn snapshot(&self, to: &Path) -> Result<(), StoreError> {
        self.inner.snapshot(to)
    }

    fn rewrite(&self) -> Result<(), StoreError> {
        self.inner.rewrite()
    }

    fn check(&self) -> Result<Vec<String>, StoreError> {
        self.inner.check()
    }
}

impl Tables for Scripted {
    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(table, key)
    }

    fn list(
        &self,
        table: &str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        self.inner.list(table, prefix, after, limit)
    }

    fn write(&self, expect: &[Expect], writes: &[TableWrite]) -> Result<bool, StoreError> {
        self.inner.write(expect, writes)
    }
}
