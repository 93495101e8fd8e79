//! Groups and aggregates rows: from the columns of parts, or from their partial aggregates.
//!
//! For each [`Part`] `plan` takes the cheaper of the two; the answer is the same bit for bit, for
//! durations are added as integers and percentiles are read from the same buckets (`histogram`)
//! either way. A worker per thread reads parts one after the other (`read`), in turns with whoever
//! else asks (`rounds`): it selects rows (`select`), numbers them by group (`group`) and adds them to
//! what it has (`tally`); at the end the tallies are merged and become the answer (`answer`).
//!
//! *Invariant*: no answer depends on the number of threads or on which of them read what. Sums of
//! doubles, whose result depends on their order, are made in a fixed order.

mod answer;
mod columns;
mod dictionary;
mod distinct;
mod group;
mod histogram;
mod part;
mod partial;
mod partial_codec;
mod plan;
mod quantile;
mod read;
mod rounds;
mod runs;
mod select;
mod span;
mod stats;
mod tally;
mod view;
mod wants;

pub use histogram::{bucket_middle, bucket_of, bucket_of_duration};
pub use part::{ColumnSet, KeySet, Part};
pub use partial::Partial;
pub use select::select;
pub use view::{View, default_views};

use crate::ask::{AggregateRequest, Aggregated, AskError, Budget, Cell, Source};
use quantile::SLOTS_PER_TASK;
use read::{Question, Worker};
use wants::Wants;

/// Fewest rows a group must have on average for a partial to be kept. Below that a partial is
/// nearly as large and as slow as the columns it stands for.
pub const PARTIAL_ROWS_PER_GROUP_MIN: usize = 16;

/// Whether a partial of `groups` groups over `rows` rows is worth its space.
pub fn worth_keeping(groups: usize, rows: usize) -> bool {
    groups.saturating_mul(PARTIAL_ROWS_PER_GROUP_MIN) <= rows
}

/// Answers `request` from `parts`. `as_of_seq` of the answer is 0: the caller knows it. Without
/// a row that passes there is no group, also when nothing is grouped by.
///
/// Of `ExitCode`, an answer is computed like of any value.
pub fn aggregate(
    parts: &[&dyn Part],
    views: &[View],
    request: &AggregateRequest,
    budget: &Budget,
) -> Result<Aggregated, AskError> {
    budget.check(0)?;
    let steps = plan::plan(parts, views, request);
    let (wants, dictionaries) = Wants::of(request);
    let question = Question { request, views, wants: &wants, dictionaries: &dictionaries };
    let Worker { tally, rows_scanned, scans, partials, .. } =
        rounds::read_all(&question, &steps, budget)?;
    let slots = tally.groups.len();
    let is_much = slots > SLOTS_PER_TASK;
    let turn = budget.turn(if is_much { rayon::current_num_threads() } else { 1 })?;
    let answer_bytes = slots * (request.metrics.len() * size_of::<Cell>() + key_bytes(request));
    budget.check(tally.heap_bytes() + answer_bytes)?;
    let (keys, cells) = turn.run(|| {
        let (mut tally, processors) = (tally, turn.processors()); // freed in the turn, too
        let cells = answer::cells(&mut tally, &wants, &dictionaries, &request.metrics, processors);
        (answer::keys(&tally, &wants, dictionaries), cells)
    });
    let used = (0..views.len()).filter(|&n| partials[n] > 0).max_by_key(|&n| partials[n]);
    let source = match (used, scans) {
        (Some(_), 0) => Source::Rollup,
        (None, _) => Source::Scan,
        (Some(_), _) => Source::Mixed,
    };
    let view = used.map(|n| views[n].name.clone());
    Ok(Aggregated { keys, cells, source, view, rows_scanned, as_of_seq: 0 })
}

/// Bytes of a group's key in an answer.
fn key_bytes(request: &AggregateRequest) -> usize {
    (1 + request.group_by.len()) * size_of::<u32>()
}
