//! Tables and columns of words.
#![no_main]

mod damage;

use libfuzzer_sys::fuzz_target;
use storage::codec::words;
use storage::words::{WordInterner, Words};

fuzz_target!(|data: &[u8]| {
    let Some((rows, data)) = damage::rows(data) else { return };
    if let Ok(table) = words::decode_table(data) {
        assert_eq!(table.iter().map(str::len).sum::<usize>(), table.text().len());
    }
    let _ = words::decode_words(data, rows);
    let _ = words::decode_codes(data, rows, usize::from(data.first().copied().unwrap_or(0)));

    // The bytes as words: a first byte decides what they are cut at and how they begin.
    let text = String::from_utf8_lossy(data);
    let prefix = ["", "s-", "é7"][rows % 3];
    let mut interner = WordInterner::default();
    let codes: Vec<u32> = text
        .split(['\n', ' '])
        .map(|word| match rows % 7 {
            0 => interner.code(word),
            1 => interner.code(&format!("{prefix}{:x}", word.len() * 0x1234_5678)),
            2 => interner.code(&format!("{prefix}{:03}", word.len())),
            3 => interner.code(&uuid::Uuid::from_u128((word.len() as u128) << 70).to_string()),
            _ => interner.code(&format!("{prefix}{word}")),
        })
        .collect();
    let column = Words { codes, table: interner.into_table() };
    let mut out = Vec::new();
    words::encode_words(&column, column.codes.len(), &mut out);
    assert_eq!(words::decode_words(&out, column.codes.len()).as_ref(), Ok(&column));
    damage::damage(&mut out, data);
    let _ = words::decode_words(&out, column.codes.len());
});
