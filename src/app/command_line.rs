//! What can be typed.

use super::commands::Command;
use clap::{Args, Parser};
use std::path::PathBuf;

/// Command metrics per tenant, in one self-contained binary.
#[derive(Debug, Parser)]
#[command(
    name = "emx",
    version,
    about,
    propagate_version = true,
    max_term_width = 100,
    after_help = "Settings: flags win over EMX_SECTION__KEY, that wins over config.toml, that over the \
                  defaults;\n`emx config show` lists them. Exit status: 0 success, 1 failure, 2 usage."
)]
pub(super) struct CommandLine {
    #[command(flatten)]
    pub(super) global: GlobalFlags,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// The heading of the flags that every command has.
const EVERYWHERE: &str = "Everywhere";

/// Flags that every command has.
#[derive(Debug, Args)]
pub(super) struct GlobalFlags {
    /// Where everything is kept
    #[arg(long, global = true, value_name = "DIR", help_heading = EVERYWHERE)]
    pub(super) data_dir: Option<PathBuf>,
    /// A settings file, instead of config.toml in the data directory
    #[arg(long, global = true, value_name = "FILE", help_heading = EVERYWHERE)]
    pub(super) config: Option<PathBuf>,
    /// A server to ask, https://host:port, instead of the data directory
    #[arg(long, global = true, value_name = "URL", env = "EMX_URL", help_heading = EVERYWHERE)]
    pub(super) url: Option<String>,
    /// The API key for that server
    #[arg(long, global = true, value_name = "KEY", env = "EMX_API_KEY", hide_env_values = true,
        help_heading = EVERYWHERE)]
    pub(super) key: Option<String>,
    /// The certificate of that server's authority
    #[arg(long, global = true, value_name = "FILE", env = "EMX_CA_FILE", help_heading = EVERYWHERE)]
    pub(super) ca: Option<PathBuf>,
    /// Answer in JSON, errors too
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(super) json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }
}
