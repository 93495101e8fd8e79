//! Columns of ids.
#![no_main]

mod damage;

use libfuzzer_sys::fuzz_target;
use storage::batch::Ids;
use storage::codec::ids;
use storage::row::RowId;

fn column<'a>(rows: impl Iterator<Item = RowId<'a>>) -> Ids {
    let mut column = Ids::default();
    for id in rows {
        let (slot, text) = match id {
            RowId::Uuid(bytes) => (bytes, false),
            RowId::Text(text) => {
                let mut slot = [0; 16];
                slot[..4].copy_from_slice(&column.texts.append(text).to_le_bytes());
                (slot, true)
            }
        };
        column.slots.push(slot);
        column.is_text.push(text);
    }
    if !column.is_text.contains(&true) {
        column.is_text.clear();
    }
    column
}

fn check(column: &Ids, data: &[u8]) {
    let rows = column.slots.len();
    let mut out = Vec::new();
    ids::encode_ids(column, rows, &mut out);
    assert_eq!(ids::decode_ids(&out, rows).as_ref(), Ok(column));
    damage::damage(&mut out, data);
    if let Ok(back) = ids::decode_ids(&out, rows) {
        (0..rows).for_each(|row| drop(back.get(row).to_string()));
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((rows, data)) = damage::rows(data) else { return };
    if let Ok(decoded) = ids::decode_ids(data, rows) {
        check(&decoded, data);
    }
    let texts: Vec<String> = data
        .chunks(3)
        .map(|bytes| match rows % 4 {
            0 => format!("job-{}", u32::from(bytes[0]) * 977),
            1 => format!("{:06x}", bytes.iter().fold(0, |n, b| n << 8 | u32::from(*b))),
            _ => format!("run {}", String::from_utf8_lossy(bytes)),
        })
        .collect();
    let version = rows as u8 >> 4;
    let ids = texts.iter().zip(data.chunks(3)).map(|(text, bytes)| {
        let mut uuid = [rows as u8; 16];
        uuid[..bytes.len()].copy_from_slice(bytes);
        uuid[6] = uuid[6] & 15 | version << 4;
        uuid[8] = uuid[8] & 63 | 128;
        if rows % 5 < 3 && (rows % 5 == 0 || bytes[0] % 2 == 0) {
            RowId::Uuid(uuid)
        } else {
            RowId::Text(text)
        }
    });
    check(&column(ids), data);
});
