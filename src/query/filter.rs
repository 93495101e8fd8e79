//! Filters: from `{field, op, value}` to the engine's predicates.
//!
//! `ne` is "not `eq`": a row without the label or the number passes it. Words compare for
//! equality and by prefix only; numbers also by order. Durations are asked in milliseconds and
//! compared in microseconds, converted digit by digit, so that `1.001` means 1,001 µs.

use super::decimal;
use super::field::{self, Field};
use super::node::{Members, Node, listed};
use super::problem::{Problems, QueryError};
use crate::model::limits::TEXT_BYTES_MAX;
use crate::model::problem::excerpt;
use storage::ask::{NumberTest, Predicate, WordTest};
use storage::row::{Actor, Dimension, Measure, Status, Word};

/// Most filters of one question.
pub const FILTERS_MAX: usize = 64;

/// Most values of one `in`: enough for a list of ids pasted from elsewhere.
pub const FILTER_VALUES_MAX: usize = 10_000;

/// Longest word compared with, in bytes: the longest that a row can have.
pub const WORD_BYTES_MAX: usize = TEXT_BYTES_MAX;

/// The operators.
pub const OPS: [&str; 9] = ["eq", "ne", "in", "prefix", "exists", "gt", "gte", "lt", "lte"];

/// One condition of a question.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// On a row.
    Row(Predicate),
    /// On the tenant: all rows pass or none.
    Organization(WordTest),
}

impl Filter {
    /// Whether it picks single rows out: hardly two have an id, a line or an error in common.
    pub fn picks_rows(&self) -> bool {
        match self {
            Self::Row(Predicate::IdIn(_)) => true,
            Self::Row(Predicate::Word(Dimension::Word(word), _)) => {
                matches!(word, Word::CommandLine | Word::Error)
            }
            Self::Row(_) | Self::Organization(_) => false,
        }
    }
}

/// Reads a list of filters that is JSON of its own; it stands at the key `name` of something larger.
pub fn read_list(json: &[u8], name: &str) -> Result<Vec<Filter>, QueryError> {
    let mut problems = Problems::default();
    let tree = Node::Map(vec![(name.to_owned(), Node::parse(json)?)]);
    let filters = match Members::open(tree, "", &[name], &mut problems) {
        Some(mut members) => read_at(name, &mut members, &mut problems),
        None => Vec::new(),
    };
    problems.none()?;
    Ok(filters)
}

/// Reads the list of filters of a question.
pub(crate) fn read_all(members: &mut Members, problems: &mut Problems) -> Vec<Filter> {
    read_at("filters", members, problems)
}

fn read_at(key: &str, members: &mut Members, problems: &mut Problems) -> Vec<Filter> {
    let items = members.list(key, FILTERS_MAX, problems).unwrap_or_default();
    items.into_iter().filter_map(|(node, at)| read(node, &at, problems)).collect()
}

fn read(node: Node, pointer: &str, problems: &mut Problems) -> Option<Filter> {
    let mut members = Members::open(node, pointer, &["field", "op", "value"], problems)?;
    let name = members.text("field", problems);
    let op = members.text("op", problems);
    let value = members.take("value");
    let field = name.and_then(|(name, at)| match field::filtered(&name) {
        Ok(field) => Some((field, name)),
        Err((code, detail)) => {
            problems.add(&at, code, detail);
            None
        }
    });
    let (op, op_at) = op?;
    if !OPS.contains(&op.as_str()) {
        let detail = format!("there is no operator `{}`; there are {}", excerpt(&op), listed(&OPS));
        problems.add(&op_at, "unknown_op", detail);
        return None;
    }
    let (field, name) = field?;
    if !fits(&field, &op) {
        let detail =
            format!("`{op}` does not fit `{}`: use {}", excerpt(&name), listed(&ops_of(&field)));
        problems.add(&op_at, "op_not_for_field", detail);
        return None;
    }
    let mut value = Value { node: value, pointer: format!("{pointer}/value"), problems };
    match field {
        Field::Organization => value.word_test(&op, None).map(Filter::Organization),
        Field::Id => value.words(&op, None).map(|ids| Filter::Row(Predicate::IdIn(ids))),
        Field::Dimension(dimension) => {
            let test = value.word_test(&op, Some(&dimension))?;
            Some(Filter::Row(Predicate::Word(dimension, test)))
        }
        Field::Measure(measure) => {
            let test = value.number_test(&op, &measure)?;
            Some(Filter::Row(Predicate::Number(measure, test)))
        }
    }
}

fn ops_of(field: &Field) -> Vec<&'static str> {
    OPS.into_iter().filter(|op| fits(field, op)).collect()
}

fn fits(field: &Field, op: &str) -> bool {
    match field {
        Field::Id => matches!(op, "eq" | "in"),
        Field::Dimension(_) | Field::Organization => !matches!(op, "gt" | "gte" | "lt" | "lte"),
        Field::Measure(_) => op != "prefix",
    }
}

/// The value of a filter on its way into a test.
struct Value<'a> {
    node: Option<(Node, String)>,
    pointer: String,
    problems: &'a mut Problems,
}

impl Value<'_> {
    fn refuse<T>(&mut self, code: &'static str, detail: impl Into<String>) -> Option<T> {
        self.problems.add(&self.pointer, code, detail);
        None
    }

    fn word_test(&mut self, op: &str, dimension: Option<&Dimension>) -> Option<WordTest> {
        Some(match op {
            "exists" if self.exists()? => WordTest::Present,
            "exists" => WordTest::Absent,
            "prefix" => {
                let prefix = self.words(op, None)?.into_iter().next()?;
                WordTest::Prefix(prefix)
            }
            "ne" => WordTest::NotIn(self.words(op, dimension)?),
            _ => WordTest::In(self.words(op, dimension)?),
        })
    }

    fn number_test(&mut self, op: &str, measure: &Measure) -> Option<NumberTest> {
        if op == "exists" {
            let present = self.exists()?;
            return Some(if present { NumberTest::Present } else { NumberTest::Absent });
        }
        let numbers = self.numbers(op, measure)?;
        let &bound = numbers.first()?;
        Some(match op {
            "gt" | "gte" => NumberTest::Above { bound, or_equal: op == "gte" },
            "lt" | "lte" => NumberTest::Below { bound, or_equal: op == "lte" },
            "ne" => NumberTest::NotIn(numbers),
            _ => NumberTest::In(numbers),
        })
    }

    /// The truth value; absent means true.
    fn exists(&mut self) -> Option<bool> {
        let Some((node, _)) = self.node.take() else { return Some(true) };
        match node.truth() {
            Some(truth) => Some(truth),
            None => self.refuse("wrong_type", format!("must be true or false, is {}", node.kind())),
        }
    }

    /// The value, or with `in` each of the values, with its pointer.
    fn items(&mut self, op: &str) -> Option<Vec<(Node, String)>> {
        let Some((node, pointer)) = self.node.take() else {
            return self.refuse("required", format!("`{op}` needs a `value`"));
        };
        match (op, node) {
            ("in", Node::List(items)) if items.is_empty() => {
                self.refuse("empty_list", "`in` needs at least one value")
            }
            ("in", Node::List(items)) if items.len() > FILTER_VALUES_MAX => {
                let count = items.len();
                let detail = format!("has {count} values, at most {FILTER_VALUES_MAX} are allowed");
                self.refuse("too_many", detail)
            }
            ("in", Node::List(items)) => {
                let with_pointer = |(n, item)| (item, format!("{pointer}/{n}"));
                Some(items.into_iter().enumerate().map(with_pointer).collect())
            }
            ("in", other) => {
                self.refuse("wrong_type", format!("`in` needs a list, this is {}", other.kind()))
            }
            (_, single) => Some(vec![(single, pointer)]),
        }
    }

    /// The words, sorted and distinct: their order means nothing. Those of `status` and `actor`
    /// must exist.
    fn words(&mut self, op: &str, dimension: Option<&Dimension>) -> Option<Vec<Box<str>>> {
        let items = self.items(op)?;
        let mut words: Vec<Box<str>> = Vec::with_capacity(items.len());
        let mut good = true;
        for (node, pointer) in items {
            match word(&node, dimension) {
                Ok(word) => words.push(word.into()),
                Err((code, detail)) => {
                    self.problems.add(&pointer, code, detail);
                    good = false;
                }
            }
        }
        words.sort_unstable();
        words.dedup();
        good.then_some(words)
    }

    /// The numbers in the engine's unit, sorted and distinct.
    fn numbers(&mut self, op: &str, measure: &Measure) -> Option<Vec<f64>> {
        let items = self.items(op)?;
        let mut numbers = Vec::with_capacity(items.len());
        let mut good = true;
        for (node, pointer) in items {
            let Some(number) = node.number() else {
                let detail = format!("must be a finite number, is {}", node.kind());
                self.problems.add(&pointer, "wrong_type", detail);
                good = false;
                continue;
            };
            // Minus zero equals zero, but would sort and print apart from it.
            let number = if number == 0.0 { 0.0 } else { number };
            numbers.push(match measure {
                Measure::Duration => decimal::shifted(number, 3),
                _ => number,
            });
        }
        numbers.sort_unstable_by(f64::total_cmp);
        numbers.dedup();
        good.then_some(numbers)
    }
}

fn word<'a>(
    node: &'a Node,
    dimension: Option<&Dimension>,
) -> Result<&'a str, (&'static str, String)> {
    let Some(text) = node.text() else {
        return Err(("wrong_type", format!("must be a string, is {}", node.kind())));
    };
    if text.len() > WORD_BYTES_MAX {
        return Err(("too_long", format!("a word has at most {WORD_BYTES_MAX} bytes")));
    }
    let known: Vec<&str> = match dimension {
        Some(Dimension::Status) => Status::ALL.map(Status::as_str).to_vec(),
        Some(Dimension::Actor) => Actor::ALL.map(Actor::as_str).to_vec(),
        _ => return Ok(text),
    };
    if known.contains(&text) {
        Ok(text)
    } else {
        Err((
            "unknown_value",
            format!("there is no `{}`; there are {}", excerpt(text), listed(&known)),
        ))
    }
}
