//! Files and servers that an answer names: neither are opened.

use crate::idp::{genuine, replaced, settings, signature, verdict};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::TcpListener;
use std::path::Path;

/// A genuine answer that says something else afterwards.
fn changed(from: &str, to: &str) -> String {
    replaced(&genuine(), from, to)
}

/// Whatever a signature names is neither opened nor connected to.
#[test]
fn nothing_is_opened_that_a_signature_names() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let here = std::env::current_dir().unwrap();
    let Ok(folder) = folder.strip_prefix(&here) else {
        println!("skipped: files that a signature names, for the target directory lies elsewhere");
        return;
    };
    let file = tempfile::NamedTempFile::new_in(folder).unwrap();
    let relative = file.path().strip_prefix(&here).unwrap_or(file.path()).to_owned();
    let mut opened = opens_of(&relative);
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let url = format!("http://{}/x", server.local_addr().unwrap());

    for target in [relative.to_str().unwrap(), &url] {
        let reference = changed("URI=\"#_assertion\"", &format!("URI=\"{target}\""));
        let decoy = signature(&reference).to_owned();
        let extensions = format!("<samlp:Extensions>{decoy}</samlp:Extensions><samlp:Status>");
        let retrieval = format!("<ds:RetrievalMethod URI=\"{target}\"/><ds:X509Data>");
        let typed = format!("<!DOCTYPE x SYSTEM \"{target}\">{}", genuine());
        let entity = format!("<!DOCTYPE x [<!ENTITY x SYSTEM \"{target}\">]>{}", genuine());
        for hostile in [
            reference,
            changed(
                "<ds:Reference ",
                &format!("<ds:Reference xmlns:x=\"urn:x\" x:URI=\"{target}\" "),
            ),
            changed("<samlp:Status>", &extensions),
            changed("<samlp:Status>", &format!("{decoy}<samlp:Status>")),
            changed("<ds:X509Data>", &retrieval),
            typed,
            replaced(&entity, ">alice<", ">&x;<"),
        ] {
            assert!(verdict(&settings(), &hostile).is_err(), "{hostile}");
        }
    }
    let mut events = [0; 1024];
    assert_eq!(opened.read(&mut events).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(server.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    // They would have been seen.
    drop(File::open(&relative).unwrap());
    assert!(opened.read(&mut events).unwrap() > 0);
}

/// Has something to be read whenever `file` is opened.
fn opens_of(file: &Path) -> File {
    use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
    let watch = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
    add_watch(&watch, file, WatchFlags::OPEN).unwrap();
    File::from(watch)
}
