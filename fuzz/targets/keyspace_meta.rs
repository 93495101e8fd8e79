//! What a file says of itself: identity, progress, the digest of the small tables, the feed's
//! head and its cursors.
#![no_main]

mod damage;

use libfuzzer_sys::fuzz_target;
use std::fmt::Debug;
use storage::codec::frame;
use storage::error::StoreError;
use storage::stored::feed::{decode_cursor, encode_cursor, open_head, seal_head};
use storage::schema::FIRST_VERSION;
use storage::stored::key::{Salt, kind};
use storage::stored::meta::{Identity, Progress, TablesDigest};

const SALT: Salt = Salt(0x1234);

/// The salt of the identity, which holds the salt of all else.
const NO_SALT: Salt = Salt(0);

/// The newest format that is read here.
const KNOWN: u32 = FIRST_VERSION + 1;

fn open_identity(value: &[u8]) -> Result<Identity, StoreError> {
    Identity::open(value, KNOWN)
}

/// Reads a payload in a frame that fits. What is accepted comes back when it is written again.
fn read<T: Debug + PartialEq, E: Debug>(
    key: &[u8],
    kind: u8,
    payload: &[u8],
    open: impl Fn(&[u8]) -> Result<T, E>,
    seal: impl Fn(&T) -> Vec<u8>,
) -> Option<T> {
    let value = open(&frame::seal(key, kind, payload)).ok()?;
    assert_eq!(open(&seal(&value)).as_ref().ok(), Some(&value));
    Some(value)
}

fn read_all(payload: &[u8]) {
    let key = NO_SALT.meta(Identity::NAME);
    if let Some(identity) = read(&key, kind::META, payload, open_identity, Identity::seal) {
        assert!((FIRST_VERSION..=KNOWN).contains(&identity.format));
        assert!((1..=24 * 60).contains(&identity.grain_minutes));
    }
    let (key, open) = (SALT.meta(Progress::NAME), |value: &[u8]| Progress::open(SALT, value));
    if let Some(progress) = read(&key, kind::META, payload, open, |p| p.seal(SALT)) {
        assert!(0 < progress.feed_from && progress.feed_from <= progress.unsealed_from);
        assert!(progress.blocks < progress.next_block);
    }
    let key = SALT.meta(TablesDigest::NAME);
    read(&key, kind::META, payload, |v| TablesDigest::open(SALT, v), |d| d.seal(SALT));
    let key = SALT.feed(u64::MAX);
    let head = read(&key, kind::HEAD, payload, |v| open_head(SALT, v), |&seq| seal_head(SALT, seq));
    assert!(head.is_none_or(|next_seq| next_seq > 0));
    if let Ok(seq) = decode_cursor(payload) {
        assert_eq!(encode_cursor(seq), payload);
    }
}

fuzz_target!(|data: &[u8]| {
    drop((open_identity(data), Progress::open(SALT, data), TablesDigest::open(SALT, data)));
    drop(open_head(SALT, data));
    read_all(data);

    let numbers = damage::numbers(data);
    let number = |n: usize| numbers.get(n * 31).copied().unwrap_or(n as u64 + 1);
    let identity = Identity {
        format: KNOWN,
        name: String::from_utf8_lossy(data).into_owned(),
        salt: Salt(number(0)),
        grain_minutes: number(1) as u32 % (24 * 60) + 1,
    };
    let value = identity.seal();
    assert_eq!(open_identity(&value).ok(), Some(identity));
    let mut payload = value[2..value.len() - 8].to_vec();
    damage::damage(&mut payload, data);
    read_all(&payload);

    let feed_from = number(2).max(1);
    let progress = Progress {
        feed_from,
        unsealed_from: feed_from.saturating_add(number(3)),
        blocks: number(4) >> 1,
        next_block: (number(4) >> 1) + 1 + (number(5) >> 2),
    };
    let value = progress.seal(SALT);
    assert_eq!(Progress::open(SALT, &value), Ok(progress));
    assert!(Progress::open(Salt(1), &value).is_err(), "it lies in another file");
    assert!(TablesDigest::open(SALT, &value).is_err(), "it is another value");
    assert_eq!(open_head(SALT, &seal_head(SALT, feed_from)), Ok(feed_from));
    assert_eq!(decode_cursor(&encode_cursor(feed_from)), Ok(feed_from));

    // A digest does not depend on the order, and taking undoes adding.
    let entries: Vec<&[u8]> = data.chunks(7).collect();
    let (mut forth, mut back) = (TablesDigest::default(), TablesDigest::default());
    entries.iter().for_each(|entry| forth.add(entry, data));
    entries.iter().rev().for_each(|entry| back.add(entry, data));
    assert_eq!(forth, back);
    assert_eq!(TablesDigest::open(SALT, &forth.seal(SALT)), Ok(forth));
    entries.iter().for_each(|entry| back.take(entry, data));
    assert_eq!(back, TablesDigest::default());
});
