//! What a serious reviewer tries at a service that signs people in by others' word, row by row, and where
//! it is tried here. A row fails whose test is gone, is not run or demands nothing, so that nobody takes one
//! away unnoticed.

use std::path::Path;

/// What is tried, in which files below `tests/`, by which tests.
type Row = (&'static str, &'static [(&'static str, &'static str)]);

const OIDC: &[Row] = &[
    (
        "state missing, wrong, reused, or from another browser",
        &[
            ("oidc/flow.rs", "an_answer_belongs_to_the_sign_in_that_asked"),
            (
                "sso/oidc.rs",
                "a_code_is_good_in_the_browser_the_tenant_and_at_the_provider_where_it_was_asked_for",
            ),
        ],
    ),
    ("nonce missing or wrong", &[("oidc/id_token.rs", "each_claim_is_what_it_must_be")]),
    (
        "PKCE stripped or another's",
        &[("oidc/flow.rs", "a_code_is_exchanged_only_by_whoever_began")],
    ),
    (
        "PKCE by `plain` only",
        &[("oidc/answers.rs", "a_discovery_document_speaks_for_its_issuer_alone")],
    ),
    (
        "code replay",
        &[
            ("sso/oidc.rs", "a_person_signs_in_at_a_real_provider"),
            ("sso/oidc.rs", "two_tabs_end_both_and_a_spent_one_stays_spent_after_a_restart"),
        ],
    ),
    (
        "mix-up",
        &[("oidc/flow.rs", "an_answer_of_another_provider_is_refused_before_its_code_is_sent")],
    ),
    (
        "ID token: aud, azp, iss, exp, iat, sub",
        &[("oidc/id_token.rs", "each_claim_is_what_it_must_be")],
    ),
    (
        "ID token: alg none, HS256 with the client secret",
        &[("oidc/id_token.rs", "nothing_but_the_providers_own_signature_is_one")],
    ),
    (
        "wrong kid, then the key set at most once a minute",
        &[("oidc/id_token.rs", "keys_that_change_are_fetched_anew_once_a_minute")],
    ),
    (
        "e-mail unverified, or a local account's",
        &[
            ("sso/oidc.rs", "domains_need_a_verified_address"),
            ("identity/sso.rs", "an_address_links_nobody_to_anybody"),
        ],
    ),
    (
        "takeover by a second provider of the tenant",
        &[("identity/sso.rs", "an_address_links_nobody_to_anybody")],
    ),
    (
        "discovery with another issuer, or endpoints without TLS",
        &[("oidc/answers.rs", "a_discovery_document_speaks_for_its_issuer_alone")],
    ),
    (
        "redirect URI to the letter",
        &[("oidc/real.rs", "people_sign_in_at_a_provider_that_is_not_ours")],
    ),
    ("open redirect by the return path", &[("sso/saml.rs", "nobody_is_sent_to_another_place")]),
    (
        "an error of the provider reflected",
        &[("oidc/flow.rs", "what_a_provider_says_instead_of_a_code_is_not_repeated")],
    ),
    (
        "user information of another subject",
        &[("oidc/people.rs", "user_information_is_about_whom_the_id_token_is_about")],
    ),
    (
        "signing out, or in, by another site",
        &[("sso/oidc.rs", "another_site_signs_nobody_out_or_in")],
    ),
    (
        "a provider that is slow, fails or answers without end",
        &[
            ("oidc/answers.rs", "each_bad_answer_fails_that_sign_in_alone"),
            ("oidc/answers.rs", "no_answer_is_waited_for_without_end"),
            ("sso/oidc.rs", "a_provider_that_is_down_hinders_nobody_else"),
        ],
    ),
    ("clocks that differ", &[("oidc/flow.rs", "time_is_what_whoever_calls_says")]),
    (
        "two tabs",
        &[("sso/oidc.rs", "two_tabs_end_both_and_a_spent_one_stays_spent_after_a_restart")],
    ),
    (
        "begun at one tenant and finished at another",
        &[(
            "sso/oidc.rs",
            "a_code_is_good_in_the_browser_the_tenant_and_at_the_provider_where_it_was_asked_for",
        )],
    ),
    (
        "addresses that lead inside",
        &[
            ("sso/targets.rs", "no_issuer_is_saved_over_http_that_leads_inside"),
            ("sso/targets.rs", "no_issuer_is_saved_from_the_command_line_that_leads_inside"),
            (
                "outgoing/names.rs",
                "an_answer_that_changes_between_storing_and_asking_leads_nowhere",
            ),
        ],
    ),
];

const SAML: &[Row] = &[
    ("signature wrapping, in every slot", &[("saml/attacks.rs", "wrapped_signatures_are_refused")]),
    (
        "two ids, prefixes, comments, document types, entities, inclusion",
        &[("saml/attacks.rs", "markup_that_is_not_plain_is_refused")],
    ),
    (
        "digests, keys, transforms, decoys, void canonicalisation",
        &[("saml/attacks.rs", "signatures_of_another_form_or_by_others_are_refused")],
    ),
    ("a key that the answer brings along", &[("saml/accepted.rs", "key_info_picks_no_key")]),
    (
        "audience, recipient, destination, issuer, request, times, status, conditions",
        &[("saml/attacks.rs", "answers_that_do_not_count_are_refused")],
    ),
    (
        "each refused within 200 ms, the most expensive included",
        &[
            ("saml/attacks.rs", "floods_are_refused_in_time"),
            ("saml/attacks.rs", "every_refusal_is_tried"),
        ],
    ),
    (
        "what a signature names is not opened",
        &[("saml/opened.rs", "nothing_is_opened_that_a_signature_names")],
    ),
    (
        "used once: again, after a restart, in parallel, at another tenant",
        &[
            ("sso/saml.rs", "an_answer_is_used_once_also_after_a_restart"),
            ("sso/saml.rs", "what_was_used_stays_used_at_the_same_address_after_a_restart"),
            ("sso/saml.rs", "a_hundred_uses_at_once_let_one_in"),
            (
                "sso/saml.rs",
                "a_sign_in_ends_in_the_browser_the_tenant_and_with_the_provider_where_it_began",
            ),
            ("sso/peers.rs", "pysaml2_signs_somebody_in_once_here_and_nowhere_else"),
            ("sso/peers.rs", "samlify_signs_somebody_in_once_here_and_nowhere_else"),
        ],
    ),
    (
        "encryption",
        &[("sso/peers.rs", "what_a_provider_encrypts_or_signs_weakly_is_refused_with_what_to_do")],
    ),
    (
        "certificates roll over",
        &[("saml/accepted.rs", "either_certificate_counts_during_a_rollover")],
    ),
    (
        "no certificate, or a weak one",
        &[("saml/settings.rs", "only_settings_with_which_a_login_can_work_are_saved")],
    ),
];

/// Words by which something is demanded: of the language, and of the helpers that every file has.
const DEMANDS: [&str; 6] =
    ["assert", "panic!(", ".unwrap_err()", "is_failure(", "sent_to(", "refuse_all("];

/// The functions of a file that stand by themselves, each with what stands before it and its body.
fn functions(text: &str) -> Vec<(&str, String, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let words = line.trim_start_matches("pub(crate) ").trim_start_matches("async ");
        let Some(rest) = words.strip_prefix("fn ") else { continue };
        let name = &rest[..rest.find(['(', '<']).unwrap_or(rest.len())];
        let is_before = |line: &&&str| line.starts_with('#') || line.starts_with("//");
        let before: Vec<&str> = lines[..at].iter().rev().take_while(is_before).copied().collect();
        let goes_on = usize::from(!line.ends_with('}'));
        let body = lines[at + 1..].iter().take(goes_on * lines.len()).take_while(|l| **l != "}");
        let body: Vec<&str> = body.copied().collect();
        found.push((name, before.join("\n"), body.join("\n")));
    }
    found
}

/// Why the test called `name` in `text` proves nothing, if so.
fn fault(text: &str, name: &str) -> Option<&'static str> {
    let all = functions(text);
    let Some((_, before, _)) = all.iter().find(|(known, ..)| *known == name) else {
        return Some("is gone");
    };
    if before.contains("#[ignore") || before.contains("#[cfg") {
        return Some("is not run");
    }
    if !before.contains("#[test]") && !before.contains("#[tokio::test") {
        return Some("is no test");
    }
    // What it demands, or what it calls does.
    let (mut reached, mut next) = (vec![name], 0);
    while let Some(name) = reached.get(next).copied() {
        let bodies = || all.iter().filter(|(known, ..)| *known == name).map(|(.., body)| body);
        if bodies().any(|body| DEMANDS.iter().any(|demand| body.contains(demand))) {
            return None;
        }
        for (called, ..) in &all {
            let is_called = bodies().any(|body| body.contains(&format!("{called}(")));
            if is_called && !reached.contains(called) {
                reached.push(called);
            }
        }
        next += 1;
    }
    Some("demands nothing")
}

#[test]
fn every_row_is_tried() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut faults = Vec::new();
    for (row, tried) in OIDC.iter().chain(SAML) {
        assert!(!tried.is_empty(), "{row}");
        for (file, test) in *tried {
            let text = std::fs::read_to_string(tests.join(file)).unwrap_or_default();
            faults.extend(fault(&text, test).map(|why| format!("{row}: {file}: {test} {why}")));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_row_is_not_tried_by_what_proves_nothing() {
    for (text, expected) in [
        ("#[test]\nfn a() {\n    assert!(true);\n}", None),
        (
            "#[tokio::test]\nasync fn a() {\n    b().await;\n}\n\nasync fn b() {\n    assert!(c);\n}",
            None,
        ),
        ("fn a() {\n    assert!(true);\n}", Some("is no test")),
        ("#[test]\n#[ignore = \"slow\"]\nfn a() {\n    assert!(true);\n}", Some("is not run")),
        (
            "#[test]\nfn a() {\n    b();\n}\n\nfn b() {}\n\nfn c() {\n    assert!(d);\n}",
            Some("demands nothing"),
        ),
        ("#[test]\nfn aa() {\n    assert!(true);\n}", Some("is gone")),
    ] {
        assert_eq!(fault(text, "a"), expected, "{text}");
    }
}
