//! Standard output: the answer and nothing else.

use serde::Serialize;
use std::io::{self, BufWriter, IsTerminal, Write};

/// Writes an answer in one piece.
pub(super) fn text(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes an answer as one line of JSON.
pub(super) fn json(answer: &impl Serialize) -> anyhow::Result<()> {
    let mut line = serde_json::to_string(answer)?;
    line.push('\n');
    Ok(text(&line)?)
}

/// Standard output for long answers: written in pieces. The caller flushes it.
pub(super) fn stream() -> BufWriter<io::StdoutLock<'static>> {
    const BUFFER_BYTES: usize = 64 << 10; // few calls, and still nothing that anybody waits for
    BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock())
}

/// Widest cell of a table in columns: on a terminal a long one must not push the others off the
/// screen, in a file nothing is cut.
pub(super) fn cell_width_max() -> usize {
    const ON_TERMINAL: usize = 60;
    if io::stdout().is_terminal() { ON_TERMINAL } else { usize::MAX }
}

/// Whether a person watches standard error, where progress is shown.
pub(super) fn shows_progress() -> bool {
    io::stderr().is_terminal()
}

/// Whether whoever read our output has gone, as `head` does when it has enough. That is no
/// failure, and there is nobody to tell.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let json = cause.downcast_ref::<serde_json::Error>().and_then(|e| e.io_error_kind());
        io.or(json) == Some(io::ErrorKind::BrokenPipe)
    })
}
