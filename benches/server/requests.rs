//! What the least request costs that asks who somebody is and whether it may.

use crate::Options;
use crate::measure::{Spread, now};
use crate::running::Running;
use anyhow::{Context, Result, ensure};

const CONNECTIONS: usize = 16;
const REQUESTS: usize = 10_000; // for each connection

pub(crate) fn print(options: Options) -> Result<()> {
    let server = Running::start("server")?;
    let (mut cpu_us, mut rates) = (Vec::new(), Vec::new());
    for _ in 0..options.repeats {
        let (start, cpu) = (now(), server.cpu()?);
        std::thread::scope(|scope| -> Result<()> {
            let callers: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(|| ask(&server))).collect();
            callers.into_iter().try_for_each(|c| c.join().ok().context("a client panicked")?)
        })?;
        let requests = (CONNECTIONS * REQUESTS) as f64;
        cpu_us.push((server.cpu()? - cpu).as_secs_f64() * 1e6 / requests);
        rates.push(requests / start.elapsed().as_secs_f64());
    }
    println!(
        "`GET /api/v1/auth/me` with a key over {CONNECTIONS} connections: {} µs of the server's CPU \
         each, {:.0} requests/s.",
        Spread::of(cpu_us),
        Spread::of(rates)
    );
    Ok(())
}

fn ask(server: &Running) -> Result<()> {
    let mut client = server.client(&server.key)?;
    for _ in 0..REQUESTS {
        let (status, _) = client.call("GET", "/api/v1/auth/me", "", b"")?;
        ensure!(status == 200, "{status}");
    }
    Ok(())
}
