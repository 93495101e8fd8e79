//! `kill -9` of an importing process at any moment: the import that is started again ends with
//! exactly the file's rows.
//!
//! `EMX_SOAK=1` kills 100 times, otherwise some times.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "support/binary.rs"]
mod binary;

use binary::{Binary, TENANT, is_soak};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::io::{Read, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

const ROWS: u64 = 120_000;
const KILLS_FULL: u32 = 100;
const KILLS_SHORT: u32 = 8;

/// An import that is killed over and over is let through after so many kills.
const KILLS_IN_A_ROW: u32 = 4;

/// How much longer an import lives that has taken its share: some commits, or a seal.
const PATIENCE_MAX: Duration = Duration::from_millis(100);

/// The file to import, with ids that say their number; gives the sum of the durations in ms.
fn write_sample(path: &Path) -> u64 {
    let mut text = String::new();
    let mut sum_ms = 0;
    for n in 0..ROWS {
        let duration_ms = n * 7919 % 10_007;
        sum_ms += duration_ms;
        writeln!(
            text,
            "{{\"id\":\"run-{n:06}\",\"ts\":\"2026-03-{day:02}T{hour:02}:{minute:02}:00Z\",\
             \"command\":\"make {what}\",\"user_id\":\"user {user}\",\"duration_ms\":{duration_ms},\
             \"exit_code\":0}}",
            day = n * 28 / ROWS + 1,
            hour = n % 24,
            minute = n % 60,
            what = n % 37,
            user = n % 101,
        )
        .unwrap();
    }
    std::fs::write(path, text).unwrap();
    sum_ms
}

/// Runs an import and kills it once it has taken `share` of the file and `patience` has passed,
/// unless it ends before. Gives whether it ended. What it has taken is known because the file goes
/// in by its standard input: so kills fall all over an import, however fast the machine is.
fn import_and_kill(binary: &Binary, content: &[u8], share: f64, patience: Duration) -> bool {
    let mut child = binary
        .command(&["import", "-", "--format", "ndjson"])
        .args(["--tenant", TENANT, "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let part = (content.len() as f64 * share) as usize;
    input.write_all(&content[..part]).unwrap();
    // Its output ends when it does: that, or the end of our patience, is what is waited for.
    let mut output = child.stdout.take().unwrap();
    let (ended, end) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let _ = output.read_to_end(&mut Vec::new());
        let _ = ended.send(());
    });
    if part == content.len() {
        drop(input); // it may end by itself
    }
    let killed = end.recv_timeout(patience).is_err();
    if killed {
        child.kill().unwrap(); // SIGKILL
    }
    let status = child.wait().unwrap();
    reader.join().unwrap();
    assert!(killed || status.success(), "the import failed by itself: {status}");
    status.success()
}

/// Everything the store says about the rows is what the file says.
fn demand_exactly(binary: &Binary, sum_ms: u64) {
    let metrics = ["--metric", "count", "--metric", "sum(duration_ms)"];
    let answer =
        binary.json(&[&["query", "--tenant", TENANT, "--json"][..], &metrics[..]].concat());
    let row = &answer["rows"][0];
    assert_eq!(row[0].as_f64(), Some(ROWS as f64), "{answer}");
    assert_eq!(row[1].as_f64(), Some(sum_ms as f64), "{answer}");
    let exported = binary.run(&["export", "--tenant", TENANT, "--format", "ndjson"]);
    let mut ids = BTreeSet::new();
    for line in exported.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(ids.insert(row["id"].as_str().unwrap().to_owned()), "twice: {line}");
    }
    assert!((0..ROWS).all(|n| ids.contains(&format!("run-{n:06}"))), "a row is missing");
    assert_eq!(ids.len() as u64, ROWS);
    binary.run(&["check"]);
}

#[test]
fn an_import_that_is_killed_and_resumed_ends_with_the_files_rows() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sample.ndjson");
    let sum_ms = write_sample(&file);
    let fresh = Binary::initialised(&dir.path().join("fresh"));

    let peaceful = fresh.copied_to(&dir.path().join("peaceful"));
    let report = peaceful.import(&file);
    assert_eq!(report["accepted"].as_u64(), Some(ROWS), "{report}");
    demand_exactly(&peaceful, sum_ms);

    let content = std::fs::read(&file).unwrap();
    let kills = if is_soak() { KILLS_FULL } else { KILLS_SHORT };
    let mut chance = StdRng::seed_from_u64(kills.into());
    let (mut done, mut rounds, mut midway) = (0, 0, 0);
    while done < kills {
        let killed = fresh.copied_to(&dir.path().join(format!("killed-{rounds}")));
        rounds += 1;
        for _ in 0..KILLS_IN_A_ROW {
            // One in six has the whole file: it is killed while it commits the rest and settles.
            let share = chance.random_range(0.0..1.2_f64).min(1.0);
            let patience = PATIENCE_MAX.mul_f64(chance.random());
            if done == kills || import_and_kill(&killed, &content, share, patience) {
                break;
            }
            done += 1;
        }
        let report = killed.import(&file);
        let number = |name: &str| report[name].as_u64().unwrap();
        assert_eq!(number("accepted") + number("duplicates"), ROWS, "{report}");
        midway += u32::from(number("accepted") > 0 && number("duplicates") > 0);
        demand_exactly(&killed, sum_ms);
        let again = killed.import(&file);
        assert_eq!(again["duplicates"].as_u64(), Some(ROWS), "{again}");
        std::fs::remove_dir_all(killed.data_dir()).unwrap();
    }
    println!("{done} kills in {rounds} imports, {midway} of them were resumed midway");
    assert!(midway * 4 >= rounds, "only {midway} of {rounds} were killed midway");
}
