//! Bytes that version 1 wrote, one example of each form. Encoders may change what they choose;
//! these must be read for ever. `docs/storage-format.md` explains the shorter ones.

use super::filter::FilterRef;
use super::{floats, frame, ids, ints, small, words};
use crate::row::{Actor, RowId, Status, Word};

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

#[test]
fn unsigned_columns() {
    let check = |hex: &str, expected: &[u64]| {
        let mut found = Vec::new();
        ints::decode_u64s(&bytes(hex), expected.len(), &mut found).unwrap();
        assert_eq!(found, expected);
    };
    check("", &[]);
    check("00 ac 02", &[300, 300, 300]);
    check("01 e8 07 14", &[1000, 1010, 1020, 1030]);
    check("02 05 00 03 42 0e", &[7, 5, 6, 12, 5]);
    check("12 05 10 03 01 01 ff 42 0e", &[7, u64::MAX, 6, 12, 5]);
    check("03 e8 07 00 12 00 02 24 22", &[1000, 1010, 1021, 1030, 1041, 1050, 1061]);
    let mut sparse = [0; 256];
    (sparse[7], sparse[100]) = (900, 1);
    check("02 00 20 00 02 07 64 84 03 01 00", &sparse);
    let repeated: Vec<u64> = (0..256).map(|n| (n * 7 % 13) & 7).collect();
    check(
        "02 00 00 03 20 b8 4f 56 9f ac 34 20 69 40 70 9f e0 3e 59 69 b2 d2 80 e0 01 c1 7d b2 fb \
         64 a5 01 4a 03 82 fb 1a 10 dc 27 b8 4f 56 1a ac 34 20 b8 40 70 9f ac 3e 59 69 40 d2 80 \
         e0 3e c1 7d b2 d2 64 a5 01 c1 2b 0d 08 ee 10 dc 27 2b 4f 56 1a 10 34 20 b8 4f 70 9f ac \
         34 59 69 40 70 80 e0 3e 59 7d b2 d2 80",
        &repeated,
    );
}

#[test]
fn signed_columns() {
    let mut found = Vec::new();
    ints::decode_i64s(&bytes("0a 00 00 03 08 05"), 4, &mut found).unwrap();
    assert_eq!(found, [0, -1, 2, 1]);
}

#[test]
fn doubles() {
    let mut found = Vec::new();
    floats::decode_f64s(&bytes("00 02 00 1a 31 10 00 02 00 01 fb ff"), 3, &mut found).unwrap();
    assert!(found[1].is_nan() && [found[0], found[2]] == [1.5, -0.25]);
    let bits = "01 01 01 98 da 90 a2 b5 bf c8 84 40 dd d6 fe 92 99 bc b1 03";
    floats::decode_f64s(&bytes(bits), 2, &mut found).unwrap();
    assert_eq!(found, [std::f64::consts::PI, std::f64::consts::E]);
}

#[test]
fn tables() {
    let check = |hex: &str, expected: &[&str]| {
        let found = words::decode_table(&bytes(hex)).unwrap();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected);
    };
    check("01 14 62 75 69 6c 64", &["build"]);
    check("03 2c 62 75 69 6c 64 c3 a9 74 65 73 74 02 02 00 02 23", &["build", "é", "test"]);
    check("01 c1 02 0d 2f 61 62 02 00 35 60 61 62 61 62 61 62", &["ab".repeat(40).as_str()]);
    check("04 0a 73 2d 00 03 0a 10 0b 20 ff e0 12 30", &["s-0a1", "s-0b2", "s-ffe", "s-123"]);
    check("04 16 68 6f 73 74 2d 01 02 07 00 03 1a 01", &["host-9", "host-10", "host-11", "host-7"]);
    check(
        "01 02 02 00 5c 1d 1c 9e 9f 6a 4d 0c 9d 3c 0e 6b 0f 6a 2f 11",
        &["5c1d1c9e-9f6a-4d0c-9d3c-0e6b0f6a2f11"],
    );
}

#[test]
fn ids_of_both_kinds() {
    let column = "02 03 01 00 02 11 00 5c 1d 1c 9e 9f 6a 4d 0c 9d 3c 0e 6b 0f 6a 2f 11 \
                  01 14 6a 6f 62 2d 31";
    let found = ids::decode_ids(&bytes(column), 2).unwrap();
    assert_eq!(found.get(0), RowId::parse("5c1d1c9e-9f6a-4d0c-9d3c-0e6b0f6a2f11"));
    assert_eq!(found.get(1), RowId::Text("job-1"));
    // Two UUIDs that share their version, then two of version 7 with their times apart.
    let versioned = "00 22 01 04 03 00 cc 06 \
                     01 02 03 04 05 06 08 0a 0b 0c 0d 0e 0f 10 \
                     11 12 13 14 15 16 18 1a 1b 1c 1d 1e 1f 20";
    let found = ids::decode_ids(&bytes(versioned), 2).unwrap();
    assert_eq!(found.get(1), RowId::parse("11121314-1516-4d18-8c1a-1b1c1d1e1f20"));
    let timed = "00 1b 02 07 03 00 cc 06 04 01 80 01 02 \
                 08 0a 0b 0c 0d 0e 0f 10 18 1a 1b 1c 1d 1e 1f 20";
    let found = ids::decode_ids(&bytes(timed), 2).unwrap();
    assert_eq!(found.get(1), RowId::parse("00000000-0081-7d18-8c1a-1b1c1d1e1f20"));
}

#[test]
fn filters() {
    let filter = bytes(
        "01 03 01 00 00 00 15 7c 4a 7f b9 79 37 9e 00 00 00 00 00 00 00 00 66 00 00 00 00 00 00 \
         00 00 00 96 00 00 00 f1 00",
    );
    let filter = FilterRef::parse(&filter).unwrap();
    let found: Vec<u64> = (0..10).filter(|&hash| filter.contains(hash)).collect();
    assert_eq!(found, [1, 2, 3]);
}

#[test]
fn frames() {
    let value = bytes("01 09 70 61 79 6c 6f 61 64 5a 81 a7 54 57 05 00 4b");
    assert_eq!(frame::open(b"key", 9, &value), Ok(b"payload".as_slice()));
}

#[test]
fn small_blocks() {
    let block = bytes(
        "02 01 1e 02 03 01 00 02 11 00 5c 1d 1c 9e 9f 6a 4d 0c 9d 3c 0e 6b 0f 6a 2f 11 01 14 6a \
         6f 62 2d 31 02 08 01 80 d0 95 ff bc 31 02 03 03 01 01 01 04 07 00 81 d0 95 ff bc 31 05 \
         03 01 29 02 06 02 00 01 07 02 00 02 08 03 00 dc 0b 09 03 01 00 01 10 0a 07 01 14 62 75 \
         69 6c 64 00 01 11 08 05 01 0c 61 6e 61 00 01 18 08 05 01 0c 61 70 69 00 01 20 0e 02 6f \
         73 07 01 14 6c 69 6e 75 78 01 00 02 21 0a 02 6d 62 00 01 00 01 7d fb 01",
    );
    let batch = small::decode_batch(&block).unwrap();
    assert_eq!(batch.len, 2);
    assert_eq!(batch.ids.get(1), RowId::Text("job-1"));
    assert_eq!(batch.ts, [1_700_000_000_000, 1_700_000_000_001]);
    assert_eq!(batch.ts_given, [true, false]);
    assert_eq!(batch.received, [1_700_000_000_001; 2]);
    assert_eq!(batch.seq, [41, 42]);
    assert_eq!((batch.status(0), batch.actor(1)), (Status::Success, Actor::Ci));
    assert_eq!(
        (batch.duration(1), batch.exit_code(0), batch.exit_code(1)),
        (Some(1500), Some(0), None)
    );
    assert_eq!(
        Word::ALL.map(|w| batch.word(w, 1)),
        ["build", "ana", "", "", "", "", "", "", "api"]
    );
    let labels = batch.label("os").unwrap();
    assert_eq!([labels.get(0), labels.get(1)], [None, Some("linux")]);
    let values = batch.value("mb").unwrap();
    assert!(values[0] == 12.5 && values[1].is_nan());
}
