//! Who is there: a user belongs to one team, a session to one user, machine and project.

use super::{Profile, names};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};
use rand_distr::weighted::WeightedAliasIndex;
use rand_distr::{Distribution, LogNormal};

/// Spread (sigma of a log-normal) of how busy people are.
const ACTIVITY_SPREAD: f64 = 0.55;

/// How often a session works on its team's first, second and third project, and so on.
const OWN_PROJECT_FALLOFF: f64 = 0.55;

/// How often a session works on a project of another team.
const FOREIGN_PROJECT_SHARE: f64 = 0.08;

/// How often a session is a job of continuous integration.
const CI_SHARE: f64 = 0.2;

/// A stretch of work of one user on one machine for one project.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    /// What it is called, as bits.
    pub(super) id: u64,
    pub(super) user: usize,
    pub(super) host: usize,
    pub(super) project: usize,
    /// Executions it still has to make.
    pub(super) left: u32,
    /// When it is over even if it has not made them.
    pub(super) over_ms: i64,
}

/// Everybody and everything that has a name.
#[derive(Debug)]
pub(super) struct Cast {
    pub(super) users: Vec<String>,
    pub(super) teams: Vec<String>,
    pub(super) projects: Vec<String>,
    pub(super) hosts: Vec<String>,
    pub(super) team_of: Vec<usize>,
    activity: Option<WeightedAliasIndex<f64>>,
    session_executions: u32,
}

impl Cast {
    /// The cast of `profile`; who is busy and where is drawn from `rng`.
    pub(super) fn new(profile: &Profile, rng: &mut Xoshiro256PlusPlus) -> Self {
        let teams: Vec<String> = (0..profile.teams.max(1)).map(names::team).collect();
        let projects = (0..profile.projects.max(1))
            .map(|n| names::project(&teams[n % teams.len()], n / teams.len()))
            .collect();
        let users: Vec<String> = (0..profile.users.max(1)).map(names::user).collect();
        // The smaller of two draws makes the first teams large and the last ones small.
        let team_of = users
            .iter()
            .map(|_| rng.random_range(0..teams.len()).min(rng.random_range(0..teams.len())))
            .collect();
        let spread = LogNormal::new(0.0, ACTIVITY_SPREAD).ok();
        let weights = users.iter().map(|_| spread.map_or(1.0, |s| s.sample(rng))).collect();
        Self {
            users,
            teams,
            projects,
            hosts: (0..profile.hosts.max(1)).map(names::host).collect(),
            team_of,
            activity: WeightedAliasIndex::new(weights).ok(),
            session_executions: profile.session_executions.max(1),
        }
    }

    /// A new session that begins at `now_ms`.
    pub(super) fn session(&self, now_ms: i64, rng: &mut Xoshiro256PlusPlus) -> Session {
        const SESSION_MS_MAX: i64 = 10 * 3_600_000; // nobody works longer at a stretch
        let user = self.activity.as_ref().map_or(0, |activity| activity.sample(rng));
        let is_ci = rng.random::<f64>() < CI_SHARE;
        Session {
            id: rng.next_u64(),
            user,
            host: self.host_of(user, is_ci, rng),
            project: self.project_of(user, rng),
            left: rng.random_range(1..2 * self.session_executions),
            over_ms: now_ms + SESSION_MS_MAX,
        }
    }

    /// The session number `number` of those that are there all the time; the same number always
    /// gives the same session.
    pub(super) fn standing_session(&self, number: u64, seed: u64) -> Session {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ number.rotate_left(32));
        Session { left: u32::MAX, over_ms: i64::MAX, ..self.session(0, &mut rng) }
    }

    /// People have a machine of their own, jobs run on any build machine.
    fn host_of(&self, user: usize, is_ci: bool, rng: &mut Xoshiro256PlusPlus) -> usize {
        let mut host = if is_ci { rng.random_range(0..self.hosts.len()) } else { user * 7 };
        for _ in 0..4 {
            if names::is_build_host(host % self.hosts.len()) == is_ci {
                break;
            }
            host += 1;
        }
        host % self.hosts.len()
    }

    fn project_of(&self, user: usize, rng: &mut Xoshiro256PlusPlus) -> usize {
        if rng.random_bool(FOREIGN_PROJECT_SHARE) {
            return rng.random_range(0..self.projects.len());
        }
        let mut project = self.team_of[user];
        while rng.random_bool(1.0 - OWN_PROJECT_FALLOFF)
            && project + self.teams.len() < self.projects.len()
        {
            project += self.teams.len();
        }
        project % self.projects.len()
    }
}
