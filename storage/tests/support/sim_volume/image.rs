//! The bytes of a simulated file: pages shared between copies until one of them is written to.

use std::sync::Arc;

/// The unit of allocation and of sharing, as in the usual file systems.
pub(crate) const PAGE_BYTES: usize = 4096;

type Page = [u8; PAGE_BYTES];

/// A file's content. What was never written to is a hole: it reads as zeros and takes no space.
#[derive(Clone, Debug, Default)]
pub(crate) struct Image {
    len: u64,
    pages: Vec<Option<Arc<Page>>>,
    allocated: u64,
}

impl Image {
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes of the pages that are not holes.
    pub(crate) fn allocated_bytes(&self) -> u64 {
        self.allocated * PAGE_BYTES as u64
    }

    /// Fills `out` from `offset`; `false` if the image ends before.
    pub(crate) fn read(&self, offset: u64, out: &mut [u8]) -> bool {
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > self.len) {
            return false;
        }
        for (at, within, part) in parts(offset, out.len()) {
            let piece = &mut out[part];
            match self.pages.get(at).and_then(Option::as_ref) {
                Some(page) => piece.copy_from_slice(&page[within..within + piece.len()]),
                None => piece.fill(0),
            }
        }
        true
    }

    /// Writes `data` at `offset`, growing the image if it ends before.
    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) {
        let end = offset + data.len() as u64;
        if end > self.len {
            self.set_len(end);
        }
        for (at, within, part) in parts(offset, data.len()) {
            let slot = &mut self.pages[at];
            if slot.is_none() {
                self.allocated += 1;
            }
            let page = Arc::make_mut(slot.get_or_insert_with(|| Arc::new([0; PAGE_BYTES])));
            page[within..within + part.len()].copy_from_slice(&data[part]);
        }
    }

    /// Writes as much of `data` as lies before the end of the image.
    pub(crate) fn write_clipped(&mut self, offset: u64, data: &[u8]) {
        let room = self.len.saturating_sub(offset).min(data.len() as u64);
        if room > 0 {
            self.write(offset, &data[..room as usize]);
        }
    }

    /// Cuts, or extends with zeros.
    pub(crate) fn set_len(&mut self, len: u64) {
        let pages = len.div_ceil(PAGE_BYTES as u64) as usize;
        let gone = self.pages.iter().skip(pages).flatten().count();
        self.allocated -= gone as u64;
        self.pages.resize(pages, None);
        let used = (len % PAGE_BYTES as u64) as usize;
        if len < self.len
            && used > 0
            && let Some(Some(page)) = self.pages.last_mut()
        {
            Arc::make_mut(page)[used..].fill(0);
        }
        self.len = len;
    }

    /// Bytes that writing `len` bytes at `offset` would allocate.
    pub(crate) fn growth(&self, offset: u64, len: usize) -> u64 {
        let holes = parts(offset, len)
            .filter(|(at, ..)| self.pages.get(*at).is_none_or(Option::is_none))
            .count();
        (holes * PAGE_BYTES) as u64
    }

    /// Whether both hold the same bytes.
    pub(crate) fn same_bytes(&self, other: &Self) -> bool {
        const HOLE: Page = [0; PAGE_BYTES];
        self.len == other.len
            && self
                .pages
                .iter()
                .zip(&other.pages)
                .all(|(a, b)| a.as_deref().unwrap_or(&HOLE) == b.as_deref().unwrap_or(&HOLE))
    }
}

/// Cuts `[offset, offset + len)` at page borders: the page, the place in it, the part of the range.
fn parts(offset: u64, len: usize) -> impl Iterator<Item = (usize, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let at = offset + done as u64;
        let within = (at % PAGE_BYTES as u64) as usize;
        let take = (PAGE_BYTES - within).min(len - done);
        let part = done..done + take;
        done += take;
        Some(((at / PAGE_BYTES as u64) as usize, within, part))
    })
}
