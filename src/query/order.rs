//! From groups in any order to the rows of an answer: empty buckets filled, ordered, cut.

use super::bucket::Width;
use super::problem::QueryError;
use super::question::{Fill, LIMIT_MAX, OrderColumn, OrderKey, Question};
use hashbrown::HashMap;
use rayon::slice::ParallelSliceMut;
use std::cmp::Ordering;
use storage::ask::{Aggregated, Budget, Cell, GroupKeys, KeyColumn, Metric};
use storage::row::Dimension;

/// Most rows that filling may make: as many as an answer can have.
pub(crate) const FILL_ROWS_MAX: usize = LIMIT_MAX;

/// The cell of a group without any row.
pub(crate) fn empty_cell(metric: &Metric) -> Cell {
    match metric {
        Metric::Count | Metric::FailureCount | Metric::CountDistinct(_) => Cell::Int(0),
        _ => Cell::Null,
    }
}

/// The cell that [`Fill::Zero`] puts.
fn zero_cell(metric: &Metric) -> Cell {
    match empty_cell(metric) {
        Cell::Null => Cell::Float(0.0),
        counted => counted,
    }
}

/// The columns that the engine groups by: all but the tenant itself.
pub(crate) fn engine_groups(question: &Question) -> impl Iterator<Item = &Dimension> {
    question.group_by.iter().filter_map(|column| column.dimension.as_ref())
}

/// Whether there is one group by nature, whether it has rows or not: the whole.
pub(crate) fn has_one_group(question: &Question) -> bool {
    engine_groups(question).next().is_none()
}

/// Puts what is absent where an answer has it: in the fixed columns it is the empty word, for in them
/// the two are the same; a missing label stays missing and comes after every word.
pub(crate) fn place_absent(question: &Question, groups: &mut Aggregated) {
    for (column, dimension) in groups.keys.columns.iter_mut().zip(engine_groups(question)) {
        let Some(first @ None) = column.words.first_mut() else { continue };
        if !matches!(dimension, Dimension::Label(_)) {
            *first = Some("".into());
            continue;
        }
        column.words.rotate_left(1);
        let absent = column.words.len() as u32 - 1;
        column.codes.iter_mut().for_each(|code| *code = code.checked_sub(1).unwrap_or(absent));
    }
}

/// Adds the buckets that a combination of words lacks, for every combination there is.
pub(crate) fn fill_buckets(
    question: &Question,
    buckets: usize,
    groups: &mut Aggregated,
    budget: &Budget,
) -> Result<(), QueryError> {
    if question.fill == Fill::None || question.bucket == Width::None {
        return Ok(());
    }
    let per_group =
        size_of::<(Vec<u32>, Vec<u32>)>() + groups.keys.columns.len() * size_of::<u32>();
    budget.check(groups.keys.len() * per_group)?;
    let mut present: HashMap<Vec<u32>, Vec<u32>> = HashMap::new();
    for (n, &bucket) in groups.keys.buckets.iter().enumerate() {
        let words = groups.keys.columns.iter().map(|column| column.codes[n]);
        present.entry(words.collect()).or_default().push(bucket);
    }
    if present.is_empty() && has_one_group(question) {
        present.insert(Vec::new(), Vec::new());
    }
    let rows = present.len().saturating_mul(buckets);
    if rows > FILL_ROWS_MAX {
        let detail = format!(
            "filling would make {rows} rows, at most {FILL_ROWS_MAX} are allowed: choose wider \
             buckets, fewer groups or `fill` `none`"
        );
        return Err(QueryError::invalid("/fill", "fill_too_large", detail));
    }
    let key_bytes = (1 + groups.keys.columns.len()) * size_of::<u32>();
    budget.check(rows * (key_bytes + groups.cells.len() * size_of::<Cell>()))?;

    for (words, mut there) in present {
        there.sort_unstable();
        let mut there = there.into_iter().peekable();
        for bucket in 0..buckets as u32 {
            if there.next_if_eq(&bucket).is_none() {
                groups.keys.buckets.push(bucket);
                for (column, &word) in groups.keys.columns.iter_mut().zip(&words) {
                    column.codes.push(word);
                }
            }
        }
    }
    for (column, cells) in question.metrics.iter().zip(&mut groups.cells) {
        let filler =
            if question.fill == Fill::Zero { zero_cell(&column.metric) } else { Cell::Null };
        cells.resize(groups.keys.len(), filler);
    }
    Ok(())
}

/// The indices of the groups in the answer's order, at most `question.limit`. Equal ones order by
/// bucket and words, so that the same question always cuts at the same place. Computed by one thread, or
/// by all there are.
pub(crate) fn ordered(question: &Question, groups: &Aggregated, processors: usize) -> Vec<u32> {
    let compare = |&a: &u32, &b: &u32| {
        let (a, b) = (a as usize, b as usize);
        let by_key = |order: &OrderKey| compare_by(question, groups, order, a, b);
        let decided = question.order_by.iter().map(by_key).find(|o| o.is_ne());
        decided.unwrap_or_else(|| compare_keys(&groups.keys, a, b))
    };
    let mut order: Vec<u32> = (0..groups.keys.len() as u32).collect();
    if question.limit < order.len() {
        // Finding the first thousand of a million groups must not cost sorting the million.
        order.select_nth_unstable_by(question.limit, compare);
        order.truncate(question.limit);
    }
    match processors {
        1 => order.sort_unstable_by(compare),
        _ => order.par_sort_unstable_by(compare),
    }
    order
}

fn compare_keys(keys: &GroupKeys, a: usize, b: usize) -> Ordering {
    let words = || keys.columns.iter().map(|column| column.codes[a].cmp(&column.codes[b]));
    keys.buckets[a]
        .cmp(&keys.buckets[b])
        .then_with(|| words().fold(Ordering::Equal, Ordering::then))
}

fn compare_by(
    question: &Question,
    groups: &Aggregated,
    order: &OrderKey,
    a: usize,
    b: usize,
) -> Ordering {
    let keys = &groups.keys;
    match order.column {
        OrderColumn::Bucket => direct(keys.buckets[a].cmp(&keys.buckets[b]), order.desc),
        OrderColumn::Group(n) => match engine_group(question, n) {
            Some(n) => compare_words(&keys.columns[n], a, b, order.desc),
            None => Ordering::Equal,
        },
        OrderColumn::Metric(n) => compare_cells(groups.cells[n][a], groups.cells[n][b], order.desc),
    }
}

/// Where column `n` of `group_by` stands in the engine's keys; the tenant itself is not there.
pub(crate) fn engine_group(question: &Question, n: usize) -> Option<usize> {
    question.group_by[n].dimension.as_ref()?;
    Some(question.group_by[..n].iter().filter(|column| column.dimension.is_some()).count())
}

fn direct(ordering: Ordering, desc: bool) -> Ordering {
    if desc { ordering.reverse() } else { ordering }
}

/// Nulls come last whatever the direction.
fn nulls_last(a_null: bool, b_null: bool) -> Option<Ordering> {
    (a_null || b_null).then(|| a_null.cmp(&b_null))
}

fn compare_words(column: &KeyColumn, a: usize, b: usize, desc: bool) -> Ordering {
    let is_absent = |group: usize| column.word(group).is_none();
    nulls_last(is_absent(a), is_absent(b))
        .unwrap_or_else(|| direct(column.codes[a].cmp(&column.codes[b]), desc))
}

fn compare_cells(a: Cell, b: Cell, desc: bool) -> Ordering {
    let order = match (a, b) {
        (Cell::Int(a) | Cell::Micros(a), Cell::Int(b) | Cell::Micros(b)) => a.cmp(&b),
        _ => match (double(a), double(b)) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            (a, b) => return nulls_last(a.is_none(), b.is_none()).unwrap_or(Ordering::Equal),
        },
    };
    direct(order, desc)
}

/// A column has whole numbers or doubles, and both only where zeros were filled in.
fn double(cell: Cell) -> Option<f64> {
    match cell {
        Cell::Null => None,
        Cell::Int(n) | Cell::Micros(n) => Some(n as f64),
        // Minus zero is zero, and what is no number is shown as null.
        Cell::Float(0.0) => Some(0.0),
        Cell::Float(x) => x.is_finite().then_some(x),
    }
}
