//! The product as the benchmarks use it: bytes in, questions answered.
//!
//! Until the intake path and the query engine can be called, [`decode`] and [`question`] stand in
//! for them: they do the least that the workload and the seven questions need.

use crate::workload::END_MS;
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use storage::ask::{
    AggregateRequest, Aggregated, Budget, Cell, Metric, Permille, Predicate, Selection, WordTest,
};
use storage::batch::RowBatchBuilder;
use storage::embedded::{EmbeddedEngine, EngineSettings};
use storage::engine::{Append, Engine, KeyspaceSettings, KeyspaceStats, RowOutcome};
use storage::row::{Actor, Dimension, Measure, Row, RowId, Status, TimeMs, Word};
use storage::volume::OsVolume;

/// The engine with what stands in front of it.
#[derive(Debug)]
pub(crate) struct System {
    engine: Arc<dyn Engine>,
}

/// An answer as the program has it, with what is needed to write it out.
#[derive(Debug)]
pub(crate) struct Answer {
    columns: Vec<String>,
    bucketed: bool,
    request: AggregateRequest,
    found: Aggregated,
    /// Indexes of the groups in order.
    order: Vec<usize>,
}

/// An answer's rows, cells as JSON.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Value>>,
}

impl Answer {
    /// Where it came from.
    pub(crate) fn source(&self) -> String {
        format!("{:?}", self.found.source).to_lowercase()
    }

    /// As a table.
    pub(crate) fn table(self) -> Result<Table> {
        let row = |&group: &usize| -> Result<Vec<Value>> {
            let key = &self.found.keys[group];
            let mut cells = Vec::new();
            if self.bucketed {
                let start = self.request.bucket_starts[key.bucket as usize];
                let start = jiff::Timestamp::from_millisecond(start)?;
                cells.push(json!(format!("{start:.3}")));
            }
            cells.extend(key.words.iter().map(|word| json!(word.as_deref())));
            cells.extend(self.found.cells.iter().map(|column| plain(column[group])));
            Ok(cells)
        };
        let rows: Result<_> = self.order.iter().map(row).collect();
        Ok(Table { rows: rows?, columns: self.columns })
    }
}

/// A cell as JSON, durations in milliseconds.
fn plain(cell: Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Int(number) => json!(number as i64),
        Cell::Micros(us) => json!(us as f64 / 1000.0),
        Cell::Float(number) => json!(number),
    }
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

    /// Asks a question in the contract's shape.
    pub(crate) fn ask(&self, tenant: &str, asked: &Value) -> Result<Answer> {
        let asked = Question::deserialize(asked)?;
        let request = question(&asked)?;
        let found = self.engine.open(tenant)?.aggregate(&request, &Budget::default())?;
        let mut order: Vec<usize> = (0..found.keys.len()).collect();
        if let Some(by) = asked.order_by.first() {
            let column = asked.metrics.iter().position(|metric| *metric == by.key);
            let cells = &found.cells[column.context("no such metric")?];
            order.sort_by(|&a, &b| number(cells[b]).total_cmp(&number(cells[a])));
        } else {
            order.sort_by(|&a, &b| found.keys[a].cmp(&found.keys[b]));
        }
        order.truncate(asked.limit);
        let bucketed = asked.bucket != "none";
        let bucket = bucketed.then(|| "bucket".to_owned());
        let columns = bucket.into_iter().chain(asked.group_by).chain(asked.metrics).collect();
        Ok(Answer { columns, bucketed, request, found, order })
    }
}

/// The engine on the data directory `path`.
fn engine(path: &Path) -> Result<Arc<dyn Engine>> {
    Ok(Arc::new(EmbeddedEngine::open(OsVolume::shared(path), EngineSettings::default())?))
}

fn number(cell: Cell) -> f64 {
    match cell {
        Cell::Null => f64::NEG_INFINITY,
        Cell::Int(n) | Cell::Micros(n) => n as f64,
        Cell::Float(n) => n,
    }
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

/// As much of the contract's question as the seven need.
#[derive(Debug, Deserialize)]
struct Question {
    from: String,
    to: String,
    bucket: String,
    #[serde(default)]
    group_by: Vec<String>,
    metrics: Vec<String>,
    #[serde(default)]
    filters: Vec<Filter>,
    #[serde(default)]
    order_by: Vec<Order>,
    #[serde(default = "no_limit")]
    limit: usize,
}

const fn no_limit() -> usize {
    usize::MAX
}

#[derive(Debug, Deserialize)]
struct Filter {
    field: String,
    value: Value,
}

#[derive(Debug, Deserialize)]
struct Order {
    key: String,
}

fn question(asked: &Question) -> Result<AggregateRequest> {
    let predicates: Result<Vec<Predicate>> = asked
        .filters
        .iter()
        .map(|filter| {
            let words = filter.value.as_array().cloned().unwrap_or(vec![filter.value.clone()]);
            let words = words.iter().filter_map(Value::as_str).map(Box::from).collect();
            Ok(Predicate::Word(dimension(&filter.field)?, WordTest::In(words)))
        })
        .collect();
    let selection = Selection {
        from_ms: instant(&asked.from)?,
        to_ms: instant(&asked.to)?,
        predicates: predicates?,
    };
    Ok(AggregateRequest {
        bucket_starts: bucket_starts(asked)?,
        group_by: asked.group_by.iter().map(|name| dimension(name)).collect::<Result<_>>()?,
        metrics: asked.metrics.iter().map(|name| metric(name)).collect::<Result<_>>()?,
        partials: true,
        selection,
    })
}

/// An instant in RFC 3339 as Unix milliseconds.
fn instant(text: &str) -> Result<TimeMs> {
    Ok(text.parse::<jiff::Timestamp>()?.as_millisecond())
}

fn bucket_starts(asked: &Question) -> Result<Vec<TimeMs>> {
    const HOUR_MS: usize = 3_600_000;
    let step = match asked.bucket.as_str() {
        "hour" => HOUR_MS,
        "day" => 24 * HOUR_MS,
        "month" => {
            let months = ["2025-12-01", "2026-01-01", "2026-02-01"]; // all that is asked for
            return months.iter().map(|day| instant(&format!("{day}T00:00:00Z"))).collect();
        }
        _ => return Ok(Vec::new()),
    };
    Ok((instant(&asked.from)?..instant(&asked.to)?).step_by(step).collect())
}

fn dimension(name: &str) -> Result<Dimension> {
    if name == "status" {
        return Ok(Dimension::Status);
    }
    let word = Word::ALL.into_iter().find(|word| word.as_str() == name);
    Ok(Dimension::Word(word.with_context(|| format!("no dimension `{name}`"))?))
}

fn metric(name: &str) -> Result<Metric> {
    Ok(match name {
        "count" => Metric::Count,
        "success_rate" => Metric::SuccessRate,
        "sum(duration_ms)" => Metric::Sum(Measure::Duration),
        "avg(duration_ms)" => Metric::Avg(Measure::Duration),
        "p95(duration_ms)" => Metric::Quantile(Measure::Duration, Permille(950)),
        "p99(duration_ms)" => Metric::Quantile(Measure::Duration, Permille(990)),
        _ => bail!("no metric `{name}`"),
    })
}
