//! `emx query`: a question from flags or from a file, its answer as a table, JSON or CSV.

use crate::app::answer_table;
use crate::app::output;
use crate::app::problem::Failure;
use crate::app::session::Session;
use crate::config::settings::Settings;
use crate::query::{QuerySettings, Question, Scope, ask, render, when};
use crate::tenancy::scope::TenantScope;
use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Longest question that is read from a file, in bytes: larger ones are another file by mistake.
const QUESTION_BYTES_MAX: u64 = 16 << 20;

/// A question.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    emx query --tenant demo --group-by command --metric count --metric 'p95(duration_ms)'\n  \
    emx query --tenant demo --from -7d --bucket day --metric success_rate --filter status!=cancelled\n  \
    emx query --tenant demo --file question.json --csv")]
pub(in crate::app) struct Flags {
    /// Whose executions
    #[arg(long, value_name = "NAME")]
    tenant: String,
    #[command(flatten)]
    asked: Asked,
    /// Read the question as JSON from a file, or from standard input with -
    #[arg(long, value_name = "FILE", conflicts_with = "Asked")]
    file: Option<PathBuf>,
    /// Answer in CSV
    #[arg(long)]
    csv: bool,
}

/// A question in flags.
#[derive(Debug, Args)]
#[group(multiple = true)]
struct Asked {
    /// First instant: RFC 3339, Unix milliseconds, or relative: -7d, -12h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// Last instant, not included
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// Width of the time buckets: hour, day, week, month or none
    #[arg(long, value_name = "WIDTH")]
    bucket: Option<String>,
    /// Zone of the buckets, as Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Columns to group by: command, user_id, team_id, project_id, session_id, host, status,
    /// actor, labels.KEY (may be repeated, or separated by commas)
    #[arg(long, value_name = "COLUMN")]
    group_by: Vec<String>,
    /// What to compute (default count): count, failure_count, success_rate, count_distinct(COLUMN);
    /// sum, avg, min, max, stddev, p50, p75, p90, p95, p99, p999 of (duration_ms) or (values.KEY)
    #[arg(long, value_name = "METRIC")]
    metric: Vec<String>,
    /// Conditions that must all hold: status=failure, team_id!=web, duration_ms>=1000,
    /// command^=cargo (begins so), or COLUMN:in:A,B, COLUMN:exists
    #[arg(long, value_name = "CONDITION")]
    filter: Vec<String>,
    /// Order of the rows: COLUMN or METRIC, with :desc for the largest first
    #[arg(long, value_name = "KEY")]
    order_by: Vec<String>,
    /// Most rows
    #[arg(long, value_name = "N")]
    limit: Option<String>,
    /// What stands in buckets without rows: none, zero or null
    #[arg(long, value_name = "FILL")]
    fill: Option<String>,
}

pub(super) fn run(flags: &Flags, session: &Session) -> Result<()> {
    if flags.csv && session.json {
        return Err(Failure::usage("an answer is JSON or CSV, not both")
            .help("leave out `--json` or `--csv`")
            .into());
    }
    let question = match &flags.file {
        Some(path) => Question::from_json(&read_question(path)?)?,
        None => Question::from_params(flags.asked.pairs(session.clock.now_ms()))?,
    };
    let data = session.open()?;
    let tenant = data.enter(&flags.tenant)?;
    let budget = query_settings(session.settings()).budget(session.clock.instant());
    let answer = ask(&scope(&tenant), &question, &budget, &|| session.clock.instant())?;
    let mut out = output::stream();
    if session.json {
        render::write_json(&mut out, &answer)?;
        out.write_all(b"\n")?;
    } else if flags.csv {
        render::write_csv(&mut out, &answer.table)?;
    } else {
        out.write_all(answer_table::render(&answer, &question).as_bytes())?;
    }
    Ok(out.flush()?)
}

/// All rows of `tenant`: whoever is at the machine has no row policy.
pub(super) fn scope(tenant: &TenantScope) -> Scope<'_> {
    Scope {
        keyspace: &**tenant.keyspace(),
        keyspace_id: tenant.id().as_str(),
        organization_id: tenant.id().as_str(),
        policy: &[],
    }
}

/// What a question may cost.
pub(super) fn query_settings(settings: &Settings) -> QuerySettings {
    let time_ms_max = settings.performance.query_time_max.0.as_millis();
    QuerySettings {
        time_ms_max: u64::try_from(time_ms_max).unwrap_or(u64::MAX),
        memory_bytes_max: settings.performance.query_memory_max.bytes(),
        ..QuerySettings::default()
    }
}

fn read_question(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let input: &mut dyn Read = match path.to_str() {
        Some("-") => &mut io::stdin().lock(),
        _ => &mut File::open(path)
            .with_context(|| format!("cannot open the question `{}`", path.display()))?,
    };
    input
        .take(QUESTION_BYTES_MAX)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read the question `{}`", path.display()))?;
    Ok(bytes)
}

impl Asked {
    /// The flags under the contract's names of parameters.
    fn pairs(&self, now_ms: storage::row::TimeMs) -> Vec<(&'static str, String)> {
        let absolute = |text: &String| match when::relative(text, now_ms) {
            Some(ms) => ms.to_string(),
            None => text.clone(),
        };
        let single = [
            ("from", self.from.as_ref().map(absolute)),
            ("to", self.to.as_ref().map(absolute)),
            ("bucket", self.bucket.clone()),
            ("time_zone", self.time_zone.clone()),
            ("limit", self.limit.clone()),
            ("fill", self.fill.clone()),
        ];
        let mut pairs: Vec<(&'static str, String)> =
            single.into_iter().filter_map(|(name, text)| Some((name, text?))).collect();
        let repeated =
            [("group_by", &self.group_by), ("metric", &self.metric), ("order_by", &self.order_by)];
        for (name, texts) in repeated {
            pairs.extend(texts.iter().map(|text| (name, text.clone())));
        }
        pairs.extend(self.filter.iter().map(|text| ("filter", condition(text))));
        if self.metric.is_empty() {
            pairs.push(("metric", "count".to_owned()));
        }
        pairs
    }
}

/// How conditions may be written, longest sign first, and the contract's operators.
const SIGNS: [(&str, &str); 7] = [
    ("!=", "ne"),
    (">=", "gte"),
    ("<=", "lte"),
    ("^=", "prefix"),
    ("=", "eq"),
    (">", "gt"),
    ("<", "lt"),
];

/// `status=failure` as the JSON filter that it means; other forms stay as they are.
pub(super) fn condition(text: &str) -> String {
    let name_end = text.find(['!', '>', '<', '^', '=', ':', '{']).unwrap_or(text.len());
    let (field, rest) = text.split_at(name_end);
    let sign = SIGNS.iter().find_map(|(sign, op)| Some((op, rest.strip_prefix(sign)?)));
    match sign {
        Some((op, value)) => json!({"field": field, "op": op, "value": value}).to_string(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{Sources, load};

    #[test]
    fn conditions_can_be_written_with_signs() {
        let cases = [
            ("status=failure", r#"{"field":"status","op":"eq","value":"failure"}"#),
            ("team_id!=", r#"{"field":"team_id","op":"ne","value":""}"#),
            ("duration_ms>=10", r#"{"field":"duration_ms","op":"gte","value":"10"}"#),
            ("command^=a=b", r#"{"field":"command","op":"prefix","value":"a=b"}"#),
            ("host:in:a=1,b", "host:in:a=1,b"),
            (r#"{"field":"x"}"#, r#"{"field":"x"}"#),
            ("status", "status"),
        ];
        for (text, meant) in cases {
            assert_eq!(condition(text), meant);
        }
    }

    #[test]
    fn the_default_file_says_what_questions_default_to() {
        let loaded = load(&Sources::default()).unwrap();
        assert_eq!(query_settings(&loaded.settings), QuerySettings::default());
    }
}
