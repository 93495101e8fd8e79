//! Which status an error has of those that users, teams, links and second factors make.

use super::auth::{login_problem, session_problem};
use crate::http::precondition;
use crate::http::problem::Problem;
use crate::identity::account::AccountError;
use crate::identity::enrolment::OtpError;
use crate::identity::link::LinkError;
use crate::identity::password::PasswordError;
use crate::identity::rules::RulesError;
use crate::identity::second_factor::FactorError;
use crate::identity::secret::SecretError;
use crate::identity::team::TeamError;
use hyper::StatusCode;

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        let (code, detail) = (error.code(), error.to_string());
        match error {
            AccountError::NotFound { .. } => Self::not_found("a user with this id"),
            AccountError::Role { .. } => Self::invalid("/role", code, detail),
            AccountError::NoTeam { .. } | AccountError::TooManyTeams => {
                Self::invalid("/teams", code, detail)
            }
            AccountError::Names(_) => Self::invalid("/reported_as", code, detail),
            AccountError::RoleTooHigh { .. }
            | AccountError::NotPlatform
            | AccountError::BoundKey => Self::forbidden(code, detail),
            AccountError::Stale => precondition::failed(code, detail),
            AccountError::EmailTaken { .. }
            | AccountError::LastOwner { .. }
            | AccountError::LastAdministrator { .. }
            | AccountError::Oneself { .. }
            | AccountError::Linked { .. }
            | AccountError::TooMany => Self::new(StatusCode::CONFLICT, code, detail),
            AccountError::Password(PasswordError::Hash { .. }) => Self::internal(&detail),
            AccountError::Password(_) => Self::invalid("/password", code, detail),
            AccountError::Session(session) => session_problem(session),
            AccountError::Tenancy(tenancy) => tenancy.into(),
            AccountError::Store(store) => Self::of_store(&store),
        }
    }
}

impl From<TeamError> for Problem {
    fn from(error: TeamError) -> Self {
        let (code, detail) = (error.code(), error.to_string());
        match error {
            TeamError::NotFound { .. } => Self::not_found("a team with this id"),
            TeamError::Name => Self::invalid("/name", code, detail),
            TeamError::Names(_) => Self::invalid("/reported_as", code, detail),
            TeamError::Stale => precondition::failed(code, detail),
            TeamError::NameTaken { .. } | TeamError::TooMany => {
                Self::new(StatusCode::CONFLICT, code, detail)
            }
            TeamError::Account(account) => account.into(),
            TeamError::Store(store) => Self::of_store(&store),
        }
    }
}

impl From<LinkError> for Problem {
    fn from(error: LinkError) -> Self {
        let (code, detail) = (error.code(), error.to_string());
        match error {
            LinkError::Invalid => Self::unauthorized(code, detail),
            LinkError::Disabled { .. } => Self::new(StatusCode::CONFLICT, code, detail),
            LinkError::Account(account) => account.into(),
            LinkError::NoRandomness(_) => Self::internal(&detail),
            LinkError::Store(store) => Self::of_store(&store),
        }
    }
}

impl From<RulesError> for Problem {
    fn from(error: RulesError) -> Self {
        let (code, detail) = (error.code(), error.to_string());
        match error {
            RulesError::NotSetUp | RulesError::NoProvider | RulesError::NoOwner => {
                Self::new(StatusCode::CONFLICT, code, detail)
            }
            RulesError::Stale => precondition::failed(code, detail),
            RulesError::Account(account) => account.into(),
            RulesError::Store(store) => Self::of_store(&store),
        }
    }
}

impl From<OtpError> for Problem {
    fn from(error: OtpError) -> Self {
        let (code, detail) = (error.code(), error.to_string());
        match error {
            OtpError::NoUser | OtpError::Reauthenticate => Self::forbidden(code, detail),
            OtpError::Unproven => Self::invalid("", code, detail),
            OtpError::NoPassword
            | OtpError::NotBegun
            | OtpError::NotSetUp
            | OtpError::Demanded
            | OtpError::NotDemanded => Self::new(StatusCode::CONFLICT, code, detail),
            OtpError::Login(login) => login_problem(login),
            OtpError::Account(account) => account.into(),
        }
    }
}

impl From<FactorError> for Problem {
    fn from(error: FactorError) -> Self {
        match error {
            FactorError::Store(store) => Self::of_store(&store),
            FactorError::NoRandomness(_) | FactorError::Secret(SecretError::Seal) => {
                Self::unavailable("no_randomness", error.to_string())
            }
            // What it says names a file.
            FactorError::Secret(secret) => Self::internal(&secret),
        }
    }
}
