//! The one secret that lies outside of the tables, and that seals those inside.
//!
//! *Invariants*: the key is 256 random bits in a file that only its owner may read; it is made
//! once, whole or not at all, and never replaced; what was sealed for one purpose does not open
//! for another. A copy of the tables without this file gives no private key away.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The file in the data directory.
pub const FILE_NAME: &str = "secret.key";

/// Size of the key in bytes: what AES-256 takes.
const KEY_BYTES: usize = 32;

/// Mode of the file, and the bits that nobody else may have.
const MODE: u32 = 0o600;
const FOREIGN_MODE: u32 = 0o077;

/// First byte of everything sealed: the cipher is AES-256-GCM with a random 96-bit nonce
/// (NIST SP 800-38D §8.2.2), which follows; after it the text and a tag of 128 bits.
const FORMAT: u8 = 1;

/// Why there is no master key, or something sealed does not open.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read or written.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not a key.
    #[error(
        "`{}` is not a master key of {KEY_BYTES} bytes: put back the one that belongs to this data",
        path.display()
    )]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// Others than the owner have rights on the file.
    #[error(
        "`{}` has mode {mode:o}, so others may get at it: `chmod 600` it, and rotate the signing \
         keys if somebody may have read it", path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The cipher failed: no randomness, or no memory.
    #[error("a secret could not be sealed: try again")]
    Seal,
    /// It was sealed by another key or for another purpose, or is damaged.
    #[error(
        "a stored secret does not open: `{FILE_NAME}` is not the one that belongs to this data, \
         put that back"
    )]
    Open,
}

impl SecretError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::File { .. } => "secret_unreadable",
            Self::NotAKey { .. } => "secret_invalid",
            Self::Exposed { .. } => "secret_exposed",
            Self::Seal => "seal_failed",
            Self::Open => "secret_mismatch",
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Seal)
    }
}

/// The key that seals what must not lie in the tables in the clear.
pub struct MasterKey {
    key: RandomizedNonceKey,
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

impl MasterKey {
    /// The key of `data_dir`, made if there is none. To be called while the data is open, so that
    /// no other process makes one at the same time.
    pub fn load_or_make(data_dir: &Path) -> Result<Self, SecretError> {
        let path = data_dir.join(FILE_NAME);
        match File::open(&path) {
            Ok(file) => Self::read(file, path),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let bytes = random_key()?;
                let made = write_whole(data_dir, &path, &bytes);
                made.map_err(|source| SecretError::File { doing: "write", path, source })?;
                Self::from_bytes(&bytes)
            }
            Err(source) => Err(SecretError::File { doing: "open", path, source }),
        }
    }

    /// A key of its own for one test or one run, kept nowhere.
    pub fn random() -> Result<Self, SecretError> {
        Self::from_bytes(&random_key()?)
    }

    fn read(file: File, path: PathBuf) -> Result<Self, SecretError> {
        let unreadable = |source| SecretError::File { doing: "read", path: path.clone(), source };
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(SecretError::NotAKey { path });
        }
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & FOREIGN_MODE != 0 {
            return Err(SecretError::Exposed { path, mode });
        }
        let mut bytes = Vec::new();
        let one_more = KEY_BYTES as u64 + 1; // shows that it is too long
        file.take(one_more).read_to_end(&mut bytes).map_err(unreadable)?;
        match <[u8; KEY_BYTES]>::try_from(bytes) {
            Ok(bytes) => Self::from_bytes(&bytes),
            Err(_) => Err(SecretError::NotAKey { path }),
        }
    }

    fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Result<Self, SecretError> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes).map_err(|_| SecretError::Seal)?;
        Ok(Self { key })
    }

    /// Encrypts and authenticates `plaintext`. `context` says what it is and whose (such as
    /// `signing_key/<kid>`), and must be told again to open it.
    pub fn seal(&self, context: &str, plaintext: &[u8]) -> Result<Vec<u8>, SecretError> {
        let mut text = plaintext.to_vec();
        let nonce = self.key.seal_in_place_append_tag(Aad::from(context.as_bytes()), &mut text);
        let nonce = nonce.map_err(|_| SecretError::Seal)?;
        Ok([&[FORMAT][..], nonce.as_ref(), &text].concat())
    }

    /// What was sealed for `context`.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>, SecretError> {
        let rest = sealed.strip_prefix(&[FORMAT]).ok_or(SecretError::Open)?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SecretError::Open)?;
        let mut text = text.to_vec();
        let opened = self
            .key
            .open_in_place(Nonce::from(nonce), Aad::from(context.as_bytes()), &mut text)
            .map_err(|_| SecretError::Open)?;
        Ok(opened.to_vec())
    }
}

fn random_key() -> Result<[u8; KEY_BYTES], SecretError> {
    let mut bytes = [0; KEY_BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| SecretError::Seal)?;
    Ok(bytes)
}

/// Writes the file under another name first, so that a crash leaves a key or none.
fn write_whole(dir: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = dir.join(format!("{FILE_NAME}.new"));
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("secret.key.new"), b"left by a crash").unwrap();
        let sealed = MasterKey::load_or_make(dir.path()).unwrap().seal("c", b"text").unwrap();
        let again = MasterKey::load_or_make(dir.path()).unwrap();
        assert_eq!(again.open("c", &sealed).unwrap(), b"text");
        let metadata = fs::metadata(dir.path().join(FILE_NAME)).unwrap();
        assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (32, 0o600));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(format!("{again:?}"), "MasterKey(…)");
    }

    #[test]
    fn a_file_that_is_no_key_or_open_to_others_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        for bytes in [&b""[..], &[7; 31], &[7; 33], &[7; 5000]] {
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let outcome = MasterKey::load_or_make(dir.path());
            assert!(matches!(outcome, Err(SecretError::NotAKey { .. })), "{}", bytes.len());
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
        fs::write(&path, [7; 32]).unwrap();
        for mode in [0o640, 0o604, 0o660, 0o620, 0o601] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = MasterKey::load_or_make(dir.path()).unwrap_err();
            assert!(error.to_string().contains("chmod 600"), "{mode:o}: {error}");
        }
        for mode in [0o600, 0o400] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            MasterKey::load_or_make(dir.path()).unwrap();
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(MasterKey::load_or_make(dir.path()).is_err());
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_only_whole_for_its_purpose_and_by_its_key(
            text: Vec<u8>,
            at: prop::sample::Index,
            bit in 0_u32..8,
        ) {
            let key = MasterKey::random().unwrap();
            let sealed = key.seal("a/1", &text).unwrap();
            prop_assert_eq!(key.open("a/1", &sealed).unwrap(), text.clone());
            prop_assert_ne!(key.seal("a/1", &text).unwrap(), sealed.clone());
            prop_assert!(key.open("a/2", &sealed).is_err());
            prop_assert!(MasterKey::random().unwrap().open("a/1", &sealed).is_err());
            let at = at.index(sealed.len());
            prop_assert!(key.open("a/1", &sealed[..at]).is_err());
            let mut damaged = sealed;
            damaged[at] ^= 1 << bit;
            prop_assert!(key.open("a/1", &damaged).is_err());
        }
    }
}
