//! What the owner of an installation decides about sessions and keys.

use super::client::Binding;
use super::family::{ABSOLUTE_MS, IDLE_MS};
use storage::row::TimeMs;

/// How long the key that signs does so, unless somebody decides otherwise: a month, as sessions.
const SIGNING_KEY_MS: TimeMs = 30 * 24 * 3_600_000;

/// The decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentitySettings {
    /// About sessions.
    pub session: SessionSettings,
    /// After how long the key that signs access tokens is replaced, milliseconds; `None`: by hand
    /// alone.
    pub signing_key_ms: Option<TimeMs>,
}

/// What a session may do, for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// How long it may rest, milliseconds.
    pub idle_ms: TimeMs,
    /// How long it may last, however busy, milliseconds.
    pub absolute_ms: TimeMs,
    /// What it is bound to beside its tokens.
    pub binding: Binding,
}

impl Default for IdentitySettings {
    fn default() -> Self {
        Self { session: SessionSettings::default(), signing_key_ms: Some(SIGNING_KEY_MS) }
    }
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self { idle_ms: IDLE_MS, absolute_ms: ABSOLUTE_MS, binding: Binding::None }
    }
}
