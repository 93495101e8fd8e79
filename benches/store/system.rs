//! The product as the benchmarks use it: bytes in, questions answered.
//!
//! Until the intake path can be called, [`decode`] stands in for it: it does the least that the
//! workload needs.

use crate::measure::now;
use crate::workload::END_MS;
use anyhow::{Result, ensure};
use emx::query::{Answer, QuerySettings, Question, Scope, ask, render};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use storage::batch::RowBatchBuilder;
use storage::embedded::{EmbeddedEngine, EngineSettings};
use storage::engine::{Append, Engine, KeyspaceSettings, KeyspaceStats, RowOutcome};
use storage::row::{Actor, Row, RowId, Status, TimeMs};
use storage::volume::OsVolume;

/// The engine with what stands in front of it.
#[derive(Debug)]
pub(crate) struct System {
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
        Ok(Self { engine: engine(path)? })
    }

    /// Makes a tenant.
    pub(crate) fn create(&self, tenant: &str) -> Result<()> {
        Ok(self.engine.create(tenant, &KeyspaceSettings::default())?)
    }

    /// Sends lines; fails unless every one is accepted.
    pub(crate) fn send(&self, tenant: &str, body: &[u8]) -> Result<()> {
        let rows = decode(body)?.finish();
        let append = Append { rows, ..Append::default() };
        let done = self.engine.open(tenant)?.append(vec![append])?;
        let fine =
            |outcomes: &[RowOutcome]| outcomes.iter().all(|&row| row == RowOutcome::Accepted);
        ensure!(done.iter().all(|done| fine(&done.outcomes)), "not every row was accepted");
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
        };
        Ok(ask(&scope, &question, &QuerySettings::default().budget(now()), &now)?)
    }
}

/// The engine on the data directory `path`.
fn engine(path: &Path) -> Result<Arc<dyn Engine>> {
    Ok(Arc::new(EmbeddedEngine::open(OsVolume::shared(path), EngineSettings::default())?))
}

/// A line of the workload.
#[derive(Debug, Deserialize)]
struct Line<'a> {
    id: &'a str,
    ts: &'a str,
    command: &'a str,
    user_id: &'a str,
    team_id: &'a str,
    project_id: &'a str,
    session_id: &'a str,
    host: &'a str,
    duration_ms: f64,
    exit_code: i64,
    #[serde(default, borrow)]
    labels: Labels<'a>,
}

#[derive(Debug, Default, Deserialize)]
struct Labels<'a> {
    x: Option<&'a str>,
}

/// Takes lines apart.
fn decode(body: &[u8]) -> Result<RowBatchBuilder> {
    let mut rows = RowBatchBuilder::with_capacity(body.len() / 250);
    for line in std::str::from_utf8(body)?.lines() {
        let line: Line<'_> = serde_json::from_str(line)?;
        let label = line.labels.x.map(|word| ("x", word));
        rows.push(&Row {
            id: RowId::parse(line.id),
            ts_ms: instant(line.ts)?,
            ts_given: true,
            received_ms: END_MS,
            words: [
                line.command,
                line.user_id,
                line.team_id,
                line.project_id,
                line.session_id,
                line.host,
                "",
                "",
                "api",
            ],
            status: match line.exit_code {
                0 => Status::Success,
                124 => Status::Timeout,
                _ => Status::Failure,
            },
            actor: Actor::Unknown,
            duration_us: Some((line.duration_ms * 1000.0).round() as u64),
            exit_code: Some(line.exit_code),
            labels: label.as_slice(),
            values: &[],
        });
    }
    Ok(rows)
}

/// An instant in RFC 3339 as Unix milliseconds.
fn instant(text: &str) -> Result<TimeMs> {
    Ok(text.parse::<jiff::Timestamp>()?.as_millisecond())
}
