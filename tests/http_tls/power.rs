//! The local authority on a volume that loses its power: after a cut in any operation, whatever
//! survives, the next start serves, and whoever was given the authority still trusts it.

use crate::sim_volume::{Fault, SimVolume};
use crate::support::{DAY_MS, NOW_MS};
use emx::http::tls::authority::LocalAuthority;
use emx::http::tls::{TlsError, names};
use std::path::Path;
use std::sync::Arc;

/// What may survive is tried so many times for each cut.
const SURVIVORS: u64 = 6;

struct Given {
    ca_pem: Arc<str>,
    public_key: String,
}

/// A start with `given` names at `now_ms`: what clients get to see.
fn start(volume: &SimVolume, given: &[&str], now_ms: i64) -> Result<Given, TlsError> {
    let given: Vec<String> = given.iter().map(ToString::to_string).collect();
    let names = names::wanted(None, &given)?;
    let root = Path::new("/nowhere"); // modes are asked of the file system, and it has none here
    let served = LocalAuthority::new(volume.shared(), root, names).serve(now_ms)?;
    let authority = served.info.authority.expect("it is a local one");
    Ok(Given { ca_pem: served.ca_pem.expect("it has one"), public_key: authority.subject })
}

/// Cuts the power in every operation of a start with `names` at `now_ms` on `volume`, in all of
/// which the authority must stay `trusted`, if there is one.
fn cut_everywhere(volume: &SimVolume, names: &[&str], now_ms: i64, trusted: Option<&Given>) {
    let whole = volume.fork();
    start(&whole, names, now_ms).unwrap();
    let operations = whole.ops();
    assert!(operations >= 7, "only {operations} operations: is anything written?");
    for at in 0..operations {
        for seed in 0..SURVIVORS {
            let cut = volume.fork();
            cut.arm(at, Fault::PowerLoss);
            assert!(start(&cut, names, now_ms).is_err(), "the power went in operation {at}");
            let survivor = cut.crash(seed);
            let next = start(&survivor, names, now_ms)
                .unwrap_or_else(|error| panic!("operation {at}, seed {seed}: {error}"));
            if let Some(trusted) = trusted {
                assert_eq!(next.public_key, trusted.public_key, "operation {at}, seed {seed}");
            }
            // What was served is there for good, even if the power goes right then.
            let last = start(&survivor.crash(seed), names, now_ms).unwrap();
            assert_eq!(last.ca_pem, next.ca_pem, "operation {at}, seed {seed}");
        }
    }
}

/// Lets every operation fail once, as on a full or failing disk, and starts again without a crash.
fn fail_everywhere(volume: &SimVolume, names: &[&str], now_ms: i64, trusted: Option<&Given>) {
    let whole = volume.fork();
    start(&whole, names, now_ms).unwrap();
    for at in 0..whole.ops() {
        let failing = volume.fork();
        failing.arm(at, Fault::FailsOnce);
        let failed = start(&failing, names, now_ms);
        let next = start(&failing, names, now_ms)
            .unwrap_or_else(|error| panic!("after a failure in operation {at}: {error}"));
        for earlier in failed.iter().chain(trusted) {
            assert_eq!(next.public_key, earlier.public_key, "operation {at}");
        }
    }
}

#[test]
fn the_first_start_survives_a_power_cut() {
    cut_everywhere(&SimVolume::new(), &["a.example"], NOW_MS, None);
    fail_everywhere(&SimVolume::new(), &["a.example"], NOW_MS, None);
}

#[test]
fn issuing_for_other_names_survives_a_power_cut() {
    let volume = SimVolume::new();
    let given = start(&volume, &["a.example"], NOW_MS).unwrap();
    cut_everywhere(&volume, &["b.example"], NOW_MS, Some(&given));
    fail_everywhere(&volume, &["b.example"], NOW_MS, Some(&given));
}

#[test]
fn renewing_the_authority_survives_a_power_cut() {
    let volume = SimVolume::new();
    let given = start(&volume, &["a.example"], NOW_MS).unwrap();
    let late_ms = NOW_MS + 3000 * DAY_MS;
    cut_everywhere(&volume, &["a.example"], late_ms, Some(&given));
    fail_everywhere(&volume, &["a.example"], late_ms, Some(&given));
}
