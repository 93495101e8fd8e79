//! Small blocks: whole batches of rows.
#![no_main]

mod damage;
mod rows;

use libfuzzer_sys::fuzz_target;
use storage::codec::small;

fuzz_target!(|data: &[u8]| {
    // Up to 16,383 rows: more would only make the fuzzer slow.
    if data.iter().take(2).any(|byte| byte & 0x80 == 0)
        && let Ok(decoded) = small::decode_batch(data)
    {
        rows::check(&decoded, false);
        let out = rows::encode(&decoded);
        let again = small::decode_batch(&out).expect("what was just written can be read");
        assert_eq!(rows::encode(&again), out);
    }
    let batch = rows::batch(data);
    let mut out = rows::encode(&batch);
    let back = small::decode_batch(&out).expect("what was just written can be read");
    assert_eq!(rows::encode(&back), out);
    assert_eq!((back.len, &back.ids, &back.ts), (batch.len, &batch.ids, &batch.ts));
    damage::damage(&mut out, data);
    if let Ok(back) = small::decode_batch(&out) {
        rows::check(&back, false);
    }
});
