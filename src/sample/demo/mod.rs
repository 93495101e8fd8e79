//! A company to look at: three months of what its people, its continuous integration and its
//! coding agents ran, and whatever they run from then on.
//!
//! In reading order: [`company`] is who is there; [`story`] is what happened to them; [`tools`] is
//! what they run; [`session`] is one of them at work; [`plan`] is how much is done in which hour.
//!
//! *Invariants*: every hour is drawn from the seed and its own beginning alone, so the same seed
//! and end give the same lines, and any hour can be made without those before it. Nothing here
//! reads a clock. Executions come in the order in which they ended, for that is when they are
//! reported; the secrets in command lines are made up and open nothing.

mod company;
mod plan;
mod run;
mod session;
mod story;
#[cfg(test)]
mod tests;
mod tools;

pub use company::{INCIDENT_HOST, NOISY_TEAM, SLOW_PROJECT};
pub use plan::DAYS;
pub use story::Story;
pub use tools::SECRET_PREFIX;

use plan::{HOUR_MS, Plan};
use run::Run;
use std::collections::VecDeque;
use storage::row::TimeMs;

/// Executions of the three months that newcomers look at: every chart has something to show, and
/// they are loaded in a moment.
pub const ROWS: u64 = 120_000;

/// The pace at which something happens every one to three seconds by day, for those who watch. A
/// history at this pace would have so many executions.
pub const ROWS_LIVELY: u64 = 1_500_000;

/// `rows` executions of the [`DAYS`] days up to `end_ms`.
pub fn history(seed: u64, end_ms: TimeMs, rows: u64) -> History {
    let plan = Plan::new(seed, end_ms, rows);
    let quotas = plan.quotas();
    History { plan, quotas, waiting: VecDeque::new(), remaining: rows }
}

/// What happens from `from_ms` on, at the pace of a history of `rows` executions: [`ROWS`]
/// continues that one, [`ROWS_LIVELY`] gives those who watch something to see.
pub fn live(seed: u64, from_ms: TimeMs, rows: u64) -> Live {
    let plan = Plan::new(seed, from_ms, rows);
    Live { plan, next_hour_ms: from_ms, waiting: VecDeque::new() }
}

/// The lines of a [`history`].
#[derive(Debug)]
pub struct History {
    plan: Plan,
    /// Hours that are still to come, and how many executions end in each.
    quotas: VecDeque<(TimeMs, usize)>,
    waiting: VecDeque<Run>,
    remaining: u64,
}

impl History {
    /// What happened in it, to look for.
    pub fn story(&self) -> &Story {
        self.plan.story()
    }

    /// Lines that are still to come.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Appends the next line with its line feed to `out`; `false` if there is none.
    pub fn append_to(&mut self, out: &mut Vec<u8>) -> bool {
        while self.waiting.is_empty() {
            let Some((hour_ms, quota)) = self.quotas.pop_front() else { return false };
            self.waiting = self.plan.hour(hour_ms, quota).into();
        }
        let Some(run) = self.waiting.pop_front() else { return false };
        run.write_line(out);
        self.remaining -= 1;
        true
    }
}

/// What happens now; see [`live`].
#[derive(Debug)]
pub struct Live {
    plan: Plan,
    /// The first hour that is not made yet.
    next_hour_ms: TimeMs,
    waiting: VecDeque<Run>,
}

impl Live {
    /// Appends the lines of what ended before `to_ms` and was not given yet, and says how many
    /// they are. However the time is cut into stretches, the lines are the same. A stretch of a
    /// day has some ten thousand lines: whoever was away for long begins anew with [`live`].
    pub fn append_until(&mut self, to_ms: TimeMs, out: &mut Vec<u8>) -> usize {
        let mut lines = 0;
        loop {
            while let Some(run) = self.waiting.pop_front_if(|run| run.end_ms < to_ms) {
                run.write_line(out);
                lines += 1;
            }
            if !self.waiting.is_empty() || self.next_hour_ms >= to_ms {
                return lines;
            }
            let quota = self.plan.pace(self.next_hour_ms);
            self.waiting = self.plan.hour(self.next_hour_ms, quota).into();
            self.next_hour_ms += HOUR_MS;
        }
    }
}
