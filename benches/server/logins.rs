//! What signing in costs others, and whether it tells who is known.
//!
//! The times of questions are the server's own: what its log says of each, from its headers to its
//! answer. Questions come at a set rate, without and with 50 who sign in again and again, in turn.
//!
//! A try with a wrong password must take as long for a user who is there as for one who is not. Each kind
//! is tried in turn over one connection, as whoever wants to know would do it, and the two are compared
//! by their ranks (Mann and Whitney 1947): how often a known user's try takes longer than an unknown's.
//! The server takes the benchmark for a proxy, so that each try comes from an address of its own and
//! none is refused for how often it was tried.

use crate::Options;
use crate::client::Client;
use crate::duckdb::questions;
use crate::load::send;
use crate::measure::{mib, now, quantile, wait_until};
use crate::running::Running;
use crate::workload::Calls;
use anyhow::{Context, Result, ensure};
use emx::sample::Shape;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Who sign in at the same time.
const CLIENTS: usize = 50;
const TENANTS: usize = 10;

const QUESTIONS_PER_SECOND: u64 = 50;
const SECONDS: u64 = 20;

/// Executions that are asked about.
const ROWS_MAX: u64 = 1_000_000;

/// Questions that are asked in turn, by their place: one from rollups, one that scans.
const ASKED: [usize; 2] = [0, 3];

/// How much longer questions may take while others sign in.
const RATIO_MAX: f64 = 1.5;

/// Tries of each kind; ten an account, which is what there may be in five minutes.
const TRIES: usize = 500;
const PER_ACCOUNT: usize = 10;

/// From here on the ranks of two samples differ by more than chance gives once in a hundred times.
const Z_MAX: f64 = 2.576;

const JSON: &str = "Content-Type: application/json\r\n";

pub(crate) fn print(options: Options) -> Result<()> {
    print_cost(options)?;
    print_difference()
}

fn print_cost(options: Options) -> Result<()> {
    let calls = Calls::prepare(options.rows.min(ROWS_MAX), Shape::Ordered)?;
    let settings = [
        ("EMX_LOG__LEVEL", "info".to_owned()),
        ("EMX_LOG__FORMAT", "json".to_owned()),
        ("EMX_SERVER__TRUSTED_PROXIES", "127.0.0.1".to_owned()),
    ];
    let server = Running::start_logged("logins", &settings)?;
    send(&server, &calls, 4)?;
    server.settle()?;
    // Of one account, tenant or network there may be only so many sign-ins.
    (0..TENANTS).try_for_each(|n| server.emx(&["tenant", "create", &tenant(n)]).map(|_| ()))?;
    (0..CLIENTS).try_for_each(|n| make_user(&server, &tenant(n), n))?;
    let before = server.memory("VmHWM:")?;
    println!(
        "{} executions; {QUESTIONS_PER_SECOND} questions/s for {SECONDS} s, computed each time, and \
         {CLIENTS} who sign in again and again; the server's own milliseconds.\n",
        calls.rows
    );
    println!("| run | beside | p50 | p99 | greatest | ratio of p99 | bound | sign-ins/s |");
    println!("|--:|---|--:|--:|--:|--:|--:|--:|");
    for run in 1..=options.repeats {
        let quiet = asked(&server, &format!("quiet{run}"))?;
        let (busy, rate) = beside_logins(&server, &format!("busy{run}"))?;
        let [q, b] = [&quiet, &busy].map(|times| [500, 990, 1000].map(|n| quantile(times, n)));
        println!("| {run} | nobody | {:.2} | {:.2} | {:.2} | | | |", q[0], q[1], q[2]);
        println!(
            "| {run} | {CLIENTS} who sign in | {:.2} | {:.2} | {:.2} | {:.2} | {RATIO_MAX} | {rate:.0} |",
            b[0],
            b[1],
            b[2],
            b[1] / q[1]
        );
    }
    let after = server.memory("VmHWM:")?;
    println!(
        "\nThe most memory was {:.0} MiB before anybody signed in, {:.0} MiB after.",
        mib(before),
        mib(after)
    );
    Ok(())
}

/// Asks at the set rate, and gives how long the server says that it took, milliseconds, ascending.
fn asked(server: &Running, name: &str) -> Result<Vec<f64>> {
    let texts: Result<Vec<String>> =
        ASKED.iter().map(|n| Ok(questions()?[*n].question.to_string())).collect();
    let (texts, mut client) = (texts?, server.client(&server.key)?);
    let start = now();
    let count = QUESTIONS_PER_SECOND * SECONDS;
    for n in 0..count {
        wait_until(start + Duration::from_secs_f64(n as f64 / QUESTIONS_PER_SECOND as f64));
        let more = format!("{JSON}Cache-Control: no-cache\r\nX-Request-Id: {name}-{n}\r\n");
        let text = texts[n as usize % texts.len()].as_bytes();
        let (status, _) = client.call("POST", "/api/v1/query", &more, text)?;
        ensure!(status == 200, "{status}");
    }
    let times = times_in(&server.log(), &format!("{name}-"))?;
    ensure!(times.len() as u64 == count, "the log has {} of {count} answers", times.len());
    Ok(times)
}

/// What the log says of the answers to requests whose ids begin with `prefix`.
fn times_in(log: &Path, prefix: &str) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    for line in BufReader::new(File::open(log)?).lines() {
        let Ok(line) = serde_json::from_str::<Value>(&line?) else { continue };
        let fields = &line["fields"];
        let is_ours = fields["request_id"].as_str().is_some_and(|id| id.starts_with(prefix));
        if let (true, Some(us)) = (is_ours, fields["elapsed_us"].as_f64()) {
            times.push(us / 1000.0);
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// The same while others sign in; and how many of them did in a second.
fn beside_logins(server: &Running, name: &str) -> Result<(Vec<f64>, f64)> {
    let (ended, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (ended, done) = (&ended, &done);
    let sign_in = |n: usize| -> Result<()> {
        let login = json!({ "tenant": tenant(n), "email": email(n), "password": password(n) });
        let (login, mut client) = (login.to_string(), server.client("")?);
        let more = format!("{JSON}X-Forwarded-For: 2001:db8:{n:x}::1\r\n");
        while !ended.load(Ordering::Relaxed) {
            let (status, _) = client.call("POST", "/api/v1/auth/login", &more, login.as_bytes())?;
            ensure!(status == 200, "{status}");
            done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    std::thread::scope(|scope| -> Result<(Vec<f64>, f64)> {
        let clients: Vec<_> = (0..CLIENTS).map(|n| scope.spawn(move || sign_in(n))).collect();
        let start = now();
        let times = asked(server, name);
        let rate = done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64();
        ended.store(true, Ordering::Relaxed);
        clients.into_iter().try_for_each(|c| c.join().ok().context("a client panicked")?)?;
        Ok((times?, rate))
    })
}

/// Whom a try is for.
#[derive(Clone, Copy, Debug)]
enum Whom {
    Known,
    Unknown,
    /// In a tenant that is not there.
    Nowhere,
}

const KINDS: [(Whom, &str); 3] = [
    (Whom::Known, "a user who is there"),
    (Whom::Unknown, "a user who is not"),
    (Whom::Nowhere, "a tenant that is not there"),
];

fn print_difference() -> Result<()> {
    let proxy = ("EMX_SERVER__TRUSTED_PROXIES", "127.0.0.1".to_owned());
    let server = Running::start_with("logins", &[proxy])?;
    for n in 0..TRIES.div_ceil(PER_ACCOUNT) {
        make_user(&server, "default", n)?;
    }
    let mut client = server.client("")?;
    let mut times: [Vec<f64>; KINDS.len()] = Default::default();
    for n in 0..TRIES {
        // In another order each time, so that nothing that comes and goes is always one kind's.
        for k in 0..KINDS.len() {
            let kind = (n + if n % 2 == 0 { k } else { KINDS.len() - k }) % KINDS.len();
            times[kind].push(attempt(&mut client, KINDS[kind].0, n, kind)?);
        }
    }
    println!(
        "\n{TRIES} tries with a wrong password of each kind in turn, milliseconds. z: how far the ranks \
         differ from those of a user who is there; chance alone gives up to {Z_MAX} in 99 of 100.\n"
    );
    println!("| try for | p5 | p50 | p95 | longer than a user who is there | z | told apart |");
    println!("|---|--:|--:|--:|--:|--:|---|");
    for ((_, name), sample) in KINDS.iter().zip(&times) {
        let (share, z) = longer(sample, &times[0]);
        let mut sorted = sample.clone();
        sorted.sort_by(f64::total_cmp);
        let [p5, p50, p95] = [50, 500, 950].map(|n| quantile(&sorted, n));
        let verdict = if z.abs() > Z_MAX { "YES" } else { "no" };
        println!("| {name} | {p5:.2} | {p50:.2} | {p95:.2} | {share:.3} | {z:.2} | {verdict} |");
    }
    Ok(())
}

/// The user of that number; on the server's own machine.
fn make_user(server: &Running, tenant: &str, n: usize) -> Result<()> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_emx"))
        .args(["user", "create", "--tenant", tenant, &email(n), "--role", "viewer"])
        .args(["--password-stdin", "--data-dir"])
        .arg(server.directory.join("data"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    writeln!(child.stdin.take().context("no input")?, "{}", password(n))?;
    ensure!(child.wait()?.success(), "emx user create");
    Ok(())
}

fn email(n: usize) -> String {
    format!("user{n:04}@example.org")
}

/// The tenant of the client of that number.
fn tenant(n: usize) -> String {
    format!("tenant{}", n % TENANTS)
}

fn password(n: usize) -> String {
    format!("correct horse battery staple {n}")
}

/// Tries a wrong password, and gives how long the answer took, milliseconds.
fn attempt(client: &mut Client, whom: Whom, n: usize, kind: usize) -> Result<f64> {
    let known = email(n / PER_ACCOUNT);
    // As long as the others, and tried as often.
    let unknown = known.replace("user", "nobo");
    let (tenant, email) = match whom {
        Whom::Known => ("default", known),
        Whom::Unknown => ("default", unknown),
        Whom::Nowhere => ("nowhere", known),
    };
    let body = json!({ "tenant": tenant, "email": email, "password": "wrong horse battery" });
    let body = body.to_string();
    let more = format!("{JSON}X-Forwarded-For: 2001:db8:{kind}:{n:x}::1\r\n");
    let start = now();
    let (status, _) = client.call("POST", "/api/v1/auth/login", &more, body.as_bytes())?;
    let took = start.elapsed();
    ensure!(status == 401, "{status}");
    Ok(took.as_secs_f64() * 1000.0)
}

/// The share of pairs in which the one of `sample` is longer than the one of `other`, and how many
/// standard deviations that is away from a half, were both alike.
fn longer(sample: &[f64], other: &[f64]) -> (f64, f64) {
    let mut wins = 0.0;
    for a in sample {
        for b in other {
            wins += match a.total_cmp(b) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            };
        }
    }
    let (n, m) = (sample.len() as f64, other.len() as f64);
    let share = wins / (n * m);
    (share, (share - 0.5) / ((n + m + 1.0) / (12.0 * n * m)).sqrt())
}
