//! A disk so small that a test can fill it.
//!
//! A test runs itself again in a mount namespace of its own, where a small file system in memory
//! lies under its data; it is gone with the process, however that ends. Where the system does not
//! allow that, the test says so and does nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the small file system lies, for a test that was started on one.
const SMALL_DISK: &str = "EMX_SMALL_DISK";

/// Room for some tens of thousands of rows above what the engine keeps in reserve.
const DISK_MB: u32 = 40;

/// Runs the test `name` again on a small file system, and gives where that lies; `None` once it has
/// run.
pub(crate) fn on_small_disk(name: &str) -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os(SMALL_DISK) {
        return Some(dir.into());
    }
    let dir = tempfile::tempdir().unwrap();
    let mount = format!("mount -t tmpfs -o size={DISK_MB}m tmpfs \"${SMALL_DISK}\"");
    let in_namespace = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
        command.env(SMALL_DISK, dir.path());
        command
    };
    if !in_namespace(&mount).output().is_ok_and(|o| o.status.success()) {
        println!("skipped: `{name}`, for this system lets nobody mount a small file system");
        return None;
    }
    let output = in_namespace(&format!("{mount} && exec \"$@\""))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .output()
        .unwrap();
    print!("{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "on the small disk: {}", output.status);
    // A name that is no test's runs none, and that passes.
    let ran = String::from_utf8_lossy(&output.stdout).contains("1 passed");
    assert!(ran, "there is no test `{name}`");
    None
}

/// Fills what is left of the disk with the file `path`, but for `leave_bytes`.
pub(crate) fn ballast(path: &Path, leave_bytes: usize) {
    const CHUNK_BYTES: usize = 4096;
    let mut file = std::fs::File::create(path).unwrap();
    let mut len = 0;
    while std::io::Write::write_all(&mut file, &[1; CHUNK_BYTES]).is_ok() {
        len += CHUNK_BYTES;
    }
    file.set_len(len.saturating_sub(leave_bytes) as u64).unwrap();
}
