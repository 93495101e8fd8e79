//! What commands read from files.

use anyhow::{Context, Result};
use std::fs::File;
use std::io::{Read, stdin};
use std::path::Path;

/// At most so many bytes of `file`, or of standard input where that is `-`.
pub(super) fn read_up_to(file: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = match file.to_str() {
        Some("-") => stdin().lock().take(bytes_max).read_to_end(&mut bytes),
        _ => File::open(file).and_then(|file| file.take(bytes_max).read_to_end(&mut bytes)),
    };
    read.with_context(|| format!("cannot read `{}`", file.display()))?;
    Ok(bytes)
}
