//! A session that is bound to its client, and what others say about where they are.

use crate::elsewhere::connect_from;
use crate::peer::Ask;
use crate::world::{PASSWORD, Session, USER, World, check_at, login, me, refresh};

const AGENT: &str = "Firefox";

/// What somebody writes who wants to be taken for another address.
const SPOOFS: [(&str, &str); 6] = [
    ("X-Forwarded-For", "127.0.0.1"),
    ("X-Forwarded-For", "127.0.0.1, 127.0.0.1"),
    ("Forwarded", "for=127.0.0.1;proto=https"),
    ("X-Real-IP", "127.0.0.1"),
    ("X-Client-IP", "127.0.0.1"),
    ("True-Client-IP", "127.0.0.1"),
];

fn watch(ask: Ask) -> Ask {
    ask.header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
}

#[test]
fn a_bound_session_is_its_clients_alone_whatever_others_say_they_are() {
    let world = World::with(&[("EMX_SECURITY__SESSION_BINDING", "both")]);
    let as_agent = |ask: Ask, agent: &str| ask.header("User-Agent", agent);
    let mut here = connect_from(&world.server, "127.0.0.1");
    let mut near = connect_from(&world.server, "127.0.0.200");
    let mut far = connect_from(&world.server, "127.0.1.1");
    let session = Session::of(&here.ask(&as_agent(login(USER, PASSWORD), AGENT)).unwrap());
    let (access, token) = (session.access.as_str(), session.refresh.as_str());
    check_at(&mut here, &as_agent(me(access), AGENT), 200, "");
    check_at(&mut near, &as_agent(me(access), AGENT), 200, "");

    let ticket = Ask::post("/api/v1/ws/ticket").bearer(access);
    let ticket = here.ask(&as_agent(ticket, AGENT)).unwrap().json()["ticket"].clone();
    let by_ticket = format!("/api/v1/ws?ticket={}", ticket.as_str().unwrap());
    let origin = "https://localhost";
    let by_ticket = watch(Ask::get(&by_ticket)).header("Origin", origin);
    let by_token = watch(Ask::get("/api/v1/ws")).bearer(access);
    for ask in [me(access), refresh(token), by_token] {
        check_at(&mut far, &as_agent(ask.clone(), AGENT), 401, "client_changed");
        check_at(&mut here, &as_agent(ask.clone(), "curl"), 401, "client_changed");
        check_at(&mut here, &ask, 401, "client_changed");
        for (name, value) in SPOOFS {
            let spoofed = as_agent(ask.clone(), AGENT).header(name, value);
            check_at(&mut far, &spoofed, 401, "client_changed");
        }
    }
    check_at(&mut far, &as_agent(by_ticket, AGENT), 401, "client_changed");
    // Nobody has ended it: it goes on where it began, and near there.
    let next = Session::of(&near.ask(&as_agent(refresh(token), AGENT)).unwrap());
    check_at(&mut here, &as_agent(me(&next.access), AGENT), 200, "");
    drop((here, near, far));
    world.server.end();
}

#[test]
fn an_unbound_session_goes_where_its_owner_goes() {
    let world = World::new();
    let session = world.sign_in();
    let mut far = connect_from(&world.server, "127.0.1.1");
    check_at(&mut far, &me(&session.access).header("User-Agent", "curl"), 200, "");
    let next = far.ask(&refresh(&session.refresh).header("User-Agent", "curl")).unwrap();
    let next = Session::of(&next);
    // But a spent token is a second try only of the one who spent it.
    world.check(&refresh(&session.refresh), 401, "refresh_token_reused");
    check_at(&mut far, &me(&next.access), 401, "session_ended");
    drop(far);
    world.server.end();
}
