//! Columns of doubles, where NaN means absent.

use super::ints;
use crate::error::Corrupt;

/// Appends the encoded column. Every NaN is the same NaN; every other double is kept to the bit.
pub fn encode_f64s(values: &[f64], out: &mut Vec<u8>) {
    let bits: Vec<u64> = values.iter().map(|v| v.to_bits()).collect();
    ints::encode_u64s(&bits, out);
}

/// Replaces what is in `values` by the `rows` doubles of an encoded column.
pub fn decode_f64s(bytes: &[u8], rows: usize, values: &mut Vec<f64>) -> Result<(), Corrupt> {
    let mut bits = Vec::new();
    ints::decode_u64s(bytes, rows, &mut bits)?;
    values.clear();
    values.extend(bits.iter().map(|&b| f64::from_bits(b)));
    Ok(())
}
