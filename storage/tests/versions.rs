//! Versions of the small tables: up and down by one step or several, whole or absent, and everything
//! that was written at the newer one still there at the older one.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

mod support;
#[path = "support/versions.rs"]
mod versions;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use storage::embedded::{EmbeddedEngine, EngineSettings};
use storage::engine::{Append, Engine, Keyspace, KeyspaceSettings, TableWrite};
use storage::error::{Corrupt, StoreError};
use storage::schema::{Index, STEP_ENTRIES_MAX, Schema, SchemaState, Step, StepTables};
use storage::volume::OsVolume;
use versions::{BY_VALUE, SCHEMA, STEP_2, agrees};

const TABLE: &str = "notes";

/// Notes for several transactions of a step.
const NOTES: usize = 3 * STEP_ENTRIES_MAX + 7;

/// Notes in capital letters: a version that changes every entry.
const STEP_3: Step = Step { from: 2, to: 3, summary: "in capitals", up: louder, down: softer };
static SCHEMA_3: Schema = Schema { steps: &[STEP_2, STEP_3], indexes: &[BY_VALUE] };

fn louder(tables: &mut dyn StepTables) -> Result<(), StoreError> {
    change_all(tables, |value| value.to_ascii_uppercase(), usize::MAX)
}

fn softer(tables: &mut dyn StepTables) -> Result<(), StoreError> {
    change_all(tables, |value| value.to_ascii_lowercase(), usize::MAX)
}

/// Changes every note, but fails after `most` of them.
fn change_all(
    tables: &mut dyn StepTables,
    change: fn(&[u8]) -> Vec<u8>,
    most: usize,
) -> Result<(), StoreError> {
    let (mut after, mut changed): (Option<Vec<u8>>, usize) = (None, 0);
    loop {
        let notes = tables.list(TABLE, after.as_deref(), STEP_ENTRIES_MAX)?;
        let Some((last, _)) = notes.last() else { return Ok(()) };
        after = Some(last.clone());
        let writes: Vec<_> =
            notes.iter().map(|(key, value)| note(key, Some(change(value)))).collect();
        tables.write(&writes)?;
        changed += notes.len();
        if changed > most {
            return Err(Corrupt::new("a step that fails half-way").into());
        }
    }
}

fn note(key: &[u8], value: Option<Vec<u8>>) -> TableWrite {
    TableWrite { table: TABLE.to_owned(), key: key.to_vec(), value }
}

fn open(dir: &Path, schema: &'static Schema) -> EmbeddedEngine {
    let settings = EngineSettings { schema, ..support::small_settings() };
    EmbeddedEngine::open(OsVolume::shared(dir), settings).unwrap()
}

fn notes(keyspace: &dyn Keyspace) -> BTreeMap<Vec<u8>, Vec<u8>> {
    keyspace.list(TABLE, b"", None, usize::MAX).unwrap().into_iter().collect()
}

/// Everything a keyspace holds but its version and what that adds.
fn dump(keyspace: &Arc<dyn Keyspace>) -> impl PartialEq + std::fmt::Debug + use<> {
    (support::contents(keyspace), notes(&**keyspace), keyspace.cursor("search").unwrap())
}

/// A keyspace at version 1 with rows, notes and a cursor, as a program knows it that has no schema.
fn begun() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path(), &Schema::NONE);
    engine.create("t", &KeyspaceSettings::default()).unwrap();
    let keyspace = engine.open("t").unwrap();
    keyspace.append(vec![support::append(support::batch(0..300))]).unwrap();
    let writes: Vec<_> = (0..NOTES)
        .map(|n| note(format!("key {n:05}").as_bytes(), Some(format!("value {}", n % 97).into())))
        .collect();
    assert!(keyspace.write(&[], &writes).unwrap());
    keyspace.set_cursor("search", 17).unwrap();
    dir
}

/// The keyspace is sound, at `version`, and finds its notes as that version does.
#[track_caller]
fn demand(keyspace: &dyn Keyspace, version: u32) {
    assert_eq!(keyspace.check().unwrap(), Vec::<String>::new());
    assert_eq!(keyspace.schema().unwrap().version, version);
    assert_eq!(agrees(keyspace, &notes(keyspace)).unwrap(), Ok(()));
}

#[test]
fn up_and_back_leaves_everything_as_it_was() {
    let dir = begun();
    let before = dump(&open(dir.path(), &Schema::NONE).open("t").unwrap());
    let engine = open(dir.path(), &SCHEMA_3);
    let keyspace = engine.open("t").unwrap();
    let at = |version| SchemaState { version, newest: 3, moving: None };
    assert_eq!(keyspace.schema().unwrap(), at(1));
    let moved = keyspace.migrate(3).unwrap();
    assert_eq!((moved.from, moved.to), (1, 3));
    assert!(moved.entries >= 2 * NOTES as u64, "{moved:?}");
    assert_eq!(keyspace.migrate(3).unwrap().entries, 0);
    demand(&*keyspace, 3);
    assert!(notes(&*keyspace).values().all(|value| value.starts_with(b"VALUE ")));
    // It holds after a start, in a copy, and in a file that was written anew.
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(copy.path().join("tenants/t")).unwrap();
    keyspace.snapshot(&copy.path().join("tenants/t/metrics.redb")).unwrap();
    std::fs::copy(dir.path().join("platform.redb"), copy.path().join("platform.redb")).unwrap();
    keyspace.rewrite().unwrap();
    drop((keyspace, engine));
    for dir in [dir.path(), copy.path()] {
        let engine = open(dir, &SCHEMA_3);
        let keyspace = engine.open("t").unwrap();
        demand(&*keyspace, 3);
        keyspace.migrate(2).unwrap();
        demand(&*keyspace, 2);
        keyspace.migrate(1).unwrap();
        demand(&*keyspace, 1);
        drop((keyspace, engine));
        let engine = open(dir, &Schema::NONE);
        assert_eq!(dump(&engine.open("t").unwrap()), before);
    }
}

#[test]
fn what_is_written_at_a_newer_version_is_there_at_the_older_one() {
    let dir = begun();
    let engine = open(dir.path(), &SCHEMA);
    let keyspace = engine.open("t").unwrap();
    keyspace.migrate(2).unwrap();
    // New, changed (with another number and with the same), said twice, gone, gone that never was.
    let writes = vec![
        note(b"new", Some(b"zebra".to_vec())),
        note(b"key 00000", Some(b"another".to_vec())),
        note(b"key 00001", Some(b"value 1".to_vec())),
        note(b"twice", Some(b"first".to_vec())),
        note(b"twice", Some(b"second".to_vec())),
        note(b"key 00002", None),
        note(b"nowhere", None),
    ];
    let append = Append { writes, ..support::append(support::batch(300..400)) };
    keyspace.append(vec![append]).unwrap();
    demand(&*keyspace, 2);
    let found = notes(&*keyspace);
    assert_eq!((found[&b"twice"[..]].as_slice(), found.len()), (&b"second"[..], NOTES + 1));
    let expected = dump(&keyspace);
    keyspace.migrate(1).unwrap();
    demand(&*keyspace, 1);
    assert_eq!(dump(&keyspace), expected);
    // And what is written at the older one is found at the newer one.
    keyspace.write(&[], &[note(b"new", None), note(b"more", Some(b"yes".to_vec()))]).unwrap();
    keyspace.migrate(2).unwrap();
    demand(&*keyspace, 2);
}

fn fails(tables: &mut dyn StepTables) -> Result<(), StoreError> {
    change_all(tables, |_| b"broken".to_vec(), 2 * STEP_ENTRIES_MAX)
}

fn lies(_: &mut dyn StepTables) -> Result<(), StoreError> {
    Ok(())
}

/// Of a step that does not get to its end, or does not do what its version says, nothing stays; those
/// before it do.
#[test]
fn a_step_that_fails_is_taken_back() {
    const LOST: Index = Index { since: 3, name: "notes_lost", ..BY_VALUE };
    static FAILS: Schema =
        Schema { steps: &[STEP_2, Step { up: fails, ..STEP_3 }], indexes: &[BY_VALUE] };
    static LIES: Schema =
        Schema { steps: &[STEP_2, Step { up: lies, ..STEP_3 }], indexes: &[BY_VALUE, LOST] };
    for schema in [&FAILS, &LIES] {
        let dir = begun();
        let engine = open(dir.path(), schema);
        let keyspace = engine.open("t").unwrap();
        let before = dump(&keyspace);
        for _ in 0..2 {
            let refused = keyspace.migrate(3).unwrap_err();
            assert!(matches!(refused, StoreError::Corrupt(_)), "{refused}");
            assert_eq!(keyspace.schema().unwrap().moving, None);
            demand(&*keyspace, 2);
            assert_eq!(dump(&keyspace), before);
        }
        // It is written on, and closed in order, which would bring to the disk what was left.
        keyspace.write(&[], &[note(b"key 00000", None)]).unwrap();
        let before = dump(&keyspace);
        drop((keyspace, engine));
        let engine = open(dir.path(), &SCHEMA);
        let keyspace = engine.open("t").unwrap();
        demand(&*keyspace, 2);
        assert_eq!(dump(&keyspace), before);
        keyspace.migrate(1).unwrap();
        demand(&*keyspace, 1);
    }
}

/// Who reads while a step is taken, and how much of the index it was given.
static READER: Mutex<Option<Arc<dyn Keyspace>>> = Mutex::new(None);
static READ: Mutex<Vec<Option<usize>>> = Mutex::new(Vec::new());

/// Throws the index away, and looks at it after each transaction.
fn clears_watched(tables: &mut dyn StepTables) -> Result<(), StoreError> {
    let keyspace = READER.lock().unwrap().clone().unwrap();
    loop {
        let found = keyspace.list_by(&BY_VALUE, None, 2 * NOTES)?.map(|found| found.len());
        READ.lock().unwrap().push(found);
        let entries = tables.list(BY_VALUE.name, None, STEP_ENTRIES_MAX)?;
        if entries.is_empty() {
            return Ok(());
        }
        let writes = entries.into_iter().map(|(key, _)| TableWrite {
            table: BY_VALUE.name.to_owned(),
            key,
            value: None,
        });
        tables.write(&writes.collect::<Vec<_>>())?;
    }
}

#[test]
fn whoever_reads_while_a_step_is_taken_back_finds_everything_or_the_older_version() {
    static WATCHED: Schema =
        Schema { steps: &[Step { down: clears_watched, ..STEP_2 }], indexes: &[BY_VALUE] };
    let dir = begun();
    let engine = open(dir.path(), &WATCHED);
    let keyspace = engine.open("t").unwrap();
    keyspace.migrate(2).unwrap();
    demand(&*keyspace, 2);
    *READER.lock().unwrap() = Some(Arc::clone(&keyspace));
    keyspace.migrate(1).unwrap();
    *READER.lock().unwrap() = None;
    demand(&*keyspace, 1);
    let read = std::mem::take(&mut *READ.lock().unwrap());
    assert!(read.len() > 2, "{read:?}");
    assert!(read.iter().all(|found| found.is_none_or(|found| found == NOTES)), "{read:?}");
}

#[test]
fn a_newer_version_is_refused_by_its_number_and_a_new_keyspace_begins_with_the_newest() {
    let dir = begun();
    let engine = open(dir.path(), &SCHEMA_3);
    engine.create("new", &KeyspaceSettings::default()).unwrap();
    demand(&*engine.open("new").unwrap(), 3);
    let unknown = engine.open("t").unwrap().migrate(4).unwrap_err();
    assert!(matches!(unknown, StoreError::NewerFormat { found: 4, known: 3 }), "{unknown}");
    drop(engine);
    for (schema, newest) in [(&SCHEMA, 2), (&Schema::NONE, 1)] {
        let engine = open(dir.path(), schema);
        let refused = engine.open("new").unwrap_err();
        let found =
            matches!(refused, StoreError::NewerFormat { found: 3, known } if known == newest);
        assert!(found, "{refused}");
        assert!(refused.to_string().contains("use a newer `emx`"), "{refused}");
        // The other one, and the platform's tables, are read.
        demand(&*engine.open("t").unwrap(), 1);
        assert!(engine.platform().unwrap().list(TABLE, b"", None, 1).unwrap().is_empty());
    }
}
