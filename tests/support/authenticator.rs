//! An authenticator app, by another way than the server's.
#![allow(dead_code, reason = "every test that includes it uses another part")]

use aws_lc_rs::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
use data_encoding::BASE32_NOPAD;

/// What the app was told.
pub(crate) struct Authenticator {
    secret: Vec<u8>,
}

impl Authenticator {
    /// Reads the URI as an app does, and holds that it says what was also told in words.
    pub(crate) fn scanned(uri: &str, secret: &str) -> Self {
        let query = uri.strip_prefix("otpauth://totp/").unwrap().split_once('?').unwrap().1;
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(known, _)| *known == name).unwrap().1
        };
        let told = [value("algorithm"), value("digits"), value("period")];
        assert_eq!(told, ["SHA1", "6", "30"]);
        assert_eq!(value("secret"), secret);
        Self { secret: BASE32_NOPAD.decode(secret.as_bytes()).unwrap() }
    }

    /// What it shows at `now_ms`.
    pub(crate) fn code(&self, now_ms: i64) -> String {
        let step = u64::try_from(now_ms / 30_000).unwrap();
        let key = Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.secret);
        let tag = sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let at = usize::from(tag[19] % 16);
        let word = tag[at..at + 4].iter().fold(0_u64, |word, byte| word * 256 + u64::from(*byte));
        format!("{:06}", word % (1 << 31) % 1_000_000)
    }

    /// Six digits that it does not show around `now_ms`.
    pub(crate) fn wrong_code(&self, now_ms: i64) -> String {
        let shown: Vec<String> = (-3..=3).map(|n| self.code(now_ms + n * 30_000)).collect();
        let mut wrong = (0..).map(|n| format!("{n:06}"));
        wrong.find(|code| !shown.contains(code)).unwrap()
    }
}
