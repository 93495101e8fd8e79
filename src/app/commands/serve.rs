//! `emx serve`: the server, from the first file to the last answer.

use crate::app::serve::{self, Plan};
use crate::app::session::Session;
use anyhow::Result;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

/// How to serve.
#[derive(Debug, Args)]
#[command(
    after_help = "On an empty data directory everything is made that is needed: keys, a local certificate \
    authority,\na tenant and its administrator, whose password is shown once.\n\n\
    Examples:\n  \
    emx serve --data-dir /var/lib/emx\n  \
    emx serve --listen 0.0.0.0:8443\n  \
    emx serve --demo"
)]
pub(in crate::app) struct Flags {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// A file that is written once connections are accepted: {url, ca_file, pid}
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// With a tenant `demo` that has three months of made-up executions and gets new ones
    #[arg(long)]
    demo: bool,
}

pub(super) fn run(flags: &Flags, session: &Session) -> Result<()> {
    let plan = Plan {
        listen: flags.listen.unwrap_or(session.settings().server.listen),
        ready_file: flags.ready_file.clone(),
        demo: flags.demo,
    };
    serve::run(&plan, session)
}
