//! Panics: those that the engine expects and catches are no news for whoever runs a command; any
//! other one is a defect and is told.

use super::problem::{Failure, Problem};
use anyhow::Result;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

/// Part of the path of every source file of the storage library, which panics over damaged files.
/// The engine catches that, logs it and answers with an error that says what is damaged.
const LIBRARY_SOURCES: &str = "/redb-";

/// Keeps panics of the storage library out of standard error; they are logged for `log.level`
/// `debug`. All others are printed as ever.
pub(super) fn hush_library() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if panic.location().is_some_and(|place| is_of_library(place.file())) {
            tracing::debug!("{panic}");
        } else {
            print(panic);
        }
    }));
}

fn is_of_library(file: &str) -> bool {
    file.replace('\\', "/").contains(LIBRARY_SOURCES)
}

/// Runs `command`; a panic that nobody has caught is reported like a failure, so that it is never
/// without a word.
pub(super) fn reported(json: bool, command: impl FnOnce() -> Result<()>) -> Result<(), ExitCode> {
    let ended = panic::catch_unwind(AssertUnwindSafe(command)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason");
        Err(Failure::new("defect", format!("`emx` has a defect and gave up: {said}"))
            .help("what was acknowledged is stored; please report this message")
            .into())
    });
    ended.map_err(|error| match super::output::is_broken_pipe(&error) {
        true => ExitCode::SUCCESS,
        false => Problem::of(&error).report(json),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_storage_library_is_hushed() {
        let library = "/home/x/.cargo/registry/src/index.crates.io-0/redb-4.6.0/src/db.rs";
        assert!(is_of_library(library));
        for ours in ["src/app/mod.rs", "storage/src/embedded/db.rs", "/x/redbird-1.0/src/lib.rs"] {
            assert!(!is_of_library(ours), "{ours}");
        }
    }

    #[test]
    fn a_defect_is_a_failure() {
        let ended = reported(true, || panic!("two and two is {}", 5));
        assert!(ended.is_err());
        assert!(reported(true, || Ok(())).is_ok());
    }
}
