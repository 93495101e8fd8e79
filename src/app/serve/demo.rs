//! The tenant of `--demo`: three months of a made-up company, and what it does from then on.

use super::first_start::DEMO_TENANT;
use crate::http::Server;
use crate::intake::batch::prepare;
use crate::intake::decode::{Body, DecodeLimits, Encoding, Format, Shape, decode};
use crate::process::admit::Arrival;
use crate::sample::demo::{self, Live};
use crate::tenancy::registry::TenancyError;
use crate::tenancy::scope::{Principal, TenantScope};
use anyhow::{Context, Result};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use storage::row::TimeMs;

/// The same company everywhere.
const SEED: u64 = 1;

/// Rows that are stored together while the history is made.
const BATCH_ROWS: usize = 5_000;

/// How often new executions come.
const EVERY: Duration = Duration::from_secs(1);

/// Where the rows come from.
const ORIGIN: &str = "demo";

/// Gives the tenant its history, unless it has rows already; calls `begun` before it does. Gives how many
/// were stored.
pub(super) fn begin(server: &Server, begun: impl FnOnce()) -> Result<u64> {
    let Some(scope) = enter(server)? else { return Ok(0) };
    if scope.keyspace().stats()?.rows > 0 {
        return Ok(0);
    }
    begun();
    let now_ms = server.clock.now_ms();
    let mut history = demo::history(SEED, now_ms, demo::ROWS);
    let (mut lines, mut rows, mut stored) = (Vec::new(), 0, 0);
    loop {
        let more = history.append_to(&mut lines);
        rows += usize::from(more);
        if rows == BATCH_ROWS || (!more && rows > 0) {
            stored += store(server, &scope, &lines, now_ms)?;
            lines.clear();
            rows = 0;
        }
        if !more {
            return Ok(stored);
        }
    }
}

/// Keeps the company at work until the server stops.
pub(super) fn go_on(server: &Arc<Server>) {
    let working = Arc::clone(server);
    server.tasks.spawn(async move {
        let work = demo::live(SEED, working.clock.now_ms(), demo::ROWS_LIVELY);
        let work = Arc::new(Mutex::new(work));
        let mut tick = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                () = working.tasks.stopping() => return,
                _ = tick.tick() => {}
            }
            let (server, work) = (Arc::clone(&working), Arc::clone(&work));
            let step = working.threads.run(move || {
                happen(&server, &mut work.lock().unwrap_or_else(PoisonError::into_inner))
            });
            match step.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the demo's executions were not stored"),
                Err(error) => tracing::warn!(%error, "the demo rests"),
            }
        }
    });
}

/// Stores what happened since the last time.
fn happen(server: &Server, work: &mut Live) -> Result<()> {
    let now_ms = server.clock.now_ms();
    let mut lines = Vec::new();
    if work.append_until(now_ms, &mut lines) == 0 {
        return Ok(());
    }
    if let Some(scope) = enter(server)? {
        store(server, &scope, &lines, now_ms)?;
    }
    Ok(())
}

/// The demo's tenant, unless it is suspended.
fn enter(server: &Server) -> Result<Option<TenantScope>, TenancyError> {
    match server.tenancy.enter(&Principal::LocalOperator, DEMO_TENANT) {
        Ok(scope) => Ok(Some(scope)),
        Err(TenancyError::Suspended) => Ok(None),
        Err(error) => Err(error),
    }
}

fn store(server: &Server, scope: &TenantScope, lines: &[u8], now_ms: TimeMs) -> Result<u64> {
    let body = Body { format: Format::Ndjson, encoding: Encoding::Identity, shape: Shape::Many };
    let arrival = Arrival { received_ms: now_ms, origin: ORIGIN, retention_ms: None };
    let decoded = decode(lines, body, arrival, &DecodeLimits::default())?;
    let prepared = prepare(decoded, arrival, false)?;
    let keyspace = Arc::clone(scope.keyspace());
    let appended = server.writers.append(scope.id().as_arc(), keyspace, prepared.append)?;
    let report = prepared.ledger.settle(&appended).context("the demo's rows")?;
    Ok(report.accepted as u64)
}
