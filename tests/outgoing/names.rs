//! Names whose answers change, or are of several kinds.

use crate::wire::PUBLIC;
use crate::world::{HOST, OWNER, World, closed};

const URL: &str = "https://idp.example.org/";

#[tokio::test]
async fn an_answer_that_changes_between_storing_and_asking_leads_nowhere() {
    let world = World::new(closed()).await;
    for inside in ["127.0.0.1", "::1", "169.254.169.254", "10.0.0.1", "fd00:ec2::254", "::"] {
        world.wire.name(HOST, &[&[PUBLIC], &[inside]]);
        assert!(world.outgoing.check(OWNER, URL).await.is_ok());
        assert_eq!(world.get(URL).await.unwrap_err().code(), "address_refused", "{inside}");
        assert!(world.wire.connected().is_empty(), "{inside}");
    }
    // And a change after the check of a request finds that nobody asks any more.
    world.wire.looked_up();
    world.wire.name(HOST, &[&[PUBLIC], &["127.0.0.1"]]);
    assert_eq!(world.get(URL).await.unwrap().status, 200);
    assert_eq!(world.wire.looked_up(), [HOST], "one request, one look");
    assert_eq!(world.wire.connected(), [format!("{PUBLIC}:443")]);
    assert_eq!(world.get(URL).await.unwrap_err().code(), "address_refused");
}

#[tokio::test]
async fn one_bad_address_among_good_ones_spoils_them() {
    let world = World::new(closed()).await;
    for mixed in [
        &[PUBLIC, "127.0.0.1"][..],
        &["127.0.0.1", PUBLIC],
        &[PUBLIC, "::1"],
        &[PUBLIC, "::ffff:10.0.0.1"],
        &["2606:4700:4700::1111", "10.0.0.1"],
        &["2606:4700:4700::1111", PUBLIC, "fe80::1"],
        &[PUBLIC, PUBLIC, PUBLIC, PUBLIC, PUBLIC, PUBLIC, PUBLIC, "169.254.169.254"],
    ] {
        world.wire.name(HOST, &[mixed]);
        assert_eq!(world.verdicts(URL).await, ("address_refused", "address_refused"), "{mixed:?}");
        assert!(world.wire.connected().is_empty(), "{mixed:?}");
    }
}

#[tokio::test]
async fn the_next_address_is_tried_where_one_takes_no_connection() {
    let world = World::new(closed()).await;
    let others = ["2606:4700:4700::1111", "198.41.0.5"];
    world.wire.name(HOST, &[&[others[0], others[1], PUBLIC]]);
    assert_eq!(world.get(URL).await.unwrap().status, 200);
    let tried = [format!("[{}]:443", others[0]), format!("{}:443", others[1])];
    assert_eq!(world.wire.connected(), [&tried[..], &[format!("{PUBLIC}:443")]].concat());
    // But not every one of a long list.
    world.wire.name(HOST, &[&[others[0], others[1], others[1], PUBLIC]]);
    assert_eq!(world.get(URL).await.unwrap_err().code(), "connect_failed");
    assert_eq!(world.wire.connected().len(), 3);
}

#[tokio::test]
async fn the_name_stays_where_the_address_is_connected_to() {
    let world = World::new(closed()).await;
    world.wire.line(&format!("{PUBLIC}:8443"), world.site.address);
    for (url, host, sni) in [
        (URL, HOST, Some(HOST)),
        ("https://IDP.Example.org:8443/a?b", "idp.example.org:8443", Some(HOST)),
        ("https://198.41.0.4/", PUBLIC, None),
    ] {
        world.get(url).await.unwrap();
        let came = &world.came()[0];
        assert_eq!((came.header("host"), came.sni.as_deref()), (Some(host), sni), "{url}");
    }
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_told_so() {
    let world = World::new(closed()).await;
    let unknown = "https://unknown.example.org/";
    assert_eq!(world.verdicts(unknown).await, ("name_unresolved", "name_unresolved"));
    world.wire.name("unknown.example.org", &[&[]]);
    assert_eq!(world.verdicts(unknown).await, ("name_unresolved", "name_unresolved"));
    let error = world.get(unknown).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("`unknown.example.org`"));
}

#[tokio::test]
async fn no_message_tells_which_address_a_name_has() {
    let world = World::new(closed()).await;
    world.wire.name(HOST, &[&["10.11.12.13"]]);
    let error = world.get(URL).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("10.11"), "{error:?}");
    assert!(error.to_string().contains("outgoing.networks"), "{error}");
    world.wire.name(HOST, &[&["169.254.169.254"]]);
    let error = world.get(URL).await.unwrap_err().to_string();
    assert!(error.contains("a cloud's metadata") && !error.contains("networks"), "{error}");
}

#[tokio::test]
async fn lookups_that_hang_are_a_matter_of_whoever_asked_for_them() {
    let world = World::impatient().await;
    world.wire.hang("slow.example.org");
    let slow = || world.outgoing.check(OWNER, "https://slow.example.org/");
    for _ in 0..4 {
        assert_eq!(slow().await.unwrap_err().code(), "answer_slow");
    }
    // Nobody waits for them any more, and they hold what they hold.
    assert_eq!(slow().await.unwrap_err().code(), "outgoing_busy");
    assert_eq!(world.get(URL).await.unwrap_err().code(), "outgoing_busy");
    world.outgoing.check("another", URL).await.unwrap();
    world.wire.end_lookups();
    assert_eq!(world.get(URL).await.unwrap().status, 200);
}
