//! Tables of words that all begin alike and end in a number or an id; [`words`](super) has the
//! layout.

use super::{TEXT_MAX, form};
use crate::codec::cursor::{Cursor, put_varint};
use crate::codec::ints;
use crate::codec::uuids::{decode_uuids, encode_uuids};
use crate::error::Corrupt;
use crate::row::RowId;
use crate::words::WordTable;

/// The bytes that say how the words end.
mod tail {
    pub(super) const HEX: u8 = 0;
    pub(super) const DECIMAL: u8 = 1;
    pub(super) const UUID: u8 = 2;
}

/// Fewer words are not looked at: there is next to nothing to be saved.
const WORDS_MIN: usize = 4;

/// Longest word that is taken apart: the longest id there is.
const WORD_MAX: usize = 128;

/// Most digits of a decimal number: 19 nines are below 2^64 - 1.
const DECIMAL_DIGITS_MAX: usize = 19;

/// A UUID in its canonical form.
const UUID_DIGITS: usize = 36;

const NOT_HEX: u8 = 0xff;

/// The value of each lower-case hexadecimal digit.
const HEX_VALUES: [u8; 256] = {
    let mut values = [NOT_HEX; 256];
    let mut n = 0;
    while n < 16 {
        values[HEX_DIGITS[n] as usize] = n as u8;
        n += 1;
    }
    values
};

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Appends the table behind its number of words, or nothing if they are not alike.
pub(super) fn encode(table: &WordTable, out: &mut Vec<u8>) -> bool {
    if table.len() < WORDS_MIN {
        return false;
    }
    let prefix = common_prefix(table);
    let stem = prefix.trim_end_matches(|c: char| c.is_ascii_digit());
    let first = table.get(1).unwrap_or_default();
    let before_uuid = first.len().saturating_sub(UUID_DIGITS);
    let at = out.len();
    if stem.len() <= WORD_MAX - DECIMAL_DIGITS_MAX
        && let Some(numbers) = decimals(table, stem.len())
    {
        put_head(stem, tail::DECIMAL, out);
        ints::encode_u64s(&numbers, out);
    } else if before_uuid <= prefix.len().min(WORD_MAX - UUID_DIGITS)
        && let Some(uuids) = uuids(table, before_uuid)
    {
        put_head(&first[..before_uuid], tail::UUID, out);
        encode_uuids(&uuids, out);
    } else {
        let digits = first.len() - prefix.len();
        if digits == 0 || first.len() > WORD_MAX {
            return false;
        }
        put_head(prefix, tail::HEX, out);
        put_varint(digits as u64, out);
        if !put_hex(table, prefix.len(), digits, out) {
            out.truncate(at);
            return false;
        }
    }
    true
}

fn put_head(prefix: &str, tail: u8, out: &mut Vec<u8>) {
    put_varint((prefix.len() << form::BITS | form::ALIKE) as u64, out);
    out.extend_from_slice(prefix.as_bytes());
    out.push(tail);
}

/// What all words begin with, cut at a character.
fn common_prefix(table: &WordTable) -> &str {
    let first = table.get(1).unwrap_or_default();
    let mut prefix = first.as_bytes();
    for word in table.iter() {
        let word = word.as_bytes();
        if !word.starts_with(prefix) {
            let same = prefix.iter().zip(word).take_while(|(a, b)| a == b).count();
            prefix = &prefix[..same];
            if same == 0 {
                break;
            }
        }
    }
    &first[..first.floor_char_boundary(prefix.len())]
}

/// The numbers from byte `at` on, if every word is nothing else there than a number in its usual
/// form.
fn decimals(table: &WordTable, at: usize) -> Option<Vec<u64>> {
    let number = |word: &str| {
        let digits = &word.as_bytes()[at..];
        let usual = digits.len() <= DECIMAL_DIGITS_MAX
            && (digits.first()? != &b'0' || digits.len() == 1)
            && digits.iter().all(u8::is_ascii_digit);
        usual.then(|| digits.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
    };
    table.iter().map(number).collect()
}

/// The UUIDs from byte `at` on, if every word is nothing else there.
fn uuids(table: &WordTable, at: usize) -> Option<Vec<[u8; 16]>> {
    let uuid = |word: &str| match RowId::parse(word.get(at..)?) {
        RowId::Uuid(bytes) => Some(bytes),
        RowId::Text(_) => None,
    };
    table.iter().map(uuid).collect()
}

/// Appends the `digits` hexadecimal digits of each word from byte `at` on. Gives `false` if a word
/// has others, or not so many.
fn put_hex(table: &WordTable, at: usize, digits: usize, out: &mut Vec<u8>) -> bool {
    out.reserve(table.len() * digits.div_ceil(2));
    table.iter().all(|word| {
        let (pairs, odd) = word.as_bytes()[at..].as_chunks::<2>();
        let mut seen = 0;
        for pair in pairs {
            let (high, low) = (HEX_VALUES[pair[0] as usize], HEX_VALUES[pair[1] as usize]);
            seen |= high | low;
            out.push(high << 4 | low);
        }
        if let [digit] = odd {
            seen |= HEX_VALUES[*digit as usize];
            out.push(HEX_VALUES[*digit as usize] << 4);
        }
        seen != NOT_HEX && word.len() == at + digits
    })
}

/// The table of `words` words whose common beginning is `prefix` bytes long.
pub(super) fn decode(
    mut cursor: Cursor<'_>,
    prefix: usize,
    words: usize,
) -> Result<WordTable, Corrupt> {
    let damaged = cursor.damaged();
    let prefix = cursor.take(prefix)?;
    if prefix.len() > WORD_MAX {
        return Err(damaged);
    }
    let tail = cursor.byte()?;
    let mut joined = Joined { prefix, text: Vec::new(), ends: Vec::with_capacity(words) };
    match tail {
        tail::HEX => {
            let digits = cursor.count(WORD_MAX - prefix.len())?;
            let packed = cursor.take(words * digits.div_ceil(2))?;
            cursor.end()?;
            if digits == 0 {
                return Err(damaged);
            }
            joined.text.reserve(words * (prefix.len() + digits + 1));
            for word in packed.chunks(digits.div_ceil(2)) {
                joined.push_hex(word, digits);
            }
        }
        tail::DECIMAL => {
            let mut numbers = Vec::new();
            ints::decode_u64s(cursor.rest(), words, &mut numbers)?;
            for number in numbers {
                joined.push_decimal(number);
            }
        }
        tail::UUID => {
            for uuid in decode_uuids(cursor.rest(), words)? {
                let mut digits = [0; UUID_DIGITS];
                uuid::Uuid::from_bytes(uuid).hyphenated().encode_lower(&mut digits);
                joined.push(&digits);
            }
        }
        _ => return Err(damaged),
    }
    joined.finish().ok_or(damaged)
}

/// Words as they are put together again.
struct Joined<'a> {
    prefix: &'a [u8],
    text: Vec<u8>,
    ends: Vec<u32>,
}

impl Joined<'_> {
    fn push(&mut self, tail: &[u8]) {
        self.text.extend_from_slice(self.prefix);
        self.text.extend_from_slice(tail);
        self.ends.push(self.text.len() as u32);
    }

    fn push_hex(&mut self, packed: &[u8], digits: usize) {
        let mut tail = [0; WORD_MAX + 1];
        for (pair, byte) in tail.as_chunks_mut::<2>().0.iter_mut().zip(packed) {
            *pair = [HEX_DIGITS[(byte >> 4) as usize], HEX_DIGITS[(byte & 15) as usize]];
        }
        self.push(&tail[..digits]);
    }

    fn push_decimal(&mut self, mut number: u64) {
        let mut tail = [0; DECIMAL_DIGITS_MAX + 1];
        let mut at = tail.len();
        loop {
            at -= 1;
            tail[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.push(&tail[at..]);
    }

    fn finish(self) -> Option<WordTable> {
        if self.text.len() > TEXT_MAX << 1 {
            return None;
        }
        WordTable::from_parts(String::from_utf8(self.text).ok()?, self.ends)
    }
}
