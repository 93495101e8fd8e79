//! A volume in memory that forgets what nobody synced.
//!
//! It models the worst that a file system of the usual kind may do. A write, a length, a name is
//! *volatile* until [`Disk::sync`] or [`Volume::sync_dir`] has returned without an error:
//!
//! - after [`SimVolume::crash`] any subset of the volatile writes of a file is there, each whole
//!   or in some of its 512-byte sectors, and its length is any that it had since the last sync;
//! - any subset of the volatile names is there; a synced file without a synced name is gone, and
//!   so is everything below a directory whose own name was not synced; a rename is atomic;
//! - a sync that fails has written some of the volatile data, and **forgets the rest**: it stays
//!   visible or not, but no later sync writes it (the pages are clean, as far as Linux knows).
//!
//! Every change is counted over all files, so that a test can strike at each of them.
#![allow(dead_code, reason = "every test that includes it uses another part")]

#[path = "sim_volume/device.rs"]
mod device;
#[path = "sim_volume/fate.rs"]
mod fate;
#[path = "sim_volume/image.rs"]
mod image;
#[path = "sim_volume/names.rs"]
mod names;

use device::{Device, Verdict, eio};
pub(crate) use device::{Fault, OpKind, Step};
pub(crate) use fate::Chance;
use fate::Change;
use names::{NameChange, Node, NodeId};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use storage::volume::{Disk, Volume};

/// A handle on the simulated volume; clones are handles on the same one.
#[derive(Clone, Debug)]
pub(crate) struct SimVolume {
    device: Arc<Mutex<Device>>,
}

impl SimVolume {
    /// An empty volume, without faults, as large as one likes.
    pub(crate) fn new() -> Self {
        Self::of(Device::default())
    }

    fn of(device: Device) -> Self {
        Self { device: Arc::new(Mutex::new(device)) }
    }

    fn device(&self) -> MutexGuard<'_, Device> {
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As the engine takes it.
    pub(crate) fn shared(&self) -> Arc<dyn Volume> {
        Arc::new(self.clone())
    }

    /// The same volume once more, volatile data included, with nothing open, no fault armed and
    /// the counters at 0.
    pub(crate) fn fork(&self) -> Self {
        Self::of(self.device().fork())
    }

    /// What is found after a power loss now; `seed` decides what survives of what was volatile.
    /// The present volume loses its power.
    pub(crate) fn crash(&self, seed: u64) -> Self {
        let mut device = self.device();
        device.powered = false;
        Self::of(device.survivor(seed))
    }

    /// Lets `fault` strike at the first operation from number `at` on that it can strike at.
    pub(crate) fn arm(&self, at: u64, fault: Fault) {
        self.device().faults.push((at, fault));
    }

    /// Decides by `luck` how much is done of operations that fail.
    pub(crate) fn set_luck(&self, luck: u64) {
        self.device().luck = luck;
    }

    /// Whether there is power.
    pub(crate) fn is_powered(&self) -> bool {
        self.device().powered
    }

    /// Ends every fault but a loss of power, and makes the volume as large as one likes.
    pub(crate) fn heal(&self) {
        let mut device = self.device();
        device.faults.clear();
        device.broken = false;
        device.syncs_fail = false;
        device.capacity = None;
    }

    /// Bounds the bytes that may be allocated.
    pub(crate) fn set_capacity(&self, bytes: u64) {
        self.device().capacity = Some(bytes);
    }

    /// Bytes allocated.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.device().used_bytes()
    }

    /// Makes every later sync a lie: it returns at once and nothing is stable. For proving that
    /// a test would notice.
    pub(crate) fn lie_about_syncs(&self) {
        self.device().lying = true;
    }

    /// Every change so far, by number.
    pub(crate) fn steps(&self) -> Vec<Step> {
        self.device().steps.clone()
    }

    /// How many changes there were.
    pub(crate) fn ops(&self) -> u64 {
        self.device().steps.len() as u64
    }

    /// How many reads there were.
    pub(crate) fn reads(&self) -> u64 {
        self.device().reads
    }

    /// How many faults have struck.
    pub(crate) fn struck(&self) -> u64 {
        self.device().struck
    }

    /// Whether every byte of the file `path` that is seen is stored as well.
    pub(crate) fn is_stable(&self, path: &Path) -> io::Result<bool> {
        self.device().is_stable(path)
    }
}

/// The names of `path`; only plain ones are allowed.
fn names_of(path: &Path) -> io::Result<Vec<&str>> {
    path.components()
        .filter(|c| !matches!(c, std::path::Component::CurDir))
        .map(|c| match c {
            std::path::Component::Normal(name) => {
                name.to_str().ok_or_else(|| io::ErrorKind::InvalidInput.into())
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        })
        .collect()
}

/// The directory that `path` lies in, which must exist, and its last name.
fn place<'p>(device: &Device, path: &'p Path) -> io::Result<(NodeId, &'p str)> {
    let names = names_of(path)?;
    let (name, above) = names.split_last().ok_or(io::ErrorKind::InvalidInput)?;
    match device.names.find(above) {
        Some(Node::Dir(dir)) => Ok((dir, name)),
        Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
        None => Err(io::ErrorKind::NotFound.into()),
    }
}

impl Volume for SimVolume {
    fn open(&self, path: &Path, create: bool) -> io::Result<Box<dyn Disk>> {
        let mut device = self.device();
        device.look()?;
        let (dir, name) = place(&device, path)?;
        let id = match device.names.find(&names_of(path)?) {
            Some(Node::File(id)) => id,
            Some(Node::Dir(_)) => return Err(io::ErrorKind::IsADirectory.into()),
            None if !create => return Err(io::ErrorKind::NotFound.into()),
            None => {
                let verdict = device.begin(OpKind::Create, path)?;
                let id = device.new_file(path);
                let node = Node::File(id);
                device.names.change(NameChange::Link { dir, name: name.to_owned(), node });
                verdict.end()?;
                id
            }
        };
        device.take_lock(id)?;
        Ok(Box::new(SimDisk { volume: self.clone(), id }))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let device = self.device();
        device.look()?;
        Ok(device.names.find(&names_of(path)?).is_some())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut device = self.device();
        device.look()?;
        let names = names_of(path)?;
        let mut dir = names::ROOT;
        for (n, name) in names.iter().enumerate() {
            dir = match device.names.find(&names[..=n]) {
                Some(Node::Dir(id)) => id,
                Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                None => {
                    let verdict = device.begin(OpKind::CreateDir, path)?;
                    let id = device.new_id();
                    let node = Node::Dir(id);
                    device.names.change(NameChange::Link { dir, name: (*name).to_owned(), node });
                    verdict.end()?;
                    id
                }
            };
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let device = self.device();
        device.look()?;
        match device.names.find(&names_of(path)?) {
            Some(Node::Dir(dir)) => Ok(device
                .names
                .live
                .get(&dir)
                .into_iter()
                .flat_map(|d| d.keys().cloned())
                .collect()),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Ok(Vec::new()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut device = self.device();
        device.look()?;
        let (from_dir, from_name) = place(&device, from)?;
        let (to_dir, to_name) = place(&device, to)?;
        let node = device.names.find(&names_of(from)?).ok_or(io::ErrorKind::NotFound)?;
        let replaced = device.names.find(&names_of(to)?);
        match (node, replaced) {
            (_, None) | (Node::File(_), Some(Node::File(_))) => {}
            (_, Some(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
        }
        let verdict = device.begin(OpKind::Rename, to)?;
        device.name_file(node, to);
        let (from, to) = ((from_dir, from_name.to_owned()), (to_dir, to_name.to_owned()));
        if from != to {
            device.names.change(NameChange::Rename { from, to, node });
        }
        verdict.end()
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut device = self.device();
        device.look()?;
        match device.names.find(&names_of(path)?) {
            None => return Ok(()),
            Some(Node::Dir(_)) => return Err(io::ErrorKind::IsADirectory.into()),
            Some(Node::File(_)) => {}
        }
        let (dir, name) = place(&device, path)?;
        let verdict = device.begin(OpKind::Remove, path)?;
        device.names.change(NameChange::Unlink { dir, name: name.to_owned() });
        verdict.end()
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut device = self.device();
        device.look()?;
        let id = match device.names.find(&names_of(path)?) {
            None => return Ok(()),
            Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
            Some(Node::Dir(id)) => id,
        };
        let (dir, name) = place(&device, path)?;
        device.remove_below(id, path)?;
        let verdict = device.begin(OpKind::Remove, path)?;
        device.names.change(NameChange::Unlink { dir, name: name.to_owned() });
        verdict.end()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut device = self.device();
        device.look()?;
        let dir = match device.names.find(&names_of(path)?) {
            Some(Node::Dir(dir)) => dir,
            Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        device.begin(OpKind::SyncDir, path)?.end()?;
        if !device.lying {
            device.names.sync(dir);
        }
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let device = self.device();
        device.look()?;
        Ok(device.free_bytes())
    }
}

/// An open file of a [`SimVolume`], locked until it is dropped.
#[derive(Debug)]
struct SimDisk {
    volume: SimVolume,
    id: NodeId,
}

impl Drop for SimDisk {
    fn drop(&mut self) {
        self.volume.device().release_lock(self.id);
    }
}

impl Disk for SimDisk {
    fn len(&self) -> io::Result<u64> {
        let mut device = self.volume.device();
        device.look()?;
        Ok(device.file(self.id)?.live.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut device = self.volume.device();
        device.begin_read()?;
        match device.file(self.id)?.live.read(offset, out) {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut device = self.volume.device();
        match device.begin_on(OpKind::Write, self.id)? {
            Verdict::Fails(seed) => {
                device.write_some(self.id, offset, data, seed)?;
                Err(eio())
            }
            verdict => {
                device.room_for(self.id, offset, data.len())?;
                device.change(self.id, Change::Write { offset, data: data.to_vec() })?;
                verdict.end()
            }
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut device = self.volume.device();
        match device.begin_on(OpKind::SetLen, self.id)? {
            Verdict::Fails(_) => Err(eio()),
            verdict => {
                device.change(self.id, Change::SetLen(len))?;
                verdict.end()
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        let mut device = self.volume.device();
        match device.begin_on(OpKind::Sync, self.id)? {
            Verdict::Goes if device.lying => Ok(()),
            Verdict::Goes => device.sync(self.id),
            Verdict::Fails(seed) => {
                device.fail_sync(self.id, seed)?;
                Err(eio())
            }
            Verdict::LosesPower => Err(eio()),
        }
    }

    fn allocated(&self) -> io::Result<u64> {
        let mut device = self.volume.device();
        device.look()?;
        Ok(device.file(self.id)?.live.allocated_bytes())
    }
}
