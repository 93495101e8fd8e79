//! Long values in pieces: they come together again, and what lacks a piece is refused.
#![no_main]

mod damage;

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use storage::block::{ColumnId, PIECE_BYTES_MAX, cut};
use storage::error::Corrupt;
use storage::row::Seq;
use storage::stored::pieces::{
    EntryJoiner, block_of, entry_pieces, join_part, part_pieces, part_range, seq_of,
};

type Pieces = BTreeMap<u128, Vec<u8>>;

/// Longest value: enough for pieces of all sizes.
const VALUE_BYTES_MAX: usize = 3 * PIECE_BYTES_MAX;

/// Values of every size, most of them short, of which each number describes one.
fn values(numbers: &[u64]) -> Vec<Vec<u8>> {
    let length = |n: u64| (n as usize % VALUE_BYTES_MAX) >> (15 - (n >> 60));
    let value = |&n: &u64| {
        let mut value = vec![n as u8; length(n)];
        // No two pages alike, so that pieces in a wrong order would show.
        (0..).zip(value.iter_mut().step_by(1000)).for_each(|(at, byte)| *byte ^= at as u8);
        value
    };
    numbers.iter().take(2).map(value).collect()
}

fn join(pieces: &Pieces) -> Result<Vec<(Seq, Vec<u8>)>, Corrupt> {
    let (mut joiner, mut entries) = (EntryJoiner::default(), Vec::new());
    for (&key, piece) in pieces {
        if let Some((first, value)) = joiner.add(key, piece)? {
            assert_eq!(first, seq_of(key));
            entries.push((first, value.to_vec()));
        }
    }
    joiner.end()?;
    Ok(entries)
}

/// Takes a piece away, makes it another one, or puts it into another place; gives what it was.
fn harm(pieces: &mut Pieces, choice: usize, data: &[u8]) -> Option<(u128, Vec<u8>)> {
    let key = *pieces.keys().nth(choice % pieces.len().max(1))?;
    let whole = pieces.remove(&key)?;
    let mut piece = whole.clone();
    match choice >> 8 & 3 {
        0 => {}
        1 => drop(pieces.insert(key, data.to_vec())),
        2 => drop(pieces.insert(key ^ 1 << (choice >> 10), piece)),
        _ => {
            damage::damage(&mut piece, data);
            pieces.insert(key, piece);
        }
    }
    Some((key, whole))
}

fn check_entries(values: &[Vec<u8>], choice: usize, data: &[u8]) {
    let (mut pieces, mut first) = (Pieces::new(), choice as Seq);
    let mut entries = Vec::new();
    for value in values {
        entry_pieces(first, value, |key, piece| {
            assert!(pieces.insert(key, piece.to_vec()).is_none());
            Ok(())
        })
        .expect("it is no longer than a u32 says");
        entries.push((first, value.clone()));
        first += 1 + value.len() as Seq;
    }
    assert_eq!(join(&pieces).as_ref(), Ok(&entries));
    let Some((key, _)) = harm(&mut pieces, choice, data) else { return };
    let left = pieces.keys().filter(|&&other| seq_of(other) == seq_of(key)).count();
    let joined = join(&pieces);
    if !pieces.contains_key(&key) && left > 0 {
        assert!(joined.is_err(), "a piece of several is missing");
    }
}

fn check_part(value: &[u8], choice: usize, data: &[u8]) {
    let (id, column) = ((choice as u64) << 48 | 7, ColumnId((choice as u32 % 4096) << 6));
    let mut pieces = Pieces::new();
    part_pieces::<Corrupt>(id, column, value, |key, piece| {
        assert!(piece.len() <= PIECE_BYTES_MAX && block_of(key) == id);
        assert!([false, true].iter().any(|&large| part_range(id, large).contains(&key)));
        assert!(pieces.insert(key, piece.to_vec()).is_none());
        Ok(())
    })
    .expect("nothing fails here");
    assert_eq!(pieces.len(), cut(value.len()).count());
    let join = |pieces: &Pieces, len: usize| -> Result<Vec<u8>, Corrupt> {
        let get = |key| Ok(pieces.get(&key));
        join_part((id, column, len), get, |piece| piece, |whole| Ok(whole.to_vec()))
    };
    assert_eq!(join(&pieces, value.len()).as_deref(), Ok(value));
    // Of any other length: what is found has it.
    let other = damage::numbers(data).first().map_or(1, |&n| n as usize % (1 << 30));
    assert!(join(&pieces, other).map_or(other, |whole| whole.len()) == other);
    let Some((key, before)) = harm(&mut pieces, choice, data) else { return };
    match (pieces.get(&key), join(&pieces, value.len())) {
        (Some(piece), Ok(whole)) => {
            assert!(piece.len() == before.len() && whole.len() == value.len())
        }
        (Some(piece), Err(_)) => assert!(piece.len() != before.len()),
        (None, joined) => assert!(joined.is_err()),
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = damage::rows(data) else { return };
    let values = values(&damage::numbers(data));
    check_entries(&values, choice, data);
    check_part(values.first().map_or(data, Vec::as_slice), choice, data);

    // Pieces of the fuzzer's own making: a length of the key, the key, the piece.
    let mut made = Pieces::new();
    for piece in data.chunks(9) {
        let key = u128::from(piece[0] >> 4) << 32 | u128::from(piece[0] & 15);
        made.insert(key, piece[1..].to_vec());
    }
    if let Ok(entries) = join(&made) {
        assert!(entries.iter().map(|(_, value)| value.len()).sum::<usize>() <= data.len());
    }
});
