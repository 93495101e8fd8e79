//! What is done with sessions from outside: they are gone on with, listed and ended, by whose they
//! are and by who administers users.

use super::account::AccountError;
use super::client::Client;
use super::family::Family;
use super::session::{Asked, SessionError};
use super::{Identity, RefreshError, SignedIn, user};
use crate::audit::PLATFORM;
use crate::tenancy::by::By;
use crate::tenancy::id::TenantId;
use crate::tenancy::registry::{Completion, Tenancy};
use crate::tenancy::scope::Principal;
use storage::row::TimeMs;

impl Identity {
    /// Takes a refresh token for the next one and another access token. While nobody enters its tenant
    /// the token stays as it is: spent now, it would be taken for stolen once the tenant is open again.
    /// So it does where the caller named a tenant, as `named`, that is another.
    pub fn refresh(
        &self,
        tenancy: &Tenancy,
        refresh_token: &str,
        named: Option<&str>,
        client: Client<'_>,
        now_ms: TimeMs,
    ) -> Result<SignedIn, RefreshError> {
        let throttle = &self.passwords.throttle;
        let admit = |family: &Family| {
            let Family { user_id, tenant_id, .. } = family;
            if tenancy.with_id(tenant_id).is_none() {
                return Err(SessionError::Closed);
            }
            self.demand_named(tenancy, named, family)?;
            Ok(throttle.refreshing(user_id, tenant_id.as_str(), client.address, now_ms)?)
        };
        let asked = Asked { text: refresh_token, client, admit: &admit };
        let opened = self.sessions.refresh(asked, now_ms);
        if let Err(SessionError::Unknown) = opened {
            let counted = throttle.refreshed_nothing(client.address, now_ms);
            counted.map_err(SessionError::from)?;
        }
        Ok(self.signed_in(opened?, client, now_ms)?)
    }

    /// Ends the session called `family` at once, its access tokens included. Gives whether there
    /// was one.
    pub fn logout(&self, family: &str, by: &By, now_ms: TimeMs) -> Result<bool, SessionError> {
        let told = |family: &Family| {
            by.told(&family.tenant_id, by.did("session.end", format!("session:{}", family.id)))
        };
        self.sessions.end_telling(family, told, now_ms)
    }

    /// Ends what the token `text` stands for, which `client` gives back: an access token by itself, a
    /// refresh token with its session. Gives whether it stood for something. Where the caller named a
    /// tenant, as `named`, it must be that of the token.
    pub fn revoke_token(
        &self,
        tenancy: &Tenancy,
        text: &str,
        named: Option<&str>,
        client: Client<'_>,
        now_ms: TimeMs,
    ) -> Result<bool, SessionError> {
        let admit = |family: &Family| self.demand_named(tenancy, named, family);
        let Some(access) = self.tokens.verify_denied_too(text, now_ms) else {
            return self.sessions.end_of(text, &admit, client, now_ms);
        };
        let own = access.principal.tenant_id().filter(|_| !access.principal.is_platform());
        if own.is_some_and(|own| names_another(tenancy, named, own)) {
            return Err(SessionError::TenantMismatch);
        }
        // What is refused already may be so in memory alone, where its denial could not be stored.
        if self.revocations.is_stored(&*self.platform, &access.presented())? {
            return Ok(false);
        }
        let by = By { principal: access.principal.clone(), source: client.source() };
        let event = by.did("token.revoke", format!("token:{}", access.token_id));
        let chain = by.principal.tenant_id().map_or(PLATFORM, |tenant_id| tenant_id.as_str());
        let told = event.in_chain(chain);
        self.revocations.end_token(&self.log, &access.token_id, told, now_ms)?;
        Ok(true)
    }

    /// Fails where the caller named a tenant, and a session is of another. Who administers the platform
    /// may name any.
    fn demand_named(
        &self,
        tenancy: &Tenancy,
        named: Option<&str>,
        family: &Family,
    ) -> Result<(), SessionError> {
        if !names_another(tenancy, named, &family.tenant_id) {
            return Ok(());
        }
        let user = user::get(&*self.platform, &family.user_id)?;
        match user.is_some_and(|stored| stored.user.platform) {
            true => Ok(()),
            false => Err(SessionError::TenantMismatch),
        }
    }

    /// The sessions of a user that can go on, newest first.
    pub fn sessions(&self, user_id: &str, now_ms: TimeMs) -> Result<Vec<Family>, SessionError> {
        self.sessions.list(user_id, now_ms)
    }

    /// Ends the session called `family` if it is one of that user's. Gives whether it was.
    pub fn end_session(
        &self,
        user_id: &str,
        family: &str,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<bool, SessionError> {
        let families = self.sessions.list(user_id, now_ms)?;
        match families.iter().any(|known| known.id == family) {
            true => self.logout(family, by, now_ms),
            false => Ok(false),
        }
    }

    /// The sessions of a user of `tenant_id` who may no more than `by`, newest first.
    pub fn sessions_of(
        &self,
        tenant_id: &TenantId,
        user_id: &str,
        by: &Principal,
        now_ms: TimeMs,
    ) -> Result<Vec<Family>, AccountError> {
        let stored = self.stored_user(tenant_id, user_id)?;
        stored.user.demand_below(by)?;
        Ok(self.sessions.list(&stored.user.id, now_ms)?)
    }

    /// Ends one session of a user of `tenant_id` who may no more than `by`. Gives whether there was one.
    pub fn end_session_of(
        &self,
        tenant_id: &TenantId,
        user_id: &str,
        family: &str,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<bool, AccountError> {
        let stored = self.stored_user(tenant_id, user_id)?;
        stored.user.demand_below(&by.principal)?;
        Ok(self.end_session(&stored.user.id, family, by, now_ms)?)
    }

    /// Ends everything that a user of `tenant_id` who may no more than `by` holds: sessions and access
    /// tokens.
    pub fn end_sessions_of(
        &self,
        tenant_id: &TenantId,
        user_id: &str,
        by: &By,
        now_ms: TimeMs,
    ) -> Result<(), AccountError> {
        let stored = self.stored_user(tenant_id, user_id)?;
        stored.user.demand_below(&by.principal)?;
        let event = by.did("user.end_sessions", format!("user:{}", stored.user.id));
        let act = Completion::default().telling(by.told(tenant_id, event));
        self.sessions.end_all(&stored.user.id, None, &act, now_ms)?;
        Ok(())
    }

    /// When a session ends unless it is used meanwhile, Unix milliseconds.
    pub fn rests_until_ms(&self, family: &Family) -> TimeMs {
        let rests_ms = family.used_ms.saturating_add(self.sessions.settings().idle_ms);
        rests_ms.min(family.until_ms)
    }

    /// What stands for `client` where sessions are bound to clients; nothing where they are not.
    pub fn mark_of(&self, client: Client<'_>) -> Option<String> {
        self.sessions.settings().binding.mark(client)
    }
}

/// Whether `named` is the name of another tenant than `own`. What nobody enters now has no name.
fn names_another(tenancy: &Tenancy, named: Option<&str>, own: &TenantId) -> bool {
    let own = tenancy.with_id(own);
    named.zip(own).is_some_and(|(named, own)| own.slug.as_str() != named)
}
