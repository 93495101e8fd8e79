//! A client, a network, and a provider on it.

use crate::provider::{CLIENT_ID, CLIENT_SECRET, Callback, Provider, REDIRECT_URI};
use crate::site::Site;
use crate::wire::{PUBLIC, Wire};
use emx::identity::oidc::{Client, External, OidcError, Settings, Started};
use emx::runtime::clock::Clock;
use emx::runtime::outgoing::{Guard, Outgoing, Patience, Trust};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use storage::row::TimeMs;

/// When everything begins: 2026-11-26.
pub(crate) const NOW_MS: TimeMs = 1_795_000_000_000;

pub(crate) const ISSUER: &str = "https://idp.example.org";

/// The hosts that the provider answers for.
const HOSTS: [&str; 5] = [
    "idp.example.org",
    "accounts.google.com",
    "login.microsoftonline.com",
    "acme.okta.com",
    "dev-1.okta.com",
];

pub(crate) struct World {
    pub(crate) wire: Arc<Wire>,
    pub(crate) client: Client,
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    provider: Arc<Mutex<Provider>>,
    _site: Site,
}

pub(crate) fn guard() -> Guard {
    Guard { ports: vec![443], ..Guard::default() }
}

impl World {
    pub(crate) async fn new() -> Self {
        let (id, secret) = (CLIENT_ID.to_owned(), Some(CLIENT_SECRET.to_owned()));
        Self::of(Settings::generic(ISSUER.to_owned(), id, secret, REDIRECT_URI.to_owned())).await
    }

    /// With a provider that is the issuer of `settings`.
    pub(crate) async fn of(settings: Settings) -> Self {
        Self::patient(settings, Patience::default()).await
    }

    /// With a client that gives up after a moment.
    pub(crate) async fn impatient() -> Self {
        let moment = Duration::from_millis(300);
        let patience = Patience { resolve: moment, connect: moment, tls: moment, answer: moment };
        let (id, secret) = (CLIENT_ID.to_owned(), Some(CLIENT_SECRET.to_owned()));
        let settings = Settings::generic(ISSUER.to_owned(), id, secret, REDIRECT_URI.to_owned());
        Self::patient(settings, patience).await
    }

    async fn patient(settings: Settings, patience: Patience) -> Self {
        let provider = Arc::new(Mutex::new(Provider::new(&settings.issuer, NOW_MS)));
        let answering = Arc::clone(&provider);
        let answering = Arc::new(move |came| answering.lock().unwrap().answer(came));
        let site = Site::start(&HOSTS, answering).await;
        let wire = Wire::new();
        for host in HOSTS {
            wire.name(host, &[&[PUBLIC]]);
        }
        wire.line(&format!("{PUBLIC}:443"), site.address);
        let trust = Trust::of_file(&site.ca_file()).unwrap();
        let client = Client::new(Outgoing::over(wire.clone(), guard(), trust, patience));
        Self { wire, client, settings, clock: Clock::manual(NOW_MS), provider, _site: site }
    }

    pub(crate) fn provider(&self) -> MutexGuard<'_, Provider> {
        self.provider.lock().unwrap()
    }

    /// Another client, which knows nothing yet.
    pub(crate) fn forget(&mut self) {
        let trust = Trust::of_file(&self._site.ca_file()).unwrap();
        let outgoing = Outgoing::over(self.wire.clone(), guard(), trust, Patience::default());
        self.client = Client::new(outgoing);
    }

    /// Lets time pass, here and there.
    pub(crate) fn pass(&mut self, ms: TimeMs) {
        self.clock.advance(Duration::from_millis(ms.unsigned_abs()));
        self.provider().now_s = self.clock.now_ms() / 1000;
    }

    /// Sets the clock, here and there.
    pub(crate) fn set(&mut self, now_ms: TimeMs) {
        self.clock = Clock::manual(now_ms);
        self.pass(0);
    }

    pub(crate) async fn start(&self) -> Result<Started, OidcError> {
        self.client.start(&self.settings, &self.clock).await
    }

    pub(crate) async fn finish(
        &self,
        started: &Started,
        callback: &Callback,
    ) -> Result<External, OidcError> {
        let Callback { code, state, iss } = callback;
        let iss = iss.as_deref();
        self.client.finish(&self.settings, started, code, state, iss, &self.clock).await
    }

    /// A sign-in from its beginning to its end.
    pub(crate) async fn sign_in(&self) -> Result<External, OidcError> {
        let started = self.start().await?;
        let callback = self.provider().authorize(&started.url);
        self.finish(&started, &callback).await
    }

    /// The same, as a word for programs; `ok` where it went well.
    pub(crate) async fn verdict(&self) -> &'static str {
        self.sign_in().await.map_or_else(|error| error.code(), |_| "ok")
    }
}
