//! Numbers as people write them, exactly: a time or a duration must not pass through a double
//! when its text says what it is.

/// A decimal number: `digits` × 10^`exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    digits: u128,
    exponent: i32,
}

/// Most digits that are kept; what follows behind the point changes nothing that is stored.
const DIGITS_MAX: u32 = 30;

/// Largest power of ten that a scaled number may take: 10^38 is the last in 128 bits.
const POWER_MAX: u32 = 38;

impl Decimal {
    /// Reads `-12`, `+3.5`, `.5`, `1e-3`. `None` if it is anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let (negative, bytes) = match bytes {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, bytes),
        };
        let (mut digits, mut exponent, mut kept, mut any, mut fraction) =
            (0u128, 0i32, 0, false, false);
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'0'..=b'9' if kept < DIGITS_MAX => {
                    digits = digits * 10 + u128::from(byte - b'0');
                    kept += u32::from(digits > 0);
                    exponent -= i32::from(fraction);
                    any = true;
                }
                // A digit in front of the point that is too much is a number too large for
                // anything here; one behind it is dust.
                b'0'..=b'9' if !fraction => return None,
                b'0'..=b'9' => {}
                b'.' if !fraction => fraction = true,
                _ => break,
            }
            at += 1;
        }
        if !any {
            return None;
        }
        match bytes.get(at..)? {
            [] => {}
            [b'e' | b'E', power @ ..] => {
                let power: i32 = std::str::from_utf8(power).ok()?.parse().ok()?;
                exponent = exponent.checked_add(power)?;
            }
            _ => return None,
        }
        Some(Self { negative, digits, exponent })
    }

    /// The number × 10^`places`, rounded to the nearest whole one, halves away from zero.
    pub(crate) fn rounded(&self, places: i32) -> Option<i128> {
        self.scaled(places, |digits, divisor| {
            let (whole, rest) = (digits / divisor, digits % divisor);
            whole + u128::from(rest >= divisor - rest)
        })
    }

    /// The number × 10^`places`, cut towards the past.
    pub(crate) fn floored(&self, places: i32) -> Option<i128> {
        let up = self.negative;
        self.scaled(places, |digits, divisor| {
            digits / divisor + u128::from(up && digits % divisor > 0)
        })
    }

    /// The number if it is a whole one.
    pub(crate) fn whole(&self) -> Option<i128> {
        let mut exact = true;
        let whole = self.scaled(0, |digits, divisor| {
            exact = digits % divisor == 0;
            digits / divisor
        })?;
        exact.then_some(whole)
    }

    fn scaled(&self, places: i32, divide: impl FnOnce(u128, u128) -> u128) -> Option<i128> {
        let shift = self.exponent.checked_add(places)?;
        let digits = if shift >= 0 && self.digits > 0 {
            self.digits.checked_mul(10u128.checked_pow(shift.unsigned_abs())?)?
        } else {
            // A divisor this large is beyond all digits, and so behaves like any larger one.
            divide(self.digits, 10u128.pow(shift.min(0).unsigned_abs().min(POWER_MAX)))
        };
        let signed = i128::try_from(digits).ok()?;
        Some(if self.negative { -signed } else { signed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rounded and floored to thousandths, and whole.
    type Read = (i128, i128, Option<i128>);

    #[test]
    fn reads_decimal_numbers_and_nothing_else() {
        // text, × 1000 rounded, × 1000 floored, whole
        let cases: &[(&str, Option<Read>)] = &[
            ("0", Some((0, 0, Some(0)))),
            ("-0", Some((0, 0, Some(0)))),
            ("12", Some((12_000, 12_000, Some(12)))),
            ("+12.0", Some((12_000, 12_000, Some(12)))),
            ("-1.5", Some((-1500, -1500, None))),
            ("1.0005", Some((1001, 1000, None))),
            ("-1.0005", Some((-1001, -1001, None))),
            ("-1.0001", Some((-1000, -1001, None))),
            (".5", Some((500, 500, None))),
            ("5.", Some((5000, 5000, Some(5)))),
            ("1e3", Some((1_000_000, 1_000_000, Some(1000)))),
            ("1E-3", Some((1, 1, None))),
            ("1e-99", Some((0, 0, None))),
            ("0e99", Some((0, 0, Some(0)))),
            ("0.1234567890123456789012345678901234567890", Some((123, 123, None))),
            ("000000000000000000000000000000000000000001", Some((1000, 1000, Some(1)))),
            ("1e99", None),
            ("1e99999999999", None),
            ("1234567890123456789012345678901234567890", None),
            ("", None),
            ("-", None),
            (".", None),
            ("e5", None),
            ("1e", None),
            ("1 000", None),
            ("1,5", None),
            ("1.2.3", None),
            ("0x10", None),
            ("NaN", None),
            ("inf", None),
            ("\u{661}", None),
        ];
        for (text, want) in cases {
            let got =
                Decimal::parse(text).and_then(|d| Some((d.rounded(3)?, d.floored(3)?, d.whole())));
            assert_eq!(got, *want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_integers(n in any::<i64>(), micros in 0u32..1_000_000) {
            let decimal = Decimal::parse(&format!("{n}.{micros:06}")).unwrap();
            let sign = if n < 0 { -1 } else { 1 };
            let want = i128::from(n) * 1_000_000 + sign * i128::from(micros);
            prop_assume!(n != 0);
            prop_assert_eq!(decimal.rounded(6), Some(want));
            prop_assert_eq!(decimal.floored(0), Some(want.div_euclid(1_000_000)));
        }

        #[test]
        fn any_text_is_no_panic(text in "[-+0-9.eE]{0,60}", places in -9i32..10) {
            if let Some(decimal) = Decimal::parse(&text) {
                let _ = (decimal.rounded(places), decimal.floored(places), decimal.whole());
            }
        }
    }
}
