//! A request, taken apart once: who is at the other end, what was asked, and a body that is read
//! only up to a bound and only for so long.

use super::body_room::{BodyRoom, Gathering};
use super::fault::Fault;
use super::listener::Link;
use super::problem::Problem;
use crate::audit::Source;
use crate::identity::client::Client;
use crate::runtime::tasks::Tasks;
use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use hyper::header::{CONTENT_LENGTH, EXPECT, HeaderMap, USER_AGENT};
use hyper::http::uri::Authority;
use hyper::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longest path and query together, bytes. The longest honest ones are questions with many filters.
pub(super) const TARGET_BYTES_MAX: usize = 16 << 10;

/// Most parameters of a query.
const PARAMS_MAX: usize = 256;

/// How long a body may take to arrive, all of it, and how long nothing of it may come.
const BODY_TIME_MAX: Duration = Duration::from_secs(120);
const BODY_SILENCE_MAX: Duration = Duration::from_secs(15);

/// Longest body that is read although nobody wants it, bytes, and how long for: a request that is
/// refused for its headers need not cost its connection. A new connection takes the processor as long as
/// reading this much does, and the requests of all others on its thread with it.
const SKIPPED_BYTES_MAX: usize = 1 << 20;
const SKIPPED_TIME_MAX: Duration = Duration::from_secs(2);

/// How long the unread body of an answered HTTP/2 request is heard out, and how much of it at most. RFC
/// 9113 §8.1 lets a server reset the stream at once, but clients that read both together (curl before 8)
/// take the answer for lost.
const HEARD_OUT_MAX: Duration = Duration::from_secs(2);
const HEARD_OUT_BYTES_MAX: usize = 4 << 20;

/// Bodies that may not be longer are not counted against the room for bodies, bytes: whoever is not
/// known must not be able to take that room.
const UNCOUNTED_BYTES_MAX: usize = 64 << 10;

/// Longest body of an ordinary request, bytes: a question, a login, a key's name.
pub(super) const JSON_BYTES_MAX: usize = 256 << 10;

/// What the connection knows of a request, and its headers.
#[derive(Debug)]
pub(super) struct Arrived {
    /// The other end, or whom it asks for if it is a trusted proxy.
    pub(super) address: IpAddr,
    /// The connection.
    pub(super) link: Link,
    pub(super) headers: HeaderMap,
    /// The host, and perhaps the port, that the client asked for, lower case; `None` if there is none.
    pub(super) authority: Option<Authority>,
    /// What is wrong with the request whoever it is for.
    pub(super) fault: Option<Fault>,
    /// Set once the whole body has been read, or if there is none.
    pub(super) body_read: AtomicBool,
    /// Whether it came over HTTP/2.
    pub(super) is_http2: bool,
}

/// A request.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: Box<str>,
    pub(super) query: Option<String>,
    pub(super) arrived: Arc<Arrived>,
    pub(super) id: Box<str>,
    body: Body,
    room: BodyRoom,
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send + Sync>>;

/// What comes after the headers.
struct Body {
    chunks: Chunks,
    arrived: Arc<Arrived>,
    /// Hear out what nobody has read.
    hearing_out: Option<Tasks>,
}

impl Drop for Body {
    fn drop(&mut self) {
        let Some(tasks) = self.hearing_out.take() else { return };
        if !self.arrived.body_read.load(Ordering::Relaxed) {
            let nothing: Chunks = Box::pin(futures_util::stream::empty());
            let chunks = std::mem::replace(&mut self.chunks, nothing);
            let stopping = tasks.clone();
            tasks.spawn(async move {
                tokio::select! {
                    () = stopping.stopping() => {}
                    () = hear_out(chunks) => {}
                }
            });
        }
    }
}

/// Reads what still comes, and then waits, so that the peer has the time to take in the answer.
async fn hear_out(mut chunks: Chunks) {
    let ended = async {
        let mut left = HEARD_OUT_BYTES_MAX;
        while let Some(Ok(chunk)) = chunks.next().await {
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                std::future::pending::<()>().await;
            }
        }
    };
    let _heard_enough = tokio::time::timeout(HEARD_OUT_MAX, ended).await;
}

impl Arrived {
    /// Where the request called `id` comes from, as the audit log tells it.
    pub(super) fn source(&self, id: &str) -> Source {
        self.client(id).source()
    }

    /// The host that was asked for, without its port.
    pub(super) fn host(&self) -> Option<&str> {
        self.authority.as_ref().map(Authority::host)
    }

    /// Who calls with the request called `id`. No header of the client's has a say in its address.
    fn client<'a>(&'a self, id: &'a str) -> Client<'a> {
        let is_local = matches!(self.link, Link::Local);
        let address = (!is_local).then_some(self.address);
        let agent = self.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        Client { address, agent, request_id: Some(id) }
    }
}

/// Who calls, apart from the request.
pub(super) struct Calling {
    arrived: Arc<Arrived>,
    id: Box<str>,
}

impl Calling {
    /// The client.
    pub(super) fn client(&self) -> Client<'_> {
        self.arrived.client(&self.id)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.method, self.path, self.id)
    }
}

impl Request {
    pub(super) fn new<B: Buf>(
        (method, path, query): (Method, warp::path::FullPath, Option<String>),
        arrived: Arc<Arrived>,
        id: Box<str>,
        body: impl Stream<Item = Result<B, warp::Error>> + Send + Sync + 'static,
        room: BodyRoom,
        tasks: &Tasks,
    ) -> Self {
        let chunks =
            body.map(|chunk| chunk.map(|mut chunk| chunk.copy_to_bytes(chunk.remaining())));
        let is_unread = arrived.is_http2 && !arrived.body_read.load(Ordering::Relaxed);
        let body = Body {
            chunks: Box::pin(chunks),
            arrived: Arc::clone(&arrived),
            hearing_out: is_unread.then(|| tasks.clone()),
        };
        Self { method, path: path.as_str().into(), query, arrived, id, body, room }
    }

    /// The headers.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.arrived.headers
    }

    /// Where it comes from, as the audit log tells it.
    pub(super) fn source(&self) -> Source {
        self.arrived.source(&self.id)
    }

    /// Who calls.
    pub(super) fn client(&self) -> Client<'_> {
        self.arrived.client(&self.id)
    }

    /// The same, for another thread.
    pub(super) fn calling(&self) -> Calling {
        Calling { arrived: Arc::clone(&self.arrived), id: self.id.clone() }
    }

    /// Whether it is the person at the machine, by the socket in the data directory.
    pub(super) fn is_local(&self) -> bool {
        matches!(self.arrived.link, Link::Local)
    }

    /// The header `name` as text; an error if it is there more than once, or is no text.
    pub(super) fn text_header(&self, name: &'static str) -> Result<Option<&str>, Problem> {
        let mut values = self.headers().get_all(name).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            let detail = format!("the header `{name}` is there more than once: send it once");
            return Err(Problem::bad_request("duplicate_header", detail));
        }
        value.to_str().map(Some).map_err(|_| {
            Problem::bad_request("invalid_header", format!("the header `{name}` is not plain text"))
        })
    }

    /// The parameters of the query in order, decoded.
    pub(super) fn params(&self) -> Result<Vec<(String, String)>, Problem> {
        let query = self.query.as_deref().unwrap_or_default();
        if !is_well_encoded(query) {
            let detail = "the query is not percent-encoded UTF-8";
            return Err(Problem::bad_request("invalid_query", detail));
        }
        let mut params = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if params.len() == PARAMS_MAX {
                let detail = format!("the query has more than {PARAMS_MAX} parameters");
                return Err(Problem::bad_request("too_many_parameters", detail));
            }
            params.push((name.into_owned(), value.into_owned()));
        }
        Ok(params)
    }

    /// The whole body, of at most `bytes_max`.
    pub(super) async fn bytes(&mut self, bytes_max: usize) -> Result<Bytes, Problem> {
        let announced =
            self.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: u64| length > bytes_max as u64) {
            return Err(too_large(bytes_max));
        }
        let whole = tokio::time::timeout(BODY_TIME_MAX, self.collect(bytes_max));
        whole.await.unwrap_or_else(|_| Err(too_slow()))
    }

    /// Reads a short body that nobody wants, so that the connection can go on. One that is not short,
    /// or that the peer has not begun to send (`Expect`), ends it.
    pub(super) async fn skip_body(&mut self) {
        let length = self.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
        let short = length.is_some_and(|length: usize| length <= SKIPPED_BYTES_MAX);
        if short && !self.headers().contains_key(EXPECT) {
            let to_its_end = async {
                let mut left = SKIPPED_BYTES_MAX;
                while let Ok(Some(chunk)) = self.chunk().await {
                    let Some(less) = left.checked_sub(chunk.len()) else { return };
                    left = less;
                }
            };
            let _is_over = tokio::time::timeout(SKIPPED_TIME_MAX, to_its_end).await;
        }
    }

    async fn collect(&mut self, bytes_max: usize) -> Result<Bytes, Problem> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        if first.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        let Some(second) = self.chunk().await? else { return Ok(first) };
        let is_counted = bytes_max > UNCOUNTED_BYTES_MAX;
        let mut whole = Gathering::new(is_counted.then(|| self.room.clone()));
        whole.push(&first)?;
        drop(first);
        let mut next = Some(second);
        while let Some(chunk) = next {
            if whole.len() + chunk.len() > bytes_max {
                return Err(too_large(bytes_max));
            }
            whole.push(&chunk)?;
            next = self.chunk().await?;
        }
        Ok(whole.finish())
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, Problem> {
        let next = tokio::time::timeout(BODY_SILENCE_MAX, self.body.chunks.next());
        match next.await.map_err(|_| too_slow())? {
            None => {
                self.arrived.body_read.store(true, Ordering::Relaxed);
                Ok(None)
            }
            Some(Ok(chunk)) => Ok(Some(chunk)),
            Some(Err(_)) => {
                let detail = "the body ended before its announced end, or its framing is damaged";
                Err(Problem::bad_request("incomplete_body", detail))
            }
        }
    }

    /// The body as a JSON object of known fields.
    pub(super) async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Problem> {
        self.json_within(JSON_BYTES_MAX).await
    }

    /// The same for a body of at most `bytes_max`.
    pub(super) async fn json_within<T: DeserializeOwned>(
        &mut self,
        bytes_max: usize,
    ) -> Result<T, Problem> {
        self.expect_json()?;
        let bytes = self.bytes(bytes_max).await?;
        read_json(&bytes)
    }

    /// The bytes of a body that says that it is JSON, plain: for whoever compares them before reading.
    pub(super) async fn json_bytes(&mut self) -> Result<Bytes, Problem> {
        self.expect_json()?;
        self.bytes(JSON_BYTES_MAX).await
    }

    /// Fails unless the body says that it is JSON, plain.
    pub(super) fn expect_json(&self) -> Result<(), Problem> {
        use crate::intake::decode::Format;
        let content_type = self.text_header("content-type")?;
        if content_type.and_then(Format::of) != Some(Format::Json) {
            let detail = "send `Content-Type: application/json`";
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                crate::model::problem::body::UNSUPPORTED_MEDIA_TYPE,
                detail,
            ));
        }
        match self.text_header("content-encoding")?.unwrap_or("identity").trim() {
            "" | "identity" => Ok(()),
            _ => Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                crate::model::problem::body::UNSUPPORTED_ENCODING,
                "send this body without compression",
            )),
        }
    }
}

/// JSON that is written in several ways as one text.
pub(super) fn without_spaces(json: &[u8]) -> String {
    serde_json::from_slice::<Value>(json).map(|value| value.to_string()).unwrap_or_default()
}

/// Reads a JSON object; what is wrong is told with its pointer.
pub(super) fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // `serde` would take a list of the fields' values for the object.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(match serde_json::from_slice::<serde::de::IgnoredAny>(bytes) {
            Ok(_) => Problem::invalid("", "wrong_type", "must be an object"),
            Err(error) => invalid_json(&error),
        });
    }
    let mut text = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut text);
    let value = read.map_err(|error| {
        let inner = error.inner();
        if !inner.is_data() {
            return invalid_json(inner);
        }
        let mut pointer: String = error.path().iter().map(pointer_part).collect();
        let said = inner.to_string();
        let said = said.split(" at line ").next().unwrap_or_default().to_owned();
        let code = match said.as_str() {
            said if said.starts_with("missing field") => "required",
            said if said.starts_with("unknown field") => "unknown_field",
            said if said.starts_with("duplicate field") => "duplicate_key",
            said if said.starts_with("unknown variant") => "invalid_value",
            _ => "wrong_type",
        };
        if matches!(code, "required" | "duplicate_key") {
            // Of these two the path is where the field should be once.
            let name = said.split('`').nth(1).unwrap_or_default();
            pointer = crate::model::problem::pointer(&pointer, name);
        }
        Problem::invalid(&pointer, code, said)
    })?;
    text.end().map(|()| value).map_err(|error| invalid_json(&error))
}

fn invalid_json(error: &serde_json::Error) -> Problem {
    Problem::bad_request("invalid_json", format!("the body is not valid JSON: {error}"))
}

fn pointer_part(segment: &serde_path_to_error::Segment) -> String {
    use serde_path_to_error::Segment;
    match segment {
        Segment::Map { key } => crate::model::problem::pointer("", key),
        Segment::Seq { index } => format!("/{index}"),
        Segment::Enum { .. } | Segment::Unknown => String::new(),
    }
}

/// Whether every `%` begins two hexadecimal digits, and what they stand for is UTF-8.
pub(super) fn is_well_encoded(text: &str) -> bool {
    let bytes = text.as_bytes();
    let complete = bytes.iter().enumerate().filter(|&(_, &b)| b == b'%').all(|(at, _)| {
        bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    complete && percent_encoding::percent_decode_str(text).decode_utf8().is_ok()
}

fn too_large(bytes_max: usize) -> Problem {
    let detail = format!("the body is over {bytes_max} bytes: send less at a time");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, crate::model::problem::body::BODY_TOO_LARGE, detail)
}

fn too_slow() -> Problem {
    let detail = "the body did not arrive in time";
    Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail)
}
