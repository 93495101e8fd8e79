//! The server as a process: what it opens, in which order it starts and stops, and what it says.

mod demo;
mod first_start;
mod migrations;

use super::problem::Failure;
use super::remote::CONTROL_SOCKET;
use super::session::{Session, processors};
use super::{output, site};
use crate::config::settings::Settings;
use crate::http::live::Hub;
use crate::http::measures::Measures;
use crate::http::server::{Parts, Server};
use crate::http::tls::{CertificateSource, Certificates};
use crate::http::{self, ConnectionCaps, Endpoint};
use crate::identity::oidc;
use crate::intake::writer::{WriterSettings, Writers};
use crate::query::AnswerCache;
use crate::runtime::breath;
use crate::runtime::local_socket::SocketPath;
use crate::runtime::pool::{self, Pool};
use crate::runtime::tasks::Tasks;
use anyhow::{Context, Result};
use serde_json::json;
use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use storage::engine::Engine;
use tokio::net::TcpListener;
use tokio::runtime::{Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};

/// Questions and large bodies that may wait for a processor, for each of them.
const WAITING_PER_PROCESSOR_MAX: usize = 256;

/// Threads for questions, for the decoding of large bodies, and for what waits for a disk, of each kind so
/// many or more. Those that compute take turns with the processors.
const POOL_THREADS_MIN: usize = 64;

/// The same for each processor: a tenant has as many of them as there are processors, so that there are
/// enough for several tenants that are all busy.
const POOL_THREADS_PER_PROCESSOR: usize = 8;

/// Pieces of work that may wait for one of those that wait for a disk.
const DISK_WAITING_MAX: usize = 4096;

/// Threads beside those of the pools: what the runtime asks the system for waits there.
const OTHER_THREADS_MAX: usize = 64;

/// Exports at a time, and how many more may wait for their turn.
const EXPORTS_MAX: usize = 8;
const EXPORTS_WAITING_MAX: usize = 32;

/// Passwords that are hashed at a time at most, each in 19 MiB: several hundred a second.
const PASSWORDS_MAX: usize = 8;

/// Sign-ins that may wait for their hash: half a minute's worth for one processor.
const PASSWORDS_WAITING_MAX: usize = 256;

/// How far behind requests those who watch stand (`nice`): a message to thousands of them is work for
/// every processor, and not one that anybody waits for.
const WATCHING_NICE: i32 = 5;

/// How long the writers may take to store what was taken, after the last request.
const WRITERS_TIME_MAX: Duration = Duration::from_secs(20);

/// Where the local authority's certificate lies in the data directory.
const CA_FILE: &str = "tls/ca.pem";

/// What is asked of a run.
pub(super) struct Plan {
    pub(super) listen: SocketAddr,
    pub(super) ready_file: Option<PathBuf>,
    pub(super) demo: bool,
}

/// Serves until it is told to stop.
pub(super) fn run(plan: &Plan, session: &Session) -> Result<()> {
    install_cryptography();
    let processors = processors();
    let blocking = blocking_threads(processors);
    let runtime = start_threads("emx-io", io_threads(processors), blocking, 0)?;
    // One for each processor: a message to thousands who watch is work for all of them at once.
    let watching = start_threads("emx-live", processors, blocking, WATCHING_NICE)?;
    // Before anything is made: a start that cannot serve leaves nothing behind.
    let listener = runtime.block_on(TcpListener::bind(plan.listen));
    let listener = listener.map_err(|error| cannot_listen(plan.listen, &error))?;
    let server = open(plan, session, processors, watching.handle())?;
    if plan.demo {
        demo::begin(&server, || {
            if !session.json {
                eprintln!("making up three months of executions");
            }
        })?;
    }
    let outcome = runtime.block_on(serve(plan, session, &server, listener));
    let settings = &session.settings().server;
    runtime.block_on(server.tasks.end(settings.stop_time_max.0));
    // After the last request, so that whatever was taken is stored and answered.
    if !server.writers.stop(WRITERS_TIME_MAX) {
        tracing::error!("the writers did not end in time");
    }
    http::run::store_counted(&server);
    watching.shutdown_timeout(WRITERS_TIME_MAX);
    runtime.shutdown_timeout(WRITERS_TIME_MAX);
    if let Some(file) = &plan.ready_file {
        let _may_be_gone = fs::remove_file(file);
    }
    outcome
}

/// That the address cannot be had, and which may be.
fn cannot_listen(listen: SocketAddr, error: &std::io::Error) -> Failure {
    let help = match error.kind() {
        ErrorKind::AddrInUse => {
            "something listens there already: stop it, or choose another port with \
             `--listen ADDRESS:PORT` or `server.listen`"
        }
        ErrorKind::PermissionDenied => {
            "ports below 1024 are for the administrator: choose another with `--listen ADDRESS:PORT` \
             or `server.listen`"
        }
        _ => "choose an address of this machine with `--listen ADDRESS:PORT` or `server.listen`",
    };
    Failure::new("cannot_listen", format!("cannot listen at `{listen}`: {error}")).help(help)
}

/// One cryptographic provider for everything in the process.
fn install_cryptography() {
    // A second call in one process is refused; the first goes on.
    let _already = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let _already = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}

/// Threads of a pool.
fn pool_threads(processors: usize) -> usize {
    (POOL_THREADS_PER_PROCESSOR * processors).max(POOL_THREADS_MIN)
}

/// Threads of all pools, and others: none of a pool waits until one of another has done.
fn blocking_threads(processors: usize) -> usize {
    3 * pool_threads(processors) + EXPORTS_MAX + OTHER_THREADS_MAX
}

/// Threads that hash passwords: half of the processors, for a scheduler keeps a request that has just come
/// waiting for some milliseconds even behind what stands far behind it.
fn password_threads(processors: usize) -> usize {
    (processors / 2).clamp(1, PASSWORDS_MAX)
}

/// So many threads for async tasks, and at most so many for what these must not do, that far behind others.
fn start_threads(name: &str, count: usize, blocking_max: usize, nice: i32) -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(count)
        .max_blocking_threads(blocking_max)
        .on_thread_start(move || pool::stand_behind(nice))
        .on_thread_unpark(breath::begin) // of those that breathe
        .enable_all()
        .thread_name(name)
        .build()
        .context("cannot start threads")
}

/// Threads for connections. What computes, what waits for a disk and who watches has threads of its own,
/// so that half of the processors are enough; more of them wake each other: on two processors, two
/// threads cost a fifth more a request than one.
fn io_threads(processors: usize) -> usize {
    (processors / 2).max(1)
}

fn open(
    plan: &Plan,
    session: &Session,
    processor_count: usize,
    watching: &Handle,
) -> Result<Arc<Server>> {
    let (settings, clock) = (session.settings(), session.clock.clone());
    first_start::make_directory(session.data_dir())?;
    let data = session.open_or_make()?;
    let now_ms = clock.now_ms();
    let acts = session.acts(data)?;
    let (tenancy, identity) = (Arc::clone(&acts.tenancy), Arc::clone(&acts.identity));
    let limits = Arc::clone(&acts.limits);
    tenancy.migrate_beside(settings.performance.writer_threads);
    identity.finish_deletions(&tenancy, now_ms);
    first_start::run(&tenancy, plan.demo, session)?;
    // What the local authority vouches for may have to be clicked away after all: HSTS forbids that.
    let is_own = !settings.server.certificate.0.is_empty();
    let hsts_time = if is_own { settings.server.hsts_time.0 } else { Duration::ZERO };
    let source = match (&*settings.server.certificate.0, &*settings.server.key.0) {
        ("", _) => CertificateSource::LocalAuthority,
        (certificate, key) => {
            CertificateSource::Files { certificate: certificate.into(), key: key.into() }
        }
    };
    let mut names = settings.server.names.0.clone();
    if !plan.listen.ip().is_unspecified() {
        names.push(plan.listen.ip().to_string());
    }
    let base_domain = settings.server.base_domain.0.clone();
    if !base_domain.is_empty() {
        names.extend([base_domain.clone(), format!("*.{base_domain}")]);
    }
    let certificates = Certificates::open(session.data_dir(), source, &names, now_ms)?;
    let (live, tasks) = (Arc::new(Hub::new()), Tasks::default());
    let outgoing = acts.outgoing()?;
    let (site, threads) = (acts.site.clone(), pool_threads(processor_count));
    acts.engine.listen(live.listener());
    identity.on_revoked(live.revoker());
    tenancy.on_sight_changed(live.looker());
    let processors = Pool::of_threads(threads, processor_count * WAITING_PER_PROCESSOR_MAX);
    let server = Server::new(Parts {
        control: Arc::new(move |act| acts.perform_text(act)),
        tenancy,
        identity,
        oidc: oidc::Client::new(outgoing.clone()),
        outgoing,
        site,
        writers: Arc::new(Writers::start(writer_settings(settings))?),
        answers: AnswerCache::new(settings.cache.result_bytes.bytes()),
        limits,
        clock,
        processors,
        decoders: Pool::of_threads(threads, processor_count * WAITING_PER_PROCESSOR_MAX),
        threads: Pool::of_threads(threads, DISK_WAITING_MAX),
        exports: Pool::of_threads(EXPORTS_MAX, EXPORTS_WAITING_MAX),
        passwords: Pool::in_background(password_threads(processor_count), PASSWORDS_WAITING_MAX)
            .context("cannot start threads")?,
        watching: tasks.on(watching.clone()),
        tasks,
        certificates,
        base_domain,
        origins: settings.server.origins.0.clone(),
        cors_origins: settings.server.cors_origins.0.clone(),
        trusted_proxies: settings.server.trusted_proxies.0.clone(),
        hsts_time,
        live,
        measures: Measures::new(),
        caps: ConnectionCaps {
            total_max: settings.server.connections_max,
            per_address_max: settings.server.connections_per_address_max,
        },
    });
    Ok(Arc::new(server))
}

fn writer_settings(settings: &Settings) -> WriterSettings {
    WriterSettings {
        threads: settings.performance.writer_threads,
        lane_rows_max: settings.performance.queue_rows_max,
        ..WriterSettings::default()
    }
}

async fn serve(
    plan: &Plan,
    session: &Session,
    server: &Arc<Server>,
    listener: TcpListener,
) -> Result<()> {
    let socket = SocketPath::of(session.data_dir(), CONTROL_SOCKET)
        .with_context(|| format!("cannot open `{}`", session.data_dir().display()))?;
    let endpoint = Endpoint::new(listener, socket)
        .with_context(|| format!("cannot listen in `{}`", session.data_dir().display()))?;
    let address = endpoint.address;
    server.site.settle(&site::url_of(session.settings(), address));
    stop_when_told(server)?;
    let accepting = http::serve(Arc::clone(server), endpoint);
    if plan.demo {
        demo::go_on(server);
    }
    migrations::begin(server, session.settings().storage.migrate);
    say_ready(plan, session, server, address)?;
    accepting.await?;
    if !session.json {
        eprintln!("stopping: ending what is under way");
    }
    Ok(())
}

/// The end begins with SIGTERM or SIGINT. SIGHUP has the certificate read again.
fn stop_when_told(server: &Arc<Server>) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let server = Arc::clone(server);
    server.tasks.clone().spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                () = server.tasks.stopping() => break,
                _ = hang_up.recv() => {
                    let reloading = Arc::clone(&server);
                    server.tasks.spawn(async move { http::run::reload(&reloading).await });
                }
            }
        }
        server.tasks.stop();
    });
    Ok(())
}

fn say_ready(plan: &Plan, session: &Session, server: &Server, address: SocketAddr) -> Result<()> {
    let url = url_of(address);
    let info = server.certificates.info();
    let ca_file = info.authority.as_ref().map(|_| session.data_dir().join(CA_FILE));
    let ready = json!({
        "url": url,
        "ca_file": ca_file.as_ref().map(|file| file.display().to_string()),
        "pid": std::process::id(),
    });
    if let Some(file) = &plan.ready_file {
        write_ready(file, &ready.to_string())
            .with_context(|| format!("cannot write `{}`", file.display()))?;
    }
    if session.json {
        return output::json(&ready);
    }
    let mut text = format!("serving at {url}\n");
    if plan.demo {
        text += &format!("the demo: {url}/?tenant={}\n", first_start::DEMO_TENANT);
    }
    if let Some(file) = ca_file {
        text += &format!("certificate authority: {}\n", file.display());
        if let Some(authority) = &info.authority {
            text += &format!("  SHA-256 {}\n", authority.sha256);
        }
    }
    text += "stop with Ctrl-C\n";
    Ok(output::text(&text)?)
}

/// The address as one would type it.
pub(super) fn url_of(address: SocketAddr) -> String {
    if address.ip().is_loopback() || address.ip().is_unspecified() {
        return format!("https://localhost:{}", address.port());
    }
    format!("https://{address}")
}

/// Whole or not at all: whoever waits for the file reads it as soon as it is there.
fn write_ready(file: &Path, text: &str) -> std::io::Result<()> {
    let mut fresh = file.as_os_str().to_owned();
    fresh.push(".new");
    fs::write(&fresh, text)?;
    fs::rename(&fresh, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tenant_that_takes_all_it_may_leaves_threads_to_others() {
        let ours = [1, 2, 8, 9, 64, 192].map(pool_threads);
        assert_eq!(ours, [64, 64, 64, 72, 512, 1536]);
        // Questions, bodies and the disk: each has its own.
        assert!(blocking_threads(64) >= 3 * 512 && blocking_threads(1) >= 3 * 64);
    }
}
