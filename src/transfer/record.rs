//! What every format's reader gives: one record after the other.

use super::problem::ImportError;
use crate::model::execution::Execution;
use crate::process::admit::Refusal;

/// One record of a file.
pub(crate) struct Record<'r> {
    /// The line it begins at; the first is 1.
    pub(crate) line: u64,
    /// The record as it stands in the file.
    pub(crate) raw: &'r [u8],
    /// What was read, or why it could not be.
    pub(crate) read: Result<Execution<'r>, Refusal>,
}

/// Reads the records of one file.
pub(crate) trait Records: Send {
    /// Gives the next record to `take`; `false` if there is none.
    fn next(&mut self, take: &mut dyn FnMut(Record<'_>)) -> Result<bool, ReadError>;

    /// The number of the line read last.
    fn line(&self) -> u64;

    /// Facts that the file tells of itself, for the plan.
    fn facts(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// The columns met so far and what they are taken for, for the plan.
    fn columns(&self) -> Vec<super::mapping::Column> {
        Vec::new()
    }
}

/// Why reading cannot go on.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The file.
    Io(std::io::Error),
    /// What the file holds.
    Import(ImportError),
}

impl From<std::io::Error> for ReadError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl ReadError {
    /// The error as told to the caller.
    pub(crate) fn into_import(self, name: &str, line: u64) -> ImportError {
        match self {
            Self::Io(source) => ImportError::Read { name: name.to_owned(), line, source },
            Self::Import(error) => error,
        }
    }
}

/// Why an over-long record is not stored: it was not even read to its end.
pub(crate) fn too_long() -> Refusal {
    let max = super::source::LINE_BYTES_MAX;
    Refusal::rejected("too_long", String::new(), format!("a record has at most {max} bytes"))
}

/// Why a record is not stored that grew too long within a quote.
pub(crate) fn too_long_quote() -> Refusal {
    let mut refusal = too_long();
    refusal.detail.push_str(": a quote that opens in this one may never be closed");
    refusal
}

/// `line` without its end.
pub(crate) fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
