//! The product as the benchmarks use it: bytes in by the intake path, questions answered.

use anyhow::{Result, bail};
use serde_json::Value;
use std::path::Path;
use storage::engine::KeyspaceStats;

/// The engine with what stands in front of it.
#[derive(Debug)]
pub(crate) struct System;

/// An answer as the program has it.
#[derive(Debug)]
pub(crate) struct Answer;

/// An answer's rows, cells as JSON.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Value>>,
}

impl Answer {
    /// Where it came from.
    pub(crate) fn source(&self) -> &'static str {
        ""
    }

    /// As a table.
    pub(crate) fn table(self) -> Result<Table> {
        bail!("")
    }
}

impl System {
    /// Opens the data directory `path`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let _ = path;
        Ok(Self)
    }
    pub(crate) fn create(&self, _tenant: &str) -> Result<()> {
        bail!("")
    }
    pub(crate) fn send(&self, _tenant: &str, _body: &[u8]) -> Result<()> {
        bail!("")
    }
    pub(crate) fn settle(&self) -> Result<()> {
        bail!("")
    }
    pub(crate) fn reclaim(&self, _tenant: &str) -> Result<()> {
        bail!("")
    }
    pub(crate) fn stats(&self, _tenant: &str) -> Result<KeyspaceStats> {
        bail!("")
    }
    pub(crate) fn ask(&self, _tenant: &str, _question: &Value) -> Result<Answer> {
        bail!("")
    }
}
