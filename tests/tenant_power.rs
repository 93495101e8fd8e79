//! A tenant that is made, and one that goes, while the power is lost, the disk fails once, a sync fails or
//! the disk is full, at every change that this makes in the files: the tenant is there whole, with its
//! keyspace, its administrator, the answer that is remembered of its making and its log, or nothing is
//! left of it and its name is free.
//!
//! `EMX_SOAK=1` tries more of what may survive.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "../storage/tests/support/sim_volume.rs"]
#[allow(unused_imports, reason = "every test that includes it uses another part")]
mod sim_volume;

use emx::audit::Outcome;
use emx::identity::Identity;
use emx::identity::email::Email;
use emx::identity::forget::{Deletion, ForgetError};
use emx::identity::password::{Password, PasswordPhc};
use emx::identity::secret::MasterKey;
use emx::identity::settings::IdentitySettings;
use emx::identity::user::{Owner, User};
use emx::runtime::clock::Clock;
use emx::tenancy::by::By;
use emx::tenancy::record;
use emx::tenancy::registry::{Beginning, Completion, NewTenant, Tenancy, TenancyError};
use emx::tenancy::scope::Principal;
use emx::tenancy::slug::Slug;
use emx::tenancy::tenant::{Tenant, TenantState};
use sim_volume::{Fault, SimVolume};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use storage::embedded::{EmbeddedEngine, EngineSettings};
use storage::engine::{Engine, KeyspaceSettings};
use storage::volume::OsVolume;

const NOW_MS: i64 = 1_795_000_000_000;

/// Where a remembered answer lies.
const ANSWERS: &str = "idempotency";

fn survivors() -> u64 {
    if std::env::var("EMX_SOAK").is_ok_and(|value| value == "1") { 24 } else { 3 }
}

/// One process: nothing is done in the background, so that every run makes the same changes.
fn start(volume: &SimVolume) -> Result<(Arc<dyn Engine>, Tenancy), TenancyError> {
    let settings = EngineSettings { background: false, ..EngineSettings::default() };
    let engine: Arc<dyn Engine> = Arc::new(EmbeddedEngine::open(volume.shared(), settings)?);
    let tenancy = Tenancy::start(Arc::clone(&engine))?;
    Ok((engine, tenancy))
}

fn slug(name: &str) -> Slug {
    Slug::parse(name).unwrap()
}

fn hash() -> PasswordPhc {
    static HASH: std::sync::OnceLock<PasswordPhc> = std::sync::OnceLock::new();
    HASH.get_or_init(|| Password::random().hash().unwrap()).clone()
}

/// Makes `acme` with an administrator and a remembered answer, of the keyspace `from` if there is one.
fn create(tenancy: &Tenancy, from: Option<&Path>) -> Result<Tenant, TenancyError> {
    let new = NewTenant { slug: slug("acme"), time_zone: "Asia/Kolkata".to_owned() };
    let beginning = Beginning { keyspace: from, ..Beginning::default() };
    tenancy.begin(new, beginning, &By::operator(), NOW_MS, |tenant| {
        let email = Email::parse("you@example.org").unwrap();
        let owner = Owner { email, password: hash(), platform: false };
        let mut act = User::owner(tenant.id.clone(), owner, NOW_MS).creation_by(&By::operator())?;
        act.writes.push(record::put(ANSWERS, b"key", tenant.id.as_str().as_bytes().to_vec()));
        Ok(act)
    })
}

/// What is found by a process that starts now: whether `acme` is there. It is whole or absent.
fn look(volume: &SimVolume) -> Result<bool, String> {
    let (engine, tenancy) = start(volume).map_err(|error| format!("does not start: {error}"))?;
    let tenants = tenancy.list().map_err(|error| error.to_string())?;
    let names: Vec<&str> = tenants.iter().map(|tenant| tenant.slug.as_str()).collect();
    let acme = tenants.iter().find(|tenant| tenant.slug.as_str() == "acme");
    let keyspaces = engine.list().map_err(|error| error.to_string())?;
    if keyspaces.len() != tenants.len() || !tenancy.orphans().unwrap().is_empty() {
        return Err(format!("keyspaces {keyspaces:?} of tenants {names:?}"));
    }
    if !names.contains(&"before") {
        return Err("another tenant is gone".to_owned());
    }
    let platform = tenancy.platform();
    let count = |table: &str| record::all(&*platform, table, b"").unwrap().len();
    let there = ["tenants", "tenant_slugs", "users", "user_emails", ANSWERS].map(count);
    for tenant in &tenants {
        let entered = tenancy.enter(&Principal::LocalOperator, tenant.slug.as_str());
        let scope = entered.map_err(|error| format!("`{}`: {error}", tenant.slug))?;
        let findings = scope.keyspace().check().map_err(|error| error.to_string())?;
        if !findings.is_empty() {
            return Err(findings.join(", "));
        }
    }
    for chain in tenancy.log().chains().unwrap() {
        let verdict = tenancy.log().verify(&chain, &[]).map_err(|error| error.to_string())?;
        if !verdict.findings.is_empty() {
            return Err(format!("the log `{chain}`: {:?}", verdict.findings));
        }
    }
    let Some(acme) = acme else {
        return if there == [1, 1, 0, 0, 0] { Ok(false) } else { Err(format!("left: {there:?}")) };
    };
    let told = tenancy.log().page(acme.id.as_str(), None, 10).unwrap();
    let told: Vec<(&str, Outcome)> =
        told.iter().map(|entry| (&*entry.event.action, entry.event.outcome)).collect();
    let whole = [("user.create", Outcome::Done), ("tenant.create", Outcome::Done)];
    let answer = platform.get(ANSWERS, b"key").unwrap();
    let is_whole = there == [2, 2, 1, 1, 1]
        && acme.state == TenantState::Active
        && answer.as_deref() == Some(acme.id.as_str().as_bytes())
        && told == whole;
    if is_whole { Ok(true) } else { Err(format!("by halves: {there:?} {acme:?} {told:?}")) }
}

/// A volume with another tenant on it.
fn with_another() -> SimVolume {
    let volume = SimVolume::new();
    let (_engine, tenancy) = start(&volume).unwrap();
    let new = NewTenant { slug: slug("before"), time_zone: "UTC".to_owned() };
    tenancy.create(new, &By::operator(), NOW_MS, |_| Ok(Completion::default())).unwrap();
    volume
}

/// Strikes while `acme` is made; gives whether it was.
fn strike_creation(
    (volume, from): (&SimVolume, Option<&Path>),
    at: u64,
    fault: Fault,
    seed: u64,
) -> Result<bool, String> {
    let struck = volume.fork();
    struck.set_luck(seed);
    let process = start(&struck).map_err(|error| error.to_string())?;
    struck.arm(struck.ops() + at, fault);
    let made = create(&process.1, from);
    let world = if struck.is_powered() {
        // The process goes on, and its disk is well again: the same once more must go, or be there.
        struck.heal();
        let again = create(&process.1, from);
        let taken = matches!(again, Err(TenancyError::SlugTaken { .. }));
        if again.is_err() && !taken {
            return Err(format!("again: {:?}", again.err()));
        }
        if made.is_ok() && !taken {
            return Err("acknowledged, and made once more".to_owned());
        }
        struck.clone()
    } else {
        struck.crash(seed)
    };
    drop(process);
    let found = look(&world)?;
    if made.is_ok() && !found {
        return Err("acknowledged, and gone".to_owned());
    }
    // What was found is there for good, even if the power goes right then.
    match look(&world.crash(seed.rotate_left(9)))? == found {
        true => Ok(found),
        false => Err(format!("it was there ({found}), and is not what it was after another cut")),
    }
}

const FAULTS: [Fault; 5] =
    [Fault::PowerLoss, Fault::FailsOnce, Fault::SyncFails, Fault::SyncsFail, Fault::NoSpace];

fn check_creation(from: Option<&Path>) {
    let volume = with_another();
    let rehearsed = volume.fork();
    let before = {
        let process = start(&rehearsed).unwrap();
        let before = rehearsed.ops();
        create(&process.1, from).unwrap();
        before
    };
    let changes = rehearsed.ops() - before;
    assert!(look(&rehearsed).unwrap());
    assert!(changes > 20, "{changes} changes: is anything written?");
    let (mut findings, mut whole, mut absent) = (Vec::new(), 0, 0);
    for at in 0..changes {
        for fault in FAULTS {
            for seed in 0..survivors() {
                match strike_creation((&volume, from), at, fault, seed) {
                    Ok(true) => whole += 1,
                    Ok(false) => absent += 1,
                    Err(what) => findings.push(format!("{fault:?} at {at}, seed {seed}: {what}")),
                }
            }
        }
    }
    println!("{changes} changes: {whole} times whole, {absent} times absent");
    let shown: Vec<&String> = findings.iter().take(12).collect();
    assert!(findings.is_empty(), "{} findings: {shown:#?}", findings.len());
    assert!(whole > 0 && absent > 0, "{whole} times whole, {absent} times absent");
}

#[test]
fn a_tenant_is_made_whole_or_not_at_all() {
    check_creation(None);
}

#[test]
fn a_tenant_is_taken_in_whole_or_not_at_all() {
    let place = tempfile::tempdir().unwrap();
    let settings = EngineSettings { background: false, ..EngineSettings::default() };
    let engine = EmbeddedEngine::open(OsVolume::shared(place.path()), settings).unwrap();
    engine.create("elsewhere", &KeyspaceSettings { grain_minutes: 30 }).unwrap();
    let keyspace = engine.open("elsewhere").unwrap();
    let noted = record::put("notes", b"key", vec![7; 100_000]);
    assert!(keyspace.write(&[], &[noted]).unwrap());
    let file = place.path().join("snapshot.redb");
    keyspace.snapshot(&file).unwrap();
    check_creation(Some(&file));
    // One of another grain is none for that time zone.
    engine.create("hourly", &KeyspaceSettings { grain_minutes: 60 }).unwrap();
    let file = place.path().join("hourly.redb");
    engine.open("hourly").unwrap().snapshot(&file).unwrap();
    let volume = with_another();
    assert!(create(&start(&volume).unwrap().1, Some(&file)).is_err());
    assert!(!look(&volume).unwrap());
}

/// Who is known to `process`.
fn identity(process: &(Arc<dyn Engine>, Tenancy)) -> Result<Identity, String> {
    static PLACE: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    let place = PLACE.get_or_init(|| tempfile::tempdir().unwrap());
    let master = MasterKey::load_or_make(place.path()).unwrap();
    let (log, settings) = (Arc::clone(process.1.log()), IdentitySettings::default());
    Identity::start(log, master, &settings, NOW_MS).map_err(|error| error.to_string())
}

/// Deletes `acme` as the product does.
fn delete(process: &(Arc<dyn Engine>, Tenancy), by: &Identity) -> Result<Deletion, ForgetError> {
    let waiting = (&Clock::manual(NOW_MS), Duration::ZERO);
    by.delete_tenant(&process.1, &slug("acme"), |_| true, &By::operator(), waiting)
}

/// A volume with `acme` on it, and somebody elsewhere who administers the platform.
fn with_acme() -> SimVolume {
    let volume = SimVolume::new();
    let process = start(&volume).unwrap();
    let new = NewTenant { slug: slug("before"), time_zone: "UTC".to_owned() };
    let by = By::operator();
    let made = process.1.create(new, &by, NOW_MS, |tenant| {
        let email = Email::parse("root@example.org").unwrap();
        let owner = Owner { email, password: hash(), platform: true };
        User::owner(tenant.id.clone(), owner, NOW_MS).creation_by(&by)
    });
    made.unwrap();
    create(&process.1, None).unwrap();
    identity(&process).unwrap(); // makes its keys
    volume
}

/// Strikes while `acme` goes; gives whether it is gone.
fn strike_deletion(volume: &SimVolume, at: u64, fault: Fault, seed: u64) -> Result<bool, String> {
    let struck = volume.fork();
    struck.set_luck(seed);
    let process = start(&struck).map_err(|error| error.to_string())?;
    let known = identity(&process)?;
    struck.arm(struck.ops() + at, fault);
    let done = matches!(delete(&process, &known), Ok(Deletion::Done(_)));
    let survivor = if struck.is_powered() {
        struck.heal();
        struck.clone()
    } else {
        struck.crash(seed)
    };
    drop((process, known));
    let process = start(&survivor).map_err(|error| format!("no start: {error}"))?;
    let (known, (engine, tenancy)) = (identity(&process)?, &process);
    let mut left = tenancy.list().map_err(|error| error.to_string())?;
    left.retain(|tenant| tenant.slug.as_str() == "acme");
    if let [tenant] = &*left {
        match tenant.state {
            TenantState::Deleting => {
                let entered = tenancy.enter(&Principal::LocalOperator, "acme");
                if entered.is_ok() {
                    return Err("it is being deleted, and lets people in".to_owned());
                }
                let gone = known.finish_deletion(tenancy, tenant, NOW_MS);
                gone.map_err(|error| format!("it does not go: {error}"))?;
                left.clear();
            }
            _ => {
                let scope = tenancy.enter(&Principal::LocalOperator, "acme");
                scope.map_err(|error| format!("not begun, and not there: {error}"))?;
            }
        }
    }
    if done && !left.is_empty() {
        return Err("acknowledged, and there".to_owned());
    }
    let keyspaces = engine.list().map_err(|error| error.to_string())?;
    if keyspaces.len() != 1 + left.len() || !tenancy.orphans().unwrap().is_empty() {
        return Err(format!("keyspaces {keyspaces:?}"));
    }
    let count = |table: &str| record::all(&*tenancy.platform(), table, b"").unwrap().len();
    let people = ["users", "user_emails"].map(count);
    if people != [1 + left.len(); 2] {
        return Err(format!("{} tenants have {people:?}", 1 + left.len()));
    }
    Ok(left.is_empty())
}

#[test]
fn a_deletion_is_not_begun_or_comes_to_its_end() {
    let volume = with_acme();
    let rehearsed = volume.fork();
    let changes = {
        let process = start(&rehearsed).unwrap();
        let known = identity(&process).unwrap();
        let before = rehearsed.ops();
        assert!(matches!(delete(&process, &known), Ok(Deletion::Done(_))));
        rehearsed.ops() - before
    };
    let (mut findings, mut gone, mut kept) = (Vec::new(), 0, 0);
    for at in 0..changes {
        for fault in FAULTS {
            for seed in 0..survivors() {
                match strike_deletion(&volume, at, fault, seed) {
                    Ok(true) => gone += 1,
                    Ok(false) => kept += 1,
                    Err(what) => findings.push(format!("{fault:?} at {at}, seed {seed}: {what}")),
                }
            }
        }
    }
    println!("{changes} changes: {gone} times gone, {kept} times kept");
    let shown: Vec<&String> = findings.iter().take(12).collect();
    assert!(findings.is_empty(), "{} findings: {shown:#?}", findings.len());
    assert!(gone > 0 && kept > 0, "{gone} times gone, {kept} times kept");
}
