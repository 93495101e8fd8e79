//! Many tenants at once: killed midway, gone on with, taken back; and those that cannot be read keep no
//! other from anything, and are named.
//!
//! `EMX_SOAK=1` has 1,000 tenants, otherwise 48.

use super::{Dump, NOW_MS, Opened, demand_list, dump, keep};
use crate::binary::Binary;
use crate::peer::Ask;
use crate::server::{Server, TENANT, is_soak};
use emx::tenancy::by::By;
use emx::tenancy::migration::Direction;
use emx::tenancy::registry::{Completion, NewTenant};
use emx::tenancy::schema::SCHEMA;
use emx::tenancy::slug::Slug;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use storage::error::StoreError;
use storage::schema::{Schema, Step, StepTables};

const TENANTS_FULL: usize = 1000;
const TENANTS_SHORT: usize = 48;
const KILLS: usize = 3;

/// What a keyspace of a program of tomorrow has.
static TOMORROW: Schema = Schema {
    steps: &[Step { from: 1, to: 2, summary: "", up: nothing, down: nothing }, NEXT],
    indexes: &[],
};
const NEXT: Step = Step { from: 2, to: 3, summary: "", up: nothing, down: nothing };

fn nothing(_: &mut dyn StepTables) -> Result<(), StoreError> {
    Ok(())
}

/// The tenants that cannot be read: one is damaged, one of tomorrow.
const DAMAGED: &str = "t-0003";
const NEWER: &str = "t-0011";

fn slug(n: usize) -> String {
    format!("t-{n:04}")
}

/// Makes `count` tenants at version 1, each with something in quarantine.
fn fill(dir: &Path, count: usize) {
    let opened = Opened::new(dir, &Schema::NONE);
    for n in 0..count {
        let new = NewTenant { slug: Slug::parse(&slug(n)).unwrap(), time_zone: "UTC".into() };
        let made = opened
            .tenancy
            .create(new, &By::operator(), NOW_MS, |_| Ok(Completion::default()))
            .unwrap();
        let keyspace = opened.tenancy.keyspace_of(&made).unwrap();
        let writes: Vec<_> = (0..1 + n % 5)
            .map(|k| keep(&format!("{n} {k}"), NOW_MS + (k as i64 * 7919) % 1000))
            .collect();
        keyspace.write(&[], &writes).unwrap();
    }
}

/// Every tenant that can be read, by name: its version, and what it holds.
type Found = BTreeMap<String, (u32, Dump)>;

fn look(dir: &Path) -> Found {
    let opened = Opened::new(dir, &SCHEMA);
    let mut found = BTreeMap::new();
    for tenant in opened.tenancy.with_data().unwrap() {
        let Ok(keyspace) = opened.tenancy.keyspace_of(&tenant) else { continue };
        let version = keyspace.schema().unwrap().version;
        demand_list(&*keyspace, version);
        found.insert(tenant.slug.to_string(), (version, dump(&*keyspace)));
    }
    found
}

/// How many are at version 2.
fn arrived(found: &Found) -> usize {
    found.values().filter(|(version, _)| *version == 2).count()
}

/// Begins `emx tenant <verb> --all` and kills it once `after` tenants more have got there.
fn kill_midway(binary: &Binary, verb: &str, after: usize) {
    let mut child = binary
        .command(&["tenant", verb, "--all", "--json"])
        .env("EMX_LOG__LEVEL", "debug")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    let moved = log.lines().map_while(Result::ok).filter(|line| line.contains("migrated tenant="));
    assert_eq!(moved.take(after).count(), after, "it ended before it could be killed");
    child.kill().unwrap(); // SIGKILL
    child.wait().unwrap();
}

/// Runs `emx tenant <verb> --all` to its end; the two that cannot be read fail and are named.
fn to_the_end(binary: &Binary, verb: &str, count: usize) {
    let output = binary.output::<&str>(&["tenant", verb, "--all", "--json"], &[]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let mut answers = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
    let report = answers.next().unwrap().unwrap();
    let items = report["items"].as_array().unwrap();
    assert_eq!(items.len(), count + 1);
    let failed: Vec<(&str, &str)> = items
        .iter()
        .filter(|item| item["outcome"] == "failed")
        .map(|item| (item["tenant"].as_str().unwrap(), item["error"]["detail"].as_str().unwrap()))
        .collect();
    let [(damaged, why_damaged), (newer, why_newer)] = failed[..] else { panic!("{failed:?}") };
    assert_eq!((damaged, newer), (DAMAGED, NEWER));
    assert!(why_damaged.contains("damaged"), "{why_damaged}");
    assert!(why_newer.contains("newer `emx`"), "{why_newer}");
}

/// Makes two tenants unreadable.
fn spoil(dir: &Path) {
    let id = {
        let opened = Opened::new(dir, &TOMORROW);
        opened.tenancy.keyspace_of(&opened.tenant(NEWER)).unwrap().migrate(3).unwrap();
        opened.tenant(DAMAGED).id
    };
    let file = dir.join("tenants").join(id.as_str()).join("metrics.redb");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[4096..].iter_mut().for_each(|byte| *byte ^= 0x5a);
    std::fs::write(&file, bytes).unwrap();
}

/// Every tenant but the two is served, by a server that says which it cannot read.
fn demand_served(dir: &Path, count: usize) {
    let server = Server::start(dir);
    let owner = server.sign_in();
    let mut faults = Vec::new();
    for n in 0..count {
        let (slug, mut peer) = (slug(n), server.connect());
        let ask = Ask::get("/api/v1/quarantine").header("X-Tenant", &slug).bearer(&owner);
        let answer = peer.ask(&ask).unwrap();
        let expected = match &*slug {
            DAMAGED => (500, "internal"),
            NEWER => (503, "newer_format"),
            _ => (200, ""),
        };
        let code = if answer.status == 200 { String::new() } else { answer.code() };
        if (answer.status, &*code) != expected {
            faults.push(format!("{slug}: {answer:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let own = server.ask(&Ask::get("/api/v1/quarantine").header("X-Tenant", TENANT).bearer(&owner));
    assert_eq!(own.status, 200);
    let log = server.log();
    for slug in [DAMAGED, NEWER] {
        assert!(log.contains(&format!("tenant={slug}")), "{log}");
    }
    server.tell_to_end();
    let (status, log) = server.wait(crate::server::PATIENCE);
    assert!(status.success(), "{log}");
}

#[test]
fn all_get_there_and_back_though_killed_and_though_some_cannot_be_read() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("data");
    Server::start(&dir).end();
    let count = if is_soak() { TENANTS_FULL } else { TENANTS_SHORT };
    fill(&dir, count);
    spoil(&dir);
    let (binary, before) = (Binary::at(&dir), look(&dir));
    assert_eq!((before.len(), arrived(&before)), (count + 1 - 2, 1)); // `default` is at 2
    let same = |found: &Found| {
        let held = |all: &Found| -> Vec<(String, Dump)> {
            all.iter().map(|(slug, (_, held))| (slug.clone(), held.clone())).collect()
        };
        assert!(held(found) == held(&before), "not what there was");
    };

    let mut last = arrived(&before);
    for _ in 0..KILLS {
        kill_midway(&binary, "migrate", count / (KILLS + 2));
        let found = look(&dir);
        same(&found);
        let now = arrived(&found);
        assert!(last < now && now < found.len(), "{now} after {last} of {}", found.len());
        last = now;
    }
    to_the_end(&binary, "migrate", count);
    let found = look(&dir);
    same(&found);
    assert_eq!(arrived(&found), found.len());
    demand_served(&dir, count);

    kill_midway(&binary, "rollback", count / 2);
    let found = look(&dir);
    same(&found);
    assert!((1..found.len()).contains(&arrived(&found)));
    to_the_end(&binary, "rollback", count);
    let found = look(&dir);
    same(&found);
    assert_eq!(arrived(&found), 0);
}

/// Steps under way, and most of them at a time.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

/// A step that takes long enough for others to begin meanwhile.
static SLOW: Schema = Schema {
    steps: &[Step { from: 1, to: 2, summary: "", up: slowly, down: nothing }],
    indexes: &[],
};

fn slowly(_: &mut dyn StepTables) -> Result<(), StoreError> {
    let now = UNDER_WAY.fetch_add(1, Ordering::SeqCst) + 1;
    MOST.fetch_max(now, Ordering::SeqCst);
    std::thread::park_timeout(Duration::from_millis(50));
    UNDER_WAY.fetch_sub(1, Ordering::SeqCst);
    Ok(())
}

#[test]
fn a_lane_is_left_to_those_who_write() {
    for (lanes, most) in [(3, 2), (1, 1)] {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path(), 8);
        MOST.store(0, Ordering::SeqCst);
        let opened = Opened::new(dir.path(), &SLOW);
        opened.tenancy.migrate_beside(lanes);
        let (tenants, by) = (opened.tenancy.with_data().unwrap(), By::operator());
        let (some, others) = tenants.split_at(4);
        // Whoever has them migrated, there are no more at a time.
        std::thread::scope(|threads| {
            for tenants in [some, others] {
                let (tenancy, by) = (&opened.tenancy, &by);
                threads.spawn(move || {
                    let moved = tenancy.migrate_each(tenants, Direction::Newest, by, &|| NOW_MS);
                    assert!(moved.iter().all(Result::is_ok), "{moved:?}");
                });
            }
        });
        assert_eq!(MOST.load(Ordering::SeqCst), most);
    }
}
