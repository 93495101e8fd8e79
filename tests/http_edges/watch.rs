//! Which pages may open a WebSocket: each origin, with a token, a ticket and a cookie.

use crate::peer::{Ask, Peer};
use crate::server::Server;

/// How a client says who it is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Token,
    Ticket,
    /// A token, and what a browser sends along.
    TokenAndCookie,
}

/// The status that a handshake gets.
pub(crate) fn handshake(peer: &mut Peer, ask: &Ask) -> u16 {
    let ask = ask
        .clone()
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    peer.send(&ask.bytes()).unwrap();
    // Of a WebSocket's answer there is nothing after its head, which is no answer for `Peer`.
    let (mut head, mut piece) = (Vec::new(), [0; 4096]);
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let read = peer.read(&mut piece).unwrap();
        assert!(read > 0, "the connection ended: {head:?}");
        head.extend_from_slice(&piece[..read]);
    }
    String::from_utf8_lossy(&head).split(' ').nth(1).unwrap().parse().unwrap()
}

/// A ticket for whoever has the token.
pub(crate) fn ticket(server: &Server, token: &str) -> String {
    let answer = server.ask(&Ask::post("/api/v1/ws/ticket").bearer(token));
    answer.json()["ticket"].as_str().unwrap().to_owned()
}

#[test]
fn only_listed_pages_and_the_own_one_watch() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let listed = [("EMX_SERVER__ORIGINS", "https://wall.example, http://wall.example:81")];
    let server = Server::start_with(&data, &listed);
    let token = server.sign_in();
    let origins = [
        (Some("https://localhost"), true),
        (Some("https://wall.example"), true),
        (Some("https://WALL.example:443"), true),
        (Some("http://wall.example:81"), true),
        (Some("http://wall.example"), false),
        (Some("https://wall.example:81"), false),
        (Some("https://wall.example.evil.example"), false),
        (Some("https://evil-wall.example"), false),
        (Some("https://wall.example/"), false),
        (Some("https://evil.example"), false),
        (Some("http://localhost"), false),
        (Some("https://localhost:8443"), false),
        (Some("null"), false),
        (Some(""), false),
        (Some("*"), false),
    ];
    // A program has no page: it is let in by its token, but not with what only a browser has.
    let nowhere = |by| (None, by == By::Token);
    for by in [By::Token, By::Ticket, By::TokenAndCookie] {
        for (origin, may) in origins.into_iter().chain([nowhere(by)]) {
            let ask = match by {
                By::Token => Ask::get("/api/v1/ws").bearer(&token),
                By::Ticket => Ask::get(&format!("/api/v1/ws?ticket={}", ticket(&server, &token))),
                By::TokenAndCookie => Ask::get("/api/v1/ws").bearer(&token).header("Cookie", "a=b"),
            };
            let ask = origin.iter().fold(ask, |ask, origin| ask.header("Origin", origin));
            let status = handshake(&mut server.connect(), &ask);
            assert_eq!(status, if may { 101 } else { 403 }, "{by:?} {origin:?}");
        }
    }
    let twice = Ask::get("/api/v1/ws").bearer(&token).header("Origin", "https://localhost");
    let twice = twice.header("Origin", "https://wall.example");
    assert_eq!(handshake(&mut server.connect(), &twice), 400);
    server.end();
}
