//! `emx config`: are the settings right, and where does each come from?

use crate::app::output;
use crate::app::session::Session;
use crate::app::table::{Side, TextTable};
use crate::config::load::{DEFAULT_FILE, Loaded};
use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

/// What to do with the settings.
#[derive(Debug, Subcommand)]
pub(in crate::app) enum Command {
    /// Refuse what is unknown or wrong, with its line
    Check,
    /// List every setting, its value and where the value comes from
    Show(ShowFlags),
}

/// How to show them.
#[derive(Debug, Args)]
pub(in crate::app) struct ShowFlags {
    /// Print the commented file with the defaults instead
    #[arg(long)]
    defaults: bool,
}

pub(super) fn run(command: &Command, session: &Session) -> Result<()> {
    match command {
        Command::Check => check(session),
        Command::Show(flags) if flags.defaults && session.json => show(&Loaded::defaults()?, true),
        Command::Show(flags) if flags.defaults => Ok(output::text(DEFAULT_FILE)?),
        Command::Show(_) => show(&session.loaded, session.json),
    }
}

/// Wrong settings keep every command from starting, so here they are right.
fn check(session: &Session) -> Result<()> {
    if session.json {
        return output::json(&json!({"ok": true}));
    }
    Ok(output::text("the settings are right\n")?)
}

fn show(loaded: &Loaded, json: bool) -> Result<()> {
    let shown = loaded.shown();
    if json {
        let item = |s: &crate::config::load::Shown| json!({"key": s.key, "value": s.value, "origin": s.origin.to_string()});
        return output::json(&json!({"items": shown.iter().map(item).collect::<Vec<_>>()}));
    }
    let mut table =
        TextTable::new(&[("setting", Side::Left), ("value", Side::Left), ("from", Side::Left)]);
    for setting in &shown {
        table.push([&setting.key, &setting.value, &setting.origin.to_string()]);
    }
    Ok(output::text(&table.render())?)
}
