//! What people read where a tenant is meant.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest display name in characters: a line of a list.
pub const DISPLAY_NAME_CHARS_MAX: usize = 100;

/// A tenant's name for people: one line of whatever letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DisplayName(Box<str>);

/// Why a text is no display name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a display name has 1 to {DISPLAY_NAME_CHARS_MAX} characters in one line, and no spaces around them"
)]
pub struct DisplayNameError;

impl DisplayName {
    /// Takes `text` as a display name if it is one.
    pub fn parse(text: &str) -> Result<Self, DisplayNameError> {
        let bare = !text.is_empty() && text.trim() == text;
        let short = text.chars().count() <= DISPLAY_NAME_CHARS_MAX;
        match bare && short && !text.chars().any(is_unprintable) {
            true => Ok(Self(text.into())),
            false => Err(DisplayNameError),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `c` moves or hides what stands beside it: control characters, and those that turn the
/// direction of reading (Unicode's Bidi_Control) or end a line.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl fmt::Display for DisplayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for DisplayName {
    type Error = DisplayNameError;

    fn try_from(text: String) -> Result<Self, DisplayNameError> {
        Self::parse(&text)
    }
}

impl From<DisplayName> for String {
    fn from(name: DisplayName) -> Self {
        name.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_name_is_one_line_that_shows_what_it_is() {
        let longest = "ä".repeat(DISPLAY_NAME_CHARS_MAX);
        for good in ["A", "Acme GmbH & Co. KG", "株式会社", longest.as_str()] {
            assert_eq!(DisplayName::parse(good).map(String::from), Ok(good.to_owned()));
        }
        let too_long = format!("{longest}ä");
        for bad in ["", " ", " a", "a\n", "a\nb", "a\0b", "a\u{202e}b", "a\u{2028}b", &too_long] {
            assert_eq!(DisplayName::parse(bad), Err(DisplayNameError), "{bad:?}");
        }
    }
}
