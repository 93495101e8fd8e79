//! Tenants that are made, changed, suspended, resumed and deleted while the real server serves them: a
//! tenant comes with its administrator, once however often that is asked; nobody gets into a suspended one;
//! old keys and tokens open nothing of a tenant that was made anew under the same name, the files are gone.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "support/peer.rs"]
mod peer;
#[path = "support/server.rs"]
mod server;
#[path = "http_tenants/walls.rs"]
mod walls;

use peer::{Answer, Ask};
use serde_json::{Value, json};
use server::{Server, TENANT};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a command prints that has the running server do something.
fn told(dir: &Path, args: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_emx"))
        .args(args)
        .arg("--json")
        .arg("--data-dir")
        .arg(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn keyspaces(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("tenants")).unwrap().count()
}

#[test]
fn nobody_enters_a_suspended_tenant_and_nothing_is_left_of_a_deleted_one() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("data");
    let server = Server::start(&dir);
    let made = told(&dir, &["tenant", "create", "acme"]);
    let key = ["key", "create", "--tenant", "acme", "--name", "ci", "--role", "owner"];
    let key = told(&dir, &key)["key"].as_str().unwrap().to_owned();
    let password = "correct horse battery staple";
    let user = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "echo '{password}' | {} user create --tenant acme you@example.org --role owner \
             --password-stdin --data-dir {}",
            env!("CARGO_BIN_EXE_emx"),
            dir.display()
        ))
        .output()
        .unwrap();
    assert!(user.status.success(), "{}", String::from_utf8_lossy(&user.stderr));
    let login = || {
        let body = serde_json::json!({
            "tenant": "acme", "email": "you@example.org", "password": password,
        });
        server.ask(&Ask::post("/api/v1/auth/login").json(&body.to_string()))
    };
    let signed_in = login().json();
    let token = signed_in["access_token"].as_str().unwrap().to_owned();
    let ask = |who: &str| {
        let answer = server.ask(&Ask::get("/api/v1/executions").bearer(who));
        let code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
        (answer.status, code)
    };
    let sent =
        server.ask(&Ask::post("/api/v1/executions").json("{\"command\":\"make\"}").bearer(&key));
    assert_eq!(sent.status, 201, "{sent:?}");
    for who in [&key, &token] {
        assert_eq!(ask(who).0, 200);
    }

    told(&dir, &["tenant", "suspend", "acme"]);
    let suspended = (403, "tenant_suspended".to_owned());
    for who in [&key, &token] {
        assert_eq!(ask(who), suspended);
    }
    assert_eq!(login().status, 401);
    // A session that wants to go on meanwhile is not used up by it.
    let refresh = || {
        let body = serde_json::json!({ "refresh_token": signed_in["refresh_token"] });
        server.ask(&Ask::post("/api/v1/auth/refresh").json(&body.to_string()))
    };
    let closed = refresh();
    assert_eq!((closed.status, &closed.json()["code"]), (401, &"tenant_closed".into()));
    assert_eq!(told(&dir, &["user", "list", "--tenant", "acme"])["items"][0]["role"], "owner");
    told(&dir, &["tenant", "resume", "acme"]);
    for who in [&key, &token] {
        assert_eq!(ask(who).0, 200);
    }
    assert_eq!(refresh().status, 200);

    let before = keyspaces(&dir);
    assert_eq!(told(&dir, &["tenant", "delete", "acme", "--confirm", "acme"])["state"], "deleted");
    assert_eq!(keyspaces(&dir), before - 1);
    let again = told(&dir, &["tenant", "create", "acme"]);
    assert_ne!(again["id"], made["id"]);
    for who in [&key, &token] {
        assert_eq!(ask(who).0, 401, "{who}");
    }
    assert_eq!(login().status, 401);
    let id = made["id"].as_str().unwrap();
    let kept = told(&dir, &["audit", "list", "--tenant", id, "--action", "tenant"]);
    let kept: Vec<&str> =
        kept["items"].as_array().unwrap().iter().map(|e| e["action"].as_str().unwrap()).collect();
    assert_eq!(kept, ["tenant.delete", "tenant.resume", "tenant.suspend", "tenant.create"]);
    let logs = told(&dir, &["audit", "verify"]);
    assert!(logs["items"].as_array().unwrap().iter().all(|log| log["sound"] == true), "{logs}");
    server.end();
}

/// A server, and who administers its platform.
struct World {
    _place: tempfile::TempDir,
    dir: PathBuf,
    server: Server,
    platform: String,
}

const TENANTS: &str = "/api/v1/tenants";

impl World {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("data");
        let server = Server::start(&dir);
        let platform = server.sign_in();
        Self { _place: place, dir, server, platform }
    }

    fn ask(&self, ask: Ask) -> Answer {
        self.server.ask(&ask.bearer(&self.platform))
    }

    fn create(&self, body: &Value) -> Answer {
        self.ask(Ask::post(TENANTS).json(&body.to_string()))
    }

    fn change(&self, slug: &str, body: &Value) -> Answer {
        self.ask(Ask::new("PATCH", &format!("{TENANTS}/{slug}")).json(&body.to_string()))
    }

    fn login(&self, tenant: &str, email: &str, password: &str) -> Answer {
        let body = json!({ "tenant": tenant, "email": email, "password": password });
        self.server.ask(&Ask::post("/api/v1/auth/login").json(&body.to_string()))
    }
}

fn verdict(answer: &Answer) -> (u16, String) {
    (answer.status, answer.code())
}

/// Whether `secret` stands anywhere in the files of `dir`.
fn is_stored(dir: &Path, secret: &str) -> bool {
    std::fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return is_stored(&path, secret);
        }
        let found = std::fs::read(&path).unwrap_or_default(); // a socket cannot be read
        found.windows(secret.len()).any(|window| window == secret.as_bytes())
    })
}

#[test]
fn a_tenant_comes_with_its_administrator_and_once() {
    let world = World::new();
    let body = json!({
        "slug": "acme", "display_name": "Acme GmbH", "time_zone": "Asia/Kolkata",
        "admin": { "email": "you@example.org" },
    });
    let ask = || Ask::post(TENANTS).json(&body.to_string()).header("Idempotency-Key", "once");
    let first = world.ask(ask());
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!(first.header("location"), Some("/api/v1/tenants/acme"));
    assert_eq!(first.header("cache-control"), Some("no-store"));
    let made = first.json();
    let expected = ["acme", "Acme GmbH", "active", "Asia/Kolkata"];
    assert_eq!(["slug", "display_name", "state", "time_zone"].map(|key| &made[key]), expected);
    assert_eq!(made["admin"]["role"], "owner");
    let password = made["admin"]["password"].as_str().unwrap().to_owned();
    // The same again is the same answer, of the same tenant.
    let again = world.ask(ask());
    assert_eq!((again.status, again.json()), (201, made.clone()));
    let other = json!({ "slug": "other", "admin": { "email": "you@example.org" } });
    let reused = Ask::post(TENANTS).json(&other.to_string()).header("Idempotency-Key", "once");
    assert_eq!(verdict(&world.ask(reused)), (409, "idempotency_key_reused".to_owned()));
    assert_eq!(verdict(&world.create(&body)), (409, "slug_taken".to_owned()));
    let signed_in = world.login("acme", "you@example.org", &password);
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    let user = &signed_in.json()["user"];
    assert_eq!((&user["role"], &user["platform"]), (&json!("owner"), &json!(false)));
    assert_eq!(user["id"], made["admin"]["id"]);

    // One that was chosen is not answered, and neither it nor the other one is stored in the clear.
    let chosen = "violet kettle orbit 77";
    let body =
        json!({ "slug": "beta", "admin": { "email": "me@example.org", "password": chosen } });
    let keyed = Ask::post(TENANTS).json(&body.to_string()).header("Idempotency-Key", "beta");
    let answer = world.ask(keyed);
    assert_eq!((answer.status, &answer.json()["admin"]["password"]), (201, &Value::Null));
    assert_eq!(answer.json()["time_zone"], "UTC");
    assert_eq!(world.login("beta", "me@example.org", chosen).status, 200);

    let World { _place, dir, server, platform } = world;
    server.end();
    for secret in [&*password, chosen] {
        assert!(!is_stored(&dir, secret), "{secret}");
    }
    assert!(is_stored(&dir, "you@example.org"), "what is stored is found that way");
    // The answer is remembered over a restart.
    let server = Server::start(&dir);
    let world = World { _place, dir, server, platform };
    let again = world.ask(ask());
    assert_eq!((again.status, again.json()), (201, made));
    let listed = world.ask(Ask::get(&format!("{TENANTS}?limit=2"))).json();
    let names = |page: &Value| {
        let items = page["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["slug"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&listed), ["acme", "beta"]);
    let next = listed["next_cursor"].as_str().unwrap();
    let rest = world.ask(Ask::get(&format!("{TENANTS}?cursor={next}"))).json();
    assert_eq!((names(&rest), &rest["next_cursor"]), (vec![TENANT.to_owned()], &Value::Null));
    world.server.end();
}

#[test]
fn an_administrator_can_be_invited() {
    let world = World::new();
    let admin = json!({ "email": "you@example.org", "invite": true });
    let made = world.create(&json!({ "slug": "acme", "admin": admin }));
    assert_eq!(made.status, 201, "{made:?}");
    let admin = made.json()["admin"].clone();
    assert_eq!((&admin["password"], &admin["role"]), (&Value::Null, &json!("owner")));
    let token = admin["token"].as_str().unwrap();
    assert!(admin["link"].as_str().unwrap().ends_with(&format!("/accept#token={token}")));
    let password = "violet kettle orbit 77";
    let body = json!({ "token": token, "password": password }).to_string();
    let accepted = world.server.ask(&Ask::post("/api/v1/auth/accept").json(&body));
    assert_eq!((accepted.status, &accepted.json()["tenant"]), (200, &json!("acme")));
    let signed_in = world.login("acme", "you@example.org", password);
    assert_eq!((signed_in.status, &signed_in.json()["user"]["id"]), (200, &admin["id"]));
    let both = json!({ "email": "you@example.org", "invite": true, "password": password });
    let refused = world.create(&json!({ "slug": "beta", "admin": both }));
    assert_eq!(verdict(&refused), (422, "invalid_value".to_owned()));
    world.server.end();
}

#[test]
fn what_cannot_be_made_leaves_nothing() {
    let world = World::new();
    let before = keyspaces(&world.dir);
    let good = json!({ "slug": "acme", "admin": { "email": "you@example.org" } });
    let with = |key: &str, value: Value| {
        let mut body = good.clone();
        body[key] = value;
        body
    };
    for (body, code, pointer) in [
        (json!({ "slug": "acme" }), "required", "/admin"),
        (with("slug", json!("A")), "invalid_slug", "/slug"),
        (with("slug", json!("../acme")), "invalid_slug", "/slug"),
        (with("slug", json!(1)), "wrong_type", "/slug"),
        (with("time_zone", json!("Nowhere/Land")), "unknown_time_zone", "/time_zone"),
        (with("display_name", json!("a\nb")), "invalid_display_name", "/display_name"),
        (with("display_name", json!("")), "invalid_display_name", "/display_name"),
        (with("admin", json!({})), "required", "/admin/email"),
        (with("admin", json!({ "email": "nobody" })), "invalid_email", "/admin/email"),
        (
            with("admin", json!({ "email": "a@b.example", "password": "short" })),
            "invalid_password",
            "/admin/password",
        ),
        (
            with("admin", json!({ "email": "a@b.example", "role": "owner" })),
            "unknown_field",
            "/admin/role",
        ),
        (with("state", json!("active")), "unknown_field", "/state"),
    ] {
        let answer = world.create(&body);
        assert_eq!(verdict(&answer), (422, code.to_owned()), "{body}: {answer:?}");
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{body}");
    }
    let taken = with("slug", json!(TENANT));
    assert_eq!(verdict(&world.create(&taken)), (409, "slug_taken".to_owned()));
    assert_eq!(keyspaces(&world.dir), before);
    assert_eq!(world.ask(Ask::get(TENANTS)).json()["items"].as_array().unwrap().len(), 1);
    assert_eq!(world.create(&good).status, 201);
    world.server.end();
}

#[test]
fn a_tenant_is_changed_and_deleted_by_who_may() {
    let world = World::new();
    let made = world.create(&json!({ "slug": "acme", "admin": { "email": "you@example.org" } }));
    let password = made.json()["admin"]["password"].as_str().unwrap().to_owned();
    let signed_in = world.login("acme", "you@example.org", &password).json();
    let owner = signed_in["access_token"].as_str().unwrap().to_owned();
    let acme = format!("{TENANTS}/acme");
    let as_owner = |ask: Ask| world.server.ask(&ask.bearer(&owner));
    let patch = |target: &str, body: Value| Ask::new("PATCH", target).json(&body.to_string());

    // The owner sees and names the tenant, and no other; there is no other, as far as that goes.
    let seen = as_owner(Ask::get(&acme));
    assert_eq!((seen.status, &seen.json()["display_name"]), (200, &Value::Null));
    let tag = seen.header("etag").unwrap().to_owned();
    let known = as_owner(Ask::get(&acme).header("If-None-Match", &tag));
    assert_eq!(known.status, 304);
    let name = json!({ "display_name": "Acme & Co." });
    let named = as_owner(patch(&acme, name.clone()).header("If-Match", &tag));
    assert_eq!((named.status, &named.json()["display_name"]), (200, &json!("Acme & Co.")));
    let now = as_owner(Ask::get(&acme));
    assert_eq!(now.header("etag"), named.header("etag"));
    let late = as_owner(patch(&acme, json!({ "display_name": "x" })).header("If-Match", &tag));
    assert_eq!(verdict(&late), (412, "precondition_failed".to_owned()));
    for ask in [
        |target: &str| Ask::get(target),
        |target: &str| Ask::new("PATCH", target).json(r#"{"display_name":"x"}"#),
    ] {
        let [there, nowhere] = [TENANT, "nobody"].map(|slug| {
            let answer = as_owner(ask(&format!("{TENANTS}/{slug}")));
            let mut body = answer.json();
            body["request_id"] = Value::Null;
            (answer.status, body)
        });
        assert_eq!(there, nowhere);
        assert_eq!((there.0, &there.1["code"]), (404, &json!("tenant_not_found")));
    }
    let may_not = (403, "forbidden".to_owned());
    for ask in [
        patch(&acme, json!({ "state": "suspended" })),
        Ask::new("DELETE", &acme),
        Ask::get(TENANTS),
        Ask::post(TENANTS).json("{}"),
    ] {
        assert_eq!(verdict(&as_owner(ask)), may_not);
    }

    // The platform suspends and resumes it, and not the tenant where it is at home alone.
    let asked = |body: Value| world.change("acme", &body);
    let suspended = asked(json!({ "state": "suspended", "display_name": null }));
    let shown = suspended.json();
    assert_eq!((&shown["state"], &shown["display_name"]), (&json!("suspended"), &Value::Null));
    let kept_out = (403, "tenant_suspended".to_owned());
    assert_eq!(verdict(&as_owner(Ask::get(&acme))), kept_out);
    assert_eq!(verdict(&as_owner(patch(&acme, name))), kept_out);
    assert_eq!(asked(json!({ "state": "active" })).status, 200);
    assert_eq!(as_owner(Ask::get(&acme)).status, 200);
    for (body, code) in
        [(json!({ "state": "deleting" }), "invalid_value"), (json!({ "id": "x" }), "unknown_field")]
    {
        assert_eq!(verdict(&asked(body)), (422, code.to_owned()));
    }
    let last = (409, "last_platform_administrator".to_owned());
    assert_eq!(verdict(&world.change(TENANT, &json!({ "state": "suspended" }))), last);
    let home = format!("{TENANTS}/{TENANT}");
    assert_eq!(verdict(&world.ask(Ask::new("DELETE", &home))), last);

    // It goes with its files, and its id is never another's.
    let before = keyspaces(&world.dir);
    let older = named.header("etag").unwrap();
    let stale = world.ask(Ask::new("DELETE", &acme).header("If-Match", older));
    assert_eq!(stale.status, 412);
    let gone = world.ask(Ask::new("DELETE", &acme).header("If-Match", "*"));
    assert_eq!(gone.status, 204, "{gone:?}");
    assert_eq!(keyspaces(&world.dir), before - 1);
    assert_eq!(world.ask(Ask::new("DELETE", &acme)).status, 404);
    assert_eq!(as_owner(Ask::get(&acme)).status, 401);
    let again = world.create(&json!({ "slug": "acme", "admin": { "email": "you@example.org" } }));
    assert_ne!(again.json()["id"], made.json()["id"]);
    assert_eq!(as_owner(Ask::get(&acme)).status, 401);
    assert_eq!(world.login("acme", "you@example.org", &password).status, 401);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    for log in [&*id, "platform"] {
        let args = ["audit", "list", "--action", "tenant", "--tenant", log];
        let args = if log == "platform" { &args[..4] } else { &args[..] };
        let kept = told(&world.dir, args);
        let kept: Vec<String> = kept["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["target"] == format!("tenant:{id}"))
            .map(|entry| entry["action"].as_str().unwrap().to_owned())
            .collect();
        for action in ["tenant.create", "tenant.suspend", "tenant.resume", "tenant.delete"] {
            assert!(kept.iter().any(|found| found == action), "{log}: {action} in {kept:?}");
        }
    }
    world.server.end();
}

#[test]
fn a_tenant_is_carried_in_one_file_while_the_server_runs() {
    let world = World::new();
    let made = world.create(&json!({ "slug": "acme", "admin": { "email": "you@example.org" } }));
    let made = made.json();
    let password = made["admin"]["password"].as_str().unwrap();
    let key = ["key", "create", "--tenant", "acme", "--name", "ci", "--role", "member"];
    let key = told(&world.dir, &key)["key"].as_str().unwrap().to_owned();
    let ask = |ask: Ask, who: &str| world.server.ask(&ask.bearer(who));
    let sent = ask(Ask::post("/api/v1/executions").json(r#"{"command":"make","id":"1"}"#), &key);
    assert_eq!(sent.status, 201, "{sent:?}");
    let session = world.login("acme", "you@example.org", password).json();
    let token = session["access_token"].as_str().unwrap().to_owned();
    let file = world.dir.with_extension("acme.tar");
    let file = file.to_str().unwrap();
    let exported = told(&world.dir, &["tenant", "export", "acme", file]);
    assert_eq!((&exported["users"], &exported["api_keys"]), (&json!(1), &json!(1)));
    told(&world.dir, &["tenant", "delete", "acme", "--confirm", "acme"]);
    assert_eq!(ask(Ask::get("/api/v1/executions"), &key).status, 401);

    let back = told(&world.dir, &["tenant", "import", file]);
    assert_ne!(back["id"], made["id"]);
    assert_eq!((&back["rows"], &back["api_keys"]), (&json!(1), &json!(1)));
    // The key and the password are good again; sessions are not carried.
    let read = ask(Ask::get("/api/v1/executions"), &key);
    assert_eq!((read.status, &read.json()["items"][0]["id"]), (200, &json!("1")));
    assert_eq!(ask(Ask::get("/api/v1/executions"), &token).status, 401);
    let again = world.login("acme", "you@example.org", password);
    assert_eq!(again.status, 200, "{again:?}");
    assert_ne!(again.json()["user"]["id"], made["admin"]["id"]);
    // Nobody else's: a second copy has no key that is known already.
    let second = told(&world.dir, &["tenant", "import", file, "--as", "acme-2"]);
    assert_eq!(second["api_keys_left_out"].as_array().unwrap().len(), 1);
    let me = ask(Ask::get("/api/v1/auth/me"), &key).json();
    assert_eq!(me["tenant"]["id"], back["id"]);
    world.server.end();
}
