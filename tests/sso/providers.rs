//! Identity providers as administrators have them, over HTTP.

use crate::idp;
use crate::peer::Ask;
use crate::server::TENANT;
use crate::world::{OTHER, PROVIDERS, World};
use serde_json::{Value, json};

const SECRET: &str = "a-client-secret-that-nobody-sees";

fn oidc(name: &str) -> Value {
    json!({
        "name": name, "kind": "oidc", "preset": "okta", "domain": "acme.okta.com",
        "client_id": "0oa1", "client_secret": SECRET, "roles": { "dev": "member" },
        "default_role": "viewer", "domains": ["example.org"],
    })
}

pub(crate) fn saml(name: &str) -> Value {
    json!({
        "name": name, "kind": "saml", "idp_entity_id": idp::IDP,
        "idp_sso_url": "https://idp.example.org/saml/sso",
        "idp_certificates": [idp::CURVE.certificate_pem.clone()],
        "attributes": { "email": "mail", "groups": "groups" },
        "roles": { "builders": "member", "admins": "admin" },
    })
}

#[test]
fn a_provider_is_added_seen_changed_and_removed() {
    let world = World::new();
    let made = world.add(TENANT, &oidc("Okta"));
    let id = made["id"].as_str().unwrap();
    let one = format!("{PROVIDERS}/{id}");
    assert_eq!(made["issuer"], "https://acme.okta.com");
    assert_eq!(made["default_role"], "viewer");
    let url = format!("https://localhost:{}", world.server().address.port());
    let callback = format!("{url}/api/v1/auth/sso/{TENANT}/{id}/callback");
    assert_eq!(made["redirect_uri"], callback);
    assert_eq!(made["start"], format!("/api/v1/auth/sso/{TENANT}/{id}/start"));
    assert!(!made.to_string().contains(SECRET) && made.get("client_secret").is_none(), "{made}");

    let got = world.ask(TENANT, Ask::get(&one));
    assert_eq!((got.status, got.json()), (200, made.clone()));
    let tag = got.header("etag").unwrap().to_owned();
    let known = world.ask(TENANT, Ask::get(&one).header("If-None-Match", &tag));
    assert_eq!(known.status, 304);

    let patch =
        |ask: Ask, body: Value| world.ask(TENANT, ask.method("PATCH").json(&body.to_string()));
    let changed = patch(Ask::get(&one).header("If-Match", &tag), json!({ "name": "Corporate" }));
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(
        (&changed.json()["name"], &changed.json()["issuer"]),
        (&"Corporate".into(), &made["issuer"])
    );
    assert_ne!(changed.header("etag"), Some(&*tag));
    let stale = patch(Ask::get(&one).header("If-Match", &tag), json!({ "name": "Again" }));
    assert_eq!((stale.status, &*stale.code()), (412, "precondition_failed"), "{stale:?}");
    let kind = patch(Ask::get(&one), json!({ "kind": "saml" }));
    assert_eq!((kind.status, &kind.json()["errors"][0]["pointer"]), (422, &"/kind".into()));
    let thief = patch(Ask::get(&one), json!({ "issuer": "https://thief.example" }));
    assert_eq!(
        (thief.status, &thief.json()["errors"][0]["pointer"]),
        (422, &"/client_secret".into())
    );
    let open = patch(Ask::get(&one), json!({ "domains": null, "default_role": null }));
    assert_eq!((&open.json()["domains"], &open.json()["default_role"]), (&json!([]), &Value::Null));

    let second = world.add(TENANT, &saml("SAML"));
    assert!(second["acs_url"].as_str().unwrap().starts_with(&url), "{second}");
    assert_eq!(second["sp_entity_id"], second["metadata_url"]);
    let listed = world.ask(TENANT, Ask::get(&format!("{PROVIDERS}?limit=1"))).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let cursor = listed["next_cursor"].as_str().unwrap();
    let rest = world.ask(TENANT, Ask::get(&format!("{PROVIDERS}?limit=5&cursor={cursor}"))).json();
    assert_eq!((&rest["items"][0]["id"], &rest["next_cursor"]), (&second["id"], &Value::Null));

    let stale = world.ask(TENANT, Ask::get(&one).method("DELETE").header("If-Match", &tag));
    assert_eq!(stale.status, 412);
    assert_eq!(world.ask(TENANT, Ask::get(&one).method("DELETE")).status, 204);
    assert_eq!(world.ask(TENANT, Ask::get(&one)).status, 404);
    assert_eq!(world.ask(TENANT, Ask::get(&one).method("DELETE")).status, 404);
}

#[test]
fn the_sign_in_page_is_told_the_ways_of_a_tenant_and_nothing_else() {
    let world = World::new();
    let made = world.add(TENANT, &oidc("Okta"));
    let ways = |tenant: &str| {
        let answer = world.server().ask(&Ask::get(&format!("/api/v1/auth/sso?tenant={tenant}")));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    };
    let found = ways(TENANT).json();
    let expected = json!({
        "id": made["id"], "name": "Okta", "kind": "oidc", "preset": "okta", "start": made["start"],
    });
    assert_eq!(found["items"], json!([expected]));
    // A tenant without any and one that is not there are not told apart.
    assert_eq!(ways(OTHER).body, ways("nowhere").body);
    assert_eq!(ways("No%20Such%2FName").body, ways("nowhere").body);
    let unnamed = world.server().ask(&Ask::get("/api/v1/auth/sso"));
    assert_eq!((unnamed.status, &*unnamed.code()), (422, "required"));
    let unsaid = world.server().ask(&Ask::get(&format!("/api/v1/auth/sso?fallback={TENANT}")));
    assert_eq!(unsaid.json()["items"], found["items"]);
    assert_eq!([&unsaid.json()["tenant"], &found["tenant"]], [&json!(TENANT), &json!(null)]);
    // What the host says, or the header for it, goes before what nobody has chosen, and not before a choice.
    let named = |query: &str| {
        let ask = Ask::get(&format!("/api/v1/auth/sso?{query}={TENANT}")).header("X-Tenant", OTHER);
        world.server().ask(&ask)
    };
    let by_name = named("fallback").json();
    assert_eq!(
        [&by_name["tenant"], &by_name["items"]],
        [&json!(OTHER), &ways(OTHER).json()["items"]]
    );
    assert_eq!((named("tenant").status, &*named("tenant").code()), (403, "tenant_mismatch"));
    let unknown = world.server().ask(&Ask::get("/api/v1/auth/sso?tenant=default&x=1"));
    assert_eq!((unknown.status, &*unknown.code()), (422, "unknown_field"));
}

#[test]
fn what_cannot_be_is_refused_with_the_place_of_each_fault() {
    let world = World::new();
    world.refuses("[]", 422, "wrong_type", &[""]);
    world.refuses("{", 400, "invalid_json", &[]);
    world.refuses(
        r#"{"name": "a", "name": "b", "kind": "oidc"}"#,
        422,
        "duplicate_key",
        &["/name"],
    );
    let twice = r#"{"name": "a", "kind": "oidc", "roles": {"x": "viewer", "x": "owner"}}"#;
    world.refuses(twice, 422, "duplicate_key", &["/roles/x"]);
    world.refuses("{}", 422, "invalid_provider", &["/name", "/kind"]);
    let bad = json!({
        "name": "", "kind": "oidc", "issuer": "https://127.0.0.1", "client_id": 7, "roles": { "a": "king" },
        "default_role": "ingest", "domains": ["@x"], "extra": 1,
    });
    let pointers = [
        "/name",
        "/roles/a",
        "/default_role",
        "/domains/0",
        "/client_id",
        "/client_secret",
        "/issuer",
        "/extra",
    ];
    world.refuses(&bad.to_string(), 422, "invalid_provider", &pointers);
    // Names that lead into this machine, however they are written; the resolver is asked too.
    for issuer in ["https://localhost", "https://127.1", "https://0x7f000001", "https://[::1]"] {
        let mut body = oidc("Inside");
        body["preset"] = Value::Null;
        body["domain"] = Value::Null;
        body["issuer"] = issuer.into();
        let answer = world.ask(TENANT, Ask::post(PROVIDERS).json(&body.to_string()));
        assert_eq!(answer.status, 422, "{issuer}: {answer:?}");
        assert_eq!(answer.json()["errors"][0]["pointer"], "/issuer", "{answer:?}");
    }
    // One that is not there just now may be there later.
    let mut later = oidc("Later");
    later["domain"] = "never-heard-of.okta.com".into();
    world.add(TENANT, &later);
    let taken = world.ask(TENANT, Ask::post(PROVIDERS).json(&oidc("LATER").to_string()));
    assert_eq!((taken.status, &*taken.code()), (409, "name_taken"));
    let huge = format!(r#"{{"name": "{}"}}"#, "x".repeat(300_000));
    let answer = world.ask(TENANT, Ask::post(PROVIDERS).json(&huge));
    assert_eq!(answer.status, 413);
}

#[test]
fn only_administrators_of_the_tenant_have_them() {
    let world = World::new();
    let made = world.add(TENANT, &oidc("Okta"));
    let one = format!("{PROVIDERS}/{}", made["id"].as_str().unwrap());
    let asks = || {
        let body = oidc("New").to_string();
        [
            Ask::get(PROVIDERS),
            Ask::post(PROVIDERS).json(&body),
            Ask::get(&one),
            Ask::get(&one).method("PATCH").json("{}"),
            Ask::get(&one).method("DELETE"),
        ]
    };
    for ask in asks() {
        assert_eq!(world.server().ask(&ask).status, 401, "{ask:?}");
    }
    for role in ["ingest", "viewer", "member", "manager"] {
        let key = world.key(role);
        for ask in asks() {
            let answer = world.server().ask(&ask.clone().bearer(&key));
            assert_eq!((answer.status, &*answer.code()), (403, "forbidden"), "{role}: {ask:?}");
        }
    }
    // Another tenant's is not there, be it there or not.
    for ask in &asks()[2..] {
        let there = world.ask(OTHER, ask.clone());
        assert_eq!((there.status, &*there.code()), (404, "sso_provider_not_found"), "{ask:?}");
        let mut unknown = ask.clone();
        unknown.target = ask.target.replace(made["id"].as_str().unwrap(), "aaaaaaaaaaaaaaaa");
        let nowhere = world.ask(OTHER, unknown);
        assert_eq!(nowhere.body.len(), there.body.len());
    }
    // An administrator gives no more than an administrator's role.
    let admin = world.key("admin");
    let mut body = oidc("New");
    body["roles"] = json!({ "boss": "owner" });
    let answer = world.server().ask(&Ask::post(PROVIDERS).bearer(&admin).json(&body.to_string()));
    assert_eq!((answer.status, &*answer.code()), (403, "role_too_high"));
    body["roles"] = json!({ "boss": "admin" });
    let answer = world.server().ask(&Ask::post(PROVIDERS).bearer(&admin).json(&body.to_string()));
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[test]
fn a_tenant_has_so_many_and_no_more() {
    let world = World::new();
    for n in 0..20 {
        world.add(TENANT, &oidc(&format!("Okta {n}")));
    }
    let answer = world.ask(TENANT, Ask::post(PROVIDERS).json(&oidc("One more").to_string()));
    assert_eq!((answer.status, &*answer.code()), (409, "too_many_sso_providers"));
    world.add(OTHER, &oidc("Okta 1"));
}
