//! A disk that gives way below the real server, because it is full or because its syncs fail: whoever
//! writes is refused by a problem that says why and when to come back, whoever reads goes on, and
//! once the disk is well the server writes again without a restart. A ledger outside of it knows what
//! was acknowledged: all of that is there, and nothing twice.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "http_disk/failing_sync.rs"]
mod failing_sync;
#[path = "http_disk/full.rs"]
mod full;
#[path = "support/http_ledger.rs"]
mod http_ledger;
#[path = "support/peer.rs"]
mod peer;
#[path = "support/server.rs"]
mod server;
#[path = "support/small_disk.rs"]
mod small_disk;

use http_ledger::{Call, KINDS, Kind};
use peer::{Answer, Ask};
use server::{PATIENCE, Server};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

/// Calls of one writer, at most: many more than fill a small disk.
const CALLS_MAX: usize = 20_000;

/// Statuses and codes that are right for a refusal.
type Refusals = &'static [(u16, &'static str)];

/// The refusal says why, as a problem, and when to come back.
fn demand_refused(answer: &Answer, refusals: Refusals) {
    assert!(refusals.contains(&(answer.status, &*answer.code())), "{answer:?}");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
}

/// What goes on while nothing can be written.
fn demand_reads(server: &Server, key: &str) {
    let mut peer = server.connect();
    let questions = ["/healthz", "/api/v1/query?metrics=count", "/api/v1/executions?limit=3"];
    for target in questions.into_iter().chain(["/api/v1/executions?from_seq=1&limit=3", "/metrics"])
    {
        let answer = peer.ask(&Ask::get(target).bearer(key)).unwrap();
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
    }
}

/// A round of writing on a disk that gives way.
struct Round<'a> {
    server: &'a Server,
    key: &'a str,
    number: usize,
    /// What of each row does not compress: how soon the disk is full.
    noise_bytes: usize,
    refusals: Refusals,
}

impl Round<'_> {
    /// Has somebody of each kind write until it is refused, while another one reads; `meanwhile` hears
    /// of every call that is acknowledged. Gives the ledger: the last call of each kind was refused.
    fn write(&self, meanwhile: impl FnOnce(Receiver<()>)) -> Vec<Call> {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (tell, told) = channel();
            let writers = KINDS.map(|kind| {
                let tell = tell.clone();
                scope.spawn(move || self.write_one(kind, &tell))
            });
            drop(tell);
            let reader = scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    demand_reads(self.server, self.key);
                }
            });
            meanwhile(told);
            let calls = writers.map(|writer| writer.join());
            done.store(true, Ordering::Relaxed);
            reader.join().unwrap();
            calls.into_iter().flat_map(Result::unwrap).collect()
        })
    }

    fn write_one(&self, kind: Kind, tell: &Sender<()>) -> Vec<Call> {
        let writer = format!("{kind:?}-{}", self.number);
        let mut peer = self.server.connect();
        let mut calls = Vec::new();
        for n in 0..CALLS_MAX {
            let mut call = Call::new(kind, &writer, n).with_noise(self.noise_bytes);
            let answer = peer.ask(&call.ask(self.number, self.key)).unwrap();
            let acknowledged = call.note(&answer);
            calls.push(call);
            if !acknowledged {
                demand_refused(&answer, self.refusals);
                return calls;
            }
            let _nobody_counts = tell.send(());
        }
        panic!("nothing is ever refused");
    }

    /// What was refused is refused again.
    fn demand_refused_again(&self, calls: &[Call]) {
        for call in calls.iter().filter(|call| call.answer.is_none()) {
            let answer = self.server.ask(&call.ask(self.number, self.key));
            demand_refused(&answer, self.refusals);
        }
    }

    /// What was refused is acknowledged at the first attempt now that the disk is well.
    fn send_again(&self, calls: &mut [Call]) {
        for call in calls.iter_mut().filter(|call| call.answer.is_none()) {
            let answer = self.server.ask(&call.ask(self.number, self.key));
            assert!(call.note(&answer), "{answer:?}");
        }
    }
}

/// Waits for so many acknowledged calls.
fn wait_for(told: &Receiver<()>, calls: usize) {
    for _ in 0..calls {
        told.recv_timeout(PATIENCE).unwrap();
    }
}
