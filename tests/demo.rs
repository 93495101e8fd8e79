//! The demo's three months as whoever looks at them finds them: taken in without a complaint, with
//! an incident, tests that became slower, and a team that fails too often.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

use emx::intake::decode::{Body, DecodeLimits, Encoding, Format, Shape, decode};
use emx::process::admit::Arrival;
use emx::query::{Question, Scope, ask, render};
use emx::runtime::clock::Clock;
use emx::sample::demo::{self, INCIDENT_HOST, NOISY_TEAM, SECRET_PREFIX, SLOW_PROJECT, Story};
use serde_json::{Value, json};
use std::sync::Arc;
use storage::ask::{Budget, Selection};
use storage::batch::RowBatch;
use storage::embedded::{EmbeddedEngine, EngineSettings};
use storage::engine::{Append, Engine, Keyspace, KeyspaceSettings};
use storage::row::Word;
use storage::volume::OsVolume;

const END_MS: i64 = 1_772_323_200_000; // 2026-03-01T00:00:00Z
const WEEK_MS: i64 = 7 * 24 * 3_600_000;

/// A keyspace that has the demo's history.
struct Demo {
    keyspace: Arc<dyn Keyspace>,
    story: Story,
    _engine: EmbeddedEngine,
    _dir: tempfile::TempDir,
}

impl Demo {
    fn taken_in() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let volume = OsVolume::shared(dir.path());
        let engine = EmbeddedEngine::open(volume, EngineSettings::default()).unwrap();
        engine.create("demo", &KeyspaceSettings::default()).unwrap();
        let keyspace = engine.open("demo").unwrap();
        let mut history = demo::history(1, END_MS, demo::ROWS);
        let (story, mut rows, mut secrets) = (history.story().clone(), 0, 0);
        while history.remaining() > 0 {
            let mut lines = Vec::new();
            for _ in 0..5_000 {
                history.append_to(&mut lines);
            }
            secrets += String::from_utf8_lossy(&lines).matches(SECRET_PREFIX).count();
            let body =
                Body { format: Format::Ndjson, encoding: Encoding::Identity, shape: Shape::Many };
            let arrival = Arrival { received_ms: END_MS, origin: "demo", retention_ms: None };
            let decoded = decode(&lines, body, arrival, &DecodeLimits::default()).unwrap();
            assert_eq!((&decoded.refused[..], &decoded.warnings[..]), (&[][..], &[][..]));
            rows += decoded.rows.len as u64;
            let append = Append { rows: decoded.rows, ..Append::default() };
            keyspace.append(vec![append]).unwrap();
        }
        assert_eq!(rows, demo::ROWS);
        assert_eq!(keyspace.stats().unwrap().rows, rows); // no id twice
        assert!(secrets > 100, "{secrets}");
        Self { keyspace, story, _engine: engine, _dir: dir }
    }

    /// The rows of an answer.
    fn ask(&self, question: Value) -> Vec<Vec<Value>> {
        let question = Question::from_json(question.to_string().as_bytes()).unwrap();
        let keyspace = &*self.keyspace;
        let scope = Scope {
            keyspace,
            keyspace_id: "demo",
            organization_id: "demo",
            policy: &[],
            aggregates: &[],
        };
        let clock = Clock::system();
        let answer = ask(&scope, &question, &Budget::default(), &|| clock.instant()).unwrap();
        let mut text = Vec::new();
        render::write_json(&mut text, &answer).unwrap();
        let answer: Value = serde_json::from_slice(&text).unwrap();
        serde_json::from_value(answer["rows"].clone()).unwrap()
    }

    /// The number that answers a question about `metric` in a range of time, under conditions.
    fn number(&self, metric: &str, (from, to): (i64, i64), conditions: &[(&str, Value)]) -> f64 {
        let filters: Vec<Value> = conditions
            .iter()
            .map(|(field, value)| match value {
                Value::Array(_) => json!({ "field": field, "op": "in", "value": value }),
                _ => json!({ "field": field, "op": "eq", "value": value }),
            })
            .collect();
        let question = json!({ "metrics": [metric], "from": from, "to": to, "filters": filters });
        self.ask(question)[0][0].as_f64().unwrap()
    }

    /// Calls `look` with every selected row.
    fn each(&self, selection: &Selection, mut look: impl FnMut(&RowBatch, usize)) {
        let scanned = self.keyspace.scan(selection, &Budget::default(), &mut |rows| {
            (0..rows.len).for_each(|n| look(rows, n));
            true
        });
        scanned.unwrap();
    }

    fn failure_share(&self, range: (i64, i64), conditions: &[(&str, Value)]) -> f64 {
        let failures = [conditions, &[("status", json!("failure"))]].concat();
        self.number("count", range, &failures) / self.number("count", range, conditions)
    }

    fn demand_incident(&self) {
        let range = self.story.incident_ms;
        let deliveries = json!(["docker build", "docker push", "helm upgrade"]);
        let here = [("host", json!(INCIDENT_HOST)), ("command", deliveries.clone())];
        let failed = self.failure_share(range, &here);
        assert!(failed > 0.75, "{failed} on {INCIDENT_HOST} in the incident");
        assert!(self.number("count", range, &here) >= 8.0);
        let before = self.failure_share((range.0 - 4 * WEEK_MS, range.0), &here);
        let elsewhere = [("host", json!(["ci-1", "ci-2", "ci-4"])), ("command", deliveries)];
        let elsewhere = self.failure_share(range, &elsewhere);
        assert!(before < 0.1 && elsewhere < 0.2, "{before} before, {elsewhere} elsewhere");
        let hours = Selection { from_ms: range.0, to_ms: range.1, predicates: Vec::new() };
        let mut full = 0;
        self.each(&hours, |rows, n| {
            full += usize::from(rows.word(Word::Error, n).contains("no space left on device"));
        });
        assert!(full >= 8, "{full} errors that say why");
    }

    fn demand_slowing(&self) {
        let (from, to) = self.story.slowing_ms;
        let tests = [("project_id", json!(SLOW_PROJECT)), ("command", json!("cargo test"))];
        let p95 = |range| self.number("p95(duration_ms)", range, &tests);
        let usual = p95((from - 4 * WEEK_MS, from));
        let last = p95((to - WEEK_MS / 2, to)) / usual;
        let mended = p95((to, END_MS)) / usual;
        assert!((2.2..3.8).contains(&last), "{last} times the usual at the end");
        assert!((0.5..1.6).contains(&mended), "{mended} times the usual after it was mended");
        let weeks: Vec<f64> =
            (0..5).map(|week| p95((from + week * WEEK_MS, from + (week + 1) * WEEK_MS))).collect();
        assert!(weeks[4] > weeks[2] && weeks[2] > weeks[0], "{weeks:?}");
    }

    fn demand_noisy_team(&self) {
        let shares = self.ask(json!({ "group_by": ["team_id"], "metrics": ["success_rate"] }));
        let failed = |row: &[Value]| 1.0 - row[1].as_f64().unwrap();
        let (noisy, others): (Vec<_>, Vec<_>) =
            shares.iter().partition(|row| row[0] == json!(NOISY_TEAM));
        let mean = others.iter().map(|row| failed(row)).sum::<f64>() / others.len() as f64;
        let ratio = failed(noisy[0]) / mean;
        assert!((2.4..3.3).contains(&ratio), "{ratio}: {shares:?}");
        assert!(others.iter().all(|row| failed(row) < 1.4 * mean), "{shares:?}");
    }

    /// Who there is, and how what they run ends.
    fn demand_variety(&self) {
        let all = (0, END_MS);
        for actor in ["human", "ci", "agent"] {
            let share = self.number("count", all, &[("actor", json!(actor))]) / demo::ROWS as f64;
            assert!((0.12..0.7).contains(&share), "{share} of {actor}");
        }
        for status in ["timeout", "cancelled"] {
            assert!(self.number("count", all, &[("status", json!(status))]) > 50.0, "{status}");
        }
        let agents = self.ask(json!({
            "group_by": ["labels.agent"], "metrics": ["sum(values.cost_usd)", "sum(values.input_tokens)"],
            "filters": [{ "field": "actor", "op": "eq", "value": "agent" }],
        }));
        assert_eq!(agents.len(), 3, "{agents:?}");
        assert!(agents.iter().all(|row| row[1].as_f64() > Some(10.0)), "{agents:?}");
        let releases = self.ask(json!({ "group_by": ["labels.release"], "metrics": ["count"] }));
        assert!(releases.len() > 10, "{} releases", releases.len());
        let growth = |range| self.number("count", range, &[]);
        let (first, last) = (
            growth((END_MS - 13 * WEEK_MS, END_MS - 9 * WEEK_MS)),
            growth((END_MS - 4 * WEEK_MS, END_MS)),
        );
        assert!(last > 1.15 * first, "{first} at the beginning, {last} at the end");
    }

    fn demand_no_secret(&self) {
        let everything = Selection { from_ms: 0, to_ms: i64::MAX, predicates: Vec::new() };
        let mut masked = 0;
        self.each(&everything, |rows, n| {
            let line = rows.word(Word::CommandLine, n);
            assert!(!line.contains(SECRET_PREFIX), "{line}");
            masked += usize::from(line.contains("***"));
        });
        assert!(masked > 100, "{masked}");
    }
}

#[test]
fn the_three_months_have_what_is_told_of_them() {
    let demo = Demo::taken_in();
    demo.demand_incident();
    demo.demand_slowing();
    demo.demand_noisy_team();
    demo.demand_variety();
    demo.demand_no_secret();
}

#[test]
fn what_happens_now_is_taken_in_too() {
    let mut lines = Vec::new();
    let rows =
        demo::live(1, END_MS, demo::ROWS_LIVELY).append_until(END_MS + 3_600_000, &mut lines);
    let body = Body { format: Format::Ndjson, encoding: Encoding::Identity, shape: Shape::Many };
    let received_ms = END_MS + 3_600_000;
    let arrival = Arrival { received_ms, origin: "demo", retention_ms: None };
    let decoded = decode(&lines, body, arrival, &DecodeLimits::default()).unwrap();
    assert_eq!((&decoded.refused[..], &decoded.warnings[..]), (&[][..], &[][..]));
    assert_eq!(decoded.rows.len, rows);
}
