//! Signing in with a password, and with a second factor where there is one or must be.
//!
//! *Invariants*: an attempt costs one hash and as many reads, whether there is such a tenant, such a
//! user, such a password or none of them, and a refused one costs none; all of them but the last are
//! told apart by nothing. What a second factor is asked for, is asked only once the password is right.
//! These calls block for as long as a hash takes, so they belong on a thread that may.

use super::account::AccountError;
use super::client::Client;
use super::email::Email;
use super::password::{Password, PasswordError, PasswordPhc};
use super::second_factor::{self, FactorError, Judged};
use super::session::SessionError;
use super::signing::SigningError;
use super::throttle::{Attempt, Refused, Throttle};
use super::user::{self, StoredUser, User};
use super::{Identity, IdentityError, SignedIn, rules};
use crate::audit::{ANONYMOUS, Event, Outcome, Source};
use crate::tenancy::by::By;
use crate::tenancy::registry::{Completion, Tenancy};
use crate::tenancy::scope::Principal;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use storage::engine::Tables;
use storage::error::StoreError;
use storage::row::TimeMs;

/// How often a wrong code is counted anew because another one was at the same moment.
const ATTEMPTS_MAX: usize = 16;

/// Why nobody was let in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The tenant, the address or the password is not right; it is not told which.
    #[error("the tenant, the e-mail address or the password is not right: check all three")]
    InvalidCredentials,
    /// The password of somebody who is signed in is not right.
    #[error("your present password is not right")]
    WrongPassword,
    /// There were too many failures for this account, from this address or in this tenant.
    #[error(transparent)]
    TooManyAttempts(#[from] Refused),
    /// The password is right, and there is a second factor.
    #[error("a second factor is set up: send `otp`, a code of the app or a recovery code")]
    OtpRequired,
    /// The password is right, the code is not, or was used before.
    #[error("the code is not right, or was used before: wait for the next one")]
    InvalidOtp,
    /// The password is right, and too many codes were not.
    #[error("there were too many wrong codes: use a recovery code, or have the factor reset")]
    OtpLocked,
    /// The password is right, and the tenant demands a second factor that there is not.
    #[error("the tenant demands a second factor: set one up with `POST /api/v1/auth/otp/enrol`")]
    EnrolmentRequired,
    /// The password is right, and the tenant demands single sign-on of this user.
    #[error("the tenant's people sign in by single sign-on: begin there")]
    SsoRequired,
    /// The second factor could not be read.
    #[error(transparent)]
    Factor(#[from] FactorError),
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
            Self::InvalidCredentials | Self::WrongPassword => "invalid_credentials",
            Self::TooManyAttempts(_) => Refused::CODE,
            Self::OtpRequired => "otp_required",
            Self::InvalidOtp => "invalid_otp",
            Self::OtpLocked => "otp_locked",
            Self::EnrolmentRequired => "otp_enrolment_required",
            Self::SsoRequired => "sso_required",
            Self::Factor(factor) => factor.code(),
            Self::Session(session) => session.code(),
            Self::Signing(signing) => signing.code(),
            Self::Store(_) => "store_failed",
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::InvalidCredentials | Self::OtpRequired | Self::InvalidOtp => false,
            Self::WrongPassword | Self::OtpLocked | Self::EnrolmentRequired | Self::SsoRequired => {
                false
            }
            Self::TooManyAttempts(_) => true,
            Self::Factor(factor) => factor.is_transient(),
            Self::Session(session) => session.is_transient(),
            Self::Signing(signing) => signing.is_transient(),
            Self::Store(store) => store.is_transient(),
        }
    }

    /// Whether somebody was kept out, rather than that something failed.
    fn is_refusal(&self) -> bool {
        match self {
            Self::InvalidCredentials | Self::InvalidOtp | Self::OtpLocked => true,
            Self::WrongPassword
            | Self::OtpRequired
            | Self::EnrolmentRequired
            | Self::SsoRequired => true,
            Self::TooManyAttempts(_) => true,
            Self::Factor(_) | Self::Session(_) | Self::Signing(_) | Self::Store(_) => false,
        }
    }

    /// Whether somebody guessed, and wrongly.
    pub(super) fn is_wrong_guess(&self) -> bool {
        matches!(
            self,
            Self::InvalidCredentials | Self::WrongPassword | Self::InvalidOtp | Self::OtpLocked
        )
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
    /// A code of the authenticator app, or a recovery code.
    pub otp: Option<&'a str>,
    /// Who calls.
    pub client: Client<'a>,
}

impl<'a> Credentials<'a> {
    /// What attempts of a user who is signed in already are counted by.
    pub(super) fn of(user: &'a User, source: &'a Source) -> Self {
        let (tenant, email) = (user.tenant_id.as_str(), user.email.as_str());
        let request_id = source.request_id.as_deref();
        let client = Client { address: source.address, agent: None, request_id };
        Self { tenant, email, password: "", otp: None, client }
    }
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

    /// Whether `password` is the user's. Takes a hash, be there a user with a password or not.
    fn fits(&self, user: Option<&User>, password: &str) -> bool {
        self.hashes.fetch_add(1, Ordering::Relaxed);
        let hash = user.and_then(|user| user.password.as_ref()).unwrap_or(&self.dummy);
        let fits = hash.fits(password);
        fits && user.is_some_and(User::can_sign_in)
    }
}

/// Where attempts are counted of somebody who typed `tenant`: by the id, which is never another's. One
/// that is not there is counted like one that is, in whatever case.
pub(super) fn counted_in(tenancy: &Tenancy, tenant: &str) -> String {
    let typed = tenant.to_lowercase();
    tenancy.named(&typed).map_or(typed, |tenant| tenant.id.to_string())
}

impl Identity {
    /// Lets a user in and begins a session.
    pub fn login(
        &self,
        tenancy: &Tenancy,
        credentials: &Credentials<'_>,
        now_ms: TimeMs,
    ) -> Result<SignedIn, LoginError> {
        let try_login = |attempt: &Attempt| -> Result<SignedIn, LoginError> {
            let stored = self.known(tenancy, credentials)?;
            let act = self.second_step(&stored.user, credentials.otp, now_ms)?;
            self.begin_session(stored, act, (credentials, attempt), now_ms)
        };
        let tenant = counted_in(tenancy, credentials.tenant);
        let wrong = LoginError::is_wrong_guess;
        let outcome = self.attempt(&tenant, credentials, now_ms, wrong, try_login);
        outcome.inspect_err(|error| self.count_refused(tenancy, credentials, error))
    }

    /// Lets `stored`, who has shown to be who it is, in where nothing of `act` has changed meanwhile:
    /// begins a session, and makes the place known.
    pub(super) fn begin_session(
        &self,
        stored: StoredUser,
        mut act: Completion,
        (credentials, attempt): (&Credentials<'_>, &Attempt),
        now_ms: TimeMs,
    ) -> Result<SignedIn, LoginError> {
        act.writes.extend(self.passwords.throttle.known_by(attempt, now_ms)?);
        let opened = self.sessions.begin(stored, credentials.client, act, now_ms)?;
        Ok(self.signed_in(opened, credentials.client, now_ms)?)
    }

    /// Counts for a tenant's auditors that somebody was not let in, if that is what `error` says.
    pub(super) fn count_refused(
        &self,
        tenancy: &Tenancy,
        credentials: &Credentials<'_>,
        error: &LoginError,
    ) {
        let tenant = tenancy.named(credentials.tenant).filter(|_| error.is_refusal());
        let Some(tenant) = tenant else { return };
        let target = Email::parse(credentials.email).map(|email| format!("email:{email}"));
        let (actor, source) = (ANONYMOUS.to_owned(), credentials.client.source());
        let event = Event::new(actor, "session.begin", target.unwrap_or_default(), source);
        let event = event.ended(Outcome::Refused).after(error.code().into());
        self.log.count(event.in_chain(tenant.id.as_str()));
    }

    /// Does `act` as one attempt to be let in with `credentials`, counted in the tenant with the id
    /// `tenant`, if there may be one. What it fails with counts if it is a wrong guess.
    pub(super) fn attempt<T, E: From<LoginError>>(
        &self,
        tenant: &str,
        credentials: &Credentials<'_>,
        now_ms: TimeMs,
        is_wrong_guess: impl Fn(&E) -> bool,
        act: impl FnOnce(&Attempt) -> Result<T, E>,
    ) -> Result<T, E> {
        let Credentials { email, client, .. } = *credentials;
        let attempt = self.passwords.throttle.begin(tenant, email, client.address, now_ms);
        let attempt = attempt.map_err(LoginError::from)?;
        let outcome = act(&attempt);
        match &outcome {
            Ok(_) => self.passwords.throttle.succeeded(&attempt),
            Err(error) if is_wrong_guess(error) => self.passwords.throttle.failed(&attempt),
            Err(_) => self.passwords.throttle.abandoned(&attempt),
        }
        outcome
    }

    /// Whoever has the password of `credentials`.
    pub(super) fn known(
        &self,
        tenancy: &Tenancy,
        credentials: &Credentials<'_>,
    ) -> Result<StoredUser, LoginError> {
        let (tenant, email) = (tenancy.named(credentials.tenant), Email::parse(credentials.email));
        let tenant_id = tenant.as_ref().map(|tenant| &tenant.id);
        let user = user::find_or_not(&*self.platform, tenant_id, email.as_ref().ok())?;
        let found = user.as_ref().map(|stored| &stored.user);
        if !self.passwords.fits(found, credentials.password) {
            return Err(LoginError::InvalidCredentials);
        }
        let stored = user.ok_or(LoginError::InvalidCredentials)?;
        self.rehashed(stored, credentials.password)
    }

    /// What has to be so, and to be stored, for `user` to be let in once the password is right.
    fn second_step(
        &self,
        user: &User,
        otp: Option<&str>,
        now_ms: TimeMs,
    ) -> Result<Completion, LoginError> {
        let rules = rules::get(&*self.platform, &user.tenant_id)?;
        if !rules.rules.lets_in(user) {
            return Err(LoginError::SsoRequired);
        }
        let mut act = match (user.otp, otp.filter(|code| !code.trim().is_empty())) {
            (true, Some(code)) => self.use_up(&user.id, code, now_ms)?,
            (true, None) => return Err(LoginError::OtpRequired),
            (false, _) if rules.rules.require_otp => return Err(LoginError::EnrolmentRequired),
            (false, _) => Completion::default(),
        };
        act.expect.push(rules.unchanged());
        Ok(act)
    }

    /// What uses up the code `code` of a user, if it is right. A wrong one is counted.
    pub(super) fn use_up(
        &self,
        user_id: &str,
        code: &str,
        now_ms: TimeMs,
    ) -> Result<Completion, LoginError> {
        for _ in 0..ATTEMPTS_MAX {
            let factor = second_factor::get(&*self.platform, user_id)?;
            match factor.judge(&self.master, code, now_ms)? {
                Judged::Fits(act) => return Ok(act),
                Judged::Locked => return Err(LoginError::OtpLocked),
                Judged::Wrong(act) => {
                    if self.platform.write(&act.expect, &act.writes)? {
                        return Err(LoginError::InvalidOtp);
                    }
                }
            }
        }
        Err(SessionError::Contended.into())
    }

    /// The user with its password hashed as it is done today. What cannot be done now is done at
    /// another login; that somebody changed the user meanwhile, who may be kept out by now, ends this one.
    fn rehashed(&self, stored: StoredUser, password: &str) -> Result<StoredUser, LoginError> {
        if !stored.user.password.as_ref().is_some_and(PasswordPhc::is_outdated) {
            return Ok(stored);
        }
        let Ok(hash) = self.passwords.hash(&Password::typed(password)) else { return Ok(stored) };
        let (act, rehashed) =
            stored.changed(User { password: Some(hash), ..stored.user.clone() })?;
        match self.platform.write(&act.expect, &act.writes)? {
            true => Ok(rehashed),
            false => Err(SessionError::Contended.into()),
        }
    }

    /// Changes the password of the user who asks, who must know the present one. Ends the user's
    /// other sessions.
    pub fn change_password(
        &self,
        tenancy: &Tenancy,
        by: &By,
        present: &str,
        chosen: &str,
        now_ms: TimeMs,
    ) -> Result<(), ChangePasswordError> {
        let Principal::User { user_id, tenant_id, family, .. } = &by.principal else {
            return Err(ChangePasswordError::NoUser);
        };
        let stored = self.stored_user(tenant_id, user_id)?;
        self.prove_password(&stored.user, present, &by.source, now_ms)?;
        let tenant = tenancy.with_id(tenant_id);
        let tenant = tenant.as_ref().map_or("", |tenant| tenant.slug.as_str());
        let chosen = Password::choose(chosen, &stored.user.email, tenant);
        let chosen = chosen.map_err(AccountError::from)?;
        let hash = self.passwords.hash(&chosen).map_err(AccountError::from)?;
        let changed = User { password: Some(hash), ..stored.user.clone() };
        self.change_user(&stored, changed, Some(family), ("user.set_password", by), now_ms)?;
        Ok(())
    }

    /// Fails unless `present` is the password of a user who is signed in already. As often as that
    /// may be tried.
    pub(super) fn prove_password(
        &self,
        user: &User,
        present: &str,
        source: &Source,
        now_ms: TimeMs,
    ) -> Result<(), LoginError> {
        let credentials = Credentials::of(user, source);
        let prove = |_: &Attempt| match self.passwords.fits(Some(user), present) {
            true => Ok(()),
            false => Err(LoginError::WrongPassword),
        };
        let tenant = user.tenant_id.as_str();
        self.attempt(tenant, &credentials, now_ms, LoginError::is_wrong_guess, prove)
    }

    /// How many password hashes were computed since the start.
    pub fn password_hashes(&self) -> u64 {
        self.passwords.hashes.load(Ordering::Relaxed)
    }
}
