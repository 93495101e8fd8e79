//! Proves that the simulated volume does not lie: it keeps what was synced, it forgets what was
//! not, and an honest database on it survives while one on a lying disk does not.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "sim_volume/bare_redb.rs"]
mod bare_redb;
#[path = "support/sim_volume.rs"]
mod sim_volume;

use sim_volume::{Chance, Fault, OpKind, SimVolume};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use storage::volume::{Disk, Volume};

const SEEDS: u64 = 400;

fn file(volume: &SimVolume, path: &str) -> Box<dyn Disk> {
    volume.open(Path::new(path), true).unwrap()
}

/// The whole content, or nothing if there is no such file.
fn content(volume: &SimVolume, path: &str) -> Option<Vec<u8>> {
    let disk = match volume.open(Path::new(path), false) {
        Err(e) if e.kind() == ErrorKind::NotFound => return None,
        other => other.unwrap(),
    };
    let mut out = vec![0; disk.len().unwrap() as usize];
    disk.read(0, &mut out).unwrap();
    Some(out)
}

/// Every content of `path` that is found after a power loss, over many seeds.
fn survivors(volume: &SimVolume, path: &str) -> BTreeSet<Option<Vec<u8>>> {
    (0..SEEDS).map(|seed| content(&volume.fork().crash(seed), path)).collect()
}

fn with_stable_name(path: &str) -> (SimVolume, Box<dyn Disk>) {
    let volume = SimVolume::new();
    let disk = file(&volume, path);
    volume.sync_dir(Path::new("")).unwrap();
    (volume, disk)
}

#[test]
fn synced_bytes_under_a_synced_name_always_survive() {
    let (volume, disk) = with_stable_name("a");
    disk.write(0, &[7; 5000]).unwrap();
    disk.write(100, b"later").unwrap();
    disk.set_len(4000).unwrap();
    disk.set_len(9000).unwrap();
    disk.sync().unwrap();
    assert!(volume.is_stable(Path::new("a")).unwrap());
    let mut expected = vec![7; 4000];
    expected[100..105].copy_from_slice(b"later");
    expected.resize(9000, 0);
    assert_eq!(survivors(&volume, "a"), BTreeSet::from([Some(expected)]));
}

#[test]
fn a_synced_file_without_a_synced_name_may_vanish() {
    let volume = SimVolume::new();
    let disk = file(&volume, "a");
    disk.write(0, b"data").unwrap();
    disk.sync().unwrap();
    assert_eq!(survivors(&volume, "a"), BTreeSet::from([None, Some(b"data".to_vec())]));
}

#[test]
fn a_synced_name_without_synced_bytes_may_be_empty() {
    let (volume, disk) = with_stable_name("a");
    disk.write(0, b"data").unwrap();
    let found = survivors(&volume, "a");
    assert!(found.contains(&Some(Vec::new())), "dropped");
    assert!(found.contains(&Some(b"data".to_vec())), "kept");
    assert!(found.contains(&Some(vec![0; 4])), "the length kept, the bytes dropped");
    assert_eq!(found.len(), 3);
}

#[test]
fn any_subset_of_unsynced_writes_may_survive() {
    let (volume, disk) = with_stable_name("a");
    disk.write(0, &[1; 3 * 512]).unwrap();
    disk.sync().unwrap();
    for n in 0..3 {
        disk.write(n * 512, &[2; 512]).unwrap();
    }
    let firsts: BTreeSet<Vec<u8>> = survivors(&volume, "a")
        .into_iter()
        .map(|found| {
            let found = found.unwrap();
            assert!(found.chunks(512).all(|s| s == [1; 512] || s == [2; 512]), "torn in a sector");
            found.chunks(512).map(|sector| sector[0]).collect()
        })
        .collect();
    assert_eq!(firsts.len(), 8, "all subsets: {firsts:?}");
}

#[test]
fn a_write_tears_at_sectors_of_the_file() {
    let (volume, disk) = with_stable_name("a");
    disk.write(0, &[1; 2048]).unwrap();
    disk.sync().unwrap();
    disk.write(300, &[2; 1000]).unwrap();
    let mut shapes = BTreeSet::new();
    for found in survivors(&volume, "a") {
        let found = found.unwrap();
        let parts = [&found[300..512], &found[512..1024], &found[1024..1300]];
        assert!(parts.iter().all(|p| p.iter().all(|b| b == &p[0])), "torn within a sector");
        assert!(found[..300].iter().chain(&found[1300..]).all(|b| *b == 1), "outside the write");
        shapes.insert(parts.map(|p| p[0]));
    }
    assert_eq!(shapes.len(), 8, "{shapes:?}");
}

#[test]
fn the_newest_of_overlapping_writes_wins_if_it_survives() {
    let (volume, disk) = with_stable_name("a");
    for n in 1..=3 {
        disk.write(0, &[n; 512]).unwrap();
    }
    let found: BTreeSet<Option<u8>> =
        survivors(&volume, "a").into_iter().map(|f| f.unwrap().first().copied()).collect();
    assert_eq!(found, BTreeSet::from([None, Some(0), Some(1), Some(2), Some(3)]));
}

#[test]
fn a_file_is_found_with_a_length_that_it_had() {
    let (volume, disk) = with_stable_name("a");
    for len in [1000, 10, 500] {
        disk.set_len(len).unwrap();
    }
    let found: BTreeSet<usize> =
        survivors(&volume, "a").into_iter().map(|f| f.unwrap().len()).collect();
    assert_eq!(found, BTreeSet::from([0, 10, 500, 1000]));
}

#[test]
fn a_rename_is_atomic_and_volatile() {
    let volume = SimVolume::new();
    for (path, byte) in [("old", 1), ("new", 2)] {
        let disk = file(&volume, path);
        disk.write(0, &[byte]).unwrap();
        disk.sync().unwrap();
    }
    volume.sync_dir(Path::new("")).unwrap();
    volume.rename(Path::new("new"), Path::new("old")).unwrap();
    for seed in 0..SEEDS {
        let found = volume.crash(seed);
        match content(&found, "old") {
            Some(c) if c == [1] => assert_eq!(content(&found, "new"), Some(vec![2])),
            Some(c) if c == [2] => assert_eq!(content(&found, "new"), None),
            other => panic!("half a rename: {other:?}"),
        }
    }
    assert_eq!(survivors(&volume, "old").len(), 2);
}

#[test]
fn a_synced_rename_and_a_synced_removal_stay() {
    let volume = SimVolume::new();
    volume.create_dir(Path::new("d")).unwrap();
    drop(file(&volume, "x"));
    drop(file(&volume, "y"));
    volume.sync_dir(Path::new("")).unwrap();
    volume.rename(Path::new("x"), Path::new("d/x")).unwrap();
    volume.sync_dir(Path::new("d")).unwrap();
    volume.remove_file(Path::new("y")).unwrap();
    volume.sync_dir(Path::new("")).unwrap();
    for seed in 0..SEEDS {
        let found = volume.crash(seed);
        assert_eq!(found.list(Path::new("")).unwrap(), ["d"]);
        assert_eq!(found.list(Path::new("d")).unwrap(), ["x"]);
    }
}

#[test]
fn what_lies_in_a_directory_without_a_synced_name_is_lost_with_it() {
    let volume = SimVolume::new();
    volume.create_dir(Path::new("a/b")).unwrap();
    let disk = file(&volume, "a/b/f");
    disk.write(0, b"data").unwrap();
    disk.sync().unwrap();
    volume.sync_dir(Path::new("a/b")).unwrap();
    volume.sync_dir(Path::new("a")).unwrap();
    let found = survivors(&volume, "a/b/f");
    assert_eq!(found, BTreeSet::from([None, Some(b"data".to_vec())]));
    volume.sync_dir(Path::new("")).unwrap();
    assert_eq!(survivors(&volume, "a/b/f"), BTreeSet::from([Some(b"data".to_vec())]));
}

#[test]
fn a_directory_may_be_removed_in_part() {
    let volume = SimVolume::new();
    volume.create_dir(Path::new("d")).unwrap();
    for path in ["d/1", "d/2"] {
        drop(file(&volume, path));
    }
    volume.sync_dir(Path::new("d")).unwrap();
    volume.sync_dir(Path::new("")).unwrap();
    volume.remove_dir(Path::new("d")).unwrap();
    let found: BTreeSet<Vec<String>> =
        (0..SEEDS).map(|seed| volume.crash(seed).list(Path::new("d")).unwrap()).collect();
    assert_eq!(found.len(), 4, "every subset: {found:?}");
}

#[test]
fn a_failed_sync_loses_bytes_that_no_later_sync_brings_back() {
    let mut lost_though_seen = 0;
    for number in 0..SEEDS {
        let (volume, disk) = with_stable_name("a");
        for _ in 0..number {
            disk.write(0, &[1; 2048]).unwrap();
        }
        disk.sync().unwrap();
        disk.write(0, &[2; 2048]).unwrap();
        volume.arm(volume.ops(), Fault::SyncFails);
        disk.sync().unwrap_err();
        disk.write(512, &[3; 512]).unwrap();
        disk.sync().unwrap();
        let mut seen = vec![0; 2048];
        disk.read(0, &mut seen).unwrap();
        let stored = content(&volume.crash(number), "a").unwrap();
        assert_eq!(stored[512..1024], [3; 512], "written and synced after the failure");
        lost_though_seen += u64::from(seen != stored);
    }
    assert!(lost_though_seen > SEEDS / 10, "{lost_though_seen} of {SEEDS}");
}

#[test]
fn power_loss_ends_everything() {
    let (volume, disk) = with_stable_name("a");
    disk.write(0, b"12").unwrap();
    disk.sync().unwrap();
    volume.arm(volume.ops() + 1, Fault::PowerLoss);
    disk.write(0, b"ab").unwrap();
    disk.write(1, b"c").unwrap_err();
    assert_eq!(volume.struck(), 1);
    disk.sync().unwrap_err();
    disk.read(0, &mut [0]).unwrap_err();
    volume.list(Path::new("")).unwrap_err();
    volume.heal();
    disk.sync().unwrap_err();
    let found = survivors(&volume, "a");
    for expected in ["12", "ab", "ac", "1c"] {
        assert!(found.contains(&Some(expected.into())), "`{expected}` missing in {found:?}");
    }
}

#[test]
fn errors_strike_once_or_for_ever() {
    let (volume, disk) = with_stable_name("a");
    volume.arm(volume.ops(), Fault::FailsOnce);
    disk.write(0, &[1; 4096]).unwrap_err();
    disk.write(0, &[1; 4096]).unwrap();
    volume.arm(volume.reads() + 1, Fault::ReadFails);
    disk.read(0, &mut [0]).unwrap();
    disk.read(0, &mut [0]).unwrap_err();
    disk.read(0, &mut [0]).unwrap();
    volume.arm(volume.ops(), Fault::FailsForever);
    disk.sync().unwrap_err();
    disk.read(0, &mut [0]).unwrap_err();
    disk.write(0, &[1]).unwrap_err();
    volume.heal();
    disk.write(0, &[1]).unwrap();
    disk.sync().unwrap();
}

#[test]
fn space_is_counted_by_the_page() {
    let (volume, disk) = with_stable_name("a");
    volume.set_capacity(2 * 4096);
    disk.set_len(100 * 4096).unwrap();
    disk.write(4000, &[1; 200]).unwrap();
    assert_eq!((disk.allocated().unwrap(), volume.free_bytes().unwrap()), (8192, 0));
    disk.write(0, &[2; 8192]).unwrap();
    let full = disk.write(8191, &[2; 2]).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
    assert_eq!(volume.open(Path::new("b"), true).unwrap_err().kind(), ErrorKind::StorageFull);
    disk.set_len(1).unwrap();
    assert_eq!(volume.free_bytes().unwrap(), 4096);
    drop(file(&volume, "b"));
    drop(disk);
    volume.remove_file(Path::new("a")).unwrap();
    assert_eq!(volume.used_bytes(), 0);
}

#[test]
fn space_runs_out_at_an_operation() {
    let (volume, disk) = with_stable_name("a");
    disk.write(0, &[1; 10]).unwrap();
    volume.arm(volume.ops() + 1, Fault::NoSpace);
    disk.write(5000, &[1; 10]).unwrap();
    assert_eq!(disk.write(10_000, &[1; 10]).unwrap_err().kind(), ErrorKind::StorageFull);
    disk.write(5000, &[2; 10]).unwrap();
    disk.sync().unwrap();
    volume.heal();
    disk.write(10_000, &[1; 10]).unwrap();
}

#[test]
fn a_file_is_open_once() {
    let (volume, disk) = with_stable_name("a");
    assert_eq!(volume.open(Path::new("a"), false).unwrap_err().kind(), ErrorKind::WouldBlock);
    // The lock is on the file, not on its name.
    drop(file(&volume, "b"));
    volume.rename(Path::new("b"), Path::new("a")).unwrap();
    let other = file(&volume, "a");
    drop(other);
    drop(disk);
    file(&volume, "a");
    assert!(file(&volume.crash(1), "a").is_empty().unwrap());
    // The crash took the power of the volume itself.
    volume.shared().open(Path::new("a"), false).unwrap_err();
}

#[test]
fn a_fork_is_the_same_and_apart() {
    let (volume, disk) = with_stable_name("a");
    disk.write(0, b"one").unwrap();
    let fork = volume.fork();
    disk.write(0, b"two").unwrap();
    assert_eq!(content(&fork, "a").unwrap(), b"one");
    file(&fork, "a").write(0, b"six").unwrap();
    drop(disk);
    assert_eq!(content(&volume, "a").unwrap(), b"two");
    assert!(survivors(&fork, "a").contains(&Some(Vec::new())), "volatile data stay volatile");
}

#[test]
fn the_same_seed_gives_the_same_disk() {
    let (volume, disk) = with_stable_name("a");
    let mut chance = Chance::new(3);
    for _ in 0..100 {
        let at = chance.below(60_000);
        disk.write(at, &vec![chance.below(256) as u8; chance.below(3000) as usize]).unwrap();
    }
    let kinds: Vec<OpKind> = volume.steps().iter().map(|step| step.kind).collect();
    assert_eq!(kinds[..3], [OpKind::Create, OpKind::SyncDir, OpKind::Write]);
    assert!(volume.steps()[2].path.ends_with("a"));
    for seed in 0..50 {
        assert_eq!(content(&volume.crash(seed), "a"), content(&volume.crash(seed), "a"));
    }
    assert!(survivors(&volume, "a").len() > SEEDS as usize / 2, "seeds differ");
}

#[test]
fn names_outside_the_volume_are_refused() {
    let volume = SimVolume::new();
    for path in ["../x", "/x", "a/../b"] {
        assert!(volume.open(Path::new(path), true).is_err(), "`{path}`");
    }
    assert_eq!(volume.open(Path::new("no/x"), true).unwrap_err().kind(), ErrorKind::NotFound);
    volume.remove_file(Path::new("no")).unwrap();
    volume.remove_dir(Path::new("no")).unwrap();
    assert!(volume.list(Path::new("no")).unwrap().is_empty());
    assert!(!volume.exists(Path::new("no")).unwrap());
    assert_eq!(volume.sync_dir(Path::new("no")).unwrap_err().kind(), ErrorKind::NotFound);
}
