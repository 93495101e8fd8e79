//! Which column is which field.

use super::problem::ImportError;
use super::when::Unit;
use crate::model::limits::WORD_BYTES_MAX;
use crate::model::problem::{excerpt, pointer};
use serde::Serialize;

/// What a column's cells become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A field of an execution.
    Field(&'static str, Option<Unit>),
    /// `labels.<key>`.
    Label(String),
    /// `values.<key>`.
    Value(String),
    /// Nothing: it is not read.
    Ignored,
}

impl Target {
    /// Whether both fill the same field, label or value.
    pub(crate) fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Field(one, _), Self::Field(other, _)) => one == other,
            (one, other) => one == other,
        }
    }

    /// The field as a rule names it.
    fn place(&self) -> String {
        match self {
            Self::Field(field, _) => (*field).to_owned(),
            Self::Label(key) => format!("labels.{key}"),
            Self::Value(key) => format!("values.{key}"),
            Self::Ignored => "-".to_owned(),
        }
    }

    /// The JSON pointer of what is filled. A key may be long or wild: then the pointer stops at
    /// its parent, as it does in intake.
    pub(crate) fn pointer(&self) -> String {
        let inside = |parent: &str, key: &str| {
            let is_plain = key.len() <= WORD_BYTES_MAX && !key.chars().any(char::is_control);
            if is_plain { pointer(parent, key) } else { parent.to_owned() }
        };
        match self {
            Self::Field(field, _) => format!("/{field}"),
            Self::Label(key) => inside("/labels", key),
            Self::Value(key) => inside("/values", key),
            Self::Ignored => String::new(),
        }
    }
}

/// A column and what it is taken for, as shown in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its name in the file.
    pub column: String,
    /// The field, with its unit: `duration_ms (from s)`; `-` if it is not read.
    pub field: String,
}

/// Every field with the column names that are taken for it, in lower case with `_` for everything
/// that is no letter or digit. The first name of each is the field's own.
const SYNONYMS: [(&str, &[&str]); 14] = [
    ("id", &["id", "execution_id", "run_id", "event_id", "uuid"]),
    (
        "ts",
        &[
            "ts",
            "timestamp",
            "time",
            "start",
            "started",
            "started_at",
            "start_time",
            "date",
            "datetime",
            "begin",
            "created_at",
            "when",
        ],
    ),
    (
        "command",
        &["command", "cmd", "command_name", "name", "program", "executable", "task", "job"],
    ),
    ("command_line", &["command_line", "cmdline", "commandline", "args", "full_command"]),
    ("user_id", &["user_id", "user", "username", "user_name", "login", "author", "actor_id"]),
    ("team_id", &["team_id", "team", "group", "group_id", "department"]),
    ("project_id", &["project_id", "project", "repo", "repository", "workspace"]),
    ("session_id", &["session_id", "session", "build_id", "pipeline_id"]),
    ("host", &["host", "hostname", "machine", "node", "runner"]),
    (
        "duration_ms",
        &[
            "duration",
            "elapsed",
            "wall",
            "wall_time",
            "runtime",
            "run_time",
            "took",
            "execution_time",
        ],
    ),
    ("exit_code", &["exit_code", "exit", "rc", "return_code", "exitcode", "exit_status"]),
    ("status", &["status", "result", "outcome", "state", "conclusion"]),
    ("actor", &["actor", "actor_kind"]),
    ("error", &["error", "error_message", "stderr"]),
];

/// The names of all fields, for messages.
pub(crate) fn field_list() -> String {
    SYNONYMS.map(|(field, _)| format!("`{field}`")).join(", ")
}

/// A rule of `--map`: column and field.
pub type Rule = (String, String);

/// Splits `column=field`.
pub fn parse_rule(rule: &str) -> Result<Rule, ImportError> {
    match rule.rsplit_once('=') {
        Some((column, field)) if !column.is_empty() && target(field).is_some() => {
            Ok((column.to_owned(), field.to_owned()))
        }
        _ => Err(ImportError::BadRule { rule: rule.to_owned() }),
    }
}

/// What the column `name` is taken for, by the rules and else by its name.
pub(crate) fn target_of(name: &str, rules: &[Rule]) -> Target {
    if let Some((_, field)) = rules.iter().find(|(column, _)| column == name) {
        return with_unit_of(name, field, target(field).unwrap_or(Target::Ignored));
    }
    if let Some(key) = name.strip_prefix("labels.").filter(|key| !key.is_empty()) {
        return Target::Label(key.to_owned());
    }
    if let Some(key) = name.strip_prefix("values.").filter(|key| !key.is_empty()) {
        return Target::Value(key.to_owned());
    }
    guess(name)
}

/// `target`, which a rule writes as `field`, in the unit that the column's name ends with.
/// `took_s=duration_ms` reads seconds: there `duration_ms` is the field's own name, and whoever
/// called the column so has said what stands in it. Units that are no field's name win:
/// `took_s=duration_us` reads microseconds.
fn with_unit_of(column: &str, field: &str, target: Target) -> Target {
    let is_name = SYNONYMS.iter().any(|(name, _)| *name == field);
    match (target, split_unit(&plain(column))) {
        (Target::Field(field @ ("ts" | "duration_ms"), _), Some((_, unit))) if is_name => {
            Target::Field(field, Some(unit))
        }
        (target, _) => target,
    }
}

/// The target that is written so in a rule.
fn target(field: &str) -> Option<Target> {
    if field == "-" {
        return Some(Target::Ignored);
    }
    if let Some(key) = field.strip_prefix("labels.").filter(|key| !key.is_empty()) {
        return Some(Target::Label(key.to_owned()));
    }
    if let Some(key) = field.strip_prefix("values.").filter(|key| !key.is_empty()) {
        return Some(Target::Value(key.to_owned()));
    }
    if let Some((name, _)) = SYNONYMS.iter().find(|(name, _)| *name == field) {
        let unit = (*name == "duration_ms").then_some(Unit::Millis);
        return Some(Target::Field(name, unit));
    }
    let (base, unit) = split_unit(field)?;
    match base {
        "ts" => Some(Target::Field("ts", Some(unit))),
        "duration" => Some(Target::Field("duration_ms", Some(unit))),
        _ => None,
    }
}

/// A column's name in lower case with `_` for everything that is no letter or digit.
fn plain(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    name.trim().chars().map(plain).collect()
}

/// The target of a column by its name alone.
fn guess(name: &str) -> Target {
    let plain = plain(name);
    let field_of = |plain: &str| {
        let found =
            SYNONYMS.iter().find(|(field, names)| *field == plain || names.contains(&plain));
        found.map(|(field, _)| *field)
    };
    if plain == "duration_ms" {
        return Target::Field("duration_ms", Some(Unit::Millis));
    }
    if let Some(field) = field_of(&plain) {
        // A duration without a unit: seconds is what tools write that do not say it.
        let unit = (field == "duration_ms").then_some(Unit::Seconds);
        return Target::Field(field, unit);
    }
    if let Some((base, unit)) = split_unit(&plain)
        && let Some(field @ ("ts" | "duration_ms")) = field_of(base)
    {
        return Target::Field(field, Some(unit));
    }
    Target::Ignored
}

/// `elapsed_ms` as `elapsed` and its unit.
fn split_unit(name: &str) -> Option<(&str, Unit)> {
    let (base, suffix) = name.rsplit_once('_')?;
    Some((base, Unit::parse(suffix)?))
}

/// What the columns `names` are taken for. Fails if a rule names a column that is not there, or
/// if two columns are the same field.
pub(crate) fn resolve(names: &[String], rules: &[Rule]) -> Result<Vec<Target>, ImportError> {
    for (column, _) in rules {
        if !names.contains(column) {
            let columns = listed(names);
            return Err(ImportError::UnknownColumn { column: column.clone(), columns });
        }
    }
    let mut targets: Vec<Target> = names.iter().map(|name| target_of(name, rules)).collect();
    for n in 0..targets.len() {
        if targets[n] == Target::Ignored {
            continue;
        }
        let is_same = |other: &Target| other.is_same_place(&targets[n]);
        let Some(earlier) = targets[..n].iter().position(is_same) else { continue };
        let by_rule = |n: usize| rules.iter().any(|(column, _)| *column == names[n]);
        match (by_rule(earlier), by_rule(n)) {
            (true, true) => {
                let (first, second) = (names[earlier].clone(), names[n].clone());
                return Err(ImportError::FieldTwice { field: targets[n].place(), first, second });
            }
            // What was asked for wins over a guess, and an earlier guess over a later one.
            (false, true) => targets[earlier] = Target::Ignored,
            _ => targets[n] = Target::Ignored,
        }
    }
    Ok(targets)
}

/// Fails if two rules are about one column: one of them would be passed over.
pub(crate) fn check_rules(rules: &[Rule]) -> Result<(), ImportError> {
    for (n, (column, second)) in rules.iter().enumerate() {
        if let Some((_, first)) = rules[..n].iter().find(|(other, _)| other == column) {
            let (column, first, second) = (column.clone(), first.clone(), second.clone());
            return Err(ImportError::ColumnTwice { column, first, second });
        }
    }
    Ok(())
}

/// Most names of columns that a message lists.
const LISTED_MAX: usize = 32;

/// The names of the columns, for messages: not more of them, nor of each, than can be read.
pub(crate) fn listed(names: &[String]) -> String {
    let mut list: Vec<String> = names.iter().take(LISTED_MAX).map(|name| excerpt(name)).collect();
    if names.len() > LISTED_MAX {
        list.push(format!("and {} more", names.len() - LISTED_MAX));
    }
    list.join(", ")
}

/// The columns as a plan shows them.
pub(crate) fn shown(names: &[String], targets: &[Target]) -> Vec<Column> {
    let show = |target: &Target| match target {
        Target::Field(field, Some(unit)) => format!("{field} (from {})", unit.as_str()),
        other => other.place(),
    };
    let pairs = names.iter().zip(targets);
    pairs.map(|(name, target)| Column { column: name.clone(), field: show(target) }).collect()
}
