//! Lays the sources of settings over each other and remembers which one each value came from.

use super::catalogue::{self, KEYS, Key, Raw};
use super::file::{self, BadLine};
use super::settings::Settings;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The defaults, with their explanations: the file that a user can read and copy from.
pub const DEFAULT_FILE: &str = include_str!("../../config.toml");

/// The name of the optional file in the data directory.
pub const FILE_NAME: &str = "config.toml";

/// Begins the names of variables that are settings, together with a double underscore later on:
/// `EMX_URL` is not one, `EMX_STORAGE__DATA_DIR` is, and `EMX_DATA_DIR` is one by mistake.
const VARIABLE_PREFIX: &str = "EMX_";

/// Largest settings file that is read: larger ones are something else by mistake.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What the settings are made from, apart from the defaults.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file named with `--config`, which must be there.
    pub file: Option<PathBuf>,
    /// The data directory named with `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(String, String)>,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The embedded file.
    Default,
    /// A line of a file.
    File {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// A variable of the environment.
    Environment {
        /// Its name.
        variable: String,
    },
    /// A flag of the command.
    Flag {
        /// Its name, with the dashes.
        flag: &'static str,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment { variable } => f.write_str(variable),
            Self::Flag { flag } => f.write_str(flag),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub origin: Origin,
    /// What, and what to do.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)
    }
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Something unknown, or a value that cannot be. Everything that is wrong is listed.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Faults(Vec<Fault>),
    /// The file cannot be read.
    #[error("cannot read the settings file `{}`: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The settings, and for each its origin.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    origins: Vec<Origin>,
}

/// One line of `emx config show`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// `section.name`
    pub key: String,
    /// The value as one would write it.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

impl Loaded {
    /// The defaults, whatever file and environment there are.
    pub fn defaults() -> Result<Self, ConfigError> {
        let mut layers = Layers::new();
        layers.add_defaults();
        layers.finish()
    }

    /// Whether nobody has set the setting `section.name`.
    pub fn is_default(&self, section: &str, name: &str) -> bool {
        let at = KEYS.iter().position(|key| key.section == section && key.name == name);
        at.is_some_and(|at| self.origins[at] == Origin::Default)
    }

    /// Every setting in the order of `config.toml`.
    pub fn shown(&self) -> Vec<Shown> {
        let shown = |(key, origin): (&Key, &Origin)| Shown {
            key: key.path(),
            value: (key.show)(&self.settings),
            origin: origin.clone(),
        };
        KEYS.iter().zip(&self.origins).map(shown).collect()
    }
}

/// Composes the settings: flags over environment over file over defaults.
///
/// The file is the one that `sources` names, else `config.toml` in the data directory if there is
/// one. The data directory is looked for first, in the flag, the environment and the default.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let mut layers = Layers::new();
    layers.add_defaults();
    match &sources.file {
        Some(path) => layers.add_file(path, &read_file(path)?),
        None => {
            let mut outer = Layers::new();
            outer.add_defaults();
            outer.add_environment(&sources.environment);
            outer.add_flags(sources);
            let path = outer.settings.storage.data_dir.join(FILE_NAME);
            match read_file(&path) {
                Ok(text) => layers.add_own_file(&path, &text),
                Err(ConfigError::Unreadable { source, .. }) if is_absent(&source) => {}
                Err(error) => return Err(error),
            }
        }
    }
    layers.add_environment(&sources.environment);
    layers.add_flags(sources);
    layers.finish()
}

/// Whether there is no such file, for there is no such directory either.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn read_file(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.into(), source };
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > FILE_BYTES_MAX {
        let message = format!("it has {length} bytes, more than any settings file");
        return Err(unreadable(io::Error::other(message)));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

/// Settings under composition.
struct Layers {
    settings: Settings,
    origins: Vec<Origin>,
    faults: Vec<Fault>,
}

impl Layers {
    fn new() -> Self {
        Self {
            settings: Settings::default(),
            origins: vec![Origin::Default; KEYS.len()],
            faults: Vec::new(),
        }
    }

    fn add_defaults(&mut self) {
        self.add_text(DEFAULT_FILE, |_| Origin::Default);
    }

    fn add_file(&mut self, path: &Path, text: &str) {
        self.add_text(text, |line| Origin::File { path: path.into(), line });
    }

    /// Adds the file in the data directory, which cannot say that the data is elsewhere.
    fn add_own_file(&mut self, path: &Path, text: &str) {
        let before = self.settings.storage.data_dir.clone();
        self.add_file(path, text);
        let at = KEYS.iter().position(|key| key.section == "storage" && key.name == "data_dir");
        if let Some(at) = at
            && self.origins[at] != Origin::Default
        {
            let message = "`storage.data_dir` cannot be set by the file in the data directory: \
                           use `--data-dir`, or `--config` with a file elsewhere";
            let origin = std::mem::replace(&mut self.origins[at], Origin::Default);
            self.faults.push(Fault { origin, message: message.into() });
            self.settings.storage.data_dir = before;
        }
    }

    fn add_text(&mut self, text: &str, origin: impl Fn(usize) -> Origin) {
        let (entries, bad) = file::read(text);
        for BadLine { line, message } in bad {
            self.faults.push(Fault { origin: origin(line), message });
        }
        for entry in entries {
            self.set(&entry.section, &entry.name, &entry.value, origin(entry.line));
        }
    }

    fn add_environment(&mut self, environment: &[(String, String)]) {
        let settings = environment.iter().filter_map(|(variable, value)| {
            let plain = variable.strip_prefix(VARIABLE_PREFIX)?;
            let means_setting = plain.contains("__") || catalogue::resembles_setting(plain);
            let (section, name) = plain.split_once("__").unwrap_or((plain, ""));
            means_setting.then_some((variable, section, name, value))
        });
        for (variable, section, name, value) in settings {
            let origin = Origin::Environment { variable: variable.clone() };
            let known = KEYS.iter().any(|key| key.variable() == *variable);
            if known {
                let (section, name) = (section.to_lowercase(), name.to_lowercase());
                self.set(&section, &name, &Raw::Text(value.clone()), origin);
            } else {
                let hint = catalogue::variable_meant(variable);
                let message = format!("no setting belongs to this variable{hint}");
                self.faults.push(Fault { origin, message });
            }
        }
    }

    fn add_flags(&mut self, sources: &Sources) {
        if let Some(data_dir) = &sources.data_dir {
            // Not by way of text: a path may hold bytes that are not text.
            if data_dir.as_os_str().is_empty() {
                let origin = Origin::Flag { flag: "--data-dir" };
                self.faults.push(Fault { origin, message: "it must not be empty".into() });
            }
            self.settings.storage.data_dir.clone_from(data_dir);
            self.remember("storage", "data_dir", Origin::Flag { flag: "--data-dir" });
        }
    }

    fn set(&mut self, section: &str, name: &str, value: &Raw, origin: Origin) {
        let outcome = catalogue::find(section, name).and_then(|key| {
            (key.set)(&mut self.settings, value).map_err(|e| format!("`{}`: {e}", key.path()))
        });
        match outcome {
            Ok(()) => self.remember(section, name, origin),
            Err(message) => self.faults.push(Fault { origin, message }),
        }
    }

    fn remember(&mut self, section: &str, name: &str, origin: Origin) {
        let at = KEYS.iter().position(|key| key.section == section && key.name == name);
        if let Some(at) = at {
            self.origins[at] = origin;
        }
    }

    fn finish(self) -> Result<Loaded, ConfigError> {
        if self.faults.is_empty() {
            Ok(Loaded { settings: self.settings, origins: self.origins })
        } else {
            Err(ConfigError::Faults(self.faults))
        }
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
