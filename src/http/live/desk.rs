//! The subscriptions of one connection: what the client says about them, and what it is told.
//!
//! *Invariants*: every message for a subscription carries its id. A subscription is acknowledged before
//! the first thing that comes of it, and nothing comes of it after it has ended. Subscriptions catch up
//! one step at a time, in turn, and only while nothing waits to be sent.

use super::super::problem::Problem;
use super::catch_up::{self, Journey, Step};
use super::channel::Means;
use super::hub::Watcher;
use super::outbox::{Outbox, Registration};
use super::protocol::{self, Refusal, Said, Wish};
use super::session::End;
use super::update::{Envelope, View};
use super::wire::Wire;
use crate::runtime::breath;
use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use storage::ask::Predicate;
use storage::row::{Seq, TimeMs};
use tokio::io::{AsyncRead, AsyncWrite};

/// Most subscriptions of one connection: the panels of a dashboard.
pub(super) const SUBSCRIPTIONS_MAX: usize = 16;

/// The subscriptions of one connection.
pub(super) struct Desk {
    watcher: Arc<Watcher>,
    means: Means,
    /// The rows that the connection's owner may see.
    policy: Arc<[Predicate]>,
    witness: Witness,
    subscriptions: Vec<Subscription>,
    /// Those that are not live, in the order of their turns.
    waiting: VecDeque<Registration>,
    step: Option<Pending>,
}

struct Subscription {
    id: Box<str>,
    topics: Vec<String>,
    /// What its messages begin with.
    head: Bytes,
    journey: Journey,
    /// What must be told of it before it begins.
    telling: Option<Telling>,
    is_acknowledged: bool,
}

/// Tells auditors something.
pub(super) type Telling = Pin<Box<dyn Future<Output = Result<(), Problem>> + Send>>;

/// Tells auditors before anybody watches through these filters, if they want to know.
pub(super) type Witness = Box<dyn Fn(String) -> Option<Telling> + Send + Sync>;

/// A step that is being taken.
struct Pending {
    registration: Registration,
    step: Pin<Box<dyn Future<Output = Step> + Send>>,
}

/// Who has taken a step, and what came of it.
pub(super) struct Stepped {
    registration: Registration,
    step: Step,
}

impl Desk {
    /// A connection without subscriptions.
    pub(super) fn new(
        watcher: Watcher,
        policy: Arc<[Predicate]>,
        witness: Witness,
        means: Means,
    ) -> Self {
        let watcher = Arc::new(watcher);
        let (subscriptions, waiting) = (Vec::new(), VecDeque::new());
        Self { watcher, means, policy, witness, subscriptions, waiting, step: None }
    }

    /// What others put in for this connection.
    pub(super) fn outbox(&self) -> &Arc<Outbox> {
        &self.watcher.outbox
    }

    /// The time.
    pub(super) fn now_ms(&self) -> TimeMs {
        self.means.clock.now_ms()
    }

    /// Lets others have the processor, if it is time to.
    pub(super) fn breathe(&self) {
        breath::breathe(&self.means.awaited);
    }

    /// Whether nothing comes any more.
    pub(super) fn is_broken(&self) -> bool {
        self.watcher.channel.is_broken()
    }

    /// Ends every subscription.
    pub(super) async fn leave(mut self) {
        self.step = None;
        for subscription in std::mem::take(&mut self.subscriptions) {
            self.end(subscription.journey.registration).await;
        }
    }

    /// Takes in a message.
    pub(super) async fn heard<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        text: &str,
        wire: &mut Wire<S>,
    ) {
        let outcome = match protocol::read(text) {
            Err(refusal) => Err(refusal),
            Ok(Said::Subscribe(wish)) => self.subscribe(wish, wire),
            Ok(Said::Unsubscribe { id }) => self.unsubscribe(id).await,
            Ok(Said::Ping { id }) => {
                self.say(wire, id.as_deref(), "pong", &json!({}), None);
                Ok(())
            }
        };
        if let Err(refusal) = outcome {
            let data = protocol::error_data(&refusal.problem);
            self.say(wire, refusal.id.as_deref(), "error", &data, None);
        }
    }

    /// Says that binary messages mean nothing here.
    pub(super) fn heard_binary<S: AsyncRead + AsyncWrite + Unpin>(&self, wire: &mut Wire<S>) {
        let problem =
            Problem::bad_request("binary_message", "send text messages, each one JSON object");
        self.say(wire, None, "error", &protocol::error_data(&problem), None);
    }

    fn subscribe<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wish: Wish,
        wire: &mut Wire<S>,
    ) -> Result<(), Refusal> {
        let refuse = |code, detail: String| {
            let problem = Problem::new(StatusCode::CONFLICT, code, detail);
            Err(Refusal { id: Some(wish.id.clone()), problem: problem.into() })
        };
        if self.subscriptions.iter().any(|known| *known.id == *wish.id) {
            let detail =
                "this connection has a subscription with that id: end it, or use another id";
            return refuse("duplicate_id", detail.into());
        }
        if self.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            let detail = format!("a connection has at most {SUBSCRIPTIONS_MAX} subscriptions");
            return refuse("too_many_subscriptions", detail);
        }
        let organization_id = self.watcher.channel.tenant_id.as_str();
        let has_source = wish.has_source();
        let journey = Journey {
            registration: self.watcher.hub.next_registration(),
            view: Arc::new(View::new(organization_id, &self.policy, &wish.filters)),
            next: wish.from_seq,
            is_asked: wish.from_seq.is_some(),
        };
        let registration = journey.registration;
        let (head, id) = (protocol::head(Some(&wish.id)), wish.id.into());
        let telling = if has_source { (self.witness)(wish.asked) } else { None };
        let (topics, is_acknowledged) = (wish.topics, false);
        let subscription = Subscription { id, topics, head, journey, telling, is_acknowledged };
        self.subscriptions.push(subscription);
        if has_source {
            self.waiting.push_back(registration);
        } else {
            let next = self.watcher.channel.next();
            self.acknowledge(registration, next, wire);
        }
        Ok(())
    }

    async fn unsubscribe(&mut self, id: String) -> Result<(), Refusal> {
        let Some(at) = self.subscriptions.iter().position(|known| *known.id == *id) else {
            let detail = "this connection has no subscription with that id";
            let problem = Problem::new(StatusCode::NOT_FOUND, "unknown_id", detail);
            return Err(Refusal { id: Some(id), problem: problem.into() });
        };
        let registration = self.subscriptions.swap_remove(at).journey.registration;
        self.end(registration).await;
        Ok(())
    }

    /// Lets nothing more come of a registration.
    async fn end(&mut self, registration: Registration) {
        self.waiting.retain(|waiting| *waiting != registration);
        if self.step.as_ref().is_some_and(|step| step.registration == registration) {
            self.step = None;
        }
        self.watcher.outbox.forget(registration);
        self.watcher.channel.leave(registration).await;
    }

    /// Sends some of what is in the outbox; `false` if there is nothing.
    pub(super) fn take<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<S>,
        bytes_max: usize,
    ) -> bool {
        let taken = self.watcher.outbox.take(bytes_max);
        if taken.updates.is_empty() && taken.lagged.is_empty() {
            return false;
        }
        for queued in taken.updates {
            if let Some(subscription) = self.find(queued.registration) {
                wire.send_text(&subscription.head, &queued.text);
            }
        }
        for (registration, from) in taken.lagged {
            let Some(subscription) = self.find(registration) else { continue };
            subscription.journey.next = Some(from);
            let id = subscription.id.clone();
            self.say(wire, Some(&id), "lagged", &json!({ "from_seq": from }), Some(from));
            self.waiting.push_back(registration);
        }
        true
    }

    /// Begins the next step, unless one is being taken.
    pub(super) fn go_on(&mut self) {
        if self.step.is_some() {
            return;
        }
        let Some(registration) = self.waiting.pop_front() else { return };
        let Some(subscription) = self.find(registration) else { return };
        let (journey, telling) = (subscription.journey.clone(), subscription.telling.take());
        let (watcher, means) = (Arc::clone(&self.watcher), self.means.clone());
        let step = Box::pin(async move {
            let Watcher { hub, channel, outbox, .. } = &*watcher;
            if let Some(telling) = telling
                && let Err(problem) = telling.await
            {
                return Step::Untold(problem.into());
            }
            catch_up::step(hub, channel, outbox, &journey, &means).await
        });
        self.step = Some(Pending { registration, step });
    }

    /// Waits for the end of the step that is being taken.
    pub(super) async fn step(&mut self) -> Stepped {
        let Some(taken) = &mut self.step else { return pending().await };
        let (step, registration) = (taken.step.as_mut().await, taken.registration);
        self.step = None;
        Stepped { registration, step }
    }

    /// Tells what a step came to.
    pub(super) fn stepped<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        Stepped { registration, step }: Stepped,
        wire: &mut Wire<S>,
    ) -> Option<End> {
        match step {
            Step::Live(from) => self.acknowledge(registration, from, wire),
            Step::Update { first, next, text } => {
                self.acknowledge(registration, first, wire);
                if let Some(subscription) = self.find(registration) {
                    subscription.journey.next = Some(next);
                    subscription.journey.is_asked = false;
                    wire.send_text(&subscription.head, &text);
                    self.waiting.push_back(registration);
                }
            }
            Step::Expired { first_seq } => {
                let detail = "the feed does not reach back that far: read the rows by \
                    `GET /api/v1/executions?from_seq=`, then subscribe from `first_seq` or later";
                let more = ("first_seq", first_seq);
                self.refuse(registration, "seq_expired", detail, Some(more), wire);
            }
            Step::Ahead { next_seq } => {
                let detail = "that seq is not the next one yet: nothing lies between";
                let more = ("next_seq", next_seq);
                self.refuse(registration, "seq_ahead", detail, Some(more), wire);
            }
            Step::TooManyViews => {
                let detail = "this tenant is watched through too many different filters";
                self.refuse(registration, "too_many_filters", detail, None, wire);
            }
            Step::Untold(problem) => {
                self.end_saying(registration, &protocol::error_data(&problem), wire);
            }
            Step::Failed(error) => {
                tracing::error!(%error, "a subscription cannot catch up");
                let detail = "the feed cannot be read: the server's log says why";
                self.refuse(registration, "store_failed", detail, None, wire);
            }
        }
        None
    }

    /// Says, once, that a subscription is there and where it begins.
    fn acknowledge<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        registration: Registration,
        from: Seq,
        wire: &mut Wire<S>,
    ) {
        let Some(subscription) = self.find(registration) else { return };
        if std::mem::replace(&mut subscription.is_acknowledged, true) {
            return;
        }
        let data = json!({ "seq": from, "topics": subscription.topics });
        let id = subscription.id.clone();
        self.say(wire, Some(&id), "subscribed", &data, Some(from));
    }

    /// Says why a subscription cannot be, or not any more, and ends it. It is not live.
    fn refuse<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        registration: Registration,
        code: &'static str,
        detail: &str,
        more: Option<(&str, Seq)>,
        wire: &mut Wire<S>,
    ) {
        let mut data = json!({ "code": code, "detail": detail });
        if let Some((name, seq)) = more {
            data[name] = seq.into();
        }
        self.end_saying(registration, &data, wire);
    }

    fn end_saying<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        registration: Registration,
        data: &Value,
        wire: &mut Wire<S>,
    ) {
        let known = |known: &Subscription| known.journey.registration == registration;
        let Some(at) = self.subscriptions.iter().position(known) else { return };
        let subscription = self.subscriptions.swap_remove(at);
        self.say(wire, Some(&subscription.id), "error", data, None);
    }

    fn find(&mut self, registration: Registration) -> Option<&mut Subscription> {
        self.subscriptions.iter_mut().find(|known| known.journey.registration == registration)
    }

    /// Sends a control message. Without a seq of its own it has the newest that was told to anybody.
    fn say<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        wire: &mut Wire<S>,
        id: Option<&str>,
        kind: &str,
        data: &Value,
        seq: Option<Seq>,
    ) {
        let channel = &self.watcher.channel;
        let envelope = Envelope { tenant_id: channel.tenant_id.as_str(), now_ms: self.now_ms() };
        let seq = seq.unwrap_or_else(|| channel.next().saturating_sub(1));
        wire.send_text(&protocol::head(id), &protocol::control(kind, data, &envelope, seq));
    }
}
