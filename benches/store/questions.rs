//! Seven questions, asked of this engine and of DuckDB in turn.

use crate::child::{Running, Task};
use crate::ingest::{TENANT, measure_load};
use crate::measure::{Spread, now, peak_memory};
use crate::system::{System, Table, table};
use crate::workload::{Calls, directory};
use crate::{Options, child};
use anyhow::{Context, Result, bail, ensure};
use emx::query::Answer;
use emx::query::answer::source_word;
use emx::sample::Shape;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What DuckDB is compared with: pinned, for a figure is worth nothing without its version.
const DUCKDB: &str = "duckdb==2.0.0";

/// Times each question is asked after it was asked once.
const RUNS: usize = 15;

/// Processors that either engine may use.
const THREADS: usize = 2;

/// Largest relative difference of a percentile, of which one of the two is exact.
const PERCENTILE_ERROR: f64 = 0.01;

/// Largest relative difference of means and sums, whose order of addition differs.
const ROUNDING: f64 = 1e-9;

/// A question in both languages.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Question {
    /// What is asked.
    pub(crate) name: String,
    /// As the contract's `POST /query` takes it.
    pub(crate) question: Value,
}

/// The questions, in `benches/questions.json` for both sides.
pub(crate) fn questions() -> Result<Vec<Question>> {
    Ok(serde_json::from_str(include_str!("../questions.json"))?)
}

/// Asks every question of a directory that is loaded.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct AskTask {
    pub(crate) directory: PathBuf,
}

/// How long answers took.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Asked {
    /// Median milliseconds of each question, warm.
    pub(crate) medians_ms: Vec<f64>,
    /// Peak memory, bytes.
    pub(crate) peak_bytes: u64,
}

/// Asks in this process.
pub(crate) fn ask(task: &AskTask) -> Result<Asked> {
    let system = System::open(&task.directory)?;
    let mut medians_ms = Vec::new();
    for question in questions()? {
        system.ask(TENANT, &question.question)?;
        let times: Result<Vec<f64>> =
            (0..RUNS).map(|_| timed(&system, &question).map(|(ms, _)| ms)).collect();
        medians_ms.push(Spread::of(times?).median);
    }
    Ok(Asked { medians_ms, peak_bytes: peak_memory()? })
}

/// Asks once; milliseconds and the answer.
fn timed(system: &System, question: &Question) -> Result<(f64, Answer)> {
    let start = now();
    let answer = system.ask(TENANT, &question.question)?;
    Ok((start.elapsed().as_secs_f64() * 1000.0, answer))
}

/// DuckDB in a process of its own.
#[derive(Debug)]
struct Peer {
    process: Child,
    into: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts it and has it load `executions`.
    fn start(executions: &Path) -> Result<Self> {
        let benches = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches");
        let mut process = Command::new(python()?)
            .arg(benches.join("duckdb_questions.py"))
            .arg(benches.join("questions.json"))
            .arg(executions)
            .arg(THREADS.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let into = process.stdin.take().context("DuckDB has no input")?;
        let from = BufReader::new(process.stdout.take().context("DuckDB has no output")?);
        Ok(Self { process, into, from })
    }

    /// The next line it prints.
    fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            bail!("DuckDB ended early");
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// Asks question `n`; milliseconds.
    fn ask(&mut self, n: usize) -> Result<f64> {
        writeln!(self.into, "run {n}")?;
        self.answer()?["ms"].as_f64().context("DuckDB gave no time")
    }

    /// The rows of question `n`.
    fn rows(&mut self, n: usize) -> Result<Vec<Vec<Value>>> {
        writeln!(self.into, "rows {n}")?;
        Ok(serde_json::from_value(self.answer()?["rows"].take())?)
    }

    fn stop(mut self) -> Result<()> {
        drop(self.into);
        self.process.wait()?;
        Ok(())
    }
}

/// The Python of a virtual environment with DuckDB in it, made if it is not there.
fn python() -> Result<PathBuf> {
    let home = directory("duckdb")?.join(DUCKDB.replace('=', "-"));
    let python = home.join("bin/python");
    let installed = home.join("installed");
    if installed.exists() {
        return Ok(python);
    }
    let run = |command: &mut Command| -> Result<()> {
        let status = command.stdout(Stdio::null()).status()?;
        ensure!(status.success(), "`{command:?}` failed: it needs Python 3 and the internet");
        Ok(())
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", DUCKDB]))?;
    std::fs::write(installed, "")?;
    Ok(python)
}

/// Prints the table of both, and fails if they do not agree.
pub(crate) fn print(options: Options) -> Result<()> {
    let calls = Calls::prepare(options.rows, Shape::Ordered)?;
    let mut peer = Peer::start(&calls.path)?;
    let about = peer.answer()?;
    ensure!(about["rows"] == json!(calls.rows), "DuckDB loaded {}", about["rows"]);
    measure_load("questions", &calls, 1)?;
    let system = System::open(&directory("questions")?)?;
    println!(
        "{} executions; DuckDB {} with {THREADS} threads, rows in its table in memory. Medians of \
         {RUNS} warm runs in turn, milliseconds.\n",
        calls.rows,
        about["version"].as_str().unwrap_or_default(),
    );
    println!("| question | groups | emx | DuckDB | ratio | source |");
    println!("|---|--:|--:|--:|--:|---|");
    for (n, question) in questions()?.iter().enumerate() {
        let answer = system.ask(TENANT, &question.question)?;
        let source = source_word(answer.table.source);
        let table = table(&answer)?;
        agree(&table, &peer.rows(n)?)
            .with_context(|| format!("`{}` has two answers", question.name))?;
        peer.ask(n)?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            ours.push(timed(&system, question)?.0);
            theirs.push(peer.ask(n)?);
        }
        let (ours, theirs) = (Spread::of(ours), Spread::of(theirs));
        println!(
            "| {} | {} | {ours} | {theirs} | {:.2} | {source} |",
            question.name,
            table.rows.len(),
            ours.median / theirs.median,
        );
    }
    peer.stop()?;
    let again: Asked =
        child::measure(&Task::Ask(AskTask { directory: close(system, "questions")? }))?;
    println!("\nPeak memory of asking: {:.0} MiB.", crate::measure::mib(again.peak_bytes));
    Ok(())
}

/// Closes `system`, so that another process can open its directory.
fn close(system: System, name: &str) -> Result<PathBuf> {
    drop(system);
    directory(name)
}

/// Fails unless both have the same groups with the same numbers.
fn agree(ours: &Table, theirs: &[Vec<Value>]) -> Result<()> {
    ensure!(ours.rows.len() == theirs.len(), "{} and {} rows", ours.rows.len(), theirs.len());
    let is_key =
        |n: usize| !ours.columns[n].ends_with(')') && !METRICS.contains(&&*ours.columns[n]);
    let key = |row: &[Value]| -> String {
        let words = row.iter().enumerate().filter(|(n, _)| is_key(*n)).map(|(_, cell)| cell);
        serde_json::to_string(&words.collect::<Vec<_>>()).unwrap_or_default()
    };
    let by_key: HashMap<String, &Vec<Value>> = theirs.iter().map(|row| (key(row), row)).collect();
    for row in &ours.rows {
        let other = by_key.get(&key(row)).with_context(|| format!("only here: {row:?}"))?;
        for (n, column) in ours.columns.iter().enumerate().filter(|(n, _)| !is_key(*n)) {
            ensure!(same(column, &row[n], &other[n]), "`{column}` in {row:?} is {}", other[n]);
        }
    }
    Ok(())
}

/// Metrics whose name has no parentheses.
const METRICS: [&str; 3] = ["count", "failure_count", "success_rate"];

/// Whether two values of `column` are the same as far as they must be.
fn same(column: &str, a: &Value, b: &Value) -> bool {
    let (Some(a), Some(b)) = (a.as_f64(), b.as_f64()) else { return a == b };
    let error = match column {
        "count" | "failure_count" => 0.0,
        _ if column.starts_with('p') => PERCENTILE_ERROR,
        _ => ROUNDING,
    };
    (a - b).abs() <= error * b.abs()
}

/// Starts a child on the questions of `directory`.
pub(crate) fn measure_questions(directory: &Path) -> Result<Asked> {
    Running::start(&Task::Ask(AskTask { directory: directory.to_owned() }))?.finish()
}
