//! Writing the shapes of a column of integers; [`ints`](super::ints) has the layout and
//! [`unframe`](super::unframe) reads it.

use super::ROWS_MAX;
use super::cursor::put_varint;
use super::ints::{ABSENT, Int, zigzag_of};
use super::lz;
use super::pack::{
    FRAME, NARROW_MAX, WIDTH_MAX, pack_narrow, pack_stream, pack_wide, packed_bytes, width_of,
};

/// The bits of a column's first byte.
pub(super) mod tag {
    pub(in super::super) const CONSTANT: u8 = 0;
    pub(in super::super) const LINEAR: u8 = 1;
    pub(in super::super) const FRAMES: u8 = 2;
    pub(in super::super) const DELTA: u8 = 3;
    pub(in super::super) const SHAPE: u8 = 7;
    pub(in super::super) const ZIGZAG: u8 = 1 << 3;
    pub(in super::super) const ABSENT: u8 = 1 << 4;
    pub(in super::super) const LZ4: u8 = 1 << 7;
}

/// In a frame's width byte: the number 0 means absent.
pub(super) const ZERO_IS_ABSENT: u8 = 1 << 7;

/// More absent numbers than this in a frame are not listed as exceptions: that would take more
/// room than up to a bit in each number does.
const ABSENT_LISTED_MAX: usize = 8;

/// Most exceptions in a frame: their number is a byte.
const EXCEPTIONS_MAX: usize = u8::MAX as usize;

/// What an exception costs beside its bytes: its position.
const EXCEPTION_OVERHEAD: usize = 1;

/// How many frames are tried out to choose between frames and delta frames: columns are much alike
/// from end to end.
const SAMPLES: usize = 4;

/// Appends the encoded column.
pub(super) fn encode<T: Int>(values: &[T], out: &mut Vec<u8>) {
    debug_assert!(values.len() <= ROWS_MAX);
    let Some(&first) = values.first() else { return };
    let zigzag = values.iter().fold(false, |any, v| any | v.is_negative());
    let flags = if zigzag { tag::ZIGZAG } else { 0 };
    if let Some(step) = linear_step(values, zigzag) {
        out.push(flags | if step == 0 { tag::CONSTANT } else { tag::LINEAR });
        put_varint(first.map(zigzag), out);
        if step != 0 {
            put_varint(zigzag_of(step as i64), out);
        }
        return;
    }
    let absent = values.iter().fold(false, |any, v| any | v.is_none());
    let delta = !absent && delta_is_shorter(values, zigzag);
    let mut frames = Frames::new(values.len().div_ceil(FRAME), delta, absent);
    for frame in values.chunks(FRAME) {
        frames.push(&load(frame, zigzag), frame.len());
    }
    let tag =
        flags | if absent { tag::ABSENT } else { 0 } | if delta { tag::DELTA } else { tag::FRAMES };
    let at = out.len();
    out.push(tag);
    frames.write(out);
    if let Some(packed) = lz::squeeze(&out[at + 1..]) {
        let len = out.len() - at - 1;
        out.truncate(at);
        out.push(tag | tag::LZ4);
        put_varint(len as u64, out);
        out.extend_from_slice(&packed);
    }
}

/// The step from each number to the next if it is the same all along; 0 for a lone number.
fn linear_step<T: Int>(values: &[T], zigzag: bool) -> Option<u64> {
    let step = |pair: &[T]| pair[1].map(zigzag).wrapping_sub(pair[0].map(zigzag));
    let mut pairs = values.windows(2);
    let first = pairs.next().map_or(0, step);
    pairs.all(|pair| step(pair) == first).then_some(first)
}

/// Up to a frame of mapped numbers, followed by zeros.
fn load<T: Int>(frame: &[T], zigzag: bool) -> [u64; FRAME] {
    let mut numbers = [0; FRAME];
    for (number, value) in numbers.iter_mut().zip(frame) {
        *number = value.map(zigzag);
    }
    numbers
}

fn delta_is_shorter<T: Int>(values: &[T], zigzag: bool) -> bool {
    let every = values.len().div_ceil(FRAME).div_ceil(SAMPLES);
    let (mut plain, mut delta) = (0, 0);
    for frame in values.chunks(FRAME).step_by(every) {
        let numbers = load(frame, zigzag);
        plain += Plan::plain(&numbers, frame.len()).bytes;
        delta += Plan::delta(&numbers, frame.len()).bytes;
    }
    delta < plain
}

/// How one frame is to be written.
struct Plan {
    /// The numbers to be packed or, if too wide, listed.
    x: [u64; FRAME],
    base: u64,
    step: i64,
    width: u32,
    /// Whether 0 means absent; if not, [`ABSENT`] does and is always listed.
    zero_is_absent: bool,
    /// Whether every number is absent, so that any base will do.
    all_absent: bool,
    /// Whether there are exceptions.
    lists: bool,
    /// About how many bytes it takes.
    bytes: usize,
}

impl Plan {
    fn plain(numbers: &[u64; FRAME], len: usize) -> Self {
        let (mut low, mut high, mut absent) = (u64::MAX, 0, 0);
        for &number in &numbers[..len] {
            let none = number == ABSENT;
            absent += usize::from(none);
            low = low.min(number);
            high = high.max(if none { 0 } else { number });
        }
        let all_absent = absent == len;
        let zero_is_absent = absent > ABSENT_LISTED_MAX || all_absent;
        let mut x = [0; FRAME];
        for (x, &number) in x.iter_mut().zip(&numbers[..len]) {
            *x = match (number == ABSENT, zero_is_absent) {
                (true, true) => 0,
                (true, false) => ABSENT,
                (false, _) => number - low + u64::from(zero_is_absent),
            };
        }
        let (mut width, mut bytes, mut lists) = (0, 0, false);
        if !all_absent {
            let top = width_of(high - low + u64::from(zero_is_absent));
            (width, bytes) = best_width(&x[..len], top);
            lists = width < top || (absent > 0 && !zero_is_absent);
        }
        Self { x, base: low, step: 0, width, zero_is_absent, all_absent, lists, bytes }
    }

    fn delta(numbers: &[u64; FRAME], len: usize) -> Self {
        let mut deltas = [0; FRAME];
        let (mut low, mut high) = (i64::MAX, i64::MIN);
        for (delta, pair) in deltas[1..len].iter_mut().zip(numbers.windows(2)) {
            *delta = pair[1].wrapping_sub(pair[0]);
            low = low.min(*delta as i64);
            high = high.max(*delta as i64);
        }
        let (low, high) = if len > 1 { (low, high) } else { (0, 0) };
        let base = numbers[0];
        let above_low = Self { base, ..Self::delta_from(&deltas, len, low, high) };
        if low >= 0 {
            return above_low;
        }
        // A few rows out of order should not make all others wide: counted from 0, negative steps
        // are huge numbers, which become exceptions.
        let above_zero = Self { base, ..Self::delta_from(&deltas, len, 0, -1) };
        if above_zero.bytes < above_low.bytes { above_zero } else { above_low }
    }

    /// A plan that counts steps from `low`; `high` is the largest one, as an offset from `low`
    /// modulo 2^64.
    fn delta_from(deltas: &[u64; FRAME], len: usize, low: i64, high: i64) -> Self {
        let mut x = [0; FRAME];
        for (x, delta) in x[1..len].iter_mut().zip(&deltas[1..len]) {
            *x = delta.wrapping_sub(low as u64);
        }
        let top = width_of(high.wrapping_sub(low) as u64);
        let (width, bytes) = best_width(&x[..len], top);
        Self {
            x,
            base: 0,
            step: low,
            width,
            zero_is_absent: false,
            all_absent: false,
            lists: width < top,
            bytes,
        }
    }

    /// Whether `x` has to be listed.
    fn is_exception(&self, x: u64) -> bool {
        width_of(x) > self.width || (x == ABSENT && !self.zero_is_absent)
    }
}

/// The width for which numbers and exceptions take the fewest bytes, and how many. No number is
/// wider than `top`, but for absent ones.
fn best_width(x: &[u64], top: u32) -> (u32, usize) {
    // Two tables, so that equal neighbours do not wait for each other's store.
    let mut counts = [[0_usize; WIDTH_MAX as usize + 1]; 2];
    for pair in x.chunks(2) {
        counts[0][width_of(pair[0]) as usize] += 1;
        if let [_, second] = pair {
            counts[1][width_of(*second) as usize] += 1;
        }
    }
    let exception = EXCEPTION_OVERHEAD + top.div_ceil(8) as usize;
    let mut wider = if top < WIDTH_MAX { counts[0][64] + counts[1][64] } else { 0 };
    let mut best = (top, packed_bytes(x.len(), top) + wider * exception);
    for width in (0..top).rev() {
        wider += counts[0][width as usize + 1] + counts[1][width as usize + 1];
        let bytes = packed_bytes(x.len(), width) + wider * exception;
        if bytes < best.1 && wider <= EXCEPTIONS_MAX {
            best = (width, bytes);
        }
    }
    best
}

/// The frames of a column as they are made.
struct Frames {
    delta: bool,
    widths: Vec<u8>,
    /// `None` where every number is absent, so that any base will do.
    bases: Vec<Option<u64>>,
    steps: Vec<i64>,
    counts: Vec<u8>,
    positions: Vec<u8>,
    exceptions: Vec<u64>,
    exception_max: u64,
    /// Whether anything in the column is absent, listed or not: the tag says no more.
    has_absent: bool,
    packed: Vec<u8>,
}

impl Frames {
    fn new(frames: usize, delta: bool, has_absent: bool) -> Self {
        Self {
            delta,
            widths: Vec::with_capacity(frames),
            bases: Vec::with_capacity(frames),
            steps: Vec::with_capacity(if delta { frames } else { 0 }),
            counts: Vec::with_capacity(frames),
            positions: Vec::new(),
            exceptions: Vec::new(),
            exception_max: 0,
            has_absent,
            packed: Vec::new(),
        }
    }

    fn push(&mut self, numbers: &[u64; FRAME], len: usize) {
        let mut plan =
            if self.delta { Plan::delta(numbers, len) } else { Plan::plain(numbers, len) };
        let flag = if plan.zero_is_absent { ZERO_IS_ABSENT } else { 0 };
        self.widths.push(plan.width as u8 | flag);
        self.bases.push((!plan.all_absent).then_some(plan.base));
        if self.delta {
            self.steps.push(plan.step);
        }
        self.list_exceptions(&mut plan, len);
        if len < FRAME {
            pack_stream(&plan.x[..len], plan.width, &mut self.packed);
        } else if plan.width > NARROW_MAX {
            pack_wide(&plan.x, plan.width, &mut self.packed);
        } else if plan.width > 0 {
            pack_narrow(&plan.x.map(|x| x as u32), plan.width, &mut self.packed);
        }
    }

    /// Takes the exceptions out of `plan`.
    fn list_exceptions(&mut self, plan: &mut Plan, len: usize) {
        let before = self.positions.len();
        if plan.lists {
            for position in 0..len {
                let x = plan.x[position];
                if plan.is_exception(x) {
                    self.positions.push(position as u8);
                    self.exceptions.push(x);
                    plan.x[position] = 0;
                    let is_absent = x == ABSENT && !self.delta && !plan.zero_is_absent;
                    if !is_absent {
                        self.exception_max = self.exception_max.max(x);
                    }
                }
            }
        }
        self.counts.push((self.positions.len() - before) as u8);
    }

    fn write(&self, out: &mut Vec<u8>) {
        let low = self.bases.iter().flatten().min().copied().unwrap_or(0);
        let high = self.bases.iter().flatten().max().copied().unwrap_or(0);
        let base_bytes = bytes_of(high - low);
        // All bits set mean "absent" in every frame of a column that has something absent, also where that
        // is not listed: they must remain free.
        let taken = self.exception_max.saturating_add(u64::from(self.has_absent));
        let exception_bytes = if self.positions.is_empty() { 0 } else { bytes_of(taken).max(1) };
        put_varint(low, out);
        out.push((base_bytes | exception_bytes << 4) as u8);
        let step_low = self.steps.iter().min().copied().unwrap_or(0);
        let step_high = self.steps.iter().max().copied().unwrap_or(0);
        let step_bytes = bytes_of(step_high.wrapping_sub(step_low) as u64);
        if self.delta {
            put_varint(zigzag_of(step_low), out);
            out.push(step_bytes as u8);
        }
        out.extend_from_slice(&self.widths);
        for base in &self.bases {
            put_bytes(base.unwrap_or(low) - low, base_bytes, out);
        }
        for step in &self.steps {
            put_bytes(step.wrapping_sub(step_low) as u64, step_bytes, out);
        }
        if exception_bytes > 0 {
            out.extend_from_slice(&self.counts);
            out.extend_from_slice(&self.positions);
            for &exception in &self.exceptions {
                put_bytes(exception, exception_bytes, out);
            }
        }
        out.extend_from_slice(&self.packed);
    }
}

/// How many bytes `value` needs; 0 for 0.
fn bytes_of(value: u64) -> usize {
    width_of(value).div_ceil(8) as usize
}

/// Appends the low `bytes` bytes of `value`, the lowest first.
fn put_bytes(value: u64, bytes: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes()[..bytes]);
}
