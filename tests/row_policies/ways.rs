//! Every way to rows, tried by everybody: each gives exactly the rows that whoever asks may see.

use crate::cast::Cast;
use crate::peer::Ask;
use crate::scenario::{Row, Scenario, Who};
use crate::watch::Watch;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What was stored of a scenario.
struct Stored<'a> {
    cast: &'a Cast,
    case: u32,
    scenario: &'a Scenario,
    first_seq: u64,
    last_seq: u64,
}

fn id_of(case: u32, n: usize) -> String {
    format!("case-{case}-{n}")
}

fn execution(case: u32, n: usize, row: &Row) -> Value {
    json!({
        "id": id_of(case, n), "command": "make", "user_id": row.user, "team_id": row.team,
        "exit_code": u8::from(row.failed), "labels": { "case": case.to_string() },
    })
}

/// Sets the scenario up, has everybody watch while its rows come, and then look in every way. `case` is
/// no other's on this server.
pub(crate) fn check(cast: &Cast, case: u32, scenario: &Scenario) -> Result<(), TestCaseError> {
    cast.set_rules(&json!(scenario.rules));
    for (n, person) in scenario.people.iter().enumerate() {
        cast.set_person(n, person);
    }
    let mut watching: Vec<(Who, Watch)> = Vec::new();
    for who in Who::ALL {
        let mut watch = Watch::open(&cast.server, cast.bearer(who));
        watch.subscribe(case, None);
        watching.push((who, watch));
    }
    let stored = store(cast, case, scenario);
    for (who, mut watch) in watching {
        stored.check_watch(who, &mut watch)?;
    }
    for who in Who::ALL {
        let mut watch = Watch::open(&cast.server, cast.bearer(who));
        watch.subscribe(case, Some(stored.first_seq));
        stored.check_watch(who, &mut watch)?;
        stored.check_lists(who)?;
        stored.check_each(who)?;
        stored.check_exports(who)?;
        stored.check_answers(who)?;
        stored.check_quarantine(who)?;
    }
    stored.check_what_others_have()
}

fn store<'a>(cast: &'a Cast, case: u32, scenario: &'a Scenario) -> Stored<'a> {
    let rows = scenario.rows.iter().enumerate().map(|(n, row)| execution(case, n, row));
    let late = scenario.quarantined.iter().enumerate().map(|(n, row)| {
        let mut row = execution(case, 1000 + n, row);
        row["ts"] = "2999-01-01T00:00:00Z".into();
        row
    });
    let all: Vec<Value> = rows.chain(late).collect();
    let report =
        cast.done(Ask::post("/api/v1/executions/batch").json(&json!(all).to_string()), 200);
    assert_eq!(report["accepted"], scenario.rows.len(), "{report}");
    assert_eq!(report["quarantined"], scenario.quarantined.len(), "{report}");
    let seq = |name: &str| report[name].as_u64().unwrap();
    Stored { cast, case, scenario, first_seq: seq("first_seq"), last_seq: seq("last_seq") }
}

fn sorted(ids: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut ids: Vec<String> = ids.into_iter().collect();
    ids.sort();
    ids
}

fn ids_in(items: &Value) -> Vec<String> {
    let items = items.as_array().unwrap();
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

impl Stored<'_> {
    /// The ids that `who` may see.
    fn seen(&self, who: Who) -> Vec<String> {
        let rows = self.scenario.rows.iter().enumerate();
        let seen = rows.filter(|(_, row)| self.scenario.sees(who, row));
        sorted(seen.map(|(n, _)| id_of(self.case, n)))
    }

    fn filter(&self) -> String {
        format!("filter=labels.case:eq:{}", self.case)
    }

    fn get(&self, who: Who, target: &str) -> Value {
        let answer = self.cast.ask(who, Ask::get(target));
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        answer.json()
    }

    fn check_watch(&self, who: Who, watch: &mut Watch) -> Result<(), TestCaseError> {
        let (ids, count, failures) = watch.told(self.last_seq);
        let rows = &self.scenario.rows;
        let seen = rows.iter().filter(|row| self.scenario.sees(who, row));
        let failed = seen.filter(|row| row.failed).count() as u64;
        prop_assert_eq!(sorted(ids), self.seen(who), "{:?} watches", who);
        prop_assert_eq!((count, failures), (self.seen(who).len() as u64, failed), "{:?}", who);
        Ok(())
    }

    fn check_lists(&self, who: Who) -> Result<(), TestCaseError> {
        let (first, last) = (self.first_seq, self.last_seq);
        for range in [String::new(), format!("&from_seq={first}&to_seq={last}")] {
            for limit in [1000, 2] {
                let list = format!("/api/v1/executions?{}{range}&limit={limit}", self.filter());
                let mut page = self.get(who, &list);
                let mut ids = ids_in(&page["items"]);
                while let Some(cursor) = page["next_cursor"].as_str() {
                    page = self.get(who, &format!("{list}&cursor={cursor}"));
                    ids.extend(ids_in(&page["items"]));
                }
                prop_assert_eq!(sorted(ids), self.seen(who), "{:?}: {}", who, list);
            }
        }
        // Without a filter, too.
        let all = format!("/api/v1/executions?from_seq={first}&to_seq={last}&limit=1000");
        prop_assert_eq!(sorted(ids_in(&self.get(who, &all)["items"])), self.seen(who));
        Ok(())
    }

    fn check_each(&self, who: Who) -> Result<(), TestCaseError> {
        let seen = self.seen(who);
        for n in 0..self.scenario.rows.len() {
            let id = id_of(self.case, n);
            let found = self.cast.ask(who, Ask::get(&format!("/api/v1/executions/{id}")));
            let is_seen = seen.contains(&id);
            prop_assert_eq!(found.status, if is_seen { 200 } else { 404 }, "{:?}: {}", who, id);
            let counted = format!("/api/v1/query?metrics=count&filter=id:eq:{id}");
            let counted = &self.get(who, &counted)["rows"];
            prop_assert_eq!(counted, &json!([[u8::from(is_seen)]]), "{:?} counts {}", who, id);
        }
        Ok(())
    }

    fn check_exports(&self, who: Who) -> Result<(), TestCaseError> {
        for format in ["ndjson", "csv"] {
            let target = format!("/api/v1/export?format={format}&{}", self.filter());
            let answer = self.cast.ask(who, Ask::get(&target));
            assert_eq!(answer.status, 200, "{answer:?}");
            let text = String::from_utf8(answer.body).unwrap();
            let found = (0..self.scenario.rows.len()).map(|n| id_of(self.case, n));
            let found = found.filter(|id| text.contains(&**id));
            prop_assert_eq!(sorted(found), self.seen(who), "{:?} exports {}", who, format);
            let lines = self.seen(who).len() + usize::from(format == "csv");
            prop_assert_eq!(text.lines().count(), lines, "{:?}: {}", who, text);
        }
        Ok(())
    }

    /// Count, failures and distinct teams of each user, as `who` is told of them.
    fn counted(&self, who: Who) -> BTreeMap<&str, (usize, usize, usize)> {
        let mut by_user: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for row in self.scenario.rows.iter().filter(|row| self.scenario.counts(who, row)) {
            by_user.entry(row.user).or_default().push(row);
        }
        let told = |rows: Vec<&Row>| {
            let failures = rows.iter().filter(|row| row.failed).count();
            let teams = rows.iter().map(|row| row.team).filter(|team| !team.is_empty());
            (rows.len(), failures, teams.collect::<BTreeSet<_>>().len())
        };
        by_user.into_iter().map(|(user, rows)| (user, told(rows))).collect()
    }

    fn check_answers(&self, who: Who) -> Result<(), TestCaseError> {
        let expected = self.counted(who);
        let asked = format!(
            "{}&group_by=user_id&metrics=count,failure_count,count_distinct(team_id)",
            self.filter()
        );
        let query = format!("/api/v1/query?{asked}");
        // Computed, from the cache, and computed anew.
        let fresh = Ask::get(&query).header("Cache-Control", "no-cache");
        for ask in [Ask::get(&query), Ask::get(&query), fresh] {
            let answer = self.cast.ask(who, ask).json();
            let number = |cell: &Value| cell.as_u64().unwrap() as usize;
            let rows = answer["rows"].as_array().unwrap();
            let found: BTreeMap<&str, (usize, usize, usize)> = rows
                .iter()
                .map(|row| {
                    (row[0].as_str().unwrap(), (number(&row[1]), number(&row[2]), number(&row[3])))
                })
                .collect();
            prop_assert_eq!(&found, &expected, "{:?} asks", who);
        }
        let export = self.cast.ask(who, Ask::get(&format!("/api/v1/export?{asked}")));
        let lines = String::from_utf8(export.body).unwrap();
        prop_assert_eq!(lines.lines().count(), expected.len(), "{:?}: {}", who, lines);
        let count = format!("/api/v1/query?metrics=count&{}", self.filter());
        let all: usize = expected.values().map(|(count, ..)| count).sum();
        prop_assert_eq!(&self.get(who, &count)["rows"], &json!([[all]]), "{:?} counts", who);
        Ok(())
    }

    fn check_quarantine(&self, who: Who) -> Result<(), TestCaseError> {
        let (mut ids, case) = (Vec::new(), self.case.to_string());
        let mut cursor = String::new();
        loop {
            let page = self.get(who, &format!("/api/v1/quarantine?limit=3{cursor}"));
            let items = page["items"].as_array().unwrap();
            let raw = items.iter().map(|item| &item["raw"]);
            let mine = raw.filter(|raw| raw["labels"]["case"] == *case);
            ids.extend(mine.map(|raw| raw["id"].as_str().unwrap().to_owned()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let kept = self.scenario.quarantined.iter().enumerate();
        let seen = kept.filter(|(_, row)| self.scenario.sees(who, row));
        let seen = sorted(seen.map(|(n, _)| id_of(self.case, 1000 + n)));
        prop_assert_eq!(sorted(ids), seen, "{:?} looks into the quarantine", who);
        Ok(())
    }

    /// What one was given to go on with, or to ask whether something has changed, gives another nothing
    /// that it may not see.
    fn check_what_others_have(&self) -> Result<(), TestCaseError> {
        let list = format!("/api/v1/executions?{}&limit=1", self.filter());
        for who in Who::ALL {
            let given = self.cast.ask(who, Ask::get(&list));
            let tag = given.header("etag").unwrap().to_owned();
            let cursor = given.json()["next_cursor"].as_str().map(str::to_owned);
            for other in Who::ALL {
                let seen = self.seen(other);
                if let Some(cursor) = &cursor {
                    let next = self.cast.ask(other, Ask::get(&format!("{list}&cursor={cursor}")));
                    prop_assert!(matches!(next.status, 200 | 422), "{:?}", next);
                    let found =
                        if next.status == 200 { ids_in(&next.json()["items"]) } else { Vec::new() };
                    prop_assert!(found.iter().all(|id| seen.contains(id)), "{who:?} {other:?}");
                }
                let asked = Ask::get(&list).header("If-None-Match", &tag);
                let is_same = self.cast.ask(other, Ask::get(&list)).body == given.body;
                let status = if is_same { 304 } else { 200 };
                prop_assert_eq!(self.cast.ask(other, asked).status, status);
            }
        }
        Ok(())
    }
}
