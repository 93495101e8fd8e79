//! Who is kept out of tenants, the own one while it is suspended and others for ever.

use super::*;

#[test]
fn who_administers_the_platform_is_kept_out_with_the_own_tenant() {
    let world = World::new();
    let chosen = "violet kettle orbit 77";
    let admin = json!({ "email": "you@example.org", "password": chosen });
    let made = world.create(&json!({ "slug": "acme", "admin": admin }));
    assert_eq!(made.status, 201, "{made:?}");
    let grant = ["user", "platform", "--tenant", "acme", "you@example.org", "--grant"];
    told(&world.dir, &grant);
    let session = world.login("acme", "you@example.org", chosen).json();
    let token = session["access_token"].as_str().unwrap().to_owned();
    let as_platform = |ask: Ask| world.server.ask(&ask.bearer(&token));
    assert_eq!(as_platform(Ask::get(TENANTS)).status, 200);
    let ticket = as_platform(Ask::post("/api/v1/ws/ticket")).json();

    assert_eq!(world.change("acme", &json!({ "state": "suspended" })).status, 200);
    let home = format!("{TENANTS}/acme");
    let password = json!({ "current": chosen, "new": "amber window sailor 12" }).to_string();
    for ask in [
        Ask::get(TENANTS),
        Ask::get(&home),
        Ask::new("PATCH", &home).json(r#"{"state":"active"}"#),
        Ask::post(TENANTS).json(r#"{"slug":"beta","admin":{"email":"me@example.org"}}"#),
        Ask::get("/api/v1/executions").header("X-Tenant", TENANT),
        Ask::get("/api/v1/auth/me"),
        Ask::get("/api/v1/auth/sessions"),
        Ask::get("/api/v1/auth/otp"),
        Ask::post("/api/v1/auth/password").json(&password),
    ] {
        let kept_out = (403, "tenant_suspended".to_owned());
        assert_eq!(verdict(&as_platform(ask.clone())), kept_out, "{ask:?}");
    }
    let watch = Ask::get(&format!("/api/v1/ws?ticket={}", ticket["ticket"].as_str().unwrap()))
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(world.server.ask(&watch).status, 403);
    assert_eq!(as_platform(Ask::post("/api/v1/auth/logout")).status, 204);
    assert_eq!(world.change("acme", &json!({ "state": "active" })).status, 200);
    assert_eq!(as_platform(Ask::get(TENANTS)).status, 401, "it has ended");
    world.server.end();
}

#[test]
fn an_address_names_one_s_own_tenant_and_a_try_of_another_is_told() {
    let world = World::new();
    told(&world.dir, &["tenant", "create", "acme"]);
    let key = ["key", "create", "--tenant", "acme", "--name", "ci", "--role", "owner"];
    let key = told(&world.dir, &key)["key"].as_str().unwrap().to_owned();
    let plain = |mut answer: Answer| {
        let mut body: Value = serde_json::from_slice(&answer.body).unwrap();
        body["request_id"] = Value::Null;
        answer.headers.retain(|(name, _)| name != "x-request-id" && name != "date");
        (answer.status, body, answer.headers)
    };
    let ways = ["", "/limits", "/usage", "/migrations", "/row-policy"];
    let foreign = [TENANT, "nowhere", "No!"];
    for way in ways {
        let ask = |slug: &str| Ask::get(&format!("{TENANTS}/{slug}{way}"));
        assert_eq!(world.server.ask(&ask("acme").bearer(&key)).status, 200, "{way}");
        let [there, nowhere, none] =
            foreign.map(|slug| plain(world.server.ask(&ask(slug).bearer(&key))));
        assert_eq!((there.0, &there.1["code"]), (404, &json!("tenant_not_found")), "{way}");
        assert!(there == nowhere && there == none, "{way}: {there:?} {nowhere:?} {none:?}");
        // Of the platform's administrators that is asked for which is entered.
        let elsewhere = world.ask(ask("acme").header("X-Tenant", TENANT));
        assert_eq!(elsewhere.status, 200, "{way}: at home they name any");
        let elsewhere = world.ask(ask(TENANT).header("X-Tenant", "acme"));
        assert_eq!(verdict(&elsewhere), (403, "tenant_mismatch".into()), "{way}");
        assert_eq!(verdict(&world.ask(ask("nowhere"))), (404, "tenant_not_found".into()), "{way}");
    }
    told(&world.dir, &["tenant", "suspend", "acme"]);
    for way in ways {
        let own = world.server.ask(&Ask::get(&format!("{TENANTS}/acme{way}")).bearer(&key));
        assert_eq!(verdict(&own), (403, "tenant_suspended".into()), "{way}");
    }
    let World { dir, server, _place, .. } = world;
    server.end();
    let log = told(&dir, &["audit", "list", "--tenant", "acme", "--limit", "1000"]);
    for way in ways {
        let action = format!("GET {TENANTS}/{{slug}}{way}");
        let tries: Vec<_> = log["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["action"] == *action && entry["after"] == "tenant_not_found")
            .collect();
        assert_eq!(tries.len(), 1, "{way}: {log}");
        assert_eq!((&tries[0]["outcome"], &tries[0]["count"]), (&json!("refused"), &json!(3)));
    }
}
