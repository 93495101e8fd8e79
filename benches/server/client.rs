//! A client that costs little: one connection, HTTP/1.1 over TLS 1.3, one request at a time.

use anyhow::{Context, Result, bail, ensure};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

/// An encrypted connection.
pub(crate) type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Whom to connect to, and whom to believe.
#[derive(Clone)]
pub(crate) struct Trust {
    pub(crate) host: String,
    config: Arc<ClientConfig>,
}

impl Trust {
    /// The server at `url`, whose authority's certificate is in `ca_file`.
    pub(crate) fn of(url: &str, ca_file: &str) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca_file).map_err(|e| anyhow::anyhow!("{e}"))?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let host = url.strip_prefix("https://").context("no https")?.to_owned();
        Ok(Self { host, config: Arc::new(config) })
    }

    /// For clients that connect by themselves.
    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// A server at `host` that shows a certificate of the same authority.
    pub(crate) fn at(&self, host: String) -> Self {
        Self { host, config: Arc::clone(&self.config) }
    }

    /// A connection; its handshake is made with the first bytes that are sent.
    pub(crate) fn connect(&self) -> Result<Stream> {
        let tcp = TcpStream::connect(&self.host)?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from("localhost")?;
        let connection = ClientConnection::new(Arc::clone(&self.config), name)?;
        Ok(StreamOwned::new(connection, tcp))
    }
}

/// A connection.
pub(crate) struct Client {
    stream: Stream,
    head: String,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(trust: &Trust, key: &str) -> Result<Self> {
        let stream = trust.connect()?;
        let mut head = format!("Host: {}\r\n", trust.host);
        if !key.is_empty() {
            head += &format!("Authorization: Bearer {key}\r\n");
        }
        Ok(Self { stream, head, request: Vec::new(), answer: Vec::new() })
    }

    /// Sends a request and gives the status and the body.
    pub(crate) fn call(
        &mut self,
        method: &str,
        target: &str,
        more: &str,
        body: &[u8],
    ) -> Result<(u16, &[u8])> {
        self.send(method, target, more, body)?;
        self.read()
    }

    /// Sends a request, and waits for nothing.
    pub(crate) fn send(
        &mut self,
        method: &str,
        target: &str,
        more: &str,
        body: &[u8],
    ) -> Result<()> {
        self.request.clear();
        write!(
            self.request,
            "{method} {target} HTTP/1.1\r\n{}{more}Content-Length: {}\r\n\r\n",
            self.head,
            body.len()
        )?;
        self.request.extend_from_slice(body);
        self.stream.write_all(&self.request)?;
        Ok(self.stream.flush()?)
    }

    /// Waits for the answer to what was sent: the status and the body.
    pub(crate) fn read(&mut self) -> Result<(u16, &[u8])> {
        const CHUNK: usize = 64 << 10;
        self.answer.clear();
        let mut whole = None;
        loop {
            let filled = self.answer.len();
            if whole.is_some_and(|(_, end)| filled >= end) {
                break;
            }
            self.answer.resize(filled + CHUNK, 0);
            let read = self.stream.read(&mut self.answer[filled..])?;
            ensure!(read > 0, "the server closed the connection");
            self.answer.truncate(filled + read);
            if whole.is_none() {
                whole = body_of(&self.answer)?;
            }
        }
        let (start, end) = whole.context("no answer")?;
        let status = std::str::from_utf8(&self.answer[9..12])?.parse()?;
        Ok((status, &self.answer[start..end]))
    }

    /// Sends JSON that must be answered with success.
    pub(crate) fn json(&mut self, method: &str, target: &str, body: &[u8]) -> Result<Value> {
        let (status, text) =
            self.call(method, target, "Content-Type: application/json\r\n", body)?;
        if !(200..300).contains(&status) {
            bail!("{status}: {}", String::from_utf8_lossy(text));
        }
        Ok(serde_json::from_slice(text)?)
    }
}

/// Where the body lies, once the headers are there.
fn body_of(answer: &[u8]) -> Result<Option<(usize, usize)>> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&answer[..end])?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let start = end + 4;
    Ok(Some((start, start + length.context("an answer without length")?)))
}
