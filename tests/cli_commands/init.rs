//! Beginning: what is made, what is refused, and who learns the password.

use crate::emx::Emx;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

const INIT: [&str; 5] = ["init", "--tenant", "demo", "--admin", "you@example.org"];

#[test]
fn a_made_up_password_goes_to_a_file_that_only_the_owner_reads() {
    let emx = Emx::new();
    let out = emx.ok(&INIT);
    let path = emx.data_dir().join("first-password.txt");
    assert!(out.contains("first-password.txt"), "{out}");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&emx.data_dir())), (0o600, 0o700));
    let text = fs::read_to_string(path).unwrap();
    let password = text.lines().nth(1).unwrap();
    assert!(password.len() >= 20 && !out.contains(password), "{out}");
}

#[test]
fn a_given_password_is_never_written_in_the_clear() {
    let emx = Emx::new();
    let arguments = [&INIT[..], &["--password-stdin", "--json"]].concat();
    let ran = emx.run_with_stdin(&arguments, "correct horse battery\n");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let made: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&made["tenant"], &made["password_file"]), (&"demo".into(), &().into()));
    assert!(!emx.data_dir().join("first-password.txt").exists());
    let platform = fs::read(emx.data_dir().join("platform.redb")).unwrap();
    let holds = |word: &[u8]| platform.windows(word.len()).any(|bytes| bytes == word);
    assert!(holds(b"$argon2id$v=19$m=19456,t=2,p=1$") && !holds(b"correct horse battery"));
}

#[test]
fn a_bad_password_or_name_makes_nothing() {
    let emx = Emx::new();
    let arguments = [&INIT[..], &["--password-stdin"]].concat();
    for bad in ["short", "", "you@example.org", &"x".repeat(2000)] {
        let ran = emx.run_with_stdin(&arguments, bad);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.err.starts_with("error: the password "), "{ran:?}");
    }
    let init = |tenant, admin| ["init", "--tenant", tenant, "--admin", admin];
    emx.fails(&init("Not A Name", "you@example.org"), 2, "invalid_slug");
    emx.fails(&init("demo", "nobody"), 2, "invalid_email");
    assert!(!emx.data_dir().exists());
    let zone = [&INIT[..], &["--time-zone", "Mars/Olympus"]].concat();
    emx.fails(&zone, 2, "unknown_time_zone");
    emx.ok(&INIT);
}

#[test]
fn a_path_that_is_not_text_is_no_obstacle() {
    let emx = Emx::new();
    let dir = OsStr::from_bytes(b"d\xff");
    for arguments in [&[&INIT[..], &["--json"]].concat()[..], &["tenant", "list"], &["check"]] {
        let output = emx.command(arguments).arg("--data-dir").arg(dir).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
    }
}

#[test]
fn one_line_is_the_password() {
    let emx = Emx::new();
    let mut command = emx.command(&[&INIT[..], &["--password-stdin"]].concat());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"correct horse battery\n").unwrap();
    // Whoever typed it has not closed the terminal.
    assert!(child.wait().unwrap().success());
    drop(stdin);
}

#[test]
fn it_begins_once_and_only_where_nobody_else_is() {
    let emx = Emx::initialised();
    let ran = emx.fails(&INIT, 1, "already_initialised");
    assert!(ran.err.contains("help: `emx tenant create NAME`"), "{ran:?}");

    let other = Emx::new();
    fs::create_dir(other.data_dir()).unwrap();
    fs::write(other.data_dir().join("thesis.tex"), "x").unwrap();
    other.fails(&INIT, 1, "not_empty");
    fs::remove_file(other.data_dir().join("thesis.tex")).unwrap();
    fs::write(other.data_dir().join("config.toml"), "[log]\nlevel = \"error\"\n").unwrap();
    other.ok(&INIT);
}

#[test]
fn every_command_says_that_init_comes_first() {
    let emx = Emx::new();
    for arguments in [
        &["tenant", "list"][..],
        &["tenant", "create", "acme"],
        &["query", "--tenant", "x"],
        &["check"],
    ] {
        let ran = emx.fails(arguments, 1, "not_initialised");
        assert!(ran.err.contains("help: run `emx init --data-dir data "), "{ran:?}");
    }
    assert!(!emx.data_dir().exists());
}
