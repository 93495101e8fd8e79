//! Passwords: what one may be, how it is kept, and how one is made up.
//!
//! Kept is an argon2id hash as a PHC string, which names its own parameters, so that they can be
//! raised later. A hash takes some 15 ms and 19 MiB on purpose.

use super::email::Email;
use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use rand::RngExt;
use std::fmt;
use zxcvbn::zxcvbn;

/// Shortest password in characters (OWASP ASVS 5.0, 6.2.1).
pub const PASSWORD_CHARS_MIN: usize = 8;

/// Longest password in bytes: no sentence is longer, and hashing stays cheap for whoever is
/// flooded with long ones.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// How many guesses a password must take at least, as a power of ten: a million, which the limit
/// on attempts (see `throttle`) makes a year of. The 30,000 most common passwords, names, words,
/// dates, rows of keys, repetitions and sequences, and simple variations of one or two of them,
/// take fewer (ASVS 5.0, 6.2.4 and 6.2.12). Nothing is asked of anybody elsewhere.
const GUESSES_LOG10_MIN: f64 = 6.0;

/// Words that everybody would try here.
const PRODUCT_WORDS: [&str; 5] = ["emx", "external", "metrics", "externalmetrics", "admin"];

/// Memory of one hash in KiB, the first of OWASP's equivalent choices for argon2id.
const MEMORY_KIB: u32 = 19 * 1024;

/// Passes over that memory, as above.
const PASSES: u32 = 2;

/// Lanes, as above.
const LANES: u32 = 1;

/// The dearest hash that is computed at all, as KiB, passes and lanes: a file may bring one that would take
/// the machine's memory, or a thread for good.
const COSTS_MAX: (u32, u32, u32) = (64 * 1024, 10, 4);

/// Blocks of 1 KiB that are asked for at least, for a hash that uses fewer. What has more than 32 MiB goes
/// back to the system as soon as it is freed (glibc's largest `M_MMAP_THRESHOLD`); of what has fewer, the
/// allocator would keep each and lay small things into it, so that the next hash took other 19 MiB, and
/// a flood of sign-ins gigabytes. What is not used takes no memory.
const ROOM_BLOCKS_MIN: usize = 33 << 10;

/// A password as typed. Never printed, neither by mistake nor in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A password's hash, a PHC string.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PasswordPhc(String);

/// Why a password is refused, or could not be hashed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// It is too short.
    #[error("the password is too short: use at least {PASSWORD_CHARS_MIN} characters")]
    TooShort,
    /// It is too long.
    #[error("the password is too long: use at most {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
    /// It is the first thing that anybody would try.
    #[error(
        "the password is the e-mail address, a part of it or the tenant's name: choose another"
    )]
    IsName,
    /// It is one of many people's, or like one.
    #[error("the password is easy to guess: choose a longer one, such as four unrelated words")]
    TooCommon,
    /// It has a character that cannot be typed again.
    #[error("the password has a control character in it: use only printable ones")]
    Unprintable,
    /// The hash could not be computed.
    #[error("the password could not be hashed ({reason}): free some memory and try again")]
    Hash {
        /// What failed, for the log.
        reason: String,
    },
}

impl Password {
    /// Takes `text`, exactly as typed, as a password for the user `email` of the tenant called
    /// `tenant`. Computes for some milliseconds.
    pub fn choose(text: &str, email: &Email, tenant: &str) -> Result<Self, PasswordError> {
        if text.len() > PASSWORD_BYTES_MAX {
            return Err(PasswordError::TooLong);
        }
        if text.chars().count() < PASSWORD_CHARS_MIN {
            return Err(PasswordError::TooShort);
        }
        if text.chars().any(char::is_control) {
            return Err(PasswordError::Unprintable);
        }
        let (folded, address) = (text.to_lowercase(), email.folded());
        let parts = address.split('@').chain([address.as_str(), tenant]);
        if parts.clone().any(|part| part == folded) {
            return Err(PasswordError::IsName);
        }
        let known: Vec<&str> = parts.chain(PRODUCT_WORDS).collect();
        if zxcvbn(text, &known).guesses_log10() < GUESSES_LOG10_MIN {
            return Err(PasswordError::TooCommon);
        }
        Ok(Self(text.into()))
    }

    /// Takes `text` as the password that somebody has, whatever the rules are today.
    pub(super) fn typed(text: &str) -> Self {
        Self(text.into())
    }

    /// Makes one up: 100 random bits in five groups that can be read aloud and typed.
    pub fn random() -> Self {
        const GROUPS: usize = 5;
        const GROUP_CHARS: usize = 4;
        const ALPHABET: &[u8; 32] = b"23456789abcdefghjkmnpqrstuvwxyz+"; // no 0, 1, i, l, o
        let mut rng = rand::rng();
        let mut text = String::new();
        for n in 0..GROUPS * GROUP_CHARS {
            if n > 0 && n % GROUP_CHARS == 0 {
                text.push('-');
            }
            text.push(char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]));
        }
        Self(text)
    }

    /// The password itself, to be shown once to the one who will use it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Its hash, with a fresh salt.
    pub fn hash(&self) -> Result<PasswordPhc, PasswordError> {
        let (argon2, salt) = (argon2()?, Salt::generate());
        let hash = PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(argon2.params()).map_err(unhashed)?,
            salt: Some(salt),
            hash: Some(compute(&argon2, &self.0, &salt)?),
        };
        Ok(PasswordPhc(hash.to_string()))
    }
}

impl PasswordPhc {
    /// Whether `text` is the password. A damaged hash fits none.
    pub fn fits(&self, text: &str) -> bool {
        text.len() <= PASSWORD_BYTES_MAX && self.is_of(text) == Some(true)
    }

    /// Whether it is the hash of `text`; `None` where it is no hash.
    fn is_of(&self, text: &str) -> Option<bool> {
        let (argon2, salt, expected) = self.parts()?;
        let found = compute(&argon2, text, &salt).ok()?;
        Some(expected == found) // in a time that says nothing
    }

    /// Whether it is a hash, and none that is too dear to compute: for those that come from elsewhere.
    pub(super) fn is_sound(&self) -> bool {
        self.parts().is_some()
    }

    /// How it is computed, the salt, and what it must come to.
    fn parts(&self) -> Option<(Argon2<'static>, Salt, Output)> {
        let hash = PasswordHash::new(&self.0).ok()?;
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
        let version = Version::try_from(hash.version?).ok()?;
        let params = Params::try_from(&hash).ok()?;
        let (memory_kib, passes, lanes) = COSTS_MAX;
        let is_cheap =
            params.m_cost() <= memory_kib && params.t_cost() <= passes && params.p_cost() <= lanes;
        let argon2 = Argon2::new(algorithm, version, params);
        is_cheap.then_some((argon2, hash.salt?, hash.hash?))
    }

    /// Whether it was made otherwise than hashes are made today, so that it is to be replaced when
    /// the password is next at hand.
    pub(super) fn is_outdated(&self) -> bool {
        let today = || {
            let hash = PasswordHash::new(&self.0).ok()?;
            let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
            let version = hash.version? == Version::V0x13 as u32;
            let params = Params::try_from(&hash).ok()?;
            let costs = (params.m_cost(), params.t_cost(), params.p_cost());
            let same = costs == (MEMORY_KIB, PASSES, LANES);
            Some(algorithm == Algorithm::Argon2id && version && same)
        };
        today() != Some(true)
    }
}

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(unhashed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The hash of `text`, in memory that is the system's again afterwards.
fn compute(argon2: &Argon2<'_>, text: &str, salt: &[u8]) -> Result<Output, PasswordError> {
    let params = argon2.params();
    let blocks = params.block_count();
    let mut room: Vec<Block> = Vec::new();
    room.try_reserve_exact(blocks.max(ROOM_BLOCKS_MIN)).map_err(unhashed)?;
    room.resize(blocks, Block::new());
    let mut out = vec![0; params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN)];
    let hashed = argon2.hash_password_into_with_memory(text.as_bytes(), salt, &mut out, &mut room);
    hashed.map_err(unhashed)?;
    Output::new(&out).map_err(unhashed)
}

fn unhashed(error: impl fmt::Display) -> PasswordError {
    PasswordError::Hash { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(), PasswordError>) {
        let email = Email::parse("Operator@Example.org").unwrap();
        let chosen = Password::choose(text, &email, "northwind");
        assert_eq!(chosen.map(|_| ()), expected, "{text}");
    }

    #[test]
    fn the_rules_on_passwords() {
        check("correct horse", Ok(()));
        check("пароль-12", Ok(()));
        let words = "correct horse battery staple; ".repeat(PASSWORD_BYTES_MAX / 30 + 1);
        check(&words[..PASSWORD_BYTES_MAX], Ok(()));
        check(&words[..=PASSWORD_BYTES_MAX], Err(PasswordError::TooLong));
        check("1234567", Err(PasswordError::TooShort));
        check("пароль7", Err(PasswordError::TooShort)); // 7 characters, 13 bytes
        check("", Err(PasswordError::TooShort));
        check("operator@example.org", Err(PasswordError::IsName));
        check("OPERATOR", Err(PasswordError::IsName));
        check("NorthWind", Err(PasswordError::IsName));
        check("two\nlines", Err(PasswordError::Unprintable));
    }

    #[test]
    fn what_many_people_have_is_refused_and_sentences_are_not() {
        for common in [
            "password",
            "12345678",
            "123456789",
            "1234567890",
            "qwertyuiop",
            "1q2w3e4r5t",
            "iloveyou",
            "Password1",
            "password123",
            "P@ssw0rd",
            "Passw0rd!",
            "letmein1",
            "trustno1",
            "sunshine1",
            "football",
            "superman",
            "princess1",
            "baseball1",
            "aaaaaaaa",
            "abcdefgh",
            "abcd1234",
            "zaq12wsx",
            "1qaz2wsx",
            "asdfghjkl",
            "qwerty123",
            "11111111",
            "87654321",
            "dragon123",
            "welcome1",
            "Summer2024",
            "19841984",
            "administrator",
            "changeme",
            "externalmetrics",
            "operator1",
            "northwind1",
            "Northwind!",
            &"x".repeat(200),
            &"abc".repeat(50),
        ] {
            check(common, Err(PasswordError::TooCommon));
        }
        for good in [
            "correct horse battery",
            "another fine day",
            "three blind mice run",
            "tr0ub4dor&3 xkcd",
            "gT7$kq2!vB",
            "Schifffahrtsgesellschaft 1893",
            "沉默是金时间会证明一切",
        ] {
            check(good, Ok(()));
        }
    }

    #[test]
    fn a_hash_fits_its_password_only_and_says_how_it_was_made() {
        let email = Email::parse("you@example.org").unwrap();
        let password = Password::choose("correct horse", &email, "acme").unwrap();
        let (hash, other_salt) = (password.hash().unwrap(), password.hash().unwrap());
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        assert_ne!(hash, other_salt);
        assert!(hash.fits("correct horse") && other_salt.fits("correct horse"));
        for wrong in ["correct horse ", "Correct horse", "", &"x".repeat(10_000)] {
            assert!(!hash.fits(wrong));
        }
        assert!(!PasswordPhc("damaged".into()).fits("damaged"));
        // As another implementation makes it (the reference's `argon2 somesalt -id -t 2 -k 256 -p 1`).
        let other = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ\
                     $nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        assert!(PasswordPhc(other.into()).fits("password"));
        assert!(!PasswordPhc(other.into()).fits("passwore"));
        assert!(hash.is_sound() && PasswordPhc(other.into()).is_sound());
        assert!(!hash.is_outdated());
        for (now, before) in [("m=19456", "m=8192"), ("t=2", "t=1"), ("argon2id", "argon2i")] {
            assert!(PasswordPhc(hash.0.replace(now, before)).is_outdated(), "{before}");
        }
    }

    #[test]
    fn a_hash_that_is_none_or_too_dear_is_not_computed() {
        let hash = Password::random().hash().unwrap();
        let (m, t, p) = COSTS_MAX;
        let with = |m: u32, t: u32, p: u32| {
            PasswordPhc(hash.0.replace("m=19456,t=2,p=1", &format!("m={m},t={t},p={p}")))
        };
        assert!(with(m, t, p).is_sound());
        // Each of these would take the machine's memory, or a thread for as long as it stands.
        for dear in
            [(m + 1, 1, 1), (8, t + 1, 1), (256, 1, p + 1), (8_000_000, 2, 1), (64, u32::MAX, 1)]
        {
            let dear = with(dear.0, dear.1, dear.2);
            assert!(!dear.is_sound(), "{dear:?}");
            assert_eq!(dear.is_of("another"), None, "{dear:?}");
        }
        assert!(!PasswordPhc("damaged".into()).is_sound());
    }

    #[test]
    fn made_up_passwords_differ_pass_the_rules_and_are_not_printed() {
        let (one, two) = (Password::random(), Password::random());
        assert_ne!(one, two);
        assert_eq!(one.reveal().len(), 24);
        check(one.reveal(), Ok(()));
        assert_eq!(format!("{one:?}"), "Password(…)");
    }
}
