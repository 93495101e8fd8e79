//! What happened in a range of the feed, as the text that its watchers get.
//!
//! *Invariants*: a text depends on the range, the row policy and the filter alone, so whoever has the
//! same ones shares it. Its counts are exact whatever it shows; ranges of texts made one after the
//! other join.

use crate::query::render::write_execution;
use crate::query::{self, filter::Filter};
use bytes::Bytes;
use std::io::Write;
use storage::aggregate::select;
use storage::ask::{Predicate, Selection};
use storage::batch::RowBatch;
use storage::engine::FeedItem;
use storage::row::{Seq, TimeMs};
use xxhash_rust::xxh3::xxh3_64;

/// Most executions that are told whole; the contract's number.
pub(super) const EXECUTIONS_MAX: usize = 100;

/// Bytes of executions after which no further one is told: several clients' libraries refuse messages
/// over 1 MiB. One that is longer is told all the same, for it is at most some 80 KiB.
const EXECUTIONS_BYTES_MAX: usize = 512 << 10;

/// Which rows a subscription is about: those that its owner may see and its filter lets through.
#[derive(Debug)]
pub(super) struct View {
    /// `None`: no row of this tenant passes.
    selection: Option<Selection>,
    hash: u64,
}

impl View {
    /// The rows that pass `policy` and `filters` in the tenant called `organization_id`.
    pub(super) fn new(organization_id: &str, policy: &[Predicate], filters: &[Filter]) -> Self {
        let predicates = query::run::predicates_of(organization_id, policy, filters);
        let selection = predicates.map(|predicates| Selection { predicates, ..Selection::all() });
        let hash = xxh3_64(format!("{selection:?}").as_bytes());
        Self { selection, hash }
    }

    fn select(&self, rows: &RowBatch) -> Vec<u32> {
        self.selection.as_ref().map_or_else(Vec::new, |selection| select(rows, selection))
    }
}

impl PartialEq for View {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.selection == other.selection
    }
}

/// What all texts have in common.
#[derive(Clone, Debug)]
pub(super) struct Envelope<'a> {
    pub(super) tenant_id: &'a str,
    pub(super) now_ms: TimeMs,
}

/// The range of `items`: its first seq, and the one after its last.
pub(super) fn range_of(items: &[FeedItem]) -> Option<(Seq, Seq)> {
    Some((items.first()?.first, items.last()?.last + 1))
}

/// What happened in `items`, which are not none, for whoever has this view: the members of a JSON
/// object from `"type"` to its closing brace. The opening one, and the subscription's id, are each
/// subscriber's own.
pub(super) fn encode(items: &[FeedItem], view: &View, envelope: &Envelope<'_>) -> Bytes {
    let Some((first, next)) = range_of(items) else { return Bytes::new() };
    let rows = items.iter().filter_map(|item| item.entry.rows());
    let passing: Vec<(&RowBatch, Vec<u32>)> =
        rows.map(|rows| (rows, view.select(rows))).filter(|(_, rows)| !rows.is_empty()).collect();
    let (mut count, mut failures) = (0, 0);
    for (batch, rows) in &passing {
        count += rows.len();
        failures += rows.iter().filter(|&&row| batch.status(row as usize).is_failure()).count();
    }
    let mut text = Vec::with_capacity(256 + count.min(EXECUTIONS_MAX) * 256);
    let head = format!(
        "\"type\":\"metrics_update\",\"data\":{{\"first_seq\":{first},\"last_seq\":{},\
         \"count\":{count},\"failures\":{failures},\"executions\":[",
        next - 1
    );
    text.extend_from_slice(head.as_bytes());
    let shown = write_some(&mut text, &passing);
    let truncated = shown < count;
    text.extend_from_slice(format!("],\"truncated\":{truncated}}}").as_bytes());
    close(&mut text, envelope, next - 1);
    text.into()
}

/// Writes the first executions, and says how many those are.
fn write_some(text: &mut Vec<u8>, passing: &[(&RowBatch, Vec<u32>)]) -> usize {
    let before = text.len();
    let mut shown = 0;
    for (batch, rows) in passing {
        for &row in rows {
            if shown == EXECUTIONS_MAX || text.len() - before > EXECUTIONS_BYTES_MAX {
                return shown;
            }
            if shown > 0 {
                text.push(b',');
            }
            // Writing into memory does not fail.
            let _written = write_execution(text, batch, row as usize);
            shown += 1;
        }
    }
    shown
}

/// Ends a message with what every one has.
pub(super) fn close(text: &mut Vec<u8>, envelope: &Envelope<'_>, seq: Seq) {
    text.extend_from_slice(b",\"timestamp\":\"");
    let _written = query::render::write_time(text, envelope.now_ms);
    let _written = write!(text, "\",\"tenant_id\":\"{}\",\"seq\":{seq}}}", envelope.tenant_id);
}
