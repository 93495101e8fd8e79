//! Reads one part after the other and adds it to a worker's tally.

use super::columns::{Codes, Columns};
use super::dictionary::Dictionary;
use super::group::Numbering;
use super::plan::{Step, borders_within, bucket_at, cuts};
use super::select::{Rows, keep_any, keep_predicate, keep_time, keep_words};
use super::tally::Tally;
use super::wants::Wants;
use super::{ColumnSet, Part, Partial, View};
use crate::ask::{AggregateRequest, AskError, Predicate};
use crate::row::{Dimension, TimeMs};

/// A question, ready to be answered.
pub(super) struct Question<'a> {
    pub(super) request: &'a AggregateRequest,
    pub(super) views: &'a [View],
    pub(super) wants: &'a Wants,
    pub(super) dictionaries: &'a [Dictionary],
}

/// What one worker does and has: its tally, and how it came about.
pub(super) struct Worker<'a> {
    question: &'a Question<'a>,
    pub(super) tally: Tally,
    /// Rows looked at one by one.
    pub(super) rows_scanned: u64,
    /// Parts whose columns were read.
    pub(super) scans: u64,
    /// Parts whose partials were read, by view.
    pub(super) partials: Vec<u64>,
    numbering: Numbering,
    table: Vec<u32>,
    known: Vec<u32>,
    codes: Vec<u32>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(question: &'a Question<'a>) -> Self {
        Self {
            question,
            tally: Tally::new(question.wants, question.dictionaries),
            rows_scanned: 0,
            scans: 0,
            partials: vec![0; question.views.len()],
            numbering: Numbering::default(),
            table: Vec::new(),
            known: Vec::new(),
            codes: Vec::new(),
        }
    }

    /// Adds what another worker has.
    pub(super) fn merge(&mut self, other: Self) {
        self.tally.merge(self.question.wants, other.tally);
        self.rows_scanned += other.rows_scanned;
        self.scans += other.scans;
        self.partials.iter_mut().zip(other.partials).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// Reads a part as planned; its columns if the partial turns out not to be there.
    pub(super) fn read(&mut self, step: &Step<'_>) -> Result<(), AskError> {
        let predicates = &self.question.request.selection.predicates;
        if !predicates.iter().all(|predicate| step.part.may_match(predicate)) {
            return Ok(());
        }
        if let Some(view) = step.view
            && let Some(partial) = step.part.partial(view)?
        {
            self.partials[view] += 1;
            self.read_partial(step.part, &self.question.views[view], &partial);
            return Ok(());
        }
        self.scans += 1;
        self.read_columns(step.part)
    }

    fn read_partial(&mut self, part: &dyn Part, view: &View, partial: &Partial) {
        let request = self.question.request;
        let (first, last) = part.time_range();
        // A grain may begin before the part, and before a border that cuts no row of it.
        let starts: Vec<TimeMs> = partial.grains.iter().map(|&g| g.max(first).min(last)).collect();
        let mut rows = Rows::Range(0..partial.groups());
        keep_time(&mut rows, &starts, true, &request.selection);
        let codes_of = |dimension: &Dimension| -> Codes<'_> {
            let place = view.dimensions.iter().position(|d| d == dimension);
            let words = place.and_then(|n| partial.dimensions.get(n));
            words.map_or(Codes::Words(None), |words| words.codes())
        };
        for predicate in &request.selection.predicates {
            keep_groups(&mut rows, &codes_of, predicate);
        }
        if rows.is_empty() {
            return;
        }
        let Question { wants, dictionaries, .. } = self.question;
        let column = |n: usize| codes_of(&dictionaries[n].dimension);
        self.number(part, Some(&starts), true, &rows, &column);
        let slots = &self.numbering.numbers;
        self.tally.add_partial(wants, dictionaries, partial, &column, &rows, slots);
    }

    /// Reads the columns of the predicates first, and the others only if a row passes.
    fn read_columns(&mut self, part: &dyn Part) -> Result<(), AskError> {
        let request = self.question.request;
        let selection = &request.selection;
        let (first, last) = part.time_range();
        let is_cut = cuts(selection.from_ms, first, last) || cuts(selection.to_ms, first, last);
        let is_split = !borders_within(request, first, last).is_empty();
        let all = ColumnSet::for_request(request, is_cut || is_split);
        let in_first = if selection.predicates.is_empty() {
            all.clone()
        } else {
            ColumnSet::for_selection(selection, is_cut)
        };
        let batch = part.columns(&in_first)?;
        let mut rows = Rows::Range(0..part.rows());
        let columns = Columns::whole(&batch);
        if is_cut {
            keep_time(&mut rows, columns.ts(), part.is_sorted(), selection);
        }
        self.rows_scanned += if part.is_sorted() { rows.len() } else { part.rows() } as u64;
        for predicate in &selection.predicates {
            keep_predicate(&mut rows, &columns, predicate);
        }
        if rows.is_empty() {
            return Ok(());
        }
        let in_rest = all.without(&in_first);
        let rest;
        let columns = if in_rest.is_empty() {
            columns
        } else {
            rest = part.columns(&in_rest)?;
            Columns::split(&batch, &in_first, &rest)
        };
        let Question { wants, dictionaries, .. } = self.question;
        let column = |n: usize| columns.dimension(&dictionaries[n].dimension);
        let ts = is_split.then(|| columns.ts());
        self.number(part, ts, part.is_sorted(), &rows, &column);
        self.tally.add_rows(wants, dictionaries, &columns, &rows, &self.numbering.numbers);
        Ok(())
    }

    /// Leaves the slot of each row in `numbering`. `ts` may be missing if the part lies within
    /// one bucket; `column` gives the column of a dictionary's dimension.
    fn number<'c>(
        &mut self,
        part: &dyn Part,
        ts: Option<&[TimeMs]>,
        sorted: bool,
        rows: &Rows,
        column: &dyn Fn(usize) -> Codes<'c>,
    ) {
        let Question { request, wants, dictionaries, .. } = self.question;
        let (first, last) = part.time_range();
        let first_bucket = bucket_at(request, first);
        let borders = borders_within(request, first, last);
        match ts {
            Some(ts) if !borders.is_empty() => self.numbering.begin_with(|numbers| {
                number_buckets(numbers, ts, sorted, rows, borders);
                borders.len() + 1
            }),
            _ => self.numbering.begin(rows.len()),
        }
        for &n in &wants.group_by {
            self.numbering.refine(&column(n), rows);
        }
        let firsts = self.numbering.close_up(&mut self.table);
        let width = 1 + wants.group_by.len();
        let mut keys = vec![first_bucket; firsts.len() * width];
        let first_rows = || firsts.iter().map(|&place| rows.row(place as usize));
        if let Some(ts) = ts {
            for (key, row) in keys.chunks_mut(width).zip(first_rows()) {
                key[0] += borders.partition_point(|&b| b <= ts[row]) as u32;
            }
        }
        for (place, &n) in wants.group_by.iter().enumerate() {
            dictionaries[n].translate(&column(n), first_rows(), &mut self.known, &mut self.codes);
            for (key, &code) in keys.chunks_mut(width).zip(&self.codes) {
                key[1 + place] = code;
            }
        }
        let groups = &mut self.tally.groups;
        let slots: Vec<u32> = keys.chunks(width).map(|key| groups.slot(key)).collect();
        self.numbering.map(&slots);
    }
}

/// Keeps the groups of a partial that pass `predicate`, which its view decides; `codes_of` gives the
/// column of a dimension.
fn keep_groups<'c>(
    rows: &mut Rows,
    codes_of: &dyn Fn(&Dimension) -> Codes<'c>,
    predicate: &Predicate,
) {
    match predicate {
        Predicate::Word(dimension, test) => {
            keep_words(rows, &codes_of(dimension), dimension, test);
        }
        Predicate::Any(predicates) => {
            keep_any(rows, predicates, &|rows, predicate| keep_groups(rows, codes_of, predicate));
        }
        Predicate::Number(..) | Predicate::IdIn(_) => {} // no view decides them
    }
}

/// Numbers rows by how many of the ascending `borders` they have passed.
fn number_buckets(
    numbers: &mut Vec<u32>,
    ts: &[TimeMs],
    sorted: bool,
    rows: &Rows,
    borders: &[TimeMs],
) {
    if let (true, Rows::Range(range)) = (sorted, rows) {
        let ts = &ts[range.clone()];
        for (number, &border) in (0..).zip(borders) {
            let end = ts.partition_point(|&t| t < border).max(numbers.len());
            numbers.resize(end, number);
        }
        numbers.resize(range.len(), borders.len() as u32);
        return;
    }
    let (mut start, mut end, mut number) = (TimeMs::MAX, TimeMs::MIN, 0);
    numbers.extend((0..rows.len()).map(|at| {
        let t = ts[rows.row(at)];
        if t < start || t >= end {
            number = borders.partition_point(|&b| b <= t);
            start = if number == 0 { TimeMs::MIN } else { borders[number - 1] };
            end = borders.get(number).copied().unwrap_or(TimeMs::MAX);
        }
        number as u32
    }));
}
