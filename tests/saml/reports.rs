//! What a report says, and until when an assertion counts.

use crate::idp::{
    ACS, KEY, NOW_MS, Places, REQUEST, SP, STRANGER, at, draft, genuine, replaced, settings,
};
use emx::identity::saml::{self, ASSERTION_LIFE_MAX_MS, CLOCK_SKEW_MS, Refusal};
use storage::row::TimeMs;

/// The first instant that is refused, and the last one that is not.
#[test]
fn an_assertion_counts_from_its_beginning_to_its_end_and_the_clocks_may_differ() {
    let xml = genuine();
    let at = |now_ms: TimeMs| {
        saml::check(&settings(), xml.as_bytes(), Some(REQUEST), now_ms)
            .outcome
            .map(|assertion| assertion.replay_until_ms)
            .map_err(|Refusal { code, .. }| code)
    };
    let until_ms = NOW_MS + 300_000 + CLOCK_SKEW_MS;
    // Issued at `NOW_MS`, which is later than its conditions begin.
    assert_eq!(at(NOW_MS - CLOCK_SKEW_MS - 1), Err("not_yet"));
    assert_eq!(at(NOW_MS - CLOCK_SKEW_MS), Ok(until_ms));
    assert_eq!(at(until_ms - 1), Ok(until_ms));
    assert_eq!(at(until_ms), Err("expired"));
    assert_eq!(at(TimeMs::MAX), Err("expired"));
    assert_eq!(at(TimeMs::MIN), Err("not_yet"));
}

/// An assertion that lasts for years is remembered for a day.
#[test]
fn what_is_to_be_remembered_is_bounded() {
    let far = "9999-12-31T23:59:59.999Z";
    let draft = draft()
        .replace(&format!("NotOnOrAfter=\"{}\"", at(300)), &format!("NotOnOrAfter=\"{far}\""));
    let xml = KEY.sign(&draft, Places::Assertion);
    let report = saml::check(&settings(), xml.as_bytes(), Some(REQUEST), NOW_MS);
    let until_ms = report.outcome.unwrap().replay_until_ms;
    assert_eq!(until_ms, NOW_MS + ASSERTION_LIFE_MAX_MS + CLOCK_SKEW_MS);
}

/// Everything that is wrong is told, so that an administrator mends it at once.
#[test]
fn a_report_has_all_that_is_wrong() {
    let wrong = draft()
        .replace(SP, "https://other.example.org/saml")
        .replace(&format!("Recipient=\"{ACS}\""), "Recipient=\"https://other.example.org/acs\"");
    let xml = KEY.sign(&wrong, Places::Assertion);
    let report = saml::check(&settings(), xml.as_bytes(), None, NOW_MS + 3_600_000);
    let failed: Vec<&str> =
        report.steps.iter().filter(|step| !step.passed).map(|step| step.name).collect();
    assert_eq!(failed, ["audience", "confirmation", "time"]);
    assert_eq!(report.outcome.unwrap_err().code, "audience");
    let names: Vec<&str> = report.steps.iter().map(|step| step.name).collect();
    assert_eq!(
        names,
        [
            "encoding",
            "markup",
            "response",
            "status",
            "structure",
            "certificates",
            "signature",
            "issuer",
            "destination",
            "audience",
            "confirmation",
            "request",
            "time",
            "authentication",
            "person"
        ]
    );
}

/// What an answer says is not repeated in a way that a terminal or a log would act on.
#[test]
fn a_report_is_harmless_to_show() {
    let evil = "x\u{202e}&#10;[31m".repeat(200);
    let hostile = draft().replace(SP, &evil).replace(
        "<samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\"/>",
        "<samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\"/><samlp:StatusMessage>x</samlp:StatusMessage>",
    );
    let refused = replaced(&genuine(), "status:Success", &format!("status:{evil}"));
    for xml in [KEY.sign(&hostile, Places::Assertion), refused, format!("<{evil}")] {
        let report = saml::check(&settings(), xml.as_bytes(), Some(REQUEST), NOW_MS);
        for step in &report.steps {
            assert!(step.detail.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{step:?}");
            assert!(step.detail.len() < 4000, "{}", step.detail.len());
        }
        assert!(report.outcome.is_err());
    }
}

/// A refusal says whose certificate the answer shows, so that a rollover is understood at once.
#[test]
fn an_unknown_certificate_is_named() {
    for (signer, words) in [
        (&*STRANGER, "names a certificate that is not known, SHA-256 "),
        (&*KEY, "names a certificate that is known, so what was signed was changed"),
    ] {
        let xml = signer.sign(&draft(), Places::Assertion).replace(">alice<", ">admin<");
        let report = saml::check(&settings(), xml.as_bytes(), Some(REQUEST), NOW_MS);
        let refusal = report.outcome.unwrap_err();
        assert!(refusal.detail.contains(words), "{}", refusal.detail);
    }
}
