//! Columns of integers.

use super::ROWS_MAX;
use crate::error::Corrupt;

macro_rules! plain {
    ($encode:ident, $decode:ident, $t:ty) => {
        /// Appends the encoded column.
        pub fn $encode(values: &[$t], out: &mut Vec<u8>) {
            for v in values {
                out.extend_from_slice(&v.to_le_bytes());
            }
        }

        /// Replaces what is in `values` by the `rows` numbers of an encoded column.
        pub fn $decode(bytes: &[u8], rows: usize, values: &mut Vec<$t>) -> Result<(), Corrupt> {
            values.clear();
            let (chunks, rest) = bytes.as_chunks();
            if rows > ROWS_MAX || chunks.len() != rows || !rest.is_empty() {
                return Err(Corrupt::new("a column of integers: its length"));
            }
            values.extend(chunks.iter().map(|c| <$t>::from_le_bytes(*c)));
            Ok(())
        }
    };
}

plain!(encode_u64s, decode_u64s, u64);
plain!(encode_i64s, decode_i64s, i64);
plain!(encode_u32s, decode_u32s, u32);
plain!(encode_u8s, decode_u8s, u8);
