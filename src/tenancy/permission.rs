//! What may be done, and which role may do it.
//!
//! *Invariants*: one table says which role holds which permission; whoever asks whether something
//! is allowed asks for a permission, never for a role. A role holds all that the roles below it
//! hold, except that [`Role::Ingest`], which stands beside them, only sends executions. What
//! concerns every tenant is in no role: it comes with a flag beside the role, for people alone.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::LazyLock;

/// What a user or a key is in a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Send executions, and see nothing.
    Ingest,
    /// See.
    Viewer,
    /// See, and send executions.
    Member,
    /// Change dashboards, rules and views.
    Manager,
    /// Administer users, keys and imports.
    Admin,
    /// Everything, the tenant's end included.
    Owner,
}

/// Something that one must be allowed to do. The words are part of access tokens (claim
/// `permissions`), so a word is never given another meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Permission {
    /// Send executions, in whatever protocol.
    ExecutionsWrite,
    /// Read raw executions, one or many, and search in them.
    ExecutionsRead,
    /// Ask: aggregates, trends, forecasts, anomalies, quality.
    Query,
    /// Take rows or answers out as a file.
    Export,
    /// Watch what happens as it happens.
    Live,
    /// See what was put into quarantine.
    QuarantineRead,
    /// See aggregation views, dashboards, alerts and their rules.
    PresentationRead,
    /// See the counters of the server (`/metrics`). They name no tenant but the caller's own.
    MetricsRead,
    /// Acknowledge alerts.
    AlertsAcknowledge,
    /// Retry or drop what is in quarantine.
    QuarantineManage,
    /// Make, change and remove dashboards.
    DashboardsManage,
    /// Make, change and remove aggregation views.
    ViewsManage,
    /// Make, change and remove alert rules.
    AlertRulesManage,
    /// Import files, and take an import back.
    ImportsManage,
    /// Erase a person's executions.
    ExecutionsErase,
    /// See users and teams.
    UsersRead,
    /// Make, change, invite, disable and remove users and teams, and end their sessions.
    UsersManage,
    /// Make, see and revoke API keys.
    KeysManage,
    /// Make, change and remove the ways of single sign-on.
    SsoManage,
    /// Make, change and remove webhooks, and see their deliveries.
    WebhooksManage,
    /// Send executions on to another installation.
    SyncManage,
    /// Read who did what.
    AuditRead,
    /// See the tenant's limits, usage and schema version.
    TenantRead,
    /// Change the tenant itself.
    TenantManage,
    /// Make, change, enter and remove any tenant.
    PlatformTenants,
    /// Operate the appliance: health, resources, features, signing keys, certificates.
    PlatformOperate,
    /// Make, list and verify backups.
    PlatformBackups,
}

/// The table: each permission, its word, and the lowest role that holds it. `None`: no role does,
/// only administrators of the platform. Stands in the order of [`Permission`].
const TABLE: [(Permission, &str, Option<Role>); 27] = {
    use Permission as P;
    use Role::{Admin, Manager, Member, Owner, Viewer};
    [
        (P::ExecutionsWrite, "executions.write", Some(Member)), // and `Role::Ingest`
        (P::ExecutionsRead, "executions.read", Some(Viewer)),
        (P::Query, "query", Some(Viewer)),
        (P::Export, "export", Some(Viewer)),
        (P::Live, "live", Some(Viewer)),
        (P::QuarantineRead, "quarantine.read", Some(Viewer)),
        (P::PresentationRead, "presentation.read", Some(Viewer)),
        (P::MetricsRead, "metrics.read", Some(Viewer)),
        (P::AlertsAcknowledge, "alerts.acknowledge", Some(Member)),
        (P::QuarantineManage, "quarantine.manage", Some(Manager)),
        (P::DashboardsManage, "dashboards.manage", Some(Manager)),
        (P::ViewsManage, "views.manage", Some(Manager)),
        (P::AlertRulesManage, "alert_rules.manage", Some(Manager)),
        (P::ImportsManage, "imports.manage", Some(Admin)),
        (P::ExecutionsErase, "executions.erase", Some(Admin)),
        (P::UsersRead, "users.read", Some(Manager)),
        (P::UsersManage, "users.manage", Some(Admin)),
        (P::KeysManage, "keys.manage", Some(Admin)),
        (P::SsoManage, "sso.manage", Some(Admin)),
        (P::WebhooksManage, "webhooks.manage", Some(Admin)),
        (P::SyncManage, "sync.manage", Some(Admin)),
        (P::AuditRead, "audit.read", Some(Admin)),
        (P::TenantRead, "tenant.read", Some(Manager)),
        (P::TenantManage, "tenant.manage", Some(Owner)),
        (P::PlatformTenants, "platform.tenants", None),
        (P::PlatformOperate, "platform.operate", None),
        (P::PlatformBackups, "platform.backups", None),
    ]
};

impl Role {
    /// Every role, from the one that may least on.
    pub const ALL: [Self; 6] =
        [Self::Ingest, Self::Viewer, Self::Member, Self::Manager, Self::Admin, Self::Owner];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Manager => "manager",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// Takes `text` as a role's word if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    /// Whether the role holds `permission`.
    pub fn permits(self, permission: Permission) -> bool {
        match (self, TABLE[permission as usize].2) {
            (Self::Ingest, _) => permission == Permission::ExecutionsWrite,
            (_, None) => false,
            (_, Some(lowest)) => self as u8 >= lowest as u8,
        }
    }

    /// Everything that the role holds, in the order of [`Permission`].
    pub fn permissions(self) -> &'static [Permission] {
        static BY_ROLE: LazyLock<[Vec<Permission>; Role::ALL.len()]> = LazyLock::new(|| {
            Role::ALL.map(|role| Permission::all().filter(|p| role.permits(*p)).collect())
        });
        &BY_ROLE[self as usize]
    }

    /// Whether whoever has this role may give `other` away: it holds nothing that this one does
    /// not.
    pub fn covers(self, other: Self) -> bool {
        other.permissions().iter().all(|permission| self.permits(*permission))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Permission {
    /// Every permission.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|(permission, ..)| *permission)
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        TABLE[self as usize].1
    }

    /// Takes `text` as a permission's word if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        Self::all().find(|permission| permission.as_str() == text)
    }

    /// Whether no role holds it.
    pub fn is_platform(self) -> bool {
        TABLE[self as usize].2.is_none()
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Permission> for &'static str {
    fn from(permission: Permission) -> Self {
        permission.as_str()
    }
}

impl TryFrom<String> for Permission {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("`{text}` is not a permission"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_table_stands_in_the_order_of_the_permissions_and_every_word_is_one() {
        for (n, permission) in Permission::all().enumerate() {
            assert_eq!(permission as usize, n, "{permission}");
            assert_eq!(Permission::parse(permission.as_str()), Some(permission));
            let json = serde_json::to_string(&permission).unwrap();
            assert_eq!(serde_json::from_str::<Permission>(&json).unwrap(), permission);
            assert_eq!(permission.is_platform(), permission.as_str().starts_with("platform."));
        }
        let words: BTreeSet<&str> = Permission::all().map(Permission::as_str).collect();
        assert_eq!(words.len(), TABLE.len());
        assert_eq!(Permission::parse("everything"), None);
    }

    #[test]
    fn the_words_of_roles_are_those_that_are_stored() {
        for role in Role::ALL {
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        assert_eq!(Role::parse("Owner"), None);
    }

    #[track_caller]
    fn check(role: Role, may: &[&str], may_not: &[&str]) {
        for (words, expected) in [(may, true), (may_not, false)] {
            for word in words {
                let permission = Permission::parse(word).unwrap();
                assert_eq!(role.permits(permission), expected, "{role}: {word}");
                assert_eq!(role.permissions().contains(&permission), expected, "{role}: {word}");
            }
        }
    }

    #[test]
    fn who_may_what() {
        check(
            Role::Ingest,
            &["executions.write"],
            &["executions.read", "query", "live", "export", "metrics.read", "keys.manage"],
        );
        assert_eq!(Role::Ingest.permissions(), [Permission::ExecutionsWrite]);
        check(Role::Viewer, &["query", "live", "executions.read"], &["executions.write"]);
        check(Role::Member, &["query", "executions.write"], &["dashboards.manage", "users.read"]);
        check(Role::Manager, &["dashboards.manage"], &["keys.manage", "imports.manage"]);
        check(Role::Admin, &["keys.manage", "users.manage"], &["tenant.manage"]);
        check(Role::Owner, &["tenant.manage", "executions.write"], &["platform.tenants"]);
        let of_a_tenant = Permission::all().filter(|p| !p.is_platform());
        assert_eq!(Role::Owner.permissions(), of_a_tenant.collect::<Vec<_>>());
    }

    #[test]
    fn a_role_gives_away_no_more_than_it_holds() {
        assert!(Role::Admin.covers(Role::Ingest) && Role::Admin.covers(Role::Admin));
        assert!(Role::Member.covers(Role::Viewer) && Role::Member.covers(Role::Ingest));
        for (role, other) in [
            (Role::Admin, Role::Owner),
            (Role::Viewer, Role::Ingest),
            (Role::Ingest, Role::Viewer),
            (Role::Manager, Role::Admin),
        ] {
            assert!(!role.covers(other), "{role} covers {other}");
        }
    }
    /// The cells of a line of a table.
    fn cells(line: &str) -> Vec<&str> {
        line.trim().trim_matches('|').split('|').map(str::trim).collect()
    }

    #[test]
    fn the_table_for_people_says_the_same() {
        let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/roles.md"));
        let table: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        let roles = Role::ALL.map(Role::as_str);
        let heading = [&["permission", "allows to"][..], &roles, &["platform"]].concat();
        assert_eq!(cells(table[0]), heading);
        let rows: Vec<Vec<&str>> = table[2..].iter().map(|line| cells(line)).collect();
        for (permission, row) in Permission::all().zip(&rows) {
            let of_roles = Role::ALL.map(|role| role.permits(permission));
            let marks: Vec<&str> = of_roles
                .into_iter()
                .chain([true]) // whoever administers the platform
                .map(|may| if may { "yes" } else { "" })
                .collect();
            assert_eq!(row[0], format!("`{permission}`"));
            assert_eq!(row[2..], marks, "{permission}");
            assert!(row[1].len() > 3, "{permission}: what does it allow?");
        }
        assert_eq!(rows.len(), TABLE.len());
    }
}
