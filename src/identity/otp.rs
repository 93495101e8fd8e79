//! One-time passwords as authenticator apps make them: HMAC-SHA-1, six digits, another one every
//! thirty seconds (RFC 6238, RFC 4226), which is what every such app understands.
//!
//! *Invariants*: nothing here reads a clock or a store; a code is compared in constant time; one
//! that belongs to a time step that is used up fits no more.

use super::opaque::NoRandomness;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
use data_encoding::BASE32_NOPAD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt;
use storage::row::TimeMs;

/// Length of a secret: as long as the hash (RFC 4226 §4, R6).
const SECRET_BYTES: usize = 20;

/// Digits of a code.
const DIGITS: usize = 6;
const MODULUS: u32 = 1_000_000;

/// How long a code is shown.
const STEP_MS: TimeMs = 30_000;

/// How many steps a phone's clock may be off, both ways (RFC 6238 §5.2 asks for one).
const DRIFT_STEPS: i64 = 1;

/// What an authenticator app and the server share.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct OtpSecret([u8; SECRET_BYTES]);

impl fmt::Debug for OtpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OtpSecret(…)")
    }
}

impl OtpSecret {
    /// A new one.
    pub(super) fn random() -> Result<Self, NoRandomness> {
        let mut bytes = [0; SECRET_BYTES];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(Self(bytes))
    }

    /// The secret that these bytes are, if they are one.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The secret as people type it into an app: Base32 (RFC 4648 §6).
    pub(super) fn text(&self) -> String {
        BASE32_NOPAD.encode(&self.0)
    }

    /// The secret as apps read it from a QR code, for the account `account` at `issuer`.
    pub(super) fn uri(&self, issuer: &str, account: &str) -> String {
        let [issuer, account] =
            [issuer, account].map(|text| utf8_percent_encode(text, NON_ALPHANUMERIC));
        format!(
            "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1\
             &digits={DIGITS}&period={}",
            self.text(),
            STEP_MS / 1000
        )
    }

    /// The time step whose code is `text`: of the present one and its neighbours, if it is later
    /// than `used`.
    pub(super) fn step_of(&self, text: &str, used: Option<i64>, now_ms: TimeMs) -> Option<i64> {
        let present = now_ms.div_euclid(STEP_MS);
        let mut found = None;
        for step in present - DRIFT_STEPS..=present + DRIFT_STEPS {
            let fits = verify_slices_are_equal(self.code(step).as_bytes(), text.as_bytes()).is_ok();
            if fits && used.is_none_or(|used| step > used) {
                found = Some(step);
            }
        }
        found
    }

    /// The code of the time step `step` (RFC 4226 §5.3).
    pub(super) fn code(&self, step: i64) -> String {
        let tag = sign(&Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0), &step.to_be_bytes());
        let tag = tag.as_ref();
        let at = usize::from(tag.last().copied().unwrap_or_default() & 0x0f);
        let word = tag[at..].first_chunk().copied().map_or(0, u32::from_be_bytes);
        format!("{:0DIGITS$}", (word & 0x7fff_ffff) % MODULUS)
    }
}

/// Whether `text` has the shape of a code.
pub(super) fn is_code(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238 appendix B, the SHA-1 rows; its codes have eight digits, of which these are the
    /// last six.
    const VECTORS: [(i64, &str); 6] = [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ];

    fn of_the_rfc() -> OtpSecret {
        OtpSecret::from_bytes(b"12345678901234567890").unwrap()
    }

    #[test]
    fn codes_are_those_of_the_standard() {
        for (seconds, code) in VECTORS {
            assert_eq!(of_the_rfc().code(seconds / 30), code, "{seconds}");
            let step = of_the_rfc().step_of(code, None, seconds * 1000);
            assert_eq!(step, Some(seconds / 30), "{seconds}");
        }
    }

    #[test]
    fn a_clock_may_be_off_by_one_step_and_by_no_more() {
        let secret = of_the_rfc();
        let (code, start_ms) = (secret.code(1000), 1000 * STEP_MS);
        for (now_ms, fits) in [
            (start_ms - STEP_MS - 1, false),
            (start_ms - STEP_MS, true),
            (start_ms, true),
            (start_ms + 2 * STEP_MS - 1, true),
            (start_ms + 2 * STEP_MS, false),
        ] {
            let step = secret.step_of(&code, None, now_ms);
            assert_eq!(step, fits.then_some(1000), "{}", now_ms - start_ms);
        }
    }

    #[test]
    fn a_step_that_is_used_up_takes_those_before_it_along() {
        let secret = of_the_rfc();
        let [before, present, after] = [999, 1000, 1001].map(|step| secret.code(step));
        let step_of = |code: &str| secret.step_of(code, Some(1000), 1000 * STEP_MS);
        assert_eq!(
            (step_of(&before), step_of(&present), step_of(&after)),
            (None, None, Some(1001))
        );
    }

    #[test]
    fn what_is_no_code_fits_nothing() {
        for text in ["", "28708", "2870820", "287 082", "٢٨٧٠٨٢", "287083", "-87082"] {
            assert_eq!(of_the_rfc().step_of(text, None, 59_000), None, "{text}");
            assert!(!is_code(text) || text == "287083");
        }
    }

    #[test]
    fn an_app_is_told_everything_and_a_log_nothing() {
        let secret = of_the_rfc();
        assert_eq!(secret.text(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let uri = secret.uri("External Metrics (acme)", "you+me@example.org");
        assert_eq!(
            uri,
            "otpauth://totp/External%20Metrics%20%28acme%29:you%2Bme%40example%2Eorg\
             ?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=External%20Metrics%20%28acme%29\
             &algorithm=SHA1&digits=6&period=30"
        );
        assert_eq!(format!("{secret:?}"), "OtpSecret(…)");
        assert_ne!(OtpSecret::random().unwrap(), OtpSecret::random().unwrap());
        assert_eq!(OtpSecret::from_bytes(&[0; 19]), None);
    }
}
