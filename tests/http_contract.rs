//! The served OpenAPI document against the server, by a tool that knows only the document.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "support/peer.rs"]
mod peer;
#[path = "support/server.rs"]
mod server;

use server::{Server, is_soak};
use std::path::Path;
use std::process::Command;

#[test]
fn every_answer_is_one_that_the_document_describes() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let token = server.sign_in();
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract/run");
    let output = Command::new(run)
        .arg(format!("https://localhost:{}", server.address.port()))
        .arg(server.data_dir().join("tls/ca.pem"))
        .arg(token)
        .arg(if is_soak() { "200" } else { "10" })
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    server.end();
}
