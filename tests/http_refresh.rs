//! Refresh tokens over HTTP: a hundred clients with the same one at once, and a server that is killed
//! while many go on with their sessions. Nobody who did not hear the answer is shut out, and no session
//! ever has two tokens that are good.
//!
//! `EMX_SOAK=1` kills 50 times, otherwise 6 times.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "support/elsewhere.rs"]
mod elsewhere;
#[path = "support/peer.rs"]
mod peer;
#[path = "support/server.rs"]
mod server;
#[path = "http_sessions/world.rs"]
mod world;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use elsewhere::connect_from;
use peer::{Ask, Peer};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use server::{PATIENCE, Server, is_soak};
use std::path::Path;
use std::sync::Barrier;
use std::sync::mpsc::{Sender, channel};
use storage::embedded::{EmbeddedEngine, EngineSettings};
use storage::engine::Engine;
use storage::volume::OsVolume;
use world::{Session, World, login, make_user, me, refresh};

const ROUNDS_FULL: usize = 50;
const ROUNDS_SHORT: usize = 6;

/// Clients that go on with their sessions, each a user of its own.
const CLIENTS: usize = 8;

/// A round ends after at most so many refreshes were answered.
const REFRESHES_MAX: usize = 24;

/// Of each session in the data that nobody has open, how many of its tokens are not spent.
fn unspent(data_dir: &Path) -> Vec<usize> {
    let engine = open(data_dir);
    let tables = engine.platform().unwrap();
    let families = tables.list("families", b"", None, 10_000).unwrap();
    let of_family = families.iter().map(|(family, _)| {
        let tokens = tables.list("refresh_tokens", family, None, 10_000).unwrap();
        let is_spent = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("spent_ms");
        tokens.iter().filter(|(_, bytes)| !is_spent(bytes)).count()
    });
    of_family.collect()
}

/// Of these tokens, whose successors nobody was told, how many are spent.
fn lost(data_dir: &Path, tokens: &[String]) -> usize {
    let engine = open(data_dir);
    let tables = engine.platform().unwrap();
    let is_spent = |token: &&String| {
        let hash = digest(&SHA256, token.as_bytes());
        let key = format!("{}/{}", &token[4..20], URL_SAFE_NO_PAD.encode(hash));
        let stored = tables.get("refresh_tokens", key.as_bytes()).unwrap().unwrap();
        String::from_utf8(stored).unwrap().contains("spent_ms")
    };
    tokens.iter().filter(is_spent).count()
}

fn open(data_dir: &Path) -> EmbeddedEngine {
    let settings = EngineSettings { background: false, ..EngineSettings::default() };
    EmbeddedEngine::open(OsVolume::shared(data_dir), settings).unwrap()
}

#[test]
fn a_hundred_at_once_get_the_same_successor() {
    const THREADS: usize = 100;
    let world = World::new();
    let session = world.sign_in();
    let mut peers: Vec<Peer> = (0..THREADS).map(|_| world.server.connect()).collect();
    let together = Barrier::new(THREADS);
    let mut successors: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = peers
            .iter_mut()
            .map(|peer| {
                scope.spawn(|| {
                    together.wait();
                    let next = Session::of(&peer.ask(&refresh(&session.refresh)).unwrap());
                    assert_eq!(peer.ask(&me(&next.access)).unwrap().status, 200);
                    next.refresh
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    successors.dedup();
    assert_eq!(successors.len(), 1);
    drop(peers);
    // Whoever has it from elsewhere gets nothing of that, and ends it all.
    let mut thief = connect_from(&world.server, "127.0.1.1");
    let stolen = thief.ask(&refresh(&session.refresh)).unwrap();
    assert_eq!((stolen.status, stolen.code().as_str()), (401, "refresh_token_reused"));
    let after = world.ask(&refresh(&successors[0]));
    assert_eq!((after.status, after.code().as_str()), (401, "invalid_refresh_token"));
    drop(thief);
    let data_dir = world.server.data_dir().to_owned();
    world.server.end();
    assert_eq!(unspent(&data_dir), [0; 0]);
}

/// Goes on with a session until that fails. Gives the last token whose successor is not known.
fn go_on(server: &Server, mut token: String, told: &Sender<()>) -> String {
    let Ok(mut peer) = Peer::connect(server.address, server.client("http/1.1")) else {
        return token;
    };
    loop {
        let Ok(answer) = peer.ask(&refresh(&token)) else { return token };
        if answer.status == 503 {
            return token;
        }
        token = Session::of(&answer).refresh;
        if told.send(()).is_err() {
            return token;
        }
    }
}

#[test]
fn a_kill_between_commit_and_answer_leaves_one_way_on() {
    let rounds = if is_soak() { ROUNDS_FULL } else { ROUNDS_SHORT };
    let mut chance = StdRng::seed_from_u64(rounds as u64);
    let mut world = World::new();
    let emails: Vec<String> = (0..CLIENTS).map(|n| format!("client{n}@example.org")).collect();
    let mut tokens: Vec<String> = Vec::new();
    for email in &emails {
        make_user(&world.server, email, "viewer");
        tokens.push(Session::of(&world.ask(&login(email, world::PASSWORD))).refresh);
    }
    let (mut refreshed, mut answers_lost) = (0, 0);
    for round in 0..rounds {
        let answered = chance.random_range(1..REFRESHES_MAX);
        tokens = std::thread::scope(|scope| {
            let (tell, told) = channel();
            let server = &world.server;
            let clients: Vec<_> = tokens
                .drain(..)
                .map(|token| {
                    let tell = tell.clone();
                    scope.spawn(move || go_on(server, token, &tell))
                })
                .collect();
            drop(tell);
            for _ in 0..answered {
                told.recv_timeout(PATIENCE).unwrap();
            }
            world.server.kill_now();
            clients.into_iter().map(|client| client.join().unwrap()).collect()
        });
        refreshed += answered;
        let mut unheard = 0;
        world = world.killed_and(|data_dir| unheard = lost(data_dir, &tokens));
        answers_lost += unheard;
        let mut peer = world.server.connect();
        for token in &mut tokens {
            // Once for the answer that was lost, and once to see that it is good.
            for _ in 0..2 {
                let answer = peer.ask(&refresh(token)).unwrap();
                assert_eq!(answer.status, 200, "round {round}: {answer:?}");
                *token = Session::of(&answer).refresh;
            }
        }
    }
    println!("{rounds} kills: {refreshed} refreshes answered, {answers_lost} answers lost");
    assert!(answers_lost > 0, "no kill fell between a commit and its answer");
    let access = Session::of(&world.ask(&refresh(&tokens[0]))).access;
    let listed = world.ask(&Ask::get("/api/v1/auth/sessions").bearer(&access)).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let data_dir = world.server.data_dir().to_owned();
    world.server.end();
    assert_eq!(unspent(&data_dir), [1; CLIENTS]);
}
