//! Where a new user's password comes from, and who gets to see one that was made up.

use super::problem::Failure;
use crate::identity::email::Email;
use crate::identity::password::{PASSWORD_BYTES_MAX, Password};
use anyhow::{Context, Result};
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file in the data directory that a made-up password goes to.
pub(super) const FILE_NAME: &str = "first-password.txt";

/// What to do with that file.
pub(super) const FILE_ADVICE: &str = "read it, then delete the file";

/// A password, and whether somebody has yet to be told.
pub(super) struct Chosen {
    pub(super) password: Password,
    pub(super) made_up: bool,
}

/// Takes the password of `email` in `tenant` from standard input, or asks for it, or makes one up
/// where nobody is there to be asked or nothing is typed.
pub(super) fn choose(email: &Email, tenant: &str, from_stdin: bool) -> Result<Chosen> {
    let made_up = || Chosen { password: Password::random(), made_up: true };
    let typed = if from_stdin {
        read_line(io::stdin().lock())?
    } else if io::stdin().is_terminal() && io::stderr().is_terminal() {
        match prompt(email)? {
            Some(typed) => typed,
            None => return Ok(made_up()),
        }
    } else {
        return Ok(made_up());
    };
    Ok(Chosen { password: Password::choose(&typed, email, tenant)?, made_up: false })
}

/// Asks twice; nothing typed means that one is to be made up.
fn prompt(email: &Email) -> Result<Option<String>> {
    let first = rpassword::prompt_password(format!("Password for {email} (empty: make one up): "))?;
    if first.is_empty() {
        return Ok(None);
    }
    let second = rpassword::prompt_password("The same again: ")?;
    if first != second {
        return Err(Failure::new("password_mismatch", "the two passwords differ")
            .help("nothing was made; run the command again")
            .into());
    }
    Ok(Some(first))
}

/// The first line of `input`, without its end, exactly as it stands. What follows is not waited for.
fn read_line(input: impl BufRead) -> Result<String> {
    const LINE_END_BYTES: usize = 2;
    let most = (PASSWORD_BYTES_MAX + LINE_END_BYTES + 1) as u64; // one more shows that it is too long
    let mut bytes = Vec::new();
    input.take(most).read_until(b'\n', &mut bytes).context("cannot read the password")?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8(line.to_vec())
        .map_err(|_| Failure::new("invalid_password", "the password is not UTF-8 text").into())
}

/// Writes a made-up password into a file in `dir` that only its owner can read. It replaces one
/// that an interrupted attempt left.
pub(super) fn write_file(dir: &Path, email: &Email, password: &Password) -> Result<PathBuf> {
    let path = dir.join(FILE_NAME);
    let write = || -> io::Result<()> {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        writeln!(file, "{email}\n{}", password.reveal())?;
        file.sync_all()?;
        fs::File::open(dir)?.sync_all()
    };
    write().with_context(|| format!("cannot write the password to `{}`", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_as_it_stands() {
        let cases: [(&[u8], &str); 5] = [
            (b" secret \n", " secret "),
            (b"secret", "secret"),
            (b"secret\r\nmore", "secret"),
            (b"\n", ""),
            (b"", ""),
        ];
        for (bytes, line) in cases {
            assert_eq!(read_line(bytes).unwrap(), line);
        }
        assert!(read_line(&b"\xff\n"[..]).is_err());
        let long = vec![b'x'; 5000];
        assert!(read_line(&long[..]).unwrap().len() > PASSWORD_BYTES_MAX);
    }

    #[test]
    fn only_the_owner_can_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let email = Email::parse("you@example.org").unwrap();
        for _ in 0..2 {
            let password = Password::random();
            let path = write_file(dir.path(), &email, &password).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(text, format!("you@example.org\n{}\n", password.reveal()));
        }
    }
}
