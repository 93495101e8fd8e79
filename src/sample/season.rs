//! When things happen: more by day than by night, little at weekends, no two hours alike.

use rand::rngs::Xoshiro256PlusPlus;
use rand_distr::{Distribution, LogNormal};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How busy each hour of a working day is, UTC.
const BY_HOUR: [f64; 24] = [
    0.15, 0.10, 0.08, 0.08, 0.10, 0.20, 0.50, 1.10, 1.80, 2.20, 2.40, 2.30, 1.60, 1.90, 2.30, 2.40,
    2.10, 1.60, 1.00, 0.70, 0.60, 0.50, 0.35, 0.25,
];

/// How busy each day of the week is, Monday first.
const BY_WEEKDAY: [f64; 7] = [1.0, 1.1, 1.1, 1.05, 0.85, 0.18, 0.14];

/// Spread (sigma of a log-normal) of an hour around what season says.
const NOISE: f64 = 0.15;

/// The cumulative share of the work that is done by the end of each hour.
#[derive(Debug)]
pub(super) struct Season {
    start_ms: i64,
    cumulative: Vec<f64>,
}

impl Season {
    /// Seasons over `days` days up to `end_ms`, with the noise of `rng`.
    pub(super) fn new(days: u32, end_ms: i64, rng: &mut Xoshiro256PlusPlus) -> Self {
        let start_ms = end_ms - i64::from(days) * DAY_MS;
        let noise = LogNormal::new(0.0, NOISE).ok();
        let mut total = 0.0;
        let mut cumulative: Vec<f64> = (0..i64::from(days) * 24)
            .map(|hour| {
                total += weight_at(start_ms + hour * HOUR_MS)
                    * noise.map_or(1.0, |noise| noise.sample(rng));
                total
            })
            .collect();
        for share in &mut cumulative {
            *share /= total;
        }
        Self { start_ms, cumulative }
    }

    /// The first instant.
    pub(super) fn start_ms(&self) -> i64 {
        self.start_ms
    }

    /// The instant by which the share `done` (0..1) of the work is done.
    pub(super) fn instant(&self, done: f64) -> i64 {
        let hour = self.hour(done);
        let (from, to) = self.bounds(hour);
        let within = if to > from { (done - from) / (to - from) } else { 0.0 };
        let within_ms = (within * HOUR_MS as f64) as i64;
        self.start_ms + hour as i64 * HOUR_MS + within_ms.clamp(0, HOUR_MS - 1)
    }

    /// The share of all work that is done in the hour in which `done` is reached.
    pub(super) fn hourly_share(&self, done: f64) -> f64 {
        let (from, to) = self.bounds(self.hour(done));
        to - from
    }

    fn hour(&self, done: f64) -> usize {
        let hour = self.cumulative.partition_point(|&share| share <= done);
        hour.min(self.cumulative.len().saturating_sub(1))
    }

    fn bounds(&self, hour: usize) -> (f64, f64) {
        let before = hour.checked_sub(1).map_or(0.0, |n| self.cumulative[n]);
        (before, self.cumulative.get(hour).copied().unwrap_or(1.0))
    }
}

/// What the hour and the weekday of `ms` weigh.
pub(super) fn weight_at(ms: i64) -> f64 {
    let day = ms.div_euclid(DAY_MS);
    let hour = ms.rem_euclid(DAY_MS) / HOUR_MS;
    let weekday = (day + 3).rem_euclid(7); // day 0, 1970-01-01, was a Thursday
    BY_HOUR[hour as usize] * BY_WEEKDAY[weekday as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn work_follows_day_and_week_and_never_runs_backwards() {
        let end_ms = 1_772_323_200_000; // 2026-03-01T00:00:00Z, a Sunday
        let season = Season::new(90, end_ms, &mut Xoshiro256PlusPlus::seed_from_u64(1));
        let (mut weekend, mut night, mut last) = (0, 0, season.start_ms());
        for n in 0..10_000 {
            let ms = season.instant((f64::from(n) + 0.5) / 10_000.0);
            assert!(ms >= last && ms < end_ms);
            last = ms;
            weekend += u32::from((ms / DAY_MS + 3) % 7 >= 5);
            night += u32::from(ms % DAY_MS < 6 * HOUR_MS);
        }
        assert!((300..1000).contains(&weekend), "{weekend}");
        assert!((100..800).contains(&night), "{night}");
    }
}
