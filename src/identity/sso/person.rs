//! The person that a provider vouches for, and the user that the person is here.
//!
//! *Invariants*: a link (tenant, provider, issuer, subject) names one user, and comes into being in
//! the transaction that makes that user; nothing else makes one. A user that was made so has no
//! password. What changes the role of a user ends the user's sessions in the same transaction.

use super::mapping;
use super::provider::{Provider, StoredProvider};
use super::{SignInError, registry};
use crate::audit::Event;
use crate::identity::account::{self, AccountError, USERS_PER_TENANT_MAX};
use crate::identity::administration::may_more;
use crate::identity::client::Client;
use crate::identity::email::Email;
use crate::identity::link;
use crate::identity::opaque;
use crate::identity::team::{self, TeamError};
use crate::identity::user::{self, StoredUser, User};
use crate::identity::{Identity, oidc, saml};
use crate::tenancy::id::TenantId;
use crate::tenancy::permission::Role;
use crate::tenancy::record::{self, put};
use crate::tenancy::registry::Completion;
use serde::{Deserialize, Serialize};
use std::sync::PoisonError;
use storage::engine::{Expect, Tables};
use storage::error::StoreError;
use storage::row::TimeMs;

/// Users by `<tenant>/<provider>/<hash of issuer and subject>`.
pub(super) const LINKS: &str = "sso_links";

/// Longest part of an address that is made of a subject, characters.
const LOCAL_CHARS_MAX: usize = 64;

/// The end of an address that is made up: no message reaches it (RFC 2606 §2).
const NO_DOMAIN: &str = "sso.invalid";

/// Somebody that a provider vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Who vouches.
    pub issuer: String,
    /// What the provider knows the person by, for ever.
    pub subject: String,
    /// The e-mail address.
    pub email: Option<Email>,
    /// Whether the provider says that the address is the person's.
    pub email_verified: bool,
    /// The groups that the person is in.
    pub groups: Vec<String>,
    /// When the provider wants the session to end, Unix milliseconds.
    pub until_ms: Option<TimeMs>,
}

/// A link as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct Link {
    user_id: String,
    issuer: String,
    subject: String,
    created_ms: TimeMs,
}

/// What would become of a person's sign-in.
#[derive(Debug)]
pub(super) struct Judged {
    /// What the person is here.
    pub(super) role: Role,
    /// The ids of the teams that the groups give; each was there.
    pub(super) teams: Vec<String>,
    pub(super) account: Account,
}

/// The user that a person is.
#[derive(Debug)]
pub(super) enum Account {
    /// One that was made before.
    Known(StoredUser),
    /// One that is to be made; the link is as it was found.
    New { email: Email, link: Option<Vec<u8>> },
}

impl Person {
    #[cfg(test)]
    pub(super) fn named(issuer: &str, subject: &str) -> Self {
        Self {
            issuer: issuer.into(),
            subject: subject.into(),
            email: None,
            email_verified: false,
            groups: Vec::new(),
            until_ms: None,
        }
    }

    fn link_key(&self, provider: &Provider) -> Vec<u8> {
        // The length keeps two pairs apart that run together to one text.
        let text = format!("{}:{}{}", self.issuer.len(), self.issuer, self.subject);
        let hash = opaque::hash_text(&opaque::hash(&text));
        format!("{}{hash}", links_of(provider)).into_bytes()
    }

    /// What the user is called: the address, or one that is made up where the provider tells none.
    fn address(&self, provider: &Provider) -> Result<Email, SignInError> {
        if let Some(email) = &self.email {
            return Ok(email.clone());
        }
        // Addresses that differ only in case are one: a subject is shown as it is where that cannot be.
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        let readable = self.subject.chars().all(plain) && self.subject.len() <= LOCAL_CHARS_MAX;
        let local = match readable && !self.subject.is_empty() {
            true => self.subject.clone(),
            false => hex(&opaque::hash(&self.subject)),
        };
        let made = Email::parse(&format!("{local}@{}.{NO_DOMAIN}", provider.id));
        made.map_err(|_| SignInError::NoEmail)
    }
}

impl From<oidc::External> for Person {
    fn from(external: oidc::External) -> Self {
        let oidc::External { issuer, subject, email, email_verified, groups, until_ms } = external;
        let email = email.and_then(|email| Email::parse(&email).ok());
        Self {
            issuer,
            subject,
            email_verified: email_verified && email.is_some(),
            email,
            groups,
            until_ms,
        }
    }
}

impl From<saml::Assertion> for Person {
    /// What a SAML provider says of its own people is as good as the rest of it.
    fn from(assertion: saml::Assertion) -> Self {
        let email = assertion.email.and_then(|email| Email::parse(&email).ok());
        Self {
            issuer: assertion.issuer,
            subject: assertion.subject,
            email_verified: email.is_some(),
            email,
            groups: assertion.groups,
            until_ms: assertion.session_until_ms,
        }
    }
}

/// What the keys of a provider's links begin with. No id has a slash.
pub(super) fn links_of(provider: &Provider) -> String {
    format!("{}/{}/", provider.tenant_id, provider.id)
}

/// Whether a provider of the tenant knows the user.
pub(in crate::identity) fn is_linked(
    platform: &dyn Tables,
    tenant_id: &TenantId,
    user_id: &str,
) -> Result<bool, StoreError> {
    let links = links(platform, &format!("{tenant_id}/"))?;
    Ok(links.iter().any(|(_, linked)| linked == user_id))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The keys of the links that begin with `prefix`, and the users that they name.
pub(super) fn links(
    platform: &dyn Tables,
    prefix: &str,
) -> Result<Vec<(Vec<u8>, String)>, StoreError> {
    let entries = record::all(platform, LINKS, prefix.as_bytes())?;
    let read = entries.into_iter().map(|(key, bytes)| {
        let link = decode(&key, &bytes)?;
        Ok((key, link.user_id))
    });
    read.collect()
}

fn decode(key: &[u8], bytes: &[u8]) -> Result<Link, StoreError> {
    record::decode(&format!("{LINKS}/{}", String::from_utf8_lossy(key)), bytes)
}

/// That a provider had something done to a user, which then is as it is here.
fn did(known: &StoredProvider, action: &str, user: &User, client: Client<'_>) -> Event {
    let actor = registry::target(&known.provider.id);
    Event::new(actor, action, account::target(&user.id), client.source()).after(account::told(user))
}

impl Identity {
    /// What would become of it if `person` signed in now. Changes nothing.
    pub(super) fn judge(
        &self,
        provider: &Provider,
        person: &Person,
        now_ms: TimeMs,
    ) -> Result<Judged, SignInError> {
        if person.until_ms.is_some_and(|until_ms| until_ms <= now_ms) {
            return Err(SignInError::SessionOver);
        }
        mapping::check_domain(provider, person)?;
        let role = mapping::role(provider, &person.groups).ok_or(SignInError::NoRole)?;
        let account = self.account_of(provider, person)?;
        if let Account::Known(stored) = &account {
            self.check_owner(stored, role)?;
        }
        let teams = self.mapped_teams(provider, &person.groups)?;
        Ok(Judged { role, teams, account })
    }

    /// The user that `person` is, or is to become.
    fn account_of(&self, provider: &Provider, person: &Person) -> Result<Account, SignInError> {
        let platform = &*self.platform;
        let key = person.link_key(provider);
        let bytes = platform.get(LINKS, &key)?;
        if let Some(bytes) = &bytes {
            let found = user::get(platform, &decode(&key, bytes)?.user_id)?;
            // A user that was removed may come again, as somebody new.
            if let Some(stored) = found.filter(|f| f.user.tenant_id == provider.tenant_id) {
                return match &stored.user {
                    User { disabled: true, .. } => Err(SignInError::Disabled),
                    User { platform: true, .. } => Err(SignInError::Platform),
                    _ => Ok(Account::Known(stored)),
                };
            }
        }
        let email = person.address(provider)?;
        if user::find(platform, &provider.tenant_id, &email)?.is_some() {
            return Err(SignInError::AccountExists { email: email.to_string() });
        }
        Ok(Account::New { email, link: bytes })
    }

    /// Fails where the tenant would have no owner any more.
    fn check_owner(&self, stored: &StoredUser, role: Role) -> Result<(), SignInError> {
        match role != Role::Owner && self.is_last_owner(&stored.user)? {
            true => Err(SignInError::LastOwner { role }),
            false => Ok(()),
        }
    }

    /// The ids of the teams that `groups` give. One that was removed since is given to nobody.
    fn mapped_teams(
        &self,
        provider: &Provider,
        groups: &[String],
    ) -> Result<Vec<String>, StoreError> {
        let mut teams = Vec::new();
        for id in mapping::teams(provider, groups) {
            match team::get(&*self.platform, &provider.tenant_id, id) {
                Ok(_) => teams.push(id.to_owned()),
                Err(TeamError::Store(store)) => return Err(store),
                Err(_) => {}
            }
        }
        Ok(teams)
    }

    /// The user that `person` is, with the role and the teams that were judged; made where there is
    /// none. Nothing if somebody changed meanwhile what was judged by.
    pub(super) fn settle_person(
        &self,
        known: &StoredProvider,
        person: &Person,
        judged: Judged,
        client: Client<'_>,
        now_ms: TimeMs,
    ) -> Result<Option<StoredUser>, SignInError> {
        let _alone = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let Judged { role, teams, account } = judged;
        let id = match account {
            Account::Known(stored) => {
                self.check_owner(&stored, role)?; // alone now
                let teams = mapping::settled(&known.provider, &stored.user.teams, teams);
                let changed = User { role, teams, ..stored.user.clone() };
                if changed == stored.user {
                    return Ok(Some(stored));
                }
                if !self.change_external(known, &stored, &changed, client, now_ms)? {
                    return Ok(None);
                }
                stored.user.id
            }
            Account::New { email, link } => {
                let tenant_id = known.provider.tenant_id.clone();
                let teams = mapping::settled(&known.provider, &[], teams);
                let user = User { teams, ..User::external(tenant_id, email, role, now_ms) };
                if !self.make_external(known, person, &user, (link, client), now_ms)? {
                    return Ok(None);
                }
                user.id
            }
        };
        Ok(user::get(&*self.platform, &id)?)
    }

    /// Makes `stored` into `changed`; `false` if somebody changed it, a team of it or the provider
    /// meanwhile.
    /// Another role ends the user's sessions.
    fn change_external(
        &self,
        known: &StoredProvider,
        stored: &StoredUser,
        changed: &User,
        client: Client<'_>,
        now_ms: TimeMs,
    ) -> Result<bool, SignInError> {
        let event = did(known, "user.change", changed, client);
        let event = event.before(account::told(&stored.user));
        let mut act = stored.change(changed)?;
        act.expect.push(known.unchanged());
        // Whoever made a link for somebody who may less must not come in by it as one who may more.
        if may_more(&stored.user, changed) {
            act.writes.push(link::removal(&changed.id));
        }
        if !self.expect_teams(&mut act, changed)? {
            return Ok(false);
        }
        let act = act.telling([event.in_chain(changed.tenant_id.as_str())]);
        match changed.role == stored.user.role {
            true => Ok(act.commit(&self.log, now_ms)?),
            false => Ok(self.sessions.end_all(&changed.id, None, &act, now_ms)?),
        }
    }

    /// Adds to `act` the conditions that the teams of `user` are there; `false` where one is not.
    fn expect_teams(&self, act: &mut Completion, user: &User) -> Result<bool, SignInError> {
        match self.teams_are_there(&user.tenant_id, &user.teams) {
            Ok(conditions) => act.expect.extend(conditions),
            Err(AccountError::Store(store)) => return Err(store.into()),
            Err(_) => return Ok(false),
        }
        Ok(true)
    }

    /// Makes a user and its link; `false` if the address or the link was taken meanwhile, or the
    /// provider is not what it was.
    fn make_external(
        &self,
        known: &StoredProvider,
        person: &Person,
        user: &User,
        (found, client): (Option<Vec<u8>>, Client<'_>),
        now_ms: TimeMs,
    ) -> Result<bool, SignInError> {
        let (platform, provider) = (&*self.platform, &known.provider);
        if user::of_tenant(platform, &provider.tenant_id)?.len() >= USERS_PER_TENANT_MAX {
            return Err(SignInError::TooManyUsers);
        }
        let key = person.link_key(provider);
        let link = Link {
            user_id: user.id.clone(),
            issuer: person.issuer.clone(),
            subject: person.subject.clone(),
            created_ms: user.created_ms,
        };
        let event = did(known, "user.create", user, client);
        let mut act = user.creation()?.telling([event.in_chain(user.tenant_id.as_str())]);
        if !self.expect_teams(&mut act, user)? {
            return Ok(false);
        }
        act.expect.push(known.unchanged());
        act.expect.push(Expect { table: LINKS.into(), key: key.clone(), value: found });
        act.writes.push(put(LINKS, &key, record::encode(&link)?));
        Ok(act.commit(&self.log, now_ms)?)
    }
}
