//! A client that writes HTTP/1.1 by hand, so that it can write it wrongly, and reads strictly.
#![allow(dead_code, reason = "every test that includes it uses another part")]

use crate::server::PATIENCE;
use rustls::client::{ClientConfig, ClientConnection};
use rustls::{StreamOwned, pki_types::ServerName};
use serde_json::Value;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// A request to be written.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Written instead of all that.
    raw: Option<Vec<u8>>,
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes();
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
        f.write_str(&shown)
    }
}

impl Ask {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        let headers = vec![("Host".to_owned(), "localhost".to_owned())];
        Self { method: method.into(), target: target.into(), headers, body: Vec::new(), raw: None }
    }

    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub(crate) fn post(target: &str) -> Self {
        Self::new("POST", target)
    }

    /// With another method.
    pub(crate) fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    /// Exactly these bytes.
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { raw: Some(bytes.into()), ..Self::new("GET", "") }
    }

    /// One more header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Without the header.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// The header with another value.
    pub(crate) fn with(self, name: &str, value: &str) -> Self {
        self.without(name).header(name, value)
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn body(mut self, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("Content-Type", media_type)
    }

    pub(crate) fn json(self, body: &str) -> Self {
        self.body("application/json", body)
    }

    /// What is sent.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let framed = ["content-length", "transfer-encoding"];
        let is_framed =
            self.headers.iter().any(|(name, _)| framed.contains(&&*name.to_ascii_lowercase()));
        if !self.body.is_empty() && !is_framed {
            head += &format!("Content-Length: {}\r\n", self.body.len());
        }
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Statuses from 100 to 199 that came before.
    pub(crate) interim: Vec<u16>,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(500)]);
        write!(f, "{} {:?} {body}", self.status, self.headers)
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The `code` of a problem, `""` where there is none.
    pub(crate) fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// One end of a connection.
pub(crate) struct Peer {
    pub(crate) stream: StreamOwned<ClientConnection, TcpStream>,
    /// What was read beyond the last answer.
    ahead: Vec<u8>,
}

impl Peer {
    pub(crate) fn connect(address: SocketAddr, client: Arc<ClientConfig>) -> io::Result<Self> {
        Self::over(TcpStream::connect_timeout(&address, PATIENCE)?, client)
    }

    /// Shakes hands over a connection.
    pub(crate) fn over(tcp: TcpStream, client: Arc<ClientConfig>) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_write_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(client, name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self { stream, ahead: Vec::new() })
    }

    /// How long a read may take.
    pub(crate) fn set_patience(&self, patience: Duration) {
        self.stream.sock.set_read_timeout(Some(patience)).unwrap();
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Sends a request and reads its answer. A server may answer before it has read all: then
    /// sending fails and there is an answer.
    pub(crate) fn ask(&mut self, request: &Ask) -> io::Result<Answer> {
        let sent = self.send(&request.bytes());
        match (self.answer(request.method == "HEAD"), sent) {
            (Err(_), Err(error)) => Err(error),
            (answer, _) => answer,
        }
    }

    /// Reads one answer.
    pub(crate) fn answer(&mut self, to_head: bool) -> io::Result<Answer> {
        let mut interim = Vec::new();
        loop {
            let head = self.until(b"\r\n\r\n")?;
            let head = String::from_utf8(head).map_err(io::Error::other)?;
            let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
            let first = lines.next().unwrap_or_default();
            let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
            let status: u16 = status.ok_or_else(|| io::Error::other(head.clone()))?;
            let headers = lines.map(|line| {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                (name.to_ascii_lowercase(), value.trim().to_owned())
            });
            let headers: Vec<(String, String)> = headers.collect();
            if (100..200).contains(&status) {
                interim.push(status);
                continue;
            }
            let mut answer = Answer { status, interim, headers, body: Vec::new() };
            if !to_head && status != 204 && status != 304 {
                answer.body = self.body_of(&answer)?;
            }
            return Ok(answer);
        }
    }

    fn body_of(&mut self, answer: &Answer) -> io::Result<Vec<u8>> {
        if answer.header("transfer-encoding") == Some("chunked") {
            let mut body = Vec::new();
            loop {
                let line = self.until(b"\r\n")?;
                let size = String::from_utf8_lossy(&line).trim().to_owned();
                let size = usize::from_str_radix(&size, 16).map_err(io::Error::other)?;
                let mut chunk = self.exactly(size + 2)?;
                chunk.truncate(size);
                if size == 0 {
                    return Ok(body);
                }
                body.append(&mut chunk);
            }
        }
        match answer.header("content-length") {
            Some(length) => self.exactly(length.parse().map_err(io::Error::other)?),
            None => {
                while self.more().is_ok() {}
                Ok(std::mem::take(&mut self.ahead))
            }
        }
    }

    fn until(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.ahead.windows(end.len()).position(|window| window == end) {
                let rest = self.ahead.split_off(at + end.len());
                return Ok(std::mem::replace(&mut self.ahead, rest));
            }
            self.more()?;
        }
    }

    fn exactly(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < bytes {
            self.more()?;
        }
        let rest = self.ahead.split_off(bytes);
        Ok(std::mem::replace(&mut self.ahead, rest))
    }

    fn more(&mut self) -> io::Result<()> {
        let mut piece = [0; 16 << 10];
        match self.read(&mut piece)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            read => {
                self.ahead.extend_from_slice(&piece[..read]);
                Ok(())
            }
        }
    }

    /// Reads without writing what is left to be written: the other end may not take it any more.
    pub(crate) fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.conn.reader().read(piece) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
            // A `0` shows in the reader, as an end with or without a farewell.
            let _read = self.stream.conn.read_tls(&mut self.stream.sock)?;
            self.stream.conn.process_new_packets().map_err(io::Error::other)?;
        }
    }

    /// Waits until the server has closed the connection without another byte; `false` if there
    /// was one, or if it did not within this client's patience.
    pub(crate) fn is_closed(&mut self) -> bool {
        if !self.ahead.is_empty() {
            return false;
        }
        match self.read(&mut [0; 64]) {
            Ok(read) => read == 0,
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }
}
