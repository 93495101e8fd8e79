//! Job logs of real clusters: imported whole, again without harm, and answered about exactly as a
//! computation over the file's own lines says.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "support/binary.rs"]
mod binary;
#[path = "traces/log.rs"]
mod log;

use binary::{Binary, TENANT};
use log::{Job, Log};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A log and what its description says of it.
struct Expected {
    file: &'static str,
    rows: u64,
    by_status: &'static [(&'static str, u64)],
    users: usize,
    commands: usize,
    /// For a log that does not say when it begins.
    epoch_s: Option<i64>,
}

/// The file, or `None` with a message where there is none.
fn path_of(file: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/swf").join(file);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: the job log {file}, which is not beside the repository");
    None
}

fn import(binary: &Binary, path: &Path, epoch_s: Option<i64>) -> Value {
    let epoch = epoch_s.map(|s| s.to_string());
    let mut args = vec!["import", path.to_str().unwrap(), "--tenant", TENANT, "--json"];
    if let Some(epoch) = &epoch {
        args.extend(["--epoch", epoch]);
    }
    binary.json(&args)
}

fn demand_report(report: &Value, rows: u64, accepted: u64) {
    let wanted = [
        ("rows", rows),
        ("accepted", accepted),
        ("duplicates", rows - accepted),
        ("quarantined", 0),
        ("rejected", 0),
    ];
    for (name, wanted) in wanted {
        assert_eq!(report[name].as_u64(), Some(wanted), "{name} in {report}");
    }
}

fn check(expected: &Expected) {
    let Some(path) = path_of(expected.file) else { return };
    let dir = tempfile::tempdir().unwrap();
    let binary = Binary::initialised(&dir.path().join("data"));
    let rows = expected.rows;
    demand_report(&import(&binary, &path, expected.epoch_s), rows, rows);
    demand_report(&import(&binary, &path, expected.epoch_s), rows, 0);
    let renamed = dir.path().join("another-name.gz");
    std::fs::copy(&path, &renamed).unwrap();
    demand_report(&import(&binary, &renamed, expected.epoch_s), rows, 0);

    let log = Log::read(&path, expected.epoch_s);
    assert_eq!(log.jobs.len() as u64, rows);
    demand_groups(&binary, &log, "status", |job| job.status.to_owned());
    demand_groups(&binary, &log, "user_id", |job| job.user.clone());
    demand_groups(&binary, &log, "team_id", |job| job.team.clone());
    demand_groups(&binary, &log, "command", |job| job.command.clone());
    demand_groups(&binary, &log, "day", Job::day);

    let of_status = |status| log.jobs.iter().filter(|job| job.status == status).count() as u64;
    for (status, count) in expected.by_status {
        assert_eq!(of_status(*status), *count, "{status}");
    }
    let distinct = |of: &dyn Fn(&Job) -> String| {
        log.jobs.iter().map(of).collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!(distinct(&|job| job.user.clone()), expected.users);
    assert_eq!(distinct(&|job| job.command.clone()), expected.commands);
    binary.run(&["check"]); // fails if anything stored is not sound
}

/// The metrics asked, after the groups.
const METRICS: [&str; 10] = [
    "count",
    "sum(duration_ms)",
    "min(duration_ms)",
    "max(duration_ms)",
    "sum(values.cpu_ms)",
    "max(values.procs)",
    "p50(duration_ms)",
    "p95(duration_ms)",
    "p99(duration_ms)",
    "p90(values.wait_ms)",
];

/// Asks for `group` (a column, or `day`) and compares every group with the log's own.
fn demand_groups(binary: &Binary, log: &Log, group: &str, key: impl Fn(&Job) -> String) {
    let mut args = vec!["query", "--tenant", TENANT, "--json", "--limit", "1000000"];
    match group {
        "day" => args.extend(["--bucket", "day"]),
        column => args.extend(["--group-by", column]),
    }
    args.extend(METRICS.iter().flat_map(|metric| ["--metric", metric]));
    let answer = binary.json(&args);
    let mut groups: BTreeMap<String, Vec<&Job>> = BTreeMap::new();
    for job in &log.jobs {
        groups.entry(key(job)).or_default().push(job);
    }
    let rows = answer["rows"].as_array().unwrap();
    assert_eq!(rows.len(), groups.len(), "groups by {group}");
    for row in rows {
        let name = row[0].as_str().unwrap();
        let jobs = groups.get(name).unwrap_or_else(|| panic!("{group} `{name}` is not in the log"));
        for (metric, found) in METRICS.iter().zip(&row.as_array().unwrap()[1..]) {
            log::demand(&format!("{metric} of {group} `{name}`"), found, metric, jobs);
        }
    }
}

#[test]
fn ricc_has_every_job_once() {
    check(&Expected {
        file: "RICC-2010-2.swf.gz",
        rows: 447_794,
        by_status: &[("success", 431_549), ("cancelled", 16_245)],
        users: 176,
        commands: 1,
        epoch_s: None,
    });
}

#[test]
fn kth_has_every_job_once() {
    check(&Expected {
        file: "KTH-SP2-1996.swf.gz",
        rows: 28_489,
        by_status: &[("success", 20_541), ("failure", 7_948)],
        users: 214,
        commands: 1,
        epoch_s: None,
    });
}

#[test]
fn nasa_has_every_job_once() {
    check(&Expected {
        file: "NASA-iPSC-1993-3.1-cln.swf.gz",
        rows: 18_239,
        by_status: &[("unknown", 18_239)],
        users: 69,
        commands: 494,
        epoch_s: None,
    });
}

#[test]
fn a_log_without_a_beginning_needs_one() {
    let file = "lublin_256-SYNTHETIC.swf.gz";
    let Some(path) = path_of(file) else { return };
    let dir = tempfile::tempdir().unwrap();
    let binary = Binary::initialised(dir.path());
    let output = binary.output(&["import", "--tenant", TENANT], &[&path]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("--epoch"), "the error does not say what to do: {said}");
    check(&Expected {
        file,
        rows: 10_000,
        by_status: &[("success", 10_000)],
        users: 1,
        commands: 1,
        epoch_s: Some(1_267_401_600), // 2010-03-01T00:00:00Z
    });
}
