//! A filter that says "surely not" or "perhaps" of a hash.
//!
//! A binary fuse filter of three hashes and fingerprints of 8 bits (Graf and Lemire, "Binary fuse
//! filters: fast and smaller than xor filters", 2022): 9.1 to 9.5 bits a key from some ten
//! thousand keys on, and 1 in 256 of the hashes that are not in it is taken for one that is.
//!
//! ```text
//! +---------+-----------+--------------+------------+---------------------------------+
//! | form u8 | log2 u8 L | segments u32 | seed u64   | (segments + 2) << L fingerprints |
//! |  = 1    |           | S            |            | of one byte                     |
//! +---------+-----------+--------------+------------+---------------------------------+
//! ```
//!
//! Numbers are little endian. `m = mix(hash + seed)`, where `mix` is the finalizer of MurmurHash3;
//! the hash has three places, the first of which is `p = (m * (S << L)) >> 64` (in 128 bits), the
//! others `(p + (1 << L)) ^ (m >> 18 & (1 << L) - 1)` and `(p + (2 << L)) ^ (m & (1 << L) - 1)`. It is
//! perhaps in the filter if the fingerprints there, xored, are the low byte of `m ^ m >> 32`.
//!
//! No bytes are a filter of nothing. A filter that is the one byte 0 says "perhaps" of everything:
//! what is written should no seed be found.

use crate::error::Corrupt;

const EVERYTHING: u8 = 0;
const FUSE: u8 = 1;

/// Form, log2 of the segment length, segments, seed.
const HEAD: usize = 1 + 1 + 4 + 8;

/// Longest segment, as the authors have it: 2^18.
const SEGMENT_LOG_MAX: u8 = 18;

/// Seeds that are tried. One fails in less than one of a hundred cases.
const TRIES: u64 = 64;

/// Between one seed and the next (the golden ratio, as in SplitMix64).
const SEED_STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Where the places of a hash are.
#[derive(Clone, Copy, Debug)]
struct Geometry {
    segment_log: u8,
    segments: u32,
    seed: u64,
}

impl Geometry {
    /// Sizes as the authors found them by experiment for three hashes.
    fn of(keys: usize) -> Self {
        let ln = (keys.max(2) as f64).ln();
        let segment_log = (ln / 3.33_f64.ln() + 2.25) as u8;
        let segment_log = segment_log.min(SEGMENT_LOG_MAX);
        let factor = (0.875 + 0.25 * 1e6_f64.ln() / ln).max(1.125);
        let capacity = (keys as f64 * factor) as usize;
        let segments = capacity.div_ceil(1 << segment_log).saturating_sub(2).max(1) as u32;
        Self { segment_log, segments, seed: SEED_STEP }
    }

    fn fingerprints(self) -> usize {
        (self.segments as usize + 2) << self.segment_log
    }

    fn mix(self, hash: u64) -> u64 {
        let mut m = hash.wrapping_add(self.seed);
        m = (m ^ m >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
        m = (m ^ m >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        m ^ m >> 33
    }

    fn places(self, mixed: u64) -> [usize; 3] {
        let span = u64::from(self.segments) << self.segment_log;
        let first = ((u128::from(mixed) * u128::from(span)) >> 64) as u64;
        let segment = 1_u64 << self.segment_log;
        let mask = segment - 1;
        let second = (first + segment) ^ (mixed >> 18 & mask);
        let third = (first + 2 * segment) ^ (mixed & mask);
        [first as usize, second as usize, third as usize]
    }
}

fn fingerprint(mixed: u64) -> u8 {
    (mixed ^ mixed >> 32) as u8
}

/// Appends a filter of `hashes`, which may repeat.
pub fn encode_filter(hashes: &[u64], out: &mut Vec<u8>) {
    if hashes.is_empty() {
        return;
    }
    let mut distinct;
    let mut hashes = hashes;
    let mut geometry = Geometry::of(hashes.len());
    for attempt in 0..TRIES {
        if let Some(peeled) = Peeling::new(geometry, hashes).run(hashes.len()) {
            write(geometry, &peeled, out);
            return;
        }
        if attempt == 0 {
            // A hash that is there twice cannot be peeled. That is rare enough to find out so.
            distinct = hashes.to_vec();
            distinct.sort_unstable();
            distinct.dedup();
            hashes = &distinct;
            geometry = Geometry::of(hashes.len());
        }
        geometry.seed = geometry.seed.wrapping_add(SEED_STEP);
    }
    out.push(EVERYTHING);
}

/// The places that each hash has to itself once all later ones are taken out.
struct Peeling {
    geometry: Geometry,
    /// For each place four times the number of hashes there, and in the low two bits the xor of
    /// which of a hash's three places it is to them.
    counts: Vec<u8>,
    /// For each place all hashes there, xored.
    hashes: Vec<u64>,
    overflow: bool,
}

impl Peeling {
    fn new(geometry: Geometry, hashes: &[u64]) -> Self {
        let places = geometry.fingerprints();
        let mut this =
            Self { geometry, counts: vec![0; places], hashes: vec![0; places], overflow: false };
        for &hash in hashes {
            let mixed = geometry.mix(hash);
            for (which, place) in (0..).zip(geometry.places(mixed)) {
                let count = this.counts[place].wrapping_add(4);
                this.overflow |= count < 4;
                this.counts[place] = count ^ which;
                this.hashes[place] ^= mixed;
            }
        }
        this
    }

    /// Each mixed hash with which of its places is its own, first those that depend on others'.
    fn run(mut self, hashes: usize) -> Option<Vec<(u64, u8)>> {
        if self.overflow {
            return None;
        }
        let mut lone: Vec<u32> =
            (0..self.counts.len() as u32).filter(|&p| self.counts[p as usize] >> 2 == 1).collect();
        let mut peeled = Vec::with_capacity(hashes);
        while let Some(place) = lone.pop() {
            let count = self.counts[place as usize];
            if count >> 2 != 1 {
                continue;
            }
            let (mixed, own) = (self.hashes[place as usize], count & 3);
            peeled.push((mixed, own));
            for (which, place) in (0..).zip(self.geometry.places(mixed)) {
                if which == own {
                    continue;
                }
                let count = (self.counts[place] - 4) ^ which;
                self.counts[place] = count;
                self.hashes[place] ^= mixed;
                if count >> 2 == 1 {
                    lone.push(place as u32);
                }
            }
        }
        (peeled.len() == hashes).then_some(peeled)
    }
}

fn write(geometry: Geometry, peeled: &[(u64, u8)], out: &mut Vec<u8>) {
    out.extend_from_slice(&[FUSE, geometry.segment_log]);
    out.extend_from_slice(&geometry.segments.to_le_bytes());
    out.extend_from_slice(&geometry.seed.to_le_bytes());
    let at = out.len();
    out.resize(at + geometry.fingerprints(), 0);
    let fingerprints = &mut out[at..];
    for &(mixed, own) in peeled.iter().rev() {
        let [a, b, c] = geometry.places(mixed);
        // The own place is still 0, so that all three can be xored.
        let value = fingerprint(mixed) ^ fingerprints[a] ^ fingerprints[b] ^ fingerprints[c];
        fingerprints[[a, b, c][usize::from(own)]] = value;
    }
}

/// A filter in the bytes that [`encode_filter`] made.
#[derive(Clone, Copy, Debug)]
pub struct FilterRef<'a> {
    kind: Kind<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Kind<'a> {
    Nothing,
    Everything,
    Fuse(Geometry, &'a [u8]),
}

impl<'a> FilterRef<'a> {
    /// Takes the filter in `bytes`; copies nothing.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Corrupt> {
        let damaged = || Corrupt::new("a filter");
        let kind = match bytes {
            [] => Kind::Nothing,
            [EVERYTHING] => Kind::Everything,
            [FUSE, ..] => {
                let (head, fingerprints) = bytes.split_first_chunk::<HEAD>().ok_or_else(damaged)?;
                let [_, segment_log, a, b, c, d, seed @ ..] = *head;
                let segments = u32::from_le_bytes([a, b, c, d]);
                let seed = u64::from_le_bytes(seed);
                if segment_log > SEGMENT_LOG_MAX || segments == 0 {
                    return Err(damaged());
                }
                let geometry = Geometry { segment_log, segments, seed };
                if geometry.fingerprints() != fingerprints.len() {
                    return Err(damaged());
                }
                Kind::Fuse(geometry, fingerprints)
            }
            _ => return Err(damaged()),
        };
        Ok(Self { kind })
    }

    /// `false` if `hash` is surely not among those the filter was made of.
    pub fn contains(&self, hash: u64) -> bool {
        match self.kind {
            Kind::Nothing => false,
            Kind::Everything => true,
            Kind::Fuse(geometry, fingerprints) => probe(geometry, fingerprints, hash),
        }
    }

    /// Appends to `hits` the places in `hashes` of those that may be there, ascending.
    pub fn contains_each(&self, hashes: &[u64], hits: &mut Vec<u32>) {
        match self.kind {
            Kind::Nothing => {}
            Kind::Everything => hits.extend(0..hashes.len() as u32),
            Kind::Fuse(geometry, fingerprints) => {
                for (n, &hash) in (0..).zip(hashes) {
                    if probe(geometry, fingerprints, hash) {
                        hits.push(n);
                    }
                }
            }
        }
    }
}

fn probe(geometry: Geometry, fingerprints: &[u8], hash: u64) -> bool {
    let mixed = geometry.mix(hash);
    let [a, b, c] = geometry.places(mixed);
    fingerprint(mixed) == fingerprints[a] ^ fingerprints[b] ^ fingerprints[c]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn noise(n: usize) -> u64 {
        xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes())
    }

    /// Builds a filter, checks that it has all it should have, and gives its size in bits per
    /// hash and how many of 100,000 other hashes it takes for its own.
    fn check(hashes: &[u64]) -> (f64, usize) {
        let mut out = Vec::new();
        encode_filter(hashes, &mut out);
        let filter = FilterRef::parse(&out).unwrap();
        assert!(hashes.iter().all(|&h| filter.contains(h)));
        let mut hits = Vec::new();
        filter.contains_each(hashes, &mut hits);
        assert_eq!(hits, (0..hashes.len() as u32).collect::<Vec<_>>());
        let wrong = (0..100_000).filter(|n| filter.contains(noise(n + 1_000_000_000))).count();
        (out.len() as f64 * 8.0 / hashes.len() as f64, wrong)
    }

    #[test]
    fn filters_of_every_size_keep_their_promises() {
        for len in (1..300).chain([1000, 4096, 10_000, 65_536, 200_000]) {
            let hashes: Vec<u64> = (0..len).map(noise).collect();
            let (bits, wrong) = check(&hashes);
            assert!(wrong < 600, "{len}: {wrong}");
            assert!(len < 60_000 || bits < 9.8, "{len}: {bits}");
        }
    }

    #[test]
    fn nothing_is_in_an_empty_filter() {
        let filter = FilterRef::parse(&[]).unwrap();
        assert!(!filter.contains(0));
        let all = FilterRef::parse(&[EVERYTHING]).unwrap();
        assert!(all.contains(7));
    }

    #[test]
    fn hashes_may_repeat() {
        check(&[5; 1000]);
        check(&(0..20_000).map(|n| noise(n / 3)).collect::<Vec<_>>());
        check(&(0..1000).collect::<Vec<u64>>());
    }

    proptest! {
        #[test]
        fn damage_is_refused_or_probed(
            len in 0_usize..100, bytes in proptest::collection::vec(any::<u8>(), 0..64),
            at in any::<prop::sample::Index>(), xor in 1_u8.., cut in any::<bool>(),
        ) {
            let mut out = Vec::new();
            encode_filter(&(0..len).map(noise).collect::<Vec<_>>(), &mut out);
            if !out.is_empty() {
                let at = at.index(out.len());
                out[at] ^= xor;
                out.truncate(if cut { at } else { out.len() });
            }
            let hashes: Vec<u64> = (0..100).map(noise).collect();
            for bytes in [out, bytes] {
                if let Ok(filter) = FilterRef::parse(&bytes) {
                    filter.contains_each(&hashes, &mut Vec::new());
                }
            }
        }
    }
}
