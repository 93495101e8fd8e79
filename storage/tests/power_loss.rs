//! Power loss, failing disks and full ones, at every change a scenario makes: nothing that was
//! acknowledged is lost or doubled, nothing is there by halves, and a disk that fails without a
//! crash is neither hidden nor fatal.
//!
//! `EMX_SOAK=1` strikes at 1,200 points or more of each scenario, otherwise at some of them.
//! `EMX_POINT=<n>` strikes at the one point that a finding names.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "support/ledger.rs"]
mod ledger;
#[path = "power_loss/points.rs"]
mod points;
#[path = "support/questions.rs"]
mod questions;
#[path = "power_loss/scenario.rs"]
mod scenario;
#[path = "support/sim_volume.rs"]
mod sim_volume;
#[path = "power_loss/strike.rs"]
mod strike;
#[path = "support/versions.rs"]
mod versions;

use scenario::Scenario;
use sim_volume::Fault;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use storage::embedded::{EmbeddedEngine, EngineSettings};
use storage::engine::Engine;
use storage::error::StoreError;
use storage::volume::Volume;
use strike::{Base, Point};

/// The engine with blocks so small that a few hundred rows fill several, and with nothing done in
/// the background, so that every run makes the same changes.
fn open(volume: Arc<dyn Volume>) -> Result<Arc<dyn Engine>, StoreError> {
    let settings = EngineSettings {
        seal_rows: 64,
        background: false,
        schema: &versions::SCHEMA,
        ..EngineSettings::default()
    };
    Ok(Arc::new(EmbeddedEngine::open(volume, settings)?))
}

/// Strikes and gives how many keyspaces were read while syncs failed, or what was found, a panic
/// included.
fn strike(base: &Base, point: Point) -> Result<usize, String> {
    catch_unwind(AssertUnwindSafe(|| base.strike(point)))
        .unwrap_or_else(|_| Err("panicked".to_owned()))
}

/// Strikes a scenario at its points; nothing may be found. Gives how many keyspaces were read while
/// syncs failed.
fn check(scenario: Scenario) -> usize {
    const FINDINGS_SHOWN: usize = 12;
    const ALIKE_CHARS: usize = 70;
    let name = scenario.name;
    let base = Base::new(open, scenario).unwrap();
    let rehearsed = base.rehearse().unwrap();
    let points = points::points(&rehearsed);
    let only: Option<usize> = std::env::var("EMX_POINT").ok().and_then(|n| n.parse().ok());
    let (mut looks, mut findings, mut kinds) = (0, 0, BTreeMap::new());
    for (n, point) in points.iter().enumerate().filter(|(n, _)| only.is_none_or(|o| o == *n)) {
        let what = match strike(&base, *point) {
            Ok(more) => {
                looks += more;
                continue;
            }
            Err(what) => what,
        };
        findings += 1;
        // Of those that look alike, one is enough to read.
        let alike: String = what.chars().take(ALIKE_CHARS).collect();
        let kind = kinds.entry(format!("{:?} {alike}", point.fault)).or_insert((0, String::new()));
        kind.0 += 1;
        if kind.1.is_empty() {
            let step = rehearsed.steps().get(point.at as usize).cloned();
            kind.1 = format!("point {n}, {point:?} ({step:?}): {what}");
        }
    }
    println!("{name}: {} changes, {} points", rehearsed.ops(), points.len());
    let shown: Vec<String> = kinds
        .into_values()
        .take(FINDINGS_SHOWN)
        .map(|(count, first)| format!("{count} times like {first}"))
        .collect();
    assert!(shown.is_empty(), "{name}: {findings} of {}:\n{}", points.len(), shown.join("\n"));
    looks
}

/// As `check`, of a scenario during which keyspaces are open: of all its points, some read one while
/// syncs fail. The few of a short run need not be among them.
fn check_with_reading(scenario: Scenario) {
    let looks = check(scenario);
    println!("{looks} keyspaces read while syncs failed");
    let is_whole = points::is_soak() && std::env::var_os("EMX_POINT").is_none();
    assert!(looks > 0 || !is_whole, "nothing was read while syncs failed");
}

#[test]
fn during_commits() {
    check_with_reading(scenario::commit());
}

#[test]
fn during_sealing() {
    check_with_reading(scenario::seal());
}

#[test]
fn during_an_import() {
    check_with_reading(scenario::import());
}

#[test]
fn during_a_removal() {
    check_with_reading(scenario::remove());
}

#[test]
fn during_a_replacement() {
    check_with_reading(scenario::replace());
}

#[test]
fn while_a_tenant_is_made() {
    check(scenario::tenant());
}

#[test]
fn during_the_first_start() {
    check(scenario::first_start());
}

#[test]
fn during_a_rewrite() {
    check(scenario::rewrite());
}

#[test]
fn during_a_migration() {
    check_with_reading(scenario::migration());
}

#[test]
fn while_a_tenant_is_deleted() {
    check(scenario::delete());
}

#[test]
fn a_sync_that_fails_while_closing_is_not_forgotten() {
    /// Changes after the start, among which the power goes.
    const OPS: u64 = 60;
    const SEEDS: u64 = 12 * OPS;
    let base = Base::new(open, scenario::commit()).unwrap();
    let (mut findings, mut failed) = (Vec::new(), 0);
    for seed in 0..SEEDS {
        let point = Point { at: seed / 12 % OPS, fault: Fault::PowerLoss, seed };
        match catch_unwind(AssertUnwindSafe(|| base.close_badly(point))) {
            Ok(Ok(has_failed)) => failed += u64::from(has_failed),
            Ok(Err(what)) => findings.push(format!("seed {seed}: {what}")),
            Err(_) => findings.push(format!("seed {seed}: panicked")),
        }
    }
    assert!(findings.is_empty(), "{} of {SEEDS}:\n{}", findings.len(), findings.join("\n"));
    assert!(failed > SEEDS / 3, "a sync failed in {failed} of {SEEDS} only");
}

#[test]
fn a_lying_disk_is_noticed() {
    let base = Base::new(open, scenario::commit()).unwrap();
    base.volume.lie_about_syncs();
    let rehearsed = base.rehearse();
    assert!(rehearsed.is_ok(), "{rehearsed:?}");
    let points = points::points(&rehearsed.unwrap());
    let found = points.iter().filter(|point| strike(&base, **point).is_err()).count();
    assert!(found > points.len() / 3, "{found} of {}", points.len());
}
