//! The vocabulary of questions: fields, functions and what may be asked of which.

use super::node::listed;
use crate::model::limits::WORD_BYTES_MAX;
use crate::model::problem::excerpt;
use storage::ask::{Metric, Permille};
use storage::row::{Dimension, Measure, Word};

/// Longest name of a field or metric, in bytes: a function around a label or value of the
/// longest key that intake takes.
pub const NAME_BYTES_MAX: usize = "count_distinct(labels.)".len() + WORD_BYTES_MAX;

/// Something that a row has.
#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    /// Words.
    Dimension(Dimension),
    /// Numbers.
    Measure(Measure),
    /// The caller's id.
    Id,
    /// The tenant itself, the same for every row.
    Organization,
}

/// The name of [`Field::Organization`].
pub const ORGANIZATION: &str = "organization_id";

impl Field {
    /// The field of that name.
    pub fn parse(name: &str) -> Option<Self> {
        let key = |prefix| name.strip_prefix(prefix).filter(|key: &&str| !key.is_empty());
        if let Some(key) = key("labels.") {
            return Some(Self::Dimension(Dimension::Label(key.into())));
        }
        if let Some(key) = key("values.") {
            return Some(Self::Measure(Measure::Value(key.into())));
        }
        Some(match name {
            "id" => Self::Id,
            "status" => Self::Dimension(Dimension::Status),
            "actor" => Self::Dimension(Dimension::Actor),
            "duration_ms" => Self::Measure(Measure::Duration),
            "exit_code" => Self::Measure(Measure::ExitCode),
            ORGANIZATION => Self::Organization,
            _ => {
                let word = Word::ALL.into_iter().find(|word| word.as_str() == name)?;
                Self::Dimension(Dimension::Word(word))
            }
        })
    }

    /// The dimension it is, if rows can be grouped by it and its words counted.
    fn groupable(self) -> Option<Dimension> {
        match self {
            // Whole lines are nearly as many as rows: they are searched, not grouped.
            Self::Dimension(Dimension::Word(Word::CommandLine | Word::Error)) => None,
            Self::Dimension(dimension) => Some(dimension),
            _ => None,
        }
    }
}

/// A code and a sentence about a name that cannot be used.
pub(crate) type Refusal = (&'static str, String);

const GROUPABLE: &str = "`command`, `status`, `actor`, `user_id`, `team_id`, `project_id`, \
                         `session_id`, `host`, `origin`, `organization_id` and `labels.<key>`";

fn field(name: &str) -> Result<Field, Refusal> {
    if name.len() > NAME_BYTES_MAX {
        return Err(("too_long", format!("a name has at most {NAME_BYTES_MAX} bytes")));
    }
    Field::parse(name).ok_or_else(|| {
        let detail = format!(
            "there is no field `{}`; there are `id`, `duration_ms`, `exit_code`, \
             `command_line`, `error`, `values.<key>`, {GROUPABLE}",
            excerpt(name)
        );
        ("unknown_field", detail)
    })
}

/// The field a filter names.
pub(crate) fn filtered(name: &str) -> Result<Field, Refusal> {
    if name == "ts" {
        return Err(("unknown_field", "time is selected with `from` and `to`".to_owned()));
    }
    field(name)
}

/// A column to group by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupColumn {
    /// Its name as asked.
    pub name: String,
    /// What it groups by; `None`: the tenant itself.
    pub dimension: Option<Dimension>,
}

impl GroupColumn {
    /// The column of that name.
    pub(crate) fn parse(name: &str) -> Result<Self, Refusal> {
        let found = field(name)?;
        let column = |dimension| Self { name: name.to_owned(), dimension };
        if found == Field::Organization {
            return Ok(column(None));
        }
        let refusal = || {
            ("not_groupable", format!("`{}` cannot be grouped by: use {GROUPABLE}", excerpt(name)))
        };
        found.groupable().map(|dimension| column(Some(dimension))).ok_or_else(refusal)
    }
}

/// A column to compute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricColumn {
    /// Its name as asked.
    pub name: String,
    /// What it computes.
    pub metric: Metric,
}

/// Makes the metric of a number.
type NumberFunction = fn(Measure) -> Metric;

/// Functions over a number.
const NUMBER_FUNCTIONS: [(&str, NumberFunction); 11] = [
    ("sum", Metric::Sum),
    ("avg", Metric::Avg),
    ("min", Metric::Min),
    ("max", Metric::Max),
    ("stddev", Metric::Stddev),
    ("p50", |m| Metric::Quantile(m, Permille(500))),
    ("p75", |m| Metric::Quantile(m, Permille(750))),
    ("p90", |m| Metric::Quantile(m, Permille(900))),
    ("p95", |m| Metric::Quantile(m, Permille(950))),
    ("p99", |m| Metric::Quantile(m, Permille(990))),
    ("p999", |m| Metric::Quantile(m, Permille(999))),
];

/// Metrics that take no field, aliases among them.
const BARE_METRICS: [&str; 5] =
    ["count", "failure_count", "success_rate", "command_count", "avg_execution_time"];

fn bare_metric(name: &str) -> Option<Metric> {
    Some(match name {
        "count" | "command_count" => Metric::Count,
        "failure_count" => Metric::FailureCount,
        "success_rate" => Metric::SuccessRate,
        "avg_execution_time" => Metric::Avg(Measure::Duration),
        _ => return None,
    })
}

impl MetricColumn {
    /// The metric that `text` spells: a bare word or `function(field)`.
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        if text.len() > NAME_BYTES_MAX {
            return Err(("too_long", format!("a name has at most {NAME_BYTES_MAX} bytes")));
        }
        let column = |metric| Self { name: text.to_owned(), metric };
        if let Some(metric) = bare_metric(text) {
            return Ok(column(metric));
        }
        match text.strip_suffix(')').and_then(|text| text.split_once('(')) {
            Some((function, name)) => function_of(function, name).map(column),
            None => Err(unknown_metric(text)),
        }
    }
}

fn unknown_metric(text: &str) -> Refusal {
    let functions: Vec<&str> = NUMBER_FUNCTIONS.iter().map(|(name, _)| *name).collect();
    if text == "count_distinct" || functions.contains(&text) {
        let detail = format!("`{text}` needs a field: write `{text}(…)`");
        return ("field_required", detail);
    }
    let detail = format!(
        "there is no metric `{}`; there are {}, `count_distinct(field)`, and of a number {}",
        excerpt(text),
        listed(&BARE_METRICS),
        listed(&functions),
    );
    ("unknown_metric", detail)
}

fn function_of(function: &str, name: &str) -> Result<Metric, Refusal> {
    if bare_metric(function).is_some() {
        return Err((
            "no_field_allowed",
            format!("`{function}` takes no field: leave out `({})`", excerpt(name)),
        ));
    }
    if function == "count_distinct" {
        return field(name)?.groupable().map(Metric::CountDistinct).ok_or_else(|| {
            (
                "not_groupable",
                format!("the words of `{}` cannot be counted: use {GROUPABLE}", excerpt(name)),
            )
        });
    }
    let Some((_, metric)) = NUMBER_FUNCTIONS.iter().find(|(known, _)| *known == function) else {
        let functions: Vec<&str> = NUMBER_FUNCTIONS.iter().map(|(name, _)| *name).collect();
        let detail = format!(
            "there is no function `{}`; there are `count_distinct`, {}",
            excerpt(function),
            listed(&functions)
        );
        return Err(("unknown_function", detail));
    };
    match field(name)? {
        Field::Measure(measure) if measure != Measure::ExitCode => Ok(metric(measure)),
        _ => {
            let detail =
                format!("`{function}` needs a number: use `duration_ms` or `values.<key>`");
            Err(("not_a_number", detail))
        }
    }
}
