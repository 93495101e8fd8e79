//! A connection keeps to the protocol and ends as it says, whatever the other end does.

use super::super::desk::SUBSCRIPTIONS_MAX;
use super::super::wire::MESSAGE_BYTES_MAX;
use super::support::{Client, House, ROOMY};
use crate::identity::revocation::Revoked;
use futures_util::SinkExt;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;
use storage::row::Status;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};

async fn error(client: &mut Client, text: &str) -> Value {
    client.send(Message::text(text)).await;
    let told = client.hear().await;
    assert_eq!(told["type"], "error", "{told}");
    told
}

#[tokio::test]
async fn what_cannot_be_done_is_said_and_the_connection_goes_on() {
    let house = House::new();
    let mut client = house.connect(ROOMY);
    assert_eq!(error(&mut client, "{").await["data"]["code"], "invalid_json");
    let unknown = json!({ "type": "subscribe", "id": "a", "topics": ["weather"] });
    let told = error(&mut client, &unknown.to_string()).await;
    assert_eq!((&told["id"], &told["data"]["code"]), (&json!("a"), &json!("unknown_topic")));
    assert_eq!(told["data"]["errors"][0]["pointer"], "/topics/0");
    client.send(Message::binary(vec![1, 2, 3])).await;
    assert_eq!(client.hear().await["data"]["code"], "binary_message");
    let nothing = json!({ "type": "unsubscribe", "id": "a" }).to_string();
    assert_eq!(error(&mut client, &nothing).await["data"]["code"], "unknown_id");

    for n in 0..SUBSCRIPTIONS_MAX {
        client.subscribe(&n.to_string(), json!([]), None).await;
    }
    let again = json!({ "type": "subscribe", "id": "3", "topics": ["metrics_update"] });
    assert_eq!(error(&mut client, &again.to_string()).await["data"]["code"], "duplicate_id");
    let more = json!({ "type": "subscribe", "id": "x", "topics": ["metrics_update"] });
    let told = error(&mut client, &more.to_string()).await;
    assert_eq!(told["data"]["code"], "too_many_subscriptions");

    client.say(json!({ "type": "ping", "id": "p" })).await;
    let pong = client.hear().await;
    assert_eq!(
        (&pong["type"], &pong["id"], &pong["seq"]),
        (&json!("pong"), &json!("p"), &json!(0))
    );
    assert_eq!(pong["tenant_id"], house.scope.id().as_str());
}

#[tokio::test]
async fn nothing_comes_of_a_subscription_that_has_ended_or_has_no_source() {
    let house = House::new();
    let mut client = house.connect(ROOMY);
    client.subscribe("gone", json!([]), None).await;
    client.subscribe("kept", json!([]), None).await;
    let others = ["system_alert", "user_activity", "dashboard_refresh", "session_event"];
    client.say(json!({ "type": "subscribe", "id": "silent", "topics": others })).await;
    assert_eq!(client.hear().await["type"], "subscribed");
    client.say(json!({ "type": "unsubscribe", "id": "gone" })).await;
    client.say(json!({ "type": "ping" })).await;
    assert_eq!(client.hear().await["type"], "pong");
    house.store(0, &[Status::Success]).await;
    assert_eq!(client.hear().await["id"], "kept");
    client.say(json!({ "type": "ping" })).await;
    assert_eq!(client.hear().await["type"], "pong");
}

#[tokio::test]
async fn too_much_is_a_reason_to_close() {
    let house = House::new();
    let mut client = house.connect(ROOMY);
    let long = format!("{{\"type\":\"{}\"}}", "x".repeat(MESSAGE_BYTES_MAX));
    client.send(Message::text(long)).await;
    assert_eq!(client.hear_close().await, 1009);

    let mut client = house.connect(ROOMY);
    for _ in 0..1000 {
        // It may have been closed already.
        let _closed = client.socket().await.feed(Message::Ping(vec![].into())).await;
    }
    let _closed = client.socket().await.flush().await;
    assert_eq!(client.hear_close().await, 1008);
}

/// What `bytes` are answered with, up to the end of the connection.
async fn answer(house: &House, bytes: &[u8]) -> Vec<u8> {
    let (mut reading, mut writing) = tokio::io::split(house.connect(ROOMY).raw());
    let mut answer = Vec::new();
    let (_wrote, read) = tokio::join!(
        async {
            let _closed = writing.write_all(bytes).await;
            let _closed = writing.shutdown().await;
        },
        reading.read_to_end(&mut answer)
    );
    read.unwrap();
    answer
}

#[tokio::test]
async fn what_is_no_websocket_is_told_so_and_closed() {
    let house = House::new();
    let mask = [0; 4];
    let frame =
        |first: u8, length: u8, body: &[u8]| [&[first, 0x80 | length], &mask[..], body].concat();
    for (bytes, code) in [
        (vec![0x81, 1, b'x'], 1002),                              // not masked
        (frame(0xC1, 1, b"x"), 1002),                             // a reserved bit
        (frame(0x83, 0, b""), 1002),                              // a reserved opcode
        (frame(0x80, 1, b"x"), 1002),                             // a continuation of nothing
        (frame(0x09, 0, b""), 1002),                              // a ping in pieces
        (frame(0x81, 2, b"\xC3\x28"), 1007),                      // not UTF-8
        ([&frame(0x89, 126, &[]), &[0, 200][..]].concat(), 1002), // a long ping
        (vec![0x81, 0xFF, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], 1009), // 16 MiB
    ] {
        // Long forms of the length have it before the mask.
        let bytes = match bytes[1] & 0x7F {
            126 => [&[0x89, 0xFE, 0, 200][..], &mask, &[0; 200]].concat(),
            _ => bytes,
        };
        let told = answer(&house, &bytes).await;
        assert_eq!(told[0], 0x88, "{bytes:02x?}: {told:02x?}");
        assert_eq!(u16::from_be_bytes([told[2], told[3]]), code, "{bytes:02x?}");
    }
    // A message that never ends, in empty pieces.
    let flood = [frame(0x01, 0, b""), frame(0x00, 0, b"").repeat(1 << 20)].concat();
    let told = answer(&house, &flood).await;
    assert_eq!(u16::from_be_bytes([told[2], told[3]]), 1008);
}

#[tokio::test]
async fn a_close_is_answered_and_a_stop_says_so() {
    let house = House::new();
    let mut client = house.connect(ROOMY);
    client.say(json!({ "type": "ping" })).await;
    client.hear().await;
    let frame = CloseFrame { code: 1000.into(), reason: "".into() };
    client.send(Message::Close(Some(frame))).await;
    assert_eq!(client.hear_close().await, 1000);

    let mut client = house.connect(ROOMY);
    client.subscribe("x", json!([]), None).await;
    house.means.tasks.stop();
    assert_eq!(client.hear_close().await, 1001);
    assert!(house.means.tasks.end(Duration::from_secs(10)).await);
    assert!(house.hub.is_empty());
}

#[tokio::test]
async fn what_is_revoked_ends_at_once_and_what_does_not_stand_any_more_soon() {
    let mut house = House::new();
    let revoke = house.hub.revoker();
    for revoked in [
        Revoked::Session { family: "session".into() },
        Revoked::Token { token_id: "token".into() },
        Revoked::User { user_id: "user".into() },
        Revoked::AllTokens,
    ] {
        let mut client = house.connect(ROOMY);
        client.subscribe("x", json!([]), None).await;
        revoke(&Revoked::Session { family: "user".into() });
        revoke(&Revoked::User { user_id: "token".into() });
        revoke(&Revoked::ApiKey { key_id: "session".into() });
        client.say(json!({ "type": "ping" })).await;
        assert_eq!(client.hear().await["type"], "pong");
        revoke(&revoked);
        assert_eq!(client.hear_close().await, 4401, "{revoked:?}");
    }

    let mut client = house.connect(ROOMY);
    client.subscribe("x", json!([]), None).await;
    tokio::time::pause();
    house.stands.store(false, Ordering::Relaxed);
    assert_eq!(client.hear_close().await, 4401);

    house.stands.store(true, Ordering::Relaxed);
    house.until_ms = Some(house.means.clock.now_ms());
    let mut client = house.connect(ROOMY);
    client.subscribe("x", json!([]), None).await;
    assert_eq!(client.hear_close().await, 4401);
}

#[tokio::test(start_paused = true)]
async fn pings_come_and_who_answers_none_is_closed() {
    let house = House::new();
    let started = tokio::time::Instant::now();
    let mut client = house.connect(ROOMY);
    assert!(matches!(client.next().await, Message::Ping(_)));
    assert_eq!(started.elapsed().as_secs(), 30);
    // The library answers with the next read.
    assert!(matches!(client.next().await, Message::Ping(_)));
    assert_eq!(started.elapsed().as_secs(), 60);

    let mut deaf = house.connect(ROOMY).raw();
    let (mut told, started) = (Vec::new(), tokio::time::Instant::now());
    deaf.read_to_end(&mut told).await.unwrap();
    assert_eq!(told[..5], [0x89, 0, 0x89, 0, 0x88]);
    assert_eq!(u16::from_be_bytes([told[6], told[7]]), 4408);
    assert!((90..=95).contains(&started.elapsed().as_secs()));
}

#[tokio::test(start_paused = true)]
async fn who_reads_nothing_at_all_is_closed() {
    let house = House::new();
    let mut client = house.connect(16);
    // Each question has an answer that is not read.
    for _ in 0..20 {
        client.say(json!({ "type": "ping" })).await;
    }
    let before = tokio::time::Instant::now();
    while !house.means.tasks.is_empty() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(before.elapsed() < Duration::from_secs(60), "{:?}", before.elapsed());
    assert!(house.hub.is_empty());
}
