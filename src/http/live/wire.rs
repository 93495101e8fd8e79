//! One WebSocket: what is to be sent goes out as fast as the other end takes it, and what comes in is
//! read while there is room for answers.
//!
//! The socket is the library's, not warp's: that one allocates 128 KiB for each connection and copies
//! each text into it. Texts go out in frames of at most [`FRAME_BYTES`], so that neither the library's
//! buffer nor TLS's grows with the longest text.
//!
//! The socket is looked into only when something may have come: what is sent wakes a connection far more
//! often, and looking costs as much as encrypting a text.
//!
//! *Invariants*: bounded memory, whatever either end does. Waiting for an [`Event`] may be given up at
//! any time and nothing is lost.

use bytes::{Bytes, BytesMut};
use futures_util::task::AtomicWaker;
use futures_util::{Sink, Stream};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};

/// Longest message that is taken, and its longest frame: a filter with some thousand words fits.
pub(super) const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// Longest frame that is sent.
const FRAME_BYTES: usize = 8 << 10;

/// Read at once; allocated for each connection, and more than it says in its life.
const READ_BYTES: usize = 1 << 10;

/// Most bytes of frames that wait in the library's buffer: one that waits, one that is put in, and a
/// few answers to pings.
const BUFFERED_BYTES_MAX: usize = 64 << 10;

/// Frames that wait beside it, beyond which nothing is read: whoever does not take answers gets none.
const UNSENT_MAX: usize = 256;

/// Something that happened to the socket.
#[derive(Debug)]
pub(super) enum Event {
    /// A message came.
    Received(Message),
    /// Everything was sent.
    Drained,
    /// The other end is gone, or has broken the protocol.
    Ended(Option<Error>),
}

/// One WebSocket.
pub(super) struct Wire<S> {
    socket: WebSocketStream<Metered<S>>,
    ear: Arc<Ear>,
    unsent: VecDeque<Message>,
    /// Something was handed to the library and may not be on its way.
    unflushed: bool,
    /// Since when nothing goes out that should.
    stuck_since: Option<Instant>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Takes over a stream whose handshake is done. It may bring `allowance` bytes until
    /// [`refill`](Self::refill).
    pub(super) async fn new(stream: S, allowance: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(FRAME_BYTES)
            .max_write_buffer_size(BUFFERED_BYTES_MAX)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let stream = Metered { stream, allowance };
        let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
        let (ear, unsent) = (Arc::default(), VecDeque::new());
        Self { socket, ear, unsent, unflushed: false, stuck_since: None }
    }

    /// Lets so many bytes more in.
    pub(super) fn refill(&mut self, allowance: usize) {
        self.socket.get_mut().allowance = allowance;
    }

    /// Whether more came than was allowed.
    pub(super) fn is_flooded(&self) -> bool {
        self.socket.get_ref().allowance == 0
    }

    /// Whether nothing waits to be sent.
    pub(super) fn is_drained(&self) -> bool {
        self.unsent.is_empty() && !self.unflushed
    }

    /// Whether the other end has taken nothing for so long, though there is something.
    pub(super) fn is_stuck_for(&self, time: Duration) -> bool {
        self.stuck_since.is_some_and(|since| since.elapsed() >= time)
    }

    /// Sends a text, of which `head` is the receiver's own part and `text` may be shared.
    pub(super) fn send_text(&mut self, head: &[u8], text: &Bytes) {
        let together = text.len().min(FRAME_BYTES.saturating_sub(head.len()));
        let mut first = BytesMut::with_capacity(head.len() + together);
        first.extend_from_slice(head);
        first.extend_from_slice(&text[..together]);
        let mut at = together;
        self.send_frame(first.freeze(), Data::Text, at == text.len());
        while at < text.len() {
            let end = text.len().min(at + FRAME_BYTES);
            self.send_frame(text.slice(at..end), Data::Continue, end == text.len());
            at = end;
        }
    }

    fn send_frame(&mut self, bytes: Bytes, kind: Data, is_last: bool) {
        let frame = Frame::message(bytes, OpCode::Data(kind), is_last);
        self.unsent.push_back(Message::Frame(frame));
    }

    /// Asks whether anybody is there.
    pub(super) fn ping(&mut self) {
        self.unsent.push_back(Message::Ping(Bytes::new()));
    }

    /// Says why it ends, instead of what waits; nothing else is sent from then on.
    pub(super) fn close(&mut self, code: u16, reason: &'static str) {
        self.unsent.clear();
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        self.unsent.push_back(Message::Close(Some(frame)));
    }

    /// Drops what waits: the other end has said that it takes nothing more.
    pub(super) fn drop_unsent(&mut self) {
        self.unsent.clear();
    }

    /// Sends what waits, as far as the other end takes it now. Where it is gone, [`event`](Self::event)
    /// says so.
    pub(super) async fn send(&mut self) {
        std::future::poll_fn(|cx| {
            let _told_by_event = self.poll_send(cx);
            Poll::Ready(())
        })
        .await;
    }

    /// Sends what waits, whatever comes meanwhile. Gives up where it cannot be sent.
    pub(super) async fn flush(&mut self) {
        let _gone = std::future::poll_fn(|cx| self.poll_send(cx)).await;
    }

    /// Ends the stream: nothing is sent from now on, and what still comes is thrown away. A stream that
    /// is dropped with something unread may take with it what the other end has not read yet.
    pub(super) async fn finish(&mut self) {
        let stream = self.socket.get_mut();
        let mut thrown_away = [0; 1024];
        if stream.shutdown().await.is_ok() {
            while matches!(stream.read(&mut thrown_away).await, Ok(1..)) {}
        }
    }

    /// Waits for something to happen.
    pub(super) async fn event(&mut self) -> Event {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if !self.is_drained() {
            match self.poll_send(cx) {
                Poll::Ready(Ok(())) => return Poll::Ready(Event::Drained),
                Poll::Ready(Err(error)) => return Poll::Ready(Event::Ended(Some(error))),
                Poll::Pending if self.unsent.len() > UNSENT_MAX => return Poll::Pending,
                Poll::Pending => {}
            }
        }
        match ready!(self.poll_receive(cx)) {
            Some(Ok(message)) => Poll::Ready(Event::Received(message)),
            Some(Err(error)) => Poll::Ready(Event::Ended(Some(error))),
            None => Poll::Ready(Event::Ended(None)),
        }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        self.ear.owner.register(cx.waker());
        if self.ear.is_quiet.swap(true, Ordering::Acquire) {
            return Poll::Pending;
        }
        let waker = Waker::from(Arc::clone(&self.ear));
        let received =
            ready!(Pin::new(&mut self.socket).poll_next(&mut Context::from_waker(&waker)));
        // There may be more, of which nobody tells again.
        self.ear.is_quiet.store(false, Ordering::Relaxed);
        Poll::Ready(received)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let sent = self.poll_send_all(cx);
        match sent {
            Poll::Pending => {
                self.stuck_since.get_or_insert_with(Instant::now);
            }
            Poll::Ready(_) => self.stuck_since = None,
        }
        sent
    }

    fn poll_send_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while !self.unsent.is_empty() {
            ready!(Pin::new(&mut self.socket).poll_ready(cx))?;
            let Some(message) = self.unsent.pop_front() else { break };
            self.stuck_since = None;
            self.unflushed = true;
            Pin::new(&mut self.socket).start_send(message)?;
        }
        ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
        self.unflushed = false;
        self.unsent.shrink_to(UNSENT_MAX / 16);
        Poll::Ready(Ok(()))
    }
}

/// Hears that something may have come, and wakes the connection.
#[derive(Debug, Default)]
struct Ear {
    /// Nothing was heard since the socket was looked into.
    is_quiet: AtomicBool,
    owner: AtomicWaker,
}

impl Wake for Ear {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_quiet.store(false, Ordering::Release);
        self.owner.wake();
    }
}

/// A stream that gives so many bytes and then fails. The library reads on by itself over frames that
/// are no message yet, so whoever sends those without end is stopped here.
#[derive(Debug)]
struct Metered<S> {
    stream: S,
    allowance: usize,
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.allowance == 0 {
            return Poll::Ready(Err(io::Error::other("more came than is allowed")));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.allowance = self.allowance.saturating_sub(buf.filled().len() - before);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
