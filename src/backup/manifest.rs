//! What a backup says of itself: who made it when, and every file with its size and digest.

use crate::tenancy::id::TenantId;
use crate::tenancy::slug::Slug;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use storage::embedded::{KEYSPACE_FILE, PLATFORM_FILE, TENANTS};

/// The newest format. A file of format 1 holds an installation; one of format 2 a tenant. What changes
/// the fields is format 3.
pub const FORMAT: u32 = 2;

/// The entry that holds it.
pub(super) const MANIFEST: &str = "manifest.json";

/// What the platform's tables know of one tenant.
pub(super) const RECORDS: &str = "tenant.json";
/// The log of one tenant.
pub(super) const LOG: &str = "audit.ndjson";

/// Settings that lie in the data directory.
pub(super) const SETTINGS: &str = "config.toml";
/// The key that seals private keys in the platform's tables.
pub(super) const SECRET_KEY: &str = "secret.key";
/// The folder of certificates and their keys.
pub(super) const TLS: &str = "tls";

/// The table of contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The format of the backup.
    pub format: u32,
    /// What it is a copy of.
    #[serde(default, skip_serializing_if = "Holds::is_installation")]
    pub holds: Holds,
    /// The version of the program that made it.
    pub emx: String,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// The random id of the installation it is of, where there is one.
    pub installation_id: Option<String>,
    /// Every file, in the order in which they lie there; the platform's is the first, or the records of
    /// the one tenant.
    pub files: Vec<StoredFile>,
}

/// What a file is a copy of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// Everything.
    #[default]
    Installation,
    /// One tenant.
    Tenant,
}

impl Holds {
    /// The format of such a file.
    pub(super) const fn format(self) -> u32 {
        match self {
            Self::Installation => 1,
            Self::Tenant => FORMAT,
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_installation(&self) -> bool {
        *self == Self::Installation
    }
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredFile {
    /// Its name in the archive and below the data directory.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Whose keyspace it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<TenantId>,
    /// What that tenant was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<Slug>,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The platform's tables: tenants, users, keys.
    Platform,
    /// One tenant's keyspace.
    Tenant,
    /// The key that seals private keys.
    SecretKey,
    /// A certificate or the key of one.
    Tls,
    /// The settings in the data directory.
    Settings,
    /// What the platform's tables know of one tenant.
    Records,
    /// The log of one tenant.
    Log,
}

/// The name of the keyspace of `id`.
pub(super) fn keyspace_name(id: &TenantId) -> String {
    format!("{TENANTS}/{id}/{KEYSPACE_FILE}")
}

/// Whether `name` is that of a file and nothing more: letters, digits, `.`, `-` and `_`, and not
/// hidden.
pub(super) fn is_plain(name: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_');
    !name.is_empty() && name.len() <= 64 && !name.starts_with('.') && name.bytes().all(allowed)
}

impl StoredFile {
    /// Whether it lies where a file of its kind lies, and nowhere else.
    fn is_in_place(&self) -> bool {
        match (self.kind, &self.tenant_id, &self.slug) {
            (Kind::Tenant, Some(id), Some(_)) => self.name == keyspace_name(id),
            (Kind::Tenant, _, _) | (_, Some(_), _) | (_, _, Some(_)) => false,
            (Kind::Platform, ..) => self.name == PLATFORM_FILE,
            (Kind::SecretKey, ..) => self.name == SECRET_KEY,
            (Kind::Settings, ..) => self.name == SETTINGS,
            (Kind::Records, ..) => self.name == RECORDS,
            (Kind::Log, ..) => self.name == LOG,
            (Kind::Tls, ..) => match self.name.split_once('/') {
                Some((folder, name)) => folder == TLS && is_plain(name),
                None => false,
            },
        }
    }
}

impl Manifest {
    /// Why it cannot be the manifest of a backup, if it cannot.
    pub(super) fn fault(&self) -> Option<String> {
        let mut names = BTreeSet::new();
        for file in &self.files {
            if !file.is_in_place() {
                return Some(format!("{:?} does not belong where it says", file.name));
            }
            if !names.insert(&file.name) {
                return Some(format!("{:?} is there twice", file.name));
            }
        }
        let kinds: Vec<Kind> = self.files.iter().map(|file| file.kind).collect();
        let of_tenant = |kind: &Kind| matches!(kind, Kind::Records | Kind::Log);
        match self.holds {
            Holds::Tenant if kinds == [Kind::Records, Kind::Log, Kind::Tenant] => None,
            Holds::Tenant => Some("its files are not those of one tenant".to_owned()),
            Holds::Installation if kinds.iter().any(of_tenant) => {
                Some("some of its files are those of one tenant".to_owned())
            }
            Holds::Installation if kinds.first() == Some(&Kind::Platform) => None,
            Holds::Installation => Some(format!("there is no {PLATFORM_FILE}")),
        }
    }

    /// The tenants in it.
    pub fn tenants(&self) -> impl Iterator<Item = (&TenantId, &Slug, &StoredFile)> {
        let tenant = |file: &'_ StoredFile| file.kind == Kind::Tenant;
        self.files
            .iter()
            .filter(move |file| tenant(file))
            .filter_map(|file| Some((file.tenant_id.as_ref()?, file.slug.as_ref()?, file)))
    }

    /// Whether it holds private keys.
    pub fn has_secrets(&self) -> bool {
        self.files.iter().any(|file| matches!(file.kind, Kind::SecretKey | Kind::Tls))
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, kind: Kind) -> StoredFile {
        let (tenant_id, slug) = (None, None);
        StoredFile { name: name.to_owned(), kind, tenant_id, slug, bytes: 1, sha256: String::new() }
    }

    fn tenant(name: &str, id: &str) -> StoredFile {
        let (tenant_id, slug) = (TenantId::parse(id), Slug::parse("acme").ok());
        StoredFile { tenant_id, slug, ..file(name, Kind::Tenant) }
    }

    #[track_caller]
    fn check(more: &[StoredFile], is_sound: bool) {
        let files = [&[file("platform.redb", Kind::Platform)], more].concat();
        let (emx, created_at) = (String::new(), String::new());
        let (holds, installation_id) = (Holds::Installation, None);
        let manifest = Manifest { format: 1, holds, emx, created_at, installation_id, files };
        assert_eq!(manifest.fault().is_none(), is_sound, "{more:?}: {:?}", manifest.fault());
    }

    #[test]
    fn a_tenants_file_has_three_parts_and_no_others() {
        const ID: &str = "abcdefghijklmnop";
        let parts = [
            file("tenant.json", Kind::Records),
            file("audit.ndjson", Kind::Log),
            tenant(&format!("tenants/{ID}/metrics.redb"), ID),
        ];
        let check = |files: &[StoredFile], is_sound: bool| {
            let (emx, created_at) = (String::new(), String::new());
            let (files, holds) = (files.to_vec(), Holds::Tenant);
            let manifest =
                Manifest { format: 2, holds, emx, created_at, installation_id: None, files };
            assert_eq!(manifest.fault().is_none(), is_sound, "{:?}", manifest.fault());
        };
        check(&parts, true);
        check(&parts[..2], false);
        check(&[parts[1].clone(), parts[0].clone(), parts[2].clone()], false);
        let more = [&parts[..], &[file("secret.key", Kind::SecretKey)]].concat();
        check(&more, false);
        check(&[&[file("platform.redb", Kind::Platform)], &parts[..]].concat(), false);
    }

    #[test]
    fn files_lie_where_their_kind_says_and_nowhere_else() {
        const ID: &str = "abcdefghijklmnop";
        check(&[], true);
        let name = format!("tenants/{ID}/metrics.redb");
        check(&[tenant(&name, ID)], true);
        check(&[file("secret.key", Kind::SecretKey), file("config.toml", Kind::Settings)], true);
        check(&[file("tls/server.pem", Kind::Tls), file("tls/ca.key", Kind::Tls)], true);
        check(&[file("tenant.json", Kind::Records)], false);
        check(&[file("audit.ndjson", Kind::Log)], false);
        check(&[tenant(&name, ID), tenant(&name, ID)], false);
        check(&[tenant(&name, "qrstuvwxyz234567")], false);
        check(&[file(&name, Kind::Tenant)], false);
        check(&[StoredFile { kind: Kind::Tls, ..tenant("tls/x", ID) }], false);
        for name in [
            "../x",
            "/etc/passwd",
            "tls/../x",
            "tls/a/b",
            "tls/.x",
            "tls/",
            "tls/..",
            "tls",
            "",
            "tls/a b",
            "tls/a\0",
            "tls\\x",
            "C:\\x",
            "./secret.key",
            "platform.redb",
            "tls/ü",
        ] {
            for kind in [Kind::Tls, Kind::SecretKey, Kind::Settings, Kind::Tenant] {
                check(&[file(name, kind)], false);
            }
        }
    }
}
