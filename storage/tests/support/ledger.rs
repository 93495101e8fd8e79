//! What a store has promised, kept outside of it: every row it acknowledged, every small value,
//! every cursor. An [`Act`] changes the store and, once acknowledged, the ledger.
#![allow(dead_code, reason = "every test that includes it uses another part")]

use std::collections::BTreeMap;
use storage::ask::{Predicate, Selection, WordTest};
use storage::batch::{RowBatch, RowBatchBuilder};
use storage::engine::{
    Append, Appended, Engine, Expect, Keyspace, KeyspaceSettings, RowOutcome, TableWrite,
};
use storage::error::StoreError;
use storage::row::{Actor, Dimension, Row, RowId, Seq, Status, Word};

/// 2026-01-01T00:00:00Z.
pub(crate) const EPOCH_MS: i64 = 1_767_225_600_000;

/// The table for small values in keyspaces and platform alike.
pub(crate) const TABLE: &str = "notes";

/// One row as a caller would remember it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LedgerRow {
    pub(crate) id: String,
    pub(crate) ts_ms: i64,
    pub(crate) command: String,
    pub(crate) user: String,
    pub(crate) session: String,
    pub(crate) origin: String,
    pub(crate) status: Status,
    pub(crate) actor: Actor,
    pub(crate) duration_us: Option<u64>,
    pub(crate) exit_code: Option<i64>,
    pub(crate) label: Option<String>,
    pub(crate) value: Option<f64>,
}

impl LedgerRow {
    /// The row with number `n`, in its `version`-th edition (a correction keeps id and time).
    pub(crate) fn numbered(n: u64, version: u64, origin: &str) -> Self {
        let mix = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
        let id = match n % 3 {
            0 => format!("run-{n}"),
            _ => uuid::Uuid::from_u64_pair(mix, n | 1 << 63).hyphenated().to_string(),
        };
        Self {
            id,
            ts_ms: EPOCH_MS
                + (n as i64) * 61_000
                + if mix.is_multiple_of(50) { -90_000_000 } else { 0 },
            command: format!("command {}", (mix + version) % 11),
            user: format!("user {}", mix % 7),
            session: format!("session {}", n / 20),
            origin: origin.to_owned(),
            status: Status::ALL[(mix % 5) as usize],
            actor: Actor::ALL[(mix % 4) as usize],
            duration_us: (!mix.is_multiple_of(9)).then_some((mix % 1_000_000) * (version + 1)),
            exit_code: (mix % 4 == 1).then_some((mix % 256) as i64 - 3),
            label: mix.is_multiple_of(3).then(|| format!("zone {}", mix % 4)),
            value: mix.is_multiple_of(5).then_some(mix as f64 / 7.0),
        }
    }

    /// Rows with the numbers `numbers`.
    pub(crate) fn many(numbers: std::ops::Range<u64>, version: u64, origin: &str) -> Vec<Self> {
        numbers.map(|n| Self::numbered(n, version, origin)).collect()
    }

    /// The row as the store gives it back.
    pub(crate) fn read(batch: &RowBatch, at: usize) -> Self {
        batch.with_row(at, |row| Self {
            id: row.id.to_string(),
            ts_ms: row.ts_ms,
            command: row.words[Word::Command as usize].to_owned(),
            user: row.words[Word::User as usize].to_owned(),
            session: row.words[Word::Session as usize].to_owned(),
            origin: row.words[Word::Origin as usize].to_owned(),
            status: row.status,
            actor: row.actor,
            duration_us: row.duration_us,
            exit_code: row.exit_code,
            label: row.labels.iter().find(|(k, _)| *k == "zone").map(|(_, v)| (*v).to_owned()),
            value: row.values.iter().find(|(k, _)| *k == "size").map(|(_, v)| *v),
        })
    }

    fn push(&self, to: &mut RowBatchBuilder) {
        let mut words = [""; Word::ALL.len()];
        words[Word::Command as usize] = &self.command;
        words[Word::User as usize] = &self.user;
        words[Word::Session as usize] = &self.session;
        words[Word::Origin as usize] = &self.origin;
        let labels: Vec<(&str, &str)> = self.label.iter().map(|v| ("zone", v.as_str())).collect();
        let values: Vec<(&str, f64)> = self.value.iter().map(|v| ("size", *v)).collect();
        to.push(&Row {
            id: RowId::parse(&self.id),
            ts_ms: self.ts_ms,
            ts_given: true,
            received_ms: self.ts_ms + 1000,
            words,
            status: self.status,
            actor: self.actor,
            duration_us: self.duration_us,
            exit_code: self.exit_code,
            labels: &labels,
            values: &values,
        });
    }
}

/// The rows as the engine takes them.
pub(crate) fn batch(rows: &[LedgerRow]) -> RowBatch {
    let mut builder = RowBatchBuilder::with_capacity(rows.len());
    rows.iter().for_each(|row| row.push(&mut builder));
    builder.finish()
}

/// What one keyspace has promised.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyspaceLedger {
    /// By id; `ts` never differs between two rows of one id here.
    pub(crate) rows: BTreeMap<String, LedgerRow>,
    pub(crate) notes: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) cursors: BTreeMap<String, Seq>,
    /// The seqs that were told to whoever appended the rows, as far as they were.
    pub(crate) seqs: Seqs,
}

impl KeyspaceLedger {
    /// Whether both promise the same, whatever is known of seqs.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        self.rows == other.rows && self.notes == other.notes && self.cursors == other.cursors
    }
}

/// Seqs of rows by id.
pub(crate) type Seqs = BTreeMap<String, Seq>;

/// What a whole store has promised.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) keyspaces: BTreeMap<String, KeyspaceLedger>,
    pub(crate) platform: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Ledger {
    /// Whether both promise the same.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        self.platform == other.platform
            && self.keyspaces.keys().eq(other.keyspaces.keys())
            && self.keyspaces.values().zip(other.keyspaces.values()).all(|(a, b)| a.agrees(b))
    }
}

/// Why an act was not done.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The store says so.
    Store(StoreError),
    /// The store says that it was done, and how, and that is wrong.
    Wrong(String),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A caller's part of a group commit: rows, and a small value that must come true with them.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) rows: Vec<LedgerRow>,
    pub(crate) note: Option<(Vec<u8>, Vec<u8>)>,
}

/// Something that is asked of the store. Each one can be asked again when its outcome is not
/// known, and is whole or absent.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Makes a keyspace; "there is one already" is as good.
    Create(String),
    Delete(String),
    Append(String, Vec<Part>),
    /// Removes every row of an origin.
    Remove(String, String),
    Replace(String, Vec<LedgerRow>),
    Cursor(String, String, Seq),
    /// Takes a key in the platform's tables, which must be free or hold that very value.
    Claim(Vec<u8>, Vec<u8>),
    Settle(String),
    Rewrite(String),
    /// Takes the small tables to a version.
    Migrate(String, u32),
}

impl Act {
    /// Asks it of the store; `first` says that it was not tried before. Gives the seqs of the rows
    /// that were accepted now.
    pub(crate) fn ask(
        &self,
        engine: &dyn Engine,
        ledger: &Ledger,
        first: bool,
    ) -> Result<Seqs, Refusal> {
        let before = ledger.keyspaces.get(self.keyspace());
        let known = |id: &String| before.is_some_and(|k| k.rows.contains_key(id));
        match self {
            Self::Create(name) => match engine.create(name, &KeyspaceSettings::default()) {
                Err(StoreError::Exists { .. }) if !first => {}
                other => other?,
            },
            Self::Delete(name) => engine.delete(name)?,
            Self::Append(name, parts) => {
                let appended = engine.open(name)?.append(parts.iter().map(append_of).collect())?;
                return judge_append(parts, &appended, known, first).map_err(Refusal::Wrong);
            }
            Self::Remove(name, origin) => {
                let removed = engine.open(name)?.remove(&of_origin(origin))?;
                let there =
                    before.map_or(0, |k| k.rows.values().filter(|r| r.origin == *origin).count());
                judge_count("removed", removed, there, first)?;
            }
            Self::Replace(name, rows) => {
                let replaced = engine.open(name)?.replace(batch(rows))?;
                if first {
                    let there = rows.iter().filter(|row| known(&row.id)).count();
                    judge_count("replaced", replaced, there, first)?;
                }
            }
            Self::Cursor(name, consumer, seq) => engine.open(name)?.set_cursor(consumer, *seq)?,
            Self::Claim(key, value) => claim(engine, key, value)?,
            Self::Settle(name) => engine.open(name)?.settle()?,
            Self::Rewrite(name) => engine.open(name)?.rewrite()?,
            Self::Migrate(name, to) => {
                let moved = engine.open(name)?.migrate(*to)?;
                if moved.to != *to || first && moved.from == *to {
                    return Err(Refusal::Wrong(format!("{moved:?}, not to {to}")));
                }
            }
        }
        Ok(Seqs::new())
    }

    /// The ledger once the act has taken place.
    pub(crate) fn applied_to(&self, ledger: &Ledger) -> Ledger {
        let mut after = ledger.clone();
        if let Self::Claim(key, value) = self {
            after.platform.insert(key.clone(), value.clone());
            return after;
        }
        if let Self::Delete(name) = self {
            after.keyspaces.remove(name);
            return after;
        }
        let keyspace = after.keyspaces.entry(self.keyspace().to_owned()).or_default();
        match self {
            Self::Append(_, parts) => {
                for part in parts {
                    for row in &part.rows {
                        keyspace.rows.entry(row.id.clone()).or_insert_with(|| row.clone());
                    }
                    keyspace.notes.extend(part.note.clone());
                }
            }
            Self::Remove(_, origin) => {
                keyspace.rows.retain(|_, row| row.origin != *origin);
                // What comes again after that gets another seq.
                keyspace.seqs.retain(|id, _| keyspace.rows.contains_key(id));
            }
            Self::Replace(_, rows) => {
                for row in rows {
                    keyspace.seqs.remove(&row.id);
                    keyspace.rows.insert(row.id.clone(), row.clone());
                }
            }
            Self::Cursor(_, consumer, seq) => {
                keyspace.cursors.insert(consumer.clone(), *seq);
            }
            _ => {}
        }
        after
    }

    /// The keyspace it concerns, `""` for the platform's.
    pub(crate) fn keyspace(&self) -> &str {
        match self {
            Self::Create(name) | Self::Delete(name) | Self::Settle(name) | Self::Rewrite(name) => {
                name
            }
            Self::Append(name, _) | Self::Remove(name, _) | Self::Replace(name, _) => name,
            Self::Cursor(name, ..) | Self::Migrate(name, _) => name,
            Self::Claim(..) => "",
        }
    }

    /// What it does, for a message.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Delete(_) => "delete",
            Self::Append(..) => "append",
            Self::Remove(..) => "remove",
            Self::Replace(..) => "replace",
            Self::Cursor(..) => "cursor",
            Self::Claim(..) => "claim",
            Self::Settle(_) => "settle",
            Self::Rewrite(_) => "rewrite",
            Self::Migrate(..) => "migrate",
        }
    }
}

/// Appends `rows` to an open keyspace; those that `before` knows must be recognised.
pub(crate) fn append_rows(
    keyspace: &dyn Keyspace,
    rows: Vec<LedgerRow>,
    before: &KeyspaceLedger,
) -> Result<Seqs, Refusal> {
    let parts = [Part { rows, note: None }];
    let appended = keyspace.append(parts.iter().map(append_of).collect())?;
    let known = |id: &String| before.rows.contains_key(id);
    judge_append(&parts, &appended, known, true).map_err(Refusal::Wrong)
}

/// The selection of all rows of an origin.
pub(crate) fn of_origin(origin: &str) -> Selection {
    let test = WordTest::In(vec![origin.into()]);
    let predicates = vec![Predicate::Word(Dimension::Word(Word::Origin), test)];
    Selection { predicates, ..Selection::all() }
}

fn append_of(part: &Part) -> Append {
    let write = |(key, value): &(Vec<u8>, Vec<u8>)| TableWrite {
        table: TABLE.to_owned(),
        key: key.clone(),
        value: Some(value.clone()),
    };
    Append {
        rows: batch(&part.rows),
        writes: part.note.iter().map(write).collect(),
        atomic: true,
        receipt: None,
    }
}

fn claim(engine: &dyn Engine, key: &[u8], value: &[u8]) -> Result<(), Refusal> {
    let platform = engine.platform()?;
    let expect = Expect { table: TABLE.to_owned(), key: key.to_vec(), value: None };
    let write =
        TableWrite { table: TABLE.to_owned(), key: key.to_vec(), value: Some(value.to_vec()) };
    if platform.write(&[expect], &[write])? {
        return Ok(());
    }
    match platform.get(TABLE, key)? {
        Some(found) if found == value => Ok(()),
        found => Err(Refusal::Wrong(format!("a free key could not be claimed: {found:?}"))),
    }
}

/// A repeated act may find its work done.
fn judge_count(what: &str, count: u64, there: usize, first: bool) -> Result<(), Refusal> {
    match count == there as u64 || !first && count == 0 {
        true => Ok(()),
        false => Err(Refusal::Wrong(format!("{count} rows {what}, there were {there}"))),
    }
}

/// Whether the outcomes fit: what is in the ledger is a repeat, and what is not is accepted once,
/// or a repeat if an earlier attempt had an unknown outcome; seqs are given in order.
fn judge_append(
    parts: &[Part],
    appended: &[Appended],
    known: impl Fn(&String) -> bool,
    first: bool,
) -> Result<Seqs, String> {
    if parts.len() != appended.len() {
        return Err(format!("{} parts, {} answers", parts.len(), appended.len()));
    }
    let mut seqs = Seqs::new();
    let mut last_seq = 0;
    for (part, answer) in parts.iter().zip(appended) {
        if answer.outcomes.len() != part.rows.len() {
            return Err("an answer has not one outcome a row".to_owned());
        }
        let mut accepted = Vec::new();
        for (row, outcome) in part.rows.iter().zip(&answer.outcomes) {
            let repeat = known(&row.id) || seqs.contains_key(&row.id);
            match outcome {
                RowOutcome::Accepted if !repeat => accepted.push(row.id.clone()),
                RowOutcome::Duplicate if repeat || !first => {}
                other => return Err(format!("`{}` (a repeat: {repeat}) was {other:?}", row.id)),
            }
        }
        match answer.seqs {
            None if accepted.is_empty() => {}
            Some((from, to)) if from > last_seq && to + 1 - from == accepted.len() as u64 => {
                seqs.extend(accepted.into_iter().zip(from..));
                last_seq = to;
            }
            other => return Err(format!("{} rows accepted, seqs {other:?}", accepted.len())),
        }
    }
    Ok(seqs)
}
