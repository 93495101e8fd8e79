//! What the engine's tests share: made-up rows and a place to keep them.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::sync::Arc;
use storage::batch::{RowBatch, RowBatchBuilder};
use storage::embedded::{EmbeddedEngine, EngineSettings};
use storage::engine::{Append, Engine, Keyspace, KeyspaceSettings};
use storage::row::{Actor, Row, RowId, Status, TimeMs, Word};
use storage::volume::OsVolume;

/// A made-up row, a function of its number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Made {
    pub(crate) id: String,
    pub(crate) ts_ms: TimeMs,
    pub(crate) ts_given: bool,
    pub(crate) user: String,
    pub(crate) duration_us: Option<u64>,
}

pub(crate) fn made(n: u64) -> Made {
    Made {
        id: if n.is_multiple_of(3) {
            format!("row-{n}")
        } else {
            format!("00000000-0000-4000-8000-{n:012x}")
        },
        ts_ms: 1_700_000_000_000 + (n as i64 * 7919) % 10_000_000,
        ts_given: true,
        user: format!("user-{}", n % 7),
        duration_us: (!n.is_multiple_of(11)).then_some(n * 1000 + 1),
    }
}

pub(crate) fn push(rows: &mut RowBatchBuilder, n: u64, made: &Made) {
    let mut words = [""; Word::ALL.len()];
    words[Word::Command as usize] = if n.is_multiple_of(2) { "cargo build" } else { "git push" };
    words[Word::User as usize] = &made.user;
    words[Word::Origin as usize] = if n.is_multiple_of(5) { "import:a" } else { "api" };
    rows.push(&Row {
        id: RowId::parse(&made.id),
        ts_ms: made.ts_ms,
        ts_given: made.ts_given,
        received_ms: if made.ts_given { made.ts_ms + 5 } else { made.ts_ms },
        words,
        status: if n.is_multiple_of(13) { Status::Failure } else { Status::Success },
        actor: Actor::Ci,
        duration_us: made.duration_us,
        exit_code: n.is_multiple_of(13).then_some(2),
        labels: if n.is_multiple_of(4) { &[("branch", "main")] } else { &[] },
        values: if n % 4 == 1 { &[("tokens", 2.5)] } else { &[] },
    });
}

/// The rows numbered `range` as a batch.
pub(crate) fn batch(range: std::ops::Range<u64>) -> RowBatch {
    let mut rows = RowBatchBuilder::default();
    for n in range {
        push(&mut rows, n, &made(n));
    }
    rows.finish()
}

pub(crate) fn append(rows: RowBatch) -> Append {
    Append { rows, ..Append::default() }
}

/// Settings under which sealing and merging happen with few rows, and only when asked for.
pub(crate) fn small_settings() -> EngineSettings {
    EngineSettings {
        seal_rows: 100,
        feed_window_bytes: 4096,
        background: false,
        ..EngineSettings::default()
    }
}

/// An engine on a fresh directory with keyspace `t`.
pub(crate) fn fresh() -> (tempfile::TempDir, EmbeddedEngine) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let engine = EmbeddedEngine::open(OsVolume::shared(dir.path()), small_settings())
        .expect("the engine opens");
    engine.create("t", &KeyspaceSettings::default()).expect("a keyspace is made");
    (dir, engine)
}

/// Every row of the keyspace as `(id, ts, user, duration)`, sorted.
pub(crate) fn contents(keyspace: &Arc<dyn Keyspace>) -> Vec<(String, TimeMs, String, Option<u64>)> {
    let mut found = Vec::new();
    keyspace
        .scan(&storage::ask::Selection::all(), &Default::default(), &mut |rows| {
            for row in 0..rows.len {
                found.push((
                    rows.ids.get(row).to_string(),
                    rows.ts[row],
                    rows.word(Word::User, row).to_owned(),
                    rows.duration(row),
                ));
            }
            true
        })
        .expect("a scan");
    found.sort();
    found
}

/// What [`contents`] must give for the rows numbered `numbers`.
pub(crate) fn expected(
    numbers: impl IntoIterator<Item = u64>,
) -> Vec<(String, TimeMs, String, Option<u64>)> {
    let mut rows: Vec<_> = numbers
        .into_iter()
        .map(made)
        .map(|made| (made.id, made.ts_ms, made.user, made.duration_us))
        .collect();
    rows.sort();
    rows
}
