//! Recovery codes: what lets somebody in whose authenticator app is lost, each once.
//!
//! *Invariant*: a code has 120 random bits, so that a plain hash of it gives nothing away (ASVS
//! 5.0, 6.5.2, asks for 112).

use super::opaque::{self, NoRandomness, SecretHash};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use data_encoding::BASE32_NOPAD;

/// How many somebody gets.
pub const RECOVERY_CODES: usize = 10;

/// Random bytes of a code, and how its letters are grouped so that they can be copied by hand.
const CODE_BYTES: usize = 15;
const GROUP_CHARS: usize = 4;

/// New codes.
pub(super) fn random_codes() -> Result<Vec<String>, NoRandomness> {
    (0..RECOVERY_CODES).map(|_| random_code()).collect()
}

/// 24 letters and digits in groups of four.
fn random_code() -> Result<String, NoRandomness> {
    let mut bytes = [0; CODE_BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
    let mut text = String::new();
    for (n, letter) in BASE32_NOPAD.encode(&bytes).to_ascii_lowercase().chars().enumerate() {
        if n > 0 && n % GROUP_CHARS == 0 {
            text.push('-');
        }
        text.push(letter);
    }
    Ok(text)
}

/// What is kept of a code.
pub(super) fn kept(code: &str) -> String {
    opaque::hash_text(&hash(code))
}

/// The place in `kept` of the code `text`, in whatever case and grouping it was typed. Every one
/// is compared, in constant time.
pub(super) fn place_of(text: &str, kept: &[String]) -> Option<usize> {
    let typed = hash(text);
    let mut found = None;
    for (at, hash) in kept.iter().enumerate() {
        let known = opaque::read_hash(hash);
        if known.is_some_and(|known| verify_slices_are_equal(&known, &typed).is_ok()) {
            found = Some(at);
        }
    }
    found
}

fn hash(code: &str) -> SecretHash {
    let letters = code.chars().filter(|c| !c.is_whitespace() && *c != '-');
    opaque::hash(&letters.collect::<String>().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_differ_and_are_found_however_they_are_typed() {
        let codes = random_codes().unwrap();
        assert_eq!(codes.len(), RECOVERY_CODES);
        let hashes: Vec<String> = codes.iter().map(|code| kept(code)).collect();
        for (at, code) in codes.iter().enumerate() {
            assert_eq!((code.len(), code.matches('-').count()), (29, 5), "{code}");
            let typed = format!(" {} ", code.to_uppercase().replace('-', " "));
            for typed in [code, &typed, &code.replace('-', "")] {
                assert_eq!(place_of(typed, &hashes), Some(at), "{typed}");
            }
            assert_eq!(place_of(&code[1..], &hashes), None);
            assert!(!hashes.contains(code));
        }
        assert_eq!(place_of("", &hashes), None);
        assert_eq!(place_of(&codes[0], &["damaged".into()]), None);
    }
}
