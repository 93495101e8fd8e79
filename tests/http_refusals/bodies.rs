//! Types, encodings and sizes of bodies.

use crate::peer::Ask;
use crate::world::{Row, World, row};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

const ONE: &str = r#"{"command":"x"}"#;
/// Largest body of one execution, and of a batch, bytes.
const ONE_BYTES_MAX: usize = 1 << 20;
const BATCH_BYTES_MAX: usize = 16 << 20;
const BATCH_ROWS_MAX: usize = 100_000;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The row in a body of `bytes` bytes: the rest is white space.
fn padded(bytes: usize) -> Vec<u8> {
    let mut body = vec![b' '; bytes];
    body[..ONE.len()].copy_from_slice(ONE.as_bytes());
    body
}

fn chunked(ask: &Ask) -> Ask {
    let mut ask = ask.clone().header("Transfer-Encoding", "chunked");
    let size = format!("{:x}\r\n", ask.body.len());
    ask.body = [size.as_bytes(), &ask.body, b"\r\n0\r\n\r\n"].concat();
    ask
}

// A body that is refused for what its headers say is not read, so the connection ends with it.
#[test]
fn types() {
    let mut world = World::new();
    let typed = |media_type: &str| world.post("/api/v1/executions").body(media_type, ONE);
    let batch = |media_type: &str| world.post("/api/v1/executions/batch").body(media_type, ONE);
    let asked =
        |media_type: &str| world.post("/api/v1/query").body(media_type, r#"{"metrics":["count"]}"#);
    let unsupported =
        |name: &str, ask: Ask| -> Row { row(name, ask, 415, "unsupported_media_type").closes() };
    let rows = [
        unsupported("no type", typed("").without("content-type")),
        unsupported("an empty type", typed("")),
        unsupported("text", typed("text/plain")),
        unsupported("a form", typed("application/x-www-form-urlencoded")),
        unsupported("parts", typed("multipart/form-data; boundary=x")),
        unsupported("XML", typed("application/xml")),
        unsupported("lines where one row goes", typed("application/x-ndjson")),
        unsupported("another charset", typed("application/json; charset=utf-16")),
        unsupported("two types in one", typed("application/json, text/plain")),
        row(
            "two types",
            typed("application/json").header("Content-Type", "text/plain"),
            400,
            "duplicate_header",
        )
        .closes(),
        unsupported("a batch of text", batch("text/csv")),
        unsupported("a batch without type", batch("").without("content-type")),
        unsupported("a question as text", asked("text/plain")),
        unsupported("a question as MessagePack", asked("application/msgpack")),
        unsupported(
            "a login as a form",
            Ask::post("/api/v1/auth/login")
                .body("application/x-www-form-urlencoded", "tenant=default"),
        ),
        row(
            "a question that is compressed",
            asked("application/json").header("Content-Encoding", "gzip"),
            415,
            "unsupported_encoding",
        )
        .closes(),
    ];
    world.check(rows);
    let typed = |media_type: &str| world.post("/api/v1/executions").body(media_type, ONE);
    for sound in ["application/json; charset=\"UTF-8\"", "Application/JSON", "application/json;"] {
        let ask = typed(sound);
        assert_eq!(world.server.ask(&ask).status, 201, "{sound}");
    }
    world.count(3, 0);
    world.finish();
}

#[test]
fn encodings() {
    let mut world = World::new();
    let batch = |body: &[u8], encoding: &str| {
        world
            .post("/api/v1/executions/batch")
            .body("application/x-ndjson", body)
            .header("Content-Encoding", encoding)
    };
    let good = gzip(ONE.as_bytes());
    let mut damaged = gzip(padded(4000).as_slice());
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    let frame = zstd::encode_all(&padded(4000)[..], 3).unwrap();
    let unsupported = |encoding: &str| {
        row(encoding, batch(&good, encoding), 415, "unsupported_encoding").closes()
    };
    let invalid = |name: &str, body: &[u8], encoding: &str| {
        row(name, batch(body, encoding), 400, "invalid_encoding")
    };
    let bomb = |name: &str, body: &[u8], encoding: &str| {
        row(name, batch(body, encoding), 413, "expands_too_much")
    };
    let spaces = vec![b' '; 70 << 20];
    // Just over the ratio of 200, and below the one of a bomb.
    let mut dense = vec![b' '; 4 << 20];
    for (n, piece) in dense.chunks_mut(512).enumerate() {
        piece[..2].copy_from_slice(&[b'\n', b"\r\t\n "[n * n % 4]]);
    }
    let rows = [
        unsupported("br"),
        unsupported("deflate"),
        unsupported("compress"),
        unsupported("gzip, gzip"),
        unsupported("gzip,zstd"),
        unsupported("aes128gcm"),
        row(
            "gzip twice",
            batch(&good, "gzip").header("Content-Encoding", "gzip"),
            400,
            "duplicate_header",
        )
        .closes(),
        invalid("no gzip", ONE.as_bytes(), "gzip"),
        invalid("gzip cut short", &good[..good.len() - 3], "gzip"),
        invalid("gzip with a flipped byte", &damaged, "gzip"),
        invalid("gzip and something", &[&good[..], b"more"].concat(), "gzip"),
        invalid("no zstd", ONE.as_bytes(), "zstd"),
        invalid("zstd cut short", &frame[..frame.len() - 3], "zstd"),
        invalid("gzip as zstd", &good, "zstd"),
        bomb("a gzip bomb", &gzip(&spaces), "gzip"),
        bomb("a zstd bomb", &zstd::encode_all(&spaces[..], 19).unwrap(), "zstd"),
        bomb("a dense one", &zstd::encode_all(&dense[..], 19).unwrap(), "zstd"),
        invalid("an empty body as gzip", b"", "gzip"),
    ];
    world.check(rows);
    let batch = |body: &[u8], encoding: &str| {
        world
            .post("/api/v1/executions/batch")
            .body("application/x-ndjson", body)
            .header("Content-Encoding", encoding)
    };
    let sound = [
        batch(&good, "gzip"),
        batch(&good, "X-GZIP"),
        batch(&frame, "zstd"),
        batch(ONE.as_bytes(), "identity"),
    ];
    for ask in sound {
        world.accept(&ask, 1, 0);
    }
    let nothing = world.post("/api/v1/executions/batch").header("Content-Encoding", "gzip");
    world.accept(&nothing.body("application/x-ndjson", gzip(b"")), 0, 0);
    world.finish();
}

#[test]
fn sizes() {
    let mut world = World::new();
    let one =
        |bytes: usize| world.post("/api/v1/executions").body("application/json", padded(bytes));
    let batch = |bytes: usize| {
        world.post("/api/v1/executions/batch").body("application/json", padded(bytes))
    };
    let too_large = |name: &str, ask: Ask| row(name, ask, 413, "body_too_large").closes();
    let lines = "{\"command\":\"x\"}\n".repeat(BATCH_ROWS_MAX + 1);
    let lines_of =
        |lines: &str| world.post("/api/v1/executions/batch").body("application/x-ndjson", lines);
    let array = format!("[{}{{}}]", "{},".repeat(BATCH_ROWS_MAX));
    let login = Ask::post("/api/v1/auth/login").json(&" ".repeat((256 << 10) + 1));
    let rows = [
        too_large("one over 1 MiB", one(ONE_BYTES_MAX + 1)),
        too_large("one over 1 MiB in chunks", chunked(&one(ONE_BYTES_MAX + 1))),
        too_large("a batch over 16 MiB", batch(BATCH_BYTES_MAX + 1)),
        too_large("a batch over 16 MiB in chunks", chunked(&batch(BATCH_BYTES_MAX + 1))),
        too_large("a login over 256 KiB", login),
        too_large(
            "a question over 256 KiB",
            world.post("/api/v1/query").json(&" ".repeat((256 << 10) + 1)),
        ),
        row("100,001 lines", lines_of(&lines), 413, "too_many_rows"),
        row(
            "100,001 rows",
            world.post("/api/v1/executions/batch").json(&array),
            413,
            "too_many_rows",
        ),
        // Nobody who may not is listened to for long.
        row(
            "16 MiB of nobody",
            batch(BATCH_BYTES_MAX).without("authorization"),
            401,
            "unauthorized",
        )
        .closes(),
        row("16 MiB to nowhere", batch(BATCH_BYTES_MAX).method("PUT"), 405, "method_not_allowed")
            .closes(),
    ];
    world.check(rows);
    let one =
        |bytes: usize| world.post("/api/v1/executions").body("application/json", padded(bytes));
    let batch = |bytes: usize| {
        world.post("/api/v1/executions/batch").body("application/json", padded(bytes))
    };
    let exactly = [
        one(ONE_BYTES_MAX),
        chunked(&one(ONE_BYTES_MAX)),
        batch(BATCH_BYTES_MAX),
        chunked(&batch(BATCH_BYTES_MAX)),
    ];
    for ask in exactly {
        world.accept(&ask, 1, 0);
    }
    let rest = &lines[..lines.len() / (BATCH_ROWS_MAX + 1) * BATCH_ROWS_MAX];
    let ask = world.post("/api/v1/executions/batch").body("application/x-ndjson", rest);
    let answer = world.accept(&ask, BATCH_ROWS_MAX as u64, 0);
    assert_eq!(answer.json()["accepted"], BATCH_ROWS_MAX);
    world.finish();
}
