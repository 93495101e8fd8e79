//! Signing in with a password.
//!
//! *Invariants*: an attempt costs one hash, whether there is such a tenant, such a user, such a
//! password or none of them, and a refused one costs none; all of them but the last are told apart
//! by nothing. These calls block for as long as a hash takes, so they belong on a thread that may.

use super::account::AccountError;
use super::client::Client;
use super::email::Email;
use super::password::{Password, PasswordError, PasswordPhc};
use super::session::SessionError;
use super::signing::SigningError;
use super::throttle::{Attempt, Refused, Throttle};
use super::user::{self, StoredUser, User};
use super::{Identity, IdentityError, SignedIn};
use crate::audit::{ANONYMOUS, Event, Outcome};
use crate::tenancy::by::By;
use crate::tenancy::registry::Tenancy;
use crate::tenancy::scope::Principal;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use storage::engine::Tables;
use storage::error::StoreError;
use storage::row::TimeMs;

/// Why nobody was let in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The tenant, the address or the password is not right; it is not told which.
    #[error("the tenant, the e-mail address or the password is not right: check all three")]
    InvalidCredentials,
    /// There were too many failures for this account, from this address or in this tenant.
    #[error(transparent)]
    TooManyAttempts(#[from] Refused),
    /// The session could not be begun.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The access token could not be made.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LoginError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidCredentials => "invalid_credentials",
            Self::TooManyAttempts(_) => Refused::CODE,
            Self::Session(session) => session.code(),
            Self::Signing(signing) => signing.code(),
            Self::Store(_) => "store_failed",
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::InvalidCredentials => false,
            Self::TooManyAttempts(_) => true,
            Self::Session(session) => session.is_transient(),
            Self::Signing(signing) => signing.is_transient(),
            Self::Store(store) => store.is_transient(),
        }
    }
}

/// Why a password was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangePasswordError {
    /// The present password is not right, or was tried too often.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The new password breaks the rules, or the user could not be changed.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// Nobody signed in with a password.
    #[error("only a user who signed in has a password to change: sign in first")]
    NoUser,
}

impl ChangePasswordError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Login(login) => login.code(),
            Self::Account(account) => account.code(),
            Self::NoUser => "no_user",
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Login(login) => login.is_transient(),
            Self::Account(account) => account.is_transient(),
            Self::NoUser => false,
        }
    }
}

/// What somebody typed to be let in.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The tenant's name.
    pub tenant: &'a str,
    /// The user's address.
    pub email: &'a str,
    /// The password.
    pub password: &'a str,
    /// Who calls.
    pub client: Client<'a>,
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant, email, client, .. } = self;
        write!(f, "Credentials({tenant:?}, {email:?}, {client:?}, …)")
    }
}

/// Hashes passwords, and counts how often.
#[derive(Debug)]
pub(super) struct Passwords {
    /// Fits nothing that anybody types, and takes as long as any.
    dummy: PasswordPhc,
    hashes: AtomicU64,
    pub(super) throttle: Throttle,
}

impl Passwords {
    pub(super) fn start(platform: Arc<dyn Tables>, now_ms: TimeMs) -> Result<Self, IdentityError> {
        let dummy = Password::random().hash()?;
        let throttle = Throttle::load(platform, now_ms)?;
        Ok(Self { dummy, hashes: AtomicU64::new(0), throttle })
    }

    pub(super) fn hash(&self, password: &Password) -> Result<PasswordPhc, PasswordError> {
        self.hashes.fetch_add(1, Ordering::Relaxed);
        password.hash()
    }

    /// Whether `password` is the user's. Takes a hash, be there a user or not.
    fn fits(&self, user: Option<&User>, password: &str) -> bool {
        self.hashes.fetch_add(1, Ordering::Relaxed);
        let hash = user.map_or(&self.dummy, |user| &user.password);
        let fits = hash.fits(password);
        fits && user.is_some_and(|user| !user.disabled)
    }
}

impl Identity {
    /// Lets a user in and begins a session.
    pub fn login(
        &self,
        tenancy: &Tenancy,
        credentials: &Credentials<'_>,
        now_ms: TimeMs,
    ) -> Result<SignedIn, LoginError> {
        let Credentials { tenant, email, client, .. } = *credentials;
        let attempt = self.passwords.throttle.begin(tenant, email, client.address, now_ms);
        let attempt = attempt.map_err(LoginError::from);
        let attempt =
            attempt.inspect_err(|error| self.count_refused(tenancy, credentials, error))?;
        let outcome = self.try_login(tenancy, credentials, &attempt, now_ms);
        match &outcome {
            Ok(_) => self.passwords.throttle.succeeded(&attempt),
            Err(error @ LoginError::InvalidCredentials) => {
                self.count_refused(tenancy, credentials, error);
            }
            Err(_) => self.passwords.throttle.abandoned(&attempt),
        }
        outcome
    }

    /// Counts for a tenant's auditors that somebody was not let in.
    fn count_refused(&self, tenancy: &Tenancy, credentials: &Credentials<'_>, error: &LoginError) {
        let Some(tenant) = tenancy.named(credentials.tenant) else { return };
        let target = Email::parse(credentials.email).map(|email| format!("email:{email}"));
        let (actor, source) = (ANONYMOUS.to_owned(), credentials.client.source());
        let event = Event::new(actor, "session.begin", target.unwrap_or_default(), source);
        let event = event.ended(Outcome::Refused).after(error.code().into());
        self.log.count(event.in_chain(tenant.id.as_str()));
    }

    fn try_login(
        &self,
        tenancy: &Tenancy,
        credentials: &Credentials<'_>,
        attempt: &Attempt,
        now_ms: TimeMs,
    ) -> Result<SignedIn, LoginError> {
        let user = match (tenancy.named(credentials.tenant), Email::parse(credentials.email)) {
            (Some(tenant), Ok(email)) => user::find(&*self.platform, &tenant.id, &email)?,
            _ => None,
        };
        let found = user.as_ref().map(|stored| &stored.user);
        if !self.passwords.fits(found, credentials.password) {
            return Err(LoginError::InvalidCredentials);
        }
        let stored = user.ok_or(LoginError::InvalidCredentials)?;
        let stored = self.rehashed(stored, credentials.password)?;
        let known = self.passwords.throttle.known_by(attempt, now_ms)?;
        let opened = self.sessions.begin(stored, credentials.client, known, now_ms)?;
        Ok(self.signed_in(opened, credentials.client, now_ms)?)
    }

    /// The user with its password hashed as it is done today. What cannot be done now is done at
    /// another login.
    fn rehashed(&self, stored: StoredUser, password: &str) -> Result<StoredUser, StoreError> {
        if !stored.user.password.is_outdated() {
            return Ok(stored);
        }
        let Ok(hash) = self.passwords.hash(&Password::typed(password)) else { return Ok(stored) };
        let act = stored.change(&User { password: hash, ..stored.user.clone() })?;
        self.platform.write(&act.expect, &act.writes)?;
        Ok(user::get(&*self.platform, &stored.user.id)?.unwrap_or(stored))
    }

    /// Changes the password of the user who asks, who must know the present one. Ends the user's
    /// other sessions.
    pub fn change_password(
        &self,
        by: &By,
        present: &str,
        chosen: &str,
        now_ms: TimeMs,
    ) -> Result<(), ChangePasswordError> {
        let Principal::User { user_id, tenant_id, family, .. } = &by.principal else {
            return Err(ChangePasswordError::NoUser);
        };
        let stored = self.stored_user(tenant_id, user_id)?;
        let (tenant, email) = (tenant_id.as_str(), stored.user.email.as_str());
        let throttle = &self.passwords.throttle;
        let attempt =
            throttle.begin(tenant, email, by.source.address, now_ms).map_err(LoginError::from)?;
        if !self.passwords.fits(Some(&stored.user), present) {
            return Err(LoginError::InvalidCredentials.into());
        }
        throttle.succeeded(&attempt);
        let chosen = Password::choose(chosen, &stored.user.email).map_err(AccountError::from)?;
        let hash = self.passwords.hash(&chosen).map_err(AccountError::from)?;
        let changed = User { password: hash, ..stored.user.clone() };
        self.change_user(&stored, changed, Some(family), ("user.set_password", by), now_ms)?;
        Ok(())
    }

    /// How many password hashes were computed since the start.
    pub fn password_hashes(&self) -> u64 {
        self.passwords.hashes.load(Ordering::Relaxed)
    }
}
