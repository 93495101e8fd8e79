//! Verifying the audit log: every entry read, hashed and compared, from the last to the first.

use crate::Options;
use crate::child::{Task, measure};
use crate::measure::{Spread, allocated, mib, now, peak_memory};
use crate::scale::forget;
use crate::system::engine;
use crate::workload::fresh_directory;
use anyhow::{Result, ensure};
use emx::audit::{Anchor, AuditLog, Event, PAGE_MAX, Source, Verdict, verify_lines};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;

const CHAIN: &str = "benchmark";

/// Entries of one transaction, as counted ones are written.
const TOLD: u64 = 1_000;

/// When the entries are told: 2026-03-01T00:00:00Z.
const NOW_MS: i64 = 1_772_323_200_000;

/// A directory with a log of so many entries.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct AuditTask {
    directory: PathBuf,
    entries: u64,
}

/// What verifying took, seconds, and the most memory, bytes.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Verified {
    /// As the first thing of the process, with nothing of the file in memory.
    cold_s: f64,
    warm_s: f64,
    peak_bytes: u64,
}

impl AuditTask {
    fn log(&self) -> Result<AuditLog> {
        Ok(AuditLog::new(engine(&self.directory)?.platform()?))
    }

    fn export(&self) -> PathBuf {
        self.directory.join("audit.ndjson")
    }

    fn demand_sound(&self, verdict: &Verdict) -> Result<()> {
        ensure!(verdict.findings.is_empty(), "{:?}", verdict.findings);
        ensure!(verdict.entries == self.entries, "{} entries were read", verdict.entries);
        Ok(())
    }
}

/// Makes the log, and a file of what is exported of it. Gives the seconds that the former took.
pub(crate) fn make(task: &AuditTask) -> Result<f64> {
    let log = task.log()?;
    let start = now();
    for first in (0..task.entries).step_by(TOLD as usize) {
        let told = (first..task.entries.min(first + TOLD)).map(|n| event(n).in_chain(CHAIN));
        log.tell(told.collect(), NOW_MS)?;
    }
    let made_s = start.elapsed().as_secs_f64();
    let mut out = BufWriter::new(File::create(task.export())?);
    let mut before = None;
    loop {
        let page = log.page_as_stored(CHAIN, before, PAGE_MAX)?;
        let Some((last, _)) = page.last() else { break };
        before = Some(*last);
        for (_, line) in &page {
            out.write_all(line)?;
            out.write_all(b"\n")?;
        }
    }
    out.flush()?;
    Ok(made_s)
}

/// Somebody's act, with what it was done to, as long as those of users and keys are.
fn event(n: u64) -> Event {
    let address = [192, 0, 2, (n % 250) as u8].into();
    let request_id = Some(format!("5f0c7a9e1b3d{n:016x}").into());
    let source = Source { address: Some(address), request_id };
    let (actor, target) = (format!("user:{:032x}", n % 500), format!("api_key:{n:032x}"));
    let after = json!({ "name": format!("key {n}"), "role": "ingest", "expires_ms": null });
    Event::new(actor, "api_key.create", target, source).after(after)
}

/// Verifies the log with an anchor of its end, twice.
pub(crate) fn verify(task: &AuditTask) -> Result<Verified> {
    let log = task.log()?;
    let anchors = [log.anchor(CHAIN)?];
    let look = |anchors: &[Anchor]| -> Result<f64> {
        let start = now();
        let verdict = log.verify(CHAIN, anchors)?;
        let seconds = start.elapsed().as_secs_f64();
        task.demand_sound(&verdict)?;
        Ok(seconds)
    };
    Ok(Verified { cold_s: look(&anchors)?, warm_s: look(&anchors)?, peak_bytes: peak_memory()? })
}

/// Verifies the exported file, as on a machine that has nothing else, twice.
pub(crate) fn verify_export(task: &AuditTask) -> Result<Verified> {
    let look = || -> Result<f64> {
        let start = now();
        let lines = BufReader::new(File::open(task.export())?).split(b'\n');
        let verdict = verify_lines(lines, CHAIN, &[])?;
        let seconds = start.elapsed().as_secs_f64();
        task.demand_sound(&verdict)?;
        Ok(seconds)
    };
    Ok(Verified { cold_s: look()?, warm_s: look()?, peak_bytes: peak_memory()? })
}

/// Prints the table.
pub(crate) fn print(options: Options) -> Result<()> {
    let task = AuditTask { directory: fresh_directory("audit")?, entries: options.rows };
    let made_s: f64 = measure(&Task::MakeAudit(task.clone()))?;
    let exported = std::fs::metadata(task.export())?.len();
    let disk = allocated(&task.directory)? - exported;
    println!(
        "{} entries, {TOLD} a transaction: told in {made_s:.1} s, {:.0} B each on disk, {:.0} B each \
         exported. The bound for a million is 5 s.\n",
        task.entries,
        disk as f64 / task.entries as f64,
        exported as f64 / task.entries as f64,
    );
    println!("| verified | cold, s | warm, s | peak, MiB |");
    println!("|---|--:|--:|--:|");
    for (name, work) in [
        ("the log, with an anchor", Task::VerifyAudit(task.clone())),
        ("an exported file", Task::VerifyExport(task.clone())),
    ] {
        let (mut cold, mut warm, mut peak) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..options.repeats {
            forget(&task.directory)?;
            let found: Verified = measure(&work)?;
            cold.push(found.cold_s);
            warm.push(found.warm_s);
            peak.push(mib(found.peak_bytes));
        }
        let [cold, warm, peak] = [cold, warm, peak].map(Spread::of);
        println!("| {name} | {cold} | {warm} | {peak:.0} |");
    }
    Ok(())
}
