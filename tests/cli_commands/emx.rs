//! Runs the binary.

use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A place with a data directory, and the binary to work on it.
pub(crate) struct Emx {
    pub(crate) place: TempDir,
}

/// What a run left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Emx {
    /// An empty place.
    pub(crate) fn new() -> Self {
        Self { place: tempfile::tempdir().unwrap() }
    }

    /// With tenant `demo`.
    pub(crate) fn initialised() -> Self {
        let emx = Self::new();
        emx.ok(&["init", "--tenant", "demo", "--admin", "you@example.org"]);
        emx
    }

    /// With tenant `demo` and the eight executions of `examples/builds.csv`.
    pub(crate) fn with_builds() -> Self {
        let emx = Self::initialised();
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/builds.csv");
        let map = ["--map", "took_s=duration_ms", "--map", "branch=labels.branch"];
        emx.ok(&[&["import", file, "--tenant", "demo"][..], &map].concat());
        emx
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.place.path().join("data")
    }

    /// The binary with `arguments`, no settings but its defaults, and nothing to read.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_emx"));
        command.current_dir(self.place.path()).args(arguments).stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("EMX_")) {
            command.env_remove(name);
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.command(arguments).output().unwrap().into()
    }

    pub(crate) fn run_with_stdin(&self, arguments: &[&str], stdin: &str) -> Ran {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // The binary may refuse before it reads.
        let _refused = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        child.wait_with_output().unwrap().into()
    }

    /// What a run that must succeed prints.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{arguments:?}: {ran:?}");
        ran.out
    }

    /// The same as JSON.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["--json"]].concat();
        serde_json::from_str(&self.ok(&arguments)).unwrap()
    }

    /// Runs what must fail with exit status `code`: for people with `error: …` on standard error,
    /// for programs with a problem object whose code is `word`.
    #[track_caller]
    pub(crate) fn fails(&self, arguments: &[&str], code: i32, word: &str) -> Ran {
        let ran = self.run(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{arguments:?}: {ran:?}");
        assert!(ran.err.starts_with("error: "), "{arguments:?}: {ran:?}");
        let as_json = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(as_json.code, code, "{as_json:?}");
        let problem: Value = serde_json::from_str(&as_json.err).unwrap();
        assert_eq!(problem["code"], word, "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
        ran
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
