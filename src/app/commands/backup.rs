//! `emx backup`: a copy of everything in one file, and back.

use crate::app::act::{Act, backup_as_json};
use crate::app::output;
use crate::app::problem::Failure;
use crate::app::session::Session;
use crate::app::table::{Side, TextTable, printable};
use crate::backup::{self, Progress, Verified};
use anyhow::Result;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What to do with backups.
#[derive(Debug, Subcommand)]
pub(in crate::app) enum Command {
    /// Make one: all tenants, the platform's tables, keys and certificates
    Create(CreateFlags),
    /// Read and verify everything in one, and say what is in it
    Verify(VerifyFlags),
    /// Put one back into an empty data directory
    Restore(RestoreFlags),
}

/// Where to make it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    emx backup create --to /backups\n  \
    emx backup create --to before-upgrade.tar --data-dir /var/lib/emx")]
pub(in crate::app) struct CreateFlags {
    /// The file to make, or a directory in which it is named by the time
    #[arg(long, value_name = "FILE_OR_DIR")]
    to: PathBuf,
}

/// What to verify.
#[derive(Debug, Args)]
#[command(after_help = "It is unpacked beside the file for that, and removed again.\n\n\
    Example:\n  emx backup verify /backups/emx-2026-04-01T02-00-00Z.tar")]
pub(in crate::app) struct VerifyFlags {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// What to put back.
#[derive(Debug, Args)]
#[command(after_help = "The data directory (`--data-dir`) must be empty or not there.\n\n\
    Example:\n  emx backup restore /backups/emx-2026-04-01T02-00-00Z.tar --data-dir /var/lib/emx-restored")]
pub(in crate::app) struct RestoreFlags {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(command: &Command, session: &Session) -> Result<()> {
    match command {
        Command::Create(flags) => create(flags, session),
        Command::Verify(flags) => verify(flags, session),
        Command::Restore(flags) => restore(flags, session),
    }
}

fn create(flags: &CreateFlags, session: &Session) -> Result<()> {
    // The server that makes it is started somewhere else.
    let to = std::path::absolute(&flags.to)?;
    let made = if session.server()?.is_some() {
        session.perform(Act::BackupCreate { to })?
    } else {
        let bar = Bar::new();
        let acts = session.acts(session.open()?)?;
        acts.back_up(&to, &mut |progress| bar.show(progress))?
    };
    if session.json {
        return output::json(&made);
    }
    let bytes = &made["bytes"];
    let tenants = match made["tenants"].as_u64().unwrap_or_default() {
        1 => "1 tenant".to_owned(),
        count => format!("{count} tenants"),
    };
    let path = made["path"].as_str().unwrap_or_default();
    let mut text = format!("made `{path}`: {tenants}, {bytes} bytes\n");
    if made["has_secrets"] == true {
        text += "it has private keys in it: keep it where only you can read it\n";
    }
    text += &format!("`emx backup verify {path}` reads it again\n");
    Ok(output::text(&text)?)
}

fn verify(flags: &VerifyFlags, session: &Session) -> Result<()> {
    let bar = Bar::new();
    let verified = backup::verify(&flags.file, &mut |progress| bar.show(progress))?;
    drop(bar);
    if session.json {
        output::json(&contents(&flags.file, &verified))?;
    } else {
        output::text(&as_text(&flags.file, &verified, "sound"))?;
    }
    if verified.is_sound() {
        return Ok(());
    }
    Err(Failure::new("damage_found", "not everything in the backup is as it was written")
        .help("take an earlier one; `emx check` tells whether the data itself is damaged")
        .into())
}

fn restore(flags: &RestoreFlags, session: &Session) -> Result<()> {
    let bar = Bar::new();
    let dir = session.data_dir();
    let restored = backup::restore(&flags.file, dir, &mut |progress| bar.show(progress))?;
    drop(bar);
    if session.json {
        let mut answer = contents(&flags.file, &restored);
        answer["data_dir"] = dir.display().to_string().into();
        return output::json(&answer);
    }
    let dir = dir.display();
    let mut text = as_text(&flags.file, &restored, "restored");
    text += &format!("restored into `{dir}`\n");
    if rustix::process::geteuid().is_root() {
        text += &format!("give it to whom the server runs as first: chown -R emx: {dir}\n");
    }
    text += &format!("start it with `emx serve --data-dir {dir}`\n");
    Ok(output::text(&text)?)
}

fn contents(path: &Path, verified: &Verified) -> Value {
    let mut answer = backup_as_json(path, &verified.manifest);
    answer["ok"] = verified.is_sound().into();
    answer["tenants"] = json!(verified.tenants);
    answer["findings"] = json!(verified.findings);
    answer
}

/// What is in it; `well` is said of a tenant with which nothing is wrong.
fn as_text(path: &Path, verified: &Verified, well: &str) -> String {
    let manifest = &verified.manifest;
    let mut text = format!(
        "{}: made {} by emx {}, {} bytes\n",
        printable(&path.display().to_string()),
        printable(&manifest.created_at),
        printable(&manifest.emx),
        manifest.bytes(),
    );
    let mut table = TextTable::new(&[
        ("tenant", Side::Left),
        ("id", Side::Left),
        ("rows", Side::Right),
        ("state", Side::Left),
    ]);
    for tenant in &verified.tenants {
        let state = if tenant.findings.is_empty() { well } else { "DAMAGED" };
        table.push([tenant.tenant.as_str(), tenant.id.as_str(), &tenant.rows.to_string(), state]);
    }
    text += &table.render();
    let of_tenants = verified.tenants.iter().flat_map(|tenant| &tenant.findings);
    for finding in verified.findings.iter().chain(of_tenants) {
        text += &format!("  {}\n", printable(finding));
    }
    if manifest.has_secrets() {
        text += "with private keys\n";
    }
    text
}

/// Progress on a terminal; gone when it is dropped.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        if !output::shows_progress() {
            return Self(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}");
        let bar = ProgressBar::new(0);
        Self(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }

    fn show(&self, progress: Progress<'_>) {
        self.0.set_length(progress.total as u64);
        self.0.set_position(progress.done as u64);
        self.0.set_message(printable(progress.name));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
