//! One request and its answer over a connection, HTTP/1.1.

use super::error::{OutgoingError, reason};
use super::target::Target;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap,
    HeaderName, HeaderValue, USER_AGENT,
};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use tokio::io::{AsyncRead, AsyncWrite};

/// Largest head of an answer, bytes.
const HEAD_BYTES_MAX: usize = 32 << 10;

/// How this program calls itself.
const AGENT: &str = concat!("emx/", env!("CARGO_PKG_VERSION"));

/// What is asked.
pub struct Ask<'a> {
    url: &'a str,
    method: Method,
    headers: Vec<(HeaderName, String)>,
    body: Bytes,
    /// Largest body that is taken as an answer, bytes.
    answer_bytes_max: usize,
}

impl fmt::Debug for Ask<'_> {
    /// Without headers and body, where secrets are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ask({} {}, …)", self.method, self.url)
    }
}

impl<'a> Ask<'a> {
    /// A `GET` of `url`, whose answer has `answer_bytes_max` bytes at most.
    pub fn get(url: &'a str, answer_bytes_max: usize) -> Self {
        let headers = Vec::new();
        Self { url, method: Method::GET, headers, body: Bytes::new(), answer_bytes_max }
    }

    /// A `POST` of a form.
    pub fn post_form(url: &'a str, pairs: &[(&str, &str)], answer_bytes_max: usize) -> Self {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(pairs);
        let headers = vec![(CONTENT_TYPE, "application/x-www-form-urlencoded".to_owned())];
        let body = form.finish().into();
        Self { url, method: Method::POST, headers, body, answer_bytes_max }
    }

    /// Names the media type that is wanted.
    pub fn accept(self, media_type: &str) -> Self {
        self.header(ACCEPT, media_type.to_owned())
    }

    /// Shows credentials, with their scheme.
    pub fn authorization(self, credentials: String) -> Self {
        self.header(AUTHORIZATION, credentials)
    }

    fn header(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// What is asked.
    pub(super) fn url(&self) -> &'a str {
        self.url
    }

    fn request(self, target: &Target) -> Result<Request<Full<Bytes>>, OutgoingError> {
        let wrong = |name| move |_| OutgoingError::Header { name };
        let uri = target.path_and_query().parse();
        let mut request = Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = uri.map_err(|_| OutgoingError::Header { name: "path" })?;
        let headers = request.headers_mut();
        let host = HeaderValue::from_str(&target.authority());
        headers.insert(HOST, host.map_err(wrong("host"))?);
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        for (name, value) in self.headers {
            let mut value = HeaderValue::from_str(&value).map_err(wrong("of the request"))?;
            value.set_sensitive(name == AUTHORIZATION);
            headers.insert(name, value);
        }
        Ok(request)
    }
}

/// What was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status: never one that points elsewhere.
    pub status: u16,
    headers: HeaderMap,
    /// The whole body, as it came.
    pub body: Bytes,
}

impl Answer {
    /// The media type, in lower case and without parameters.
    pub fn media_type(&self) -> Option<String> {
        let value = self.headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let essence = value.split(';').next().unwrap_or_default();
        Some(essence.trim().to_ascii_lowercase())
    }

    /// Whether it says that it is JSON.
    pub fn is_json(&self) -> bool {
        self.media_type().is_some_and(|media_type| {
            media_type == "application/json" || media_type.ends_with("+json")
        })
    }
}

/// Asks over `stream` and reads the answer whole.
pub(super) async fn exchange<S>(
    stream: S,
    target: &Target,
    ask: Ask<'_>,
) -> Result<Answer, OutgoingError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| OutgoingError::Broken {
        host: target.host().to_string(),
        reason: reason(&error),
    };
    let bytes_max = ask.answer_bytes_max;
    let request = ask.request(target)?;
    let mut protocol = http1::Builder::new();
    protocol.max_buf_size(HEAD_BYTES_MAX);
    let (mut sender, connection) =
        protocol.handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        check(&answer, target)?;
        let (head, body) = answer.into_parts();
        let body = collect(body, target, bytes_max).await?;
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    };
    beside(connection, answer).await
}

/// Drives `connection` here, beside what is waited for: no task outlives the exchange. A connection that
/// ends may have brought the answer whole; one that fails is told by the answer, which fails too.
async fn beside<T>(
    connection: impl Future<Output = hyper::Result<()>>,
    answer: impl Future<Output = T>,
) -> T {
    let mut answer = pin!(answer);
    tokio::select! {
        biased;
        answered = &mut answer => answered,
        _ended = connection => answer.await,
    }
}

fn check(answer: &Response<Incoming>, target: &Target) -> Result<(), OutgoingError> {
    let host = || target.host().to_string();
    if answer.status().is_redirection() {
        let status = answer.status().as_u16();
        return Err(OutgoingError::Redirect { host: host(), status });
    }
    let mut encodings = answer.headers().get_all(CONTENT_ENCODING).iter();
    match encodings.all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        true => Ok(()),
        false => Err(OutgoingError::Encoded { host: host() }),
    }
}

async fn collect(
    mut body: Incoming,
    target: &Target,
    bytes_max: usize,
) -> Result<Bytes, OutgoingError> {
    let host = || target.host().to_string();
    let too_large = || OutgoingError::TooLarge { host: host(), bytes_max };
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large());
    }
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| OutgoingError::Broken { host: host(), reason: reason(&error) })?;
        let data = frame.data_ref().map(|data| &**data).unwrap_or_default();
        if data.len() > bytes_max - whole.len() {
            return Err(too_large());
        }
        whole.extend_from_slice(data);
    }
    Ok(whole.into())
}
