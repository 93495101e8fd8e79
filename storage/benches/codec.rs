//! What the column encodings cost: nanoseconds and bytes a value, on columns like those of a
//! sealed block of 65,536 rows.
//!
//! `cargo bench --profile quick -p storage --bench codec [-- FILTER]`

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::unwrap_used, reason = "a benchmark may stop")]

use std::hint::black_box;
use std::time::Instant;
use storage::batch::{Ids, RowBatch, RowBatchBuilder};
use storage::codec::{filter, floats, frame, ids, ints, small, words};
use storage::row::{Actor, Row, RowId, Status};
use storage::words::WordTable;

/// Rows of a sealed block.
const ROWS: usize = 65_536;

/// Each figure is the best of this many runs: the machine is shared.
const RUNS: usize = 30;

fn main() {
    let wanted = std::env::args().skip(1).find(|a| !a.starts_with("--")).unwrap_or_default();
    println!("{:28} {:>9} {:>9} {:>9}", "", "B/value", "enc ns", "dec ns");
    let bench = Bench { wanted };
    integers(&bench);
    doubles(&bench);
    texts(&bench);
    filters(&bench);
    batches(&bench);
}

struct Bench {
    wanted: String,
}

impl Bench {
    /// Times both ways of a codec over `values` values.
    fn run(
        &self,
        name: &str,
        values: usize,
        mut encode: impl FnMut(&mut Vec<u8>),
        mut decode: impl FnMut(&[u8]),
    ) {
        if !name.contains(&self.wanted) {
            return;
        }
        let mut bytes = Vec::new();
        let encode_ns = best(|| {
            bytes.clear();
            encode(&mut bytes);
        });
        let decode_ns = best(|| decode(black_box(&bytes)));
        let each = |total: f64| total / values as f64;
        println!(
            "{name:28} {:9.3} {:9.2} {:9.2}",
            each(bytes.len() as f64),
            each(encode_ns),
            each(decode_ns)
        );
    }
}

/// The nanoseconds of the quickest run.
fn best(mut act: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..RUNS {
        let begun = Instant::now();
        act();
        best = best.min(begun.elapsed().as_nanos() as f64);
    }
    best
}

/// Numbers that look random (SplitMix64).
fn noise(n: usize) -> u64 {
    let mut z = (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

fn unit(n: usize) -> f64 {
    (noise(n) >> 11) as f64 / (1_u64 << 53) as f64
}

/// About a standard normal number: the sum of twelve uniform ones.
fn normal(n: usize) -> f64 {
    (0..12).map(|k| unit(n * 12 + k)).sum::<f64>() - 6.0
}

/// About a Zipf distribution over `words` words, as codes from 1 on.
fn zipf(n: usize, words: f64) -> u32 {
    (words.powf(unit(n)) - 1.0) as u32 + 1
}

fn integers(bench: &Bench) {
    let mut at = 1_700_000_000_000.0;
    let ts: Vec<i64> = (0..ROWS)
        .map(|n| {
            at += -unit(n).max(1e-12).ln() * 7_776.0;
            at as i64
        })
        .collect();
    bench_i64(bench, "ts, sorted", &ts);
    let received: Vec<i64> = (0..ROWS)
        .map(|n| {
            if n % 50 == 7 {
                1_800_000_000_000 + noise(n) as i64 % 4096
            } else {
                1_760_000_000_000 + (n / 5000) as i64 * 2_000
            }
        })
        .collect();
    bench_i64(bench, "received, runs and late", &received);
    let exit: Vec<i64> = (0..ROWS)
        .map(|n| if noise(n).is_multiple_of(33) { 1 + (noise(n) >> 50) as i64 % 127 } else { 0 })
        .collect();
    bench_i64(bench, "exit codes", &exit);
    let seq: Vec<u64> = (0..ROWS as u64).map(|n| n + 1_000_000).collect();
    bench_u64(bench, "seq, dense", &seq);
    let seq: Vec<u64> = (0..ROWS)
        .map(|n| if n % 50 == 7 { noise(n) % 1_000_000 } else { n as u64 + 1_000_000 })
        .collect();
    bench_u64(bench, "seq, 2 % late", &seq);
    let duration: Vec<u64> = (0..ROWS).map(|n| (200_000.0 * normal(n).exp()) as u64).collect();
    bench_u64(bench, "duration, log-normal", &duration);
    let some: Vec<u64> =
        (0..ROWS).map(|n| if n % 3 == 0 { u64::MAX } else { duration[n] }).collect();
    bench_u64(bench, "duration, a third absent", &some);
    let random: Vec<u64> = (0..ROWS).map(noise).collect();
    bench_u64(bench, "random u64", &random);
    for (name, words) in [("codes, 500 users", 500.0), ("codes, 20 teams", 20.0)] {
        let codes: Vec<u32> = (0..ROWS).map(|n| (unit(n) * words) as u32 + 1).collect();
        bench_codes(bench, name, &codes);
    }
    let codes: Vec<u32> = (0..ROWS).map(|n| zipf(n, 200.0)).collect();
    bench_codes(bench, "codes, 200 commands Zipf", &codes);
    let codes: Vec<u32> = (0..ROWS).map(|n| (n / 20) as u32 + 1 + noise(n) as u32 % 40).collect();
    bench_codes(bench, "codes, sessions", &codes);
    let status: Vec<u8> =
        (0..ROWS).map(|n| if noise(n).is_multiple_of(33) { 2 } else { 1 }).collect();
    let mut back = Vec::new();
    bench.run(
        "status",
        ROWS,
        |out| ints::encode_u8s(&status, out),
        |bytes| ints::decode_u8s(bytes, ROWS, &mut back).unwrap(),
    );
}

fn bench_u64(bench: &Bench, name: &str, values: &[u64]) {
    let mut back = Vec::new();
    bench.run(
        name,
        values.len(),
        |out| ints::encode_u64s(values, out),
        |bytes| ints::decode_u64s(bytes, values.len(), &mut back).unwrap(),
    );
}

fn bench_i64(bench: &Bench, name: &str, values: &[i64]) {
    let mut back = Vec::new();
    bench.run(
        name,
        values.len(),
        |out| ints::encode_i64s(values, out),
        |bytes| ints::decode_i64s(bytes, values.len(), &mut back).unwrap(),
    );
}

fn bench_codes(bench: &Bench, name: &str, codes: &[u32]) {
    let words = codes.iter().copied().max().unwrap_or(0) as usize;
    bench.run(
        name,
        codes.len(),
        |out| words::encode_codes(codes, out),
        |bytes| drop(black_box(words::decode_codes(bytes, codes.len(), words).unwrap())),
    );
}

fn doubles(bench: &Bench) {
    let columns: [(&str, &dyn Fn(usize) -> f64); 5] = [
        ("doubles, whole", &|n| (noise(n) % 100_000) as f64),
        ("doubles, 3 decimals", &|n| (noise(n) % 100_000) as f64 / 1000.0),
        ("doubles, half absent", &|n| if n % 2 == 0 { f64::NAN } else { (noise(n) % 1000) as f64 }),
        ("doubles, 2 % present", &|n| if n % 50 == 0 { unit(n) } else { f64::NAN }),
        ("doubles, real", &unit),
    ];
    for (name, make) in columns {
        let values: Vec<f64> = (0..ROWS).map(make).collect();
        let mut back = Vec::new();
        bench.run(
            name,
            ROWS,
            |out| floats::encode_f64s(&values, out),
            |bytes| floats::decode_f64s(bytes, ROWS, &mut back).unwrap(),
        );
    }
}

fn uuid(n: usize, version: u8) -> [u8; 16] {
    let mut bytes = (u128::from(noise(n)) << 64 | u128::from(noise(n + ROWS))).to_le_bytes();
    bytes[6] = bytes[6] & 15 | version << 4;
    bytes[8] = bytes[8] & 63 | 128;
    if version == 7 {
        bytes[..6].copy_from_slice(&(1_700_000_000_000 + n as u64 * 7_776).to_be_bytes()[2..]);
    }
    bytes
}

fn texts(bench: &Bench) {
    for version in [4, 7] {
        let column = Ids { slots: (0..ROWS).map(|n| uuid(n, version)).collect(), ..Ids::default() };
        bench_ids(bench, &format!("ids, uuid version {version}"), &column);
    }
    for (name, make) in [
        (
            "ids, swf: and 32 digits",
            (|n| format!("swf:{:016x}{:016x}", noise(n), noise(n + 1))) as fn(usize) -> String,
        ),
        ("ids, job numbers", |n| format!("job-{n}")),
        ("ids, any text", |n| format!("{n}/{}", noise(n) % 100)),
    ] {
        let mut builder = Ids { is_text: vec![true; ROWS], ..Ids::default() };
        for n in 0..ROWS {
            let mut slot = [0; 16];
            slot[..4].copy_from_slice(&builder.texts.append(&make(n)).to_le_bytes());
            builder.slots.push(slot);
        }
        bench_ids(bench, name, &builder);
    }
    let mut table = WordTable::default();
    for n in 0..3_300 {
        table.append(&format!("s-{:08x}", noise(n) >> 32));
    }
    bench.run(
        "table, 3,300 sessions",
        table.len(),
        |out| words::encode_table(&table, out),
        |bytes| drop(black_box(words::decode_table(bytes).unwrap())),
    );
}

fn bench_ids(bench: &Bench, name: &str, column: &Ids) {
    bench.run(
        name,
        ROWS,
        |out| ids::encode_ids(column, ROWS, out),
        |bytes| drop(black_box(ids::decode_ids(bytes, ROWS).unwrap())),
    );
}

fn filters(bench: &Bench) {
    let hashes: Vec<u64> = (0..ROWS).map(noise).collect();
    let mut hits = Vec::new();
    bench.run(
        "filter, probed in order",
        ROWS,
        |out| filter::encode_filter(&hashes, out),
        |bytes| {
            hits.clear();
            filter::FilterRef::parse(bytes).unwrap().contains_each(&hashes, &mut hits);
        },
    );
    let payload = vec![7; 200_000];
    bench.run(
        "frame, 200 kB",
        payload.len(),
        |out| *out = frame::seal(b"key", 1, &payload),
        |bytes| assert!(black_box(frame::open(b"key", 1, bytes)).is_ok()),
    );
}

/// A batch like those of the ingest benchmark.
fn everyday(rows: usize) -> RowBatch {
    let mut builder = RowBatchBuilder::with_capacity(rows);
    for n in 0..rows {
        let random = noise(n);
        let session = format!("s-{:08x}", noise(n / 20) >> 32);
        let user = format!("user-{:03}", random % 500);
        let host = format!("host-{:02}", noise(random as usize % 500) % 40);
        let command = format!("command-{:03}", zipf(n, 200.0));
        let project = format!("project-{:02}", random % 60);
        let team = format!("team-{:02}", random % 500 / 25);
        let failed = noise(n + 7).is_multiple_of(33);
        builder.push(&Row {
            id: RowId::Uuid(uuid(n, 4)),
            ts_ms: 1_700_000_000_000 + (n * 7_776) as i64 + random as i64 % 7_000
                - if n % 50 == 0 { 86_400_000 } else { 0 },
            ts_given: true,
            received_ms: 1_760_000_000_000,
            words: [&command, &user, &team, &project, &session, &host, "", "", "api"],
            status: if failed { Status::Failure } else { Status::Success },
            actor: Actor::ALL[1 + random as usize % 3],
            duration_us: Some((200_000.0 * normal(n).exp()) as u64),
            exit_code: Some(i64::from(failed)),
            labels: &[],
            values: &[],
        });
    }
    let mut batch = builder.finish();
    batch.seq = (0..rows as u64).map(|n| n + 1_000).collect();
    batch
}

fn batches(bench: &Bench) {
    for rows in [1, 10, 100, 5_000, ROWS] {
        let batch = everyday(rows);
        bench.run(
            &format!("batch of {rows}"),
            rows,
            |out| small::encode_batch(&batch, out).unwrap(),
            |bytes| drop(black_box(small::decode_batch(bytes).unwrap())),
        );
    }
}
