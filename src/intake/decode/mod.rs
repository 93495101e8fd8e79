//! What was sent, as rows.
//!
//! [`body`] undoes the compression within bounds; [`json`], [`msgpack`] walk the rows;
//! [`record`] reads one. A row that cannot be read is refused by itself, except that a body which
//! is not JSON or MessagePack at all is refused whole.

mod body;
mod json;
mod msgpack;
mod record;

pub use body::{Encoding, expand};

use crate::model::execution::Execution;
use crate::process::admit::{Arrival, Refusal, admit};
use std::borrow::Cow;
use std::collections::BTreeSet;
use storage::batch::{RowBatch, RowBatchBuilder};

/// How rows are written in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object, or an array of them.
    Json,
    /// One JSON object a line.
    Ndjson,
    /// A MessagePack map, or an array of them.
    MessagePack,
}

/// The bounds of one body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Bytes as sent.
    pub body_bytes_max: usize,
    /// Bytes after decompression: what a compression bomb runs into.
    pub expanded_bytes_max: usize,
    /// Bytes of one row.
    pub row_bytes_max: usize,
    /// Rows.
    pub rows_max: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: 16 << 20,
            expanded_bytes_max: 64 << 20,
            row_bytes_max: 256 << 10,
            rows_max: 100_000,
        }
    }
}

/// Names of unknown fields that are told back.
const WARNINGS_MAX: usize = 32;

/// A row that is not among the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRow {
    /// Its place in the body.
    pub index: u32,
    /// Why.
    pub refusal: Refusal,
    /// What came, kept for those that are quarantined.
    pub raw: Vec<u8>,
}

/// A decoded body.
#[derive(Debug, Default)]
pub struct Decoded {
    /// The rows that can be stored.
    pub rows: RowBatch,
    /// The place in the body of each of them.
    pub indices: Vec<u32>,
    /// The rows that cannot.
    pub refused: Vec<RefusedRow>,
    /// Names of unknown fields, which were ignored.
    pub warnings: BTreeSet<String>,
    /// How many rows the body had.
    pub total: u32,
}

/// Why a whole body is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Not what its type says.
    #[error("the body is not valid {what}: {detail}")]
    Malformed {
        /// The format.
        what: &'static str,
        /// What and where.
        detail: String,
    },
    /// Over a bound.
    #[error("{what} is over the limit of {limit}: send it in several requests")]
    TooLarge {
        /// What.
        what: &'static str,
        /// How much is allowed.
        limit: usize,
    },
}

impl BodyError {
    /// The stable code of it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { what: "JSON", .. } => "invalid_json",
            Self::Malformed { what: "MessagePack", .. } => "invalid_msgpack",
            Self::Malformed { .. } => "invalid_encoding",
            Self::TooLarge { .. } => "too_large",
        }
    }
}

/// Decodes a body that is not compressed (see [`expand`]).
pub fn decode(
    body: &[u8],
    format: Format,
    arrival: Arrival<'_>,
    limits: &DecodeLimits,
) -> Result<Decoded, BodyError> {
    let mut rows = Rows::new(arrival, *limits);
    match format {
        Format::Json => json::decode_document(body, &mut rows)?,
        Format::Ndjson => json::decode_lines(body, &mut rows)?,
        Format::MessagePack => msgpack::decode_document(body, &mut rows)?,
    }
    Ok(rows.finish())
}

/// The rows of a body as they are read.
struct Rows<'a> {
    arrival: Arrival<'a>,
    limits: DecodeLimits,
    builder: RowBatchBuilder,
    decoded: Decoded,
}

impl<'a> Rows<'a> {
    fn new(arrival: Arrival<'a>, limits: DecodeLimits) -> Self {
        Self { arrival, limits, builder: RowBatchBuilder::default(), decoded: Decoded::default() }
    }

    /// Takes the next row: what `read` makes of it, and `raw`, which gives it as it came.
    fn take<'r>(
        &mut self,
        read: Result<&Execution<'r>, Refusal>,
        raw: impl FnOnce() -> Cow<'r, [u8]>,
    ) -> Result<(), BodyError> {
        let index = self.decoded.total;
        if index as usize >= self.limits.rows_max {
            let limit = self.limits.rows_max;
            return Err(BodyError::TooLarge { what: "the number of rows", limit });
        }
        self.decoded.total += 1;
        let taken = read.and_then(|execution| admit(execution, self.arrival, &mut self.builder));
        match taken {
            Ok(()) => self.decoded.indices.push(index),
            Err(refusal) => {
                let raw = if refusal.quarantined { raw().into_owned() } else { Vec::new() };
                self.decoded.refused.push(RefusedRow { index, refusal, raw });
            }
        }
        Ok(())
    }

    /// Refuses a row that is too long to be looked at.
    fn too_long(&self) -> Refusal {
        let max = self.limits.row_bytes_max;
        Refusal::reject("too_long", "", format!("a row has at most {max} bytes"))
    }

    fn warn(&mut self, unknown: &[String]) {
        for name in unknown {
            if self.decoded.warnings.len() < WARNINGS_MAX {
                self.decoded.warnings.insert(name.clone());
            }
        }
    }

    fn finish(mut self) -> Decoded {
        self.decoded.rows = self.builder.finish();
        self.decoded
    }
}
