//! How a server is reached: over TLS that trusts one authority, or by the socket in the data
//! directory.

use crate::app::problem::Failure;
use crate::runtime::local_socket::SocketPath;
use anyhow::{Context, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

/// The socket in the data directory by which a server that runs is reached.
pub(in crate::app) const CONTROL_SOCKET: &str = "control.sock";

/// Longest time until a server has answered the connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Where a server is.
pub(super) enum Address {
    /// In the data directory of this machine.
    Socket(SocketPath),
    /// Anywhere.
    Tls { host: String, port: u16, tls: Arc<ClientConfig> },
}

/// Bytes in both directions.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Address {
    /// The address `https://host:port`, of a server whose authority's certificate is in `ca_file`.
    pub(super) fn of_url(url: &str, ca_file: Option<&Path>) -> Result<Self> {
        let wrong = || {
            Failure::usage(format!("`{url}` is not the address of a server"))
                .help("write it like https://metrics.example.org:8443")
        };
        let rest = url.strip_prefix("https://").ok_or_else(wrong)?.trim_end_matches('/');
        let authority: hyper::http::uri::Authority = rest.parse().map_err(|_| wrong())?;
        let (host, port) = (authority.host().to_owned(), authority.port_u16().unwrap_or(443));
        let ca_file = ca_file.ok_or_else(|| {
            Failure::usage("the server's certificate authority is not known")
                .help("name its file with `--ca` or EMX_CA_FILE; `emx serve` prints where it is")
        })?;
        let mut roots = RootCertStore::empty();
        let read = |_| format!("cannot read the certificate `{}`", ca_file.display());
        for certificate in CertificateDer::pem_file_iter(ca_file)
            .map_err(|e| anyhow::anyhow!("{}: {e}", read(())))?
        {
            roots.add(certificate.with_context(|| read(()))?)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self::Tls { host, port, tls: Arc::new(tls) })
    }

    /// The name that the server is asked by.
    pub(super) fn host(&self) -> String {
        match self {
            Self::Socket(_) => "localhost".to_owned(),
            Self::Tls { host, port, .. } => format!("{host}:{port}"),
        }
    }

    /// A connection.
    pub(super) async fn connect(&self) -> Result<Pin<Box<dyn Stream>>> {
        let connected = tokio::time::timeout(CONNECT_MAX, self.connect_patiently());
        connected.await.with_context(|| format!("`{}` does not answer", self.host()))?
    }

    async fn connect_patiently(&self) -> Result<Pin<Box<dyn Stream>>> {
        match self {
            Self::Socket(path) => {
                let stream = UnixStream::connect(path).await;
                let stream = stream
                    .with_context(|| format!("cannot reach `{}`", path.as_ref().display()))?;
                Ok(Box::pin(stream))
            }
            Self::Tls { host, port, tls } => {
                let bare = host.trim_start_matches('[').trim_end_matches(']');
                let name = ServerName::try_from(bare.to_owned())?;
                let tcp = TcpStream::connect((bare, *port)).await;
                let tcp = tcp.with_context(|| format!("cannot reach `{host}:{port}`"))?;
                let stream = TlsConnector::from(Arc::clone(tls)).connect(name, tcp).await;
                let stream = stream.with_context(|| {
                    format!("`{host}:{port}` does not prove that it is the server that is meant")
                })?;
                Ok(Box::pin(stream))
            }
        }
    }
}
