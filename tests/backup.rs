//! Backups: consistent while others write, whole or refused, and put back as they were.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "support/forged.rs"]
mod forged;

use emx::backup::{self, BackupError, Source, TenantReport};
use emx::tenancy::by::By;
use emx::tenancy::life::TenantChange;
use emx::tenancy::registry::{Completion, NewTenant, Tenancy};
use emx::tenancy::slug::Slug;
use emx::tenancy::tenant::TenantState;
use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use storage::ask::{Budget, Selection};
use storage::batch::RowBatchBuilder;
use storage::embedded::{EmbeddedEngine, EngineSettings};
use storage::engine::{Append, Engine, Keyspace};
use storage::row::{Actor, Row, RowId, Seq, Status, Word};
use storage::volume::OsVolume;

const NOW_MS: i64 = 1_790_000_000_000;

/// A data directory that is open, with tenants `red` and `blue`.
struct Installation {
    place: tempfile::TempDir,
    engine: Arc<EmbeddedEngine>,
    tenancy: Tenancy,
}

impl Installation {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("data")).unwrap();
        let (engine, tenancy) = open(&place.path().join("data"));
        let installation = Self { place, engine, tenancy };
        for slug in ["red", "blue"] {
            installation.make(slug);
        }
        installation
    }

    fn data_dir(&self) -> PathBuf {
        self.place.path().join("data")
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn make(&self, slug: &str) {
        let new = NewTenant { slug: Slug::parse(slug).unwrap(), time_zone: "UTC".to_owned() };
        self.tenancy.create(new, &By::operator(), NOW_MS, |_| Ok(Completion::default())).unwrap();
    }

    fn keyspace(&self, slug: &str) -> Arc<dyn Keyspace> {
        keyspace(&self.engine, &self.tenancy, slug)
    }

    fn back_up(&self, to: &Path) -> Result<backup::Created, BackupError> {
        let (engine, data_dir) = (&*self.engine, &self.data_dir());
        let source = Source { engine, data_dir, installation_id: Some("i-1"), now_ms: NOW_MS };
        backup::create(&source, to, &mut |_| {})
    }

    /// A backup of a little data.
    fn small() -> (Self, PathBuf) {
        let installation = Self::new();
        for slug in ["red", "blue"] {
            append(&*installation.keyspace(slug), slug, 0..50);
        }
        let file = installation.at("b.tar");
        installation.back_up(&file).unwrap();
        (installation, file)
    }

    /// What lies beside the data directory: nothing may be left there.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.place.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn open(dir: &Path) -> (Arc<EmbeddedEngine>, Tenancy) {
    let settings = EngineSettings { seal_rows: 2_000, ..EngineSettings::default() };
    let engine = Arc::new(EmbeddedEngine::open(OsVolume::shared(dir), settings).unwrap());
    let tenancy = Tenancy::start(Arc::<EmbeddedEngine>::clone(&engine)).unwrap();
    (engine, tenancy)
}

fn keyspace(engine: &EmbeddedEngine, tenancy: &Tenancy, slug: &str) -> Arc<dyn Keyspace> {
    let tenants = tenancy.list().unwrap();
    let tenant = tenants.iter().find(|tenant| tenant.slug.as_str() == slug).unwrap();
    engine.open(tenant.id.as_str()).unwrap()
}

/// Appends executions of which the n-th takes n microseconds.
fn append(keyspace: &dyn Keyspace, slug: &str, numbers: std::ops::Range<u64>) {
    let mut rows = RowBatchBuilder::with_capacity(numbers.clone().count());
    for n in numbers {
        let mut words = [""; Word::ALL.len()];
        words[Word::Command as usize] = "cargo test";
        words[Word::Team as usize] = slug;
        let id = format!("{slug}-{n}");
        rows.push(&Row {
            id: RowId::parse(&id),
            ts_ms: NOW_MS + n as i64,
            ts_given: true,
            received_ms: NOW_MS,
            words,
            status: Status::Success,
            actor: Actor::Ci,
            duration_us: Some(n),
            exit_code: Some(0),
            labels: &[],
            values: &[],
        });
    }
    let append = Append { rows: rows.finish(), ..Append::default() };
    keyspace.append(vec![append]).unwrap();
}

/// How many executions have a seq up to `last_seq`, and the sum of their durations.
fn totals(keyspace: &dyn Keyspace, last_seq: Seq) -> (u64, u64) {
    let everything = Selection { from_ms: i64::MIN, to_ms: i64::MAX, predicates: Vec::new() };
    let (mut count, mut sum) = (0, 0);
    keyspace
        .scan(&everything, &Budget::default(), &mut |rows| {
            for n in (0..rows.len).filter(|&n| rows.seq[n] <= last_seq) {
                count += 1;
                sum += rows.duration(n).unwrap();
            }
            true
        })
        .unwrap();
    (count, sum)
}

fn restore(file: &Path, to: &Path) -> Result<Vec<TenantReport>, BackupError> {
    backup::restore(file, to, &mut |_| {}).map(|restored| restored.tenants)
}

#[test]
fn what_is_written_meanwhile_is_in_it_up_to_one_moment() {
    const BATCH: u64 = 300;
    let installation = Installation::new();
    let (file, stop) = (installation.at("b.tar"), AtomicBool::new(false));
    let written = std::thread::scope(|scope| {
        let write = |slug: &'static str| {
            let (keyspace, stop) = (installation.keyspace(slug), &stop);
            scope.spawn(move || {
                let mut n = 0;
                while !stop.load(Ordering::SeqCst) {
                    append(&*keyspace, slug, n..n + BATCH);
                    n += BATCH;
                }
                n
            })
        };
        let writers = [write("red"), write("blue")];
        let mut made = None;
        for n in 0..4 {
            // Tenants come meanwhile too, and only those it knows of are in it.
            installation.make(&format!("new-{n}"));
            made = Some(installation.back_up(&installation.at(&format!("{n}.tar"))).unwrap());
        }
        fs::rename(made.unwrap().path, &file).unwrap();
        stop.store(true, Ordering::SeqCst);
        writers.map(|writer| writer.join().unwrap())
    });
    assert!(written.iter().all(|&rows| rows > 0), "{written:?}");
    let reports = restore(&file, &installation.at("restored")).unwrap();
    assert_eq!(reports.len(), 6);
    let (engine, tenancy) = open(&installation.at("restored"));
    for slug in ["red", "blue"] {
        let report = reports.iter().find(|report| report.tenant.as_str() == slug).unwrap();
        let restored = keyspace(&engine, &tenancy, slug);
        assert_eq!(restored.check().unwrap(), Vec::<String>::new());
        let found = totals(&*restored, Seq::MAX);
        assert_eq!(found, totals(&*installation.keyspace(slug), report.last_seq), "{slug}");
        assert_eq!((found.0, found.0 % BATCH), (report.rows, 0), "a batch in half");
        assert!(found.0 > 0, "{slug}");
        // It goes on where it was.
        append(&*restored, slug, found.0..found.0 + 7);
        assert_eq!(totals(&*restored, Seq::MAX).0, found.0 + 7);
    }
}

#[test]
fn keys_certificates_and_settings_are_carried_for_nobody_else_to_read() {
    let installation = Installation::new();
    let dir = installation.data_dir();
    fs::create_dir(dir.join("tls")).unwrap();
    let beside = ["secret.key", "config.toml", "tls/ca.key", "tls/server.pem"];
    for name in beside {
        fs::write(dir.join(name), name).unwrap();
    }
    for other in ["control.sock", "first-password.txt", "tls/.hidden"] {
        fs::write(dir.join(other), other).unwrap();
    }
    let made = installation.back_up(installation.place.path()).unwrap();
    assert_eq!(made.path, installation.at("emx-2026-09-21T14-13-20Z.tar"));
    assert_eq!(fs::metadata(&made.path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(made.manifest.has_secrets());
    assert_eq!(made.manifest.installation_id.as_deref(), Some("i-1"));
    let verified = backup::verify(&made.path, &mut |_| {}).unwrap();
    assert!(verified.is_sound(), "{verified:?}");
    assert_eq!((verified.tenants.len(), &verified.manifest), (2, &made.manifest));
    let to = installation.at("deep/restored");
    restore(&made.path, &to).unwrap();
    for name in beside {
        assert_eq!(fs::read_to_string(to.join(name)).unwrap(), name);
        assert_eq!(fs::metadata(to.join(name)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(!to.join("control.sock").exists() && !to.join("tls/.hidden").exists());
}

#[test]
fn nothing_that_is_there_is_replaced_and_nothing_half_made_stays() {
    let (installation, file) = Installation::small();
    let before = installation.names();
    assert!(matches!(installation.back_up(&file), Err(BackupError::Exists { .. })));
    let full = installation.at("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("x"), "x").unwrap();
    for to in [&full, &file, &full.join("x")] {
        let refused = restore(&file, to).unwrap_err();
        assert!(matches!(refused, BackupError::NotEmpty { .. }), "{refused:?}");
    }
    assert_eq!(fs::read_to_string(full.join("x")).unwrap(), "x");
    fs::remove_dir_all(&full).unwrap();
    fs::create_dir(&full).unwrap();
    assert_eq!(restore(&file, &full).unwrap().len(), 2);
    fs::remove_dir_all(&full).unwrap();
    assert_eq!(installation.names(), before);
}

#[test]
fn a_tenant_that_has_no_file_is_named() {
    let (installation, _) = Installation::small();
    let before = installation.names();
    let tenants = installation.tenancy.list().unwrap();
    installation.engine.delete(tenants[0].id.as_str()).unwrap();
    let refused = installation.back_up(&installation.at("c.tar")).unwrap_err();
    let named = matches!(&refused, BackupError::Missing { tenant } if *tenant == tenants[0].slug);
    assert!(named, "{refused:?}");
    assert_eq!(installation.names(), before);
}

#[test]
fn a_tenant_that_is_being_deleted_is_left_out_whether_its_file_is_there_or_not() {
    let installation = Installation::new();
    append(&*installation.keyspace("red"), "red", 0..5);
    let blue = Slug::parse("blue").unwrap();
    let (tenancy, deleting) = (&installation.tenancy, TenantChange::to(TenantState::Deleting));
    let blue = tenancy.change(&blue, &deleting, |_| true, &By::operator(), NOW_MS).unwrap();
    for name in ["with", "without"] {
        let made = installation.back_up(&installation.at(name)).unwrap();
        assert_eq!(made.manifest.tenants().count(), 1);
        assert!(backup::verify(&made.path, &mut |_| {}).unwrap().is_sound());
        let to = installation.at(&format!("{name}-restored"));
        assert_eq!(restore(&made.path, &to).unwrap().len(), 1);
        let (_engine, tenancy) = open(&to);
        for tenant in tenancy.deletions().unwrap() {
            tenancy.finish_deletion(&tenant, NOW_MS).unwrap();
        }
        assert_eq!(tenancy.list().unwrap().len(), 1);
        installation.engine.delete(blue.id.as_str()).unwrap();
    }
}

/// Refuses what is in `file`, leaving nothing behind.
#[track_caller]
fn demand_refused(installation: &Installation, file: &Path, what: &str) -> BackupError {
    let to = installation.at("restored");
    let before = installation.names();
    let refused = restore(file, &to).err().unwrap_or_else(|| panic!("restored: {what}"));
    assert_eq!(installation.names(), before, "{what}");
    let verified = backup::verify(file, &mut |_| {});
    assert!(verified.is_err() || verified.is_ok_and(|found| !found.is_sound()), "verified: {what}");
    refused
}

#[test]
fn a_truncated_one_is_refused_wherever_it_ends() {
    let (installation, file) = Installation::small();
    let whole = fs::metadata(&file).unwrap().len();
    let cut = installation.at("cut.tar");
    fs::copy(&file, &cut).unwrap();
    let handle = fs::OpenOptions::new().write(true).open(&cut).unwrap();
    let near_end = (1..=2_049).step_by(97).map(|less| whole - less);
    let steps = (0..whole).step_by((whole / 40) as usize);
    let mut lengths: Vec<u64> = near_end.chain(steps).chain([whole - 512, whole - 2_048]).collect();
    lengths.sort_unstable_by(|a, b| b.cmp(a));
    for len in lengths {
        handle.set_len(len).unwrap();
        let refused = demand_refused(&installation, &cut, &format!("{len} of {whole} bytes"));
        assert!(matches!(refused, BackupError::NotABackup { .. }), "{len}: {refused:?}");
    }
}

#[test]
fn one_with_a_byte_flipped_is_refused_wherever_it_is() {
    let (installation, file) = Installation::small();
    let whole = fs::metadata(&file).unwrap().len();
    let flipped = installation.at("flipped.tar");
    fs::copy(&file, &flipped).unwrap();
    let mut handle = fs::OpenOptions::new().read(true).write(true).open(&flipped).unwrap();
    let near_end = (1..=3_000).step_by(61).map(|less| whole - less);
    for at in (0..whole).step_by((whole / 60) as usize).chain(near_end) {
        let mut xor = |mask: u8| {
            let mut byte = [0];
            handle.seek(SeekFrom::Start(at)).unwrap();
            handle.read_exact(&mut byte).unwrap();
            handle.seek(SeekFrom::Start(at)).unwrap();
            handle.write_all(&[byte[0] ^ mask]).unwrap();
        };
        xor(1);
        demand_refused(&installation, &flipped, &format!("byte {at} of {whole}"));
        xor(1);
    }
    assert_eq!(restore(&flipped, &installation.at("restored")).unwrap().len(), 2);
}

#[test]
fn a_foreign_file_is_refused() {
    let (installation, _) = Installation::small();
    let foreign = installation.at("foreign");
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    tar.append_data(&mut header, "platform.redb", &b"hello"[..]).unwrap();
    let tar = tar.into_inner().unwrap();
    let keyspace = fs::read(installation.data_dir().join("platform.redb")).unwrap();
    for content in [Vec::new(), vec![0; 10_000], b"hello".repeat(1_000), tar, keyspace] {
        fs::write(&foreign, &content).unwrap();
        let refused = demand_refused(&installation, &foreign, &format!("{} bytes", content.len()));
        assert!(matches!(refused, BackupError::NotABackup { .. }), "{refused:?}");
    }
}

#[test]
fn one_that_somebody_has_made_leads_nowhere_else() {
    let (installation, file) = Installation::small();
    let forged = installation.at("forged.tar");
    let (entries, manifest) = forged::read(&file);
    forged::write(&forged, &entries, &manifest);
    assert_eq!(restore(&forged, &installation.at("as-it-was")).unwrap().len(), 2);
    for name in
        ["../evil", "/tmp/emx-evil", "tls/../../evil", "tls/a/b", "secret.key/x", "control.sock"]
    {
        let (mut entries, mut manifest) = forged::read(&file);
        let (kind, content) = (tar::EntryType::Regular, b"evil".to_vec());
        entries.push(forged::Entry { name: name.to_owned(), kind, content });
        let told = serde_json::json!({ "name": name, "kind": "tls", "bytes": 4, "sha256": "" });
        manifest["files"].as_array_mut().unwrap().push(told);
        forged::agree(&entries, &mut manifest);
        forged::write(&forged, &entries, &manifest);
        let refused = demand_refused(&installation, &forged, name);
        assert!(matches!(refused, BackupError::Altered { .. }), "{name}: {refused:?}");
    }
    for kind in [
        tar::EntryType::Symlink,
        tar::EntryType::Link,
        tar::EntryType::Directory,
        tar::EntryType::XHeader,
        tar::EntryType::GNULongName,
        tar::EntryType::Fifo,
    ] {
        let (mut entries, manifest) = forged::read(&file);
        entries[1].kind = kind;
        forged::write(&forged, &entries, &manifest);
        let refused = demand_refused(&installation, &forged, &format!("{kind:?}"));
        assert!(matches!(refused, BackupError::Altered { .. }), "{kind:?}: {refused:?}");
    }
    assert!(!Path::new("/tmp/emx-evil").exists() && !installation.at("evil").exists());
}

#[test]
fn swapped_missing_and_newer_ones_are_refused() {
    let (installation, file) = Installation::small();
    let forged = installation.at("forged.tar");
    let refused = |change: &dyn Fn(&mut Vec<forged::Entry>, &mut serde_json::Value), what: &str| {
        let (mut entries, mut manifest) = forged::read(&file);
        change(&mut entries, &mut manifest);
        forged::write(&forged, &entries, &manifest);
        demand_refused(&installation, &forged, what)
    };
    let swap = |entries: &mut Vec<forged::Entry>| {
        let content = std::mem::take(&mut entries[1].content);
        entries[1].content = std::mem::replace(&mut entries[2].content, content);
    };
    let told = refused(&|entries, _| swap(entries), "two tenants' files swapped");
    assert!(matches!(told, BackupError::Altered { .. }), "{told:?}");
    let change = |entries: &mut Vec<forged::Entry>, manifest: &mut serde_json::Value| {
        swap(entries);
        forged::agree(entries, manifest);
    };
    let told = refused(&change, "swapped, and the manifest with them");
    assert!(matches!(told, BackupError::Store(_)), "{told:?}");
    let change = |entries: &mut Vec<forged::Entry>, manifest: &mut serde_json::Value| {
        entries.pop();
        manifest["files"].as_array_mut().unwrap().pop();
    };
    let told = refused(&change, "a tenant's file is missing");
    assert!(matches!(told, BackupError::Altered { .. }), "{told:?}");
    let change = |_: &mut Vec<forged::Entry>, manifest: &mut serde_json::Value| {
        manifest["format"] = 3.into();
        manifest["something_new"] = true.into();
    };
    let told = refused(&change, "newer");
    assert!(matches!(told, BackupError::Newer { found: 3, .. }), "{told:?}");
}
