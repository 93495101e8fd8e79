//! Watching the real server over TLS: the handshake, who is let in and from where, tickets, what is
//! told, and how it ends.

#[cfg(test)]
#[path = "support/binary.rs"]
mod binary;
#[cfg(test)]
#[path = "live/client.rs"]
mod client;

use binary::TENANT;
use client::{Server, Watch, status};
use serde_json::json;
use tokio_tungstenite::tungstenite::protocol::Message;

#[tokio::test]
async fn who_may_watch_is_told_what_happens() {
    let server = Server::start();
    let token = server.sign_in().await;
    let bearer = format!("Bearer {token}");

    let mut watch = server.watch("", &[("authorization", &bearer)]).await.unwrap();
    assert_eq!(watch.protocol.as_deref(), Some("emx.v1"));
    watch.say(json!({ "type": "subscribe", "id": "a", "topics": ["metrics_update"] })).await;
    let told = watch.hear().await;
    assert_eq!((&told["type"], &told["data"]["seq"]), (&json!("subscribed"), &json!(1)));
    server.store(&token, "one").await;
    let told = watch.hear().await;
    assert_eq!(
        (&told["type"], &told["id"], &told["seq"]),
        (&json!("metrics_update"), &json!("a"), &json!(1))
    );
    assert_eq!(told["data"]["executions"][0]["id"], "one");

    // A key that may watch, by either header, from the beginning.
    let key = server.make_key(&token, "viewer").await;
    for header in [("authorization", format!("Bearer {key}")), ("x-api-key", key.clone())] {
        let mut watch = server.watch("", &[(header.0, &header.1)]).await.unwrap();
        let wish =
            json!({ "type": "subscribe", "id": "b", "topics": ["metrics_update"], "from_seq": 1 });
        watch.say(wish).await;
        assert_eq!(watch.hear().await["type"], "subscribed");
        assert_eq!(watch.hear().await["data"]["count"], 1);
    }
}

#[tokio::test]
async fn auditors_are_told_through_which_filters_somebody_watches_where_the_tenant_wants_it() {
    let server = Server::start();
    let token = server.sign_in().await;
    let bearer = format!("Bearer {token}");
    let mut watch = server.watch("", &[("authorization", &bearer)]).await.unwrap();
    let filter = json!([{ "field": "status", "op": "eq", "value": "failure" }]);
    let mut subscribe = async |id: &str, topic: &str| {
        let wish = json!({ "type": "subscribe", "id": id, "topics": [topic], "filter": filter });
        watch.say(wish).await;
        assert_eq!(watch.hear().await["type"], "subscribed");
    };
    let told = async || {
        let path = "/api/v1/audit?action=executions.watch";
        let (status, listed) = server.request("GET", path, &token, None).await;
        assert_eq!(status, 200);
        let items = listed["items"].as_array().unwrap().iter();
        items.map(|entry| entry["after"].clone()).collect::<Vec<_>>()
    };
    subscribe("before", "metrics_update").await;
    assert_eq!(told().await, [json!(null)], "that somebody watches");
    let tenant = format!("/api/v1/tenants/{TENANT}");
    let wanted = json!({ "audit_queries": true });
    assert_eq!(server.request("PATCH", &tenant, &token, Some(wanted)).await.0, 200);
    // Told before it is acknowledged; the same again is counted, and of the silent topics nothing comes.
    subscribe("silent", "system_alert").await;
    assert_eq!(told().await, [json!(null)]);
    for id in ["first", "again"] {
        subscribe(id, "metrics_update").await;
        assert_eq!(told().await, [json!(filter.to_string()), json!(null)]);
    }
}

#[tokio::test]
async fn who_may_not_is_refused_before_anything_is_a_websocket() {
    let server = Server::start();
    let token = server.sign_in().await;
    let bearer = format!("Bearer {token}");
    let own = server.origin();
    let ingest = server.make_key(&token, "ingest").await;
    let refused =
        async |query: &str, headers: &[(&str, &str)]| status(server.watch(query, headers).await);
    assert_eq!(refused("", &[]).await, 401);
    assert_eq!(refused("", &[("authorization", "Bearer x")]).await, 401);
    assert_eq!(refused("", &[("x-api-key", &ingest)]).await, 403);
    assert_eq!(refused("?ticket=x", &[("origin", &own)]).await, 401);
    assert_eq!(refused("?token=x", &[("authorization", &bearer)]).await, 422);
    let authorization = ("authorization", bearer.as_str());
    for origin in
        ["null", "https://evil.example", &format!("{own}.evil.example"), "http://localhost"]
    {
        assert_eq!(refused("", &[authorization, ("origin", origin)]).await, 403, "{origin}");
    }
    let other = ("sec-websocket-protocol", "graphql-ws, other");
    assert_eq!(refused("", &[authorization, other]).await, 400);
    for (protocols, chosen) in [("", None), ("other, emx.v1", Some("emx.v1"))] {
        let headers = [authorization, ("origin", &own), ("sec-websocket-protocol", protocols)];
        let offered = if protocols.is_empty() { &headers[..2] } else { &headers[..] };
        let watch = server.watch_with("", offered, None).await.unwrap();
        assert_eq!(watch.protocol.as_deref(), chosen);
    }
    // What is no upgrade, and another version.
    let plain = server.request("GET", "/api/v1/ws", &token, None).await;
    assert_eq!((plain.0, &plain.1["code"]), (426, &json!("upgrade_required")));
}

#[tokio::test]
async fn a_ticket_lets_a_page_in_once() {
    let server = Server::start();
    let token = server.sign_in().await;
    let ticket = async || {
        let (status, told) = server.request("POST", "/api/v1/ws/ticket", &token, None).await;
        assert_eq!((status, &told["expires_in"]), (200, &json!(30)));
        format!("?ticket={}", told["ticket"].as_str().unwrap())
    };
    let own = server.origin();
    let first = ticket().await;
    let mut watch = server.watch(&first, &[("origin", &own)]).await.unwrap();
    watch.say(json!({ "type": "ping" })).await;
    assert_eq!(watch.hear().await["type"], "pong");
    assert_eq!(status(server.watch(&first, &[("origin", &own)]).await), 401);
    for headers in [&[][..], &[("origin", "https://evil.example")][..]] {
        let query = ticket().await;
        assert_eq!(status(server.watch(&query, headers).await), 403);
    }
    let both = [("origin", own.as_str()), ("authorization", &format!("Bearer {token}"))];
    let query = ticket().await;
    assert_eq!(status(server.watch(&query, &both).await), 400);
}

#[tokio::test]
async fn it_ends_with_the_session_the_key_and_the_server() {
    let mut server = Server::start();
    let token = server.sign_in().await;
    let bearer = format!("Bearer {token}");
    let mut with_session = server.watch("", &[("authorization", &bearer)]).await.unwrap();
    let ticket = server.request("POST", "/api/v1/ws/ticket", &token, None).await.1;
    let (status_out, _) = server.request("POST", "/api/v1/auth/logout", &token, None).await;
    assert!((200..300).contains(&status_out));
    assert_eq!(with_session.hear_close().await, 4401);
    let query = format!("?ticket={}", ticket["ticket"].as_str().unwrap());
    let own = server.origin();
    assert_eq!(status(server.watch(&query, &[("origin", &own)]).await), 401);

    // An access token alone that is given back, everything that a user holds, and every key that signs.
    for how in ["token", "user", "keys"] {
        let (token, other) = (server.sign_in().await, server.sign_in().await);
        let bearer = format!("Bearer {token}");
        let mut watch = server.watch("", &[("authorization", &bearer)]).await.unwrap();
        watch.say(json!({ "type": "ping" })).await;
        assert_eq!(watch.hear().await["type"], "pong");
        let me = server.request("GET", "/api/v1/auth/me", &token, None).await.1;
        let user = format!("/api/v1/users/{}/sessions", me["user"]["id"].as_str().unwrap());
        let (method, path, body) = match how {
            "token" => ("POST", "/api/v1/auth/revoke", Some(json!({ "token": token }))),
            "user" => ("DELETE", user.as_str(), None),
            _ => ("POST", "/api/v1/admin/signing-keys/rotate?revoke=true", None),
        };
        let (status_out, told) = server.request(method, path, &other, body).await;
        assert!((200..300).contains(&status_out), "{how}: {told}");
        assert_eq!(watch.hear_close().await, 4401, "{how}");
        let refused = status(server.watch("", &[("authorization", &bearer)]).await);
        assert_eq!(refused, 401, "{how}");
    }

    let token = server.sign_in().await;
    let key = server.make_key(&token, "viewer").await;
    let mut with_key = server.watch("", &[("x-api-key", &key)]).await.unwrap();
    let id = key.split('_').nth(1).unwrap();
    let (status_out, _) =
        server.request("DELETE", &format!("/api/v1/api-keys/{id}"), &token, None).await;
    assert!((200..300).contains(&status_out), "{status_out}");
    assert_eq!(with_key.hear_close().await, 4401);

    let bearer = format!("Bearer {token}");
    let mut to_the_end: Watch = server.watch("", &[("authorization", &bearer)]).await.unwrap();
    to_the_end.send(Message::text("{}")).await;
    assert_eq!(to_the_end.hear().await["type"], "error");
    server.terminate();
    assert_eq!(to_the_end.hear_close().await, 1001);
}

#[tokio::test]
async fn a_key_with_networks_watches_from_there_alone_by_a_ticket_too() {
    let server = Server::start();
    let token = server.sign_in().await;
    let new = json!({ "name": "wall", "role": "viewer", "networks": ["127.0.7.0/24"] });
    let (made, told) = server.request("POST", "/api/v1/api-keys", &token, Some(new)).await;
    assert_eq!(made, 201, "{told}");
    let (id, key) = (told["id"].as_str().unwrap(), told["key"].as_str().unwrap());
    let (inside, outside) = ("127.0.7.9", "127.0.8.9");
    let by_key = [("x-api-key", key)];
    let mut watch = server.watch_from(inside, "", &by_key).await.unwrap();
    assert_eq!(status(server.watch_from(outside, "", &by_key).await), 401);

    let ticket = async |address: &str| {
        let path = "/api/v1/ws/ticket";
        let (status, told) = server.request_from(address, "POST", path, key, None).await;
        (status, format!("?ticket={}", told["ticket"].as_str().unwrap_or_default()))
    };
    let own = server.origin();
    let origin = [("origin", own.as_str())];
    assert_eq!(ticket(outside).await.0, 401);
    let carried_away = ticket(inside).await.1;
    assert_eq!(status(server.watch_from(outside, &carried_away, &origin).await), 401);
    let used = ticket(inside).await.1;
    let mut by_ticket = server.watch_from(inside, &used, &origin).await.unwrap();

    for watch in [&mut watch, &mut by_ticket] {
        watch.say(json!({ "type": "ping" })).await;
        assert_eq!(watch.hear().await["type"], "pong");
    }
    let path = format!("/api/v1/api-keys/{id}");
    assert_eq!(server.request("DELETE", &path, &token, None).await.0, 204);
    for watch in [&mut watch, &mut by_ticket] {
        assert_eq!(watch.hear_close().await, 4401);
    }
}

/// Opens a WebSocket that works.
async fn watching(server: &Server, token: &str) -> Watch {
    let bearer = format!("Bearer {token}");
    let opened = server.watch("", &[("authorization", &bearer)]).await;
    let mut watch = opened.expect("it opens");
    watch.say(json!({ "type": "ping" })).await;
    assert_eq!(watch.hear().await["type"], "pong");
    watch
}

#[tokio::test]
async fn who_may_something_else_is_out_at_once_with_every_token_and_socket() {
    let server = Server::start();
    let administrator = server.sign_in().await;
    let changes = [
        json!({ "role": "viewer" }),
        json!({ "role": "admin" }),
        json!({ "disabled": true }),
        json!({ "platform": true }),
    ];
    for (n, change) in changes.into_iter().enumerate() {
        let email = format!("kim{n}@example.org");
        let (id, token) = server.make_user(&administrator, &email, "manager").await;
        let email = format!("lou{n}@example.org");
        let (_, other) = server.make_user(&administrator, &email, "manager").await;
        let (mut watch, mut others) =
            (watching(&server, &token).await, watching(&server, &other).await);
        let (status_out, ticket) = server.request("POST", "/api/v1/ws/ticket", &token, None).await;
        assert_eq!(status_out, 200);
        assert_eq!(server.request("GET", "/api/v1/users", &token, None).await.0, 200);

        let path = format!("/api/v1/users/{id}");
        let (status_out, told) =
            server.request("PATCH", &path, &administrator, Some(change.clone())).await;
        assert_eq!(status_out, 200, "{change}: {told}");
        let (status_out, told) = server.request("GET", "/api/v1/users", &token, None).await;
        assert_eq!((status_out, &told["code"]), (401, &json!("session_ended")), "{change}");
        assert_eq!(watch.hear_close().await, 4401, "{change}");
        let bearer = format!("Bearer {token}");
        assert_eq!(status(server.watch("", &[("authorization", &bearer)]).await), 401, "{change}");
        let (ticket, own) = (ticket["ticket"].as_str().unwrap(), server.origin());
        let by_ticket = server.watch(&format!("?ticket={ticket}"), &[("origin", &own)]).await;
        assert_eq!(status(by_ticket), 401, "{change}");

        // Nobody else notices.
        others.say(json!({ "type": "ping" })).await;
        assert_eq!(others.hear().await["type"], "pong", "{change}");
    }
}

#[tokio::test]
async fn another_team_is_known_at_once_and_ends_nothing() {
    let server = Server::start();
    let administrator = server.sign_in().await;
    let (id, token) = server.make_user(&administrator, "kim@example.org", "manager").await;
    let mut watch = watching(&server, &token).await;
    let new = Some(json!({ "name": "Platform" }));
    let (made, team) = server.request("POST", "/api/v1/teams", &administrator, new).await;
    assert_eq!(made, 201, "{team}");
    let team = team["id"].as_str().unwrap();
    let member = format!("/api/v1/teams/{team}/members/{id}");
    let user = format!("/api/v1/users/{id}");
    for (method, teams) in [("PUT", json!([team])), ("DELETE", json!([]))] {
        let (changed, told) = server.request(method, &member, &administrator, None).await;
        assert!((200..300).contains(&changed), "{told}");
        let (known, told) = server.request("GET", &user, &token, None).await;
        assert_eq!((known, &told["teams"]), (200, &teams));
        watch.say(json!({ "type": "ping" })).await;
        assert_eq!(watch.hear().await["type"], "pong");
    }
}
