//! Asks a keyspace: from a checked question to the engine's request and from its groups to a
//! table.

use super::answer::{Answer, Table, Value, columns};
use super::bucket::{self, Width};
use super::filter::Filter;
use super::order;
use super::problem::QueryError;
use super::question::Question;
use std::sync::Arc;
use std::time::Instant;
use storage::ask::{
    AggregateRequest, Aggregated, Budget, GroupKeys, Predicate, Selection, Source, WordTest,
};
use storage::engine::Keyspace;
use storage::row::{Seq, TimeMs};

/// Groups that one thread puts into order, whoever else would help: it takes some milliseconds.
const ORDERED_BY_ONE_MAX: usize = 10_000;

/// Whose rows are asked, and which of them the caller may see.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The rows.
    pub keyspace: &'a dyn Keyspace,
    /// The keyspace's never-reused id; answers are cached under it.
    pub keyspace_id: &'a str,
    /// The tenant's id: the value of the constant dimension `organization_id`.
    pub organization_id: &'a str,
    /// The caller's row policy: rows that do not pass are not there for it.
    pub policy: &'a [Predicate],
    /// The same for what is computed over many rows. All that pass `policy` pass it.
    pub aggregates: &'a [Predicate],
}

impl<'a> Scope<'a> {
    /// The policy that an answer to `question` keeps to. What picks single rows out, by what hardly two
    /// have in common, is a question about rows.
    pub fn over(&self, question: &Question) -> &'a [Predicate] {
        match question.filters.iter().any(Filter::picks_rows) {
            true => self.policy,
            false => self.aggregates,
        }
    }
}

/// Answers `question`; `clock` measures `elapsed_ms`.
pub fn ask(
    scope: &Scope<'_>,
    question: &Question,
    budget: &Budget,
    clock: &dyn Fn() -> Instant,
) -> Result<Answer, QueryError> {
    let started = clock();
    let table = Arc::new(table(scope, question, budget)?);
    Ok(Answer { table, elapsed_ms: ms_since(started, clock), cached: false })
}

pub(crate) fn ms_since(started: Instant, clock: &dyn Fn() -> Instant) -> f64 {
    clock().saturating_duration_since(started).as_micros() as f64 / 1000.0
}

/// What `filters` and the row policy select; `None` if no row can pass.
pub(crate) fn predicates(scope: &Scope<'_>, filters: &[Filter]) -> Option<Vec<Predicate>> {
    predicates_of(scope.organization_id, scope.policy, filters)
}

/// What `filters` and a row policy select in the tenant called `organization_id`; `None` if no row can
/// pass.
pub(crate) fn predicates_of(
    organization_id: &str,
    policy: &[Predicate],
    filters: &[Filter],
) -> Option<Vec<Predicate>> {
    let mut predicates = policy.to_vec();
    for filter in filters {
        match filter {
            Filter::Row(predicate) => predicates.push(predicate.clone()),
            Filter::Organization(test) if word_passes(organization_id, test) => {}
            Filter::Organization(_) => return None,
        }
    }
    Some(predicates)
}

fn word_passes(word: &str, test: &WordTest) -> bool {
    match test {
        WordTest::In(words) => words.iter().any(|w| &**w == word),
        WordTest::NotIn(words) => words.iter().all(|w| &**w != word),
        WordTest::Prefix(prefix) => word.starts_with(&**prefix),
        WordTest::Present => !word.is_empty(),
        WordTest::Absent => word.is_empty(),
    }
}

/// The table that answers `question`.
pub(crate) fn table(
    scope: &Scope<'_>,
    question: &Question,
    budget: &Budget,
) -> Result<Table, QueryError> {
    budget.check(0)?;
    let policy = scope.over(question);
    let range = Range::of(scope.keyspace, policy, question, budget)?;
    let starts = bucket::starts(&question.zone, question.bucket, range.from, range.to)
        .map_err(|error| QueryError::invalid("/bucket", "too_many_buckets", error.to_string()))?;
    let selected = predicates_of(scope.organization_id, policy, &question.filters);
    let selected = selected.filter(|_| range.from < range.to);
    let mut groups = match selected {
        Some(predicates) => {
            let selection = Selection { from_ms: range.from, to_ms: range.to, predicates };
            let request = request(question, selection, starts.clone());
            scope.keyspace.aggregate(&request, budget)?
        }
        None => nothing(question, scope.keyspace.last_seq()?),
    };
    groups.as_of_seq = range.as_of(scope.keyspace, policy, groups.as_of_seq, budget)?;
    let is_much = groups.keys.len() > ORDERED_BY_ONE_MAX;
    let turn = budget.turn(if is_much { rayon::current_num_threads() } else { 1 })?;
    turn.run(|| {
        let mut groups = groups; // freed in the turn, too
        if !policy.is_empty() {
            withhold_plan(&mut groups);
        }
        if groups.keys.is_empty()
            && question.bucket == Width::None
            && order::has_one_group(question)
        {
            one_empty_group(question, &mut groups);
        }
        order::place_absent(question, &mut groups);
        order::fill_buckets(question, starts.len(), &mut groups, budget)?;
        build(scope, question, &starts, &groups, budget, turn.processors())
    })
}

/// The time range of a question whose ends may be left open.
struct Range {
    from: TimeMs,
    to: TimeMs,
    /// What the keyspace had, if an end was taken from it.
    taken: Option<Extent>,
}

/// The times of the rows that pass a policy, and the seq up to which these are all.
#[derive(Clone, Copy)]
struct Extent {
    times: Option<(TimeMs, TimeMs)>,
    last_seq: Seq,
}

impl Extent {
    fn of(
        keyspace: &dyn Keyspace,
        policy: &[Predicate],
        budget: &Budget,
    ) -> Result<Self, QueryError> {
        if policy.is_empty() {
            let stats = keyspace.stats()?;
            return Ok(Self { times: stats.time_range, last_seq: stats.last_seq });
        }
        let last_seq = keyspace.last_seq()?;
        let selection = Selection { predicates: policy.to_vec(), ..Selection::all() };
        let newest = keyspace.page(&selection, None, 1, budget)?.ts.first().copied();
        let mut oldest = None;
        keyspace.scan(&selection, budget, &mut |batch| {
            oldest = batch.ts.first().copied();
            oldest.is_none()
        })?;
        Ok(Self { times: oldest.zip(newest), last_seq })
    }
}

impl Range {
    /// Without buckets an open end is open. With buckets it is the earliest row's time, or just
    /// behind the latest row's: buckets need ends.
    fn of(
        keyspace: &dyn Keyspace,
        policy: &[Predicate],
        question: &Question,
        budget: &Budget,
    ) -> Result<Self, QueryError> {
        let (from, to) = (question.from, question.to);
        if question.bucket == Width::None || (from.is_some() && to.is_some()) {
            let (from, to) = (from.unwrap_or(TimeMs::MIN), to.unwrap_or(TimeMs::MAX));
            return Ok(Self { from, to, taken: None });
        }
        let taken = Extent::of(keyspace, policy, budget)?;
        let (from, to) = match taken.times {
            Some((earliest, latest)) => {
                (from.unwrap_or(earliest), to.unwrap_or(latest.saturating_add(1)))
            }
            // No row, no range: one given end alone spans nothing.
            None => (0, 0),
        };
        Ok(Self { from, to, taken: Some(taken) })
    }

    /// The seq up to which an answer over this range is complete. If rows widened the keyspace's
    /// range while it was being asked, the answer has none of those outside, and may only claim
    /// what was there when the range was taken.
    fn as_of(
        &self,
        keyspace: &dyn Keyspace,
        policy: &[Predicate],
        seq: Seq,
        budget: &Budget,
    ) -> Result<Seq, QueryError> {
        let Some(taken) = self.taken else { return Ok(seq) };
        if seq == taken.last_seq || Extent::of(keyspace, policy, budget)?.times == taken.times {
            return Ok(seq);
        }
        Ok(taken.last_seq.min(seq))
    }
}

fn request(question: &Question, selection: Selection, starts: Vec<TimeMs>) -> AggregateRequest {
    AggregateRequest {
        selection,
        bucket_starts: starts,
        group_by: order::engine_groups(question).cloned().collect(),
        metrics: question.metrics.iter().map(|column| column.metric.clone()).collect(),
        partials: true,
    }
}

/// How an answer was found tells which words and ids there are, also in rows that may not be seen: what
/// has none of them is not read.
fn withhold_plan(groups: &mut Aggregated) {
    (groups.source, groups.view, groups.rows_scanned) = (Source::Scan, None, 0);
}

fn nothing(question: &Question, as_of_seq: Seq) -> Aggregated {
    Aggregated {
        keys: GroupKeys::none(order::engine_groups(question).count()),
        cells: vec![Vec::new(); question.metrics.len()],
        source: Source::Scan,
        view: None,
        rows_scanned: 0,
        as_of_seq,
    }
}

/// A count over no rows is 0 and not a table without rows.
fn one_empty_group(question: &Question, groups: &mut Aggregated) {
    groups.keys.buckets.push(0);
    for (column, cells) in question.metrics.iter().zip(&mut groups.cells) {
        cells.push(order::empty_cell(&column.metric));
    }
}

fn build(
    scope: &Scope<'_>,
    question: &Question,
    starts: &[TimeMs],
    groups: &Aggregated,
    budget: &Budget,
    processors: usize,
) -> Result<Table, QueryError> {
    let columns = columns(question);
    let rows = order::ordered(question, groups, processors);
    let bytes = rows.len() * columns.len() * size_of::<Value>();
    budget.check(bytes)?;
    let organization: Arc<str> = scope.organization_id.into();
    let places: Vec<_> =
        (0..question.group_by.len()).map(|n| order::engine_group(question, n)).collect();
    let mut cells = Vec::with_capacity(rows.len() * columns.len());
    for &row in &rows {
        let row = row as usize;
        if question.bucket != Width::None {
            let bucket = groups.keys.buckets[row];
            cells.push(starts.get(bucket as usize).map_or(Value::Null, |&t| Value::Time(t)));
        }
        cells.extend(places.iter().map(|place| match place {
            None => Value::Text(organization.clone()),
            Some(n) => {
                let word = groups.keys.columns[*n].word(row);
                word.map_or(Value::Null, |word| Value::Text(Arc::clone(word)))
            }
        }));
        let metrics = question.metrics.iter().zip(&groups.cells);
        cells.extend(metrics.map(|(column, cells)| Value::of_cell(cells[row], &column.metric)));
    }
    Ok(Table {
        columns,
        cells,
        source: groups.source,
        view: groups.view.clone(),
        rows_scanned: groups.rows_scanned,
        as_of_seq: groups.as_of_seq,
        truncated: rows.len() < groups.keys.len(),
    })
}
