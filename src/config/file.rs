//! Reads a TOML file into raw settings, each with its line.

use super::catalogue::{self, Raw};
use toml::de::{DeTable, DeValue};

/// A value that a file gives to a known key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) section: String,
    pub(super) name: String,
    pub(super) value: Raw,
    /// Counted from 1.
    pub(super) line: usize,
}

/// What is wrong with a line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadLine {
    pub(super) line: usize,
    pub(super) message: String,
}

/// Takes `text` apart. Whatever is not a setting is a bad line.
pub(super) fn read(text: &str) -> (Vec<Entry>, Vec<BadLine>) {
    let line_of = |offset: usize| 1 + text.bytes().take(offset).filter(|&b| b == b'\n').count();
    let (mut entries, mut bad) = (Vec::new(), Vec::new());
    let root = match DeTable::parse(text) {
        Ok(root) => root,
        Err(error) => {
            let line = line_of(error.span().map_or(0, |span| span.start));
            let message =
                format!("this is not TOML: {}", error.message().trim().replace('\n', ", "));
            return (entries, vec![BadLine { line, message }]);
        }
    };
    for (section, value) in root.get_ref() {
        let line = line_of(section.span().start);
        let Some(table) = value.get_ref().as_table() else {
            let message = format!("`{}` stands outside of a section", section.get_ref());
            bad.push(BadLine { line, message });
            continue;
        };
        if let Err(message) = catalogue::find_section(section.get_ref()) {
            bad.push(BadLine { line, message });
            continue;
        }
        for (name, value) in table {
            let line = line_of(name.span().start);
            match catalogue::find(section.get_ref(), name.get_ref()) {
                Err(message) => bad.push(BadLine { line, message }),
                Ok(_) => entries.push(Entry {
                    section: section.get_ref().to_string(),
                    name: name.get_ref().to_string(),
                    value: raw(value.get_ref()),
                    line,
                }),
            }
        }
    }
    entries.sort_by_key(|entry| entry.line);
    bad.sort_by_key(|bad| bad.line);
    (entries, bad)
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map_or(Raw::Other("a number this large"), Raw::Whole),
        DeValue::Float(_) => Raw::Other("a fraction"),
        DeValue::Boolean(_) => Raw::Other("true or false"),
        DeValue::Datetime(_) => Raw::Other("a time"),
        DeValue::Array(_) => Raw::Other("a list"),
        DeValue::Table(_) => Raw::Other("a table"),
    }
}
