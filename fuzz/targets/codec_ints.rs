//! Columns of integers: what was encoded comes back, everything else is decoded or refused.
#![no_main]

mod damage;

use libfuzzer_sys::fuzz_target;
use storage::codec::ints;

fn decode_all(bytes: &[u8], rows: usize) {
    let mut numbers = Vec::new();
    if ints::decode_u64s(bytes, rows, &mut numbers).is_ok() {
        assert_eq!(numbers.len(), rows);
        let mut again = Vec::new();
        ints::encode_u64s(&numbers, &mut again);
        let mut back = Vec::new();
        assert_eq!(ints::decode_u64s(&again, rows, &mut back), Ok(()));
        assert_eq!(back, numbers);
    }
    let _ = ints::decode_i64s(bytes, rows, &mut Vec::new());
    let _ = ints::decode_u32s(bytes, rows, &mut Vec::new());
    let _ = ints::decode_u8s(bytes, rows, &mut Vec::new());
}

macro_rules! round_trip {
    ($encode:ident, $decode:ident, $numbers:expr, $data:expr) => {
        let (numbers, mut out, mut back) = ($numbers, Vec::new(), Vec::new());
        ints::$encode(&numbers, &mut out);
        assert_eq!(ints::$decode(&out, numbers.len(), &mut back), Ok(()));
        assert_eq!(back, numbers);
        damage::damage(&mut out, $data);
        let _ = ints::$decode(&out, numbers.len(), &mut back);
    };
}

fuzz_target!(|data: &[u8]| {
    let Some((rows, data)) = damage::rows(data) else { return };
    decode_all(data, rows);
    let numbers = damage::numbers(data);
    round_trip!(encode_u64s, decode_u64s, numbers.clone(), data);
    let signed: Vec<i64> = numbers.iter().map(|&n| n as i64).collect();
    round_trip!(encode_i64s, decode_i64s, signed, data);
    let codes: Vec<u32> = numbers.iter().map(|&n| n as u32).collect();
    round_trip!(encode_u32s, decode_u32s, codes, data);
    let bytes: Vec<u8> = numbers.iter().map(|&n| n as u8).collect();
    round_trip!(encode_u8s, decode_u8s, bytes, data);
});
