//! An implementation that is not ours on the other side: `openssl s_client`, where there is one.

use crate::support::open_local;
use emx::http::tls::server_config;
use emx::runtime::clock::Clock;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Serves `count` connections, each to its end; a handshake that fails is the client's to tell.
fn serve(listener: TcpListener, config: Arc<rustls::ServerConfig>, count: usize) {
    for _ in 0..count {
        let (tcp, _) = listener.accept().unwrap();
        let connection = rustls::ServerConnection::new(config.clone()).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, tcp);
        let _ = stream.flush().and_then(|()| stream.read_to_end(&mut Vec::new()));
    }
}

/// What `openssl s_client` says of the server at `port` when it trusts `root`, and whether it got
/// through.
fn s_client(port: u16, root: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-CAfile"])
        .arg(root)
        .args(["-verify_return_error", "-x509_strict", "-verify_hostname", "localhost"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn openssl_agrees() {
    if Command::new("openssl").arg("version").output().is_err() {
        println!("skipped: a handshake with `openssl s_client`, which is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let certificates = open_local(dir.path(), &[], Clock::system().now_ms()).unwrap();
    let config = server_config(&certificates).unwrap();
    let cases: [(&[&str], Option<&str>); 9] = [
        (&["-tls1_3", "-alpn", "h2,http/1.1"], Some("ALPN protocol: h2")),
        (&["-tls1_2", "-alpn", "http/1.1"], Some("ALPN protocol: http/1.1")),
        (&["-tls1_2"], Some("Verify return code: 0 (ok)")),
        (&["-tls1_3"], Some("Verify return code: 0 (ok)")),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"], Some("ECDSA-CHACHA20")),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES256-SHA"], None),
        (&["-tls1_2", "-cipher", "AES256-GCM-SHA384:AES128-SHA"], None),
        (&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], None),
        (&["-tls1", "-cipher", "ALL:@SECLEVEL=0"], None),
    ];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || serve(listener, config, cases.len()));
    for (arguments, expected) in cases {
        let (ok, text) = s_client(port, &dir.path().join("tls/ca.pem"), arguments);
        assert_eq!(ok, expected.is_some(), "{arguments:?}: {text}");
        if let Some(words) = expected {
            assert!(text.contains(words), "{arguments:?}: {text}");
        }
    }
    server.join().unwrap();
}
