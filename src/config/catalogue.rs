//! The catalogue of settings: each key once, with how it is read, bounded and shown.
//!
//! *Invariant*: the catalogue and the embedded `config.toml` have the same keys (a test keeps it),
//! so that every setting has a default and every default has a meaning.

use super::amount::{Percent, Size, Span};
use super::settings::{
    LogFormat, LogLevel, MigrateWhen, Names, Networks, Openings, Origins, Ports, Settings, Text,
};
use crate::identity::client::Binding;
use crate::identity::sso::site;
use crate::limits::Limit;
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// A value as a source gives it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Raw {
    /// Text: from a file's string, the environment or a flag.
    Text(String),
    /// A file's bare whole number.
    Whole(i128),
    /// Anything else that a file may hold; what it is called there.
    Other(&'static str),
}

/// One setting.
pub(super) struct Key {
    pub(super) section: &'static str,
    pub(super) name: &'static str,
    /// Reads a value into the settings, or says why not.
    pub(super) set: fn(&mut Settings, &Raw) -> Result<(), String>,
    /// The value as it would be written.
    pub(super) show: fn(&Settings) -> String,
}

impl Key {
    /// `section.name`
    pub(super) fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// `EMX_SECTION__NAME`
    pub(super) fn variable(&self) -> String {
        format!("EMX_{}__{}", self.section.to_uppercase(), self.name.to_uppercase())
    }
}

/// Makes a [`Key`] of a field of [`Settings`] and the function that reads its values.
macro_rules! key {
    ($section:ident . $name:ident, $read:expr) => {
        Key {
            section: stringify!($section),
            name: stringify!($name),
            set: |settings, raw| {
                settings.$section.$name = $read(raw)?;
                Ok(())
            },
            show: |settings| Shown::shown(&settings.$section.$name),
        }
    };
}

const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;
const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

/// Every setting, in the order of `config.toml`. The bounds keep out what cannot work (no cache at
/// all, a block of ten rows) and slips of the finger (a cache of a thousand terabytes).
pub(super) const KEYS: &[Key] = &[
    key!(server.listen, address),
    key!(server.names, names),
    key!(server.public_url, public_url),
    key!(server.certificate, text),
    key!(server.key, text),
    key!(server.base_domain, domain),
    key!(server.origins, origins),
    key!(server.cors_origins, origins),
    key!(server.trusted_proxies, networks),
    key!(server.hsts_time, |raw: &Raw| span(raw, 0..=3_650 * DAY_MS)),
    key!(server.connections_max, |raw: &Raw| count(raw, 10..=1_000_000)),
    key!(server.connections_per_address_max, |raw: &Raw| count(raw, 1..=1_000_000)),
    key!(server.stop_time_max, |raw: &Raw| span(raw, 1_000..=3_600_000)),
    key!(security.session_idle_max, |raw: &Raw| span(raw, MINUTE_MS..=90 * DAY_MS)),
    key!(security.session_time_max, |raw: &Raw| span(raw, MINUTE_MS..=90 * DAY_MS)),
    key!(security.session_binding, |raw: &Raw| choice(raw, &BINDINGS)),
    key!(security.signing_key_time, |raw: &Raw| span(raw, 0..=3_650 * DAY_MS)),
    key!(outgoing.networks, openings),
    key!(outgoing.plain_networks, openings),
    key!(outgoing.ports, ports),
    key!(outgoing.authorities, text),
    key!(storage.data_dir, path),
    key!(storage.cache_bytes, |raw: &Raw| size(raw, 8 * MIB..=TIB)),
    key!(storage.open_keyspaces_max, |raw: &Raw| count(raw, 4..=100_000)),
    key!(storage.seal_rows, |raw: &Raw| count(raw, 1_024..=65_536)),
    key!(storage.seal_bytes, |raw: &Raw| size(raw, MIB..=TIB)),
    key!(storage.feed_window_bytes, |raw: &Raw| size(raw, MIB..=TIB)),
    key!(storage.migrate, |raw: &Raw| choice(raw, &MIGRATE)),
    key!(performance.writer_threads, |raw: &Raw| count(raw, 1..=256)),
    key!(performance.queue_rows_max, |raw: &Raw| count(raw, 1_000..=100_000_000)),
    key!(limits.requests_per_second, |raw: &Raw| limit(raw, Limit::RequestsPerSecond)),
    key!(limits.events_per_second, |raw: &Raw| limit(raw, Limit::EventsPerSecond)),
    key!(limits.concurrent_requests, |raw: &Raw| limit(raw, Limit::ConcurrentRequests)),
    key!(limits.websocket_connections, |raw: &Raw| limit(raw, Limit::WebsocketConnections)),
    key!(limits.query_time_max, |raw: &Raw| span(raw, 10..=24 * 3_600_000)),
    key!(limits.query_memory_max, |raw: &Raw| size(raw, MIB..=TIB)),
    key!(limits.cpu_share, share),
    key!(limits.storage_bytes, storage),
    key!(cache.result_bytes, |raw: &Raw| size(raw, 0..=TIB)),
    key!(import.batch_rows, |raw: &Raw| count(raw, 1..=100_000)),
    key!(log.level, |raw: &Raw| choice(raw, &LEVELS)),
    key!(log.format, |raw: &Raw| choice(raw, &FORMATS)),
];

const LEVELS: [(&str, LogLevel); 5] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

const MIGRATE: [(&str, MigrateWhen); 2] =
    [("manual", MigrateWhen::Manual), ("at_start", MigrateWhen::AtStart)];

const BINDINGS: [(&str, Binding); 4] = [
    ("none", Binding::None),
    ("address", Binding::Address),
    ("agent", Binding::Agent),
    ("both", Binding::Both),
];

/// The key called `section.name`, or what to say about it, with the nearest name there is.
pub(super) fn find(section: &str, name: &str) -> Result<&'static Key, String> {
    let path = format!("{section}.{name}");
    KEYS.iter().find(|key| key.section == section && key.name == name).ok_or_else(|| {
        let paths: Vec<String> = KEYS.iter().map(Key::path).collect();
        format!("unknown setting `{path}`{}", did_you_mean(&path, &paths))
    })
}

/// Fails unless a setting stands in the section `section`.
pub(super) fn find_section(section: &str) -> Result<(), String> {
    if KEYS.iter().any(|key| key.section == section) {
        return Ok(());
    }
    let sections: Vec<String> = KEYS.iter().map(|key| key.section.to_owned()).collect();
    Err(format!("unknown section `{section}`{}", did_you_mean(section, &sections)))
}

/// Whether the variable `EMX_{plain}` is written like a setting, though not as one: with a single
/// underscore, without its section, or only as a section.
pub(super) fn resembles_setting(plain: &str) -> bool {
    let plain = plain.to_lowercase();
    KEYS.iter().any(|key| {
        let rest = plain.strip_prefix(key.section);
        plain == key.name || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    })
}

/// `: did you mean …?` for a variable that is no setting.
pub(super) fn variable_meant(variable: &str) -> String {
    let single = |name: &str| name.to_uppercase().replace("__", "_");
    let meant = KEYS.iter().find(|key| {
        single(variable) == single(&key.variable())
            || single(variable) == format!("EMX_{}", single(key.name))
    });
    match meant {
        Some(key) => format!(": did you mean `{}`?", key.variable()),
        None => did_you_mean(variable, &KEYS.iter().map(Key::variable).collect::<Vec<_>>()),
    }
}

/// `: did you mean …?` if one of `known` is near enough to be a slip of the finger.
pub(super) fn did_you_mean(given: &str, known: &[String]) -> String {
    const NEAR: f64 = 0.75; // of 1; measured on swapped, missing and doubled letters
    let near = known
        .iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(given, name), name))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match near {
        Some((likeness, name)) if likeness >= NEAR => format!(": did you mean `{name}`?"),
        _ => ": `emx config show` lists all there are".into(),
    }
}

fn size(raw: &Raw, bounds: RangeInclusive<u64>) -> Result<Size, String> {
    let size = match raw {
        Raw::Text(text) => Size::parse(text)?,
        Raw::Whole(bytes) => {
            Size(u64::try_from(*bytes).map_err(|_| format!("{bytes} is not a size"))?)
        }
        Raw::Other(what) => return Err(format!("{what} is not a size: write it like \"64 MiB\"")),
    };
    within(size, Size(*bounds.start()), Size(*bounds.end()))
}

fn span(raw: &Raw, bounds_ms: RangeInclusive<u64>) -> Result<Span, String> {
    let span = match raw {
        Raw::Text(text) => Span::parse(text)?,
        Raw::Whole(number) => Span::parse(&number.to_string())?,
        Raw::Other(what) => return Err(format!("{what} is not a duration: write it like \"30s\"")),
    };
    let ms = |ms: &u64| Span(Duration::from_millis(*ms));
    within(span, ms(bounds_ms.start()), ms(bounds_ms.end()))
}

fn count(raw: &Raw, bounds: RangeInclusive<usize>) -> Result<usize, String> {
    let number = match raw {
        Raw::Text(text) => text.trim().replace('_', "").parse().ok(),
        Raw::Whole(number) => Some(*number),
        Raw::Other(_) => None,
    };
    let number = number.ok_or("it must be a whole number")?;
    let number = usize::try_from(number).unwrap_or(if number < 0 { 0 } else { usize::MAX });
    within(number, *bounds.start(), *bounds.end())
}

/// A count that a tenant's limit can be.
fn limit(raw: &Raw, limit: Limit) -> Result<usize, String> {
    let number = count(raw, 0..=usize::MAX)?;
    limit.check(number as u64).map(|_| number).map_err(|detail| format!("it {detail}"))
}

fn share(raw: &Raw) -> Result<Percent, String> {
    let Raw::Text(text) = raw else { return Err("it must be text like \"50 %\"".into()) };
    within(Percent::parse(text)?, Percent(1), Percent(100))
}

fn storage(raw: &Raw) -> Result<Size, String> {
    match size(raw, 0..=u64::MAX)? {
        Size(0) => Ok(Size(0)),
        bytes => within(bytes, Size(MIB), Size(1024 * TIB)),
    }
}

fn within<T: PartialOrd + Display>(value: T, least: T, most: T) -> Result<T, String> {
    if value < least || value > most {
        return Err(format!("it must be between {least} and {most}"));
    }
    Ok(value)
}

fn path(raw: &Raw) -> Result<PathBuf, String> {
    match raw {
        Raw::Text(text) if !text.is_empty() => Ok(text.into()),
        _ => Err("it must be a path in quotes".into()),
    }
}

fn address(raw: &Raw) -> Result<SocketAddr, String> {
    let parsed = match raw {
        Raw::Text(text) => text.trim().parse().ok(),
        _ => None,
    };
    parsed.ok_or_else(|| "it must be an address and a port, like \"127.0.0.1:8443\"".into())
}

fn text(raw: &Raw) -> Result<Text, String> {
    match raw {
        Raw::Text(text) => Ok(Text(text.trim().to_owned())),
        _ => Err("it must be text in quotes".into()),
    }
}

/// A domain in lower case, without the final dot; or none.
fn domain(raw: &Raw) -> Result<Text, String> {
    const LABEL_BYTES_MAX: usize = 63; // RFC 1035 §2.3.4
    let Text(text) = text(raw)?;
    let name = text.strip_suffix('.').unwrap_or(&text).to_ascii_lowercase();
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    match name.is_empty() || name.split('.').all(is_label) {
        true => Ok(Text(name)),
        false => {
            Err("it must be a domain without scheme, port and path, like \"metrics.example.org\""
                .into())
        }
    }
}

fn public_url(raw: &Raw) -> Result<Text, String> {
    let Text(url) = text(raw)?;
    if url.is_empty() {
        return Ok(Text(url));
    }
    Ok(Text(site::checked(&url)?))
}

fn names(raw: &Raw) -> Result<Names, String> {
    let Text(text) = text(raw)?;
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    Ok(Names(names.map(str::to_owned).collect()))
}

fn openings(raw: &Raw) -> Result<Openings, String> {
    parsed(raw).map(Openings)
}

fn ports(raw: &Raw) -> Result<Ports, String> {
    let texts = match raw {
        Raw::Whole(port) => vec![port.to_string()],
        raw => names(raw)?.0,
    };
    let port = |text: &String| text.parse().ok().filter(|port| *port != 0);
    let read: Option<Vec<u16>> = texts.iter().map(port).collect();
    read.map(Ports).ok_or_else(|| "it must be ports, like \"443, 8443\"".into())
}

fn origins(raw: &Raw) -> Result<Origins, String> {
    parsed(raw).map(Origins)
}

fn networks(raw: &Raw) -> Result<Networks, String> {
    parsed(raw).map(Networks)
}

/// What stands between commas, each read.
fn parsed<T: FromStr<Err: Display>>(raw: &Raw) -> Result<Vec<T>, String> {
    let Names(texts) = names(raw)?;
    texts.iter().map(|text| text.parse().map_err(|error: T::Err| error.to_string())).collect()
}

fn choice<T: Copy>(raw: &Raw, choices: &[(&str, T)]) -> Result<T, String> {
    let given = match raw {
        Raw::Text(text) => text.to_lowercase(),
        _ => String::new(),
    };
    choices.iter().find(|(name, _)| *name == given).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        format!("it must be one of {}", names.join(", "))
    })
}

/// How a value is written in `emx config show`.
trait Shown {
    fn shown(&self) -> String;
}

impl Shown for Size {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for Span {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for Percent {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for usize {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for SocketAddr {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for Text {
    fn shown(&self) -> String {
        self.0.clone()
    }
}

impl Shown for Names {
    fn shown(&self) -> String {
        self.0.join(", ")
    }
}

impl Shown for Openings {
    fn shown(&self) -> String {
        joined(&self.0)
    }
}

impl Shown for Ports {
    fn shown(&self) -> String {
        joined(&self.0)
    }
}

impl Shown for Origins {
    fn shown(&self) -> String {
        joined(&self.0)
    }
}

impl Shown for Networks {
    fn shown(&self) -> String {
        joined(&self.0)
    }
}

fn joined(items: &[impl Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Shown for PathBuf {
    fn shown(&self) -> String {
        self.display().to_string()
    }
}

impl Shown for Binding {
    fn shown(&self) -> String {
        name_of(*self, &BINDINGS)
    }
}

impl Shown for MigrateWhen {
    fn shown(&self) -> String {
        name_of(*self, &MIGRATE)
    }
}

impl Shown for LogLevel {
    fn shown(&self) -> String {
        name_of(*self, &LEVELS)
    }
}

impl Shown for LogFormat {
    fn shown(&self) -> String {
        name_of(*self, &FORMATS)
    }
}

fn name_of<T: PartialEq + Copy>(value: T, choices: &[(&str, T)]) -> String {
    let found = choices.iter().find(|(_, choice)| *choice == value);
    found.map(|(name, _)| (*name).to_owned()).unwrap_or_default()
}
