//! One tenant's feed and everybody who watches it live.
//!
//! *Invariants*: all live members are at the same seq, [`Channel::next`]; whoever joins there misses
//! nothing and gets nothing twice. Members with the same view get the same text, made once. The lock is
//! an async one, held while an update is handed out and never while a disk is waited for, so nobody
//! holds a thread by waiting for it.

use super::outbox::{Closing, Outbox, Registration};
use super::update::{Envelope, View, encode, range_of};
use crate::runtime::breath::Awaited;
use crate::runtime::clock::Clock;
use crate::runtime::pool::{Pool, PoolError};
use crate::runtime::tasks::Tasks;
use crate::tenancy::id::TenantId;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use storage::engine::{FeedItem, Keyspace};
use storage::error::StoreError;
use storage::row::Seq;
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, watch};
use tokio::time::Instant;

/// Shortest time between two updates: what comes meanwhile is told together. The contract allows 5 ms,
/// and a timer may be late by one.
const COALESCE: Duration = Duration::from_millis(4);

/// About how many bytes of the feed become one update: some 20,000 ordinary rows.
const FEED_BYTES: usize = 1 << 20;

/// Most different views of one tenant. Each update is made for each of them.
const VIEWS_MAX: usize = 1024;

/// Members to whom an update is handed before others get their turn on the thread: about 0.1 ms.
const HANDED_AT_ONCE: usize = 256;

/// How long to wait where too much else is being done, and where the store failed.
pub(super) const BUSY_PAUSE: Duration = Duration::from_millis(20);
pub(super) const FAILED_PAUSE: Duration = Duration::from_secs(1);

/// What following a feed needs of the server.
#[derive(Clone, Debug)]
pub(super) struct Means {
    pub(super) clock: Clock,
    pub(super) threads: Pool,
    pub(super) tasks: Tasks,
    /// Those beside whom it is done.
    pub(super) awaited: Awaited,
}

/// One tenant's feed.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) tenant_id: TenantId,
    pub(super) keyspace: Arc<dyn Keyspace>,
    members: Arc<Mutex<Members>>,
    /// The seq that comes next, for those who wait for it.
    next: watch::Sender<Seq>,
    /// Set when the feed cannot be followed any more.
    is_broken: AtomicBool,
    /// Rung when the feed has grown, or the last watcher has left.
    pub(super) news: Arc<Notify>,
}

/// Who is live.
#[derive(Debug, Default)]
struct Members {
    /// The seq that the next update begins with.
    next: Seq,
    by_view: Vec<SameView>,
}

#[derive(Debug)]
struct SameView {
    view: Arc<View>,
    members: Vec<(Registration, Arc<Outbox>)>,
}

/// What became of a try to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// Updates come, from this seq on.
    From(Seq),
    /// The feed is followed from another seq at the moment.
    NextIs(Seq),
    /// There are too many different views.
    TooManyViews,
}

/// The right, and the duty, to follow a channel's feed. Nobody joins before it is used.
pub(super) struct Reader {
    channel: Arc<Channel>,
    first_turn: OwnedMutexGuard<Members>,
}

impl Channel {
    /// A channel whose feed nobody follows yet.
    pub(super) fn new(
        tenant_id: TenantId,
        keyspace: Arc<dyn Keyspace>,
    ) -> Option<(Arc<Self>, Reader)> {
        let members = Arc::new(Mutex::new(Members::default()));
        let first_turn = Arc::clone(&members).try_lock_owned().ok()?;
        let channel = Arc::new(Self {
            tenant_id,
            keyspace,
            members,
            next: watch::Sender::new(0),
            is_broken: AtomicBool::new(false),
            news: Arc::default(),
        });
        Some((Arc::clone(&channel), Reader { channel, first_turn }))
    }

    /// The seq that the next update begins with; 0 before the first look.
    pub(super) fn next(&self) -> Seq {
        *self.next.borrow()
    }

    /// Returns once updates have reached `seq`.
    pub(super) async fn reached(&self, seq: Seq) {
        let mut next = self.next.subscribe();
        // The sender lives as long as the channel.
        let _next = next.wait_for(|next| *next >= seq).await;
    }

    /// Makes a subscription live: at `at` and nowhere else, or without one wherever the feed is.
    pub(super) async fn join(
        &self,
        at: Option<Seq>,
        view: &Arc<View>,
        registration: Registration,
        outbox: &Arc<Outbox>,
    ) -> Joined {
        let mut members = self.members.lock().await;
        let next = members.next;
        if at.is_some_and(|at| at != next) {
            return Joined::NextIs(next);
        }
        let member = (registration, Arc::clone(outbox));
        let at = members.by_view.iter().position(|same| same.view == *view);
        match at {
            Some(at) => members.by_view[at].members.push(member),
            None if members.by_view.len() >= VIEWS_MAX => return Joined::TooManyViews,
            None => {
                let same = SameView { view: Arc::clone(view), members: vec![member] };
                members.by_view.push(same);
            }
        }
        outbox.admit(registration);
        Joined::From(next)
    }

    /// Ends what [`join`](Self::join) began. What is in the outbox stays there.
    pub(super) async fn leave(&self, registration: Registration) {
        let mut members = self.members.lock().await;
        for same in &mut members.by_view {
            let at = same.members.iter().position(|(member, _)| *member == registration);
            if let Some(at) = at {
                same.members.swap_remove(at);
            }
        }
        members.by_view.retain(|same| !same.members.is_empty());
    }

    async fn views(&self) -> Vec<Arc<View>> {
        let members = self.members.lock().await;
        members.by_view.iter().map(|same| Arc::clone(&same.view)).collect()
    }

    /// Hands out what happened in `items`. Texts that are missing, because a view came after the
    /// others were made, are made now.
    async fn publish(&self, items: &Arc<Vec<FeedItem>>, mut texts: Texts, means: &Means) {
        let Some((first, next)) = range_of(items) else { return };
        let mut members = loop {
            let members = self.members.lock().await;
            let views = members.by_view.iter().map(|same| &same.view);
            let missing: Vec<Arc<View>> =
                views.filter(|view| !texts.contains_key(&key(view))).map(Arc::clone).collect();
            if missing.is_empty() {
                break members;
            }
            drop(members);
            match self.encode(items, missing, means).await {
                Ok(more) => texts.extend(more),
                Err(_) => tokio::time::sleep(BUSY_PAUSE).await,
            }
        };
        let mut handed = 0;
        for same in &mut members.by_view {
            let Some((_, text)) = texts.get(&key(&same.view)) else { continue };
            let mut at = 0;
            while let Some((registration, outbox)) = same.members.get(at) {
                if outbox.push(*registration, first, text) {
                    at += 1;
                } else {
                    same.members.swap_remove(at);
                }
                handed += 1;
                if handed % HANDED_AT_ONCE == 0 {
                    tokio::task::yield_now().await;
                }
            }
        }
        members.by_view.retain(|same| !same.members.is_empty());
        members.next = next;
        self.next.send_replace(next);
    }

    async fn encode(
        &self,
        items: &Arc<Vec<FeedItem>>,
        views: Vec<Arc<View>>,
        means: &Means,
    ) -> Result<Texts, PoolError> {
        let (items, tenant_id) = (Arc::clone(items), self.tenant_id.clone());
        let now_ms = means.clock.now_ms();
        means.threads.run(move || texts_of(&items, views, &tenant_id, now_ms)).await
    }

    /// Has every member go on by itself from where it is: the feed is gone from there.
    async fn lag_all(&self, next: Seq) {
        let mut members = self.members.lock().await;
        let lost = members.next;
        for same in members.by_view.drain(..) {
            same.members.iter().for_each(|(member, outbox)| outbox.lag(*member, lost));
        }
        members.next = next;
        self.next.send_replace(next);
    }

    /// Whether nothing comes any more because the feed cannot be read.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
    }

    /// Has every connection with a live subscription closed; the others look for themselves.
    async fn give_up(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
        let mut members = self.members.lock().await;
        for same in members.by_view.drain(..) {
            same.members.iter().for_each(|(_, outbox)| outbox.close(Closing::Failed));
        }
    }
}

/// Texts by the place of their view in memory, which the view that lies beside them keeps.
type Texts = HashMap<usize, (Arc<View>, Bytes)>;

fn key(view: &Arc<View>) -> usize {
    Arc::as_ptr(view) as usize
}

fn texts_of(
    items: &[FeedItem],
    views: Vec<Arc<View>>,
    tenant_id: &TenantId,
    now_ms: storage::row::TimeMs,
) -> Texts {
    let envelope = Envelope { tenant_id: tenant_id.as_str(), now_ms };
    let text = |view: Arc<View>| (key(&view), (Arc::clone(&view), encode(items, &view, &envelope)));
    views.into_iter().map(text).collect()
}

impl Reader {
    /// Follows the feed until the server stops, or `is_over` says that nobody watches any more.
    pub(super) async fn run(self, means: Means, is_over: impl Fn() -> bool) {
        let Self { channel, first_turn } = self;
        let stopping = means.tasks.clone();
        let following = follow(&channel, first_turn, &means, is_over);
        tokio::select! {
            () = stopping.stopping() => {}
            outcome = following => if let Err(error) = outcome {
                tracing::error!(tenant = %channel.tenant_id, %error, "the feed cannot be followed");
                channel.give_up().await;
            }
        }
    }
}

/// Why following ended for good.
type Broken = StoreError;

async fn follow(
    channel: &Arc<Channel>,
    mut first_turn: OwnedMutexGuard<Members>,
    means: &Means,
    is_over: impl Fn() -> bool,
) -> Result<(), Broken> {
    let last_seq = patiently(means, channel, |keyspace| keyspace.last_seq()).await?;
    first_turn.next = last_seq + 1;
    channel.next.send_replace(last_seq + 1);
    drop(first_turn);
    let mut earliest = Instant::now();
    loop {
        if is_over() {
            return Ok(());
        }
        tokio::time::sleep_until(earliest).await;
        let (from, views) = (channel.next(), channel.views().await);
        let now_ms = means.clock.now_ms();
        let tenant_id = channel.tenant_id.clone();
        let read = patiently(means, channel, move |keyspace| {
            let items = keyspace.feed(from, FEED_BYTES)?;
            let texts = texts_of(&items, views.clone(), &tenant_id, now_ms);
            Ok((items, texts))
        });
        match read.await {
            Ok((items, _)) if items.is_empty() => channel.news.notified().await,
            Ok((items, texts)) => {
                earliest = Instant::now() + COALESCE;
                channel.publish(&Arc::new(items), texts, means).await;
            }
            Err(StoreError::SeqExpired { first_seq }) => channel.lag_all(first_seq).await,
            Err(error) => return Err(error),
        }
    }
}

/// Reads from the store, again and again where it is busy or fails for a while.
pub(super) async fn patiently<R: Send + 'static>(
    means: &Means,
    channel: &Arc<Channel>,
    read: impl Fn(&dyn Keyspace) -> Result<R, StoreError> + Clone + Send + 'static,
) -> Result<R, StoreError> {
    loop {
        let (keyspace, read) = (Arc::clone(&channel.keyspace), read.clone());
        match means.threads.run(move || read(&*keyspace)).await {
            Ok(Err(error)) if error.is_transient() => {
                tracing::warn!(tenant = %channel.tenant_id, %error, "the feed cannot be read yet");
                tokio::time::sleep(FAILED_PAUSE).await;
            }
            Ok(outcome) => return outcome,
            Err(PoolError::Busy) => tokio::time::sleep(BUSY_PAUSE).await,
            Err(PoolError::Panicked) => tokio::time::sleep(FAILED_PAUSE).await,
        }
    }
}
