//! Every setting, typed.

use super::amount::{Size, Span};
use std::path::PathBuf;

/// All settings, in the sections of `config.toml`. What each one means stands there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where and how rows are kept.
    pub storage: StorageSettings,
    /// How much a question and the writers may use.
    pub performance: PerformanceSettings,
    /// What is kept in memory to be given again.
    pub cache: CacheSettings,
    /// Imports.
    pub import: ImportSettings,
    /// Messages about the program's own doing.
    pub log: LogSettings,
}

/// `[storage]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageSettings {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Memory for all caches together.
    pub cache_bytes: Size,
    /// Keyspaces open at a time.
    pub open_keyspaces_max: usize,
    /// Rows sealed into one block.
    pub seal_rows: usize,
    /// Memory at which rows are sealed however few they are.
    pub seal_bytes: Size,
    /// Bytes of the feed that are kept.
    pub feed_window_bytes: Size,
}

/// `[performance]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PerformanceSettings {
    /// Longest time of a question.
    pub query_time_max: Span,
    /// Most memory of a question.
    pub query_memory_max: Size,
    /// Threads that commit.
    pub writer_threads: usize,
    /// Rows that may wait for one writer.
    pub queue_rows_max: usize,
}

/// `[cache]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheSettings {
    /// Memory for answers.
    pub result_bytes: Size,
}

/// `[import]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportSettings {
    /// Rows committed together.
    pub batch_rows: usize,
}

/// `[log]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// Least grave message that is written.
    pub level: LogLevel,
    /// In which shape.
    pub format: LogFormat,
}

/// How grave a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something is not as it should be.
    #[default]
    Warn,
    /// Something was done.
    Info,
    /// How it was done.
    Debug,
    /// Every step.
    Trace,
}

/// The shape of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: an object a line.
    Json,
}
