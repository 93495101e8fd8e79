//! A job log read the plainest way: what the imported rows are held against. Shares nothing with
//! the program but the format's description.

use flate2::read::GzDecoder;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// A job's line.
pub(crate) struct Job {
    /// Unix seconds.
    start_s: i64,
    run_s: Option<f64>,
    wait_s: Option<f64>,
    procs: Option<f64>,
    cpu_s: Option<f64>,
    pub(crate) status: &'static str,
    pub(crate) user: String,
    pub(crate) team: String,
    pub(crate) command: String,
}

pub(crate) struct Log {
    pub(crate) jobs: Vec<Job>,
}

impl Log {
    /// Reads the gzipped log `path`, which begins at `epoch_s` if it does not say when.
    pub(crate) fn read(path: &Path, epoch_s: Option<i64>) -> Self {
        let mut begin_s = epoch_s;
        let mut jobs = Vec::new();
        for line in BufReader::new(GzDecoder::new(File::open(path).unwrap())).split(b'\n') {
            // Some headers have names in another encoding.
            let line = String::from_utf8_lossy(&line.unwrap()).into_owned();
            if let Some((_, value)) = line.split_once("UnixStartTime:") {
                begin_s = Some(value.trim().parse().unwrap());
            } else if !line.trim().is_empty() && !line.trim_start().starts_with(';') {
                jobs.push(Job::read(&line, begin_s.unwrap()));
            }
        }
        Self { jobs }
    }
}

impl Job {
    fn read(line: &str, begin_s: i64) -> Self {
        let fields: Vec<f64> =
            line.split_whitespace().map(|field| field.parse().unwrap()).collect();
        // The description counts fields from 1.
        let known = |n: usize| Some(fields[n - 1]).filter(|&number| number != -1.0);
        let named = |n: usize, prefix: &str| {
            known(n).map_or(String::new(), |number| format!("{prefix}{number}"))
        };
        let command = named(14, "exe-");
        Self {
            start_s: begin_s + fields[1] as i64 + known(3).unwrap_or(0.0) as i64,
            run_s: known(4),
            wait_s: known(3),
            procs: known(5),
            cpu_s: known(6),
            status: match fields[10] as i64 {
                0 => "failure",
                1 => "success",
                5 => "cancelled",
                _ => "unknown",
            },
            user: named(12, "user-"),
            team: named(13, "group-"),
            command: if command.is_empty() { "job".to_owned() } else { command },
        }
    }

    /// The start of its day, as an answer writes it.
    pub(crate) fn day(&self) -> String {
        let day = jiff::Timestamp::from_second(self.start_s.div_euclid(86_400) * 86_400).unwrap();
        day.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
    }
}

/// Demands that `found` is what `metric` is over `jobs`: sums and extremes exactly, percentiles
/// within 1 % of the nearest rank.
pub(crate) fn demand(what: &str, found: &Value, metric: &str, jobs: &[&Job]) {
    if metric == "count" {
        return assert_eq!(found.as_u64(), Some(jobs.len() as u64), "{what}");
    }
    let (function, field) = metric.trim_end_matches(')').split_once('(').unwrap();
    let number = |job: &&Job| match field {
        "duration_ms" => job.run_s.map(|s| s * 1000.0),
        "values.wait_ms" => job.wait_s.map(|s| s * 1000.0),
        "values.cpu_ms" => job.cpu_s.map(|s| s * 1000.0),
        "values.procs" => job.procs,
        _ => unreachable!("`{field}` is not asked"),
    };
    let mut numbers: Vec<f64> = jobs.iter().filter_map(number).collect();
    numbers.sort_by(f64::total_cmp);
    let (Some(&least), Some(&greatest)) = (numbers.first(), numbers.last()) else {
        return assert!(found.is_null(), "{what}: {found}, but no job has a number");
    };
    let found = found.as_f64().unwrap_or_else(|| panic!("{what}: {found}"));
    let sum: f64 = numbers.iter().sum();
    let (wanted, error) = match function {
        "sum" if field == "duration_ms" => (sum, 0.0),
        "sum" => (sum, 1e-9),
        "min" => (least, 0.0),
        "max" => (greatest, 0.0),
        percentile => {
            let p: usize = percentile[1..].parse().unwrap();
            (numbers[(p * numbers.len()).div_ceil(100) - 1], 0.01)
        }
    };
    let difference = (found - wanted).abs();
    assert!(difference <= error * wanted.abs(), "{what}: {found} is not {wanted}");
}
