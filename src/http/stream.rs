//! A socket that remembers whether its peer takes what is written, and whether it asks anything.

use hyper::Response;
use hyper::body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
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
}

impl Default for Activity {
    fn default() -> Self {
        Self(Arc::new(Inner {
            start: Instant::now(),
            blocked_since: AtomicU64::new(0),
            last_request: AtomicU64::new(0),
            under_way: AtomicUsize::new(0),
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
}

impl<T> Watched<T> {
    pub(super) fn new(stream: T, activity: Activity) -> Self {
        Self { stream, activity }
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

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
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
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
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
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

pin_project! {
    /// A body that keeps its request under way until it has been sent.
    #[derive(Debug)]
    pub(super) struct UntilSent<B> {
        #[pin]
        body: B,
        under_way: Option<UnderWay>,
    }
}

impl<B: Body> Body for UntilSent<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pin_project! {
    /// A request that is being answered.
    pub(super) struct Answering<F> {
        #[pin]
        answer: F,
        under_way: Option<UnderWay>,
    }
}

impl<F> Answering<F> {
    pub(super) fn new(answer: F, under_way: UnderWay) -> Self {
        Self { answer, under_way: Some(under_way) }
    }
}

impl<F, B> Future for Answering<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = Result<Response<UntilSent<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.answer.poll(cx).map_ok(|reply| {
            let under_way = this.under_way.take();
            reply.map(|body| UntilSent { body, under_way })
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
}
