//! Writes the archive: entries, the digest of all of them, and the end.

use aws_lc_rs::digest::{Context, SHA256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};

/// Everything in a tar archive begins at a multiple of it.
const BLOCK_BYTES: u64 = 512;

/// Bytes read and written at a time: few calls, and nothing to feel in memory.
pub(super) const COPY_BYTES: usize = 1 << 20;

/// The last entry, which holds the digest of all bytes before it.
pub(super) const DIGEST: &str = "sha256";

/// Its header, its text in one block, and the two empty blocks that end an archive.
pub(super) const TAIL_BYTES: u64 = 4 * BLOCK_BYTES;

/// Where in the tail the digest stands, and how long its hexadecimal form is.
pub(super) const DIGEST_AT: std::ops::Range<usize> = 512..512 + 64;

/// A digest under computation.
#[derive(Clone)]
pub(super) struct Digest(Context);

impl Digest {
    pub(super) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// In hexadecimal.
    pub(super) fn hex(self) -> String {
        let mut hex = String::with_capacity(64);
        for byte in self.0.finish().as_ref() {
            let _into_memory = write!(hex, "{byte:02x}");
        }
        hex
    }
}

/// The archive under construction.
pub(super) struct ArchiveWriter {
    out: BufWriter<File>,
    digest: Digest,
    mtime_s: u64,
}

impl ArchiveWriter {
    /// Into the empty file `out`; entries say that they are of `mtime_s`, Unix seconds.
    pub(super) fn new(out: File, mtime_s: u64) -> Self {
        Self { out: BufWriter::with_capacity(COPY_BYTES, out), digest: Digest::new(), mtime_s }
    }

    /// Appends the entry `name` of `bytes` bytes, and gives the digest of its content.
    pub(super) fn append(
        &mut self,
        name: &str,
        bytes: u64,
        content: impl Read,
    ) -> io::Result<String> {
        self.write(header(name, bytes, self.mtime_s)?.as_bytes())?;
        let mut digest = Digest::new();
        let copied = copy(&mut content.take(bytes), &mut |piece| {
            digest.add(piece);
            self.write(piece)
        })?;
        if copied != bytes {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it became shorter meanwhile",
            ));
        }
        let padding = bytes.next_multiple_of(BLOCK_BYTES) - bytes;
        self.write(&[0; BLOCK_BYTES as usize][..padding as usize])?;
        Ok(digest.hex())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.add(bytes);
        self.out.write_all(bytes)
    }

    /// Writes the end; all of it is on stable storage then.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.out.write_all(&tail(&self.digest.hex())?)?;
        self.out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}

/// Hands everything of `from` to `each`, in pieces, and gives how many bytes that was.
pub(super) fn copy(
    from: &mut impl Read,
    each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<u64> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut copied = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(read) => {
                each(&buffer[..read])?;
                copied += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// What stands at the end of an archive whose other bytes have the digest `hex`.
pub(super) fn tail(hex: &str) -> io::Result<Vec<u8>> {
    let text = format!("{hex}\n");
    let mut tail = header(DIGEST, text.len() as u64, 0)?.as_bytes().to_vec();
    tail.extend_from_slice(text.as_bytes());
    tail.resize(TAIL_BYTES as usize, 0);
    Ok(tail)
}

fn header(name: &str, bytes: u64, mtime_s: u64) -> io::Result<tar::Header> {
    const MODE: u32 = 0o600; // there are private keys among them
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(MODE);
    header.set_size(bytes);
    header.set_mtime(mtime_s);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    Ok(header)
}
