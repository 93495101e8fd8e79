//! `emx query`: a question from flags or from a file, its answer as a table, JSON or CSV.

use crate::app::answer_table;
use crate::app::input::read_up_to;
use crate::app::output;
use crate::app::problem::{Failure, FlagsRefused};
use crate::app::remote::{Ask, Remote, target};
use crate::app::session::Session;
use crate::config::settings::Settings;
use crate::limits::Limit;
use crate::query::bucket::Zone;
use crate::query::{Answer, QueryError, QuerySettings, Question, Scope, ask, read, render, when};
use crate::tenancy::scope::TenantScope;
use anyhow::{Context, Result};
use clap::Args;
use std::io::Write;
use std::path::PathBuf;
use storage::row::TimeMs;

/// Longest question that is read from a file, in bytes: larger ones are another file by mistake.
const QUESTION_BYTES_MAX: u64 = 16 << 20;

/// A question.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    emx query --tenant demo --group-by command --metric count --metric 'p95(duration_ms)'\n  \
    emx query --tenant demo --from -7d --bucket day --metric success_rate --filter status!=cancelled\n  \
    emx query --tenant demo --from 2026-03-01 --filter 'duration_ms>=1000' --group-by 'team_id, host'\n  \
    emx query --tenant demo --file question.json --csv")]
pub(in crate::app) struct Flags {
    /// Whose executions; at a server elsewhere (`--url`) the key's own if not given
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
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
    /// First instant: RFC 3339, a date (its beginning in the zone), Unix milliseconds, or
    /// relative: -7d, -12h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// Last instant, not included; of a date, too, its beginning is meant
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// Width of the time buckets: hour, day, week, month or none
    #[arg(long, value_name = "WIDTH")]
    bucket: Option<String>,
    /// Zone of buckets and dates, as Europe/Berlin; the tenant's if not given
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
    let file =
        flags.file.as_deref().map(|file| read_up_to(file, QUESTION_BYTES_MAX)).transpose()?;
    let now_ms = session.clock.now_ms();
    let question_in = |zone: &Zone| match &file {
        Some(json) => Ok(Question::from_json_in(json, zone.clone())?),
        None => flags.asked.question(now_ms, zone),
    };
    refuse_early(question_in(&Zone::utc()))?;
    let named = session.tenant(&flags.tenant)?;
    let (question, answer) = match session.server()? {
        Some(server) => {
            let zone = server.zone_of(named)?;
            let question = question_in(&zone)?;
            let answer = ask_server(&server, flags, file.as_deref(), now_ms, &zone, &question)?;
            (question, answer)
        }
        None => {
            let data = session.open()?;
            let tenant = data.enter(named.unwrap_or_default())?;
            let zone = zone_of(&tenant);
            let question = question_in(&zone)?;
            let asked = || flags.written(file.as_deref(), now_ms, &zone);
            data.tell_of_question(&tenant, asked, now_ms)?;
            let budget = query_settings(session.settings()).budget(session.clock.instant());
            let answer = ask(&scope(&tenant), &question, &budget, &|| session.clock.instant())?;
            (question, answer)
        }
    };
    let mut out = output::stream();
    if session.json {
        render::write_json(&mut out, &answer)?;
        out.write_all(b"\n")?;
    } else if flags.csv {
        render::write_csv(&mut out, &answer.table)?;
    } else {
        out.write_all(
            answer_table::render(&answer, &question, output::cell_width_max()).as_bytes(),
        )?;
    }
    Ok(out.flush()?)
}

/// The same question, answered by a server.
fn ask_server(
    server: &Remote,
    flags: &Flags,
    file: Option<&[u8]>,
    now_ms: TimeMs,
    zone: &Zone,
    question: &Question,
) -> Result<Answer> {
    let tenant = flags.tenant.as_deref();
    let target = match file {
        Some(_) => "/api/v1/query".to_owned(),
        None => target("/api/v1/query", &flags.asked.pairs(now_ms, zone)?),
    };
    let asked = match file {
        Some(json) => Ask::post(&target, tenant, with_zone(json, zone)?),
        None => Ask::get(&target, tenant),
    };
    let mut text = Vec::new();
    server.write(asked, &mut text)?;
    read::answer(&text, question).context("the server's answer is not what was expected")
}

/// The question `json` with the zone that is meant where it names none.
fn with_zone(json: &[u8], zone: &Zone) -> Result<Vec<u8>> {
    let mut question: serde_json::Value = serde_json::from_slice(json)?;
    if let Some(members) = question.as_object_mut() {
        members.entry("time_zone").or_insert_with(|| zone.name().into());
    }
    Ok(serde_json::to_vec(&question)?)
}

/// What cannot be asked is refused before anybody waits for the data. Only whether a range of dates is
/// empty is not known before the tenant's zone is.
pub(super) fn refuse_early<T>(read: Result<T>) -> Result<()> {
    let Err(error) = read else { return Ok(()) };
    let refused = error.downcast_ref::<FlagsRefused>().map(|flags| &flags.0);
    let problems = refused.or_else(|| error.downcast_ref::<QueryError>()).map(QueryError::problems);
    match problems {
        Some(all) if !all.is_empty() && all.iter().all(|p| p.code == "empty_range") => Ok(()),
        _ => Err(error),
    }
}

/// The zone whose days are meant where a question names none.
pub(super) fn zone_of(tenant: &TenantScope) -> Zone {
    Zone::parse(&tenant.tenant().time_zone).unwrap_or_else(Zone::utc)
}

/// All rows of `tenant`: whoever is at the machine has no row policy.
pub(super) fn scope(tenant: &TenantScope) -> Scope<'_> {
    Scope {
        keyspace: &**tenant.keyspace(),
        keyspace_id: tenant.id().as_str(),
        organization_id: tenant.id().as_str(),
        policy: &[],
        aggregates: &[],
    }
}

/// What a question may cost.
pub(super) fn query_settings(settings: &Settings) -> QuerySettings {
    QuerySettings {
        time_ms_max: settings.limits.limits().of(Limit::QueryTime),
        memory_bytes_max: settings.limits.query_memory_max.bytes(),
        ..QuerySettings::default()
    }
}

impl Flags {
    /// The question as text: the file's JSON, or the flags as parameters.
    fn written(&self, file: Option<&[u8]>, now_ms: TimeMs, zone: &Zone) -> Result<String> {
        match file {
            Some(json) => Ok(String::from_utf8(with_zone(json, zone)?)?),
            None => Ok(target("", &self.asked.pairs(now_ms, zone)?).replacen('?', "", 1)),
        }
    }
}

impl Asked {
    /// The question; one without `--time-zone` is about `zone`.
    fn question(&self, now_ms: TimeMs, zone: &Zone) -> Result<Question> {
        Ok(Question::from_params(self.pairs(now_ms, zone)?).map_err(FlagsRefused)?)
    }

    /// The same as parameters.
    fn pairs(&self, now_ms: TimeMs, zone: &Zone) -> Result<Vec<Pair>> {
        // A zone that does not exist is refused below.
        let given = self.time_zone.as_deref().and_then(Zone::parse);
        let zone = given.as_ref().unwrap_or(zone);
        let mut pairs = range_pairs(&self.from, &self.to, now_ms, zone)?;
        let single = [("bucket", &self.bucket), ("limit", &self.limit), ("fill", &self.fill)];
        pairs.extend(single.into_iter().filter_map(|(name, text)| Some((name, text.clone()?))));
        pairs.push(("time_zone", self.time_zone.clone().unwrap_or(zone.name().to_owned())));
        let repeated = [
            ("group_by", &self.group_by),
            ("metric", &self.metric),
            ("filter", &self.filter),
            ("order_by", &self.order_by),
        ];
        for (name, texts) in repeated {
            pairs.extend(texts.iter().map(|text| (name, text.clone())));
        }
        if self.metric.is_empty() {
            pairs.push(("metric", "count".to_owned()));
        }
        Ok(pairs)
    }
}

/// A flag's name among the contract's parameters, and its text.
pub(super) type Pair = (&'static str, String);

/// `--from` and `--to` as parameters.
pub(super) fn range_pairs(
    from: &Option<String>,
    to: &Option<String>,
    now_ms: TimeMs,
    zone: &Zone,
) -> Result<Vec<Pair>, Failure> {
    let mut pairs = Vec::new();
    for (name, text) in [("from", from), ("to", to)] {
        let Some(text) = text else { continue };
        let typed = when::typed(text, now_ms, zone);
        let typed = typed.map_err(|detail| Failure::usage(format!("`--{name}`: {detail}")))?;
        pairs.push((name, typed));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{Sources, load};

    #[test]
    fn the_default_file_says_what_questions_default_to() {
        let loaded = load(&Sources::default()).unwrap();
        assert_eq!(query_settings(&loaded.settings), QuerySettings::default());
    }
}
