//! Sockets in a directory, however long its path is: a socket's address has room for 108 bytes
//! (unix(7)), and data directories may lie deep.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// Longest path that fits a socket's address, bytes: the 108 of Linux have a zero at the end, and some
/// are left free.
const PATH_BYTES_MAX: usize = 103;

/// The path by which a socket is bound or connected, for as long as this lives.
#[derive(Debug)]
pub struct SocketPath {
    path: PathBuf,
    /// The directory, open, where the path leads through its descriptor.
    _directory: Option<File>,
}

impl SocketPath {
    /// The path of the socket `name` in `directory`. Fails where the path is too long and the
    /// directory cannot be opened.
    pub fn of(directory: &Path, name: &str) -> io::Result<Self> {
        let path = directory.join(name);
        if path.as_os_str().len() <= PATH_BYTES_MAX {
            return Ok(Self { path, _directory: None });
        }
        let directory = File::open(directory)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
        Ok(Self { path, _directory: Some(directory) })
    }
}

impl AsRef<Path> for SocketPath {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn a_socket_is_reached_in_a_directory_of_any_depth() {
        let root = tempfile::tempdir().unwrap();
        for depth in [0, 1, 20] {
            let directory = root.path().join("a-rather-long-name".repeat(depth.min(4)));
            let directory = (0..depth).fold(directory, |path, _| path.join("deep"));
            std::fs::create_dir_all(&directory).unwrap();
            let listener = UnixListener::bind(SocketPath::of(&directory, "s").unwrap()).unwrap();
            assert!(directory.join("s").exists());
            assert!(UnixStream::connect(SocketPath::of(&directory, "s").unwrap()).is_ok());
            drop(listener);
        }
    }
}
