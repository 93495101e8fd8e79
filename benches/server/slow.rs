//! A thousand who watch, of whom one never reads: whether the others notice, and how it goes on once
//! it reads.

use crate::Options;
use crate::crowd::{Crowd, allow_sockets, watcher, watchers};
use crate::latency::lines_of;
use crate::live::print_row;
use crate::measure::{now, wait_until};
use crate::running::{PER_ADDRESS_MAX, Running};
use crate::socket::Socket;
use crate::told::{hear_all, latencies};
use crate::workload::Calls;
use anyhow::{Context, Result, bail, ensure};
use emx::sample::Shape;
use serde::Deserialize;
use std::collections::HashMap;
use std::time::{Duration, Instant};

const READERS: usize = 999;

/// Subscriptions of the one who does not read, as many as there may be: it is to lag while a loopback
/// connection takes megabytes without anybody reading.
const PANELS: usize = 16;

const UPDATES_PER_SECOND: u64 = 10;
const ROWS_PER_UPDATE: usize = 10;

/// Shorter than what the server waits for somebody who takes nothing: 30 s.
const SECONDS: u64 = 20;

const ROWS: u64 = SECONDS * UPDATES_PER_SECOND * ROWS_PER_UPDATE as u64;
const BOUND_MS: f64 = 50.0;

pub(crate) fn print(options: Options) -> Result<()> {
    allow_sockets(READERS + 1)?;
    let calls = Calls::prepare(ROWS, Shape::Ordered)?;
    let lines = lines_of(&calls)?;
    println!(
        "{READERS} who watch and read, one with {PANELS} subscriptions that does not, and \
         {UPDATES_PER_SECOND} updates/s of {ROWS_PER_UPDATE} executions for {SECONDS} s; milliseconds.\n"
    );
    println!("| run | from the request | p50 | p99 | greatest | bound of p99 |");
    println!("|--:|---|--:|--:|--:|--:|");
    let mut resumptions = Vec::new();
    for run in 1..=options.repeats {
        let most = (PER_ADDRESS_MAX, "2000".to_owned());
        let server = Running::start_with("server", &[most])?;
        let ids: Vec<String> = (1..=PANELS).map(|n| format!("panel {n}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut slow = watcher(&server.trust, &server.key, &ids)?;
        let mut crowd = Crowd::of(watchers(&server.trust, &server.key, READERS)?)?;
        let (sent, told) = std::thread::scope(|scope| -> Result<_> {
            let sent = scope.spawn(|| send(&server, &lines));
            let told = hear_all(&mut crowd, ROWS)?;
            Ok((sent.join().ok().context("the sender panicked")??, told))
        })?;
        let mut times = Vec::new();
        for (begun, seq) in sent {
            times.extend(latencies(&told, begun, seq)?);
        }
        print_row(run, "to each of the others", times, Some(BOUND_MS));
        resumptions.push(resume(&mut slow, &ids)?);
    }
    println!("\nThe one who did not read, when it reads:\n");
    println!("| run | updates that had waited | told `lagged` | has everything after, ms |");
    println!("|--:|--:|--:|--:|");
    for (run, Resumption { waited, lags, ms }) in (1..).zip(resumptions) {
        println!("| {run} | {waited} | {lags} | {ms:.1} |");
    }
    println!(
        "\nEach of its subscriptions was told of every seq, without a gap and without a repeat."
    );
    Ok(())
}

/// Sends everything at the set rate: when each request was begun, and the last seq that it stored.
fn send(server: &Running, lines: &[Vec<u8>]) -> Result<Vec<(Instant, u64)>> {
    #[derive(Deserialize)]
    struct Stored {
        last_seq: u64,
    }
    let mut client = server.client(&server.key)?;
    let (start, mut sent) = (now(), Vec::new());
    for (n, rows) in (0..).zip(lines.chunks(ROWS_PER_UPDATE)) {
        wait_until(start + Duration::from_secs_f64(f64::from(n) / UPDATES_PER_SECOND as f64));
        let (body, begun) = (rows.join(&b'\n'), now());
        let kind = "Content-Type: application/x-ndjson\r\n";
        let (status, text) = client.call("POST", "/api/v1/executions/batch", kind, &body)?;
        ensure!(status == 200, "{status}: {}", String::from_utf8_lossy(text));
        let Stored { last_seq } = serde_json::from_slice(text)?;
        sent.push((begun, last_seq));
    }
    Ok(sent)
}

/// What it took to have missed nothing in the end.
struct Resumption {
    waited: usize,
    lags: usize,
    ms: f64,
}

#[derive(Deserialize)]
struct Message<'a> {
    id: &'a str,
    r#type: &'a str,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    first_seq: Option<u64>,
    last_seq: Option<u64>,
    from_seq: Option<u64>,
}

/// Reads what there is for each subscription, which must join, up to the last seq.
fn resume(slow: &mut Socket, ids: &[&str]) -> Result<Resumption> {
    let mut next: HashMap<&str, u64> = ids.iter().map(|id| (*id, 1)).collect();
    let (mut waited, mut lags, begun) = (0, 0, now());
    while next.values().any(|next| *next <= ROWS) {
        slow.listen(|message| {
            let Message { id, r#type, data } = serde_json::from_slice(message)?;
            let next = next.get_mut(id).context("nobody subscribed with that id")?;
            match (r#type, data.first_seq, data.last_seq, data.from_seq) {
                ("metrics_update", Some(first), Some(last), None) if first == *next => {
                    *next = last + 1;
                    waited += usize::from(lags == 0);
                }
                ("lagged", None, None, Some(from)) if from == *next => lags += 1,
                _ => bail!("{} where {next} comes next", String::from_utf8_lossy(message)),
            }
            Ok(())
        })?;
    }
    ensure!(lags >= PANELS, "only {lags} subscriptions lagged: nothing was tried");
    Ok(Resumption { waited, lags, ms: begun.elapsed().as_secs_f64() * 1000.0 })
}
