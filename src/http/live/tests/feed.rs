//! Ranges join, counts are exact, texts are shared: whoever watches, from wherever, while rows come.

use super::super::outbox::Outbox;
use super::super::update::View;
use super::support::{Client, Follower, House, ROOMY, append, rows};
use crate::query::filter::read_list;
use serde_json::json;
use std::sync::Arc;
use storage::ask::{Predicate, Selection, WordTest};
use storage::row::{Dimension, Seq, Status, Word};

/// Every third one fails or times out, in turn.
fn statuses(first: usize, count: usize) -> Vec<Status> {
    let status = |n: usize| match n % 6 {
        0 => Status::Failure,
        3 => Status::Timeout,
        _ => Status::Success,
    };
    (first..first + count).map(status).collect()
}

fn only_team(team: &str) -> [Predicate; 1] {
    [Predicate::Word(Dimension::Word(Word::Team), WordTest::In(vec![team.into()]))]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_watcher_is_told_all_that_passes_and_nothing_else() {
    let house = House::new();
    house.store(0, &statuses(0, 10)).await; // before anybody watches
    let failed = json!([{ "field": "status", "op": "in", "value": ["failure", "timeout"] }]);
    let (mut all, mut some) = (house.connect(ROOMY), house.connect(ROOMY));
    let (mut red, mut nobody) = (house.connect_as(ROOMY, &only_team("red")), house.connect(ROOMY));
    assert_eq!(all.subscribe("a", json!([]), None).await, 11);
    assert_eq!(some.subscribe("s", failed.clone(), None).await, 11);
    assert_eq!(red.subscribe("r", failed, None).await, 11);
    let none = json!([{ "field": "organization_id", "op": "eq", "value": "other" }]);
    assert_eq!(nobody.subscribe("n", none, None).await, 11);
    let mut first = 10;
    for count in [1, 250, 3, 1, 1, 40].into_iter().cycle().take(60) {
        house.store(first, &statuses(first, count)).await;
        first += count;
    }
    let last = first as Seq;
    let mut expected: [(u64, u64); 4] = [(0, 0); 4];
    for n in 10..first {
        let fails = u64::from(n % 3 == 0);
        let red = u64::from(n % 2 == 0);
        for (sum, passes) in expected.iter_mut().zip([1, fails, fails * red, 0]) {
            *sum = (sum.0 + passes, sum.1 + passes * fails);
        }
    }
    for (client, expected) in [&mut all, &mut some, &mut red, &mut nobody].into_iter().zip(expected)
    {
        let mut follower = Follower::from(11);
        follower.until(last, client).await;
        assert_eq!((follower.count, follower.failures), expected);
        assert!(follower.shown.is_sorted_by(|a, b| a < b));
    }
    assert_eq!(house.hub.len(), 4);
    house.means.tasks.end(std::time::Duration::from_secs(10)).await;
    assert!(house.hub.is_empty());
    assert_eq!(Arc::strong_count(house.scope.keyspace()), 2, "nobody else holds the keyspace");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_comes_from_any_seq_misses_nothing_and_gets_nothing_twice() {
    const LAST: usize = 6_000;
    const BEFORE: usize = 2_000;
    let house = House::new();
    house.store(0, &statuses(0, BEFORE)).await;
    let keyspace = house.keyspace();
    let writing = house.means.threads.run(move || {
        let mut first = BEFORE;
        while first < LAST {
            let count = (1 + first % 37).min(LAST - first);
            append(&*keyspace, rows(first, &statuses(first, count), ""));
            first += count;
        }
    });
    let watching = async {
        let seqs = (0..100).map(|n: usize| (1 + n * 7919 % BEFORE) as Seq);
        let watched = seqs.map(|from| {
            let mut client = house.connect(ROOMY);
            async move {
                assert_eq!(client.subscribe("x", json!([]), Some(from)).await, from);
                let mut follower = Follower::from(from);
                follower.until(LAST as Seq, &mut client).await;
                assert_eq!(follower.count, LAST as u64 + 1 - from);
                let failed = (from as usize - 1..LAST).filter(|n| n % 3 == 0).count();
                assert_eq!(follower.failures, failed as u64);
            }
        });
        futures_util::future::join_all(watched).await;
    };
    let (wrote, _watched) = tokio::join!(writing, watching);
    wrote.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_removed_or_replaced_keeps_the_ranges_joined() {
    let house = House::new();
    house.store(0, &statuses(0, 6)).await;
    let mut client = house.connect(ROOMY);
    assert_eq!(client.subscribe("x", json!([]), None).await, 7);
    let removed = house.run(|keyspace| {
        let selection = Selection { predicates: only_team("blue").to_vec(), ..Selection::all() };
        keyspace.remove(&selection).unwrap()
    });
    assert_eq!(removed.await, 3);
    let replaced = house.run(|keyspace| {
        keyspace.replace(rows(0, &[Status::Success, Status::Failure], "")).unwrap()
    });
    assert_eq!(replaced.await, 1); // the other one was removed, and comes anew
    let last = house.run(|keyspace| keyspace.last_seq().unwrap()).await;
    let mut live = Follower::from(7);
    live.until(last, &mut client).await;
    assert_eq!((live.count, live.failures), (2, 1), "{live:?}");

    let mut again = house.connect(ROOMY);
    assert_eq!(again.subscribe("x", json!([]), Some(2)).await, 2);
    let mut replayed = Follower::from(2);
    replayed.until(last, &mut again).await;
    // Of the six rows the feed has two after the first: three were removed.
    assert_eq!((replayed.count, replayed.shown.len()), (4, 4), "{replayed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_is_made_once_and_shared() {
    let house = House::new();
    let failed = br#"[{"field":"status","op":"eq","value":"failure"}]"#;
    let watcher = house.hub.watch(&house.scope, &house.means, usize::MAX).unwrap();
    let mut boxes = Vec::new();
    for n in 0..6 {
        let filters = if n < 4 { Vec::new() } else { read_list(failed, "filter").unwrap() };
        let view = Arc::new(View::new("acme", &[], &filters));
        let outbox = Arc::new(Outbox::default());
        watcher.channel.join(None, &view, n, &outbox).await;
        boxes.push(outbox);
    }
    house.store(0, &statuses(0, 200)).await;
    watcher.channel.reached(201).await;
    let texts: Vec<_> = boxes.iter().map(|outbox| outbox.take(1).updates.remove(0).text).collect();
    let places: Vec<_> = texts.iter().map(|text| text.as_ptr()).collect();
    assert!(places[..4].iter().all(|place| *place == places[0]));
    assert!(places[4] == places[5] && places[4] != places[0]);
    // Rows that come at once are told at once, and the first 100 of them whole.
    let whole = [b"{", &texts[0][..]].concat();
    let told: serde_json::Value = serde_json::from_slice(&whole).unwrap();
    assert_eq!((&told["data"]["count"], &told["data"]["truncated"]), (&json!(200), &json!(true)));
    assert_eq!(told["data"]["executions"].as_array().unwrap().len(), 100);
    assert_eq!(told["tenant_id"], house.scope.id().as_str());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_within_a_moment_is_told_together() {
    let house = House::new();
    let mut client: Client = house.connect(ROOMY);
    client.subscribe("x", json!([]), None).await;
    let keyspace = house.keyspace();
    let started = tokio::time::Instant::now();
    let writing = house.means.threads.run(move || {
        (0..500).for_each(|n| append(&*keyspace, rows(n, &[Status::Success], "")));
    });
    let mut follower = Follower::from(1);
    let (wrote, ()) = tokio::join!(writing, follower.until(500, &mut client));
    wrote.unwrap();
    let most = 2 + started.elapsed().as_millis() / 4;
    assert!(follower.updates as u128 <= most, "{} updates", follower.updates);
    assert_eq!(follower.shown, (1..=500).collect::<Vec<_>>());
}
