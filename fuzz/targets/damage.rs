//! What the bytes of the fuzzer mean, for all targets of the codecs.

#![allow(dead_code, reason = "each target uses some of it")]

/// Takes the first two bytes as a number of rows.
pub fn rows(data: &[u8]) -> Option<(usize, &[u8])> {
    let (rows, rest) = data.split_first_chunk::<2>()?;
    Some((usize::from(u16::from_le_bytes(*rows)), rest))
}

/// Numbers of eight bytes each, in runs and steps: the first byte of nine says how many follow,
/// and how far apart they are.
pub fn numbers(data: &[u8]) -> Vec<u64> {
    let mut numbers = Vec::new();
    for [shape, number @ ..] in data.as_chunks::<9>().0 {
        let number = u64::from_le_bytes(*number);
        let step = u64::from(shape >> 5);
        numbers.extend((0..=u64::from(shape & 31) * 9).map(|n| number.wrapping_add(n * step)));
    }
    numbers
}

/// Flips bits of `bytes` as `data` says, or cuts them off.
pub fn damage(bytes: &mut Vec<u8>, data: &[u8]) {
    for [low, high, flip] in data.as_chunks::<3>().0.iter().take(4) {
        if bytes.is_empty() {
            return;
        }
        let at = usize::from(u16::from_le_bytes([*low, *high])) % bytes.len();
        if *flip == 0 { bytes.truncate(at) } else { bytes[at] ^= flip }
    }
}
