//! Who is there: teams around the world, their people and projects, and the machines.

use super::super::{names, season};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use storage::row::TimeMs;

/// The team whose commands fail three times as often as the others'.
pub const NOISY_TEAM: &str = "growth";

/// The project whose tests become slower for weeks.
pub const SLOW_PROJECT: &str = "search-api";

/// The machine of continuous integration whose disk is full for an afternoon.
pub const INCIDENT_HOST: &str = "ci-3";

/// Machines of continuous integration.
pub(super) const CI_HOSTS: [&str; 4] = ["ci-1", "ci-2", INCIDENT_HOST, "ci-4"];

/// What a project is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stack {
    Rust,
    Node,
    Python,
    Go,
}

/// People who work together, where they are and at what.
#[derive(Debug)]
pub(super) struct Team {
    pub(super) name: &'static str,
    zone: TimeZone,
    /// How often its commands fail, as a multiple.
    pub(super) risk: f64,
    pub(super) people: Vec<Person>,
    pub(super) projects: Vec<Project>,
}

/// Somebody.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) host: String,
}

/// Something that is worked on.
#[derive(Debug)]
pub(super) struct Project {
    pub(super) name: String,
    pub(super) stack: Stack,
}

/// A team's name, zone and people, and what its projects are written in.
type Plan = (&'static str, &'static str, usize, &'static [Stack]);

/// The sun does not set on this company, so that there is always something to see.
const TEAMS: [Plan; 7] = [
    ("platform", "Europe/Berlin", 9, &[Stack::Rust, Stack::Go, Stack::Go]),
    ("search", "Europe/Berlin", 7, &[Stack::Rust, Stack::Rust]),
    ("payments", "Europe/London", 8, &[Stack::Go, Stack::Node, Stack::Go]),
    ("web", "America/New_York", 9, &[Stack::Node, Stack::Node, Stack::Node]),
    ("data", "America/Los_Angeles", 7, &[Stack::Python, Stack::Python, Stack::Rust]),
    ("mobile", "Asia/Kolkata", 8, &[Stack::Node, Stack::Go]),
    (NOISY_TEAM, "America/Sao_Paulo", 6, &[Stack::Python, Stack::Node]),
];

/// How much more often the commands of [`NOISY_TEAM`] fail.
const NOISE: f64 = 3.0;

impl Team {
    /// Everybody; the same ones every time.
    pub(super) fn all() -> Vec<Self> {
        let mut people = (0..).map(|n| {
            let name = names::user(n);
            let first = name.split('.').next().unwrap_or_default();
            let host = format!("{first}-{:02}", n + 1);
            Person { name, host }
        });
        let team = |&(name, zone, size, stacks): &Plan| Self {
            name,
            zone: TimeZone::get(zone).unwrap_or(TimeZone::UTC),
            risk: if name == NOISY_TEAM { NOISE } else { 1.0 },
            people: people.by_ref().take(size).collect(),
            projects: (0..stacks.len())
                .map(|n| Project { name: names::project(name, n), stack: stacks[n] })
                .collect(),
        };
        TEAMS.iter().map(team).collect()
    }

    /// The time on the team's clocks, as milliseconds since 1970 there.
    pub(super) fn local_ms(&self, ms: TimeMs) -> TimeMs {
        let offset = Timestamp::from_millisecond(ms).map(|at| self.zone.to_offset(at).seconds());
        ms + 1000 * i64::from(offset.unwrap_or(0))
    }

    /// How much its people do in the hour that begins at `ms`.
    pub(super) fn activity(&self, ms: TimeMs) -> f64 {
        self.people.len() as f64 * season::weight_at(self.local_ms(ms))
    }
}
