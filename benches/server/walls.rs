//! Whether time tells that another tenant has something: twelve addresses, each asked in turn for what another
//! tenant has and for what nobody has.
//!
//! Two clocks that tell nothing apart make the share of pairs in which the first is the slower one 0.5;
//! that share (the U statistic of Mann and Whitney 1947 over the product of both counts) is told beside the
//! medians.

use crate::Options;
use crate::client::Client;
use crate::measure::{now, quantile};
use crate::running::Running;
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Requests of each kind for each address.
const REQUESTS: usize = 3_000;

/// A request, all but what it asks for.
struct Way {
    method: &'static str,
    /// With `ID` for what it asks for.
    target: &'static str,
    /// A header, with `ID` likewise, and its end.
    header: &'static str,
    thing: Thing,
}

#[derive(Clone, Copy)]
enum Thing {
    Execution,
    Quarantined,
    Key,
    User,
    Session,
    Team,
    Tenant,
}

const fn way(method: &'static str, target: &'static str, thing: Thing) -> Way {
    Way { method, target, header: "", thing }
}

const WAYS: [Way; 12] = [
    way("GET", "/api/v1/executions/ID", Thing::Execution),
    way("POST", "/api/v1/quarantine/ID/retry", Thing::Quarantined),
    way("DELETE", "/api/v1/quarantine/ID", Thing::Quarantined),
    way("GET", "/api/v1/api-keys/ID", Thing::Key),
    way("DELETE", "/api/v1/api-keys/ID", Thing::Key),
    way("GET", "/api/v1/users/ID/sessions", Thing::User),
    way("DELETE", "/api/v1/users/ID/sessions", Thing::User),
    way("DELETE", "/api/v1/users/USER/sessions/ID", Thing::Session),
    way("GET", "/api/v1/executions?filter=user_id=ID", Thing::User),
    way("GET", "/api/v1/teams/ID", Thing::Team),
    way("GET", "/api/v1/tenants/ID", Thing::Tenant),
    Way { header: "X-Tenant: ID\r\n", ..way("GET", "/api/v1/executions", Thing::Tenant) },
];

/// What another tenant has.
struct Theirs {
    execution: String,
    quarantined: String,
    key: String,
    user: String,
    session: String,
    team: String,
}

const OTHER: &str = "acme";
const EMAIL: &str = "owner@example.org";

impl Theirs {
    fn plant(server: &Running) -> Result<Self> {
        server.emx(&["tenant", "create", OTHER])?;
        let user = server.emx(&["user", "create", "--tenant", OTHER, "--role", "owner", EMAIL])?;
        let key =
            server.emx(&["key", "create", "--tenant", OTHER, "--name", "k", "--role", "owner"])?;
        let mut client = server.client(text(&key, "key")?)?;
        let sent = client.json("POST", "/api/v1/executions", b"{\"command\":\"secret\"}")?;
        let ahead = b"{\"command\":\"later\",\"ts\":\"2999-01-01T00:00:00Z\"}";
        client.json("POST", "/api/v1/executions", ahead)?;
        let kept = client.json("GET", "/api/v1/quarantine", b"")?;
        let login =
            json!({ "tenant": OTHER, "email": EMAIL, "password": text(&user, "password")? });
        server.client("")?.json("POST", "/api/v1/auth/login", login.to_string().as_bytes())?;
        let user = text(&user, "id")?.to_owned();
        let sessions = client.json("GET", &format!("/api/v1/users/{user}/sessions"), b"")?;
        let team = client.json("POST", "/api/v1/teams", b"{\"name\":\"Operations\"}")?;
        Ok(Self {
            execution: text(&sent, "id")?.to_owned(),
            quarantined: text(&kept["items"][0], "id")?.to_owned(),
            key: text(&key, "id")?.to_owned(),
            user,
            session: text(&sessions["items"][0], "id")?.to_owned(),
            team: text(&team, "id")?.to_owned(),
        })
    }

    fn id(&self, thing: Thing) -> &str {
        match thing {
            Thing::Execution => &self.execution,
            Thing::Quarantined => &self.quarantined,
            Thing::Key => &self.key,
            Thing::User => &self.user,
            Thing::Session => &self.session,
            Thing::Team => &self.team,
            Thing::Tenant => OTHER,
        }
    }
}

fn text<'a>(told: &'a Value, name: &str) -> Result<&'a str> {
    told[name].as_str().with_context(|| format!("no `{name}`: {told}"))
}

/// An id of the same form as `id` that nobody has.
fn nobodys(id: &str) -> String {
    let (start, last) = id.split_at(id.len() - 1);
    format!("{start}{}", if last == "3" { "5" } else { "3" })
}

pub(crate) fn print(_: Options) -> Result<()> {
    let server = Running::start("server")?;
    let theirs = Theirs::plant(&server)?;
    let mut client = server.client(&server.key)?;
    println!(
        "{REQUESTS} requests each, in turn, over one connection, by an owner's key of one tenant.\n"
    );
    println!("| request | another tenant's, median µs | nobody's, median µs | share of pairs |");
    println!("|---|--:|--:|--:|");
    for way in &WAYS {
        let id = theirs.id(way.thing);
        let (mut there, mut nowhere) = (Vec::new(), Vec::new());
        for _ in 0..REQUESTS {
            there.push(timed(&mut client, way, id, &theirs.user)?);
            nowhere.push(timed(&mut client, way, &nobodys(id), &theirs.user)?);
        }
        [&mut there, &mut nowhere].iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
        println!(
            "| `{} {}{}` | {:.1} | {:.1} | {:.3} |",
            way.method,
            way.target,
            way.header.trim_end(),
            quantile(&there, 500),
            quantile(&nowhere, 500),
            share(&there, &nowhere),
        );
    }
    Ok(())
}

/// How long the answer takes, µs.
fn timed(client: &mut Client, way: &Way, id: &str, user: &str) -> Result<f64> {
    let target = way.target.replace("USER", user).replace("ID", id);
    let header = way.header.replace("ID", id);
    let start = now();
    client.call(way.method, &target, &header, b"")?;
    Ok(start.elapsed().as_secs_f64() * 1e6)
}

/// The share of pairs, one of each, in which that of `first` is the larger; equal ones count half. Both are
/// sorted.
fn share(first: &[f64], second: &[f64]) -> f64 {
    let larger = first.iter().map(|time| {
        let below = second.partition_point(|other| other < time);
        let not_above = second.partition_point(|other| other <= time);
        (below + not_above) as f64 / 2.0
    });
    larger.sum::<f64>() / (first.len() * second.len()) as f64
}
