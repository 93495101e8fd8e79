//! Why somebody is not signed in by an OpenID provider.

use super::id_token::IdTokenError;
use crate::runtime::outgoing::OutgoingError;

/// Why a sign-in did not begin or did not end well.
///
/// No message quotes the provider or the browser: a word of theirs is either one that the standards know
/// or is left out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// The provider's settings cannot work.
    #[error("`{field}` is not right: {why}")]
    Settings {
        /// Which one.
        field: &'static str,
        /// What is wrong, and what to do.
        why: &'static str,
    },
    /// The provider cannot be asked, or gives no answer.
    #[error("could not {doing}: {source}")]
    Outgoing {
        /// What was being done.
        doing: &'static str,
        /// What went wrong.
        source: OutgoingError,
    },
    /// The provider answers with an error.
    #[error("could not {doing}: the provider answers {status}")]
    Status {
        /// What was being done.
        doing: &'static str,
        /// The status of HTTP.
        status: u16,
    },
    /// The provider answers something else.
    #[error("could not {doing}: the provider's answer {why}")]
    Answer {
        /// What was being done.
        doing: &'static str,
        /// What is wrong with the answer.
        why: &'static str,
    },
    /// What the provider says of itself is not acceptable.
    #[error("the provider's discovery document is refused: {why}")]
    Discovery {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The browser comes back with another state than it left with.
    #[error("this answer belongs to another sign-in: begin again")]
    State,
    /// The answer is another provider's (RFC 9207).
    #[error("this answer comes from another provider than the one that was asked: begin again")]
    Issuer,
    /// The provider did not let the person in.
    #[error("the provider did not sign you in (`{reason}`)")]
    Denied {
        /// A word of RFC 6749 §4.1.2.1 or of OpenID Connect Core §3.1.2.6.
        reason: &'static str,
    },
    /// The provider did not take the code, or this server's credentials.
    #[error("the provider refuses the code or this server's credentials (`{reason}`)")]
    Exchange {
        /// A word of RFC 6749 §5.2.
        reason: &'static str,
    },
    /// The ID token is not to be believed.
    #[error("the provider's ID token is refused: {0}")]
    IdToken(#[from] IdTokenError),
    /// What the provider tells of the person is of another one.
    #[error("the provider's user information is of somebody else than its ID token")]
    Userinfo,
    /// The person belongs to no domain of Google Workspace that may sign in.
    #[error("you belong to none of the Google Workspace domains that may sign in here")]
    HostedDomain,
    /// The person belongs to another directory of Entra ID.
    #[error("you belong to another Entra ID directory than the one that may sign in here")]
    Directory,
    /// The provider leaves the groups out, for they are too many.
    #[error(
        "you are in more groups than the provider puts into a token: let it send only those that are assigned to the application, or its roles"
    )]
    Groups,
    /// The operating system has no randomness to give.
    #[error("there is no randomness to begin a sign-in with: try again")]
    Randomness,
}

impl OidcError {
    /// What the browser brings back in `error` instead of a code.
    pub fn denied(error: &str) -> Self {
        Self::Denied { reason: known(error) }
    }

    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Settings { .. } => "oidc_settings_invalid",
            Self::Outgoing { source, .. } => source.code(),
            Self::Status { .. } => "provider_failed",
            Self::Answer { .. } => "provider_answer_invalid",
            Self::Discovery { .. } => "discovery_invalid",
            Self::State => "state_mismatch",
            Self::Issuer => "issuer_mismatch",
            Self::Denied { .. } => "sign_in_denied",
            Self::Exchange { .. } => "code_refused",
            Self::IdToken(error) => error.code(),
            Self::Userinfo => "userinfo_mismatch",
            Self::HostedDomain => "domain_refused",
            Self::Directory => "directory_refused",
            Self::Groups => "groups_unknown",
            Self::Randomness => "no_randomness",
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Outgoing { source, .. } => source.is_transient(),
            Self::Status { status, .. } => *status >= 500 || *status == 429,
            Self::IdToken(error) => error.is_transient(),
            Self::Randomness => true,
            _ => false,
        }
    }
}

/// The words of the standards, for whatever else is said could be anything.
const WORDS: [&str; 17] = [
    "access_denied",
    "account_selection_required",
    "consent_required",
    "interaction_required",
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_request_object",
    "invalid_request_uri",
    "invalid_scope",
    "login_required",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
    "unmet_authentication_requirements",
    "unsupported_grant_type",
    "unsupported_response_type",
];

/// `word`, if the standards have it.
pub(super) fn known(word: &str) -> &'static str {
    WORDS.iter().find(|known| **known == word).copied().unwrap_or("unknown_error")
}
