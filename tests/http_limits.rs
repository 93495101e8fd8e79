//! What a tenant may use, over HTTP against the real server: each limit's refusal with its status, code and
//! headers, changes that hold at once and after a restart, what is shown as used, and that another tenant
//! gets its answers meanwhile.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "support/peer.rs"]
mod peer;
#[path = "support/server.rs"]
mod server;

use peer::{Answer, Ask, Peer};
use serde_json::{Value, json};
use server::{Server, TENANT};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The tenant whose limits are set.
const NOISY: &str = "acme";

/// Requests until one must have been refused.
const TRIES_MAX: usize = 200;

struct World {
    dir: PathBuf,
    server: Server,
    /// Administers the platform, from another tenant.
    owner: String,
    /// Owns the noisy tenant.
    key: String,
    _place: tempfile::TempDir,
}

fn emx(dir: &Path, arguments: &[&str]) -> Value {
    let made = Command::new(env!("CARGO_BIN_EXE_emx"))
        .args(arguments)
        .args(["--json", "--data-dir"])
        .arg(dir)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    serde_json::from_slice(&made.stdout).unwrap()
}

impl World {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("data");
        let server = Server::start(&dir);
        emx(&dir, &["tenant", "create", NOISY]);
        let owner = server.sign_in();
        let key =
            emx(&dir, &["key", "create", "--tenant", NOISY, "--name", "k", "--role", "owner"]);
        let key = key["key"].as_str().unwrap().to_owned();
        Self { dir, server, owner, key, _place: place }
    }

    /// Asks as the noisy tenant.
    fn ask(&self, ask: Ask) -> Answer {
        self.server.ask(&ask.bearer(&self.key))
    }

    fn limits(&self, slug: &str) -> Answer {
        let ask = Ask::get(&format!("/api/v1/tenants/{slug}/limits"));
        self.server.ask(&ask.bearer(&self.owner))
    }

    fn put(&self, limits: &Value) -> Answer {
        let ask = Ask::new("PUT", &format!("/api/v1/tenants/{NOISY}/limits"));
        self.server.ask(&ask.json(&limits.to_string()).bearer(&self.owner))
    }

    /// Gives the noisy tenant these limits and no others.
    fn set(&self, limits: Value) {
        let answer = self.put(&limits);
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    fn usage(&self) -> Value {
        let ask = Ask::get(&format!("/api/v1/tenants/{NOISY}/usage")).bearer(&self.owner);
        let answer = self.server.ask(&ask);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    fn used(&self, limit: &str) -> f64 {
        self.usage()[limit]["used"].as_f64().unwrap()
    }

    /// Waits until so much is used.
    fn until_used(&self, limit: &str, wanted: f64) {
        let mut peer = self.server.connect();
        let ask = Ask::get(&format!("/api/v1/tenants/{NOISY}/usage")).bearer(&self.owner);
        for _ in 0..10_000 {
            if peer.ask(&ask).unwrap().json()[limit]["used"].as_f64() == Some(wanted) {
                return;
            }
        }
        panic!("{}", self.usage());
    }

    /// Stores so many executions, each of another session.
    fn fill(&self, count: usize) {
        for first in (0..count).step_by(25_000) {
            let mut body = String::new();
            for n in first..(first + 25_000).min(count) {
                writeln!(body, r#"{{"command":"c","session_id":"s{n}","duration_ms":{n}}}"#)
                    .unwrap();
            }
            let ask = Ask::post("/api/v1/executions/batch").body("application/x-ndjson", body);
            let answer = self.ask(ask);
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }
}

/// One execution.
fn one() -> Ask {
    Ask::post("/api/v1/executions").json(r#"{"command":"cargo build"}"#)
}

/// A question with a group for each session, computed each time.
fn expensive() -> Ask {
    let question = json!({
        "metrics": ["count", "p99(duration_ms)", "stddev(duration_ms)"], "group_by": ["session_id"],
        "limit": 1,
    });
    Ask::post("/api/v1/query").json(&question.to_string()).header("Cache-Control", "no-cache")
}

/// A refusal with `status` and `code`, whose headers say that there may be `limit`, counted by the second
/// or not. Gives when to come back.
#[track_caller]
fn check_refused(answer: &Answer, status: u16, code: &str, limit: u64, by_second: bool) -> u64 {
    assert_eq!((answer.status, &*answer.code()), (status, code), "{answer:?}");
    let number = |name: &str| answer.header(name).and_then(|value| value.parse::<u64>().ok());
    assert_eq!(number("ratelimit-limit"), Some(limit), "{answer:?}");
    assert_eq!(number("ratelimit-remaining"), Some(0));
    let retry_after = number("retry-after").unwrap();
    assert_eq!(number("ratelimit-reset"), Some(retry_after));
    assert!(retry_after >= 1);
    let policy = by_second.then(|| format!("{limit};w=1"));
    assert_eq!(answer.header("ratelimit-policy"), policy.as_deref());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    retry_after
}

/// Asks over one connection until it is refused; how often it was answered before.
fn until_refused(world: &World, ask: Ask) -> (usize, Answer) {
    let (mut peer, ask) = (world.server.connect(), ask.bearer(&world.key));
    for answered in 0..TRIES_MAX {
        let answer = peer.ask(&ask).unwrap();
        if answer.status == 429 {
            let after = peer.ask(&Ask::get("/healthz")).unwrap();
            assert_eq!(after.status, 200, "the connection goes on");
            return (answered, answer);
        }
        assert!(answer.status < 300, "{answer:?}");
    }
    panic!("{TRIES_MAX} requests were not too many");
}

#[test]
fn requests_in_a_second() {
    let world = World::new();
    world.set(json!({ "requests_per_second": 1 }));
    for ask in [Ask::get("/api/v1/auth/me"), one(), Ask::get("/api/v1/query?metrics=count")] {
        let (_, refused) = until_refused(&world, ask);
        check_refused(&refused, 429, "too_many_requests", 1, true);
    }
    // A WebSocket begins as a request.
    let mut upgrades = (0..TRIES_MAX).map(|_| begin_to_watch(&world).1);
    assert!(upgrades.any(|status| status == "HTTP/1.1 429"));
    // Nobody else notices, and whoever may change it is not kept out by it.
    for _ in 0..20 {
        let me = world.server.ask(&Ask::get("/api/v1/auth/me").bearer(&world.owner));
        assert_eq!(me.status, 200);
    }
    assert!(world.usage()["requests_per_second"]["refused"].as_u64().unwrap() >= 4);
    // Without a bound at once.
    world.set(json!({}));
    for _ in 0..20 {
        assert_eq!(world.ask(Ask::get("/api/v1/auth/me")).status, 200);
    }
    world.server.end();
}

#[test]
fn executions_in_a_second() {
    let world = World::new();
    world.set(json!({ "events_per_second": 2 }));
    let batch = Ask::post("/api/v1/executions/batch")
        .body("application/x-ndjson", "{\"command\":\"x\"}\n".repeat(60));
    let stored = world.ask(batch.clone());
    assert_eq!(stored.json()["accepted"], 60, "a batch larger than the limit is taken");
    for ask in [one(), batch] {
        let retry_after = check_refused(&world.ask(ask), 429, "too_many_events", 2, true);
        assert!((10..=30).contains(&retry_after), "{retry_after}");
    }
    // What is not read is refused, too; what only reads is not.
    let large = Ask::post("/api/v1/executions/batch")
        .body("application/x-ndjson", "{\"command\":\"x\"}\n".repeat(100_000));
    check_refused(&world.ask(large), 429, "too_many_events", 2, true);
    let count = world.ask(Ask::get("/api/v1/query?metrics=count")).json();
    assert_eq!(count["rows"], json!([[60]]));
    assert_eq!(world.usage()["events_per_second"]["refused"], 3);
    // More of them frees whoever waits.
    world.set(json!({ "events_per_second": 1_000 }));
    assert_eq!(world.ask(one()).status, 201);
    world.server.end();
}

/// An execution that cannot be true yet, and is kept in quarantine: how it is tried again.
fn retry(world: &World) -> Ask {
    let ahead = r#"{"command":"later","ts":"2999-01-01T00:00:00Z"}"#;
    assert_eq!(world.ask(Ask::post("/api/v1/executions").json(ahead)).status, 201);
    let kept = world.ask(Ask::get("/api/v1/quarantine")).json();
    let id = kept["items"][0]["id"].as_str().unwrap();
    Ask::post(&format!("/api/v1/quarantine/{id}/retry"))
}

#[test]
fn executions_count_however_they_come() {
    let world = World::new();
    let retry = retry(&world);
    world.set(json!({ "events_per_second": 2 }));
    // What is broken at its end was read up to there.
    let broken = format!("[{}{{]", r#"{"command":"x"},"#.repeat(60));
    let refused = world.ask(Ask::post("/api/v1/executions/batch").json(&broken));
    assert_eq!((refused.status, &*refused.code()), (400, "invalid_json"));
    for ask in [one(), retry.clone()] {
        check_refused(&world.ask(ask), 429, "too_many_events", 2, true);
    }
    // What is tried again is one more, whatever becomes of it.
    world.set(json!({ "events_per_second": 1 }));
    let tried = (0..TRIES_MAX).map(|_| world.ask(retry.clone())).find(|tried| tried.status != 422);
    check_refused(&tried.unwrap(), 429, "too_many_events", 1, true);
    world.server.end();
}

#[test]
fn lists_that_are_searched_are_computed_in_turns() {
    let world = World::new();
    retry(&world);
    let used = || world.usage()["cpu_ms"].as_f64().unwrap();
    for path in ["/api/v1/quarantine", "/api/v1/audit?q=nothing"] {
        let before = used();
        assert_eq!(world.ask(Ask::get(path)).status, 200);
        assert!(used() > before, "{path}");
    }
    world.server.end();
}

/// A request that is under way until the rest of its body comes.
fn begun(world: &World) -> (Peer, Vec<u8>) {
    let bytes = one().bearer(&world.key).bytes();
    let (first, rest) = bytes.split_at(bytes.len() - 1);
    let mut peer = world.server.connect();
    peer.send(first).unwrap();
    (peer, rest.to_vec())
}

#[test]
fn requests_at_a_time() {
    let world = World::new();
    world.set(json!({ "concurrent_requests": 2 }));
    let mut under_way = [begun(&world), begun(&world)];
    world.until_used("concurrent_requests", 2.0);
    for ask in [one(), Ask::get("/api/v1/auth/me")] {
        let code = "too_many_concurrent_requests";
        assert_eq!(check_refused(&world.ask(ask), 429, code, 2, false), 1);
    }
    for (peer, rest) in &mut under_way {
        peer.send(rest).unwrap();
        assert_eq!(peer.answer(false).unwrap().status, 201);
    }
    assert_eq!(world.ask(one()).status, 201);
    // Whoever goes away without an answer is not counted for ever.
    drop([begun(&world), begun(&world)]);
    world.until_used("concurrent_requests", 0.0);
    assert_eq!(world.ask(one()).status, 201);
    world.server.end();
}

fn upgrade() -> Ask {
    Ask::get("/api/v1/ws")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")
}

/// A connection of the noisy tenant that would be a WebSocket, and how the answer begins.
fn begin_to_watch(world: &World) -> (Peer, String) {
    let mut peer = world.server.connect();
    peer.send(&upgrade().bearer(&world.key).bytes()).unwrap();
    let mut piece = [0; 12];
    let read = peer.read(&mut piece).unwrap();
    (peer, String::from_utf8_lossy(&piece[..read]).into_owned())
}

/// A WebSocket of the noisy tenant.
fn watcher(world: &World) -> Peer {
    let (peer, status) = begin_to_watch(world);
    assert_eq!(status, "HTTP/1.1 101");
    peer
}

#[test]
fn websockets_at_a_time() {
    let world = World::new();
    world.set(json!({ "websocket_connections": 2 }));
    let watching = [watcher(&world), watcher(&world)];
    assert_eq!(world.used("websocket_connections"), 2.0);
    check_refused(&world.ask(upgrade()), 429, "too_many_watchers", 2, false);
    // Those who watch already go on where there may be fewer.
    world.set(json!({ "websocket_connections": 1 }));
    check_refused(&world.ask(upgrade()), 429, "too_many_watchers", 1, false);
    assert_eq!(world.used("websocket_connections"), 2.0);
    drop(watching);
    world.until_used("websocket_connections", 0.0);
    drop(watcher(&world));
    assert_eq!(world.usage()["websocket_connections"]["refused"], 2);
    world.server.end();
}

#[test]
fn time_and_memory_of_a_question() {
    let world = World::new();
    world.fill(100_000);
    let answer = world.ask(expensive());
    assert_eq!((answer.status, answer.json()["truncated"].clone()), (200, json!(true)));
    assert!(world.used("query_memory_bytes") > f64::from(1 << 20));
    assert!(world.used("query_time_ms") > 10.0, "{}", world.usage());
    world.set(json!({ "query_time_ms": 10 }));
    let late = world.ask(expensive());
    assert_eq!((late.status, &*late.code()), (422, "query_time_exceeded"), "{late:?}");
    world.set(json!({ "query_memory_bytes": 1 << 20 }));
    let large = world.ask(expensive());
    assert_eq!((large.status, &*large.code()), (422, "query_memory_exceeded"), "{large:?}");
    world.set(json!({}));
    assert_eq!(world.ask(expensive()).status, 200);
    assert!(world.usage()["cpu_ms"].as_f64().unwrap() > 0.0);
    world.server.end();
}

#[test]
fn bytes_of_a_tenant() {
    let world = World::new();
    assert_eq!(world.ask(one()).status, 201);
    let retry = retry(&world);
    world.fill(150_000);
    assert!(world.used("storage_bytes") > f64::from(1 << 20), "{}", world.usage());
    world.set(json!({ "storage_bytes": 1 << 20 }));
    for _ in 0..2 {
        assert_eq!(check_refused(&world.ask(one()), 507, "storage_full", 1 << 20, false), 60);
    }
    check_refused(&world.ask(retry), 507, "storage_full", 1 << 20, false);
    let count = world.ask(Ask::get("/api/v1/query?metrics=count")).json();
    assert_eq!(count["rows"], json!([[150_001]]), "what is there can be read");
    world.set(json!({ "storage_bytes": 1_u64 << 40 }));
    assert_eq!(world.ask(one()).status, 201);
    world.server.end();
}

#[test]
fn limits_are_told_changed_and_kept() {
    let world = World::new();
    let shown = world.limits(NOISY);
    let defaults = json!({
        "requests_per_second": 0, "events_per_second": 0, "concurrent_requests": 1000,
        "websocket_connections": 10_000, "query_time_ms": 30_000, "query_memory_bytes": 256 << 20,
        "cpu_share": 0.5, "storage_bytes": 0, "overridden": [],
    });
    assert_eq!(shown.json(), defaults);
    let tag = shown.header("etag").unwrap().to_owned();
    // Only while nobody has changed them.
    let put = |tag: &str, body: &str| {
        let ask = Ask::new("PUT", &format!("/api/v1/tenants/{NOISY}/limits")).json(body);
        world.server.ask(&ask.header("If-Match", tag).bearer(&world.owner))
    };
    let changed = put(&tag, r#"{"cpu_share":0.25,"events_per_second":7,"query_time_ms":null}"#);
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(changed.json()["overridden"], json!(["events_per_second", "cpu_share"]));
    let misread = put("W/no tag", "{}");
    assert_eq!((misread.status, &*misread.code()), (400, "invalid_if_match"));
    let stale = put(&tag, "{}");
    assert_eq!((stale.status, &*stale.code()), (412, "precondition_failed"));
    assert_eq!(changed.header("etag"), world.limits(NOISY).header("etag"));
    for (body, pointer) in [
        (r#"{"speed":1}"#, "/speed"),
        (r#"{"cpu_share":2}"#, "/cpu_share"),
        (r#"{"requests_per_second":0.5}"#, "/requests_per_second"),
        (r#"{"concurrent_requests":0}"#, "/concurrent_requests"),
    ] {
        let refused = put("*", body);
        assert_eq!(refused.status, 422, "{body}: {refused:?}");
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer);
    }
    // By the command line, while the server runs.
    let set =
        ["tenant", "limits", NOISY, "--set", "storage_bytes=1 GiB", "--set", "cpu_share=default"];
    let told = emx(&world.dir, &set);
    assert_eq!(
        (told["storage_bytes"].clone(), told["cpu_share"].clone()),
        (json!(1 << 30), json!(0.5))
    );
    let before = world.limits(NOISY).json();
    assert_eq!(before, told);
    assert_eq!(world.limits(TENANT).json(), defaults, "another tenant has its own");

    let World { dir, server, key, _place, .. } = world;
    server.end();
    let server = Server::start(&dir);
    let own = |path: &str| server.ask(&Ask::get(path).bearer(&key));
    assert_eq!(own(&format!("/api/v1/tenants/{NOISY}/limits")).json(), before);
    // Of another tenant nobody learns that there is one.
    let [theirs, nowhere] = [TENANT, "nowhere"].map(|slug| {
        let mut answer = own(&format!("/api/v1/tenants/{slug}/usage")).json();
        answer["request_id"] = Value::Null;
        answer
    });
    assert_eq!((theirs["code"].clone(), &theirs), (json!("tenant_not_found"), &nowhere));
    let told = own("/api/v1/audit?action=tenant.limits").json();
    let last = &told["items"][0];
    assert_eq!(last["actor"], "operator");
    assert_eq!(last["before"], json!({ "cpu_share": 0.25, "events_per_second": 7 }));
    assert_eq!(last["after"], json!({ "events_per_second": 7, "storage_bytes": 1 << 30 }));
    server.end();
}

#[test]
fn what_is_used_is_shown() {
    let world = World::new();
    for _ in 0..5 {
        assert_eq!(world.ask(one()).status, 201);
    }
    assert_eq!(world.ask(Ask::get("/api/v1/query?metrics=speed")).status, 422);
    let usage = world.usage();
    assert_eq!(usage["answers"]["count"], 6, "{usage}");
    let [p50, p99] = ["p50_ms", "p99_ms"].map(|name| usage["answers"][name].as_f64().unwrap());
    assert!(0.0 < p50 && p50 <= p99);
    assert_eq!(usage["concurrent_requests"]["used"], 0);
    assert_eq!(usage["storage_bytes"]["limit"], 0);
    assert!(usage["storage_bytes"]["used"].as_u64().unwrap() > 0);
    let metrics = world.ask(Ask::get("/metrics"));
    let text = String::from_utf8(metrics.body).unwrap();
    assert_eq!(text.matches("# EOF").count(), 1);
    assert!(text.ends_with("# EOF\n"));
    assert!(text.contains("\nemx_tenant_answer_seconds_count 6\n"), "{text}");
    assert!(text.contains("\nemx_tenant_answer_seconds_bucket{le=\"+Inf\"} 6\n"));
    world.server.end();
}

#[test]
fn a_quiet_tenant_gets_its_answers_while_another_asks_for_too_much() {
    const QUIET: usize = 40;
    let world = World::new();
    world.fill(50_000);
    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let heavy = expensive().bearer(&world.key);
    let quiet = Ask::get("/api/v1/query?metrics=count")
        .header("Cache-Control", "no-cache")
        .bearer(&world.owner);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut peer = world.server.connect();
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(peer.ask(&heavy).unwrap().status, 200);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut peer = world.server.connect();
        for _ in 0..QUIET {
            assert_eq!(peer.ask(&quiet).unwrap().status, 200);
        }
        // All of them were answered before the noisy one was through with as many.
        let noisy = answered.load(Ordering::Relaxed);
        done.store(true, Ordering::Relaxed);
        assert!(noisy < 8 * QUIET, "{noisy} expensive questions in the time of {QUIET} cheap ones");
    });
    world.server.end();
}
