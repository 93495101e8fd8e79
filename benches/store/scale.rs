//! Whether cost stays flat: ten times the rows, a thousand tenants, a crash.

use crate::Options;
use crate::child::{Running, Task, measure};
use crate::duckdb::questions;
use crate::ingest::{LoadTask, Loaded, TENANT, measure_load, measure_parse};
use crate::measure::{mib, now, peak_memory};
use crate::questions::{Asked, measure_questions};
use crate::system::{System, table};
use crate::workload::{Calls, directory, fresh_directory};
use anyhow::{Context, Result, ensure};
use emx::sample::{Shape, Workload};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::{Path, PathBuf};

/// How many times the rows of the smaller load the larger one has.
const FACTOR: u64 = 10;

const TENANTS: usize = 1_000;
const TENANT_ROWS: u64 = 1_000;

/// Opens a directory as a crash has left it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct OpenTask {
    directory: PathBuf,
    rows: u64,
}

/// Opens and asks one thing; seconds until open, and until answered.
pub(crate) fn open(task: &OpenTask) -> Result<(f64, f64)> {
    let start = now();
    let system = System::open(&task.directory)?;
    let stats = system.stats(TENANT)?;
    let open_s = start.elapsed().as_secs_f64();
    ensure!(stats.rows == task.rows, "{} of {} rows are there", stats.rows, task.rows);
    ensure!(total(&system, TENANT)? == task.rows, "the answer does not count every row");
    Ok((open_s, start.elapsed().as_secs_f64()))
}

/// How many rows `tenant` has, asked.
fn total(system: &System, tenant: &str) -> Result<u64> {
    let first = &questions()?[1].question;
    let question = json!({
        "from": first["from"], "to": first["to"], "bucket": "none", "metrics": ["count"],
    });
    let table = table(&system.ask(tenant, &question)?)?;
    table.rows.first().and_then(|row| row.first()?.as_u64()).context("no count in the answer")
}

/// Many tenants in one directory.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct TenantsTask {
    directory: PathBuf,
}

fn tenant(n: usize) -> String {
    format!("tenant-{n:04}")
}

/// Makes the tenants, each with rows of its own.
pub(crate) fn make_tenants(task: &TenantsTask) -> Result<f64> {
    let system = System::open(&task.directory)?;
    let start = now();
    let mut body = Vec::new();
    for n in 0..TENANTS {
        let workload = Workload {
            seed: n as u64,
            ..Workload::benchmark(TENANT_ROWS, crate::workload::END_MS)
        };
        body.clear();
        workload.write_to(&mut body)?;
        system.create(&tenant(n))?;
        system.send(&tenant(n), &body)?;
    }
    system.settle()?;
    Ok(start.elapsed().as_secs_f64())
}

/// Asks every tenant one question after a start; seconds and peak memory in bytes.
pub(crate) fn ask_tenants(task: &TenantsTask) -> Result<(f64, u64)> {
    let start = now();
    let system = System::open(&task.directory)?;
    for n in 0..TENANTS {
        let found = total(&system, &tenant(n))?;
        ensure!(found == TENANT_ROWS, "`{}` has {found} rows", tenant(n));
    }
    Ok((start.elapsed().as_secs_f64(), peak_memory()?))
}

/// Drops what the system has cached of every file under `path`, as after a start of the machine.
pub(crate) fn forget(path: &Path) -> Result<()> {
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        if path.is_dir() {
            forget(&path)?;
        } else {
            let file = std::fs::File::open(&path)?;
            file.sync_all()?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        }
    }
    Ok(())
}

/// Prints all three tables.
pub(crate) fn print(options: Options) -> Result<()> {
    let small = Calls::prepare(options.rows, Shape::Ordered)?;
    let large = Calls::prepare(options.rows * FACTOR, Shape::Ordered)?;
    print_rows(&small, &large)?;
    print_crash(&large)?;
    print_tenants()
}

fn print_rows(small: &Calls, large: &Calls) -> Result<()> {
    let load = |name: &str, calls: &Calls| -> Result<(Loaded, Asked)> {
        let loaded = measure_load(name, calls, 1)?;
        Ok((loaded, measure_questions(&directory(name)?)?))
    };
    let parse_few = measure_parse(small)?;
    let (few, asked_few) = load("scale-small", small)?;
    let parse_many = measure_parse(large)?;
    let (many, asked_many) = load("scale-large", large)?;
    println!("| | {} rows | {} rows | ratio |", few.rows, many.rows);
    println!("|---|--:|--:|--:|");
    let line = |name: &str, a: f64, b: f64| {
        println!("| {name} | {a:.2} | {b:.2} | {:.2} |", b / a);
    };
    line("parsing alone just before: CPU, µs/event", parse_few, parse_many);
    line("load: CPU, µs/event", few.cpu_us, many.cpu_us);
    line("load: rows/s", few.rate(), many.rate());
    line("load: peak memory, MiB", mib(few.peak_bytes), mib(many.peak_bytes));
    line("disk, B/event", few.disk_per_row(), many.disk_per_row());
    let millions = |loaded: &Loaded| loaded.rows as f64 / 1e6;
    for (n, question) in questions()?.iter().enumerate() {
        let name = format!("{}, ms per million rows", question.name);
        let (a, b) = (asked_few.medians_ms[n], asked_many.medians_ms[n]);
        line(&name, a / millions(&few), b / millions(&many));
    }
    line("asking: peak memory, MiB", mib(asked_few.peak_bytes), mib(asked_many.peak_bytes));
    Ok(())
}

/// Loads, kills the loader when its last call is answered, and opens what it left.
fn print_crash(calls: &Calls) -> Result<()> {
    let directory = fresh_directory("scale-crash")?;
    let task = LoadTask { directory, calls: calls.clone(), callers: 1, hang: true };
    let mut running = Running::start(&Task::Load(task.clone()))?;
    ensure!(running.line()?.trim() == "answered", "the loader did not say that it had loaded");
    running.kill()?;
    let task = Task::Open(OpenTask { directory: task.directory, rows: calls.rows });
    let (open_s, answered_s): (f64, f64) = measure(&task)?;
    println!(
        "\nKilled with {} rows just answered: open after {open_s:.3} s, first count after \
         {answered_s:.3} s.",
        calls.rows
    );
    Ok(())
}

fn print_tenants() -> Result<()> {
    let directory = fresh_directory("scale-tenants")?;
    let task = TenantsTask { directory };
    let made_s: f64 = measure(&Task::MakeTenants(task.clone()))?;
    forget(&task.directory)?;
    let (cold_s, peak): (f64, u64) = measure(&Task::AskTenants(task.clone()))?;
    println!(
        "\n{TENANTS} tenants of {TENANT_ROWS} rows: made in {made_s:.1} s, {:.1} MiB on disk; after a \
         cold start every tenant has answered a first question after {cold_s:.2} s with {:.0} MiB \
         at most.",
        mib(crate::measure::allocated(&task.directory)?),
        mib(peak)
    );
    Ok(())
}
