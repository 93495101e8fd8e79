//! What went wrong, in words for a person or as a problem object (RFC 9457) for a program.

use crate::backup::BackupError;
use crate::config::load::ConfigError;
use crate::identity::IdentityError;
use crate::identity::account::AccountError;
use crate::identity::api_key::ApiKeyError;
use crate::identity::email::EmailError;
use crate::identity::forget::ForgetError;
use crate::identity::link::LinkError;
use crate::identity::password::PasswordError;
use crate::identity::rules::RulesError;
use crate::identity::secret::SecretError;
use crate::identity::session::SessionError;
use crate::identity::signing::SigningError;
use crate::identity::sso::{self, ProviderError};
use crate::identity::team::TeamError;
use crate::limits::LimitError;
use crate::query::{self, QueryError};
use crate::tenancy::display_name::DisplayNameError;
use crate::tenancy::registry::TenancyError;
use crate::tenancy::slug::SlugError;
use crate::transfer::ImportError;
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;
use std::process::ExitCode;
use storage::ask::AskError;
use storage::error::StoreError;

/// Exit status of what was tried and failed.
const EXIT_FAILURE: u8 = 1;

/// Exit status of what could not be understood.
pub(super) const EXIT_USAGE: u8 = 2;

/// A failure that the shell itself finds.
#[derive(Debug)]
pub(super) struct Failure {
    code: Cow<'static, str>,
    detail: String,
    help: Option<String>,
    exit: u8,
}

impl Failure {
    /// `code` is a stable snake_case word, `detail` one sentence without its full stop.
    pub(super) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self::told(code, detail)
    }

    /// A failure that a server tells.
    pub(super) fn told(code: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self { code: code.into(), detail: detail.into(), help: None, exit: EXIT_FAILURE }
    }

    /// Something typed that cannot be understood.
    pub(super) fn usage(detail: impl Into<String>) -> Self {
        Self { exit: EXIT_USAGE, ..Self::new("usage", detail) }
    }

    /// Adds what to do.
    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Failure {}

/// A question in flags that cannot be asked: what is wrong is told by the names of the flags.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct FlagsRefused(pub(super) QueryError);

/// The flag that the value at `pointer` was read from.
fn flag_of(pointer: &str) -> String {
    let name = pointer.split('/').nth(1).unwrap_or_default();
    let name = match name {
        "metrics" => "metric",
        "filters" => "filter",
        other => other,
    };
    format!("--{}", name.replace('_', "-"))
}

/// An error as it is reported.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    r#type: &'static str,
    title: String,
    code: Cow<'static, str>,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Pointed>,
    #[serde(skip)]
    exit: u8,
}

/// One of several things that are wrong, and where.
#[derive(Debug, Serialize)]
struct Pointed {
    pointer: String,
    code: String,
    detail: String,
}

impl Problem {
    fn new(code: impl Into<Cow<'static, str>>, detail: String) -> Self {
        let code = code.into();
        Self {
            r#type: "about:blank",
            title: code.replace('_', " "),
            code,
            detail,
            help: None,
            errors: Vec::new(),
            exit: EXIT_FAILURE,
        }
    }

    /// Arguments that are no command; `rendered` is what the parser says.
    pub(super) fn usage(rendered: &str) -> Self {
        let first = rendered.split("\n\n").next().unwrap_or(rendered);
        let detail = first.trim().trim_start_matches("error: ").replace('\n', " ");
        let help = Some("`emx help` lists the commands, `emx help COMMAND` its flags".into());
        Self { help, exit: EXIT_USAGE, ..Self::new("usage", detail) }
    }

    /// What `error` is called and what it says. The first cause that is known decides; what was
    /// being done when it happened stands before it.
    pub(super) fn of(error: &anyhow::Error) -> Self {
        let known = error.chain().find_map(Self::of_cause);
        let detail = sentence(error);
        match known {
            Some(known) => Self { detail: known.detail_or(detail), ..known },
            None => Self::new("failed", detail),
        }
    }

    fn detail_or(&self, whole: String) -> String {
        if self.errors.is_empty() { whole } else { self.detail.clone() }
    }

    fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let detail = cause.to_string();
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            let plain = Self::new(failure.code.clone(), detail);
            return Some(Self { help: failure.help.clone(), exit: failure.exit, ..plain });
        }
        if let Some(error) = cause.downcast_ref::<ConfigError>() {
            return Some(Self::of_config(error, detail));
        }
        if let Some(error) = cause.downcast_ref::<QueryError>() {
            return Some(Self::of_question(error, detail, str::to_owned));
        }
        if let Some(FlagsRefused(error)) = cause.downcast_ref() {
            return Some(Self::of_question(error, detail, flag_of));
        }
        if let Some(error) = cause.downcast_ref::<ProviderError>() {
            return Some(Self::of_provider(error, detail));
        }
        let code = if let Some(error) = cause.downcast_ref::<TenancyError>() {
            match error {
                TenancyError::Store(store) => store_code(store),
                TenancyError::Slug(_) | TenancyError::Zone { .. } => {
                    return Some(Self::mistyped(error.code(), detail));
                }
                other => other.code(),
            }
        } else if let Some(error) = cause.downcast_ref::<StoreError>() {
            store_code(error)
        } else if let Some(error) = cause.downcast_ref::<ImportError>() {
            if error.is_usage() {
                return Some(Self::mistyped(error.code(), detail));
            }
            error.code()
        } else if let Some(error) = cause.downcast_ref::<BackupError>() {
            match error {
                BackupError::Store(store) => store_code(store),
                other => other.code(),
            }
        } else if let Some(error) = cause.downcast_ref::<LimitError>() {
            match error {
                LimitError::Store(store) => store_code(store),
                other => other.code(),
            }
        } else if let Some(code) = identity_code(cause) {
            code
        } else if cause.is::<PasswordError>() {
            "invalid_password"
        } else if cause.is::<EmailError>() {
            return Some(Self::mistyped("invalid_email", detail));
        } else if cause.is::<DisplayNameError>() {
            return Some(Self::mistyped("invalid_display_name", detail));
        } else if cause.is::<SlugError>() {
            return Some(Self::mistyped("invalid_slug", detail));
        } else {
            return None;
        };
        Some(Self::new(code, detail))
    }

    /// What was typed cannot be meant.
    fn mistyped(code: &'static str, detail: String) -> Self {
        Self { exit: EXIT_USAGE, ..Self::new(code, detail) }
    }

    fn of_config(error: &ConfigError, detail: String) -> Self {
        match error {
            ConfigError::Faults(faults) => {
                let pointed = |fault: &crate::config::load::Fault| Pointed {
                    pointer: fault.origin.to_string(),
                    code: "invalid_setting".into(),
                    detail: fault.message.clone(),
                };
                let errors = faults.iter().map(pointed).collect();
                let help = Some("mend the settings; `emx config check` looks again".into());
                Self { errors, help, ..Self::new("invalid_settings", detail) }
            }
            ConfigError::Unreadable { .. } => Self::new("unreadable_settings", detail),
        }
    }

    fn of_provider(error: &ProviderError, detail: String) -> Self {
        let faults = match error {
            ProviderError::Invalid(faults) => faults,
            ProviderError::Store(store) => return Self::new(store_code(store), detail),
            other => return Self::new(other.code(), detail),
        };
        let pointed = |fault: &sso::Fault| Pointed {
            pointer: fault.pointer.clone(),
            code: fault.code.into(),
            detail: fault.detail.clone(),
        };
        let errors: Vec<Pointed> = faults.iter().map(pointed).collect();
        let lines: Vec<String> =
            errors.iter().map(|e| format!("`{}` {}", e.pointer, e.detail)).collect();
        let help = Some("mend the file; nothing was stored".into());
        Self { errors, help, ..Self::new(error.code(), lines.join("\n")) }
    }

    /// `place` says to a person where a pointer leads.
    fn of_question(error: &QueryError, detail: String, place: fn(&str) -> String) -> Self {
        if let QueryError::Ask(AskError::Store(store)) = error {
            return Self::new(store_code(store), detail);
        }
        let pointed = |problem: &query::Problem| Pointed {
            pointer: problem.pointer.clone(),
            code: problem.code.into(),
            detail: problem.detail.clone(),
        };
        let errors: Vec<Pointed> = error.problems().iter().map(pointed).collect();
        let lines: Vec<String> =
            errors.iter().map(|e| format!("`{}`: {}", place(&e.pointer), e.detail)).collect();
        if let QueryError::Malformed { .. } = error {
            return Self::mistyped(error.code(), detail);
        }
        if errors.is_empty() {
            return Self::new(error.code(), detail);
        }
        let help = Some("`emx help query` lists what can be asked".into());
        Self { errors, help, exit: EXIT_USAGE, ..Self::new(error.code(), lines.join("\n")) }
    }

    /// Writes the problem to standard error and gives the exit status.
    pub(super) fn report(&self, json: bool) -> ExitCode {
        self.tell(json);
        self.exit.into()
    }

    /// Writes the problem to standard error.
    pub(super) fn tell(&self, json: bool) {
        if json {
            // A struct of texts always has a JSON form.
            eprintln!("{}", serde_json::to_string(self).unwrap_or_default());
        } else {
            for line in self.detail.lines() {
                eprintln!("error: {line}");
            }
            if let Some(help) = &self.help {
                eprintln!("help: {help}");
            }
        }
    }
}

/// The messages of `error` and its causes, each once: some say their cause themselves.
pub(super) fn sentence(error: &anyhow::Error) -> String {
    let mut sentence = String::new();
    for cause in error.chain() {
        let message = cause.to_string();
        if sentence.is_empty() {
            sentence = message;
        } else if !sentence.contains(&message) {
            sentence = format!("{sentence}: {message}");
        }
    }
    sentence
}

/// What an error of the identities is called.
fn identity_code(cause: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    if let Some(error) = cause.downcast_ref::<AccountError>() {
        return Some(match error {
            AccountError::Store(store)
            | AccountError::Session(SessionError::Store(store))
            | AccountError::Tenancy(TenancyError::Store(store)) => store_code(store),
            other => other.code(),
        });
    }
    if let Some(error) = cause.downcast_ref::<TeamError>() {
        return Some(match error {
            TeamError::Store(store) | TeamError::Account(AccountError::Store(store)) => {
                store_code(store)
            }
            other => other.code(),
        });
    }
    if let Some(error) = cause.downcast_ref::<LinkError>() {
        return Some(match error {
            LinkError::Store(store) | LinkError::Account(AccountError::Store(store)) => {
                store_code(store)
            }
            other => other.code(),
        });
    }
    if let Some(error) = cause.downcast_ref::<RulesError>() {
        return Some(match error {
            RulesError::Store(store) | RulesError::Account(AccountError::Store(store)) => {
                store_code(store)
            }
            other => other.code(),
        });
    }
    if let Some(error) = cause.downcast_ref::<ApiKeyError>() {
        return Some(match error {
            ApiKeyError::Store(store) | ApiKeyError::Tenancy(TenancyError::Store(store)) => {
                store_code(store)
            }
            other => other.code(),
        });
    }
    if let Some(error) = cause.downcast_ref::<ForgetError>() {
        return Some(match error {
            ForgetError::Tenancy(TenancyError::Store(store)) => store_code(store),
            other => other.code(),
        });
    }
    if let Some(error) = cause.downcast_ref::<IdentityError>() {
        return Some(match error {
            IdentityError::Store(store) | IdentityError::Signing(SigningError::Store(store)) => {
                store_code(store)
            }
            other => other.code(),
        });
    }
    cause.downcast_ref::<SecretError>().map(SecretError::code)
}

fn store_code(error: &StoreError) -> &'static str {
    match error {
        StoreError::Corrupt(_) => "data_damaged",
        StoreError::WrongKeyspace { .. } => "wrong_keyspace",
        StoreError::NewerFormat { .. } => "newer_format",
        StoreError::InUse => "data_in_use",
        StoreError::NotFound { .. } => "keyspace_not_found",
        StoreError::Exists { .. } => "keyspace_exists",
        StoreError::DiskFull { .. } => "disk_full",
        StoreError::OutcomeUnknown { .. } => "outcome_unknown",
        StoreError::Closed { .. } => "keyspace_closed",
        StoreError::SeqExpired { .. } => "seq_expired",
        StoreError::OverLimit { .. } => "over_limit",
        StoreError::Io { .. } => "disk_failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn the_first_known_cause_names_the_problem_and_the_context_stands_before_it() {
        let error: anyhow::Error = TenancyError::Store(StoreError::InUse).into();
        assert_eq!(Problem::of(&error).code, "data_in_use");
        let error = Err::<(), _>(StoreError::NotFound { name: "x".into() });
        let error = error.context("opening").unwrap_err();
        let problem = Problem::of(&error);
        assert_eq!(problem.code, "keyspace_not_found");
        assert_eq!(problem.detail, "opening: there is no keyspace `x`");
        assert_eq!(Problem::of(&anyhow::anyhow!("x")).code, "failed");
    }

    #[test]
    fn usage_keeps_the_first_paragraph_of_the_parser() {
        let problem = Problem::usage("error: unexpected argument '--x' found\n\nUsage: emx\n");
        assert_eq!(problem.detail, "unexpected argument '--x' found");
        assert_eq!(problem.exit, EXIT_USAGE);
    }
}
