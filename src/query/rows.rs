//! Raw rows: by id, newest first in pages, and by seq.

use super::cursor::{self, Position};
use super::filter::{self, Filter};
use super::node::{Members, Node};
use super::params;
use super::problem::{Problems, QueryError};
use super::question::{read_limit, read_range};
use super::run::{Scope, predicates};
use super::when;
use storage::aggregate::select;
use storage::ask::{Budget, Selection};
use storage::batch::RowBatch;
use storage::row::{RowId, Seq, TimeMs};

/// Rows of a page unless the caller says otherwise.
pub const PAGE_DEFAULT: usize = 100;

/// Most rows of a page: a page is held in memory whole.
pub const PAGE_MAX: usize = 10_000;

/// Rows read at once when a range of seqs is filtered.
const SEQ_CHUNK: usize = 4_096;

/// Which rows are wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct RowsQuestion {
    /// First instant; `None`: from the earliest row on.
    pub from: Option<TimeMs>,
    /// Last instant, exclusive; `None`: to the latest row.
    pub to: Option<TimeMs>,
    /// First and last seq: rows come ascending by seq instead of newest first.
    pub seqs: Option<(Seq, Seq)>,
    /// All must hold.
    pub filters: Vec<Filter>,
    /// Most rows of the page.
    pub limit: usize,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

const KEYS: [&str; 7] = ["from", "to", "from_seq", "to_seq", "filters", "limit", "cursor"];

impl RowsQuestion {
    /// Reads the parameters `from to from_seq to_seq filter limit cursor`, in the syntax of
    /// [`params`].
    pub fn from_params<K: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, QueryError> {
        let mut problems = Problems::default();
        let tree = params::tree(pairs, &mut problems);
        let Some(mut members) = Members::open(tree, "", &KEYS, &mut problems) else {
            return Err(QueryError::invalid("", "wrong_type", "must be an object"));
        };
        let (from, to) = read_range(&mut members, &mut problems);
        let seqs = read_seqs(&mut members, &mut problems);
        let filters = filter::read_all(&mut members, &mut problems);
        let limit = read_limit(&mut members, PAGE_DEFAULT, PAGE_MAX, &mut problems);
        let cursor = members.take("cursor").and_then(|(node, _)| node.text().map(str::to_owned));
        problems.none()?;
        Ok(Self { from, to, seqs, filters, limit, cursor })
    }

    /// Which rows those are; `None`: a filter on the organization excludes them all.
    pub fn selection(&self, scope: &Scope<'_>) -> Option<Selection> {
        Some(Selection {
            from_ms: self.from.unwrap_or(TimeMs::MIN),
            to_ms: self.to.unwrap_or(TimeMs::MAX),
            predicates: predicates(scope, &self.filters)?,
        })
    }

    /// Whose rows and which: what a cursor of this list is bound to.
    fn fingerprint(&self, scope: &Scope<'_>) -> u64 {
        let mut filters: Vec<String> = self.filters.iter().map(|f| format!("{f:?}")).collect();
        filters.sort_unstable();
        cursor::fingerprint(&format!(
            "{:?} {:?} {:?} {:?} {:?} {filters:?}",
            scope.keyspace_id, scope.policy, self.from, self.to, self.seqs
        ))
    }
}

fn read_seqs(members: &mut Members, problems: &mut Problems) -> Option<(Seq, Seq)> {
    let mut seq = |key| {
        let (node, pointer) = members.take(key)?;
        match node.int().map(u64::try_from) {
            Some(Ok(seq)) => Some(seq),
            Some(Err(_)) => {
                problems.add(&pointer, "out_of_range", "must not be negative");
                None
            }
            None => {
                problems.add(&pointer, "wrong_type", "must be a whole number");
                None
            }
        }
    };
    let (from, to) = (seq("from_seq"), seq("to_seq"));
    if from.is_none() && to.is_none() {
        return None;
    }
    let seqs = (from.unwrap_or(0), to.unwrap_or(Seq::MAX));
    if seqs.0 > seqs.1 {
        problems.add("/to_seq", "empty_range", "`to_seq` must not be less than `from_seq`");
    }
    Some(seqs)
}

/// Some rows, where they lie.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    parts: Vec<(RowBatch, Vec<u32>)>,
    /// What the next page begins with; `None`: this is the last one.
    pub next_cursor: Option<String>,
}

impl Page {
    /// The rows in order, each as its batch and its place there.
    pub fn rows(&self) -> impl Iterator<Item = (&RowBatch, usize)> {
        self.parts.iter().flat_map(|(batch, rows)| rows.iter().map(move |&n| (batch, n as usize)))
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|(_, rows)| rows.len()).sum()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A page of the rows that `question` wants.
pub fn page(
    scope: &Scope<'_>,
    question: &RowsQuestion,
    budget: &Budget,
) -> Result<Page, QueryError> {
    budget.check(0)?;
    let print = question.fingerprint(scope);
    let start = question.cursor.as_deref().map(|text| cursor::decode(text, print)).transpose()?;
    let Some(selection) = question.selection(scope) else {
        return Ok(Page::default());
    };
    match (question.seqs, start) {
        (None, None) => newest(scope, &selection, None, question.limit, print, budget),
        (None, Some(Position::After(after))) => {
            newest(scope, &selection, Some(after), question.limit, print, budget)
        }
        (Some(seqs), None) => by_seq(scope, &selection, seqs, question.limit, print, budget),
        (Some((_, to)), Some(Position::Seq(from))) => {
            by_seq(scope, &selection, (from, to), question.limit, print, budget)
        }
        // The fingerprint covers the kind of list, so only a forged cursor comes here.
        _ => {
            Err(QueryError::invalid("/cursor", "bad_cursor", "the cursor belongs to another list"))
        }
    }
}

/// One row more than wanted is read: it tells whether there is another page.
fn newest(
    scope: &Scope<'_>,
    selection: &Selection,
    after: Option<(TimeMs, Seq)>,
    limit: usize,
    print: u64,
    budget: &Budget,
) -> Result<Page, QueryError> {
    let batch = scope.keyspace.page(selection, after, limit + 1, budget)?;
    let shown = batch.len.min(limit);
    let next_cursor = (batch.len > limit).then(|| {
        let last = (batch.ts[shown - 1], batch.seq[shown - 1]);
        cursor::encode(Position::After(last), print)
    });
    Ok(Page { parts: vec![(batch, (0..shown as u32).collect())], next_cursor })
}

/// The engine reads by seq without a selection, so filters and policy are applied here.
fn by_seq(
    scope: &Scope<'_>,
    selection: &Selection,
    (from, to): (Seq, Seq),
    limit: usize,
    print: u64,
    budget: &Budget,
) -> Result<Page, QueryError> {
    let mut page = Page::default();
    let (mut next, mut wanted, mut bytes) = (from, limit, 0);
    while next <= to {
        budget.check(bytes)?;
        let (batch, mut passing) = budget.turn(1)?.run(|| {
            let batch = scope.keyspace.rows_by_seq(next, to, SEQ_CHUNK)?;
            let passing = select(&batch, selection);
            Ok::<_, QueryError>((batch, passing))
        })?;
        let Some(&last) = batch.seq.last() else { break };
        if let Some(&first_left) = passing.get(wanted) {
            let position = Position::Seq(batch.seq[first_left as usize]);
            page.next_cursor = Some(cursor::encode(position, print));
            passing.truncate(wanted);
        }
        wanted -= passing.len();
        if !passing.is_empty() {
            bytes += batch.heap_bytes();
            page.parts.push((batch, passing));
        }
        if page.next_cursor.is_some() || last == Seq::MAX {
            break;
        }
        next = last + 1;
    }
    Ok(page)
}

/// The row with this id, the newest `ts` of it unless `ts_ms` selects one; `None` if there is
/// none that the caller may see.
pub fn by_id(
    scope: &Scope<'_>,
    id: &str,
    ts_ms: Option<TimeMs>,
) -> Result<Option<(RowBatch, usize)>, QueryError> {
    let batch = scope.keyspace.find(RowId::parse(id), ts_ms, scope.policy)?;
    Ok((batch.len > 0).then_some((batch, 0)))
}

/// Reads a parameter that is a time; `pointer` is where it stands, like `/ts`.
pub fn time_param(pointer: &str, text: &str) -> Result<TimeMs, QueryError> {
    let mut problems = Problems::default();
    let time = when::read(&Node::Bare(text.to_owned()), pointer, &mut problems);
    problems.none()?;
    time.ok_or_else(|| QueryError::invalid(pointer, "invalid_time", "must be a time"))
}
