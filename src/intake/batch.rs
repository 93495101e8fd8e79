//! What becomes of a decoded body: one append, and one report to whoever sent it.
//!
//! Quarantined rows are kept by writes in the append's own transaction, so that the report is true
//! of all rows at once. An atomic batch with any row that cannot be stored is refused before, or by
//! the engine, and stores nothing: no row, and nothing in quarantine.

use super::decode::{Decoded, Warning};
use super::quarantine;
use crate::model::limits::PROBLEMS_MAX;
use crate::model::problem::body;
use crate::process::admit::{Arrival, Refusal};
use serde::Serialize;
use storage::engine::{Append, Appended, RowOutcome};
use storage::row::Seq;

/// What is wrong with one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowError {
    /// Which row, from 0.
    pub index: usize,
    /// A stable snake_case word.
    pub code: &'static str,
    /// One sentence that says what to do.
    pub detail: String,
    /// JSON pointer of the offending field inside its row, `""` for the whole row.
    pub pointer: String,
}

/// What became of every row of a batch. The four counts add up to the rows of the body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BatchReport {
    /// Rows that are stored now.
    pub accepted: usize,
    /// Rows that were stored before.
    pub duplicates: usize,
    /// Rows that are kept in quarantine.
    pub quarantined: usize,
    /// Rows that are not stored.
    pub rejected: usize,
    /// The first seq given, if any.
    pub first_seq: Option<Seq>,
    /// The last seq given, if any.
    pub last_seq: Option<Seq>,
    /// The first [`PROBLEMS_MAX`] problems of quarantined and rejected rows, in the body's order.
    pub errors: Vec<RowError>,
    /// What was accepted, but not as its sender may think.
    pub warnings: Vec<Warning>,
}

/// Why nothing of an atomic batch was stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rows} rows cannot be stored, so none was: correct them and send the batch again")]
pub struct BatchRefused {
    /// How many rows stand in the way.
    pub rows: usize,
    /// The first [`PROBLEMS_MAX`] problems.
    pub errors: Vec<RowError>,
}

impl BatchRefused {
    /// The stable word.
    pub const CODE: &'static str = body::BATCH_REFUSED;
}

/// A batch that is ready to be appended.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The rows and what is kept with them.
    pub append: Append,
    /// What is known before the engine has answered.
    pub ledger: Ledger,
}

/// What is known of a batch while its append is under way.
#[derive(Clone, Debug)]
pub struct Ledger {
    report: BatchReport,
    row_index: Vec<u32>,
    atomic: bool,
}

/// Makes an append of `decoded`, as it arrived. With `atomic` a single row that is
/// rejected or quarantined refuses the whole.
pub fn prepare(
    decoded: Decoded,
    arrival: Arrival<'_>,
    atomic: bool,
) -> Result<Prepared, BatchRefused> {
    let Decoded { format, rows, row_index, refused, warnings, .. } = decoded;
    let mut errors = Vec::new();
    let mut writes = Vec::new();
    let (refused_rows, mut quarantined) = (refused.len(), 0);
    for refused in refused {
        if let (Some(raw), Some(refusal)) = (&refused.raw, refused.problems.first()) {
            quarantined += 1;
            if !atomic {
                writes.push(quarantine::keep(raw, format, refusal, arrival));
            }
        }
        let room = PROBLEMS_MAX - errors.len();
        errors.extend(
            refused.problems.into_iter().take(room).map(|p| RowError::of(refused.index, p)),
        );
    }
    if atomic && refused_rows > 0 {
        return Err(BatchRefused { rows: refused_rows, errors });
    }
    let rejected = refused_rows - quarantined;
    let report = BatchReport { quarantined, rejected, errors, warnings, ..BatchReport::default() };
    let append = Append { rows, writes, atomic, receipt: None };
    Ok(Prepared { append, ledger: Ledger { report, row_index, atomic } })
}

impl Prepared {
    /// Whether there is nothing to append: [`Ledger::settle`] may be given an empty answer.
    pub fn is_empty(&self) -> bool {
        self.append.rows.len == 0 && self.append.writes.is_empty()
    }
}

impl Ledger {
    /// The report, once the engine has answered.
    pub fn settle(self, appended: &Appended) -> Result<BatchReport, BatchRefused> {
        let Self { mut report, row_index, atomic } = self;
        let mut over = Vec::new();
        for (&index, outcome) in row_index.iter().zip(&appended.outcomes) {
            match outcome {
                RowOutcome::Accepted => report.accepted += 1,
                RowOutcome::Duplicate => report.duplicates += 1,
                RowOutcome::TooManyKeys => over.push(index as usize),
            }
        }
        let rows = over.len();
        report.rejected += rows;
        report.errors.extend(
            over.into_iter()
                .take(PROBLEMS_MAX)
                .map(|index| RowError::of(index, Refusal::too_many_keys())),
        );
        report.errors.sort_by_key(|error| error.index);
        report.errors.truncate(PROBLEMS_MAX);
        if atomic && rows > 0 {
            return Err(BatchRefused { rows, errors: report.errors });
        }
        (report.first_seq, report.last_seq) = appended.seqs.unzip();
        Ok(report)
    }
}

impl RowError {
    /// What `refusal` says of the row `index`.
    pub fn of(index: usize, refusal: Refusal) -> Self {
        let Refusal { code, pointer, detail, .. } = refusal;
        Self { index, code, detail, pointer }
    }
}
