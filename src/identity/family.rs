//! How sessions lie in the platform's tables: a family, its refresh tokens, and the ways to find
//! it.
//!
//! *Invariants*: a family, its tokens and its index entries come and go in one transaction each.
//! Tokens lie under their hash.

use super::client::Client;
use super::grace;
use super::opaque;
use super::settings::SessionSettings;
use crate::audit::{Event, Source, Told};
use crate::tenancy::id::TenantId;
use crate::tenancy::record::{self, absent, delete, present, put};
use crate::tenancy::registry::Completion;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use storage::engine::{Expect, TableWrite, Tables};
use storage::error::StoreError;
use storage::row::TimeMs;

/// Families by id.
const FAMILIES: &str = "families";

/// Refresh tokens by `<family>/<hash>`.
const TOKENS: &str = "refresh_tokens";

/// Families by `<user>/<family>`; the value says nothing.
const OF_USER: &str = "user_families";

/// Families by `<end in ms, 20 digits>/<family>`; the value says nothing.
const BY_END: &str = "family_ends";

/// A value that says nothing.
const MARK: &[u8] = b"1";

/// How long a session may rest unless somebody decides otherwise: a week (ASVS 5.0, 7.3.1).
pub const IDLE_MS: TimeMs = 7 * 24 * 3_600_000;

/// How long a session may last, however busy, unless somebody decides otherwise: thirty days (ASVS
/// 5.0, 7.3.2).
pub const ABSOLUTE_MS: TimeMs = 30 * 24 * 3_600_000;

/// How often a session can be refreshed. An access token lasts a quarter of an hour, so thirty
/// days need 2,880; spent tokens have to be remembered, so there is an end.
pub const REFRESHES_MAX: u32 = 4_096;

/// A session. Times are Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Family {
    /// Its id, `fam` in access tokens.
    pub id: String,
    /// Whose it is.
    pub user_id: String,
    /// Where the user belongs.
    pub tenant_id: TenantId,
    /// When it began.
    pub created_ms: TimeMs,
    /// When it was refreshed last.
    pub used_ms: TimeMs,
    /// When it ends, whatever is done.
    pub until_ms: TimeMs,
    /// How often it was refreshed.
    pub refreshes: u32,
    /// Where it was used last, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// What the client said it is that used it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

/// A refresh token as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct Token {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spent_ms: Option<TimeMs>,
}

/// A family as it was read.
pub(super) struct StoredFamily {
    pub(super) family: Family,
    bytes: Vec<u8>,
}

/// A refresh token as it was read.
pub(super) struct StoredToken {
    key: Vec<u8>,
    bytes: Vec<u8>,
    pub(super) is_spent: bool,
}

impl Family {
    /// Whether it can go on no more at `now_ms`: by time, by rest or by the number of refreshes.
    pub(super) fn is_over(&self, settings: &SessionSettings, now_ms: TimeMs) -> bool {
        now_ms >= self.end_ms(settings)
            || now_ms >= self.used_ms.saturating_add(settings.idle_ms)
            || self.refreshes >= REFRESHES_MAX
    }

    /// When it ends, whatever is done: as was decided when it began or as is today, if that is sooner.
    fn end_ms(&self, settings: &SessionSettings) -> TimeMs {
        self.until_ms.min(self.created_ms.saturating_add(settings.absolute_ms))
    }

    /// The session as it is shown.
    pub(super) fn shown(self, settings: &SessionSettings) -> Self {
        Self { until_ms: self.end_ms(settings), ..self }
    }

    /// The client that used it last.
    pub(super) fn client(&self) -> Client<'_> {
        Client { address: self.address, agent: self.agent.as_deref(), request_id: None }
    }

    /// That something became of this session, from `source`, in its tenant's chain.
    pub(super) fn told(&self, action: &str, source: Source) -> Told {
        let (actor, target) = (format!("user:{}", self.user_id), format!("session:{}", self.id));
        Event::new(actor, action, target, source).in_chain(self.tenant_id.as_str())
    }

    /// What makes the family exist with `token` as its first.
    pub(super) fn creation(&self, token: &str) -> Result<Completion, StoreError> {
        let id = self.id.as_bytes();
        let writes = vec![
            put(FAMILIES, id, record::encode(self)?),
            put(TOKENS, &token_key(&self.id, token), live()?),
            put(OF_USER, &self.of_user_key(), MARK.into()),
            put(BY_END, &self.by_end_key(), MARK.into()),
        ];
        Ok(Completion { expect: vec![absent(FAMILIES, id)], writes, told: Vec::new() })
    }

    /// What removes the family and everything that is found by it.
    pub(super) fn removal(&self, platform: &dyn Tables) -> Result<Vec<TableWrite>, StoreError> {
        let mut writes = vec![
            delete(FAMILIES, self.id.as_bytes()),
            delete(OF_USER, &self.of_user_key()),
            delete(BY_END, &self.by_end_key()),
            grace::removal(&self.id),
        ];
        let tokens = record::all(platform, TOKENS, format!("{}/", self.id).as_bytes())?;
        writes.extend(tokens.iter().map(|(key, _)| delete(TOKENS, key)));
        Ok(writes)
    }

    fn of_user_key(&self) -> Vec<u8> {
        format!("{}/{}", self.user_id, self.id).into_bytes()
    }

    fn by_end_key(&self) -> Vec<u8> {
        format!("{:020}/{}", self.until_ms, self.id).into_bytes()
    }
}

impl StoredFamily {
    /// The condition that nobody changed it since.
    pub(super) fn unchanged(&self) -> Expect {
        present(FAMILIES, self.family.id.as_bytes(), self.bytes.clone())
    }

    /// What replaces `token` by `successor` at `now_ms`, as `client` asks, and the family as it is
    /// then.
    pub(super) fn succession(
        &self,
        token: &StoredToken,
        successor: &str,
        client: Client<'_>,
        now_ms: TimeMs,
    ) -> Result<(Family, Completion), StoreError> {
        let family = Family {
            used_ms: now_ms,
            refreshes: self.family.refreshes + 1,
            address: client.address,
            agent: client.kept_agent().map(str::to_owned),
            ..self.family.clone()
        };
        let spent = record::encode(&Token { spent_ms: Some(now_ms) })?;
        let writes = vec![
            put(TOKENS, &token_key(&family.id, successor), live()?),
            put(TOKENS, &token.key, spent),
            put(FAMILIES, family.id.as_bytes(), record::encode(&family)?),
        ];
        let token_is = present(TOKENS, &token.key, token.bytes.clone());
        let expect = vec![token_is, self.unchanged()];
        Ok((family, Completion { expect, writes, told: Vec::new() }))
    }
}

/// The family called `id`.
pub(super) fn get(platform: &dyn Tables, id: &str) -> Result<Option<StoredFamily>, StoreError> {
    let Some(bytes) = platform.get(FAMILIES, id.as_bytes())? else { return Ok(None) };
    let family = record::decode(&format!("{FAMILIES}/{id}"), &bytes)?;
    Ok(Some(StoredFamily { family, bytes }))
}

/// The refresh token `text` of the family called `id`.
pub(super) fn token(
    platform: &dyn Tables,
    id: &str,
    text: &str,
) -> Result<Option<StoredToken>, StoreError> {
    let key = token_key(id, text);
    let Some(bytes) = platform.get(TOKENS, &key)? else { return Ok(None) };
    let token: Token = record::decode(&format!("{TOKENS}/{id}"), &bytes)?;
    Ok(Some(StoredToken { key, bytes, is_spent: token.spent_ms.is_some() }))
}

/// The families of a user.
pub(super) fn of_user(
    platform: &dyn Tables,
    user_id: &str,
) -> Result<Vec<StoredFamily>, StoreError> {
    let prefix = format!("{user_id}/");
    let mut families = Vec::new();
    for (key, _) in record::all(platform, OF_USER, prefix.as_bytes())? {
        let id = String::from_utf8_lossy(&key[prefix.len()..]);
        families.extend(get(platform, &id)?); // it may have ended meanwhile
    }
    Ok(families)
}

/// Removes every session. Their access tokens stay what they are.
pub fn remove_all(platform: &dyn Tables) -> Result<(), StoreError> {
    for table in [FAMILIES, TOKENS, OF_USER, BY_END] {
        record::clear(platform, table)?;
    }
    grace::remove_all(platform)
}

/// Clears away up to `limit` families whose time is over. They need no denial: their access tokens
/// ended with them.
pub(super) fn sweep(platform: &dyn Tables, limit: usize, now_ms: TimeMs) -> Result<(), StoreError> {
    for (key, _) in platform.list(BY_END, b"", None, limit)? {
        let text = String::from_utf8_lossy(&key);
        let (end, id) = text.split_once('/').unwrap_or((&text, ""));
        if end.parse().is_ok_and(|end: TimeMs| end > now_ms) {
            break;
        }
        let (expect, writes) = match get(platform, id) {
            Ok(Some(stored)) => (vec![stored.unchanged()], stored.family.removal(platform)?),
            Ok(None) => (vec![], vec![delete(BY_END, &key)]),
            // A damaged one is nobody's session, and must keep no others from being cleared away.
            Err(StoreError::Corrupt(_)) => {
                (vec![], vec![delete(BY_END, &key), delete(FAMILIES, id.as_bytes())])
            }
            Err(error) => return Err(error),
        };
        platform.write(&expect, &writes)?; // if it has changed, another time
    }
    Ok(())
}

fn live() -> Result<Vec<u8>, StoreError> {
    record::encode(&Token { spent_ms: None })
}

fn token_key(family: &str, text: &str) -> Vec<u8> {
    format!("{family}/{}", opaque::hash_text(&opaque::hash(text))).into_bytes()
}
