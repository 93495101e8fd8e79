//! Masks secrets in command lines and errors before they are stored.
//!
//! Two steps. `suspect` looks once over the text for the few letters that every rule needs, and
//! says which rules could match at all: most texts end there. `rules` are the regular
//! expressions of those rules; what their groups capture is replaced by [`MASK`].
//!
//! A rule would rather mask a harmless word than leave a secret, but leaves what only *names* a
//! secret: `$TOKEN`, `--password-stdin`, `--token-file F`. Masking twice changes nothing more.

mod rules;
mod suspect;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

/// What stands in the place of a secret.
pub const MASK: &str = "***";

/// `text` with its secrets masked; borrowed, and cheap, if there are none.
pub fn mask(text: &str) -> Cow<'_, str> {
    match suspect::suspects(text.as_bytes()) {
        0 => Cow::Borrowed(text),
        suspects => mask_by(text, suspects),
    }
}

#[cold]
fn mask_by(text: &str, suspects: u32) -> Cow<'_, str> {
    let mut secrets: Vec<Range<usize>> = Vec::new();
    for rule in rules::of(suspects) {
        rule.find(text, &mut secrets);
    }
    if secrets.is_empty() {
        return Cow::Borrowed(text);
    }
    secrets.sort_by_key(|secret| (secret.start, secret.end));
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for secret in secrets {
        if secret.start >= done {
            out.push_str(&text[done..secret.start]);
            out.push_str(MASK);
        }
        // A secret that begins inside the one before it is covered by that one's mask.
        done = done.max(secret.end);
    }
    out.push_str(&text[done..]);
    Cow::Owned(out)
}
