//! Whether a tenant notices another one that does all it may: how long the quiet one's requests take, as the
//! server measures it, alone, beside the noise, and alone again.
//!
//! The noisy tenant sends executions, asks the most expensive question and watches over a thousand
//! WebSockets, each as fast as it is let; its clients run when nobody else wants to, for they share the
//! machine with the server that is measured.
//!
//! What the machine itself does to whoever is not alone on it (a virtual one may be taken its processors
//! away the sooner the more it uses them) is told by threads that compute nothing, without end, when nobody
//! else wants to: one for each processor.

use crate::Options;
use crate::client::Client;
use crate::crowd::{Crowd, allow_sockets, watchers};
use crate::load::send;
use crate::measure::{now, wait_until};
use crate::running::{PER_ADDRESS_MAX, Running};
use crate::workload::Calls;
use anyhow::{Context, Result, bail, ensure};
use emx::runtime::pool::run_last;
use emx::sample::Shape;
use serde_json::json;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const NOISY: &str = "noisy";

/// What the noisy tenant may use.
const LIMITS: [&str; 5] = [
    "requests_per_second=50",
    "events_per_second=5000",
    "concurrent_requests=16",
    "websocket_connections=1000",
    "cpu_share=0.1",
];

const SOCKETS: usize = 1_000;
const SENDERS: usize = 4;
const ASKERS: usize = 2;

/// Executions of the quiet tenant beforehand.
const QUIET_ROWS: u64 = 50_000;

/// The quiet tenant's requests: of five, four store an execution and one asks a question.
const QUIET_PER_SECOND: u64 = 100;
const QUIET_CLIENTS: usize = 4;
const SECONDS: u64 = 20;

/// How often the noisy tenant tries to store its last execution, and the pause in between: what it owes
/// for a batch is paid after some seconds.
const LAST_TRIES: usize = 200;
const LAST_PAUSE: Duration = Duration::from_millis(100);

const RATIO_MAX: f64 = 1.5;

const KIND: &str = "Content-Type: application/json\r\n";
const FRESH: &str = "Content-Type: application/json\r\nCache-Control: no-cache\r\n";
const LINES: &str = "Content-Type: application/x-ndjson\r\n";

pub(crate) fn print(options: Options) -> Result<()> {
    allow_sockets(SOCKETS)?;
    let calls = Calls::prepare(options.rows, Shape::Ordered)?;
    let server = Running::start_with("server", &[(PER_ADDRESS_MAX, "3000".to_owned())])?;
    let noise = Noise::prepare(&server, &calls)?;
    send(&server, &Calls::prepare(QUIET_ROWS, Shape::Ordered)?, 1)?;
    server.settle()?;
    println!(
        "{QUIET_PER_SECOND} requests/s of the quiet tenant for {SECONDS} s, a fifth of them questions; beside \
         it {SENDERS} connections that send 5,000 executions a request, {ASKERS} that ask for \
         all of {} executions by session, and {SOCKETS} WebSockets, limited to {}. Milliseconds, by the \
         server's own histogram.\n",
        calls.rows,
        LIMITS.join(", "),
    );
    println!("| run | what | requests | p50 | p99 | ratio of p99 | bound |");
    println!("|--:|---|--:|--:|--:|--:|--:|");
    let quiet = Quiet::prepare();
    quiet.window(&server)?; // warms up, and is not counted
    let mut whole: [Window; 3] = Default::default();
    for run in 1..=options.repeats {
        let before = quiet.window(&server)?;
        let busy = beside_spinning(|| quiet.window(&server))?;
        let (beside, answers) = noise.around(&server, || quiet.window(&server))?;
        let after = quiet.window(&server)?;
        let run = run.to_string();
        before.print(&run, "alone", " |");
        busy.print(&run, SPINNING, " |");
        beside.print(&run, &format!("beside the noise ({answers})"), " |");
        after.print(&run, "alone again", " |");
        for (all, some) in whole.iter_mut().zip([&[before, after][..], &[busy], &[beside]]) {
            some.iter().for_each(|window| all.add(window));
        }
    }
    // Of one window the p99 is its twentieth longest request, and says little.
    let [alone, busy, beside] = &whole;
    alone.print("all", "alone", " |");
    let ratio = |window: &Window| window.quantile_ms(990) / alone.quantile_ms(990);
    busy.print("all", SPINNING, &format!("{:.2} |", ratio(busy)));
    beside.print("all", "beside the noise", &format!("{:.2} | {RATIO_MAX:.1}", ratio(beside)));
    Ok(())
}

const SPINNING: &str = "beside threads that only spin";

/// What the server measured of the quiet tenant's requests: upper bounds, seconds, and how many took no
/// longer.
#[derive(Default)]
struct Window(Vec<(f64, u64)>);

impl Window {
    fn requests(&self) -> u64 {
        self.0.last().map_or(0, |(_, count)| *count)
    }

    fn quantile_ms(&self, permille: u64) -> f64 {
        let rank = (self.requests() * permille).div_ceil(1000);
        let bucket = self.0.iter().find(|(_, count)| *count >= rank);
        bucket.map_or(f64::NAN, |(bound, _)| bound * 1000.0)
    }

    fn add(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        self.0.iter_mut().zip(&other.0).for_each(|((_, all), (_, more))| *all += more);
    }

    fn print(&self, run: &str, what: &str, ratio: &str) {
        let (p50_ms, p99_ms) = (self.quantile_ms(500), self.quantile_ms(990));
        println!("| {run} | {what} | {} | {p50_ms:.2} | {p99_ms:.2} | {ratio} |", self.requests());
    }
}

/// The requests of the quiet tenant.
struct Quiet {
    lines: Vec<Vec<u8>>,
    question: String,
}

impl Quiet {
    fn prepare() -> Self {
        // Executions without ids are new ones in each window.
        let line = |n: u64| {
            let team = format!("team-{}", n % 20);
            let row = json!({ "command": "quiet", "team_id": team, "duration_ms": n });
            row.to_string().into_bytes()
        };
        let lines = (0..QUIET_PER_SECOND * SECONDS).map(line).collect();
        let question = json!({
            "metrics": ["count", "success_rate", "p95(duration_ms)"], "group_by": ["team_id"],
        });
        Self { lines, question: question.to_string() }
    }

    /// Sends everything at the set rate.
    fn window(&self, server: &Running) -> Result<Window> {
        let before = histogram(server)?;
        let start = now() + Duration::from_millis(100);
        let caller = |first: usize| -> Result<()> {
            let mut client = server.client(&server.key)?;
            for (n, line) in self.lines.iter().enumerate().skip(first).step_by(QUIET_CLIENTS) {
                wait_until(start + Duration::from_secs_f64(n as f64 / QUIET_PER_SECOND as f64));
                let (status, text) = match n % 5 {
                    0 => client.call("POST", "/api/v1/query", FRESH, self.question.as_bytes())?,
                    _ => client.call("POST", "/api/v1/executions", KIND, line)?,
                };
                ensure!(status < 300, "{status}: {}", String::from_utf8_lossy(text));
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let callers: Vec<_> =
                (0..QUIET_CLIENTS).map(|n| scope.spawn(move || caller(n))).collect();
            callers.into_iter().try_for_each(|c| c.join().ok().context("a client panicked")?)
        })?;
        let counted = histogram(server)?
            .into_iter()
            .zip(before)
            .map(|((bound, now), (_, before))| (bound, now - before));
        Ok(Window(counted.collect()))
    }
}

/// The upper bounds of the quiet tenant's histogram, seconds, and how many requests took no longer.
fn histogram(server: &Running) -> Result<Vec<(f64, u64)>> {
    let mut client = server.client(&server.key)?;
    let (status, text) = client.call("GET", "/metrics", "", b"")?;
    ensure!(status == 200, "{status}");
    let text = std::str::from_utf8(text)?;
    let buckets = text.lines().filter_map(|line| {
        let (bound, count) =
            line.strip_prefix("emx_tenant_answer_seconds_bucket{le=\"")?.split_once("\"} ")?;
        let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
        Some((bound, count.parse().ok()?))
    });
    let buckets: Vec<(f64, u64)> = buckets.collect();
    ensure!(!buckets.is_empty(), "no histogram of the tenant");
    Ok(buckets)
}

/// Everything that the noisy tenant does.
struct Noise {
    key: String,
    body: Vec<u8>,
    question: String,
}

impl Noise {
    /// Makes the tenant, with `calls` in it.
    fn prepare(server: &Running, calls: &Calls) -> Result<Self> {
        server.emx(&["tenant", "create", NOISY])?;
        let key = ["key", "create", "--tenant", NOISY, "--name", "noise", "--role", "owner"];
        let key = server.emx(&key)?["key"].as_str().context("no key")?.to_owned();
        let (file, mut body) = (calls.open()?, Vec::new());
        let mut client = server.client(&key)?;
        for n in 0..calls.len() {
            calls.read(&file, n, &mut body)?;
            let (status, text) = client.call("POST", "/api/v1/executions/batch", LINES, &body)?;
            ensure!(status == 200, "{status}: {}", String::from_utf8_lossy(text));
        }
        // Executions without ids are new ones each time.
        let row = json!({ "command": "noise", "session_id": "noise", "duration_ms": 1 });
        let body = format!("{row}\n").repeat(5_000).into_bytes();
        let question = json!({
            "metrics": ["count", "p99(duration_ms)", "count_distinct(command)"],
            "group_by": ["session_id", "user_id"], "limit": 10,
        });
        Ok(Self { key, body, question: question.to_string() })
    }

    /// Makes noise while `quiet` runs: what that gives, and what the noisy tenant was answered.
    fn around(
        &self,
        server: &Running,
        quiet: impl FnOnce() -> Result<Window>,
    ) -> Result<(Window, String)> {
        let done = AtomicBool::new(false);
        let counts = [const { AtomicU64::new(0) }; 3];
        let [batches, answers, refusals] = &counts;
        // Each WebSocket begins as a request: they are opened before those are limited.
        server.emx(&["tenant", "limits", NOISY, "--set", "requests_per_second=default"])?;
        let crowd = Crowd::of(watchers(&server.trust, &self.key, SOCKETS)?)?;
        let mut limits = vec!["tenant", "limits", NOISY];
        limits.extend(LIMITS.iter().flat_map(|limit| ["--set", limit]));
        server.emx(&limits)?;
        let window = std::thread::scope(|scope| {
            let done = &done;
            scope.spawn(move || listen(crowd, done));
            for _ in 0..SENDERS {
                let call = ("/api/v1/executions/batch", LINES, &*self.body);
                scope.spawn(move || self.repeat(server, call, batches, refusals, done));
            }
            for _ in 0..ASKERS {
                let call = ("/api/v1/query", FRESH, self.question.as_bytes());
                scope.spawn(move || self.repeat(server, call, answers, refusals, done));
            }
            let window = quiet();
            done.store(true, Ordering::Relaxed);
            self.say_last(server)?; // whoever listens hears that it is over
            window
        })?;
        let [batches, answers, refusals] = counts.map(AtomicU64::into_inner);
        ensure!(batches > 0 && answers > 0, "there was no noise");
        let told = format!("{batches} batches, {answers} answers, {refusals} refusals");
        Ok((window, told))
    }

    /// Stores one more execution, as soon as that may be.
    fn say_last(&self, server: &Running) -> Result<()> {
        let mut client = server.client(&self.key)?;
        for _ in 0..LAST_TRIES {
            let row = br#"{"command":"noise"}"#;
            if client.call("POST", "/api/v1/executions", KIND, row)?.0 == 201 {
                return Ok(());
            }
            wait_until(now() + LAST_PAUSE);
        }
        bail!("the noisy tenant may say nothing any more")
    }

    /// Sends the same again and again. Where a connection ends, as after a large body that nobody wanted,
    /// there is another one.
    fn repeat(
        &self,
        server: &Running,
        (target, headers, body): (&str, &str, &[u8]),
        taken: &AtomicU64,
        refused: &AtomicU64,
        done: &AtomicBool,
    ) {
        lower_priority();
        let mut client: Option<Client> = None;
        while !done.load(Ordering::Relaxed) {
            let status = match &mut client {
                Some(client) => {
                    client.call("POST", target, headers, body).map(|(status, _)| status)
                }
                None => {
                    client = server.client(&self.key).ok();
                    continue;
                }
            };
            let counter = if matches!(status, Ok(200)) { taken } else { refused };
            counter.fetch_add(1, Ordering::Relaxed);
            if status.is_err() {
                client = None;
            }
        }
    }
}

/// Runs `quiet` while every processor is in use by whoever runs last.
fn beside_spinning(quiet: impl FnOnce() -> Result<Window>) -> Result<Window> {
    let (done, processors) = (AtomicBool::new(false), std::thread::available_parallelism()?.get());
    std::thread::scope(|scope| {
        for _ in 0..processors {
            scope.spawn(|| {
                lower_priority();
                while !done.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let window = quiet();
        done.store(true, Ordering::Relaxed);
        window
    })
}

/// Reads whatever comes until `done`; rows come all the time.
fn listen(mut crowd: Crowd, done: &AtomicBool) {
    lower_priority();
    let hear = |_: usize, _: &[u8], _| {
        let is_done = done.load(Ordering::Relaxed);
        Ok(if is_done { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    if let Err(error) = crowd.listen(hear) {
        eprintln!("who watches: {error}");
    }
}

/// Of this thread: whoever wakes need not wait for it.
fn lower_priority() {
    if !run_last() {
        eprintln!("the noise does not run last");
    }
}
