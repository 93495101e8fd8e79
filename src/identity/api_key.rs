//! API keys: what programs present instead of signing in, `emx_<id>_<secret>`.
//!
//! *Invariant*: the whole of a key is there once, in the hands of whoever made it.

use super::key_networks::{KeyNetworks, KeyNetworksError};
use super::opaque::{NoRandomness, SECRET_CHARS};
use crate::tenancy::id::TenantId;
use crate::tenancy::permission::Role;
use crate::tenancy::registry::TenancyError;
use serde::{Deserialize, Serialize};
use std::fmt;
use storage::error::StoreError;
use storage::row::TimeMs;

/// Keys of one tenant, those that ended included: they are all in memory, some 500 bytes each.
pub const KEYS_PER_TENANT_MAX: usize = 1_000;

/// Longest name in characters.
pub const NAME_CHARS_MAX: usize = 128;

/// How often the time of a key's last use is stored at most: it is worth one write a minute.
pub const FLUSH_EVERY_MS: TimeMs = 60_000;

/// What keys begin with, so that scanners for secrets know them.
pub const PREFIX: &str = "emx_";

/// Length of a key's id.
pub(super) const ID_CHARS: usize = 16;

/// Why a key was not made, changed or let in.
#[derive(Debug, thiserror::Error)]
pub enum ApiKeyError {
    /// It is not a key that is known and valid. A caller is not told whether it ever was.
    #[error("the API key is not valid: make another with `emx key create`")]
    Invalid,
    /// No key of the tenant is meant.
    #[error("there is no API key `{id}` in this tenant: `emx key list` shows those there are")]
    NotFound {
        /// What was asked for.
        id: String,
    },
    /// The name is empty, too long or unprintable.
    #[error("a key's name has 1 to {NAME_CHARS_MAX} printable characters: choose another")]
    Name,
    /// It cannot come from there.
    #[error(transparent)]
    Networks(#[from] KeyNetworksError),
    /// It would come from where whoever makes it cannot.
    #[error("your own key has networks: name some of those, as `networks`")]
    NetworksTooWide,
    /// It would have ended before it began.
    #[error("the key would have expired already: choose a later time")]
    Expiry,
    /// It would be more than whoever makes it.
    #[error("you cannot make a key with the role `{role}`: choose one that may less than you")]
    Role {
        /// The role.
        role: Role,
    },
    /// It was changed since the caller looked.
    #[error("the key was changed since you looked at it: look again")]
    Stale,
    /// Whoever would change or revoke it may less.
    #[error("a key with the role `{role}` may more than you: have one decide who may as much")]
    MayMore {
        /// The role.
        role: Role,
    },
    /// It would last longer than whoever makes it.
    #[error("your own key expires: name a time before that, as `expires_at`")]
    ExpiryTooLate,
    /// The bound.
    #[error("a tenant has {KEYS_PER_TENANT_MAX} keys at most: revoke some first")]
    TooMany,
    /// It was changed at the same moment.
    #[error("the key was changed at the same moment: look at it and try again")]
    Conflict,
    /// No randomness.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The tenant is not there, or not any more.
    #[error(transparent)]
    Tenancy(#[from] TenancyError),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApiKeyError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid => "invalid_api_key",
            Self::NotFound { .. } => "api_key_not_found",
            Self::Name => "invalid_name",
            Self::Networks(networks) => networks.code(),
            Self::NetworksTooWide => "networks_too_wide",
            Self::Expiry => "invalid_expiry",
            Self::Role { .. } | Self::MayMore { .. } => "role_too_high",
            Self::ExpiryTooLate => "expiry_too_late",
            Self::Stale => "precondition_failed",
            Self::TooMany => "too_many_api_keys",
            Self::Conflict => "conflict",
            Self::NoRandomness(_) => "no_randomness",
            Self::Tenancy(tenancy) => tenancy.code(),
            Self::Store(_) => "store_failed",
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Conflict | Self::NoRandomness(_) => true,
            Self::Tenancy(tenancy) => tenancy.is_transient(),
            Self::Store(store) => store.is_transient(),
            _ => false,
        }
    }
}

/// An API key as others may see it. Times are Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// The part that is no secret.
    pub id: String,
    /// Where it belongs.
    pub tenant_id: TenantId,
    /// What people call it.
    pub name: String,
    /// What it is in the tenant.
    pub role: Role,
    /// When it was made.
    pub created_ms: TimeMs,
    /// Who made it, as [`Principal::subject`](crate::tenancy::scope::Principal::subject).
    pub created_by: String,
    /// From when on it is not let in.
    pub expires_ms: Option<TimeMs>,
    /// When it was revoked.
    pub revoked_ms: Option<TimeMs>,
    /// When it was let in last. What is stored may be a minute old.
    pub last_used_ms: Option<TimeMs>,
    /// From where it is let in.
    #[serde(default, skip_serializing_if = "KeyNetworks::is_everywhere")]
    pub networks: KeyNetworks,
}

/// A key to be made.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// What people call it.
    pub name: String,
    /// What it is in the tenant.
    pub role: Role,
    /// From when on it is not let in, Unix milliseconds.
    pub expires_ms: Option<TimeMs>,
    /// From where it is let in.
    pub networks: KeyNetworks,
}

/// A key that was made; the only time that the whole of it is there.
#[derive(Clone)]
pub struct MadeApiKey {
    /// What is known of it.
    pub key: ApiKey,
    /// The key itself.
    pub text: String,
}

impl fmt::Debug for MadeApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MadeApiKey({}, …)", self.key.id)
    }
}

/// Whether `text` is meant to be an API key.
pub fn is_api_key(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// The id and the secret of a key.
pub(super) fn parts(text: &str) -> Option<(&str, &str)> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?; // an id has no `_`
    (id.len() == ID_CHARS && secret.len() == SECRET_CHARS).then_some((id, secret))
}

/// Refuses a name that is empty, too long or unprintable.
pub(super) fn check_name(name: &str) -> Result<(), ApiKeyError> {
    let printable = !name.chars().any(char::is_control);
    let length = (1..=NAME_CHARS_MAX).contains(&name.chars().count());
    if printable && length && !name.trim().is_empty() { Ok(()) } else { Err(ApiKeyError::Name) }
}
