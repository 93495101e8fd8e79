//! What a table of hostile answers is made of, and how it is tried.

use crate::idp::{KEY, Places, draft, replaced, settings};
use emx::identity::saml::{self, Settings};
use std::time::{Duration, Instant};

/// How long judging a hostile answer may take.
pub(crate) const TIME_MAX: Duration = Duration::from_millis(200);

/// A hostile answer.
pub(crate) struct Attack {
    pub(crate) name: String,
    /// Why it must be refused.
    code: &'static str,
    settings: Settings,
    response: Vec<u8>,
    request_id: &'static str,
}

impl Attack {
    /// An answer to the request that was made, for the service as it is usually set up.
    pub(crate) fn new(
        name: impl Into<String>,
        code: &'static str,
        response: impl Into<Vec<u8>>,
    ) -> Self {
        let (name, response) = (name.into(), response.into());
        Self { name, code, settings: settings(), response, request_id: crate::idp::REQUEST }
    }

    /// Why it must be refused.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    /// For a service that is set up in another way.
    pub(crate) fn with(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// In the place of the answer to another request.
    pub(crate) fn asked(mut self, request_id: &'static str) -> Self {
        self.request_id = request_id;
        self
    }
}

/// A draft with `to` in the place of `from`, rightly signed in each of the three ways.
pub(crate) fn signed(name: &str, code: &'static str, from: &str, to: &str) -> Vec<Attack> {
    let draft = replaced(&draft(), from, to);
    let attack =
        |places| Attack::new(format!("{name}, signed: {places:?}"), code, KEY.sign(&draft, places));
    Places::ALL.map(attack).into()
}

#[expect(clippy::disallowed_methods, reason = "a test has no clock to be given")]
fn now() -> Instant {
    Instant::now()
}

/// Tries all of them.
pub(crate) fn refuse_all(attacks: Vec<Attack>) {
    let (mut wrong, mut slowest) = (Vec::new(), (Duration::ZERO, ""));
    for attack in &attacks {
        let Attack { name, code, settings, response, request_id } = attack;
        let begun = now();
        let report = saml::check(settings, response, Some(request_id), crate::idp::NOW_MS);
        let took = begun.elapsed();
        slowest = slowest.max((took, name));
        match &report.outcome {
            Err(refusal) if refusal.code == *code => {
                // The report shows it too: whatever did not pass says the same somewhere.
                let failed = report.steps.iter().filter(|step| !step.passed);
                if !failed.map(|step| &step.detail).any(|detail| *detail == refusal.detail) {
                    wrong.push(format!("{name}: not in the steps: {refusal:?}"));
                }
            }
            other => wrong.push(format!("{name}: not {code}, but {other:?}")),
        }
        if took > TIME_MAX {
            wrong.push(format!("{name}: took {took:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), attacks.len(), wrong.join("\n"));
    println!("{} hostile answers; slowest: {slowest:?}", attacks.len());
}
