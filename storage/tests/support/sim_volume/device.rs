//! The machine below a simulated volume: files, counters, faults and power.

use super::fate::{Chance, Change, Mood, Piece, survivor};
use super::image::Image;
use super::names::{NameChange, Names, Node, NodeId};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Free bytes of a volume without bounds.
const ENDLESS_BYTES: u64 = 1 << 42;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// The power goes in the midst of the operation and stays away.
    PowerLoss,
    /// One operation fails with an I/O error; it may have been done in part.
    FailsOnce,
    /// Every operation fails from then on, reading too, until [`super::SimVolume::heal`].
    FailsForever,
    /// The next sync of a file or a directory fails, once.
    SyncFails,
    /// Every sync of a file or a directory fails from then on, until [`super::SimVolume::heal`].
    SyncsFail,
    /// The read of that number fails, once.
    ReadFails,
    /// No page is left to allocate, until [`super::SimVolume::heal`].
    NoSpace,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum OpKind {
    Create,
    CreateDir,
    Write,
    SetLen,
    Sync,
    Rename,
    Remove,
    SyncDir,
}

/// One change that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) kind: OpKind,
    /// Of the file or directory.
    pub(crate) path: PathBuf,
}

/// What becomes of an operation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict {
    Goes,
    /// It fails, after a part of it that the seed decides.
    Fails(u64),
    /// It may be done or not, nobody will hear of it.
    LosesPower,
}

impl Verdict {
    /// The answer of an operation that is whole or absent.
    pub(super) fn end(self) -> io::Result<()> {
        match self {
            Self::Goes => Ok(()),
            Self::Fails(_) | Self::LosesPower => Err(eio()),
        }
    }
}

pub(super) fn eio() -> io::Error {
    rustix::io::Errno::IO.into()
}

fn no_space() -> io::Error {
    rustix::io::Errno::NOSPC.into()
}

/// A file: as it is seen, as it is stored, and the changes between.
#[derive(Clone, Debug)]
pub(super) struct Inode {
    pub(super) live: Image,
    stable: Image,
    changes: Vec<Change>,
    open: bool,
    path: PathBuf,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Device {
    files: BTreeMap<NodeId, Inode>,
    pub(super) names: Names,
    next_id: NodeId,
    pub(super) steps: Vec<Step>,
    pub(super) reads: u64,
    pub(super) faults: Vec<(u64, Fault)>,
    pub(super) struck: u64,
    pub(super) powered: bool,
    pub(super) broken: bool,
    pub(super) syncs_fail: bool,
    pub(super) lying: bool,
    pub(super) capacity: Option<u64>,
    /// Decides how much of a failing operation is done.
    pub(super) luck: u64,
}

impl Default for Device {
    fn default() -> Self {
        Self::with(BTreeMap::new(), Names::default(), super::names::ROOT + 1)
    }
}

impl Device {
    fn with(files: BTreeMap<NodeId, Inode>, names: Names, next_id: NodeId) -> Self {
        Self {
            files,
            names,
            next_id,
            steps: Vec::new(),
            reads: 0,
            faults: Vec::new(),
            struck: 0,
            powered: true,
            broken: false,
            syncs_fail: false,
            lying: false,
            capacity: None,
            luck: 0,
        }
    }

    pub(super) fn fork(&self) -> Self {
        let mut files = self.files.clone();
        files.values_mut().for_each(|f| f.open = false);
        Self { lying: self.lying, ..Self::with(files, self.names.clone(), self.next_id) }
    }

    /// The device as it is found when the power is back.
    pub(super) fn survivor(&self, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let mood = Mood::pick(&mut chance);
        let tree = self.names.survivors(|newest| mood.keeps(&mut chance, newest));
        let mut files = BTreeMap::new();
        let mut dirs = vec![super::names::ROOT];
        let mut reached = super::names::Tree::new();
        while let Some(dir) = dirs.pop() {
            let entries = tree.get(&dir).cloned().unwrap_or_default();
            for node in entries.values() {
                match node {
                    Node::Dir(id) => dirs.push(*id),
                    Node::File(id) => {
                        let Some(file) = self.files.get(id) else { continue };
                        let image = survivor(&file.stable, &file.changes, mood, &mut chance);
                        files.insert(*id, Inode::stored(image, file.path.clone()));
                    }
                }
            }
            reached.insert(dir, entries);
        }
        Self::with(files, Names::stable(reached), self.next_id)
    }

    /// Asks without changing anything; fails where nothing goes any more.
    pub(super) fn look(&self) -> io::Result<()> {
        if self.powered && !self.broken { Ok(()) } else { Err(eio()) }
    }

    /// Counts an operation and says what becomes of it.
    pub(super) fn begin(&mut self, kind: OpKind, path: &Path) -> io::Result<Verdict> {
        let number = self.steps.len() as u64;
        self.look()?;
        self.steps.push(Step { kind, path: path.to_owned() });
        let is_sync = matches!(kind, OpKind::Sync | OpKind::SyncDir);
        let due = |&(at, fault): &(u64, Fault)| {
            at <= number
                && match fault {
                    Fault::ReadFails => false,
                    Fault::SyncFails | Fault::SyncsFail => is_sync,
                    _ => true,
                }
        };
        if self.syncs_fail && is_sync {
            return self.refuse(kind, number);
        }
        let Some(n) = self.faults.iter().position(due) else { return self.admit(kind) };
        let (_, fault) = self.faults.remove(n);
        self.struck += 1;
        match fault {
            Fault::PowerLoss => {
                self.powered = false;
                Ok(Verdict::LosesPower)
            }
            Fault::FailsForever => {
                self.broken = true;
                self.refuse(kind, number)
            }
            Fault::SyncsFail => {
                self.syncs_fail = true;
                self.refuse(kind, number)
            }
            Fault::NoSpace => {
                self.capacity = Some(self.used_bytes());
                self.admit(kind)
            }
            Fault::FailsOnce | Fault::SyncFails | Fault::ReadFails => self.refuse(kind, number),
        }
    }

    /// An operation that no fault concerns. A new name needs space as well.
    fn admit(&self, kind: OpKind) -> io::Result<Verdict> {
        let grows = matches!(kind, OpKind::Create | OpKind::CreateDir);
        if grows && self.free_bytes() == 0 { Err(no_space()) } else { Ok(Verdict::Goes) }
    }

    /// An operation that fails. Names do not change then; files may, in part.
    fn refuse(&self, kind: OpKind, number: u64) -> io::Result<Verdict> {
        match kind {
            OpKind::Write | OpKind::SetLen | OpKind::Sync => {
                Ok(Verdict::Fails(Chance::new(number ^ self.luck.rotate_left(32)).next()))
            }
            _ => Err(eio()),
        }
    }

    pub(super) fn begin_on(&mut self, kind: OpKind, id: NodeId) -> io::Result<Verdict> {
        let path = self.file(id)?.path.clone();
        self.begin(kind, &path)
    }

    pub(super) fn begin_read(&mut self) -> io::Result<()> {
        self.look()?;
        let number = self.reads;
        self.reads += 1;
        let due = |&(at, fault): &(u64, Fault)| fault == Fault::ReadFails && at <= number;
        if let Some(n) = self.faults.iter().position(due) {
            self.faults.remove(n);
            self.struck += 1;
            return Err(eio());
        }
        Ok(())
    }

    pub(super) fn file(&mut self, id: NodeId) -> io::Result<&mut Inode> {
        self.files.get_mut(&id).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn new_id(&mut self) -> NodeId {
        self.next_id += 1;
        self.next_id - 1
    }

    pub(super) fn new_file(&mut self, path: &Path) -> NodeId {
        let id = self.new_id();
        self.files.insert(id, Inode::stored(Image::default(), path.to_owned()));
        id
    }

    /// Remembers the newest name of a file, for the steps.
    pub(super) fn name_file(&mut self, node: Node, path: &Path) {
        if let Node::File(id) = node
            && let Some(file) = self.files.get_mut(&id)
        {
            file.path = path.to_owned();
        }
    }

    pub(super) fn take_lock(&mut self, id: NodeId) -> io::Result<()> {
        let file = self.file(id)?;
        if std::mem::replace(&mut file.open, true) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(())
    }

    pub(super) fn release_lock(&mut self, id: NodeId) {
        if let Some(file) = self.files.get_mut(&id) {
            file.open = false;
        }
    }

    /// Removes what is below the directory `id`, name by name.
    pub(super) fn remove_below(&mut self, id: NodeId, path: &Path) -> io::Result<()> {
        let entries = self.names.live.get(&id).cloned().unwrap_or_default();
        for (name, node) in entries {
            let below = path.join(&name);
            if let Node::Dir(inner) = node {
                self.remove_below(inner, &below)?;
            }
            let verdict = self.begin(OpKind::Remove, &below)?;
            self.names.change(NameChange::Unlink { dir: id, name });
            verdict.end()?;
        }
        Ok(())
    }

    pub(super) fn change(&mut self, id: NodeId, change: Change) -> io::Result<()> {
        let file = self.file(id)?;
        change.apply(&mut file.live);
        file.changes.push(change);
        Ok(())
    }

    /// Does a part of a write that is about to fail.
    pub(super) fn write_some(
        &mut self,
        id: NodeId,
        offset: u64,
        data: &[u8],
        seed: u64,
    ) -> io::Result<()> {
        let piece = Piece::torn(&mut Chance::new(seed));
        for range in piece.ranges(offset, data.len()) {
            let at = offset + range.start as u64;
            if self.room_for(id, at, range.len()).is_ok() {
                self.change(id, Change::Write { offset: at, data: data[range].to_vec() })?;
            }
        }
        Ok(())
    }

    pub(super) fn sync(&mut self, id: NodeId) -> io::Result<()> {
        let file = self.file(id)?;
        for change in file.changes.drain(..) {
            change.apply(&mut file.stable);
        }
        Ok(())
    }

    /// A sync that fails: some of the changes are stable now, and the others never will be. What
    /// was lost can still be seen until its page is read anew, which may be at once. The length
    /// is not lost: it is in the file system's own journal, which the next sync writes.
    pub(super) fn fail_sync(&mut self, id: NodeId, seed: u64) -> io::Result<()> {
        let mut chance = Chance::new(seed);
        let mood = Mood::pick(&mut chance);
        let evicts = chance.percent(50);
        let file = self.file(id)?;
        let len = file.live.len();
        file.stable = survivor(&file.stable, &file.changes, mood, &mut chance);
        file.changes.clear();
        if evicts {
            file.live = file.stable.clone();
            file.live.set_len(len);
        }
        if file.stable.len() != len {
            file.changes.push(Change::SetLen(len));
        }
        Ok(())
    }

    /// Bytes allocated to the files that have a name or are open.
    pub(super) fn used_bytes(&self) -> u64 {
        let named: std::collections::BTreeSet<NodeId> = self
            .names
            .live
            .values()
            .flat_map(|dir| dir.values())
            .filter_map(|node| match node {
                Node::File(id) => Some(*id),
                Node::Dir(_) => None,
            })
            .collect();
        let counts = |(id, file): &(&NodeId, &Inode)| file.open || named.contains(id);
        self.files.iter().filter(counts).map(|(_, file)| file.live.allocated_bytes()).sum()
    }

    pub(super) fn free_bytes(&self) -> u64 {
        match self.capacity {
            Some(capacity) => capacity.saturating_sub(self.used_bytes()),
            None => ENDLESS_BYTES,
        }
    }

    /// Whether a write of `len` bytes fits. Overwriting takes no space.
    pub(super) fn room_for(&mut self, id: NodeId, offset: u64, len: usize) -> io::Result<()> {
        if self.capacity.is_none() {
            return Ok(());
        }
        let growth = self.file(id)?.live.growth(offset, len);
        if growth > self.free_bytes() { Err(no_space()) } else { Ok(()) }
    }

    pub(super) fn is_stable(&mut self, path: &Path) -> io::Result<bool> {
        match self.names.find(&super::names_of(path)?) {
            Some(Node::File(id)) => {
                let file = self.file(id)?;
                Ok(file.changes.is_empty() && file.live.same_bytes(&file.stable))
            }
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Inode {
    fn stored(image: Image, path: PathBuf) -> Self {
        Self { live: image.clone(), stable: image, changes: Vec::new(), open: false, path }
    }
}
