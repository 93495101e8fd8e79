//! Clocks, memory and what to make of many measurements.

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

/// The wall clock.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits until `instant`.
#[expect(clippy::disallowed_methods, reason = "calls are made at a set rate")]
pub(crate) fn wait_until(instant: Instant) {
    std::thread::sleep(instant.saturating_duration_since(now()));
}

/// User and system time of all threads of this process, those that ended included.
pub(crate) fn process_cpu() -> Duration {
    cpu(ClockId::ProcessCPUTime)
}

/// User and system time of this thread.
pub(crate) fn thread_cpu() -> Duration {
    cpu(ClockId::ThreadCPUTime)
}

fn cpu(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The most memory this process has had resident, bytes.
pub(crate) fn peak_memory() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("no `VmHWM`")?;
    let kib: u64 = line.split_whitespace().nth(1).context("no size")?.parse()?;
    Ok(kib << 10)
}

/// Bytes that the file system has allocated for everything under `path`, as `du` counts.
pub(crate) fn allocated(path: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    const SECTOR_BYTES: u64 = 512;
    let about = std::fs::symlink_metadata(path)?;
    let mut bytes = about.blocks() * SECTOR_BYTES;
    if about.is_dir() {
        for entry in std::fs::read_dir(path)? {
            bytes += allocated(&entry?.path())?;
        }
    }
    Ok(bytes)
}

/// The `permille`-th of `sorted` by nearest rank.
pub(crate) fn quantile(sorted: &[f64], permille: usize) -> f64 {
    let rank = (sorted.len() * permille).div_ceil(1000).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

/// Median and extremes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of `values`.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self {
            median: quantile(&sorted, 500),
            min: quantile(&sorted, 0),
            max: quantile(&sorted, 1000),
        }
    }
}

/// `median (min–max)`, with as many decimals as asked for.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        let Self { median, min, max } = self;
        write!(f, "{median:.digits$} ({min:.digits$}–{max:.digits$})")
    }
}

/// Bytes as MiB.
pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1 << 20) as f64
}
