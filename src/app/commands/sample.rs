//! `emx sample`: executions of a company that does not exist.

use crate::app::output;
use crate::app::problem::Failure;
use crate::app::session::Session;
use crate::model::time::parse_rfc3339;
use crate::sample::{Workload, demo, write_lines};
use anyhow::Result;
use clap::Args;
use std::io::Write;
use storage::row::TimeMs;

/// Which executions to make up.
#[derive(Debug, Args)]
pub(in crate::app) struct Flags {
    /// How many
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    rows: u64,
    /// The same seed and end give the same executions
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Over how many days, of the benchmark's company: 90 if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: Option<u32>,
    /// When they end: RFC 3339, or a date, whose beginning in UTC is meant; the full hour before
    /// now if not given
    #[arg(long, value_name = "TIME", value_parser = read_end)]
    end: Option<TimeMs>,
    /// Which company's
    #[arg(long, value_enum, default_value_t = Company::Demo)]
    company: Company,
}

/// A company that can be made up.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Company {
    /// 54 people in 7 teams, their CI and their coding agents, three months with an incident, tests
    /// that become slower, and a team that fails too often
    Demo,
    /// 500 people in 20 teams, the lines that benchmarks load
    Benchmark,
}

fn read_end(text: &str) -> Result<TimeMs, String> {
    let time = parse_rfc3339(text).or_else(|_| parse_rfc3339(&format!("{text}T00:00:00Z")));
    time.map_err(|_| "write it as 2026-04-01T00:00:00Z or 2026-04-01".to_owned())
}

pub(super) fn run(flags: &Flags, session: &Session) -> Result<()> {
    const HOUR_MS: i64 = 3_600_000;
    let now_ms = session.clock.now_ms();
    let end_ms = flags.end.unwrap_or(now_ms - now_ms.rem_euclid(HOUR_MS));
    let days = match flags.company {
        Company::Demo if flags.days.is_some() => {
            let detail = "`--days`: the demo's company always has three months";
            return Err(Failure::usage(detail).help("use --company benchmark").into());
        }
        Company::Demo => demo::DAYS,
        Company::Benchmark => flags.days.unwrap_or(90),
    };
    if end_ms < i64::from(days) * 24 * HOUR_MS {
        return Err(Failure::usage("`--end` must be later: no execution begins before 1970").into());
    }
    let mut out = output::stream();
    match flags.company {
        Company::Demo => {
            let mut history = demo::history(flags.seed, end_ms, flags.rows);
            write_lines(&mut out, |buffer| history.append_to(buffer))?;
        }
        Company::Benchmark => {
            let benchmark = Workload::benchmark(flags.rows, end_ms);
            Workload { seed: flags.seed, days, ..benchmark }.write_to(&mut out)?;
        }
    }
    Ok(out.flush()?)
}
