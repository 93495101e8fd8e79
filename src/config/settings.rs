//! Every setting, typed.

use super::amount::{Percent, Size, Span};
use crate::identity::client::Binding;
use crate::limits::{Limit, Limits};
use crate::model::network::Network;
use crate::model::web_origin::WebOrigin;
use crate::runtime::outgoing::guard::{Guard, Opening};
use std::net::SocketAddr;
use std::path::PathBuf;

/// All settings, in the sections of `config.toml`. What each one means stands there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Who is answered, and how.
    pub server: ServerSettings,
    /// How long sessions and keys last, and what they are bound to.
    pub security: SecuritySettings,
    /// Who is asked.
    pub outgoing: OutgoingSettings,
    /// Where and how rows are kept.
    pub storage: StorageSettings,
    /// How much the writers may use.
    pub performance: PerformanceSettings,
    /// How much each tenant may use.
    pub limits: LimitSettings,
    /// What is kept in memory to be given again.
    pub cache: CacheSettings,
    /// Imports.
    pub import: ImportSettings,
    /// Messages about the program's own doing.
    pub log: LogSettings,
}

/// `[server]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Further names of the server.
    pub names: Names,
    /// Where browsers reach the server; empty: as it follows from the rest.
    pub public_url: Text,
    /// The certificate's file; empty: the local authority makes one.
    pub certificate: Text,
    /// The file of the certificate's key.
    pub key: Text,
    /// The domain whose subdomains name tenants; empty: none do.
    pub base_domain: Text,
    /// Other pages that may watch.
    pub origins: Origins,
    /// Other pages that may read answers.
    pub cors_origins: Origins,
    /// Proxies that are believed when they say whom they ask for.
    pub trusted_proxies: Networks,
    /// For how long browsers ask by TLS alone, where the company's certificate is shown.
    pub hsts_time: Span,
    /// Connections in all.
    pub connections_max: usize,
    /// Connections from one address.
    pub connections_per_address_max: usize,
    /// How long stopping may take.
    pub stop_time_max: Span,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            names: Names::default(),
            public_url: Text::default(),
            certificate: Text::default(),
            key: Text::default(),
            base_domain: Text::default(),
            origins: Origins::default(),
            cors_origins: Origins::default(),
            trusted_proxies: Networks::default(),
            hsts_time: Span::default(),
            connections_max: 0,
            connections_per_address_max: 0,
            stop_time_max: Span::default(),
        }
    }
}

/// `[outgoing]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutgoingSettings {
    /// Private networks and single services that may be asked.
    pub networks: Openings,
    /// The same, also without TLS.
    pub plain_networks: Openings,
    /// Ports that may be asked.
    pub ports: Ports,
    /// A file of further authorities; empty: those of the machine alone.
    pub authorities: Text,
}

impl OutgoingSettings {
    /// What these allow.
    pub fn guard(&self) -> Guard {
        Guard {
            ports: self.ports.0.clone(),
            openings: self.networks.0.clone(),
            plain_openings: self.plain_networks.0.clone(),
        }
    }
}

/// Some networks and services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Openings(pub Vec<Opening>);

/// Some ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ports(pub Vec<u16>);

/// Some text, perhaps none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(pub String);

/// Some words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

/// Some web sites.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(pub Vec<WebOrigin>);

/// Some networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(pub Vec<Network>);

/// `[security]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecuritySettings {
    /// How long a session may rest.
    pub session_idle_max: Span,
    /// How long a session may last.
    pub session_time_max: Span,
    /// What a session is bound to beside its tokens.
    pub session_binding: Binding,
    /// After how long the key that signs access tokens is replaced; none: by hand alone.
    pub signing_key_time: Span,
}

/// `[storage]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageSettings {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Memory for all caches together.
    pub cache_bytes: Size,
    /// Keyspaces open at a time.
    pub open_keyspaces_max: usize,
    /// Rows sealed into one block.
    pub seal_rows: usize,
    /// Memory at which rows are sealed however few they are.
    pub seal_bytes: Size,
    /// Bytes of the feed that are kept.
    pub feed_window_bytes: Size,
    /// When tenants' data gets to the newest version.
    pub migrate: MigrateWhen,
}

/// `[performance]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PerformanceSettings {
    /// Threads that commit.
    pub writer_threads: usize,
    /// Rows that may wait for one writer.
    pub queue_rows_max: usize,
}

/// `[limits]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitSettings {
    /// Requests in a second; 0: no bound.
    pub requests_per_second: usize,
    /// Executions in a second; 0: no bound.
    pub events_per_second: usize,
    /// Requests at a time.
    pub concurrent_requests: usize,
    /// WebSockets at a time.
    pub websocket_connections: usize,
    /// Longest time of a question.
    pub query_time_max: Span,
    /// Most memory of a question.
    pub query_memory_max: Size,
    /// Part of the processors, while others ask for them too.
    pub cpu_share: Percent,
    /// Bytes of a tenant's file; 0: no bound.
    pub storage_bytes: Size,
}

impl LimitSettings {
    /// The same for tenants that have none of their own.
    pub fn limits(&self) -> Limits {
        let time_ms = u64::try_from(self.query_time_max.0.as_millis()).unwrap_or(u64::MAX);
        Limits::default()
            .with(Limit::RequestsPerSecond, self.requests_per_second as u64)
            .with(Limit::EventsPerSecond, self.events_per_second as u64)
            .with(Limit::ConcurrentRequests, self.concurrent_requests as u64)
            .with(Limit::WebsocketConnections, self.websocket_connections as u64)
            .with(Limit::QueryTime, time_ms)
            .with(Limit::QueryMemory, self.query_memory_max.0)
            .with(Limit::CpuShare, self.cpu_share.0.into())
            .with(Limit::Storage, self.storage_bytes.0)
    }
}

/// `[cache]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheSettings {
    /// Memory for answers.
    pub result_bytes: Size,
}

/// `[import]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportSettings {
    /// Rows committed together.
    pub batch_rows: usize,
}

/// `[log]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// Least grave message that is written.
    pub level: LogLevel,
    /// In which shape.
    pub format: LogFormat,
}

/// How grave a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something is not as it should be.
    #[default]
    Warn,
    /// Something was done.
    Info,
    /// How it was done.
    Debug,
    /// Every step.
    Trace,
}

/// When tenants' data gets to the newest version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MigrateWhen {
    /// When somebody says so: an older program reads it until then.
    #[default]
    Manual,
    /// After every start of the server.
    AtStart,
}

/// The shape of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: an object a line.
    Json,
}
