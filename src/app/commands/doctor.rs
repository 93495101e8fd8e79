//! `emx doctor`: what is wrong with this installation, and what to do?

use crate::app::doctor::{self, Findings, Level};
use crate::app::output;
use crate::app::problem::{Failure, sentence};
use crate::app::session::Session;
use crate::app::table::printable;
use anyhow::Result;
use clap::Args;
use serde_json::json;

/// Nothing can be chosen: everything is looked at.
#[derive(Debug, Args)]
#[command(after_help = "Exit status 1 if anything fails; what only warns is no failure.\n\n\
    Example:\n  emx doctor --data-dir /var/lib/emx")]
pub(in crate::app) struct Flags {}

pub(super) fn run(_: &Flags, session: &Session) -> Result<()> {
    report(&doctor::examine(session), session.json)
}

/// For settings that keep every command from starting.
pub(in crate::app) fn without_settings(error: &anyhow::Error, json: bool) -> Result<()> {
    let mut findings = Findings::default();
    for line in sentence(error).lines() {
        findings.fail("settings", line, "mend it; `emx config check` looks again");
    }
    report(&findings, json)
}

fn report(findings: &Findings, json: bool) -> Result<()> {
    let count = |level| findings.0.iter().filter(|finding| finding.level == level).count();
    let (failed, warned) = (count(Level::Fail), count(Level::Warn));
    if json {
        output::json(&json!({ "ok": findings.is_well(), "findings": findings.0 }))?;
    } else {
        let mut text = String::new();
        for finding in &findings.0 {
            text += &format!("{:4}  {}\n", finding.level.as_str(), line(&finding.detail));
            if let Some(help) = &finding.help {
                text += &format!("      → {}\n", line(help));
            }
        }
        if findings.is_well() && warned == 0 {
            text += "all is well\n";
        }
        output::text(&text)?;
    }
    if findings.is_well() {
        return Ok(());
    }
    let detail = format!("what does not work: {failed} of {}", findings.0.len());
    Err(Failure::new("not_well", detail).help("do what the arrows say").into())
}

/// `text` in one line.
fn line(text: &str) -> String {
    printable(&text.replace('\n', "; "))
}
