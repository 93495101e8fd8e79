//! Who may ask what: every address of the OpenAPI document by nobody, by strangers, by people and keys of
//! every role, by whoever administers the platform, and by all of them of another tenant. The table
//! below says what is expected; an address without a row fails. And what belongs to another tenant is
//! told from what is nowhere by nothing: neither status nor body nor size (`http_matrix/walls.rs`).
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "http_matrix/callers.rs"]
mod callers;
#[path = "support/peer.rs"]
mod peer;
#[path = "support/server.rs"]
mod server;
#[path = "http_matrix/walls.rs"]
mod walls;
#[path = "identity/world.rs"]
mod world;

use Who::{Everybody, From, Ingest, Known, Platform};
use callers::{Kind, OTHER, ROLES, Scene};
use peer::{Answer, Ask};
use server::TENANT;
use std::collections::BTreeSet;

/// Who may ask.
#[derive(Clone, Copy, Debug)]
enum Who {
    /// Without saying who.
    Everybody,
    /// Whoever is known.
    Known,
    /// Whoever has this role or a higher one.
    From(&'static str),
    /// The same, and keys that only send.
    Ingest(&'static str),
    /// Whoever administers the platform.
    Platform,
}

impl Who {
    fn lets(self, role: &str) -> bool {
        let rank = |role: &str| ROLES.iter().position(|known| *known == role).unwrap();
        match self {
            Everybody | Known => true,
            Platform => false,
            From(lowest) => role != "ingest" && rank(role) >= rank(lowest),
            Ingest(lowest) => role == "ingest" || rank(role) >= rank(lowest),
        }
    }
}

/// Every address, and who may ask there.
const TABLE: &[(&str, &str, Who)] = &[
    ("POST", "/api/v1/executions", Ingest("member")),
    ("POST", "/api/v1/executions/batch", Ingest("member")),
    ("GET", "/api/v1/executions", From("viewer")),
    ("GET", "/api/v1/executions/{id}", From("viewer")),
    ("GET", "/api/v1/quarantine", From("viewer")),
    ("POST", "/api/v1/quarantine/{id}/retry", From("manager")),
    ("DELETE", "/api/v1/quarantine/{id}", From("manager")),
    ("GET", "/api/v1/query", From("viewer")),
    ("POST", "/api/v1/query", From("viewer")),
    ("GET", "/api/v1/export", From("viewer")),
    ("POST", "/api/v1/auth/login", Everybody),
    ("POST", "/api/v1/auth/refresh", Everybody),
    ("POST", "/api/v1/auth/logout", Known),
    ("GET", "/api/v1/auth/me", Known),
    ("GET", "/api/v1/auth/otp", Known),
    ("POST", "/api/v1/auth/otp", Known),
    ("DELETE", "/api/v1/auth/otp", Known),
    ("POST", "/api/v1/auth/otp/enrol", Everybody),
    ("POST", "/api/v1/auth/accept", Everybody),
    ("GET", "/.well-known/jwks.json", Everybody),
    ("GET", "/api/v1/users", From("manager")),
    ("POST", "/api/v1/users", From("admin")),
    ("POST", "/api/v1/users/invite", From("admin")),
    ("GET", "/api/v1/users/{id}", From("manager")),
    ("PATCH", "/api/v1/users/{id}", From("admin")),
    ("DELETE", "/api/v1/users/{id}", From("admin")),
    ("POST", "/api/v1/users/{id}/reset", From("admin")),
    ("DELETE", "/api/v1/users/{id}/otp", From("admin")),
    ("GET", "/api/v1/teams", From("manager")),
    ("POST", "/api/v1/teams", From("admin")),
    ("GET", "/api/v1/teams/{id}", From("manager")),
    ("PATCH", "/api/v1/teams/{id}", From("admin")),
    ("DELETE", "/api/v1/teams/{id}", From("admin")),
    ("GET", "/api/v1/teams/{id}/members", From("manager")),
    ("PUT", "/api/v1/teams/{id}/members/{user_id}", From("admin")),
    ("DELETE", "/api/v1/teams/{id}/members/{user_id}", From("admin")),
    ("GET", "/api/v1/roles", Known),
    ("GET", "/api/v1/sign-in-rules", From("manager")),
    ("PATCH", "/api/v1/sign-in-rules", From("owner")),
    ("GET", "/api/v1/tenants/{slug}/row-policy", From("manager")),
    ("PUT", "/api/v1/tenants/{slug}/row-policy", From("owner")),
    ("GET", "/api/v1/auth/sessions", Known),
    ("DELETE", "/api/v1/auth/sessions/{family}", Known),
    ("POST", "/api/v1/auth/revoke", Everybody),
    ("POST", "/api/v1/auth/password", Known),
    ("GET", "/api/v1/users/{id}/sessions", From("admin")),
    ("DELETE", "/api/v1/users/{id}/sessions", From("admin")),
    ("DELETE", "/api/v1/users/{id}/sessions/{family}", From("admin")),
    ("POST", "/api/v1/admin/signing-keys/rotate", Platform),
    ("GET", "/api/v1/tenants/{slug}/limits", From("manager")),
    ("PUT", "/api/v1/tenants/{slug}/limits", Platform),
    ("GET", "/api/v1/tenants/{slug}/usage", From("manager")),
    ("GET", "/api/v1/tenants/{slug}/migrations", From("manager")),
    ("POST", "/api/v1/tenants/{slug}/migrations/apply", Platform),
    ("POST", "/api/v1/tenants/{slug}/migrations/rollback", Platform),
    ("GET", "/api/v1/api-keys", From("admin")),
    ("POST", "/api/v1/api-keys", From("admin")),
    ("GET", "/api/v1/api-keys/{id}", From("admin")),
    ("PATCH", "/api/v1/api-keys/{id}", From("admin")),
    ("DELETE", "/api/v1/api-keys/{id}", From("admin")),
    ("GET", "/api/v1/tenants", Platform),
    ("POST", "/api/v1/tenants", Platform),
    ("GET", "/api/v1/tenants/{slug}", From("manager")),
    ("PATCH", "/api/v1/tenants/{slug}", From("owner")),
    ("DELETE", "/api/v1/tenants/{slug}", Platform),
    ("GET", "/api/v1/auth/sso", Everybody),
    ("GET", "/api/v1/auth/sso/{tenant}/{provider}/start", Everybody),
    ("GET", "/api/v1/auth/sso/{tenant}/{provider}/callback", Everybody),
    ("GET", "/api/v1/auth/saml/{tenant}/{provider}/start", Everybody),
    ("POST", "/api/v1/auth/saml/{tenant}/{provider}/acs", Everybody),
    ("GET", "/api/v1/auth/saml/{tenant}/{provider}/metadata", Everybody),
    ("GET", "/api/v1/sso-providers", From("admin")),
    ("POST", "/api/v1/sso-providers", From("admin")),
    ("GET", "/api/v1/sso-providers/{id}", From("admin")),
    ("PATCH", "/api/v1/sso-providers/{id}", From("admin")),
    ("DELETE", "/api/v1/sso-providers/{id}", From("admin")),
    ("POST", "/api/v1/sso-providers/{id}/check", From("admin")),
    ("GET", "/api/v1/audit", From("admin")),
    ("GET", "/api/v1/audit/anchor", From("admin")),
    ("GET", "/api/v1/audit/verify", From("admin")),
    ("GET", "/api/v1/audit/export", From("admin")),
    ("GET", "/healthz", Everybody),
    ("GET", "/readyz", Everybody),
    ("GET", "/metrics", From("viewer")),
    ("GET", "/ca.pem", Everybody),
    ("GET", "/api/openapi.json", Everybody),
    ("GET", "/api/docs", Everybody),
    ("GET", "/api/v1/ws", From("viewer")),
    ("POST", "/api/v1/ws/ticket", From("viewer")),
];

/// What nothing is called.
const NOWHERE: &str = "018f0000-0000-7000-8000-00000000dead";

/// What an answer says of who asked.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// It is not known who asks.
    Unknown,
    /// Whoever asks may not.
    May(bool),
    /// Whoever asks belongs elsewhere.
    Elsewhere,
}

fn verdict(answer: &Answer) -> Verdict {
    match (answer.status, &*answer.code()) {
        (401, _) => Verdict::Unknown,
        (403, "forbidden") => Verdict::May(false),
        (403, "tenant_mismatch") => Verdict::Elsewhere,
        _ => Verdict::May(true),
    }
}

/// A request to `method path`, about nothing that there is.
fn about_nothing(method: &str, path: &str) -> Ask {
    let mut target = path.to_owned();
    while let Some((before, rest)) = target.split_once('{') {
        let after = rest.split_once('}').unwrap().1;
        target = format!("{before}{NOWHERE}{after}");
    }
    let ask = Ask::new(method, &target);
    match path {
        "/api/v1/ws" => ask
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
        _ => ask,
    }
}

/// One row of the table at work.
struct Judge<'a> {
    scene: &'a Scene,
    row: &'a (&'static str, &'static str, Who),
    faults: Vec<String>,
}

impl Judge<'_> {
    fn judge(&mut self, name: &str, dress: impl FnOnce(Ask) -> Ask, expected: Verdict) {
        let (method, path, _) = self.row;
        if *path == "/api/v1/ws" && expected == Verdict::May(true) {
            return; // it would go on as a WebSocket: `live` tries that
        }
        let answer = self.scene.server.ask(&dress(about_nothing(method, path)));
        let (found, status) = (verdict(&answer), answer.status);
        if found != expected || status >= 500 {
            let code = answer.code();
            self.faults.push(format!(
                "{method} {path} {name}: {status} {code} {found:?}, not {expected:?}"
            ));
        }
    }

    /// Those who are nobody here.
    fn strangers(&mut self) {
        let expired = self.scene.expired.clone();
        for (name, bearer) in [
            ("made-up token", "a.b.c"),
            ("made-up key", "emx_0000000000000000_x"),
            ("expired", &expired),
        ] {
            self.judge(name, |ask| ask.bearer(bearer), Verdict::Unknown);
        }
    }

    /// Those of the tenant, in it, elsewhere and nowhere, and those of another one here.
    fn members(&mut self) {
        let (_, path, who) = *self.row;
        for member in &self.scene.mine {
            let name = format!("{:?} {}", member.kind, member.role);
            // This would end what the next requests go on with.
            let ends = path.ends_with("/logout") && member.kind == Kind::Person;
            let bearer = if ends { &member.to_end } else { &member.bearer };
            for (where_to, slug) in [("elsewhere", OTHER), ("nowhere", "nowhere")] {
                let dress = |ask: Ask| ask.bearer(bearer).header("X-Tenant", slug);
                self.judge(&format!("{name}, {where_to}"), dress, Verdict::Elsewhere);
            }
            let expected = || Verdict::May(who.lets(member.role));
            if !ends {
                let dress = |ask: Ask| ask.bearer(bearer).header("X-Tenant", TENANT);
                self.judge(&format!("{name}, at home"), dress, expected());
            }
            self.judge(&name, |ask| ask.bearer(bearer), expected());
        }
        for member in &self.scene.theirs {
            let dress = |ask: Ask| ask.bearer(&member.bearer).header("X-Tenant", TENANT);
            let name = format!("{:?} {} of another", member.kind, member.role);
            self.judge(&name, dress, Verdict::Elsewhere);
        }
    }

    fn platform(&mut self) {
        let (_, path, _) = *self.row;
        if path.ends_with("/logout") {
            return;
        }
        for slug in [TENANT, OTHER] {
            let dress = |ask: Ask| ask.bearer(&self.scene.platform).header("X-Tenant", slug);
            self.judge(&format!("the platform in {slug}"), dress, Verdict::May(true));
        }
    }
}

#[test]
fn every_address_lets_in_who_may_and_nobody_else() {
    let scene = Scene::new();
    let mut faults = Vec::new();
    for row @ (_, path, who) in TABLE {
        let mut judge = Judge { scene: &scene, row, faults: Vec::new() };
        // What goes on with a session says of everybody that it does not know it.
        if *path != "/api/v1/auth/refresh" {
            let is_public = matches!(who, Everybody);
            let unknown = if is_public { Verdict::May(true) } else { Verdict::Unknown };
            judge.judge("nobody", |ask| ask, unknown);
        }
        if !matches!(who, Everybody) {
            judge.strangers();
            judge.members();
            judge.platform();
        }
        faults.append(&mut judge.faults);
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    scene.server.end();
}

#[test]
fn every_address_has_a_row() {
    let scene = Scene::new();
    let described = described(&scene);
    let table: BTreeSet<(String, String)> =
        TABLE.iter().map(|(m, p, _)| ((*m).to_owned(), (*p).to_owned())).collect();
    let without: Vec<_> = described.difference(&table).collect();
    let gone: Vec<_> = table.difference(&described).collect();
    assert!(without.is_empty() && gone.is_empty(), "no row: {without:?}; gone: {gone:?}");
    scene.server.end();
}

/// Every method and address of the OpenAPI document, which is made of the table of routes.
fn described(scene: &Scene) -> BTreeSet<(String, String)> {
    let mut described = BTreeSet::new();
    for (path, operations) in scene.document()["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys().filter(|key| *key != "parameters") {
            described.insert((method.to_uppercase(), path.clone()));
        }
    }
    described
}
