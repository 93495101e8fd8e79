//! `emx completions`: what a shell needs to complete commands and flags.

use crate::app::command_line::CommandLine;
use crate::app::output;
use anyhow::Result;
use clap::{Args, CommandFactory, ValueEnum};

/// For which shell.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    emx completions bash > ~/.local/share/bash-completion/completions/emx\n  \
    emx completions zsh > ~/.zfunc/_emx\n  \
    emx completions fish > ~/.config/fish/completions/emx.fish")]
pub(in crate::app) struct Flags {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// A shell.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    /// bash, with bash-completion
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

/// Prints the script. It comes from the command line itself, so it knows every flag.
pub(super) fn run(flags: &Flags) -> Result<()> {
    let shell = match flags.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new(); // memory takes it; a reader that has gone is seen below
    clap_complete::generate(shell, &mut CommandLine::command(), "emx", &mut script);
    Ok(output::text(&String::from_utf8(script)?)?)
}
