//! Arriving and leaving: files become executions, executions become files.
//!
//! In reading order:
//!
//! 1. [`source`] opens a file or standard input, undoes its compression and cuts it into lines.
//! 2. [`detect`] says which format it has.
//! 3. A reader for each format gives one record after the other: `swf` for job logs, `table` for
//!    CSV and TSV, `json` for JSON and NDJSON. [`mapping`] says which column is which field;
//!    `cell`, `when` and `decimal` read what stands in it.
//! 4. `judge` decides about each record: stored, set aside with its raw text, or rejected; it
//!    gives an id to those that have none.
//! 5. [`import`] does it, in batches, into a [`sink`]. Into [`sink::DryRun`], it only shows what
//!    would become of the file.
//! 6. [`export`] writes rows as CSV or NDJSON.
//!
//! *Invariant*: memory is bounded whatever a file holds; a row is never guessed at: what cannot
//! be read is kept whole, aside. The same record gives the same id however often and under
//! whatever file name it arrives.

mod cell;
mod decimal;
pub mod detect;
pub mod export;
pub mod import;
mod json;
mod judge;
pub mod mapping;
mod problem;
mod record;
pub mod report;
pub mod sink;
pub mod source;
mod swf;
mod table;
mod when;

pub use detect::Format;
pub use problem::{ImportError, Interrupted};
pub use report::ImportReport;
pub use source::Source;
