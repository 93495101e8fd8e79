//! The server's life: from the first connection to the last answer.

use super::dispatch;
use super::idempotency;
use super::listener::{self, HttpService};
use super::server::Server;
use super::tls::{TlsError, server_config};
use crate::runtime::local_socket::SocketPath;
use std::fs::Permissions;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;

/// How often files of certificates are looked at, and due renewals are made.
const CERTIFICATE_LOOK: Duration = Duration::from_secs(10);

/// How often it is stored when API keys were used last, and what else is counted, and looked what
/// identities have too much of.
const COUNTED_EVERY: Duration = Duration::from_secs(60);

/// How often what identities need to know no more is forgotten, and what was counted is stored.
const SETTLE_EVERY: Duration = Duration::from_secs(5);

/// Where the server listens.
#[derive(Debug)]
pub struct Endpoint {
    listener: TcpListener,
    local: UnixListener,
    socket: SocketPath,
    /// The address, with the port that was chosen where none was asked for.
    pub address: SocketAddr,
}

impl Endpoint {
    /// Takes over the address of `listener`, and the path of a socket for the person at the machine, whose
    /// directory is nobody else's. Nobody is answered yet, but whoever connects will be.
    pub fn new(listener: TcpListener, socket: SocketPath) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        // Whoever left it is gone: the data is open here alone.
        match std::fs::remove_file(&socket) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let local = UnixListener::bind(&socket)?;
        std::fs::set_permissions(&socket, Permissions::from_mode(0o600))?;
        Ok(Self { listener, local, socket, address })
    }
}

/// Answers at `endpoint` until the server's tasks are told to stop; then requests that are under
/// way are ended. Returns when no new connection is taken any more.
pub async fn serve(server: Arc<Server>, endpoint: Endpoint) -> Result<(), TlsError> {
    let tls = TlsAcceptor::from(server_config(&server.certificates)?);
    let service = dispatch::service(&server);
    watch_certificates(&server);
    remember_counted(&server);
    settle_identities(&server);
    let socket = accept(server, endpoint, tls, service).await;
    // Nobody is answered there any more; a start clears away what a crash leaves.
    let _may_be_gone = std::fs::remove_file(socket);
    Ok(())
}

async fn accept(
    server: Arc<Server>,
    endpoint: Endpoint,
    tls: TlsAcceptor,
    service: impl HttpService,
) -> SocketPath {
    let tasks = server.tasks.clone();
    let local = listener::accept_local(endpoint.local, service.clone(), tasks.clone());
    tasks.spawn(local);
    let connections = server.connections.clone();
    listener::accept(endpoint.listener, Some(tls), connections, service, tasks).await;
    endpoint.socket
}

/// Reads the certificate again, now.
pub async fn reload(server: &Arc<Server>) {
    let (certificates, now_ms) = (Arc::clone(&server.certificates), server.clock.now_ms());
    match server.threads.run(move || certificates.reload(now_ms)).await {
        Ok(Ok(_)) => tracing::info!("the certificate was read again"),
        Ok(Err(error)) => tracing::error!(%error, "the certificate was not taken into use"),
        Err(error) => tracing::error!(%error, "the certificate was not read"),
    }
}

/// Stores now and then what is counted in memory, and goes on with the deletion of tenants that were
/// still in use.
fn remember_counted(server: &Arc<Server>) {
    let remembering = Arc::clone(server);
    server.tasks.spawn(async move {
        let mut tick = tokio::time::interval(COUNTED_EVERY);
        loop {
            tokio::select! {
                () = remembering.tasks.stopping() => return,
                _ = tick.tick() => {}
            }
            let server = Arc::clone(&remembering);
            let stored = remembering.threads.run(move || {
                server.identity.finish_deletions(&server.tenancy, server.clock.now_ms());
                let tenancy = &server.tenancy;
                server.limits.sweep(|id| tenancy.with_id(id).is_some() || tenancy.is_suspended(id));
                store_counted(&server);
            });
            if let Err(error) = stored.await {
                tracing::warn!(%error, "what was counted is not stored");
            }
        }
    });
}

/// Stores what is counted in memory: when API keys were used last, and for the audit log what was
/// refused and read. Forgets what was remembered for a day. To be called once more after the last request.
/// Waits for the disk.
pub fn store_counted(server: &Server) {
    let now_ms = server.clock.now_ms();
    if let Err(error) = server.identity.api_keys().flush_used(now_ms) {
        tracing::warn!(%error, "when API keys were used last is not stored");
    }
    if let Err(error) = server.identity.keep_up(now_ms) {
        tracing::warn!(%error, "identities are not kept up");
    }
    if let Err(error) = server.tenancy.log().flush(now_ms) {
        tracing::warn!(%error, "what was refused and read is not in the audit log yet");
    }
    if let Err(error) = idempotency::forget_old(&*server.tenancy.platform(), now_ms) {
        tracing::warn!(%error, "answers that are a day old are not forgotten yet");
    }
}

/// Has identities forget and store what is due, every few seconds and at the end.
fn settle_identities(server: &Arc<Server>) {
    let settling = Arc::clone(server);
    server.tasks.spawn(async move {
        let mut tick = tokio::time::interval(SETTLE_EVERY);
        let mut is_last = false;
        while !is_last {
            tokio::select! {
                () = settling.tasks.stopping() => is_last = true,
                _ = tick.tick() => {}
            }
            let (identity, now_ms) = (Arc::clone(&settling.identity), settling.clock.now_ms());
            let settled = settling.threads.run(move || identity.settle(now_ms));
            if let Ok(Err(error)) = settled.await {
                tracing::warn!(%error, "what identities need to know no more is not forgotten yet");
            }
        }
    });
}

/// Takes new certificates into use, and keeps the old where the new ones are bad.
fn watch_certificates(server: &Arc<Server>) {
    let watching = Arc::clone(server);
    server.tasks.spawn(async move {
        let mut look = tokio::time::interval(CERTIFICATE_LOOK);
        loop {
            tokio::select! {
                () = watching.tasks.stopping() => return,
                _ = look.tick() => {}
            }
            let (certificates, now_ms) =
                (Arc::clone(&watching.certificates), watching.clock.now_ms());
            let looked = watching.threads.run(move || match certificates.changed_on_disk() {
                true => certificates.reload(now_ms),
                false => certificates.renew_if_due(now_ms),
            });
            match looked.await {
                Ok(Ok(false)) | Err(_) => {}
                Ok(Ok(true)) => tracing::info!("a new certificate is in use"),
                Ok(Err(error)) => {
                    tracing::error!(%error, "a new certificate is not taken into use");
                }
            }
        }
    });
}
