//! A way out over a network of the test's own.

use crate::site::{Came, Reply, Site};
use crate::wire::{PUBLIC, Wire};
use emx::runtime::outgoing::{Answer, Ask, Guard, Outgoing, OutgoingError, Patience, Trust};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The name by which the server of the test is asked.
pub(crate) const HOST: &str = "idp.example.org";

/// For whom it is asked.
pub(crate) const OWNER: &str = "acme";

/// Largest answer that is taken.
pub(crate) const ANSWER_BYTES_MAX: usize = 10_000;

/// A way out, a server that answers what it is told, and what came to it.
pub(crate) struct World {
    pub(crate) wire: Arc<Wire>,
    pub(crate) site: Site,
    pub(crate) outgoing: Outgoing,
    reply: Arc<Mutex<Reply>>,
    came: Arc<Mutex<Vec<Came>>>,
}

/// What is open without any setting.
pub(crate) fn closed() -> Guard {
    guard(&[], &[])
}

/// What is open where an administrator opens `networks`, and `plain` also without TLS.
pub(crate) fn guard(networks: &[&str], plain: &[&str]) -> Guard {
    let read = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    Guard { ports: vec![80, 443, 8443], openings: read(networks), plain_openings: read(plain) }
}

impl World {
    /// The server is [`HOST`], whose address is [`PUBLIC`].
    pub(crate) async fn new(guard: Guard) -> Self {
        Self::patient(guard, Patience::default()).await
    }

    /// One that gives up after a moment.
    pub(crate) async fn impatient() -> Self {
        let moment = Duration::from_millis(300);
        let patience = Patience { resolve: moment, connect: moment, tls: moment, answer: moment };
        Self::patient(closed(), patience).await
    }

    async fn patient(guard: Guard, patience: Patience) -> Self {
        let reply = Arc::new(Mutex::new(Reply::new(200, &[("Content-Type", "text/plain")], "ok")));
        let came = Arc::new(Mutex::new(Vec::new()));
        let answering = {
            let (reply, came) = (Arc::clone(&reply), Arc::clone(&came));
            Arc::new(move |request| {
                came.lock().unwrap().push(request);
                reply.lock().unwrap().clone()
            })
        };
        let site = Site::start(&[HOST, PUBLIC], answering).await;
        let wire = Wire::new();
        wire.name(HOST, &[&[PUBLIC]]);
        wire.line(&format!("{PUBLIC}:443"), site.address);
        let trust = Trust::of_file(&site.ca_file()).unwrap();
        let outgoing = Outgoing::over(wire.clone(), guard, trust, patience);
        Self { wire, site, outgoing, reply, came }
    }

    /// Has the server answer with `reply` from now on.
    pub(crate) fn answer_with(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }

    /// What came to the server since the last time.
    pub(crate) fn came(&self) -> Vec<Came> {
        std::mem::take(&mut self.came.lock().unwrap())
    }

    /// Asks for `url`.
    pub(crate) async fn get(&self, url: &str) -> Result<Answer, OutgoingError> {
        self.outgoing.send(OWNER, Ask::get(url, ANSWER_BYTES_MAX)).await
    }

    /// How storing `url` and asking it ends, as the words for programs.
    pub(crate) async fn verdicts(&self, url: &str) -> (&'static str, &'static str) {
        let saved = self.outgoing.check(OWNER, url).await;
        let sent = self.get(url).await;
        (saved.map_or_else(|e| e.code(), |_| "ok"), sent.map_or_else(|e| e.code(), |_| "ok"))
    }
}
