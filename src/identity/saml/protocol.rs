//! What an assertion must say to count: here, now, for this service, as the answer to its question
//! (Profiles §4.1.4.3, Core §2.5).
//!
//! *Invariants*: every check reads what is signed; what only the response around a signed assertion
//! says can make a check fail, never pass. All of them are made, so that a report shows everything
//! that is wrong; the first that failed is the outcome.

use super::Assertion;
use super::person;
use super::refusal::{Passed, Refusal, Steps, refuse, shown};
use super::settings::Settings;
use super::signature::Signed;
use super::tree::{ASSERTION, Node};
use crate::model::time::{format_rfc3339, parse_rfc3339};
use storage::row::TimeMs;

/// How far the provider's clock and this one may differ.
pub const CLOCK_SKEW_MS: TimeMs = 180_000;

/// How long after it was issued an assertion counts at most, whatever it says itself: for so long its
/// id is remembered. Providers give 5 minutes to an hour.
pub const ASSERTION_LIFE_MAX_MS: TimeMs = 86_400_000;

const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";
const ENTITY_FORMAT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity";

/// What there is to be judged, and by what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'t> {
    pub(super) settings: &'t Settings,
    pub(super) signed: Signed<'t>,
    pub(super) request_id: Option<&'t str>,
    pub(super) now_ms: TimeMs,
}

/// What the assertion says, if all of it is as it must be.
pub(super) fn check(steps: &mut Steps, facts: &Facts<'_>) -> Result<Assertion, Refusal> {
    let assertion = facts.signed.assertion;
    let checks = [
        ("issuer", facts.issuer()),
        ("destination", facts.destination()),
        ("audience", facts.audience()),
        ("confirmation", facts.confirmation()),
        ("request", facts.answers()),
    ];
    let checks = checks.map(|(name, went)| steps.take(name, went));
    let until_ms = steps.take("time", facts.until());
    let session_until_ms = steps.take("authentication", facts.session_until());
    let person = steps.take("person", person::read(facts.settings, assertion));
    for went in checks {
        went?;
    }
    let (until_ms, session_until_ms, person) = (until_ms?, session_until_ms?, person?);
    Ok(Assertion {
        id: assertion.attribute("ID").unwrap_or_default().to_owned(),
        issuer: facts.settings.idp_entity_id.clone(),
        name_id: person.name_id,
        subject: person.subject,
        email: person.email,
        groups: person.groups,
        replay_until_ms: until_ms.saturating_add(CLOCK_SKEW_MS),
        session_until_ms,
    })
}

impl<'t> Facts<'t> {
    /// Both issuers are the provider. A response that is not signed may leave its own out
    /// (Profiles §4.1.4.2).
    fn issuer(&self) -> Passed<()> {
        let Signed { response, assertion, response_is_signed } = self.signed;
        let missing = |node: Node<'_>| {
            refuse("issuer_missing", format!("`{}` has no issuer", node.shown_name()))
        };
        match response.only(ASSERTION, "Issuer")? {
            Some(issuer) => self.check_issuer(issuer)?,
            None if response_is_signed => return Err(missing(response)),
            None => {}
        }
        let issuer = assertion.only(ASSERTION, "Issuer")?.ok_or_else(|| missing(assertion))?;
        self.check_issuer(issuer)?;
        Ok(((), format!("it is `{}`", shown(&self.settings.idp_entity_id))))
    }

    fn check_issuer(&self, issuer: Node<'_>) -> Result<(), Refusal> {
        let (found, expected) = (issuer.text()?, self.settings.idp_entity_id.as_str());
        if found != expected {
            return Err(refuse(
                "issuer",
                format!("the issuer is `{}`, not `{}`", shown(found), shown(expected)),
            ));
        }
        match issuer.attribute("Format") {
            None | Some(ENTITY_FORMAT) => Ok(()),
            Some(format) => Err(refuse(
                "issuer_format",
                format!("the issuer's format is `{}`, not that of an entity", shown(format)),
            )),
        }
    }

    /// A response that says where it was sent was sent here; a signed one says so
    /// (Bindings §3.5.5.2).
    fn destination(&self) -> Passed<()> {
        let Signed { response, response_is_signed, .. } = self.signed;
        match response.attribute("Destination") {
            Some(found) if found == self.settings.acs_url => {
                Ok(((), format!("it is `{}`", shown(found))))
            }
            Some(found) => Err(refuse(
                "destination",
                format!(
                    "it was sent to `{}`, not to `{}`",
                    shown(found),
                    shown(&self.settings.acs_url)
                ),
            )),
            None if response_is_signed => Err(refuse(
                "destination_missing",
                "the signed response does not say where it was sent",
            )),
            None => Ok(((), "it is not told, and need not be".into())),
        }
    }

    fn conditions(&self) -> Result<Node<'t>, Refusal> {
        let conditions = self.signed.assertion.only(ASSERTION, "Conditions")?;
        conditions.ok_or_else(|| refuse("no_conditions", "the assertion has no conditions"))
    }

    /// Every condition is one that is understood, and every audience is this service, of which there
    /// is one at least. An assertion is used once anyway, and handed on to nobody.
    fn audience(&self) -> Passed<()> {
        let mut restricted = false;
        for condition in self.conditions()?.elements() {
            if condition.is(ASSERTION, "AudienceRestriction") {
                self.check_audience(condition)?;
                restricted = true;
            } else if !condition.is(ASSERTION, "OneTimeUse")
                && !condition.is(ASSERTION, "ProxyRestriction")
            {
                let name = condition.shown_name();
                return Err(refuse(
                    "unknown_condition",
                    format!("the condition `{name}` is not known, so it is not known to hold"),
                ));
            }
        }
        if restricted {
            Ok(((), format!("it is `{}`", shown(&self.settings.sp_entity_id))))
        } else {
            Err(refuse("audience_missing", "the assertion does not say for whom it is"))
        }
    }

    fn check_audience(&self, restriction: Node<'_>) -> Result<(), Refusal> {
        let expected = self.settings.sp_entity_id.as_str();
        let mut others = Vec::new();
        for audience in restriction.named(ASSERTION, "Audience") {
            match audience.text()? {
                found if found == expected => return Ok(()),
                found => others.push(found),
            }
        }
        let (others, expected) = (shown(&others.join("`, `")), shown(expected));
        Err(refuse(
            "audience",
            format!(
                "the assertion is for `{others}`, not for `{expected}`: set the audience at the \
                 provider (it may call it entity id or identifier)"
            ),
        ))
    }

    /// The data of the one confirmation there is, by whoever brings the assertion.
    fn confirmation_data(&self) -> Result<Node<'t>, Refusal> {
        let subject = person::subject(self.signed.assertion)?;
        let mut confirmations = subject.named(ASSERTION, "SubjectConfirmation");
        let confirmation = match (confirmations.next(), confirmations.next()) {
            (Some(only), None) => only,
            (None, _) => return Err(refuse("no_confirmation", "the subject has no confirmation")),
            (Some(_), Some(_)) => {
                return Err(refuse(
                    "several_confirmations",
                    "the subject has several confirmations",
                ));
            }
        };
        let method = confirmation.attribute("Method").unwrap_or_default();
        if method != BEARER {
            return Err(refuse(
                "confirmation_method",
                format!("the subject is confirmed by `{}`, not by bearer", shown(method)),
            ));
        }
        let data = confirmation.only(ASSERTION, "SubjectConfirmationData")?;
        let data = data.ok_or_else(|| refuse("no_confirmation", "the confirmation has no data"))?;
        if data.elements().next().is_some() {
            return Err(refuse(
                "confirmation_method",
                "the confirmation asks for more than bearer",
            ));
        }
        Ok(data)
    }

    /// The assertion is to be brought here, and has an end.
    fn confirmation(&self) -> Passed<()> {
        let data = self.confirmation_data()?;
        let (found, expected) = (data.attribute("Recipient"), self.settings.acs_url.as_str());
        if found != Some(expected) {
            let (found, expected) = (shown(found.unwrap_or("none")), shown(expected));
            return Err(refuse(
                "recipient",
                format!("the recipient is `{found}`, not `{expected}`"),
            ));
        }
        if data.attribute("NotBefore").is_some() {
            return Err(refuse(
                "confirmation_not_before",
                "the confirmation has a beginning, which a bearer's must not have",
            ));
        }
        if data.attribute("NotOnOrAfter").is_none() {
            return Err(refuse(
                "confirmation_endless",
                "the confirmation does not say when it ends",
            ));
        }
        Ok(((), format!("by bearer, to `{}`", shown(expected))))
    }

    /// It answers the request that was made, in both places that say so.
    fn answers(&self) -> Passed<()> {
        let outer = self.signed.response.attribute("InResponseTo");
        let inner = self.confirmation_data()?.attribute("InResponseTo");
        if outer != inner {
            let [outer, inner] = [outer, inner].map(|id| shown(id.unwrap_or("none")));
            return Err(refuse(
                "in_response_to_split",
                format!("the response answers `{outer}`, the assertion in it `{inner}`"),
            ));
        }
        match (self.request_id, inner) {
            (Some(expected), Some(found)) if found == expected => {
                Ok(((), format!("it answers `{}`", shown(found))))
            }
            (Some(expected), Some(found)) => Err(refuse(
                "in_response_to",
                format!("it answers `{}`, not `{}`", shown(found), shown(expected)),
            )),
            (_, None) => Err(refuse(
                "in_response_to_missing",
                "it answers no request: begin the login here, not at the provider",
            )),
            (None, Some(found)) => {
                Ok(((), format!("it answers `{}`, which was not compared", shown(found))))
            }
        }
    }

    /// Until when the assertion counts, if it does now. Clocks may differ by [`CLOCK_SKEW_MS`].
    fn until(&self) -> Passed<TimeMs> {
        let Signed { response, assertion, .. } = self.signed;
        self.check_begun("the response was issued", needed(response, "IssueInstant")?)?;
        let issued_ms = needed(assertion, "IssueInstant")?;
        self.check_begun("the assertion was issued", issued_ms)?;
        let (conditions, data) = (self.conditions()?, self.confirmation_data()?);
        if let Some(from_ms) = instant(conditions, "NotBefore")? {
            self.check_begun("the assertion begins to be valid", from_ms)?;
        }
        let ends = [
            Some(needed(data, "NotOnOrAfter")?),
            instant(conditions, "NotOnOrAfter")?,
            Some(issued_ms.saturating_add(ASSERTION_LIFE_MAX_MS)),
        ];
        let until_ms = ends.into_iter().flatten().min().unwrap_or(issued_ms);
        if self.now_ms >= until_ms.saturating_add(CLOCK_SKEW_MS) {
            let [until, now] = [until_ms, self.now_ms].map(format_rfc3339);
            return Err(refuse(
                "expired",
                format!(
                    "the assertion counted until {until}, and here it is {now}: sign in again; \
                     where that happens at once, a clock is wrong"
                ),
            ));
        }
        let [issued, until] = [issued_ms, until_ms].map(format_rfc3339);
        Ok((until_ms, format!("issued {issued}, counts until {until}")))
    }

    fn check_begun(&self, what: &str, at_ms: TimeMs) -> Result<(), Refusal> {
        if at_ms <= self.now_ms.saturating_add(CLOCK_SKEW_MS) {
            return Ok(());
        }
        let [at, now] = [at_ms, self.now_ms].map(format_rfc3339);
        Err(refuse(
            "not_yet",
            format!(
                "{what} at {at}, and here it is {now}: set the clocks right, they may differ by \
                 {} seconds",
                CLOCK_SKEW_MS / 1000
            ),
        ))
    }

    /// When the provider wants the session to end, if it says so. It says that somebody
    /// authenticated.
    fn session_until(&self) -> Passed<Option<TimeMs>> {
        let mut statements = self.signed.assertion.named(ASSERTION, "AuthnStatement").peekable();
        if statements.peek().is_none() {
            return Err(refuse(
                "no_authn_statement",
                "the assertion does not say that anybody authenticated",
            ));
        }
        let (mut until_ms, mut first_ms) = (None, None);
        for statement in statements {
            let at_ms = needed(statement, "AuthnInstant")?;
            self.check_begun("the person authenticated", at_ms)?;
            first_ms.get_or_insert(at_ms);
            let Some(end_ms) = instant(statement, "SessionNotOnOrAfter")? else { continue };
            if self.now_ms >= end_ms {
                let end = format_rfc3339(end_ms);
                return Err(refuse(
                    "session_over",
                    format!("the provider's session ended at {end}"),
                ));
            }
            until_ms = Some(until_ms.map_or(end_ms, |known: TimeMs| known.min(end_ms)));
        }
        let [first, until] = [first_ms, until_ms].map(|ms| ms.map(format_rfc3339));
        let until = until.unwrap_or_else(|| "any time".into());
        let told = format!("authenticated {}, session until {until}", first.unwrap_or_default());
        Ok((until_ms, told))
    }
}

/// The instant in the attribute `name`, if there is one.
fn instant(node: Node<'_>, name: &str) -> Result<Option<TimeMs>, Refusal> {
    let Some(text) = node.attribute(name) else { return Ok(None) };
    parse_rfc3339(text).map(Some).map_err(|error| {
        let (node, text) = (node.shown_name(), shown(text));
        refuse("time_form", format!("`{name}` of `{node}` is `{text}`, which {error}"))
    })
}

/// The instant in the attribute `name`, which there must be.
fn needed(node: Node<'_>, name: &str) -> Result<TimeMs, Refusal> {
    instant(node, name)?.ok_or_else(|| {
        let node = node.shown_name();
        refuse("time_missing", format!("`{node}` has no `{name}`"))
    })
}
