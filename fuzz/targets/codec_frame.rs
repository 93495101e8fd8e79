//! Values as stored: only what was sealed under the same key and kind opens.
#![no_main]

mod damage;

use libfuzzer_sys::fuzz_target;
use storage::codec::frame;

fuzz_target!(|data: &[u8]| {
    let _ = frame::open(b"key", 1, data);
    let sealed = frame::seal(b"key", 1, data);
    assert_eq!(frame::open(b"key", 1, &sealed).as_deref(), Ok(data));
    assert!(frame::open(b"yek", 1, &sealed).is_err());
    assert!(frame::open(b"key", 2, &sealed).is_err());
    let mut damaged = sealed.clone();
    damage::damage(&mut damaged, data);
    let opened = frame::open(b"key", 1, &damaged);
    // A payload may hold a frame of its own, which a cut in the right place lays bare: the fuzzer
    // sees the checksum compared and forges it. The checksum is against accidents, so only
    // flipped bits, too few to forge one, are sure to be noticed.
    assert!(damaged.len() < sealed.len() || damaged == sealed || opened.is_err());
});
