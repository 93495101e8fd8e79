//! `emx top`: what is going on, again and again.

use super::query::{query_settings, range_pairs, scope, zone_of};
use crate::app::answer_table;
use crate::app::output;
use crate::app::problem::{Failure, FlagsRefused};
use crate::app::remote::{Ask, Remote, target};
use crate::app::session::Session;
use crate::query::bucket::Zone;
use crate::query::{Answer, Question, ask, read, render};
use anyhow::{Context, Result};
use clap::Args;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// What to watch.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    emx top --tenant demo\n  \
    emx top --tenant demo --by user_id --last 15m --filter status=failure\n  \
    emx top --tenant demo --once --json")]
pub(in crate::app) struct Flags {
    /// Whose executions; at a server elsewhere (`--url`) the key's own if not given
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// By which column: command, user_id, team_id, project_id, host, actor, labels.KEY
    #[arg(long, value_name = "COLUMN", default_value = "command")]
    by: String,
    /// Of which time until now: 15m, 1h, 7d
    #[arg(long, value_name = "TIME", default_value = "1h")]
    last: String,
    /// Conditions that must all hold, as `emx query` takes them
    #[arg(long, value_name = "CONDITION")]
    filter: Vec<String>,
    /// Most rows
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Seconds from one look to the next
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
    /// Look once
    #[arg(long)]
    once: bool,
}

/// Clears the screen from its upper left corner on (ECMA-48 CUP and ED).
const CLEAR: &str = "\x1b[H\x1b[J";

const METRICS: [&str; 6] = [
    "count",
    "failure_count",
    "success_rate",
    "p50(duration_ms)",
    "p95(duration_ms)",
    "sum(duration_ms)",
];

pub(super) fn run(flags: &Flags, session: &Session) -> Result<()> {
    let live = std::io::stdout().is_terminal() && !flags.once && !session.json;
    loop {
        let (question, answer) = look(flags, session)?;
        let mut out = output::stream();
        if session.json {
            render::write_json(&mut out, &answer)?;
            out.write_all(b"\n")?;
        } else {
            let table = answer_table::render(&answer, &question, output::cell_width_max());
            let clear = if live { CLEAR } else { "" };
            let Flags { tenant, by, last, .. } = flags;
            let whose = tenant.as_ref().map_or_else(String::new, |tenant| format!("{tenant}: "));
            write!(out, "{clear}{whose}the last {last} by {by}\n\n{table}")?;
        }
        out.flush()?;
        if !live {
            return Ok(());
        }
        session.clock.pause(Duration::from_secs(flags.every));
    }
}

fn look(flags: &Flags, session: &Session) -> Result<(Question, Answer)> {
    let named = session.tenant(&flags.tenant)?;
    if let Some(server) = session.server()? {
        let pairs = flags.pairs(session, &Zone::utc())?;
        let question = flags.question(&pairs)?;
        let answer = ask_server(&server, flags, &pairs, &question)?;
        return Ok((question, answer));
    }
    let data = session.open()?;
    let tenant = data.enter(named.unwrap_or_default())?;
    let question = flags.question(&flags.pairs(session, &zone_of(&tenant))?)?;
    let budget = query_settings(session.settings()).budget(session.clock.instant());
    let answer = ask(&scope(&tenant), &question, &budget, &|| session.clock.instant())?;
    Ok((question, answer))
}

fn ask_server(
    server: &Remote,
    flags: &Flags,
    pairs: &[(&'static str, String)],
    question: &Question,
) -> Result<Answer> {
    let target = target("/api/v1/query", pairs);
    let mut text = Vec::new();
    server.write(Ask::get(&target, flags.tenant.as_deref()), &mut text)?;
    read::answer(&text, question).context("the server's answer is not what was expected")
}

impl Flags {
    fn pairs(&self, session: &Session, zone: &Zone) -> Result<Vec<(&'static str, String)>> {
        let from = Some(format!("-{}", self.last));
        let now_ms = session.clock.now_ms();
        let told =
            |_| Failure::usage(format!("`--last`: `{}` is not a time like 1h or 7d", self.last));
        let mut pairs = range_pairs(&from, &None, now_ms, zone).map_err(told)?;
        pairs.push(("group_by", self.by.clone()));
        pairs.extend(METRICS.iter().map(|metric| ("metrics", (*metric).to_owned())));
        pairs.extend(self.filter.iter().map(|text| ("filter", text.clone())));
        pairs.push(("order_by", "count:desc".to_owned()));
        pairs.push(("limit", self.limit.to_string()));
        Ok(pairs)
    }

    fn question(&self, pairs: &[(&'static str, String)]) -> Result<Question> {
        let pairs = pairs.iter().map(|(name, text)| (*name, text.as_str()));
        Ok(Question::from_params(pairs).map_err(FlagsRefused)?)
    }
}
