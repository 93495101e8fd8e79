//! The seven questions end to end, beside DuckDB in its own process; and eight clients at once.

use crate::Options;
use crate::duckdb::{Peer, THREADS, questions};
use crate::load::send;
use crate::measure::{Spread, now};
use crate::running::Running;
use crate::workload::Calls;
use anyhow::{Context, Result, ensure};
use emx::sample::Shape;
use serde_json::json;
use std::time::Duration;

/// Times each question is asked after it was asked once.
const RUNS: usize = 15;

const CLIENTS: usize = 8;
const SECONDS: Duration = Duration::from_secs(5);

/// The questions that eight clients ask, by their place.
const SHARED: [usize; 2] = [0, 3];

const FRESH: &str = "Content-Type: application/json\r\nCache-Control: no-cache\r\n";
const KEPT: &str = "Content-Type: application/json\r\n";

pub(crate) fn print(options: Options) -> Result<()> {
    let calls = Calls::prepare(options.rows, Shape::Ordered)?;
    let mut peer = Peer::start(&calls.path)?;
    let about = peer.answer()?;
    ensure!(about["rows"] == json!(calls.rows), "DuckDB loaded {}", about["rows"]);
    let server = Running::start("server")?;
    send(&server, &calls, 4)?;
    server.settle()?;
    println!(
        "{} executions; DuckDB {} with {THREADS} threads in its process, emx over TLS with its cache \
         bypassed. Medians of {RUNS} warm runs in turn, milliseconds.\n",
        calls.rows,
        about["version"].as_str().unwrap_or_default(),
    );
    println!("| question | emx | DuckDB | ratio |");
    println!("|---|--:|--:|--:|");
    let mut client = server.client(&server.key)?;
    for (n, question) in questions()?.iter().enumerate() {
        let text = question.question.to_string();
        let groups = peer.rows(n)?.len();
        let answer = client.json("POST", "/api/v1/query", text.as_bytes())?;
        let found = answer["rows"].as_array().map_or(0, Vec::len);
        ensure!(found == groups, "`{}`: {found} and {groups} groups", question.name);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let start = now();
            let (status, _) = client.call("POST", "/api/v1/query", FRESH, text.as_bytes())?;
            ours.push(start.elapsed().as_secs_f64() * 1000.0);
            ensure!(status == 200, "{status}");
            theirs.push(peer.ask(n)?);
        }
        let (ours, theirs) = (Spread::of(ours), Spread::of(theirs));
        let ratio = ours.median / theirs.median;
        println!("| {} | {ours} | {theirs} | {ratio:.2} |", question.name);
    }
    peer.stop()?;
    println!("\n{CLIENTS} clients for {} s, questions a second:\n", SECONDS.as_secs());
    println!("| question | computed each time | from the cache where nothing has changed |");
    println!("|---|--:|--:|");
    for n in SHARED {
        let question = &questions()?[n];
        let text = question.question.to_string();
        let (fresh, kept) = (rate(&server, &text, FRESH)?, rate(&server, &text, KEPT)?);
        println!("| {} | {fresh:.0} | {kept:.0} |", question.name);
    }
    Ok(())
}

/// Answers a second to [`CLIENTS`] who ask without a pause.
fn rate(server: &Running, question: &str, more: &str) -> Result<f64> {
    let until = now() + SECONDS;
    let ask = || -> Result<usize> {
        let mut client = server.client(&server.key)?;
        let mut answers = 0;
        while now() < until {
            let (status, _) = client.call("POST", "/api/v1/query", more, question.as_bytes())?;
            ensure!(status == 200, "{status}");
            answers += 1;
        }
        Ok(answers)
    };
    let answers = std::thread::scope(|scope| -> Result<usize> {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(ask)).collect();
        clients.into_iter().try_fold(0, |sum, c| Ok(sum + c.join().ok().context("a client")??))
    })?;
    Ok(answers as f64 / SECONDS.as_secs_f64())
}
