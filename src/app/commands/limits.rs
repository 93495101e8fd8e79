//! `emx tenant limits`: what a tenant may use.

use super::user::tenant_named;
use crate::app::act::Act;
use crate::app::output;
use crate::app::problem::Failure;
use crate::app::session::Session;
use crate::app::table::{Side, TextTable};
use crate::config::amount::{Percent, Size, Span};
use crate::limits::{Limit, LimitError, Overrides, Registry};
use crate::tenancy::by::By;
use crate::tenancy::registry::Tenancy;
use anyhow::Result;
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value, json};
use storage::row::TimeMs;

/// Whose limits, and what to change.
#[derive(Debug, Args)]
#[command(after_help = "Limits:\n  \
    requests_per_second, events_per_second   0: no bound\n  \
    concurrent_requests, websocket_connections\n  \
    query_time_ms                            a number of milliseconds, or like 30s\n  \
    query_memory_bytes, storage_bytes        a number of bytes, or like '64 MiB'; storage 0: no bound\n  \
    cpu_share                                like 0.5 or '50 %'\n\n\
Examples:\n  \
    emx tenant limits acme\n  \
    emx tenant limits acme --set events_per_second=5000 --set storage_bytes='20 GiB'\n  \
    emx tenant limits acme --set cpu_share=default")]
pub(in crate::app) struct Flags {
    /// The tenant's name
    name: String,
    /// Gives it a limit of its own; `default` takes that back
    #[arg(long, value_name = "LIMIT=VALUE")]
    set: Vec<String>,
}

/// A look at a tenant's limits, or a change of them, as it is done here or where the data is open.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::app) struct LimitsAct {
    tenant: String,
    /// Limits by their words; `None`: the default holds.
    set: Vec<(String, Option<u64>)>,
}

impl LimitsAct {
    /// Does it, and gives what holds then.
    pub(in crate::app) fn perform(
        &self,
        limits: &Registry,
        tenancy: &Tenancy,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Value> {
        let tenant = tenant_named(tenancy, &self.tenant)?;
        let mut changes = Vec::with_capacity(self.set.len());
        for (word, value) in &self.set {
            let limit = limit_named(word)?;
            let checked = value.map(|value| limit.check(value)).transpose();
            changes.push((limit, checked.map_err(|detail| refused(word, &detail))?));
        }
        let mut overrides = limits.overrides(&tenant.id);
        if !changes.is_empty() {
            let change = |before: &Overrides| -> Result<Overrides, LimitError> {
                let mut after = *before;
                changes.iter().for_each(|(limit, value)| after.set(*limit, *value));
                Ok(after)
            };
            overrides = limits.change(&tenant, change, by, now_ms)?;
        }
        let mut shown = overrides.over(limits.defaults()).shown();
        let own: Vec<&str> =
            Limit::all().filter(|l| overrides.of(*l).is_some()).map(Limit::as_str).collect();
        shown.insert("overridden".to_owned(), json!(own));
        Ok(shown.into())
    }
}

fn limit_named(word: &str) -> Result<Limit, Failure> {
    Limit::parse(word).ok_or_else(|| {
        let known: Vec<&str> = Limit::all().map(Limit::as_str).collect();
        Failure::usage(format!("there is no limit `{word}`"))
            .help(format!("there are {}", known.join(", ")))
    })
}

fn refused(word: &str, detail: &str) -> Failure {
    Failure::usage(format!("`{word}` {detail}"))
}

/// What `--set` says.
fn setting(text: &str) -> Result<(String, Option<u64>), Failure> {
    let wrong = || Failure::usage(format!("`{text}` is not LIMIT=VALUE"));
    let (word, value) = text.split_once('=').ok_or_else(wrong)?;
    let limit = limit_named(word)?;
    if value == "default" {
        return Ok((word.to_owned(), None));
    }
    let value = value_of(limit, value).map_err(|detail| refused(word, &detail))?;
    Ok((word.to_owned(), Some(value)))
}

/// The value that `text` means for a limit: a number as the API tells it, or with its unit.
fn value_of(limit: Limit, text: &str) -> Result<u64, String> {
    if let Ok(number) = text.parse::<Number>() {
        return limit.read(&number);
    }
    match limit {
        Limit::QueryTime => {
            let ms = Span::parse(text)?.0.as_millis();
            limit.check(u64::try_from(ms).unwrap_or(u64::MAX))
        }
        Limit::QueryMemory | Limit::Storage => limit.check(Size::parse(text)?.0),
        Limit::CpuShare => limit.check(Percent::parse(text)?.0.into()),
        _ => Err("must be a whole number".into()),
    }
}

pub(super) fn run(flags: &Flags, session: &Session) -> Result<()> {
    let set = flags.set.iter().map(|text| setting(text)).collect::<Result<_, Failure>>()?;
    let limits =
        session.perform(Act::TenantLimits(LimitsAct { tenant: flags.name.clone(), set }))?;
    if session.json {
        return output::json(&limits);
    }
    let headings = [("limit", Side::Left), ("value", Side::Right), ("set for", Side::Left)];
    let mut table = TextTable::new(&headings);
    let own = limits["overridden"].as_array();
    for limit in Limit::all().map(Limit::as_str) {
        let is_own = own.is_some_and(|own| own.iter().any(|word| word == limit));
        let set_for = if is_own { flags.name.as_str() } else { "every tenant" };
        table.push([limit, &limits[limit].to_string(), set_for]);
    }
    Ok(output::text(&table.render())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbers_or_have_a_unit() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(setting(text).unwrap().1, expected, "{text}");
        };
        check("requests_per_second=100", Some(100));
        check("query_time_ms=1500", Some(1500));
        check("query_time_ms=30s", Some(30_000));
        check("storage_bytes=20 GiB", Some(20 << 30));
        check("storage_bytes=0", Some(0));
        check("cpu_share=0.25", Some(25));
        check("cpu_share=25 %", Some(25));
        check("cpu_share=default", None);
        for bad in
            ["cpu_share", "speed=1", "cpu_share=2", "events_per_second=5k", "query_time_ms=1"]
        {
            assert!(setting(bad).is_err(), "{bad}");
        }
    }
}
