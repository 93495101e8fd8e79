//! How much is done in which hour, by whom.

use super::company::Team;
use super::run::Run;
use super::session::{self, Kind};
use super::story::Story;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use rand_distr::weighted::WeightedAliasIndex;
use rand_distr::{Distribution, LogNormal};
use std::collections::VecDeque;
use storage::row::TimeMs;

/// Days of a history: whole weeks, so that all weekdays are there equally often.
pub const DAYS: u32 = 91;

pub(super) const HOUR_MS: i64 = 3_600_000;
const HOURS: i64 = DAYS as i64 * 24;

/// Spread (sigma of a log-normal) of an hour around what season says.
const NOISE: f64 = 0.12;

/// How much is done at the beginning, of what is done at the end.
const BEGINNING: f64 = 0.65;

/// What continuous integration does for each thing that a person does.
const CI: f64 = 0.4;

/// What coding agents do for each thing that a person does, at the beginning and at the end.
const AGENTS: (f64, f64) = (0.08, 0.4);

/// When builds of the night run, UTC, and how much they are.
const NIGHTLY: (i64, f64) = (2, 6.0);

/// Everything that an hour is made from.
#[derive(Debug)]
pub(super) struct Plan {
    seed: u64,
    end_ms: TimeMs,
    teams: Vec<Team>,
    story: Story,
    rows: u64,
    /// Executions for each unit of an hour's weight.
    rate: f64,
}

impl Plan {
    /// The plan of `rows` executions up to `end_ms`, and of what comes after it at the same pace.
    pub(super) fn new(seed: u64, end_ms: TimeMs, rows: u64) -> Self {
        let (teams, story) = (Team::all(), Story::ending(end_ms));
        let mut plan = Self { seed, end_ms, teams, story, rows, rate: 0.0 };
        let whole: f64 = plan.hours().map(|hour_ms| plan.weight(hour_ms)).sum();
        plan.rate = rows as f64 / whole;
        plan
    }

    pub(super) fn story(&self) -> &Story {
        &self.story
    }

    fn hours(&self) -> impl Iterator<Item = TimeMs> + use<> {
        let start_ms = self.end_ms - HOURS * HOUR_MS;
        (0..HOURS).map(move |n| start_ms + n * HOUR_MS)
    }

    /// The hours of the history with how many executions end in each: together all of them.
    pub(super) fn quotas(&self) -> VecDeque<(TimeMs, usize)> {
        let weights: Vec<f64> =
            self.hours().map(|hour_ms| self.weight(hour_ms) * self.noise(hour_ms)).collect();
        let whole: f64 = weights.iter().sum();
        let (mut done, mut given) = (0.0, 0);
        let quota = |(hour_ms, weight): (TimeMs, f64)| {
            done += weight;
            let so_far = (self.rows as f64 * (done / whole).min(1.0)).round() as u64;
            let quota = so_far - given;
            given = so_far;
            (hour_ms, quota as usize)
        };
        self.hours().zip(weights).map(quota).collect()
    }

    /// How many executions end in the hour that begins at `hour_ms`.
    pub(super) fn pace(&self, hour_ms: TimeMs) -> usize {
        let wanted = self.rate * self.weight(hour_ms) * self.noise(hour_ms);
        // Of a half, every second hour gets one.
        (wanted + self.rng(hour_ms, 1).random::<f64>()) as usize
    }

    /// The executions that end in the hour that begins at `hour_ms`, in that order.
    pub(super) fn hour(&self, hour_ms: TimeMs, quota: usize) -> Vec<Run> {
        let mut rng = self.rng(hour_ms, 2);
        let kinds: Vec<(&Team, Kind)> =
            self.teams.iter().flat_map(|team| Kind::ALL.map(|kind| (team, kind))).collect();
        let weights =
            kinds.iter().map(|&(team, kind)| self.weight_of(team, kind, hour_ms) / kind.length());
        let Ok(choice) = WeightedAliasIndex::new(weights.collect()) else { return Vec::new() };
        let mut runs = Vec::with_capacity(quota);
        while runs.len() < quota {
            let (team, kind) = kinds[choice.sample(&mut rng)];
            session::push(kind, team, &self.story, hour_ms, &mut rng, &mut runs);
        }
        runs.truncate(quota);
        runs.sort_by_key(|run| run.end_ms);
        runs
    }

    /// A source of chance of one hour, for one `purpose`.
    fn rng(&self, hour_ms: TimeMs, purpose: u64) -> Xoshiro256PlusPlus {
        // An odd factor keeps hours apart; the generator spreads what is alike (SplitMix64).
        let hour = hour_ms.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Xoshiro256PlusPlus::seed_from_u64(self.seed.rotate_left(32) ^ hour ^ purpose)
    }

    fn noise(&self, hour_ms: TimeMs) -> f64 {
        LogNormal::new(0.0, NOISE).map_or(1.0, |noise| noise.sample(&mut self.rng(hour_ms, 0)))
    }

    /// How far the three months are at `ms`, 0..1.
    fn progress(&self, ms: TimeMs) -> f64 {
        (1.0 - (self.end_ms - ms) as f64 / (HOURS * HOUR_MS) as f64).clamp(0.0, 1.0)
    }

    fn weight(&self, hour_ms: TimeMs) -> f64 {
        let of_team = |team: &Team| -> f64 {
            Kind::ALL.iter().map(|&kind| self.weight_of(team, kind, hour_ms)).sum()
        };
        let growth = BEGINNING + (1.0 - BEGINNING) * self.progress(hour_ms);
        growth * self.teams.iter().map(of_team).sum::<f64>()
    }

    fn weight_of(&self, team: &Team, kind: Kind, hour_ms: TimeMs) -> f64 {
        let people = team.activity(hour_ms);
        let (from, to) = AGENTS;
        match kind {
            Kind::Person => people,
            Kind::Pipeline => CI * people,
            Kind::Agent => (from + (to - from) * self.progress(hour_ms)) * people,
            Kind::Nightly if hour_ms.div_euclid(HOUR_MS).rem_euclid(24) == NIGHTLY.0 => NIGHTLY.1,
            Kind::Nightly => 0.0,
        }
    }
}
