//! Loading over 1, 4 and 16 connections, 5,000 executions a request.

use crate::Options;
use crate::measure::{Spread, mib, now};
use crate::running::Running;
use crate::workload::Calls;
use anyhow::{Context, Result, ensure};
use emx::sample::Shape;
use std::sync::atomic::{AtomicUsize, Ordering};

const CONNECTIONS: [usize; 3] = [1, 4, 16];

/// What a load cost.
#[derive(Clone, Copy)]
struct Loaded {
    rate: f64,
    cpu_us: f64,
    peak_bytes: u64,
    idle_bytes: u64,
}

pub(crate) fn print(options: Options) -> Result<()> {
    let calls = Calls::prepare(options.rows, Shape::Ordered)?;
    println!(
        "{} executions of {:.0} bytes, 5,000 a request, NDJSON over TLS 1.3; the clients share the \
         machine.\n",
        calls.rows,
        calls.bytes() as f64 / calls.rows as f64
    );
    println!(
        "| connections | rows/s | CPU of the server, µs/event | peak, MiB | idle after, MiB |"
    );
    println!("|--:|--:|--:|--:|--:|");
    for connections in CONNECTIONS {
        let loads: Result<Vec<Loaded>> =
            (0..options.repeats).map(|_| load(&calls, connections)).collect();
        let loads = loads?;
        println!(
            "| {connections} | {:.0} | {} | {:.0} | {:.0} |",
            Spread::of(loads.iter().map(|l| l.rate)),
            Spread::of(loads.iter().map(|l| l.cpu_us)),
            Spread::of(loads.iter().map(|l| mib(l.peak_bytes))),
            Spread::of(loads.iter().map(|l| mib(l.idle_bytes))),
        );
    }
    let idle = Running::start("server")?;
    idle.settle()?;
    println!("\nA server that has just started: {:.0} MiB.", mib(idle.memory("VmRSS:")?));
    Ok(())
}

/// Loads `calls` into a new server.
fn load(calls: &Calls, connections: usize) -> Result<Loaded> {
    let server = Running::start("server")?;
    let (start, cpu) = (now(), server.cpu()?);
    send(&server, calls, connections)?;
    let answered = start.elapsed();
    server.settle()?;
    let cpu = server.cpu()? - cpu;
    Ok(Loaded {
        rate: calls.rows as f64 / answered.as_secs_f64(),
        cpu_us: cpu.as_secs_f64() * 1e6 / calls.rows as f64,
        peak_bytes: server.memory("VmHWM:")?,
        idle_bytes: server.memory("VmRSS:")?,
    })
}

/// Sends every call over so many connections.
pub(crate) fn send(server: &Running, calls: &Calls, connections: usize) -> Result<()> {
    let next = AtomicUsize::new(0);
    let caller = || -> Result<()> {
        let mut client = server.client(&server.key)?;
        let (file, mut body) = (calls.open()?, Vec::new());
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= calls.len() {
                return Ok(());
            }
            calls.read(&file, n, &mut body)?;
            let kind = "Content-Type: application/x-ndjson\r\n";
            let (status, text) = client.call("POST", "/api/v1/executions/batch", kind, &body)?;
            ensure!(status == 200, "{status}: {}", String::from_utf8_lossy(text));
        }
    };
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..connections).map(|_| scope.spawn(caller)).collect();
        callers.into_iter().try_for_each(|c| c.join().ok().context("a client panicked")?)
    })
}
