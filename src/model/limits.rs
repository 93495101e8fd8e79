//! The bounds that the outer contract names, and those that keep one request from costing more
//! than it is worth. Lengths of text are bytes of UTF-8, never characters: what is bounded is
//! what is stored.

use storage::row::TimeMs;

/// Longest id of a row, bytes.
pub const ID_BYTES_MAX: usize = 128;

/// Longest name of a command, bytes. The shortest is one byte.
pub const COMMAND_BYTES_MAX: usize = 256;

/// Longest word, bytes: users, teams, projects, sessions, hosts, and keys and words of labels
/// and keys of values.
pub const WORD_BYTES_MAX: usize = 256;

/// Longest text, bytes: the command line and the error.
pub const TEXT_BYTES_MAX: usize = 16 << 10;

/// Most labels of a row.
pub const LABELS_MAX: usize = 32;

/// Most values of a row.
pub const VALUES_MAX: usize = 32;

/// Longest duration, milliseconds (about 31 years).
pub const DURATION_MS_MAX: u64 = storage::DURATION_US_MAX / 1000;

/// How far ahead of the time of receipt a `ts` may lie: clocks of machines are wrong by hours
/// where a zone was confused, by more only where nobody set them.
pub const AHEAD_MS_MAX: TimeMs = 24 * 3600 * 1000;

/// Largest body as it arrives, compressed or not. A batch of 5,000 rows has about 1.3 MB.
pub const BODY_BYTES_MAX: usize = 16 << 20;

/// Largest body after decompression.
pub const EXPANDED_BYTES_MAX: usize = 64 << 20;

/// Most expanded bytes per compressed one. Rows that repeat themselves reach about 60.
pub const EXPANSION_RATIO_MAX: usize = 200;

/// Expanded bytes below which the ratio is not asked: a small body of zeros harms nobody.
pub const EXPANSION_FREE_BYTES: usize = 1 << 20;

/// Largest window of a zstd body, as a power of two (RFC 9659: 8 MiB for content encodings).
pub const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Largest row as encoded: two texts of the longest kind, every byte escaped as `\u00xx`, fit.
pub const ROW_BYTES_MAX: usize = 256 << 10;

/// Most rows of a request.
pub const BATCH_ROWS_MAX: usize = 100_000;

/// Deepest nesting of a row, counting the row itself. The contract's fields need two; what
/// unknown fields hold is skipped, but not without end.
pub const DEPTH_MAX: usize = 32;

/// Most unknown fields of one row: beyond it, what was sent is not an execution.
pub const UNKNOWN_FIELDS_MAX: usize = 64;

/// Most problems told of one row.
pub const ROW_PROBLEMS_MAX: usize = 16;

/// Most problems told in one answer.
pub const PROBLEMS_MAX: usize = 100;

/// Most warnings told in one answer, and longest part of a caller's name that is repeated in one.
pub const WARNINGS_MAX: usize = 20;
