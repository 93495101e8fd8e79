//! Decides for every part whether to read its partial, its columns or nothing.

use super::{Part, View};
use crate::ask::AggregateRequest;
use crate::row::TimeMs;

/// How a part is read.
#[derive(Clone, Copy)]
pub(super) struct Step<'a> {
    pub(super) part: &'a dyn Part,
    /// The view whose partial is read; `None`: the columns are.
    pub(super) view: Option<usize>,
}

/// The parts that have rows in the time range, each with how to read it.
pub(super) fn plan<'a>(
    parts: &[&'a dyn Part],
    views: &[View],
    request: &AggregateRequest,
) -> Vec<Step<'a>> {
    let covering: Vec<usize> = (0..views.len()).filter(|&n| views[n].covers(request)).collect();
    parts
        .iter()
        .filter(|part| may_contribute(**part, request))
        .map(|&part| Step { part, view: cheapest_view(part, &covering, request) })
        .collect()
}

fn may_contribute(part: &dyn Part, request: &AggregateRequest) -> bool {
    let selection = &request.selection;
    let (first, last) = part.time_range();
    part.rows() > 0
        && last >= selection.from_ms
        && first < selection.to_ms
        && selection.from_ms < selection.to_ms
}

/// Of the views that cover the question, the one whose partial of this part has fewest groups,
/// if every border of time within the part is one of its grains.
fn cheapest_view(part: &dyn Part, covering: &[usize], request: &AggregateRequest) -> Option<usize> {
    let with_groups = covering.iter().filter_map(|&n| Some((part.partial_groups(n)?, n)));
    let (_, view) = with_groups.min()?;
    let (first, last) = part.time_range();
    let grain_ms = part.grain_ms().max(1);
    let selection = &request.selection;
    let whole = |&border: &TimeMs| border.rem_euclid(grain_ms) == 0;
    (borders_within(request, first, last).iter().all(whole)
        && [selection.from_ms, selection.to_ms].iter().all(|b| !cuts(*b, first, last) || whole(b)))
    .then_some(view)
}

/// Whether some of the instants `first..=last` lie before `border` and some do not.
pub(super) fn cuts(border: TimeMs, first: TimeMs, last: TimeMs) -> bool {
    first < border && border <= last
}

/// The starts of buckets that cut `first..=last`.
pub(super) fn borders_within(request: &AggregateRequest, first: TimeMs, last: TimeMs) -> &[TimeMs] {
    let starts = &request.bucket_starts;
    // What is before the first start is in the first bucket too.
    let begin = starts.partition_point(|&s| s <= first).max(1).min(starts.len());
    let end = starts.partition_point(|&s| s <= last).max(begin);
    &starts[begin..end]
}

/// The bucket that `ts` lies in.
pub(super) fn bucket_at(request: &AggregateRequest, ts: TimeMs) -> u32 {
    request.bucket_starts.partition_point(|&s| s <= ts).saturating_sub(1) as u32
}
