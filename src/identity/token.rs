//! Access tokens: what says, for a quarter of an hour, who somebody is (RFC 9068).
//!
//! *Invariants*: verifying reads memory only, and takes the time as a parameter; a token is
//! believed only if this installation signed it, with a key that is still published, for itself,
//! and only while it lasts and its session does. Every claim has its type and there are no
//! others. A token that was verified is remembered, for a signature costs more than a whole
//! request may; what is remembered is still asked for its time, its session and its key.

use super::client::{Binding, Client};
use super::jws::{Parts, TYP};
use super::revocation::{Presented, Revocations};
use super::signing::{SigningError, SigningKeys};
use crate::tenancy::id::{TenantId, random_word};
use crate::tenancy::permission::{Permission, Role};
use crate::tenancy::scope::Principal;
use jsonwebtoken::{Algorithm, Header};
use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;
use storage::row::TimeMs;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How long an access token lasts.
pub const ACCESS_MS: TimeMs = 900_000;

/// How far the clock may have been set back since a token was made, and how long after its end
/// one may arrive. All tokens come from this process, so there is no other clock to agree with.
pub const LEEWAY_MS: TimeMs = 5_000;

/// Longest token in bytes: those made here have about 1,300, of which 342 are the signature and
/// 600 the permissions.
pub const TOKEN_BYTES_MAX: usize = 4096;

/// How much memory verified tokens take at most: some 8,000 people at work at the same time.
const REMEMBERED_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What a verified token takes beside its text: its claims, and the cache's own book-keeping.
const REMEMBERED_OVERHEAD_BYTES: u32 = 400;

/// Why a token is not believed. A client is told no more than `invalid_token`; the difference is
/// for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no token of the form that is made here.
    #[error("the access token is malformed: sign in again")]
    Malformed,
    /// Its key is not one of ours, or not any more.
    #[error("the access token is signed by an unknown key: sign in again")]
    UnknownKey,
    /// The signature does not fit.
    #[error("the access token's signature does not fit: sign in again")]
    Signature,
    /// A claim is missing, there are others, or one says what it must not.
    #[error("the access token's claims are not acceptable: sign in again")]
    Claims,
    /// It is for another installation, or from one.
    #[error("the access token belongs to another installation: sign in again")]
    Foreign,
    /// It has run out.
    #[error("the access token has expired: refresh it")]
    Expired,
    /// It is not valid yet.
    #[error("the access token is not valid yet: set the server's clock right")]
    NotYet,
    /// Its session was ended.
    #[error("the session was ended: sign in again")]
    Revoked,
    /// Another client than the one that it is bound to presents it.
    #[error("the access token belongs to another client: sign in again")]
    Elsewhere,
}

impl TokenError {
    /// A stable word for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Expired => "token_expired",
            Self::Revoked => "session_ended",
            Self::Elsewhere => "client_changed",
            _ => "invalid_token",
        }
    }

    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(self) -> bool {
        self == Self::NotYet
    }
}

/// The claims, in the order in which they are written. Times are Unix seconds (RFC 7519 §2).
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    org: TenantId,
    role: Role,
    permissions: Vec<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    platform: bool,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: String,
    fam: String,
    /// Whom it is bound to, where the installation's owner wants that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bnd: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// A verified access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Who it is: always [`Principal::User`].
    pub principal: Principal,
    /// The user's id.
    user_id: Arc<str>,
    /// The session, as its family of refresh tokens.
    pub family: Arc<str>,
    /// The token's own id.
    pub token_id: Arc<str>,
    /// When it was made, Unix milliseconds.
    issued_ms: TimeMs,
    /// Which key signed it.
    kid: Box<str>,
    /// Whom it is bound to.
    bound_to: Option<Box<str>>,
    /// From when on it is valid, Unix milliseconds.
    pub from_ms: TimeMs,
    /// Until when it is valid, Unix milliseconds; the leeway comes on top.
    pub until_ms: TimeMs,
}

/// For whom a token is made.
#[derive(Clone, Debug)]
pub(super) struct Grant<'a> {
    pub(super) user_id: &'a str,
    pub(super) tenant_id: &'a TenantId,
    pub(super) role: Role,
    pub(super) platform: bool,
    pub(super) family: &'a str,
    /// When the session ends whatever is done; the token ends with it.
    pub(super) until_ms: TimeMs,
    pub(super) client: Client<'a>,
}

/// The makers and judges of access tokens.
pub(super) struct AccessTokens {
    keys: Arc<SigningKeys>,
    revocations: Arc<Revocations>,
    /// `iss` and `aud`: this installation.
    party: Box<str>,
    binding: Binding,
    remembered: Cache<Arc<str>, Arc<Access>, BuildHasherDefault<TextHasher>>,
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokens").field("party", &self.party).finish_non_exhaustive()
    }
}

impl AccessTokens {
    /// `installation_id` makes tokens of two installations different ones.
    pub(super) fn new(
        keys: Arc<SigningKeys>,
        revocations: Arc<Revocations>,
        installation_id: &str,
        binding: Binding,
    ) -> Self {
        let lasts = Duration::from_millis((ACCESS_MS + LEEWAY_MS).unsigned_abs());
        let remembered = Cache::builder()
            .max_capacity(REMEMBERED_BYTES_MAX)
            .weigher(|text: &Arc<str>, _: &Arc<Access>| {
                u32::try_from(text.len())
                    .unwrap_or(u32::MAX)
                    .saturating_add(REMEMBERED_OVERHEAD_BYTES)
            })
            .time_to_live(lasts)
            .build_with_hasher(BuildHasherDefault::default());
        let party = format!("emx:{installation_id}").into();
        Self { keys, revocations, party, binding, remembered }
    }

    /// Makes a token, and says for how many seconds it is valid.
    pub(super) fn issue(
        &self,
        grant: &Grant<'_>,
        now_ms: TimeMs,
    ) -> Result<(String, i64), SigningError> {
        let iat = self.revocations.issue_s(grant.user_id, now_ms);
        let exp = now_ms.saturating_add(ACCESS_MS).min(grant.until_ms).div_euclid(1000);
        let claims = Claims {
            iss: self.party.to_string(),
            aud: self.party.to_string(),
            sub: grant.user_id.into(),
            org: grant.tenant_id.clone(),
            role: grant.role,
            permissions: permissions(grant),
            platform: grant.platform,
            iat,
            nbf: iat,
            exp,
            jti: random_word(),
            fam: grant.family.into(),
            bnd: self.binding.mark(grant.client),
        };
        let text = self.keys.sign(|kid, key| {
            let mut header = Header::new(Algorithm::RS256);
            header.typ = Some(TYP.into());
            header.kid = Some(kid.into());
            jsonwebtoken::encode(&header, &claims, key)
        });
        let text = text.map_err(|_| SigningError::Crypto { doing: "sign an access token" })?;
        Ok((text, exp - iat))
    }

    /// Fails if another than `client` may present the verified `access`.
    pub(super) fn check_client(
        &self,
        access: &Access,
        client: Client<'_>,
    ) -> Result<(), TokenError> {
        match self.binding.mark(client) {
            Some(mark) if access.bound_to.as_deref() != Some(&*mark) => Err(TokenError::Elsewhere),
            _ => Ok(()),
        }
    }

    /// Who presents `text`, if it is to be believed at `now_ms`. Reads memory only: some 25 µs for
    /// a token that is seen for the first time, 300 ns for others.
    pub(super) fn verify(&self, text: &str, now_ms: TimeMs) -> Result<Arc<Access>, TokenError> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed);
        }
        if let Some(access) = self.remembered.get(text) {
            let outcome = self.keys.with_key(&access.kid, now_ms, |_| ());
            let standing = outcome.ok_or(TokenError::UnknownKey);
            let standing = standing.and_then(|()| self.check_standing(&access, now_ms));
            if standing.is_err() {
                self.remembered.invalidate(text);
            }
            return standing.map(|()| access);
        }
        let access = Arc::new(self.verify_signed(text, now_ms)?);
        self.check_standing(&access, now_ms)?;
        self.remembered.insert(text.into(), access.clone());
        Ok(access)
    }

    /// The same, also where it is denied: what it says to whoever wants to deny it.
    pub(super) fn verify_denied_too(&self, text: &str, now_ms: TimeMs) -> Option<Arc<Access>> {
        match self.verify(text, now_ms) {
            Ok(access) => Some(access),
            Err(TokenError::Revoked) => self.verify_signed(text, now_ms).ok().map(Arc::new),
            Err(_) => None,
        }
    }

    fn verify_signed(&self, text: &str, now_ms: TimeMs) -> Result<Access, TokenError> {
        let parts = Parts::of(text).ok_or(TokenError::Malformed)?;
        let signed = parts.signed.as_bytes();
        let fits = self.keys.with_key(&parts.kid, now_ms, |key| {
            jsonwebtoken::crypto::verify(parts.signature, signed, key, Algorithm::RS256)
        });
        match fits {
            None => return Err(TokenError::UnknownKey),
            Some(Ok(true)) => {}
            Some(_) => return Err(TokenError::Signature),
        }
        let claims: Claims = parts.claims().ok_or(TokenError::Claims)?;
        if claims.iss != *self.party || claims.aud != *self.party {
            return Err(TokenError::Foreign);
        }
        access(claims, parts.kid)
    }

    /// What changes while a token lasts.
    fn check_standing(&self, access: &Access, now_ms: TimeMs) -> Result<(), TokenError> {
        if now_ms >= access.until_ms.saturating_add(LEEWAY_MS) {
            return Err(TokenError::Expired);
        }
        if now_ms < access.from_ms.saturating_sub(LEEWAY_MS) {
            return Err(TokenError::NotYet);
        }
        match self.revocations.is_denied(&access.presented(), now_ms) {
            true => Err(TokenError::Revoked),
            false => Ok(()),
        }
    }
}

impl Access {
    /// What the deny list may know it by.
    pub(super) fn presented(&self) -> Presented<'_> {
        Presented {
            token_id: &self.token_id,
            family: &self.family,
            user_id: &self.user_id,
            issued_ms: self.issued_ms,
        }
    }
}

/// What the bearer may do, in words, for whoever reads the token. Here the role decides.
fn permissions(grant: &Grant<'_>) -> Vec<String> {
    let of_platform = Permission::all().filter(|p| grant.platform && p.is_platform());
    let of_role = grant.role.permissions().iter().copied();
    of_role.chain(of_platform).map(|permission| permission.as_str().to_owned()).collect()
}

/// What `claims` say, if they can be what was written here.
fn access(claims: Claims, kid: String) -> Result<Access, TokenError> {
    let ids = [&claims.sub, &claims.jti, &claims.fam];
    let ordered = 0 <= claims.iat && claims.iat <= claims.nbf && claims.nbf < claims.exp;
    // What is in order cannot overflow.
    if ids.iter().any(|id| id.is_empty()) || !ordered || claims.exp - claims.iat > ACCESS_MS / 1000
    {
        return Err(TokenError::Claims);
    }
    let (user_id, family, token_id): (Arc<str>, Arc<str>, Arc<str>) =
        (claims.sub.into(), claims.fam.into(), claims.jti.into());
    let issued_ms = claims.iat.saturating_mul(1000);
    Ok(Access {
        principal: Principal::User {
            user_id: user_id.clone(),
            tenant_id: claims.org,
            role: claims.role,
            platform: claims.platform,
            family: family.clone(),
            token_id: token_id.clone(),
            issued_ms,
        },
        user_id,
        family,
        token_id,
        issued_ms,
        kid: kid.into(),
        bound_to: claims.bnd.map(Into::into),
        from_ms: claims.nbf.saturating_mul(1000),
        until_ms: claims.exp.saturating_mul(1000),
    })
}

/// Hashes a text in one go. Whoever could choose texts that meet would need to sign them first.
#[derive(Default)]
struct TextHasher(u64);

impl Hasher for TextHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
