//! `emx export`: rows as CSV or NDJSON.

use super::query::{condition, scope};
use crate::app::output;
use crate::app::problem::Failure;
use crate::app::session::Session;
use crate::query::rows::RowsQuestion;
use crate::query::when;
use crate::transfer::export::{ExportFormat, export};
use anyhow::{Context, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use storage::ask::Budget;

/// What to export.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    emx export --tenant demo --format ndjson > executions.ndjson\n  \
    emx export --tenant demo --format csv --from -7d --filter status=failure --output failures.csv")]
pub(in crate::app) struct Flags {
    /// Whose executions
    #[arg(long, value_name = "NAME")]
    tenant: String,
    /// csv, for a spreadsheet, or ndjson, which can be imported again without loss
    #[arg(long, value_name = "FORMAT")]
    format: String,
    /// First instant: RFC 3339, Unix milliseconds, or relative: -7d, -12h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// Last instant, not included
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// Conditions that must all hold: status=failure, team_id!=web, labels.branch=main
    #[arg(long, value_name = "CONDITION")]
    filter: Vec<String>,
    /// Where to write; standard output if not given
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(flags: &Flags, session: &Session) -> Result<()> {
    let format = ExportFormat::parse(&flags.format).ok_or_else(|| {
        Failure::usage(format!("`{}` is no format", flags.format)).help("use csv or ndjson")
    })?;
    let now_ms = session.clock.now_ms();
    let absolute =
        |text: &String| when::relative(text, now_ms).map_or(text.clone(), |ms| ms.to_string());
    let times = [("from", &flags.from), ("to", &flags.to)].into_iter();
    let times = times.filter_map(|(name, time)| Some((name, absolute(time.as_ref()?))));
    let filters = flags.filter.iter().map(|text| ("filter", condition(text)));
    let question = RowsQuestion::from_params(times.chain(filters))?;
    let data = session.open()?;
    let tenant = data.enter(&flags.tenant)?;
    let Some(selection) = question.selection(&scope(&tenant)) else { return Ok(()) };
    let mut out: BufWriter<Box<dyn Write>> = match &flags.output {
        Some(path) => {
            let file =
                File::create(path).with_context(|| format!("cannot write `{}`", path.display()))?;
            BufWriter::new(Box::new(file))
        }
        None => BufWriter::new(Box::new(output::stream())),
    };
    let bar = match output::shows_progress() && flags.output.is_some() {
        true => ProgressBar::new_spinner().with_style(
            ProgressStyle::with_template("{spinner} {pos} rows")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        ),
        false => ProgressBar::hidden(),
    };
    let budget = Budget::default();
    let keyspace = tenant.keyspace();
    let rows = export(&**keyspace, &selection, format, &budget, &mut out, &mut |rows| {
        bar.set_position(rows);
    })?;
    out.flush()?;
    bar.finish_and_clear();
    match &flags.output {
        Some(_) if session.json => output::json(&serde_json::json!({ "rows": rows })),
        Some(path) => Ok(output::text(&format!("{rows} rows written to {}\n", path.display()))?),
        None => Ok(()),
    }
}
