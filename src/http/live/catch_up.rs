//! What a subscription does until it is live: it reads the feed on its own, range by range, up to where
//! the others are, and joins them there.
//!
//! *Invariants*: ranges join, with each other and with the first live update. A step is taken when the
//! last one's text has been sent, so that whoever does not read costs one text. Only a few steps read
//! at a time.

use super::super::problem::Problem;
use super::channel::{Channel, Joined, Means, patiently};
use super::hub::Hub;
use super::outbox::{Outbox, Registration};
use super::update::{Envelope, View, encode, range_of};
use bytes::Bytes;
use std::sync::Arc;
use storage::error::StoreError;
use storage::row::Seq;

/// About how many bytes of the feed become one text: some 5,000 ordinary rows.
const FEED_BYTES: usize = 256 << 10;

/// A subscription on its way.
#[derive(Clone, Debug)]
pub(super) struct Journey {
    pub(super) registration: Registration,
    pub(super) view: Arc<View>,
    /// The seq wanted next; `None`: the one that is next for the others.
    pub(super) next: Option<Seq>,
    /// Whether `next` is the client's own word, which may be wrong.
    pub(super) is_asked: bool,
}

/// What a step came to.
#[derive(Debug)]
pub(super) enum Step {
    /// It is live from this seq on.
    Live(Seq),
    /// This happened; `next` is wanted next.
    Update { first: Seq, next: Seq, text: Bytes },
    /// The feed begins after what is wanted.
    Expired { first_seq: Seq },
    /// What is wanted lies beyond the seq that comes next.
    Ahead { next_seq: Seq },
    /// There are too many different views.
    TooManyViews,
    /// Auditors must be told first, and cannot be.
    Untold(Box<Problem>),
    /// The store failed for good.
    Failed(StoreError),
}

/// Takes a step.
pub(super) async fn step(
    hub: &Hub,
    channel: &Arc<Channel>,
    outbox: &Arc<Outbox>,
    journey: &Journey,
    means: &Means,
) -> Step {
    let Journey { registration, view, next, is_asked } = journey;
    loop {
        let others = match channel.join(*next, view, *registration, outbox).await {
            Joined::From(seq) => return Step::Live(seq),
            Joined::TooManyViews => return Step::TooManyViews,
            Joined::NextIs(others) => others,
        };
        let Some(wanted) = *next else { continue };
        if wanted < others {
            let Ok(_turn) = hub.catching_up.acquire().await else { continue }; // never closed
            match read(channel, wanted, others, view, means).await {
                Ok(Some(step)) => return step,
                Ok(None) => continue,
                Err(StoreError::SeqExpired { first_seq }) => return Step::Expired { first_seq },
                Err(error) => return Step::Failed(error),
            }
        }
        if *is_asked {
            match patiently(means, channel, |keyspace| keyspace.last_seq()).await {
                Ok(last) if last + 1 < wanted => return Step::Ahead { next_seq: last + 1 },
                Ok(_) => {}
                Err(error) => return Step::Failed(error),
            }
        }
        channel.reached(wanted).await;
    }
}

/// What happened from `from` on, up to where the others are at most.
async fn read(
    channel: &Arc<Channel>,
    from: Seq,
    others: Seq,
    view: &Arc<View>,
    means: &Means,
) -> Result<Option<Step>, StoreError> {
    let (view, tenant_id) = (Arc::clone(view), channel.tenant_id.clone());
    let now_ms = means.clock.now_ms();
    let text = patiently(means, channel, move |keyspace| {
        let mut items = keyspace.feed(from, FEED_BYTES)?;
        items.retain(|item| item.last < others);
        let range = range_of(&items);
        let envelope = Envelope { tenant_id: tenant_id.as_str(), now_ms };
        Ok(range.map(|range| (range, encode(&items, &view, &envelope))))
    });
    let made = text.await?;
    Ok(made.map(|((first, next), text)| Step::Update { first, next, text }))
}
