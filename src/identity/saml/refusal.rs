//! Why an answer is not believed, and the steps that lead there.
//!
//! *Invariant*: what comes from the answer itself is shown only through [`shown`]: short, and with
//! nothing in it that a terminal or a log would act on.

use serde::Serialize;

/// Most characters of foreign text that a message shows.
const SHOWN_CHARS_MAX: usize = 200;

/// Why an answer, or a metadata document, is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// A stable word for programs.
    pub code: &'static str,
    /// What was found and what to do, for an administrator. Whoever just wants to sign in is told
    /// no more than that it did not work.
    pub detail: String,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What it is about, in a word or two.
    pub name: &'static str,
    /// Whether it is as it must be.
    pub passed: bool,
    /// What was found.
    pub detail: String,
}

/// What a step that passed gives, and what is told of it.
pub(super) type Passed<T> = Result<(T, String), Refusal>;

/// The steps so far.
#[derive(Debug, Default)]
pub(super) struct Steps(Vec<Step>);

impl Steps {
    /// Notes how a step went, and gives what came of it.
    pub(super) fn take<T>(&mut self, name: &'static str, went: Passed<T>) -> Result<T, Refusal> {
        let (passed, detail) = match &went {
            Ok((_, detail)) => (true, detail.clone()),
            Err(refusal) => (false, refusal.detail.clone()),
        };
        self.0.push(Step { name, passed, detail });
        went.map(|(given, _)| given)
    }

    pub(super) fn into_vec(self) -> Vec<Step> {
        self.0
    }
}

/// A refusal.
pub(super) fn refuse(code: &'static str, detail: impl Into<String>) -> Refusal {
    Refusal { code, detail: detail.into() }
}

/// Foreign text for a message: cut, and with whatever is not printable escaped.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for (n, c) in text.chars().enumerate() {
        if n == SHOWN_CHARS_MAX {
            shown.push('…');
            break;
        }
        match c {
            ' '..='~' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_short_and_harmless() {
        assert_eq!(shown("it's \"Ä\" \\"), "it's \"Ä\" \\");
        assert_eq!(shown("a\u{1b}[31m\n\u{202e}b"), "a\\u{1b}[31m\\n\\u{202e}b");
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), SHOWN_CHARS_MAX + 1);
    }
}
