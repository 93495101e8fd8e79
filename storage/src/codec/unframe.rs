//! Reading the shapes of a column of integers; [`ints`](super::ints) has the layout and
//! [`frames`](super::frames) writes it.

use super::ROWS_MAX;
use super::cursor::Cursor;
use super::frames::{ZERO_IS_ABSENT, tag};
use super::ints::{ABSENT, Int, unzigzag};
use super::lz;
use super::pack::{
    FRAME, NARROW_MAX, WIDTH_MAX, packed_bytes, unpack_narrow, unpack_stream, unpack_wide,
};
use crate::error::Corrupt;

/// Most bytes of a base, a step or an exception.
const BYTES_MAX: usize = 8;

/// Longest header of the frames: two varints and two sizes.
const HEADER_MAX: usize = 32;

/// Most bytes that a number can take: as a packed one, an exception, and its share of a frame's
/// width, base, step and count even if it is the frame's only one.
const NUMBER_MAX: usize = 8 + 1 + 8 + 1 + 8 + 8 + 1;

/// Replaces what is in `values` by the `rows` numbers of an encoded column.
pub(super) fn decode<T: Int>(
    bytes: &[u8],
    rows: usize,
    values: &mut Vec<T>,
) -> Result<(), Corrupt> {
    values.clear();
    let mut cursor = Cursor::new(bytes, "a column of integers");
    if rows > ROWS_MAX {
        return Err(cursor.damaged());
    }
    if rows == 0 {
        return cursor.end();
    }
    let tag = cursor.byte()?;
    match tag & tag::SHAPE {
        tag::CONSTANT | tag::LINEAR => decode_linear(tag, cursor, rows, values),
        tag::FRAMES | tag::DELTA if tag & tag::LZ4 != 0 => {
            let len = cursor.count(HEADER_MAX + rows * NUMBER_MAX)?;
            let what = cursor.clone();
            let body = lz::unsqueeze(cursor.rest(), len, &what)?;
            decode_frames(tag, Cursor::new(&body, "a column of integers"), rows, values)
        }
        tag::FRAMES | tag::DELTA => decode_frames(tag, cursor, rows, values),
        _ => Err(cursor.damaged()),
    }
}

fn decode_linear<T: Int>(
    tag: u8,
    mut cursor: Cursor<'_>,
    rows: usize,
    values: &mut Vec<T>,
) -> Result<(), Corrupt> {
    let zigzag = tag & tag::ZIGZAG != 0;
    let first = cursor.varint()?;
    let step = if tag & tag::SHAPE == tag::LINEAR { unzigzag(cursor.varint()?) } else { 0 };
    cursor.end()?;
    let value = |number: u64| match T::NONE {
        Some(none) if number == ABSENT => none,
        _ => T::unmap(number, zigzag),
    };
    if step == 0 {
        values.resize(rows, value(first));
    } else {
        values.extend(
            (0..rows as u64).map(|n| value(first.wrapping_add(n.wrapping_mul(step as u64)))),
        );
    }
    Ok(())
}

/// The parts of a column in frames.
struct Directory<'a> {
    low: u64,
    base_bytes: usize,
    exception_bytes: usize,
    step: u64,
    step_bytes: usize,
    widths: &'a [u8],
    bases: &'a [u8],
    steps: &'a [u8],
    /// Empty if there is no exception.
    counts: &'a [u8],
    positions: &'a [u8],
    exceptions: &'a [u8],
    packed: &'a [u8],
}

impl<'a> Directory<'a> {
    /// Takes the column apart and checks that its parts fit each other.
    fn parse(delta: bool, mut cursor: Cursor<'a>, rows: usize) -> Result<Self, Corrupt> {
        let frames = rows.div_ceil(FRAME);
        let low = cursor.varint()?;
        let sizes = cursor.byte()?;
        let (base_bytes, exception_bytes) = (usize::from(sizes & 15), usize::from(sizes >> 4));
        let (step, step_bytes) = if delta {
            (unzigzag(cursor.varint()?) as u64, usize::from(cursor.byte()?))
        } else {
            (0, 0)
        };
        if base_bytes.max(exception_bytes).max(step_bytes) > BYTES_MAX {
            return Err(cursor.damaged());
        }
        let widths = cursor.take(frames)?;
        let bases = cursor.take(frames * base_bytes)?;
        let steps = cursor.take(frames * step_bytes)?;
        let counts = cursor.take(if exception_bytes > 0 { frames } else { 0 })?;
        let listed = counts.iter().map(|&c| usize::from(c)).sum();
        let positions = cursor.take(listed)?;
        let exceptions = cursor.take(listed * exception_bytes)?;
        let mut packed = 0;
        for (n, &width) in widths.iter().enumerate() {
            let width = u32::from(width & !ZERO_IS_ABSENT);
            if width > WIDTH_MAX {
                return Err(cursor.damaged());
            }
            packed += packed_bytes(FRAME.min(rows - n * FRAME), width);
        }
        let packed = cursor.take(packed)?;
        cursor.end()?;
        Ok(Self {
            low,
            base_bytes,
            exception_bytes,
            step,
            step_bytes,
            widths,
            bases,
            steps,
            counts,
            positions,
            exceptions,
            packed,
        })
    }
}

fn decode_frames<T: Int>(
    tag: u8,
    cursor: Cursor<'_>,
    rows: usize,
    values: &mut Vec<T>,
) -> Result<(), Corrupt> {
    let delta = tag & tag::SHAPE == tag::DELTA;
    let what = cursor.clone();
    let directory = Directory::parse(delta, cursor, rows)?;
    let zigzag = tag & tag::ZIGZAG != 0;
    let none = T::NONE.filter(|_| tag & tag::ABSENT != 0);
    values.resize(rows, T::default());
    let mut packed = directory.packed;
    let mut listed = 0;
    for (n, out) in values.chunks_mut(FRAME).enumerate() {
        let width = u32::from(directory.widths[n] & !ZERO_IS_ABSENT);
        let (this, rest) = packed.split_at(packed_bytes(out.len(), width));
        packed = rest;
        let count = directory.counts.get(n).map_or(0, |&c| usize::from(c));
        let frame = PackedFrame {
            bytes: this,
            width,
            base: directory.low.wrapping_add(number_at(directory.bases, n, directory.base_bytes)),
            positions: &directory.positions[listed..listed + count],
            exceptions: &directory.exceptions
                [listed * directory.exception_bytes..(listed + count) * directory.exception_bytes],
            exception_bytes: directory.exception_bytes,
            zigzag,
        };
        listed += count;
        if frame.positions.iter().any(|&p| usize::from(p) >= out.len()) {
            return Err(what.damaged());
        }
        let flagged = directory.widths[n] & ZERO_IS_ABSENT != 0;
        match (delta, flagged, T::NONE) {
            (true, false, _) => {
                let step = number_at(directory.steps, n, directory.step_bytes);
                frame.decode_delta(directory.step.wrapping_add(step), out);
            }
            (false, true, Some(none)) => frame.decode_nullable(none, out),
            (false, false, _) => frame.decode_plain(none, out),
            _ => return Err(what.damaged()),
        }
    }
    Ok(())
}

/// Number `n` of those of `bytes` bytes each, at most 8, in `list`.
fn number_at(list: &[u8], n: usize, bytes: usize) -> u64 {
    let mut number = [0; BYTES_MAX];
    number[..bytes].copy_from_slice(&list[n * bytes..(n + 1) * bytes]);
    u64::from_le_bytes(number)
}

struct PackedFrame<'a> {
    bytes: &'a [u8],
    width: u32,
    base: u64,
    positions: &'a [u8],
    exceptions: &'a [u8],
    exception_bytes: usize,
    zigzag: bool,
}

impl PackedFrame<'_> {
    /// Fills `out` with what `make` makes of the packed numbers.
    #[inline(always)]
    fn unpack<T: Int>(&self, out: &mut [T], make: impl Fn(u64) -> T) {
        if self.width == 0 {
            out.fill(make(0));
        } else if out.len() < FRAME {
            let mut numbers = [0; FRAME];
            unpack_stream(self.bytes, self.width, &mut numbers[..out.len()]);
            for (value, number) in out.iter_mut().zip(numbers) {
                *value = make(number);
            }
        } else if self.width <= NARROW_MAX {
            let mut numbers = [0; FRAME];
            unpack_narrow(self.bytes, self.width, &mut numbers);
            for (value, number) in out.iter_mut().zip(numbers) {
                *value = make(u64::from(number));
            }
        } else {
            let mut numbers = [0; FRAME];
            unpack_wide(self.bytes, self.width, &mut numbers);
            for (value, number) in out.iter_mut().zip(numbers) {
                *value = make(number);
            }
        }
    }

    fn exceptions(&self) -> impl Iterator<Item = (usize, u64)> {
        self.positions
            .iter()
            .enumerate()
            .map(|(n, &p)| (usize::from(p), number_at(self.exceptions, n, self.exception_bytes)))
    }

    /// `none` is what an exception with all its bits set means, if it means something.
    fn decode_plain<T: Int>(&self, none: Option<T>, out: &mut [T]) {
        let (base, zigzag) = (self.base, self.zigzag);
        self.unpack(out, |x| T::unmap(base.wrapping_add(x), zigzag));
        let all_set = u64::MAX.checked_shr(64 - 8 * self.exception_bytes as u32).unwrap_or(0);
        for (position, x) in self.exceptions() {
            out[position] = match none {
                Some(none) if x == all_set => none,
                _ => T::unmap(base.wrapping_add(x), zigzag),
            };
        }
    }

    fn decode_nullable<T: Int>(&self, none: T, out: &mut [T]) {
        let (base, zigzag) = (self.base.wrapping_sub(1), self.zigzag);
        let make = |x| if x == 0 { none } else { T::unmap(base.wrapping_add(x), zigzag) };
        self.unpack(out, make);
        for (position, x) in self.exceptions() {
            out[position] = make(x);
        }
    }

    fn decode_delta<T: Int>(&self, step: u64, out: &mut [T]) {
        let mut numbers = [0; FRAME];
        self.unpack(&mut numbers[..out.len()], |x| x);
        for (position, x) in self.exceptions() {
            numbers[position] = x;
        }
        numbers[0] = step.wrapping_neg();
        let mut number = self.base;
        for (value, x) in out.iter_mut().zip(numbers) {
            number = number.wrapping_add(step.wrapping_add(x));
            *value = T::unmap(number, self.zigzag);
        }
    }
}
