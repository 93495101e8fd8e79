//! Methods, addresses and headers.

use crate::peer::Ask;
use crate::world::{World, row};

#[test]
fn methods_and_addresses() {
    let mut world = World::new();
    let refused = |method: &str, target: &str| {
        let ask = Ask::new(method, target);
        row(&format!("{method} {target}"), ask, 405, "method_not_allowed")
    };
    world.check([
        refused("PUT", "/api/v1/executions"),
        refused("PATCH", "/api/v1/executions/x"),
        refused("DELETE", "/api/v1/query"),
        refused("GET", "/api/v1/auth/login"),
        refused("TRACE", "/healthz"),
        refused("OPTIONS", "/api/v1/query"),
        refused("OPTIONS", "*"),
        refused("BREW", "/api/v1/executions"),
        refused("get", "/healthz"),
        refused("POST", "/"),
        refused("PUT", "/index.html"),
        // What only the person at the machine may is an address like any other for everybody else.
        refused("POST", "/control/act"),
        refused("DELETE", "/nowhere"),
    ]);
    let absent = |target: &str| row(target, world.get(target), 404, "not_found");
    let rows = [
        absent("/api"),
        absent("/api/v2"),
        absent("/api/v1/executions/"),
        absent("/api//v1/executions"),
        absent("/api/v1/%65xecutions"),
        absent("/api/v1/executions/nobody"),
        absent("/api/v1/executions/a%2fb"),
        absent("/api/v1/executions/%00"),
        absent("/api/v1/executions/.."),
        absent("/api/v1/executions/%2e%2e%2fquery"),
        absent("/api/v1/api-keys/nobody"),
        absent("/assets/nothing.js"),
        absent("/assets/%2e%2e/index.html"),
        absent("/assets/../index.html"),
        absent("/assets/..%2findex.html"),
        absent("/assets//index.html"),
        absent("/./index.html"),
        absent("/..%5c..%5cindex.html"),
        absent("/..\\..\\index.html"),
        absent("//index.html/../../etc/passwd.txt"),
        absent("/index.html%00.js"),
        absent("/.well-known/jwks.json%00"),
        absent("/Cargo.toml"),
        row("DELETE a key", world.get("/api/v1/api-keys/x").method("DELETE"), 404, "not_found"),
        row(
            "DELETE an entry",
            world.get("/api/v1/quarantine/x").method("DELETE"),
            404,
            "not_found",
        ),
        row("retry no entry", world.post("/api/v1/quarantine/7/retry"), 404, "not_found"),
    ];
    world.check(rows);
    let coded = |target: &str| row(target, world.get(target), 400, "invalid_path");
    let rows = [
        coded("/api/v1/executions/%ff"),
        coded("/api/v1/executions/%c0%ae%c0%ae"),
        coded("/api/v1/executions/%"),
        coded("/api/v1/executions/%2"),
        coded("/api/v1/executions/%zz"),
        coded("/%ff"),
        row("a query of no text", world.get("/api/v1/query?metrics=%ff"), 400, "invalid_query"),
        row("a query cut short", world.get("/api/v1/query?metrics=count%"), 400, "invalid_query"),
    ];
    world.check(rows);
    let long = |length: usize| format!("/{}", "a".repeat(length - 1));
    world.check([
        row("a target over 16 KiB", Ask::get(&long((16 << 10) + 1)), 414, "uri_too_long"),
        row(
            "a query over 16 KiB",
            Ask::get(&format!("/x?{}", long(16 << 10))),
            414,
            "uri_too_long",
        ),
        row("a target over what is read", Ask::get(&long(400_000)), 431, ""),
        row("CONNECT", Ask::new("CONNECT", "localhost:443"), 400, "invalid_target"),
        row("a target that is a host", Ask::get("localhost:443"), 400, "invalid_target"),
        row("a target without `/`", Ask::get("healthz"), 400, "invalid_target"),
        row("a target that is a query", Ask::get("?x"), 400, ""),
        row("a target of two words", Ask::get("/a b"), 400, ""),
        row("NUL in the target", Ask::get("/a\0b"), 400, ""),
        row("a control character in the target", Ask::get("/a\x7fb"), 400, ""),
    ]);
    world.finish();
}

#[test]
fn heads_have_no_body_and_ranges_none() {
    let mut world = World::new();
    let one = world.execution(r#"{"command":"make"}"#);
    world.accept(&one, 1, 0);
    for target in
        ["/healthz", "/api/v1/executions", "/api/v1/query?metrics=count", "/api/v1/export"]
    {
        let mut peer = world.server.connect();
        let head = peer.ask(&world.get(target).method("HEAD")).unwrap();
        assert_eq!((head.status, head.body.len()), (200, 0), "{target}");
        // Whatever came after the head would be read as the next answer.
        let whole = peer.ask(&world.get(target)).unwrap();
        assert_eq!(whole.status, 200, "{target}");
        assert_eq!(head.header("content-type"), whole.header("content-type"), "{target}");
        let part = peer.ask(&world.get(target).header("Range", "bytes=0-0")).unwrap();
        assert_eq!((part.status, part.header("content-range")), (200, None), "{target}");
        let many = vec!["0-0"; 1000].join(",");
        let parts = peer.ask(&world.get(target).header("Range", &format!("bytes={many}"))).unwrap();
        assert_eq!(parts.status, 200, "{target}");
    }
    let mut peer = world.server.connect();
    let refused = peer.ask(&Ask::new("HEAD", "/api/v1/auth/login")).unwrap();
    assert_eq!((refused.status, refused.header("allow")), (405, Some("POST")));
    assert_eq!(peer.ask(&Ask::get("/healthz")).unwrap().status, 200);
    // Another method than the one that stands in front is not obeyed.
    let id = world.server.ask(&world.get("/api/v1/api-keys")).json()["items"][0]["id"].clone();
    let target = format!("/api/v1/api-keys/{}", id.as_str().unwrap());
    for header in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
        let ask = world.get(&target).header(header, "DELETE");
        assert_eq!(world.server.ask(&ask).json()["revoked_at"], serde_json::Value::Null);
    }
    let ask = world.get(&format!("{target}?_method=DELETE"));
    assert_eq!(world.server.ask(&ask).json()["revoked_at"], serde_json::Value::Null);
    // Other sites learn nothing, with or without credentials.
    for target in ["/api/v1/query?metrics=count", "/healthz", "/api/openapi.json"] {
        let ask = world.get(target).header("Origin", "https://evil.example");
        let answer = world.server.ask(&ask);
        let cors = answer.headers.iter().any(|(name, _)| name.starts_with("access-control-"));
        assert!(!cors && answer.status == 200, "{answer:?}");
    }
    world.finish();
}

#[test]
fn hosts_and_headers() {
    let mut world = World::new();
    let host = |value: &str| world.get("/api/v1/auth/me").with("Host", value);
    let bad = |value: &str| row(&format!("Host: {value}"), host(value), 400, "invalid_host");
    let me = || world.get("/api/v1/auth/me");
    let whole = |target: &str, host: &str| {
        let token = world.key("owner");
        let text = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        Ask::raw(text)
    };
    let rows = [
        bad(""),
        bad("user@localhost"),
        bad("user:secret@localhost"),
        bad("localhost:99999"),
        bad("localhost:https"),
        bad("localhost:+1"),
        bad("lo/cal"),
        bad("[::1"),
        bad("a b"),
        row("no Host", me().without("host"), 400, "invalid_host"),
        row("two Hosts", me().header("Host", "localhost"), 400, "invalid_host"),
        row("two other Hosts", me().header("host", "acme.metrics.test"), 400, "invalid_host"),
        row("HTTP/1.0 without", Ask::raw("GET /healthz HTTP/1.0\r\n\r\n"), 400, "invalid_host")
            .ends(),
        row("absolute, another", whole("https://a.example/x", "localhost"), 400, "invalid_host"),
        row("absolute, a user", whole("https://u@localhost/x", "localhost"), 400, "invalid_host"),
        row("the other tenant's", host("acme.metrics.test"), 403, "tenant_mismatch"),
        row("in capitals", host("ACME.Metrics.Test:8443"), 403, "tenant_mismatch"),
        row("of nobody", host("nobody.metrics.test"), 403, "tenant_mismatch"),
        row(
            "absolute, of another",
            whole("https://acme.metrics.test/api/v1/auth/me", "acme.metrics.test"),
            403,
            "tenant_mismatch",
        ),
    ];
    world.check(rows);
    let with = |name: &str, value: &str| Ask::get("/healthz").header(name, value);
    let many = |count: usize| {
        (0..count).fold(Ask::get("/healthz"), |ask, n| ask.header(&format!("x-{n}"), "1"))
    };
    assert_eq!(world.server.ask(&many(99)).status, 200, "a hundred headers with the host");
    world.check([
        row("headers over what is read", with("x-a", &"a".repeat(400_000)), 431, ""),
        row("101 headers", many(100), 431, ""),
        row("10,000 headers", many(10_000), 431, ""),
        row("a space in a name", with("x a", "1"), 400, ""),
        row("a space after a name", with("x-a ", "1"), 400, ""),
        row("an empty name", with("", "1"), 400, ""),
        row("NUL in a name", with("x\0a", "1"), 400, ""),
        row("NUL in a value", with("x-a", "a\0b"), 400, ""),
        row("CR in a value", with("x-a", "a\rb"), 400, ""),
        row("a folded line", with("x-a", "a\r\n b"), 400, ""),
        row(
            "a line without colon",
            Ask::raw("GET /healthz HTTP/1.1\r\nHost: localhost\r\nx\r\n\r\n"),
            400,
            "",
        ),
        row("HTTP/0.9", Ask::raw("GET /healthz\r\n\r\n"), 400, ""),
        row("HTTP/3.7", Ask::raw("GET /healthz HTTP/3.7\r\nHost: localhost\r\n\r\n"), 400, ""),
        row("no HTTP", Ask::raw(&b"\x16\x03\x01\x00\x05hello\r\n\r\n"[..]), 400, ""),
    ]);
    // Near the bound it is the server or hyper that says so, as the pieces come.
    let near = world.server.ask(&with("x-a", &"a".repeat(65 << 10)));
    assert!(near.status == 431 && matches!(near.code().as_str(), "" | "headers_too_large"));
    // RFC 9112 §2.2 lets a server take a lone LF for the end of a line; hyper does.
    let lenient = world.server.ask(&Ask::raw("GET /healthz HTTP/1.1\nHost: localhost\n\n"));
    assert_eq!(lenient.status, 200);
    // A request id that is not sane is replaced, a sane one comes back.
    for (given, taken) in [("abc-1.2_Z", true), ("a b", false), ("<script>", false)] {
        let answer = world.server.ask(&with("X-Request-Id", given));
        assert_eq!(answer.header("x-request-id") == Some(given), taken, "{given}");
    }
    world.finish();
}
