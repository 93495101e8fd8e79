//! What is wrong with an installation, found without changing more than every command does that
//! opens the data.
//!
//! [`host`] looks at the machine and the data directory, [`certificates`] at what TLS uses, [`data`]
//! at what is stored. Each finding is one line of what, and one of what to do.

mod certificates;
mod data;
mod host;
#[cfg(test)]
mod tests;

use super::remote::CONTROL_SOCKET;
use super::session::Session;
use crate::runtime::local_socket::SocketPath;
use serde::Serialize;
use std::fmt::Display;
use std::os::unix::net::UnixStream;

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// It works, but not for ever or not for everybody.
    Warn,
    /// It does not work.
    Fail,
}

impl Level {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What was found of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at: a stable word.
    pub(super) check: &'static str,
    pub(super) level: Level,
    /// What is so.
    pub(super) detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) help: Option<String>,
}

/// The findings so far.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    pub(super) fn ok(&mut self, check: &'static str, detail: impl Display) {
        self.add(check, Level::Ok, detail, None);
    }

    pub(super) fn warn(&mut self, check: &'static str, detail: impl Display, help: impl Display) {
        self.add(check, Level::Warn, detail, Some(help.to_string()));
    }

    pub(super) fn fail(&mut self, check: &'static str, detail: impl Display, help: impl Display) {
        self.add(check, Level::Fail, detail, Some(help.to_string()));
    }

    fn add(
        &mut self,
        check: &'static str,
        level: Level,
        detail: impl Display,
        help: Option<String>,
    ) {
        self.0.push(Finding { check, level, detail: detail.to_string(), help });
    }

    /// Whether nothing fails.
    pub(super) fn is_well(&self) -> bool {
        self.0.iter().all(|finding| finding.level != Level::Fail)
    }
}

/// What is known of whether a server has the data open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    Runs,
    /// Its socket is there, and nobody answers.
    Left,
    None,
}

/// Looks at everything. What cannot be looked at because of an earlier finding is left out.
pub(super) fn examine(session: &Session) -> Findings {
    let mut findings = Findings::default();
    let dir = session.data_dir();
    findings.ok("version", host::versions());
    findings.ok("settings", "every setting is known and right");
    host::clock(session.clock.now_ms(), dir, &mut findings);
    host::open_files(session.settings().storage.open_keyspaces_max, &mut findings);
    if !host::directory(dir, &mut findings) {
        return findings;
    }
    host::file_system(dir, &mut findings);
    host::files(dir, &mut findings);
    certificates::examine(dir, session.clock.now_ms(), &mut findings);
    let server = match SocketPath::of(dir, CONTROL_SOCKET).and_then(UnixStream::connect) {
        Ok(_) => Server::Runs,
        Err(_) if dir.join(CONTROL_SOCKET).exists() => Server::Left,
        Err(_) => Server::None,
    };
    data::examine(session, server, &mut findings);
    findings
}
