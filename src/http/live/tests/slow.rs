//! Whoever reads slowly loses nothing and slows nobody; whoever asks for too much is told.

use super::super::outbox::Closing;
use super::support::{Follower, House, ROOMY, append, rows};
use serde_json::{Value, json};
use storage::row::{Seq, Status};

/// A line that does not compress.
fn noise(seed: usize) -> String {
    use rand::{RngExt, SeedableRng, distr::Alphanumeric, rngs::Xoshiro256PlusPlus};
    let dice = Xoshiro256PlusPlus::seed_from_u64(seed as u64);
    dice.sample_iter(Alphanumeric).take(16 << 10).map(char::from).collect()
}

/// Rows whose text fills an outbox in a few updates.
fn store_long(house: &House, first: usize, count: usize) -> impl Future<Output = ()> {
    let keyspace = house.keyspace();
    let threads = house.means.threads.clone();
    async move {
        let work = move || {
            for n in (first..first + count).step_by(20) {
                let line = noise(n);
                append(&*keyspace, rows(n, &[Status::Success; 20], &line));
            }
        };
        threads.run(work).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_is_told_where_it_goes_on_and_goes_on() {
    let house = House::new();
    let (mut slow, mut quick) = (house.connect(512), house.connect(ROOMY));
    assert_eq!(slow.subscribe("a", json!([]), None).await, 1);
    assert_eq!(slow.subscribe("b", json!([]), None).await, 1);
    assert_eq!(quick.subscribe("q", json!([]), None).await, 1);
    const LAST: usize = 1_000;
    let mut follower = Follower::from(1);
    let ((), ()) =
        tokio::join!(store_long(&house, 0, LAST), follower.until(LAST as Seq, &mut quick));
    assert_eq!(follower.count, LAST as u64, "the quick one is not held up");

    let mut followers = [Follower::from(1), Follower::from(1)];
    let mut lags = 0;
    while followers.iter().any(|follower| follower.next <= LAST as Seq) {
        let told = slow.hear().await;
        let follower = &mut followers[usize::from(told["id"] == "b")];
        if told["type"] == "lagged" {
            assert_eq!(told["data"]["from_seq"], follower.next, "{told}");
            lags += 1;
        } else {
            follower.take(&told);
        }
    }
    assert!(lags >= 2, "both lagged");
    assert!(followers.iter().all(|follower| follower.count == LAST as u64));
    // And it is live again.
    house.store(LAST, &[Status::Failure]).await;
    for _ in 0..2 {
        let told = slow.hear().await;
        followers[usize::from(told["id"] == "b")].take(&told);
    }
    assert!(followers.iter().all(|follower| follower.failures == 1));
}

async fn refusal(house: &House, from: Seq) -> Value {
    let mut client = house.connect(ROOMY);
    client.ask("x", json!([]), Some(from)).await;
    let told = client.hear().await;
    assert_eq!((&told["type"], &told["id"]), (&json!("error"), &json!("x")));
    // There is no subscription now: the id is free.
    client.subscribe("x", json!([]), None).await;
    told["data"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_feed_does_not_have_is_refused() {
    let house = House::with_window(64 << 10);
    store_long(&house, 0, 2_000).await;
    house.run(|keyspace| keyspace.settle().unwrap()).await;
    let stats = house.run(|keyspace| keyspace.stats().unwrap()).await;
    let (first, last) = (stats.feed_first_seq, stats.last_seq);
    assert!(first > 2 && last == 2_000, "{stats:?}");
    for from in [0, 1, first - 1] {
        let refused = refusal(&house, from).await;
        assert_eq!(refused["code"], "seq_expired");
        assert_eq!(refused["first_seq"], first);
    }
    for from in [last + 2, Seq::MAX] {
        let refused = refusal(&house, from).await;
        assert_eq!(
            (&refused["code"], &refused["next_seq"]),
            (&json!("seq_ahead"), &json!(last + 1))
        );
    }
    for from in [first, last, last + 1] {
        let mut client = house.connect(ROOMY);
        assert_eq!(client.subscribe("x", json!([]), Some(from)).await, from);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lagged_beyond_the_feed_is_told_that_it_cannot_go_on() {
    let house = House::with_window(64 << 10);
    let mut slow = house.connect(512);
    slow.subscribe("a", json!([]), None).await;
    store_long(&house, 0, 4_000).await;
    house.run(|keyspace| keyspace.settle().unwrap()).await;
    let mut follower = Follower::from(1);
    let refused = loop {
        let told = slow.hear().await;
        match told["type"].as_str().unwrap() {
            "lagged" => assert_eq!(told["data"]["from_seq"], follower.next),
            "error" => break told,
            _ => follower.take(&told),
        }
    };
    assert_eq!((&refused["data"]["code"], &refused["id"]), (&json!("seq_expired"), &json!("a")));
    assert!(refused["data"]["first_seq"].as_u64().unwrap() > follower.next);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keyspace_is_let_go_with_the_last_watcher_and_taken_again_with_the_next() {
    let house = House::new();
    for round in 0..3 {
        let mut client = house.connect(ROOMY);
        let from = client.subscribe("x", json!([]), None).await;
        assert_eq!(from, round + 1);
        house.store(round as usize, &[Status::Success]).await;
        Follower::from(from).until(from, &mut client).await;
        drop(client);
        while !house.means.tasks.is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(house.hub.is_empty());
    }
    let watcher = house.hub.watch(&house.scope, &house.means, usize::MAX).unwrap();
    watcher.outbox.close(Closing::Failed);
}
