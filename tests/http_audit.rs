//! The audit log of the real server: what is done, read and refused is told, in the chain of the tenant
//! it concerns, without secrets; whoever alters it behind the server's back is found by the command
//! line, with and without the data directory.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "support/peer.rs"]
mod peer;
#[path = "support/server.rs"]
mod server;

use peer::{Answer, Ask};
use serde_json::{Value, json};
use server::{Server, TENANT};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use storage::embedded::{EmbeddedEngine, EngineSettings};
use storage::engine::{Engine, TableWrite};
use storage::volume::OsVolume;

/// Runs `emx` on the data of `dir`.
fn emx(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_emx")).args(args).arg("--data-dir").arg(dir).output().unwrap()
}

fn printed(dir: &Path, args: &[&str]) -> String {
    let output = emx(dir, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Changes the entry `seq` of `chain` as whoever can write the file does.
fn change_entry(dir: &Path, chain: &str, seq: u64, change: impl FnOnce(String) -> String) {
    let key = [format!("{chain}/").as_bytes(), &(u64::MAX - seq).to_be_bytes()].concat();
    let volume = OsVolume::shared(dir);
    let engine: Arc<dyn Engine> =
        Arc::new(EmbeddedEngine::open(volume, EngineSettings::default()).unwrap());
    let tables = engine.platform().unwrap();
    let stored = String::from_utf8(tables.get("audit", &key).unwrap().unwrap()).unwrap();
    let value = Some(change(stored).into_bytes());
    tables.write(&[], &[TableWrite { table: "audit".into(), key, value }]).unwrap();
}

struct World {
    _place: tempfile::TempDir,
    dir: PathBuf,
    server: Server,
    token: String,
}

impl World {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("data");
        let server = Server::start(&dir);
        let token = server.sign_in();
        Self { _place: place, dir, server, token }
    }

    fn ask(&self, ask: Ask) -> Answer {
        self.server.ask(&ask.bearer(&self.token))
    }

    /// The entries that pass the filter, newest first.
    fn entries(&self, filter: &str) -> Vec<Value> {
        let answer = self.ask(Ask::get(&format!("/api/v1/audit?{filter}")));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["items"].as_array().unwrap().clone()
    }

    fn key(&self, role: &str) -> (String, String) {
        let body = json!({ "name": "ci", "role": role }).to_string();
        let made =
            self.ask(Ask::post("/api/v1/api-keys").json(&body).header("X-Request-Id", "make-it"));
        assert_eq!(made.status, 201, "{made:?}");
        let made = made.json();
        (made["id"].as_str().unwrap().into(), made["key"].as_str().unwrap().into())
    }
}

#[test]
fn acts_and_readings_are_told_without_secrets() {
    let world = World::new();
    let me = world.ask(Ask::get("/api/v1/auth/me")).json();
    let actor = format!("user:{}", me["user"]["id"].as_str().unwrap());

    let (id, key) = world.key("viewer");
    let made = &world.entries("action=api_key.create")[0];
    assert_eq!(made["actor"], *actor);
    assert_eq!(made["target"], *format!("api_key:{id}"));
    assert_eq!(made["address"], "127.0.0.1");
    assert_eq!(made["request_id"], "make-it");
    assert_eq!(made["after"]["role"], "viewer");
    let revoked = world.ask(Ask::new("DELETE", &format!("/api/v1/api-keys/{id}")));
    assert_eq!(revoked.status, 204);
    let revoked = &world.entries("action=api_key.revoke")[0];
    assert!(revoked["before"]["revoked_ms"].is_null() && revoked["after"]["revoked_ms"].is_i64());
    assert_eq!(world.entries("action=session.begin")[0]["actor"], *actor);
    assert_eq!(world.entries("action=tenant.create")[0]["actor"], "operator");

    // The first reading is told before it is answered, others are counted.
    for _ in 0..3 {
        assert_eq!(world.ask(Ask::get("/api/v1/executions")).status, 200);
    }
    assert_eq!(world.entries("action=executions.read").len(), 1);
    assert_eq!(world.ask(Ask::get("/api/v1/export?format=csv&from=0")).status, 200);
    assert_eq!(world.entries("action=executions.export")[0]["after"], "format=csv&from=0");

    // What has no place in the address of an export is refused, and stands in no entry.
    let misplaced = world.ask(Ask::get("/api/v1/export?access_token=misplaced-secret"));
    assert_eq!(misplaced.status, 422, "{misplaced:?}");
    assert_eq!(world.entries("action=executions.export").len(), 1);

    let whole = json!(world.entries("limit=1000")).to_string();
    let (_, password) = world.server.first_login();
    // What stands behind the key's id; a `_` may be in that too.
    let of_key = key.splitn(3, '_').last().unwrap();
    for secret in ["misplaced-secret", &*key, of_key, &*password, &*world.token] {
        assert!(!whole.contains(secret), "a secret is in the log");
    }
    // By whoever is at the machine, through the running server.
    printed(&world.dir, &["key", "create", "--tenant", TENANT, "--name", "by hand"]);
    let by_hand = &world.entries("action=api_key&actor=operator")[0];
    assert!(by_hand["address"].is_null() && by_hand["after"]["name"] == "by hand");
    assert!(printed(&world.dir, &["audit", "list"]).contains("api_key.create"), "platform's too");
    world.server.end();
}

#[test]
fn questions_are_told_where_a_tenant_wants_it() {
    let world = World::new();
    let asked = json!({ "metrics": ["count"], "group_by": ["user_id"] });
    let question = || Ask::post("/api/v1/query").json(&format!(" {asked:#} "));
    let rows = Ask::get("/api/v1/executions?filter=user_id=alice&limit=1");
    let change = |wanted: bool| {
        let tenant = format!("/api/v1/tenants/{TENANT}");
        let body = json!({ "audit_queries": wanted }).to_string();
        let changed = world.ask(Ask::new("PATCH", &tenant).json(&body));
        assert_eq!((changed.status, &changed.json()["audit_queries"]), (200, &json!(wanted)));
    };
    assert_eq!(world.ask(question()).status, 200);
    assert_eq!(world.entries("action=query"), Vec::<Value>::new());
    change(true);
    let told = &world.entries("action=tenant.change")[0];
    assert_eq!([&told["before"]["audit_queries"], &told["after"]["audit_queries"]], [false, true]);

    // Before its first answer; written otherwise it is the same, and is counted.
    for ask in [question(), Ask::post("/api/v1/query").json(&asked.to_string()), question()] {
        assert_eq!(world.ask(ask).status, 200);
    }
    assert_eq!(world.ask(Ask::get("/api/v1/query?metrics=count")).status, 200);
    let afters = |action: &str| -> Vec<Value> {
        world.entries(action).iter().map(|entry| entry["after"].clone()).collect()
    };
    assert_eq!(afters("action=query"), [json!("metrics=count"), json!(asked.to_string())]);

    // What is no question is refused, and not told.
    for wrong in ["/api/v1/query?metrics=nothing", "/api/v1/query?token=misplaced"] {
        assert_eq!(world.ask(Ask::get(wrong)).status, 422);
    }
    // Rows too, whatever their page; a very long question by its beginning and its hash.
    assert_eq!(world.ask(rows).status, 200);
    assert_eq!(world.ask(Ask::get("/api/v1/executions/nothing")).status, 404);
    assert_eq!(afters("action=executions.read"), ["id=nothing", "filter=user_id=alice&limit=1"]);
    let users: Vec<String> = (0..1000).map(|n| format!("user-{n}")).collect();
    let filter = json!([{ "field": "user_id", "op": "in", "value": users }]);
    let long = json!({ "metrics": ["count"], "filters": filter }).to_string();
    let answer = world.ask(Ask::post("/api/v1/query").json(&long));
    assert_eq!(answer.status, 200, "{answer:?}");
    let told = afters("action=query")[0].as_str().unwrap().to_owned();
    assert!(told.starts_with(&long[..1000]) && told.contains("SHA-256"), "{told}");
    assert!(told.len() < 2200, "{}", told.len());

    change(false);
    assert_eq!(world.ask(Ask::get("/api/v1/query?metrics=count&limit=7")).status, 200);
    assert_eq!(afters("action=query").len(), 3);
    world.server.end();
}

#[test]
fn refusals_are_counted_and_survive_an_orderly_end() {
    let world = World::new();
    printed(&world.dir, &["tenant", "create", "other"]);
    let (_, viewer) = world.key("viewer");
    let as_viewer = |ask: Ask| world.server.ask(&ask.bearer(&viewer)).status;
    for _ in 0..4 {
        assert_eq!(as_viewer(Ask::get("/api/v1/audit")), 403);
    }
    assert_eq!(as_viewer(Ask::get("/api/v1/executions").header("X-Tenant", "other")), 403);
    // Also where a WebSocket is wanted it is known who was refused.
    let (sender_id, sender) = world.key("ingest");
    let watch = Ask::get("/api/v1/ws")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(world.server.ask(&watch.clone().bearer(&sender)).status, 403);
    assert_eq!(as_viewer(watch.clone().header("X-Tenant", "other")), 403);
    assert_eq!(world.server.ask(&watch).status, 401);
    assert_eq!(world.server.login("a wrong password").status, 401);
    assert_eq!(world.server.ask(&Ask::get("/api/v1/executions")).status, 401);
    let World { _place, dir, server, .. } = world;
    server.end();

    let list = |tenant: &[&str]| {
        let args = [&["audit", "list", "--json", "--limit", "1000"], tenant].concat();
        let listed: Value = serde_json::from_str(&printed(&dir, &args)).unwrap();
        let items = listed["items"].as_array().unwrap().clone();
        items.into_iter().filter(|entry| entry["outcome"] == "refused").collect::<Vec<Value>>()
    };
    let counts = |entries: &[Value]| {
        let mut counts: Vec<(String, String, u64)> = entries
            .iter()
            .map(|entry| {
                let text = |key: &str| entry[key].as_str().unwrap().to_owned();
                (text("action"), text("after"), entry["count"].as_u64().unwrap_or(1))
            })
            .collect();
        counts.sort();
        counts
    };
    let word = str::to_owned;
    let of_tenant = list(&["--tenant", TENANT]);
    let expected = [
        (word("GET /api/v1/audit"), word("forbidden"), 4),
        (word("GET /api/v1/executions"), word("tenant_mismatch"), 1),
        (word("GET /api/v1/ws"), word("forbidden"), 1),
        (word("GET /api/v1/ws"), word("tenant_mismatch"), 1),
        (word("session.begin"), word("invalid_credentials"), 1),
    ];
    assert_eq!(counts(&of_tenant), expected, "{of_tenant:?}");
    let sent =
        |entry: &&Value| entry["action"] == "GET /api/v1/ws" && entry["after"] == "forbidden";
    let sent = of_tenant.iter().find(sent).unwrap();
    assert_eq!(sent["actor"], *format!("key:{sender_id}"));
    let of_platform = list(&[]);
    let expected = [
        (word("GET /api/v1/executions"), word("unauthorized"), 1),
        (word("GET /api/v1/ws"), word("unauthorized"), 1),
        (word("POST /api/v1/auth/login"), word("invalid_credentials"), 1),
    ];
    assert_eq!(counts(&of_platform), expected, "{of_platform:?}");
}

#[test]
fn who_may_not_see_a_chain_is_refused_and_pages_join() {
    let world = World::new();
    for role in ["ingest", "viewer", "manager"] {
        let (_, key) = world.key(role);
        for address in ["", "/anchor", "/verify", "/export"] {
            let ask = Ask::get(&format!("/api/v1/audit{address}")).bearer(&key);
            assert_eq!(world.server.ask(&ask).status, 403, "{role} {address}");
        }
    }
    let (_, admin) = world.key("admin");
    let own = world.server.ask(&Ask::get("/api/v1/audit").bearer(&admin));
    assert_eq!(own.status, 200);
    let platform = Ask::get("/api/v1/audit?chain=platform");
    assert_eq!(world.server.ask(&platform.clone().bearer(&admin)).status, 403);
    assert_eq!(world.ask(platform).status, 200);

    let mut seqs: Vec<u64> = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = world.ask(Ask::get(&format!("/api/v1/audit?limit=2{cursor}"))).json();
        seqs.extend(page["items"].as_array().unwrap().iter().map(|e| e["seq"].as_u64().unwrap()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let last = seqs[0];
    assert!(last >= 5 && seqs == (1..=last).rev().collect::<Vec<u64>>(), "{seqs:?}");
    for bad in ["outcome=never", "cursor=x", "chain=other", "from=soon", "nonsense=1"] {
        let refused = world.ask(Ask::get(&format!("/api/v1/audit?{bad}")));
        assert_eq!(refused.status, 422, "{bad}: {refused:?}");
    }
    world.server.end();
}

#[test]
fn a_harmed_log_is_found_and_where() {
    let world = World::new();
    (0..5).for_each(|_| drop(world.key("viewer")));
    let line = printed(&world.dir, &["audit", "anchor", "--tenant", TENANT]);
    let anchor = world.ask(Ask::get("/api/v1/audit/anchor")).json();
    assert_eq!(anchor["line"], line.trim_end());
    let sound = world.ask(Ask::get(&format!(
        "/api/v1/audit/verify?anchor={}",
        line.trim_end().replace(' ', "%20")
    )));
    assert_eq!(sound.json()["sound"], true, "{sound:?}");
    let export = world.ask(Ask::get("/api/v1/audit/export"));
    assert_eq!(export.status, 200);
    let (exported, chain) = (export.body.clone(), anchor["chain"].as_str().unwrap().to_owned());
    let World { _place: place, dir, server, .. } = world;
    server.end();

    let anchors = place.path().join("anchors.txt");
    std::fs::write(&anchors, &line).unwrap();
    let anchors = anchors.to_str().unwrap();
    assert!(printed(&dir, &["audit", "verify", "--anchors", anchors]).contains("sound"));
    let file = place.path().join("audit.ndjson");
    let verify_file = || {
        let file = file.to_str().unwrap();
        let nowhere = place.path().join("nowhere");
        let args = ["audit", "verify", "--file", file, "--chain", &chain, "--anchors", anchors];
        emx(&nowhere, &args)
    };
    std::fs::write(&file, &exported).unwrap();
    assert!(verify_file().status.success(), "{:?}", verify_file());
    let altered = String::from_utf8(exported).unwrap().replacen("\"viewer\"", "\"owner\"", 1);
    std::fs::write(&file, altered).unwrap();
    assert_eq!(verify_file().status.code(), Some(1));

    // Whoever can write the file itself.
    let seq = anchor["seq"].as_u64().unwrap() - 1;
    change_entry(&dir, &chain, seq, |stored| stored.replace("\"viewer\"", "\"owner\""));
    let found = emx(&dir, &["audit", "verify", "--json"]);
    assert_eq!(found.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    let logs = found["items"].as_array().unwrap();
    let harmed: Vec<&Value> = logs.iter().filter(|log| log["sound"] == false).collect();
    assert_eq!(harmed.len(), 1, "{found}");
    assert_eq!(harmed[0]["chain"], *chain);
    assert_eq!(harmed[0]["findings"][0]["seq"], seq);
    assert_eq!(harmed[0]["findings"][0]["harm"], "altered");
}

#[test]
fn what_cannot_be_read_is_listed_as_damaged() {
    let world = World::new();
    (0..3).for_each(|_| drop(world.key("viewer")));
    let anchor = world.ask(Ask::get("/api/v1/audit/anchor")).json();
    let (chain, last) = (anchor["chain"].as_str().unwrap(), anchor["seq"].as_u64().unwrap());
    let World { _place, dir, server, .. } = world;
    server.end();
    change_entry(&dir, chain, last - 1, |stored| stored[..stored.len() / 2].to_owned());

    let server = Server::start(&dir);
    let token = server.sign_in();
    let ask = |target: &str| server.ask(&Ask::get(target).bearer(&token));
    let list = ask("/api/v1/audit?limit=1000");
    assert_eq!(list.status, 200, "{list:?}");
    let items = list.json()["items"].as_array().unwrap().clone();
    let seqs: Vec<u64> = items.iter().map(|item| item["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs[0]).rev().collect::<Vec<u64>>());
    let damaged: Vec<&Value> = items.iter().filter(|item| item["outcome"] == "damaged").collect();
    assert_eq!((damaged.len(), damaged[0]["seq"].as_u64()), (1, Some(last - 1)));
    let verdict = ask("/api/v1/audit/verify").json();
    let found = (&verdict["findings"][0]["seq"], &verdict["findings"][0]["harm"]);
    assert_eq!(found, (&json!(last - 1), &json!("altered")));
    let listed = printed(&dir, &["audit", "list", "--tenant", TENANT, "--limit", "100"]);
    assert!(listed.contains("damaged"), "{listed}");
    server.end();
}
