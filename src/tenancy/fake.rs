//! An engine in memory that dies when told to, for tests of what spans several of its calls.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard};
use storage::ask::{AggregateRequest, Aggregated, AskError, Budget, Predicate, Selection};
use storage::batch::RowBatch;
use storage::engine::{
    Append, Appended, CursorState, Engine, Expect, FeedItem, Keyspace, KeyspaceSettings,
    KeyspaceStats, PageCursor, TableWrite, Tables,
};
use storage::error::StoreError;
use storage::row::{RowId, Seq, TimeMs};
use storage::schema::{Index, Indexed, Moved, SchemaState};

type Entries = BTreeMap<(String, Vec<u8>), Vec<u8>>;

/// What survives a death, and when to die.
#[derive(Debug, Default)]
struct World {
    platform: Entries,
    keyspaces: BTreeMap<String, KeyspaceSettings>,
    calls: u64,
    dies_at: Option<Death>,
}

/// At which changing call to die, and whether that call still takes effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Death {
    pub(crate) call: u64,
    pub(crate) takes_effect: bool,
    /// Whether it is alive again at the next call.
    pub(crate) recovers: bool,
}

/// The engine; clones share the same world.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeEngine {
    world: Arc<Mutex<World>>,
    /// What the next keyspace that is made waits for.
    gate: Arc<Mutex<Option<Receiver<()>>>>,
}

impl FakeEngine {
    pub(crate) fn shared(&self) -> Arc<dyn Engine> {
        Arc::new(self.clone())
    }

    /// Dies at `death`; `None` brings it back to life.
    pub(crate) fn die_at(&self, death: Option<Death>) {
        let mut world = self.world();
        world.calls = 0;
        world.dies_at = death;
    }

    /// Has the next keyspace that is made wait for something to come by `gate`.
    pub(crate) fn hold_creation(&self, gate: Receiver<()>) {
        *self.gate.lock().unwrap() = Some(gate);
    }

    /// Changing calls since [`die_at`](Self::die_at).
    pub(crate) fn calls(&self) -> u64 {
        self.world().calls
    }

    pub(crate) fn keyspaces(&self) -> BTreeSet<String> {
        self.world().keyspaces.keys().cloned().collect()
    }

    pub(crate) fn settings(&self, name: &str) -> Option<KeyspaceSettings> {
        self.world().keyspaces.get(name).copied()
    }

    pub(crate) fn platform_len(&self) -> usize {
        let world = self.world();
        world.platform.keys().filter(|(table, _)| !table.starts_with("audit")).count()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn is_dead(world: &World) -> bool {
        world.dies_at.is_some_and(|death| world.calls > death.call && !death.recovers)
    }

    fn read<R>(&self, act: impl FnOnce(&World) -> R) -> Result<R, StoreError> {
        let world = self.world();
        if Self::is_dead(&world) { Err(unknown()) } else { Ok(act(&world)) }
    }

    fn change<R>(
        &self,
        act: impl FnOnce(&mut World) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let mut world = self.world();
        let dead = Self::is_dead(&world);
        let death = world.dies_at.filter(|death| death.call == world.calls);
        world.calls += 1;
        match death {
            _ if dead => Err(unknown()),
            None => act(&mut world),
            Some(death) => {
                if death.takes_effect {
                    act(&mut world)?;
                }
                Err(unknown())
            }
        }
    }
}

fn unknown() -> StoreError {
    StoreError::OutcomeUnknown { reason: "the fake died".into() }
}

impl Engine for FakeEngine {
    fn create(&self, name: &str, settings: &KeyspaceSettings) -> Result<(), StoreError> {
        let gate = self.gate.lock().unwrap().take();
        if let Some(gate) = gate {
            gate.recv().unwrap();
        }
        self.change(|world| match world.keyspaces.insert(name.into(), *settings) {
            None => Ok(()),
            Some(_) => Err(StoreError::Exists { name: name.into() }),
        })
    }

    fn adopt(&self, name: &str, _: &Path, settings: &KeyspaceSettings) -> Result<(), StoreError> {
        self.create(name, settings)
    }

    fn open(&self, name: &str) -> Result<Arc<dyn Keyspace>, StoreError> {
        match self.read(|world| world.keyspaces.contains_key(name))? {
            true => Ok(Arc::new(FakeKeyspace)),
            false => Err(StoreError::NotFound { name: name.into() }),
        }
    }

    fn opened(&self, name: &str) -> Option<Arc<dyn Keyspace>> {
        self.open(name).ok()
    }

    fn listen(&self, _: storage::engine::Listener) {}

    fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.change(|world| {
            world.keyspaces.remove(name);
            Ok(())
        })
    }

    fn list(&self) -> Result<Vec<String>, StoreError> {
        self.read(|world| world.keyspaces.keys().cloned().collect())
    }

    fn platform(&self) -> Result<Arc<dyn Tables>, StoreError> {
        Ok(Arc::new(self.clone()))
    }

    fn settle(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn demand_room(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Tables for FakeEngine {
    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|world| world.platform.get(&(table.into(), key.into())).cloned())
    }

    fn list(
        &self,
        table: &str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        self.read(|world| {
            let here = world.platform.iter().filter(|((t, key), _)| {
                t == table && key.starts_with(prefix) && after.is_none_or(|after| &key[..] > after)
            });
            here.map(|((_, key), value)| (key.clone(), value.clone())).take(limit).collect()
        })
    }

    fn write(&self, expect: &[Expect], writes: &[TableWrite]) -> Result<bool, StoreError> {
        self.change(|world| {
            let holds = expect
                .iter()
                .all(|e| world.platform.get(&(e.table.clone(), e.key.clone())) == e.value.as_ref());
            if !holds {
                return Ok(false);
            }
            for write in writes {
                let at = (write.table.clone(), write.key.clone());
                match &write.value {
                    Some(value) => world.platform.insert(at, value.clone()),
                    None => world.platform.remove(&at),
                };
            }
            Ok(true)
        })
    }
}

/// A keyspace that is there and does nothing.
#[derive(Debug)]
struct FakeKeyspace;

fn nothing<T>() -> Result<T, StoreError> {
    Err(StoreError::Closed { reason: "the fake keeps no rows".into() })
}

impl Tables for FakeKeyspace {
    fn get(&self, _: &str, _: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        nothing()
    }

    fn list(
        &self,
        _: &str,
        _: &[u8],
        _: Option<&[u8]>,
        _: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        nothing()
    }

    fn write(&self, _: &[Expect], _: &[TableWrite]) -> Result<bool, StoreError> {
        nothing()
    }
}

impl Keyspace for FakeKeyspace {
    fn append(&self, _: Vec<Append>) -> Result<Vec<Appended>, StoreError> {
        nothing()
    }

    fn remove(&self, _: &Selection) -> Result<u64, StoreError> {
        nothing()
    }

    fn replace(&self, _: RowBatch) -> Result<u64, StoreError> {
        nothing()
    }

    fn aggregate(&self, _: &AggregateRequest, _: &Budget) -> Result<Aggregated, AskError> {
        Ok(nothing()?)
    }

    fn page(
        &self,
        _: &Selection,
        _: Option<PageCursor>,
        _: usize,
        _: &Budget,
    ) -> Result<RowBatch, AskError> {
        Ok(nothing()?)
    }

    fn find(&self, _: RowId<'_>, _: Option<TimeMs>, _: &[Predicate]) -> Result<RowBatch, AskError> {
        Ok(nothing()?)
    }

    fn scan(
        &self,
        _: &Selection,
        _: &Budget,
        _: &mut dyn FnMut(&RowBatch) -> bool,
    ) -> Result<(), AskError> {
        Ok(nothing()?)
    }

    fn rows_by_seq(&self, _: Seq, _: Seq, _: usize) -> Result<RowBatch, AskError> {
        Ok(nothing()?)
    }

    fn feed(&self, _: Seq, _: usize) -> Result<Vec<FeedItem>, StoreError> {
        nothing()
    }

    fn cursor(&self, _: &str) -> Result<CursorState, StoreError> {
        nothing()
    }

    fn set_cursor(&self, _: &str, _: Seq) -> Result<(), StoreError> {
        nothing()
    }

    fn last_seq(&self) -> Result<Seq, StoreError> {
        nothing()
    }

    fn feed_footprint(&self) -> Result<u64, StoreError> {
        Ok(self.stats()?.feed_bytes)
    }

    fn stats(&self) -> Result<KeyspaceStats, StoreError> {
        nothing()
    }

    fn schema(&self) -> Result<SchemaState, StoreError> {
        nothing()
    }

    fn migrate(&self, _: u32) -> Result<Moved, StoreError> {
        nothing()
    }

    fn list_by(
        &self,
        _: &Index,
        _: Option<&[u8]>,
        _: usize,
    ) -> Result<Option<Vec<Indexed>>, StoreError> {
        nothing()
    }

    fn settle(&self) -> Result<(), StoreError> {
        nothing()
    }

    fn snapshot(&self, _: &Path) -> Result<(), StoreError> {
        nothing()
    }

    fn rewrite(&self) -> Result<(), StoreError> {
        nothing()
    }

    fn check(&self) -> Result<Vec<String>, StoreError> {
        nothing()
    }
}
