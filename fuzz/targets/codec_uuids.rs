//! Lists of UUIDs.
#![no_main]

mod damage;

use libfuzzer_sys::fuzz_target;
use storage::codec::uuids;

fn check(list: &[[u8; 16]], data: &[u8]) {
    let mut out = Vec::new();
    uuids::encode_uuids(list, &mut out);
    assert_eq!(uuids::decode_uuids(&out, list.len()).as_deref(), Ok(list));
    damage::damage(&mut out, data);
    if let Ok(back) = uuids::decode_uuids(&out, list.len()) {
        assert_eq!(back.len(), list.len());
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((rows, data)) = damage::rows(data) else { return };
    if let Ok(list) = uuids::decode_uuids(data, rows) {
        assert_eq!(list.len(), rows);
        check(&list, data);
    }
    // Of one version, or not, at times that rise or do not: every form gets its turn.
    let version = rows as u8 & 0xf0;
    let list = damage::numbers(data).into_iter().map(|number| {
        let mut uuid = [0; 16];
        uuid[..8].copy_from_slice(&number.to_be_bytes());
        uuid[8..].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        if rows & 1 == 0 {
            uuid[6] = uuid[6] & 15 | version;
            uuid[8] = uuid[8] & 63 | 128;
        }
        uuid
    });
    check(&list.collect::<Vec<_>>(), data);
});
