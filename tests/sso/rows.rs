//! What a serious reviewer tries at a service that signs people in by others' word, row by row, and where
//! it is tried here. A row whose test is gone fails, so that nobody takes one away unnoticed.

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

#[test]
fn every_row_is_tried() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut gone = Vec::new();
    for (row, tried) in OIDC.iter().chain(SAML) {
        assert!(!tried.is_empty(), "{row}");
        for (file, test) in *tried {
            let text = std::fs::read_to_string(tests.join(file)).unwrap_or_default();
            if !text.contains(&format!("fn {test}()")) {
                gone.push(format!("{row}: {file}: {test}"));
            }
        }
    }
    assert!(gone.is_empty(), "{gone:#?}");
}
