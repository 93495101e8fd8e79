//! `emx import`: files become executions.

use super::query::zone_of;
use crate::app::import_report;
use crate::app::output;
use crate::app::problem::{Failure, Problem};
use crate::app::session::{Data, Session};
use crate::audit::Outcome;
use crate::model::time::parse_rfc3339;
use crate::process::admit::Arrival;
use crate::tenancy::scope::TenantScope;
use crate::transfer::import::{self, Options};
use crate::transfer::report::ImportReport;
use crate::transfer::sink::{DryRun, KeyspaceSink, Sink};
use crate::transfer::source::Position;
use crate::transfer::{Format, ImportError, Interrupted, Source, mapping};
use anyhow::Result;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::tz::TimeZone;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::row::TimeMs;

/// What to import.
#[derive(Debug, Args)]
#[command(
    after_help = "Importing the same records again, also under another name, adds nothing.\n\n\
    Examples:\n  \
    emx import builds.csv --tenant demo --dry-run\n  \
    emx import builds.csv --tenant demo --map took_s=duration_ms --map branch=labels.branch\n  \
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
    /// What a column is: COLUMN=FIELD, FIELD with a unit where it needs one (ts_s, duration_us; else
    /// the column's own ending decides, as in took_s=duration_ms), labels.KEY, values.KEY, or - to
    /// leave it out (may be repeated)
    #[arg(long, value_name = "COLUMN=FIELD")]
    map: Vec<String>,
    /// When a job log (SWF) without `UnixStartTime` begins: RFC 3339 or Unix seconds
    #[arg(long, value_name = "TIME")]
    epoch: Option<String>,
    /// Zone of times without an offset, as Europe/Berlin; the tenant's if not given
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Read and judge everything, store nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(flags: &Flags, session: &Session) -> Result<()> {
    let mut options = flags.options(session)?;
    let data = session.open()?;
    let tenant = data.enter(&flags.tenant)?;
    if flags.time_zone.is_none() {
        options.zone = zone_of(&tenant).rules().clone();
    }
    let import = Import { data, tenant, options, dry_run: flags.dry_run, session };
    let [only] = flags.files.as_slice() else { return import.all(&flags.files) };
    import.one(only)
}

/// One run of the command.
struct Import<'s> {
    data: Data,
    tenant: TenantScope,
    options: Options,
    dry_run: bool,
    session: &'s Session,
}

/// A report as JSON.
#[derive(Serialize)]
struct Told<'r> {
    file: &'r str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
    #[serde(flatten)]
    report: &'r ImportReport,
}

impl Import<'_> {
    /// Imports every file, the good ones behind a bad one too; each failure is told where it
    /// happens.
    fn all(&self, files: &[PathBuf]) -> Result<()> {
        let (mut failed, mut tried) = (0, 0);
        for path in files {
            tried += 1;
            let Err(error) = self.one(path) else { continue };
            if output::is_broken_pipe(&error) {
                return Err(error);
            }
            failed += 1;
            let name = path.display().to_string();
            let is_named = error.chain().any(|cause| cause.to_string().contains(&name));
            let store_failed = matches!(error.downcast_ref(), Some(ImportError::Sink(_)));
            let error = if is_named { error } else { error.context(format!("`{name}`")) };
            Problem::of(&error).tell(self.session.json);
            if store_failed {
                break; // it would fail with the next file too
            }
        }
        if failed == 0 {
            return Ok(());
        }
        let mut detail = format!("{failed} of {} files could not be imported whole", files.len());
        if tried < files.len() {
            detail += &format!(", and {} were not tried", files.len() - tried);
        }
        Err(Failure::new("import_incomplete", detail)
            .help("once what is told above is mended, import the same files again: nothing is counted twice")
            .into())
    }

    /// Imports a file and reports what was done, of one that breaks off too.
    fn one(&self, path: &Path) -> Result<()> {
        let clock = &self.session.clock;
        let started = clock.instant();
        let source = Source::open(path)?;
        let name = source.name().to_owned();
        let bar = progress(&source);
        let mut sink: Box<dyn Sink> = match self.dry_run {
            true => Box::new(DryRun),
            false => Box::new(KeyspaceSink(Arc::clone(self.tenant.keyspace()))),
        };
        let origin = format!("import:{}", uuid::Uuid::now_v7());
        let received_ms = clock.now_ms();
        let arrival = Arrival { received_ms, origin: &origin, retention_ms: None };
        let tell = |outcome| match self.dry_run {
            true => Ok(()),
            false => {
                let (action, target) = ("executions.import", format!("{origin} {name}"));
                self.data.tell(&self.tenant, action, target, outcome, clock.now_ms())
            }
        };
        tell(Outcome::Begun)?;
        let mut progress = |position: &Position, rows| {
            bar.set_position(position.done());
            bar.set_message(format!("{rows} rows"));
            true
        };
        let imported = import::run(source, &self.options, arrival, &mut *sink, &mut progress);
        bar.finish_and_clear();
        let (done, ended) = match imported {
            Ok(done) => (Some(done), Ok(())),
            Err(Interrupted { error, done }) => (done.map(|done| *done), Err(error)),
        };
        if !self.dry_run && ended.is_ok() {
            self.tenant.keyspace().settle()?;
        }
        tell(if ended.is_ok() { Outcome::Done } else { Outcome::Failed })?;
        let Some((mut report, taken)) = done else { return Ok(ended?) };
        report.elapsed_ms = clock.instant().duration_since(started).as_millis().try_into()?;
        if self.session.json {
            let dry_run = self.dry_run;
            output::json(&Told { file: &name, dry_run, report: &report })?;
        } else {
            output::text(&import_report::shown(&name, &report, &taken, self.dry_run))?;
        }
        ended?;
        if report.rows > 0 && report.accepted + report.duplicates == 0 {
            return Err(nothing_taken(&name, &report).into());
        }
        Ok(())
    }
}

/// A file of which nothing could be used is another kind of file than it was taken for.
fn nothing_taken(name: &str, report: &ImportReport) -> Failure {
    let detail = format!("none of the {} records of `{name}` could be taken", report.rows);
    Failure::new("nothing_imported", detail)
        .help("say what the file is with `--format`, and what its columns are with `--map`")
}

impl Flags {
    fn options(&self, session: &Session) -> Result<Options> {
        let format = match self.format.as_str() {
            "auto" => None,
            name => Some(Format::parse(name).ok_or_else(|| {
                Failure::usage(format!("`--format`: there is no format `{name}`"))
                    .help(format!("use auto or one of {}", Format::list()))
            })?),
        };
        let rules = self.map.iter().map(|rule| mapping::parse_rule(rule));
        let rules = rules.collect::<Result<Vec<_>, ImportError>>()?;
        let zone = self.time_zone.as_deref().map_or(Ok(TimeZone::UTC), |name| {
            let unknown = || Failure::usage(format!("`--time-zone`: there is no zone `{name}`"));
            let unknown = || unknown().help("use a name of the IANA database, as Europe/Berlin");
            TimeZone::get(name).map_err(|_| unknown())
        })?;
        let epoch_ms = self.epoch.as_deref().map(read_epoch).transpose()?;
        let batch_rows = session.settings().import.batch_rows;
        Ok(Options { format, rules, epoch_ms, zone, batch_rows })
    }
}

fn read_epoch(text: &str) -> Result<TimeMs, Failure> {
    let seconds = text.parse::<i64>().ok().and_then(|s| s.checked_mul(1000));
    seconds.or_else(|| parse_rfc3339(text).ok()).ok_or_else(|| {
        Failure::usage(format!("`--epoch`: `{text}` is no time"))
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
