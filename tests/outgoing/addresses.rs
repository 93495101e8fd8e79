//! Every form in which an address can be written, and every kind of address: refused or let through,
//! where a URL is stored and where it is asked.

use crate::wire::PUBLIC;
use crate::world::{World, closed, guard};

/// Forms of URLs that are refused for what they are, and how.
const FORMS: &[(&str, &str)] = &[
    // IPv4 in all the ways that some reader understands.
    ("https://2130706433/", "url_invalid"),
    ("https://0x7f000001/", "url_invalid"),
    ("https://0X7F000001/", "url_invalid"),
    ("https://017700000001/", "url_invalid"),
    ("https://127.1/", "url_invalid"),
    ("https://127.0.1/", "url_invalid"),
    ("https://0x7f.1/", "url_invalid"),
    ("https://0177.0.0.1/", "url_invalid"),
    ("https://0177.0.0.01/", "url_invalid"),
    ("https://127.0.0.0x1/", "url_invalid"),
    ("https://127.000.000.001/", "url_invalid"),
    ("https://127.0.0.1./", "url_invalid"),
    ("https://127.0.0.256/", "url_invalid"),
    ("https://127.0.0.0.1/", "url_invalid"),
    ("https://0/", "url_invalid"),
    ("https://00/", "url_invalid"),
    ("https://0x/", "url_invalid"),
    ("https://1.1/", "url_invalid"),
    ("https://8.8.8/", "url_invalid"),
    ("https://134744072/", "url_invalid"),
    ("https://2852039166/latest/meta-data/", "url_invalid"),
    ("https://0xa9fea9fe/", "url_invalid"),
    ("https://0251.0376.0251.0376/", "url_invalid"),
    ("https://169.254.43518/", "url_invalid"),
    ("https://example.0x7f/", "url_invalid"),
    ("https://example.1/", "url_invalid"),
    // Digits, dots and letters of other scripts.
    ("https://１２７.０.０.１/", "url_invalid"),
    ("https://①②⑦.⓪.⓪.①/", "url_invalid"),
    ("https://127。0。0。1/", "url_invalid"),
    ("https://١٢٧.٠.٠.١/", "url_invalid"),
    ("https://ⓛocalhost/", "url_invalid"),
    ("https://exämple.org/", "url_invalid"),
    ("https://idp.example.org\u{200b}/", "url_invalid"),
    // IPv6 with zones, without brackets, cut short.
    ("https://[::1%25lo]/", "url_invalid"),
    ("https://[::1%lo]/", "url_invalid"),
    ("https://[fe80::1%25eth0]/", "url_invalid"),
    ("https://[::1/", "url_invalid"),
    ("https://::1/", "url_invalid"),
    ("https://[::1]x/", "url_invalid"),
    ("https://[127.0.0.1]/", "url_invalid"),
    ("https://[v1.x]/", "url_invalid"),
    ("https://[]/", "url_invalid"),
    ("https://[1::2::3]/", "url_invalid"),
    // Users, and what is taken for one.
    ("https://user@idp.example.org/", "url_invalid"),
    ("https://user:word@idp.example.org/", "url_invalid"),
    ("https://idp.example.org@127.0.0.1/", "url_invalid"),
    ("https://idp.example.org%40127.0.0.1/", "url_invalid"),
    ("https://idp.example.org:443@127.0.0.1/", "url_invalid"),
    ("https://@idp.example.org/", "url_invalid"),
    // White space, ends of lines, backslashes, escapes.
    ("https://idp.example.org/\r\nX: y", "url_invalid"),
    ("https://idp.example.org/\nX: y", "url_invalid"),
    ("https://idp.example.org/%0d%0aX:y", "url_invalid"),
    ("https://idp.example.org/%0Aa", "url_invalid"),
    ("https://idp.example.org/a%00b", "url_invalid"),
    ("https://idp.example.org/%7f", "url_invalid"),
    ("https://idp.example.org/%", "url_invalid"),
    ("https://idp.example.org/%4", "url_invalid"),
    ("https://idp.example.org/%zz", "url_invalid"),
    ("https://idp.example.org/%+1", "url_invalid"),
    ("https://idp.example.org/a b", "url_invalid"),
    (" https://idp.example.org/", "url_invalid"),
    ("https://idp.example.org/ ", "url_invalid"),
    ("https://idp.example.org\t/", "url_invalid"),
    ("https://idp.example.org\\@127.0.0.1/", "url_invalid"),
    ("https:\\\\127.0.0.1\\", "url_invalid"),
    ("https://127.0.0.1%00.example.org/", "url_invalid"),
    ("https://%31%32%37.0.0.1/", "url_invalid"),
    ("https://idp.example.org/#@127.0.0.1/", "url_invalid"),
    ("https://idp.example.org#/", "url_invalid"),
    // Hosts that are none.
    ("https://", "url_invalid"),
    ("https:///", "url_invalid"),
    ("https://./", "url_invalid"),
    ("https://../", "url_invalid"),
    ("https://idp..example.org/", "url_invalid"),
    ("https://.example.org/", "url_invalid"),
    ("https://idp.example.org./", "url_invalid"),
    ("https://-idp.example.org/", "url_invalid"),
    ("https://idp-.example.org/", "url_invalid"),
    ("https://idp,example.org/", "url_invalid"),
    ("https://*.example.org/", "url_invalid"),
    ("https://?x/", "url_invalid"),
    ("https://:443/", "url_invalid"),
    // Ports.
    ("https://idp.example.org:/", "url_invalid"),
    ("https://idp.example.org:0/", "url_invalid"),
    ("https://idp.example.org:0443/", "url_invalid"),
    ("https://idp.example.org:+443/", "url_invalid"),
    ("https://idp.example.org:-443/", "url_invalid"),
    ("https://idp.example.org:65536/", "url_invalid"),
    ("https://idp.example.org:65979/", "url_invalid"), // 443 modulo 65536
    ("https://idp.example.org:443:443/", "url_invalid"),
    ("https://idp.example.org:x/", "url_invalid"),
    ("https://idp.example.org:22/", "port_refused"),
    ("https://idp.example.org:25/", "port_refused"),
    ("https://idp.example.org:6379/", "port_refused"),
    ("https://198.41.0.4:9443/", "port_refused"),
    // Other ways to speak.
    ("http://idp.example.org/", "url_not_https"),
    ("http://127.0.0.1/", "url_not_https"),
    ("HTTP://198.41.0.4/", "url_not_https"),
    ("ftp://idp.example.org/", "url_invalid"),
    ("file:///etc/passwd", "url_invalid"),
    ("gopher://127.0.0.1:6379/_x", "url_invalid"),
    ("unix://run/docker.sock", "url_invalid"),
    ("data://text/plain,x", "url_invalid"),
    ("javascript://idp.example.org/%0aalert(1)", "url_invalid"),
    ("https:idp.example.org", "url_invalid"),
    ("https:/idp.example.org/", "url_invalid"),
    ("//idp.example.org/", "url_invalid"),
    ("idp.example.org", "url_invalid"),
    ("", "url_invalid"),
];

/// Addresses that nothing is sent to: the first, the last and what lies between of each block.
const REFUSED: &[&str] = &[
    "0.0.0.0",
    "0.0.0.1",
    "0.255.255.255",
    "10.0.0.0",
    "10.20.30.40",
    "10.255.255.255",
    "100.64.0.0",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.0",
    "127.0.0.1",
    "127.1.2.3",
    "127.255.255.255",
    "168.63.129.16",
    "169.254.0.0",
    "169.254.169.254",
    "169.254.170.2",
    "169.254.255.255",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.0",
    "192.0.0.192",
    "192.0.0.255",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.168.0.0",
    "192.168.255.255",
    "192.175.48.1",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.0",
    "239.255.255.255",
    "240.0.0.0",
    "255.255.255.254",
    "255.255.255.255",
    "::",
    "::1",
    "::2",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "::1:0:0",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "64:ff9b:2::1",
    "100::1",
    "100:0:0:1::1",
    "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:db8::1",
    "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
    "2002::1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::1",
    "2002:808:808::1",
    "2620:4f:8000::1",
    "3fff::1",
    "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
    "4000::1",
    "5f00::1",
    "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fc00::",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fd12:3456:789a::1",
    "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fe00::1",
    "fe80::",
    "fe80::1",
    "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fec0::1",
    "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "ff00::1",
    "ff02::1",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
];

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

fn literal(address: &str) -> String {
    match address.contains(':') {
        true => format!("[{address}]"),
        false => address.to_owned(),
    }
}

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
