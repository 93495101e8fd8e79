use super::*;
use crate::row::RowId;
use proptest::prelude::*;

/// Encodes the ids as a batch would hold them, decodes them and gives how many bytes it took.
fn check(ids: &[RowId<'_>]) -> usize {
    let columns = column(ids);
    let mut out = Vec::new();
    encode_ids(&columns, ids.len(), &mut out);
    let back = decode_ids(&out, ids.len()).unwrap();
    assert_eq!(back, columns);
    for (row, id) in ids.iter().enumerate() {
        assert_eq!(back.get(row), *id);
    }
    out.len()
}

fn column(ids: &[RowId<'_>]) -> Ids {
    let mut columns = Ids::default();
    for id in ids {
        let mut slot = [0; 16];
        match id {
            RowId::Uuid(bytes) => slot = *bytes,
            RowId::Text(text) => {
                slot[..4].copy_from_slice(&columns.texts.append(text).to_le_bytes());
            }
        }
        columns.slots.push(slot);
        columns.is_text.push(matches!(id, RowId::Text(_)));
    }
    if !columns.is_text.contains(&true) {
        columns.is_text.clear();
    }
    columns
}

fn noise(n: usize) -> [u8; 16] {
    xxhash_rust::xxh3::xxh3_128(&n.to_le_bytes()).to_le_bytes()
}

fn uuid(n: usize, version: u8) -> RowId<'static> {
    let mut bytes = noise(n);
    bytes[6] = bytes[6] & 15 | version << 4;
    bytes[8] = bytes[8] & 63 | 128;
    if version == 7 {
        bytes[..6].copy_from_slice(&(1_700_000_000_000 + n as u64 * 900).to_be_bytes()[2..]);
    }
    RowId::Uuid(bytes)
}

fn check_texts(texts: &[String]) -> usize {
    check(&texts.iter().map(|t| RowId::Text(t)).collect::<Vec<_>>())
}

#[test]
fn uuids_take_their_random_bits() {
    let rows = 4096;
    let random: Vec<RowId<'_>> = (0..rows).map(|n| uuid(n, 4)).collect();
    assert!(check(&random) < rows * 1535 / 100);
    let timed: Vec<RowId<'_>> = (0..rows).map(|n| uuid(n, 7)).collect();
    assert!(check(&timed) < rows * 95 / 10);
    let any: Vec<RowId<'_>> = (0..rows).map(|n| RowId::Uuid(noise(n))).collect();
    assert!(check(&any) < rows * 16 + 10);
    assert_eq!(check(&[uuid(1, 4)]), 19);
    check(&[]);
}

#[test]
fn texts_take_little_more_than_their_entropy() {
    let hex = |n: usize| u64::from_le_bytes(*noise(n).first_chunk().unwrap());
    let hashes: Vec<String> = (0..1000).map(|n| format!("swf:{:016x}", hex(n))).collect();
    assert!(check_texts(&hashes) < 8 * 1000 + 20);
    let odd: Vec<String> = (0..100).map(|n| format!("{:07x}", hex(n) >> 36)).collect();
    assert!(check_texts(&odd) < 4 * 100 + 20);
    let jobs: Vec<String> = (0..1000).map(|n| format!("job-{n}")).collect();
    assert!(check_texts(&jobs) < 20);
    let padded: Vec<String> = (0..1000).map(|n| format!("{n:08}")).collect();
    assert!(check_texts(&padded) < 3 * 1000);
    check_texts(&["18446744073709551615".into(), "1".into()]);
    check_texts(&["9999999999999999999".into(), "1".into()]);
    check_texts(&["a".into(), "a".into()]);
    check_texts(&["é1".into(), "è1".into()]);
    check_texts(&["a".into(), "a0".into(), "a00".into()]);
    check_texts(&["x".repeat(128), "x".repeat(127)]);
}

#[test]
fn kinds_mix() {
    let texts: Vec<String> = (0..300).map(|n| format!("run/{n}/α")).collect();
    let ids: Vec<RowId<'_>> =
        (0..300).map(|n| if n % 3 == 0 { RowId::Text(&texts[n]) } else { uuid(n, 4) }).collect();
    check(&ids);
    check(&ids[..2]);
}

#[test]
fn rows_taken_in_another_order_keep_their_texts() {
    let mut ids = column(&[RowId::Text("b"), RowId::Text("a"), uuid(1, 4)]);
    ids.slots.reverse();
    ids.is_text.reverse();
    let mut out = Vec::new();
    encode_ids(&ids, 3, &mut out);
    let back = decode_ids(&out, 3).unwrap();
    assert_eq!([back.get(1), back.get(2)], [RowId::Text("a"), RowId::Text("b")]);
}

proptest! {
    #[test]
    fn every_column_round_trips(
        ids in proptest::collection::vec(
            prop_oneof![
                3 => any::<[u8; 16]>().prop_map(Err),
                1 => "[a-f0-9]{4}".prop_map(Ok),
                1 => "(job-|)[0-9]{1,20}".prop_map(Ok),
                1 => ".{1,128}".prop_map(Ok),
            ],
            0..200,
        ),
        only in 0..3,
    ) {
        let ids: Vec<RowId<'_>> = ids
            .iter()
            .filter(|id| only == 2 || id.is_ok() == (only == 1))
            .map(|id| match id {
                Ok(text) => RowId::Text(text),
                Err(bytes) => RowId::Uuid(*bytes),
            })
            .collect();
        check(&ids);
    }

    #[test]
    fn damage_is_refused_or_decoded(
        shape in 0..5, rows in 1_usize..150,
        at in any::<prop::sample::Index>(), xor in 1_u8.., cut in any::<bool>(),
    ) {
        let texts: Vec<String> = (0..rows).map(|n| match shape {
            0 => format!("swf:{n:016x}"),
            1 => format!("job {n}"),
            _ => format!("{n}é"),
        }).collect();
        let ids: Vec<RowId<'_>> = (0..rows).map(|n| match shape {
            3 => uuid(n, 7),
            4 if n % 2 == 0 => uuid(n, 4),
            _ => RowId::Text(&texts[n]),
        }).collect();
        let mut out = Vec::new();
        encode_ids(&column(&ids), rows, &mut out);
        let at = at.index(out.len());
        out[at] ^= xor;
        out.truncate(if cut { at } else { out.len() });
        if let Ok(back) = decode_ids(&out, rows) {
            prop_assert_eq!(back.slots.len(), rows);
            (0..rows).for_each(|row| drop(back.get(row).to_string()));
        }
    }
}
