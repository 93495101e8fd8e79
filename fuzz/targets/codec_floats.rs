//! Columns of doubles: every double comes back to the bit, NaN as NaN.
#![no_main]

mod damage;

use libfuzzer_sys::fuzz_target;
use storage::codec::floats;

fn check(values: &[f64], data: &[u8]) {
    let (mut out, mut back) = (Vec::new(), Vec::new());
    floats::encode_f64s(values, &mut out);
    assert_eq!(floats::decode_f64s(&out, values.len(), &mut back), Ok(()));
    let same = |a: &f64, b: &f64| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    assert!(values.len() == back.len() && values.iter().zip(&back).all(|(a, b)| same(a, b)));
    damage::damage(&mut out, data);
    let _ = floats::decode_f64s(&out, values.len(), &mut back);
}

fuzz_target!(|data: &[u8]| {
    let Some((rows, data)) = damage::rows(data) else { return };
    let mut values = Vec::new();
    if floats::decode_f64s(data, rows, &mut values).is_ok() {
        check(&values, data);
    }
    let numbers = damage::numbers(data);
    check(&numbers.iter().map(|&n| f64::from_bits(n)).collect::<Vec<_>>(), data);
    check(&numbers.iter().map(|&n| n as i32 as f64 / 1000.0).collect::<Vec<_>>(), data);
});
