//! A filter that says "surely not" or "perhaps" of a hash.

use crate::error::Corrupt;

/// Appends a filter of `hashes`, which may repeat.
pub fn encode_filter(hashes: &[u64], out: &mut Vec<u8>) {
    let mut hashes = hashes.to_vec();
    hashes.sort_unstable();
    for h in hashes {
        out.extend_from_slice(&h.to_le_bytes());
    }
}

/// A filter in the bytes that [`encode_filter`] made.
#[derive(Clone, Copy, Debug)]
pub struct FilterRef<'a> {
    hashes: &'a [[u8; 8]],
}

impl<'a> FilterRef<'a> {
    /// Takes the filter in `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Corrupt> {
        match bytes.as_chunks() {
            (hashes, []) => Ok(Self { hashes }),
            _ => Err(Corrupt::new("a filter")),
        }
    }

    /// `false` if `hash` is surely not among those the filter was made of.
    pub fn contains(&self, hash: u64) -> bool {
        self.hashes.binary_search_by_key(&hash, |h| u64::from_le_bytes(*h)).is_ok()
    }

    /// Appends to `hits` the places in `hashes` of those that may be there, ascending.
    pub fn contains_each(&self, hashes: &[u64], hits: &mut Vec<u32>) {
        hits.extend((0..hashes.len() as u32).filter(|&n| self.contains(hashes[n as usize])));
    }
}
