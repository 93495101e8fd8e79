//! Views: the groupings that partial aggregates are kept for.

use crate::ask::{AggregateRequest, Metric, Predicate};
use crate::row::{Dimension, Measure, Word};

/// A grouping whose partial aggregates are kept with every sealed block where that pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// What it is called in answers.
    pub name: String,
    /// Grouped by these, in this order, beside the time grain.
    pub dimensions: Vec<Dimension>,
}

/// The views every keyspace has.
pub fn default_views() -> Vec<View> {
    [
        ("org", None),
        ("user", Some(Word::User)),
        ("team", Some(Word::Team)),
        ("project", Some(Word::Project)),
        ("command", Some(Word::Command)),
    ]
    .into_iter()
    .map(|(name, word)| View {
        name: name.to_owned(),
        dimensions: word.into_iter().map(Dimension::Word).collect(),
    })
    .collect()
}

impl View {
    /// Whether partials of this view hold all that `request` needs, its time borders apart: every
    /// dimension it groups, filters or counts by, and no other number than the duration.
    pub fn covers(&self, request: &AggregateRequest) -> bool {
        request.partials
            && request.group_by.iter().all(|d| self.dimensions.contains(d))
            && request.metrics.iter().all(|m| self.holds(m))
            && request.selection.predicates.iter().all(|p| self.decides(p))
    }

    /// Whether a group as a whole passes `predicate` or does not.
    fn decides(&self, predicate: &Predicate) -> bool {
        match predicate {
            Predicate::Word(dimension, _) => self.dimensions.contains(dimension),
            Predicate::Any(predicates) => predicates.iter().all(|p| self.decides(p)),
            Predicate::Number(..) | Predicate::IdIn(_) => false,
        }
    }

    fn holds(&self, metric: &Metric) -> bool {
        match metric {
            Metric::Count | Metric::FailureCount | Metric::SuccessRate => true,
            Metric::CountDistinct(dimension) => self.dimensions.contains(dimension),
            Metric::Sum(m)
            | Metric::Avg(m)
            | Metric::Min(m)
            | Metric::Max(m)
            | Metric::Stddev(m)
            | Metric::Quantile(m, _) => *m == Measure::Duration,
        }
    }
}
