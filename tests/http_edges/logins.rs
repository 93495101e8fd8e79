//! A flood of people who sign in takes a bounded amount of memory.

use crate::world::{World, login};
use std::sync::Barrier;

/// Who sign in at once; each from an address of its own, so that the throttle lets all of them try.
const CLIENTS: usize = 64;

/// Passwords that are hashed at a time at most, whatever the machine, and what each takes.
const HASHES_MAX: usize = 8;
const HASH_MIB: u64 = 19;

/// For the connections, and what an allocator keeps.
const BESIDE_MIB: u64 = 48;

/// The most memory that the process has had, MiB.
fn peak_mib(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
fn many_who_sign_in_at_once_take_the_memory_of_a_few() {
    let world = World::with(&[("EMX_SERVER__TRUSTED_PROXIES", "127.0.0.1")]);
    let before = peak_mib(world.server.id());
    let ready = Barrier::new(CLIENTS);
    std::thread::scope(|scope| {
        for n in 0..CLIENTS {
            let (world, ready) = (&world, &ready);
            scope.spawn(move || {
                let mut peer = world.server.connect();
                let ask = login(&format!("user{n}@example.org"), "wrong horse battery");
                let ask = ask.header("X-Forwarded-For", &format!("198.51.100.{n}"));
                ready.wait();
                assert_eq!(peer.ask(&ask).unwrap().status, 401);
            });
        }
    });
    let grown = peak_mib(world.server.id()) - before;
    println!("{grown} MiB for {CLIENTS} who signed in at once");
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let hashes = processors.min(HASHES_MAX) as u64;
    assert!(grown <= hashes * HASH_MIB + BESIDE_MIB, "{grown} MiB");
    world.server.end();
}
