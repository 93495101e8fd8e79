//! Groups and aggregates rows: from the columns of parts, or from their partial aggregates.
//!
//! For each [`Part`] `plan` takes the cheaper of the two; the answer is the same bit for bit, for
//! durations are added as integers and percentiles are read from the same buckets (`histogram`)
//! either way. A worker per thread reads parts one after the other (`read`): it selects rows
//! (`select`), numbers them by group (`group`) and adds them to what it has (`tally`); at the end
//! the tallies are merged and become the answer (`answer`).
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
use dictionary::Dictionary;
use plan::Step;
use rayon::prelude::*;
use read::{Question, Worker};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use wants::Wants;

/// Fewest rows a group must have on average for a partial to be kept. Below that a partial is
/// nearly as large and as slow as the columns it stands for.
pub const PARTIAL_ROWS_PER_GROUP_MIN: usize = 16;

/// Whether a partial of `groups` groups over `rows` rows is worth its space.
pub fn worth_keeping(groups: usize, rows: usize) -> bool {
    groups.saturating_mul(PARTIAL_ROWS_PER_GROUP_MIN) <= rows
}

/// Tallies that are made where the order of rows matters, however many threads there are. More
/// would cost more merging, fewer would leave threads without work.
const ORDERED_TALLIES: usize = 8;

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
    let Worker { mut tally, rows_scanned, scans, partials, .. } =
        read_all(&question, &steps, budget)?;
    let slots = tally.groups.len();
    let answer_bytes = slots * (request.metrics.len() * size_of::<Cell>() + key_bytes(request));
    budget.check(tally.heap_bytes() + answer_bytes)?;
    let cells = answer::cells(&mut tally, &wants, &dictionaries, &request.metrics);
    let keys = answer::keys(&tally, &wants, dictionaries);
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

/// Has all parts read, by as many workers as there are threads. Where order does not matter, each
/// takes the next part when it is done with one; else each has its share from the start.
fn read_all<'a>(
    question: &'a Question<'a>,
    steps: &[Step<'_>],
    budget: &Budget,
) -> Result<Worker<'a>, AskError> {
    let progress = Progress { budget, used_bytes: AtomicUsize::new(0), failed: false.into() };
    let next = AtomicUsize::new(0);
    let shares: Vec<Share<'_, '_>> = if question.wants.order_matters() {
        let per_share = steps.len().div_ceil(ORDERED_TALLIES).max(1);
        steps.chunks(per_share).map(Share::Own).collect()
    } else {
        let workers = rayon::current_num_threads().min(steps.len());
        (0..workers).map(|_| Share::Next { steps, next: &next }).collect()
    };
    let workers = shares
        .into_par_iter()
        .map(|share| {
            let read = read_share(question, &share, &progress);
            if read.is_err() {
                progress.failed.store(true, Ordering::Relaxed);
            }
            read
        })
        .collect::<Result<Vec<_>, AskError>>()?;
    let mut workers = workers.into_iter();
    let mut all = workers.next().unwrap_or_else(|| Worker::new(question));
    for worker in workers {
        all.merge(worker);
        budget.check(all.tally.heap_bytes())?;
    }
    Ok(all)
}

/// The steps of one worker.
enum Share<'a, 'p> {
    /// These.
    Own(&'a [Step<'p>]),
    /// The next one that no other worker has taken.
    Next { steps: &'a [Step<'p>], next: &'a AtomicUsize },
}

/// What the workers know of each other.
struct Progress<'a> {
    budget: &'a Budget,
    used_bytes: AtomicUsize,
    failed: AtomicBool,
}

fn read_share<'a>(
    question: &'a Question<'a>,
    share: &Share<'_, '_>,
    progress: &Progress<'_>,
) -> Result<Worker<'a>, AskError> {
    let mut worker = Worker::new(question);
    let mut own_bytes = 0;
    for turn in 0.. {
        let step = match share {
            Share::Own(steps) => steps.get(turn),
            Share::Next { steps, next } => steps.get(next.fetch_add(1, Ordering::Relaxed)),
        };
        let Some(step) = step else { break };
        // Another worker's error is the answer; what is read from now on is not looked at.
        if progress.failed.load(Ordering::Relaxed) {
            break;
        }
        worker.read(step)?;
        let bytes = worker.tally.heap_bytes();
        let more = bytes.wrapping_sub(own_bytes);
        own_bytes = bytes;
        let tallies = progress.used_bytes.fetch_add(more, Ordering::Relaxed).wrapping_add(more);
        let words: usize = question.dictionaries.iter().map(Dictionary::heap_bytes).sum();
        progress.budget.check(tallies + words)?;
    }
    Ok(worker)
}
