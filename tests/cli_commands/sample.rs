//! Made-up executions.

use crate::emx::Emx;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

#[test]
fn the_same_seed_gives_the_same_lines() {
    let emx = Emx::new();
    let sample = |seed: &str| {
        emx.ok(&["sample", "--rows", "50", "--seed", seed, "--end", "2026-04-01T00:00:00Z"])
    };
    let lines = sample("7");
    assert_eq!((lines.lines().count(), &lines), (50, &sample("7")));
    assert_ne!(lines, sample("8"));
    for line in lines.lines() {
        let execution: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(execution["ts"].as_str().unwrap() < "2026-04-01", "{line}");
    }
    emx.fails(&["sample", "--end", "1970-01-02T00:00:00Z"], 2, "usage");
    assert_eq!(emx.ok(&["sample", "--rows", "50", "--seed", "7", "--end", "2026-04-01"]), lines);
    let ran = emx.fails(&["sample", "--end", "soon"], 2, "usage");
    assert!(ran.err.contains("write it as 2026-04-01T00:00:00Z"), "{ran:?}");
    emx.fails(&["sample", "--rows", "-1"], 2, "usage");
}

#[test]
fn a_reader_who_has_enough_ends_it_quietly() {
    let emx = Emx::new();
    let mut command = emx.command(&["sample", "--rows", "1000000"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with('{'));
    let output = child.wait_with_output().unwrap(); // the pipe is closed by now
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
