//! What a question needs, with every number and dimension named once.

use super::dictionary::Dictionary;
use crate::ask::{AggregateRequest, Metric};
use crate::row::{Dimension, Measure};

/// What has to be accumulated for a question.
#[derive(Debug, Default)]
pub(super) struct Wants {
    /// Rows; not set where [`outcomes`](Self::outcomes) tells as much.
    pub(super) counts: bool,
    /// Rows by status.
    pub(super) outcomes: bool,
    /// Sums of durations.
    pub(super) duration_sums: bool,
    /// Smallest and largest durations.
    pub(super) extremes: bool,
    /// Percentiles of durations, ascending.
    pub(super) duration_permilles: Vec<u16>,
    /// Other numbers.
    pub(super) numbers: Vec<WantedNumber>,
    /// The dictionary of each dimension grouped by.
    pub(super) group_by: Vec<usize>,
    /// The dictionary of each dimension whose words are counted.
    pub(super) distinct: Vec<usize>,
}

/// A number that is accumulated.
#[derive(Debug)]
pub(super) struct WantedNumber {
    /// Which.
    pub(super) measure: Measure,
    /// Percentiles of it, ascending.
    pub(super) permilles: Vec<u16>,
}

impl Wants {
    /// What `request` needs, and a dictionary for every dimension in it.
    pub(super) fn of(request: &AggregateRequest) -> (Self, Vec<Dictionary>) {
        let mut wants = Self::default();
        let mut dictionaries: Vec<Dictionary> = Vec::new();
        let mut dictionary = |dimension: &Dimension| {
            dictionaries.iter().position(|d| d.dimension == *dimension).unwrap_or_else(|| {
                dictionaries.push(Dictionary::new(dimension.clone()));
                dictionaries.len() - 1
            })
        };
        wants.group_by = request.group_by.iter().map(&mut dictionary).collect();
        for metric in &request.metrics {
            match metric {
                Metric::Count => wants.counts = true,
                Metric::FailureCount | Metric::SuccessRate => wants.outcomes = true,
                Metric::CountDistinct(dimension) => {
                    let n = dictionary(dimension);
                    add_new(&mut wants.distinct, n);
                }
                Metric::Sum(m) | Metric::Avg(m) | Metric::Stddev(m) => {
                    wants.duration_sums |= *m == Measure::Duration;
                    wants.add_number(m, None);
                }
                Metric::Min(m) | Metric::Max(m) => {
                    wants.extremes |= *m == Measure::Duration;
                    wants.add_number(m, None);
                }
                // A percentile lies between the extremes.
                Metric::Quantile(m, permille) => {
                    wants.extremes |= *m == Measure::Duration;
                    wants.add_number(m, Some(permille.0));
                }
            }
        }
        wants.counts &= !wants.outcomes;
        wants.duration_permilles.sort_unstable();
        wants.numbers.iter_mut().for_each(|n| n.permilles.sort_unstable());
        (wants, dictionaries)
    }

    fn add_number(&mut self, measure: &Measure, permille: Option<u16>) {
        let permilles = if *measure == Measure::Duration {
            &mut self.duration_permilles
        } else {
            let n = self.numbers.iter().position(|n| n.measure == *measure).unwrap_or_else(|| {
                let permilles = Vec::new();
                self.numbers.push(WantedNumber { measure: measure.clone(), permilles });
                self.numbers.len() - 1
            });
            &mut self.numbers[n].permilles
        };
        permille.into_iter().for_each(|p| add_new(permilles, p));
    }

    /// Whether histograms of durations are needed.
    pub(super) fn duration_buckets(&self) -> bool {
        !self.duration_permilles.is_empty()
    }

    /// Whether the answer depends on the order in which rows are added: sums of doubles do.
    pub(super) fn order_matters(&self) -> bool {
        !self.numbers.is_empty()
    }
}

fn add_new<T: PartialEq>(list: &mut Vec<T>, entry: T) {
    if !list.contains(&entry) {
        list.push(entry);
    }
}
