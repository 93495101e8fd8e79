//! Exports of the real server while they run: one is cut as soon as whoever asked for it is not let in any
//! more, holds no deletion off, and is refused before it begins where there is no place for it.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "support/peer.rs"]
mod peer;
#[path = "support/server.rs"]
mod server;

use peer::{Ask, Peer};
use serde_json::{Value, json};
use server::{PATIENCE, Server};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;

/// The tenant whose rows are taken out.
const ACME: &str = "acme";
const PASSWORD: &str = "correct horse battery staple";

/// More than the buffers between a server and a client that does not read hold.
const ROWS: usize = 1600;
const ROW_BYTES: usize = 16_000;

/// Exports of a tenant at a time, and how many more may wait.
const RUNNING: usize = 4;
const WAITING: usize = 16;

struct World {
    _place: tempfile::TempDir,
    dir: PathBuf,
    server: Server,
    platform: String,
    /// Owns the tenant.
    owner: String,
}

/// What a command prints that has the running server do something.
fn emx(dir: &Path, arguments: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_emx"));
    let output = command.args(arguments).args(["--json", "--data-dir"]).arg(dir).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

impl World {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("data");
        let server = Server::start(&dir);
        let platform = server.sign_in();
        let mut world = Self { _place: place, dir, server, platform, owner: String::new() };
        let admin = json!({ "email": "owner@example.org", "password": PASSWORD });
        let new = Ask::post("/api/v1/tenants");
        let new = new.json(&json!({ "slug": ACME, "admin": admin }).to_string());
        world.done(&world.platform, new, 201);
        world.owner = world.sign_in("owner@example.org");
        let line = "x".repeat(ROW_BYTES);
        for part in 0..4 {
            let row = |n: usize| json!({ "id": format!("{part}-{n}"), "command": "make", "command_line": line });
            let rows: Vec<Value> = (0..ROWS / 4).map(row).collect();
            let batch = Ask::post("/api/v1/executions/batch").json(&json!(rows).to_string());
            world.done(&world.owner, batch, 200);
        }
        world
    }

    #[track_caller]
    fn done(&self, bearer: &str, ask: Ask, status: u16) -> Value {
        let answer = self.server.ask(&ask.bearer(bearer));
        assert_eq!(answer.status, status, "{answer:?}");
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    fn sign_in(&self, email: &str) -> String {
        let login = json!({ "tenant": ACME, "email": email, "password": PASSWORD });
        let answer = self.server.ask(&Ask::post("/api/v1/auth/login").json(&login.to_string()));
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// An administrator of the tenant: the address of the account.
    fn administrator(&self, email: &str) -> String {
        let new = json!({ "email": email, "role": "admin" }).to_string();
        let link = self.done(&self.owner, Ask::post("/api/v1/users/invite").json(&new), 201);
        let accept = json!({ "token": link["token"], "password": PASSWORD }).to_string();
        let accepted = self.server.ask(&Ask::post("/api/v1/auth/accept").json(&accept));
        assert_eq!(accepted.status, 200, "{accepted:?}");
        format!("/api/v1/users/{}", link["user"]["id"].as_str().unwrap())
    }

    /// A key of the tenant's, and its address.
    fn key(&self) -> (String, String) {
        let new = json!({ "name": "export", "role": "owner" }).to_string();
        let made = self.done(&self.owner, Ask::post("/api/v1/api-keys").json(&new), 201);
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("key"), format!("/api/v1/api-keys/{}", text("id")))
    }

    /// An export that is under way, of which nobody reads more than its beginning.
    fn begin(&self, bearer: &str) -> Peer {
        let mut peer = self.server.connect();
        peer.send(&Ask::get("/api/v1/export").bearer(bearer).bytes()).unwrap();
        let mut first = [0; 512];
        let read = peer.read(&mut first).unwrap();
        assert!(first[..read].starts_with(b"HTTP/1.1 200"));
        peer
    }

    /// An export of `bearer` is cut by `act`.
    #[track_caller]
    fn check_cut(&self, bearer: &str, act: impl FnOnce()) {
        let export = self.begin(bearer);
        act();
        let (taken, is_whole) = read_out(export);
        assert!(!is_whole, "it ended as if it were whole, after {taken} bytes");
        assert!(taken < ROWS * ROW_BYTES, "{taken} bytes");
    }
}

/// Reads what is left; how many bytes there were, and whether they came to their end.
fn read_out(mut peer: Peer) -> (usize, bool) {
    let (mut taken, mut piece) = (0, vec![0; 64 << 10]);
    loop {
        match peer.read(&mut piece) {
            Ok(0) | Err(_) => return (taken, false),
            Ok(read) => {
                taken += read;
                if piece[..read].ends_with(b"0\r\n\r\n") {
                    return (taken, true);
                }
            }
        }
    }
}

#[test]
fn an_export_ends_with_the_right_to_it() {
    let world = World::new();
    let (taken, is_whole) = read_out(world.begin(&world.owner));
    assert!(is_whole && taken > ROWS * ROW_BYTES, "{taken} bytes");

    let account = world.administrator("ann@example.org");
    let token = world.sign_in("ann@example.org");
    world.check_cut(&token, || {
        world.done(&token, Ask::post("/api/v1/auth/logout"), 204);
    });
    let token = world.sign_in("ann@example.org");
    world.check_cut(&token, || {
        world.done(&world.owner, Ask::new("PATCH", &account).json(r#"{"role":"viewer"}"#), 200);
    });
    let (key, address) = world.key();
    world.check_cut(&key, || {
        world.done(&world.owner, Ask::new("DELETE", &address), 204);
    });
    world.check_cut(&world.owner, || {
        emx(&world.dir, &["tenant", "suspend", ACME]);
    });
    emx(&world.dir, &["tenant", "resume", ACME]);
    let delete = || emx(&world.dir, &["tenant", "delete", ACME, "--confirm", ACME]);
    let mut state = Value::Null;
    world.check_cut(&world.owner, || state = delete()["state"].clone());
    // Where the export was not yet cut while the deletion waited for it, nothing holds that off by now.
    if state != "deleted" {
        assert_eq!(delete()["state"], "deleted");
    }
    world.server.end();
}

#[test]
fn an_export_for_which_there_is_no_place_is_refused_before_it_begins() {
    let world = World::new();
    let (key, address) = world.key();
    let running: Vec<Peer> = (0..RUNNING).map(|_| world.begin(&key)).collect();
    let (tell, told) = mpsc::channel();
    let waiting: Vec<_> = (0..=WAITING)
        .map(|_| {
            let (mut peer, tell) = (world.server.connect(), tell.clone());
            peer.send(&Ask::get("/api/v1/export").bearer(&key).bytes()).unwrap();
            std::thread::spawn(move || tell.send(peer.answer(false)).unwrap())
        })
        .collect();
    let refused = told.recv_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!((refused.status, &*refused.code()), (503, "busy"), "{refused:?}");
    assert!(refused.header("retry-after").is_some());
    // Whatever takes as long has the same places, and keeps none from other tenants.
    let verify = || Ask::get("/api/v1/audit/verify");
    let refused = world.server.ask(&verify().bearer(&key));
    assert_eq!((refused.status, &*refused.code()), (503, "busy"), "{refused:?}");
    for ask in [verify(), Ask::get("/api/v1/export"), Ask::get("/api/v1/audit/export")] {
        assert_eq!(world.server.ask(&ask.bearer(&world.platform)).status, 200);
    }
    // Those who come to a place when they may not have it any more are sent nothing.
    world.done(&world.owner, Ask::new("DELETE", &address), 204);
    drop(running);
    for _ in 0..WAITING {
        let answer = told.recv_timeout(PATIENCE).unwrap();
        assert!(answer.is_err(), "{answer:?}");
    }
    waiting.into_iter().for_each(|thread| thread.join().unwrap());
    world.server.end();
}
