//! How long the overview takes in a real browser: from the address until every tile, chart and table
//! shows its data.
//!
//! The browser's side is `web-assets/e2e/visits.mjs`. Its cache is emptied before each visit; its
//! connection stays, as that of whoever has the page open does.

use crate::Options;
use crate::browser;
use crate::load::send;
use crate::measure::Spread;
use crate::running::Running;
use crate::workload::{Calls, END_MS};
use anyhow::{Context, Result, ensure};
use emx::model::time::format_rfc3339;
use emx::sample::Shape;
use serde::Deserialize;
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// Visits of each kind, after one that is not counted.
const VISITS: u32 = 20;

/// What is promised of the first range with every answer computed.
const SHOWN_MS_MAX: f64 = 1000.0;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// The ranges that the page offers, all up to the workload's end; the first is all of it.
const RANGES: [(&str, i64); 5] = [
    ("90 days", 90 * DAY_MS),
    ("30 days", 30 * DAY_MS),
    ("7 days", 7 * DAY_MS),
    ("24 hours", DAY_MS),
    ("1 hour", HOUR_MS),
];

pub(crate) fn print(options: Options) -> Result<()> {
    if let Some(missing) = browser::missing() {
        println!("skipped: the page in a browser, {missing}");
        return Ok(());
    }
    let calls = Calls::prepare(options.rows, Shape::Ordered)?;
    let server = Running::start("server")?;
    send(&server, &calls, 4)?;
    server.settle()?;
    let mut browser = Browser::start(&server)?;
    println!(
        "{} executions, {VISITS} visits each, milliseconds. \"Computed\": an execution was written \
         before each visit, so that no kept answer holds; \"kept\": nothing was. Bound of the first: \
         {SHOWN_MS_MAX}.\n",
        calls.rows
    );
    println!(
        "| range | answers | shown, p50 | max | requests | questions among them | server's CPU |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|");
    for (name, length_ms) in RANGES {
        let (from, to) = (format_rfc3339(END_MS - length_ms), format_rfc3339(END_MS));
        let path = format!("/?from={from}&to={to}&tz=UTC");
        for (answers, is_written) in [("computed", true), ("kept", false)] {
            let visits = Visits::make(&mut browser, &server, &path, is_written)?;
            let Visits { shown, requests, questions, cpu_ms } = visits;
            println!(
                "| {name} | {answers} | {:.0} | {:.0} | {requests} | {questions} | {cpu_ms:.0} |",
                shown.median, shown.max
            );
        }
    }
    browser.stop()
}

/// Visits of the same address.
struct Visits {
    shown: Spread,
    /// Requests of the last one, and questions among them.
    requests: usize,
    questions: usize,
    /// Processor time of the server for each.
    cpu_ms: f64,
}

impl Visits {
    fn make(browser: &mut Browser, server: &Running, path: &str, is_written: bool) -> Result<Self> {
        let mut client = server.client(&server.key)?;
        let row =
            json!({ "command": "visit", "user_id": "visitor", "duration_ms": 1, "ts": END_MS - 1 });
        let row = row.to_string();
        browser.visit(path)?;
        let (mut shown, mut last, mut cpu) = (Vec::new(), Visit::default(), Duration::ZERO);
        for _ in 0..VISITS {
            if is_written {
                client.json("POST", "/api/v1/executions", row.as_bytes())?;
            }
            let before = server.cpu()?;
            last = browser.visit(path)?;
            cpu += server.cpu()? - before;
            shown.push(last.shown_ms);
        }
        let cpu_ms = cpu.as_secs_f64() * 1000.0 / f64::from(VISITS);
        let Visit { requests, questions, .. } = last;
        Ok(Self { shown: Spread::of(shown), requests, questions, cpu_ms })
    }
}

/// What the browser tells of a visit.
#[derive(Default, Deserialize)]
struct Visit {
    shown_ms: f64,
    requests: usize,
    questions: usize,
}

/// A browser that is signed in.
struct Browser {
    process: Child,
    into: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Browser {
    fn start(server: &Running) -> Result<Self> {
        let mut process = Command::new("node")
            .arg("e2e/visits.mjs")
            .current_dir(browser::assets())
            .env("EMX_E2E_URL", format!("https://{}", server.trust.host))
            .env("EMX_E2E_TENANT", "default")
            .env("EMX_E2E_EMAIL", "admin@localhost")
            .env("EMX_E2E_PASSWORD", server.password()?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let into = process.stdin.take().context("the browser has no input")?;
        let from = BufReader::new(process.stdout.take().context("the browser has no output")?);
        let mut browser = Self { process, into, from };
        browser.line()?;
        Ok(browser)
    }

    /// The next line it prints.
    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.from.read_line(&mut line)? > 0, "the browser ended early");
        Ok(line)
    }

    /// Opens the overview at `path`.
    fn visit(&mut self, path: &str) -> Result<Visit> {
        writeln!(self.into, "{path}")?;
        Ok(serde_json::from_str(&self.line()?)?)
    }

    fn stop(mut self) -> Result<()> {
        drop(self.into);
        ensure!(self.process.wait()?.success(), "the browser failed");
        Ok(())
    }
}
