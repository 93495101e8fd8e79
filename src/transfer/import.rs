//! Imports a file: reads on this thread, stores on another, in bounded batches.

use super::detect::{Format, detect};
use super::json::JsonRecords;
use super::judge::{Batch, Judge, QUARANTINED_MAX};
use super::mapping::{self, Column, Rule};
use super::problem::{ImportError, Interrupted};
use super::record::Records;
use super::report::ImportReport;
use super::sink::{Sink, SinkError};
use super::source::{Lines, Position, Source};
use super::swf::SwfRecords;
use super::table::TableRecords;
use crate::process::admit::{Arrival, Refusal};
use crossbeam::channel::{Receiver, Sender, bounded};
use jiff::tz::TimeZone;
use storage::engine::RowOutcome;
use storage::row::TimeMs;

/// How a file is to be read.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its format; `None`: it is detected.
    pub format: Option<Format>,
    /// What columns are taken for, over what their names say.
    pub rules: Vec<Rule>,
    /// When a job log without `UnixStartTime` begins.
    pub epoch_ms: Option<TimeMs>,
    /// The zone of times without an offset.
    pub zone: TimeZone,
    /// Rows that are stored together.
    pub batch_rows: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            format: None,
            rules: Vec::new(),
            epoch_ms: None,
            zone: TimeZone::UTC,
            batch_rows: BATCH_ROWS,
        }
    }
}

/// Rows stored together where nobody says otherwise.
pub const BATCH_ROWS: usize = 5000;

/// Batches that wait for the store: one is stored while the next is read.
const BATCHES_WAITING: usize = 2;

/// What a file is taken for.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The format.
    pub format: Format,
    /// Facts that the file tells of itself.
    pub facts: Vec<(String, String)>,
    /// Its columns and what they were taken for.
    pub columns: Vec<Column>,
}

/// Imports `source` into `sink`. `progress` is called now and then with how far it is; what it
/// answers says whether to go on.
pub fn run(
    source: Source,
    options: &Options,
    arrival: Arrival<'_>,
    sink: &mut dyn Sink,
    progress: &mut dyn FnMut(&Position, u64) -> bool,
) -> Result<(ImportReport, Taken), Interrupted> {
    let format = match options.format {
        Some(format) => format,
        None => detect(&source)?,
    };
    let (name, position) = (source.name().to_owned(), source.position());
    let lines = Lines::new(source.into_content());
    let mut records = records(lines, &name, format, options)?;
    let (to_store, batches) = bounded::<Batch>(BATCHES_WAITING);
    let mut progress = |rows| progress(&position, rows);
    let ((mut report, read), (stored, storing)) = std::thread::scope(|scope| {
        let storing = scope.spawn(move || store(&batches, sink));
        let read = read(&mut *records, &name, options, arrival, &to_store, &mut progress);
        drop(to_store);
        (read, storing.join().unwrap_or_else(|_| (ImportReport::default(), Err(failed()))))
    });
    report.add(stored);
    let taken = Taken { format, facts: records.facts(), columns: records.columns() };
    // A failure to store ends the reading too, and is the cause.
    match storing.map_err(ImportError::from).and(read) {
        Ok(()) => Ok((report, taken)),
        Err(error) => Err(Interrupted { error, done: Some(Box::new((report, taken))) }),
    }
}

fn failed() -> SinkError {
    SinkError::Other {
        detail: "storing failed unexpectedly: import the file again".to_owned(),
        transient: true,
    }
}

fn records(
    lines: Lines,
    name: &str,
    format: Format,
    options: &Options,
) -> Result<Box<dyn Records>, ImportError> {
    let (rules, zone) = (&options.rules, options.zone.clone());
    mapping::check_rules(rules)?;
    let table = |lines, separator| {
        TableRecords::new(lines, name, separator, rules, zone.clone())
            .map(|records| Box::new(records) as Box<dyn Records>)
            .map_err(|e| e.into_import(name, 0))
    };
    match format {
        Format::Swf => Ok(Box::new(SwfRecords::new(lines, options.epoch_ms))),
        Format::Csv => table(lines, None),
        Format::Tsv => table(lines, Some(b'\t')),
        Format::Json => Ok(Box::new(JsonRecords::new(lines, false, rules, zone))),
        Format::Ndjson => Ok(Box::new(JsonRecords::new(lines, true, rules, zone))),
    }
}

/// What a part of an import did, and whether it came to its end.
type Part<E> = (ImportReport, Result<(), E>);

/// Reads and judges every record.
fn read(
    records: &mut dyn Records,
    name: &str,
    options: &Options,
    arrival: Arrival<'_>,
    to_store: &Sender<Batch>,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Part<ImportError> {
    let mut judge = Judge::new(arrival);
    loop {
        let more = match records.next(&mut |record| judge.take(record)) {
            Ok(_) if judge.report.quarantined > QUARANTINED_MAX => {
                let (name, line) = (name.to_owned(), records.line());
                Err(ImportError::TooManyQuarantined { name, limit: QUARANTINED_MAX, line })
            }
            Ok(more) => Ok(more),
            Err(e) => Err(e.into_import(name, records.line())),
        };
        // What was read before an error is stored all the same.
        let goes_on = matches!(more, Ok(true));
        if !goes_on || judge.is_full(options.batch_rows) {
            if judge.has_waiting() && to_store.send(judge.batch()).is_err() {
                break; // storing failed; its own answer says why
            }
            if let Err(error) = more {
                return (judge.report, Err(error));
            }
            if !progress(judge.report.rows) || !goes_on {
                break;
            }
        }
    }
    (judge.report, Ok(()))
}

/// Stores every batch and counts what became of the rows.
fn store(batches: &Receiver<Batch>, sink: &mut dyn Sink) -> Part<SinkError> {
    let mut report = ImportReport::default();
    for Batch { append, lines } in batches {
        let range = append.rows.time_range();
        let outcomes = match sink.append(append) {
            Ok(appended) => appended.outcomes,
            Err(error) => return (report, Err(error)),
        };
        if let Some(range) = range {
            report.cover(range);
        }
        for (outcome, line) in outcomes.into_iter().zip(lines) {
            match outcome {
                RowOutcome::Accepted => report.accepted += 1,
                RowOutcome::Duplicate => report.duplicates += 1,
                RowOutcome::TooManyKeys => {
                    report.rejected += 1;
                    report.tell(line, Refusal::too_many_keys());
                }
            }
        }
    }
    (report, Ok(()))
}
