//! What a power loss leaves of the writes that nobody had waited for.

use super::image::Image;

/// A disk writes a sector wholly or not at all; nothing larger is atomic.
pub(crate) const SECTOR_BYTES: u64 = 512;

/// A repeatable source of choices (SplitMix64, Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True `percent` times in a hundred.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// A change of a file that is not on stable storage yet.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Write { offset: u64, data: Vec<u8> },
    SetLen(u64),
}

impl Change {
    pub(crate) fn apply(&self, image: &mut Image) {
        match self {
            Self::Write { offset, data } => image.write(*offset, data),
            Self::SetLen(len) => image.set_len(*len),
        }
    }
}

/// How kind the loss of power is. The first kinds are the corner cases, the last the wide field
/// between them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mood {
    DropsAll,
    KeepsAll,
    /// Everything reached the disk but the newest change of each file, which is torn.
    TearsNewest,
    /// Each change is kept `keep` times in a hundred, and torn `tear` times.
    Mixed {
        keep: u64,
        tear: u64,
    },
}

impl Mood {
    pub(crate) fn pick(chance: &mut Chance) -> Self {
        match chance.below(10) {
            0 => Self::DropsAll,
            1 => Self::KeepsAll,
            2 => Self::TearsNewest,
            3 => Self::Mixed { keep: 0, tear: 100 },
            4 | 5 => Self::Mixed { keep: 80, tear: 10 },
            6 | 7 => Self::Mixed { keep: 10, tear: 20 },
            _ => Self::Mixed { keep: 40, tear: 30 },
        }
    }

    /// Whether a change that is whole or absent (a name in a directory) survives.
    pub(crate) fn keeps(self, chance: &mut Chance, newest: bool) -> bool {
        match self {
            Self::DropsAll => false,
            Self::KeepsAll => true,
            Self::TearsNewest => !newest,
            Self::Mixed { keep, tear } => chance.percent(keep + tear / 2),
        }
    }

    fn piece(self, chance: &mut Chance, newest: bool) -> Piece {
        match self {
            Self::DropsAll => Piece::None,
            Self::KeepsAll => Piece::Whole,
            Self::TearsNewest if newest => Piece::torn(chance),
            Self::TearsNewest => Piece::Whole,
            Self::Mixed { keep, tear } => match chance.below(100) {
                n if n < keep => Piece::Whole,
                n if n < keep + tear => Piece::torn(chance),
                _ => Piece::None,
            },
        }
    }
}

/// How much of one write reached the disk.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Piece {
    None,
    Whole,
    /// So many sectors from its beginning.
    Head(u64),
    /// Every sector on its own, by this seed.
    Sectors(u64),
}

impl Piece {
    pub(crate) fn torn(chance: &mut Chance) -> Self {
        match chance.below(2) {
            0 => Self::Head(chance.next()),
            _ => Self::Sectors(chance.next()),
        }
    }

    /// The parts of `[offset, offset + len)` that survive, as ranges of the data.
    pub(crate) fn ranges(self, offset: u64, len: usize) -> Vec<std::ops::Range<usize>> {
        let sectors = sector_ranges(offset, len);
        match self {
            Self::None => Vec::new(),
            Self::Whole => std::iter::once(0..len).collect(),
            Self::Head(n) => {
                let keep = (n % (sectors.len() as u64 + 1)) as usize;
                sectors.into_iter().take(keep).collect()
            }
            Self::Sectors(seed) => {
                let mut chance = Chance::new(seed);
                sectors.into_iter().filter(|_| chance.percent(50)).collect()
            }
        }
    }
}

/// Cuts a write at the borders of the disk's sectors.
fn sector_ranges(offset: u64, len: usize) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    let mut start = 0;
    while start < len {
        let within = (offset + start as u64) % SECTOR_BYTES;
        let end = len.min(start + (SECTOR_BYTES - within) as usize);
        ranges.push(start..end);
        start = end;
    }
    ranges
}

/// What is found of a file whose stable content was `stable` and whose later `changes` were not
/// waited for.
///
/// Any subset of the writes survives, each whole or in some of its sectors; where two overlap
/// the later one wins, for the cache holds only the newest. The length is one of those that the
/// file had since the last sync: a journal keeps the order of one file's lengths. Bytes below
/// the surviving length that nothing wrote are zeros.
pub(crate) fn survivor(
    stable: &Image,
    changes: &[Change],
    mood: Mood,
    chance: &mut Chance,
) -> Image {
    let lengths_kept = match mood {
        Mood::DropsAll => 0,
        Mood::KeepsAll => changes.len(),
        Mood::TearsNewest => changes.len() - chance.below(2).min(changes.len() as u64) as usize,
        Mood::Mixed { .. } => chance.below(changes.len() as u64 + 1) as usize,
    };
    let mut image = stable.clone();
    for (n, change) in changes.iter().enumerate() {
        match change {
            Change::SetLen(len) if n < lengths_kept => image.set_len(*len),
            Change::SetLen(_) => {}
            Change::Write { offset, data } => {
                let end = offset + data.len() as u64;
                if n < lengths_kept && end > image.len() {
                    image.set_len(end);
                }
                let piece = mood.piece(chance, n + 1 == changes.len());
                for range in piece.ranges(*offset, data.len()) {
                    image.write_clipped(*offset + range.start as u64, &data[range]);
                }
            }
        }
    }
    image
}
