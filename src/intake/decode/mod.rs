//! Bytes to rows: one execution, a JSON array, NDJSON or MessagePack, plain or compressed.
//!
//! A body that cannot be cut into rows is refused whole ([`BodyError`]). Otherwise every row has
//! its own fate: it is in [`Decoded::rows`] or in [`Decoded::refused`], and nothing that was
//! refused is in the rows. Rows are borrowed from the body; one scratch row serves all.

mod expand;
mod json;
mod messagepack;
mod row;
mod scalar;

pub use expand::Encoding;

use crate::model::execution::Execution;
use crate::model::limits;
use crate::model::problem::{self, warning};
use crate::process::admit::{self, Arrival, Refusal, admit};
use row::RowReader;
use storage::batch::{RowBatch, RowBatchBuilder};

/// How rows stand in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON value: an array of objects, or an object.
    Json,
    /// A JSON object on each line; empty lines are ignored.
    Ndjson,
    /// One MessagePack value: an array of maps, or a map.
    MessagePack,
}

impl Format {
    /// The format that a `Content-Type` names; parameters do not matter, but a charset other than
    /// UTF-8 is none of ours.
    pub fn of(content_type: &str) -> Option<Self> {
        let (media_type, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
        let foreign = parameters.split(';').any(|parameter| {
            parameter.split_once('=').is_some_and(|(name, value)| {
                let value = value.trim().trim_matches('"');
                name.trim().eq_ignore_ascii_case("charset") && !value.eq_ignore_ascii_case("utf-8")
            })
        });
        match media_type.trim().to_ascii_lowercase().as_str() {
            _ if foreign => None,
            "application/json" => Some(Self::Json),
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => {
                Some(Self::Ndjson)
            }
            "application/msgpack" | "application/x-msgpack" | "application/vnd.msgpack" => {
                Some(Self::MessagePack)
            }
            _ => None,
        }
    }
}

/// How many rows a body may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Exactly one, not in an array.
    One,
    /// Any number; a single object or map counts as a batch of one.
    Many,
}

/// What the headers say of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body {
    /// How rows stand in it.
    pub format: Format,
    /// How it is compressed.
    pub encoding: Encoding,
    /// How many rows it may have.
    pub shape: Shape,
}

/// The bounds of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Bytes as they arrive.
    pub body_bytes_max: usize,
    /// Bytes after decompression.
    pub expanded_bytes_max: usize,
    /// Expanded bytes per compressed one, beyond [`limits::EXPANSION_FREE_BYTES`].
    pub ratio_max: usize,
    /// Bytes of one encoded row.
    pub row_bytes_max: usize,
    /// Rows of one body.
    pub rows_max: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: limits::BODY_BYTES_MAX,
            expanded_bytes_max: limits::EXPANDED_BYTES_MAX,
            ratio_max: limits::EXPANSION_RATIO_MAX,
            row_bytes_max: limits::ROW_BYTES_MAX,
            rows_max: limits::BATCH_ROWS_MAX,
        }
    }
}

/// Why a body is refused whole. Nothing of it was stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Not JSON.
    #[error("the body is not valid JSON: {0}")]
    InvalidJson(String),
    /// Not MessagePack.
    #[error("the body is not valid MessagePack from byte {offset} on: send one array or one map")]
    InvalidMessagePack {
        /// Where the value begins that cannot be read.
        offset: usize,
    },
    /// Not UTF-8.
    #[error("the body is not UTF-8 from byte {offset} on: encode it as UTF-8")]
    InvalidUtf8 {
        /// The first byte that is not.
        offset: usize,
    },
    /// Damaged or cut short.
    #[error("the body is not complete and valid {encoding}: compress it again")]
    InvalidEncoding {
        /// How it should be compressed.
        encoding: &'static str,
    },
    /// Too many bytes.
    #[error("the body is over {limit} bytes{when}: send fewer rows at a time")]
    TooLarge {
        /// How many are allowed.
        limit: usize,
        /// Before or after decompression.
        when: &'static str,
    },
    /// Too many bytes for so few.
    #[error("the body expands more than {limit} times: send it with less compression")]
    ExpandsTooMuch {
        /// How many times are allowed.
        limit: usize,
    },
    /// Too many rows.
    #[error("the body has more than {limit} rows: send them in several requests")]
    TooManyRows {
        /// How many are allowed.
        limit: usize,
    },
    /// Nothing there.
    #[error("the body is empty: send an execution")]
    Empty,
}

impl BodyError {
    /// The stable word.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidJson(_) => problem::body::INVALID_JSON,
            Self::InvalidMessagePack { .. } => problem::body::INVALID_MESSAGEPACK,
            Self::InvalidUtf8 { .. } => problem::body::INVALID_UTF8,
            Self::InvalidEncoding { .. } => problem::body::INVALID_ENCODING,
            Self::TooLarge { .. } => problem::body::BODY_TOO_LARGE,
            Self::ExpandsTooMuch { .. } => problem::body::EXPANDS_TOO_MUCH,
            Self::TooManyRows { .. } => problem::body::TOO_MANY_ROWS,
            Self::Empty => problem::body::EMPTY_BODY,
        }
    }
}

/// A row that is not among the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Which row: its place in the array, or its line in NDJSON (empty ones counted), from 0.
    pub index: usize,
    /// Why; at least one, and several only where all of them reject.
    pub problems: Vec<Refusal>,
    /// The row as it was sent, if it is to be kept in quarantine.
    pub raw: Option<Box<[u8]>>,
}

impl Refused {
    /// Whether the row is kept in quarantine rather than thrown away.
    pub fn is_quarantined(&self) -> bool {
        self.raw.is_some()
    }
}

/// What was accepted, but not as its sender may think.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Warning {
    /// A stable snake_case word.
    pub code: &'static str,
    /// JSON pointer of the field inside its row.
    pub pointer: String,
    /// The first row it concerns.
    pub index: usize,
    /// How many rows it concerns.
    pub rows: usize,
}

/// A body taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// How the rows stood in the body.
    pub format: Format,
    /// The rows that can be stored, in order.
    pub rows: RowBatch,
    /// For each row of `rows` its index in the body.
    pub row_index: Vec<u32>,
    /// The others, in order.
    pub refused: Vec<Refused>,
    /// Unknown fields, at most [`limits::WARNINGS_MAX`].
    pub warnings: Vec<Warning>,
    /// How many rows the body had.
    pub total: usize,
}

/// Takes `bytes` apart. Every row is judged, masked and completed by [`admit()`].
pub fn decode(
    bytes: &[u8],
    body: Body,
    arrival: Arrival<'_>,
    limits: &DecodeLimits,
) -> Result<Decoded, BodyError> {
    decode_counted(bytes, body, arrival, limits, &mut || {}).1
}

/// The same, with how many rows were read, also of a body that is refused then. Calls `breathe` after
/// every so many of them, for whoever has to let others compute.
pub fn decode_counted(
    bytes: &[u8],
    body: Body,
    arrival: Arrival<'_>,
    limits: &DecodeLimits,
    breathe: &mut dyn FnMut(),
) -> (usize, Result<Decoded, BodyError>) {
    let expanded = match expand::expand(bytes, body.encoding, limits) {
        Ok(expanded) => expanded,
        Err(error) => return (0, Err(error)),
    };
    let mut rows = Rows::new(body.format, arrival, *limits, expanded.len(), breathe);
    let read = match (body.format, body.shape) {
        (Format::Json, Shape::One) => json::one(&expanded, &mut rows),
        (Format::Json, Shape::Many) => json::many(&expanded, &mut rows),
        (Format::Ndjson, _) => json::lines(&expanded, &mut rows),
        (Format::MessagePack, shape) => messagepack::decode(&expanded, shape, &mut rows),
    };
    (rows.decoded.total, read.map(|()| rows.finish()))
}

/// Rows that are read at a stretch: some milliseconds.
const ROWS_AT_A_STRETCH: usize = 1000;

/// Least bytes that a row has in practice: room for rows is reserved by it.
const ROW_BYTES_USUAL: usize = 200;

/// The fates of the rows so far.
struct Rows<'r> {
    arrival: Arrival<'r>,
    limits: DecodeLimits,
    builder: RowBatchBuilder,
    decoded: Decoded,
    breathe: &'r mut dyn FnMut(),
}

impl<'r> Rows<'r> {
    fn new(
        format: Format,
        arrival: Arrival<'r>,
        limits: DecodeLimits,
        bytes: usize,
        breathe: &'r mut dyn FnMut(),
    ) -> Self {
        let room = (bytes / ROW_BYTES_USUAL + 1).min(limits.rows_max);
        Self {
            arrival,
            limits,
            builder: RowBatchBuilder::with_capacity(room),
            decoded: Decoded {
                format,
                rows: RowBatch::default(),
                row_index: Vec::with_capacity(room),
                refused: Vec::new(),
                warnings: Vec::new(),
                total: 0,
            },
            breathe,
        }
    }

    /// Counts one more row.
    fn begin(&mut self) -> Result<(), BodyError> {
        if self.decoded.total == self.limits.rows_max {
            return Err(BodyError::TooManyRows { limit: self.limits.rows_max });
        }
        if self.decoded.total > 0 && self.decoded.total.is_multiple_of(ROWS_AT_A_STRETCH) {
            (self.breathe)();
        }
        self.decoded.total += 1;
        Ok(())
    }

    /// Decides over the row that `reader` holds; `raw` is what it was read from.
    fn settle(&mut self, index: usize, reader: &RowReader<'_>, raw: &[u8]) {
        if !reader.unknown.is_empty() {
            self.warn(index, reader);
        }
        if !reader.problems.is_empty() {
            return self.reject(index, all_problems(reader, self.arrival));
        }
        match admit(&reader.execution, self.arrival, &mut self.builder) {
            Ok(()) => self.decoded.row_index.push(index as u32),
            Err(refusal) if refusal.quarantined => {
                let (problems, raw) = (vec![refusal], Some(raw.into()));
                self.decoded.refused.push(Refused { index, problems, raw });
            }
            Err(refusal) => {
                let all = all_problems(reader, self.arrival);
                // What is wrong with the batch, and not with the row, only the refusal knows.
                self.reject(index, if all.is_empty() { vec![refusal] } else { all });
            }
        }
    }

    fn reject(&mut self, index: usize, problems: Vec<Refusal>) {
        self.decoded.refused.push(Refused { index, problems, raw: None });
    }

    /// Rejects a row that could not be read at all.
    fn reject_whole(&mut self, index: usize, code: &'static str, detail: String) {
        self.reject(index, vec![Refusal::rejected(code, String::new(), detail)]);
    }

    fn is_too_large(&mut self, index: usize, raw: &[u8]) -> bool {
        let limit = self.limits.row_bytes_max;
        if raw.len() > limit {
            let detail = format!("the row has {} bytes, {limit} are allowed", raw.len());
            self.reject_whole(index, problem::row::ROW_TOO_LARGE, detail);
        }
        raw.len() > limit
    }

    #[cold]
    fn warn(&mut self, index: usize, reader: &RowReader<'_>) {
        let warnings = &mut self.decoded.warnings;
        for name in &reader.unknown {
            let pointer = problem::pointer("", &problem::excerpt(name));
            let full = warnings.len() == limits::WARNINGS_MAX;
            match warnings.iter_mut().find(|warning| warning.pointer == pointer) {
                Some(known) => known.rows += 1,
                None if full => {}
                None => {
                    warnings.push(Warning { code: warning::UNKNOWN_FIELD, pointer, index, rows: 1 })
                }
            }
        }
    }

    fn finish(self) -> Decoded {
        Decoded { rows: self.builder.finish(), ..self.decoded }
    }
}

/// What decoding and judging have against the row, each field once.
fn all_problems(reader: &RowReader<'_>, arrival: Arrival<'_>) -> Vec<Refusal> {
    let mut all = reader.problems.clone();
    if reader.is_whole {
        let execution: &Execution<'_> = &reader.execution;
        for refusal in admit::problems(execution, arrival) {
            if !refusal.quarantined && all.iter().all(|known| known.pointer != refusal.pointer) {
                all.push(refusal);
            }
        }
    }
    all.truncate(limits::ROW_PROBLEMS_MAX);
    all
}
