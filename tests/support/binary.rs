//! The real binary on a data directory of its own.
#![allow(dead_code, reason = "every test that includes it uses another part")]

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The tenant that every data directory has.
pub(crate) const TENANT: &str = "acme";

/// Whether the long checks run in full.
pub(crate) fn is_soak() -> bool {
    std::env::var("EMX_SOAK").is_ok_and(|value| value == "1")
}

/// `emx --data-dir` somewhere.
#[derive(Debug)]
pub(crate) struct Binary {
    data_dir: PathBuf,
}

impl Binary {
    /// On the data directory `data_dir`, which need not exist.
    pub(crate) fn at(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned() }
    }

    /// On a new data directory, with a tenant and its administrator.
    pub(crate) fn initialised(data_dir: &Path) -> Self {
        let binary = Self::at(data_dir);
        let mut child = binary
            .command(&["init", "--tenant", TENANT, "--admin", "ada@example.org"])
            .arg("--password-stdin")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"correct horse battery staple 7\n").unwrap();
        drop(stdin);
        assert!(child.wait().unwrap().success(), "emx init");
        binary
    }

    /// On a copy of the data directory, made while nobody has it open.
    pub(crate) fn copied_to(&self, to: &Path) -> Self {
        copy(&self.data_dir, to);
        Self::at(to)
    }

    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// A command that is not started yet.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_emx"));
        command.args(args).arg("--data-dir").arg(&self.data_dir);
        command
    }

    /// Runs a command, whatever its status.
    pub(crate) fn output<A: AsRef<OsStr>>(&self, args: &[&str], more: &[A]) -> Output {
        self.command(args).args(more).output().unwrap()
    }

    /// Runs a command that must succeed, and gives what it prints.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        let output = self.output::<&str>(args, &[]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "emx {args:?}: {}\n{errors}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must succeed and print one JSON value.
    pub(crate) fn json(&self, args: &[&str]) -> serde_json::Value {
        let text = self.run(args);
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("emx {args:?}: {e} in `{text}`"))
    }

    /// Imports a file, which must succeed, and gives the report.
    pub(crate) fn import(&self, file: &Path) -> serde_json::Value {
        self.json(&["import", file.to_str().unwrap(), "--tenant", TENANT, "--json"])
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
