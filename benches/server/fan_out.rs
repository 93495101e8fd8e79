//! One message to five thousand who watch, beside node's `ws` with Redis pub/sub in the same run: when
//! it reaches each of them, and what a connection costs that only waits.

use crate::Options;
use crate::client::Client;
use crate::crowd::{Crowd, allow_sockets, watchers};
use crate::latency::lines_of;
use crate::measure::{Spread, now, quantile, wait_until};
use crate::peer::Peer;
use crate::process::Process;
use crate::running::{PER_ADDRESS_MAX, Running};
use crate::socket::Socket;
use crate::workload::Calls;
use anyhow::{Result, ensure};
use emx::sample::Shape;
use serde_json::Value;
use std::ops::ControlFlow;
use std::time::Duration;

const WATCHERS: usize = 5_000;

/// Messages of a run, and those before it that are not counted.
const MESSAGES: usize = 50;
const WARM_UP: usize = 5;

/// Connections from here that do not watch.
const OTHERS: usize = 100;

/// Until connections and messages have left nothing to do.
const REST: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);

const MEMORY_KB_MAX: f64 = 20.0;
const RATIO_MAX: f64 = 1.0;

/// A server that delivers messages to everybody who watches it.
trait Server {
    fn process(&self) -> &Process;

    /// Gives it a message, and waits for nothing.
    fn give(&mut self, message: &[u8]) -> Result<()>;

    /// Waits until it has said that it took the message.
    fn taken(&mut self) -> Result<()>;
}

struct Emx<'a> {
    server: &'a Running,
    client: Client,
}

impl Server for Emx<'_> {
    fn process(&self) -> &Process {
        &self.server.process
    }

    fn give(&mut self, message: &[u8]) -> Result<()> {
        let kind = "Content-Type: application/json\r\n";
        self.client.send("POST", "/api/v1/executions", kind, message)
    }

    fn taken(&mut self) -> Result<()> {
        let (status, text) = self.client.read()?;
        ensure!(status == 201, "{status}: {}", String::from_utf8_lossy(text));
        Ok(())
    }
}

impl Server for Peer {
    fn process(&self) -> &Process {
        &self.node
    }

    fn give(&mut self, message: &[u8]) -> Result<()> {
        self.publish(message)
    }

    fn taken(&mut self) -> Result<()> {
        self.published()
    }
}

/// Everybody who watches a server, and what a connection costs it that only waits, KB.
fn fill(process: &Process, watchers: impl FnOnce() -> Result<Vec<Socket>>) -> Result<(Crowd, f64)> {
    wait_until(now() + REST);
    let before = process.memory("VmRSS:")?;
    let crowd = Crowd::of(watchers()?)?;
    wait_until(now() + REST);
    let more = process.memory("VmRSS:")? - before;
    Ok((crowd, more as f64 / WATCHERS as f64 / 1000.0))
}

/// A server with everybody who watches it, and what it has cost.
struct Side<S> {
    server: S,
    crowd: Crowd,
    memory_kb: f64,
    /// Processor time that the server had used before.
    cpu_before: Duration,
    deliveries: usize,
}

impl<S: Server> Side<S> {
    fn new(server: S, (crowd, memory_kb): (Crowd, f64)) -> Result<Self> {
        let cpu_before = server.process().cpu()?;
        Ok(Self { server, crowd, memory_kb, cpu_before, deliveries: 0 })
    }

    /// Has `message` delivered: what everybody was told, and after how long, milliseconds, ascending.
    fn deliver(&mut self, message: &[u8]) -> Result<(Vec<u8>, Vec<f64>)> {
        wait_until(now() + PAUSE);
        let (mut told, mut times) = (Vec::new(), Vec::with_capacity(WATCHERS));
        let begun = now();
        self.server.give(message)?;
        self.crowd.listen(|_, message, at| {
            times.push((at - begun).as_secs_f64() * 1000.0);
            if told.is_empty() {
                told = message.to_vec();
            }
            ensure!(told == message, "not everybody is told the same");
            let all = times.len() == WATCHERS;
            Ok(if all { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        self.server.taken()?;
        self.deliveries += WATCHERS;
        Ok((told, times)) // in the order of time
    }

    /// Processor time of the server for one message to one watcher, microseconds.
    fn cpu_us(&self) -> Result<f64> {
        let used = self.server.process().cpu()? - self.cpu_before;
        Ok(used.as_secs_f64() * 1e6 / self.deliveries as f64)
    }
}

/// Over the watchers of one message, milliseconds.
#[derive(Clone, Copy)]
struct Delivery {
    p50: f64,
    p99: f64,
}

impl Delivery {
    fn of(times: &[f64]) -> Self {
        Self { p50: quantile(times, 500), p99: quantile(times, 990) }
    }
}

pub(crate) fn print(options: Options) -> Result<()> {
    allow_sockets(2 * WATCHERS)?;
    let rows = WARM_UP + options.repeats * MESSAGES;
    let lines = lines_of(&Calls::prepare(rows as u64, Shape::Ordered)?)?;
    let most = (PER_ADDRESS_MAX, (WATCHERS + OTHERS).to_string());
    let server = Running::start_with("server", &[most])?;
    let ours = fill(&server.process, || watchers(&server.trust, &server.key, WATCHERS))?;
    let mut theirs = None;
    if let Some(peer) = Peer::start(&server)? {
        let open = |_| Socket::open(&peer.trust, "/", "");
        let crowd = fill(&peer.node, || (0..WATCHERS).map(open).collect())?;
        theirs = Some(Side::new(peer, crowd)?);
    }
    // Connected last: whoever asks nothing for a minute is disconnected.
    let emx = Emx { server: &server, client: server.client(&server.key)? };
    let mut ours = Side::new(emx, ours)?;
    println!(
        "One message to {WATCHERS} who watch over TLS 1.3, {MESSAGES} times a run in turn; milliseconds \
         from the request: for emx a `POST` of one execution, for the other a `PUBLISH` of the bytes \
         that emx has just sent.\n"
    );
    println!("| run | over the watchers | emx | `ws` and Redis | ratio | bound |");
    println!("|--:|---|--:|--:|--:|--:|");
    let (warm_up, lines) = lines.split_at(WARM_UP);
    deliver_all(&mut ours, &mut theirs, warm_up)?;
    for (run, lines) in (1..).zip(lines.chunks(MESSAGES)) {
        let (to_ours, to_theirs) = deliver_all(&mut ours, &mut theirs, lines)?;
        print_row(run, "p50", &to_ours, &to_theirs, |delivery| delivery.p50);
        print_row(run, "p99", &to_ours, &to_theirs, |delivery| delivery.p99);
    }
    print_costs(&ours, theirs.as_ref())
}

/// Delivers each execution in turn: to whom emx tells of it, and then what it told to the others.
fn deliver_all(
    ours: &mut Side<Emx<'_>>,
    theirs: &mut Option<Side<Peer>>,
    lines: &[Vec<u8>],
) -> Result<(Vec<Delivery>, Vec<Delivery>)> {
    let (mut to_ours, mut to_theirs) = (Vec::new(), Vec::new());
    for line in lines {
        let (text, times) = ours.deliver(line)?;
        to_ours.push(Delivery::of(&times));
        let (told, line): (Value, Value) =
            (serde_json::from_slice(&text)?, serde_json::from_slice(line)?);
        ensure!(told["data"]["executions"][0]["id"] == line["id"], "{told} is about another one");
        if let Some(theirs) = theirs {
            let (told, times) = theirs.deliver(&text)?;
            ensure!(told == text, "the bytes are others");
            to_theirs.push(Delivery::of(&times));
        }
    }
    Ok((to_ours, to_theirs))
}

fn print_row(
    run: usize,
    what: &str,
    ours: &[Delivery],
    theirs: &[Delivery],
    figure: fn(&Delivery) -> f64,
) {
    let ours = Spread::of(ours.iter().map(figure));
    if theirs.is_empty() {
        println!("| {run} | {what} | {ours} | | | {RATIO_MAX:.1} |");
        return;
    }
    let theirs = Spread::of(theirs.iter().map(figure));
    let ratio = ours.median / theirs.median;
    println!("| {run} | {what} | {ours} | {theirs} | {ratio:.2} | {RATIO_MAX:.1} |");
}

/// What the servers cost, which is what their times are made of.
fn print_costs(ours: &Side<Emx<'_>>, theirs: Option<&Side<Peer>>) -> Result<()> {
    println!("\n| | emx | `ws` | bound |");
    println!("|---|--:|--:|--:|");
    let shown = |figure: Option<f64>| figure.map_or_else(String::new, |f| format!("{f:.1}"));
    println!(
        "| memory of a connection that only waits, KB | {:.1} | {} | {MEMORY_KB_MAX:.1} |",
        ours.memory_kb,
        shown(theirs.map(|theirs| theirs.memory_kb)),
    );
    println!(
        "| CPU for a message to one who watches, µs | {:.1} | {} | |",
        ours.cpu_us()?,
        shown(theirs.map(Side::cpu_us).transpose()?),
    );
    Ok(())
}
