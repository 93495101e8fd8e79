//! Whom an assertion is about.
//!
//! *Invariant*: what identifies a person is one text that the provider keeps: never one that is made
//! up for each login, never one of several.

use super::refusal::{Passed, Refusal, refuse, shown};
use super::settings::Settings;
use super::tree::{ASSERTION, Node};
use std::collections::HashSet;

/// Longest name, address or group. A persistent `NameID` has 256 characters at most (Core §8.3.7).
const VALUE_BYTES_MAX: usize = 1024;

const EMAIL_FORMAT: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress";
const PERSISTENT_FORMAT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";
const TRANSIENT_FORMAT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient";

/// A person as an assertion names one.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) name_id: String,
    pub(super) subject: String,
    pub(super) email: Option<String>,
    pub(super) groups: Vec<String>,
}

/// The subject of `assertion`.
pub(super) fn subject(assertion: Node<'_>) -> Result<Node<'_>, Refusal> {
    let subject = assertion.only(ASSERTION, "Subject")?;
    subject.ok_or_else(|| refuse("no_subject", "the assertion has no subject"))
}

/// Whom `assertion` is about, as `settings` say how to read it.
pub(super) fn read(settings: &Settings, assertion: Node<'_>) -> Passed<Person> {
    let node = subject(assertion)?.only(ASSERTION, "NameID")?;
    let node = node.ok_or_else(|| refuse("no_name_id", "the subject has no `NameID`"))?;
    let name_id = value("NameID", node.text()?)?;
    check_qualifiers(settings, node)?;
    let attributes = &settings.attributes;
    let subject = match &attributes.name_id {
        Some(attribute) => one_value(assertion, attribute)?,
        None => kept(node, name_id)?,
    };
    let email = match &attributes.email {
        Some(attribute) => values(assertion, attribute)?.first().copied(),
        None => (node.attribute("Format") == Some(EMAIL_FORMAT)).then_some(name_id),
    };
    let groups = match &attributes.groups {
        Some(attribute) => groups(assertion, attribute)?,
        None => Vec::new(),
    };
    let told = format!(
        "`{}`, e-mail {}, {} groups",
        shown(subject),
        email.map_or_else(|| "not told".into(), |email| format!("`{}`", shown(email))),
        groups.len()
    );
    let (name_id, subject) = (name_id.to_owned(), subject.to_owned());
    Ok((Person { name_id, subject, email: email.map(str::to_owned), groups }, told))
}

/// The `NameID` as what identifies the person, if the provider keeps it.
fn kept<'t>(node: Node<'t>, name_id: &'t str) -> Result<&'t str, Refusal> {
    if node.attribute("Format") == Some(TRANSIENT_FORMAT) {
        return Err(refuse(
            "transient_name_id",
            "the `NameID` is transient, another one with each login: let the provider send a persistent \
             one, or choose an attribute that identifies the person",
        ));
    }
    Ok(name_id)
}

/// A persistent `NameID` means somebody only together with who gave it to whom (Core §8.3.7).
fn check_qualifiers(settings: &Settings, node: Node<'_>) -> Result<(), Refusal> {
    if node.attribute("Format") != Some(PERSISTENT_FORMAT) {
        return Ok(());
    }
    for (name, expected) in
        [("NameQualifier", &settings.idp_entity_id), ("SPNameQualifier", &settings.sp_entity_id)]
    {
        let found = node.attribute(name).unwrap_or_default();
        if !found.is_empty() && found != expected {
            let (found, expected) = (shown(found), shown(expected));
            return Err(refuse(
                "name_qualifier",
                format!("the `{name}` of the `NameID` is `{found}`, not `{expected}`"),
            ));
        }
    }
    Ok(())
}

/// `text` as the value of `what`, if it can be a name.
fn value<'t>(what: &str, text: &'t str) -> Result<&'t str, Refusal> {
    let printable = !text.chars().any(char::is_control);
    if printable && !text.is_empty() && text.len() <= VALUE_BYTES_MAX {
        return Ok(text);
    }
    let (what, text) = (shown(what), shown(text));
    Err(refuse(
        "value_form",
        format!("`{what}` is `{text}`: it must have 1 to {VALUE_BYTES_MAX} printable characters"),
    ))
}

/// The values of the attribute `name` that are not empty.
fn values<'t>(assertion: Node<'t>, name: &str) -> Result<Vec<&'t str>, Refusal> {
    let mut found = Vec::new();
    for statement in assertion.named(ASSERTION, "AttributeStatement") {
        for attribute in statement.named(ASSERTION, "Attribute") {
            if attribute.attribute("Name") != Some(name) {
                continue;
            }
            for node in attribute.named(ASSERTION, "AttributeValue") {
                let text = node.text()?;
                if !text.is_empty() {
                    found.push(value(name, text)?);
                }
            }
        }
    }
    Ok(found)
}

fn one_value<'t>(assertion: Node<'t>, name: &str) -> Result<&'t str, Refusal> {
    match values(assertion, name)?.as_slice() {
        [only] => Ok(only),
        [] => Err(refuse(
            "attribute_missing",
            format!("there is no attribute `{}`, which identifies the person", shown(name)),
        )),
        _ => Err(refuse(
            "attribute_ambiguous",
            format!(
                "the attribute `{}` has several values, so none identifies the person",
                shown(name)
            ),
        )),
    }
}

fn groups(assertion: Node<'_>, name: &str) -> Result<Vec<String>, Refusal> {
    let mut seen = HashSet::new();
    let groups = values(assertion, name)?.into_iter().filter(|group| seen.insert(*group));
    Ok(groups.map(str::to_owned).collect())
}
