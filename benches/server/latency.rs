//! One execution a request at a set rate: how long its sender waits.

use crate::Options;
use crate::measure::{now, quantile, wait_until};
use crate::running::Running;
use crate::workload::Calls;
use anyhow::{Context, Result, ensure};
use emx::sample::Shape;
use serde::Deserialize;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

pub(crate) const CONNECTIONS: usize = 16;
pub(crate) const REQUESTS_PER_SECOND: u64 = 1_000;
pub(crate) const SECONDS: u64 = 20;

/// Writes that tell what the disk takes by itself.
const DISK_WRITES: usize = 500;

/// A request with one execution.
pub(crate) struct Sent {
    /// When its first byte was sent.
    pub(crate) begun: Instant,
    pub(crate) answered: Instant,
    /// The execution's number in its tenant.
    pub(crate) seq: u64,
}

#[derive(Deserialize)]
struct Stored {
    seq: u64,
}

impl Sent {
    /// How long its sender waited, milliseconds.
    pub(crate) fn answer_ms(&self) -> f64 {
        (self.answered - self.begun).as_secs_f64() * 1000.0
    }
}

pub(crate) fn print(options: Options) -> Result<()> {
    let calls = Calls::prepare(REQUESTS_PER_SECOND * SECONDS, Shape::Ordered)?;
    println!(
        "{REQUESTS_PER_SECOND} requests/s of one execution over {CONNECTIONS} connections for {SECONDS} s, \
         milliseconds; the bound is max(20, 5 × the disk's p99).\n"
    );
    println!("| run | what | p50 | p99 | p999 | bound |");
    println!("|--:|---|--:|--:|--:|--:|");
    for run in 1..=options.repeats {
        let server = Running::start("server")?;
        let disk = sync_times(&server)?;
        let mut times: Vec<f64> = send(&server, &calls)?.iter().map(Sent::answer_ms).collect();
        times.sort_by(f64::total_cmp);
        let q = |sorted: &[f64], n| quantile(sorted, n);
        println!(
            "| {run} | 4 KiB and fdatasync | {:.2} | {:.2} | {:.2} | |",
            q(&disk, 500),
            q(&disk, 990),
            q(&disk, 999)
        );
        println!(
            "| {run} | from the request to its answer | {:.2} | {:.2} | {:.2} | {:.1} |",
            q(&times, 500),
            q(&times, 990),
            q(&times, 999),
            (5.0 * q(&disk, 990)).max(20.0)
        );
    }
    Ok(())
}

/// Sends each execution of `calls` in a request of its own, when it is due.
pub(crate) fn send(server: &Running, calls: &Calls) -> Result<Vec<Sent>> {
    let lines = lines_of(calls)?;
    let start = now() + Duration::from_millis(200); // every client is connected by then
    let lines = &lines;
    let caller = move |first: usize| -> Result<Vec<Sent>> {
        let mut client = server.client(&server.key)?;
        let mut sent = Vec::new();
        for (n, line) in lines.iter().enumerate().skip(first).step_by(CONNECTIONS) {
            wait_until(start + Duration::from_secs_f64(n as f64 / REQUESTS_PER_SECOND as f64));
            let begun = now();
            let kind = "Content-Type: application/json\r\n";
            let (status, text) = client.call("POST", "/api/v1/executions", kind, line)?;
            ensure!(status == 201, "{status}: {}", String::from_utf8_lossy(text));
            let answered = now();
            let Stored { seq } = serde_json::from_slice(text)?;
            sent.push(Sent { begun, answered, seq });
        }
        Ok(sent)
    };
    let mut all = Vec::new();
    std::thread::scope(|scope| -> Result<()> {
        let callers: Vec<_> = (0..CONNECTIONS).map(|n| scope.spawn(move || caller(n))).collect();
        for caller in callers {
            all.extend(caller.join().ok().context("a client panicked")??);
        }
        Ok(())
    })?;
    Ok(all)
}

/// Every execution of `calls`.
pub(crate) fn lines_of(calls: &Calls) -> Result<Vec<Vec<u8>>> {
    let (file, mut whole) = (calls.open()?, Vec::new());
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for n in 0..calls.len() {
        calls.read(&file, n, &mut whole)?;
        lines.extend(whole.split(|&b| b == b'\n').filter(|l| !l.is_empty()).map(<[u8]>::to_vec));
    }
    Ok(lines)
}

/// What the disk takes for 4 KiB written and synced, milliseconds, ascending.
fn sync_times(server: &Running) -> Result<Vec<f64>> {
    let path = server.directory.join("sync");
    let file = File::create(&path)?;
    let page = [7; 4096];
    let mut times = Vec::with_capacity(DISK_WRITES);
    for n in 0..DISK_WRITES {
        let start = now();
        file.write_all_at(&page, (n % 64 * page.len()) as u64)?;
        file.sync_data()?;
        times.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    std::fs::remove_file(path)?;
    times.sort_by(f64::total_cmp);
    Ok(times)
}
