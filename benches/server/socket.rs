//! A WebSocket client that costs little: what comes is cut into messages where it was decrypted, and
//! lent to whoever listens.

use crate::client::{Stream, Trust};
use anyhow::{Result, bail, ensure};
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Longest time that something which must come may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The handshake's key: 16 bytes in Base64. Whether the answer fits it is for tests to check.
const KEY: &str = "ZW14LWJlbmNobWFyay0wMQ==";

/// Kinds of frames, and bits beside them (RFC 6455 §5.2).
const CONTINUED: u8 = 0;
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const KIND: u8 = 0x0f;
const LAST: u8 = 0x80;
const MASKED: u8 = 0x80;

/// Longest text that is sent: its length fits into one byte.
const SENT_BYTES_MAX: usize = 125;

/// An open WebSocket.
pub(crate) struct Socket {
    stream: Stream,
    /// What came and is no whole frame yet.
    came: Vec<u8>,
    /// What came of a message whose last frame has not come.
    begun: Vec<u8>,
}

/// A frame's first byte, and where its payload lies.
struct Frame {
    first: u8,
    start: usize,
    end: usize,
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.sock.as_fd()
    }
}

impl Socket {
    /// Opens one at `target`, presenting `key` if there is one.
    pub(crate) fn open(trust: &Trust, target: &str, key: &str) -> Result<Self> {
        let mut stream = trust.connect()?;
        stream.sock.set_read_timeout(Some(PATIENCE))?;
        let who = match key {
            "" => String::new(),
            key => format!("Authorization: Bearer {key}\r\n"),
        };
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{who}\r\n",
            trust.host
        );
        stream.write_all(request.as_bytes())?;
        let mut socket = Self { stream, came: Vec::new(), begun: Vec::new() };
        let end = loop {
            socket.receive()?;
            socket.decrypt()?;
            let end = socket.came.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                break end + 4;
            }
        };
        let head = String::from_utf8_lossy(&socket.came[..end]);
        ensure!(head.starts_with("HTTP/1.1 101 "), "no WebSocket: {head}");
        socket.came.drain(..end);
        Ok(socket)
    }

    /// Sends a text.
    pub(crate) fn say(&mut self, text: &str) -> Result<()> {
        self.send(TEXT, text.as_bytes())
    }

    fn send(&mut self, kind: u8, payload: &[u8]) -> Result<()> {
        ensure!(payload.len() <= SENT_BYTES_MAX, "that is too long to be sent");
        // A mask of zeros: nobody lies in between who had to be protected (RFC 6455 §10.3).
        let mut frame = vec![LAST | kind, MASKED | payload.len() as u8, 0, 0, 0, 0];
        frame.extend_from_slice(payload);
        Ok(self.stream.write_all(&frame)?)
    }

    /// Waits until something comes, and lends each message that is whole to `hear`.
    pub(crate) fn listen(&mut self, hear: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.receive()?;
        self.read(hear)
    }

    /// Waits until something comes, and takes it from the system.
    pub(crate) fn receive(&mut self) -> Result<()> {
        let Stream { conn, sock } = &mut self.stream;
        ensure!(conn.read_tls(sock)? > 0, "the server closed the connection");
        Ok(())
    }

    /// Lends each message that is whole in what was received to `hear`.
    pub(crate) fn read(&mut self, mut hear: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.decrypt()?;
        let (mut at, mut pings) = (0, 0);
        while let Some(frame) = frame_of(&self.came[at..]) {
            let payload = &self.came[at + frame.start..at + frame.end];
            let is_last = frame.first & LAST != 0;
            match frame.first & KIND {
                TEXT if is_last => hear(payload)?,
                TEXT | CONTINUED => self.begun.extend_from_slice(payload),
                PING => pings += 1,
                CLOSE => bail!("closed: {}", String::from_utf8_lossy(payload)),
                kind => bail!("a frame of kind {kind} has come"),
            }
            if frame.first & KIND == CONTINUED && is_last {
                hear(&self.begun)?;
                self.begun.clear();
            }
            at += frame.end;
        }
        self.came.drain(..at);
        (0..pings).try_for_each(|_| self.send(PONG, b""))
    }

    fn decrypt(&mut self) -> Result<()> {
        let come = self.stream.conn.process_new_packets()?.plaintext_bytes_to_read();
        let before = self.came.len();
        self.came.resize(before + come, 0);
        Ok(self.stream.conn.reader().read_exact(&mut self.came[before..])?)
    }
}

/// The first frame in `bytes`, once it is whole.
fn frame_of(bytes: &[u8]) -> Option<Frame> {
    let (&[first, length], rest) = bytes.split_first_chunk()?;
    let (start, length) = match length {
        126 => (4, u64::from(u16::from_be_bytes(*rest.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*rest.first_chunk()?)),
        short => (2, u64::from(short)),
    };
    let end = start + usize::try_from(length).ok()?;
    (bytes.len() >= end).then_some(Frame { first, start, end })
}
