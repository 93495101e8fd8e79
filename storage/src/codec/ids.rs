//! The column of row ids.

use super::words::{decode_table, encode_table};
use crate::batch::Ids;
use crate::error::Corrupt;
use crate::row::RowId;
use crate::words::WordTable;

/// Appends the encoded ids of `rows` rows.
pub fn encode_ids(ids: &Ids, rows: usize, out: &mut Vec<u8>) {
    let mut texts = WordTable::default();
    for row in 0..rows {
        match ids.get(row) {
            RowId::Uuid(bytes) => {
                out.push(0);
                out.extend_from_slice(&bytes);
            }
            RowId::Text(text) => {
                out.push(1);
                let mut slot = [0; 16];
                slot[..4].copy_from_slice(&texts.append(text).to_le_bytes());
                out.extend_from_slice(&slot);
            }
        }
    }
    encode_table(&texts, out);
}

/// The ids of `rows` rows in `bytes`. Their texts are in the order of the rows, as a
/// [`RowBatchBuilder`](crate::batch::RowBatchBuilder) makes them.
pub fn decode_ids(bytes: &[u8], rows: usize) -> Result<Ids, Corrupt> {
    let damaged = || Corrupt::new("a column of ids");
    let (slots, texts) =
        bytes.split_at_checked(rows.checked_mul(17).ok_or_else(damaged)?).ok_or_else(damaged)?;
    let (slots, _) = slots.as_chunks::<17>();
    let mut ids = Ids { texts: decode_table(texts)?, ..Ids::default() };
    ids.is_text = slots.iter().map(|s| s[0] == 1).collect();
    if !ids.is_text.contains(&true) {
        ids.is_text.clear();
    }
    ids.slots = slots.iter().map(|s| std::array::from_fn(|n| s[n + 1])).collect();
    Ok(ids)
}
