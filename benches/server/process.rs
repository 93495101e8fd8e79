//! A process that a benchmark has started: what it costs, and its end.

use anyhow::{Context, Result};
use std::process::Child;
use std::time::Duration;

/// A process that ends with this value.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

impl Process {
    /// User and system time until now (proc_pid_stat(5); ticks of 10 ms).
    pub(crate) fn cpu(&self) -> Result<Duration> {
        const TICK: Duration = Duration::from_millis(10);
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let fields: Vec<&str> =
            stat.rsplit(") ").next().unwrap_or_default().split_whitespace().collect();
        let ticks = |n: usize| -> Result<u32> { Ok(fields.get(n).context("no time")?.parse()?) };
        Ok(TICK * (ticks(11)? + ticks(12)?))
    }

    /// A size of its memory, bytes: `VmHWM:` (the most) or `VmRSS:` (now).
    pub(crate) fn memory(&self, name: &str) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find(|line| line.starts_with(name)).context("no such size")?;
        let kib: u64 = line.split_whitespace().nth(1).context("no size")?.parse()?;
        Ok(kib << 10)
    }
}
