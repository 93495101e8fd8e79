//! The product as the benchmarks use it: bytes in, questions answered.

use crate::measure::now;
use crate::workload::END_MS;
use anyhow::{Result, ensure};
use emx::intake::batch::{Prepared, prepare};
use emx::intake::decode::{Body, DecodeLimits, Encoding, Format, Shape, decode};
use emx::intake::writer::{WriterSettings, Writers};
use emx::process::admit::Arrival;
use emx::query::{Answer, QuerySettings, Question, Scope, ask, render};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use storage::embedded::{EmbeddedEngine, EngineSettings};
use storage::engine::{Engine, KeyspaceSettings, KeyspaceStats};
use storage::volume::OsVolume;

/// The engine with what stands in front of it.
#[derive(Debug)]
pub(crate) struct System {
    // Before the engine, so that what waits is written before it closes.
    writers: Writers,
    engine: Arc<dyn Engine>,
}

/// An answer's rows, cells as JSON.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Value>>,
}

/// An answer as it is served.
#[derive(Debug, Deserialize)]
struct Served {
    columns: Vec<Column>,
    rows: Vec<Vec<Value>>,
}

#[derive(Debug, Deserialize)]
struct Column {
    name: String,
}

/// Writes an answer out and reads it again, as a client would.
pub(crate) fn table(answer: &Answer) -> Result<Table> {
    let mut text = Vec::new();
    render::write_json(&mut text, answer)?;
    let served: Served = serde_json::from_slice(&text)?;
    let columns = served.columns.into_iter().map(|column| column.name).collect();
    Ok(Table { columns, rows: served.rows })
}

impl System {
    /// Opens the data directory `path`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(Self { writers: Writers::start(WriterSettings::default())?, engine: engine(path)? })
    }

    /// Makes a tenant.
    pub(crate) fn create(&self, tenant: &str) -> Result<()> {
        Ok(self.engine.create(tenant, &KeyspaceSettings::default())?)
    }

    /// Sends lines; fails unless every one is accepted.
    pub(crate) fn send(&self, tenant: &str, body: &[u8]) -> Result<()> {
        let shape =
            Body { format: Format::Ndjson, encoding: Encoding::Identity, shape: Shape::Many };
        let arrival = Arrival { received_ms: END_MS, origin: "api", retention_ms: None };
        let decoded = decode(body, shape, arrival, &DecodeLimits::default())?;
        let total = decoded.total;
        let Prepared { append, ledger } = prepare(decoded, arrival, false)?;
        let keyspace = self.engine.open(tenant)?;
        let report = ledger.settle(&self.writers.append(&tenant.into(), keyspace, append)?)?;
        ensure!(report.accepted == total, "{} of {total} accepted: {report:?}", report.accepted);
        Ok(())
    }

    /// Waits until sealing is idle.
    pub(crate) fn settle(&self) -> Result<()> {
        Ok(self.engine.settle()?)
    }

    /// Gives free space back.
    pub(crate) fn reclaim(&self, tenant: &str) -> Result<()> {
        Ok(self.engine.open(tenant)?.rewrite()?)
    }

    /// Bytes that the feed window of a tenant takes on disk.
    pub(crate) fn feed_footprint(&self, tenant: &str) -> Result<u64> {
        Ok(self.engine.open(tenant)?.feed_footprint()?)
    }

    /// Sizes of a tenant.
    pub(crate) fn stats(&self, tenant: &str) -> Result<KeyspaceStats> {
        Ok(self.engine.open(tenant)?.stats()?)
    }

    /// Asks a question in the contract's shape, past every cache of answers.
    pub(crate) fn ask(&self, tenant: &str, question: &Value) -> Result<Answer> {
        let question = Question::from_json(question.to_string().as_bytes())?;
        let keyspace = self.engine.open(tenant)?;
        let scope = Scope {
            keyspace: &*keyspace,
            keyspace_id: tenant,
            organization_id: tenant,
            policy: &[],
            aggregates: &[],
        };
        Ok(ask(&scope, &question, &QuerySettings::default().budget(now()), &now)?)
    }
}

/// The engine on the data directory `path`.
pub(crate) fn engine(path: &Path) -> Result<Arc<dyn Engine>> {
    Ok(Arc::new(EmbeddedEngine::open(OsVolume::shared(path), EngineSettings::default())?))
}
