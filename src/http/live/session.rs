//! One connection from its handshake to its end: one task that sends, reads, keeps time, and knows when
//! to stop.
//!
//! *Invariants*: it ends, whatever the other end does or leaves out, within the named times. What is
//! live is put into its outbox by others and taken out when the socket takes it, several at once.
//! Messages of one client are handled in their order.

use super::desk::Desk;
use super::outbox::Closing;
use super::wire::{Event, Wire};
use crate::runtime::tasks::Tasks;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use storage::row::TimeMs;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_tungstenite::tungstenite::error::{CapacityError, Error};
use tokio_tungstenite::tungstenite::protocol::Message;

/// How often a connection looks whether it should go on.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Looks between two pings: the contract's 30 s.
const LOOKS_PER_PING: u32 = 6;

/// Pings without an answer after which nobody is taken to be there.
const MISSES_MAX: u32 = 2;

/// How long the other end may take nothing of what is sent.
const UNREAD_MAX: Duration = Duration::from_secs(30);

/// How long the end may take: to send why, and to hear that it was understood.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// How long the end may take where the whole server waits for it.
const STOP_MAX: Duration = Duration::from_secs(1);

/// Messages, of whatever kind, that may come at once, and for each second. Whoever subscribes to all it
/// may at once, and pings now and then, is far below.
const MESSAGES_AT_ONCE_MAX: u32 = 128;
const MESSAGES_PER_S_MAX: u32 = 32;

/// Bytes that may come between two looks: some longest messages. Frames that are no message count too.
const BYTES_PER_LOOK_MAX: usize = 2 << 20;

/// Bytes that are taken out of the outbox at a time.
const TAKEN_BYTES: usize = 64 << 10;

/// What is said at the end (RFC 6455 §7.4; 4000 and up are the protocol's own).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Farewell {
    code: u16,
    reason: &'static str,
}

#[rustfmt::skip]
impl Farewell {
    const STOPPING: Self = Self { code: 1001, reason: "the server is stopping" };
    const BROKEN_PROTOCOL: Self = Self { code: 1002, reason: "that is not WebSocket" };
    const NO_TEXT: Self = Self { code: 1007, reason: "that is not UTF-8" };
    const FLOOD: Self = Self { code: 1008, reason: "too many messages" };
    const TOO_LONG: Self = Self { code: 1009, reason: "that message is too long" };
    const FAILED: Self = Self { code: 1011, reason: "the feed cannot be read" };
    const TOO_SLOW: Self = Self { code: 1013, reason: "nothing is being read" };
    const ENDED: Self = Self { code: 4401, reason: "the session has ended" };
    const OTHER_SIGHT: Self = Self { code: 4403, reason: "what may be seen has changed" };
    const NO_PONG: Self = Self { code: 4408, reason: "pings are not answered" };
}

/// What a connection came in with, for as long as that lasts.
pub(super) struct Pass {
    /// When it ends, Unix milliseconds, if it does.
    pub(super) until_ms: Option<TimeMs>,
    /// Whether it still stands, apart from time.
    pub(super) stands: Box<dyn Fn() -> bool + Send + Sync>,
}

/// One connection.
pub(super) struct Session<S> {
    wire: Wire<S>,
    desk: Desk,
    pass: Pass,
    looks: u32,
    misses: u32,
    messages_left: u32,
    counted_at: Instant,
}

/// Why the loop ends.
pub(super) enum End {
    /// Saying this.
    Saying(Farewell),
    /// The other end said so.
    TheirClose,
    /// There is nobody to say anything to.
    Gone,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// A connection over `stream`, whose handshake is done.
    pub(super) async fn new(stream: S, desk: Desk, pass: Pass) -> Self {
        Self {
            wire: Wire::new(stream, BYTES_PER_LOOK_MAX).await,
            desk,
            pass,
            looks: 0,
            misses: 0,
            messages_left: MESSAGES_AT_ONCE_MAX,
            counted_at: Instant::now(),
        }
    }

    /// Runs it until it ends, or `tasks` are told to stop.
    pub(super) async fn run(mut self, tasks: &Tasks) {
        let end = self.live(tasks).await;
        let Self { mut wire, desk, .. } = self;
        desk.leave().await;
        match end {
            End::Gone => return,
            End::TheirClose => wire.drop_unsent(),
            End::Saying(farewell) => wire.close(farewell.code, farewell.reason),
        }
        // What still comes until the other end has understood is of no interest.
        wire.refill(BYTES_PER_LOOK_MAX);
        let hurry = async {
            tasks.stopping().await;
            tokio::time::sleep(STOP_MAX).await;
        };
        tokio::select! {
            () = linger(&mut wire) => {}
            () = tokio::time::sleep(CLOSE_MAX) => {}
            () = hurry => {}
        }
    }

    async fn live(&mut self, tasks: &Tasks) -> End {
        let mut stopping = pin!(tasks.stopping());
        let mut look = interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let outbox = Arc::clone(self.desk.outbox());
        loop {
            if let Some(closing) = outbox.closing() {
                return End::Saying(match closing {
                    Closing::Revoked => Farewell::ENDED,
                    Closing::SightChanged => Farewell::OTHER_SIGHT,
                    Closing::Failed => Farewell::FAILED,
                });
            }
            while self.wire.is_drained() && self.desk.take(&mut self.wire, TAKEN_BYTES) {
                self.wire.send().await;
                self.desk.breathe(); // beside thousands of others
            }
            if self.wire.is_drained() {
                self.desk.go_on();
            }
            let end = tokio::select! {
                biased;
                () = &mut stopping => Some(End::Saying(Farewell::STOPPING)),
                _ = look.tick() => self.look(),
                event = self.wire.event() => self.happened(event).await,
                step = self.desk.step() => self.desk.stepped(step, &mut self.wire),
                () = outbox.news() => None,
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// What time brings.
    fn look(&mut self) -> Option<End> {
        self.wire.refill(BYTES_PER_LOOK_MAX);
        let now_ms = self.desk.now_ms();
        let over = self.pass.until_ms.is_some_and(|until_ms| now_ms >= until_ms);
        if over || !(self.pass.stands)() {
            return Some(End::Saying(Farewell::ENDED));
        }
        if self.wire.is_stuck_for(UNREAD_MAX) {
            return Some(End::Saying(Farewell::TOO_SLOW));
        }
        if self.desk.is_broken() {
            return Some(End::Saying(Farewell::FAILED));
        }
        self.looks += 1;
        if self.looks.is_multiple_of(LOOKS_PER_PING) {
            if self.misses >= MISSES_MAX {
                return Some(End::Saying(Farewell::NO_PONG));
            }
            self.misses += 1;
            self.wire.ping();
        }
        None
    }

    async fn happened(&mut self, event: Event) -> Option<End> {
        let message = match event {
            Event::Drained => return None,
            Event::Ended(error) => return Some(self.ended(error)),
            Event::Received(message) => message,
        };
        if !self.may_speak() {
            return Some(End::Saying(Farewell::FLOOD));
        }
        match message {
            Message::Text(text) => self.desk.heard(&text, &mut self.wire).await,
            Message::Binary(_) | Message::Frame(_) => self.desk.heard_binary(&mut self.wire),
            Message::Ping(_) => {} // the library answers
            Message::Pong(_) => self.misses = 0,
            Message::Close(_) => return Some(End::TheirClose),
        }
        None
    }

    /// Counts a message; `false` where there are too many.
    fn may_speak(&mut self) -> bool {
        let seconds = self.counted_at.elapsed().as_secs();
        if seconds > 0 {
            self.counted_at += Duration::from_secs(seconds);
            let earned =
                u32::try_from(seconds).unwrap_or(u32::MAX).saturating_mul(MESSAGES_PER_S_MAX);
            self.messages_left =
                self.messages_left.saturating_add(earned).min(MESSAGES_AT_ONCE_MAX);
        }
        let may = self.messages_left > 0;
        self.messages_left = self.messages_left.saturating_sub(1);
        may
    }

    fn ended(&self, error: Option<Error>) -> End {
        match error {
            _ if self.wire.is_flooded() => End::Saying(Farewell::FLOOD),
            Some(Error::Capacity(CapacityError::MessageTooLong { .. })) => {
                End::Saying(Farewell::TOO_LONG)
            }
            Some(Error::Utf8(_)) => End::Saying(Farewell::NO_TEXT),
            Some(Error::Protocol(error)) if !is_reset(&error) => {
                End::Saying(Farewell::BROKEN_PROTOCOL)
            }
            _ => End::Gone,
        }
    }
}

fn is_reset(error: &tokio_tungstenite::tungstenite::error::ProtocolError) -> bool {
    use tokio_tungstenite::tungstenite::error::ProtocolError;
    matches!(error, ProtocolError::ResetWithoutClosingHandshake)
}

/// Sends what there is to send, and waits until the other end has understood and gone.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>) {
    wire.flush().await;
    while !matches!(wire.event().await, Event::Ended(_)) {}
    wire.finish().await;
}
