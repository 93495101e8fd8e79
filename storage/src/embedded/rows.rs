//! Reading rows one by one: pages, by id, by seq, and all of them in order of time.

use super::block::Block;
use super::keyspace::{EmbeddedKeyspace, State};
use super::tail::TailBatch;
use crate::aggregate::{ColumnSet, Part, select};
use crate::ask::{AskError, Budget, Predicate, Selection};
use crate::batch::RowBatch;
use crate::codec::filter::FilterRef;
use crate::engine::PageCursor;
use crate::error::StoreError;
use crate::gather::{Pick, gather};
use crate::row::{RowId, Seq, TimeMs};
use std::sync::Arc;

/// A block or a batch of the tail.
#[derive(Clone)]
enum Piece {
    Sealed(Arc<Block>),
    Unsealed(Arc<TailBatch>),
}

impl Piece {
    fn all_of(state: &State) -> Vec<Self> {
        let sealed = state.blocks.iter().cloned().map(Self::Sealed);
        sealed.chain(state.tail.iter().cloned().map(Self::Unsealed)).collect()
    }

    fn range(&self) -> (TimeMs, TimeMs) {
        match self {
            Self::Sealed(block) => block.time_range(),
            Self::Unsealed(batch) => batch.time_range(),
        }
    }

    fn is_in_time(&self, selection: &Selection) -> bool {
        let (min, max) = self.range();
        max >= selection.from_ms && min < selection.to_ms
    }

    /// Whether a row can pass: may read tables of words and filters.
    fn may_match(&self, selection: &Selection) -> bool {
        match self {
            Self::Sealed(block) => selection.predicates.iter().all(|p| may_pass(block, p)),
            Self::Unsealed(_) => true,
        }
    }

    fn seq_range(&self) -> Option<(Seq, Seq)> {
        match self {
            Self::Sealed(block) => Some((block.entry.seq_min, block.entry.seq_max)),
            Self::Unsealed(batch) => Some((*batch.rows.seq.first()?, *batch.rows.seq.last()?)),
        }
    }

    fn columns(&self, want: &ColumnSet) -> Result<Arc<RowBatch>, StoreError> {
        match self {
            Self::Sealed(block) => block.columns(want),
            Self::Unsealed(batch) => batch.columns(want),
        }
    }

    /// The selected rows with all their columns.
    fn selected(&self, selection: &Selection) -> Result<Option<RowBatch>, StoreError> {
        let looked_at = self.columns(&ColumnSet::for_selection(selection, true))?;
        let rows = select(&looked_at, selection);
        if rows.is_empty() {
            return Ok(None);
        }
        let all = self.columns(&ColumnSet::all())?;
        let picks: Vec<Pick> = rows.into_iter().map(|row| Pick { part: 0, row }).collect();
        Ok(Some(gather(&[&all], &picks)))
    }
}

/// Whether a row of the block may pass `predicate`.
fn may_pass(block: &Block, predicate: &Predicate) -> bool {
    match predicate {
        Predicate::Any(predicates) => predicates.iter().any(|p| may_pass(block, p)),
        _ => block.may_match(predicate) && may_have_id(block, predicate).unwrap_or(true),
    }
}

/// Whether the block's filter lets one of the wanted ids pass.
fn may_have_id(block: &Block, predicate: &Predicate) -> Result<bool, StoreError> {
    let Predicate::IdIn(ids) = predicate else { return Ok(true) };
    let Some(filter) = block.filter()? else { return Ok(true) };
    let filter = FilterRef::parse(&filter)?;
    Ok(ids.iter().any(|id| filter.contains(RowId::parse(id).hash())))
}

/// Looks into a block for an id that no block has, as it is looked for one that a block has: where
/// other conditions than the id keep a row back, nothing tells whether there is one, time included.
fn hide_absence(pieces: &[Piece], selection: &Selection) -> Result<(), StoreError> {
    let is_id = |predicate: &&Predicate| matches!(predicate, Predicate::IdIn(_));
    let Some(by_id) = selection.predicates.iter().find(is_id) else { return Ok(()) };
    let Predicate::IdIn(ids) = by_id else { return Ok(()) };
    let Some(id) = ids.first().filter(|_| selection.predicates.len() > 1) else { return Ok(()) };
    let sealed = pieces.iter().filter_map(|piece| match piece {
        Piece::Sealed(block) => Some(block),
        Piece::Unsealed(_) => None,
    });
    let sealed: Vec<&Arc<Block>> = sealed.collect();
    if sealed.is_empty() || sealed.iter().any(|block| may_have_id(block, by_id).unwrap_or(true)) {
        return Ok(());
    }
    let block = sealed[(RowId::parse(id).hash() % sealed.len() as u64) as usize];
    let mut others = selection.predicates.iter().filter(|predicate| !is_id(predicate));
    if others.all(|predicate| may_pass(block, predicate)) {
        let looked_at = block.columns(&want_order(selection))?;
        std::hint::black_box(select(&looked_at, selection));
    }
    Ok(())
}

impl EmbeddedKeyspace {
    /// See [`crate::engine::Keyspace::page`].
    pub(super) fn read_page(
        &self,
        selection: &Selection,
        after: Option<PageCursor>,
        limit: usize,
        budget: &Budget,
    ) -> Result<RowBatch, AskError> {
        let state = self.state();
        let mut selection = selection.clone();
        if let Some((ts, _)) = after {
            selection.to_ms = selection.to_ms.min(ts.saturating_add(1));
        }
        let mut pieces = Piece::all_of(&state);
        pieces.retain(|piece| piece.is_in_time(&selection));
        hide_absence(&pieces, &selection)?;
        pieces.sort_by_key(|piece| std::cmp::Reverse(piece.range().1));
        let mut newest = Newest { rows: Vec::new(), keys: Vec::new(), limit };
        for piece in pieces {
            if newest.is_full_before(piece.range().1) {
                break;
            }
            budget.check(newest.heap_bytes())?;
            budget.turn(1)?.run(|| {
                if !piece.may_match(&selection) {
                    return Ok(());
                }
                let looked_at = piece.columns(&want_order(&selection))?;
                let mut rows = select(&looked_at, &selection);
                rows.retain(|&row| {
                    let key = (looked_at.ts[row as usize], looked_at.seq[row as usize]);
                    after.is_none_or(|after| key < after)
                });
                newest.add(&looked_at, &rows, || piece.columns(&ColumnSet::all()))
            })?;
        }
        Ok(newest.finish())
    }

    /// See [`crate::engine::Keyspace::find`].
    pub(super) fn find_rows(
        &self,
        id: RowId<'_>,
        ts_ms: Option<TimeMs>,
        predicates: &[Predicate],
    ) -> Result<RowBatch, AskError> {
        let mut selection = Selection { predicates: predicates.to_vec(), ..Selection::all() };
        selection.predicates.push(Predicate::IdIn(vec![id.to_string().into()]));
        if let Some(ts) = ts_ms {
            (selection.from_ms, selection.to_ms) = (ts, ts.saturating_add(1));
        }
        self.read_page(&selection, None, FOUND_ROWS_MAX, &Budget::default())
    }

    /// See [`crate::engine::Keyspace::rows_by_seq`].
    pub(super) fn read_by_seq(
        &self,
        from: Seq,
        to: Seq,
        limit: usize,
    ) -> Result<RowBatch, AskError> {
        let mut pieces: Vec<(Seq, Piece)> = Piece::all_of(&self.state())
            .into_iter()
            .filter_map(|piece| piece.seq_range().map(|range| (range, piece)))
            .filter(|((first, last), _)| *last >= from && *first <= to)
            .map(|((first, _), piece)| (first, piece))
            .collect();
        pieces.sort_by_key(|(first, _)| *first);
        // The smallest seqs so far, at most `limit`, and their rows.
        let (mut found, mut parts): (Vec<(Seq, Pick)>, Vec<RowBatch>) = (Vec::new(), Vec::new());
        let want = ColumnSet { seq: true, ..ColumnSet::default() };
        for (first, piece) in pieces {
            if found.len() >= limit && found.last().is_none_or(|(last, _)| *last < first) {
                break;
            }
            let seqs = piece.columns(&want)?;
            let mut mine: Vec<(Seq, u32)> =
                (0..).zip(&seqs.seq).map(|(row, &seq)| (seq, row)).collect();
            mine.retain(|(seq, _)| (from..=to).contains(seq));
            mine.sort_unstable();
            mine.truncate(limit);
            if mine.is_empty() {
                continue;
            }
            let all = piece.columns(&ColumnSet::all())?;
            let picks: Vec<Pick> = mine.iter().map(|&(_, row)| Pick { part: 0, row }).collect();
            let part = parts.len() as u32;
            parts.push(gather(&[&all], &picks));
            let numbered = (0..).zip(mine);
            found.extend(numbered.map(|(row, (seq, _))| (seq, Pick { part, row })));
            found.sort_unstable_by_key(|&(seq, _)| seq);
            found.truncate(limit);
        }
        let parts: Vec<&RowBatch> = parts.iter().collect();
        let picks: Vec<Pick> = found.into_iter().map(|(_, pick)| pick).collect();
        Ok(gather(&parts, &picks))
    }

    /// See [`crate::engine::Keyspace::scan`]. Blocks are opened when the scan reaches their
    /// time, so only those that overlap are in memory together.
    pub(super) fn scan_rows(
        &self,
        selection: &Selection,
        budget: &Budget,
        each: &mut dyn FnMut(&RowBatch) -> bool,
    ) -> Result<(), AskError> {
        let state = self.state();
        let mut waiting = Piece::all_of(&state);
        waiting.retain(|piece| piece.is_in_time(selection));
        hide_absence(&waiting, selection)?;
        waiting.sort_by_key(|piece| std::cmp::Reverse(piece.range().0));
        let mut open: Vec<RowBatch> = Vec::new();
        loop {
            let next = waiting.pop();
            budget.check(open.iter().map(RowBatch::heap_bytes).sum())?;
            // Everything before the next piece's time can be given out.
            let until = next.as_ref().map_or(TimeMs::MAX, |piece| piece.range().0);
            if !give_out(&mut open, until, next.is_none(), each) {
                return Ok(());
            }
            let Some(piece) = next else { return Ok(()) };
            // Never while it is given out: that may wait for a peer.
            budget.turn(1)?.run(|| match piece.may_match(selection) {
                true => piece.selected(selection).map(|rows| open.extend(rows)),
                false => Ok(()),
            })?;
        }
    }
}

/// Rows of one id that are looked at: an id repeats only with other times.
const FOUND_ROWS_MAX: usize = 1000;

/// What a page's order and selection need.
fn want_order(selection: &Selection) -> ColumnSet {
    let mut want = ColumnSet::for_selection(selection, true);
    want.seq = true;
    want
}

/// Gives out, in order, the rows of `open` before `until` (all of them at the end) and keeps the
/// others. Gives `false` if the receiver has had enough.
fn give_out(
    open: &mut Vec<RowBatch>,
    until: TimeMs,
    all: bool,
    each: &mut dyn FnMut(&RowBatch) -> bool,
) -> bool {
    /// Rows given out at once.
    const BATCH_ROWS: usize = 8192;
    let parts: Vec<&RowBatch> = open.iter().collect();
    let (mut now, mut later): (Vec<Pick>, Vec<Pick>) = (Vec::new(), Vec::new());
    for pick in crate::gather::all_rows(&parts) {
        let ts = parts[pick.part as usize].ts[pick.row as usize];
        if all || ts < until { now.push(pick) } else { later.push(pick) }
    }
    if now.is_empty() {
        return true;
    }
    crate::gather::sort_by_time(&parts, &mut now);
    for chunk in now.chunks(BATCH_ROWS) {
        if !each(&gather(&parts, chunk)) {
            return false;
        }
    }
    let rest = gather(&parts, &later);
    open.clear();
    if rest.len > 0 {
        open.push(rest);
    }
    true
}

/// The newest rows seen so far, at most `limit`.
struct Newest {
    rows: Vec<RowBatch>,
    keys: Vec<(PageCursor, Pick)>,
    limit: usize,
}

impl Newest {
    fn heap_bytes(&self) -> usize {
        self.rows.iter().map(RowBatch::heap_bytes).sum()
    }

    /// Whether no row at or before `ts_max` can still belong to the page.
    fn is_full_before(&self, ts_max: TimeMs) -> bool {
        self.keys.len() >= self.limit
            && self.keys.last().is_none_or(|((oldest, _), _)| *oldest > ts_max)
    }

    fn add(
        &mut self,
        looked_at: &RowBatch,
        rows: &[u32],
        all_columns: impl FnOnce() -> Result<Arc<RowBatch>, StoreError>,
    ) -> Result<(), StoreError> {
        let part = self.rows.len() as u32;
        let mut keys: Vec<(PageCursor, u32)> = rows
            .iter()
            .map(|&row| ((looked_at.ts[row as usize], looked_at.seq[row as usize]), row))
            .collect();
        keys.sort_unstable_by(|a, b| b.cmp(a));
        keys.truncate(self.limit);
        if self.keys.len() >= self.limit {
            let oldest = self.keys.last().map(|(key, _)| *key);
            keys.retain(|(key, _)| oldest.is_none_or(|oldest| *key > oldest));
        }
        if keys.is_empty() {
            return Ok(());
        }
        // Only the rows that may be shown are kept, not their whole block.
        let all = all_columns()?;
        let picks: Vec<Pick> = keys.iter().map(|&(_, row)| Pick { part: 0, row }).collect();
        self.rows.push(gather(&[&all], &picks));
        let numbered = keys.into_iter().enumerate();
        self.keys.extend(numbered.map(|(n, (key, _))| (key, Pick { part, row: n as u32 })));
        self.keys.sort_unstable_by_key(|&(key, _)| std::cmp::Reverse(key));
        self.keys.truncate(self.limit);
        Ok(())
    }

    fn finish(self) -> RowBatch {
        let parts: Vec<&RowBatch> = self.rows.iter().collect();
        let picks: Vec<Pick> = self.keys.iter().map(|&(_, pick)| pick).collect();
        gather(&parts, &picks)
    }
}
