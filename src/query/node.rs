//! A JSON document that remembers repeated keys, and the reading of its members with pointers.
//!
//! `serde_json::Value` keeps the last of two equal keys without a word; a question in which two
//! filters share a key must be refused instead. Questions from parameters become the same tree,
//! with [`Node::Bare`] for text whose type only its reader knows.

use super::problem::{Problems, QueryError};
use crate::model::problem::pointer as join;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// A value of a question on its way in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    /// `null`, the same as absent.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number that fits.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(String),
    /// A parameter's text: a string, or the number, truth value or time that it spells.
    Bare(String),
    /// An array.
    List(Vec<Node>),
    /// An object, its keys in order, repeated ones included.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Parses JSON text.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, QueryError> {
        serde_json::from_slice(json)
            .map_err(|error| QueryError::Malformed { detail: error.to_string() })
    }

    /// What it is, for a message.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a truth value",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) | Self::Bare(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "an object",
        }
    }

    /// The string it is.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Bare(text) => Some(text),
            _ => None,
        }
    }

    /// The finite number it is or spells.
    pub(crate) fn number(&self) -> Option<f64> {
        let number = match self {
            Self::Int(n) => *n as f64,
            Self::Float(n) => *n,
            Self::Bare(text) => text.parse().ok()?,
            _ => return None,
        };
        number.is_finite().then_some(number)
    }

    /// The whole number it is or spells.
    pub(crate) fn int(&self) -> Option<i64> {
        match self {
            Self::Int(n) => Some(*n),
            Self::Bare(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The truth value it is or spells.
    pub(crate) fn truth(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            Self::Bare(text) => text.parse().ok(),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Node, E> {
        Ok(Node::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
        Ok(i64::try_from(number).map_or(Node::Float(number as f64), Node::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Node, E> {
        Ok(Node::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Node, E> {
        Ok(Node::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Node::Map(map))
    }
}

/// The members of an object, taken out one by one.
pub(crate) struct Members {
    pointer: String,
    entries: Vec<(String, Node)>,
}

impl Members {
    /// Opens the object at `pointer`; notes keys that are not `known` and repeated ones.
    pub(crate) fn open(
        node: Node,
        pointer: &str,
        known: &[&str],
        problems: &mut Problems,
    ) -> Option<Self> {
        let Node::Map(entries) = node else {
            let found = node.kind();
            problems.add(pointer, "wrong_type", format!("must be an object, is {found}"));
            return None;
        };
        for (n, (key, _)) in entries.iter().enumerate() {
            if !known.contains(&key.as_str()) {
                let detail = format!("there is no such key; known are {}", listed(known));
                problems.add(&join(pointer, key), "unknown_key", detail);
            } else if entries[..n].iter().any(|(earlier, _)| earlier == key) {
                problems.add(&join(pointer, key), "duplicate_key", "the key is given twice");
            }
        }
        Some(Self { pointer: pointer.to_owned(), entries })
    }

    /// The value of `key` with its pointer; `None` if absent or null.
    pub(crate) fn take(&mut self, key: &str) -> Option<(Node, String)> {
        let at = self.entries.iter().position(|(k, _)| k == key)?;
        let (_, node) = self.entries.swap_remove(at);
        (node != Node::Null).then(|| (node, join(&self.pointer, key)))
    }

    /// The string at `key`; notes if it is absent or something else.
    pub(crate) fn text(&mut self, key: &str, problems: &mut Problems) -> Option<(String, String)> {
        let Some((node, pointer)) = self.take(key) else {
            problems.add(&join(&self.pointer, key), "required", format!("`{key}` is required"));
            return None;
        };
        match node {
            Node::Text(text) | Node::Bare(text) => Some((text, pointer)),
            other => {
                let detail = format!("must be a string, is {}", other.kind());
                problems.add(&pointer, "wrong_type", detail);
                None
            }
        }
    }

    /// The items of the list at `key` with their pointers, at most `max`; `None` if absent.
    pub(crate) fn list(
        &mut self,
        key: &str,
        max: usize,
        problems: &mut Problems,
    ) -> Option<Vec<(Node, String)>> {
        let (node, pointer) = self.take(key)?;
        let Node::List(items) = node else {
            let found = node.kind();
            problems.add(&pointer, "wrong_type", format!("must be a list, is {found}"));
            return None;
        };
        if items.len() > max {
            let detail = format!("has {} items, at most {max} are allowed", items.len());
            problems.add(&pointer, "too_many", detail);
            return None;
        }
        let with_pointer = |(n, item)| (item, format!("{pointer}/{n}"));
        Some(items.into_iter().enumerate().map(with_pointer).collect())
    }
}

/// Words for a message: `a`, `b`, `c`.
pub(crate) fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
