//! Single sign-on: a tenant's own identity providers, and who the people they vouch for are here.
//!
//! The protocols are [`oidc`](super::oidc) and [`saml`](super::saml), which know nothing of tenants
//! and users. Here is what they do not know: [`registry`] keeps what an administrator says of
//! a [`provider`] ([`draft`] reads it), [`site`] has the addresses a provider is told, [`flow`] remembers in
//! the browser what was begun there, [`mapping`] makes a role and teams of groups, [`person`] finds or makes the
//! user, [`admission`] puts it together, [`replay`] remembers which assertions were used, [`removal`] ends
//! what a provider that was removed let in, and [`explain`] says why one is refused.
//!
//! *Invariants*
//! - A person is (tenant, provider, issuer, subject). An e-mail address links nobody to anybody: one
//!   that is taken here is a refusal.
//! - A tenant's provider is known in that tenant alone, and a sign-in that was begun with one provider
//!   in one browser ends with that provider in that browser, once, within ten minutes.
//! - What a provider says decides the role at each sign-in, and never more than the administrator who
//!   set the provider up may give.
//! - No provider vouches for whoever administers the platform: it is a tenant's.
//! - A client secret lies in the tables sealed, and is shown to nobody.

pub mod admission;
pub mod draft;
pub mod explain;
pub mod flow;
pub mod mapping;
pub mod person;
pub mod provider;
pub mod registry;
pub mod replay;
pub mod site;

mod fields;
mod removal;

use super::opaque::NoRandomness;
use super::secret::SecretError;
use super::session::SessionError;
use super::signing::SigningError;
use super::throttle::Refused;
use crate::tenancy::permission::Role;
use storage::error::StoreError;

/// Identity providers of one tenant: each is a button of the sign-in page.
pub const PROVIDERS_PER_TENANT_MAX: usize = 20;

/// One thing that is wrong with what an administrator says of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it is, as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// A stable word for programs.
    pub code: &'static str,
    /// What is wrong.
    pub detail: String,
}

/// Why a provider was not made, changed, found or removed.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// What was said of it cannot be.
    #[error("the provider is not as it should be: {}", told(.0))]
    Invalid(Vec<Fault>),
    /// No provider of the tenant is meant.
    #[error(
        "there is no sign-on provider `{id}` in this tenant: `emx sso list` shows those there are"
    )]
    NotFound {
        /// What was asked for.
        id: String,
    },
    /// Another one is called the same.
    #[error("there is a provider `{name}` in this tenant already: choose another name")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// It would make people more than whoever sets it up.
    #[error(
        "you cannot have a provider give the role `{role}`: choose one that may no more than you"
    )]
    Role {
        /// The role.
        role: Role,
    },
    /// Whoever sets it up is a key that keeps to networks or expires.
    #[error("a key with networks or an expiry makes no way in for anybody: sign in for that")]
    BoundKey,
    /// The bound.
    #[error("a tenant has {PROVIDERS_PER_TENANT_MAX} providers at most: remove some first")]
    TooMany,
    /// Nobody could come in by it any more, and the tenant's people come in by nothing else.
    #[error(
        "`{name}` is the last provider, and the tenant demands single sign-on: change the sign-in \
         rules first"
    )]
    Demanded {
        /// Its name.
        name: String,
    },
    /// It was changed since the caller looked.
    #[error("the provider was changed since you looked at it: look again")]
    Stale,
    /// It speaks another protocol than what is to be explained.
    #[error("`{name}` speaks OpenID Connect, and only SAML responses can be explained")]
    NotSaml {
        /// Its name.
        name: String,
    },
    /// A session that began with it could not be ended yet.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Its secret could not be sealed or opened.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ProviderError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid_provider",
            Self::NotFound { .. } => "sso_provider_not_found",
            Self::NameTaken { .. } => "name_taken",
            Self::BoundKey => "key_is_bound",
            Self::Role { .. } => "role_too_high",
            Self::TooMany => "too_many_sso_providers",
            Self::Demanded { .. } => "sso_demanded",
            Self::Stale => "precondition_failed",
            Self::NotSaml { .. } => "not_saml",
            Self::Session(session) => session.code(),
            Self::Secret(secret) => secret.code(),
            Self::Store(_) => "store_failed",
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Session(session) => session.is_transient(),
            Self::Secret(secret) => secret.is_transient(),
            Self::Store(store) => store.is_transient(),
            _ => false,
        }
    }
}

/// The faults in one sentence, of which there may be many.
fn told(faults: &[Fault]) -> String {
    const TOLD_MAX: usize = 5;
    let each = faults.iter().map(|fault| format!("`{}` {}", fault.pointer, fault.detail));
    let mut told = each.take(TOLD_MAX).collect::<Vec<_>>().join("; ");
    if faults.len() > TOLD_MAX {
        told += &format!("; and {} more", faults.len() - TOLD_MAX);
    }
    told
}

/// Why somebody was not let in who came by way of a provider.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Nothing that was begun in this browser is finished by this, or not any more.
    #[error(
        "this sign-in was not begun in this browser, was finished before, or took longer than ten \
         minutes: begin again"
    )]
    UnknownFlow,
    /// The provider's answer is not believed.
    #[error("the answer of the identity provider is not accepted: {detail}")]
    Refused {
        /// A stable word for programs.
        code: &'static str,
        /// What was found, for the log and the administrator.
        detail: String,
    },
    /// The assertion was used before.
    #[error("the answer of the identity provider was used before: begin again")]
    Replayed,
    /// The tenant takes only certain domains, and the provider gives no address.
    #[error("the identity provider tells no e-mail address, and only certain domains may sign in")]
    NoEmail,
    /// The tenant takes only certain domains, and the provider does not vouch for the address.
    #[error("the identity provider has not verified the address `{email}`")]
    UnverifiedEmail {
        /// The address.
        email: String,
    },
    /// The address is in another domain.
    #[error("the address `{email}` is in none of the domains that may sign in")]
    Domain {
        /// The address.
        email: String,
    },
    /// None of the groups has a role, and there is none for everybody.
    #[error("none of the person's groups has a role here, and there is no default role")]
    NoRole,
    /// The address belongs to a user who signs in otherwise.
    #[error(
        "there is an account `{email}` already, which this provider did not make: nobody is linked by \
         an e-mail address alone"
    )]
    AccountExists {
        /// The address.
        email: String,
    },
    /// The user is kept out.
    #[error("the account is disabled")]
    Disabled,
    /// The user decides about every tenant, which no tenant's provider may vouch for.
    #[error(
        "the account administers the platform, and no provider of a tenant vouches for that: sign in \
         with a password, or have `emx user platform --revoke` take it away"
    )]
    Platform,
    /// The provider did not let the person in.
    #[error("{detail}")]
    Denied {
        /// What it said.
        detail: String,
    },
    /// The user is the last owner and would be less.
    #[error("the person is the last owner of the tenant, and the groups give the role `{role}`")]
    LastOwner {
        /// What the groups give.
        role: Role,
    },
    /// There are as many users as there may be.
    #[error("the tenant has as many users as it may have")]
    TooManyUsers,
    /// The provider's own session is over.
    #[error("the session at the identity provider is over: sign in there again")]
    SessionOver,
    /// There were too many failures from this address.
    #[error(transparent)]
    TooManyAttempts(#[from] Refused),
    /// The session could not be begun.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The access token could not be made.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// What is kept in the browser could not be sealed.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// No randomness.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SignInError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownFlow => "sso_flow_unknown",
            Self::Refused { code, .. } => code,
            Self::Replayed => "assertion_replayed",
            Self::NoEmail => "email_missing",
            Self::UnverifiedEmail { .. } => "email_not_verified",
            Self::Domain { .. } => "domain_not_allowed",
            Self::NoRole => "no_role",
            Self::AccountExists { .. } => "account_exists",
            Self::Disabled => "account_disabled",
            Self::Platform => "platform_administrator",
            Self::Denied { .. } => "sign_in_denied",
            Self::LastOwner { .. } => "last_owner",
            Self::TooManyUsers => "too_many_users",
            Self::SessionOver => "provider_session_over",
            Self::TooManyAttempts(_) => Refused::CODE,
            Self::Session(session) => session.code(),
            Self::Signing(signing) => signing.code(),
            Self::Secret(secret) => secret.code(),
            Self::NoRandomness(_) => "no_randomness",
            Self::Store(_) => "store_failed",
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::TooManyAttempts(_) | Self::NoRandomness(_) => true,
            Self::Session(session) => session.is_transient(),
            Self::Signing(signing) => signing.is_transient(),
            Self::Secret(secret) => secret.is_transient(),
            Self::Store(store) => store.is_transient(),
            _ => false,
        }
    }
}
