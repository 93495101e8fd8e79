//! Links by which somebody chooses a password: used up, replaced, elsewhere, for something else.

use crate::peer::Ask;
use crate::people::{ACCEPT, CHOSEN, INVITE, USERS, accept, done, login, of_user};
use crate::server::TENANT;
use crate::world::{BASE_DOMAIN, OTHER, World, row};
use serde_json::json;

#[test]
fn links() {
    let mut world = World::new();
    let owner_key = world.key("owner").to_owned();
    let body = r#"{"email":"kim@example.org","role":"admin"}"#;
    let link = done(&world, &world.post(INVITE).json(body), 201).json();
    let token = link["token"].as_str().unwrap().to_owned();
    assert_eq!(link["link"], format!("https://localhost/accept#token={token}"));
    assert_eq!(
        (&link["purpose"], &link["user"]["has_password"]),
        (&"invitation".into(), &false.into())
    );
    let host = format!("{OTHER}.{BASE_DOMAIN}");
    let rows = [
        row(
            "before it is taken",
            login("kim@example.org", CHOSEN, None),
            401,
            "invalid_credentials",
        ),
        row("no token", Ask::post(ACCEPT).json(r#"{"password":"x"}"#), 422, "required")
            .at(&["/token"]),
        row("no password", Ask::post(ACCEPT).json(r#"{"token":"x"}"#), 422, "required")
            .at(&["/password"]),
        row("a token that is none", accept("x", CHOSEN), 401, "invalid_link"),
        row("an access token", accept(&world.owner, CHOSEN), 401, "invalid_link"),
        row("a key", accept(&owner_key, CHOSEN), 401, "invalid_link"),
        row("half a token", accept(&token[..40], CHOSEN), 401, "invalid_link"),
        row("at the other tenant", accept(&token, CHOSEN).with("Host", &host), 401, "invalid_link"),
        row(
            "for the other tenant",
            accept(&token, CHOSEN).header("X-Tenant", OTHER),
            401,
            "invalid_link",
        ),
        row(
            "for two tenants",
            accept(&token, CHOSEN).with("Host", &host).header("X-Tenant", TENANT),
            403,
            "tenant_mismatch",
        ),
        row("a password of everybody", accept(&token, "password123"), 422, "invalid_password")
            .at(&["/password"]),
        row("a short password", accept(&token, "1234567"), 422, "invalid_password")
            .at(&["/password"]),
        row("the address", accept(&token, "kim@example.org"), 422, "invalid_password")
            .at(&["/password"]),
        row("the tenant's name", accept(&token, "default"), 422, "invalid_password")
            .at(&["/password"]),
        row("as a token", Ask::get(USERS).bearer(&token), 401, "invalid_token"),
        row("as a key", Ask::get(USERS).header("X-Api-Key", &token), 401, "invalid_api_key"),
        row(
            "as a refresh token",
            Ask::post("/api/v1/auth/refresh").json(&json!({ "refresh_token": token }).to_string()),
            401,
            "invalid_refresh_token",
        ),
        row(
            "as a ticket",
            Ask::get(&format!("/api/v1/ws?ticket={token}")),
            426,
            "upgrade_required",
        ),
    ];
    world.check(rows);
    let who = done(&world, &accept(&token, CHOSEN).header("X-Tenant", TENANT), 200).json();
    assert_eq!(who, json!({ "tenant": TENANT, "email": "kim@example.org" }));
    let signed_in = done(&world, &login("kim@example.org", CHOSEN, None), 200).json();
    let session = signed_in["access_token"].as_str().unwrap();
    world.check([row("taken already", accept(&token, CHOSEN), 401, "invalid_link")]);

    let reset = world.post(&of_user(&link["user"], "/reset"));
    let first = done(&world, &reset, 201).json();
    let second = done(&world, &reset, 201).json();
    assert_eq!(second["purpose"], "reset");
    let first = first["token"].as_str().unwrap();
    world.check([row("one that was replaced", accept(first, CHOSEN), 401, "invalid_link")]);
    done(&world, &Ask::get(USERS).bearer(session), 200);
    done(&world, &accept(second["token"].as_str().unwrap(), "yet another fine day"), 200);
    let rows = [
        row("a session from before", Ask::get(USERS).bearer(session), 401, "session_ended"),
        row(
            "the password from before",
            login("kim@example.org", CHOSEN, None),
            401,
            "invalid_credentials",
        ),
    ];
    world.check(rows);
    done(&world, &login("kim@example.org", "yet another fine day", None), 200);
    world.finish();
}
