//! Turns with the processors: whoever computes an answer does it a slice at a time, so that somebody
//! else's short question need not wait for the end of a long one.
//!
//! *Invariants*: whoever has a [`Turn`] waits for nobody but its own threads, and never for another turn.
//! What [runs](Turn::run) in one holds no lock while it waits for its threads, for these may do another
//! turn's work meanwhile; and no lock that somebody else's question waits for but those of the keyspace,
//! for its threads may be the last to be given a processor.

use crate::ask::AskError;
use rayon::ThreadPool;
use rustix::time::{ClockId, clock_gettime};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a turn lasts where somebody else waits: some blocks' worth, and so short that whoever waits
/// for it does not notice.
const SLICE: Duration = Duration::from_millis(2);

/// Processor time of the calling thread (clock_gettime(2)).
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Shares out processors among those who ask.
pub trait Turns: Send + Sync + fmt::Debug {
    /// Waits for a turn with 1 to `wanted` processors. `None` once `until` has passed.
    fn take(&self, wanted: usize, until: Option<Instant>) -> Option<Taken>;

    /// Whether a turn that lasts for long must end, for others wait or it was promised to them.
    fn is_wanted(&self) -> bool;

    /// Takes back what [`take`](Self::take) gave.
    fn give_back(&self, taken: Taken);

    /// Where the work of a turn behind others is done; `None`: by the thread that took it. At least as many threads as
    /// the turn has processors, which nothing waits for but whoever has the turn.
    fn threads(&self, taken: Taken) -> Option<&ThreadPool>;
}

/// What is used in a turn.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// How many processors, at least 1.
    pub processors: usize,
    /// Since when.
    pub since: Instant,
    /// Whether everybody else comes first.
    pub is_behind: bool,
    /// Processor time of each processor, where that is known to be less than the time since.
    pub used: Option<Duration>,
}

/// The right to compute, given back with its end.
#[derive(Debug)]
pub struct Turn<'a> {
    /// `None`: nobody shares anything.
    of: Option<(&'a dyn Turns, Taken)>,
    processors: usize,
    /// What [`run`](Self::run) used behind others, nanoseconds: of such a turn nothing else counts.
    used_ns: AtomicU64,
}

impl<'a> Turn<'a> {
    /// Waits for a turn of `turns`; without them everybody has what it wants.
    pub(crate) fn wait(
        turns: Option<&'a dyn Turns>,
        wanted: usize,
        until: Option<Instant>,
    ) -> Result<Self, AskError> {
        let wanted = wanted.max(1);
        let used_ns = AtomicU64::new(0);
        let Some(turns) = turns else { return Ok(Self { of: None, processors: wanted, used_ns }) };
        let taken = turns.take(wanted, until).ok_or(AskError::TimeExceeded)?;
        let processors = taken.processors.clamp(1, wanted);
        Ok(Self { of: Some((turns, taken)), processors, used_ns })
    }

    /// How many threads may compute.
    pub fn processors(&self) -> usize {
        self.processors
    }

    /// Computes something in this turn, on the threads that it is meant for. Anything else may be done by
    /// whoever has the turn.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        let Some((turns, taken)) = self.of.filter(|(_, taken)| taken.is_behind) else {
            return work();
        };
        let measured = || {
            let before = thread_time();
            let done = work();
            let used = thread_time().saturating_sub(before);
            let used_ns = u64::try_from(used.as_nanos()).unwrap_or(u64::MAX);
            self.used_ns.fetch_add(used_ns, Ordering::Relaxed);
            done
        };
        match turns.threads(taken) {
            Some(threads) => threads.install(measured),
            None => measured(),
        }
    }

    /// Whether it is time to let others compute. To be asked between blocks.
    pub fn is_over(&self, now: Instant) -> bool {
        let is_long = |taken: &Taken| now.saturating_duration_since(taken.since) >= SLICE;
        // Behind others it is wanted anyway, and must not ask: that takes a lock.
        let is_wanted = |turns: &dyn Turns, taken: &Taken| taken.is_behind || turns.is_wanted();
        self.of.as_ref().is_some_and(|(turns, taken)| is_long(taken) && is_wanted(*turns, taken))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some((turns, taken)) = self.of.take() {
            let used = taken.is_behind.then(|| Duration::from_nanos(*self.used_ns.get_mut()));
            turns.give_back(Taken { used, ..taken });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Everybody is behind, and there are no threads for that.
    #[derive(Debug, Default)]
    struct Behind(Mutex<Option<Taken>>);

    impl Turns for Behind {
        fn take(&self, processors: usize, _: Option<Instant>) -> Option<Taken> {
            let since = crate::ask::now();
            Some(Taken { processors, since, is_behind: true, used: None })
        }

        fn is_wanted(&self) -> bool {
            false
        }

        fn give_back(&self, taken: Taken) {
            *self.0.lock().unwrap() = Some(taken);
        }

        fn threads(&self, _: Taken) -> Option<&ThreadPool> {
            None
        }
    }

    #[test]
    fn what_is_computed_behind_counts_also_where_there_are_no_threads_for_it() {
        const TIME: Duration = Duration::from_millis(2);
        let behind = Behind::default();
        let turn = Turn::wait(Some(&behind), 1, None).unwrap();
        turn.run(|| {
            let start = thread_time();
            while thread_time() < start + TIME {}
        });
        drop(turn);
        let used = behind.0.into_inner().unwrap().unwrap().used;
        assert!(used.is_some_and(|used| used >= TIME), "{used:?}");
    }
}
