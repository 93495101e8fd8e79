//! Work that async threads must not do, because it computes or waits for a disk: admitted up to a
//! bound, run elsewhere, awaited.
//!
//! *Invariant*: no more than `running_max` pieces run and `waiting_max` wait. Whoever comes then is
//! told so at once, and nothing was begun. A piece that runs keeps its place until it has ended,
//! also where nobody waits for it any more.

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use thread_priority::{NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// How far behind everything else work in the background stands (`nice`; 19 would be the last): beside
/// threads that compute it has a tenth of a processor.
pub const BACKGROUND_NICE: i32 = 10;

/// Has the calling thread stand behind others by so much (`nice`), if it does not already. Of Linux's
/// threads each has its own.
pub fn stand_behind(nice: i32) {
    let is_before = |so_far: i32| so_far < nice;
    if rustix::process::getpriority_process(None).is_ok_and(is_before) {
        let _as_before = rustix::process::setpriority_process(None, nice);
    }
}

/// Has the calling thread run only when no other thread wants to (`SCHED_IDLE`, sched(7)), and give way to it
/// at once. Where every processor is always wanted, it gets a thousandth of one. Gives whether it does.
pub fn run_last() -> bool {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let this = thread_priority::thread_native_id();
    // It fails after the fact where the thread was `nice` before, and so is looked at.
    let _may_fail =
        thread_priority::set_thread_priority_and_policy(this, ThreadPriority::Min, idle);
    thread_priority::thread_schedule_policy().is_ok_and(|policy| policy == idle)
}

/// So many threads that [run last](run_last), or else [stand behind](stand_behind) others.
pub fn last_threads(count: usize) -> Result<ThreadPool, ThreadPoolBuildError> {
    let stand_last = |_| {
        if !run_last() {
            tracing::warn!("a thread may not run last, and stands behind others instead");
            stand_behind(BACKGROUND_NICE);
        }
    };
    let threads = ThreadPoolBuilder::new().num_threads(count.max(1)).start_handler(stand_last);
    threads.thread_name(|n| format!("emx-last-{n}")).build()
}

/// Where the work of a [`Pool`] runs.
#[derive(Clone, Debug)]
enum Where {
    /// On threads of their own.
    Threads,
    /// On threads that get what others leave: for what computes long, and may.
    Background(Arc<ThreadPool>),
}

/// Why work did not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// Too much waits already.
    #[error("too much is being worked on: try again in a moment")]
    Busy,
    /// It panicked; the log has where.
    #[error("it failed for a reason that should not exist: the log has more")]
    Panicked,
}

/// Places for so many pieces of work. Clones are the same places.
#[derive(Clone, Debug)]
pub struct Places {
    /// Running or waiting.
    admitted: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
struct Place(#[expect(dead_code, reason = "held for its end")] [OwnedSemaphorePermit; 2]);

impl Places {
    /// `running_max` at a time, at least one, and `waiting_max` who wait for theirs.
    pub fn new(running_max: usize, waiting_max: usize) -> Self {
        let running = running_max.max(1);
        Self {
            admitted: Arc::new(Semaphore::new(running + waiting_max)),
            running: Arc::new(Semaphore::new(running)),
        }
    }

    /// Waits for a place; tells at once where too many wait.
    async fn enter(&self) -> Result<Place, PoolError> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned();
        let admitted = admitted.map_err(|_| PoolError::Busy)?;
        let running = Arc::clone(&self.running).acquire_owned().await;
        let running = running.map_err(|_| PoolError::Busy)?; // never closed
        Ok(Place([running, admitted]))
    }
}

/// Places of a pool, and of a party where it has its own, for work that is still to come.
#[derive(Debug)]
pub struct Taken(#[expect(dead_code, reason = "held for its end")] (Option<Place>, Place));

/// A bounded pool of threads.
#[derive(Clone, Debug)]
pub struct Pool {
    place: Where,
    places: Places,
}

impl Pool {
    /// So many threads, and so many pieces of work that wait for one.
    pub fn of_threads(running_max: usize, waiting_max: usize) -> Self {
        Self { place: Where::Threads, places: Places::new(running_max, waiting_max) }
    }

    /// For what computes long and may wait for what others compute.
    pub fn in_background(
        running_max: usize,
        waiting_max: usize,
    ) -> Result<Self, ThreadPoolBuildError> {
        let threads = ThreadPoolBuilder::new()
            .num_threads(running_max.max(1))
            .thread_name(|n| format!("emx-background-{n}"))
            .start_handler(|_| stand_behind(BACKGROUND_NICE));
        let place = Where::Background(Arc::new(threads.build()?));
        Ok(Self { place, places: Places::new(running_max, waiting_max) })
    }

    /// Runs `work` and gives what it gave.
    pub async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, PoolError> {
        let taken = self.take(None).await?;
        self.run_taken(taken, work).await
    }

    /// The same for one of many parties, which has only these places of its own: so that one with much
    /// work keeps no thread from the others.
    pub async fn run_within<R: Send + 'static>(
        &self,
        own: &Places,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, PoolError> {
        let taken = self.take(Some(own)).await?;
        self.run_taken(taken, work).await
    }

    /// Waits for the places that work needs, before it is begun: whoever has them knows that it will run.
    /// `own` are those of the party that it is for.
    pub async fn take(&self, own: Option<&Places>) -> Result<Taken, PoolError> {
        let own = match own {
            Some(own) => Some(own.enter().await?),
            None => None,
        };
        Ok(Taken((own, self.places.enter().await?)))
    }

    /// How many more pieces are let in just now.
    pub fn places_left(&self) -> usize {
        self.places.admitted.available_permits()
    }

    /// Runs `work` on a thread, and keeps the places that were [taken](Self::take) here for it until it
    /// has ended.
    pub async fn run_taken<R: Send + 'static>(
        &self,
        held: Taken,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, PoolError> {
        let (tell, told) = oneshot::channel();
        let work = move || {
            let result = catch_unwind(AssertUnwindSafe(work)).map_err(|_| PoolError::Panicked);
            drop(held);
            let _nobody_waits = tell.send(result);
        };
        match &self.place {
            Where::Background(threads) => threads.spawn(work),
            Where::Threads => drop(tokio::task::spawn_blocking(work)),
        }
        told.await.unwrap_or(Err(PoolError::Panicked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[expect(clippy::disallowed_methods, reason = "the test itself sees to their end")]
    #[tokio::test]
    async fn more_than_the_bound_is_told_at_once_and_what_runs_keeps_its_place() {
        for pool in [Pool::of_threads(1, 1), Pool::in_background(1, 1).unwrap()] {
            let (go, wait) = mpsc::channel::<()>();
            let first = tokio::spawn({
                let pool = pool.clone();
                async move { pool.run(move || wait.recv().is_ok()).await }
            });
            while pool.places_left() == 2 {
                tokio::task::yield_now().await;
            }
            let second = tokio::spawn({
                let pool = pool.clone();
                async move { pool.run(|| 2).await }
            });
            while pool.places_left() == 1 {
                tokio::task::yield_now().await;
            }
            assert_eq!(pool.run(|| 3).await, Err(PoolError::Busy));
            first.abort(); // nobody waits, but it still runs
            assert_eq!(pool.run(|| 3).await, Err(PoolError::Busy));
            go.send(()).unwrap();
            assert_eq!(second.await.unwrap(), Ok(2));
            while pool.places_left() < 2 {
                tokio::task::yield_now().await;
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the test itself sees to their end")]
    #[tokio::test]
    async fn a_party_keeps_to_its_own_places_and_leaves_the_others_theirs() {
        let pool = Pool::of_threads(3, 0);
        let (noisy, quiet) = (Places::new(2, 1), Places::new(2, 1));
        let (go, wait) = crossbeam::channel::bounded::<()>(0);
        let begin = |own: &Places| {
            let (pool, own, wait) = (pool.clone(), own.clone(), wait.clone());
            tokio::spawn(async move { pool.run_within(&own, move || wait.recv().is_err()).await })
        };
        let noise: Vec<_> = (0..3).map(|_| begin(&noisy)).collect();
        while pool.places_left() > 1 || noisy.admitted.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.run_within(&noisy, || 1).await, Err(PoolError::Busy));
        assert_eq!(pool.run_within(&quiet, || 1).await, Ok(1));
        drop(go);
        for piece in noise {
            assert_eq!(piece.await.unwrap(), Ok(true));
        }
    }

    #[tokio::test]
    async fn a_place_is_taken_before_the_work_is_known() {
        let (pool, own) = (Pool::of_threads(2, 0), Places::new(1, 0));
        let taken = pool.take(Some(&own)).await.unwrap();
        assert_eq!(pool.take(Some(&own)).await.err(), Some(PoolError::Busy));
        drop(pool.take(None).await.unwrap());
        assert_eq!(pool.run_taken(taken, || 1).await, Ok(1));
        while pool.places_left() < 2 {
            tokio::task::yield_now().await;
        }
        drop(pool.take(Some(&own)).await.unwrap());
    }

    #[tokio::test]
    async fn who_works_in_the_background_gets_what_others_leave() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        let pool = Pool::in_background(2, 8).unwrap();
        assert_eq!(pool.run(nice).await, Ok(before.max(BACKGROUND_NICE)));
        assert_eq!(nice(), before, "others are where they were");
        assert_eq!(Pool::of_threads(1, 0).run(nice).await, Ok(before));
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_costs_no_place() {
        let pool = Pool::of_threads(1, 0);
        assert_eq!(pool.run(|| -> u8 { panic!("on purpose") }).await, Err(PoolError::Panicked));
        assert_eq!(pool.run(|| 1).await, Ok(1));
    }
}
