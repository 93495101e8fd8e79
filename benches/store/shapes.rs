//! Loads that are hard, each against the ordered one of the same run.

use crate::Options;
use crate::child::{Task, measure};
use crate::ingest::{Disk, Loaded, TENANT, measure_load, measure_parse, per_row};
use crate::latency::lines;
use crate::measure::{Spread, mib, process_cpu};
use crate::system::System;
use crate::workload::{Calls, fresh_directory};
use anyhow::Result;
use emx::sample::Shape;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Rows sent one a call.
const SINGLE_ROWS: u64 = 50_000;

/// Sends every row of a workload in a call of its own.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct SingleTask {
    directory: PathBuf,
    calls: Calls,
}

/// What that cost.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Single {
    /// Processor time until sealing was idle, microseconds a call.
    cpu_us: f64,
    /// Bytes on disk a row, the feed window not counted.
    disk_per_row: f64,
    /// Peak memory, bytes.
    peak_bytes: u64,
}

/// Sends them from one caller.
pub(crate) fn single(task: &SingleTask) -> Result<Single> {
    let lines = lines(&task.calls)?;
    let system = System::open(&task.directory)?;
    system.create(TENANT)?;
    let start = process_cpu();
    for line in &lines {
        system.send(TENANT, line)?;
    }
    system.settle()?;
    let cpu_us = per_row(process_cpu() - start, task.calls.rows);
    let peak_bytes = crate::measure::peak_memory()?;
    let disk = Disk::of(&system, &task.directory)?;
    Ok(Single { cpu_us, disk_per_row: disk.per_row(task.calls.rows), peak_bytes })
}

/// Prints the table of shapes and the line on single rows.
pub(crate) fn print(options: Options) -> Result<()> {
    let workloads: Result<Vec<Calls>> =
        Shape::ALL.into_iter().map(|shape| Calls::prepare(options.rows, shape)).collect();
    let workloads = workloads?;
    let mut loads: Vec<Vec<Loaded>> = vec![Vec::new(); workloads.len()];
    let mut parses = Vec::new();
    for _ in 0..options.repeats {
        parses.push(measure_parse(&workloads[0])?);
        for (calls, loads) in workloads.iter().zip(&mut loads) {
            loads.push(measure_load("shapes", calls, 1)?);
        }
    }
    println!("Parsing the ordered load alone takes {} µs an event.\n", Spread::of(parses));
    println!("| shape | CPU, µs/event | ratio | disk, B/event | ratio | peak, MiB | blocks |");
    println!("|---|--:|--:|--:|--:|--:|--:|");
    let cpu = |loads: &[Loaded]| Spread::of(loads.iter().map(|l| l.cpu_us));
    let disk = |loads: &[Loaded]| Spread::of(loads.iter().map(Loaded::disk_per_row));
    for (shape, of_shape) in Shape::ALL.into_iter().zip(&loads) {
        println!(
            "| {} | {} | {:.2} | {:.1} | {:.2} | {:.0} | {:.0} |",
            shape.as_str(),
            cpu(of_shape),
            cpu(of_shape).median / cpu(&loads[0]).median,
            disk(of_shape),
            disk(of_shape).median / disk(&loads[0]).median,
            Spread::of(of_shape.iter().map(|l| mib(l.peak_bytes))),
            Spread::of(of_shape.iter().map(|l| l.blocks as f64)),
        );
    }
    print_single(options.repeats)
}

fn print_single(repeats: usize) -> Result<()> {
    let calls = Calls::prepare(SINGLE_ROWS, Shape::Ordered)?;
    let together = measure_load("shapes", &calls, 1)?;
    let mut alone: Vec<Single> = Vec::with_capacity(repeats);
    for _ in 0..repeats {
        let directory = fresh_directory("shapes")?;
        alone.push(measure(&Task::Single(SingleTask { directory, calls: calls.clone() }))?);
    }
    println!(
        "\n{SINGLE_ROWS} rows one a call: {:.0} µs of CPU each, {:.1} B/event on disk once settled \
         ({:.1} when loaded 5,000 a call), {:.0} MiB at most.",
        Spread::of(alone.iter().map(|a| a.cpu_us)),
        Spread::of(alone.iter().map(|a| a.disk_per_row)),
        together.disk_per_row(),
        Spread::of(alone.iter().map(|a| mib(a.peak_bytes)))
    );
    Ok(())
}
