//! The bounds of one execution (contract §2). Lengths are bytes of UTF-8.

/// Longest `id`.
pub const ID_BYTES_MAX: usize = 128;

/// Longest `command`.
pub const COMMAND_BYTES_MAX: usize = 256;

/// Longest `user_id`, `team_id`, `project_id`, `session_id` and `host`.
pub const WORD_BYTES_MAX: usize = 256;

/// Longest `command_line` and `error`.
pub const TEXT_BYTES_MAX: usize = 16 << 10;

/// Most labels of one execution, and most values.
pub const KEYED_MAX: usize = 32;

/// Longest key of a label or value, and longest label.
pub const LABEL_BYTES_MAX: usize = 256;

/// How far ahead of the clock a start may lie before it cannot be true: 24 hours.
pub const FUTURE_MS_MAX: i64 = 24 * 3600 * 1000;
