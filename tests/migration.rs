//! Versions of tenants' data: a data directory of every version is read, taken to the newest and back,
//! and holds what it held; by hand, over HTTP, in backups, and for many tenants at once (`migration/many.rs`).
//!
//! `EMX_WRITE_FIXTURE=1` writes the directory of the newest version. It is done once, when a version
//! begins; afterwards the files only ever get company.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "support/binary.rs"]
mod binary;
#[path = "migration/many.rs"]
mod many;
#[path = "support/peer.rs"]
mod peer;
#[path = "support/server.rs"]
mod server;

use binary::Binary;
use emx::intake::quarantine::{self, Listed, Place};
use emx::process::admit::Refusal;
use emx::process::quarantine::{TABLE, entry};
use emx::tenancy::by::By;
use emx::tenancy::migration::Direction;
use emx::tenancy::registry::Tenancy;
use emx::tenancy::schema::SCHEMA;
use emx::tenancy::tenant::Tenant;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use peer::Ask;
use serde_json::{Value, json};
use server::{Server, TENANT};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use storage::ask::{Budget, Selection};
use storage::embedded::{EmbeddedEngine, EngineSettings};
use storage::engine::{Keyspace, TableEntry, TableWrite};
use storage::schema::Schema;
use storage::volume::OsVolume;

/// When the tests' acts happen.
const NOW_MS: i64 = 1_800_000_000_000;

/// An installation, as the library has it.
pub(crate) struct Opened {
    pub(crate) tenancy: Tenancy,
}

impl Opened {
    pub(crate) fn new(dir: &Path, schema: &'static Schema) -> Self {
        let settings = EngineSettings {
            background: false,
            open_keyspaces_max: 8,
            cache_bytes: 16 << 20,
            schema,
            ..EngineSettings::default()
        };
        let engine = EmbeddedEngine::open(OsVolume::shared(dir), settings).unwrap();
        Self { tenancy: Tenancy::start(Arc::new(engine)).unwrap() }
    }

    pub(crate) fn tenant(&self, slug: &str) -> Tenant {
        let tenants = self.tenancy.list().unwrap();
        tenants.into_iter().find(|tenant| tenant.slug.as_str() == slug).unwrap()
    }

    fn keyspace(&self, slug: &str) -> Arc<dyn Keyspace> {
        self.tenancy.keyspace_of(&self.tenant(slug)).unwrap()
    }

    fn migrate(&self, slug: &str, direction: Direction) -> (u32, u32) {
        let (tenant, by) = (self.tenant(slug), By::operator());
        let moved = self.tenancy.migrate(&tenant, direction, &by, &|| NOW_MS).unwrap();
        (moved.from, moved.to)
    }
}

/// Everything that a keyspace holds but its version and what that adds: its rows as text, what is in
/// quarantine as it is stored, and the newest seq.
pub(crate) type Dump = (String, Vec<TableEntry>, u64);

pub(crate) fn dump(keyspace: &dyn Keyspace) -> Dump {
    const ENTRIES_MAX: usize = 100_000;
    let rows = keyspace.page(&Selection::all(), None, ENTRIES_MAX, &Budget::default()).unwrap();
    let kept = keyspace.list(TABLE, &[], None, ENTRIES_MAX).unwrap();
    (format!("{rows:?}"), kept, keyspace.last_seq().unwrap())
}

fn listed(keyspace: &dyn Keyspace, after: Option<&Place>, limit: usize) -> Vec<Listed> {
    quarantine::list(keyspace, after, limit).unwrap().unwrap()
}

/// Keeps something aside that came at `received_ms`.
pub(crate) fn keep(raw: &str, received_ms: i64) -> TableWrite {
    let refusal = Refusal::rejected("invalid_time", "/ts".to_owned(), "no time".to_owned());
    entry(raw.as_bytes(), &refusal, received_ms, "import:1")
}

/// The list is of everything there, and in the order of the version.
#[track_caller]
pub(crate) fn demand_list(keyspace: &dyn Keyspace, version: u32) {
    assert_eq!(keyspace.schema().unwrap().version, version);
    let list = listed(keyspace, None, 100_000);
    let key = |listed: &Listed| (-listed.entry.received_ms * i64::from(version > 1), listed.id);
    assert!(list.is_sorted_by_key(key), "version {version}");
    assert_eq!(list.len(), keyspace.list(TABLE, &[], None, 100_000).unwrap().len());
    assert_eq!(keyspace.check().unwrap(), Vec::<String>::new());
}

fn fixture(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(format!("version-{version}"))
}

/// The files of the data directories that are kept.
const FILES: [&str; 3] = [
    "platform.redb",
    "tenants/26gk2iobazxos6hb/metrics.redb",
    "tenants/uwhbputc5ocg66sm/metrics.redb",
];

fn unpacked(version: u32) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in FILES {
        let (from, to) = (fixture(version).join(format!("{file}.gz")), dir.path().join(file));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        let mut packed = GzDecoder::new(File::open(from).unwrap());
        std::io::copy(&mut packed, &mut File::create(to).unwrap()).unwrap();
    }
    dir
}

/// Keeps the data directory as that of the newest version, if that is wanted and there is none.
fn write_fixture(dir: &Path) {
    let to = fixture(SCHEMA.newest());
    if std::env::var_os("EMX_WRITE_FIXTURE").is_none() || to.exists() {
        return;
    }
    for file in FILES {
        let to = to.join(format!("{file}.gz"));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        let mut packed = GzEncoder::new(File::create_new(to).unwrap(), Compression::best());
        std::io::copy(&mut File::open(dir.join(file)).unwrap(), &mut packed).unwrap();
        packed.finish().unwrap();
    }
}

/// The reader in another language takes every keyspace of the directory for sound.
fn demand_read_by_others(dir: &Path) {
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/read_keyspace.py");
    for file in FILES {
        let Ok(read) = Command::new("python3").arg(&reader).arg(dir.join(file)).output() else {
            eprintln!("skipped: reading a keyspace in another language, for there is no `python3`");
            return;
        };
        assert!(read.status.success(), "{file}: {}", String::from_utf8_lossy(&read.stderr));
    }
}

/// What the directories of every version hold in quarantine, newest first: the third import came again
/// after the sixth.
const KEPT: [&str; 6] = ["2", "5", "4", "3", "1", "0"];

fn check(version: u32) {
    let dir = unpacked(version);
    demand_read_by_others(dir.path());
    let before = {
        let opened = Opened::new(dir.path(), &SCHEMA);
        let keyspace = opened.keyspace("acme");
        demand_list(&*keyspace, version);
        assert_eq!(keyspace.stats().unwrap().rows, 60);
        dump(&*keyspace)
    };
    for direction in [Direction::Newest, Direction::Back, Direction::Newest] {
        {
            let opened = Opened::new(dir.path(), &SCHEMA);
            for slug in ["acme", "emca"] {
                opened.migrate(slug, direction);
                let keyspace = opened.keyspace(slug);
                demand_list(&*keyspace, if direction == Direction::Back { 1 } else { 2 });
            }
            let keyspace = opened.keyspace("acme");
            assert_eq!(dump(&*keyspace), before);
            if direction == Direction::Newest {
                let times = listed(&*keyspace, None, 100);
                let imports: Vec<char> = times
                    .iter()
                    .map(|kept| kept.entry.raw.split('-').nth(1).unwrap().chars().next().unwrap())
                    .collect();
                let imports: Vec<String> =
                    imports.chunks(3).map(|of| of.iter().collect::<String>()).collect();
                assert_eq!(imports, KEPT.map(|import| import.repeat(3)));
            }
        }
        demand_read_by_others(dir.path());
    }
    write_fixture(dir.path());
}

#[test]
fn version_1_is_read_taken_to_the_newest_and_back() {
    check(1);
}

#[test]
fn version_2_is_read_taken_back_and_to_the_newest() {
    check(2);
}

/// Pages of the list follow each other, whatever comes, goes and comes again meanwhile; and at the
/// older version everything is there that was written at the newer one.
#[test]
fn a_list_goes_on_while_it_changes_and_over_versions() {
    let dir = unpacked(1);
    let opened = Opened::new(dir.path(), &SCHEMA);
    let keyspace = opened.keyspace("acme");
    let by_id = listed(&*keyspace, None, 4);
    assert!(by_id.iter().all(|kept| matches!(kept.place, Place::ById(_))));
    assert_eq!(opened.migrate("acme", Direction::Newest), (1, 2));
    // A list that was begun before goes on as it began.
    let rest = listed(&*keyspace, Some(&by_id[3].place), 100);
    assert_eq!(rest.len(), 18 - 4);

    let first = listed(&*keyspace, None, 5);
    let all = listed(&*keyspace, None, 100);
    keyspace.write(&[], &[keep("new", NOW_MS), keep("newer", NOW_MS + 1)]).unwrap();
    let repeated = &all[10]; // comes again, and is first from now on
    keyspace.write(&[], &[keep(&repeated.entry.raw, NOW_MS + 2)]).unwrap();
    assert!(quarantine::delete(&*keyspace, all[4].id).unwrap()); // where the next page begins
    assert!(quarantine::delete(&*keyspace, all[12].id).unwrap());
    let (mut seen, mut after) = (Vec::new(), first[4].place.clone());
    loop {
        let page = listed(&*keyspace, Some(&after), 3);
        let Some(last) = page.last() else { break };
        after = last.place.clone();
        seen.extend(page.into_iter().map(|kept| kept.id));
    }
    let expected: Vec<_> = (5..18).filter(|n| ![10, 12].contains(n)).map(|n| all[n].id).collect();
    assert_eq!(seen, expected);
    let newest: Vec<_> =
        listed(&*keyspace, None, 3).into_iter().map(|kept| kept.entry.raw).collect();
    assert_eq!(newest, [&*repeated.entry.raw, "newer", "new"]);
    demand_list(&*keyspace, 2);

    let before = dump(&*keyspace);
    assert_eq!(opened.migrate("acme", Direction::Back), (2, 1));
    demand_list(&*keyspace, 1);
    assert_eq!(dump(&*keyspace), before);
    // There is no such order any more.
    assert_eq!(quarantine::list(&*keyspace, Some(&after), 3).unwrap(), None);
    let oldest =
        opened
            .tenancy
            .migrate(&opened.tenant("acme"), Direction::Back, &By::operator(), &|| NOW_MS);
    assert_eq!(oldest.unwrap_err().code(), "nothing_to_roll_back");
    keyspace.write(&[], &[keep("at version 1", NOW_MS + 3)]).unwrap();
    assert_eq!(opened.migrate("acme", Direction::Newest), (1, 2));
    demand_list(&*keyspace, 2);
    assert_eq!(listed(&*keyspace, None, 1)[0].entry.raw, "at version 1");
}

/// Sends something that is kept aside.
fn send_ahead(server: &Server, bearer: &str, year: u32) {
    let body = json!({ "command": "later", "ts": format!("{year}-01-01T00:00:00Z") }).to_string();
    let sent = server.ask(&Ask::post("/api/v1/executions").json(&body).bearer(bearer));
    assert_eq!(sent.status, 201, "{sent:?}");
}

fn emx(dir: &Path, args: &[&str]) -> Value {
    Binary::at(dir).json(&[args, &["--json"]].concat())
}

/// The version that a command says of each tenant.
fn versions(shown: &Value) -> Vec<(String, u64)> {
    let one = |item: &Value| {
        (item["tenant"].as_str().unwrap().to_owned(), item["version"].as_u64().unwrap())
    };
    shown["items"].as_array().unwrap().iter().map(one).collect()
}

#[test]
fn over_http_and_by_hand_and_told_in_the_log() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("data");
    let server = Server::start(&dir);
    emx(&dir, &["tenant", "create", "acme"]);
    let owner = server.sign_in();
    let ask = |ask: Ask| server.ask(&ask.bearer(&owner));
    (2990..2994).for_each(|year| send_ahead(&server, &owner, year));
    let migrations = format!("/api/v1/tenants/{TENANT}/migrations");
    let years = || -> Vec<String> {
        let list = ask(Ask::get("/api/v1/quarantine")).json();
        let items = list["items"].as_array().unwrap().iter();
        items.map(|item| item["raw"]["ts"].as_str().unwrap()[..4].to_owned()).collect()
    };
    let begun = ask(Ask::get(&migrations)).json();
    let step = |applied: bool| json!([{ "from": 1, "to": 2, "summary": SCHEMA.steps[0].summary, "applied": applied }]);
    assert_eq!(
        begun,
        json!({ "tenant": TENANT, "version": 2, "newest": 2, "moving": null,
        "steps": step(true) })
    );
    assert_eq!(years(), ["2993", "2992", "2991", "2990"]);

    let back = ask(Ask::post(&format!("{migrations}/rollback")));
    assert_eq!((back.status, &back.json()["version"]), (200, &json!(1)), "{back:?}");
    assert_eq!((&back.json()["from"], &back.json()["steps"]), (&json!(2), &step(false)));
    let again = ask(Ask::post(&format!("{migrations}/rollback")));
    assert_eq!((again.status, &*again.code()), (409, "nothing_to_roll_back"));
    send_ahead(&server, &owner, 2994);
    assert_eq!(years().len(), 5);
    // By hand, of the server that has the data open.
    let shown = emx(&dir, &["tenant", "migrate", "--all", "--dry-run"]);
    assert_eq!(versions(&shown), [("acme".into(), 2), (TENANT.into(), 1)]);
    let moved = emx(&dir, &["tenant", "migrate", TENANT]);
    assert_eq!(moved["items"][0]["outcome"], "moved", "{moved}");
    assert_eq!(years(), ["2994", "2993", "2992", "2991", "2990"]);
    let applied = ask(Ask::post(&format!("{migrations}/apply"))).json();
    assert_eq!((&applied["from"], &applied["entries"]), (&json!(2), &json!(0)));
    let refused = ask(Ask::get(&format!("{migrations}?colour=blue")));
    assert_eq!((refused.status, &*refused.code()), (422, "unknown_field"));

    let told = ask(Ask::get("/api/v1/audit?limit=100")).json();
    let told: Vec<(&str, &str, &Value)> = told["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| {
            ["tenant.migrate", "tenant.rollback"].contains(&entry["action"].as_str().unwrap())
        })
        .map(|entry| (entry["action"].as_str().unwrap(), entry["outcome"].as_str().unwrap(), entry))
        .collect();
    let acts: Vec<_> = told.iter().map(|(action, outcome, _)| (*action, *outcome)).collect();
    let expected = [
        ("tenant.migrate", "done"),
        ("tenant.migrate", "begun"),
        ("tenant.rollback", "done"),
        ("tenant.rollback", "begun"),
    ];
    assert_eq!(acts, expected);
    assert_eq!(told[0].2["actor"], "operator");
    assert_eq!(told[3].2["before"], json!({ "schema_version": 2 }));
    assert_eq!(told[3].2["after"], json!({ "schema_version": 1 }));
    server.end();
}

/// A backup has each tenant at its version, and a start takes them on where the settings say so.
#[test]
fn a_copy_keeps_versions_and_a_start_goes_on_where_it_is_told_to() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("data");
    Server::start(&dir).end();
    emx(&dir, &["tenant", "create", "acme"]);
    emx(&dir, &["tenant", "rollback", "acme"]);
    let copy = place.path().join("copy.tar");
    emx(&dir, &["backup", "create", "--to", copy.to_str().unwrap()]);
    let restored = place.path().join("restored");
    emx(&restored, &["backup", "restore", copy.to_str().unwrap()]);
    let shown = emx(&restored, &["tenant", "migrate", "--all", "--dry-run"]);
    assert_eq!(versions(&shown), [("acme".into(), 1), (TENANT.into(), 2)]);
    let server = Server::start_with(&restored, &[("EMX_STORAGE__MIGRATE", "at_start")]);
    const LOOKS_MAX: usize = 2000; // each asks the server
    let arrived = (0..LOOKS_MAX).any(|_| {
        let shown = emx(&restored, &["tenant", "migrate", "acme", "--dry-run"]);
        shown["items"][0]["version"] == 2
    });
    assert!(arrived, "{}", server.log());
    server.end();
}

#[test]
fn what_is_typed_wrongly_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let binary = Binary::initialised(&dir.path().join("data"));
    let check = |args: &[&str], status: i32, said: &str| {
        let output = binary.output::<&str>(args, &[]);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert_eq!(output.status.code(), Some(status), "{args:?}: {text}");
        assert!(text.contains(said), "{args:?}: {text}");
    };
    check(&["tenant", "migrate"], 2, "--all");
    check(&["tenant", "migrate", "acme", "--all"], 2, "--all");
    check(&["tenant", "migrate", "nowhere"], 1, "FAILED nowhere: there is no tenant `nowhere`");
    check(&["tenant", "migrate", "acme"], 0, "1 tenant at version 2, as before");
    check(&["tenant", "rollback", "acme"], 0, "1 tenant taken to version 1");
    check(&["tenant", "rollback", "acme"], 0, "1 tenant at version 1, as before");
    let doctor = binary.output::<&str>(&["doctor"], &[]);
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(said.contains("`emx tenant migrate --all`"), "{said}");
    check(&["tenant", "migrate", "--all"], 0, "1 tenant taken to version 2");
}
