//! The page in a real browser: `web-assets/e2e` drives it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the page's sources and what was built of them lie.
pub(crate) fn assets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("web-assets")
}

/// What this machine has not that driving the page needs, as a sentence.
pub(crate) fn missing() -> Option<&'static str> {
    let needs = [
        (has("chromium"), "there is no `chromium`"),
        (has("npm"), "there is no `npm`"),
        (assets().join("node_modules").is_dir(), "`npm ci` was not run in web-assets"),
        (assets().join("dist/index.html").is_file(), "the page was not built: `make ui`"),
    ];
    needs.into_iter().find_map(|(is_there, why)| (!is_there).then_some(why))
}

fn has(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}
