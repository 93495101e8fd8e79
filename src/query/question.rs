//! The question of the contract, from JSON or from parameters, checked as a whole: whoever asks
//! badly learns everything that is wrong at once.

use super::bucket::{Width, Zone};
use super::field::{GroupColumn, MetricColumn, Refusal};
use super::filter::{self, Filter};
use super::node::{Members, Node, listed};
use super::params;
use super::problem::{Problems, QueryError};
use super::when;
use crate::model::problem::excerpt;
use std::ops::RangeInclusive;
use storage::ask::Metric;
use storage::row::TimeMs;

/// Rows of an answer unless the question says otherwise.
pub const LIMIT_DEFAULT: usize = 1_000;

/// Most rows of an answer.
pub const LIMIT_MAX: usize = 1_000_000;

/// Most columns to group by: more than a table can show, and a bound on the size of a group.
pub const GROUP_BY_MAX: usize = 16;

/// Most metrics of a question.
pub const METRICS_MAX: usize = 64;

/// Most order keys of a question: every column once.
pub const ORDER_BY_MAX: usize = 1 + GROUP_BY_MAX + METRICS_MAX;

/// What stands in a bucket in which a group has no row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fill {
    /// Nothing: there is no such row.
    #[default]
    None,
    /// A row with 0 in every metric.
    Zero,
    /// A row with null in every metric.
    Null,
}

impl Fill {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "none" => Some(Self::None),
            "zero" => Some(Self::Zero),
            "null" => Some(Self::Null),
            _ => None,
        }
    }
}

/// A column that an answer is ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OrderColumn {
    /// The bucket's start.
    Bucket,
    /// That one of the columns grouped by.
    Group(usize),
    /// That one of the metrics.
    Metric(usize),
}

/// An order key. Nulls come last in either direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OrderKey {
    /// The column.
    pub column: OrderColumn,
    /// Largest first.
    pub desc: bool,
}

/// What can be asked, every name resolved and every bound kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// First instant; `None`: the earliest row's.
    pub from: Option<TimeMs>,
    /// Last instant, exclusive; `None`: behind the latest row.
    pub to: Option<TimeMs>,
    /// How wide the buckets are.
    pub bucket: Width,
    /// The zone whose hours, days, weeks and months are meant.
    pub zone: Zone,
    /// Columns to group by, distinct.
    pub group_by: Vec<GroupColumn>,
    /// Columns to compute, distinct, at least one.
    pub metrics: Vec<MetricColumn>,
    /// All must hold.
    pub filters: Vec<Filter>,
    /// Order of the rows; empty: by bucket and group.
    pub order_by: Vec<OrderKey>,
    /// Most rows.
    pub limit: usize,
    /// What stands in empty buckets.
    pub fill: Fill,
}

/// The question's keys.
const KEYS: [&str; 10] = [
    "from",
    "to",
    "bucket",
    "time_zone",
    "group_by",
    "metrics",
    "filters",
    "order_by",
    "limit",
    "fill",
];

impl Question {
    /// Reads a question from JSON.
    pub fn from_json(json: &[u8]) -> Result<Self, QueryError> {
        Self::from_json_in(json, Zone::utc())
    }

    /// The same; a question that names no zone is about `zone`.
    pub fn from_json_in(json: &[u8], zone: Zone) -> Result<Self, QueryError> {
        Self::from_tree(Node::parse(json)?, zone, Problems::default())
    }

    /// Reads a question from names and texts; [`params`] has the syntax.
    pub fn from_params<K: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, QueryError> {
        let mut problems = Problems::default();
        let tree = params::tree(pairs, &mut problems);
        Self::from_tree(tree, Zone::utc(), problems)
    }

    fn from_tree(
        tree: Node,
        default_zone: Zone,
        mut problems: Problems,
    ) -> Result<Self, QueryError> {
        let Some(mut members) = Members::open(tree, "", &KEYS, &mut problems) else {
            problems.none()?;
            return Err(QueryError::invalid("", "wrong_type", "must be an object"));
        };
        let (from, to) = read_range(&mut members, &mut problems);
        let bucket = read_word(&mut members, "bucket", "unknown_bucket", &mut problems, |word| {
            let words: Vec<&str> = Width::ALL.into_iter().map(Width::as_str).collect();
            Width::parse(word).ok_or_else(|| format!("must be one of {}", listed(&words)))
        });
        let zone =
            read_word(&mut members, "time_zone", "unknown_time_zone", &mut problems, |name| {
                let detail = || {
                    format!("there is no zone `{}`: use one like `Europe/Berlin`", excerpt(name))
                };
                Zone::parse(name).ok_or_else(detail)
            });
        let fill = read_word(&mut members, "fill", "unknown_fill", &mut problems, |word| {
            Fill::parse(word).ok_or_else(|| "must be `none`, `zero` or `null`".to_owned())
        });
        let group_by = read_columns(
            &mut members,
            ("group_by", 0..=GROUP_BY_MAX),
            &mut problems,
            GroupColumn::parse,
            |column| &column.name,
        );
        let metrics = read_metrics(&mut members, &mut problems);
        let filters = filter::read_all(&mut members, &mut problems);
        let limit = read_limit(&mut members, LIMIT_DEFAULT, LIMIT_MAX, &mut problems);
        let mut question = Self {
            from,
            to,
            bucket: bucket.unwrap_or_default(),
            zone: zone.unwrap_or(default_zone),
            group_by: group_by.unwrap_or_default(),
            metrics,
            filters,
            order_by: Vec::new(),
            limit,
            fill: fill.unwrap_or_default(),
        };
        question.order_by = read_order(&mut members, &question, &mut problems);
        problems.none()?;
        Ok(question)
    }

    /// The column that `key` names: by its name, or a metric by another name for the same.
    fn column(&self, key: &str) -> Option<OrderColumn> {
        if key == BUCKET && self.bucket != Width::None {
            return Some(OrderColumn::Bucket);
        }
        if let Some(n) = self.group_by.iter().position(|column| column.name == key) {
            return Some(OrderColumn::Group(n));
        }
        let by_name = self.metrics.iter().position(|column| column.name == key);
        let by_meaning = || {
            let wanted = MetricColumn::parse(key).ok()?.metric;
            self.metrics.iter().position(|column| column.metric == wanted)
        };
        by_name.or_else(by_meaning).map(OrderColumn::Metric)
    }

    /// A text that two questions share exactly when they have the same answer columns and ask
    /// the same; the order of filters is not part of it.
    pub fn canonical(&self) -> String {
        let mut filters: Vec<String> = self.filters.iter().map(|f| format!("{f:?}")).collect();
        filters.sort_unstable();
        filters.dedup();
        let Self { from, to, bucket, zone, group_by, metrics, filters: _, order_by, limit, fill } =
            self;
        format!(
            "{from:?} {to:?} {bucket:?} {:?} {group_by:?} {metrics:?} {filters:?} {order_by:?} \
             {limit} {fill:?}",
            zone.name()
        )
    }
}

/// The name of the bucket's column.
pub const BUCKET: &str = "bucket";

/// Reads `from` and `to`; notes an empty range.
pub(crate) fn read_range(
    members: &mut Members,
    problems: &mut Problems,
) -> (Option<TimeMs>, Option<TimeMs>) {
    let mut time = |key| {
        let (node, pointer) = members.take(key)?;
        when::read(&node, &pointer, problems)
    };
    let (from, to) = (time("from"), time("to"));
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        problems.add("/to", "empty_range", "`to` must be later than `from`");
    }
    (from, to)
}

/// Reads `limit`, 1 to `max`.
pub(crate) fn read_limit(
    members: &mut Members,
    default: usize,
    max: usize,
    problems: &mut Problems,
) -> usize {
    let Some((node, pointer)) = members.take("limit") else { return default };
    let Some(limit) = node.int() else {
        problems.add(&pointer, "wrong_type", "must be a whole number");
        return default;
    };
    match usize::try_from(limit).ok().filter(|n| (1..=max).contains(n)) {
        Some(limit) => limit,
        None => {
            problems.add(&pointer, "out_of_range", format!("must be 1 to {max}"));
            default
        }
    }
}

fn read_word<T>(
    members: &mut Members,
    key: &str,
    code: &'static str,
    problems: &mut Problems,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let (node, pointer) = members.take(key)?;
    let Some(word) = node.text() else {
        problems.add(&pointer, "wrong_type", format!("must be a string, is {}", node.kind()));
        return None;
    };
    parse(word).map_err(|detail| problems.add(&pointer, code, detail)).ok()
}

fn read_columns<T>(
    members: &mut Members,
    (key, count): (&str, RangeInclusive<usize>),
    problems: &mut Problems,
    parse: fn(&str) -> Result<T, Refusal>,
    name: fn(&T) -> &str,
) -> Option<Vec<T>> {
    let items = members.list(key, *count.end(), problems)?;
    if items.len() < *count.start() {
        let detail = format!("name at least one, or leave `{key}` out");
        problems.add(&format!("/{key}"), "empty_list", detail);
    }
    let mut columns: Vec<T> = Vec::with_capacity(items.len());
    for (node, pointer) in items {
        let Some(text) = node.text() else {
            problems.add(&pointer, "wrong_type", format!("must be a string, is {}", node.kind()));
            continue;
        };
        match parse(text) {
            Ok(_) if columns.iter().any(|earlier| name(earlier) == text) => {
                problems.add(&pointer, "duplicate_column", format!("`{text}` is given twice"));
            }
            Ok(column) => columns.push(column),
            Err((code, detail)) => problems.add(&pointer, code, detail),
        }
    }
    Some(columns)
}

/// Reads `metrics`; absent means `count`.
fn read_metrics(members: &mut Members, problems: &mut Problems) -> Vec<MetricColumn> {
    let list = ("metrics", 1..=METRICS_MAX);
    let given = read_columns(members, list, problems, MetricColumn::parse, |column| &column.name);
    let count = || vec![MetricColumn { name: "count".to_owned(), metric: Metric::Count }];
    given.unwrap_or_else(count)
}

fn read_order(
    members: &mut Members,
    question: &Question,
    problems: &mut Problems,
) -> Vec<OrderKey> {
    let items = members.list("order_by", ORDER_BY_MAX, problems).unwrap_or_default();
    let mut order: Vec<OrderKey> = Vec::with_capacity(items.len());
    for (node, pointer) in items {
        let Some(mut item) = Members::open(node, &pointer, &["key", "desc"], problems) else {
            continue;
        };
        let desc = item.take("desc").map_or(Some(false), |(node, at)| {
            let truth = node.truth();
            if truth.is_none() {
                problems.add(&at, "wrong_type", "must be true or false");
            }
            truth
        });
        let Some((key, at)) = item.text("key", problems) else { continue };
        let Some(column) = question.column(&key) else {
            let detail = format!(
                "`{}` is no column of the answer: add it to `group_by` or `metrics`",
                excerpt(&key)
            );
            problems.add(&at, "unknown_order_key", detail);
            continue;
        };
        // A column that was compared before can decide nothing more.
        if !order.iter().any(|earlier| earlier.column == column) {
            order.push(OrderKey { column, desc: desc.unwrap_or(false) });
        }
    }
    order
}
