//! What is changed counts for the next request, and for whoever is watching or taking rows out.

use crate::cast::{Cast, POLICY};
use crate::peer::{Ask, Peer};
use crate::scenario::{Person, Row, Scenario, Who};
use crate::watch::Watch;
use emx::tenancy::row_policy::RowRules;
use serde_json::{Value, json};

const VIEWER: Who = Who::Person(0);
const MEMBER: Who = Who::Person(1);
const MANAGER: Who = Who::Person(2);

/// A cast under the strict policy, with one row of each of these names.
fn cast_with(rows: &[Row], people: &[Person]) -> Cast {
    let cast = Cast::new();
    cast.set_rules(&json!({ "preset": "strict" }));
    for (n, person) in people.iter().enumerate() {
        cast.set_person(n, person);
    }
    for row in rows {
        let id = format!("{}/{}", row.user, row.team);
        let row = json!({
            "id": id, "command": "make", "user_id": row.user, "team_id": row.team,
            "labels": { "case": "0" },
        });
        cast.done(Ask::post("/api/v1/executions").json(&row.to_string()), 201);
    }
    cast
}

/// Somebody, the rows it sees, and how many it counts.
type Sees = (Who, Vec<String>, u64);

/// Everything that somebody sees, by a list, and counts, by an answer that may be kept.
fn sees(cast: &Cast, who: Who) -> (Vec<String>, u64) {
    let list = cast.ask(who, Ask::get("/api/v1/executions")).json();
    let ids = list["items"].as_array().unwrap().iter();
    let mut ids: Vec<String> = ids.map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    let counted = cast.ask(who, Ask::get("/api/v1/query?metrics=count")).json();
    (ids, counted["rows"][0][0].as_u64().unwrap())
}

#[test]
fn a_change_of_the_policy_of_a_team_or_of_a_name_counts_at_once() {
    let Scenario { rows, people, .. } = Scenario::company(RowRules::STRICT);
    let cast = cast_with(&rows, &people);
    let all = rows.len() as u64;
    let owned = |ids: &[&str]| {
        let mut ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        ids.sort();
        ids
    };
    let member = |ids: &[&str]| (MEMBER, owned(ids), all);
    let manager = |ids: &[&str]| (MANAGER, owned(ids), ids.len() as u64);
    let change = |method: &str, target: &str, body: Value| {
        let ask = Ask::new(method, target);
        if body.is_null() { ask } else { ask.json(&body.to_string()) }
    };
    let (mine, red) = (cast.person(1), cast.team("red"));
    let in_red = cast.member("red", 2);
    let own = json!({ "rows": "own", "aggregates": "same" });
    let none = json!({ "viewer": own, "member": own, "manager": own });
    let of_red = ["/red", "ann/red", "bob/red"];
    let red_and_own = [&of_red[..], &["bob/blue", "cyd/red"]].concat();
    let steps: Vec<(Ask, u16, Sees)> = vec![
        (change("PATCH", &mine, json!({ "reported_as": ["cyd"] })), 200, member(&["cyd/red"])),
        (change("PATCH", &mine, json!({ "reported_as": [] })), 200, member(&[])),
        (
            change("PATCH", &cast.person(2), json!({ "reported_as": ["bob"] })),
            200,
            manager(&red_and_own),
        ),
        (change("DELETE", &in_red, Value::Null), 204, manager(&["bob/blue", "bob/red"])),
        (change("PUT", &in_red, Value::Null), 200, manager(&red_and_own)),
        (
            change("PATCH", &red, json!({ "reported_as": ["blue"] })),
            200,
            manager(&["/blue", "ann/blue", "bob/blue", "bob/red"]),
        ),
        (change("DELETE", &red, Value::Null), 204, manager(&["bob/blue", "bob/red"])),
        (
            change("PUT", POLICY, none),
            200,
            (VIEWER, vec!["ann/".into(), "ann/blue".into(), "ann/red".into()], 3),
        ),
    ];
    let mut unmoved = Watch::open(&cast.server, &cast.owner);
    unmoved.subscribe(0, None);
    for (step, status, (who, ids, count)) in steps {
        let before = sees(&cast, who);
        assert_ne!(before.0, ids, "{step:?} changes nothing");
        let mut watch = Watch::open(&cast.server, cast.bearer(who));
        watch.subscribe(0, None);
        let page = cast.ask(who, Ask::get("/api/v1/executions?limit=1")).json();
        let answer = cast.server.ask(&step.clone().bearer(&cast.owner));
        assert_eq!(answer.status, status, "{step:?}: {answer:?}");
        assert_eq!(sees(&cast, who), (ids, count), "{step:?}");
        assert_eq!(watch.closed_with(), 4403, "{step:?}");
        if let Some(cursor) = page["next_cursor"].as_str() {
            let next = cast.ask(who, Ask::get(&format!("/api/v1/executions?cursor={cursor}")));
            assert_eq!((next.status, &*next.code()), (422, "bad_cursor"), "{step:?}");
        }
    }
    let row = json!({ "id": "last", "command": "make", "labels": { "case": "0" } });
    let stored = cast.done(Ask::post("/api/v1/executions").json(&row.to_string()), 201);
    let (ids, ..) = unmoved.told(stored["seq"].as_u64().unwrap());
    assert_eq!(ids, ["last"], "whoever sees the same goes on");
    cast.server.end();
}

#[test]
fn another_role_has_to_sign_in_again_and_sees_what_that_role_sees() {
    let Scenario { rows, people, .. } = Scenario::company(RowRules::STRICT);
    let cast = cast_with(&rows, &people);
    let mut watch = Watch::open(&cast.server, cast.bearer(MANAGER));
    watch.subscribe(0, None);
    let change = json!({ "role": "member" }).to_string();
    cast.done(Ask::new("PATCH", &cast.person(2)).json(&change), 200);
    assert_eq!(cast.ask(MANAGER, Ask::get("/api/v1/executions")).status, 401);
    assert_eq!(watch.closed_with(), 4401);
    let token = cast.sign_in_again(2);
    let list = cast.server.ask(&Ask::get("/api/v1/executions").bearer(&token)).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(list["items"][0]["id"], "cyd/red");
    cast.server.end();
}

/// More than the buffers between a server and a client that does not read hold.
const LINES: usize = 1600;
const LINE_BYTES: usize = 16_000;

#[test]
fn an_export_is_cut_where_the_rows_may_not_be_seen_any_more() {
    let ann = Person { reported_as: vec!["ann"], teams: Vec::new() };
    let cast = cast_with(&[], &[Person::default(), ann]);
    let line = "x".repeat(LINE_BYTES);
    for part in 0..4 {
        let rows: Vec<Value> = (0..LINES / 4)
            .map(|n| {
                let id = format!("{part}-{n}");
                json!({ "id": id, "command": "make", "command_line": line, "user_id": "ann" })
            })
            .collect();
        let rows = json!(rows).to_string();
        cast.done(Ask::post("/api/v1/executions/batch").json(&rows), 200);
    }
    let begin = || -> Peer {
        let mut peer = cast.server.connect();
        peer.send(&Ask::get("/api/v1/export").bearer(cast.bearer(MEMBER)).bytes()).unwrap();
        peer
    };
    let whole = begin().answer(false).unwrap();
    assert_eq!((whole.status, whole.body.iter().filter(|b| **b == b'\n').count()), (200, LINES));
    let mut cut = begin();
    let mut first = [0; 512];
    assert!(cut.read(&mut first).unwrap() > 0);
    cast.set_person(1, &Person::default());
    let mut taken = 0;
    let end = loop {
        match cut.read(&mut first) {
            Ok(0) => break true,
            Ok(read) => {
                taken += read;
                if first[..read].ends_with(b"0\r\n\r\n") {
                    break false;
                }
            }
            Err(_) => break true,
        }
    };
    assert!(end, "it ended as if it were whole, after {taken} bytes");
    assert!(taken < LINES * LINE_BYTES, "{taken} bytes of {}", LINES * LINE_BYTES);
    cast.server.tell_to_end();
    let (status, log) = cast.server.wait(crate::server::PATIENCE);
    assert!(status.success() && !log.contains("panicked"), "{status}\n{log}");
}
