//! The real server, requests to it, and WebSockets, over TLS.

use crate::binary::{Binary, TENANT};
use emx::runtime::clock::Clock;
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::tungstenite::{self, Error};
use tokio_tungstenite::{WebSocketStream, client_async};

/// How often, and after which pause, it is looked whether the server answers: together a minute.
const READY_LOOKS_MAX: usize = 600;
const READY_PAUSE: Duration = Duration::from_millis(100);

/// Longest time that something which must come may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The server on a data directory of its own, with one administrator.
pub(crate) struct Server {
    child: Child,
    address: String,
    tls: TlsConnector,
    _directory: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

impl Server {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ready = directory.path().join("ready.json");
        let binary = Binary::initialised(&directory.path().join("data"));
        let arguments =
            ["serve", "--listen", "127.0.0.1:0", "--ready-file", ready.to_str().unwrap()];
        let child = binary.command(&arguments).stdout(Stdio::null()).spawn().unwrap();
        let told = ready_of(&ready);
        let address = told["url"].as_str().unwrap().trim_start_matches("https://").to_owned();
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(told["ca_file"].as_str().unwrap()).unwrap();
        roots.add(ca).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tls = TlsConnector::from(Arc::new(tls));
        Self { child, address, tls, _directory: directory }
    }

    /// What a browser says of the server's own page.
    pub(crate) fn origin(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Tells the server to stop.
    pub(crate) fn terminate(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        self.connect_from("127.0.0.1").await
    }

    /// A connection from another address of this machine: Linux takes all of 127.0.0.0/8 for its own.
    async fn connect_from(&self, address: &str) -> TlsStream<TcpStream> {
        let port = self.address.rsplit(':').next().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(address.parse().unwrap(), 0)).unwrap();
        let server = format!("127.0.0.1:{port}").parse().unwrap();
        let tcp = socket.connect(server).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        self.tls.connect(name, tcp).await.unwrap()
    }

    /// Asks, and gives the status and the answer.
    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        self.request_from("127.0.0.1", method, path, token, body).await
    }

    /// The same from another address of this machine.
    pub(crate) async fn request_from(
        &self,
        address: &str,
        method: &str,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let mut stream = self.connect_from(address).await;
        let body = body.map_or_else(String::new, |body| body.to_string());
        let bearer = match token {
            "" => String::new(),
            token => format!("authorization: Bearer {token}\r\n"),
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\n{bearer}content-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _closed_somehow = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    /// An access token of the administrator.
    pub(crate) async fn sign_in(&self) -> String {
        let password = "correct horse battery staple 7";
        let who = json!({ "tenant": TENANT, "email": "ada@example.org", "password": password });
        let (status, told) = self.request("POST", "/api/v1/auth/login", "", Some(who)).await;
        assert_eq!(status, 200, "{told}");
        told["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn make_key(&self, token: &str, role: &str) -> String {
        let new = json!({ "name": role, "role": role });
        let (status, told) = self.request("POST", "/api/v1/api-keys", token, Some(new)).await;
        assert_eq!(status, 201, "{told}");
        told["key"].as_str().unwrap().to_owned()
    }

    /// The id and an access token of a new user, whom the administrator with `token` invites.
    pub(crate) async fn make_user(&self, token: &str, email: &str, role: &str) -> (String, String) {
        let password = "correct horse battery staple 8";
        let new = json!({ "email": email, "role": role });
        let (status, link) = self.request("POST", "/api/v1/users/invite", token, Some(new)).await;
        assert_eq!(status, 201, "{link}");
        let chosen = json!({ "token": link["token"], "password": password });
        let (status, told) = self.request("POST", "/api/v1/auth/accept", "", Some(chosen)).await;
        assert_eq!(status, 200, "{told}");
        let who = json!({ "tenant": TENANT, "email": email, "password": password });
        let (status, told) = self.request("POST", "/api/v1/auth/login", "", Some(who)).await;
        assert_eq!(status, 200, "{told}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&link["user"]["id"]), text(&told["access_token"]))
    }

    pub(crate) async fn store(&self, token: &str, id: &str) {
        let row = json!({ "id": id, "command": "cargo build", "exit_code": 0 });
        let (status, told) = self.request("POST", "/api/v1/executions", token, Some(row)).await;
        assert_eq!(status, 201, "{told}");
    }

    /// Opens a WebSocket, offering `emx.v1` unless `headers` offer something else.
    pub(crate) async fn watch(
        &self,
        query: &str,
        headers: &[(&str, &str)],
    ) -> Result<Watch, Error> {
        self.watch_with(query, headers, Some("emx.v1")).await
    }

    /// Opens a WebSocket, offering `protocol` unless `headers` offer something else.
    pub(crate) async fn watch_with(
        &self,
        query: &str,
        headers: &[(&str, &str)],
        protocol: Option<&str>,
    ) -> Result<Watch, Error> {
        self.watch_over(self.connect().await, query, headers, protocol).await
    }

    /// The same from another address of this machine, offering `emx.v1`.
    pub(crate) async fn watch_from(
        &self,
        address: &str,
        query: &str,
        headers: &[(&str, &str)],
    ) -> Result<Watch, Error> {
        self.watch_over(self.connect_from(address).await, query, headers, Some("emx.v1")).await
    }

    async fn watch_over(
        &self,
        stream: TlsStream<TcpStream>,
        query: &str,
        headers: &[(&str, &str)],
        protocol: Option<&str>,
    ) -> Result<Watch, Error> {
        let url = format!("wss://{}/api/v1/ws{query}", self.address);
        let mut request = url.into_client_request()?;
        if let Some(protocol) = protocol {
            request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        }
        for (name, value) in headers {
            let name: tungstenite::http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let (socket, answer) = client_async(request, stream).await?;
        let protocol = answer.headers().get("sec-websocket-protocol");
        let protocol = protocol.map(|protocol| protocol.to_str().unwrap().to_owned());
        Ok(Watch { socket, protocol })
    }
}

/// What is in the ready file, once it is there.
fn ready_of(ready: &Path) -> Value {
    let clock = Clock::system();
    for _ in 0..READY_LOOKS_MAX {
        if let Ok(text) = std::fs::read_to_string(ready) {
            return serde_json::from_str(&text).unwrap();
        }
        clock.pause(READY_PAUSE);
    }
    panic!("the server is not ready");
}

/// The status that a WebSocket was refused with.
pub(crate) fn status(outcome: Result<Watch, Error>) -> u16 {
    match outcome {
        Err(Error::Http(answer)) => answer.status().as_u16(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was let in"),
    }
}

/// An open WebSocket.
pub(crate) struct Watch {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    pub(crate) protocol: Option<String>,
}

impl Watch {
    pub(crate) async fn send(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    pub(crate) async fn say(&mut self, message: Value) {
        self.send(Message::text(message.to_string())).await;
    }

    async fn next(&mut self) -> Message {
        let next = tokio::time::timeout(PATIENCE, self.socket.next()).await;
        next.expect("something comes").expect("the socket is open").expect("a message")
    }

    pub(crate) async fn hear(&mut self) -> Value {
        let message = self.next().await;
        serde_json::from_str(message.to_text().unwrap()).unwrap()
    }

    /// The code with which the server closes.
    pub(crate) async fn hear_close(&mut self) -> u16 {
        loop {
            if let Message::Close(frame) = self.next().await {
                return frame.expect("a reason").code.into();
            }
        }
    }
}
