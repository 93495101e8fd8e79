//! `emx audit`: who did what, and whether the log of it is what was written.

use super::user::tenant_named;
use crate::app::act::{Act, text};
use crate::app::output;
use crate::app::problem::Failure;
use crate::app::session::Session;
use crate::app::table::{Side, TextTable, instant};
use crate::audit::{self, Anchor, Filter, Finding, Listed, PAGE_MAX, PLATFORM, Verdict};
use crate::tenancy::by::By;
use crate::tenancy::id::TenantId;
use crate::tenancy::registry::{Tenancy, TenancyError};
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use storage::ask::Budget;
use storage::row::TimeMs;

/// What to do with the audit log.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  \
    emx audit list --tenant demo --text 'api-keys refused'\n  \
    emx audit anchor --tenant demo >> /somewhere/else/anchors.txt\n  \
    emx audit verify --anchors /somewhere/else/anchors.txt")]
pub(in crate::app) enum Command {
    /// Show who did what, newest first
    List(ListFlags),
    /// Write every entry as it is stored, newest first, as NDJSON
    Export(ChainFlags),
    /// Print a line to keep elsewhere: it shows later whether the log was cut or written anew
    Anchor(ChainFlags),
    /// Find entries that were altered, removed, moved, inserted or cut off
    Verify(VerifyFlags),
}

/// Whose log.
#[derive(Clone, Debug, Args)]
pub(in crate::app) struct ChainFlags {
    /// The tenant, by its id where it was deleted; the log of what concerns none, or all, if not given
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
}

/// What to show.
#[derive(Debug, Args)]
pub(in crate::app) struct ListFlags {
    #[command(flatten)]
    chain: ChainFlags,
    /// Who: user:ID, key:ID, operator, anonymous
    #[arg(long, value_name = "WHO")]
    actor: Option<String>,
    /// What: user.create, or user for all of them
    #[arg(long, value_name = "WHAT")]
    action: Option<String>,
    /// Words that all stand somewhere in the entry
    #[arg(long, value_name = "WORDS")]
    text: Option<String>,
    /// How many entries at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Only entries before the one with this number
    #[arg(long, value_name = "SEQ")]
    before: Option<u64>,
}

/// What to verify.
#[derive(Debug, Args)]
pub(in crate::app) struct VerifyFlags {
    /// The tenant; every log if not given
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// A file with lines that `emx audit anchor` printed
    #[arg(long, value_name = "FILE")]
    anchors: Option<PathBuf>,
    /// A file that `emx audit export` wrote, instead of the log itself; needs no data directory
    #[arg(long, value_name = "FILE", requires = "chain", conflicts_with = "tenant")]
    file: Option<PathBuf>,
    /// Whose log the file is: the tenant's id, or platform
    #[arg(long, value_name = "ID", requires = "file")]
    chain: Option<String>,
}

/// A look at the audit log, as it is taken here or where the data is open.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "audit_act", rename_all = "snake_case", deny_unknown_fields)]
pub(in crate::app) enum AuditAct {
    /// Entries that pass a filter.
    List {
        tenant: Option<String>,
        actor: Option<String>,
        action: Option<String>,
        text: Option<String>,
        before: Option<u64>,
        limit: usize,
    },
    /// A page of entries as they are stored.
    Export { tenant: Option<String>, before: Option<u64> },
    /// The state of a chain.
    Anchor { tenant: Option<String> },
    /// Whether chains are what was written; all of them if no tenant is named.
    Verify { tenant: Option<String>, anchors: Vec<String> },
}

impl AuditAct {
    /// Takes the look, and gives what was seen.
    pub(in crate::app) fn perform(
        &self,
        tenancy: &Tenancy,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<Value> {
        let log = tenancy.log();
        match self {
            Self::List { tenant, actor, action, text, before, limit } => {
                let (actor, action, text) = (actor.clone(), action.clone(), text.clone());
                let filter = Filter { actor, action, text, ..Filter::default() };
                let chain = chain_of(tenancy, tenant)?;
                let found = log.find(&chain, &filter, *before, *limit, &Budget::default())?;
                let items: Vec<Value> = found.entries.iter().map(as_json).collect();
                Ok(json!({ "items": items, "next": found.next }))
            }
            Self::Export { tenant, before } => {
                let chain = chain_of(tenancy, tenant)?;
                if before.is_none() {
                    log.tell_now_or_later(by.told_of_chain(&chain, "audit.export"), now_ms)?;
                }
                let page = log.page_as_stored(&chain, *before, PAGE_MAX)?;
                let next = page.last().filter(|_| page.len() == PAGE_MAX).map(|(seq, _)| *seq);
                let lines = page.into_iter().map(|(_, line)| String::from_utf8_lossy(&line).into());
                Ok(json!({ "lines": lines.collect::<Vec<String>>(), "next": next }))
            }
            Self::Anchor { tenant } => {
                Ok(json!({ "line": log.anchor(&chain_of(tenancy, tenant)?)?.to_string() }))
            }
            Self::Verify { tenant, anchors } => {
                let anchors = anchors_of(anchors)?;
                let chains = match tenant {
                    Some(_) => {
                        let chain = chain_of(tenancy, tenant)?;
                        demand_one_of(&anchors, &chain)?;
                        vec![chain]
                    }
                    None => all_chains(tenancy, &anchors)?,
                };
                let mut items = Vec::new();
                for chain in chains {
                    let verdict = log.verify(&chain, &anchors)?;
                    items.push(verdict_as_json(&chain, &verdict));
                }
                Ok(json!({ "items": items }))
            }
        }
    }
}

/// Those that there are, and those that an anchor says there were.
fn all_chains(tenancy: &Tenancy, anchors: &[Anchor]) -> Result<Vec<String>> {
    let mut chains = tenancy.log().chains()?;
    chains.extend(anchors.iter().map(|anchor| anchor.chain.to_string()));
    chains.sort();
    chains.dedup();
    Ok(chains)
}

/// The log of a tenant by its name, whatever its state, or by its id: of one that is gone its log stays.
fn chain_of(tenancy: &Tenancy, tenant: &Option<String>) -> Result<String> {
    let Some(name) = tenant else { return Ok(PLATFORM.to_owned()) };
    match tenant_named(tenancy, name) {
        Ok(known) => Ok(known.id.as_str().to_owned()),
        Err(TenancyError::NotFound { .. })
            if TenantId::parse(name).is_some() && tenancy.log().anchor(name)?.seq > 0 =>
        {
            Ok(name.clone())
        }
        Err(error) => Err(error.into()),
    }
}

fn anchors_of(lines: &[String]) -> Result<Vec<Anchor>> {
    let anchor = |line: &String| {
        let unreadable = || {
            Failure::usage(format!("`{line}` is no anchor"))
                .help("a line of `emx audit anchor` is `emx-audit <chain> <seq> <hash>`")
        };
        Ok(line.parse().map_err(|()| unreadable())?)
    };
    lines.iter().map(anchor).collect()
}

/// Fails where anchors were given and none is of `chain`: they would prove nothing.
fn demand_one_of(anchors: &[Anchor], chain: &str) -> Result<()> {
    if anchors.is_empty() || anchors.iter().any(|anchor| &*anchor.chain == chain) {
        return Ok(());
    }
    let detail = format!("none of the anchors is of the log `{chain}`");
    let help = "an anchor's second word says of which log it is";
    Err(Failure::usage(detail).help(help).into())
}

fn as_json(Listed { seq, entry, .. }: &Listed) -> Value {
    let Some(entry) = entry else { return json!({ "seq": seq, "outcome": "damaged" }) };
    let mut shown = json!(entry);
    shown["at"] = instant(entry.at_ms).into();
    shown
}

fn verdict_as_json(chain: &str, verdict: &Verdict) -> Value {
    let findings = verdict.findings.iter().map(|finding| {
        let Finding { seq, first_seq, harm } = finding;
        let detail = finding.to_string();
        json!({ "seq": seq, "first_seq": first_seq, "harm": harm, "detail": detail })
    });
    let findings: Vec<Value> = findings.collect();
    json!({
        "chain": chain, "entries": verdict.entries, "sound": findings.is_empty(),
        "findings": findings,
    })
}

pub(super) fn run(command: &Command, session: &Session) -> Result<()> {
    match command {
        Command::List(flags) => list(flags, session),
        Command::Export(flags) => export(flags, session),
        Command::Anchor(flags) => anchor(flags, session),
        Command::Verify(flags) => verify(flags, session),
    }
}

fn list(flags: &ListFlags, session: &Session) -> Result<()> {
    let tenant = flags.chain.tenant.clone();
    let (actor, action, text_wanted) =
        (flags.actor.clone(), flags.action.clone(), flags.text.clone());
    // One look ends after so many entries that do not pass: it is gone on with until there are enough.
    let (mut items, mut next, limit) = (Vec::new(), flags.before, usize::from(flags.limit));
    loop {
        let act = AuditAct::List {
            tenant: tenant.clone(),
            actor: actor.clone(),
            action: action.clone(),
            text: text_wanted.clone(),
            before: next,
            limit: limit - items.len(),
        };
        let found = session.perform(Act::Audit(act))?;
        items.extend(found["items"].as_array().into_iter().flatten().cloned());
        next = found["next"].as_u64();
        if next.is_none() || items.len() >= limit {
            break;
        }
    }
    if session.json {
        return output::json(&json!({ "items": items, "next": next }));
    }
    let headings = ["when", "who", "what", "to", "outcome", "times", "from"];
    let mut table = TextTable::new(&headings.map(|heading| (heading, Side::Left)));
    for entry in &items {
        let count = entry["count"].as_u64().unwrap_or(1).to_string();
        table.push([
            text(entry, "at"),
            text(entry, "actor"),
            text(entry, "action"),
            text(entry, "target"),
            text(entry, "outcome"),
            &count,
            text(entry, "address"),
        ]);
    }
    output::text(&table.render())?;
    if let Some(next) = next {
        eprintln!("there are earlier entries: go on with `--before {next}`");
    }
    Ok(())
}

fn export(flags: &ChainFlags, session: &Session) -> Result<()> {
    let (mut out, mut before) = (output::stream(), None);
    loop {
        let act = AuditAct::Export { tenant: flags.tenant.clone(), before };
        let page = session.perform(Act::Audit(act))?;
        for line in page["lines"].as_array().into_iter().flatten() {
            writeln!(out, "{}", line.as_str().unwrap_or_default())?;
        }
        before = page["next"].as_u64();
        if before.is_none() {
            return Ok(out.flush()?);
        }
    }
}

fn anchor(flags: &ChainFlags, session: &Session) -> Result<()> {
    let act = AuditAct::Anchor { tenant: flags.tenant.clone() };
    let anchor = session.perform(Act::Audit(act))?;
    if session.json {
        return output::json(&anchor);
    }
    Ok(output::text(&format!("{}\n", text(&anchor, "line")))?)
}

fn verify(flags: &VerifyFlags, session: &Session) -> Result<()> {
    let anchors = match &flags.anchors {
        None => Vec::new(),
        Some(file) => {
            let lines = fs::read_to_string(file)
                .with_context(|| format!("cannot read `{}`", file.display()))?;
            let lines = lines.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned);
            let lines: Vec<String> = lines.collect();
            if lines.is_empty() {
                let detail = format!("there is no anchor in `{}`", file.display());
                return Err(Failure::usage(detail).into());
            }
            lines
        }
    };
    let verdicts = match (&flags.file, &flags.chain) {
        (Some(file), Some(chain)) => verify_file(file, chain, &anchors)?,
        _ => session
            .perform(Act::Audit(AuditAct::Verify { tenant: flags.tenant.clone(), anchors }))?,
    };
    tell(&verdicts, session)
}

fn verify_file(file: &PathBuf, chain: &str, anchors: &[String]) -> Result<Value> {
    let cannot = || format!("cannot read `{}`", file.display());
    let anchors = anchors_of(anchors)?;
    demand_one_of(&anchors, chain)?;
    let lines = BufReader::new(File::open(file).with_context(cannot)?).split(b'\n');
    let verdict = audit::verify_lines(lines, chain, &anchors).with_context(cannot)?;
    if verdict.entries == 0 && anchors.is_empty() {
        let detail = format!("there is no entry in `{}`", file.display());
        return Err(Failure::usage(detail).help("`emx audit export` writes some").into());
    }
    Ok(json!({ "items": [verdict_as_json(chain, &verdict)] }))
}

/// Says what was found; anything but sound logs is a failure.
fn tell(verdicts: &Value, session: &Session) -> Result<()> {
    let logs = verdicts["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    if session.json {
        output::json(verdicts)?;
    } else {
        let mut said = String::new();
        for log in logs {
            let findings = log["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
            let sound = if findings.is_empty() { "sound" } else { "NOT SOUND" };
            said += &format!("{}: {} entries, {sound}\n", text(log, "chain"), log["entries"]);
            for finding in findings {
                said += &format!("  {}\n", text(finding, "detail"));
            }
        }
        output::text(&said)?;
    }
    if logs.iter().all(|log| log["sound"] == true) {
        return Ok(());
    }
    let detail = "the audit log is not what was written";
    Err(Failure::new("audit_log_harmed", detail)
        .help("keep a copy of the data directory, and compare with the newest backup")
        .into())
}
