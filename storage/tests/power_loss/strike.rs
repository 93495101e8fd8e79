//! One fault at one point of a scenario, and everything that must hold afterwards.

use crate::ledger::{Act, KeyspaceLedger, Ledger, Part, Refusal, TABLE};
use crate::questions::{Finding, all_rows, ask_all};
use crate::scenario::{CONSUMER, Scenario};
use crate::sim_volume::{Fault, SimVolume};
use crate::versions::agrees;
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::engine::{CursorState, Engine};
use storage::error::StoreError;
use storage::volume::Volume;

/// Starts the engine under test.
pub(crate) type Open = fn(Arc<dyn Volume>) -> Result<Arc<dyn Engine>, StoreError>;

/// Where which fault strikes; the seed decides what survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Point {
    pub(crate) at: u64,
    pub(crate) fault: Fault,
    pub(crate) seed: u64,
}

/// For what nothing strikes.
const IN_PEACE: Point = Point { at: 0, fault: Fault::PowerLoss, seed: 0 };

/// The store as it is before a scenario's acts are struck.
pub(crate) struct Base {
    pub(crate) open: Open,
    pub(crate) volume: SimVolume,
    pub(crate) ledger: Ledger,
    pub(crate) struck: Vec<Act>,
}

/// How often an act is tried before the store counts as broken: it fails, it may say that the
/// keyspace is closed and will be reopened with the next call, and then it must work.
const TRIES: usize = 3;

/// A running store, its disk, and what it promised.
struct Run {
    open: Open,
    volume: SimVolume,
    engine: Option<Arc<dyn Engine>>,
    ledger: Ledger,
    fault: Fault,
    seed: u64,
    /// Keyspaces whose rows were read while syncs failed.
    looks: usize,
}

/// How an act ended.
enum End {
    Done,
    /// The power is gone. The act may have been done.
    Dark,
}

impl Base {
    /// Does the acts that come before.
    pub(crate) fn new(open: Open, scenario: Scenario) -> Result<Self, String> {
        let mut run = Run::new(open, SimVolume::new(), Ledger::default(), IN_PEACE);
        for act in &scenario.before {
            run.perform(act)?;
        }
        let Run { volume, ledger, engine, .. } = run;
        drop(engine);
        Ok(Self { open, volume, ledger, struck: scenario.struck })
    }

    /// Does the struck acts in peace: gives the disk with its counters.
    pub(crate) fn rehearse(&self) -> Result<SimVolume, String> {
        let mut run = Run::new(self.open, self.volume.fork(), self.ledger.clone(), IN_PEACE);
        for act in &self.struck {
            run.perform(act)?;
        }
        let volume = run.volume.clone();
        run.verify(&[])?;
        Ok(volume)
    }

    /// Strikes at `point`. Gives how many keyspaces were read while syncs failed; an error is a finding,
    /// with what the disk was asked for afterwards.
    pub(crate) fn strike(&self, point: Point) -> Result<usize, String> {
        const STEPS_SHOWN: usize = 24;
        let volume = self.volume.fork();
        volume.set_luck(point.seed);
        volume.arm(point.at, point.fault);
        self.live_through(point, volume.clone()).map_err(|what| {
            let steps = volume.steps().into_iter().skip(point.at as usize).take(STEPS_SHOWN);
            let steps: Vec<String> =
                steps.map(|step| format!("{:?} {}", step.kind, step.path.display())).collect();
            format!("{what}\n    from there on: {}", steps.join(", "))
        })
    }

    /// Lets a sync fail while the store is closed in order, which nobody is told, and strikes what is
    /// done afterwards at `point`, counted from there. Gives whether a sync did fail.
    pub(crate) fn close_badly(&self, point: Point) -> Result<bool, String> {
        /// Changes that closing makes, about.
        const CLOSING_OPS: u64 = 12;
        let volume = self.volume.fork();
        volume.set_luck(point.seed);
        let mut run = Run::new(self.open, volume, self.ledger.clone(), point);
        let (first, others) = self.struck.split_first().ok_or("a scenario without acts")?;
        run.perform(first)?;
        run.volume.arm(run.volume.ops() + point.seed % CLOSING_OPS, Fault::SyncFails);
        run.engine = None;
        run.volume.heal();
        let has_failed = run.volume.struck() > 0;
        run.volume.arm(run.volume.ops() + point.at, point.fault);
        run.live_through(others, point)?;
        Ok(has_failed)
    }

    fn live_through(&self, point: Point, volume: SimVolume) -> Result<usize, String> {
        let run = Run::new(self.open, volume, self.ledger.clone(), point);
        run.live_through(&self.struck, point)
    }
}

impl Run {
    fn new(open: Open, volume: SimVolume, ledger: Ledger, point: Point) -> Self {
        let Point { fault, seed, .. } = point;
        Self { open, volume, engine: None, ledger, fault, seed, looks: 0 }
    }

    /// Does `acts`, one of which is struck, and looks whether everything that was promised holds.
    /// Gives how many keyspaces were read while syncs failed.
    fn live_through(mut self, acts: &[Act], point: Point) -> Result<usize, String> {
        for act in acts {
            let end = self.perform(act)?;
            if self.volume.is_powered() {
                continue;
            }
            // Some acts end well without power: what they do beyond their promise may fail.
            let maybe = match end {
                End::Done => Vec::new(),
                End::Dark => vec![act.applied_to(&self.ledger)],
            };
            self.crash(point.seed)?;
            self.verify(&maybe).map_err(|e| format!("after the crash in `{}`: {e}", act.name()))?;
            if matches!(end, End::Dark) {
                self.perform_again(act).map_err(|e| format!("`{}` again: {e}", act.name()))?;
            }
        }
        self.volume.heal();
        self.verify(&[]).map_err(|e| format!("at the end: {e}"))?;
        self.crash(point.seed.rotate_left(7) ^ point.at)?;
        self.verify(&[]).map_err(|e| format!("after a crash at the end: {e}"))?;
        self.repeat_everything()?;
        Ok(self.looks)
    }

    /// Whether somebody starts the process anew as soon as it reports an error. What the dead one
    /// knew of a failed sync is then forgotten, but the page cache is still there.
    fn is_impatient(&self) -> bool {
        self.seed.is_multiple_of(3)
    }

    /// Starts the process anew. A disk that was gone altogether is mounted anew first.
    fn restart(&mut self) -> Result<(), String> {
        if self.fault == Fault::FailsForever {
            return self.crash(self.seed);
        }
        self.engine = None;
        Ok(())
    }

    /// The running engine; starts it if there is none.
    fn engine(&mut self) -> Result<Arc<dyn Engine>, StoreError> {
        if self.engine.is_none() {
            self.engine = Some((self.open)(self.volume.shared())?);
        }
        self.engine.clone().ok_or(StoreError::InUse)
    }

    /// The power comes back and the store must open at once.
    fn crash(&mut self, seed: u64) -> Result<(), String> {
        // The dead process goes after the disk was copied: what it does late reaches nobody.
        self.volume = self.volume.crash(seed);
        self.engine = None;
        self.engine().map(drop).map_err(|e| format!("does not open after the crash: {e}"))
    }

    fn perform(&mut self, act: &Act) -> Result<End, String> {
        self.perform_from(act, true)
    }

    fn perform_again(&mut self, act: &Act) -> Result<(), String> {
        match self.perform_from(act, false)? {
            End::Done => Ok(()),
            End::Dark => Err("the power went twice".to_owned()),
        }
    }

    /// Does an act, as often as a patient caller would try.
    fn perform_from(&mut self, act: &Act, first: bool) -> Result<End, String> {
        let mut first = first;
        let mut said = Vec::new();
        for _ in 0..TRIES {
            let asked = match self.engine() {
                Ok(engine) => act.ask(&*engine, &self.ledger, first),
                Err(e) => Err(Refusal::Store(e)),
            };
            match asked {
                Ok(seqs) => {
                    self.ledger = act.applied_to(&self.ledger);
                    if let Some(keyspace) = self.ledger.keyspaces.get_mut(act.keyspace()) {
                        keyspace.seqs.extend(seqs);
                    }
                    return Ok(End::Done);
                }
                Err(Refusal::Wrong(what)) => return Err(format!("`{}`: {what}", act.name())),
                Err(Refusal::Store(_)) if !self.volume.is_powered() => return Ok(End::Dark),
                Err(Refusal::Store(e)) => {
                    self.judge_error(act, &e)
                        .map_err(|f| format!("`{}` failed ({e}), then: {f}", act.name()))?;
                    if self.is_impatient() && said.is_empty() {
                        self.restart()?;
                    }
                    said.push(e.to_string());
                    first = false;
                }
            }
        }
        Err(format!("`{}` never works again: {}", act.name(), said.join(" / ")))
    }

    /// An act failed without a crash: nothing but a lasting fault may hinder reading, what was
    /// said to be not done is not done, and damage is never the explanation.
    fn judge_error(&mut self, act: &Act, error: &StoreError) -> Result<(), String> {
        let happened = match error {
            StoreError::DiskFull { .. } | StoreError::Io { .. } => false,
            StoreError::OutcomeUnknown { .. } | StoreError::Closed { .. } => true,
            _ => return Err("that is not an honest description of a failing disk".to_owned()),
        };
        if matches!(error, StoreError::DiskFull { .. }) && self.fault != Fault::NoSpace {
            return Err("the disk is not full".to_owned());
        }
        if matches!(error, StoreError::Io { .. }) && self.fault == Fault::NoSpace {
            return Err("that does not tell anybody that the disk is full".to_owned());
        }
        let nothing_yet = self.ledger.platform.is_empty() && self.ledger.keyspaces.is_empty();
        let after = act.applied_to(&self.ledger);
        let candidates = if happened { vec![after] } else { Vec::new() };
        match self.volume.is_powered().then(|| self.observe_some(&candidates)) {
            Some(Err(Finding::Wrong(what))) => return Err(what),
            Some(Err(Finding::Failed(e))) if self.fault == Fault::NoSpace && !nothing_yet => {
                return Err(format!("reading does not go on: {e}"));
            }
            _ => {}
        }
        if self.fault == Fault::SyncsFail {
            self.looks += self.rows_are_read()?;
        }
        self.volume.heal();
        Ok(())
    }

    /// While syncs fail, the rows of every keyspace that is open are those that were promised. Gives
    /// how many are open.
    fn rows_are_read(&self) -> Result<usize, String> {
        let Some(engine) = &self.engine else { return Ok(0) };
        let mut looks = 0;
        for (name, promised) in &self.ledger.keyspaces {
            let Some(keyspace) = engine.opened(name) else { continue };
            let rows = all_rows(&*keyspace).map_err(|finding| match finding {
                Finding::Wrong(what) => what,
                Finding::Failed(error) => format!("reading does not go on: {error}"),
            })?;
            let shown = rows.len();
            let found: BTreeMap<_, _> =
                rows.into_values().map(|row| (row.id.clone(), row)).collect();
            if found != promised.rows || shown != found.len() {
                return Err(format!("`{name}` shows other rows than were promised"));
            }
            looks += 1;
        }
        Ok(looks)
    }

    /// Reads without asking every question.
    fn observe_some(&mut self, others: &[Ledger]) -> Result<(), Finding> {
        let Some(engine) = self.engine.clone() else { return Ok(()) };
        let found = observe(&*engine)?;
        self.matching(&found, others).map(drop).map_err(Finding::Wrong)
    }

    /// The ledger, or the one of `others`, that `found` agrees with.
    fn matching<'l>(&'l self, found: &Ledger, others: &'l [Ledger]) -> Result<&'l Ledger, String> {
        let mut candidates = std::iter::once(&self.ledger).chain(others);
        candidates
            .find(|ledger| ledger.agrees(found))
            .ok_or_else(|| difference(&self.ledger, found))
    }

    /// Everything promised is there, once, and every answer is right; what is not promised is
    /// whole (one of `others`) or absent.
    fn verify(&mut self, others: &[Ledger]) -> Result<(), String> {
        let say = |finding| match finding {
            Finding::Wrong(what) => what,
            Finding::Failed(error) => format!("cannot be read: {error}"),
        };
        let engine = self.engine().map_err(|e| format!("does not open: {e}"))?;
        // A keyspace that a failure has closed may say so once, and opens with the next call.
        let found = match observe(&*engine) {
            Err(Finding::Failed(StoreError::Closed { .. })) => observe(&*engine),
            other => other,
        };
        let found = found.map_err(say)?;
        let ledger = self.matching(&found, others)?;
        for (name, keyspace) in &ledger.keyspaces {
            let open = engine.open(name).map_err(|e| format!("`{name}` does not open: {e}"))?;
            ask_all(&*open, keyspace).map_err(say).map_err(|e| format!("`{name}`: {e}"))?;
        }
        Ok(())
    }

    /// Every row again: all of them are repeats, and nothing changes.
    fn repeat_everything(&mut self) -> Result<(), String> {
        for (name, keyspace) in self.ledger.keyspaces.clone() {
            let rows: Vec<_> = keyspace.rows.into_values().collect();
            let again = Act::Append(name.clone(), vec![Part { rows, note: None }]);
            self.perform(&again)?;
            self.perform(&Act::Settle(name))?;
        }
        self.verify(&[]).map_err(|e| format!("after repeating everything: {e}"))
    }
}

/// What the store holds, in the ledger's words.
fn observe(engine: &dyn Engine) -> Result<Ledger, Finding> {
    const NOTES_MAX: usize = 1000;
    let platform = engine.platform()?.list(TABLE, b"", None, NOTES_MAX)?;
    let mut ledger = Ledger { platform: platform.into_iter().collect(), ..Ledger::default() };
    for name in engine.list()? {
        let keyspace = engine.open(&name)?;
        let mut found = KeyspaceLedger::default();
        for (_, row) in all_rows(&*keyspace)? {
            if let Some(twice) = found.rows.insert(row.id.clone(), row) {
                return Err(Finding::Wrong(format!("`{}` is there twice", twice.id)));
            }
        }
        found.notes = keyspace.list(TABLE, b"", None, NOTES_MAX)?.into_iter().collect();
        agrees(&*keyspace, &found.notes)?.map_err(Finding::Wrong)?;
        match keyspace.cursor(CONSUMER)? {
            CursorState::At(seq) => drop(found.cursors.insert(CONSUMER.to_owned(), seq)),
            CursorState::Missing => {}
            CursorState::Detached => {
                return Err(Finding::Wrong(format!("cursor `{CONSUMER}` is detached")));
            }
        }
        ledger.keyspaces.insert(name, found);
    }
    Ok(ledger)
}

/// Where two ledgers differ, briefly.
fn difference(expected: &Ledger, found: &Ledger) -> String {
    if expected.platform != found.platform {
        return format!("platform {:?}, expected {:?}", found.platform, expected.platform);
    }
    if !expected.keyspaces.keys().eq(found.keyspaces.keys()) {
        let names = |l: &Ledger| l.keyspaces.keys().cloned().collect::<Vec<_>>();
        return format!("keyspaces {:?}, expected {:?}", names(found), names(expected));
    }
    for (name, promised) in &expected.keyspaces {
        let held = &found.keyspaces[name];
        if !promised.agrees(held) {
            let lost = promised.rows.keys().filter(|id| !held.rows.contains_key(*id)).count();
            let new = held.rows.keys().filter(|id| !promised.rows.contains_key(*id)).count();
            let changed = promised
                .rows
                .iter()
                .filter(|(id, row)| held.rows.get(*id).is_some_and(|other| other != *row))
                .count();
            return format!(
                "`{name}`: {lost} acknowledged rows lost, {new} unacknowledged there, {changed} \
                 changed; notes {:?}, expected {:?}; cursors {:?}, expected {:?}",
                held.notes, promised.notes, held.cursors, promised.cursors
            );
        }
    }
    "no difference".to_owned()
}
