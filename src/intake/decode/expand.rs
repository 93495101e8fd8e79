//! Decompression with bounds: on what comes, on what comes of it, and on the ratio of both.

use super::{BodyError, DecodeLimits};
use crate::model::limits::{EXPANSION_FREE_BYTES, ZSTD_WINDOW_LOG_MAX};
use flate2::read::MultiGzDecoder;
use std::borrow::Cow;
use std::io::Read;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// It is not.
    Identity,
    /// gzip (RFC 1952), one member or several.
    Gzip,
    /// Zstandard (RFC 8878), one frame or several.
    Zstd,
}

impl Encoding {
    /// The compression that a `Content-Encoding` names. Lists of several are not understood:
    /// nobody compresses twice but to hide how much comes out.
    pub fn of(content_encoding: &str) -> Option<Self> {
        match content_encoding.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// The bytes that `bytes` stand for.
pub(super) fn expand<'b>(
    bytes: &'b [u8],
    encoding: Encoding,
    limits: &DecodeLimits,
) -> Result<Cow<'b, [u8]>, BodyError> {
    if bytes.len() > limits.body_bytes_max {
        return Err(BodyError::TooLarge { limit: limits.body_bytes_max, when: "" });
    }
    match encoding {
        Encoding::Identity => Ok(Cow::Borrowed(bytes)),
        Encoding::Gzip => read_all(MultiGzDecoder::new(bytes), bytes.len(), "gzip", limits),
        Encoding::Zstd => {
            let invalid = |_| BodyError::InvalidEncoding { encoding: "zstd" };
            let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(invalid)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(invalid)?;
            read_all(decoder, bytes.len(), "zstd", limits)
        }
    }
}

/// Bytes that are read between two looks at the bounds.
const STEP_BYTES: usize = 256 << 10;

/// Compressed JSON is about an eighth: room for that much is taken at once.
const RATIO_USUAL: usize = 8;

fn read_all<'b>(
    mut decoder: impl Read,
    compressed: usize,
    encoding: &'static str,
    limits: &DecodeLimits,
) -> Result<Cow<'b, [u8]>, BodyError> {
    let by_ratio = compressed.saturating_mul(limits.ratio_max).max(EXPANSION_FREE_BYTES);
    let mut out = Vec::with_capacity((compressed * RATIO_USUAL).min(limits.expanded_bytes_max));
    loop {
        let read = decoder
            .by_ref()
            .take(STEP_BYTES as u64)
            .read_to_end(&mut out)
            .map_err(|_| BodyError::InvalidEncoding { encoding })?;
        if out.len() > by_ratio {
            return Err(BodyError::ExpandsTooMuch { limit: limits.ratio_max });
        }
        if out.len() > limits.expanded_bytes_max {
            let limit = limits.expanded_bytes_max;
            return Err(BodyError::TooLarge { limit, when: " after decompression" });
        }
        if read == 0 {
            return Ok(Cow::Owned(out));
        }
    }
}
