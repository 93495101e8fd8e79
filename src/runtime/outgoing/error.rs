//! Why nothing was sent, or why what came back is not an answer.

use super::target::UrlError;

/// Longest text of a library that is shown, characters.
const REASON_CHARS_MAX: usize = 200;

/// Why there is no answer.
///
/// No message names the address that a name led to: whoever names hosts need not learn the network that
/// this machine stands in. The log has it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutgoingError {
    /// The URL is not one that is asked.
    #[error("the URL is refused: {0}")]
    Url(UrlError),
    /// It is to be asked in the clear.
    #[error("the URL is refused: nothing is asked without TLS there, use `https://`")]
    Plain,
    /// The port is not allowed.
    #[error(
        "port {port} is not allowed: whoever runs this server opens this one service by `ADDRESS:{port}` in \
         `outgoing.networks`, or the port everywhere in `outgoing.ports`"
    )]
    Port {
        /// The port.
        port: u16,
    },
    /// The host is or has an address that is not asked.
    #[error("`{host}` leads to {kind}, where nothing is sent{}", hint(*.can_be_opened))]
    Address {
        /// The host as it was given.
        host: String,
        /// What the address is.
        kind: &'static str,
        /// Whether a setting opens it.
        can_be_opened: bool,
    },
    /// The name has no address, or nobody says so.
    #[error("the name `{host}` is not known to the resolver: check its spelling, and the resolver")]
    Unresolved {
        /// The host.
        host: String,
    },
    /// Too much is being asked already.
    #[error("too many requests to `{host}` are under way: try again in a moment")]
    Busy {
        /// The host.
        host: String,
    },
    /// No connection.
    #[error("`{host}` takes no connection: {reason}")]
    Connect {
        /// The host.
        host: String,
        /// What the system said.
        reason: String,
    },
    /// The other end does not prove who it is.
    #[error(
        "`{host}` does not prove that it is the one that is meant ({reason}): if its authority is the company's own, whoever runs this server names it in `outgoing.authorities`"
    )]
    Tls {
        /// The host.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// It took too long.
    #[error("`{host}` took too long to {doing}: try again later")]
    Slow {
        /// The host.
        host: String,
        /// The verb: `connect`, `answer`.
        doing: &'static str,
    },
    /// It is not HTTP, or was cut short.
    #[error("the answer of `{host}` is broken: {reason}")]
    Broken {
        /// The host.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// It points elsewhere.
    #[error("`{host}` answers {status} and points elsewhere: give the address that it points to")]
    Redirect {
        /// The host.
        host: String,
        /// The status.
        status: u16,
    },
    /// It does not end.
    #[error("the answer of `{host}` has more than {bytes_max} bytes: it is something else")]
    TooLarge {
        /// The host.
        host: String,
        /// The bound.
        bytes_max: usize,
    },
    /// It is compressed, which nobody asked for.
    #[error("the answer of `{host}` is compressed, which was not asked for")]
    Encoded {
        /// The host.
        host: String,
    },
    /// What is to be sent cannot stand in a header.
    #[error("the header `{name}` cannot be sent: it has a control character")]
    Header {
        /// The header.
        name: &'static str,
    },
}

fn hint(can_be_opened: bool) -> &'static str {
    match can_be_opened {
        true => " unless whoever runs this server opens it in `outgoing.networks`",
        false => "",
    }
}

impl OutgoingError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Url(_) => "url_invalid",
            Self::Header { .. } => "header_invalid",
            Self::Plain => "url_not_https",
            Self::Port { .. } => "port_refused",
            Self::Address { .. } => "address_refused",
            Self::Unresolved { .. } => "name_unresolved",
            Self::Busy { .. } => "outgoing_busy",
            Self::Connect { .. } => "connect_failed",
            Self::Tls { .. } => "tls_failed",
            Self::Slow { .. } => "answer_slow",
            Self::Broken { .. } => "answer_broken",
            Self::Redirect { .. } => "redirect_refused",
            Self::TooLarge { .. } => "answer_too_large",
            Self::Encoded { .. } => "answer_encoded",
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unresolved { .. }
            | Self::Busy { .. }
            | Self::Connect { .. }
            | Self::Slow { .. }
            | Self::Broken { .. } => true,
            Self::Url(_)
            | Self::Header { .. }
            | Self::Plain
            | Self::Port { .. }
            | Self::Address { .. }
            | Self::Tls { .. }
            | Self::Redirect { .. }
            | Self::TooLarge { .. }
            | Self::Encoded { .. } => false,
        }
    }
}

/// What a library said, fit to be shown: it may quote the other end.
pub(super) fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    if let Some(source) = error.source().map(ToString::to_string)
        && !text.contains(&source)
    {
        text = format!("{text}: {source}");
    }
    text.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect()
}
