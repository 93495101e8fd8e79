//! Seven questions, asked of this engine and of DuckDB in turn.

use crate::child::{Running, Task};
use crate::duckdb::{Peer, Question, THREADS, questions};
use crate::ingest::{TENANT, measure_load};
use crate::measure::{Spread, now, peak_memory};
use crate::system::{System, Table, table};
use crate::workload::{Calls, directory};
use crate::{Options, child};
use anyhow::{Context, Result, ensure};
use emx::query::Answer;
use emx::query::answer::source_word;
use emx::sample::Shape;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Times each question is asked after it was asked once.
const RUNS: usize = 15;

/// Largest relative difference of a percentile, of which one of the two is exact.
const PERCENTILE_ERROR: f64 = 0.01;

/// Largest relative difference of means and sums, whose order of addition differs.
const ROUNDING: f64 = 1e-9;

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
