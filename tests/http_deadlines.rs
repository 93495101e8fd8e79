//! Peers that cost a connection and ask for nothing: every one is closed at its deadline, and
//! nobody else waits for it. Connections over the caps are refused at once.
//!
//! `EMX_SOAK=1` waits for every deadline, the longest of which is two minutes; otherwise for those
//! of up to a quarter of one. They are waited for all at once.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "support/peer.rs"]
mod peer;
#[path = "support/server.rs"]
mod server;

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use peer::{Ask, Peer};
use server::{PATIENCE, Server, is_soak};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// The deadlines of `src/http/listener.rs` and `src/http/request.rs`.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
const BODY_SILENCE_MAX: Duration = Duration::from_secs(15);
const HEADERS_MAX: Duration = Duration::from_secs(30);
const UNREAD_MAX: Duration = Duration::from_secs(30);
const IDLE_MAX: Duration = Duration::from_secs(60);
const BODY_TIME_MAX: Duration = Duration::from_secs(120);

/// How much earlier than its deadline a connection may seem to end, for the peer's clock begins
/// later than the server's; and how much later, for the server looks every five seconds and this
/// machine may be busy.
const EARLIER_MAX: Duration = Duration::from_secs(2);
const LATER_MAX: Duration = Duration::from_secs(20);

/// How often a slow peer sends a byte.
const PACE: Duration = Duration::from_secs(1);

#[expect(clippy::disallowed_methods, reason = "a test has no clock to be given")]
fn now() -> Instant {
    Instant::now()
}

/// A peer that does not do its part, until it is closed.
struct Silence {
    name: &'static str,
    deadline: Duration,
    /// Gets the server, a key, and the end of all patience; returns when it was closed.
    keep: fn(&Server, &str, &Receiver<()>),
}

const SILENCES: [Silence; 10] = [
    Silence { name: "before the handshake", deadline: HANDSHAKE_MAX, keep: before_handshake },
    Silence { name: "in the middle of a body", deadline: BODY_SILENCE_MAX, keep: in_a_body },
    Silence { name: "after the handshake", deadline: HEADERS_MAX, keep: after_handshake },
    Silence { name: "after a request", deadline: HEADERS_MAX, keep: after_a_request },
    Silence { name: "a byte of headers a second", deadline: HEADERS_MAX, keep: slow_headers },
    Silence { name: "an export that nobody reads", deadline: UNREAD_MAX, keep: unread_export },
    Silence { name: "an export that has no window, HTTP/2", deadline: UNREAD_MAX, keep: no_window },
    Silence { name: "after the handshake, HTTP/2", deadline: IDLE_MAX, keep: after_handshake_h2 },
    Silence { name: "after the preface, HTTP/2", deadline: IDLE_MAX, keep: after_preface_h2 },
    Silence { name: "a byte of a body a second", deadline: BODY_TIME_MAX, keep: slow_body },
];

/// Longest deadline that is waited for in every run.
const SHORT_MAX: Duration = BODY_SILENCE_MAX;

fn patient(server: &Server, protocol: &str) -> Peer {
    let peer = Peer::connect(server.address, server.client(protocol)).unwrap();
    peer.set_patience(BODY_TIME_MAX + LATER_MAX);
    peer
}

/// Reads until the other end has closed.
fn until_closed(stream: &mut impl Read) {
    let mut rest = [0; 4096];
    while stream.read(&mut rest).is_ok_and(|read| read > 0) {}
}

fn before_handshake(server: &Server, _: &str, _: &Receiver<()>) {
    let mut tcp = TcpStream::connect(server.address).unwrap();
    tcp.set_read_timeout(Some(BODY_TIME_MAX)).unwrap();
    tcp.write_all(b"\x16\x03\x01").unwrap(); // the beginning of a greeting
    assert!(matches!(tcp.read(&mut [0; 1]), Ok(0) | Err(_)));
}

fn after_handshake(server: &Server, _: &str, _: &Receiver<()>) {
    assert!(patient(server, "http/1.1").is_closed());
}

fn after_a_request(server: &Server, _: &str, _: &Receiver<()>) {
    let mut peer = patient(server, "http/1.1");
    assert_eq!(peer.ask(&Ask::get("/healthz")).unwrap().status, 200);
    assert!(peer.is_closed());
}

fn after_handshake_h2(server: &Server, _: &str, _: &Receiver<()>) {
    until_closed(&mut patient(server, "h2").stream);
}

fn after_preface_h2(server: &Server, _: &str, _: &Receiver<()>) {
    let mut peer = patient(server, "h2");
    peer.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    until_closed(&mut peer.stream);
}

/// Sends byte after byte until that fails, or something was answered.
fn trickle(peer: &mut Peer, bytes: &[u8], stop: &Receiver<()>) {
    peer.set_patience(PACE);
    for byte in bytes.iter().cycle() {
        if peer.send(&[*byte]).is_err() || peer.is_closed() {
            return;
        }
        assert_eq!(stop.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty), "out of patience");
    }
}

fn slow_headers(server: &Server, _: &str, stop: &Receiver<()>) {
    let mut peer = patient(server, "http/1.1");
    peer.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nx-a: ").unwrap();
    trickle(&mut peer, b"a", stop);
}

fn in_a_body(server: &Server, key: &str, _: &Receiver<()>) {
    let mut peer = patient(server, "http/1.1");
    let ask = Ask::post("/api/v1/executions").bearer(key).json("{").with("Content-Length", "100");
    let answer = peer.ask(&ask).unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (408, "request_timeout"));
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(peer.is_closed());
}

fn slow_body(server: &Server, key: &str, stop: &Receiver<()>) {
    let mut peer = patient(server, "http/1.1");
    let ask = Ask::post("/api/v1/executions").bearer(key).json("{").with("Content-Length", "10000");
    peer.send(&ask.bytes()).unwrap();
    trickle(&mut peer, b" ", stop);
}

fn unread_export(server: &Server, key: &str, stop: &Receiver<()>) {
    let mut peer = patient(server, "http/1.1");
    peer.send(&Ask::get("/api/v1/export").bearer(key).bytes()).unwrap();
    // It reads nothing before its time is up: then what is left is not the whole file.
    let waited = stop.recv_timeout(UNREAD_MAX + Duration::from_secs(8));
    assert_eq!(waited, Err(RecvTimeoutError::Timeout));
    assert!(peer.answer(false).is_err(), "the export was sent whole");
}

/// Takes whatever comes, answers pings, and gives the answer that it asked for no window beyond the
/// first.
fn no_window(server: &Server, key: &str, _: &Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ask = async {
        let tcp = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let tls = tokio_rustls::TlsConnector::from(server.client("h2"));
        let tls = TokioIo::new(tls.connect(name, tcp).await.unwrap());
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), tls).await.unwrap();
        let request = hyper::Request::get("https://localhost/api/v1/export")
            .header("authorization", format!("Bearer {key}"))
            .body(http_body_util::Empty::<bytes::Bytes>::new());
        let mut connection = std::pin::pin!(connection);
        let unread = tokio::select! {
            answer = sender.send_request(request.unwrap()) => answer.unwrap(),
            ended = &mut connection => panic!("{ended:?}"),
        };
        assert_eq!(unread.status(), 200);
        let _closed = connection.await;
        drop(unread);
    };
    let asked = runtime.block_on(async { tokio::time::timeout(BODY_TIME_MAX, ask).await });
    assert!(asked.is_ok(), "it is not closed");
}

/// Rows for an export of some 40 MB, which no socket takes by itself.
fn fill(server: &Server, key: &str) {
    let line =
        format!("{{\"command\":\"make\",\"command_line\":\"{}\"}}\n", "make all ".repeat(12));
    let rows = line.repeat(100_000);
    for _ in 0..2 {
        let ask = Ask::post("/api/v1/executions/batch").bearer(key);
        let answer = server.ask(&ask.body("application/x-ndjson", rows.clone()));
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[test]
fn whoever_is_silent_is_closed_at_the_deadline_and_nobody_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let key = server.sign_in();
    let waited_for = || SILENCES.iter().filter(|s| is_soak() || s.deadline <= SHORT_MAX);
    if is_soak() {
        fill(&server, &key);
    }
    let slowest = Mutex::new(Duration::ZERO);
    let faults = std::thread::scope(|scope| {
        let (done, all_done) = channel::<()>();
        let (server, key, slowest) = (&server, key.as_str(), &slowest);
        let asking = scope.spawn(move || {
            let (mut peer, begun) = (server.connect(), now());
            // A pace, not a wait: it ends when everything is done.
            while all_done.recv_timeout(Duration::from_millis(100))
                == Err(RecvTimeoutError::Timeout)
            {
                let started = now();
                let answer = peer.ask(&Ask::get("/healthz"));
                let answer = answer.unwrap_or_else(|e| {
                    panic!(
                        "{e} after {:?}
{}",
                        begun.elapsed(),
                        server.log()
                    )
                });
                assert_eq!(answer.status, 200);
                let mut slowest = slowest.lock().unwrap();
                *slowest = slowest.max(started.elapsed());
            }
        });
        let keep = |silence: &'static Silence| {
            let (stop, patience) = channel();
            let started = now();
            (silence.keep)(server, key, &patience);
            drop(stop);
            let (lasted, deadline) = (started.elapsed(), silence.deadline);
            println!("{}: {lasted:.1?}", silence.name);
            let right =
                (deadline.saturating_sub(EARLIER_MAX)..deadline + LATER_MAX).contains(&lasted);
            (!right).then(|| format!("{}: {lasted:?} instead of {deadline:?}", silence.name))
        };
        let peers: Vec<_> = waited_for().map(|s| scope.spawn(move || keep(s))).collect();
        let faults: Vec<String> =
            peers.into_iter().filter_map(|peer| peer.join().unwrap()).collect();
        drop(done);
        asking.join().unwrap();
        faults
    });
    assert!(faults.is_empty(), "{faults:#?}");
    let slowest = slowest.into_inner().unwrap();
    println!("the slowest answer to somebody else took {slowest:.1?}");
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    server.end();
}

/// A connection of which the system keeps little that was not read.
fn connect_narrow(server: &Server) -> Peer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connecting = async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 << 10).unwrap();
        socket.connect(server.address).await.unwrap().into_std().unwrap()
    };
    let tcp = runtime.block_on(connecting);
    tcp.set_nonblocking(false).unwrap();
    Peer::over(tcp, server.client("http/1.1")).unwrap()
}

/// An answer that was made at once and is read for longer than anybody may be idle.
#[test]
fn whoever_reads_slowly_but_steadily_gets_the_whole_of_a_long_answer() {
    const HOSTS: usize = 60_000;
    const READ_A_SECOND: usize = 300 << 10;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let key = server.sign_in();
    let row = |n: usize| format!("{{\"command\":\"make\",\"host\":\"{n:0240}\"}}\n");
    let rows: String = (0..HOSTS).map(row).collect();
    let ask = Ask::post("/api/v1/executions/batch").bearer(&key);
    assert_eq!(server.ask(&ask.body("application/x-ndjson", rows)).status, 200);

    let mut peer = connect_narrow(&server);
    let question = r#"{"metrics":["count"],"group_by":["host"],"limit":1000000}"#;
    peer.send(&Ask::post("/api/v1/query").bearer(&key).json(question).bytes()).unwrap();
    let (_never, pace) = channel::<()>();
    let (started, mut answer, mut piece) = (now(), Vec::new(), vec![0; 16 << 10]);
    while !answer.ends_with(b"\"truncated\":false}") {
        let read = peer.read(&mut piece).unwrap();
        assert!(read > 0, "cut after {} bytes and {:?}", answer.len(), started.elapsed());
        answer.extend_from_slice(&piece[..read]);
        let is_ahead = answer.len() > (started.elapsed().as_secs() as usize + 1) * READ_A_SECOND;
        if is_soak() && is_ahead {
            assert_eq!(pace.recv_timeout(PACE), Err(RecvTimeoutError::Timeout));
        }
    }
    let lasted = started.elapsed();
    println!("{} bytes in {lasted:.1?}", answer.len());
    assert!(!is_soak() || lasted > HEADERS_MAX + Duration::from_secs(10), "{lasted:?}");
    server.end();
}

/// A connection from another address of this machine.
fn connect_from(source: [u8; 4], server: &Server) -> std::io::Result<Peer> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tcp = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((source, 0)))?;
        socket.connect(server.address).await?.into_std()
    })?;
    tcp.set_nonblocking(false)?;
    Peer::over(tcp, server.client("http/1.1"))
}

/// Holds as many connections as there may be, and gets no other, until one of them ends.
fn check_cap(settings: &[(&str, &str)], cap: usize, source: [u8; 4], others: bool) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(&dir.path().join("data"), settings);
    let mut held: Vec<Peer> = (0..cap).map(|_| connect_from(source, &server).unwrap()).collect();
    let started = now();
    for _ in 0..5 {
        assert!(connect_from(source, &server).is_err(), "one too many");
    }
    assert!(started.elapsed() < HANDSHAKE_MAX, "refused at once");
    assert_eq!(connect_from([127, 0, 0, 3], &server).is_ok(), others);
    for peer in &mut held {
        assert_eq!(peer.ask(&Ask::get("/healthz")).unwrap().status, 200, "who is in stays in");
    }
    held.pop();
    let until = now() + PATIENCE;
    while connect_from(source, &server).is_err() {
        assert!(now() < until, "a place that was left is not given away");
    }
    drop(held);
    server.end();
}

#[test]
fn connections_over_the_cap_of_all_are_refused_at_once() {
    check_cap(&[("EMX_SERVER__CONNECTIONS_MAX", "10")], 10, [127, 0, 0, 1], false);
}

#[test]
fn connections_over_the_cap_of_one_address_are_refused_at_once() {
    let settings = [("EMX_SERVER__CONNECTIONS_PER_ADDRESS_MAX", "3")];
    check_cap(&settings, 3, [127, 0, 0, 2], true);
}
