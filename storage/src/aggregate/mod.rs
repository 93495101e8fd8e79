//! Groups and aggregates rows: from the columns of parts, or from their partial aggregates.

mod part;
mod partial;
mod view;

pub use part::{ColumnSet, KeySet, Part};
pub use partial::Partial;
pub use view::{View, default_views};

use crate::ask::{AggregateRequest, Aggregated, AskError, Budget, Selection, Source};
use crate::batch::RowBatch;

/// Answers `request` from `parts`. `as_of_seq` of the answer is 0: the caller knows it. Without
/// a row that passes there is no group, also when nothing is grouped by.
pub fn aggregate(
    _parts: &[&dyn Part],
    _views: &[View],
    _request: &AggregateRequest,
    _budget: &Budget,
) -> Result<Aggregated, AskError> {
    Ok(Aggregated {
        keys: Vec::new(),
        cells: Vec::new(),
        source: Source::Scan,
        view: None,
        rows_scanned: 0,
        as_of_seq: 0,
    })
}

/// The indices of the rows of `batch` that pass, ascending. `batch` has at least the columns of
/// [`ColumnSet::for_selection`]; without `ts` every row is taken to lie in the time range.
pub fn select(_batch: &RowBatch, _selection: &Selection) -> Vec<u32> {
    Vec::new()
}

/// Fewest rows a group must have on average for a partial to be kept. Below that a partial is
/// nearly as large and as slow as the columns it stands for.
pub const PARTIAL_ROWS_PER_GROUP_MIN: usize = 16;

/// Whether a partial of `groups` groups over `rows` rows is worth its space.
pub fn worth_keeping(groups: usize, rows: usize) -> bool {
    groups.saturating_mul(PARTIAL_ROWS_PER_GROUP_MIN) <= rows
}
