//! The same again, and not the same again.

use crate::peer::Ask;
use crate::world::{World, row};
use serde_json::Value;

#[test]
fn keys() {
    let mut world = World::new();
    let keyed = |ask: Ask, key: &str| ask.header("Idempotency-Key", key);
    let (one, two) = (r#"{"command":"x"}"#, r#"{"command":"y"}"#);
    let first = keyed(world.execution(one), "k1");
    let answer = world.accept(&first, 1, 0);
    let again = world.accept(&first, 0, 0);
    assert_eq!((answer.status, answer.json()), (again.status, again.json()));
    let batch = |query: &str, body: &str| {
        world.post(&format!("/api/v1/executions/batch{query}")).json(body)
    };
    let reused = |name: &str, ask: Ask| row(name, keyed(ask, "k1"), 409, "idempotency_key_reused");
    let invalid = |name: &str, key: &str| {
        row(name, keyed(world.execution(one), key), 400, "invalid_idempotency_key")
    };
    let rows = [
        reused("another body", world.execution(two)),
        reused("a space more", world.execution(r#"{"command": "x"}"#)),
        reused("another address", batch("", one)),
        reused("no execution", world.execution("{}")),
        invalid("a long key", &"k".repeat(256)),
        invalid("an empty key", ""),
        row("two keys", keyed(first.clone(), "k2"), 400, "duplicate_header"),
        row("a key of no text", keyed(world.execution(one), "k\u{e9}"), 400, "invalid_header"),
        // What was refused is not remembered.
        row("refused", keyed(world.execution("{}"), "k3"), 422, "required").at(&["/command"]),
        row("refused again", keyed(world.execution(r#"{"command":5}"#), "k3"), 422, "wrong_type")
            .at(&["/command"]),
        row("an atomic batch", keyed(batch("?atomic=true", "[{}]"), "k3"), 422, "batch_refused")
            .at(&["/0/command"]),
    ];
    world.check(rows);
    // Where answers are not remembered, a key would promise what is not kept.
    let query = world.post("/api/v1/query").json(r#"{"metrics":["count"]}"#);
    let rules = world.get("/api/v1/sign-in-rules").method("PATCH").json("{}");
    let login = Ask::post("/api/v1/auth/login").json("{}");
    let unsupported =
        |name: &str, ask: Ask| row(name, keyed(ask, "k1"), 400, "idempotency_not_supported");
    let rows = [
        unsupported("a question", query),
        unsupported("other rules", rules),
        unsupported("a login", login),
        unsupported("a list", world.get("/api/v1/executions")),
    ];
    world.check(rows);
    let third = keyed(world.execution(one), "k3");
    world.accept(&third, 1, 0);
    let longest = keyed(world.execution(one), &"k".repeat(255));
    world.accept(&longest, 1, 0);
    // A key is of whoever sent it.
    let member = keyed(Ask::post("/api/v1/executions").bearer(world.key("member")).json(two), "k1");
    world.accept(&member, 1, 0);
    let batch =
        keyed(world.post("/api/v1/executions/batch").json(&format!("[{one},{{}},{one}]")), "k4");
    let report = world.accept(&batch, 2, 0).json();
    assert_eq!(report, world.accept(&batch, 0, 0).json());
    world.finish();
}

#[test]
fn one_key_at_once() {
    const CALLERS: usize = 16;
    let mut world = World::new();
    let ask = world.execution(r#"{"command":"x"}"#).header("Idempotency-Key", "once");
    let start = std::sync::Barrier::new(CALLERS);
    let answers = std::thread::scope(|scope| {
        let call = || {
            let mut peer = world.server.connect();
            start.wait();
            let answer = peer.ask(&ask).unwrap();
            (answer.status, answer.code(), answer.json()["seq"].clone())
        };
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(call)).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect::<Vec<_>>()
    });
    let done = (201, String::new(), Value::from(1));
    let waits = (409, "idempotency_in_progress".to_owned(), Value::Null);
    assert!(answers.iter().all(|answer| *answer == done || *answer == waits), "{answers:?}");
    assert!(answers.contains(&done), "{answers:?}");
    world.count(1, 0);
    world.finish();
}
