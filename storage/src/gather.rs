//! Puts rows of several batches into one: for sealing, merging, paging and group commits.

use crate::batch::{Ids, LabelColumn, NO_DURATION, NO_EXIT_CODE, RowBatch, ValueColumn};
use crate::row::Word;
use crate::words::{ABSENT, WordInterner, Words};
use std::sync::Arc;

/// A row of one of several batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// Index of the batch.
    pub part: u32,
    /// Index of the row in it.
    pub row: u32,
}

/// Every row of `parts` in the order of the parts.
pub fn all_rows(parts: &[&RowBatch]) -> Vec<Pick> {
    let mut picks = Vec::with_capacity(parts.iter().map(|p| p.len).sum());
    for (part, batch) in parts.iter().enumerate() {
        picks.extend((0..batch.len as u32).map(|row| Pick { part: part as u32, row }));
    }
    picks
}

/// The rows `picks` of `parts`, in that order, as one batch. Words are numbered anew in order of
/// first appearance, and words that no picked row uses are gone.
pub fn gather(parts: &[&RowBatch], picks: &[Pick]) -> RowBatch {
    let copy = Columns { parts, picks };
    let mut words: [Words; Word::ALL.len()] = Default::default();
    for (n, column) in words.iter_mut().enumerate() {
        *column = copy.words(|part| Some(&part.words[n]));
    }
    RowBatch {
        len: picks.len(),
        ids: copy.ids(),
        ts: copy.plain(|part| &part.ts, 0),
        ts_given: copy.plain(|part| &part.ts_given, true),
        received: copy.plain(|part| &part.received, 0),
        seq: copy.plain(|part| &part.seq, 0),
        words,
        status: copy.plain(|part| &part.status, 0),
        actor: copy.plain(|part| &part.actor, 0),
        duration: copy.plain(|part| &part.duration, NO_DURATION),
        exit_code: copy.plain(|part| &part.exit_code, NO_EXIT_CODE),
        labels: copy.labels(),
        values: copy.values(),
    }
}

/// The picks in order of `(ts, seq)`; both columns must be filled.
pub fn sort_by_time(parts: &[&RowBatch], picks: &mut [Pick]) {
    let key = |pick: &Pick| {
        let part = parts[pick.part as usize];
        (part.ts[pick.row as usize], part.seq[pick.row as usize])
    };
    if !picks.is_sorted_by_key(key) {
        picks.sort_by_cached_key(key);
    }
}

struct Columns<'a> {
    parts: &'a [&'a RowBatch],
    picks: &'a [Pick],
}

impl<'a> Columns<'a> {
    /// A column of plain values; stays empty if every picked row has `absent`.
    fn plain<T: Copy + PartialEq + 'a>(
        &self,
        column: impl Fn(&'a RowBatch) -> &'a Vec<T>,
        absent: T,
    ) -> Vec<T> {
        let columns: Vec<&[T]> = self.parts.iter().map(|part| column(part).as_slice()).collect();
        if columns.iter().all(|c| c.is_empty()) {
            return Vec::new();
        }
        let of = |pick: &Pick| {
            columns[pick.part as usize].get(pick.row as usize).copied().unwrap_or(absent)
        };
        self.picks.iter().map(of).collect()
    }

    fn words(&self, column: impl Fn(&'a RowBatch) -> Option<&'a Words>) -> Words {
        let columns: Vec<Option<&Words>> = self.parts.iter().map(|part| column(part)).collect();
        if columns.iter().flatten().all(|words| words.codes.is_empty()) {
            return Words::default();
        }
        // For every part, the new code of each old one; ABSENT where it has none yet.
        let mut recoded: Vec<Vec<u32>> = columns
            .iter()
            .map(|words| vec![ABSENT; words.map_or(0, |w| w.table.len()) + 1])
            .collect();
        let mut interner = WordInterner::default();
        let mut codes = Vec::with_capacity(self.picks.len());
        for pick in self.picks {
            let part = pick.part as usize;
            let old = columns[part]
                .and_then(|words| words.codes.get(pick.row as usize))
                .copied()
                .unwrap_or(ABSENT);
            let known = recoded[part][old as usize];
            if old == ABSENT || known != ABSENT {
                codes.push(known);
                continue;
            }
            let word = columns[part].and_then(|words| words.table.get(old)).unwrap_or_default();
            let code = interner.code(word);
            recoded[part][old as usize] = code;
            codes.push(code);
        }
        let table = interner.into_table();
        if table.is_empty() { Words::default() } else { Words { codes, table } }
    }

    fn ids(&self) -> Ids {
        let mut ids = Ids::default();
        if self.parts.iter().all(|part| part.ids.slots.is_empty()) {
            return ids;
        }
        ids.slots.reserve(self.picks.len());
        for pick in self.picks {
            ids.push(self.parts[pick.part as usize].ids.get(pick.row as usize));
        }
        ids
    }

    fn labels(&self) -> Vec<LabelColumn> {
        let keys = distinct(self.parts.iter().flat_map(|part| part.labels.iter().map(|c| &c.key)));
        let columns = keys
            .into_iter()
            .map(|key| LabelColumn { words: self.words(|part| part.label(&key)), key });
        columns.filter(|column| !column.words.codes.is_empty()).collect()
    }

    fn values(&self) -> Vec<ValueColumn> {
        let keys = distinct(self.parts.iter().flat_map(|part| part.values.iter().map(|c| &c.key)));
        let columns = keys.into_iter().map(|key| {
            let of: Vec<Option<&[f64]>> = self.parts.iter().map(|part| part.value(&key)).collect();
            let value = |pick: &Pick| {
                let column = of[pick.part as usize];
                column.and_then(|c| c.get(pick.row as usize)).copied().unwrap_or(f64::NAN)
            };
            ValueColumn { values: self.picks.iter().map(value).collect(), key }
        });
        columns.filter(|column| column.values.iter().any(|v| !v.is_nan())).collect()
    }
}

/// The keys without repeats, in order of first appearance.
fn distinct<'a>(keys: impl Iterator<Item = &'a Arc<str>>) -> Vec<Arc<str>> {
    let mut seen = hashbrown::HashSet::new();
    keys.filter(|key| seen.insert(Arc::clone(key))).cloned().collect()
}
