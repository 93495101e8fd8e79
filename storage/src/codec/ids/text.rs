//! The ids that are not UUIDs; [`ids`](super) has the layout.

use super::{Cursor, TEXT_MAX, decode_table, encode_table, ints, put_part, put_varint};
use crate::error::Corrupt;
use crate::words::WordTable;

mod form {
    pub(super) const TABLE: u8 = 0;
    pub(super) const HEX: u8 = 1;
    pub(super) const DECIMAL: u8 = 2;
}

/// Most digits of a decimal number: 19 nines are below 2^64 - 1.
const DECIMAL_DIGITS_MAX: usize = 19;

/// Appends the texts whose codes the `slots` hold, in their order.
pub(super) fn encode(table: &WordTable, slots: &[[u8; 16]], out: &mut Vec<u8>) {
    let texts: Vec<&str> = slots
        .iter()
        .map(|s| table.get(u32::from_le_bytes([s[0], s[1], s[2], s[3]])).unwrap_or_default())
        .collect();
    let prefix = common_prefix(&texts);
    let stem = prefix.trim_end_matches(|c: char| c.is_ascii_digit());
    if let Some(numbers) = decimals(&texts, stem) {
        out.push(form::DECIMAL);
        put_part(stem.as_bytes(), out);
        ints::encode_u64s(&numbers, out);
    } else if let Some(digits) = hex_digits(&texts, prefix) {
        out.push(form::HEX);
        put_part(prefix.as_bytes(), out);
        put_varint(digits as u64, out);
        for text in &texts {
            for pair in text.as_bytes()[prefix.len()..].chunks(2) {
                let low = pair.get(1).map_or(0, |&digit| hex_value(digit));
                out.push(hex_value(pair[0]) << 4 | low);
            }
        }
    } else {
        out.push(form::TABLE);
        let mut table = WordTable::default();
        for text in texts {
            table.append(text);
        }
        encode_table(&table, out);
    }
}

/// What all texts begin with, cut at a character.
fn common_prefix<'a>(texts: &[&'a str]) -> &'a str {
    let Some((&first, others)) = texts.split_first() else { return "" };
    let mut len = first.len();
    for text in others {
        let same = first.bytes().zip(text.bytes()).take(len).take_while(|(a, b)| a == b);
        len = same.count();
        if len == 0 {
            break;
        }
    }
    &first[..first.floor_char_boundary(len)]
}

/// The numbers behind `stem`, if behind it every text is nothing but a number in its usual form.
fn decimals(texts: &[&str], stem: &str) -> Option<Vec<u64>> {
    if stem.len() > TEXT_MAX {
        return None;
    }
    let number = |text: &&str| {
        let digits = &text.as_bytes()[stem.len()..];
        let usual = digits.len() <= DECIMAL_DIGITS_MAX
            && digits.iter().all(u8::is_ascii_digit)
            && (digits.first()? != &b'0' || digits.len() == 1);
        usual.then(|| digits.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
    };
    texts.iter().map(number).collect()
}

/// How many lower-case hexadecimal digits every text has behind `prefix`, if nothing else.
fn hex_digits(texts: &[&str], prefix: &str) -> Option<usize> {
    let digits = texts.first()?.len() - prefix.len();
    let fits = |text: &&str| {
        let tail = &text.as_bytes()[prefix.len()..];
        tail.len() == digits && tail.iter().all(|d| matches!(d, b'0'..=b'9' | b'a'..=b'f'))
    };
    (prefix.len() + digits <= TEXT_MAX && texts.iter().all(fits)).then_some(digits)
}

fn hex_value(digit: u8) -> u8 {
    if digit <= b'9' { digit - b'0' } else { digit - b'a' + 10 }
}

/// The table of `count` texts in `bytes`.
pub(super) fn decode(bytes: &[u8], count: usize) -> Result<WordTable, Corrupt> {
    let mut cursor = Cursor::new(bytes, "a column of text ids");
    let form = cursor.byte()?;
    if form == form::TABLE {
        let table = decode_table(cursor.clone().rest())?;
        return if table.len() == count { Ok(table) } else { Err(cursor.damaged()) };
    }
    let prefix = std::str::from_utf8(cursor.part()?).map_err(|_| cursor.damaged())?;
    if prefix.len() > TEXT_MAX {
        return Err(cursor.damaged());
    }
    match form {
        form::HEX => decode_hex(prefix, cursor, count),
        form::DECIMAL => {
            let mut numbers = Vec::new();
            ints::decode_u64s(cursor.rest(), count, &mut numbers)?;
            let mut table = WordTable::default();
            for number in numbers {
                table.append(&format!("{prefix}{number}"));
            }
            Ok(table)
        }
        _ => Err(cursor.damaged()),
    }
}

fn decode_hex(prefix: &str, mut cursor: Cursor<'_>, count: usize) -> Result<WordTable, Corrupt> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = cursor.count(TEXT_MAX - prefix.len())?;
    let packed = cursor.take(count * digits.div_ceil(2))?;
    let damaged = cursor.damaged();
    cursor.end()?;
    let mut table = WordTable::default();
    let mut text = String::with_capacity(prefix.len() + digits + 1);
    let mut packed = packed.chunks(digits.div_ceil(2).max(1));
    for _ in 0..count {
        text.clear();
        text.push_str(prefix);
        for byte in packed.next().unwrap_or_default() {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        // The last half of an odd number of digits is filled up with 0.
        if digits % 2 == 1 && text.pop() != Some('0') {
            return Err(damaged);
        }
        table.append(&text);
    }
    Ok(table)
}
