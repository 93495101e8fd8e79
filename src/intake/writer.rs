//! Bounded queues to the writers, which commit many callers' rows together.
//!
//! A few plain threads each own a *lane*: a queue bounded in appends and in bytes. While an append of a
//! tenant is under way its others take the same lane, so that they keep their order and one keyspace
//! never has two writers; else it takes one with nothing to do ([`lanes`](super::lanes)). A writer takes what waits in its lane, up to one commit's worth, and appends it keyspace
//! by keyspace: whoever waits pays for one fsync together. A caller that waits anyway, and finds its
//! lane idle, takes the writer's place for its own append: that saves waking two threads.
//!
//! *Invariant*: every append that [`Writers::submit`] has taken is answered exactly once, whatever
//! fails, panics or stops. One that is not taken costs nothing and its callback is never called.

use super::lanes::{Seat, Seats};
use crate::model::problem::writing;
use crossbeam::channel::{Receiver, Sender, TryRecvError, TrySendError, bounded};
use hashbrown::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;
use storage::engine::{Append, Appended, Keyspace};
use storage::error::StoreError;

/// How wide and deep the lanes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterSettings {
    /// How many writers, and so how many keyspaces that are being committed at once.
    pub threads: usize,
    /// Appends that may wait in a lane.
    pub lane_appends_max: usize,
    /// Bytes that the appends of a lane may hold until they are answered. A single larger one is
    /// taken when the lane is empty.
    pub lane_bytes_max: usize,
    /// Rows that the appends of a lane may have until they are answered; else as with bytes.
    pub lane_rows_max: usize,
    /// Rows after which a commit takes no further append.
    pub commit_rows_max: usize,
    /// Bytes after which a commit takes no further append.
    pub commit_bytes_max: usize,
}

impl Default for WriterSettings {
    fn default() -> Self {
        Self {
            // Writers mostly wait for the disk, whose syncs of different files overlap.
            threads: 4,
            lane_appends_max: 1024,
            lane_bytes_max: 64 << 20,
            lane_rows_max: 100_000,
            // A sealed block's worth: larger commits only make everybody in them wait longer.
            commit_rows_max: 64 << 10,
            commit_bytes_max: 32 << 20,
        }
    }
}

/// When it is worth trying a full lane again: some commits later.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why an append was not stored, or may not have been.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// The lane is full.
    #[error("too many rows are waiting to be written: try again in {} ms", retry_after.as_millis())]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The writers are stopping.
    #[error("the server is stopping: send the same again when it is back")]
    Stopping,
    /// The store said no, to everybody whose rows were in the same commit.
    #[error("{0}")]
    Store(Arc<StoreError>),
    /// The writer failed on the way: nobody knows.
    #[error("it is unknown whether the rows were stored: send the same again")]
    OutcomeUnknown,
}

impl WriteError {
    /// The stable word.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Busy { .. } => writing::BUSY,
            Self::Stopping => writing::STOPPING,
            Self::OutcomeUnknown => writing::OUTCOME_UNKNOWN,
            Self::Store(e) => match **e {
                StoreError::OutcomeUnknown { .. } => writing::OUTCOME_UNKNOWN,
                StoreError::DiskFull { .. } => writing::DISK_FULL,
                _ => writing::STORE_FAILED,
            },
        }
    }

    /// Whether sending the same again may help, without anybody's hand. It never harms.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Stopping | Self::OutcomeUnknown => true,
            Self::Store(e) => e.is_transient(),
        }
    }
}

/// What an append came to.
pub type Written = Result<Appended, WriteError>;

/// Called once with what an append came to, on the writer's thread: it hands over and returns.
pub type OnWritten = Box<dyn FnOnce(Written) + Send>;

/// The writers. Dropping them drains the lanes.
pub struct Writers {
    settings: WriterSettings,
    /// `None` once stopped. Dropping the senders is what ends the writers, after they have drained.
    lanes: RwLock<Option<Vec<Lane>>>,
    seats: Arc<Seats>,
    ended: Receiver<()>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Lane {
    queue: Sender<Submission>,
    held: Arc<Held>,
    /// Sleeps while the queue is empty: whoever puts something in wakes it.
    writer: Thread,
    /// Held by whoever writes for this lane.
    right: Arc<Mutex<()>>,
    /// Held by whoever must be done before the writers have stopped.
    end: Sender<()>,
}

/// See [`Writers::idle_lane`].
type IdleLane = (Arc<Mutex<()>>, Sender<()>, Seat);

struct Submission {
    tenant: Arc<str>,
    keyspace: Arc<dyn Keyspace>,
    append: Append,
    answer: Answer,
}

/// What the appends of a lane hold until they are answered.
#[derive(Debug, Default)]
struct Held {
    bytes: AtomicUsize,
    rows: AtomicUsize,
}

/// Gives the answer, or says that there is none when it is dropped.
struct Answer {
    call: Option<OnWritten>,
    bytes: usize,
    rows: usize,
    held: Arc<Held>,
    /// Given back with the rest: from then on the tenant may take another lane.
    seat: Option<Seat>,
}

impl Answer {
    fn give(mut self, written: Written) {
        self.finish(written);
    }

    fn finish(&mut self, written: Written) {
        let Some(call) = self.call.take() else { return };
        self.release();
        // A caller's panic is its own: the writer goes on for everybody else.
        if catch_unwind(AssertUnwindSafe(|| call(written))).is_err() {
            tracing::error!("a callback of an append panicked");
        }
    }

    /// The append was not taken after all: nobody is told here.
    fn defuse(mut self) {
        self.call = None;
        self.release();
    }

    /// Before the call, so that whoever is told finds the room that became free.
    fn release(&mut self) {
        self.held.bytes.fetch_sub(std::mem::take(&mut self.bytes), Ordering::AcqRel);
        self.held.rows.fetch_sub(std::mem::take(&mut self.rows), Ordering::AcqRel);
        self.seat = None;
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.finish(Err(WriteError::OutcomeUnknown));
    }
}

impl Writers {
    /// Starts the threads.
    pub fn start(settings: WriterSettings) -> std::io::Result<Self> {
        let (end, ended) = bounded(0);
        let mut lanes = Vec::new();
        let mut threads = Vec::new();
        for n in 0..settings.threads.max(1) {
            let (queue, waiting) = bounded(settings.lane_appends_max.max(1));
            let (end, writers_end): (Sender<()>, Sender<()>) = (end.clone(), end.clone());
            let right: Arc<Mutex<()>> = Arc::default();
            let writers_right = Arc::clone(&right);
            let thread =
                std::thread::Builder::new().name(format!("writer-{n}")).spawn(move || {
                    write(&waiting, &writers_right, settings);
                    drop(writers_end);
                })?;
            let writer = thread.thread().clone();
            lanes.push(Lane { queue, held: Arc::default(), writer, right, end });
            threads.push(thread);
        }
        let seats = Arc::new(Seats::new(lanes.len()));
        let (lanes, threads) = (RwLock::new(Some(lanes)), Mutex::new(threads));
        Ok(Self { settings, lanes, seats, ended, threads })
    }

    /// Queues `append` for the keyspace of `tenant`. Never waits: a full lane is
    /// [`WriteError::Busy`], and then `on_written` is not called.
    pub fn submit(
        &self,
        tenant: &Arc<str>,
        keyspace: Arc<dyn Keyspace>,
        append: Append,
        on_written: OnWritten,
    ) -> Result<(), WriteError> {
        let lanes = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
        let Some(lanes) = lanes.as_ref() else { return Err(WriteError::Stopping) };
        let seat = self.seats.take(tenant);
        let lane = &lanes[seat.lane()];
        let busy = WriteError::Busy { retry_after: RETRY_AFTER };
        let (bytes, rows) = (bytes_of(&append), append.rows.len);
        let held_bytes = lane.held.bytes.fetch_add(bytes, Ordering::AcqRel);
        let held_rows = lane.held.rows.fetch_add(rows, Ordering::AcqRel);
        let held = Arc::clone(&lane.held);
        let answer = Answer { call: Some(on_written), bytes, rows, held, seat: Some(seat) };
        let is_over = held_bytes.saturating_add(bytes) > self.settings.lane_bytes_max
            || held_rows.saturating_add(rows) > self.settings.lane_rows_max;
        if held_bytes > 0 && is_over {
            answer.defuse();
            return Err(busy);
        }
        let tenant = tenant.clone();
        lane.queue.try_send(Submission { tenant, keyspace, append, answer }).map_err(
            |refused| {
                let (error, submission) = match refused {
                    TrySendError::Full(submission) => (busy, submission),
                    TrySendError::Disconnected(submission) => (WriteError::Stopping, submission),
                };
                submission.answer.defuse();
                error
            },
        )?;
        lane.writer.unpark();
        Ok(())
    }

    /// Queues `append` and waits for what it comes to. Not for callbacks: they run on the thread
    /// that would have to write it.
    pub fn append(
        &self,
        tenant: &Arc<str>,
        keyspace: Arc<dyn Keyspace>,
        append: Append,
    ) -> Written {
        if let Some((right, _end, _seat)) = self.idle_lane(tenant)?
            && let Ok(_right) = right.try_lock()
        {
            let mut appended = commit_rows(&*keyspace, vec![append])?;
            return appended.pop().ok_or(WriteError::OutcomeUnknown);
        }
        let told = Arc::new((Mutex::new(None), Condvar::new()));
        let tell = Arc::clone(&told);
        let on_written = Box::new(move |written| {
            *tell.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(written);
            tell.1.notify_one();
        });
        self.submit(tenant, keyspace, append, on_written)?;
        let mut written = told.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(written) = written.take() {
                return written;
            }
            written = told.1.wait(written).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The right to write for the lane of `tenant`, if nothing waits there; and what
    /// [`stop`](Self::stop) waits for until it is dropped.
    fn idle_lane(&self, tenant: &Arc<str>) -> Result<Option<IdleLane>, WriteError> {
        let lanes = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
        let lanes = lanes.as_ref().ok_or(WriteError::Stopping)?;
        let seat = self.seats.take(tenant);
        let lane = &lanes[seat.lane()];
        Ok(lane.queue.is_empty().then(|| (Arc::clone(&lane.right), lane.end.clone(), seat)))
    }

    /// Takes nothing more, drains the lanes, and answers everybody. `false` if that took longer
    /// than `within`; the writers then go on in the background.
    pub fn stop(&self, within: Duration) -> bool {
        let lanes = self.lanes.write().unwrap_or_else(PoisonError::into_inner).take();
        for Lane { queue, writer, .. } in lanes.into_iter().flatten() {
            drop(queue);
            writer.unpark(); // it finds its queue closed
        }
        // Nothing is ever sent: the channel is closed when the last writer has ended.
        let ended = self.ended.recv_timeout(within);
        if matches!(ended, Err(crossbeam::channel::RecvTimeoutError::Timeout)) {
            return false;
        }
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a writer panicked");
            }
        }
        true
    }

    /// Bytes held by appends that are not answered yet.
    pub fn held_bytes(&self) -> usize {
        let lanes = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
        lanes.iter().flatten().map(|lane| lane.held.bytes.load(Ordering::Acquire)).sum()
    }
}

impl fmt::Debug for Writers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writers").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.stop(Duration::MAX);
    }
}

/// What an append holds in memory, and a little for itself.
fn bytes_of(append: &Append) -> usize {
    const OVERHEAD_BYTES: usize = 1024;
    let writes: usize = append
        .writes
        .iter()
        .map(|w| w.table.len() + w.key.len() + w.value.as_ref().map_or(0, Vec::len))
        .sum();
    OVERHEAD_BYTES + append.rows.heap_bytes() + writes
}

/// A writer's life: until the lane is closed and empty.
fn write(lane: &Receiver<Submission>, right: &Mutex<()>, settings: WriterSettings) {
    while let Some((first, _right)) = next(lane, right) {
        let (mut rows, mut bytes) = (first.append.rows.len, first.answer.bytes);
        let mut taken = vec![first];
        while rows < settings.commit_rows_max && bytes < settings.commit_bytes_max {
            let Ok(next) = lane.try_recv() else { break };
            rows += next.append.rows.len;
            bytes += next.answer.bytes;
            taken.push(next);
        }
        for group in by_tenant(taken) {
            commit(group);
        }
    }
}

/// The next submission; `None` once the lane is closed and empty. Unlike the channel's own waiting
/// it does not spin before it sleeps: with a row a call that would be a tenth of all the work.
/// It comes with the right to write, which is taken before it leaves the queue: so whoever finds
/// the queue empty and the right free overtakes nobody.
fn next<'a>(
    lane: &Receiver<Submission>,
    right: &'a Mutex<()>,
) -> Option<(Submission, MutexGuard<'a, ()>)> {
    loop {
        let held = right.lock().unwrap_or_else(PoisonError::into_inner);
        match lane.try_recv() {
            Ok(submission) => return Some((submission, held)),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => drop(held),
        }
        // A wake-up between the look and the sleep is not lost: parking then returns at once.
        std::thread::park();
    }
}

/// Tenants in the order of their first append, each with its appends in order.
fn by_tenant(taken: Vec<Submission>) -> Vec<Vec<Submission>> {
    let mut groups: Vec<Vec<Submission>> = Vec::new();
    let mut places: HashMap<Arc<str>, usize> = HashMap::new();
    for submission in taken {
        let place = *places.entry(submission.tenant.clone()).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[place].push(submission);
    }
    groups
}

/// Appends one tenant's group in one transaction and tells everybody.
fn commit(group: Vec<Submission>) {
    let mut appends = Vec::with_capacity(group.len());
    let mut answers = Vec::with_capacity(group.len());
    let mut newest = None;
    for submission in group {
        appends.push(submission.append);
        answers.push(submission.answer);
        // A keyspace that was closed and opened again in between is better asked by its new name.
        newest = Some(submission.keyspace);
    }
    let Some(keyspace) = newest else { return };
    match commit_rows(&*keyspace, appends) {
        // An answer that finds no result says on its end that the outcome is unknown.
        Ok(appended) => {
            answers.into_iter().zip(appended).for_each(|(answer, got)| answer.give(Ok(got)));
        }
        Err(error) => answers.into_iter().for_each(|answer| answer.give(Err(error.clone()))),
    }
}

/// Appends a group in one transaction.
fn commit_rows(keyspace: &dyn Keyspace, appends: Vec<Append>) -> Result<Vec<Appended>, WriteError> {
    let asked = appends.len();
    match catch_unwind(AssertUnwindSafe(|| keyspace.append(appends))) {
        Ok(Ok(appended)) => {
            if appended.len() != asked {
                tracing::error!(asked, got = appended.len(), "the store left appends unanswered");
            }
            Ok(appended)
        }
        Ok(Err(error)) => Err(WriteError::Store(Arc::new(error))),
        Err(_) => {
            tracing::error!("the store panicked during an append: the outcome is unknown");
            Err(WriteError::OutcomeUnknown)
        }
    }
}
