//! A server that speaks HTTP/1.1 by hand over TLS, so that it can answer wrongly, slowly or without end.
#![allow(dead_code, reason = "every test that includes it uses another part")]

use emx::runtime::tasks::Tasks;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Came {
    /// The name in the handshake.
    pub(crate) sni: Option<String>,
    pub(crate) method: String,
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Came {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A field of the form in the body.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let mut fields = form_urlencoded::parse(self.body.as_bytes());
        fields.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// These bytes, and the end.
    Bytes(Vec<u8>),
    /// These bytes, and then the last of them again and again.
    Endless(Vec<u8>),
    /// These bytes, and then nothing.
    Stuck(Vec<u8>),
}

impl Reply {
    pub(crate) fn new(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        Self::Bytes([head.as_bytes(), b"\r\n", body].concat())
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, &[("Content-Type", "application/json")], body.to_string())
    }

    /// JSON that does not end.
    pub(crate) fn endless() -> Self {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
        let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
        Self::Endless(format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunk}").into())
    }
}

/// Answers what came.
pub(crate) type Answering = Arc<dyn Fn(Came) -> Reply + Send + Sync>;

/// A server on this machine, for as long as this is kept.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    dir: TempDir,
    tasks: Tasks,
}

impl Site {
    /// Serves as `names`, over TLS.
    pub(crate) async fn start(names: &[&str], answering: Answering) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        std::fs::write(dir.path().join("ca.pem"), certificate.pem()).unwrap();
        std::fs::write(dir.path().join("key.pem"), key.serialize_pem()).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Self::accept(dir, Some(TlsAcceptor::from(Arc::new(config))), answering).await
    }

    /// Serves without TLS.
    pub(crate) async fn start_plain(answering: Answering) -> Self {
        Self::accept(tempfile::tempdir().unwrap(), None, answering).await
    }

    async fn accept(dir: TempDir, tls: Option<TlsAcceptor>, answering: Answering) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = Tasks::default();
        let each = tasks.clone();
        tasks.spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (tls, answering) = (tls.clone(), Arc::clone(&answering));
                each.spawn(async move {
                    let _may_break_off = serve(tcp, tls, answering).await;
                });
            }
        });
        Self { address, dir, tasks }
    }

    /// The certificate, which is its own authority.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// The key of the certificate.
    pub(crate) fn key_file(&self) -> PathBuf {
        self.dir.path().join("key.pem")
    }
}

async fn serve(tcp: TcpStream, tls: Option<TlsAcceptor>, answering: Answering) -> io::Result<()> {
    let Some(tls) = tls else { return converse(tcp, None, answering).await };
    let stream = tls.accept(tcp).await?;
    let sni = stream.get_ref().1.server_name().map(str::to_owned);
    converse(stream, sni, answering).await
}

async fn converse<S>(mut stream: S, sni: Option<String>, answering: Answering) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let reply = match read(&mut stream, sni).await? {
        Some(came) => answering(came),
        None => Reply::new(400, &[], ""),
    };
    match reply {
        Reply::Bytes(bytes) => {
            stream.write_all(&bytes).await?;
            stream.shutdown().await
        }
        Reply::Endless(bytes) => {
            stream.write_all(&bytes).await?;
            let at = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
            loop {
                stream.write_all(&bytes[at..]).await?;
            }
        }
        Reply::Stuck(bytes) => {
            stream.write_all(&bytes).await?;
            stream.flush().await?;
            // Until the other end has enough of it.
            stream.read_to_end(&mut Vec::new()).await.map(|_| ())
        }
    }
}

/// A request; nothing where it is not one, but a handshake that was not expected.
async fn read<S>(stream: &mut S, sni: Option<String>) -> io::Result<Option<Came>>
where
    S: AsyncRead + Unpin,
{
    let mut bytes = Vec::new();
    let body_at = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !bytes[0].is_ascii_uppercase() {
            return Ok(None);
        }
    };
    let head = String::from_utf8(bytes[..body_at].to_vec()).unwrap();
    let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
    let mut first = lines.next().unwrap().split(' ').map(str::to_owned);
    let (method, target) = (first.next().unwrap(), first.next().unwrap());
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_ascii_lowercase(), value.to_owned())
    };
    let headers: Vec<(String, String)> = lines.map(header).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, length)| length.parse().unwrap());
    while bytes.len() < body_at + length {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let body = String::from_utf8(bytes[body_at..].to_vec()).unwrap();
    Ok(Some(Came { sni, method, target, headers, body }))
}
