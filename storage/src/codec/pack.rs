//! Bit packing of frames of 256 numbers.
//!
//! A whole frame is packed in *lanes*, so that neighbouring numbers lie at the same bit of
//! neighbouring words and a vector unit unpacks several with one shift (the vertical layout of
//! Lemire and Boytsov, "Decoding billions of integers per second through vectorization", 2015).
//! Widths up to 32 use 8 lanes of 32-bit words: number `i` belongs to lane `i % 8` and is the
//! `i / 8`-th of that lane; a lane is one bit stream, lowest bit first, of `width` words; word `k`
//! of lane `l` lies at byte `4 * (8 * k + l)`, little endian. Widths from 33 to 64 use 4 lanes of
//! 64-bit words alike. Either way the frame takes exactly `32 * width` bytes.
//!
//! A frame that is not full is one bit stream, lowest bit first, padded to whole bytes.

/// Numbers in a full frame.
pub(super) const FRAME: usize = 256;

/// Widest number of the narrow kind, which unpacks into 32-bit words.
pub(super) const NARROW_MAX: u32 = 32;

/// Widest number.
pub(super) const WIDTH_MAX: u32 = 64;

/// Bytes of a packed frame of `len` numbers.
pub(super) fn packed_bytes(len: usize, width: u32) -> usize {
    (len * width as usize).div_ceil(8)
}

/// How many bits `value` needs.
pub(super) fn width_of(value: u64) -> u32 {
    WIDTH_MAX - value.leading_zeros()
}

macro_rules! lanes {
    ($pack:ident, $unpack:ident, $word:ty, $lanes:literal) => {
        /// Appends a full frame of numbers below 2^`width`; `width` is at least 1.
        pub(super) fn $pack(values: &[$word; FRAME], width: u32, out: &mut Vec<u8>) {
            let mut pending: [$word; $lanes] = [0; $lanes];
            let mut used = 0;
            for row in values.as_chunks::<$lanes>().0 {
                for (word, value) in pending.iter_mut().zip(row) {
                    *word |= value << used;
                }
                used += width;
                if used >= <$word>::BITS {
                    for word in pending {
                        out.extend_from_slice(&word.to_le_bytes());
                    }
                    used -= <$word>::BITS;
                    let kept = width - used;
                    for (word, value) in pending.iter_mut().zip(row) {
                        *word = value.checked_shr(kept).unwrap_or(0);
                    }
                }
            }
        }

        /// Unpacks a full frame, which takes `32 * width` bytes; `width` is at least 1.
        pub(super) fn $unpack(bytes: &[u8], width: u32, values: &mut [$word; FRAME]) {
            let words = bytes.as_chunks::<32>().0;
            let Some(last) = words.len().checked_sub(1) else { return };
            let mask = <$word>::MAX >> (<$word>::BITS - width);
            let mut bit = 0;
            for row in values.as_chunks_mut::<$lanes>().0 {
                let at = (bit / <$word>::BITS) as usize;
                let shift = bit % <$word>::BITS;
                let low = &words[at.min(last)].as_chunks::<{ 32 / $lanes }>().0;
                let high = &words[(at + 1).min(last)].as_chunks::<{ 32 / $lanes }>().0;
                for lane in 0..$lanes {
                    let low = <$word>::from_le_bytes(low[lane]) >> shift;
                    // Two shifts, since a shift by all bits is not one: with `shift` 0 nothing
                    // of the next word is wanted.
                    let high =
                        <$word>::from_le_bytes(high[lane]) << 1 << (<$word>::BITS - 1 - shift);
                    row[lane] = (low | high) & mask;
                }
                bit += width;
            }
        }
    };
}

lanes!(pack_narrow, unpack_narrow, u32, 8);
lanes!(pack_wide, unpack_wide, u64, 4);

/// Appends numbers below 2^`width` as one bit stream.
pub(super) fn pack_stream(values: &[u64], width: u32, out: &mut Vec<u8>) {
    let mut pending: u128 = 0;
    let mut used = 0;
    for &value in values {
        pending |= u128::from(value) << used;
        used += width;
        while used >= 8 {
            out.push(pending as u8);
            pending >>= 8;
            used -= 8;
        }
    }
    if used > 0 {
        out.push(pending as u8);
    }
}

/// Unpacks the bit stream of `values.len()` numbers.
pub(super) fn unpack_stream(bytes: &[u8], width: u32, values: &mut [u64]) {
    let mask = u64::MAX.checked_shr(WIDTH_MAX - width).unwrap_or(0);
    let mut bytes = bytes.iter();
    let mut pending: u128 = 0;
    let mut held = 0;
    for value in values {
        while held < width {
            pending |= u128::from(bytes.next().copied().unwrap_or(0)) << held;
            held += 8;
        }
        *value = pending as u64 & mask;
        pending >>= width;
        held -= width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers whose low `width` bits are all used.
    fn numbers(width: u32) -> [u64; FRAME] {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        std::array::from_fn(|n| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(n as u64 | 1);
            let mixed = (state ^ state >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (mixed ^ mixed >> 32) >> (WIDTH_MAX - width)
        })
    }

    #[test]
    fn every_width_round_trips() {
        for width in 1..=WIDTH_MAX {
            let values = numbers(width);
            let mut out = Vec::new();
            if width <= NARROW_MAX {
                pack_narrow(&values.map(|v| v as u32), width, &mut out);
                let mut back = [0; FRAME];
                unpack_narrow(&out, width, &mut back);
                assert_eq!(back.map(u64::from), values, "width {width}");
                assert_eq!(out.len(), 32 * width as usize);
                out.clear();
            }
            pack_wide(&values, width, &mut out);
            assert_eq!(out.len(), packed_bytes(FRAME, width));
            let mut back = [0; FRAME];
            unpack_wide(&out, width, &mut back);
            assert_eq!(back, values, "width {width}");
        }
    }

    #[test]
    fn streams_of_every_length_round_trip() {
        for width in 0..=WIDTH_MAX {
            let values = if width == 0 { [0; FRAME] } else { numbers(width) };
            for len in [0, 1, 2, 3, 7, 8, 255] {
                let mut out = Vec::new();
                pack_stream(&values[..len], width, &mut out);
                assert_eq!(out.len(), packed_bytes(len, width));
                let mut back = vec![0; len];
                unpack_stream(&out, width, &mut back);
                assert_eq!(back, values[..len], "width {width}");
            }
        }
    }
}
