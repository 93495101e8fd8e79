//! redb itself on the simulated volume: commits that returned are never lost, however the power
//! goes; and on a disk that lies about its syncs they are, which proves that the test can fail.

use crate::sim_volume::{Chance, Fault, SimVolume};
use redb::{Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};
use std::collections::BTreeMap;
use std::path::Path;
use storage::volume::{Disk, Volume};

const TABLE: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("rows");
const CACHE_BYTES: usize = 64 << 10;

type Rows = BTreeMap<u64, Vec<u8>>;

/// A file of the volume as redb wants it.
#[derive(Debug)]
struct Backend(Box<dyn Disk>);

impl StorageBackend for Backend {
    fn len(&self) -> std::io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> std::io::Result<()> {
        self.0.sync()
    }
    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.0.write(offset, data)
    }
}

/// How commits are made safe.
#[derive(Clone, Copy, Debug)]
enum Safety {
    Checksums,
    TwoPhase,
    QuickRepair,
}

fn database(volume: &SimVolume) -> Result<Database, redb::Error> {
    let disk = volume.open(Path::new("db"), true)?;
    volume.sync_dir(Path::new(""))?;
    Ok(Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(Backend(disk))?)
}

fn commit(db: &Database, rows: &Rows, safety: Safety) -> Result<(), redb::Error> {
    let mut txn = db.begin_write()?;
    txn.set_two_phase_commit(matches!(safety, Safety::TwoPhase));
    txn.set_quick_repair(matches!(safety, Safety::QuickRepair));
    {
        let mut table = txn.open_table(TABLE)?;
        for (key, value) in rows {
            table.insert(key, value.as_slice())?;
        }
    }
    Ok(txn.commit()?)
}

fn read(db: &Database) -> Result<Rows, redb::Error> {
    let txn = db.begin_read()?;
    let table = match txn.open_table(TABLE) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Rows::new()),
        other => other?,
    };
    let mut rows = Rows::new();
    for entry in table.iter()? {
        let (key, value) = entry?;
        rows.insert(key.value(), value.value().to_vec());
    }
    Ok(rows)
}

/// Commits random rows until some are done or the volume fails. Gives what was acknowledged
/// and what the failed commit would have made of it.
///
/// The fault is armed once the database is made: redb does not promise that a file in which it was
/// interrupted while making it can be opened.
fn work(volume: &SimVolume, fault: Fault, chance: &mut Chance, safety: Safety) -> (Rows, Rows) {
    const COMMITS: usize = 12;
    let mut stored = Rows::new();
    let db = database(volume).unwrap();
    volume.arm(volume.ops() + chance.below(150), fault);
    for _ in 0..COMMITS {
        let mut rows = Rows::new();
        for _ in 0..=chance.below(20) {
            rows.insert(chance.below(200), vec![chance.next() as u8; chance.below(3000) as usize]);
        }
        let mut after = stored.clone();
        after.extend(rows.clone());
        match commit(&db, &rows, safety) {
            Ok(()) => stored = after,
            Err(_) => return (stored, after),
        }
    }
    (stored.clone(), stored)
}

/// One crash; `Ok` says how many rows were acknowledged, `Err` what was lost.
fn crash(number: u64, safety: Safety, lies: bool) -> Result<usize, String> {
    let mut chance = Chance::new(number);
    let volume = SimVolume::new();
    if lies {
        volume.lie_about_syncs();
    }
    let fault = match chance.below(4) {
        0 => Fault::FailsForever,
        1 => Fault::NoSpace,
        _ => Fault::PowerLoss,
    };
    let (stored, after) = work(&volume, fault, &mut chance, safety);
    let found = volume.crash(chance.next());
    let found_rows = {
        let mut db = database(&found).map_err(|e| format!("does not open: {e}"))?;
        if !db.check_integrity().map_err(|e| format!("integrity: {e}"))? {
            return Err("the check repaired something".into());
        }
        read(&db).map_err(|e| format!("cannot be read: {e}"))?
    };
    match found_rows == stored || found_rows == after {
        true => Ok(stored.len()),
        false => Err(format!("{} rows found, {} acknowledged", found_rows.len(), stored.len())),
    }
}

fn check(safety: Safety) {
    const CRASHES: u64 = 700; // with the three kinds of commit, over 2,000
    let acknowledged: usize = (0..CRASHES)
        .map(|n| crash(n, safety, false).unwrap_or_else(|e| panic!("crash {n}, {safety:?}: {e}")))
        .sum();
    assert!(acknowledged > 10_000, "the crashes come too early: {acknowledged}");
}

#[test]
fn redb_loses_no_commit_by_checksums() {
    check(Safety::Checksums);
}

#[test]
fn redb_loses_no_commit_by_two_phases() {
    check(Safety::TwoPhase);
}

#[test]
fn redb_loses_no_commit_with_quick_repair() {
    check(Safety::QuickRepair);
}

#[test]
fn redb_on_a_lying_disk_loses_commits() {
    // redb trusts what it reads: a page that was never written can make it panic.
    let loses = |n: &u64| {
        !matches!(std::panic::catch_unwind(|| crash(*n, Safety::TwoPhase, true)), Ok(Ok(_)))
    };
    let lost = (0..100).filter(loses).count();
    assert!(lost > 20, "{lost} of 100");
}
