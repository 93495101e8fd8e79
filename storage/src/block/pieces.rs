//! Cuts a stored value into pieces that fill the engine's pages.
//!
//! The library below allocates pages of 2^k · 4 KiB, one for each large value: 1.1 MB would take
//! 2 MB. So a value is cut greedily into pieces of 2^k · 4096 − [`PAGE_OVERHEAD`] bytes; the rest,
//! smaller than a page, shares its page with other small pieces.

/// Bytes of a page that are not the value's: the page's header, the key, the lengths.
const PAGE_OVERHEAD: usize = 160;

/// The smallest page.
const PAGE_BYTES: usize = 4096;

/// The largest piece lies in a page of 256 KiB, so that memory for one read stays small.
pub const PIECE_BYTES_MAX: usize = 64 * PAGE_BYTES - PAGE_OVERHEAD;

/// The lengths of the pieces of a value of `len` bytes, in order. A function of the length alone:
/// whoever knows the length knows the pieces.
pub fn cut(len: usize) -> impl Iterator<Item = usize> {
    let mut rest = len;
    std::iter::from_fn(move || {
        if rest == 0 {
            return None;
        }
        let mut piece = PIECE_BYTES_MAX;
        while piece > rest && piece > PAGE_BYTES {
            piece = (piece + PAGE_OVERHEAD) / 2 - PAGE_OVERHEAD;
        }
        let piece = piece.min(rest);
        rest -= piece;
        Some(piece)
    })
}

/// Whether a piece of this length fills pages of its own.
pub(crate) const fn fills_a_page(len: usize) -> bool {
    len >= PAGE_BYTES - PAGE_OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_fill_pages_and_add_up() {
        for len in (0..3000).chain((3000..2_000_000).step_by(977)) {
            let pieces: Vec<usize> = cut(len).collect();
            assert_eq!(pieces.iter().sum::<usize>(), len);
            assert!(pieces.iter().all(|&p| p > 0 && p <= PIECE_BYTES_MAX));
            let ragged = pieces.iter().filter(|&&p| !(p + PAGE_OVERHEAD).is_power_of_two());
            assert!(ragged.count() <= 1, "{len}: {pieces:?}");
            assert!(pieces.iter().rev().skip(1).all(|&p| fills_a_page(p)), "{len}: {pieces:?}");
        }
    }
}
