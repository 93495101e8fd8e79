//! A socket that remembers whether its peer takes what is written, and whether it asks anything.

use super::request::Arrived;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Request, Response, Version};
use pin_project_lite::pin_project;
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// What a connection is doing. Clones are the same connection.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    start: Instant,
    /// Milliseconds after `start`, plus one, since which a write waits; 0: none waits.
    blocked_since: AtomicU64,
    /// Milliseconds after `start` at which the last request ended.
    last_request: AtomicU64,
    /// Requests that are not answered.
    under_way: AtomicUsize,
    /// Something that nobody will read is still coming.
    rest_comes: AtomicBool,
    /// Milliseconds after `start`, plus one, since which such a rest is thrown away; 0: none is.
    discards_since: AtomicU64,
    /// Answers of which a piece was handed over, and no more asked for yet: by a number, since when,
    /// milliseconds after `start`.
    handed: Mutex<HashMap<u64, u64>>,
    /// The number of the next piece.
    next_piece: AtomicU64,
}

impl Default for Activity {
    fn default() -> Self {
        Self(Arc::new(Inner {
            start: Instant::now(),
            blocked_since: AtomicU64::new(0),
            last_request: AtomicU64::new(0),
            under_way: AtomicUsize::new(0),
            rest_comes: AtomicBool::new(false),
            discards_since: AtomicU64::new(0),
            handed: Mutex::default(),
            next_piece: AtomicU64::new(0),
        }))
    }
}

/// A request that is not answered yet.
#[derive(Debug)]
pub(super) struct UnderWay(Activity);

impl Activity {
    fn elapsed_ms(&self) -> u64 {
        self.0.start.elapsed().as_millis() as u64
    }

    /// A request has begun; it ends when what this gives is dropped.
    pub(super) fn begin_request(&self) -> UnderWay {
        self.0.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    /// Whether there was no request for so long.
    pub(super) fn is_idle_for(&self, time: Duration) -> bool {
        let last = self.0.last_request.load(Ordering::Relaxed);
        self.0.under_way.load(Ordering::Relaxed) == 0
            && self.elapsed_ms().saturating_sub(last) >= time.as_millis() as u64
    }

    /// Whether what was written has waited for so long.
    pub(super) fn is_unread_for(&self, time: Duration) -> bool {
        let since = self.0.blocked_since.load(Ordering::Relaxed);
        since > 0 && (self.elapsed_ms() + 1).saturating_sub(since) >= time.as_millis() as u64
    }

    /// Whether for so long nothing more of some answer was asked for, although there is more: its peer
    /// takes less than a piece in that time, or over HTTP/2 gives it no window. An answer whose next
    /// piece is being made does not count.
    pub(super) fn is_untaken_for(&self, time: Duration) -> bool {
        let (now, time) = (self.elapsed_ms(), time.as_millis() as u64);
        self.handed().values().any(|since| now.saturating_sub(*since) >= time)
    }

    fn handed(&self) -> MutexGuard<'_, HashMap<u64, u64>> {
        self.0.handed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The peer sends something that nobody will read, and is to be heard out at the end.
    pub(super) fn expect_rest(&self) {
        self.0.rest_comes.store(true, Ordering::Relaxed);
    }

    /// Whether the peer has been heard out for so long.
    pub(super) fn discards_for(&self, time: Duration) -> bool {
        let since = self.0.discards_since.load(Ordering::Relaxed);
        since > 0 && (self.elapsed_ms() + 1).saturating_sub(since) >= time.as_millis() as u64
    }

    fn wrote(&self, blocked: bool) {
        if !blocked {
            self.0.blocked_since.store(0, Ordering::Relaxed);
        } else if self.0.blocked_since.load(Ordering::Relaxed) == 0 {
            self.0.blocked_since.store(self.elapsed_ms() + 1, Ordering::Relaxed);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.last_request.store(self.0.elapsed_ms(), Ordering::Relaxed);
        self.0.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream that tells an [`Activity`] what happens.
#[derive(Debug)]
pub(super) struct Watched<T> {
    stream: T,
    activity: Activity,
    /// Bytes that were thrown away at the end.
    discarded: u64,
}

/// Most bytes of a rest that are waited for: the largest batch, had it been sent without compression.
const REST_BYTES_MAX: u64 = 64 << 20;
/// Bytes that are thrown away at once.
const DISCARD_BYTES: usize = 16 << 10;

impl<T> Watched<T> {
    pub(super) fn new(stream: T, activity: Activity) -> Self {
        Self { stream, activity, discarded: 0 }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Watched<T> {
    /// Reads what the peer still sends until it has seen that this end is closed (RFC 9112 §9.6). To
    /// close on what was not read resets the connection, and the peer may lose the answer with it.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.activity.elapsed_ms() + 1;
        let since = &self.activity.0.discards_since;
        let _earlier = since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        let mut piece = [0; DISCARD_BYTES];
        while self.discarded < REST_BYTES_MAX {
            let mut buf = ReadBuf::new(&mut piece);
            match std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => self.discarded += buf.filled().len() as u64,
                _ended => break,
            }
        }
        Poll::Ready(())
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.activity.wrote(written.is_pending());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // TLS mostly hands over one record, for which the system does less without a list.
        let written = match bufs {
            [one] => Pin::new(&mut self.stream).poll_write(cx, one),
            _ => Pin::new(&mut self.stream).poll_write_vectored(cx, bufs),
        };
        self.activity.wrote(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let begun = self.activity.0.discards_since.load(Ordering::Relaxed) > 0;
        if !begun {
            std::task::ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        if self.activity.0.rest_comes.load(Ordering::Relaxed) {
            std::task::ready!(self.poll_discard(cx));
        }
        Poll::Ready(Ok(()))
    }
}

/// A piece of an answer that the connection has, and has not asked for the next one yet.
#[derive(Debug)]
struct HandedOver {
    activity: Activity,
    number: u64,
}

impl HandedOver {
    fn new(activity: &Activity) -> Self {
        let number = activity.0.next_piece.fetch_add(1, Ordering::Relaxed);
        activity.handed().insert(number, activity.elapsed_ms());
        Self { activity: activity.clone(), number }
    }
}

impl Drop for HandedOver {
    fn drop(&mut self) {
        self.activity.handed().remove(&self.number);
    }
}

/// Longest piece of an answer that the connection gets at once. What is handed over counts as sent: so
/// this is what a slow peer may still lack of an answer when its request is no longer under way.
const PIECE_BYTES: usize = 32 << 10;

pin_project! {
    /// A body that keeps its request under way until it has been sent, but for the last piece.
    #[derive(Debug)]
    pub(super) struct UntilSent<B> {
        #[pin]
        body: B,
        under_way: Option<UnderWay>,
        handed: Option<HandedOver>,
        rest: Bytes,
    }
}

impl<B: Body> UntilSent<B> {
    /// The body of an answer. Until it is asked for the first time it counts as handed over: a peer
    /// may let not even that be written.
    fn new(body: B, under_way: Option<UnderWay>) -> Self {
        let more = under_way.as_ref().filter(|_| !body.is_end_stream());
        let handed = more.map(|UnderWay(activity)| HandedOver::new(activity));
        Self { body, under_way, handed, rest: Bytes::new() }
    }
}

impl<B: Body<Data = Bytes>> Body for UntilSent<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        *this.handed = None;
        let frame = if this.rest.is_empty() {
            match std::task::ready!(this.body.poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        *this.rest = data;
                        None
                    }
                    Err(trailers) => Some(trailers),
                },
                end => return Poll::Ready(end),
            }
        } else {
            None
        };
        let piece = || Frame::data(this.rest.split_to(this.rest.len().min(PIECE_BYTES)));
        let frame = frame.unwrap_or_else(piece);
        *this.handed = this.under_way.as_ref().map(|UnderWay(activity)| HandedOver::new(activity));
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

/// The body of a request over HTTP/1.1, which somebody may leave unread.
#[derive(Debug)]
pub(super) struct Unread(Arc<Arrived>);

impl Unread {
    /// That of `request`, if it has one. HTTP/2 ends the one stream instead.
    pub(super) fn of<B: Body>(request: &Request<B>, arrived: &Arc<Arrived>) -> Option<Self> {
        let has_one = request.version() < Version::HTTP_2 && !request.body().is_end_stream();
        has_one.then(|| Self(Arc::clone(arrived)))
    }

    /// Whether the connection ends with `reply` because nobody has read the body. It says so (RFC 9112
    /// §9.6), that the peer does not take a connection that is cut for an answer that is lost.
    fn ends_connection<B>(&self, reply: &mut Response<B>) -> bool {
        let ends = !self.0.body_read.load(Ordering::Relaxed);
        if ends {
            reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        ends
    }
}

pin_project! {
    /// A request that is being answered.
    pub(super) struct Answering<F> {
        #[pin]
        answer: F,
        under_way: Option<UnderWay>,
        unread: Option<Unread>,
    }
}

impl<F> Answering<F> {
    pub(super) fn new(answer: F, under_way: UnderWay, unread: Option<Unread>) -> Self {
        Self { answer, under_way: Some(under_way), unread }
    }
}

impl<F, B: Body> Future for Answering<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = Result<Response<UntilSent<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.answer.poll(cx).map_ok(|mut reply| {
            let under_way = this.under_way.take();
            if let (Some(unread), Some(UnderWay(activity))) = (this.unread, &under_way)
                && unread.ends_connection(&mut reply)
            {
                activity.expect_rest();
            }
            reply.map(|body| UntilSent::new(body, under_way))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[tokio::test(start_paused = true)]
    async fn an_unread_write_and_the_time_without_requests_are_seen() {
        let activity = Activity::default();
        let (near, far) = tokio::io::duplex(8);
        let mut near = Watched::new(near, activity.clone());
        let long = Duration::from_secs(30);
        let request = activity.begin_request();
        near.write_all(b"12345678").await.unwrap();
        let blocked = tokio::time::timeout(long, near.write_all(b"9")).await;
        assert!(blocked.is_err() && activity.is_unread_for(long));
        assert!(!activity.is_idle_for(Duration::ZERO), "a request is under way");
        drop(request);
        assert!(!activity.is_idle_for(long));
        tokio::time::advance(long).await;
        assert!(activity.is_idle_for(long));
        drop(far);
        assert!(near.write_all(b"9").await.is_err());
        assert!(!activity.is_unread_for(long));
    }

    #[tokio::test]
    async fn a_rest_is_heard_out_before_the_end_and_no_longer_than_that() {
        for rest_comes in [false, true] {
            let activity = Activity::default();
            let (near, mut far) = tokio::io::duplex(8);
            let mut near = Watched::new(near, activity.clone());
            if rest_comes {
                activity.expect_rest();
            }
            let end = async {
                near.shutdown().await.unwrap();
                drop(near);
            };
            // More than fits on the way: it arrives only where somebody takes it.
            let rest = async {
                let sent = far.write_all(&[0; 100]).await;
                drop(far);
                sent.is_ok()
            };
            let ((), sent) = tokio::join!(end, rest);
            assert_eq!(sent, rest_comes);
            assert_eq!(activity.discards_for(Duration::ZERO), rest_comes);
        }
    }
}
