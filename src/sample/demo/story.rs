//! What happened in the three months: facts that questions find again.

use storage::row::TimeMs;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// When what happened, Unix milliseconds; counted back from the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// The disk of one CI machine is full in this range of time: an afternoon in the middle of a
    /// week.
    pub incident_ms: (TimeMs, TimeMs),
    /// The tests of one project become slower in this range of time, and are mended at its end.
    pub slowing_ms: (TimeMs, TimeMs),
}

/// How long the incident lasts, and at which hour (UTC) it begins: both sides of the Atlantic work.
const INCIDENT_HOURS: (i64, i64) = (4, 13);

/// How often a delivery fails on the machine of the incident.
pub(super) const INCIDENT_FAILURE_SHARE: f64 = 0.9;

/// How much slower the tests have become when they are mended.
const SLOWEST: f64 = 3.0;

impl Story {
    /// The story that ends at `end_ms`.
    pub(super) fn ending(end_ms: TimeMs) -> Self {
        let mut day = end_ms.div_euclid(DAY_MS) - 9;
        // Day 0, 1970-01-01, was a Thursday: back to a Tuesday, Wednesday or Thursday.
        while !(1..=3).contains(&(day + 3).rem_euclid(7)) {
            day -= 1;
        }
        let incident_ms = day * DAY_MS + INCIDENT_HOURS.1 * HOUR_MS;
        let mended_ms = end_ms - 5 * DAY_MS;
        Self {
            incident_ms: (incident_ms, incident_ms + INCIDENT_HOURS.0 * HOUR_MS),
            slowing_ms: (mended_ms - 35 * DAY_MS, mended_ms),
        }
    }

    /// Whether the incident is going on.
    pub(super) fn is_incident(&self, ms: TimeMs) -> bool {
        (self.incident_ms.0..self.incident_ms.1).contains(&ms)
    }

    /// How much slower than usual the slow project's tests are.
    pub(super) fn slowness(&self, ms: TimeMs) -> f64 {
        let (from, to) = self.slowing_ms;
        if !(from..to).contains(&ms) {
            return 1.0;
        }
        1.0 + (SLOWEST - 1.0) * (ms - from) as f64 / (to - from) as f64
    }
}
