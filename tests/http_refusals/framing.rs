//! Where a request ends: what two servers could read differently is refused, or ends the
//! connection, so that nothing is ever taken for the next request.

use crate::peer::Ask;
use crate::world::{World, row};

/// The body of one execution, 15 bytes.
const ONE: &str = r#"{"command":"x"}"#;
/// The same as one chunk, without the last one.
const CHUNK: &str = "f\r\n{\"command\":\"x\"}\r\n";
/// A request that must never be answered.
const SMUGGLED: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn framed(world: &World, framing: &[(&str, &str)], body: &str) -> Ask {
    let ask = world.post("/api/v1/executions").body("application/json", body);
    framing.iter().fold(ask, |ask, (name, value)| ask.header(name, value))
}

#[test]
fn lengths() {
    let mut world = World::new();
    let length = |value: &str| framed(&world, &[("Content-Length", value)], ONE);
    let rows = [
        row("CL: +15", length("+15"), 400, ""),
        row("CL: -15", length("-15"), 400, ""),
        row("CL: 0xf", length("0xf"), 400, ""),
        row("CL: 15, 15", length("15, 15"), 400, ""),
        row("CL: 15.0", length("15.0"), 400, ""),
        row("an empty CL", length(""), 400, ""),
        row("a huge CL", length("18446744073709551616"), 400, ""),
        row("two CLs", length("15").header("Content-Length", "16"), 400, ""),
        row("CL over 1 MiB", length("1048577"), 413, "body_too_large").closes(),
        row("CL over anything", length("9223372036854775807"), 413, "body_too_large").closes(),
    ];
    world.check(rows);
    // The same length twice is one length (RFC 9110 §8.6).
    let twice = framed(&world, &[("Content-Length", "15"), ("Content-Length", "15")], ONE);
    world.accept(&twice, 1, 0);
    // A peer that ends its half before the body has ended gets nothing stored.
    let mut peer = world.server.connect();
    peer.send(&framed(&world, &[("Content-Length", "16")], ONE).bytes()).unwrap();
    peer.stream.conn.send_close_notify();
    peer.stream.conn.complete_io(&mut peer.stream.sock).unwrap();
    if let Ok(answer) = peer.answer(false) {
        assert_eq!((answer.status, answer.code().as_str()), (400, "incomplete_body"));
    }
    world.finish();
}

#[test]
fn what_is_refused_is_heard_out_where_it_is_short() {
    let mut world = World::new();
    let nobodys = |bytes: usize| {
        Ask::post("/api/v1/executions/batch").body("application/x-ndjson", " ".repeat(bytes))
    };
    let rows = [
        row("nobody's 1 MiB", nobodys(1 << 20), 401, "unauthorized"),
        row("nobody's further byte", nobodys((1 << 20) + 1), 401, "unauthorized").closes(),
    ];
    world.check(rows);
    world.finish();
}

#[test]
fn codings() {
    let mut world = World::new();
    let whole = format!("{CHUNK}0\r\n\r\n{SMUGGLED}");
    let coded = |coding: &str| framed(&world, &[("Transfer-Encoding", coding)], &whole);
    let rows = [
        row("TE: chunked, identity", coded("chunked, identity"), 400, ""),
        row("TE: identity", coded("identity"), 400, ""),
        row("TE: xchunked", coded("xchunked"), 400, ""),
        row("TE: gzip", coded("gzip"), 400, ""),
        row("TE: \\x0bchunked", coded("\u{b}chunked"), 400, ""),
        row("two TEs", coded("chunked").header("Transfer-Encoding", "identity"), 400, ""),
        row("TE: gzip, chunked", coded("gzip, chunked"), 501, "unsupported_transfer_encoding")
            .closes(),
        row(
            "TE in HTTP/1.0",
            Ask::raw(
                String::from_utf8(coded("chunked").bytes())
                    .unwrap()
                    .replacen("HTTP/1.1", "HTTP/1.0", 1),
            ),
            400,
            "",
        ),
    ];
    world.check(rows);
    // RFC 9112 §6.3: where there are both, the coding counts, and the connection ends. What follows
    // is not a request, whichever of the two somebody in between believed.
    let lengths = ["0", "4", "6", "15", &whole.len().to_string()].map(str::to_owned);
    for length in lengths {
        let both = [("Content-Length", length.as_str()), ("Transfer-Encoding", "chunked")];
        for framing in [both, [both[1], both[0]]] {
            let mut peer = world.server.connect();
            let answer = peer.ask(&framed(&world, &framing, &whole)).unwrap();
            assert_eq!(answer.status, 201, "{framing:?}: {answer:?}");
            assert_eq!(answer.header("connection"), Some("close"), "{framing:?}");
            assert!(peer.is_closed(), "{framing:?}");
            world.count(1, 0);
        }
    }
    world.finish();
}

#[test]
fn chunks_and_trailers() {
    let mut world = World::new();
    let chunked = |body: &str| framed(&world, &[("Transfer-Encoding", "chunked")], body);
    let damaged =
        |name: &str, body: &str| row(name, chunked(body), 400, "incomplete_body").closes();
    let extension = |bytes: usize| {
        let chunk = |c: char| format!("1;{}\r\n{c}\r\n", "a".repeat(bytes));
        ONE.chars().map(chunk).chain(["0\r\n\r\n".to_owned()]).collect::<String>()
    };
    let trailers = |count: usize| format!("{CHUNK}0\r\n{}\r\n", "x-t: 1\r\n".repeat(count));
    let big = format!("{:x}\r\n{}\r\n0\r\n\r\n", 20 << 20, " ".repeat(20 << 20));
    let rows = [
        damaged("a size that is none", &format!("g{}0\r\n\r\n", &CHUNK[1..])),
        damaged("a negative size", &format!("-{CHUNK}0\r\n\r\n")),
        damaged("a size with 0x", &format!("0x{CHUNK}0\r\n\r\n")),
        damaged("a huge size", &format!("fffffffffffffffff{CHUNK}0\r\n\r\n")),
        damaged("a lone LF after a size", &format!("{}0\r\n\r\n", CHUNK.replacen("\r\n", "\n", 1))),
        damaged("no end of a chunk", &format!("{}0\r\n\r\n", CHUNK.trim_end())),
        damaged("a flood of extensions", &extension(4000)),
        damaged("a flood of trailers", &trailers(20_000)),
        row("chunks over 1 MiB", chunked(&big), 413, "body_too_large").closes(),
    ];
    world.check(rows);
    // Extensions and trailers mean nothing here: neither changes whose rows they are.
    for body in [extension(3), trailers(1), format!("{CHUNK}0\r\nX-Tenant: acme\r\n\r\n")] {
        let ask = framed(&world, &[("Transfer-Encoding", "chunked")], &body);
        let answer = world.accept(&ask, 1, 0);
        assert_eq!(answer.json()["outcome"], "accepted");
    }
    // `chunked` is a word in any case.
    let ask = framed(&world, &[("Transfer-Encoding", "Chunked")], &format!("{CHUNK}0\r\n\r\n"));
    world.accept(&ask, 1, 0);
    world.finish();
}

#[test]
fn expectations_and_pipelines() {
    let mut world = World::new();
    let expecting = |framing: &[(&str, &str)], body: &str| {
        framed(&world, framing, body).header("Expect", "100-continue")
    };
    // Whoever may not, or sends too much, is told before it has sent anything.
    let nobody = expecting(&[("Content-Length", "15")], "").without("authorization");
    let too_much = expecting(&[("Content-Length", "1048577")], "");
    let mut peer = world.server.connect();
    peer.send(&too_much.bytes()).unwrap();
    let answer = peer.answer(false).unwrap();
    assert_eq!((answer.status, answer.interim.len()), (413, 0), "{answer:?}");
    assert!(peer.is_closed());
    let mut peer = world.server.connect();
    peer.send(&nobody.bytes()).unwrap();
    let answer = peer.answer(false).unwrap();
    assert_eq!((answer.status, answer.interim.len()), (401, 0), "{answer:?}");
    let mut peer = world.server.connect();
    peer.send(&expecting(&[("Content-Length", "15")], "").bytes()).unwrap();
    peer.send(ONE.as_bytes()).unwrap();
    let answer = peer.answer(false).unwrap();
    assert_eq!((answer.status, answer.interim.as_slice()), (201, &[100][..]), "{answer:?}");
    world.count(1, 0);
    // Requests in one go are answered one after another, in order; the bad one is the last.
    let good = world.execution(ONE).bytes();
    let bad = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nx a: 1\r\n\r\n";
    let mut peer = world.server.connect();
    peer.send(&[&good[..], &good, bad, &good].concat()).unwrap();
    let statuses = [(); 3].map(|()| peer.answer(false).unwrap().status);
    assert_eq!(statuses, [201, 201, 400]);
    assert!(peer.is_closed());
    world.count(2, 0);
    world.finish();
}
