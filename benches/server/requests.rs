//! What the least request costs that asks who somebody is and whether it may.

use crate::Options;
use crate::measure::{Spread, now};
use crate::running::Running;
use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, stream::FuturesUnordered};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const CONNECTIONS: usize = 32;
const REQUESTS: usize = 10_000; // for each connection

/// Who is asked for nothing, and who is asked for: the difference is what it costs to know.
const TARGETS: [&str; 2] = ["/healthz", "/api/v1/auth/me"];

pub(crate) fn print(options: Options) -> Result<()> {
    let server = Running::start("server")?;
    println!("{CONNECTIONS} connections over TLS that one thread of clients keeps asking.\n");
    println!("| request | CPU of the server, µs | requests/s |");
    println!("|---|--:|--:|");
    for target in TARGETS {
        let (mut cpu_us, mut rates) = (Vec::new(), Vec::new());
        for _ in 0..options.repeats {
            let (start, cpu) = (now(), server.cpu()?);
            ask_all(&server, target)?;
            let requests = (CONNECTIONS * REQUESTS) as f64;
            cpu_us.push((server.cpu()? - cpu).as_secs_f64() * 1e6 / requests);
            rates.push(requests / start.elapsed().as_secs_f64());
        }
        println!("| `GET {target}` with a key | {} | {} |", Spread::of(cpu_us), Spread::of(rates));
    }
    Ok(())
}

/// All clients share a thread: as many threads as connections would take turns with the server's on
/// few processors, and it is not the server that is measured then.
fn ask_all(server: &Running, target: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let mut clients: FuturesUnordered<_> =
            (0..CONNECTIONS).map(|_| ask(server, target)).collect();
        while let Some(done) = clients.next().await {
            done?;
        }
        Ok(())
    })
}

async fn ask(server: &Running, target: &str) -> Result<()> {
    let tcp = TcpStream::connect(&server.trust.host).await?;
    tcp.set_nodelay(true)?;
    let tls = TlsConnector::from(server.trust.config());
    let mut stream = tls.connect(ServerName::try_from("localhost")?, tcp).await?;
    let (host, key) = (&server.trust.host, &server.key);
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\r\n");
    let mut answer = [0; 4096];
    for _ in 0..REQUESTS {
        stream.write_all(request.as_bytes()).await?;
        let read = stream.read(&mut answer).await?; // so short an answer is one record
        let answer = answer.get(..read).context("no answer")?;
        ensure!(answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(b"}"), "{answer:?}");
    }
    Ok(())
}
