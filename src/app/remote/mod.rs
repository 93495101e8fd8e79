//! A server elsewhere, or the one on this machine that has the data open: asked over HTTP.

mod connect;

use super::problem::Failure;
use crate::query::bucket::Zone;
use crate::runtime::local_socket::SocketPath;
use anyhow::{Context, Result};
use bytes::Bytes;
use connect::Address;
pub(super) use connect::CONTROL_SOCKET;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::io::Write;
use std::path::{Path, PathBuf};
use tokio::runtime::Runtime;

/// Longest error that is read, bytes.
const ERROR_BYTES_MAX: usize = 1 << 20;

/// Where and as whom.
#[derive(Clone, Debug)]
pub(super) struct Login {
    /// `https://host:port`
    pub(super) url: String,
    /// An API key.
    pub(super) key: Option<String>,
    /// The certificate of the server's authority.
    pub(super) ca_file: Option<PathBuf>,
}

/// A server to ask.
pub(super) struct Remote {
    address: Address,
    key: Option<String>,
    runtime: Runtime,
}

/// What is asked.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// The path and the query.
    pub(super) target: &'a str,
    pub(super) tenant: Option<&'a str>,
    pub(super) content_type: &'a str,
    pub(super) body: Bytes,
}

impl<'a> Ask<'a> {
    /// A `GET`.
    pub(super) fn get(target: &'a str, tenant: Option<&'a str>) -> Self {
        Self { method: Method::GET, target, tenant, content_type: "", body: Bytes::new() }
    }

    /// A `POST` of JSON.
    pub(super) fn post(target: &'a str, tenant: Option<&'a str>, body: Vec<u8>) -> Self {
        let body = body.into();
        Self { method: Method::POST, target, tenant, content_type: "application/json", body }
    }
}

/// An address with parameters.
pub(super) fn target(path: &str, pairs: &[(&str, String)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    format!("{path}?{}", query.finish())
}

/// What the server says of who is asking.
#[derive(Debug, Deserialize)]
struct Me {
    tenant: OfTenant,
}

#[derive(Debug, Deserialize)]
struct OfTenant {
    time_zone: String,
}

/// An error as the server tells it.
#[derive(Debug, Deserialize)]
struct Told {
    code: String,
    detail: String,
    #[serde(default)]
    help: Option<String>,
}

impl Remote {
    /// The server that `login` names.
    pub(super) fn at(login: &Login) -> Result<Self> {
        let address = Address::of_url(&login.url, login.ca_file.as_deref())?;
        Ok(Self { address, key: login.key.clone(), runtime: runtime()? })
    }

    /// The server that has the data in `data_dir` open, if one has.
    pub(super) fn control(data_dir: &Path) -> Result<Option<Self>> {
        let Ok(path) = SocketPath::of(data_dir, CONTROL_SOCKET) else { return Ok(None) };
        let runtime = runtime()?;
        let answers = runtime.block_on(tokio::net::UnixStream::connect(&path)).is_ok();
        let address = Address::Socket(path);
        Ok(answers.then_some(Self { address, key: None, runtime }))
    }

    /// The zone of `tenant` (`None`: the key's), whose days are meant where none is named.
    pub(super) fn zone_of(&self, tenant: Option<&str>) -> Result<Zone> {
        let me: Me = self.ask(Ask::get("/api/v1/auth/me", tenant))?;
        Ok(Zone::parse(&me.tenant.time_zone).unwrap_or_else(Zone::utc))
    }

    /// What the server answers, as a value.
    pub(super) fn ask<T: DeserializeOwned>(&self, asked: Ask<'_>) -> Result<T> {
        let mut text = Vec::new();
        self.write(asked, &mut text)?;
        serde_json::from_slice(&text).context("the server's answer is not what was expected")
    }

    /// Writes what the server answers to `out` as it comes.
    pub(super) fn write(&self, asked: Ask<'_>, out: &mut dyn Write) -> Result<()> {
        self.runtime.block_on(self.exchange(asked, out))
    }

    async fn exchange(&self, asked: Ask<'_>, out: &mut dyn Write) -> Result<()> {
        let stream = self.address.connect().await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = self.request(asked)?;
        // Driven here, beside what is waited for: no task outlives the command.
        let connection = async { connection.await.map_err(anyhow::Error::from) };
        let answer = async {
            let answer = sender.send_request(request).await.context(
                "the server went away before it answered, so whether it was done is not known",
            )?;
            let status = answer.status();
            let mut body = answer.into_body();
            if !status.is_success() {
                return Err(failure(status, &collect(&mut body).await?).into());
            }
            while let Some(frame) = body.frame().await {
                let frame = frame.context("the server's answer was cut short")?;
                if let Some(data) = frame.data_ref() {
                    out.write_all(data)?;
                }
            }
            Ok(())
        };
        let mut answer = std::pin::pin!(answer);
        tokio::select! {
            biased;
            answered = &mut answer => answered,
            ended = connection => {
                ended?;
                answer.await
            }
        }
    }

    fn request(&self, asked: Ask<'_>) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(asked.method)
            .uri(asked.target)
            .header(HOST, self.address.host());
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, format!("Bearer {key}"));
        }
        if let Some(tenant) = asked.tenant {
            request = request.header("x-tenant", tenant);
        }
        if !asked.content_type.is_empty() {
            request = request.header(CONTENT_TYPE, asked.content_type);
        }
        Ok(request.body(Full::new(asked.body))?)
    }
}

fn runtime() -> Result<Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start a thread")
}

async fn collect(body: &mut hyper::body::Incoming) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame?.data_ref() {
            let room = ERROR_BYTES_MAX - text.len();
            text.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    Ok(text)
}

/// The error that the server tells, in its own words.
fn failure(status: StatusCode, text: &[u8]) -> Failure {
    match serde_json::from_slice::<Told>(text) {
        Ok(told) => {
            let failure = Failure::told(told.code, told.detail);
            match told.help {
                Some(help) => failure.help(help),
                None => failure,
            }
        }
        Err(_) => Failure::new("remote_failed", format!("the server answered {status}")),
    }
}
