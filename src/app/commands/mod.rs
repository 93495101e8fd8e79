//! One file a command: its flags, and what it does.

pub(super) use self::audit::AuditAct;
pub(super) use self::key::KeyAct;
pub(super) use self::limits::LimitsAct;
pub(super) use self::migrate::MigrateAct;
pub(super) use self::row_policy::RowPolicyAct;
pub(super) use self::sso::SsoAct;
pub(super) use self::team::TeamAct;
pub(super) use self::tenant::TenantToMake;
pub(super) use self::user::{UserAct, tenant_named};

use super::session::Session;
use anyhow::Result;
use clap::Subcommand;

mod audit;
mod backup;
mod check;
mod completions;
mod config;
pub(super) mod doctor;
mod export;
mod import;
mod init;
mod key;
mod limits;
mod migrate;
mod query;
mod row_policy;
mod sample;
mod serve;
mod sso;
mod team;
mod tenant;
mod top;
mod user;

/// Every command.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve the API, the page and live updates over TLS
    Serve(serve::Flags),
    /// Begin: make the data directory, the first tenant and its administrator
    Init(init::Flags),
    /// Make, list, limit, suspend, resume, export, import, migrate and delete tenants; say how their people
    /// sign in and what they see
    #[command(subcommand)]
    Tenant(tenant::Command),
    /// Make, invite, list and keep out users, and let them in again
    #[command(subcommand)]
    User(user::Command),
    /// Make and list teams, and say who is in them
    #[command(subcommand)]
    Team(team::Command),
    /// Make, list and revoke API keys
    #[command(subcommand)]
    Key(key::Command),
    /// Show who did what, and verify the log of it
    #[command(subcommand)]
    Audit(audit::Command),
    /// Add, list and remove identity providers, and explain what they answer
    #[command(subcommand)]
    Sso(sso::Command),
    /// Ask: counts, rates, percentiles, by whatever there is
    Query(Box<query::Flags>),
    /// Watch what is going on, in the terminal
    Top(top::Flags),
    /// Take files in: job logs (SWF), CSV, TSV, JSON, NDJSON
    Import(import::Flags),
    /// Give rows out, as CSV or NDJSON
    Export(export::Flags),
    /// Verify everything that is stored
    Check(check::Flags),
    /// Say what is wrong with this installation, and what to do
    Doctor(doctor::Flags),
    /// Make, verify and restore backups
    #[command(subcommand)]
    Backup(backup::Command),
    /// Check and show the settings
    #[command(subcommand)]
    Config(config::Command),
    /// Print made-up executions, to look around with
    Sample(sample::Flags),
    /// Print the completions of a shell
    Completions(completions::Flags),
}

/// Runs `command`.
pub(super) fn run(command: Command, session: &Session) -> Result<()> {
    match command {
        Command::Serve(flags) => serve::run(&flags, session),
        Command::Init(flags) => init::run(&flags, session),
        Command::Tenant(command) => tenant::run(&command, session),
        Command::User(command) => user::run(&command, session),
        Command::Team(command) => team::run(&command, session),
        Command::Key(command) => key::run(&command, session),
        Command::Audit(command) => audit::run(&command, session),
        Command::Sso(command) => sso::run(&command, session),
        Command::Query(flags) => query::run(&flags, session),
        Command::Top(flags) => top::run(&flags, session),
        Command::Import(flags) => import::run(&flags, session),
        Command::Export(flags) => export::run(&flags, session),
        Command::Check(flags) => check::run(&flags, session),
        Command::Doctor(flags) => doctor::run(&flags, session),
        Command::Backup(command) => backup::run(&command, session),
        Command::Config(command) => config::run(&command, session),
        Command::Sample(flags) => sample::run(&flags, session),
        Command::Completions(flags) => completions::run(&flags),
    }
}
