//! The first look: which rules could match a text at all.
//!
//! Every rule needs one of its *needles* in the text. Three letters of each needle, without case,
//! are hashed into a table of slots; the text is walked once with a rolling window of three
//! letters, one multiplication and one load a byte. Only where a slot is taken the needle itself
//! is compared. (The idea is Wu and Manber's, "A fast algorithm for multi-pattern searching",
//! 1994, without their shifts: needles here are too short to skip far.)

use super::rules::{NEEDLES, Needle};

const SLOT_BITS: u32 = 13;
const SLOTS: usize = 1 << SLOT_BITS;
const LETTERS: usize = 3;

/// No needle.
const NONE: u8 = u8::MAX;

/// For each slot the first needle that hashes to it, and for each needle the next one.
struct Table {
    first: [u8; SLOTS],
    next: [u8; NEEDLES.len()],
    window: [u32; NEEDLES.len()],
}

static TABLE: Table = build();

/// A bit per rule, set if the rule's regular expression has to be asked.
#[inline]
pub(super) fn suspects(text: &[u8]) -> u32 {
    let mut rules = 0;
    let mut window = 0;
    for (at, &byte) in text.iter().enumerate() {
        window = (window << 8 | fold(byte)) & 0xff_ffff;
        let needle = TABLE.first[slot(window)];
        if needle != NONE {
            rules |= compare(text, at, window, needle);
        }
    }
    rules
}

/// The rules of the needles whose three letters end at `at` and that stand there whole.
#[cold]
fn compare(text: &[u8], at: usize, window: u32, mut needle: u8) -> u32 {
    let mut rules = 0;
    while needle != NONE {
        let Needle { word, letters_at, any_case, later, rule } = NEEDLES[needle as usize];
        if TABLE.window[needle as usize] == window {
            let start = (at + 1).checked_sub(LETTERS + letters_at);
            let found = start.and_then(|start| text.get(start..start + word.len()));
            let equal = found.is_some_and(|found| {
                if any_case { found.eq_ignore_ascii_case(word) } else { found == word }
            });
            if equal && later.is_none_or(|byte| text[at..].contains(&byte)) {
                rules |= 1 << rule as u32;
            }
        }
        needle = TABLE.next[needle as usize];
    }
    rules
}

const fn fold(byte: u8) -> u32 {
    (byte | 0x20) as u32
}

/// Fibonacci hashing (Knuth, "The Art of Computer Programming" 3, §6.4).
const fn slot(window: u32) -> usize {
    (window.wrapping_mul(0x9e37_79b1) >> (32 - SLOT_BITS)) as usize
}

const fn build() -> Table {
    let mut table =
        Table { first: [NONE; SLOTS], next: [NONE; NEEDLES.len()], window: [0; NEEDLES.len()] };
    let mut n = 0;
    while n < NEEDLES.len() {
        let (word, at) = (NEEDLES[n].word, NEEDLES[n].letters_at);
        let window = fold(word[at]) << 16 | fold(word[at + 1]) << 8 | fold(word[at + 2]);
        let slot = slot(window);
        table.window[n] = window;
        table.next[n] = table.first[slot];
        table.first[slot] = n as u8;
        n += 1;
    }
    table
}
