//! The one reader of the machine's clocks.
//!
//! *Invariant*: nothing else in the product asks what time it is. Functions take the time as a
//! parameter, or a [`Clock`] if they run for long, so that a test decides what time it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use storage::row::TimeMs;

/// Tells the time: the machine's, or one that stands still until a test moves it.
///
/// Clones tell the same time.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual { start: Instant, start_ms: TimeMs, elapsed_ms: Arc<AtomicI64> },
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self { source: Source::System }
    }

    /// A clock that stands at `now_ms` until [`advance`](Self::advance) moves it.
    pub fn manual(now_ms: TimeMs) -> Self {
        let source = Source::Manual {
            start: system_instant(),
            start_ms: now_ms,
            elapsed_ms: Arc::new(AtomicI64::new(0)),
        };
        Self { source }
    }

    /// Unix milliseconds, UTC. May jump, in either direction: somebody can set the machine's
    /// clock. A machine whose clock stands before 1970 is taken to be in 1970.
    pub fn now_ms(&self) -> TimeMs {
        match &self.source {
            Source::System => system_ms(),
            Source::Manual { start_ms, elapsed_ms, .. } => {
                start_ms.saturating_add(elapsed_ms.load(Ordering::Relaxed))
            }
        }
    }

    /// A point in time that never goes backwards, for deadlines and for measuring.
    pub fn instant(&self) -> Instant {
        match &self.source {
            Source::System => system_instant(),
            Source::Manual { start, elapsed_ms, .. } => {
                let elapsed_ms = elapsed_ms.load(Ordering::Relaxed);
                *start + Duration::from_millis(elapsed_ms.unsigned_abs())
            }
        }
    }

    /// Lets `by` pass. Only for what gives no event to wait for, such as a file that another
    /// process has locked; whoever calls this in a loop bounds the loop. A manual clock is moved.
    pub fn pause(&self, by: Duration) {
        match &self.source {
            Source::System => sleep(by),
            Source::Manual { .. } => self.advance(by),
        }
    }

    /// Moves a manual clock forward by `by`; the machine's clock moves by itself.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual { elapsed_ms, .. } = &self.source {
            let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
            elapsed_ms.fetch_add(by_ms, Ordering::Relaxed);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that waits for time to pass")]
fn sleep(by: Duration) {
    std::thread::sleep(by);
}

#[expect(clippy::disallowed_methods, reason = "this module is the reader of clocks")]
fn system_ms() -> TimeMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "this module is the reader of clocks")]
fn system_instant() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_moved() {
        let clock = Clock::manual(1_000);
        let twin = clock.clone();
        let before = clock.instant();
        assert_eq!(clock.now_ms(), 1_000);
        clock.advance(Duration::from_millis(250));
        assert_eq!(twin.now_ms(), 1_250);
        assert_eq!(twin.instant() - before, Duration::from_millis(250));
        twin.pause(Duration::from_millis(50));
        assert_eq!(clock.now_ms(), 1_300);
    }

    #[test]
    fn the_system_clock_is_past_2020_and_never_runs_backwards() {
        let clock = Clock::system();
        let first = clock.instant();
        assert!(clock.now_ms() > 1_577_836_800_000);
        assert!(clock.instant() >= first);
    }
}
