//! A file that is looked into and not changed: what is written stays in memory, and a sync has
//! nothing to do.
//!
//! After a failed sync a file must be copied before anything is written to it. redb, though, opens no
//! file without writing to it; so it is given this one.

use crate::volume::Disk;
use hashbrown::HashMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is kept of the file at once, where it was written to.
const PAGE_BYTES: usize = 4096;

/// Pages that may be written to. Opening a file writes its header, closing it what is free in it: a
/// few pages, but for a file of many terabytes.
const PAGES_MAX: usize = 4096;

/// See the module.
#[derive(Debug)]
pub(super) struct Shadow {
    below: Arc<dyn Disk>,
    above: Mutex<Above>,
}

/// What differs from the file.
#[derive(Debug)]
struct Above {
    len: u64,
    /// How much of the file below still counts: what was cut off once is zeros.
    below_len: u64,
    pages: HashMap<u64, Box<[u8; PAGE_BYTES]>>,
}

impl Shadow {
    /// The file `below` as it is now.
    pub(super) fn of(below: Arc<dyn Disk>) -> io::Result<Self> {
        let len = below.len()?;
        let above = Above { len, below_len: len, pages: HashMap::new() };
        Ok(Self { below, above: Mutex::new(above) })
    }

    fn above(&self) -> MutexGuard<'_, Above> {
        self.above.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pages that the `len` bytes at `offset` lie in: the number of each, what of the page that is,
/// and where among the bytes.
fn pages_of(offset: u64, len: usize) -> impl Iterator<Item = (u64, Range<usize>, Range<usize>)> {
    let page_bytes = PAGE_BYTES as u64;
    let end = offset + len as u64;
    (offset / page_bytes..end.div_ceil(page_bytes)).map(move |page| {
        let start = page * page_bytes;
        let (from, to) = (offset.max(start), end.min(start + page_bytes));
        let within = |base: u64| (from - base) as usize..(to - base) as usize;
        (page, within(start), within(offset))
    })
}

impl Above {
    /// Fills `out` from `offset`, as if the file had no end.
    fn read(&self, below: &dyn Disk, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = self.below_len.saturating_sub(offset).min(out.len() as u64) as usize;
        below.read(offset, &mut out[..there])?;
        out[there..].fill(0);
        if self.pages.is_empty() {
            return Ok(());
        }
        for (page, in_page, in_out) in pages_of(offset, out.len()) {
            if let Some(bytes) = self.pages.get(&page) {
                out[in_out].copy_from_slice(&bytes[in_page]);
            }
        }
        Ok(())
    }

    /// The page of that number, to be changed.
    fn page(&mut self, below: &dyn Disk, page: u64) -> io::Result<&mut [u8; PAGE_BYTES]> {
        if !self.pages.contains_key(&page) {
            if self.pages.len() >= PAGES_MAX {
                return Err(io::Error::other("too much is written to a file that is looked into"));
            }
            let mut bytes = Box::new([0; PAGE_BYTES]);
            self.read(below, page * PAGE_BYTES as u64, &mut *bytes)?;
            self.pages.insert(page, bytes);
        }
        Ok(self.pages.entry(page).or_insert_with(|| Box::new([0; PAGE_BYTES])))
    }
}

impl Disk for Shadow {
    fn len(&self) -> io::Result<u64> {
        Ok(self.above().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let above = self.above();
        if offset.saturating_add(out.len() as u64) > above.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        above.read(&*self.below, offset, out)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut above = self.above();
        for (page, in_page, in_data) in pages_of(offset, data.len()) {
            above.page(&*self.below, page)?[in_page].copy_from_slice(&data[in_data]);
        }
        above.len = above.len.max(offset + data.len() as u64);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut above = self.above();
        above.len = len;
        above.below_len = above.below_len.min(len);
        for (page, bytes) in &mut above.pages {
            let kept = len.saturating_sub(page * PAGE_BYTES as u64).min(PAGE_BYTES as u64);
            bytes[kept as usize..].fill(0);
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn allocated(&self) -> io::Result<u64> {
        self.below.allocated()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{OsVolume, Volume};
    use std::path::Path;

    /// A file of three pages and a bit, of ones, and its shadow.
    fn of_ones() -> (tempfile::TempDir, Shadow) {
        let dir = tempfile::tempdir().unwrap();
        let disk = OsVolume::new(dir.path()).open(Path::new("file"), true).unwrap();
        disk.write(0, &[1; 3 * PAGE_BYTES + 10]).unwrap();
        (dir, Shadow::of(Arc::from(disk)).unwrap())
    }

    fn bytes(shadow: &Shadow) -> Vec<u8> {
        let mut bytes = vec![9; shadow.len().unwrap() as usize];
        shadow.read(0, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_is_written_is_seen_and_not_in_the_file() {
        let (dir, shadow) = of_ones();
        let mut expected = vec![1; 3 * PAGE_BYTES + 10];
        for (offset, len) in [(0, 4), (PAGE_BYTES - 3, 2 * PAGE_BYTES), (3 * PAGE_BYTES + 5, 20)] {
            shadow.write(offset as u64, &vec![2; len]).unwrap();
            expected.resize(expected.len().max(offset + len), 0);
            expected[offset..offset + len].fill(2);
            assert_eq!(bytes(&shadow), expected, "{offset}");
        }
        shadow.sync().unwrap();
        let beyond = shadow.read(shadow.len().unwrap() - 1, &mut [0; 2]).unwrap_err();
        assert_eq!(beyond.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(std::fs::read(dir.path().join("file")).unwrap(), [1; 3 * PAGE_BYTES + 10]);
    }

    #[test]
    fn what_is_cut_off_is_zeros_when_it_grows_again() {
        let (_dir, shadow) = of_ones();
        shadow.write(2 * PAGE_BYTES as u64, &[2; 100]).unwrap();
        for len in [2 * PAGE_BYTES + 50, 5 * PAGE_BYTES] {
            shadow.set_len(len as u64).unwrap();
        }
        let mut expected = vec![1; 2 * PAGE_BYTES];
        expected.extend([2; 50]);
        expected.resize(5 * PAGE_BYTES, 0);
        assert_eq!(bytes(&shadow), expected);
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let (_dir, shadow) = of_ones();
        let much = vec![2; PAGES_MAX * PAGE_BYTES + 1];
        assert!(shadow.write(0, &much).is_err());
    }
}
