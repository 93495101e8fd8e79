//! The second factor of a user: an authenticator app, and codes for when that is lost.
//!
//! *Invariants*: a code is used once, and that it was used is stored in the transaction that lets
//! the user in, so that neither a restart nor two at the same moment use it twice; secrets are
//! sealed and recovery codes are hashes; nobody guesses for long, whatever is forgotten elsewhere:
//! wrong codes are counted here too. That a user has a second factor stands with the user, and
//! changes in one transaction with what is kept here.

use super::opaque::NoRandomness;
use super::otp::{self, OtpSecret};
use super::recovery;
use super::secret::{MasterKey, SecretError};
use crate::tenancy::record::{self, delete, put};
use crate::tenancy::registry::Completion;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use storage::engine::{Expect, TableWrite, Tables};
use storage::error::{Corrupt, StoreError};
use storage::row::TimeMs;

/// Second factors by user.
const SECOND_FACTORS: &str = "second_factors";

/// How long somebody may take to set one up.
pub const PENDING_MS: TimeMs = 10 * 60_000;

/// Wrong codes in a row after which the app's are not looked at any more (NIST SP 800-63B §5.2.2):
/// with three codes that fit at a time, one in 3,300 guesses through. Only whoever knows the
/// password gets so far; a recovery code or an administrator ends it.
pub const WRONG_CODES_MAX: u32 = 100;

/// What somebody needs to set one up; the only time that the secret is told.
#[derive(Clone)]
pub struct Enrolment {
    /// The secret in Base32, for those who type it.
    pub secret: String,
    /// The same as an `otpauth` URI, for a QR code.
    pub uri: String,
    /// Until when it can be confirmed, Unix milliseconds.
    pub until_ms: TimeMs,
}

impl std::fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Enrolment({}, …)", self.until_ms)
    }
}

/// Why a second factor could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum FactorError {
    /// The secret does not open, or could not be sealed.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// No randomness.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FactorError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Secret(secret) => secret.code(),
            Self::NoRandomness(_) => "no_randomness",
            Self::Store(_) => "store_failed",
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Secret(secret) => secret.is_transient(),
            Self::NoRandomness(_) => true,
            Self::Store(store) => store.is_transient(),
        }
    }
}

/// What came of a code.
pub(super) enum Judged {
    /// It fits: what uses it up, under the condition that nobody did so since.
    Fits(Completion),
    /// It does not: what counts that.
    Wrong(Completion),
    /// Codes of the app are not looked at any more.
    Locked,
}

/// A second factor as it is stored.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Record {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    active: Option<Active>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pending: Option<Pending>,
}

/// One that is in use.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Active {
    /// The app's secret, sealed, in Base64.
    sealed: String,
    /// The time step of the last code that was used.
    used_step: i64,
    /// What is kept of the recovery codes that are left.
    recovery: Vec<String>,
    /// Wrong codes since the last right one.
    #[serde(default)]
    wrong: u32,
    since_ms: TimeMs,
}

/// One that is being set up.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pending {
    sealed: String,
    until_ms: TimeMs,
}

/// A second factor as it was read, or that there is none.
pub(super) struct StoredFactor {
    user_id: String,
    record: Record,
    bytes: Option<Vec<u8>>,
}

/// What ends the second factor of a user, be there one or not.
pub(super) fn removal(user_id: &str) -> TableWrite {
    delete(SECOND_FACTORS, user_id.as_bytes())
}

/// What there is of the user's second factor.
pub(super) fn get(platform: &dyn Tables, user_id: &str) -> Result<StoredFactor, StoreError> {
    let bytes = platform.get(SECOND_FACTORS, user_id.as_bytes())?;
    let what = || format!("{SECOND_FACTORS}/{user_id}");
    let record = bytes.as_deref().map(|bytes| record::decode(&what(), bytes)).transpose()?;
    Ok(StoredFactor { user_id: user_id.into(), record: record.unwrap_or_default(), bytes })
}

impl StoredFactor {
    /// How many recovery codes are left.
    pub(super) fn recovery_left(&self) -> usize {
        self.record.active.as_ref().map_or(0, |active| active.recovery.len())
    }

    /// Begins to set one up for the account `account` at `issuer`; one that is in use stays so.
    pub(super) fn begin(
        &self,
        master: &MasterKey,
        (issuer, account): (&str, &str),
        now_ms: TimeMs,
    ) -> Result<(Enrolment, Completion), FactorError> {
        let secret = OtpSecret::random()?;
        let until_ms = now_ms.saturating_add(PENDING_MS);
        let sealed = STANDARD.encode(master.seal(&self.context(), secret.as_bytes())?);
        let pending = Some(Pending { sealed, until_ms });
        let act = self.change(&Record { pending, ..self.record.clone() })?;
        let enrolment =
            Enrolment { secret: secret.text(), uri: secret.uri(issuer, account), until_ms };
        Ok((enrolment, act))
    }

    /// Takes what is being set up into use, if it is in time: its new recovery codes, or nothing
    /// where `code` is not one of the app's.
    pub(super) fn confirm(
        &self,
        master: &MasterKey,
        code: &str,
        now_ms: TimeMs,
    ) -> Result<Option<(Vec<String>, Completion)>, FactorError> {
        let pending = self.record.pending.as_ref().filter(|pending| now_ms < pending.until_ms);
        let Some(Pending { sealed, .. }) = pending else { return Ok(None) };
        let Some(used_step) = self.open(master, sealed)?.step_of(code.trim(), None, now_ms) else {
            return Ok(None);
        };
        let codes = recovery::random_codes()?;
        let active = Active {
            sealed: sealed.clone(),
            used_step,
            recovery: codes.iter().map(|code| recovery::kept(code)).collect(),
            wrong: 0,
            since_ms: now_ms,
        };
        let act = self.change(&Record { active: Some(active), pending: None })?;
        Ok(Some((codes, act)))
    }

    /// Whether something is being set up and can still be confirmed.
    pub(super) fn is_pending(&self, now_ms: TimeMs) -> bool {
        self.record.pending.as_ref().is_some_and(|pending| now_ms < pending.until_ms)
    }

    /// Judges the code `text`, of the app or for recovery. A user without a second factor has no
    /// right one.
    pub(super) fn judge(
        &self,
        master: &MasterKey,
        text: &str,
        now_ms: TimeMs,
    ) -> Result<Judged, FactorError> {
        let Some(active) = &self.record.active else {
            return Ok(Judged::Wrong(Completion::default()));
        };
        let text = text.trim();
        let mut after = Active { wrong: 0, ..active.clone() };
        if otp::is_code(text) {
            if active.wrong >= WRONG_CODES_MAX {
                return Ok(Judged::Locked);
            }
            let secret = self.open(master, &active.sealed)?;
            if let Some(step) = secret.step_of(text, Some(active.used_step), now_ms) {
                after.used_step = step;
                return Ok(Judged::Fits(self.with_active(after)?));
            }
        } else if let Some(at) = recovery::place_of(text, &active.recovery) {
            after.recovery.remove(at);
            return Ok(Judged::Fits(self.with_active(after)?));
        }
        after.wrong = active.wrong.saturating_add(1);
        Ok(Judged::Wrong(self.with_active(after)?))
    }

    fn with_active(&self, active: Active) -> Result<Completion, StoreError> {
        self.change(&Record { active: Some(active), ..self.record.clone() })
    }

    fn change(&self, record: &Record) -> Result<Completion, StoreError> {
        let key = self.user_id.as_bytes();
        let expect =
            Expect { table: SECOND_FACTORS.into(), key: key.into(), value: self.bytes.clone() };
        let write = put(SECOND_FACTORS, key, record::encode(record)?);
        Ok(Completion { expect: vec![expect], writes: vec![write], told: Vec::new() })
    }

    fn open(&self, master: &MasterKey, sealed: &str) -> Result<OtpSecret, FactorError> {
        let damaged = || StoreError::from(Corrupt::new(self.context()));
        let sealed = STANDARD.decode(sealed).map_err(|_| damaged())?;
        let bytes = master.open(&self.context(), &sealed)?;
        Ok(OtpSecret::from_bytes(&bytes).ok_or_else(damaged)?)
    }

    /// What its secret is sealed for.
    fn context(&self) -> String {
        format!("{SECOND_FACTORS}/{}", self.user_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenancy::fake::FakeEngine;
    use proptest::prelude::*;

    /// A user with a second factor, and a right code of it at `NOW_MS`.
    struct World {
        platform: FakeEngine,
        master: MasterKey,
        secret: OtpSecret,
        codes: Vec<String>,
    }

    const NOW_MS: TimeMs = 1_795_000_000_000;

    impl World {
        fn new() -> Self {
            let (platform, master) = (FakeEngine::default(), MasterKey::random().unwrap());
            let factor = get(&platform, "u").unwrap();
            let (_, act) = factor.begin(&master, ("issuer", "account"), NOW_MS).unwrap();
            assert!(platform.write(&act.expect, &act.writes).unwrap());
            let factor = get(&platform, "u").unwrap();
            let sealed = factor.record.pending.clone().unwrap().sealed;
            let secret = factor.open(&master, &sealed).unwrap();
            let code = secret.code(NOW_MS / 30_000);
            let (codes, act) = factor.confirm(&master, &code, NOW_MS).unwrap().unwrap();
            assert!(platform.write(&act.expect, &act.writes).unwrap());
            Self { platform, master, secret, codes }
        }

        /// What becomes of a code, which is stored.
        fn judge(&self, text: &str, now_ms: TimeMs) -> &'static str {
            let factor = get(&self.platform, "u").unwrap();
            let (word, act) = match factor.judge(&self.master, text, now_ms).unwrap() {
                Judged::Fits(act) => ("fits", act),
                Judged::Wrong(act) => ("wrong", act),
                Judged::Locked => return "locked",
            };
            assert!(self.platform.write(&act.expect, &act.writes).unwrap());
            // Nobody does the same from what was read before.
            assert!(!self.platform.write(&act.expect, &act.writes).unwrap());
            word
        }

        fn code_at(&self, now_ms: TimeMs) -> String {
            self.secret.code(now_ms / 30_000)
        }
    }

    #[test]
    fn after_a_hundred_wrong_codes_only_a_recovery_code_helps() {
        let world = World::new();
        let later_ms = NOW_MS + 600_000;
        let wrong = match world.code_at(later_ms).as_str() {
            "000000" => "000001",
            _ => "000000",
        };
        let far_ms = (1..).map(|n| later_ms + n * 600_000);
        let far_ms = far_ms
            .take(1000)
            .find(|ms| (-1..=1).all(|step| world.code_at(ms + step * 30_000) != wrong));
        let now_ms = far_ms.unwrap();
        for n in 1..WRONG_CODES_MAX {
            assert_eq!(world.judge(wrong, now_ms), "wrong", "{n}");
        }
        assert_eq!(world.judge(&world.code_at(now_ms), now_ms), "fits");
        for n in 0..WRONG_CODES_MAX {
            let text = if n % 2 == 0 { wrong } else { "no code" };
            assert_eq!(world.judge(text, now_ms), "wrong", "{n}");
        }
        let right_ms = now_ms + 30_000;
        let right = world.code_at(right_ms);
        assert_eq!(world.judge(&right, right_ms), "locked");
        assert_eq!(world.judge(wrong, right_ms), "locked");
        assert_eq!(world.judge(&world.codes[0], right_ms), "fits");
        assert_eq!(world.judge(&right, right_ms), "fits");
        assert_eq!(world.judge(&world.codes[0], right_ms), "wrong");
    }

    #[test]
    fn whose_secret_it_is_is_sealed_in() {
        let world = World::new();
        let bytes = world.platform.get(SECOND_FACTORS, b"u").unwrap().unwrap();
        world.platform.write(&[], &[put(SECOND_FACTORS, b"v", bytes)]).unwrap();
        let of_another = get(&world.platform, "v").unwrap();
        let outcome = of_another.judge(&world.master, "123456", NOW_MS);
        assert!(matches!(outcome, Err(FactorError::Secret(SecretError::Open))));
        let stranger = MasterKey::random().unwrap();
        assert!(get(&world.platform, "u").unwrap().judge(&stranger, "123456", NOW_MS).is_err());
    }

    proptest! {
        #[test]
        fn damaged_records_are_refused_or_factors(
            noise: Vec<u8>,
            at: prop::sample::Index,
            byte: u8,
        ) {
            let record = Record {
                active: Some(Active {
                    sealed: "AQ==".into(),
                    used_step: 7,
                    recovery: vec![recovery::kept("x")],
                    wrong: 0,
                    since_ms: 0,
                }),
                pending: Some(Pending { sealed: String::new(), until_ms: 9 }),
            };
            let (platform, master) = (FakeEngine::default(), MasterKey::random().unwrap());
            let mut bytes = record::encode(&record).unwrap();
            let at = at.index(bytes.len());
            let cut = bytes[..at].to_vec();
            bytes[at] = byte;
            for bytes in [noise, cut, bytes] {
                platform.write(&[], &[put(SECOND_FACTORS, b"u", bytes)]).unwrap();
                if let Ok(factor) = get(&platform, "u") {
                    for text in ["123456", "x", ""] {
                        let _some_outcome = factor.judge(&master, text, 0);
                    }
                    let _some_outcome = factor.confirm(&master, "123456", 0);
                }
            }
        }
    }
}
