//! Small blocks: whole batches of rows.
#![no_main]

mod damage;

use libfuzzer_sys::fuzz_target;
use storage::batch::{RowBatch, RowBatchBuilder};
use storage::codec::small;
use storage::row::{Actor, Row, RowId, Status};

/// A batch as a commit makes it, of rows that eleven bytes each describe.
fn batch(data: &[u8]) -> RowBatch {
    const WORDS: [&str; 4] = ["", "cargo", "make test", "é"];
    let mut builder = RowBatchBuilder::default();
    for (n, [kind, flags, rest @ ..]) in data.as_chunks::<11>().0.iter().enumerate() {
        let number =
            u64::from_le_bytes([rest[0], rest[1], rest[2], rest[3], rest[4], rest[5], 0, 0]);
        let text = format!("{}-{n}", WORDS[usize::from(kind & 3)]);
        let word = WORDS[usize::from(kind >> 2 & 3)];
        let labels = [("a", word), ("b", text.as_str())];
        let values = [("x", f64::from(*kind)), ("y", number as f64 / 7.0)];
        builder.push(&Row {
            id: if flags & 1 == 0 { RowId::Uuid([*kind; 16]) } else { RowId::Text(&text) },
            ts_ms: number as i64 - (1 << 40),
            ts_given: flags & 2 == 0,
            received_ms: 1_700_000_000_000 + i64::from(rest[6]),
            words: [word, &text, "", "", "", "", "", word, "api"],
            status: Status::ALL[usize::from(rest[7]) % Status::ALL.len()],
            actor: Actor::ALL[usize::from(rest[8]) % Actor::ALL.len()],
            duration_us: (flags & 4 == 0).then_some(number),
            exit_code: (flags & 8 == 0).then_some(i64::from(rest[8] as i8)),
            labels: &labels[..usize::from(flags >> 4 & 1) + usize::from(flags >> 5 & 1)],
            values: &values[..usize::from(flags >> 6 & 1) + usize::from(flags >> 7 & 1)],
        });
    }
    builder.finish()
}

fn encode(batch: &RowBatch) -> Vec<u8> {
    let mut out = Vec::new();
    small::encode_batch(batch, &mut out).expect("within the limits of a commit");
    out
}

fuzz_target!(|data: &[u8]| {
    // Up to 16,383 rows: more would only make the fuzzer slow.
    if data.iter().take(2).any(|byte| byte & 0x80 == 0)
        && let Ok(decoded) = small::decode_batch(data)
    {
        let out = encode(&decoded);
        let again = small::decode_batch(&out).expect("what was just written can be read");
        // By what they encode to, since absent values are NaN.
        assert_eq!(encode(&again), out);
    }
    let batch = batch(data);
    let mut out = encode(&batch);
    let back = small::decode_batch(&out).expect("what was just written can be read");
    assert_eq!(encode(&back), out);
    assert_eq!((back.len, &back.ids, &back.ts), (batch.len, &batch.ids, &batch.ts));
    damage::damage(&mut out, data);
    let _ = small::decode_batch(&out);
});
