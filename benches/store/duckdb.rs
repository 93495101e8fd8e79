//! The peer that answers are compared with, in a process of its own, and the questions for both.

use crate::workload::directory;
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What DuckDB is compared with: pinned, for a figure is worth nothing without its version.
const DUCKDB: &str = "duckdb==2.0.0";

/// Processors that either engine may use.
pub(crate) const THREADS: usize = 2;

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

/// DuckDB in a process of its own.
#[derive(Debug)]
pub(crate) struct Peer {
    process: Child,
    into: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts it and has it load `executions`.
    pub(crate) fn start(executions: &Path) -> Result<Self> {
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
    pub(crate) fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            bail!("DuckDB ended early");
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// Asks question `n`; milliseconds.
    pub(crate) fn ask(&mut self, n: usize) -> Result<f64> {
        writeln!(self.into, "run {n}")?;
        self.answer()?["ms"].as_f64().context("DuckDB gave no time")
    }

    /// The rows of question `n`.
    pub(crate) fn rows(&mut self, n: usize) -> Result<Vec<Vec<Value>>> {
        writeln!(self.into, "rows {n}")?;
        Ok(serde_json::from_value(self.answer()?["rows"].take())?)
    }

    pub(crate) fn stop(mut self) -> Result<()> {
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
