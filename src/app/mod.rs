//! The outermost shell: the command line, what it opens, and how it says what went wrong.
//!
//! In reading order: [`command_line`] is what can be typed; [`session`] is what every command
//! has (settings, clock, data); [`commands`] has one file a command; [`problem`] turns errors
//! into words and exit statuses; [`doctor`] finds what is wrong with an installation; [`input`] reads
//! files; [`output`], [`table`] and [`answer_table`] write answers.

mod command_line;
mod session;

mod act;
mod answer_table;
mod carry;
mod commands;
mod doctor;
mod import_report;
mod input;
mod output;
mod panics;
mod password;
mod problem;
mod remote;
mod serve;
mod site;
mod table;

use clap::Parser;
use clap::error::ErrorKind;
use command_line::CommandLine;
use problem::Problem;
use session::Session;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // Known before the arguments are understood, for an error in them is an answer too.
    let json = arguments.iter().any(|argument| argument == "--json");
    let command_line = match CommandLine::try_parse_from(&arguments) {
        Ok(command_line) => command_line,
        Err(error) => return refuse(&error, json),
    };
    panics::hush_library();
    match panics::reported(json, || run(command_line)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(status) => status,
    }
}

fn run(command_line: CommandLine) -> anyhow::Result<()> {
    match Session::start(&command_line.global) {
        Ok(session) => commands::run(command_line.command, &session),
        // Wrong settings are what it is asked for.
        Err(error) if matches!(command_line.command, commands::Command::Doctor(_)) => {
            commands::doctor::without_settings(&error, command_line.global.json)
        }
        Err(error) => Err(error),
    }
}

/// Answers arguments that are not a command: with help if that was asked for, else with why.
fn refuse(error: &clap::Error, json: bool) -> ExitCode {
    let asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if json && !asked_for {
        return Problem::usage(&error.render().to_string()).report(true);
    }
    // Nobody is left to be told when even this cannot be written.
    let _unwritable = error.print();
    if asked_for { ExitCode::SUCCESS } else { problem::EXIT_USAGE.into() }
}
