//! A keyspace in a folder of its own, connections to it, and what they were told.

use super::super::channel::Means;
use super::super::desk::Desk;
use super::super::hub::Hub;
use super::super::session::{Pass, Session};
use crate::runtime::breath::Awaited;
use crate::runtime::clock::Clock;
use crate::runtime::pool::Pool;
use crate::runtime::tasks::Tasks;
use crate::tenancy::by::By;
use crate::tenancy::registry::{Completion, NewTenant, Tenancy};
use crate::tenancy::scope::{Principal, TenantScope};
use crate::tenancy::slug::Slug;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use storage::ask::Predicate;
use storage::batch::{RowBatch, RowBatchBuilder};
use storage::embedded::{EmbeddedEngine, EngineSettings};
use storage::engine::{Append, Engine, Keyspace};
use storage::row::{Actor, Row, RowId, Seq, Status, TimeMs, Word};
use storage::volume::OsVolume;
use tokio::io::DuplexStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Message, Role};

/// Longest time that something which must come may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes that fit between a connection and its client.
pub(super) const ROOMY: usize = 256 << 10;

/// An engine with one tenant that can be watched.
pub(super) struct House {
    pub(super) hub: Arc<Hub>,
    pub(super) means: Means,
    pub(super) scope: TenantScope,
    pub(super) stands: Arc<AtomicBool>,
    pub(super) until_ms: Option<TimeMs>,
    _tenancy: Tenancy,
    _folder: tempfile::TempDir,
}

impl House {
    pub(super) fn new() -> Self {
        Self::with_window(EngineSettings::default().feed_window_bytes)
    }

    pub(super) fn with_window(feed_window_bytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings =
            EngineSettings { background: false, feed_window_bytes, ..EngineSettings::default() };
        let engine = EmbeddedEngine::open(OsVolume::shared(folder.path()), settings).unwrap();
        let (engine, hub) = (Arc::new(engine), Arc::new(Hub::new()));
        engine.listen(hub.listener());
        let tenancy = Tenancy::start(engine).unwrap();
        let slug = Slug::parse("acme").unwrap();
        let new = NewTenant { slug, time_zone: "UTC".into() };
        let tenant = tenancy.create(new, &By::operator(), 0, |_| Ok(Completion::default()));
        let tenant = tenant.unwrap();
        let watcher = Principal::User {
            user_id: "user".into(),
            tenant_id: tenant.id,
            role: crate::tenancy::permission::Role::Viewer,
            platform: false,
            family: "session".into(),
            token_id: "token".into(),
            issued_ms: 0,
        };
        let scope = tenancy.enter_own(&watcher).unwrap();
        let means = Means {
            clock: Clock::system(),
            threads: Pool::of_threads(8, 1024),
            tasks: Tasks::default(),
            awaited: Awaited::default(),
        };
        let stands = Arc::new(AtomicBool::new(true));
        Self { hub, means, scope, stands, until_ms: None, _tenancy: tenancy, _folder: folder }
    }

    pub(super) fn keyspace(&self) -> Arc<dyn Keyspace> {
        Arc::clone(self.scope.keyspace())
    }

    /// Runs what waits for the disk.
    pub(super) async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Keyspace) -> R + Send + 'static,
    ) -> R {
        let keyspace = self.keyspace();
        self.means.threads.run(move || work(&*keyspace)).await.unwrap()
    }

    /// Stores rows of these statuses.
    pub(super) async fn store(&self, first: usize, statuses: &[Status]) {
        let rows = rows(first, statuses, "");
        self.run(move |keyspace| append(keyspace, rows)).await;
    }

    pub(super) fn connect(&self, room: usize) -> Client {
        self.connect_as(room, &[])
    }

    pub(super) fn connect_as(&self, room: usize, policy: &[Predicate]) -> Client {
        let (far, near) = tokio::io::duplex(room);
        let watcher = self.hub.watch(&self.scope, &self.means, usize::MAX).unwrap();
        let desk = Desk::new(watcher, policy.into(), Box::new(|_| None), self.means.clone());
        let stands = Arc::clone(&self.stands);
        let stands = Box::new(move || stands.load(Ordering::Relaxed));
        let (tasks, until_ms) = (self.means.tasks.clone(), self.until_ms);
        self.means.tasks.spawn(async move {
            let session = Session::new(near, desk, Pass { until_ms, stands }).await;
            session.run(&tasks).await;
        });
        Client { stream: Some(far), socket: None }
    }
}

/// Rows with the ids `first`, `first + 1`, …, and one second between them.
pub(super) fn rows(first: usize, statuses: &[Status], line: &str) -> RowBatch {
    let mut builder = RowBatchBuilder::with_capacity(statuses.len());
    for (n, &status) in statuses.iter().enumerate() {
        let id = format!("row-{}", first + n);
        let mut words = [""; Word::ALL.len()];
        words[Word::Command as usize] = "cargo build";
        words[Word::CommandLine as usize] = line;
        words[Word::Team as usize] = ["red", "blue"][(first + n) % 2];
        builder.push(&Row {
            id: RowId::parse(&id),
            ts_ms: 1_772_323_200_000 + ((first + n) * 1000) as i64,
            ts_given: true,
            received_ms: 1_772_323_200_000,
            words,
            status,
            actor: Actor::Ci,
            duration_us: Some(1000),
            exit_code: None,
            labels: &[],
            values: &[],
        });
    }
    builder.finish()
}

pub(super) fn append(keyspace: &dyn Keyspace, rows: RowBatch) {
    keyspace.append(vec![Append { rows, ..Append::default() }]).unwrap();
}

/// The other end of a connection.
pub(super) struct Client {
    stream: Option<DuplexStream>,
    socket: Option<WebSocketStream<DuplexStream>>,
}

impl Client {
    pub(super) async fn socket(&mut self) -> &mut WebSocketStream<DuplexStream> {
        if let Some(stream) = self.stream.take() {
            self.socket = Some(WebSocketStream::from_raw_socket(stream, Role::Client, None).await);
        }
        self.socket.as_mut().unwrap()
    }

    /// The stream itself, for what no library sends.
    pub(super) fn raw(self) -> DuplexStream {
        self.stream.unwrap()
    }

    pub(super) async fn say(&mut self, message: Value) {
        self.send(Message::text(message.to_string())).await;
    }

    pub(super) async fn send(&mut self, message: Message) {
        self.socket().await.send(message).await.unwrap();
    }

    /// The next message, which must come.
    pub(super) async fn next(&mut self) -> Message {
        self.socket().await.next().await.expect("the socket is open").expect("a message")
    }

    /// The next text, which must come soon.
    pub(super) async fn hear(&mut self) -> Value {
        let text = async {
            loop {
                match self.next().await {
                    Message::Text(text) => return text,
                    Message::Ping(_) | Message::Pong(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        };
        let text = tokio::time::timeout(PATIENCE, text).await.expect("something comes");
        serde_json::from_str(&text).expect("JSON")
    }

    /// The code with which the server closes.
    pub(super) async fn hear_close(&mut self) -> u16 {
        loop {
            if let Message::Close(frame) = self.next().await {
                return frame.expect("a reason").code.into();
            }
        }
    }

    /// Subscribes to `metrics_update` and gives from which seq on.
    pub(super) async fn subscribe(&mut self, id: &str, filter: Value, from: Option<Seq>) -> Seq {
        self.ask(id, filter, from).await;
        let told = self.hear().await;
        assert_eq!((&told["type"], &told["id"]), (&json!("subscribed"), &json!(id)), "{told}");
        told["data"]["seq"].as_u64().unwrap()
    }

    pub(super) async fn ask(&mut self, id: &str, filter: Value, from: Option<Seq>) {
        let topics = ["metrics_update"];
        let mut wish = json!({ "type": "subscribe", "id": id, "topics": topics, "filter": filter });
        if let Some(from) = from {
            wish["from_seq"] = from.into();
        }
        self.say(wish).await;
    }
}

/// Follows a subscription's updates and checks that each is what it says and that they join.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) next: Seq,
    pub(super) count: u64,
    pub(super) failures: u64,
    pub(super) shown: Vec<Seq>,
    pub(super) updates: usize,
}

impl Follower {
    pub(super) fn from(next: Seq) -> Self {
        Self { next, count: 0, failures: 0, shown: Vec::new(), updates: 0 }
    }

    pub(super) fn take(&mut self, told: &Value) {
        assert_eq!(told["type"], "metrics_update", "{told}");
        let data = &told["data"];
        assert_eq!(data["first_seq"], self.next, "the ranges join: {told}");
        let last = data["last_seq"].as_u64().unwrap();
        assert!(last >= self.next && told["seq"] == last);
        let executions = data["executions"].as_array().unwrap();
        let count = data["count"].as_u64().unwrap();
        assert_eq!(data["truncated"] == true, (executions.len() as u64) < count);
        for execution in executions {
            let seq = execution["seq"].as_u64().unwrap();
            assert!((self.next..=last).contains(&seq), "{seq} in {told}");
            self.shown.push(seq);
        }
        self.next = last + 1;
        self.count += count;
        self.failures += data["failures"].as_u64().unwrap();
        self.updates += 1;
    }

    /// Reads until `last` was told.
    pub(super) async fn until(&mut self, last: Seq, client: &mut Client) {
        while self.next <= last {
            self.take(&client.hear().await);
        }
    }
}
