//! One row a call at a set rate: how long a caller waits, against what the disk itself takes.

use crate::child::{Task, measure};
use crate::measure::{now, quantile, wait_until};
use crate::system::System;
use crate::workload::{Calls, fresh_directory};
use crate::{Options, ingest::TENANT};
use anyhow::{Context, Result};
use emx::sample::Shape;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const CALLERS: usize = 16;
const CALLS_PER_SECOND: u64 = 1_000;
const SECONDS: u64 = 20;

/// Sends the calls of a workload one row at a time.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct LatencyTask {
    directory: PathBuf,
    calls: Calls,
}

/// Milliseconds that calls took, ascending.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Latencies {
    /// From when the call was made.
    from_call: Vec<f64>,
    /// From when it was due: a caller that waits for the call before is late for the next.
    from_due: Vec<f64>,
    /// What the disk takes for 4 KiB written and synced, before and after.
    disk: Vec<f64>,
}

/// Sends the rows and measures the disk before and after, with nothing else going on.
pub(crate) fn send(task: &LatencyTask) -> Result<Latencies> {
    let mut disk = sync_times(&task.directory)?;
    let system = System::open(&task.directory)?;
    system.create(TENANT)?;
    let lines = lines(&task.calls)?;
    let start = now() + Duration::from_millis(100); // every caller is ready by then
    let caller = |first: usize| -> Result<Vec<(f64, f64)>> {
        let mut times = Vec::new();
        for (n, line) in lines.iter().enumerate().skip(first).step_by(CALLERS) {
            let due = start + Duration::from_secs_f64(n as f64 / CALLS_PER_SECOND as f64);
            wait_until(due);
            let called = now();
            system.send(TENANT, line)?;
            times.push((millis(called.elapsed()), millis(due.elapsed())));
        }
        Ok(times)
    };
    let mut all = Vec::new();
    std::thread::scope(|scope| -> Result<()> {
        let callers: Vec<_> = (0..CALLERS).map(|n| scope.spawn(move || caller(n))).collect();
        for caller in callers {
            all.extend(caller.join().ok().context("a caller panicked")??);
        }
        Ok(())
    })?;
    system.settle()?;
    drop(system);
    disk.extend(sync_times(&task.directory)?);
    let (from_call, from_due): (Vec<f64>, Vec<f64>) = all.into_iter().unzip();
    Ok(Latencies { from_call: sorted(from_call), from_due: sorted(from_due), disk: sorted(disk) })
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn sorted(mut times: Vec<f64>) -> Vec<f64> {
    times.sort_by(f64::total_cmp);
    times
}

/// Every line of a workload.
pub(crate) fn lines(calls: &Calls) -> Result<Vec<Vec<u8>>> {
    let file = calls.open()?;
    let (mut lines, mut body) = (Vec::new(), Vec::new());
    for n in 0..calls.len() {
        calls.read(&file, n, &mut body)?;
        lines.extend(body.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec));
    }
    Ok(lines)
}

/// How long the file system of `directory` takes to write 4 KiB and sync them, milliseconds.
fn sync_times(directory: &Path) -> Result<Vec<f64>> {
    const TIMES: usize = 1_000;
    const PAGE: usize = 4096;
    const FILE_PAGES: usize = 256; // written over and over, as a database does
    let path = directory.join("sync-probe");
    let file = File::create(&path)?;
    file.write_all_at(&vec![0; PAGE * FILE_PAGES], 0)?;
    file.sync_all()?;
    let mut times = Vec::with_capacity(TIMES);
    for n in 0..TIMES {
        let start = now();
        file.write_all_at(&[n as u8; PAGE], (n % FILE_PAGES * PAGE) as u64)?;
        file.sync_data()?;
        times.push(millis(start.elapsed()));
    }
    std::fs::remove_file(path)?;
    Ok(times)
}

/// Prints the table of latencies.
pub(crate) fn print(options: Options) -> Result<()> {
    let calls = Calls::prepare(CALLS_PER_SECOND * SECONDS, Shape::Ordered)?;
    println!(
        "{CALLS_PER_SECOND} calls/s of one row from {CALLERS} callers for {SECONDS} s, \
         milliseconds; the bound is max(20, 5 × the disk's p99).\n"
    );
    println!("| run | what | p50 | p99 | p999 | bound |");
    println!("|--:|---|--:|--:|--:|--:|");
    for run in 1..=options.repeats {
        let directory = fresh_directory("latency")?;
        let task = LatencyTask { directory, calls: calls.clone() };
        let found: Latencies = measure(&Task::Latency(task))?;
        let bound = f64::max(20.0, 5.0 * quantile(&found.disk, 990));
        for (what, times, bound) in [
            ("4 KiB and fdatasync", &found.disk, String::new()),
            ("from the call", &found.from_call, format!("{bound:.1}")),
            ("from when it was due", &found.from_due, format!("{bound:.1}")),
        ] {
            let [p50, p99, p999] = [500, 990, 999].map(|p| quantile(times, p));
            println!("| {run} | {what} | {p50:.2} | {p99:.2} | {p999:.2} | {bound} |");
        }
    }
    Ok(())
}
