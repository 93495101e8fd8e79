//! Answers kept for whoever asks the same again, and never a stale one.
//!
//! *Invariant*: a kept table is served only while its keyspace's newest seq is the table's own.
//! Every change of rows (append, removal, replacement) takes a seq, seqs never return, and a
//! table claims only a seq up to which it is complete: so an unchanged seq is an unchanged
//! answer. The seq is read after the question has arrived, hence a hit contains every write that
//! was acknowledged before.

use super::answer::{Answer, Table};
use super::problem::QueryError;
use super::question::Question;
use super::run::{self, Scope};
use moka::sync::Cache;
use std::sync::Arc;
use std::time::Instant;
use storage::ask::Budget;

/// A table larger than this part of the cache is not kept: it would push out everything else.
const SHARE_MAX: usize = 8;

/// Whether an answer may come from the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// From the cache, if nothing has changed since.
    Cached,
    /// Computed now and not kept: `Cache-Control: no-cache`.
    Computed,
}

/// Recent answers, bounded by bytes.
#[derive(Debug)]
pub struct AnswerCache {
    tables: Cache<Arc<str>, Arc<Table>>,
    table_bytes_max: usize,
}

impl AnswerCache {
    /// A cache of about `bytes_max` bytes; 0 keeps nothing.
    pub fn new(bytes_max: usize) -> Self {
        let weigh = |key: &Arc<str>, table: &Arc<Table>| {
            u32::try_from(key.len() + table.heap_bytes()).unwrap_or(u32::MAX)
        };
        let tables = Cache::builder().max_capacity(bytes_max as u64).weigher(weigh).build();
        Self { tables, table_bytes_max: bytes_max / SHARE_MAX }
    }

    /// Answers `question` from the cache or the keyspace.
    pub fn ask(
        &self,
        scope: &Scope<'_>,
        question: &Question,
        budget: &Budget,
        clock: &dyn Fn() -> Instant,
        freshness: Freshness,
    ) -> Result<Answer, QueryError> {
        if freshness == Freshness::Computed {
            return run::ask(scope, question, budget, clock);
        }
        if let Some(kept) = self.kept(scope, question, clock)? {
            return Ok(kept);
        }
        let answer = run::ask(scope, question, budget, clock)?;
        if answer.table.heap_bytes() <= self.table_bytes_max {
            self.tables.insert(key(scope, question), Arc::clone(&answer.table));
        }
        Ok(answer)
    }

    /// The answer to `question`, if it is kept and nothing has changed since. Waits for nothing.
    pub fn kept(
        &self,
        scope: &Scope<'_>,
        question: &Question,
        clock: &dyn Fn() -> Instant,
    ) -> Result<Option<Answer>, QueryError> {
        let started = clock();
        let seq = scope.keyspace.last_seq()?;
        let table = self.tables.get(&key(scope, question)).filter(|t| t.as_of_seq == seq);
        let answer =
            |table| Answer { table, elapsed_ms: run::ms_since(started, clock), cached: true };
        Ok(table.map(answer))
    }
}

/// What makes two askings the same. The text is compared whole, not by a hash: one tenant's
/// answer must not be another's by accident.
fn key(scope: &Scope<'_>, question: &Question) -> Arc<str> {
    let Scope { keyspace: _, keyspace_id, organization_id, policy: _, aggregates: _ } = scope;
    let (policy, question) = (scope.over(question), question.canonical());
    format!("{keyspace_id:?} {organization_id:?} {policy:?} {question}").into()
}
