//! Reading the members of a JSON object one by one, with a fault for each that is not as it should
//! be: an administrator who fills in a form wants to know all of them at once.

use super::Fault;
use crate::model::problem::{excerpt, pointer, row};
use crate::tenancy::permission::Role;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The members of one object, and what was wrong with them.
pub(super) struct Fields<'v> {
    members: &'v Map<String, Value>,
    /// Where the object is.
    at: String,
    asked: Vec<&'static str>,
    pub(super) faults: Vec<Fault>,
}

impl<'v> Fields<'v> {
    pub(super) fn of(members: &'v Map<String, Value>, at: &str) -> Self {
        Self { members, at: at.to_owned(), asked: Vec::new(), faults: Vec::new() }
    }

    /// Something is wrong with the member `name`.
    pub(super) fn fault(&mut self, name: &str, code: &'static str, detail: impl Into<String>) {
        let pointer = pointer(&self.at, name);
        self.faults.push(Fault { pointer, code, detail: detail.into() });
    }

    /// The member `name`; `null` is the same as absent.
    fn member(&mut self, name: &'static str) -> Option<&'v Value> {
        self.asked.push(name);
        self.members.get(name).filter(|value| !value.is_null())
    }

    /// Whether the member `name` is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.get(name).is_some_and(|value| !value.is_null())
    }

    /// Whether something is wrong with the member `name`.
    pub(super) fn has_fault(&self, name: &str) -> bool {
        let pointer = pointer(&self.at, name);
        self.faults.iter().any(|fault| fault.pointer == pointer)
    }

    /// Some text of at most `bytes_max`, without control characters and not only of white space.
    pub(super) fn text(&mut self, name: &'static str, bytes_max: usize) -> Option<String> {
        let value = self.member(name)?;
        let Some(text) = value.as_str() else {
            self.fault(name, row::WRONG_TYPE, "must be a string");
            return None;
        };
        match text_fault(text, bytes_max, false) {
            None => Some(text.to_owned()),
            Some((code, detail)) => {
                self.fault(name, code, detail);
                None
            }
        }
    }

    /// Some text of several lines.
    pub(super) fn document(&mut self, name: &'static str, bytes_max: usize) -> Option<&'v str> {
        let value = self.member(name)?;
        let fault = match value.as_str() {
            None => Some((row::WRONG_TYPE, "must be a string".to_owned())),
            Some(text) => text_fault(text, bytes_max, true),
        };
        match fault {
            None => value.as_str(),
            Some((code, detail)) => {
                self.fault(name, code, detail);
                None
            }
        }
    }

    /// The same; a fault where there is none.
    pub(super) fn required(&mut self, name: &'static str, bytes_max: usize) -> String {
        if !self.has(name) {
            self.asked.push(name);
            self.fault(name, row::REQUIRED, "must be there");
            return String::new();
        }
        self.text(name, bytes_max).unwrap_or_default()
    }

    /// One of `words`, as what stands beside it.
    pub(super) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let value = self.member(name)?;
        let found = words.iter().find(|(word, _)| value.as_str() == Some(word));
        if found.is_none() {
            let words: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            self.fault(name, row::INVALID_VALUE, format!("must be {}", words.join(" or ")));
        }
        found.map(|(_, choice)| *choice)
    }

    /// At most `count_max` texts, which may have several lines; none where the member is absent.
    pub(super) fn texts(
        &mut self,
        name: &'static str,
        count_max: usize,
        bytes_max: usize,
    ) -> Option<Vec<String>> {
        let value = self.member(name)?;
        let Some(list) = value.as_array() else {
            self.fault(name, row::WRONG_TYPE, "must be a list of strings");
            return None;
        };
        if list.len() > count_max {
            self.fault(name, row::TOO_MANY_ENTRIES, format!("has {count_max} entries at most"));
            return None;
        }
        let mut texts = Vec::new();
        for (index, value) in list.iter().enumerate() {
            let fault = match value.as_str() {
                None => Some((row::WRONG_TYPE, "must be a string".to_owned())),
                Some(text) => text_fault(text, bytes_max, true),
            };
            if let Some((code, detail)) = fault {
                let pointer = pointer(&pointer(&self.at, name), &index.to_string());
                self.faults.push(Fault { pointer, code, detail });
            }
            texts.extend(value.as_str().map(str::to_owned));
        }
        Some(texts)
    }

    /// An object, to be read in its turn.
    pub(super) fn object(&mut self, name: &'static str) -> Option<&'v Map<String, Value>> {
        let value = self.member(name)?;
        if value.as_object().is_none() {
            self.fault(name, row::WRONG_TYPE, "must be an object");
        }
        value.as_object()
    }

    /// The role of a user.
    pub(super) fn role(&mut self, name: &'static str) -> Option<Role> {
        let value = self.member(name)?;
        match role_of(value) {
            Ok(role) => Some(role),
            Err(detail) => {
                self.fault(name, row::INVALID_VALUE, detail);
                None
            }
        }
    }

    /// Roles of users by the names of groups.
    pub(super) fn roles(
        &mut self,
        name: &'static str,
        count_max: usize,
        bytes_max: usize,
    ) -> BTreeMap<String, Role> {
        let mut roles = BTreeMap::new();
        let Some(members) = self.object(name) else { return roles };
        if members.len() > count_max {
            self.fault(name, row::TOO_MANY_ENTRIES, format!("has {count_max} groups at most"));
            return roles;
        }
        for (group, value) in members {
            let found = match (text_fault(group, bytes_max, false), role_of(value)) {
                (Some((code, detail)), _) => Err((code, format!("the group {detail}"))),
                (None, Err(detail)) => Err((row::INVALID_VALUE, detail)),
                (None, Ok(role)) => Ok(role),
            };
            match found {
                Ok(role) => drop(roles.insert(group.clone(), role)),
                Err((code, detail)) => {
                    let pointer = pointer(&pointer(&self.at, name), &excerpt(group));
                    self.faults.push(Fault { pointer, code, detail });
                }
            }
        }
        roles
    }

    /// Texts by the names of groups.
    pub(super) fn named(
        &mut self,
        name: &'static str,
        count_max: usize,
        group_bytes_max: usize,
        bytes_max: usize,
    ) -> BTreeMap<String, String> {
        let mut named = BTreeMap::new();
        let Some(members) = self.object(name) else { return named };
        if members.len() > count_max {
            self.fault(name, row::TOO_MANY_ENTRIES, format!("has {count_max} groups at most"));
            return named;
        }
        for (group, value) in members {
            let group_fault = text_fault(group, group_bytes_max, false)
                .map(|(code, detail)| (code, format!("the group {detail}")));
            let fault = group_fault.or_else(|| match value.as_str() {
                None => Some((row::WRONG_TYPE, "must be a string".to_owned())),
                Some(text) => text_fault(text, bytes_max, false),
            });
            if let Some((code, detail)) = fault {
                let pointer = pointer(&pointer(&self.at, name), &excerpt(group));
                self.faults.push(Fault { pointer, code, detail });
            }
            named.extend(value.as_str().map(|text| (group.clone(), text.to_owned())));
        }
        named
    }

    /// What was wrong, members that nobody asked for included.
    pub(super) fn end(mut self) -> Vec<Fault> {
        for (name, value) in self.members {
            if !self.asked.contains(&name.as_str()) && !value.is_null() {
                let name = excerpt(name);
                self.fault(&name, "unknown_field", "is not a member here");
            }
        }
        self.faults
    }
}

/// What is wrong with a text, which may have `lines`.
fn text_fault(text: &str, bytes_max: usize, lines: bool) -> Option<(&'static str, String)> {
    if text.trim().is_empty() {
        return Some((row::TOO_SHORT, "must not be empty".to_owned()));
    }
    if text.len() > bytes_max {
        return Some((row::TOO_LONG, format!("has {bytes_max} bytes at most")));
    }
    let spread = |c: char| lines && matches!(c, '\n' | '\r' | '\t');
    text.chars()
        .any(|c| c.is_control() && !spread(c))
        .then(|| (row::CONTROL_CHARACTER, "has a control character in it".to_owned()))
}

fn role_of(value: &Value) -> Result<Role, String> {
    let role = value.as_str().and_then(Role::parse).filter(|role| *role != Role::Ingest);
    role.ok_or_else(|| {
        let words: Vec<&str> =
            Role::ALL.into_iter().filter(|r| *r != Role::Ingest).map(Role::as_str).collect();
        format!("must be a role of users: {}", words.join(", "))
    })
}
