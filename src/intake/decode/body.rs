//! Undoes a body's compression, within bounds.

use super::{BodyError, DecodeLimits};
use std::borrow::Cow;
use std::io::Read;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    #[default]
    Identity,
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// The largest window a zstd frame may ask for: 8 MiB, what RFC 8878 §3.1.1.1.2 recommends every
/// decoder to support.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// The body as it was before compression.
pub fn expand<'a>(
    body: &'a [u8],
    encoding: Encoding,
    limits: &DecodeLimits,
) -> Result<Cow<'a, [u8]>, BodyError> {
    if body.len() > limits.body_bytes_max {
        return Err(BodyError::TooLarge { what: "the body", limit: limits.body_bytes_max });
    }
    match encoding {
        Encoding::Identity => Ok(Cow::Borrowed(body)),
        Encoding::Gzip => {
            read_bounded("gzip", flate2::read::MultiGzDecoder::new(body), limits).map(Cow::Owned)
        }
        Encoding::Zstd => {
            let malformed = |e: std::io::Error| malformed("zstd", &e);
            let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(malformed)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(malformed)?;
            read_bounded("zstd", decoder, limits).map(Cow::Owned)
        }
    }
}

fn malformed(what: &'static str, error: &std::io::Error) -> BodyError {
    BodyError::Malformed { what, detail: error.to_string() }
}

fn read_bounded(
    what: &'static str,
    reader: impl Read,
    limits: &DecodeLimits,
) -> Result<Vec<u8>, BodyError> {
    let limit = limits.expanded_bytes_max;
    let mut out = Vec::new();
    reader.take(limit as u64 + 1).read_to_end(&mut out).map_err(|e| malformed(what, &e))?;
    if out.len() > limit {
        return Err(BodyError::TooLarge { what: "the decompressed body", limit });
    }
    Ok(out)
}
