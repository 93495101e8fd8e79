//! What every answer tells browsers.

use crate::peer::{Answer, Ask};
use crate::server::{Server, TENANT};

/// What is the same for everything.
const ALWAYS: [(&str, &str); 3] = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
];

fn demand(answer: &Answer, wanted: &[(&str, &str)]) {
    for (name, value) in wanted {
        assert_eq!(answer.header(name), Some(*value), "{name}: {answer:?}");
    }
    for (name, _) in &answer.headers {
        assert!(!name.starts_with("access-control-") && name != "server", "{answer:?}");
        let times = answer.headers.iter().filter(|(other, _)| other == name).count();
        assert!(times == 1 || name == "set-cookie", "{name}: {answer:?}");
    }
}

/// Whether a page under this policy can be framed, or run or load anything that is not the server's.
fn is_strict(policy: &str) -> bool {
    let says = |part: &str| policy.split("; ").any(|said| said == part);
    let foreign = ["unsafe-", "http:", "https:", "*", "blob:"];
    says("default-src 'none'")
        && says("frame-ancestors 'none'")
        && !foreign.iter().any(|word| policy.contains(word))
}

#[test]
fn no_answer_may_be_kept_guessed_at_or_framed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let token = server.sign_in();
    let document = server.ask(&Ask::get("/api/openapi.json")).json();
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        if operations.get("get").is_none() {
            continue;
        }
        let named = |(n, part): (usize, &str)| if n % 2 == 1 { "none" } else { part }.to_owned();
        let target: String = path.split(['{', '}']).enumerate().map(named).collect();
        for ask in [Ask::get(&target).bearer(&token), Ask::get(&target), Ask::new("HEAD", &target)]
        {
            let answer = server.ask(&ask);
            demand(&answer, &ALWAYS);
            assert!(is_strict(answer.header("content-security-policy").unwrap()), "{answer:?}");
            // The public keys are for everybody; what depends on who asks is asked for each time.
            let kept = answer.header("cache-control").unwrap();
            let is_kept = target == "/.well-known/jwks.json" && answer.status == 200;
            let as_wanted = match is_kept {
                true => kept.starts_with("public, max-age="),
                false => matches!(kept, "no-store" | "private, no-cache"),
            };
            assert!(as_wanted, "{target}: {kept}");
            // The authority of this machine vouches for the certificate.
            assert_eq!(answer.header("strict-transport-security"), None, "{target}");
            asked += 1;
        }
    }
    assert!(asked > 40, "{asked}");
    for ask in [
        Ask::get("/api/nowhere"),
        Ask::post("/nowhere"),
        Ask::get("/%ff"),
        Ask::get("/healthz").without("Host"),
        Ask::get("/nowhere.js"),
        Ask::new("OPTIONS", "/api/v1/query"),
    ] {
        let answer = server.ask(&ask);
        demand(&answer, &ALWAYS);
        demand(&answer, &[("cache-control", "no-store")]);
        assert!(answer.status >= 400, "{answer:?}");
    }
    server.end();
}

#[test]
fn the_page_is_alone_in_its_window_and_loads_nothing_from_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let page = server.ask(&Ask::get("/"));
    if page.status == 503 {
        println!("skipped: the page's headers, for the binary was built without it");
        return server.end();
    }
    let text = String::from_utf8(page.body.clone()).unwrap();
    let files = text.split('"').filter(|part| part.contains("assets/"));
    let files: Vec<String> =
        files.map(|part| format!("/{}", part.trim_matches(['.', '/']))).collect();
    assert!(!files.is_empty(), "{text}");
    for target in
        files.iter().map(String::as_str).chain(["/", "/runs", &format!("/?tenant={TENANT}")])
    {
        let answer = server.ask(&Ask::get(target));
        assert_eq!(answer.status, 200, "{target}");
        demand(&answer, &ALWAYS);
        let features = answer.header("permissions-policy").unwrap();
        assert!(features.contains("camera=()"), "{features}");
        demand(
            &answer,
            &[("cross-origin-opener-policy", "same-origin"), ("vary", "accept-encoding")],
        );
        let policy = answer.header("content-security-policy").unwrap();
        assert!(is_strict(policy) && policy.contains("base-uri 'none'"), "{policy}");
        assert!(policy.contains("script-src 'self';") && policy.contains("style-src 'self';"));
    }
    let docs = server.ask(&Ask::get("/api/docs"));
    let policy = docs.header("content-security-policy").unwrap();
    assert!(is_strict(policy) && !policy.contains("script-src"), "{policy}");
    server.end();
}

#[test]
fn browsers_are_told_to_ask_by_tls_alone_where_the_certificate_is_the_companys() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    Server::start(&data).end();
    // Any certificate that is set in the settings is the company's.
    let [certificate, key] = ["server.pem", "server.key"].map(|name| data.join("tls").join(name));
    let files = [
        ("EMX_SERVER__CERTIFICATE", certificate.to_str().unwrap()),
        ("EMX_SERVER__KEY", key.to_str().unwrap()),
    ];
    let never = ("EMX_SERVER__HSTS_TIME", "0s");
    for (more, told) in [(None, Some("max-age=31536000")), (Some(never), None)] {
        let settings: Vec<_> = files.into_iter().chain(more).collect();
        let server = Server::start_with(&data, &settings);
        for target in ["/healthz", "/", "/api/v1/auth/me", "/nowhere.js"] {
            let answer = server.ask(&Ask::get(target));
            assert_eq!(answer.header("strict-transport-security"), told, "{target}");
        }
        server.end();
    }
}
