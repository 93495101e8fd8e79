//! What fan-out is compared with: node's `ws`, fed by Redis pub/sub, each in a process of its own.
//! `peer/` has the program and the pinned libraries.

use crate::client::Trust;
use crate::measure::{now, wait_until};
use crate::process::Process;
use crate::running::Running;
use crate::socket::PATIENCE;
use crate::workload::directory;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What has to be there, and the packages of Debian that have it.
const NEEDED: [(&str, &str); 3] =
    [("redis-server", "redis-server"), ("node", "nodejs"), ("npm", "npm")];

const CHANNEL: &str = "executions";

/// How often, and after which pause, it is looked whether Redis answers: together ten seconds.
const REDIS_LOOKS_MAX: usize = 200;
const REDIS_PAUSE: Duration = Duration::from_millis(50);

/// Both servers.
pub(crate) struct Peer {
    /// Where WebSockets are opened.
    pub(crate) trust: Trust,
    pub(crate) node: Process,
    publisher: BufReader<TcpStream>,
    _redis: Process,
}

#[derive(Deserialize)]
struct Listening {
    port: u16,
}

impl Peer {
    /// Starts them, with the certificate of `server`. `None`, said aloud: something is not installed.
    pub(crate) fn start(server: &Running) -> Result<Option<Self>> {
        let is_there = |program: &str| {
            let asked = Command::new(program).arg("--version").stdout(Stdio::null()).status();
            asked.is_ok_and(|status| status.success())
        };
        let missing: Vec<&str> = NEEDED
            .iter()
            .filter(|(program, _)| !is_there(program))
            .map(|(_, name)| *name)
            .collect();
        if !missing.is_empty() {
            println!(
                "skipped: node's `ws` and Redis; to compare, install {}\n",
                missing.join(", ")
            );
            return Ok(None);
        }
        let (redis, port) = start_redis()?;
        let mut publisher = connect(port)?;
        ensure!(ask(&mut publisher, b"PING\r\n")? == "+PONG", "that is not Redis");
        let tls = server.directory.join("data/tls");
        let mut node = Command::new("node")
            .arg(installed()?)
            .arg(format!("redis://127.0.0.1:{port}"))
            .arg(CHANNEL)
            .args([tls.join("server.key"), tls.join("server.pem")])
            .stdout(Stdio::piped())
            .spawn()?;
        let said = node.stdout.take().context("node has no output")?;
        let node = Process(node);
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        let Listening { port } = serde_json::from_str(&line).context("node does not listen")?;
        let trust = server.trust.at(format!("127.0.0.1:{port}"));
        Ok(Some(Self { trust, node, publisher, _redis: redis }))
    }

    /// Has `text` sent to everybody, and waits for nothing.
    pub(crate) fn publish(&mut self, text: &[u8]) -> Result<()> {
        let mut command = Vec::with_capacity(text.len() + 64);
        write!(command, "*3\r\n$7\r\nPUBLISH\r\n${}\r\n{CHANNEL}\r\n", CHANNEL.len())?;
        write!(command, "${}\r\n", text.len())?;
        command.extend_from_slice(text);
        command.extend_from_slice(b"\r\n");
        Ok(self.publisher.get_mut().write_all(&command)?)
    }

    /// Waits until Redis has said that one server was told.
    pub(crate) fn published(&mut self) -> Result<()> {
        let answer = read_line(&mut self.publisher)?;
        ensure!(answer == ":1", "Redis answered {answer}");
        Ok(())
    }
}

/// Redis, which stores nothing, and its port.
fn start_redis() -> Result<(Process, u16)> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let redis = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(directory("peer")?)
        .stdout(Stdio::null())
        .spawn()?;
    Ok((Process(redis), port))
}

/// A connection to Redis, once it is there.
fn connect(port: u16) -> Result<BufReader<TcpStream>> {
    for _ in 0..REDIS_LOOKS_MAX {
        if let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            return Ok(BufReader::new(stream));
        }
        wait_until(now() + REDIS_PAUSE);
    }
    anyhow::bail!("Redis does not start")
}

fn ask(redis: &mut BufReader<TcpStream>, command: &[u8]) -> Result<String> {
    redis.get_mut().write_all(command)?;
    read_line(redis)
}

fn read_line(redis: &mut BufReader<TcpStream>) -> Result<String> {
    let mut line = String::new();
    ensure!(redis.read_line(&mut line)? > 0, "Redis has closed the connection");
    Ok(line.trim_end().to_owned())
}

/// The program, with its libraries beside it, which are installed where they are not or are others.
fn installed() -> Result<PathBuf> {
    const PROGRAM: &str = "fan_out.js";
    const LOCK: &str = "package-lock.json";
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/server/peer");
    let home = directory("peer")?;
    let mark = home.join("node_modules/installed");
    for file in [PROGRAM, LOCK, "package.json"] {
        std::fs::copy(from.join(file), home.join(file))?;
    }
    let lock = std::fs::read(home.join(LOCK))?;
    if std::fs::read(&mark).ok().as_ref() != Some(&lock) {
        let npm = ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"];
        let status =
            Command::new("npm").args(npm).current_dir(&home).stdout(Stdio::null()).status()?;
        ensure!(status.success(), "`npm ci` failed in `{}`: it needs the internet", home.display());
        std::fs::write(mark, lock)?;
    }
    Ok(home.join(PROGRAM))
}
