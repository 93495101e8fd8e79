//! The page, in a browser, against the real server and its demo: `web-assets/e2e` has the steps.

#[cfg(test)]
#[path = "support/binary.rs"]
mod binary;
#[cfg(test)]
#[path = "support/browser.rs"]
mod browser;

use binary::Binary;
use emx::runtime::clock::Clock;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How often, and after which pause, it is looked whether the server has made up its demo and
/// answers: together two minutes.
const READY_LOOKS_MAX: usize = 1200;
const READY_PAUSE: Duration = Duration::from_millis(100);

/// The server, which ends with the test whatever happens.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

#[test]
fn the_page_does_what_its_users_do() {
    if let Some(why) = browser::missing() {
        println!("skipped: the page in a browser, {why}");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (data, ready) = (directory.path().join("data"), directory.path().join("ready.json"));
    let ready_file = ready.to_str().unwrap();
    let arguments = ["serve", "--demo", "--listen", "127.0.0.1:0", "--ready-file", ready_file];
    let mut command = Binary::at(&data).command(&arguments);
    // Browsers know that every `*.localhost` is this machine.
    command.env("EMX_SERVER__BASE_DOMAIN", "localhost").stdout(Stdio::null());
    let child = command.spawn().unwrap();
    let _serving = Serving(child);
    let url = url_of(&ready);
    let password = std::fs::read_to_string(data.join("first-password.txt")).unwrap();
    let password = password.lines().nth(1).expect("its second line is the password");
    let steps = Command::new("npm")
        .args(["run", "--silent", "e2e"])
        .current_dir(browser::assets())
        .env("EMX_E2E_OWN_HOST", url.replacen("://localhost", "://demo.localhost", 1))
        .env("EMX_E2E_URL", url)
        .env("EMX_E2E_TENANT", "demo")
        .env("EMX_E2E_EMAIL", "admin@localhost")
        .env("EMX_E2E_PASSWORD", password)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&steps.stdout);
    assert!(steps.status.success(), "{told}\n{}", String::from_utf8_lossy(&steps.stderr));
    assert!(!told.contains("skipped:"), "{told}");
}

/// The address in the ready file, once it is there.
fn url_of(ready: &Path) -> String {
    let clock = Clock::system();
    for _ in 0..READY_LOOKS_MAX {
        if let Ok(text) = std::fs::read_to_string(ready) {
            let ready: serde_json::Value =
                serde_json::from_str(&text).expect("the ready file is JSON");
            return ready["url"].as_str().expect("it names the address").to_owned();
        }
        clock.pause(READY_PAUSE);
    }
    panic!("the server is not ready");
}
