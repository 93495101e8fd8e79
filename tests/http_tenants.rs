//! Tenants that are suspended, resumed and deleted while the real server serves them: nobody gets in, old
//! keys and tokens open nothing of a tenant that was made anew under the same name, the files are gone.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "support/peer.rs"]
mod peer;
#[path = "support/server.rs"]
mod server;

use peer::Ask;
use serde_json::Value;
use server::Server;
use std::path::Path;
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
