//! Measures the server as its clients see it, over TLS, with everything on.
//!
//! `cargo bench --bench server -- <load|latency|requests|questions|page|logins|live|slow|fan-out|walls|noisy|all>
//! [--rows N] [--repeats N]`. The server is the real binary in a process of its own, whose processor time and
//! memory are read from `/proc`; the clients live in this one.

#[path = "../../tests/support/browser.rs"]
mod browser;
#[path = "../store/duckdb.rs"]
mod duckdb;
#[path = "../store/measure.rs"]
#[allow(dead_code, reason = "the other benchmark uses the rest")]
mod measure;
#[path = "../store/workload.rs"]
#[allow(dead_code, reason = "the other benchmark uses the rest")]
mod workload;

mod client;
mod crowd;
mod fan_out;
mod latency;
mod live;
mod load;
mod logins;
mod noisy;
mod page;
mod peer;
mod process;
mod questions;
mod requests;
mod running;
mod slow;
mod socket;
mod told;
mod walls;

use anyhow::{Context, Result, bail};

/// What the command line asks for.
#[derive(Clone, Copy, Debug)]
struct Options {
    /// Executions of the workload.
    rows: u64,
    /// How often each load is repeated.
    repeats: usize,
}

const USAGE: &str = "usage: cargo bench --bench server -- \
     <load|latency|requests|questions|page|logins|live|slow|fan-out|walls|noisy|all> [--rows N] [--repeats N]";

type Measurement = fn(Options) -> Result<()>;

const MEASUREMENTS: [(&str, Measurement); 11] = [
    ("load", load::print),
    ("latency", latency::print),
    ("requests", requests::print),
    ("questions", questions::print),
    ("page", page::print),
    ("logins", logins::print),
    ("live", live::print),
    ("slow", slow::print),
    ("fan-out", fan_out::print),
    ("walls", walls::print),
    ("noisy", noisy::print),
];

fn main() -> Result<()> {
    // Cargo adds `--bench` to what it is given.
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    let Some(what) = words.next() else {
        println!("{USAGE}");
        return Ok(());
    };
    let options = parse(words)?;
    let wanted = MEASUREMENTS.iter().filter(|(name, _)| what == "all" || what == *name);
    let mut known = false;
    for (name, run) in wanted {
        println!("\n## {name}\n");
        run(options)?;
        known = true;
    }
    if !known {
        bail!("there is no measurement `{what}`; {USAGE}");
    }
    Ok(())
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options { rows: 1_000_000, repeats: 3 };
    while let Some(flag) = words.next() {
        let value = words.next().with_context(|| format!("`{flag}` needs a number"))?;
        let number: u64 = value.parse().with_context(|| format!("`{value}` is not a number"))?;
        match flag.as_str() {
            "--rows" => options.rows = number.max(1),
            "--repeats" => options.repeats = (number as usize).max(1),
            _ => bail!("there is no option `{flag}`; {USAGE}"),
        }
    }
    Ok(options)
}
