//! Answers that are too large, too slow, elsewhere or none, and other ends that are not who they say.

use crate::site::{Reply, Site};
use crate::wire::{PUBLIC, Wire};
use crate::world::{ANSWER_BYTES_MAX, HOST, OWNER, World, closed, guard};
use emx::runtime::outgoing::{Ask, Outgoing, OutgoingError, Patience, Trust};
use futures_util::future::join_all;
use std::process::Command;
use std::sync::Arc;
use tokio::net::TcpListener;

const URL: &str = "https://idp.example.org/a?b=c";

#[tokio::test]
async fn what_is_asked_arrives_and_what_is_answered_comes_back() {
    let world = World::new(closed()).await;
    let pairs = [("a b", "ä&="), ("c", "")];
    let ask = Ask::post_form(URL, &pairs, 100).accept("application/json");
    let ask = ask.authorization("Bearer secret".to_owned());
    assert!(!format!("{ask:?}").contains("secret"));
    let answer = world.outgoing.send(OWNER, ask).await.unwrap();
    assert_eq!((answer.status, &*answer.body), (200, &b"ok"[..]));
    assert_eq!((answer.media_type().as_deref(), answer.is_json()), (Some("text/plain"), false));
    let came = &world.came()[0];
    assert_eq!((&*came.method, &*came.target), ("POST", "/a?b=c"));
    assert_eq!(came.body, "a+b=%C3%A4%26%3D&c=");
    for (name, value) in [
        ("content-type", "application/x-www-form-urlencoded"),
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
        ("authorization", "Bearer secret"),
        ("content-length", "19"),
    ] {
        assert_eq!(came.header(name), Some(value), "{name}");
    }
    assert!(came.header("user-agent").unwrap().starts_with("emx/"));
    for (content_type, is_json) in [
        ("application/json; charset=utf-8", true),
        ("Application/JSON", true),
        ("application/jwk-set+json", true),
        ("text/html", false),
        ("application/jsonp", false),
    ] {
        world.answer_with(Reply::new(404, &[("Content-Type", content_type)], "{}"));
        let answer = world.get(URL).await.unwrap();
        assert_eq!((answer.status, answer.is_json()), (404, is_json), "{content_type}");
    }
    let split = Ask::get(URL, 100).authorization("Bearer a\r\nX: y".to_owned());
    assert_eq!(world.outgoing.send(OWNER, split).await.unwrap_err().code(), "header_invalid");
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let world = World::new(closed()).await;
    for status in [300, 301, 302, 303, 307, 308] {
        for to in ["http://169.254.169.254/", "https://idp.example.org/", "//127.0.0.1/", "/"] {
            world.answer_with(Reply::new(status, &[("Location", to)], ""));
            let error = world.get(URL).await.unwrap_err();
            assert_eq!(error, OutgoingError::Redirect { host: HOST.to_owned(), status });
        }
    }
    assert_eq!(world.wire.connected().len(), 6 * 4);
    assert_eq!(world.came().len(), 6 * 4);
}

#[tokio::test]
async fn an_answer_has_a_bound() {
    let world = World::new(closed()).await;
    let text = |bytes| Reply::new(200, &[], vec![b'x'; bytes]);
    world.answer_with(text(ANSWER_BYTES_MAX));
    assert_eq!(world.get(URL).await.unwrap().body.len(), ANSWER_BYTES_MAX);
    let announced = Reply::Bytes(b"HTTP/1.1 200 X\r\nContent-Length: 10000000\r\n\r\nx".to_vec());
    for large in [text(ANSWER_BYTES_MAX + 1), text(10 << 20), announced, Reply::endless()] {
        world.answer_with(large);
        assert_eq!(world.get(URL).await.unwrap_err().code(), "answer_too_large");
    }
    // A head is bounded too.
    for head in [
        format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(100_000)),
        format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(1_000)),
        format!("HTTP/1.1 {}", "x".repeat(100_000)),
    ] {
        world.answer_with(Reply::Bytes(head.into_bytes()));
        assert_eq!(world.get(URL).await.unwrap_err().code(), "answer_broken");
    }
}

#[tokio::test]
async fn what_is_compressed_or_broken_is_no_answer() {
    let world = World::new(closed()).await;
    for encoding in ["gzip", "br", "identity, gzip", "x"] {
        world.answer_with(Reply::new(200, &[("Content-Encoding", encoding)], "x"));
        assert_eq!(world.get(URL).await.unwrap_err().code(), "answer_encoded", "{encoding}");
    }
    for broken in [
        "",
        "SSH-2.0-OpenSSH_9.6\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        "HTTP/1.1 200 OK\r\nX Y: z\r\n\r\n",
    ] {
        world.answer_with(Reply::Bytes(broken.as_bytes().to_vec()));
        let error = world.get(URL).await.unwrap_err();
        assert_eq!((error.code(), error.is_transient()), ("answer_broken", true), "{broken:?}");
    }
}

#[tokio::test]
async fn every_step_has_a_bound_in_time() {
    let world = World::impatient().await;
    for stuck in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"] {
        world.answer_with(Reply::Stuck(stuck.as_bytes().to_vec()));
        let error = world.get(URL).await.unwrap_err();
        let expected = OutgoingError::Slow { host: HOST.to_owned(), doing: "answer" };
        assert_eq!(error, expected, "{stuck:?}");
    }
    // A server that takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.wire.line(&format!("{PUBLIC}:443"), silent.local_addr().unwrap());
    let error = world.get(URL).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("answer_slow", true));
    assert!(error.to_string().contains("prove who it is"), "{error}");
}

#[tokio::test]
async fn an_other_end_that_does_not_prove_who_it_is_is_told_nothing() {
    let world = World::new(closed()).await;
    let answering = Arc::new(|_| Reply::new(200, &[], "ok"));
    let stranger = Site::start(&[HOST], answering.clone()).await;
    let misnamed = Site::start(&["other.example.org"], answering.clone()).await;
    let plain = Site::start_plain(answering).await;
    for (what, site) in [("stranger", &stranger), ("misnamed", &misnamed), ("plain", &plain)] {
        let wire = Wire::new();
        wire.name(HOST, &[&[PUBLIC]]);
        wire.line(&format!("{PUBLIC}:443"), site.address);
        let ca_file = if what == "misnamed" { site.ca_file() } else { world.site.ca_file() };
        let trust = Trust::of_file(&ca_file).unwrap();
        let outgoing = Outgoing::over(wire, closed(), trust, Patience::default());
        let error = outgoing.send(OWNER, Ask::get(URL, 100)).await.unwrap_err();
        assert_eq!((error.code(), error.is_transient()), ("tls_failed", false), "{what}: {error}");
    }
}

#[tokio::test]
async fn a_network_that_is_opened_plainly_is_asked_without_tls() {
    let site = Site::start_plain(Arc::new(|_| Reply::new(200, &[], "plain"))).await;
    let wire = Wire::new();
    wire.name("intranet", &[&["10.1.2.3"]]);
    wire.line("10.1.2.3:80", site.address);
    let world = World::new(closed()).await;
    let trust = Trust::of_file(&world.site.ca_file()).unwrap();
    let guard = guard(&[], &["10.0.0.0/8"]);
    let outgoing = Outgoing::over(wire, guard, trust, Patience::default());
    let answer = outgoing.send(OWNER, Ask::get("http://intranet/", 100)).await.unwrap();
    assert_eq!(&*answer.body, b"plain");
}

#[tokio::test]
async fn one_other_end_that_hangs_does_not_take_every_place() {
    const OF_ONE_MAX: usize = 32;
    let world = World::new(closed()).await;
    world.answer_with(Reply::Stuck(Vec::new()));
    let hanging = join_all((0..OF_ONE_MAX).map(|_| world.get(URL)));
    let beside = async {
        while world.wire.connections() < OF_ONE_MAX {
            tokio::task::yield_now().await;
        }
        assert_eq!(world.get(URL).await.unwrap_err().code(), "outgoing_busy");
        world.wire.name("other.example.org", &[&["198.41.0.5"]]);
        let other = world.get("https://other.example.org/").await.unwrap_err();
        assert_eq!(other.code(), "connect_failed");
    };
    tokio::select! {
        _ = hanging => panic!("nothing was answered"),
        () = beside => {}
    }
    // Whoever gave up has given the place back.
    world.answer_with(Reply::new(200, &[], "ok"));
    assert_eq!(world.get(URL).await.unwrap().status, 200);
}

/// This program again, with one of its tests and an environment that names a proxy.
#[test]
fn no_proxy_is_taken_from_the_environment() {
    let name = "answers::no_redirect_is_followed";
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args([name, "--exact"]);
    for variable in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        again.env(variable, "http://127.0.0.1:9");
    }
    let output = again.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
