//! What was asked of a server and which of it was acknowledged, kept outside of it; and whether what
//! the server has stored agrees.
#![allow(dead_code, reason = "every test that includes it uses another part")]

use crate::peer::{Answer, Ask};
use crate::server::Server;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

/// Rows of a batch.
pub(crate) const BATCH_ROWS: usize = 20;

/// How somebody writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Single,
    Batch,
    Atomic,
    Idempotent,
}

pub(crate) const KINDS: [Kind; 4] = [Kind::Single, Kind::Batch, Kind::Atomic, Kind::Idempotent];

/// One call, in the ledger before it is made.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) kind: Kind,
    /// What its rows are known by.
    names: Vec<String>,
    /// Bytes of text in each row that do not compress.
    noise_bytes: usize,
    /// Its answer, once it is acknowledged.
    pub(crate) answer: Option<Value>,
}

impl Call {
    /// The `n`th call of a writer.
    pub(crate) fn new(kind: Kind, writer: &str, n: usize) -> Self {
        let rows = if matches!(kind, Kind::Batch | Kind::Atomic) { BATCH_ROWS } else { 1 };
        let names = (0..rows).map(|row| format!("{writer}-{n}-{row}")).collect();
        Self { kind, names, noise_bytes: 0, answer: None }
    }

    /// With rows that take so much more space.
    pub(crate) fn with_noise(self, noise_bytes: usize) -> Self {
        Self { noise_bytes, ..self }
    }

    /// How many rows it has.
    pub(crate) fn rows(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn ask(&self, round: usize, key: &str) -> Ask {
        let rows: Vec<Value> = self.names.iter().map(|name| self.execution(round, name)).collect();
        match self.kind {
            Kind::Single => Ask::post("/api/v1/executions").json(&rows[0].to_string()),
            Kind::Idempotent => Ask::post("/api/v1/executions")
                .header("Idempotency-Key", &self.names[0])
                .json(&rows[0].to_string()),
            Kind::Batch => Ask::post("/api/v1/executions/batch").json(&json!(rows).to_string()),
            Kind::Atomic => {
                Ask::post("/api/v1/executions/batch?atomic=true").json(&json!(rows).to_string())
            }
        }
        .bearer(key)
    }

    fn execution(&self, round: usize, name: &str) -> Value {
        let mut row = json!({ "command": "make", "host": name, "session_id": session(round) });
        // An idempotent call leaves the id to the server.
        if self.kind != Kind::Idempotent {
            row["id"] = name.into();
        }
        if self.noise_bytes > 0 {
            // The same each time it is sent.
            let seed = name.bytes().fold(0, |seed: u64, b| seed.wrapping_mul(31) + u64::from(b));
            let mut chance = StdRng::seed_from_u64(seed);
            let noise: String = (0..self.noise_bytes).map(|_| noise_char(&mut chance)).collect();
            row["error"] = noise.into();
        }
        row
    }

    /// Notes what was answered: `true` if it is acknowledged.
    pub(crate) fn note(&mut self, answer: &Answer) -> bool {
        let acknowledged = matches!(answer.status, 200 | 201);
        if acknowledged {
            self.answer = Some(answer.json());
        }
        acknowledged
    }

    /// Whether all of its rows were new to the server that acknowledged it.
    pub(crate) fn is_first(&self) -> bool {
        match &self.answer {
            Some(answer) if answer["outcome"].is_string() => answer["outcome"] == "accepted",
            Some(answer) => answer["accepted"] == self.rows(),
            None => false,
        }
    }
}

fn noise_char(chance: &mut StdRng) -> char {
    char::from(chance.random_range(b'!'..=b'~'))
}

fn session(round: usize) -> String {
    format!("round-{round}")
}

/// How many rows there are of each name in a round.
fn stored(server: &Server, key: &str, round: usize) -> HashMap<String, usize> {
    let target = format!("/api/v1/export?format=ndjson&filter=session_id%3D{}", session(round));
    let answer = server.ask(&Ask::get(&target).bearer(key));
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut found = HashMap::new();
    for line in String::from_utf8(answer.body).unwrap().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        *found.entry(row["host"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    found
}

/// How many rows there are.
pub(crate) fn count(server: &Server, key: &str) -> usize {
    let answer = server.ask(&Ask::get("/api/v1/query?metrics=count").bearer(key));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["rows"][0][0].as_u64().unwrap() as usize
}

/// Rows that were acknowledged.
pub(crate) fn acknowledged(calls: &[Call]) -> usize {
    calls.iter().filter(|call| call.answer.is_some()).map(Call::rows).sum()
}

/// Everything that the ledger says about a round is so. Gives how many rows there are of it.
pub(crate) fn demand_all(server: &Server, key: &str, round: usize, calls: &[Call]) -> usize {
    let found = stored(server, key, round);
    let twice = found.iter().find(|(_, rows)| **rows != 1);
    assert_eq!(twice, None, "round {round}");
    let sent: HashSet<&str> =
        calls.iter().flat_map(|call| &call.names).map(String::as_str).collect();
    assert!(found.keys().all(|name| sent.contains(name.as_str())), "a row of nobody's");
    for call in calls {
        let there = call.names.iter().filter(|name| found.contains_key(*name)).count();
        let all = call.names.len();
        assert!(call.answer.is_none() || there == all, "{there} of {all} of {call:?}");
        assert!(call.kind != Kind::Atomic || there == 0 || there == all, "{there} of {call:?}");
    }
    found.len()
}

/// Calls under a key are repeated: the acknowledged ones get their first answer, and the others one
/// that stays. Gives how many rows that has added, which nobody had acknowledged.
pub(crate) fn repeat(
    server: &Server,
    key: &str,
    round: usize,
    calls: &[Call],
    found: usize,
) -> usize {
    let mut peer = server.connect();
    for call in calls.iter().filter(|call| call.kind == Kind::Idempotent) {
        let answers = [(); 2].map(|()| {
            let answer = peer.ask(&call.ask(round, key)).unwrap();
            assert_eq!(answer.status, 201, "{answer:?}");
            answer.json()
        });
        let first = call.answer.as_ref().unwrap_or(&answers[0]);
        assert!(answers.iter().all(|answer| answer == first), "{answers:?}: {call:?}");
    }
    let after = stored(server, key, round);
    assert!(after.values().all(|rows| *rows == 1), "a repeated call was stored again");
    after.len() - found
}

/// A key that may do everything in the tenant.
pub(crate) fn owner_key(server: &Server) -> String {
    let token = server.sign_in();
    let body = r#"{"name":"ledger","role":"owner"}"#;
    let answer = server.ask(&Ask::post("/api/v1/api-keys").bearer(&token).json(body));
    answer.json()["key"].as_str().unwrap().to_owned()
}
