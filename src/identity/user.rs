//! Users, kept in the platform's tables.

use super::email::Email;
use super::password::PasswordPhc;
use super::{link, second_factor};
use crate::tenancy::id::{TenantId, random_word};
use crate::tenancy::permission::Role;
use crate::tenancy::record::{self, absent, delete, put};
use crate::tenancy::registry::Completion;
use serde::{Deserialize, Serialize};
use storage::engine::{Expect, Tables};
use storage::error::{Corrupt, StoreError};
use storage::row::TimeMs;

/// Users by id.
pub(super) const USERS: &str = "users";

/// Ids of users by tenant and folded address.
const EMAILS: &str = "user_emails";

/// What is decoded where there is no user: as long as most are, and as mixed, for what looks at letters
/// takes longer over those at the end of an alphabet.
const DECOY: &str = r#"{"version":1,"id":"q4zkwd7hbx2mfs6u","tenant_id":"n5gtv3yc2olr7jpa",
"email":"somebody@example.org","role":"member","platform":false,
"password":"$argon2id$v=19$m=19456,t=2,p=1$kX2v9QbTz4LmR7sWcY1uHg$Zr8Nf3qJ0aPwKd6VhM5tEoXyB9iGsCu2LlTnA7RvQ1k",
"created_ms":1764233867412}"#;

/// One user of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Random, never reused.
    pub id: String,
    /// Where the user belongs.
    pub tenant_id: TenantId,
    /// The name to sign in with.
    pub email: Email,
    /// What the user may do in the tenant.
    pub role: Role,
    /// Whether the user also administers the platform: all tenants.
    pub platform: bool,
    /// The password's hash; none before somebody chose one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordPhc>,
    /// Whether a password alone does not let the user in: see `second_factor`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub otp: bool,
    /// Whether the user is kept out.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disabled: bool,
    /// How executions name the user, in `user_id`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reported_as: Vec<String>,
    /// The ids of the teams that the user is in; each is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<String>,
    /// When the user was created, Unix milliseconds.
    pub created_ms: TimeMs,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// A user as it was read.
#[derive(Clone, Debug)]
pub(super) struct StoredUser {
    pub(super) user: User,
    bytes: Vec<u8>,
}

impl StoredUser {
    /// The condition that nobody changed the user since.
    pub(super) fn unchanged(&self) -> Expect {
        let (table, key) = (USERS.into(), self.user.id.as_bytes().into());
        Expect { table, key, value: Some(self.bytes.clone()) }
    }

    /// What removes the user and what stands under its id, if nobody changed it since.
    pub(super) fn removal(&self) -> Completion {
        let User { id, tenant_id, email, .. } = &self.user;
        Completion {
            expect: vec![self.unchanged()],
            writes: vec![
                delete(USERS, id.as_bytes()),
                delete(EMAILS, &email_key(tenant_id, email)),
                link::removal(id),
                second_factor::removal(id),
            ],
            told: Vec::new(),
        }
    }

    /// What makes the user into `changed`, if nobody changed it since. The id, the tenant and the
    /// address stay what they are.
    pub(super) fn change(&self, changed: &User) -> Result<Completion, StoreError> {
        let write = put(USERS, self.user.id.as_bytes(), record::encode(changed)?);
        Ok(Completion { expect: vec![self.unchanged()], writes: vec![write], told: Vec::new() })
    }

    /// The same, and the user as it is stored then.
    pub(super) fn changed(&self, changed: User) -> Result<(Completion, Self), StoreError> {
        let bytes = record::encode(&changed)?;
        Ok((self.change(&changed)?, Self { user: changed, bytes }))
    }
}

/// What is to be said of a tenant's first user.
#[derive(Clone, Debug)]
pub struct Owner {
    /// The name to sign in with.
    pub email: Email,
    /// The password's hash.
    pub password: PasswordPhc,
    /// Whether the user also administers the platform, as the very first one does.
    pub platform: bool,
}

impl User {
    /// The user that a tenant begins with.
    pub fn owner(tenant_id: TenantId, owner: Owner, now_ms: TimeMs) -> Self {
        let Owner { email, password, platform } = owner;
        let invited = Self::invited_owner(tenant_id, email, now_ms);
        Self { password: Some(password), platform, ..invited }
    }

    /// The same of one who has yet to choose a password.
    pub fn invited_owner(tenant_id: TenantId, email: Email, now_ms: TimeMs) -> Self {
        Self {
            id: random_word(),
            tenant_id,
            email,
            role: Role::Owner,
            platform: false,
            password: None,
            otp: false,
            disabled: false,
            reported_as: Vec::new(),
            teams: Vec::new(),
            created_ms: now_ms,
        }
    }

    /// A user that an identity provider vouches for: without a password.
    pub(super) fn external(tenant_id: TenantId, email: Email, role: Role, now_ms: TimeMs) -> Self {
        Self {
            id: random_word(),
            tenant_id,
            email,
            role,
            platform: false,
            password: None,
            otp: false,
            disabled: false,
            reported_as: Vec::new(),
            teams: Vec::new(),
            created_ms: now_ms,
        }
    }

    /// Whether the user is let in with a password.
    pub(super) fn can_sign_in(&self) -> bool {
        !self.disabled && self.password.is_some()
    }

    /// What makes this user exist; it fails as a whole where the address is taken in the tenant.
    pub(super) fn creation(&self) -> Result<Completion, StoreError> {
        let email = email_key(&self.tenant_id, &self.email);
        let id = self.id.as_bytes();
        Ok(Completion {
            expect: vec![absent(USERS, id), absent(EMAILS, &email)],
            writes: vec![put(USERS, id, record::encode(self)?), put(EMAILS, &email, id.to_vec())],
            told: Vec::new(),
        })
    }
}

/// The users of all tenants.
pub(super) fn all(platform: &dyn Tables) -> Result<Vec<User>, StoreError> {
    let entries = record::all(platform, USERS, b"")?;
    entries.iter().map(|(key, bytes)| decode(key, bytes)).collect()
}

/// The users of a tenant, in order of their addresses.
pub(super) fn of_tenant(
    platform: &dyn Tables,
    tenant_id: &TenantId,
) -> Result<Vec<User>, StoreError> {
    let mut users = Vec::new();
    for (email, id) in record::all(platform, EMAILS, format!("{tenant_id}/").as_bytes())? {
        users.extend(named(platform, &email, &id)?.map(|stored| stored.user));
    }
    Ok(users)
}

/// How many users a tenant has, `most` at most.
pub(super) fn count_of(
    platform: &dyn Tables,
    tenant_id: &TenantId,
    most: usize,
) -> Result<usize, StoreError> {
    Ok(platform.list(EMAILS, format!("{tenant_id}/").as_bytes(), None, most)?.len())
}

/// Up to `limit` users of a tenant whose folded addresses come after `after`, in their order.
pub(super) fn page(
    platform: &dyn Tables,
    tenant_id: &TenantId,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<User>, StoreError> {
    let prefix = format!("{tenant_id}/");
    let mut after = after.map(|after| format!("{prefix}{after}").into_bytes());
    let mut users = Vec::new();
    while users.len() < limit {
        let wanted = limit - users.len();
        let listed = platform.list(EMAILS, prefix.as_bytes(), after.as_deref(), wanted)?;
        for (email, id) in &listed {
            users.extend(named(platform, email, id)?.map(|stored| stored.user));
        }
        if listed.len() < wanted {
            break;
        }
        after = listed.into_iter().next_back().map(|(email, _)| email);
    }
    Ok(users)
}

/// The user called `id`.
pub(super) fn get(platform: &dyn Tables, id: &str) -> Result<Option<StoredUser>, StoreError> {
    let Some(bytes) = platform.get(USERS, id.as_bytes())? else { return Ok(None) };
    Ok(Some(StoredUser { user: decode(id.as_bytes(), &bytes)?, bytes }))
}

/// The user of `tenant_id` under that id. Time tells as little as the answer of a user of another tenant.
pub(super) fn get_of(
    platform: &dyn Tables,
    tenant_id: &TenantId,
    id: &str,
) -> Result<Option<StoredUser>, StoreError> {
    let found = get(platform, id)?;
    if found.is_none() {
        record::decode_decoy::<User>(&format!("{USERS}/{id}"), DECOY);
    }
    Ok(found.filter(|stored| stored.user.tenant_id == *tenant_id))
}

/// The user of `tenant_id` with that address, in whatever case it was typed.
pub(super) fn find(
    platform: &dyn Tables,
    tenant_id: &TenantId,
    email: &Email,
) -> Result<Option<StoredUser>, StoreError> {
    let email = email_key(tenant_id, email);
    let Some(id) = platform.get(EMAILS, &email)? else { return Ok(None) };
    named(platform, &email, &id)
}

/// The same by what somebody typed, of which either may be nobody's; as many reads, whatever is there.
pub(super) fn find_or_not(
    platform: &dyn Tables,
    tenant_id: Option<&TenantId>,
    email: Option<&Email>,
) -> Result<Option<StoredUser>, StoreError> {
    const NOBODY: &[u8] = b"/"; // no id, no address
    let key = tenant_id.zip(email).map(|(tenant_id, email)| email_key(tenant_id, email));
    let key = key.as_deref().unwrap_or(NOBODY);
    match platform.get(EMAILS, key)? {
        Some(id) => named(platform, key, &id),
        None => platform.get(USERS, NOBODY).map(|_| None),
    }
}

/// The user whose id was found under the address `email`; none if it was removed meanwhile.
fn named(platform: &dyn Tables, email: &[u8], id: &[u8]) -> Result<Option<StoredUser>, StoreError> {
    if let Some(bytes) = platform.get(USERS, id)? {
        return Ok(Some(StoredUser { user: decode(id, &bytes)?, bytes }));
    }
    if platform.get(EMAILS, email)?.is_some_and(|still| still == id) {
        return Err(Corrupt::new(format!("{EMAILS} names a user that is not there")).into());
    }
    Ok(None)
}

fn email_key(tenant_id: &TenantId, email: &Email) -> Vec<u8> {
    format!("{tenant_id}/{}", email.folded()).into_bytes() // an id has no slash
}

fn decode(key: &[u8], bytes: &[u8]) -> Result<User, StoreError> {
    record::decode(&format!("{USERS}/{}", String::from_utf8_lossy(key)), bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::password::Password;
    use crate::tenancy::fake::FakeEngine;
    use proptest::prelude::*;

    fn user(tenant_id: &TenantId, email: &str) -> User {
        let email = Email::parse(email).unwrap();
        let password = Password::random().hash().unwrap();
        User::owner(tenant_id.clone(), Owner { email, password, platform: true }, 7)
    }

    fn create(platform: &dyn Tables, user: &User) -> bool {
        let creation = user.creation().unwrap();
        platform.write(&creation.expect, &creation.writes).unwrap()
    }

    #[test]
    fn a_decoy_is_decoded_to_its_end() {
        let decoy = decode(b"a decoy", DECOY.as_bytes()).unwrap();
        assert!(decoy.password.is_some());
    }

    #[test]
    fn an_address_is_taken_once_in_a_tenant_in_whatever_case() {
        let platform = FakeEngine::default();
        let (acme, other) = (TenantId::random(), TenantId::random());
        let first = user(&acme, "You@example.org");
        assert!(create(&platform, &first));
        assert!(!create(&platform, &user(&acme, "you@EXAMPLE.org")));
        assert!(create(&platform, &user(&other, "you@example.org")));
        assert_eq!(of_tenant(&platform, &acme).unwrap(), std::slice::from_ref(&first));

        let typed = Email::parse("YOU@example.org").unwrap();
        let found = find(&platform, &acme, &typed).unwrap().map(|stored| stored.user);
        assert_eq!(found, Some(first));
        let nobody = Email::parse("nobody@example.org").unwrap();
        assert!(find(&platform, &acme, &nobody).unwrap().is_none());
    }

    /// What is read is a user whose parts are what they should be, and can be written again.
    fn check(bytes: &[u8]) {
        if let Ok(read) = decode(b"key", bytes) {
            assert_eq!(TenantId::parse(read.tenant_id.as_str()).as_ref(), Some(&read.tenant_id));
            assert_eq!(Email::parse(read.email.as_str()).as_ref(), Ok(&read.email));
            assert_eq!(decode(b"key", &record::encode(&read).unwrap()).unwrap(), read);
        }
    }

    proptest! {
        #[test]
        fn damaged_records_are_refused_or_users(
            noise: Vec<u8>,
            at: prop::sample::Index,
            byte: u8,
        ) {
            // Hashing takes long: one user serves all cases.
            static STORED: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
            let stored = || record::encode(&user(&TenantId::random(), "you@example.org")).unwrap();
            let mut bytes = STORED.get_or_init(stored).clone();
            check(&noise);
            check(&bytes);
            let at = at.index(bytes.len());
            check(&bytes[..at]);
            bytes[at] = byte;
            check(&bytes);
        }
    }
}
