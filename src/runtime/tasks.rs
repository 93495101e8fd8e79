//! Async tasks that belong together: told to stop together, and waited for.
//!
//! *Invariant*: nothing else spawns tasks, so that after [`Tasks::end`] nothing runs.

use std::future::Future;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A group of tasks. Clones are the same group.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    /// The threads that tasks run on; none: those of whoever begins them.
    threads: Option<Handle>,
}

impl Tasks {
    /// The same group; what this one begins runs on `threads`.
    pub fn on(&self, threads: Handle) -> Self {
        Self { threads: Some(threads), ..self.clone() }
    }

    /// Begins `task` in the background.
    #[expect(clippy::disallowed_methods, reason = "this module is where tasks begin")]
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let task = self.tracker.track_future(task);
        match &self.threads {
            Some(threads) => drop(threads.spawn(task)),
            None => drop(tokio::spawn(task)),
        }
    }

    /// Counts `task` in this group: for one that somebody else begins.
    pub fn track<F: Future>(&self, task: F) -> impl Future<Output = F::Output> + use<F> {
        self.tracker.track_future(task)
    }

    /// Returns once the group is told to stop.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Whether the group was told to stop.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Tells every task to stop.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// How many tasks run.
    pub fn len(&self) -> usize {
        self.tracker.len()
    }

    /// Whether none runs.
    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }

    /// Tells every task to stop and waits until all have ended. `false` if that took longer than
    /// `within`.
    pub async fn end(&self, within: Duration) -> bool {
        self.stop();
        self.tracker.close();
        tokio::time::timeout(within, self.tracker.wait()).await.is_ok()
    }
}
