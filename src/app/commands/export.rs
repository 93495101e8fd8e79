//! `emx export`: rows as CSV or NDJSON.

use super::query::{Pair, range_pairs, refuse_early, scope, zone_of};
use crate::app::output;
use crate::app::problem::{Failure, FlagsRefused};
use crate::app::remote::{Ask, Remote, target};
use crate::app::session::Session;
use crate::audit::Outcome;
use crate::query::bucket::Zone;
use crate::query::rows::RowsQuestion;
use crate::transfer::export::{ExportFormat, export};
use anyhow::{Context, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::{self, File};
use std::io::{BufWriter, IntoInnerError, Write};
use std::path::{Path, PathBuf};
use storage::ask::{Budget, Selection};
use storage::row::TimeMs;

/// What to export.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    emx export --tenant demo --format ndjson > executions.ndjson\n  \
    emx export --tenant demo --format csv --from -7d --filter status=failure --output failures.csv")]
pub(in crate::app) struct Flags {
    /// Whose executions; at a server elsewhere (`--url`) the key's own if not given
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// csv, for a spreadsheet, or ndjson, which can be imported again without loss
    #[arg(long, value_name = "FORMAT")]
    format: String,
    /// First instant: RFC 3339, a date (its beginning in the tenant's zone), Unix milliseconds, or
    /// relative: -7d, -12h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// Last instant, not included; of a date, too, its beginning is meant
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// Conditions that must all hold, as `emx query` takes them: status=failure, duration_ms>=1000
    #[arg(long, value_name = "CONDITION")]
    filter: Vec<String>,
    /// Where to write; standard output if not given. A file that is there is replaced once all is
    /// written
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(flags: &Flags, session: &Session) -> Result<()> {
    let format = ExportFormat::parse(&flags.format).ok_or_else(|| {
        Failure::usage(format!("`--format`: there is no format `{}`", flags.format))
            .help("use csv or ndjson")
    })?;
    let now_ms = session.clock.now_ms();
    refuse_early(flags.question(now_ms, &Zone::utc()))?;
    let named = session.tenant(&flags.tenant)?;
    if let Some(server) = session.server()? {
        return from_server(&server, flags, session, now_ms);
    }
    let data = session.open()?;
    let tenant = data.enter(named.unwrap_or_default())?;
    let question = flags.question(now_ms, &zone_of(&tenant))?;
    let nothing = || Selection { from_ms: 0, to_ms: 0, predicates: Vec::new() };
    let selection = question.selection(&scope(&tenant)).unwrap_or_else(nothing);
    data.tell(&tenant, "executions.export", String::new(), Outcome::Done, now_ms)?;
    let keyspace = &**tenant.keyspace();
    let budget = Budget::default();
    let Some(path) = &flags.output else {
        let mut out = output::stream();
        export(keyspace, &selection, format, &budget, &mut out, &mut |_| {})?;
        return Ok(out.flush()?);
    };
    let bar = progress();
    let rows = write_whole(path, |out| {
        let rows = export(keyspace, &selection, format, &budget, out, &mut |rows| {
            bar.set_position(rows);
        });
        Ok(rows?)
    })?;
    bar.finish_and_clear();
    if session.json {
        return output::json(&serde_json::json!({ "rows": rows }));
    }
    Ok(output::text(&format!("{rows} rows written to {}\n", path.display()))?)
}

/// The same rows, from a server.
fn from_server(server: &Remote, flags: &Flags, session: &Session, now_ms: TimeMs) -> Result<()> {
    let tenant = flags.tenant.as_deref();
    let mut pairs = flags.pairs(now_ms, &server.zone_of(tenant)?)?;
    pairs.push(("format", flags.format.clone()));
    let target = target("/api/v1/export", &pairs);
    let asked = Ask::get(&target, tenant);
    let Some(path) = &flags.output else {
        let mut out = output::stream();
        server.write(asked, &mut out)?;
        return Ok(out.flush()?);
    };
    write_whole(path, |out| server.write(asked, out))?;
    if session.json {
        return output::json(&serde_json::json!({ "file": path.display().to_string() }));
    }
    Ok(output::text(&format!("written to {}\n", path.display()))?)
}

impl Flags {
    fn question(&self, now_ms: TimeMs, zone: &Zone) -> Result<RowsQuestion> {
        Ok(RowsQuestion::from_params(self.pairs(now_ms, zone)?).map_err(FlagsRefused)?)
    }

    fn pairs(&self, now_ms: TimeMs, zone: &Zone) -> Result<Vec<Pair>> {
        let mut pairs = range_pairs(&self.from, &self.to, now_ms, zone)?;
        pairs.extend(self.filter.iter().map(|text| ("filter", text.clone())));
        Ok(pairs)
    }
}

fn progress() -> ProgressBar {
    if !output::shows_progress() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {pos} rows");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::new_spinner().with_style(style)
}

/// Gives the file `path` what `write` writes, whole or not at all: it is written beside and takes
/// its place at the end, so that a failure costs nothing that was there. What is no file, as a
/// pipe, is written to directly.
fn write_whole<R>(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<R>) -> Result<R> {
    let cannot = || format!("cannot write `{}`", path.display());
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let mut out = BufWriter::new(File::create(path).with_context(cannot)?);
        let written = write(&mut out)?;
        out.flush().with_context(cannot)?;
        return Ok(written);
    }
    // Of a link, the file that it leads to is replaced.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut part = path.clone().into_os_string();
    part.push(format!(".{}.part", uuid::Uuid::new_v4().simple()));
    let attempt = || -> Result<R> {
        let mut out = BufWriter::new(File::create_new(&part).with_context(cannot)?);
        if let Ok(there) = fs::metadata(path) {
            out.get_ref().set_permissions(there.permissions()).with_context(cannot)?;
        }
        let written = write(&mut out)?;
        let file = out.into_inner().map_err(IntoInnerError::into_error).with_context(cannot)?;
        file.sync_all().with_context(cannot)?;
        fs::rename(&part, path).with_context(cannot)?;
        Ok(written)
    };
    attempt().inspect_err(|_| {
        let _may_be_absent = fs::remove_file(&part);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.csv");
        let write = |text: &str, fails: bool| {
            write_whole(&path, |out| {
                out.write_all(text.as_bytes())?;
                if fails { Err(anyhow::anyhow!("no more")) } else { Ok(()) }
            })
        };
        write("first", true).unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        write("first", false).unwrap();
        write("second", true).unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        write("third", false).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "third");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
