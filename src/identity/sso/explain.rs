//! How far one comes with a provider, and why a SAML response lets somebody in or not, step by step: what an
//! administrator asks who connects a provider. Changes nothing.

use super::mapping;
use super::person::{Account, Person};
use super::provider::StoredProvider;
use super::site::Site;
use super::{ProviderError, SignInError, replay};
use crate::identity::Identity;
use crate::identity::oidc;
use crate::identity::saml::{self, Step};
use crate::tenancy::slug::Slug;
use serde::Serialize;
use storage::row::TimeMs;

/// What becomes of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Somebody is let in.
    Accept,
    /// Nobody is.
    Refuse,
}

/// A response, explained.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// What becomes of it.
    pub verdict: Verdict,
    /// A stable word that says why it is refused.
    pub reason: Option<String>,
    /// Whom it names, once it is believed.
    pub name_id: Option<String>,
    /// The groups that it names, once it is believed.
    pub groups: Vec<String>,
    /// What was looked at, in order.
    pub steps: Vec<Step>,
}

impl Identity {
    /// What would become of `response` if the provider sent it now, in answer to the request
    /// `request_id`, or whatever it says to be an answer to.
    pub fn explain_response(
        &self,
        known: &StoredProvider,
        (site, tenant): (&Site, &Slug),
        response: &[u8],
        request_id: Option<&str>,
        now_ms: TimeMs,
    ) -> Result<Explanation, ProviderError> {
        let provider = &known.provider;
        let not_saml = || ProviderError::NotSaml { name: provider.name.clone() };
        let settings = provider.saml(site, tenant).ok_or_else(not_saml)?;
        let report = saml::check(&settings, response, request_id, now_ms);
        let mut explanation = Explanation {
            verdict: Verdict::Refuse,
            reason: None,
            name_id: None,
            groups: Vec::new(),
            steps: report.steps,
        };
        let assertion = match report.outcome {
            Ok(assertion) => assertion,
            Err(refusal) => {
                explanation.reason = Some(refusal.code.into());
                return Ok(explanation);
            }
        };
        explanation.name_id = Some(assertion.name_id.clone());
        explanation.groups.clone_from(&assertion.groups);
        let is_used = replay::is_used(&*self.platform, provider, &assertion)?;
        let once = match is_used {
            false => Ok("it was not used before".to_owned()),
            true => Err(SignInError::Replayed),
        };
        let mut first = explanation.take("replay", once);
        let person = Person::from(assertion);
        first = first.or(explanation.take("domain", domain(known, &person)));
        first = first.or(explanation.take("role", role(known, &person)));
        first = first.or(explanation.take("account", self.account(known, &person, now_ms)));
        match first {
            None => explanation.verdict = Verdict::Accept,
            Some(SignInError::Store(store)) => return Err(store.into()),
            Some(error) => explanation.reason = Some(error.code().into()),
        }
        Ok(explanation)
    }

    /// Who the person is here.
    fn account(
        &self,
        known: &StoredProvider,
        person: &Person,
        now_ms: TimeMs,
    ) -> Result<String, SignInError> {
        match self.judge(&known.provider, person, now_ms) {
            Ok(judged) => Ok(match judged.account {
                Account::Known(stored) => format!("the person is the user `{}`", stored.user.email),
                Account::New { email, .. } => format!("a user `{email}` would be made"),
            }),
            // Two other steps tell of these.
            Err(error) if is_of_mapping(&error) => Ok("it is not looked for".to_owned()),
            Err(error) => Err(error),
        }
    }
}

impl Explanation {
    /// What came of reaching for an OpenID provider.
    pub fn of_tried(tried: Vec<oidc::Tried>) -> Self {
        let mut reason = None;
        let steps = tried.into_iter().map(|(name, went)| {
            let (passed, detail) = match went {
                Ok(detail) => (true, detail),
                Err(error) => {
                    reason.get_or_insert(error.code());
                    (false, error.to_string())
                }
            };
            Step { name, passed, detail }
        });
        let steps = steps.collect();
        Self::of_reach(steps, reason)
    }

    /// What came of looking at what is known of a SAML provider.
    pub fn of_look(look: saml::Look) -> Self {
        Self::of_reach(look.steps, look.fault.map(|fault| fault.code))
    }

    /// The steps, and the first reason why it would not do.
    fn of_reach(steps: Vec<Step>, reason: Option<&str>) -> Self {
        Self {
            verdict: if reason.is_none() { Verdict::Accept } else { Verdict::Refuse },
            reason: reason.map(str::to_owned),
            name_id: None,
            groups: Vec::new(),
            steps,
        }
    }

    /// This, and then what came of a response.
    pub fn then(self, response: Self) -> Self {
        let Self { verdict, reason, mut steps, .. } = self;
        steps.extend(response.steps);
        Self {
            verdict: if verdict == Verdict::Accept { response.verdict } else { verdict },
            reason: reason.or(response.reason),
            name_id: response.name_id,
            groups: response.groups,
            steps,
        }
    }

    /// Notes how a step went, and gives why it failed.
    fn take(
        &mut self,
        name: &'static str,
        went: Result<String, SignInError>,
    ) -> Option<SignInError> {
        let (passed, detail, failed_with) = match went {
            Ok(detail) => (true, detail, None),
            Err(error) => (false, error.to_string(), Some(error)),
        };
        self.steps.push(Step { name, passed, detail });
        failed_with
    }
}

fn domain(known: &StoredProvider, person: &Person) -> Result<String, SignInError> {
    mapping::check_domain(&known.provider, person)?;
    Ok(match known.provider.domains.is_empty() {
        true => "every domain may sign in".to_owned(),
        false => "the address is in one of the domains that may sign in".to_owned(),
    })
}

fn role(known: &StoredProvider, person: &Person) -> Result<String, SignInError> {
    let role = mapping::role(&known.provider, &person.groups).ok_or(SignInError::NoRole)?;
    Ok(format!("the groups give the role `{role}`"))
}

fn is_of_mapping(error: &SignInError) -> bool {
    use SignInError as E;
    matches!(error, E::NoEmail | E::UnverifiedEmail { .. } | E::Domain { .. } | E::NoRole)
}
