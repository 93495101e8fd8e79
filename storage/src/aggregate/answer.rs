//! Turns what has been accumulated into keys and cells.

use super::dictionary::Dictionary;
use super::histogram::bucket_middle;
use super::quantile::{Histograms, NO_BUCKET};
use super::stats::NumberStats;
use super::tally::{Outcomes, Tally};
use super::wants::Wants;
use crate::ask::{Cell, GroupKeys, KeyColumn, Metric};
use crate::row::{Dimension, Status};
use std::sync::Arc;

/// The key of every slot.
pub(super) fn keys(tally: &Tally, wants: &Wants, dictionaries: Vec<Dictionary>) -> GroupKeys {
    let words: Vec<_> = dictionaries.into_iter().map(Dictionary::into_words).collect();
    let slots = 0..tally.groups.len();
    let column = |(place, &n): (usize, &usize)| {
        let code_of = |slot| tally.groups.key(slot)[1 + place];
        ranked(&words[n], slots.clone().map(code_of))
    };
    GroupKeys {
        buckets: slots.clone().map(|slot| tally.groups.key(slot)[0]).collect(),
        columns: wants.group_by.iter().enumerate().map(column).collect(),
    }
}

/// Numbers `words` in their order, and `codes`, which count them as they are, accordingly.
fn ranked(words: &[Option<Arc<str>>], codes: impl Iterator<Item = u32>) -> KeyColumn {
    let mut order: Vec<u32> = (0..words.len() as u32).collect();
    order.sort_unstable_by_key(|&code| &words[code as usize]);
    let mut ranks = vec![0; words.len()];
    for (rank, &code) in (0..).zip(&order) {
        ranks[code as usize] = rank;
    }
    KeyColumn {
        words: order.into_iter().map(|code| words[code as usize].clone()).collect(),
        codes: codes.map(|code| ranks[code as usize]).collect(),
    }
}

/// Percentiles of one measure, by slot and percentile.
struct Quantiles<'a> {
    permilles: &'a [u16],
    buckets: Vec<i32>,
}

impl<'a> Quantiles<'a> {
    fn of(
        histograms: &mut Histograms,
        permilles: &'a [u16],
        slots: usize,
        processors: usize,
    ) -> Self {
        Self { permilles, buckets: histograms.select(permilles, slots, processors) }
    }

    /// The percentile of every slot, clamped into what [`min`, `max`](NumberStats) say.
    fn cells(&self, permille: u16, range: impl Fn(usize) -> (f64, f64)) -> Vec<Cell> {
        let place = self.permilles.iter().position(|&p| p == permille).unwrap_or(0);
        let buckets = self.buckets.chunks(self.permilles.len().max(1)).map(|c| c[place]);
        let cell = |(slot, bucket)| match bucket {
            NO_BUCKET => Cell::Null,
            bucket => {
                let (min, max) = range(slot);
                Cell::Float(bucket_middle(bucket).max(min).min(max))
            }
        };
        buckets.enumerate().map(cell).collect()
    }
}

/// For each metric, a cell per slot; computed by up to `processors` threads.
pub(super) fn cells(
    tally: &mut Tally,
    wants: &Wants,
    dictionaries: &[Dictionary],
    metrics: &[Metric],
    processors: usize,
) -> Vec<Vec<Cell>> {
    let slots = tally.groups.len();
    let permilles = &wants.duration_permilles;
    let duration = Quantiles::of(&mut tally.duration_buckets, permilles, slots, processors);
    let numbers: Vec<Quantiles<'_>> = wants
        .numbers
        .iter()
        .zip(&mut tally.numbers)
        .map(|(want, (_, histograms))| {
            Quantiles::of(histograms, &want.permilles, slots, processors)
        })
        .collect();
    let distinct: Vec<Vec<Cell>> =
        tally.distinct.drain(..).map(|d| ints(d.counts(slots).into_iter())).collect();
    let tally = &*tally;
    let distinct_place = |dimension: &Dimension| {
        let is_it = |&n: &usize| dictionaries[n].dimension == *dimension;
        wants.distinct.iter().position(is_it)
    };
    metrics
        .iter()
        .map(|metric| match metric {
            Metric::Count if wants.counts => ints(tally.counts.iter().copied()),
            Metric::Count => ints(tally.outcomes.iter().map(|o| o.iter().sum())),
            Metric::FailureCount => ints(tally.outcomes.iter().map(failures)),
            Metric::SuccessRate => tally.outcomes.iter().map(success_rate).collect(),
            Metric::CountDistinct(dimension) => {
                distinct_place(dimension).map_or_else(Vec::new, |n| distinct[n].clone())
            }
            Metric::Sum(m)
            | Metric::Avg(m)
            | Metric::Min(m)
            | Metric::Max(m)
            | Metric::Stddev(m)
            | Metric::Quantile(m, _) => match wants.numbers.iter().position(|n| n.measure == *m) {
                Some(n) => number_cells(metric, &tally.numbers[n].0, &numbers[n]),
                None => duration_cells(metric, tally, &duration),
            },
        })
        .collect()
}

fn ints(numbers: impl Iterator<Item = u64>) -> Vec<Cell> {
    numbers.map(|n| Cell::Int(n.into())).collect()
}

fn failures(outcomes: &Outcomes) -> u64 {
    Status::ALL.iter().filter(|s| s.is_failure()).map(|&s| outcomes[s as usize]).sum()
}

fn success_rate(outcomes: &Outcomes) -> Cell {
    let known = outcomes.iter().sum::<u64>() - outcomes[Status::Unknown as usize];
    if known == 0 {
        return Cell::Null;
    }
    Cell::Float(outcomes[Status::Success as usize] as f64 / known as f64)
}

/// A double that is one; a sum of squares beyond a double has no deviation.
fn float(number: Option<f64>) -> Cell {
    number.filter(|x| !x.is_nan()).map_or(Cell::Null, Cell::Float)
}

fn duration_cells(metric: &Metric, tally: &Tally, quantiles: &Quantiles<'_>) -> Vec<Cell> {
    let (sums, extremes) = (&tally.duration_sums, &tally.extremes);
    let micros = |is_known: bool, us: u128| {
        if is_known { Cell::Micros(us as i128) } else { Cell::Null }
    };
    match metric {
        Metric::Sum(_) => sums.iter().map(|s| micros(s.known > 0, s.sum)).collect(),
        Metric::Avg(_) => sums.iter().map(|s| float(s.mean())).collect(),
        Metric::Stddev(_) => sums.iter().map(|s| float(s.deviation())).collect(),
        Metric::Min(_) => extremes.iter().map(|e| micros(e.min <= e.max, e.min.into())).collect(),
        Metric::Max(_) => extremes.iter().map(|e| micros(e.min <= e.max, e.max.into())).collect(),
        Metric::Quantile(_, permille) => quantiles
            .cells(permille.0, |slot| (extremes[slot].min as f64, extremes[slot].max as f64)),
        Metric::Count | Metric::FailureCount | Metric::SuccessRate | Metric::CountDistinct(_) => {
            Vec::new()
        }
    }
}

fn number_cells(metric: &Metric, stats: &[NumberStats], quantiles: &Quantiles<'_>) -> Vec<Cell> {
    let known = |s: &NumberStats, number: f64| float((s.known > 0).then_some(number));
    match metric {
        Metric::Sum(_) => stats.iter().map(|s| float(s.sum())).collect(),
        Metric::Min(_) => stats.iter().map(|s| known(s, s.min)).collect(),
        Metric::Max(_) => stats.iter().map(|s| known(s, s.max)).collect(),
        Metric::Avg(_) => stats.iter().map(|s| float(s.mean())).collect(),
        Metric::Stddev(_) => stats.iter().map(|s| float(s.deviation())).collect(),
        Metric::Quantile(_, permille) => {
            quantiles.cells(permille.0, |slot| (stats[slot].min, stats[slot].max))
        }
        Metric::Count | Metric::FailureCount | Metric::SuccessRate | Metric::CountDistinct(_) => {
            Vec::new()
        }
    }
}
