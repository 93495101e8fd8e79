//! HTTP/2 frame by frame: requests that are none, and floods that cost more to take than to send.

use crate::peer::{Ask, Peer};
use crate::world::World;
use serde_json::Value;

// Types, flags and codes of frames (RFC 9113 §6, §7).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;
const CANCEL: u32 = 8;

/// More of any flood than a server should take.
const FLOOD: u32 = 100_000;

/// How something ended.
#[derive(Debug, PartialEq)]
enum End {
    /// The stream, with a problem of this code, or `""`.
    Answered(String),
    /// The stream, for this reason.
    Reset(u32),
    /// The whole connection.
    Gone,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head[..], payload].concat()
}

/// Headers in the plainest form there is (RFC 7541 §6.2.2): nothing indexed, nothing compressed.
fn packed(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in headers {
        out.push(0);
        for text in [name, value] {
            // An integer with a prefix of seven bits (§5.1).
            let mut rest = text.len();
            if rest < 127 {
                out.push(rest as u8);
            } else {
                out.push(127);
                rest -= 127;
                while rest >= 128 {
                    out.push((rest % 128 + 128) as u8);
                    rest /= 128;
                }
                out.push(rest as u8);
            }
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

struct Http2 {
    peer: Peer,
    ahead: Vec<u8>,
}

impl Http2 {
    fn connect(world: &World) -> Self {
        let server = &world.server;
        let mut peer = Peer::connect(server.address, server.client("h2")).unwrap();
        peer.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        peer.send(&frame(SETTINGS, 0, 0, &[])).unwrap();
        peer.send(&frame(SETTINGS, ACK, 0, &[])).unwrap();
        Self { peer, ahead: Vec::new() }
    }

    /// Whether that could be sent.
    fn send(&mut self, frames: &[u8]) -> bool {
        self.peer.send(frames).is_ok()
    }

    fn exactly(&mut self, bytes: usize) -> Option<Vec<u8>> {
        while self.ahead.len() < bytes {
            let mut piece = [0; 16 << 10];
            match self.peer.read(&mut piece) {
                Ok(read) if read > 0 => self.ahead.extend_from_slice(&piece[..read]),
                _ended => return None,
            }
        }
        let rest = self.ahead.split_off(bytes);
        Some(std::mem::replace(&mut self.ahead, rest))
    }

    /// Reads until `stream` has ended, or everything.
    fn end_of(&mut self, stream: u32) -> End {
        let mut body = Vec::new();
        loop {
            let Some(head) = self.exactly(9) else { return End::Gone };
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let (kind, flags) = (head[3], head[4]);
            let of = u32::from_be_bytes(head[5..9].try_into().unwrap());
            let Some(payload) = self.exactly(length) else { return End::Gone };
            let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
            match kind {
                GOAWAY if number(4) != NO_ERROR => return End::Gone,
                RST_STREAM if of == stream && number(0) != NO_ERROR => {
                    return End::Reset(number(0));
                }
                DATA if of == stream => body.extend_from_slice(&payload),
                _ => {}
            }
            if of == stream && matches!(kind, DATA | HEADERS) && flags & END_STREAM > 0 {
                let body: Value = serde_json::from_slice(&body).unwrap_or_default();
                return End::Answered(body["code"].as_str().unwrap_or_default().to_owned());
            }
        }
    }
}

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/healthz")];

/// One request of these headers, with a body in pieces.
fn check(
    world: &World,
    name: &str,
    headers: &[(&str, &str)],
    body: &[&[u8]],
    wanted: &End,
) -> Option<String> {
    let mut http2 = Http2::connect(world);
    let last = if body.is_empty() { END_STREAM } else { 0 };
    let mut sent = Vec::new();
    let packed = packed(headers);
    let mut pieces = packed.chunks(16_000).peekable();
    let mut kind = HEADERS;
    while let Some(piece) = pieces.next() {
        let end = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        let flags = if kind == HEADERS { end | last } else { end };
        sent.extend(frame(kind, flags, 1, piece));
        kind = CONTINUATION;
    }
    for (n, piece) in body.iter().enumerate() {
        let flags = if n + 1 == body.len() { END_STREAM } else { 0 };
        sent.extend(frame(DATA, flags, 1, piece));
    }
    http2.send(&sent);
    let found = http2.end_of(1);
    (found != *wanted).then(|| format!("{name}: {found:?}, wanted {wanted:?}"))
}

#[test]
fn requests() {
    let mut world = World::new();
    let mut faults = Vec::new();
    let with = |more: &[(&'static str, &'static str)]| [&GET[..], more].concat();
    let swapped = |at: usize, value: &'static str| {
        let mut headers = GET.to_vec();
        headers[at].1 = value;
        headers
    };
    let without = |at: usize| {
        let mut headers = GET.to_vec();
        headers.remove(at);
        headers
    };
    let answered = |code: &str| End::Answered(code.to_owned());
    let reset = || End::Reset(PROTOCOL_ERROR);
    let gone = || End::Gone;
    let long: &'static str = "a".repeat(70_000).leak();
    for (name, headers, wanted) in [
        ("a good one", GET.to_vec(), answered("")),
        (
            "CONNECT",
            vec![(":method", "CONNECT"), (":authority", "localhost:443")],
            answered("invalid_target"),
        ),
        ("no host", without(2), answered("invalid_host")),
        ("two hosts", with(&[("host", "a.example")]), answered("invalid_host")),
        ("a user", swapped(2, "u@localhost"), answered("invalid_host")),
        (
            "the other tenant's host",
            [
                &[
                    (":method", "GET"),
                    (":scheme", "https"),
                    (":authority", "acme.metrics.test"),
                    (":path", "/api/v1/auth/me"),
                ][..],
                &[],
            ]
            .concat(),
            answered("unauthorized"),
        ),
        ("another method", swapped(0, "DELETE"), answered("method_not_allowed")),
        ("a bad path", swapped(3, "/api/v1/executions/%ff"), answered("invalid_path")),
        ("long headers", with(&[("x-a", long)]), answered("")), // 431, which hyper says without a body
        ("no method", without(0), reset()),
        ("no path", without(3), reset()),
        ("an empty path", swapped(3, ""), reset()),
        ("a header of capitals", with(&[("X-A", "1")]), gone()),
        ("a header of a connection", with(&[("connection", "close")]), reset()),
        ("a coding", with(&[("transfer-encoding", "chunked")]), reset()),
        ("a line end in a value", with(&[("x-a", "1\r\nx-b: 2")]), gone()),
    ] {
        faults.extend(check(&world, name, &headers, &[], &wanted));
    }
    let bearer: &'static str = format!("Bearer {}", world.key("owner")).leak();
    let post = |length: &'static str| {
        vec![
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", "localhost"),
            (":path", "/api/v1/executions"),
            ("authorization", bearer),
            ("content-type", "application/json"),
            ("content-length", length),
        ]
    };
    let one = br#"{"command":"x"}"#;
    faults.extend(check(&world, "a row", &post("15"), &[&one[..7], &one[7..]], &answered("")));
    world.count(1, 0);
    faults.extend(check(&world, "a row too short", &post("16"), &[one], &reset()));
    faults.extend(check(&world, "a row too long", &post("14"), &[one], &reset()));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    world.finish();
}

/// Sends the flood that `piece` makes; then somebody else is still served.
fn check_flood(world: &World, name: &str, first: &[u8], piece: impl Fn(u32) -> Vec<u8>) {
    const AT_ONCE: u32 = 100;
    let mut http2 = Http2::connect(world);
    let mut taken = http2.send(first);
    let mut sent = 0;
    while taken && sent < FLOOD {
        let frames: Vec<u8> = (sent..sent + AT_ONCE).flat_map(&piece).collect();
        taken = http2.send(&frames);
        sent += AT_ONCE;
    }
    assert!(!taken || http2.end_of(u32::MAX) == End::Gone, "{name}: all of it was taken");
    println!("{name}: ended after at most {sent} frames");
    assert_eq!(world.server.ask(&Ask::get("/healthz")).status, 200, "{name}");
}

#[test]
fn floods() {
    let world = World::new();
    let get = packed(&GET);
    let post = packed(&[
        (":method", "POST"),
        GET[1],
        GET[2],
        (":path", "/api/v1/auth/login"),
        ("content-type", "application/json"),
    ]);
    // CVE-2023-44487.
    check_flood(&world, "requests that are taken back", &[], |n| {
        let stream = 2 * n + 1;
        let reset = frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
        [frame(HEADERS, END_STREAM | END_HEADERS, stream, &get), reset].concat()
    });
    // CVE-2024-27316.
    let begun = frame(HEADERS, 0, 1, &get);
    let more = packed(&[("x-a", &"a".repeat(1000))]);
    check_flood(&world, "headers without end", &begun, |_| frame(CONTINUATION, 0, 1, &more));
    let begun = frame(HEADERS, 0, 1, &get);
    check_flood(&world, "headers of nothing", &begun, |_| frame(CONTINUATION, 0, 1, &[]));
    let begun = frame(HEADERS, END_HEADERS, 1, &post);
    check_flood(&world, "a body of nothing", &begun, |_| frame(DATA, 0, 1, &[]));
    world.finish();
}
