//! Every hostile answer, with why exactly it is refused.

use crate::refused::{Attack, refuse_all};
use crate::{flood, markup, protocol, settings, signatures, wrapping};
use regex::Regex;
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn wrapped_signatures_are_refused() {
    refuse_all(wrapping::attacks());
}

#[test]
fn markup_that_is_not_plain_is_refused() {
    refuse_all(markup::attacks());
}

#[test]
fn signatures_of_another_form_or_by_others_are_refused() {
    refuse_all(signatures::attacks());
}

#[test]
fn answers_that_do_not_count_are_refused() {
    refuse_all(protocol::attacks());
}

#[test]
fn floods_are_refused_in_time() {
    refuse_all(flood::attacks());
}

/// No refusal is written that nothing tries, and no two attacks are one.
#[test]
fn every_refusal_is_tried() {
    let attacks: Vec<Attack> = [
        wrapping::attacks(),
        markup::attacks(),
        signatures::attacks(),
        protocol::attacks(),
        flood::attacks(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let names: BTreeSet<&str> = attacks.iter().map(|attack| attack.name.as_str()).collect();
    assert_eq!(names.len(), attacks.len(), "two attacks have one name");
    assert!(attacks.len() > 300, "{}", attacks.len());
    let mut tried: BTreeSet<String> =
        attacks.iter().map(|attack| attack.code().to_owned()).collect();
    tried.extend(settings::codes().into_iter().map(str::to_owned));
    let mut written = BTreeSet::new();
    let code = Regex::new(r#"(?s)refuse\(\s*"([a-z0-9_]+)""#).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/identity/saml");
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        written.extend(code.captures_iter(&text).map(|found| found[1].to_owned()));
    }
    assert!(written.len() > 50, "{written:?}");
    let untried: Vec<&String> = written.difference(&tried).collect();
    assert!(untried.is_empty(), "{untried:?}");
}
