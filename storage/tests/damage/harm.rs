//! What can happen to a file while nobody looks.

/// The unit in which a file is gone through: a page of the database and of the file system.
const PAGE_BYTES: usize = 4096;

/// How many harms are done in a short run.
const HARMS_SHORT: usize = 150;

/// One way to harm a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// One bit is the other way round.
    Flip { offset: usize, bit: u8 },
    /// The file ends here.
    Truncate { len: usize },
    /// A page has zeros only.
    Zero { page: usize },
    /// A page has ones only.
    Ones { page: usize },
    /// A page has the content of another one: a write that went astray.
    Astray { page: usize, other: usize },
}

impl Harm {
    /// The harmed file.
    pub(crate) fn done_to(self, file: &[u8]) -> Vec<u8> {
        let mut out = file.to_vec();
        let page = |n: usize| n * PAGE_BYTES..((n + 1) * PAGE_BYTES).min(file.len());
        match self {
            Self::Flip { offset, bit } => out[offset] ^= 1 << bit,
            Self::Truncate { len } => out.truncate(len),
            Self::Zero { page: n } => out[page(n)].fill(0),
            Self::Ones { page: n } => out[page(n)].fill(0xff),
            Self::Astray { page: n, other } => {
                let from = page(other);
                let len = page(n).len().min(from.len());
                let start = page(n).start;
                out[start..start + len].copy_from_slice(&file[from.start..from.start + len]);
            }
        }
        out
    }
}

/// Every harm to a file of `len` bytes, or some of it, spread evenly.
pub(crate) fn all(len: usize) -> Vec<Harm> {
    let pages = len.div_ceil(PAGE_BYTES);
    let mut harms = Vec::new();
    for page in 0..pages {
        let start = page * PAGE_BYTES;
        // Headers, the first entries, the middle and the end of a page; another bit each time.
        for (n, within) in [0, 1, 4, 9, 70, 300, 777, 2048, 3000, 4095].into_iter().enumerate() {
            if start + within < len {
                harms.push(Harm::Flip { offset: start + within, bit: ((page + n) % 8) as u8 });
            }
        }
        let other = (page * 7 + 3) % pages;
        harms.extend([Harm::Truncate { len: start }, Harm::Zero { page }, Harm::Ones { page }]);
        harms.push(Harm::Astray { page, other });
    }
    if std::env::var("EMX_SOAK").is_ok_and(|value| value == "1") {
        return harms;
    }
    // The first page is the database's header: all of it, always.
    let first = harms.iter().take(14).copied();
    let step = harms.len().div_ceil(HARMS_SHORT).max(1) | 1;
    first.chain(harms.iter().skip(14).step_by(step).copied()).collect()
}
