//! Reading stored bytes from front to back, and the variable-length integers in them.

use crate::error::Corrupt;

/// Longest variable-length integer: ten groups of seven bits hold 64.
const VARINT_BYTES_MAX: usize = 10;

/// Appends `value` in groups of seven bits, lowest first; the top bit says that more follow
/// (unsigned LEB128).
pub(crate) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends the length of `part`, then `part`.
pub(crate) fn put_part(part: &[u8], out: &mut Vec<u8>) {
    put_varint(part.len() as u64, out);
    out.extend_from_slice(part);
}

/// The bytes that are still to be read.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Cursor<'a> {
    /// Reads `bytes`; damage is reported as damage of `what`.
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    /// The error to give if what was read makes no sense.
    #[cold]
    pub(crate) fn damaged(&self) -> Corrupt {
        Corrupt::new(self.what)
    }

    /// Whether all was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that was not read yet.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Fails if something was not read.
    pub(crate) fn end(self) -> Result<(), Corrupt> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.damaged()) }
    }

    /// The next `len` bytes.
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Corrupt> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(|| self.damaged())?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next byte.
    pub(crate) fn byte(&mut self) -> Result<u8, Corrupt> {
        Ok(self.take(1)?[0])
    }

    /// The next variable-length integer.
    pub(crate) fn varint(&mut self) -> Result<u64, Corrupt> {
        let mut value = 0;
        for n in 0..VARINT_BYTES_MAX {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if n == VARINT_BYTES_MAX - 1 && bits > 1 {
                break;
            }
            value |= bits << (7 * n);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.damaged())
    }

    /// The next variable-length integer as a length or a count, at most `max`.
    pub(crate) fn count(&mut self, max: usize) -> Result<usize, Corrupt> {
        match usize::try_from(self.varint()?) {
            Ok(count) if count <= max => Ok(count),
            _ => Err(self.damaged()),
        }
    }

    /// A part with its length before it.
    pub(crate) fn part(&mut self) -> Result<&'a [u8], Corrupt> {
        let len = self.count(self.rest.len())?;
        self.take(len)
    }
}
