//! Executions made up from a seed: [`demo`] is the company that newcomers look at, a [`Workload`]
//! what every benchmark loads.
//!
//! The same [`Workload`] gives the same lines on every run. Lines are NDJSON with the contract's
//! field names and come in time order but for the few that are late; users, commands, machines
//! and hours are as uneven as in life. Nothing here reads a clock: the workload says when it ends.

pub mod demo;

mod cast;
mod json;
mod names;
mod season;

use cast::{Cast, Session};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};
use rand_distr::weighted::WeightedAliasIndex;
use rand_distr::{Distribution, Exp1, StandardNormal};
use season::Season;
use std::io::{self, Write};

/// How many different words a column has in the shapes that strain it.
pub const MANY: u64 = 100_000;

/// Exponent of Zipf's law over the commands: a million rows of 500 users then fall into about
/// 76,000 groups of user and command.
const COMMAND_EXPONENT: f64 = 1.25;

/// Spread (sigma of a log-normal) of a command's wall time around its median.
const DURATION_SPREAD: f64 = 0.9;

/// How much later than it happened a late execution is told on average, milliseconds.
const LATENESS_MS: f64 = 2.0 * 3_600_000.0;

/// Exit codes of failures and how often they come: 124 is a timeout.
const FAILURES: [(u64, f64); 5] = [(1, 0.70), (2, 0.12), (101, 0.08), (127, 0.05), (124, 0.05)];

/// How large the company is and how it works.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Different users, each in one team.
    pub users: usize,
    /// Different teams.
    pub teams: usize,
    /// Different projects, each of one team.
    pub projects: usize,
    /// Different machines.
    pub hosts: usize,
    /// Different commands, used by Zipf's law.
    pub commands: usize,
    /// Executions a session makes on average.
    pub session_executions: u32,
    /// Share of executions that arrive late, 0..1.
    pub late_share: f64,
    /// Share of executions that fail, 0..1.
    pub failure_share: f64,
}

impl Profile {
    /// What benchmarks load: lines of about 250 bytes with what every execution has.
    pub const BENCHMARK: Self = Self {
        users: 500,
        teams: 20,
        projects: 60,
        hosts: 40,
        commands: names::COMMANDS.len(),
        session_executions: 20,
        late_share: 0.02,
        failure_share: 0.03,
    };
}

/// In which way a workload is hard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Not at all: in time order but for the late ones.
    #[default]
    Ordered,
    /// Every execution at a random time.
    RandomTime,
    /// [`MANY`] sessions, all at work all the time.
    ManySessions,
    /// [`MANY`] machines in random order.
    ManyHosts,
    /// [`MANY`] words of `labels.x` in random order.
    ManyLabels,
    /// [`MANY`] commands in random order.
    ManyCommands,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Self; 6] = [
        Self::Ordered,
        Self::RandomTime,
        Self::ManySessions,
        Self::ManyHosts,
        Self::ManyLabels,
        Self::ManyCommands,
    ];

    /// Its name on a command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::RandomTime => "random-time",
            Self::ManySessions => "many-sessions",
            Self::ManyHosts => "many-hosts",
            Self::ManyLabels => "many-labels",
            Self::ManyCommands => "many-commands",
        }
    }

    /// The shape of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shape| shape.as_str() == name)
    }
}

/// Which executions to make up.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// How many.
    pub rows: u64,
    /// The same seed gives the same lines.
    pub seed: u64,
    /// Over how many days.
    pub days: u32,
    /// When they end (exclusive), Unix milliseconds.
    pub end_ms: i64,
    /// In which way they are hard.
    pub shape: Shape,
    /// Whose they are.
    pub profile: Profile,
}

impl Workload {
    /// The benchmarks' workload of `rows` executions over the 90 days up to `end_ms`.
    pub const fn benchmark(rows: u64, end_ms: i64) -> Self {
        let (seed, days, shape) = (1, 90, Shape::Ordered);
        Self { rows, seed, days, end_ms, shape, profile: Profile::BENCHMARK }
    }

    /// The lines, one at a time.
    pub fn lines(&self) -> Lines {
        Lines::new(self.clone())
    }

    /// Writes all lines to `out`; see [`write_lines`].
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        let mut lines = self.lines();
        write_lines(out, |buffer| lines.append_to(buffer))
    }
}

/// Writes lines to `out` until `append` has none left to append. `out` should be buffered: it is
/// called once for every 64 KiB or so.
pub fn write_lines(
    out: &mut impl Write,
    mut append: impl FnMut(&mut Vec<u8>) -> bool,
) -> io::Result<()> {
    const FLUSH_BYTES: usize = 64 << 10; // large enough to make calls rare, small enough to stay in cache
    let mut buffer = Vec::with_capacity(FLUSH_BYTES + 4096);
    while append(&mut buffer) {
        if buffer.len() >= FLUSH_BYTES {
            out.write_all(&buffer)?;
            buffer.clear();
        }
    }
    out.write_all(&buffer)
}

/// What is typical of a command, ready to draw from.
#[derive(Debug)]
struct CommandTraits {
    name: String,
    median_us: f64,
    failure_share: f64,
}

/// The lines of a [`Workload`].
#[derive(Debug)]
pub struct Lines {
    workload: Workload,
    rng: Xoshiro256PlusPlus,
    cast: Cast,
    season: Season,
    commands: Vec<CommandTraits>,
    popularity: Option<WeightedAliasIndex<f64>>,
    sessions: Vec<Session>,
    made: u64,
}

impl Lines {
    fn new(workload: Workload) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(workload.seed);
        let cast = Cast::new(&workload.profile, &mut rng);
        let season = Season::new(workload.days.max(1), workload.end_ms, &mut rng);
        let weights: Vec<f64> = (1..=workload.profile.commands.max(1))
            .map(|rank| (rank as f64).powf(-COMMAND_EXPONENT))
            .collect();
        let commands = commands(&weights, workload.profile.failure_share);
        let popularity = WeightedAliasIndex::new(weights).ok();
        Self { workload, rng, cast, season, commands, popularity, sessions: Vec::new(), made: 0 }
    }

    /// Lines that are still to come.
    pub fn remaining(&self) -> u64 {
        self.workload.rows.saturating_sub(self.made)
    }

    /// Appends the next line with its line feed to `out`; `false` if there is none.
    pub fn append_to(&mut self, out: &mut Vec<u8>) -> bool {
        if self.remaining() == 0 {
            return false;
        }
        let rng = &mut self.rng;
        let done = match self.workload.shape {
            Shape::RandomTime => rng.random(),
            _ => (self.made as f64 + rng.random::<f64>()) / self.workload.rows as f64,
        };
        self.made += 1;
        let now_ms = self.season.instant(done);
        let session = match self.workload.shape {
            Shape::ManySessions => {
                let number = self.rng.random_range(0..MANY);
                self.cast.standing_session(number, self.workload.seed)
            }
            _ => self.next_session(done, now_ms),
        };
        let late_ms = match self.rng.random_bool(self.workload.profile.late_share) {
            true => (self.rng.sample::<f64, _>(Exp1) * LATENESS_MS) as i64,
            false => 0,
        };
        let ts_ms = (now_ms - late_ms).max(self.season.start_ms());
        self.write_line(ts_ms, &session, out);
        true
    }

    /// One of the sessions at work, of which there are as many as make an hour's executions.
    fn next_session(&mut self, done: f64, now_ms: i64) -> Session {
        let per_hour = self.season.hourly_share(done) * self.workload.rows as f64;
        let wanted = per_hour / f64::from(self.workload.profile.session_executions.max(1));
        let wanted = (wanted as usize).max(1);
        if self.sessions.len() < wanted {
            self.sessions.push(self.cast.session(now_ms, &mut self.rng));
        }
        loop {
            let at = self.rng.random_range(0..self.sessions.len());
            let over = self.sessions[at].left == 0 || self.sessions[at].over_ms < now_ms;
            if over && self.sessions.len() > wanted {
                self.sessions.swap_remove(at);
                continue;
            }
            if over {
                self.sessions[at] = self.cast.session(now_ms, &mut self.rng);
            }
            self.sessions[at].left -= 1;
            return self.sessions[at];
        }
    }

    fn write_line(&mut self, ts_ms: i64, session: &Session, out: &mut Vec<u8>) {
        let rng = &mut self.rng;
        let cast = &self.cast;
        let command = &self.commands[self.popularity.as_ref().map_or(0, |p| p.sample(rng))];
        out.extend_from_slice(b"{\"id\":\"");
        json::push_uuid(out, rng.next_u64(), rng.next_u64());
        out.extend_from_slice(b"\",\"ts\":\"");
        json::push_time(out, ts_ms);
        if self.workload.shape == Shape::ManyCommands {
            out.extend_from_slice(b"\",\"command\":\"make target-");
            json::push_digits(out, rng.random_range(0..MANY), 5);
            out.push(b'"');
        } else {
            json::push_word(out, b"\",\"command\":\"", &command.name);
        }
        json::push_word(out, b",\"user_id\":\"", &cast.users[session.user]);
        json::push_word(out, b",\"team_id\":\"", &cast.teams[cast.team_of[session.user]]);
        json::push_word(out, b",\"project_id\":\"", &cast.projects[session.project]);
        out.extend_from_slice(b",\"session_id\":\"s-");
        json::push_hex(out, session.id, 10);
        if self.workload.shape == Shape::ManyHosts {
            out.extend_from_slice(b"\",\"host\":\"pod-");
            json::push_digits(out, rng.random_range(0..MANY), 5);
            out.push(b'"');
        } else {
            json::push_word(out, b"\",\"host\":\"", &cast.hosts[session.host]);
        }
        let spread: f64 = rng.sample(StandardNormal);
        let duration_us = command.median_us * (spread * DURATION_SPREAD).exp();
        out.extend_from_slice(b",\"duration_ms\":");
        json::push_millis(out, duration_us as u64);
        let exit_code =
            if rng.random_bool(command.failure_share) { failure(rng.random()) } else { 0 };
        out.extend_from_slice(b",\"exit_code\":");
        json::push_number(out, exit_code);
        if self.workload.shape == Shape::ManyLabels {
            out.extend_from_slice(b",\"labels\":{\"x\":\"w-");
            json::push_digits(out, rng.random_range(0..MANY), 5);
            out.extend_from_slice(b"\"}");
        }
        out.extend_from_slice(b"}\n");
    }
}

/// What each command is like; their mean failure share, weighted by `weights`, is `failure_share`.
fn commands(weights: &[f64], failure_share: f64) -> Vec<CommandTraits> {
    let traits_of = |n: usize| names::COMMANDS[n % names::COMMANDS.len()];
    let risk: f64 = weights.iter().enumerate().map(|(n, w)| w * traits_of(n).risk).sum();
    let scale = failure_share * weights.iter().sum::<f64>() / risk;
    (0..weights.len())
        .map(|n| CommandTraits {
            name: names::command(n),
            median_us: traits_of(n).median_ms * 1000.0,
            failure_share: (traits_of(n).risk * scale).clamp(0.0, 1.0),
        })
        .collect()
}

/// The exit code of a failure, `draw` being 0..1.
fn failure(mut draw: f64) -> u64 {
    for (code, share) in FAILURES {
        draw -= share;
        if draw < 0.0 {
            return code;
        }
    }
    FAILURES[0].0
}

#[cfg(test)]
mod tests;
