//! Loading: rows a second, processor time and disk for each execution, peak memory.

use crate::Options;
use crate::child::{Task, measure};
use crate::measure::{Spread, allocated, mib, now, peak_memory, process_cpu, thread_cpu};
use crate::system::System;
use crate::workload::{Calls, fresh_directory};
use anyhow::{Context, Result, ensure};
use emx::sample::Shape;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The tenant that everything is loaded into.
pub(crate) const TENANT: &str = "bench";

/// Concurrent callers that are measured.
const CALLERS: [usize; 3] = [1, 4, 16];

/// Parses a workload.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ParseTask {
    pub(crate) calls: Calls,
}

/// Loads a workload into a new tenant.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct LoadTask {
    /// An empty data directory.
    pub(crate) directory: PathBuf,
    /// What to load.
    pub(crate) calls: Calls,
    /// By how many callers at once.
    pub(crate) callers: usize,
    /// Whether to wait to be killed once the last call is answered.
    pub(crate) hang: bool,
}

/// What loading cost.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Loaded {
    /// Executions loaded.
    pub(crate) rows: u64,
    /// Until the last call was answered.
    pub(crate) answered_s: f64,
    /// Until sealing was idle.
    pub(crate) settled_s: f64,
    /// Processor time until sealing was idle, microseconds an execution.
    pub(crate) cpu_us: f64,
    /// Of that, until the last call was answered.
    pub(crate) answered_cpu_us: f64,
    /// Of that, the reading of the workload's file.
    pub(crate) read_cpu_us: f64,
    /// Processor time of giving free space back, microseconds an execution.
    pub(crate) reclaim_cpu_us: f64,
    /// Peak memory, bytes.
    pub(crate) peak_bytes: u64,
    /// What lies on disk when sealing is idle and space was given back by itself.
    pub(crate) settled: Disk,
    /// What lies there once the file has been written anew.
    pub(crate) rewritten: Disk,
    /// Bytes of the sealed blocks themselves.
    pub(crate) block_bytes: u64,
    /// Sealed blocks.
    pub(crate) blocks: u64,
}

/// What a data directory takes on disk.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Disk {
    /// Bytes as `du` counts, the feed window included.
    pub(crate) bytes: u64,
    /// Of that, the feed window.
    pub(crate) feed_bytes: u64,
}

impl Disk {
    /// Measures the data directory of `system`.
    pub(crate) fn of(system: &System, directory: &Path) -> Result<Self> {
        Ok(Self { bytes: allocated(directory)?, feed_bytes: system.feed_footprint(TENANT)? })
    }

    /// Bytes a row, the feed window not counted.
    pub(crate) fn per_row(&self, rows: u64) -> f64 {
        self.bytes.saturating_sub(self.feed_bytes) as f64 / rows as f64
    }
}

impl Loaded {
    /// Rows a second until the last call was answered.
    pub(crate) fn rate(&self) -> f64 {
        self.rows as f64 / self.answered_s
    }

    /// Bytes on disk an execution after automatic reclaim, the feed window not counted.
    pub(crate) fn disk_per_row(&self) -> f64 {
        self.settled.per_row(self.rows)
    }
}

/// Microseconds an execution.
pub(crate) fn per_row(time: Duration, rows: u64) -> f64 {
    time.as_secs_f64() * 1e6 / rows as f64
}

/// Parses every line into the fields it has and gives microseconds of processor time a line: how
/// fast this machine is just now.
pub(crate) fn parse(task: &ParseTask) -> Result<f64> {
    /// The fields of a line, borrowed from it.
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "reading them is what is measured")]
    struct Line<'a> {
        id: &'a str,
        ts: &'a str,
        command: &'a str,
        user_id: &'a str,
        team_id: &'a str,
        project_id: &'a str,
        session_id: &'a str,
        host: &'a str,
        duration_ms: f64,
        exit_code: i64,
    }
    let file = task.calls.open()?;
    let (mut body, mut cpu) = (Vec::new(), Duration::ZERO);
    for n in 0..task.calls.len() {
        task.calls.read(&file, n, &mut body)?;
        let start = thread_cpu();
        for line in body.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            std::hint::black_box(serde_json::from_slice::<Line<'_>>(line)?);
        }
        cpu += thread_cpu() - start;
    }
    Ok(per_row(cpu, task.calls.rows))
}

/// Loads, settles, reclaims and reports.
pub(crate) fn load(task: &LoadTask) -> Result<Loaded> {
    let system = System::open(&task.directory)?;
    system.create(TENANT)?;
    let (start, cpu_start) = (now(), process_cpu());
    let read_cpu = send_all(&system, task)?;
    let (answered, answered_cpu) = (start.elapsed(), process_cpu() - cpu_start);
    if task.hang {
        println!("answered");
        std::io::stdout().flush()?;
        std::io::stdin().read_line(&mut String::new())?;
    }
    system.settle()?;
    let (settled, cpu) = (start.elapsed(), process_cpu() - cpu_start);
    let peak_bytes = peak_memory()?;
    let disk = Disk::of(&system, &task.directory)?;
    let reclaim_start = process_cpu();
    system.reclaim(TENANT)?;
    let reclaim_cpu = process_cpu() - reclaim_start;
    let rows = task.calls.rows;
    let stats = system.stats(TENANT)?;
    ensure!(stats.rows == rows, "{} of {rows} rows are there", stats.rows);
    Ok(Loaded {
        rows,
        answered_s: answered.as_secs_f64(),
        settled_s: settled.as_secs_f64(),
        cpu_us: per_row(cpu, rows),
        answered_cpu_us: per_row(answered_cpu, rows),
        read_cpu_us: per_row(read_cpu, rows),
        reclaim_cpu_us: per_row(reclaim_cpu, rows),
        peak_bytes,
        settled: disk,
        rewritten: Disk::of(&system, &task.directory)?,
        block_bytes: stats.block_bytes,
        blocks: stats.blocks,
    })
}

/// Sends every call from the task's callers, each taking the next one. Gives the processor time
/// that reading the file took.
fn send_all(system: &System, task: &LoadTask) -> Result<Duration> {
    let next = AtomicUsize::new(0);
    let caller = || -> Result<Duration> {
        let file = task.calls.open()?;
        let (mut body, mut read) = (Vec::new(), Duration::ZERO);
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= task.calls.len() {
                return Ok(read);
            }
            let start = thread_cpu();
            task.calls.read(&file, n, &mut body)?;
            read += thread_cpu() - start;
            system.send(TENANT, &body)?;
        }
    };
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..task.callers).map(|_| scope.spawn(caller)).collect();
        callers.into_iter().try_fold(Duration::ZERO, |sum, caller| {
            Ok(sum + caller.join().ok().context("a caller panicked")??)
        })
    })
}

/// Loads `calls` in a child, into the directory `name`.
pub(crate) fn measure_load(name: &str, calls: &Calls, callers: usize) -> Result<Loaded> {
    let directory = fresh_directory(name)?;
    measure(&Task::Load(LoadTask { directory, calls: calls.clone(), callers, hang: false }))
}

/// Parses `calls` in a child.
pub(crate) fn measure_parse(calls: &Calls) -> Result<f64> {
    measure(&Task::Parse(ParseTask { calls: calls.clone() }))
}

/// Prints the table of the ordered load by number of callers.
pub(crate) fn print(options: Options) -> Result<()> {
    let calls = Calls::prepare(options.rows, Shape::Ordered)?;
    let mut loads: Vec<Vec<Loaded>> = vec![Vec::new(); CALLERS.len()];
    let mut parses = Vec::new();
    for _ in 0..options.repeats {
        parses.push(measure_parse(&calls)?);
        for (callers, loads) in CALLERS.iter().zip(&mut loads) {
            loads.push(measure_load("ingest", &calls, *callers)?);
        }
    }
    println!(
        "{} executions of {:.0} bytes; parsing them alone takes {} µs each.\n",
        calls.rows,
        calls.bytes() as f64 / calls.rows as f64,
        Spread::of(parses)
    );
    println!(
        "| callers | rows/s | CPU, µs/event | until answered | reading the file | peak, MiB | \
         disk, B/event | rewritten | of it blocks | rewriting, µs/event | feed, MiB | blocks |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for (callers, loads) in CALLERS.iter().zip(&loads) {
        let column = |of: fn(&Loaded) -> f64| Spread::of(loads.iter().map(of));
        println!(
            "| {callers} | {:.0} | {} | {} | {} | {:.0} | {:.1} | {:.1} | {:.1} | {} | {:.0} | {:.0} |",
            column(Loaded::rate),
            column(|l| l.cpu_us),
            column(|l| l.answered_cpu_us),
            column(|l| l.read_cpu_us),
            column(|l| mib(l.peak_bytes)),
            column(Loaded::disk_per_row),
            column(|l| l.rewritten.per_row(l.rows)),
            column(|l| l.block_bytes as f64 / l.rows as f64),
            column(|l| l.reclaim_cpu_us),
            column(|l| mib(l.settled.feed_bytes)),
            column(|l| l.blocks as f64),
        );
    }
    Ok(())
}
