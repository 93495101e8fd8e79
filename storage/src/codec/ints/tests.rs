use super::*;
use proptest::prelude::*;

/// Encodes, decodes and gives how many bytes it took.
fn check_u64s(values: &[u64]) -> usize {
    let mut out = Vec::new();
    encode_u64s(values, &mut out);
    let mut back = vec![7; 3];
    decode_u64s(&out, values.len(), &mut back).unwrap();
    assert_eq!(back, values);
    out.len()
}

fn check_i64s(values: &[i64]) -> usize {
    let mut out = Vec::new();
    encode_i64s(values, &mut out);
    let mut back = vec![7; 3];
    decode_i64s(&out, values.len(), &mut back).unwrap();
    assert_eq!(back, values);
    out.len()
}

fn check_u32s(values: &[u32]) {
    let mut out = Vec::new();
    encode_u32s(values, &mut out);
    let mut back = Vec::new();
    decode_u32s(&out, values.len(), &mut back).unwrap();
    assert_eq!(back, values);
}

fn check_u8s(values: &[u8]) {
    let mut out = Vec::new();
    encode_u8s(values, &mut out);
    let mut back = Vec::new();
    decode_u8s(&out, values.len(), &mut back).unwrap();
    assert_eq!(back, values);
}

/// Numbers that look random.
fn noise(n: usize) -> u64 {
    xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes())
}

const LENGTHS: [usize; 11] = [0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 1000];

#[test]
fn shapes_round_trip_at_every_length() {
    for len in LENGTHS {
        let each = |f: &dyn Fn(usize) -> u64| {
            let values: Vec<u64> = (0..len).map(f).collect();
            check_u64s(&values);
            check_i64s(&values.iter().map(|&v| v as i64).collect::<Vec<_>>());
            check_u32s(&values.iter().map(|&v| v as u32).collect::<Vec<_>>());
            check_u8s(&values.iter().map(|&v| v as u8).collect::<Vec<_>>());
        };
        each(&|_| 0);
        each(&|_| u64::MAX);
        each(&|_| 1 << 63);
        each(&|n| n as u64);
        each(&|n| u64::MAX - n as u64);
        each(&|n| 10_000 - n as u64 * 3);
        each(&noise);
        each(&|n| noise(n) >> (n % 65).min(63));
        each(&|n| if n % 9 == 0 { u64::MAX } else { noise(n) % 1000 });
        each(&|n| if n % 40 == 0 { 1 << 63 } else { noise(n) % 1000 });
        each(&|n| if n % 40 == 0 { noise(n) } else { noise(n) % 1000 });
        each(&|n| if n % 2 == 0 { u64::MAX } else { u64::MAX - 1 });
        each(&|n| if n < 300 { u64::MAX } else { 5 });
        each(&|n| [u64::MAX, 0, u64::MAX - 1, 1 << 63, (1 << 63) - 1, 1][n % 6]);
        each(&|n| [u64::MAX - 1, 0, u64::MAX - 1, 1 << 63, (1 << 63) - 1, 1][n % 6]);
    }
}

#[test]
fn an_exception_of_all_ones_is_no_absent_number() {
    // Absent numbers are not listed in the second frame, and there are none in the first.
    for bits in [8, 16, 24, 32, 40, 48, 56] {
        let mut values = vec![1; 255];
        values.push(1_u64 << bits);
        values.extend([u64::MAX; 20]);
        values.extend([7; 100]);
        check_u64s(&values);
    }
}

#[test]
fn absent_numbers_take_little_room() {
    let durations = |every: usize| {
        let values: Vec<u64> = (0..65_536)
            .map(|n| if n % every == 0 { u64::MAX } else { noise(n) % (1 << 20) })
            .collect();
        check_u64s(&values)
    };
    assert!(durations(2) < 65_536 * 22 / 8);
    assert!(durations(1000) < 65_536 * 21 / 8);
    let codes: Vec<i64> = (0..65_536)
        .map(|n| match noise(n) % 100 {
            0 => i64::MIN,
            1 => -1_073_741_510,
            2 => (noise(n) >> 40) as i64 % 256,
            _ => 0,
        })
        .collect();
    assert!(check_i64s(&codes) < 65_536 / 4);
}

#[test]
fn ascending_times_take_as_many_bits_as_their_steps() {
    let mut at = 1_700_000_000_000;
    let mut times: Vec<i64> = (0..65_536)
        .map(|n| {
            at += (noise(n) % 4096) as i64;
            at
        })
        .collect();
    assert!(check_i64s(&times) < 65_536 * 25 / 16);
    for late in (0..times.len()).step_by(50) {
        times[late] -= 7 * 86_400_000;
    }
    assert!(check_i64s(&times) < 65_536 * 2);
    let seqs: Vec<u64> = (0..65_536).map(|n| 100_000_000 + n).collect();
    assert!(check_u64s(&seqs) < 10);
    assert!(check_u64s(&[1_700_000_000_000]) < 8);
}

fn numbers() -> impl Strategy<Value = Vec<u64>> {
    let number = prop_oneof![
        4 => 0_u64..300,
        2 => any::<u64>(),
        1 => Just(u64::MAX),
        1 => Just(1_u64 << 63),
        1 => (0_u32..64).prop_map(|bits| 1 << bits),
    ];
    (proptest::collection::vec(number, 0..600), any::<bool>(), 0_u32..64).prop_map(
        |(mut numbers, sorted, shift)| {
            if sorted {
                numbers.sort_unstable();
            }
            numbers.iter().map(|n| if n % 7 == 0 { *n } else { n >> shift }).collect()
        },
    )
}

proptest! {
    #[test]
    fn every_column_round_trips(values in numbers()) {
        check_u64s(&values);
        check_i64s(&values.iter().map(|&v| v as i64).collect::<Vec<_>>());
        check_u32s(&values.iter().map(|&v| v as u32).collect::<Vec<_>>());
        check_u8s(&values.iter().map(|&v| v as u8).collect::<Vec<_>>());
    }

    #[test]
    fn damaged_columns_are_refused_or_have_as_many_rows(
        values in numbers(), at in any::<prop::sample::Index>(), xor in 1_u8.., cut in 0_usize..3,
    ) {
        let mut out = Vec::new();
        encode_u64s(&values, &mut out);
        if !out.is_empty() {
            let at = at.index(out.len());
            out[at] ^= xor;
            out.truncate(if cut == 0 { at } else { out.len() });
        }
        let mut back = Vec::new();
        if decode_u64s(&out, values.len(), &mut back).is_ok() {
            prop_assert_eq!(back.len(), values.len());
        }
        let mut back = Vec::new();
        let _ = decode_i64s(&out, values.len() + 1, &mut back);
        prop_assert!(back.capacity() <= (values.len() + 1).max(64));
        let _ = decode_u8s(&out, values.len(), &mut Vec::new());
    }

    #[test]
    fn noise_is_refused_or_decoded(bytes in proptest::collection::vec(any::<u8>(), 0..400), rows in 0_usize..2000) {
        let _ = decode_u64s(&bytes, rows, &mut Vec::new());
        let _ = decode_i64s(&bytes, rows, &mut Vec::new());
        let _ = decode_u32s(&bytes, rows, &mut Vec::new());
    }
}
