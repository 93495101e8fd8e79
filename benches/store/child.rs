//! Runs a measurement in a process of its own.

use crate::{audit, ingest, latency, questions, scale, shapes};
use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

/// What a child is to do.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Task {
    /// Parse every line and do nothing else.
    Parse(ingest::ParseTask),
    /// Load a workload.
    Load(ingest::LoadTask),
    /// Send single rows at a set rate.
    Latency(latency::LatencyTask),
    /// Ask the questions of a directory that is loaded.
    Ask(questions::AskTask),
    /// Open a directory as a crash has left it.
    Open(scale::OpenTask),
    /// Make many tenants.
    MakeTenants(scale::TenantsTask),
    /// Ask each of many tenants one question.
    AskTenants(scale::TenantsTask),
    /// Send rows one a call.
    Single(shapes::SingleTask),
    /// Make an audit log.
    MakeAudit(audit::AuditTask),
    /// Verify it.
    VerifyAudit(audit::AuditTask),
    /// Verify what was exported of it.
    VerifyExport(audit::AuditTask),
}

/// Does `task`, which is JSON, and prints what came out as one line of JSON.
pub(crate) fn run(task: &str) -> Result<()> {
    let result = match serde_json::from_str(task)? {
        Task::Parse(task) => serde_json::to_value(ingest::parse(&task)?),
        Task::Load(task) => serde_json::to_value(ingest::load(&task)?),
        Task::Latency(task) => serde_json::to_value(latency::send(&task)?),
        Task::Ask(task) => serde_json::to_value(questions::ask(&task)?),
        Task::Open(task) => serde_json::to_value(scale::open(&task)?),
        Task::MakeTenants(task) => serde_json::to_value(scale::make_tenants(&task)?),
        Task::AskTenants(task) => serde_json::to_value(scale::ask_tenants(&task)?),
        Task::Single(task) => serde_json::to_value(shapes::single(&task)?),
        Task::MakeAudit(task) => serde_json::to_value(audit::make(&task)?),
        Task::VerifyAudit(task) => serde_json::to_value(audit::verify(&task)?),
        Task::VerifyExport(task) => serde_json::to_value(audit::verify_export(&task)?),
    };
    println!("{}", result?);
    Ok(())
}

/// A child at work.
#[derive(Debug)]
pub(crate) struct Running {
    process: Child,
    out: BufReader<ChildStdout>,
}

impl Running {
    /// Starts a child on `task`.
    pub(crate) fn start(task: &Task) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["child", &serde_json::to_string(task)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = BufReader::new(process.stdout.take().context("the child has no output")?);
        Ok(Self { process, out })
    }

    /// The next line it prints.
    pub(crate) fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.out.read_line(&mut line)? == 0 {
            bail!("the child ended before it was done");
        }
        Ok(line)
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Waits until it is done and gives what it found.
    pub(crate) fn finish<T: DeserializeOwned>(mut self) -> Result<T> {
        let line = self.line();
        let status = self.process.wait()?;
        if !status.success() {
            bail!("the child failed: {status}");
        }
        Ok(serde_json::from_str(&line?)?)
    }
}

/// Runs `task` to its end in a child.
pub(crate) fn measure<T: DeserializeOwned>(task: &Task) -> Result<T> {
    Running::start(task)?.finish()
}
