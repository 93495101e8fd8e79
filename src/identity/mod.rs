//! Who somebody is: users and their passwords, sessions, access tokens, API keys, and whom an identity
//! provider vouches for.
//!
//! [`Identity`] composes it. What is asked with every request ([`Identity::authenticate_token`],
//! [`Identity::authenticate_key`]) reads memory only; everything else may wait for a disk or
//! compute for a while, and belongs on a thread that may.
//!
//! *Invariants*: everything that a crash must not separate is one transaction; nothing that opens
//! a door is stored in the clear; whoever is kept out is kept out of every call that begins later.

pub mod email;
pub mod password;
pub mod user;

pub mod secret;
pub mod signing;
pub mod token;

pub mod client;
pub mod family;
pub mod grace;
pub mod opaque;
pub mod revocation;
pub mod session;
pub mod settings;

pub mod account;
pub mod administration;
pub mod api_key;
pub mod carry;
pub mod forget;
pub mod key_networks;
pub mod key_ring;
pub mod known_networks;
pub mod link;
pub mod login;
pub mod names;
pub mod platform_administrators;
pub mod rules;
pub mod team;
pub mod throttle;

pub mod enrolment;
pub mod recovery;
pub mod second_factor;

pub mod oidc;
pub mod saml;
pub mod sso;

mod jws;
mod otp;
mod session_acts;
mod tally;

use crate::audit::AuditLog;
use crate::tenancy::by::By;
use crate::tenancy::id::random_word;
use crate::tenancy::record::{self, absent, put, write_surely};
use crate::tenancy::scope::Principal;
use account::Account;
use api_key::ApiKeyError;
use client::Client;
use family::Family;
use key_ring::ApiKeys;
use login::Passwords;
use password::PasswordError;
use revocation::{Listener, Presented, Revocations};
use secret::MasterKey;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use session::{Opened, SessionError, Sessions};
use settings::IdentitySettings;
use signing::{SigningError, SigningKeys};
use std::fmt;
use std::sync::{Arc, Mutex};
use storage::engine::Tables;
use storage::error::StoreError;
use storage::row::TimeMs;
use token::{Access, AccessTokens, Grant, TokenError};

/// What is known of this installation, by one key.
const INSTALLATION: &str = "installation";
const THIS: &[u8] = b"this";

/// Why the identities of an installation could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The signing keys could not be made or read.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// No password can be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl IdentityError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Signing(signing) => signing.code(),
            Self::Password(_) => "hash_failed",
            Self::Store(_) => "store_failed",
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Signing(signing) => signing.is_transient(),
            Self::Password(_) => true,
            Self::Store(store) => store.is_transient(),
        }
    }
}

/// Why a session was not gone on with.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The refresh token does not allow it.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The access token could not be made.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

impl RefreshError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Session(session) => session.code(),
            Self::Signing(signing) => signing.code(),
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Session(session) => session.is_transient(),
            Self::Signing(signing) => signing.is_transient(),
        }
    }
}

/// What somebody gets who signed in or refreshed.
#[derive(Clone)]
pub struct SignedIn {
    /// Says who it is for the next quarter of an hour.
    pub access_token: String,
    /// For how long, in seconds.
    pub expires_in_s: i64,
    /// Gets the next of both; to be used once.
    pub refresh_token: String,
    /// Who it is.
    pub user: Account,
    /// The session.
    pub session: Family,
}

impl fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedIn({}, {}, …)", self.user.id, self.session.id)
    }
}

#[derive(Serialize, Deserialize)]
struct Installation {
    id: String,
    created_ms: TimeMs,
}

/// Everybody who may come in, and what they present. One for a process; calls may be made from
/// any thread.
#[derive(Debug)]
pub struct Identity {
    platform: Arc<dyn Tables>,
    log: Arc<AuditLog>,
    master: Arc<MasterKey>,
    installation_id: Box<str>,
    keys: Arc<SigningKeys>,
    tokens: AccessTokens,
    revocations: Arc<Revocations>,
    sessions: Sessions,
    passwords: Passwords,
    api_keys: ApiKeys,
    signing_key_ms: Option<TimeMs>,
    /// Held while it is decided whether a user may be made or kept out.
    accounts: Mutex<()>,
    /// Held while a provider is made, changed or removed.
    providers: Mutex<()>,
}

impl Identity {
    /// Takes over the identities in the tables of `log`, which belong to this process alone. What there
    /// must be and is not yet (the installation's id, the signing keys) is made: some 300 ms.
    pub fn start(
        log: Arc<AuditLog>,
        master: MasterKey,
        settings: &IdentitySettings,
        now_ms: TimeMs,
    ) -> Result<Self, IdentityError> {
        let platform = Arc::clone(log.platform());
        let master = Arc::new(master);
        let keys = SigningKeys::start(log.clone(), master.clone(), now_ms)?;
        let keys = Arc::new(keys);
        let installation_id = installation_id(&*platform, now_ms)?;
        let revocations = Arc::new(Revocations::load(&*platform)?);
        let IdentitySettings { session, signing_key_ms } = *settings;
        let identity = Self {
            tokens: AccessTokens::new(
                keys.clone(),
                revocations.clone(),
                &installation_id,
                session.binding,
            ),
            sessions: Sessions::start(
                log.clone(),
                master.clone(),
                revocations.clone(),
                session,
                now_ms,
            )?,
            passwords: Passwords::start(platform.clone(), now_ms)?,
            api_keys: ApiKeys::load(log.clone(), revocations.clone())?,
            signing_key_ms,
            accounts: Mutex::new(()),
            providers: Mutex::new(()),
            installation_id: installation_id.into(),
            platform,
            log,
            master,
            keys,
            revocations,
        };
        identity.finish_removals(now_ms);
        Ok(identity)
    }

    /// Who presents the access token `text`, as `client` does. Reads memory only.
    pub fn authenticate_token(
        &self,
        text: &str,
        client: Client<'_>,
        now_ms: TimeMs,
    ) -> Result<Principal, TokenError> {
        let access = self.verify(text, now_ms)?;
        self.tokens.check_client(&access, client)?;
        Ok(access.principal.clone())
    }

    /// Who presents the API key `text`, as `client` does. Reads memory only.
    pub fn authenticate_key(
        &self,
        text: &str,
        client: Client<'_>,
        now_ms: TimeMs,
    ) -> Result<Principal, ApiKeyError> {
        self.api_keys.authenticate(text, client, now_ms)
    }

    /// What the access token `text` says, if it is to be believed, whoever presents it. Reads memory
    /// only.
    pub fn verify(&self, text: &str, now_ms: TimeMs) -> Result<Arc<Access>, TokenError> {
        self.tokens.verify(text, now_ms)
    }

    /// Whether `principal`, who was identified before, may still be let in with what it came in with,
    /// the time of an access token apart. Reads memory only.
    pub fn stands(&self, principal: &Principal, now_ms: TimeMs) -> bool {
        match principal {
            Principal::LocalOperator => true,
            Principal::User { user_id, family, token_id, issued_ms, .. } => {
                let issued_ms = *issued_ms;
                let presented = Presented { token_id, family, user_id, issued_ms };
                !self.revocations.is_denied(&presented, now_ms)
            }
            Principal::ApiKey { key_id, tenant_id, role } => {
                let key = self.api_keys.get(tenant_id, key_id);
                key.is_ok_and(|key| {
                    let is_over = key.expires_ms.is_some_and(|expires_ms| now_ms >= expires_ms);
                    key.revoked_ms.is_none() && key.role == *role && !is_over
                })
            }
        }
    }

    /// The API keys.
    pub fn api_keys(&self) -> &ApiKeys {
        &self.api_keys
    }

    /// The public keys that access tokens are signed with, as a JWK set (RFC 7517).
    pub fn jwks(&self, now_ms: TimeMs) -> Value {
        self.keys.jwks(now_ms)
    }

    /// Lets the next signing key sign, and makes another next one. Gives the id of the key that
    /// signs now. Makes a key: some 100 ms.
    pub fn rotate_signing_keys(&self, by: &By, now_ms: TimeMs) -> Result<String, SigningError> {
        self.keys.rotate(by, now_ms)
    }

    /// Drops every signing key, and so ends every access token: for when somebody else may have the
    /// keys. Sessions go on. Gives the id of the key that signs now. Makes two keys.
    pub fn drop_signing_keys(&self, by: &By, now_ms: TimeMs) -> Result<String, SigningError> {
        let kid = self.keys.drop_all(by, now_ms)?;
        self.revocations.deny_all_tokens(now_ms);
        Ok(kid)
    }

    /// Forgets what need not be known any more and stores what has to be, and only as much as is quick.
    /// To be called every few seconds, and at the end.
    pub fn settle(&self, now_ms: TimeMs) -> Result<(), StoreError> {
        self.sessions.forget_successors(now_ms)?;
        self.passwords.throttle.store(now_ms)
    }

    /// Clears away what is over, and replaces the key that signs when it is time: each whatever becomes
    /// of the others. Fails as the first does that does. To be called every minute or so.
    pub fn keep_up(&self, now_ms: TimeMs) -> Result<(), SigningError> {
        self.finish_removals(now_ms);
        let throttled = self.passwords.throttle.sweep(now_ms);
        let revoked = self.revocations.sweep(&*self.platform, now_ms);
        let rotated = self.rotate_if_due(now_ms);
        throttled.and(revoked).map_err(SigningError::from).and(rotated)
    }

    fn rotate_if_due(&self, now_ms: TimeMs) -> Result<(), SigningError> {
        let Some(period_ms) = self.signing_key_ms else { return Ok(()) };
        if let Some(kid) = self.keys.rotate_if_due(period_ms, now_ms)? {
            tracing::info!(kid, "another key signs access tokens from now on");
        }
        Ok(())
    }

    /// Calls `listener` with everything that is ended before its time, from now on.
    pub fn on_revoked(&self, listener: Listener) {
        self.revocations.listen(listener);
    }

    /// What seals secrets that lie in the platform's tables.
    pub fn master_key(&self) -> &MasterKey {
        &self.master
    }

    /// The random id of this installation, part of `iss` and `aud` of its tokens.
    pub fn installation_id(&self) -> &str {
        &self.installation_id
    }

    /// What is handed out for a session.
    fn signed_in(
        &self,
        opened: Opened,
        client: Client<'_>,
        now_ms: TimeMs,
    ) -> Result<SignedIn, SigningError> {
        let Opened { family, user, refresh_token } = opened;
        let grant = Grant {
            user_id: &user.id,
            tenant_id: &user.tenant_id,
            role: user.role,
            platform: user.platform,
            family: &family.id,
            until_ms: family.until_ms,
            client,
        };
        let (access_token, expires_in_s) = self.tokens.issue(&grant, now_ms)?;
        Ok(SignedIn {
            access_token,
            expires_in_s,
            refresh_token,
            user: user.into(),
            session: family,
        })
    }
}

/// The random id of the installation, made if there is none.
fn installation_id(platform: &dyn Tables, now_ms: TimeMs) -> Result<String, StoreError> {
    if let Some(bytes) = platform.get(INSTALLATION, THIS)? {
        let Installation { id, .. } = record::decode(INSTALLATION, &bytes)?;
        return Ok(id);
    }
    let made = Installation { id: random_word(), created_ms: now_ms };
    let write = put(INSTALLATION, THIS, record::encode(&made)?);
    write_surely(platform, &[absent(INSTALLATION, THIS)], &[write])?;
    Ok(made.id)
}
