//! One execution a request at a set rate, and a few who watch: how long until they know of it.

use crate::Options;
use crate::crowd::{Crowd, watchers};
use crate::latency::{CONNECTIONS, REQUESTS_PER_SECOND, SECONDS, Sent, send};
use crate::measure::quantile;
use crate::running::Running;
use crate::told::{Told, hear_all, latencies};
use crate::workload::Calls;
use anyhow::{Context, Result};
use emx::sample::Shape;

const WATCHERS: usize = 10;
const BOUND_MS: f64 = 20.0;

pub(crate) fn print(options: Options) -> Result<()> {
    let calls = Calls::prepare(REQUESTS_PER_SECOND * SECONDS, Shape::Ordered)?;
    println!(
        "{REQUESTS_PER_SECOND} requests/s of one execution over {CONNECTIONS} connections for {SECONDS} s, \
         and {WATCHERS} who watch; milliseconds. What comes within 5 ms is told together.\n"
    );
    println!("| run | from the request | p50 | p99 | greatest | bound of p99 |");
    println!("|--:|---|--:|--:|--:|--:|");
    for run in 1..=options.repeats {
        let server = Running::start("server")?;
        let mut crowd = Crowd::of(watchers(&server.trust, &server.key, WATCHERS)?)?;
        let (sent, told) = send_and_hear(&server, &calls, &mut crowd)?;
        let (mut each, mut last) = (Vec::new(), Vec::new());
        for one in &sent {
            let times = latencies(&told, one.begun, one.seq)?;
            last.extend(times.iter().copied().reduce(f64::max));
            each.extend(times);
        }
        print_row(run, "to its answer", sent.iter().map(Sent::answer_ms).collect(), None);
        print_row(run, "to each who watches", each, Some(BOUND_MS));
        print_row(run, "to the last of them", last, Some(BOUND_MS));
    }
    Ok(())
}

/// A row of a table of times in milliseconds.
pub(crate) fn print_row(run: usize, what: &str, mut times: Vec<f64>, bound: Option<f64>) {
    times.sort_by(f64::total_cmp);
    let bound = bound.map_or_else(String::new, |bound| format!("{bound:.1}"));
    println!(
        "| {run} | {what} | {:.2} | {:.2} | {:.2} | {bound} |",
        quantile(&times, 500),
        quantile(&times, 990),
        quantile(&times, 1000),
    );
}

/// Sends everything while `crowd` listens, and gives what was sent and what each was told.
fn send_and_hear(
    server: &Running,
    calls: &Calls,
    crowd: &mut Crowd,
) -> Result<(Vec<Sent>, Vec<Told>)> {
    std::thread::scope(|scope| {
        let sent = scope.spawn(|| send(server, calls));
        let told = hear_all(crowd, calls.rows)?;
        let sent = sent.join().ok().context("a client panicked")??;
        Ok((sent, told))
    })
}
