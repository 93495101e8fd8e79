//! What intake costs a row, in nanoseconds that one thread ran: `cargo run --profile quick --example
//! intake_cost`. Beside it stands what `serde_json` alone takes for the same lines.

use emx::intake::decode::{Body, DecodeLimits, Encoding, Format, Shape, decode};
use emx::process::admit::Arrival;
use emx::process::mask::mask;
use emx::sample::{Workload, demo};
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::hint::black_box;
use std::io::Write;

const ROWS: usize = 5_000;
const CALLS: usize = 40;
const ROUNDS: usize = 7;
const END_MS: i64 = 1_772_323_200_000;

#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "only parsed")]
struct Plain<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    ts: Cow<'a, str>,
    #[serde(borrow)]
    command: Cow<'a, str>,
    #[serde(borrow)]
    user_id: Cow<'a, str>,
    #[serde(borrow)]
    team_id: Cow<'a, str>,
    #[serde(borrow)]
    project_id: Cow<'a, str>,
    #[serde(borrow)]
    session_id: Cow<'a, str>,
    #[serde(borrow)]
    host: Cow<'a, str>,
    duration_ms: f64,
    exit_code: i64,
}

/// Nanoseconds this thread has run, as Linux's scheduler counts them: neighbours do not count.
fn cpu_nanos() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rows = (ROWS * CALLS) as u64;
    let mut lines = Workload::benchmark(rows, END_MS).lines();
    let mut history = demo::history(1, END_MS, rows);
    for (name, calls) in [
        ("benchmark", calls(|call| lines.append_to(call))),
        ("demo", calls(|call| history.append_to(call))),
    ] {
        let bytes: usize = calls.iter().map(Vec::len).sum();
        println!("{name}: {} bytes a row", bytes / (ROWS * CALLS));
        measure_formats(&calls)?;
    }
    measure_mask();
    Ok(())
}

/// Lines, [`ROWS`] a call.
fn calls(mut append: impl FnMut(&mut Vec<u8>) -> bool) -> Vec<Vec<u8>> {
    (0..CALLS)
        .map(|_| {
            let mut call = Vec::new();
            for _ in 0..ROWS {
                append(&mut call);
            }
            call
        })
        .collect()
}

fn measure_formats(calls: &[Vec<u8>]) -> Result<(), Box<dyn std::error::Error>> {
    let arrays: Vec<Vec<u8>> = calls.iter().map(|call| array(call)).collect();
    let mut packs = Vec::new();
    let mut gzips = Vec::new();
    let mut zstds = Vec::new();
    for (array, call) in arrays.iter().zip(calls) {
        packs.push(rmp_serde::to_vec(&serde_json::from_slice::<serde_json::Value>(array)?)?);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(call)?;
        gzips.push(gzip.finish()?);
        zstds.push(zstd::encode_all(call.as_slice(), 3)?);
    }
    report("utf-8 check alone", calls, |call| {
        black_box(std::str::from_utf8(call).is_ok());
    });
    report("serde_json alone, borrowed", calls, |call| {
        for line in std::str::from_utf8(call).unwrap_or_default().lines() {
            black_box(serde_json::from_str::<Plain<'_>>(line).ok());
        }
    });
    report("serde_json alone, ignored", calls, |call| {
        for line in std::str::from_utf8(call).unwrap_or_default().lines() {
            black_box(serde_json::from_str::<IgnoredAny>(line).ok());
        }
    });
    for (name, bodies, format, encoding) in [
        ("NDJSON", calls, Format::Ndjson, Encoding::Identity),
        ("JSON array", &arrays, Format::Json, Encoding::Identity),
        ("MessagePack", &packs, Format::MessagePack, Encoding::Identity),
        ("NDJSON gzip", &gzips, Format::Ndjson, Encoding::Gzip),
        ("NDJSON zstd", &zstds, Format::Ndjson, Encoding::Zstd),
    ] {
        report(name, bodies, |body| take(body, Body { format, encoding, shape: Shape::Many }));
    }
    Ok(())
}

fn take(bytes: &[u8], body: Body) {
    let arrival = Arrival { received_ms: END_MS, origin: "api", retention_ms: None };
    let decoded = decode(bytes, body, arrival, &DecodeLimits::default());
    assert_eq!(decoded.map(|decoded| decoded.rows.len), Ok(ROWS));
}

fn array(lines: &[u8]) -> Vec<u8> {
    let mut out = b"[".to_vec();
    out.extend(lines.trim_ascii().iter().map(|&b| if b == b'\n' { b',' } else { b }));
    out.push(b']');
    out
}

fn report(name: &str, bodies: &[Vec<u8>], mut each: impl FnMut(&[u8])) {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = cpu_nanos();
            bodies.iter().for_each(|body| each(body));
            (cpu_nanos() - start) as f64 / (ROWS * CALLS) as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    println!("  {name:28} {:7.0} ns a row (best {:.0})", rounds[ROUNDS / 2], rounds[0]);
}

fn measure_mask() {
    const TIMES: u32 = 100_000;
    let clean = "cargo clippy --workspace --all-targets --all-features -- -D warnings -A missing-docs 2>&1 | tee log1";
    let secret = "curl -H 'Authorization: Bearer abcdef0123456789' https://example.com/some/longer/path?with=query --x";
    for (name, line) in [("mask, clean", clean), ("mask, a secret", secret)] {
        black_box(mask(line));
        let start = cpu_nanos();
        for _ in 0..TIMES {
            black_box(mask(black_box(line)));
        }
        let nanos = (cpu_nanos() - start) / u64::from(TIMES);
        println!("{name} ({} bytes): {nanos} ns", line.len());
    }
}
