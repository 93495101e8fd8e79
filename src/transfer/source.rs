//! Where an import reads from: a file or standard input, plain, gzip or zstd, as a stream of
//! bytes or lines of bounded length.

use super::problem::ImportError;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much of the content is looked at before an import begins: some hundred rows, enough to
/// tell the format and to show what the columns hold.
pub const HEAD_BYTES: usize = 256 << 10;

/// Longest line, and longest record: what intake takes as one row. A longer one is rejected by
/// itself and read over.
pub const LINE_BYTES_MAX: usize = 256 << 10;

/// How much of an over-long line is kept, to tell which one it is.
const TOO_LONG_KEPT: usize = 256;

/// Bytes read from the file at a time.
const READ_BYTES: usize = 64 << 10;

/// Bytes of decompressed content at hand.
const CONTENT_BYTES: usize = 256 << 10;

/// The largest window a zstd file may ask for: 128 MiB, what the `zstd` tool itself accepts
/// without being told otherwise.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// What begins with these bytes.
    fn of(bytes: &[u8]) -> Self {
        match bytes {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    /// Its name in a plan.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// Beginnings of files that are told apart but cannot be read, with what makes them readable.
const FOREIGN: [(&[u8], &str); 7] = [
    (b"BZh", "bzip2; unpack it first with `bunzip2`"),
    (b"\xfd7zXZ\0", "xz; unpack it first with `unxz`"),
    (b"PK\x03\x04", "a zip archive; unpack it first with `unzip`"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (b"PAR1", "Parquet; convert it to CSV or NDJSON first"),
    (b"\xff\xfe", "UTF-16; convert it first with `iconv -f UTF-16 -t UTF-8`"),
    (b"\xfe\xff", "UTF-16; convert it first with `iconv -f UTF-16 -t UTF-8`"),
];

/// What an import reads: its first bytes, already there, and the rest.
pub struct Source {
    name: String,
    compression: Compression,
    position: Position,
    head: Vec<u8>,
    head_position: u64,
    whole: bool,
    rest: Box<dyn BufRead + Send>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .field("compression", &self.compression)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

/// How far a file has been read, in bytes of the file as it lies there.
#[derive(Clone, Debug)]
pub struct Position {
    done: Arc<AtomicU64>,
    total: Option<u64>,
}

impl Position {
    /// Bytes read so far.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// All bytes, if that is known.
    pub fn total(&self) -> Option<u64> {
        self.total
    }
}

impl Source {
    /// Opens the file `path`, or standard input for `-`.
    pub fn open(path: &Path) -> Result<Self, ImportError> {
        if path == Path::new("-") {
            return Self::new("standard input", io::stdin(), None);
        }
        let name = path.display().to_string();
        let file =
            File::open(path).map_err(|source| ImportError::Open { name: name.clone(), source })?;
        let size = file.metadata().ok().filter(|m| m.is_file()).map(|m| m.len());
        Self::new(&name, file, size)
    }

    /// Reads from `reader`, whose content is `size_bytes` long if that is known. `name` stands
    /// for it in messages, and its ending helps to tell the format.
    pub fn new(
        name: &str,
        reader: impl Read + Send + 'static,
        size_bytes: Option<u64>,
    ) -> Result<Self, ImportError> {
        let position = Position { done: Arc::default(), total: size_bytes };
        let unreadable = |source| ImportError::Open { name: name.to_owned(), source };
        let mut input = Counted {
            inner: BufReader::with_capacity(READ_BYTES, reader),
            done: Arc::clone(&position.done),
        };
        let magic = peek(&mut input, 6).map_err(unreadable)?;
        let compression = Compression::of(&magic);
        refuse_foreign(name, &magic)?;
        let input = Cursor::new(magic).chain(input);
        let mut content: Box<dyn BufRead + Send> = match compression {
            Compression::None => Box::new(input),
            Compression::Gzip => Box::new(BufReader::with_capacity(
                CONTENT_BYTES,
                flate2::bufread::MultiGzDecoder::new(input),
            )),
            Compression::Zstd => {
                let mut decoder =
                    zstd::stream::read::Decoder::with_buffer(input).map_err(unreadable)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(unreadable)?;
                Box::new(BufReader::with_capacity(CONTENT_BYTES, decoder))
            }
        };
        let mut head = Vec::new();
        let read = (&mut content).take(HEAD_BYTES as u64).read_to_end(&mut head);
        let whole = read.is_ok() && head.len() < HEAD_BYTES;
        let rest = match read {
            Ok(_) => content,
            Err(error) if head.is_empty() => return Err(unreadable(error)),
            // What was read before the damage is still shown and taken.
            Err(error) => Box::new(BufReader::new(Failed(Some(error)))),
        };
        if head.starts_with(b"\xef\xbb\xbf") {
            head.drain(..3);
        }
        refuse_foreign(name, &head)?;
        if Compression::of(&head) != Compression::None {
            let what = "compressed twice; unpack it once first";
            return Err(ImportError::Foreign { name: name.to_owned(), what });
        }
        let head_position = position.done();
        let name = name.to_owned();
        Ok(Self { name, compression, position, head, head_position, whole, rest })
    }

    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is compressed.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// The first [`HEAD_BYTES`] of the content, without a byte order mark.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Whether [`head`](Self::head) is all there is.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// How many bytes of the file the head takes, as it lies there.
    pub fn head_position(&self) -> u64 {
        self.head_position
    }

    /// How far it has been read; goes on counting when the content is read.
    pub fn position(&self) -> Position {
        self.position.clone()
    }

    /// The whole content, decompressed.
    pub fn into_content(self) -> Box<dyn BufRead + Send> {
        Box::new(Cursor::new(self.head).chain(self.rest))
    }
}

fn refuse_foreign(name: &str, bytes: &[u8]) -> Result<(), ImportError> {
    match FOREIGN.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        Some((_, what)) => Err(ImportError::Foreign { name: name.to_owned(), what }),
        None => Ok(()),
    }
}

/// The first `len` bytes, or all if there are fewer; they are consumed.
fn peek(input: &mut impl Read, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(len as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Counts what is consumed rather than what is read ahead, so that the position belongs to the
/// content that has been given out.
struct Counted<R> {
    inner: R,
    done: Arc<AtomicU64>,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.done.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.done.fetch_add(amount as u64, Ordering::Relaxed);
        self.inner.consume(amount);
    }
}

/// Fails once as it was told, and then as an end too early.
struct Failed(Option<io::Error>);

impl Read for Failed {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(self.0.take().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()))
    }
}

/// A stream of lines.
pub(crate) struct Lines {
    input: Box<dyn BufRead + Send>,
    number: u64,
    /// Whether a piece of a line was read, and not its end.
    midway: bool,
}

/// What [`Lines::read`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A line.
    Line,
    /// A line over [`LINE_BYTES_MAX`]: only its beginning was appended.
    TooLong,
    /// Nothing more.
    End,
}

impl Lines {
    pub(crate) fn new(input: Box<dyn BufRead + Send>) -> Self {
        Self { input, number: 0, midway: false }
    }

    /// Appends the next line to `into`, with its `\n` if it has one. After an error `into` holds
    /// a piece of a line, which is not to be used.
    pub(crate) fn read(&mut self, into: &mut Vec<u8>) -> io::Result<Found> {
        let (begin, limit) = (into.len(), LINE_BYTES_MAX as u64 + 1);
        let len = (&mut self.input).take(limit).read_until(b'\n', into)?;
        if len == 0 {
            return Ok(Found::End);
        }
        self.number += 1;
        if (len as u64) < limit || into.last() == Some(&b'\n') {
            return Ok(Found::Line);
        }
        into.truncate(begin + TOO_LONG_KEPT);
        self.input.skip_until(b'\n')?;
        Ok(Found::TooLong)
    }

    /// Appends the next bytes to `into`: a line, or as much of it as is worth being at hand. For
    /// formats whose records are not lines. `false` if there is nothing more.
    pub(crate) fn read_piece(&mut self, into: &mut Vec<u8>) -> io::Result<bool> {
        let read = (&mut self.input).take(READ_BYTES as u64).read_until(b'\n', into)?;
        if read > 0 {
            self.number += u64::from(!self.midway);
            self.midway = into.last() != Some(&b'\n');
        }
        Ok(read > 0)
    }

    /// The number of the line read last; the first is 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn source(bytes: Vec<u8>) -> Result<Source, ImportError> {
        let size = bytes.len() as u64;
        Source::new("x", Cursor::new(bytes), Some(size))
    }

    fn content(source: Source) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        source.into_content().read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn every_compression_gives_the_content_and_counts_the_file() {
        let plain: Vec<u8> = (0..3 * HEAD_BYTES).map(|n| (n / 7 % 251) as u8).collect();
        let members: Vec<u8> = plain.chunks(100_000).flat_map(gzip).collect();
        for (packed, compression) in [
            (plain.clone(), Compression::None),
            (gzip(&plain), Compression::Gzip),
            (members, Compression::Gzip),
            (zstd::encode_all(&plain[..], 3).unwrap(), Compression::Zstd),
        ] {
            let size = packed.len() as u64;
            let source = source(packed).unwrap();
            let position = source.position();
            assert_eq!(source.compression(), compression);
            assert_eq!(source.head(), &plain[..HEAD_BYTES]);
            assert!(!source.is_whole());
            assert!(position.done() < size, "the head is not the whole file");
            assert_eq!(content(source).unwrap(), plain);
            assert_eq!((position.done(), position.total()), (size, Some(size)));
        }
    }

    #[test]
    fn a_damaged_file_gives_what_lies_before_and_then_an_error() {
        let plain: Vec<u8> = (0..4 * HEAD_BYTES).map(|n| (n * n / 3 % 253) as u8).collect();
        for len in [plain.len(), 1000] {
            let mut packed = gzip(&plain[..len]);
            packed.truncate(packed.len() - 12);
            let source = source(packed).unwrap();
            assert!(!source.is_whole());
            assert_eq!(content(source).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (bytes, word) in [
            (&b"BZh91AY"[..], "bunzip2"),
            (b"PK\x03\x04abc", "unzip"),
            (b"\xff\xfea\0b\0", "iconv"),
            (&gzip(b"\xff\xfea\0"), "iconv"),
        ] {
            let message = source(bytes.to_vec()).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_content_and_an_empty_file_is_whole() {
        assert_eq!(content(source(b"\xef\xbb\xbfa,b".to_vec()).unwrap()).unwrap(), b"a,b");
        assert!(source(Vec::new()).unwrap().is_whole());
        assert!(source(b"a".to_vec()).unwrap().is_whole());
    }

    #[test]
    fn lines_are_bounded() {
        let long = vec![b'x'; LINE_BYTES_MAX];
        let longer = vec![b'y'; 3 * LINE_BYTES_MAX];
        let text = [&b"a\r\n\n"[..], &long, b"\n", &longer, b"\nb\n", &long, b"x"].concat();
        let mut lines = Lines::new(Box::new(Cursor::new(text)));
        let mut seen = Vec::new();
        loop {
            let mut line = Vec::new();
            let found = lines.read(&mut line).unwrap();
            if found == Found::End {
                break;
            }
            seen.push((lines.number(), found, line.len()));
        }
        assert_eq!(
            seen,
            [
                (1, Found::Line, 3),
                (2, Found::Line, 1),
                (3, Found::Line, LINE_BYTES_MAX + 1),
                (4, Found::TooLong, TOO_LONG_KEPT),
                (5, Found::Line, 2),
                (6, Found::TooLong, TOO_LONG_KEPT),
            ]
        );
    }
}
