//! The frame around every stored value.
//!
//! ```text
//! 0        1      2              n-8           n
//! +--------+------+---------------+-------------+
//! | version| kind | payload       | xxh3-64, LE |
//! +--------+------+---------------+-------------+
//! ```
//!
//! The checksum covers version, kind and payload and is seeded by a hash of the key that the value
//! is stored under, so a value that turns up under another key is refused like a damaged one.

use crate::error::Corrupt;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The format that is written. Only a reader that knows a version may open it.
pub const VERSION: u8 = 1;

/// Bytes that a frame adds to its payload.
pub const OVERHEAD: usize = HEAD + SUM;

const HEAD: usize = 2;
const SUM: usize = 8;

/// A frame that has been begun in a buffer; the payload is appended behind it.
#[derive(Debug)]
#[must_use = "a frame without its checksum cannot be opened"]
pub struct Frame {
    start: usize,
}

impl Frame {
    /// Begins a frame at the end of `out`. Append the payload, then [`finish`](Self::finish).
    pub fn begin(out: &mut Vec<u8>, kind: u8) -> Self {
        let start = out.len();
        out.extend_from_slice(&[VERSION, kind]);
        Self { start }
    }

    /// Appends the checksum for a value to be stored under `key`.
    pub fn finish(self, out: &mut Vec<u8>, key: &[u8]) {
        let sum = checksum(key, &out[self.start..]);
        out.extend_from_slice(&sum.to_le_bytes());
    }
}

/// The framed form of a payload that exists already (one copy).
pub fn seal(key: &[u8], kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + OVERHEAD);
    let frame = Frame::begin(&mut out, kind);
    out.extend_from_slice(payload);
    frame.finish(&mut out, key);
    out
}

/// The payload of the value `bytes` found under `key`, if it is intact and of this kind.
pub fn open<'a>(key: &[u8], kind: u8, bytes: &'a [u8]) -> Result<&'a [u8], Corrupt> {
    let (framed, sum) =
        bytes.split_last_chunk::<SUM>().ok_or_else(|| Corrupt::new("a value too short"))?;
    let [version, found, payload @ ..] = framed else {
        return Err(Corrupt::new("a value too short"));
    };
    if checksum(key, framed) != u64::from_le_bytes(*sum) {
        return Err(Corrupt::new(format!("a value of kind {kind}: its checksum does not fit")));
    }
    if *version != VERSION {
        return Err(Corrupt::new(format!("a value in the unknown format {version}")));
    }
    if *found != kind {
        return Err(Corrupt::new(format!("a value of kind {found} in the place of kind {kind}")));
    }
    Ok(payload)
}

fn checksum(key: &[u8], framed: &[u8]) -> u64 {
    xxh3_64_with_seed(framed, xxh3_64(key))
}
