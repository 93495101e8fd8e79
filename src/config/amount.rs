//! Sizes and durations as people write them.

use std::fmt;
use std::time::Duration;

/// A number of bytes, written `64 MiB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// A length of time, written `30s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// A part of a whole in hundredths, written `50 %`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(pub u8);

/// Units of sizes, largest first, so that the first that divides a number is the one to show.
const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// Units of durations in milliseconds, in the order they are shown in, then other spellings.
const SPAN_UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("min", 60_000),
    ("s", 1_000),
    ("ms", 1),
    ("m", 60_000),
    ("sec", 1_000),
];

impl Size {
    /// Reads `64 MiB`, `64MB` or `65536`; the unit in any case.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = split(text);
        let unit = if unit.is_empty() { "B" } else { unit };
        scaled(number, unit, &SIZE_UNITS)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a size: write it like \"64 MiB\""))
    }

    /// The number as an amount of memory on this machine.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_scaled(f, self.0, " ", &SIZE_UNITS)
    }
}

impl Span {
    /// Reads `30s`, `5 min` or `250ms`. A number without its unit is refused: it would be read
    /// as seconds by one and as milliseconds by the next.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = split(text);
        scaled(number, unit, &SPAN_UNITS).map(|ms| Self(Duration::from_millis(ms))).ok_or_else(
            || format!("`{text}` is not a duration: write it like \"30s\" or \"5 min\""),
        )
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        write_scaled(f, ms, "", &SPAN_UNITS)
    }
}

impl Percent {
    /// Reads `50 %`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let percent = text.trim().strip_suffix('%').and_then(|number| number.trim().parse().ok());
        percent.map(Self).ok_or_else(|| format!("`{text}` is not a share: write it like \"50 %\""))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

/// The number at the beginning of `text` and the unit after it.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'));
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    (number, unit.trim())
}

/// `number` times its unit; a fraction must come out whole enough to mean something.
fn scaled(number: &str, unit: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (_, scale) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    let number = number.replace('_', "");
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(*scale);
    }
    let product = number.parse::<f64>().ok()? * *scale as f64;
    const EXACT_MAX: f64 = (1_u64 << 53) as f64; // beyond it doubles skip whole numbers
    (product.fract() == 0.0 && product < EXACT_MAX).then_some(product as u64)
}

fn write_scaled(
    f: &mut fmt::Formatter<'_>,
    amount: u64,
    space: &str,
    units: &[(&str, u64)],
) -> fmt::Result {
    let divides = |&&(_, scale): &&(&str, u64)| amount > 0 && amount.is_multiple_of(scale);
    let smallest = units.iter().find(|(_, scale)| *scale == 1).unwrap_or(&("", 1));
    let (unit, scale) = units.iter().find(divides).unwrap_or(smallest);
    write!(f, "{}{space}{unit}", amount / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_round_trip_and_nonsense_is_refused() {
        let cases = [
            ("64 MiB", 64 << 20, "64 MiB"),
            ("64mib", 64 << 20, "64 MiB"),
            ("64 MB", 64_000_000, "64 MB"),
            ("1.5 GiB", 3 << 29, "1536 MiB"),
            ("65_536", 65_536, "64 KiB"),
            ("1000", 1_000, "1 kB"),
            ("0 B", 0, "0 B"),
            (" 7 b ", 7, "7 B"),
        ];
        for (text, bytes, shown) in cases {
            assert_eq!(Size::parse(text), Ok(Size(bytes)), "{text}");
            assert_eq!(Size(bytes).to_string(), shown);
            assert_eq!(Size::parse(shown), Ok(Size(bytes)));
        }
        for bad in ["", "MiB", "-1", "64 MiBs", "64 parsecs", "1.0001 B", "99999999 TiB", "1e3"] {
            assert!(Size::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shares_round_trip_and_need_their_sign() {
        for (text, percent, shown) in
            [("50 %", 50, "50 %"), ("7%", 7, "7 %"), (" 100 % ", 100, "100 %")]
        {
            assert_eq!(Percent::parse(text), Ok(Percent(percent)), "{text}");
            assert_eq!(Percent(percent).to_string(), shown);
        }
        for bad in ["", "50", "%", "0.5", "-1 %", "300 %", "1.5 %"] {
            assert!(Percent::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_round_trip_and_need_their_unit() {
        let cases = [
            ("30s", 30_000, "30s"),
            ("5 min", 300_000, "5min"),
            ("5m", 300_000, "5min"),
            ("1.5 s", 1_500, "1500ms"),
            ("24h", 86_400_000, "1d"),
            ("0s", 0, "0ms"),
        ];
        for (text, ms, shown) in cases {
            let span = Span(Duration::from_millis(ms));
            assert_eq!(Span::parse(text), Ok(span), "{text}");
            assert_eq!(span.to_string(), shown);
            assert_eq!(Span::parse(shown), Ok(span));
        }
        for bad in ["", "30", "s", "-1s", "1 fortnight", "0.0001 ms"] {
            assert!(Span::parse(bad).is_err(), "{bad}");
        }
    }
}
