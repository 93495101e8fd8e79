//! Connections: accepted up to a cap, encrypted, and closed when they cost time without asking for
//! anything. What is asked goes to one service.
//!
//! Deadlines of a peer:
//!
//! - it says nothing, or not enough, before the handshake is done: [`HANDSHAKE_MAX`];
//! - it sends a request's headers slowly or not at all (HTTP/1.1): [`HEADERS_MAX`];
//! - it has no request under way (HTTP/2): [`IDLE_MAX`], whatever else it sends;
//! - it does not take what is written to it, takes less than a piece of an answer in that time, or
//!   over HTTP/2 lets nothing of it be written: [`UNREAD_MAX`];
//! - it goes on sending a body that was refused: [`DISCARD_MAX`];
//! - it sends a body slowly: `request` has those.
//!
//! *Invariant*: the protocol is what the handshake agreed on. Nothing is sniffed, so no peer can
//! stay in between by being silent.

use super::fault::{self, Fault};
use super::forwarded::Proxies;
use super::request::Arrived;
use super::stream::{Activity, Answering, Unread, UntilSent, Watched};
use crate::model::network::network;
use crate::runtime::tasks::Tasks;
use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::header::UPGRADE;
use hyper::http::uri::Authority;
use hyper::{Request, Response, Uri, Version, server::conn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

/// Longest time from the accepted connection to the end of the handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Longest time for the headers of one request, and between two requests (HTTP/1.1).
const HEADERS_MAX: Duration = Duration::from_secs(30);
/// Longest time without a request under way (HTTP/2).
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Longest time that written bytes are not taken, or that nothing more of an answer may be written.
const UNREAD_MAX: Duration = Duration::from_secs(30);
/// Longest time that a peer is heard out which sends what nobody will read.
const DISCARD_MAX: Duration = Duration::from_secs(30);
/// How often connections are looked at for these, but for the handshake: the most by which they are late.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Most bytes of a request's headers.
pub(super) const HEADERS_BYTES_MAX: usize = 64 << 10;
/// Most headers of a request.
const HEADERS_COUNT_MAX: usize = 100;
/// Most requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;
/// What may be on the way unread: for one request, and for a whole HTTP/2 connection. A batch of
/// 5,000 rows takes one round trip.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// How long to wait where the system cannot give another socket (too many files are open).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionCaps {
    /// In all.
    pub total_max: usize,
    /// From one address; of IPv6 from one /64. A trusted proxy has all of them: it stands for many.
    pub per_address_max: usize,
}

/// The connections that are there.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    caps: ConnectionCaps,
    proxies: Proxies,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
    refused: u64,
}

/// The right to be one of them.
#[derive(Debug)]
pub(super) struct Admission {
    counts: Arc<Mutex<Counts>>,
    address: IpAddr,
}

impl Connections {
    pub(super) fn new(caps: ConnectionCaps, proxies: Proxies) -> Self {
        Self { caps, proxies, counts: Arc::default() }
    }

    /// Lets a connection from `peer` in, unless there are too many.
    fn admit(&self, peer: SocketAddr) -> Option<Admission> {
        let address = network(peer.ip());
        let is_proxy = self.proxies.trust(peer.ip());
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let from_there = counts.by_address.get(&address).copied().unwrap_or_default();
        let too_many_there = from_there >= self.caps.per_address_max && !is_proxy;
        if counts.total >= self.caps.total_max || too_many_there {
            counts.refused += 1;
            return None;
        }
        counts.total += 1;
        counts.by_address.insert(address, from_there + 1);
        Some(Admission { counts: Arc::clone(&self.counts), address })
    }

    /// How many there are, and how many were refused.
    pub(super) fn counts(&self) -> (usize, u64) {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        (counts.total, counts.refused)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total -= 1;
        if let Some(count) = counts.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

/// Accepts until `tasks` are told to stop. Returns at once then: connections go on to end their
/// requests.
pub(super) async fn accept<S>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    connections: Connections,
    service: S,
    tasks: Tasks,
) where
    S: HttpService,
{
    loop {
        let (tcp, peer) = tokio::select! {
            () = tasks.stopping() => return,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let Some(admission) = connections.admit(peer) else { continue };
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let proxies = connections.proxies.trust(peer.ip()).then(|| connections.proxies.clone());
        let (activity, link) = (Activity::default(), Link::Network { _place: Arc::new(admission) });
        let attached = Attached { service: service.clone(), peer, proxies, activity, link };
        let (tls, inner) = (tls.clone(), tasks.clone());
        tasks.spawn(async move {
            serve(tcp, tls, attached, &inner).await;
        });
    }
}

/// What answers requests.
pub(super) trait HttpService:
    Service<
        Request<Incoming>,
        Response = Response<Self::Body>,
        Error = Infallible,
        Future: Send + 'static,
    > + Clone
    + Send
    + Sync
    + 'static
{
    type Body: hyper::body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static;
}

impl<S, B> HttpService for S
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Body = B;
}

/// Accepts connections of the person at the machine, by a socket that only its owner can open,
/// until `tasks` are told to stop.
pub(super) async fn accept_local<S: HttpService>(listener: UnixListener, service: S, tasks: Tasks) {
    loop {
        let stream = tokio::select! {
            () = tasks.stopping() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if is_ours(&stream) => stream,
                Ok(_) => continue,
                Err(error) => {
                    tracing::warn!(%error, "a local connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let (service, inner) = (service.clone(), tasks.clone());
        tasks.spawn(async move {
            let activity = Activity::default();
            let stream = Watched::new(stream, activity.clone());
            let peer = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
            let link = Link::Local;
            let attached =
                Attached { service, peer, proxies: None, activity: activity.clone(), link };
            drive_http1(stream, attached, activity, &inner).await;
        });
    }
}

/// Whether the other end is who runs the server, or the machine's administrator. The socket's mode
/// says the same, but only once it is set, and only if nobody changes it.
fn is_ours(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

/// Which connection a request came by; kept for as long as something of it lives, an upgraded one
/// included.
#[derive(Clone, Debug)]
pub(super) enum Link {
    /// The socket of the person at the machine. Not counted.
    Local,
    /// The network; counted until the last clone is gone.
    Network {
        /// Its place among all.
        _place: Arc<Admission>,
    },
}

async fn serve<S: HttpService>(
    tcp: TcpStream,
    tls: Option<TlsAcceptor>,
    service: Attached<S>,
    tasks: &Tasks,
) {
    let _same_without = tcp.set_nodelay(true);
    let activity = service.activity.clone();
    let tcp = Watched::new(tcp, activity.clone());
    let Some(tls) = tls else { return drive_http1(tcp, service, activity, tasks).await };
    let handshake = tokio::select! {
        () = tasks.stopping() => return,
        handshake = tokio::time::timeout(HANDSHAKE_MAX, tls.accept(tcp)) => handshake,
    };
    let Ok(Ok(stream)) = handshake else { return };
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => drive_http2(stream, service, activity, tasks).await,
        _ => drive_http1(stream, service, activity, tasks).await,
    }
}

async fn drive_http1<T, S>(stream: T, service: Attached<S>, activity: Activity, tasks: &Tasks)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: HttpService,
{
    let connection = conn::http1::Builder::new()
        .max_buf_size(HEADERS_BYTES_MAX)
        .max_headers(HEADERS_COUNT_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let stop = |connection: Pin<&mut conn::http1::UpgradeableConnection<_, _>>| {
        connection.graceful_shutdown();
    };
    // Without a request under way its headers are awaited: no timer for each of them is needed.
    drive(connection, stop, &activity, HEADERS_MAX, tasks).await;
}

async fn drive_http2<T, S>(stream: T, service: Attached<S>, activity: Activity, tasks: &Tasks)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: HttpService,
{
    let connection = conn::http2::Builder::new(Streams(tasks.clone()))
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADERS_BYTES_MAX as u32)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(Some(HEADERS_MAX))
        .keep_alive_timeout(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let stop = |connection: Pin<&mut conn::http2::Connection<_, _, _>>| {
        connection.graceful_shutdown();
    };
    drive(connection, stop, &activity, IDLE_MAX, tasks).await;
}

/// Begins the tasks of an HTTP/2 connection's requests.
#[derive(Clone, Debug)]
struct Streams(Tasks);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        self.0.spawn(stream);
    }
}

/// Runs a connection to its end, or to a deadline's. `idle_max` is the longest time without a request
/// under way.
async fn drive<C: Future>(
    connection: C,
    stop: impl Fn(Pin<&mut C>),
    activity: &Activity,
    idle_max: Duration,
    tasks: &Tasks,
) {
    let mut connection = pin!(connection);
    let mut look = tokio::time::interval(LOOK_EVERY);
    let mut told = false;
    loop {
        tokio::select! {
            _ended = &mut connection => return,
            () = tasks.stopping(), if !told => {
                told = true;
                if activity.discards_for(Duration::ZERO) {
                    return; // whoever is not done with its body will not be the reason to wait
                }
                stop(connection.as_mut());
            }
            _ = look.tick() => {
                if activity.is_unread_for(UNREAD_MAX)
                    || activity.is_untaken_for(UNREAD_MAX)
                    || activity.is_idle_for(idle_max + LOOK_EVERY)
                    || activity.discards_for(DISCARD_MAX)
                {
                    return;
                }
                if activity.is_idle_for(idle_max) {
                    stop(connection.as_mut());
                }
            }
        }
    }
}

/// The service of one connection: says of each request where it came from.
#[derive(Clone, Debug)]
struct Attached<S> {
    service: S,
    peer: SocketAddr,
    /// Those that are trusted, where the peer is one of them.
    proxies: Option<Proxies>,
    activity: Activity,
    link: Link,
}

impl<S> Attached<S> {
    /// Who asks for which host: the peer, or whom it says if it is a trusted proxy.
    fn asks(&self, request: &Request<Incoming>) -> Result<(IpAddr, Option<Authority>), Fault> {
        let authority = fault::find(request.uri(), request.headers())?;
        let Some(proxies) = &self.proxies else { return Ok((self.peer.ip(), authority)) };
        let behind = proxies.behind(self.peer.ip(), request.headers())?;
        Ok((behind.address, behind.authority.or(authority)))
    }
}

impl<S: HttpService> hyper::service::Service<Request<Incoming>> for Attached<S> {
    type Response = Response<UntilSent<S::Body>>;
    type Error = Infallible;
    type Future = Answering<S::Future>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let under_way = self.activity.begin_request();
        let (address, authority, fault) = match self.asks(&request) {
            Ok((address, authority)) => (address, authority, None),
            Err(fault) => (self.peer.ip(), None, Some(fault)),
        };
        if request.uri().path_and_query().is_none() {
            // The answer is no in any case, and warp panics without a path.
            *request.uri_mut() = Uri::from_static("/");
        }
        // An upgrade is warp's, which reads the headers itself; else they are moved, not copied.
        let headers = match request.headers().contains_key(UPGRADE) {
            true => request.headers().clone(),
            false => std::mem::take(request.headers_mut()),
        };
        let link = self.link.clone();
        let body_read = AtomicBool::new(request.body().is_end_stream());
        let is_http2 = request.version() == Version::HTTP_2;
        let arrived =
            Arc::new(Arrived { address, link, authority, fault, headers, body_read, is_http2 });
        let unread = Unread::of(&request, &arrived);
        request.extensions_mut().insert(arrived);
        Answering::new(self.service.clone().call(request), under_way, unread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_hold_in_all_and_for_each_address() {
        let caps = ConnectionCaps { total_max: 3, per_address_max: 2 };
        let connections = Connections::new(caps, Proxies::default());
        let peer = |text: &str| SocketAddr::new(text.parse().unwrap(), 1);
        let one = connections.admit(peer("2001:db8::1")).unwrap();
        let two = connections.admit(peer("2001:db8::ffff:2")).unwrap();
        assert!(connections.admit(peer("2001:db8::3")).is_none(), "the same /64");
        let other = connections.admit(peer("::ffff:192.0.2.1")).unwrap();
        assert!(connections.admit(peer("192.0.2.2")).is_none(), "three in all");
        assert_eq!(connections.counts(), (3, 2));
        drop((one, two));
        assert!(connections.admit(peer("192.0.2.1")).is_some());
        drop(other);
        assert_eq!(connections.counts(), (0, 2));
        // A trusted proxy stands for many.
        let proxies = Proxies::new(vec!["192.0.2.0/24".parse().unwrap()]);
        let connections = Connections::new(caps, proxies);
        let admitted: Vec<_> =
            (0..4).filter_map(|_| connections.admit(peer("192.0.2.1"))).collect();
        assert_eq!((admitted.len(), connections.counts()), (3, (3, 1)));
    }
}
