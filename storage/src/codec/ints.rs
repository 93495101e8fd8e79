//! Columns of integers.
//!
//! A column of no rows is no bytes. Otherwise its first byte is a *tag*:
//!
//! ```text
//!  bit 7   6   5     4        3      2  1  0
//! +------+---+---+--------+--------+---------+
//! | LZ4  | 0 | 0 | absent | zigzag |  shape  |
//! +------+---+---+--------+--------+---------+
//! ```
//!
//! **Mapping.** Numbers are stored as unsigned ones of 64 bits. `u8`, `u32` and `u64` are what they
//! are. An `i64` is what it is if no number of its column is negative, else it is zigzag coded
//! (0, -1, 1, -2, … become 0, 1, 2, 3, …) and the *zigzag* bit is set. Two values mean "absent":
//! `u64::MAX` and `i64::MIN`; both are mapped to 2^64 - 1. All arithmetic is modulo 2^64.
//!
//! **Shapes.** After the tag:
//!
//! - 0, *constant*: the number as a varint (unsigned LEB128), which every row has.
//! - 1, *linear*: first and step, two varints. Row `i` is `first + i * step`; the step is zigzag
//!   coded.
//! - 2, *frames*: see below.
//! - 3, *delta frames*: see below.
//!
//! With the *LZ4* bit (only for frames), what follows the tag is the length of the rest as a varint
//! and the rest as an LZ4 block.
//!
//! **Frames.** The rows are cut into frames of 256, the last one may be shorter; `F` is how many.
//!
//! ```text
//! +------------+------------------------+--------------------------------------+
//! | low varint | sizes u8: B | E << 4   | step varint, S u8 (delta frames only) |
//! +------------+------------------------+--------------------------------------+
//! | F x width u8 | F x base, B bytes    | F x step, S bytes (delta frames only) |
//! +--------------+----------------------+--------------------------------------+
//! | only if E > 0: F x count u8 | positions u8 | exceptions, E bytes each       |
//! +-----------------------------+--------------+-------------------------------+
//! | packed numbers, frame after frame                                          |
//! +----------------------------------------------------------------------------+
//! ```
//!
//! B, S and E are at most 8; bases, steps and exceptions are little endian. Positions and
//! exceptions of all frames follow each other in the order of the frames, `count` for each. A
//! frame's width is the low 7 bits of its byte, at most 64. Number `i` of a frame is packed as
//! `x[i]`; an exception replaces `x` at its position by a number that its width cannot hold.
//! Frames of reference with exceptions are PFOR (Zukowski et al., "Super-scalar RAM-CPU cache
//! compression", 2006).
//!
//! - *frames*: number `i` is `low + base + x[i]`. If the top bit of the width byte is set, `x = 0`
//!   means absent and any other number is `low + base + x[i] - 1`. If it is not set, but the
//!   *absent* bit of the tag is, an exception with all its bits set means absent.
//! - *delta frames*: number 0 is `low + base`, number `i` is the one before plus
//!   `step + frame step + x[i]`; `x[0]` is not used. `step` is zigzag coded, nothing is absent.
//!
//! **Packing.** A full frame lies in lanes: `x[i]` of width at most 32 belongs to lane `i % 8`,
//! and is the `i / 8`-th number of that lane; a lane is one bit stream, lowest bit first, in 32-bit
//! little-endian words; word `k` of lane `l` lies at byte `4 * (8 * k + l)` of the frame. Wider ones
//! lie in 4 lanes of 64-bit words alike. A frame that is not full is one bit stream, lowest bit
//! first, padded to whole bytes.

use super::{frames, unframe};
use crate::error::Corrupt;

/// A number that can be a column's.
pub(super) trait Int: Copy + Default {
    /// What stands for "absent", if something does.
    const NONE: Option<Self> = None;

    /// The number as an unsigned one, [`ABSENT`] if it is none.
    fn map(self, zigzag: bool) -> u64;

    /// The inverse of [`map`](Self::map) for every number that is not absent.
    fn unmap(mapped: u64, zigzag: bool) -> Self;

    /// Whether a column should be zigzag coded for this number.
    fn is_negative(self) -> bool {
        false
    }

    /// Whether it stands for "absent".
    fn is_none(self) -> bool {
        false
    }
}

/// What "absent" is mapped to.
pub(super) const ABSENT: u64 = u64::MAX;

impl Int for u8 {
    fn map(self, _: bool) -> u64 {
        u64::from(self)
    }

    fn unmap(mapped: u64, _: bool) -> Self {
        mapped as u8
    }
}

impl Int for u32 {
    fn map(self, _: bool) -> u64 {
        u64::from(self)
    }

    fn unmap(mapped: u64, _: bool) -> Self {
        mapped as u32
    }
}

impl Int for u64 {
    const NONE: Option<Self> = Some(Self::MAX);

    fn map(self, _: bool) -> u64 {
        self
    }

    fn unmap(mapped: u64, _: bool) -> Self {
        mapped
    }

    fn is_none(self) -> bool {
        self == Self::MAX
    }
}

impl Int for i64 {
    const NONE: Option<Self> = Some(Self::MIN);

    fn map(self, zigzag: bool) -> u64 {
        if zigzag {
            zigzag_of(self)
        } else {
            // All ones for the only negative number that there is without zigzag, `i64::MIN`.
            self as u64 | (self >> 63) as u64
        }
    }

    fn unmap(mapped: u64, zigzag: bool) -> Self {
        if zigzag { unzigzag(mapped) } else { mapped as i64 }
    }

    fn is_negative(self) -> bool {
        self < 0 && self != Self::MIN
    }

    fn is_none(self) -> bool {
        self == Self::MIN
    }
}

/// 0, -1, 1, -2, … as 0, 1, 2, 3, …
pub(super) fn zigzag_of(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

/// The inverse of [`zigzag_of`].
pub(super) fn unzigzag(mapped: u64) -> i64 {
    (mapped >> 1) as i64 ^ -((mapped & 1) as i64)
}

macro_rules! columns {
    ($encode:ident, $decode:ident, $t:ty, $about:literal) => {
        #[doc = concat!("Appends the encoded column of ", $about, ".")]
        pub fn $encode(values: &[$t], out: &mut Vec<u8>) {
            frames::encode(values, out);
        }

        #[doc = concat!("Replaces what is in `values` by an encoded column of ", $about, ", `rows` of them.")]
        pub fn $decode(bytes: &[u8], rows: usize, values: &mut Vec<$t>) -> Result<(), Corrupt> {
            unframe::decode(bytes, rows, values)
        }
    };
}

columns!(encode_u64s, decode_u64s, u64, "numbers, where `u64::MAX` is cheap as \"absent\"");
columns!(encode_i64s, decode_i64s, i64, "numbers, where `i64::MIN` is cheap as \"absent\"");
columns!(encode_u32s, decode_u32s, u32, "codes");
columns!(encode_u8s, decode_u8s, u8, "bytes");

#[cfg(test)]
mod tests;
