//! Which points of a scenario are struck.

use crate::sim_volume::{Chance, Fault, OpKind, SimVolume};
use crate::strike::Point;

/// Distinct points of a full run, at least.
const POINTS_FULL: usize = 1200;

/// Points of a short run, drawn from the same.
const POINTS_SHORT: usize = 60;

/// Whether the long checks run in full.
pub(crate) fn is_soak() -> bool {
    std::env::var("EMX_SOAK").is_ok_and(|value| value == "1")
}

/// The points for a scenario that `rehearsed` went through: at every change every fault, with as
/// many seeds as it takes.
pub(crate) fn points(rehearsed: &SimVolume) -> Vec<Point> {
    let once = once(rehearsed);
    let rounds = POINTS_FULL.div_ceil(once.len().max(1)).max(2) as u64;
    let all = (0..rounds).flat_map(|round| {
        once.iter().map(move |(at, fault)| Point { at: *at, fault: *fault, seed: seed(round, *at) })
    });
    let mut all: Vec<Point> = all.collect();
    if !is_soak() {
        let mut chance = Chance::new(all.len() as u64);
        for n in 0..POINTS_SHORT.min(all.len()) {
            let other = n as u64 + chance.below((all.len() - n) as u64);
            all.swap(n, other as usize);
        }
        all.truncate(POINTS_SHORT);
    }
    all
}

/// Every fault at every operation that it can strike at.
fn once(rehearsed: &SimVolume) -> Vec<(u64, Fault)> {
    const READS_STRUCK: u64 = 25;
    let mut once = Vec::new();
    for (at, step) in (0..).zip(rehearsed.steps()) {
        let fails: &[Fault] = match step.kind {
            OpKind::Sync | OpKind::SyncDir => &[Fault::SyncFails, Fault::SyncsFail],
            _ => &[Fault::FailsOnce],
        };
        let others = [Fault::PowerLoss, Fault::FailsForever, Fault::NoSpace];
        once.extend(fails.iter().chain(&others).map(|&fault| (at, fault)));
    }
    let reads = rehearsed.reads();
    let step = reads.div_ceil(READS_STRUCK).max(1) as usize;
    once.extend((0..reads).step_by(step).map(|at| (at, Fault::ReadFails)));
    once
}

fn seed(round: u64, at: u64) -> u64 {
    Chance::new(round << 32 | at).next()
}
