//! Somebody at work for a while: a person, a pipeline, a coding agent.
//!
//! *Invariant*: all that is pushed for an hour ends in that hour.

use super::super::{json, names};
use super::company::{CI_HOSTS, INCIDENT_HOST, Person, Project, SLOW_PROJECT, Team};
use super::plan::HOUR_MS;
use super::run::Run;
use super::story::{INCIDENT_FAILURE_SHARE, Story};
use super::tools::{self, Agent, Kit, SECRET_PREFIX, Step};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt};
use rand_distr::{Exp1, StandardNormal};
use storage::row::TimeMs;

/// What a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Person,
    Pipeline,
    Agent,
    Nightly,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Person, Self::Pipeline, Self::Agent, Self::Nightly];

    /// How many executions it has on average.
    pub(super) const fn length(self) -> f64 {
        match self {
            Self::Person => 3.5,
            Self::Pipeline | Self::Nightly => 6.5,
            Self::Agent => 9.0,
        }
    }

    const fn actor(self) -> &'static str {
        match self {
            Self::Person => "human",
            Self::Pipeline | Self::Nightly => "ci",
            Self::Agent => "agent",
        }
    }

    /// How long nothing happens between two executions on average, milliseconds.
    const fn pause_ms(self) -> f64 {
        match self {
            Self::Person => 45_000.0,
            Self::Pipeline | Self::Nightly => 900.0,
            Self::Agent => 2_500.0,
        }
    }

    /// When a command that hangs is ended, milliseconds.
    const fn deadline_ms(self) -> f64 {
        match self {
            Self::Person | Self::Agent => 600_000.0,
            Self::Pipeline | Self::Nightly => 1_800_000.0,
        }
    }
}

/// Spread (sigma of a log-normal) of wall times around their median; that of tests, which do the
/// same every time, is smaller.
const SPREAD: f64 = 0.55;
const TEST_SPREAD: f64 = 0.35;

/// Exit status of a command that was ended for taking too long, and of one that somebody stopped.
const TIMEOUT: i32 = 124;
const STOPPED: i32 = 130;

/// How often a command hangs, and how often a person stops one that takes long.
const HANG_SHARE: f64 = 0.003;
const STOP_SHARE: f64 = 0.03;
const LONG_US: f64 = 5e6;

/// How often a failed test is a flaky one.
const FLAKY_SHARE: f64 = 0.3;

/// How often a line has a secret in it.
const CARELESS_SHARE: f64 = 0.015;

/// How often a pipeline runs for the main branch, and how often it releases then.
const MAIN_SHARE: f64 = 0.35;
const RELEASE_SHARE: f64 = 0.12;

/// How often a delivery is tried again in the incident, and how much of all work its machine draws.
const RETRIES: usize = 2;
const BLACK_HOLE_SHARE: f64 = 0.5;

/// A session under way.
struct Session<'p> {
    kind: Kind,
    team: &'p Team,
    project: &'p Project,
    story: &'p Story,
    hour_ms: TimeMs,
    /// Has all that its executions have in common.
    like: Run,
    branch: &'static str,
    version: String,
    /// Its executions; their ends count from the first one's.
    runs: Vec<Run>,
    rng: &'p mut Xoshiro256PlusPlus,
}

/// Appends the executions of a session of `team` that ends in the hour of `hour_ms`.
pub(super) fn push(
    kind: Kind,
    team: &Team,
    story: &Story,
    hour_ms: TimeMs,
    rng: &mut Xoshiro256PlusPlus,
    runs: &mut Vec<Run>,
) {
    let (Some(person), Some(project)) = (one_of(&team.people, rng), one_of(&team.projects, rng))
    else {
        return;
    };
    let mut session = Session::new((kind, team, project, story), person, hour_ms, rng);
    match kind {
        Kind::Person => session.person(),
        Kind::Pipeline | Kind::Nightly => session.pipeline(),
        Kind::Agent => session.agent(),
    }
    session.finish(runs);
}

fn one_of<'t, T>(things: &'t [T], rng: &mut Xoshiro256PlusPlus) -> Option<&'t T> {
    (!things.is_empty()).then(|| &things[rng.random_range(0..things.len())])
}

impl<'p> Session<'p> {
    fn new(
        (kind, team, project, story): (Kind, &'p Team, &'p Project, &'p Story),
        person: &Person,
        hour_ms: TimeMs,
        rng: &'p mut Xoshiro256PlusPlus,
    ) -> Self {
        let is_ci = matches!(kind, Kind::Pipeline | Kind::Nightly);
        let is_main = kind == Kind::Nightly || is_ci && rng.random_bool(MAIN_SHARE);
        let branch = if is_main {
            "main"
        } else {
            names::BRANCHES[rng.random_range(0..names::BRANCHES.len())]
        };
        let host = match one_of(&CI_HOSTS, rng) {
            // A machine on which everything fails at once is the first to be free again.
            Some(_) if is_ci && story.is_incident(hour_ms) && rng.random_bool(BLACK_HOLE_SHARE) => {
                INCIDENT_HOST.to_owned()
            }
            Some(host) if is_ci => (*host).to_owned(),
            _ => person.host.clone(),
        };
        let mut like = Run {
            user_id: person.name.clone(),
            team_id: team.name,
            project_id: project.name.clone(),
            session_id: session_id(kind, &person.name, hour_ms, rng),
            host,
            actor: kind.actor(),
            ..Run::default()
        };
        like.labels.insert("branch", branch.to_owned());
        const WEEK_MS: i64 = 7 * 24 * HOUR_MS;
        const FIRST_WEEK: i64 = 2_800; // of 2023: its first release was some hundred weeks ago
        let version =
            format!("v1.{}.{}", (hour_ms / WEEK_MS - FIRST_WEEK).max(0), rng.random_range(0..4));
        Self { kind, team, project, story, hour_ms, like, branch, version, runs: Vec::new(), rng }
    }

    fn kit(&self) -> &'static Kit {
        tools::kit(self.project.stack)
    }

    /// Some commands in a row: mostly about the repository, sometimes a build or the tests.
    fn person(&mut self) {
        for _ in 0..self.rng.random_range(1..=6) {
            let step = match self.rng.random::<f64>() {
                p if p < CARELESS_SHARE => one_of(&tools::CARELESS, self.rng),
                p if p < 0.20 => one_of(self.kit().builds, self.rng),
                p if p < 0.32 => Some(&self.kit().test),
                // The smaller of two draws: the most usual ones stand first.
                _ => {
                    let count = tools::EVERYDAY.len();
                    let mut n = || self.rng.random_range(0..count);
                    let first = n();
                    tools::EVERYDAY.get(first.min(n()))
                }
            };
            let Some(step) = step else { return };
            self.run(step);
            self.again_if_flaky(step);
        }
    }

    /// Steps until one fails; what is built for the main branch is delivered, and now and then released.
    fn pipeline(&mut self) {
        let kit = self.kit();
        let workflow = if self.kind == Kind::Nightly { "nightly" } else { "build" };
        self.like.labels.insert("workflow", workflow.to_owned());
        let waited_ms = self.rng.sample::<f64, _>(Exp1) * 9_000.0;
        self.like.values.insert("queue_ms", waited_ms.round());
        let mut steps = vec![&tools::CHECKOUT, &kit.install];
        steps.extend(kit.builds.iter().take(2));
        steps.push(&kit.test);
        steps.extend(&tools::DELIVERY);
        if self.branch == "main" {
            steps.push(&tools::DEPLOY);
            self.like.labels.insert("environment", "production".to_owned());
            if self.rng.random_bool(RELEASE_SHARE) {
                steps.push(&tools::RELEASE);
                self.like.labels.insert("workflow", "release".to_owned());
                self.like.labels.insert("release", self.version.clone());
            }
        }
        for step in steps {
            let mut failed = self.run(step) != 0 && !self.again_if_flaky(step);
            // Whoever waits for a delivery tries again before they look why.
            for _ in 0..RETRIES {
                failed = failed && (!self.is_hit(step) || self.run(step) != 0);
            }
            if failed {
                return;
            }
        }
    }

    /// Turns of a model, and after each what it wants to be read, edited and run.
    fn agent(&mut self) {
        let draw = self.rng.random::<f64>() - tools::AGENTS[0].share;
        let agent = match draw {
            d if d < 0.0 => &tools::AGENTS[0],
            d if d < tools::AGENTS[1].share => &tools::AGENTS[1],
            _ => &tools::AGENTS[2],
        };
        let Some(&model) = one_of(agent.models, self.rng) else { return };
        self.like.labels.insert("agent", agent.name.to_owned());
        self.like.labels.insert("model", model.0.to_owned());
        let plain = self.like.clone();
        for _ in 0..self.rng.random_range(2..=5) {
            self.turn(agent, model);
            self.like.clone_from(&plain);
            for _ in 0..self.rng.random_range(0..=3) {
                self.tool_call(agent);
            }
            self.like.clone_from(&plain);
        }
    }

    fn turn(&mut self, agent: &Agent, (_, usd_in, usd_out): (&str, f64, f64)) {
        const MILLION: f64 = 1e6;
        let mut about =
            |median: f64| (median * self.rng.sample::<f64, _>(StandardNormal).exp()).round();
        let (input, output) = (about(14_000.0).min(180_000.0), about(480.0).min(16_000.0));
        let cost = (input * usd_in + output * usd_out) / MILLION;
        self.like.values.insert("input_tokens", input);
        self.like.values.insert("output_tokens", output);
        self.like.values.insert("cost_usd", (cost * MILLION).round() / MILLION);
        self.run(&agent.turn);
    }

    fn tool_call(&mut self, agent: &Agent) {
        let kit = self.kit();
        let (tool, step) = match self.rng.random::<f64>() {
            p if p < 0.35 => ("Read", Some(&agent.reads)),
            p if p < 0.6 => ("Edit", Some(&agent.edits)),
            p if p < 0.75 => (agent.shell, Some(&kit.test)),
            p if p < 0.9 => (agent.shell, one_of(kit.builds, self.rng)),
            _ => (agent.shell, tools::EVERYDAY.get(self.rng.random_range(0..3))),
        };
        self.like.labels.insert("tool", tool.to_owned());
        if let Some(step) = step {
            self.run(step);
        }
    }

    /// Runs `step` again where its failure was a flaky test: this time it passes.
    fn again_if_flaky(&mut self, step: &Step) -> bool {
        let is_flaky = self.runs.last().is_some_and(|run| tools::FLAKY.contains(&run.error));
        if is_flaky {
            self.execute(step, 0.0);
        }
        is_flaky
    }

    /// Runs `step` and gives its exit status.
    fn run(&mut self, step: &Step) -> i32 {
        let failure_share = match self.is_hit(step) {
            true => INCIDENT_FAILURE_SHARE,
            false => (step.failure_share * self.team.risk).min(0.9),
        };
        self.execute(step, failure_share)
    }

    /// Whether the full disk keeps `step` from what it does.
    fn is_hit(&self, step: &Step) -> bool {
        let delivers = step.command == tools::DEPLOY.command
            || tools::DELIVERY.iter().any(|delivery| delivery.command == step.command);
        delivers && self.like.host == INCIDENT_HOST && self.story.is_incident(self.hour_ms)
    }

    fn execute(&mut self, step: &Step, failure_share: f64) -> i32 {
        let is_test = step.command == self.kit().test.command;
        let mut duration_us = self.duration_us(step, is_test);
        let (mut exit_code, mut error) = (0, "");
        if self.rng.random_bool(failure_share) {
            (exit_code, error) = self.failure(step, is_test);
            duration_us *= self.rng.random_range(0.3..1.0);
        } else if duration_us > LONG_US && failure_share > 0.0 {
            if self.rng.random_bool(HANG_SHARE) {
                (exit_code, error) = (TIMEOUT, "ended: it took longer than allowed");
                duration_us = self.kind.deadline_ms() * 1e3;
            } else if self.kind == Kind::Person && self.rng.random_bool(STOP_SHARE) {
                exit_code = STOPPED;
                duration_us *= self.rng.random::<f64>();
            }
        }
        let pause_ms = self.kind.pause_ms() * self.rng.sample::<f64, _>(Exp1);
        let last_ms = self.runs.last().map(|run| run.end_ms + pause_ms as i64);
        let end_ms = last_ms.map_or(0, |last_ms| last_ms + (duration_us / 1e3) as i64);
        let mut run = self.like.clone();
        run.named(self.rng.next_u64(), self.rng.next_u64());
        run.command = step.command.to_owned();
        run.command_line = self.line(step);
        let rss_mib = 40.0 + (duration_us / 1e6).min(600.0) * self.rng.random_range(1.0..4.0);
        run.values.insert("max_rss_bytes", rss_mib.round() * f64::from(1 << 20));
        (run.exit_code, run.error) = (exit_code, error);
        run.took(end_ms, duration_us as u64);
        self.runs.push(run);
        exit_code
    }

    fn duration_us(&mut self, step: &Step, is_test: bool) -> f64 {
        let spread = if is_test { TEST_SPREAD } else { SPREAD };
        let normal: f64 = self.rng.sample(StandardNormal);
        let is_slow = is_test && self.project.name == SLOW_PROJECT;
        let slowness = if is_slow { self.story.slowness(self.hour_ms) } else { 1.0 };
        let most_us = self.kind.deadline_ms() * 1e3;
        (step.median_ms * 1e3 * (normal * spread).exp() * slowness).min(most_us)
    }

    /// How `step` fails: its exit status and what it prints.
    fn failure(&mut self, step: &Step, is_test: bool) -> (i32, &'static str) {
        let errors: &'static [&'static str] = match is_test {
            _ if self.is_hit(step) => &tools::DISK_FULL,
            true if self.rng.random_bool(FLAKY_SHARE) => &tools::FLAKY,
            _ => step.errors,
        };
        let exit_code = match (step.command, self.rng.random::<f64>()) {
            ("cargo test" | "cargo build" | "cargo check" | "cargo clippy", _) => 101,
            ("curl", _) => 7,
            ("git fetch" | "git pull" | "git push", _) => 128,
            (_, draw) => 1 + i32::from(draw < 0.15),
        };
        (exit_code, one_of(errors, self.rng).copied().unwrap_or_default())
    }

    fn line(&mut self, step: &Step) -> String {
        let model = self.like.labels.get("model").map_or("", String::as_str);
        let mut line = step
            .line
            .replace("{project}", &self.project.name)
            .replace("{branch}", self.branch)
            .replace("{version}", &self.version)
            .replace("{model}", model);
        if line.contains("{secret}") {
            let mut secret = SECRET_PREFIX.as_bytes().to_vec();
            json::push_hex(&mut secret, self.rng.next_u64(), 8);
            line = line.replace("{secret}", &String::from_utf8_lossy(&secret));
        }
        line
    }

    /// Puts the session somewhere into its hour.
    fn finish(self, runs: &mut Vec<Run>) {
        let lasts = |run: &Run| run.end_ms < HOUR_MS;
        let Some(last) = self.runs.iter().rfind(|run| lasts(run)) else { return };
        let begin_ms = self.hour_ms + self.rng.random_range(0..HOUR_MS - last.end_ms);
        runs.extend(self.runs.into_iter().filter(lasts).map(|mut run| {
            run.begins_at(begin_ms);
            run
        }));
    }
}

/// People have one session a day, pipelines and agents one each time.
fn session_id(kind: Kind, person: &str, hour_ms: TimeMs, rng: &mut Xoshiro256PlusPlus) -> String {
    let mut id = b"s-".to_vec();
    let bits = rng.next_u64();
    match kind {
        Kind::Person => {
            id.extend_from_slice(person.as_bytes());
            id.push(b'-');
            json::push_digits(&mut id, hour_ms.div_euclid(24 * HOUR_MS).unsigned_abs(), 5);
        }
        _ => json::push_hex(&mut id, bits, 10),
    }
    String::from_utf8(id).unwrap_or_default() // ASCII
}
