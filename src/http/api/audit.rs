//! Who did what (contract §5).

use super::export::{Ended, file_reply, streamed};
use super::{PageParams, demand_once};
use crate::audit::{Anchor, AuditLog, Entry, Filter, Finding, Listed, Outcome, PAGE_MAX, PLATFORM};
use crate::http::call::Call;
use crate::http::openapi::{Operation, schema};
use crate::http::problem::Problem;
use crate::http::reply;
use crate::http::route::{Access, Answer, Route, handler};
use crate::identity::Identity;
use crate::model::time::format_rfc3339;
use crate::query::rows::time_param;
use crate::tenancy::id::TenantId;
use crate::tenancy::permission::Permission;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as Unread, StrDeserializer};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use storage::ask::{AskError, Budget};

/// What is said instead of an outcome where an entry cannot be read.
const DAMAGED: &str = "damaged";

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/api/v1/audit",
        access: Access::With(Permission::AuditRead),
        handler: handler!(list),
        remembers: false,
        summary: "Who did what, to what, from where; newest first",
        describe: |operation: Operation| {
            let outcomes = json!({ "enum": ["done", "refused", "begun", "failed"] });
            chain_param(operation)
                .page(PAGE_MAX)
                .range()
                .param("actor", schema::text(), "Who, exactly: `user:<id>`, `key:<id>`, `operator`")
                .param("action", schema::text(), "What: `user.create`, or `user` for all of them")
                .param("target", schema::text(), "To what, exactly: `user:<id>`")
                .param("outcome", outcomes, "What became of it")
                .param("q", schema::text(), "Words that all stand somewhere in the entry")
                .answer(
                    200,
                    "A page of entries; of one that cannot be read the outcome is `damaged`",
                    schema::page(schema::audit_entry()),
                )
                .refuses(&[400, 422, 503])
        },
    },
    Route {
        method: Method::GET,
        path: "/api/v1/audit/anchor",
        access: Access::With(Permission::AuditRead),
        handler: handler!(anchor),
        remembers: false,
        summary: "The state of the chain, to be kept where nobody here can write",
        describe: |operation| {
            chain_param(operation)
                .answer(200, "The anchor", schema::audit_anchor())
                .refuses(&[400, 422])
        },
    },
    Route {
        method: Method::GET,
        path: "/api/v1/audit/verify",
        access: Access::With(Permission::AuditRead),
        handler: handler!(verified),
        remembers: false,
        summary: "Whether the chain is what was written, and fits an anchor",
        describe: |operation| {
            chain_param(operation)
                .param("anchor", schema::text(), "The `line` of an anchor that was kept")
                .answer(200, "What was found", schema::audit_verdict())
                .refuses(&[400, 422, 503])
        },
    },
    Route {
        method: Method::GET,
        path: "/api/v1/audit/export",
        access: Access::With(Permission::AuditRead),
        handler: handler!(export),
        remembers: false,
        summary: "Every entry as it is stored, newest first: `emx audit verify --file` reads it",
        describe: |operation| {
            chain_param(operation)
                .file(&["application/x-ndjson"], "The file")
                .refuses(&[400, 422, 503])
        },
    },
];

fn chain_param(operation: Operation) -> Operation {
    let says = "`platform` for what concerns no tenant, for administrators of the platform";
    operation.param("chain", json!({ "enum": ["tenant", "platform"] }), says)
}

/// Which chain is asked for, and everything else that was asked.
struct Asked {
    chain: Box<str>,
    others: Vec<(String, String)>,
}

impl Asked {
    async fn of(call: &Call) -> Result<Self, Problem> {
        let mut others = call.request.params()?;
        demand_once(&others)?;
        let chain = others.iter().position(|(name, _)| name == "chain");
        let chain = chain.map(|at| others.remove(at).1);
        let chain = match chain.as_deref() {
            None | Some("tenant") => call.scope().await?.id().as_str().into(),
            Some("platform") if call.principal()?.is_platform() => PLATFORM.into(),
            Some("platform") => {
                let detail = "the platform's chain is for administrators of the platform";
                return Err(Problem::forbidden("forbidden", detail));
            }
            Some(_) => {
                let detail = "must be `tenant` or `platform`";
                return Err(Problem::invalid("/chain", "invalid_value", detail));
            }
        };
        Ok(Self { chain, others })
    }

    /// Refuses everything else.
    async fn alone(call: &Call) -> Result<Box<str>, Problem> {
        let Self { chain, others } = Self::of(call).await?;
        match others.first() {
            None => Ok(chain),
            Some((name, _)) => Err(Problem::unknown_param(name)),
        }
    }
}

/// Searches the log, which is computed as a question is. Whoever belongs to no tenant shares with nobody.
async fn search<R: Send + 'static>(
    call: &Call,
    work: impl FnOnce(&AuditLog, &Budget) -> Result<R, AskError> + Send + 'static,
) -> Result<R, Problem> {
    let log = Arc::clone(call.server.tenancy.log());
    let found = match call.limited() {
        Some(meter) => call.compute(&meter, move |budget| work(&log, budget)).await?,
        None => call.on_disk(move || work(&log, &Budget::default())).await?,
    };
    Ok(found?)
}

async fn list(call: Call) -> Answer {
    let Asked { chain, others } = Asked::of(&call).await?;
    let (page, others): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|(name, _)| matches!(name.as_str(), "limit" | "cursor"));
    let page = PageParams::from_pairs(page, PAGE_MAX)?;
    let (limit, filter) = (page.limit, filter_of(others)?);
    let before = page.after(|text| text.parse::<u64>().ok())?;
    let server = Arc::clone(&call.server);
    let found = search(&call, move |log, budget| {
        let found = log.find(&chain, &filter, before, limit, budget)?;
        let mut names = Names { identity: &server.identity, chain: &chain, known: HashMap::new() };
        let items = found.entries.iter().map(|listed| shown(listed, &mut names));
        Ok((items.collect::<Vec<Value>>(), found.next))
    });
    let (items, next) = found.await?;
    let next_cursor = next.map(|seq| seq.to_string());
    Ok(reply::json(StatusCode::OK, &json!({ "items": items, "next_cursor": next_cursor })))
}

fn filter_of(params: Vec<(String, String)>) -> Result<Filter, Problem> {
    let mut filter = Filter::default();
    for (name, value) in params {
        match name.as_str() {
            "actor" => filter.actor = Some(value),
            "action" => filter.action = Some(value),
            "target" => filter.target = Some(value),
            "q" => filter.text = Some(value),
            "from" => filter.from_ms = Some(time_param("/from", &value)?),
            "to" => filter.to_ms = Some(time_param("/to", &value)?),
            "outcome" => filter.outcome = Some(outcome_of(&value)?),
            name => return Err(Problem::unknown_param(name)),
        }
    }
    Ok(filter)
}

fn outcome_of(word: &str) -> Result<Outcome, Problem> {
    let word: StrDeserializer<'_, Unread> = word.into_deserializer();
    Outcome::deserialize(word).map_err(|_| {
        let detail = "must be `done`, `refused`, `begun` or `failed`";
        Problem::invalid("/outcome", "invalid_value", detail)
    })
}

/// What people call the actors of a tenant's chain today.
struct Names<'a> {
    identity: &'a Identity,
    chain: &'a str,
    known: HashMap<String, Option<String>>,
}

impl Names<'_> {
    /// A user's address or a key's name; none of who is gone, or belongs elsewhere.
    fn of(&mut self, actor: &str) -> Option<String> {
        if let Some(known) = self.known.get(actor) {
            return known.clone();
        }
        let name = self.look_up(actor);
        self.known.insert(actor.to_owned(), name.clone());
        name
    }

    fn look_up(&self, actor: &str) -> Option<String> {
        let tenant_id = TenantId::parse(self.chain)?;
        match actor.split_once(':')? {
            ("user", id) => Some(self.identity.user(&tenant_id, id).ok()?.email.to_string()),
            ("key", id) => Some(self.identity.api_keys().get(&tenant_id, id).ok()?.name),
            _ => None,
        }
    }
}

fn shown(Listed { seq, hash, entry }: &Listed, names: &mut Names<'_>) -> Value {
    let Some(Entry { at_ms, event, .. }) = entry else {
        return json!({
            "seq": seq, "at": null, "actor": "", "actor_name": null, "action": "", "target": "",
            "outcome": DAMAGED, "count": 1, "address": null, "request_id": null, "before": null,
            "after": null, "hash": hash,
        });
    };
    json!({
        "seq": seq,
        "at": format_rfc3339(*at_ms),
        "actor": event.actor,
        "actor_name": names.of(&event.actor),
        "action": event.action,
        "target": event.target,
        "outcome": event.outcome,
        "count": event.count,
        "address": event.source.address,
        "request_id": event.source.request_id,
        "before": event.before,
        "after": event.after,
        "hash": hash,
    })
}

async fn anchor(call: Call) -> Answer {
    let chain = Asked::alone(&call).await?;
    let log = Arc::clone(call.server.tenancy.log());
    let anchor = call.on_disk(move || log.anchor(&chain)).await??;
    let line = anchor.to_string();
    let Anchor { chain, seq, hash } = anchor;
    Ok(reply::json(
        StatusCode::OK,
        &json!({ "chain": chain, "seq": seq, "hash": hash, "line": line }),
    ))
}

async fn verified(call: Call) -> Answer {
    let Asked { chain, others } = Asked::of(&call).await?;
    let mut anchors: Vec<Anchor> = Vec::new();
    for (name, value) in others {
        match name.as_str() {
            "anchor" => anchors.push(anchor_of(&value, &chain)?),
            name => return Err(Problem::unknown_param(name)),
        }
    }
    // As long as an export, and no more of them at a time.
    let (log, place) = (Arc::clone(call.server.tenancy.log()), call.export_place().await?);
    let verdict = call.server.exports.run_taken(place, move || log.verify(&chain, &anchors));
    let verdict = verdict.await??;
    let findings = verdict.findings.iter().map(|finding| {
        let Finding { seq, first_seq, harm } = finding;
        let detail = finding.to_string();
        json!({ "seq": seq, "first_seq": first_seq, "harm": harm, "detail": detail })
    });
    let findings: Vec<Value> = findings.collect();
    Ok(reply::json(
        StatusCode::OK,
        &json!({ "entries": verdict.entries, "sound": findings.is_empty(), "findings": findings }),
    ))
}

fn anchor_of(line: &str, chain: &str) -> Result<Anchor, Problem> {
    let anchor: Option<Anchor> = line.parse().ok();
    let anchor = anchor.ok_or_else(|| {
        let detail = "must be a line as `emx-audit <chain> <seq> <hash>`";
        Problem::invalid("/anchor", "invalid_value", detail)
    })?;
    if *anchor.chain == *chain {
        return Ok(anchor);
    }
    Err(Problem::invalid("/anchor", "another_chain", "is of another chain than the one asked for"))
}

async fn export(call: Call) -> Answer {
    let chain = Asked::alone(&call).await?;
    call.tell_now_or_later(call.by()?.told_of_chain(&chain, "audit.export")).await?;
    let log = Arc::clone(call.server.tenancy.log());
    let stands = call.lets_in(TenantId::parse(&chain))?; // the platform's chain is no tenant's
    let body = streamed(&call, stands, Default::default(), move |out| {
        let mut before = None;
        loop {
            let page = log.page_as_stored(&chain, before, PAGE_MAX).map_err(Ended::store)?;
            for (_, line) in &page {
                out.write_all(line).and_then(|()| out.write_all(b"\n")).map_err(Ended::from)?;
            }
            match page.last() {
                Some((seq, _)) if page.len() == PAGE_MAX => before = Some(*seq),
                _ => return Ok(()),
            }
        }
    });
    Ok(file_reply(body.await?, "application/x-ndjson", "attachment; filename=\"audit.ndjson\""))
}
