//! Damaged files: every answer is exactly right or an error, never wrong, never a panic, never
//! without end; and the other tenants do not notice.
//!
//! What is *not* detected, and cannot be from the file: a whole older copy of a keyspace put in
//! its place. It is a consistent state of the past, just what restoring a backup gives; the test
//! demands that it is answered from exactly as it was.
//!
//! `EMX_SOAK=1` does all the damage, otherwise some of it.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "damage/harm.rs"]
mod harm;
#[path = "support/ledger.rs"]
mod ledger;
#[path = "support/questions.rs"]
mod questions;

use harm::Harm;
use ledger::{Act, KeyspaceLedger, Ledger, LedgerRow, Part, Refusal, TABLE, append_rows};
use questions::{Finding, QUESTIONS, ask_all};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use storage::embedded::{EmbeddedEngine, EngineSettings};
use storage::engine::{Engine, Keyspace};
use storage::error::StoreError;
use storage::volume::OsVolume;

const VICTIM: &str = "t-victim";
const NEIGHBOUR: &str = "t-neighbour";

/// The thread that looks at harmed files.
const HARMED: &str = "harmed";

/// Longest time for all questions about one damaged file. Far more than any machine needs.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);

fn open(dir: &Path) -> Result<Arc<dyn Engine>, StoreError> {
    let settings =
        EngineSettings { seal_rows: 256, background: false, ..EngineSettings::default() };
    Ok(Arc::new(EmbeddedEngine::open(OsVolume::shared(dir), settings)?))
}

/// Every file of a directory with its content.
type Files = BTreeMap<PathBuf, Vec<u8>>;

fn read_files(dir: &Path) -> Files {
    let mut files = Files::new();
    let mut dirs = vec![PathBuf::new()];
    while let Some(at) = dirs.pop() {
        for entry in std::fs::read_dir(dir.join(&at)).unwrap() {
            let entry = entry.unwrap();
            let path = at.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                dirs.push(path);
            } else {
                files.insert(path.clone(), std::fs::read(dir.join(&path)).unwrap());
            }
        }
    }
    files
}

fn write_files(dir: &Path, files: &Files) {
    for (path, content) in files {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

fn keyspace_file(files: &Files, name: &str) -> PathBuf {
    let is_it = |path: &&PathBuf| {
        path.components().any(|c| c.as_os_str() == name)
            || path.file_stem().is_some_and(|s| s == name)
    };
    let mut found: Vec<&PathBuf> = files.keys().filter(is_it).collect();
    found.sort_by_key(|path| std::cmp::Reverse(files[*path].len()));
    found[0].clone()
}

/// Two tenants, sealed and unsealed rows each, in every state that rows can be in.
struct Store {
    files: Files,
    /// The victim's file at an earlier time, and what was promised then.
    old_file: Vec<u8>,
    old_ledger: KeyspaceLedger,
    ledger: Ledger,
}

impl Store {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::default();
        let some = |name: &str, numbers, origin: &str| {
            let note = Some((origin.as_bytes().to_vec(), b"noted".to_vec()));
            let rows = LedgerRow::many(numbers, 0, origin);
            Act::Append(name.to_owned(), vec![Part { rows, note }])
        };
        let settle = |name: &str| Act::Settle(name.to_owned());
        let mut acts = vec![Act::Claim(b"tenant/v".to_vec(), VICTIM.into())];
        for name in [VICTIM, NEIGHBOUR] {
            acts.extend([
                Act::Create(name.to_owned()),
                some(name, 0..600, "a"),
                settle(name),
                some(name, 600..800, "b"),
                settle(name),
                some(name, 800..860, "c"),
            ]);
        }
        perform(&acts, dir.path(), &mut ledger);
        let files = read_files(dir.path());
        let old_file = files[&keyspace_file(&files, VICTIM)].clone();
        let old_ledger = ledger.keyspaces[VICTIM].clone();
        let corrections = LedgerRow::many(790..810, 1, "corrected");
        let more = [
            Act::Replace(VICTIM.to_owned(), corrections),
            Act::Remove(VICTIM.to_owned(), "b".to_owned()),
            some(VICTIM, 1000..1090, "d"),
            Act::Cursor(VICTIM.to_owned(), "search".to_owned(), 77),
        ];
        perform(&more, dir.path(), &mut ledger);
        Self { files: read_files(dir.path()), old_file, old_ledger, ledger }
    }

    fn victim(&self) -> PathBuf {
        keyspace_file(&self.files, VICTIM)
    }

    /// Opens the store with `file` in the place of the one at `path` and asks it everything.
    /// Gives whether anything was detected.
    fn examine(&self, path: &Path, file: &[u8], promised: &Ledger) -> Result<bool, String> {
        let dir = tempfile::tempdir().unwrap();
        write_files(dir.path(), &self.files);
        std::fs::write(dir.path().join(path), file).unwrap();
        let mut detected = false;
        let Ok(engine) = open(dir.path()) else { return Ok(true) };
        detected |= ask_platform(&*engine, promised)?;
        for name in [VICTIM, NEIGHBOUR] {
            let is_whole = keyspace_file(&self.files, name) != path;
            let found =
                engine.open(name).map_err(Finding::from).and_then(|keyspace| match is_whole {
                    true => ask_all(&*keyspace, &promised.keyspaces[name]).map(|()| false),
                    false => ask_damaged(&*keyspace, &promised.keyspaces[name]),
                });
            match found {
                Ok(some) => detected |= some,
                Err(Finding::Failed(_)) if !is_whole => detected = true,
                Err(Finding::Failed(e)) => return Err(format!("`{name}` suffers: {e}")),
                Err(Finding::Wrong(what)) => return Err(format!("`{name}`: {what}")),
            }
        }
        Ok(detected)
    }
}

fn perform(acts: &[Act], dir: &Path, ledger: &mut Ledger) {
    let engine = open(dir).unwrap();
    for act in acts {
        let seqs = act.ask(&*engine, ledger, true).unwrap();
        *ledger = act.applied_to(ledger);
        if let Some(keyspace) = ledger.keyspaces.get_mut(act.keyspace()) {
            keyspace.seqs.extend(seqs);
        }
    }
}

/// Every question on its own, then a repeat and a new row. Gives whether damage was detected.
fn ask_damaged(keyspace: &dyn Keyspace, promised: &KeyspaceLedger) -> Result<bool, Finding> {
    let mut detected = false;
    let mut ask_questions = |promised: &KeyspaceLedger| {
        for (name, question) in QUESTIONS {
            match question(keyspace, promised) {
                Ok(()) => {}
                Err(Finding::Failed(_)) => detected = true,
                Err(Finding::Wrong(what)) => {
                    return Err(Finding::Wrong(format!("{name}: {what}")));
                }
            }
        }
        Ok(detected)
    };
    ask_questions(promised)?;
    let fresh = LedgerRow::numbered(9_999_999, 0, "fresh");
    let step = (promised.rows.len() / 40).max(1);
    let mut rows: Vec<LedgerRow> = promised.rows.values().step_by(step).cloned().collect();
    rows.push(fresh);
    let mut after = promised.clone();
    after.rows.extend(rows.iter().map(|row| (row.id.clone(), row.clone())));
    let detected = match append_rows(keyspace, rows, promised) {
        Ok(_) => ask_questions(&after)?,
        Err(Refusal::Store(_)) => true,
        Err(Refusal::Wrong(what)) => return Err(Finding::Wrong(format!("append: {what}"))),
    };
    Ok(match keyspace.check() {
        Ok(findings) => detected || !findings.is_empty(),
        Err(_) => true,
    })
}

/// Whether damage was detected in the platform's tables.
fn ask_platform(engine: &dyn Engine, promised: &Ledger) -> Result<bool, String> {
    const LIMIT: usize = 100;
    let listed = engine.platform().and_then(|tables| tables.list(TABLE, b"", None, LIMIT));
    let mut detected = listed.is_err();
    if let Ok(listed) = listed {
        let found: BTreeMap<Vec<u8>, Vec<u8>> = listed.into_iter().collect();
        if found != promised.platform {
            return Err(format!("platform: {found:?}"));
        }
    }
    for (key, value) in &promised.platform {
        match engine.platform().and_then(|tables| tables.get(TABLE, key)) {
            Ok(found) if found.as_ref() == Some(value) => {}
            Ok(found) => return Err(format!("platform: {key:?} is {found:?}")),
            Err(_) => detected = true,
        }
    }
    Ok(detected)
}

/// Does every harm to the file at `path`; `demand` says what share of it must be noticed, in
/// percent: harm to a page that nothing uses is none.
fn check(store: &'static Store, path: PathBuf, demand_percent: usize) {
    const FINDINGS_SHOWN: usize = 10;
    let pristine = &store.files[&path];
    let harms = harm::all(pristine.len());
    let total = harms.len();
    let (report, reports) = mpsc::channel();
    keep_panics_of(HARMED);
    let worker = std::thread::Builder::new().name(HARMED.to_owned());
    let examine_all = move || {
        for harm in harms {
            let damaged = harm.done_to(pristine);
            let result = match damaged == *pristine {
                true => Ok(Ok(false)),
                false => {
                    catch_unwind(AssertUnwindSafe(|| store.examine(&path, &damaged, &store.ledger)))
                }
            };
            if report.send((harm, result.unwrap_or_else(|_| Err(newest_panic())))).is_err() {
                return;
            }
        }
    };
    worker.spawn(examine_all).unwrap();
    let mut findings = Vec::new();
    let mut detected = 0;
    for n in 0..total {
        let (harm, result): (Harm, Result<bool, String>) = reports
            .recv_timeout(ANSWER_WITHIN)
            .unwrap_or_else(|e| panic!("no answer to harm {n} of {total}: {e}"));
        match result {
            Ok(noticed) => detected += usize::from(noticed),
            Err(what) => findings.push(format!("{harm:?}: {what}")),
        }
    }
    println!("{detected} of {total} harms were noticed, the others hurt nothing");
    assert!(
        findings.is_empty(),
        "{} of {total}:\n{}",
        findings.len(),
        findings[..findings.len().min(FINDINGS_SHOWN)].join("\n")
    );
    assert!(detected * 100 >= total * demand_percent, "only {detected} of {total} noticed");
}

/// The newest panic of the thread that looks at harmed files.
static NEWEST_PANIC: Mutex<String> = Mutex::new(String::new());

/// Keeps the panics of the thread `name` out of the output: the engine catches those of the
/// library below it, and one that it does not catch becomes a finding.
fn keep_panics_of(name: &'static str) {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() != Some(name) {
            usual(panic);
        } else if let Ok(mut newest) = NEWEST_PANIC.lock() {
            *newest = panic.to_string();
        }
    }));
}

fn newest_panic() -> String {
    NEWEST_PANIC.lock().map(|newest| newest.clone()).unwrap_or_default()
}

fn store() -> &'static Store {
    Box::leak(Box::new(Store::new()))
}

#[test]
fn a_keyspace_is_harmed() {
    let store = store();
    check(store, store.victim(), 30);
}

#[test]
fn the_platform_is_harmed() {
    let store = store();
    let is_keyspace = |path: &PathBuf| {
        [VICTIM, NEIGHBOUR].iter().any(|n| keyspace_file(&store.files, n) == *path)
    };
    let platform =
        store.files.keys().find(|path| !is_keyspace(path) && path.ends_with("platform.redb"));
    check(store, platform.unwrap().clone(), 10);
}

#[test]
fn two_tenants_files_are_swapped() {
    let store = store();
    let (victim, neighbour) = (store.victim(), keyspace_file(&store.files, NEIGHBOUR));
    let dir = tempfile::tempdir().unwrap();
    write_files(dir.path(), &store.files);
    std::fs::write(dir.path().join(&victim), &store.files[&neighbour]).unwrap();
    std::fs::write(dir.path().join(&neighbour), &store.files[&victim]).unwrap();
    let engine = open(dir.path()).unwrap();
    for name in [VICTIM, NEIGHBOUR] {
        let refused = engine.open(name).unwrap_err();
        assert!(matches!(refused, StoreError::WrongKeyspace { .. }), "`{name}`: {refused}");
    }
}

#[test]
fn one_tenants_file_stands_in_for_another() {
    let store = store();
    let neighbour = &store.files[&keyspace_file(&store.files, NEIGHBOUR)];
    assert_eq!(store.examine(&store.victim(), neighbour, &store.ledger), Ok(true));
}

#[test]
fn an_older_copy_is_answered_from_as_it_was() {
    let store = store();
    let mut promised = store.ledger.clone();
    promised.keyspaces.insert(VICTIM.to_owned(), store.old_ledger.clone());
    let noticed = store.examine(&store.victim(), &store.old_file, &promised);
    assert_eq!(noticed, Ok(false), "a consistent state of the past");
}

#[test]
fn other_things_lie_in_the_place_of_a_keyspace() {
    let store = store();
    let platform = store.files.iter().find(|(path, _)| path.ends_with("platform.redb")).unwrap().1;
    let text = b"not a database at all\n".repeat(1000);
    for content in [&b""[..], b"x", &text, &[0; 100_000], platform] {
        assert_eq!(store.examine(&store.victim(), content, &store.ledger), Ok(true));
    }
}

#[test]
fn a_keyspace_without_file_is_not_an_empty_one() {
    let store = store();
    let dir = tempfile::tempdir().unwrap();
    write_files(dir.path(), &store.files);
    std::fs::remove_file(dir.path().join(store.victim())).unwrap();
    let engine = open(dir.path()).unwrap();
    let refused = engine.open(VICTIM).unwrap_err();
    assert!(matches!(refused, StoreError::NotFound { .. } | StoreError::Corrupt(_)), "{refused}");
    ask_all(&*engine.open(NEIGHBOUR).unwrap(), &store.ledger.keyspaces[NEIGHBOUR]).unwrap();
}
