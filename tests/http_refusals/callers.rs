//! Who asks: nobody, somebody else, somebody who may not.

use crate::peer::Ask;
use crate::server::{PATIENCE, TENANT};
use crate::world::{OTHER, World, make_key, row};
use std::time::{SystemTime, UNIX_EPOCH};

const ME: &str = "/api/v1/auth/me";

#[expect(clippy::disallowed_methods, reason = "a key must end while the test looks on")]
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

#[test]
fn credentials() {
    let mut world = World::new();
    let authorization = |value: &str| Ask::get(ME).header("Authorization", value);
    let key = |value: &str| Ask::get(ME).header("X-Api-Key", value);
    let (viewer, owner) = (world.key("viewer").to_owned(), world.owner.clone());
    let changed = |at: usize| {
        let mut text = owner.clone().into_bytes();
        text[at] = if text[at] == b'A' { b'B' } else { b'A' };
        format!("Bearer {}", String::from_utf8(text).unwrap())
    };
    let payload = owner.split('.').nth(1).unwrap();
    // {"alg":"none","typ":"at+jwt"}
    let unsigned = format!("Bearer eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{payload}.");
    let basic = "Basic OmVteF94"; // `:emx_x`
    let rows = [
        row("nobody", Ask::get(ME), 401, "unauthorized"),
        row("nothing", authorization(""), 401, "invalid_authorization"),
        row("a scheme alone", authorization("Bearer"), 401, "invalid_authorization"),
        row("a scheme and a space", authorization("Bearer "), 401, "invalid_authorization"),
        row("a token alone", authorization(&owner), 401, "invalid_authorization"),
        row("Basic", authorization(basic), 401, "invalid_authorization"),
        row(
            "a key in Basic",
            authorization(&format!("Basic {viewer}")),
            401,
            "invalid_authorization",
        ),
        row("Digest", authorization("Digest username=x"), 401, "invalid_authorization"),
        row("garbage", authorization("Bearer garbage"), 401, "invalid_token"),
        row("three parts", authorization("Bearer a.b.c"), 401, "invalid_token"),
        row("unsigned", authorization(&unsigned), 401, "invalid_token"),
        row("another head", authorization(&changed(3)), 401, "invalid_token"),
        row("another signature", authorization(&changed(owner.len() - 10)), 401, "invalid_token"),
        row(
            "a long token",
            authorization(&format!("Bearer {}", "a".repeat(20_000))),
            401,
            "invalid_token",
        ),
        row(
            "no such key",
            authorization("Bearer emx_0000000000000000000000000000000000000000"),
            401,
            "invalid_api_key",
        ),
        row("a key and a letter", key(&format!("{viewer}x")), 401, "invalid_api_key"),
        row("half a key", key(&viewer[..viewer.len() - 4]), 401, "invalid_api_key"),
        row("a token as a key", key(&owner), 401, "invalid_api_key"),
        row("both", key(&viewer).bearer(&owner), 400, "ambiguous_credentials"),
        row("the same in both", key(&viewer).bearer(&viewer), 400, "ambiguous_credentials"),
        row(
            "two authorizations",
            Ask::get(ME).bearer(&owner).bearer(&owner),
            400,
            "duplicate_header",
        ),
        row("two keys", key(&viewer).header("X-Api-Key", &viewer), 400, "duplicate_header"),
        row("a key of no text", key("emx_\u{e9}"), 400, "invalid_header"),
        row(
            "a token in the address",
            Ask::get(&format!("{ME}?access_token={owner}")),
            401,
            "unauthorized",
        ),
        row(
            "a key in the address",
            Ask::get(&format!("{ME}?api_key={viewer}")),
            401,
            "unauthorized",
        ),
    ];
    world.check(rows);
    // A key that ends while somebody uses it.
    let ends = now_ms() + 2_000;
    let short = make_key(&world.server, &world.owner, TENANT, "viewer", &ends.into());
    let mut peer = world.server.connect();
    let until = now_ms() + PATIENCE.as_millis() as u64;
    let mut last = 200;
    while last == 200 && now_ms() < until {
        last = peer.ask(&Ask::get(ME).bearer(&short)).unwrap().status;
    }
    assert!(last == 401 && now_ms() >= ends, "{last}");
    world.check([row("an ended key", Ask::get(ME).bearer(&short), 401, "invalid_api_key")]);
    // A key that is revoked, and a session that is over, are nobody's from then on.
    let list = world.server.ask(&world.get("/api/v1/api-keys")).json();
    let items = list["items"].as_array().unwrap();
    let manager = items.iter().find(|item| item["name"] == "manager").unwrap();
    let target = format!("/api/v1/api-keys/{}", manager["id"].as_str().unwrap());
    assert_eq!(world.server.ask(&world.get(&target).method("DELETE")).status, 204);
    assert_eq!(world.server.ask(&Ask::post("/api/v1/auth/logout").bearer(&owner)).status, 204);
    let rows = [
        row("a revoked key", Ask::get(ME).bearer(world.key("manager")), 401, "invalid_api_key"),
        row("a session that is over", Ask::get(ME).bearer(&owner), 401, "session_ended"),
        row(
            "a key has no session",
            Ask::post("/api/v1/auth/logout").bearer(&viewer),
            403,
            "no_session",
        ),
    ];
    world.check(rows);
    world.finish();
}

#[test]
fn tenants_and_permissions() {
    let mut world = World::new();
    let one = r#"{"command":"x"}"#;
    let named = |ask: Ask, tenant: &str| ask.header("X-Tenant", tenant);
    let member = |target: &str| Ask::get(target).bearer(world.key("member"));
    let other_key = world.other_key.clone();
    let foreign = |target: &str| Ask::get(target).bearer(&other_key);
    let mismatch = |name: &str, ask: Ask| row(name, ask, 403, "tenant_mismatch");
    let host = format!("{OTHER}.metrics.test");
    let rows = [
        mismatch("a key and the other tenant", named(member(ME), OTHER)),
        mismatch("a key and a tenant that is none", named(member(ME), "nobody")),
        mismatch("a key and no name", named(member(ME), "")),
        mismatch("a key and `..`", named(member(ME), "..")),
        mismatch("a key and capitals", named(member(ME), "DEFAULT")),
        mismatch("a key of the other tenant", named(foreign(ME), TENANT)),
        mismatch("its rows", named(foreign("/api/v1/executions"), TENANT)),
        mismatch(
            "rows for the other tenant",
            named(Ask::post("/api/v1/executions").bearer(world.key("ingest")).json(one), OTHER),
        ),
        mismatch("header against host", named(member(ME), TENANT).with("Host", &host)),
        mismatch(
            "an administrator between two",
            named(Ask::get(ME).bearer(&world.owner), TENANT).with("Host", &host),
        ),
        row("two tenants", named(named(member(ME), TENANT), OTHER), 400, "duplicate_header"),
        row(
            "a tenant that is none",
            named(Ask::get(ME).bearer(&world.owner), "nobody"),
            404,
            "tenant_not_found",
        ),
    ];
    world.check(rows);
    let may_not = |role: &str, ask: Ask| {
        row(&format!("{role}: {ask:?}"), ask.bearer(world.key(role)), 403, "forbidden")
    };
    let rows = [
        may_not("ingest", Ask::get("/api/v1/executions")),
        may_not("ingest", Ask::get("/api/v1/executions/x")),
        may_not("ingest", Ask::get("/api/v1/query?metrics=count")),
        may_not("ingest", Ask::get("/api/v1/export")),
        may_not("ingest", Ask::get("/api/v1/quarantine")),
        may_not("ingest", Ask::get("/metrics")),
        may_not("viewer", Ask::post("/api/v1/executions").json(one)),
        may_not("viewer", Ask::post("/api/v1/executions/batch").json(one)),
        may_not("member", Ask::new("DELETE", "/api/v1/quarantine/1")),
        may_not("member", Ask::post("/api/v1/quarantine/1/retry")),
        may_not("manager", Ask::get("/api/v1/api-keys")),
        may_not("manager", Ask::new("PATCH", "/api/v1/api-keys/x").json(r#"{"name":"x"}"#)),
        may_not("manager", Ask::post("/api/v1/api-keys").json(r#"{"name":"x","role":"viewer"}"#)),
        row(
            "a key for a higher role",
            Ask::post("/api/v1/api-keys")
                .bearer(world.key("admin"))
                .json(r#"{"name":"x","role":"owner"}"#),
            403,
            "role_too_high",
        ),
    ];
    world.check(rows);
    // The other tenant's ids are nobody's here, and its rows are not among these.
    let id = r#"{"command":"x","id":"theirs"}"#;
    assert_eq!(
        world.server.ask(&Ask::post("/api/v1/executions").bearer(&other_key).json(id)).status,
        201
    );
    let keys = world.server.ask(&foreign("/api/v1/api-keys")).json();
    let theirs = keys["items"][0]["id"].as_str().unwrap();
    let key = format!("/api/v1/api-keys/{theirs}");
    let rows = [
        row("their row", world.get("/api/v1/executions/theirs"), 404, "not_found"),
        row("their key", world.get(&key), 404, "not_found"),
        row(
            "their key's name",
            world.get(&key).method("PATCH").json(r#"{"name":"x"}"#),
            404,
            "not_found",
        ),
        row("their key's end", world.get(&key).method("DELETE"), 404, "not_found"),
        row(
            "their place in the list",
            world.get(&format!("/api/v1/api-keys?cursor={theirs}")),
            422,
            "invalid_cursor",
        )
        .at(&["/cursor"]),
    ];
    world.check(rows);
    world.finish();
}

#[test]
fn signing_in() {
    let mut world = World::new();
    let login = |body: &str| Ask::post("/api/v1/auth/login").json(body);
    let refresh = |body: &str| Ask::post("/api/v1/auth/refresh").json(body);
    let many = vec![r#""192.0.2.1""#; 33].join(",");
    let make = |body: &str| world.post("/api/v1/api-keys").json(body);
    let right = r#"{"tenant":"default","email":"admin@localhost","password":"x","cookie":true}"#;
    let rows = [
        row("no JSON", login("{"), 400, "invalid_json"),
        row("nothing", login(""), 400, "invalid_json"),
        row("two values", login("{} {}"), 422, "required").at(&["/tenant"]),
        row("a list", login("[]"), 422, "wrong_type").at(&[""]),
        row("no password", login(r#"{"tenant":"default","email":"a@b"}"#), 422, "required")
            .at(&["/password"]),
        row("a number", login(r#"{"tenant":1,"email":"a@b","password":"x"}"#), 422, "wrong_type")
            .at(&["/tenant"]),
        row(
            "more than asked",
            login(r#"{"tenant":"default","email":"a@b","password":"x","role":"owner"}"#),
            422,
            "unknown_field",
        )
        .at(&["/role"]),
        row(
            "twice",
            login(r#"{"tenant":"default","tenant":"acme","email":"a@b","password":"x"}"#),
            422,
            "duplicate_key",
        )
        .at(&["/tenant"]),
        row(
            "a list of the right values",
            login(r#"["default","admin@localhost","x"]"#),
            422,
            "wrong_type",
        )
        .at(&[""]),
        row("deep", login(&"[".repeat(10_000)), 400, "invalid_json"),
        row(
            "deep inside",
            login(&format!(r#"{{"x":{}"#, "[".repeat(10_000))),
            422,
            "unknown_field",
        )
        .at(&["/x"]),
        row(
            "no such tenant",
            login(r#"{"tenant":"nobody","email":"admin@localhost","password":"x"}"#),
            401,
            "invalid_credentials",
        ),
        row(
            "no such tenant's name",
            login(r#"{"tenant":"../default","email":"admin@localhost","password":"x"}"#),
            401,
            "invalid_credentials",
        ),
        row(
            "no such user",
            login(r#"{"tenant":"default","email":"nobody@localhost","password":"x"}"#),
            401,
            "invalid_credentials",
        ),
        row(
            "the wrong password",
            login(r#"{"tenant":"default","email":"admin@localhost","password":"x"}"#),
            401,
            "invalid_credentials",
        ),
        row(
            "another tenant's user",
            login(r#"{"tenant":"acme","email":"admin@localhost","password":"x"}"#),
            401,
            "invalid_credentials",
        ),
        row(
            "from another site",
            login(right).header("Origin", "https://evil.example"),
            403,
            "origin_not_allowed",
        ),
        row("from no site", login(right).header("Origin", "null"), 403, "origin_not_allowed"),
        row(
            "from across",
            login(right).header("Sec-Fetch-Site", "cross-site"),
            403,
            "origin_not_allowed",
        ),
        row("no token", refresh("{}"), 401, "unauthorized"),
        row(
            "a token that is none",
            refresh(r#"{"refresh_token":"x"}"#),
            401,
            "invalid_refresh_token",
        ),
        row(
            "an access token",
            refresh(&format!(r#"{{"refresh_token":"{}"}}"#, world.owner)),
            401,
            "invalid_refresh_token",
        ),
        row(
            "a cookie that is none",
            refresh("{}")
                .header("Cookie", "__Host-emx_refresh=x")
                .header("Origin", "https://localhost"),
            401,
            "invalid_refresh_token",
        ),
        row(
            "a cookie from nowhere",
            refresh("{}").header("Cookie", "__Host-emx_refresh=x"),
            403,
            "origin_not_allowed",
        ),
        row(
            "a cookie from across",
            refresh("{}")
                .header("Cookie", "__Host-emx_refresh=x")
                .header("Origin", "https://evil.example"),
            403,
            "origin_not_allowed",
        ),
        row("a key without name", make(r#"{"name":"","role":"viewer"}"#), 422, "invalid_name")
            .at(&["/name"]),
        row("a key without role", make(r#"{"name":"x"}"#), 422, "required").at(&["/role"]),
        row("a key of no role", make(r#"{"name":"x","role":"king"}"#), 422, "invalid_value")
            .at(&["/role"]),
        row(
            "a key of the past",
            make(r#"{"name":"x","role":"viewer","expires_at":1}"#),
            422,
            "invalid_expiry",
        )
        .at(&["/expires_at"]),
        row(
            "a key of no time",
            make(r#"{"name":"x","role":"viewer","expires_at":"soon"}"#),
            422,
            "invalid_time",
        )
        .at(&["/expires_at"]),
        row(
            "a key from no network",
            make(r#"{"name":"x","role":"viewer","networks":["10.0.0.0/8","10.0.0.1/8"]}"#),
            422,
            "invalid_network",
        )
        .at(&["/networks/1"]),
        row(
            "a key from many networks",
            make(&format!(r#"{{"name":"x","role":"viewer","networks":[{many}]}}"#)),
            422,
            "too_many_networks",
        )
        .at(&["/networks"]),
        row(
            "a key from one network",
            make(r#"{"name":"x","role":"viewer","networks":"10.0.0.0/8"}"#),
            422,
            "wrong_type",
        )
        .at(&["/networks"]),
        row(
            "a key of truth",
            make(r#"{"name":"x","role":"viewer","expires_at":true}"#),
            422,
            "wrong_type",
        )
        .at(&["/expires_at"]),
    ];
    world.check(rows);
    world.finish();
}
