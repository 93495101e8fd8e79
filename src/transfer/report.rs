//! What an import did.

use crate::model::time::format_rfc3339;
use crate::process::admit::Refusal;
use serde::{Serialize, Serializer};
use storage::row::TimeMs;

/// Most single problems that a report tells; the rest is only counted.
pub const PROBLEMS_MAX: usize = 20;

/// The outcome of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Records of the file.
    pub rows: u64,
    /// Rows stored now.
    pub accepted: u64,
    /// Rows that were there already, by id and time.
    pub duplicates: u64,
    /// Records kept aside with their raw text.
    pub quarantined: u64,
    /// Records that are not stored at all.
    pub rejected: u64,
    /// Earliest `ts` of the rows that are stored now or were before.
    #[serde(serialize_with = "as_time")]
    pub first_ts: Option<TimeMs>,
    /// Latest one.
    #[serde(serialize_with = "as_time")]
    pub last_ts: Option<TimeMs>,
    /// How long it took.
    pub elapsed_ms: u64,
    /// The first [`PROBLEMS_MAX`] records that were quarantined or rejected, by line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<LineProblem>,
}

/// What is wrong with one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LineProblem {
    /// The line it begins at; the first is 1.
    pub line: u64,
    /// Whether it was kept aside; else it was rejected.
    pub quarantined: bool,
    /// A stable snake_case word.
    pub code: &'static str,
    /// JSON pointer of the offending field of the execution, `""` for the whole record.
    pub pointer: String,
    /// What is wrong and what to do.
    pub detail: String,
}

impl ImportReport {
    /// Extends the range of times by `range`.
    pub(crate) fn cover(&mut self, (first, last): (TimeMs, TimeMs)) {
        self.first_ts = Some(self.first_ts.map_or(first, |ts| ts.min(first)));
        self.last_ts = Some(self.last_ts.map_or(last, |ts| ts.max(last)));
    }

    /// Tells why the record at `line` is not stored, if there is room.
    pub(crate) fn tell(&mut self, line: u64, refusal: Refusal) {
        if self.problems.len() < PROBLEMS_MAX {
            let Refusal { quarantined, code, pointer, detail } = refusal;
            self.problems.push(LineProblem { line, quarantined, code, pointer, detail });
        }
    }

    /// Counts what another part of the same import did.
    pub(crate) fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.accepted += other.accepted;
        self.duplicates += other.duplicates;
        self.quarantined += other.quarantined;
        self.rejected += other.rejected;
        if let (Some(first), Some(last)) = (other.first_ts, other.last_ts) {
            self.cover((first, last));
        }
        self.problems.extend(other.problems);
        self.problems.sort_by_key(|problem| problem.line);
        self.problems.truncate(PROBLEMS_MAX);
    }
}

fn as_time<S: Serializer>(ts: &Option<TimeMs>, serializer: S) -> Result<S::Ok, S::Error> {
    ts.map(format_rfc3339).serialize(serializer)
}
