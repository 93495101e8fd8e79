//! Measures the store on a made-up workload and prints tables for `docs/benchmarks.md`.
//!
//! `cargo bench --bench store -- <ingest|latency|questions|scale|shapes|audit|all> [--rows N]
//! [--repeats N]`. Every measurement runs in a process of its own (this program started again as
//! `child`), so that processor time and peak memory are its alone; the workload lies ready in a
//! file before any clock starts. A busy machine moves every figure, so each table carries what
//! makes it comparable: ratios within one run, medians with their extremes.

mod audit;
mod child;
mod duckdb;
mod ingest;
mod latency;
mod measure;
mod questions;
mod scale;
mod shapes;
mod system;
mod workload;

use anyhow::{Context, Result, bail};

/// What the command line asks for.
#[derive(Clone, Copy, Debug)]
struct Options {
    /// Executions of the common workload.
    rows: u64,
    /// How often each load is repeated.
    repeats: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { rows: 1_000_000, repeats: 3 }
    }
}

const USAGE: &str = "usage: cargo bench --bench store -- \
     <ingest|latency|questions|scale|shapes|audit|all> [--rows N] [--repeats N]";

fn main() -> Result<()> {
    // Cargo adds `--bench` to what it is given.
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    let Some(what) = words.next() else {
        println!("{USAGE}");
        return Ok(());
    };
    if what == "child" {
        return child::run(&words.next().context("`child` needs a task")?);
    }
    let options = parse(words)?;
    let all = what == "all";
    let mut known = all;
    for (name, run) in MEASUREMENTS {
        if all || what == name {
            println!("\n## {name}\n");
            run(options)?;
            known = true;
        }
    }
    if !known {
        bail!("there is no measurement `{what}`; {USAGE}");
    }
    Ok(())
}

type Measurement = fn(Options) -> Result<()>;

const MEASUREMENTS: [(&str, Measurement); 6] = [
    ("ingest", ingest::print),
    ("latency", latency::print),
    ("questions", questions::print),
    ("scale", scale::print),
    ("shapes", shapes::print),
    ("audit", audit::print),
];

fn parse(mut words: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options::default();
    while let Some(flag) = words.next() {
        let value = words.next().with_context(|| format!("`{flag}` needs a number"))?;
        let number = value.parse().with_context(|| format!("`{value}` is not a number"))?;
        match flag.as_str() {
            "--rows" => options.rows = number,
            "--repeats" => options.repeats = number as usize,
            _ => bail!("there is no option `{flag}`; {USAGE}"),
        }
    }
    if options.rows == 0 || options.repeats == 0 {
        bail!("`--rows` and `--repeats` must be at least 1");
    }
    Ok(options)
}
