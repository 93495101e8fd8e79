//! Every form in which an address can be written, and every kind of address: refused or let through,
//! where a URL is stored and where it is asked.

use crate::forms::{FORMS, REFUSED, literal};
use crate::wire::PUBLIC;
use crate::world::{World, closed, guard};

/// Addresses beside the blocks, which belong to the internet.
const LET_THROUGH: &[&str] = &[
    PUBLIC,
    "1.0.0.0",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.0.3.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2000::1",
    "2001:200::1",
    "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:db9::1",
    "2003::1",
    "2606:4700:4700::1111",
    "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "3fff:1000::1",
];

#[tokio::test]
async fn every_form_that_two_readers_read_differently_is_refused() {
    let world = World::new(closed()).await;
    assert!(FORMS.len() + REFUSED.len() > 150);
    let long = format!("https://idp.example.org/{}", "a".repeat(2048));
    let label = format!("https://{}.example.org/", "a".repeat(64));
    let name = format!("https://{}org/", "a.".repeat(127));
    let built = [long, label, name];
    let built = built.iter().map(|form| (form.as_str(), "url_invalid"));
    for (form, expected) in FORMS.iter().copied().chain(built) {
        let early = world.outgoing.guard().check_url(form).map_err(|error| error.code());
        assert_eq!(early.unwrap_err(), expected, "{form:?}");
        assert_eq!(world.verdicts(form).await, (expected, expected), "{form:?}");
    }
    assert!(world.wire.connected().is_empty() && world.wire.looked_up().is_empty());
}

#[tokio::test]
async fn every_kind_of_address_is_refused_as_it_stands_and_behind_a_name() {
    let world = World::new(closed()).await;
    for address in REFUSED {
        let url = format!("https://{}/", literal(address));
        let early = world.outgoing.guard().check_url(&url).map_err(|error| error.code());
        assert_eq!(early.unwrap_err(), "address_refused", "{address}");
        assert_eq!(world.verdicts(&url).await, ("address_refused", "address_refused"));
        world.wire.name("leads.example.org", &[&[address]]);
        let verdicts = world.verdicts("https://leads.example.org/").await;
        assert_eq!(verdicts, ("address_refused", "address_refused"), "{address}");
    }
    assert!(world.wire.connected().is_empty());
}

#[tokio::test]
async fn what_lies_beside_is_connected_to_where_it_is() {
    let world = World::new(closed()).await;
    for address in LET_THROUGH {
        let host = literal(address);
        let expected = [format!("{host}:443")];
        let answers = *address == PUBLIC;
        let outcome = if answers { "ok" } else { "connect_failed" };
        assert_eq!(world.verdicts(&format!("https://{host}/")).await, ("ok", outcome), "{address}");
        assert_eq!(world.wire.connected(), expected);
        world.wire.name("leads.example.org", &[&[address]]);
        let sent = world.verdicts("https://leads.example.org/").await;
        // Its certificate is for another name.
        assert_eq!(sent, ("ok", if answers { "tls_failed" } else { "connect_failed" }));
        assert_eq!(world.wire.connected(), expected);
    }
}

#[tokio::test]
async fn an_administrator_opens_private_networks_and_single_services() {
    let networks =
        ["10.20.0.0/16", "fd12::/16", "100.64.0.0/10", "127.0.0.1:9443", "192.168.1.7:9000"];
    let world = World::new(guard(&networks, &["10.30.0.0/16", "127.0.0.2:8080"])).await;
    for (url, expected) in [
        ("https://10.20.0.0/", "ok"),
        ("https://10.20.255.255:8443/", "ok"),
        ("https://10.20.1.1:9443/", "address_refused"), // the port is another service's
        ("https://10.20.1.1:22/", "port_refused"),
        ("https://10.19.255.255/", "address_refused"),
        ("https://10.21.0.0/", "address_refused"),
        ("http://10.20.1.1/", "url_not_https"),
        ("https://10.30.1.1/", "ok"),
        ("http://10.30.1.1/", "ok"),
        ("http://198.41.0.4/", "url_not_https"),
        ("https://[fd12::1]/", "ok"),
        ("https://[fd13::1]/", "address_refused"),
        ("https://[::ffff:10.20.1.1]/", "address_refused"),
        ("https://[64:ff9b::a14:101]/", "address_refused"),
        ("https://[2002:a14:101::1]/", "address_refused"),
        ("https://100.64.1.1/", "ok"),
        ("https://100.100.100.200/", "address_refused"), // metadata in the midst of it
        ("https://169.254.169.254/", "address_refused"),
        ("https://[fe80::1]/", "address_refused"),
        ("https://127.0.0.1:9443/", "ok"),
        ("https://127.0.0.1/", "address_refused"),
        ("https://127.0.0.1:8443/", "address_refused"),
        ("https://127.0.0.2:9443/", "address_refused"),
        ("https://[::1]:9443/", "address_refused"),
        ("http://127.0.0.1:9443/", "url_not_https"),
        ("http://127.0.0.2:8080/", "ok"),
        ("https://192.168.1.7:9000/", "ok"),
        ("https://192.168.1.7/", "address_refused"),
        ("https://198.41.0.4:9443/", "port_refused"), // the port is another service's
        ("https://198.41.0.4/", "ok"),
    ] {
        let (saved, sent) = world.verdicts(url).await;
        assert_eq!(saved, expected, "{url}");
        let connected = world.wire.connected();
        match expected {
            "ok" => {
                assert_eq!((connected.len(), ["ok", "connect_failed"].contains(&sent)), (1, true))
            }
            _ => assert_eq!((connected, sent), (vec![], expected), "{url}"),
        }
    }
    // A name is no other way in.
    world.wire.name("kdc.example.org", &[&["10.20.1.1"]]);
    assert_eq!(world.verdicts("https://kdc.example.org/").await, ("ok", "connect_failed"));
    world.wire.name("kdc.example.org", &[&["127.0.0.1"]]);
    let refused = ("address_refused", "address_refused");
    assert_eq!(world.verdicts("https://kdc.example.org/").await, refused);
    assert_eq!(world.verdicts("https://kdc.example.org:9443/").await, ("ok", "connect_failed"));
    world.wire.name("kdc.example.org", &[&["127.0.0.1", "::1"]]);
    assert_eq!(world.verdicts("https://kdc.example.org:9443/").await, refused);
}
