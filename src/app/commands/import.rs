//! `emx import`: files become executions.

use crate::app::output;
use crate::app::problem::Failure;
use crate::app::session::Session;
use crate::model::time::{format_rfc3339, parse_rfc3339};
use crate::process::admit::Arrival;
use crate::transfer::import::{self, Options, Taken};
use crate::transfer::report::ImportReport;
use crate::transfer::sink::{DryRun, KeyspaceSink, Sink};
use crate::transfer::{Format, ImportError, Source, mapping};
use anyhow::Result;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::tz::TimeZone;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use storage::row::TimeMs;

/// What to import.
#[derive(Debug, Args)]
#[command(
    after_help = "Importing the same records again, also under another name, adds nothing.\n\n\
    Examples:\n  \
    emx import builds.csv --tenant demo --dry-run\n  \
    emx import builds.csv --tenant demo --map started=ts --map took_s=duration_ms\n  \
    emx import jobs.swf.gz --tenant cluster --epoch 2010-05-01T00:00:00Z"
)]
pub(in crate::app) struct Flags {
    /// Files to import, - for standard input; plain, gzip or zstd
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Into which tenant
    #[arg(long, value_name = "NAME")]
    tenant: String,
    /// swf, csv, tsv, json or ndjson; detected if not given
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    format: String,
    /// What a column is: COLUMN=FIELD, FIELD with a unit where it needs one (ts_s, duration_us),
    /// labels.KEY, values.KEY, or - to leave it out (may be repeated)
    #[arg(long, value_name = "COLUMN=FIELD")]
    map: Vec<String>,
    /// When a job log (SWF) without `UnixStartTime` begins: RFC 3339 or Unix seconds
    #[arg(long, value_name = "TIME")]
    epoch: Option<String>,
    /// Zone of times without an offset, as Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    time_zone: String,
    /// Read and judge everything, store nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(flags: &Flags, session: &Session) -> Result<()> {
    let options = flags.options(session)?;
    let data = session.open()?;
    let tenant = data.enter(&flags.tenant)?;
    for path in &flags.files {
        let started = session.clock.instant();
        let source = Source::open(path)?;
        let name = source.name().to_owned();
        let bar = progress(&source);
        let mut sink: Box<dyn Sink> = match flags.dry_run {
            true => Box::new(DryRun),
            false => Box::new(KeyspaceSink(Arc::clone(tenant.keyspace()))),
        };
        let received_ms = session.clock.now_ms();
        let origin = format!("import:{}", uuid::Uuid::now_v7());
        let arrival = Arrival { received_ms, origin: &origin, retention_ms: None };
        let imported = import::run(source, &options, arrival, &mut *sink, &mut |position, rows| {
            bar.set_position(position.done());
            bar.set_message(format!("{rows} rows"));
            true
        });
        bar.finish_and_clear();
        let (mut report, taken) = imported?;
        if !flags.dry_run {
            tenant.keyspace().settle()?;
        }
        report.elapsed_ms =
            session.clock.instant().duration_since(started).as_millis().try_into()?;
        if session.json {
            output::json(&report)?;
        } else {
            output::text(&shown(&name, &report, &taken, flags.dry_run))?;
        }
    }
    Ok(())
}

impl Flags {
    fn options(&self, session: &Session) -> Result<Options> {
        let format = match self.format.as_str() {
            "auto" => None,
            name => Some(Format::parse(name).ok_or_else(|| {
                Failure::usage(format!("`{name}` is no format"))
                    .help(format!("use auto or one of {}", Format::list()))
            })?),
        };
        let rules = self.map.iter().map(|rule| mapping::parse_rule(rule));
        let rules = rules.collect::<Result<Vec<_>, ImportError>>()?;
        let zone = TimeZone::get(&self.time_zone).map_err(|_| {
            Failure::usage(format!("`{}` is no time zone", self.time_zone))
                .help("use a name of the IANA database, as Europe/Berlin")
        })?;
        let epoch_ms = self.epoch.as_deref().map(read_epoch).transpose()?;
        let batch_rows = session.settings().import.batch_rows;
        Ok(Options { format, rules, epoch_ms, zone, batch_rows })
    }
}

fn read_epoch(text: &str) -> Result<TimeMs, Failure> {
    let seconds = text.parse::<i64>().ok().and_then(|s| s.checked_mul(1000));
    seconds.or_else(|| parse_rfc3339(text).ok()).ok_or_else(|| {
        Failure::usage(format!("`--epoch {text}` is no time"))
            .help("write it as 1996-09-23T00:00:00Z or as Unix seconds")
    })
}

/// How far the file has been read, on a terminal only.
fn progress(source: &Source) -> ProgressBar {
    if !output::shows_progress() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match source.position().total() {
        Some(total) => (ProgressBar::new(total), "{bar:30} {percent:>3} %  {msg}  {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes}  {msg}"),
    };
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The report for people.
fn shown(name: &str, report: &ImportReport, taken: &Taken, dry_run: bool) -> String {
    let mut text = format!("{name} ({})\n", taken.format.as_str());
    let mut line = |label: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {label:<12} {value}");
    };
    for (fact, value) in &taken.facts {
        line(fact, value.clone());
    }
    line("rows", report.rows.to_string());
    line(if dry_run { "would accept" } else { "accepted" }, report.accepted.to_string());
    if !dry_run {
        line("duplicates", report.duplicates.to_string());
    }
    line("quarantined", report.quarantined.to_string());
    line("rejected", report.rejected.to_string());
    if let (Some(first), Some(last)) = (report.first_ts, report.last_ts) {
        line("from", format_rfc3339(first));
        line("to", format_rfc3339(last));
    }
    line("took", format!("{} ms", report.elapsed_ms));
    let ignored = taken.columns.iter().filter(|column| column.field == "-").count();
    if !taken.columns.is_empty() {
        text.push_str("columns\n");
        for column in &taken.columns {
            let _ = writeln!(text, "  {:<24} {}", column.column, column.field);
        }
    }
    if ignored > 0 {
        text.push_str("  (- is not read: take it with --map COLUMN=labels.KEY or values.KEY)\n");
    }
    if !report.problems.is_empty() {
        text.push_str("problems\n");
        for problem in &report.problems {
            let fate = if problem.quarantined { "kept aside" } else { "rejected" };
            let _ = writeln!(
                text,
                "  line {}: {fate}: {} {}: {}",
                problem.line, problem.code, problem.pointer, problem.detail
            );
        }
    }
    text
}
