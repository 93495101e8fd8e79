//! What every command has: settings, a clock, and on demand the data.

use super::act::{Act, Acts};
use super::command_line::GlobalFlags;
use super::problem::Failure;
use super::remote::{Ask, Login, Remote};
use super::site;
use crate::audit::{self, Outcome};
use crate::config::amount::Span;
use crate::config::load::{self, Loaded, Sources};
use crate::config::settings::{LogFormat, LogLevel, SecuritySettings, Settings};
use crate::identity::Identity;
use crate::identity::secret::MasterKey;
use crate::identity::settings::{IdentitySettings, SessionSettings};
use crate::identity::sso::site::Site;
use crate::limits::Registry;
use crate::runtime::clock::Clock;
use crate::tenancy::by::By;
use crate::tenancy::registry::{Tenancy, TenancyError};
use crate::tenancy::schema::SCHEMA;
use crate::tenancy::scope::{Principal, TenantScope};
use anyhow::{Context, Result};
use serde_json::Value;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use storage::embedded::{EmbeddedEngine, EngineSettings, PLATFORM_FILE, TENANTS};
use storage::error::StoreError;
use storage::row::TimeMs;
use storage::volume::OsVolume;
use tracing::level_filters::LevelFilter;

/// How often it is tried to open data that another process uses, and how long is waited in
/// between: together five seconds.
const IN_USE_ATTEMPTS: usize = 100;
const IN_USE_PAUSE: Duration = Duration::from_millis(50);

/// One run of the program.
pub(super) struct Session {
    pub(super) loaded: Loaded,
    pub(super) clock: Clock,
    pub(super) json: bool,
    login: Option<Login>,
}

/// The opened data directory. Nobody else can open it at the same time.
pub(super) struct Data {
    pub(super) engine: Arc<EmbeddedEngine>,
    pub(super) tenancy: Tenancy,
}

impl Session {
    /// Composes the settings and begins to write messages to standard error.
    pub(super) fn start(flags: &GlobalFlags) -> Result<Self> {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let sources =
            Sources { file: flags.config.clone(), data_dir: flags.data_dir.clone(), environment };
        let loaded = load::load(&sources)?;
        begin_log(&loaded, flags.json);
        let login = flags.url.clone().map(|url| Login {
            url,
            key: flags.key.clone(),
            ca_file: flags.ca.clone(),
        });
        Ok(Self { loaded, clock: Clock::system(), json: flags.json, login })
    }

    /// The server to ask: the one that was named, or the one that has the data open.
    pub(super) fn server(&self) -> Result<Option<Remote>> {
        match &self.login {
            Some(login) => Remote::at(login).map(Some),
            None => Remote::control(self.data_dir()),
        }
    }

    /// The tenant that is asked about: the one that was named, or at a server elsewhere `None`, for the key
    /// says it.
    pub(super) fn tenant<'n>(&self, named: &'n Option<String>) -> Result<Option<&'n str>> {
        if named.is_none() && self.login.is_none() {
            return Err(Failure::usage("it is not said whose executions are meant")
                .help("name the tenant with `--tenant`; `emx tenant list` shows them")
                .into());
        }
        Ok(named.as_deref())
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.loaded.settings
    }

    pub(super) fn data_dir(&self) -> &Path {
        &self.settings().storage.data_dir
    }

    /// Whether there is an installation in the data directory.
    pub(super) fn is_initialised(&self) -> Result<bool> {
        let file = self.data_dir().join(PLATFORM_FILE);
        file.try_exists()
            .with_context(|| format!("cannot look into `{}`", self.data_dir().display()))
    }

    /// Opens the data, which must be there.
    pub(super) fn open(&self) -> Result<Data> {
        if !self.is_initialised()? {
            return Err(self.nothing_there()?.into());
        }
        let data = self.open_or_make()?;
        if data.tenancy.list()?.is_empty() {
            return Err(self.nothing_there()?.into());
        }
        Ok(data)
    }

    /// Opens the data, or begins to have some. Waits a little where another process has it open:
    /// most commands take a moment.
    pub(super) fn open_or_make(&self) -> Result<Data> {
        for attempt in 0..IN_USE_ATTEMPTS {
            match self.open_once() {
                Err(error) if is_in_use(&error) => {}
                opened => return opened,
            }
            if self.has_server() {
                let detail = "the data is in use: a server has it open";
                return Err(Failure::new("data_in_use", detail)
                    .help("stop the server for this, or send to it over HTTP")
                    .into());
            }
            if attempt == 0 && !self.json {
                eprintln!("waiting for another `emx` that uses the data");
            }
            self.clock.pause(IN_USE_PAUSE);
        }
        self.open_once()
    }

    /// Whether a server answers that has the data open.
    fn has_server(&self) -> bool {
        Remote::control(self.data_dir()).is_ok_and(|server| server.is_some())
    }

    /// Performs `act` on the data, or has the server perform it that has the data open.
    pub(super) fn perform(&self, act: Act) -> Result<Value> {
        self.performer()?.perform(act)
    }

    /// What performs acts, for as many as there are: the server that has the data open, or the data.
    pub(super) fn performer(&self) -> Result<Performer> {
        if self.login.is_some() {
            return Err(Failure::usage("this is done on the server's own machine")
                .help("leave out `--url`, and unset EMX_URL")
                .into());
        }
        if let Some(server) = self.server()? {
            return Ok(Performer::Server(Box::new(server)));
        }
        let data = self.open()?;
        Ok(Performer::Here(Box::new(self.acts(data)?)))
    }

    /// What acts on `data` need.
    pub(super) fn acts(&self, data: Data) -> Result<Acts> {
        let (engine, tenancy) = (data.engine, Arc::new(data.tenancy));
        let (data_dir, clock) = (self.data_dir().to_owned(), self.clock.clone());
        let master = MasterKey::load_or_make(self.data_dir())?;
        let settings = self.settings();
        let log = Arc::clone(tenancy.log());
        let limits =
            Registry::start(Arc::clone(&log), settings.limits.limits(), processors(), &clock)?;
        let limits = Arc::new(limits);
        let identity = Identity::start(log, master, &identity_settings(settings), clock.now_ms())?;
        let identity = Arc::new(identity);
        tenancy.know(identity.people());
        let site = Site::at(&site::url_of(settings, settings.server.listen));
        let guard = settings.outgoing.guard();
        let authorities = settings.outgoing.authorities.0.clone();
        Ok(Acts { engine, data_dir, tenancy, identity, limits, clock, site, guard, authorities })
    }

    fn open_once(&self) -> Result<Data> {
        let volume = OsVolume::shared(self.data_dir());
        let engine = Arc::new(EmbeddedEngine::open(volume, engine_settings(self.settings()))?);
        let tenancy = Tenancy::start(Arc::<EmbeddedEngine>::clone(&engine))?;
        Ok(Data { engine, tenancy })
    }

    /// What it means that no tenant is known: nobody has begun here, or a file is lost.
    fn nothing_there(&self) -> Result<Failure> {
        let dir = self.data_dir();
        let has_keyspaces = match std::fs::read_dir(dir.join(TENANTS)) {
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            entries => entries?.next().is_some(),
        };
        let dir = dir.display();
        if has_keyspaces {
            let detail =
                format!("`{dir}` has data of tenants, but no {PLATFORM_FILE} that knows them");
            return Ok(
                Failure::new("platform_lost", detail).help("restore a copy of the data directory")
            );
        }
        Ok(Failure::new("not_initialised", format!("there is no data in `{dir}`"))
            .help(format!("run `emx init --data-dir {dir} --tenant NAME --admin EMAIL` first")))
    }
}

/// Performs acts.
pub(super) enum Performer {
    /// A server that has the data open.
    Server(Box<Remote>),
    /// This process.
    Here(Box<Acts>),
}

impl Performer {
    /// Performs `act`.
    pub(super) fn perform(&self, act: Act) -> Result<Value> {
        match self {
            Self::Server(server) => {
                server.ask(Ask::post("/control/act", None, serde_json::to_vec(&act)?))
            }
            Self::Here(acts) => acts.perform(act),
        }
    }
}

impl Data {
    /// Lets the person at the machine into the tenant called `slug`.
    pub(super) fn enter(&self, slug: &str) -> Result<TenantScope> {
        Ok(self.tenancy.enter(&Principal::LocalOperator, slug)?)
    }

    /// Tells in the audit log that the person at the machine did `action` in `tenant`. What is begun is
    /// not gone on with where that cannot be told; what is done is done.
    pub(super) fn tell(
        &self,
        tenant: &TenantScope,
        action: &str,
        target: String,
        outcome: Outcome,
        now_ms: TimeMs,
    ) -> Result<()> {
        let by = By::operator();
        let told = by.told(tenant.id(), by.did(action, target).ended(outcome));
        let log = self.tenancy.log();
        match outcome {
            Outcome::Begun => log.tell(told, now_ms)?,
            _ => log.tell_now_or_later(told, now_ms)?,
        }
        Ok(())
    }

    /// Tells in the audit log what the person at the machine asks, where `tenant` wants that.
    pub(super) fn tell_of_question(
        &self,
        tenant: &TenantScope,
        asked: impl FnOnce() -> Result<String>,
        now_ms: TimeMs,
    ) -> Result<()> {
        if !tenant.tenant().audit_queries {
            return Ok(());
        }
        let by = By::operator();
        let event = by.did("query", String::new()).after(audit::excerpt(asked()?).into());
        Ok(self.tenancy.log().tell_now_or_later(by.told(tenant.id(), event), now_ms)?)
    }
}

/// How many processors this process has.
pub(super) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn engine_settings(settings: &Settings) -> EngineSettings {
    let storage = &settings.storage;
    EngineSettings {
        cache_bytes: storage.cache_bytes.bytes(),
        open_keyspaces_max: storage.open_keyspaces_max,
        seal_rows: storage.seal_rows,
        seal_bytes: storage.seal_bytes.bytes(),
        feed_window_bytes: storage.feed_window_bytes.0,
        schema: &SCHEMA,
        ..EngineSettings::default()
    }
    .shared_out()
}

fn identity_settings(settings: &Settings) -> IdentitySettings {
    let SecuritySettings { session_idle_max, session_time_max, session_binding, signing_key_time } =
        settings.security;
    let ms = |span: Span| TimeMs::try_from(span.0.as_millis()).unwrap_or(TimeMs::MAX);
    IdentitySettings {
        session: SessionSettings {
            idle_ms: ms(session_idle_max),
            absolute_ms: ms(session_time_max),
            binding: session_binding,
        },
        signing_key_ms: Some(ms(signing_key_time)).filter(|ms| *ms > 0),
    }
}

/// Whether another process has the data open.
pub(super) fn is_in_use(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        matches!(cause.downcast_ref(), Some(StoreError::InUse))
            || matches!(cause.downcast_ref(), Some(TenancyError::Store(StoreError::InUse)))
    })
}

/// Messages go to standard error, so that standard output is the answer and nothing else. Where
/// programs read that too, messages are written only if somebody asked for them.
fn begin_log(loaded: &Loaded, json: bool) {
    let settings = &loaded.settings.log;
    let level = match settings.level {
        _ if json && loaded.is_default("log", "level") => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let log = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr);
    // A second subscriber in one process is refused; the first goes on.
    let _already_begun = match settings.format {
        LogFormat::Text => log.with_ansi(false).without_time().with_target(false).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_file_says_what_the_engine_identities_and_limits_default_to() {
        let loaded = load::load(&Sources::default()).unwrap();
        let engine = EngineSettings { schema: &SCHEMA, ..EngineSettings::default() };
        assert_eq!(engine_settings(&loaded.settings), engine);
        assert_eq!(identity_settings(&loaded.settings), IdentitySettings::default());
        assert_eq!(loaded.settings.limits.limits(), crate::limits::Limits::default());
    }
}
