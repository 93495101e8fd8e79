//! The workload in a file, and its calls: stretches of so many lines that are sent at once.

use anyhow::{Context, Result};
use emx::sample::{Shape, Workload};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// When every benchmark's workload ends: 2026-03-01T00:00:00Z, 90 days after it begins.
pub(crate) const END_MS: i64 = 1_772_323_200_000;

/// Executions a call has.
pub(crate) const CALL_ROWS: u64 = 5_000;

/// A file of lines and where its calls begin. Crosses to the child as JSON.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Calls {
    /// The file.
    pub(crate) path: PathBuf,
    /// How many lines it has.
    pub(crate) rows: u64,
    /// Offset of each call, and the file's length.
    offsets: Vec<u64>,
}

/// Where everything that benchmarks make lies: `EMX_BENCH_DIR`, else `target/bench`.
pub(crate) fn directory(name: &str) -> Result<PathBuf> {
    let root = std::env::var_os("EMX_BENCH_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench"), PathBuf::from);
    let path = root.join(name);
    std::fs::create_dir_all(&path).with_context(|| format!("making `{}`", path.display()))?;
    Ok(path)
}

/// An empty directory.
pub(crate) fn fresh_directory(name: &str) -> Result<PathBuf> {
    let path = directory(name)?;
    std::fs::remove_dir_all(&path)?;
    directory(name)
}

impl Calls {
    /// Writes the workload of `rows` executions in `shape`.
    pub(crate) fn prepare(rows: u64, shape: Shape) -> Result<Self> {
        let workload = Workload { shape, ..Workload::benchmark(rows, END_MS) };
        let path = directory("workloads")?.join(format!("{}-{rows}.ndjson", shape.as_str()));
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        let (mut lines, mut line) = (workload.lines(), Vec::new());
        let (mut offsets, mut offset, mut made) = (Vec::new(), 0, 0);
        while lines.append_to(&mut line) {
            if made % CALL_ROWS == 0 {
                offsets.push(offset);
            }
            made += 1;
            offset += line.len() as u64;
            out.write_all(&line)?;
            line.clear();
        }
        offsets.push(offset);
        out.into_inner()?.sync_all()?;
        Ok(Self { path, rows, offsets })
    }

    /// How many calls there are.
    pub(crate) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Bytes of all lines.
    pub(crate) fn bytes(&self) -> u64 {
        self.offsets.last().copied().unwrap_or(0)
    }

    /// Opens the file to read calls from it.
    pub(crate) fn open(&self) -> Result<File> {
        File::open(&self.path).with_context(|| format!("opening `{}`", self.path.display()))
    }

    /// Reads call `n` of `file` into `body`.
    pub(crate) fn read(&self, file: &File, n: usize, body: &mut Vec<u8>) -> Result<()> {
        let (start, end) = (self.offsets[n], self.offsets[n + 1]);
        body.resize((end - start) as usize, 0);
        file.read_exact_at(body, start)?;
        Ok(())
    }
}
