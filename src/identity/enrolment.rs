//! Setting a second factor up, taking it away, and having it reset.
//!
//! There are two ways in. Whoever is signed in sets one up in two steps: begin, and confirm with a
//! code of the app. Whoever must have one and has none (see `rules`) is not let in; the same two
//! steps, each with the password, end in a session. So no session exists that may do only some
//! things, and nothing has to ask for it.
//!
//! *Invariants*: what is set up or taken away from a session ends the user's others in the same
//! transaction, and what is enrolled begins one in it; whoever begins, or takes away, has signed in a
//! moment ago or says the password again, so that a session that somebody left open or lost is not
//! enough.

use super::Identity;
use super::account::{Account, AccountError, demand_another, target};
use super::login::{Credentials, LoginError, counted_in};
use super::rules::StoredRules;
use super::second_factor::{self, Enrolment, FactorError, StoredFactor};
use super::session::SessionError;
use super::throttle::Attempt;
use super::user::{StoredUser, User};
use super::{SignedIn, family, rules};
use crate::audit::{Event, Told};
use crate::tenancy::by::By;
use crate::tenancy::id::TenantId;
use crate::tenancy::registry::{Completion, Tenancy};
use crate::tenancy::scope::Principal;
use storage::engine::Expect;
use storage::error::StoreError;
use storage::row::TimeMs;

/// What the audit log calls it.
const SET_UP: &str = "otp.set_up";

/// How long after signing in nobody is asked for the password again (ASVS 5.0, 7.5.1).
pub const FRESH_MS: TimeMs = 10 * 60_000;

/// Why a second factor was not set up or taken away.
#[derive(Debug, thiserror::Error)]
pub enum OtpError {
    /// Nobody signed in.
    #[error("only a user who signed in has a second factor: sign in first")]
    NoUser,
    /// There is no first one.
    #[error("a second factor goes with a password, and you have none")]
    NoPassword,
    /// It was too long ago that the user signed in.
    #[error("send your `password` too: you did not sign in just now")]
    Reauthenticate,
    /// Neither a code nor a password.
    #[error("send a `code` or your `password`")]
    Unproven,
    /// Nothing is being set up.
    #[error("nothing is being set up, or it was begun too long ago: begin again")]
    NotBegun,
    /// There is none.
    #[error("there is no second factor to take away")]
    NotSetUp,
    /// The tenant demands one.
    #[error("the tenant demands a second factor: set up another in the place of this one")]
    Demanded,
    /// The tenant demands none.
    #[error("the tenant demands no second factor: sign in, and set one up then")]
    NotDemanded,
    /// The password or the code is not right, or was tried too often.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The user could not be found or changed.
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl OtpError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoUser => "no_user",
            Self::NoPassword => "no_password",
            Self::Reauthenticate => "reauthentication_required",
            Self::Unproven => "proof_required",
            Self::NotBegun => "otp_not_begun",
            Self::NotSetUp => "otp_not_set_up",
            Self::Demanded => "otp_demanded",
            Self::NotDemanded => "otp_not_demanded",
            Self::Login(login) => login.code(),
            Self::Account(account) => account.code(),
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Login(login) => login.is_transient(),
            Self::Account(account) => account.is_transient(),
            _ => false,
        }
    }

    fn is_wrong_guess(&self) -> bool {
        matches!(self, Self::Login(login) if login.is_wrong_guess())
    }
}

impl From<FactorError> for OtpError {
    fn from(error: FactorError) -> Self {
        Self::Login(error.into())
    }
}

impl From<SessionError> for OtpError {
    fn from(error: SessionError) -> Self {
        Self::Login(error.into())
    }
}

impl From<StoreError> for OtpError {
    fn from(error: StoreError) -> Self {
        Self::Login(error.into())
    }
}

/// How it stands with the second factor of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtpState {
    /// Whether there is one.
    pub is_set_up: bool,
    /// Recovery codes that are left.
    pub recovery_left: usize,
    /// Whether the tenant demands one.
    pub is_demanded: bool,
}

/// What shows that a second factor is its owner's to take away.
#[derive(Clone, Copy, Default)]
pub struct Proof<'a> {
    /// A code of the app, or a recovery code.
    pub code: Option<&'a str>,
    /// The password.
    pub password: Option<&'a str>,
}

impl std::fmt::Debug for Proof<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proof(…)")
    }
}

impl Identity {
    /// How it stands with the second factor of the user who asks.
    pub fn otp_state(&self, principal: &Principal) -> Result<OtpState, OtpError> {
        let (stored, _) = self.oneself(principal)?;
        Ok(OtpState {
            is_set_up: stored.user.otp,
            recovery_left: self.factor_of(&stored.user)?.recovery_left(),
            // Of whoever has no password the provider demands what it likes.
            is_demanded: stored.user.password.is_some()
                && self.sign_in_rules(&stored.user.tenant_id)?.require_otp,
        })
    }

    /// Begins to set up the second factor of the user who asks, or another in the place of one.
    /// Hashes where `proof` is needed.
    pub fn begin_otp(
        &self,
        tenancy: &Tenancy,
        by: &By,
        proof: &Proof<'_>,
        now_ms: TimeMs,
    ) -> Result<Enrolment, OtpError> {
        let (stored, family) = self.oneself(&by.principal)?;
        if stored.user.password.is_none() {
            return Err(OtpError::NoPassword);
        }
        if !self.is_fresh(family, now_ms)? {
            let password = proof.password.ok_or(OtpError::Reauthenticate)?;
            self.prove_password(&stored.user, password, &by.source, now_ms)?;
        }
        self.begin_factor(tenancy, &stored, now_ms)
    }

    /// Confirms with a code of the app what [`begin_otp`](Self::begin_otp) began, and gives the
    /// recovery codes: the only time that they are there.
    pub fn confirm_otp(
        &self,
        by: &By,
        code: &str,
        now_ms: TimeMs,
    ) -> Result<Vec<String>, OtpError> {
        let (stored, family) = self.oneself(&by.principal)?;
        let (codes, act) = self.confirmation(&stored, code, now_ms)?;
        let event = by.did(SET_UP, target(&stored.user.id));
        let act = act.telling(by.told(&stored.user.tenant_id, event));
        match self.sessions.end_all(&stored.user.id, Some(family), &act, now_ms)? {
            true => Ok(codes),
            false => Err(SessionError::Contended.into()),
        }
    }

    /// Takes the second factor of the user who asks away. Hashes where `proof` is a password.
    pub fn remove_otp(&self, by: &By, proof: &Proof<'_>, now_ms: TimeMs) -> Result<(), OtpError> {
        let (stored, family) = self.oneself(&by.principal)?;
        if !stored.user.otp {
            return Err(OtpError::NotSetUp);
        }
        let rules = rules::get(&*self.platform, &stored.user.tenant_id)?;
        if rules.rules.require_otp {
            return Err(OtpError::Demanded);
        }
        let mut expect = vec![rules.unchanged()];
        match (proof.code, proof.password) {
            (Some(code), _) => {
                let credentials = Credentials::of(&stored.user, &by.source);
                let use_up = |_: &Attempt| self.use_up(&stored.user.id, code, now_ms);
                let wrong = LoginError::is_wrong_guess;
                let tenant = stored.user.tenant_id.as_str();
                let act = self.attempt(tenant, &credentials, now_ms, wrong, use_up)?;
                expect.extend(act.expect);
            }
            (None, Some(password)) => {
                self.prove_password(&stored.user, password, &by.source, now_ms)?;
            }
            (None, None) => return Err(OtpError::Unproven),
        }
        self.remove_factor(&stored, expect, Some(family), ("otp.remove", by), now_ms)?;
        Ok(())
    }

    /// Takes the second factor of somebody else away who cannot use it any more, and ends the user's
    /// sessions.
    pub fn reset_otp(
        &self,
        tenant_id: &TenantId,
        user_id: &str,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Account, AccountError> {
        let stored = self.stored_user(tenant_id, user_id)?;
        stored.user.demand_below(&by.principal)?;
        demand_another(&by.principal, user_id, "/api/v1/auth/otp")?;
        self.demand_unbound(&by.principal)?;
        self.remove_factor(&stored, Vec::new(), None, ("otp.reset", by), now_ms)
    }

    /// Begins to set up a second factor for somebody who is not let in without one.
    pub fn begin_enrolment(
        &self,
        tenancy: &Tenancy,
        credentials: &Credentials<'_>,
        now_ms: TimeMs,
    ) -> Result<Enrolment, OtpError> {
        let begin = |_: &Attempt| {
            let (stored, _) = self.known_without_factor(tenancy, credentials)?;
            self.begin_factor(tenancy, &stored, now_ms)
        };
        let (tenant, wrong) = (counted_in(tenancy, credentials.tenant), OtpError::is_wrong_guess);
        let outcome = self.attempt(&tenant, credentials, now_ms, wrong, begin);
        outcome.inspect_err(|error| self.count_refused_step(tenancy, credentials, error))
    }

    /// Confirms with the code in `credentials` what [`begin_enrolment`](Self::begin_enrolment)
    /// began, and lets the user in. Gives the recovery codes: the only time that they are there.
    pub fn enrol(
        &self,
        tenancy: &Tenancy,
        credentials: &Credentials<'_>,
        now_ms: TimeMs,
    ) -> Result<(SignedIn, Vec<String>), OtpError> {
        let enrol = |attempt: &Attempt| {
            let (stored, rules) = self.known_without_factor(tenancy, credentials)?;
            let code = credentials.otp.unwrap_or_default();
            // The code that confirms is the second step too, so that nobody waits for another.
            let (codes, mut act) = self.confirmation(&stored, code, now_ms)?;
            act.expect.push(rules.unchanged());
            let act = act.telling([enrolled(&stored.user, credentials)]);
            let place = (credentials, attempt);
            let mut signed_in = self.begin_session(stored, act, place, now_ms)?;
            signed_in.user.has_otp = true;
            Ok((signed_in, codes))
        };
        let (tenant, wrong) = (counted_in(tenancy, credentials.tenant), OtpError::is_wrong_guess);
        let outcome = self.attempt(&tenant, credentials, now_ms, wrong, enrol);
        outcome.inspect_err(|error| self.count_refused_step(tenancy, credentials, error))
    }

    fn count_refused_step(
        &self,
        tenancy: &Tenancy,
        credentials: &Credentials<'_>,
        error: &OtpError,
    ) {
        if let OtpError::Login(login) = error {
            self.count_refused(tenancy, credentials, login);
        }
    }

    /// Whoever has the password of `credentials`, has no second factor and must have one; and the
    /// rules that say so.
    fn known_without_factor(
        &self,
        tenancy: &Tenancy,
        credentials: &Credentials<'_>,
    ) -> Result<(StoredUser, StoredRules), OtpError> {
        let stored = self.known(tenancy, credentials)?;
        let rules = rules::get(&*self.platform, &stored.user.tenant_id)?;
        if !rules.rules.lets_in(&stored.user) {
            return Err(LoginError::SsoRequired.into());
        }
        if stored.user.otp {
            return Err(LoginError::OtpRequired.into());
        }
        match rules.rules.require_otp {
            true => Ok((stored, rules)),
            false => Err(OtpError::NotDemanded),
        }
    }

    /// The user who asks, and the session.
    fn oneself<'p>(&self, principal: &'p Principal) -> Result<(StoredUser, &'p str), OtpError> {
        let Principal::User { user_id, tenant_id, family, .. } = principal else {
            return Err(OtpError::NoUser);
        };
        Ok((self.stored_user(tenant_id, user_id)?, family))
    }

    /// Whether a session began a moment ago.
    fn is_fresh(&self, family: &str, now_ms: TimeMs) -> Result<bool, StoreError> {
        let stored = family::get(&*self.platform, family)?;
        Ok(stored.is_some_and(|stored| {
            let created_ms = stored.family.created_ms;
            (created_ms..created_ms.saturating_add(FRESH_MS)).contains(&now_ms)
        }))
    }

    fn factor_of(&self, user: &User) -> Result<StoredFactor, StoreError> {
        second_factor::get(&*self.platform, &user.id)
    }

    fn begin_factor(
        &self,
        tenancy: &Tenancy,
        stored: &StoredUser,
        now_ms: TimeMs,
    ) -> Result<Enrolment, OtpError> {
        let tenant = tenancy.with_id(&stored.user.tenant_id);
        let tenant = tenant.as_ref().map_or("", |tenant| tenant.slug.as_str());
        let issuer = format!("External Metrics ({tenant})");
        let names = (issuer.as_str(), stored.user.email.as_str());
        let (enrolment, mut act) =
            self.factor_of(&stored.user)?.begin(&self.master, names, now_ms)?;
        act.expect.push(stored.unchanged());
        match self.platform.write(&act.expect, &act.writes)? {
            true => Ok(enrolment),
            false => Err(SessionError::Contended.into()),
        }
    }

    /// What takes the factor that is being set up into use, and its new recovery codes.
    fn confirmation(
        &self,
        stored: &StoredUser,
        code: &str,
        now_ms: TimeMs,
    ) -> Result<(Vec<String>, Completion), OtpError> {
        let factor = self.factor_of(&stored.user)?;
        if !factor.is_pending(now_ms) {
            return Err(OtpError::NotBegun);
        }
        let Some((codes, mut act)) = factor.confirm(&self.master, code, now_ms)? else {
            return Err(LoginError::InvalidOtp.into());
        };
        let change = stored.change(&User { otp: true, ..stored.user.clone() })?;
        act.expect.extend(change.expect);
        act.writes.extend(change.writes);
        Ok((codes, act))
    }

    fn remove_factor(
        &self,
        stored: &StoredUser,
        expect: Vec<Expect>,
        except: Option<&str>,
        (action, by): (&str, &By),
        now_ms: TimeMs,
    ) -> Result<Account, AccountError> {
        let changed = User { otp: false, ..stored.user.clone() };
        let mut act = stored.change(&changed)?;
        act.expect.extend(expect);
        act.writes.push(second_factor::removal(&changed.id));
        act.told = by.told(&changed.tenant_id, by.did(action, target(&changed.id)));
        match self.sessions.end_all(&changed.id, except, &act, now_ms)? {
            true => Ok(changed.into()),
            false => Err(SessionError::Contended.into()),
        }
    }
}

/// What the audit log tells of somebody who set a second factor up to be let in.
fn enrolled(user: &User, credentials: &Credentials<'_>) -> Told {
    let source = credentials.client.source();
    let event = Event::new(target(&user.id), SET_UP, target(&user.id), source);
    event.in_chain(user.tenant_id.as_str())
}
