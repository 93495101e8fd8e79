//! What is agreed on in a handshake, and that replacing the certificate fails none.

#![allow(clippy::disallowed_methods, reason = "tests see to the end of their own tasks")]

use crate::support::{DAY_MS, Foreign, NOW_MS, client, connect, files_in, open_local};
use emx::http::tls::{Certificates, server_config};
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig};
use rustls_pki_types::ServerName;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A local certificate's configuration, and the root to trust.
fn served(dir: &Path) -> (Arc<ServerConfig>, Arc<str>) {
    let certificates = open_local(dir, &[], NOW_MS).unwrap();
    (server_config(&certificates).unwrap(), certificates.ca_pem().unwrap())
}

#[test]
fn both_versions_and_both_protocols_are_spoken() {
    let dir = tempfile::tempdir().unwrap();
    let (server, root) = served(dir.path());
    for (version, number) in
        [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)]
    {
        let cases = [
            (&["http/1.1", "h2"][..], Some("h2")),
            (&["http/1.1"], Some("http/1.1")),
            (&["h2"], Some("h2")),
            (&[], None),
        ];
        for (offered, chosen) in cases {
            let client = client(&root, version, offered, NOW_MS);
            let (client, server) = connect(&client, &server, "localhost").unwrap();
            assert_eq!(client.protocol_version(), Some(number));
            assert_eq!(client.alpn_protocol(), chosen.map(str::as_bytes), "{offered:?}");
            assert_eq!(server.alpn_protocol(), client.alpn_protocol());
            let sent = client.peer_certificates().unwrap().len();
            assert_eq!(sent, 1, "a root is not sent");
        }
        let spdy = client(&root, version, &["spdy/3"], NOW_MS);
        assert!(connect(&spdy, &server, "localhost").is_err());
    }
}

#[test]
fn nothing_weak_is_offered() {
    let dir = tempfile::tempdir().unwrap();
    let (config, _) = served(dir.path());
    let provider = config.crypto_provider();
    for suite in &provider.cipher_suites {
        let name = format!("{:?}", suite.suite());
        let aead = name.contains("_GCM_") || name.contains("CHACHA20_POLY1305");
        assert!(aead && (name.starts_with("TLS13_") || name.starts_with("TLS_ECDHE_")), "{name}");
    }
    assert_eq!(provider.cipher_suites.len(), 9);
    assert!(!config.send_half_rtt_data && config.max_early_data_size == 0);
    assert!(!config.enable_secret_extraction);
}

#[test]
fn who_does_not_trust_the_authority_does_not_connect() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (server, root) = served(dir.path());
    let (_, foreign) = served(other.path());
    for version in [&TLS12, &TLS13] {
        let stranger = client(&foreign, version, &[], NOW_MS);
        assert!(connect(&stranger, &server, "localhost").is_err());
        let early = client(&root, version, &[], NOW_MS - 2 * DAY_MS);
        assert!(connect(&early, &server, "localhost").is_err());
    }
}

#[test]
fn sessions_are_resumed_also_after_the_certificate_changed() {
    let (dir, foreign) = (tempfile::tempdir().unwrap(), Foreign::new("Customer CA"));
    foreign.good().write(dir.path());
    let source = files_in(dir.path());
    let certificates = Certificates::open(dir.path(), source, &[], NOW_MS).unwrap();
    let server = server_config(&certificates).unwrap();
    for version in [&TLS12, &TLS13] {
        let client = client(&foreign.pem, version, &[], NOW_MS);
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
            let (client, _) = connect(&client, &server, "localhost").unwrap();
            assert_eq!(client.handshake_kind(), Some(kind), "{version:?}");
            assert!(!client.is_early_data_accepted());
            foreign.good().write(dir.path());
            assert!(certificates.reload(NOW_MS).unwrap());
        }
        let restarted = server_config(&certificates).unwrap();
        let (client, _) = connect(&client, &restarted, "localhost").unwrap();
        assert_eq!(client.handshake_kind(), Some(HandshakeKind::Full), "its keys died with it");
    }
}

/// Accepts connections and echoes one byte on each, until the listener's task is dropped.
async fn echo(listener: TcpListener, config: Arc<ServerConfig>, failed: Arc<AtomicUsize>) {
    let acceptor = TlsAcceptor::from(config);
    loop {
        let Ok((tcp, _)) = listener.accept().await else { return };
        let (acceptor, failed) = (acceptor.clone(), failed.clone());
        tokio::spawn(async move {
            let Ok(mut stream) = acceptor.accept(tcp).await else {
                failed.fetch_add(1, Ordering::Relaxed);
                return;
            };
            while let Ok(byte) = stream.read_u8().await {
                if stream.write_u8(byte).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_replacements_under_load_fail_no_handshake() {
    const REPLACEMENTS: usize = 50;
    const CLIENTS: usize = 8;
    let (dir, foreign) = (tempfile::tempdir().unwrap(), Foreign::new("Customer CA"));
    foreign.good().write(dir.path());
    let source = files_in(dir.path());
    let certificates = Certificates::open(dir.path(), source, &[], NOW_MS).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let failed = Arc::new(AtomicUsize::new(0));
    let config = server_config(&certificates).unwrap();
    let server = tokio::spawn(echo(listener, config, failed.clone()));
    let open = TlsConnector::from(client(&foreign.pem, &TLS13, &["h2"], NOW_MS));
    let name = ServerName::try_from("localhost").unwrap();
    let tcp = TcpStream::connect(address).await.unwrap();
    let mut before_all = open.connect(name.clone(), tcp).await.unwrap();

    let (done, connected) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = tokio::task::JoinSet::new();
    for n in 0..CLIENTS {
        let (root, name) = (foreign.pem.clone(), name.clone());
        let (done, connected) = (done.clone(), connected.clone());
        clients.spawn(async move {
            while !done.load(Ordering::Relaxed) {
                // A client of its own each time, so that every handshake is a full one.
                let version = if n % 2 == 0 { &TLS13 } else { &TLS12 };
                let connector = TlsConnector::from(client(&root, version, &["h2"], NOW_MS));
                let tcp = TcpStream::connect(address).await.unwrap();
                let mut stream = connector.connect(name.clone(), tcp).await.unwrap();
                stream.write_u8(7).await.unwrap();
                assert_eq!(stream.read_u8().await.unwrap(), 7);
                connected.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    for n in 0..REPLACEMENTS {
        foreign.good().write(dir.path());
        assert!(certificates.changed_on_disk());
        assert!(certificates.reload(NOW_MS).unwrap());
        // A broken one in between does no harm either.
        std::fs::write(dir.path().join("server.key"), "broken").unwrap();
        assert!(certificates.reload(NOW_MS).is_err());
        let sofar = connected.load(Ordering::Relaxed);
        while connected.load(Ordering::Relaxed) == sofar && !clients.is_empty() {
            assert!(clients.try_join_next().is_none(), "a client failed at replacement {n}");
            tokio::task::yield_now().await;
        }
    }
    done.store(true, Ordering::Relaxed);
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    before_all.write_u8(9).await.unwrap();
    assert_eq!(before_all.read_u8().await.unwrap(), 9, "an open connection goes on");
    assert_eq!(failed.load(Ordering::Relaxed), 0);
    assert!(connected.load(Ordering::Relaxed) >= REPLACEMENTS);
    server.abort();
}
