//! A real engine in a folder of its own, and the moment at which the tests' bodies arrive.

use emx::process::admit::Arrival;
use emx::tenancy::schema::SCHEMA;
use std::sync::Arc;
use storage::ask::{Budget, Selection};
use storage::batch::RowBatch;
use storage::embedded::{EmbeddedEngine, EngineSettings};
use storage::engine::{Engine, Keyspace, KeyspaceSettings};
use storage::volume::OsVolume;

/// 2026-03-01T00:00:00Z.
pub(crate) const RECEIVED_MS: i64 = 1_772_323_200_000;

/// By the API, to a tenant that keeps its rows for ten years.
pub(crate) fn arrival() -> Arrival<'static> {
    const TEN_YEARS_MS: i64 = 10 * 365 * 86_400_000;
    Arrival { received_ms: RECEIVED_MS, origin: "api", retention_ms: Some(TEN_YEARS_MS) }
}

/// The engine and the folder that goes with it.
pub(crate) struct Store {
    engine: EmbeddedEngine,
    _folder: tempfile::TempDir,
}

impl Store {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let volume = OsVolume::shared(folder.path());
        let settings =
            EngineSettings { background: false, schema: &SCHEMA, ..EngineSettings::default() };
        let engine = EmbeddedEngine::open(volume, settings).expect("an engine");
        Self { engine, _folder: folder }
    }

    /// A new keyspace.
    pub(crate) fn keyspace(&self, name: &str) -> Arc<dyn Keyspace> {
        self.engine.create(name, &KeyspaceSettings::default()).expect("a keyspace");
        self.engine.open(name).expect("the keyspace")
    }
}

/// Every row there is, newest first.
pub(crate) fn all_rows(keyspace: &dyn Keyspace) -> RowBatch {
    let (selection, budget) = (Selection::all(), Budget::default());
    keyspace.page(&selection, None, 100_000, &budget).expect("the rows")
}
