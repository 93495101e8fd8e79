//! Appending: which rows are new, which seqs they get, and the one transaction that stores them.

use super::db::{OrStoreError, WRITING, is_full};
use super::keyspace::{EmbeddedKeyspace, State, Writer};
use super::layout::{FEED, write_entry, write_head};
use super::repeats::{RowKey, find_sealed, is_unsealed_row};
use super::{tables, tail};
use crate::KEYS_MAX;
use crate::batch::RowBatch;
use crate::codec::small::{CELLS_MAX, COLUMNS_FIXED};
use crate::engine::{Append, Appended, Receipt, RowOutcome, TableWrite};
use crate::error::StoreError;
use crate::gather::{Pick, gather};
use crate::row::Seq;
use crate::stored::feed;
use crate::volume::Volume;
use crate::words::ABSENT;
use hashbrown::HashSet;
use redb::WriteTransaction;
use std::sync::Arc;

/// Bytes that must be free before anything is written: a commit and a seal fit well in it.
const DISK_RESERVE_BYTES: u64 = 8 << 20;

impl EmbeddedKeyspace {
    /// See [`crate::engine::Keyspace::append`].
    pub(super) fn append_group(&self, appends: Vec<Append>) -> Result<Vec<Appended>, StoreError> {
        if appends.len() > 1 && cells(&appends) > CELLS_MAX {
            // Together they would not fit into a feed entry. If the second half fails, sending the
            // first again, which is stored by then, does no harm.
            let mut first = appends;
            let second = first.split_off(first.len() / 2);
            let mut appended = self.append_group(first)?;
            appended.extend(self.append_group(second)?);
            return Ok(appended);
        }
        let mut writer = self.lock_writer()?;
        self.demand_room()?;
        let state = self.state();
        let group = self.judge(&mut writer, &state, &appends)?;
        let writes = group.writes(&appends);
        if group.picks.is_empty() && writes.is_empty() {
            return Ok(group.appended);
        }
        let first = state.last_seq + 1;
        let rows = group.take_rows(appends, first);
        let last = state.last_seq + rows.len as u64;
        let value = match rows.len {
            0 => None,
            _ => match feed::encode(self.home.salt, first, last, feed::Body::Rows(&rows)) {
                Ok(value) => Some(value),
                Err(e) => {
                    writer.failed = Some("the set of ids is ahead of the rows".to_owned());
                    return Err(e);
                }
            },
        };
        // Without rows nothing would tell whether the writes took place.
        let probe = if value.is_some() { Probe::LastSeq } else { Probe::Nothing };
        self.write(&mut writer, probe, |transaction| {
            if let Some(value) = &value {
                let mut feed = transaction.open_table(FEED).or_store(WRITING)?;
                write_entry(&mut feed, first, value)?;
                write_head(self.home.salt, &mut feed, last + 1)?;
            }
            tables::apply(self.form(), transaction, &writes)
        })?;
        writer.learn_keys(&rows);
        if let Some(value) = value {
            writer.feed.push_back((first, value.len() as u64));
            let mut next = State::clone(&state);
            next.last_seq = last;
            next.feed_bytes += value.len() as u64;
            tail::push(&mut next.tail, rows, self.grain_ms());
            let dirty = self.wants_seal(&next);
            self.publish(next);
            drop(writer);
            if dirty {
                self.make_room();
            }
        }
        Ok(group.appended)
    }

    /// Decides what becomes of every row. New ids are in the writer's set afterwards, with the
    /// seqs they are about to get.
    fn judge(
        &self,
        writer: &mut Writer,
        state: &State,
        appends: &[Append],
    ) -> Result<Group, StoreError> {
        // Everything that can fail comes before the set of ids is touched.
        let hashes: Vec<Vec<u64>> = appends.iter().map(|append| id_hashes(&append.rows)).collect();
        let parts = appends.iter().zip(&hashes);
        let sealed = parts.map(|(append, hashes)| find_sealed(&state.blocks, &append.rows, hashes));
        let sealed = sealed.collect::<Result<Vec<_>, _>>()?;
        let (mut group, mut keys) = (Group::default(), NewKeys::default());
        for (part, append) in appends.iter().enumerate() {
            let rows = &append.rows;
            let (over, more) = keys.with(writer, rows);
            let refused = append.atomic && !over.is_empty();
            group.refused.push(refused);
            if refused {
                group.appended.push(refusal(rows.len, &over));
                continue;
            }
            keys = more;
            let first = group.picks.len();
            let mut outcomes = Vec::with_capacity(rows.len);
            for (row, &hash) in hashes[part].iter().enumerate() {
                let key = RowKey::of(rows, row);
                let outcome = if over.binary_search(&(row as u32)).is_ok() {
                    RowOutcome::TooManyKeys
                } else if sealed[part].contains_key(&(row as u32))
                    || group.repeats_unsealed(writer, state, appends, &key, hash)
                {
                    RowOutcome::Duplicate
                } else {
                    let seq = state.last_seq + 1 + group.picks.len() as Seq;
                    writer.recent.insert(hash, &key, seq);
                    group.picks.push(Pick { part: part as u32, row: row as u32 });
                    RowOutcome::Accepted
                };
                outcomes.push(outcome);
            }
            let seqs = (group.picks.len() > first).then(|| {
                let base = state.last_seq + 1;
                (base + first as Seq, base + group.picks.len() as Seq - 1)
            });
            group.appended.push(Appended { outcomes, seqs });
        }
        Ok(group)
    }

    /// Fails if the disk is so full that a write could fail half-way. Asked before anything in
    /// memory is ahead of the file.
    pub(super) fn demand_room(&self) -> Result<(), StoreError> {
        demand_room(&*self.volume)
    }

    /// Runs one write transaction to stable storage. If it fails, what is in memory is what the
    /// file has, or the next to write opens it anew.
    ///
    /// Whether a failed commit took place is known only to the disk: the file is opened anew and
    /// `probe` is looked at. What is found there is not acknowledged (it may sit in the page cache
    /// alone); a caller that sends the same rows again learns that they are there.
    pub(super) fn write<R>(
        &self,
        writer: &mut Writer,
        probe: Probe,
        f: impl FnOnce(&WriteTransaction) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let before = self.state().last_seq;
        let failure = match self.home.db.with(|db| db.write(f))? {
            Ok(result) => return Ok(result),
            Err(failure) => failure,
        };
        let reason = failure.error.to_string();
        let reopened = self.reopen(writer, &reason).is_ok();
        let known_absent = !failure.outcome_unknown
            || (reopened && probe == Probe::LastSeq && self.state().last_seq == before);
        if known_absent {
            Err(classify(failure.error, &*self.volume))
        } else {
            Err(StoreError::OutcomeUnknown { reason })
        }
    }
}

/// Fails if the disk is so full that a write could fail half-way.
pub(super) fn demand_room(volume: &dyn Volume) -> Result<(), StoreError> {
    let free_bytes = volume.free_bytes().unwrap_or(u64::MAX);
    if free_bytes < DISK_RESERVE_BYTES {
        return Err(StoreError::DiskFull { free_bytes });
    }
    Ok(())
}

/// What tells, after a failure, whether a commit took place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// It would have moved the newest seq.
    LastSeq,
    /// Nothing does.
    Nothing,
}

/// A full disk by its name, with what is left of it; any other error as it is.
pub(super) fn classify(error: StoreError, volume: &dyn Volume) -> StoreError {
    match error {
        StoreError::Io { source, .. } if is_full(&source) => {
            StoreError::DiskFull { free_bytes: volume.free_bytes().unwrap_or(0) }
        }
        StoreError::DiskFull { .. } => {
            StoreError::DiskFull { free_bytes: volume.free_bytes().unwrap_or(0) }
        }
        other => other,
    }
}

fn refusal(rows: usize, over: &[u32]) -> Appended {
    let mut outcomes = vec![RowOutcome::Accepted; rows];
    for &row in over {
        outcomes[row as usize] = RowOutcome::TooManyKeys;
    }
    Appended { outcomes, seqs: None }
}

/// Rows that are committed together.
#[derive(Default)]
struct Group {
    /// The new rows, in order of the seqs they get.
    picks: Vec<Pick>,
    appended: Vec<Appended>,
    /// Atomic batches of which nothing is stored.
    refused: Vec<bool>,
}

impl Group {
    fn repeats_unsealed(
        &self,
        writer: &Writer,
        state: &State,
        appends: &[Append],
        key: &RowKey<'_>,
        hash: u64,
    ) -> bool {
        writer.recent.any(hash, key, |seq| match seq.checked_sub(state.last_seq + 1) {
            None => is_unsealed_row(&state.tail, seq, key),
            Some(n) => self.picks.get(n as usize).is_some_and(|pick| {
                let other = &appends[pick.part as usize].rows;
                key.repeats(&RowKey::of(other, pick.row as usize))
            }),
        })
    }

    /// What is written beside the rows.
    fn writes(&self, appends: &[Append]) -> Vec<TableWrite> {
        let mut writes = Vec::new();
        for (n, append) in appends.iter().enumerate().filter(|&(n, _)| !self.refused[n]) {
            writes.extend_from_slice(&append.writes);
            if let Some(Receipt(receipt)) = &append.receipt {
                writes.extend(receipt(&self.appended[n]));
            }
        }
        writes
    }

    /// The new rows as one batch, with seqs from `first`.
    fn take_rows(&self, mut appends: Vec<Append>, first: Seq) -> RowBatch {
        let mut rows = match appends.as_mut_slice() {
            [only] if only.rows.len == self.picks.len() => std::mem::take(&mut only.rows),
            _ => {
                let parts: Vec<&RowBatch> = appends.iter().map(|append| &append.rows).collect();
                gather(&parts, &self.picks)
            }
        };
        rows.seq = (first..first + rows.len as Seq).collect();
        rows
    }
}

impl Writer {
    /// Remembers the keys of labels and values in `rows`.
    pub(super) fn learn_keys(&mut self, rows: &RowBatch) {
        self.label_keys.extend(rows.labels.iter().map(|column| Arc::clone(&column.key)));
        self.value_keys.extend(rows.values.iter().map(|column| Arc::clone(&column.key)));
    }
}

/// Keys of labels and values that a group brings, on top of the tenant's. They become the tenant's
/// when the group is stored.
#[derive(Clone, Debug, Default)]
pub(super) struct NewKeys {
    labels: HashSet<Arc<str>>,
    values: HashSet<Arc<str>>,
}

impl NewKeys {
    /// These with the keys of `rows` as long as there is room; and the rows, ascending, that use
    /// one beyond [`KEYS_MAX`].
    pub(super) fn with(&self, writer: &Writer, rows: &RowBatch) -> (Vec<u32>, Self) {
        let (mut more, mut over) = (self.clone(), Vec::new());
        for column in &rows.labels {
            if !admit_key(&writer.label_keys, &mut more.labels, &column.key) {
                let codes = column.words.codes.iter().enumerate();
                over.extend(codes.filter(|&(_, &c)| c != ABSENT).map(|(row, _)| row as u32));
            }
        }
        for column in &rows.values {
            if !admit_key(&writer.value_keys, &mut more.values, &column.key) {
                let values = column.values.iter().enumerate();
                over.extend(values.filter(|(_, v)| !v.is_nan()).map(|(row, _)| row as u32));
            }
        }
        over.sort_unstable();
        over.dedup();
        (over, more)
    }
}

/// Whether `key` is, or could become, one of the tenant's `keys` and the `new` ones.
fn admit_key(keys: &HashSet<Arc<str>>, new: &mut HashSet<Arc<str>>, key: &Arc<str>) -> bool {
    if keys.contains(key) || new.contains(key) {
        return true;
    }
    keys.len() + new.len() < KEYS_MAX && new.insert(Arc::clone(key))
}

fn id_hashes(rows: &RowBatch) -> Vec<u64> {
    (0..rows.len).map(|row| rows.ids.get(row).hash()).collect()
}

/// Rows times columns of all of them together, at most.
fn cells(appends: &[Append]) -> usize {
    let rows: usize = appends.iter().map(|append| append.rows.len).sum();
    let labels = appends.iter().flat_map(|append| append.rows.labels.iter().map(|c| &*c.key));
    let values = appends.iter().flat_map(|append| append.rows.values.iter().map(|c| &*c.key));
    let keyed = labels.collect::<HashSet<&str>>().len() + values.collect::<HashSet<&str>>().len();
    rows.saturating_mul(COLUMNS_FIXED + keyed)
}
