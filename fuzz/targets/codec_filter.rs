//! Filters: no hash that is in one is ever denied.
#![no_main]

mod damage;

use libfuzzer_sys::fuzz_target;
use storage::codec::filter::{FilterRef, encode_filter};

fuzz_target!(|data: &[u8]| {
    let hashes = damage::numbers(data);
    let mut hits = Vec::new();
    if let Ok(filter) = FilterRef::parse(data) {
        filter.contains_each(&hashes, &mut hits);
    }
    let mut out = Vec::new();
    encode_filter(&hashes, &mut out);
    let filter = FilterRef::parse(&out).expect("what was just written can be read");
    assert!(hashes.iter().all(|&hash| filter.contains(hash)));
    damage::damage(&mut out, data);
    if let Ok(filter) = FilterRef::parse(&out) {
        filter.contains_each(&hashes, &mut hits);
    }
});
