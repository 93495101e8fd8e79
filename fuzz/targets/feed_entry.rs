//! Entries of the feed: what is accepted keeps the seqs in their places and has whole rows.
#![no_main]

mod damage;
mod rows;

use libfuzzer_sys::fuzz_target;
use storage::codec::frame;
use storage::engine::{FeedEntry, FeedItem};
use storage::row::Seq;
use storage::stored::feed::{Body, decode, encode};
use storage::stored::key::{Salt, kind};

const SALT: Salt = Salt(0x1234);

/// Stands for the few things that no two entries differ by.
fn stored(item: &FeedItem) -> Vec<u8> {
    encode(SALT, item.first, item.last, Body::from(&item.entry))
        .expect("what was read can be written")
}

fn read(first: Seq, value: &[u8]) -> Option<FeedItem> {
    let item = decode(SALT, first, value).ok()?;
    let out = stored(&item);
    // By what they encode to, since absent values are NaN.
    assert_eq!(stored(&decode(SALT, first, &out).expect("it was just written")), out);
    assert!(item.first == first && first > 0 && first <= item.last);
    assert!(item.last < Seq::MAX);
    let removed: &[Seq] = match &item.entry {
        FeedEntry::Rows(_) => &[],
        FeedEntry::Removed { seq, rows } => {
            assert_eq!(*seq, first);
            rows
        }
        FeedEntry::Replaced { removed, .. } => removed,
    };
    assert!(removed.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(removed.last().is_none_or(|&seq| seq < first));
    if let Some(rows) = item.entry.rows() {
        rows::check(rows, true);
        assert_eq!(rows.seq.len(), rows.len);
        assert!(rows.seq.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(rows.seq.iter().all(|seq| (first..=item.last).contains(seq)));
    }
    Some(item)
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = damage::rows(data) else { return };
    let first = [1, 2, 300, 1 << 40][choice & 3] + (choice >> 4) as Seq;
    read(first, data);
    // The fuzzer's bytes in a frame that fits. More than two bytes of a number of rows or seqs
    // would only make it slow.
    let kind = kind::FEED_ROWS + (choice >> 2 & 3) as u8;
    if !data.windows(3).take(12).any(|bytes| bytes.iter().all(|byte| byte & 0x80 != 0)) {
        read(first, &frame::seal(&SALT.feed(first), kind, data));
    }

    let rows = rows::numbered(data, first);
    let last = first + rows.len.max(1) as Seq - 1;
    let mut removed = damage::numbers(data);
    removed.iter_mut().for_each(|seq| *seq %= first);
    removed.sort_unstable();
    removed.dedup();
    let (body, last) = match choice % 3 {
        0 => (Body::Rows(&rows), last),
        1 => (Body::Removed(&removed), first),
        _ => (Body::Replaced(&removed, &rows), last),
    };
    let value = encode(SALT, first, last, body).expect("within the limits of an entry");
    let back = read(first, &value).expect("what was just written can be read");
    assert_eq!(stored(&back), value);
    assert!(decode(SALT, first + 1, &value).is_err(), "it lies in another place");
    assert!(decode(Salt(0), first, &value).is_err(), "it lies in another file");

    // Damage within the frame, which the checksum does not show.
    let mut payload = value[2..value.len() - 8].to_vec();
    damage::damage(&mut payload, data);
    read(first, &frame::seal(&SALT.feed(first), value[1], &payload));
});
