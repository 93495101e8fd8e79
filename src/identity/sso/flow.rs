//! Sign-ins that were begun and are not finished: they lie in the browser that began them, sealed, so
//! that a flood of beginnings takes no memory here and another browser cannot finish them.
//!
//! *Invariants*: a flow belongs to one provider of one tenant, ends ten minutes after it began, and is
//! finished once: that it was is stored until it could not be finished anyway. A browser has one
//! cookie for each protocol with the newest few flows in it, so that two tabs do not end each other's
//! and a page that begins many fills no browser.

use super::SignInError;
use super::provider::Provider;
use super::site::Kind;
use crate::identity::Identity;
use crate::identity::oidc::Started;
use crate::identity::secret::{MasterKey, SecretError};
use crate::tenancy::id::{TenantId, random_word};
use crate::tenancy::record::{absent, delete, put, write_surely};
use crate::tenancy::registry::Completion;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use storage::engine::Tables;
use storage::error::StoreError;
use storage::row::TimeMs;

/// How long a sign-in may take: whoever looks for a phone is back by then.
pub const FLOW_MS: TimeMs = 10 * 60_000;

/// Longest path to return to, bytes: the page's longest addresses have some filters in them.
pub const RETURN_BYTES_MAX: usize = 512;

/// Flows in a browser's cookie.
const FLOWS_MAX: usize = 3;

/// Longest cookie, bytes: browsers keep 4,096 with its name and attributes (RFC 6265 §6.1).
const COOKIE_BYTES_MAX: usize = 3_800;

/// Flows that were finished, by `<end in ms, 20 digits>/<flow>`; the value is `<tenant>/<random>`.
const FINISHED: &str = "sso_finished_flows";

/// How much longer a finished flow is remembered: the clock may be set back meanwhile.
const REMEMBERED_MS: TimeMs = 3_600_000;

/// How many that have run out are forgotten with each that is finished.
const SWEEP_MAX: usize = 16;

/// How many are looked at at once when a tenant goes.
const FORGOTTEN_AT_ONCE: usize = 1_000;

/// A sign-in that was begun.
#[derive(Clone, Serialize, Deserialize)]
pub struct Flow {
    id: String,
    tenant_id: TenantId,
    provider_id: String,
    way: FlowWay,
    /// The page's path that the person comes from.
    pub return_to: String,
    until_ms: TimeMs,
}

/// What the protocol has to remember.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowWay {
    /// OpenID Connect.
    Oidc(Started),
    /// SAML: the request's id.
    Saml(String),
}

impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Flow({}, …)", self.id)
    }
}

impl Flow {
    /// Begins one with `provider`.
    pub fn begin(provider: &Provider, way: FlowWay, return_to: String, now_ms: TimeMs) -> Self {
        Self {
            id: random_word(),
            tenant_id: provider.tenant_id.clone(),
            provider_id: provider.id.clone(),
            way,
            return_to,
            until_ms: now_ms.saturating_add(FLOW_MS),
        }
    }

    /// What the browser brings back to say which flow it finishes: `state`, or the relay state.
    pub fn handle(&self) -> &str {
        match &self.way {
            FlowWay::Oidc(started) => &started.state,
            FlowWay::Saml(_) => &self.id,
        }
    }

    /// What the OpenID protocol has to remember.
    pub fn started(&self) -> Option<&Started> {
        match &self.way {
            FlowWay::Oidc(started) => Some(started),
            FlowWay::Saml(_) => None,
        }
    }

    /// The id of the SAML request.
    pub fn request_id(&self) -> Option<&str> {
        match &self.way {
            FlowWay::Saml(request_id) => Some(request_id),
            FlowWay::Oidc(_) => None,
        }
    }

    /// A name that no other flow has.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What stores that the flow is finished; it fails as a whole where it was before.
    pub(super) fn finish(&self) -> Completion {
        let key = self.key();
        // What is random tells whose commit it was where its outcome is not known.
        let value = format!("{}/{}", self.tenant_id, random_word());
        let finished = put(FINISHED, &key, value.into_bytes());
        Completion {
            expect: vec![absent(FINISHED, &key)],
            writes: vec![finished],
            told: Vec::new(),
        }
    }

    fn key(&self) -> Vec<u8> {
        format!("{:020}/{}", self.until_ms, self.id).into_bytes()
    }
}

/// The flows of one browser and one protocol.
#[derive(Debug, Default)]
pub struct Flows(Vec<Flow>);

impl Flows {
    /// The flows in a cookie that have not run out; none in one that was not sealed here.
    pub fn open(master: &MasterKey, kind: Kind, cookie: &str, now_ms: TimeMs) -> Self {
        if cookie.len() > COOKIE_BYTES_MAX {
            return Self::default();
        }
        let read = || -> Option<Vec<Flow>> {
            let sealed = URL_SAFE_NO_PAD.decode(cookie).ok()?;
            let text = master.open(&context(kind), &sealed).ok()?;
            serde_json::from_slice(&text).ok()
        };
        let mut flows = read().unwrap_or_default();
        flows.retain(|flow| now_ms < flow.until_ms);
        Self(flows)
    }

    /// Takes out the flow that `handle` finishes with that provider.
    pub fn take(
        &mut self,
        handle: &str,
        tenant_id: &TenantId,
        provider_id: &str,
    ) -> Result<Flow, SignInError> {
        let found = self.0.iter().position(|flow| {
            verify_slices_are_equal(flow.handle().as_bytes(), handle.as_bytes()).is_ok()
        });
        let flow = found.map(|at| self.0.remove(at)).ok_or(SignInError::UnknownFlow)?;
        match flow.tenant_id == *tenant_id && flow.provider_id == provider_id {
            true => Ok(flow),
            false => Err(SignInError::UnknownFlow),
        }
    }

    /// Puts a flow in; the oldest goes where there are too many.
    pub fn push(&mut self, flow: Flow) {
        while self.0.len() >= FLOWS_MAX {
            self.0.remove(0);
        }
        self.0.push(flow);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of the cookie. The oldest go where it would be too long.
    pub fn seal(&mut self, master: &MasterKey, kind: Kind) -> Result<String, SecretError> {
        loop {
            let text = serde_json::to_vec(&self.0).map_err(|_| SecretError::Seal)?;
            let cookie = URL_SAFE_NO_PAD.encode(master.seal(&context(kind), &text)?);
            if cookie.len() <= COOKIE_BYTES_MAX || self.0.len() <= 1 {
                return Ok(cookie);
            }
            self.0.remove(0);
        }
    }
}

/// What the cookie is sealed for.
fn context(kind: Kind) -> String {
    format!("sso_flows/{}", kind.as_str())
}

/// `path` as one of this server's own pages, if it is: whatever else a browser might take for another
/// place is refused (`//evil.example`, `/\evil.example`, a tab in between).
pub fn local_path(path: &str) -> Option<&str> {
    let plain = path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    let local = path.starts_with('/') && !path.starts_with("//");
    (plain && local && path.len() <= RETURN_BYTES_MAX).then_some(path)
}

impl Identity {
    /// Finishes a flow by itself; `false` where it was finished before.
    pub fn finish_flow(&self, flow: &Flow, now_ms: TimeMs) -> Result<bool, SignInError> {
        forget(&*self.platform, now_ms)?;
        let act = flow.finish();
        Ok(write_surely(&*self.platform, &act.expect, &act.writes)?)
    }
}

/// Forgets some of the finished flows that have run out long ago.
pub(super) fn forget(platform: &dyn Tables, now_ms: TimeMs) -> Result<(), StoreError> {
    let mut writes = Vec::new();
    for (key, _) in platform.list(FINISHED, b"", None, SWEEP_MAX)? {
        let text = String::from_utf8_lossy(&key);
        let end = text.split_once('/').and_then(|(end, _)| end.parse::<TimeMs>().ok());
        if end.is_some_and(|end| end.saturating_add(REMEMBERED_MS) > now_ms) {
            break;
        }
        writes.push(delete(FINISHED, &key));
    }
    if !writes.is_empty() {
        platform.write(&[], &writes)?;
    }
    Ok(())
}

/// Forgets the finished flows of a tenant that goes: they are those of an hour.
pub(super) fn forget_tenant(platform: &dyn Tables, tenant_id: &TenantId) -> Result<(), StoreError> {
    let prefix = format!("{tenant_id}/");
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = platform.list(FINISHED, b"", after.as_deref(), FORGOTTEN_AT_ONCE)?;
        let of_tenant = page.iter().filter(|(_, value)| value.starts_with(prefix.as_bytes()));
        let writes: Vec<_> = of_tenant.map(|(key, _)| delete(FINISHED, key)).collect();
        if !writes.is_empty() {
            platform.write(&[], &writes)?;
        }
        match page.into_iter().nth(FORGOTTEN_AT_ONCE - 1) {
            Some((last, _)) => after = Some(last),
            None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::sso::provider::tests::saml_provider;
    use crate::tenancy::fake::FakeEngine;
    use proptest::prelude::*;

    fn flow(provider: &Provider, return_to: &str, now_ms: TimeMs) -> Flow {
        Flow::begin(provider, FlowWay::Saml("_r".into()), return_to.into(), now_ms)
    }

    fn sealed(master: &MasterKey, flows: &[Flow]) -> String {
        let mut all = Flows::default();
        flows.iter().for_each(|flow| all.push(flow.clone()));
        all.seal(master, Kind::Saml).unwrap()
    }

    #[test]
    fn a_flow_is_finished_only_where_it_was_begun_and_in_time() {
        let (master, provider) = (MasterKey::random().unwrap(), saml_provider());
        let flow = flow(&provider, "/runs", 1_000);
        let cookie = sealed(&master, std::slice::from_ref(&flow));
        let take = |kind, now_ms, handle: &str, tenant_id, provider_id| {
            let mut flows = Flows::open(&master, kind, &cookie, now_ms);
            flows.take(handle, tenant_id, provider_id).map(|flow| flow.return_to)
        };
        let (tenant, id, handle) = (&provider.tenant_id, &*provider.id, flow.handle());
        assert_eq!(take(Kind::Saml, 1_000, handle, tenant, id).unwrap(), "/runs");
        take(Kind::Saml, 1_000 + FLOW_MS - 1, handle, tenant, id).unwrap();
        for refused in [
            take(Kind::Saml, 1_000 + FLOW_MS, handle, tenant, id),
            take(Kind::Oidc, 1_000, handle, tenant, id),
            take(Kind::Saml, 1_000, "", tenant, id),
            take(Kind::Saml, 1_000, handle, tenant, "another"),
            take(Kind::Saml, 1_000, handle, &TenantId::random(), id),
        ] {
            assert_eq!(refused.unwrap_err().code(), "sso_flow_unknown");
        }
        let other = MasterKey::random().unwrap();
        for (master, cookie) in [(&other, &*cookie), (&master, ""), (&master, "x"), (&master, "é")]
        {
            assert!(Flows::open(master, Kind::Saml, cookie, 1_000).is_empty(), "{cookie}");
        }
    }

    #[test]
    fn a_browser_keeps_the_newest_few_and_they_fit_into_a_cookie() {
        let (master, provider) = (MasterKey::random().unwrap(), saml_provider());
        let begun: Vec<Flow> = (0..FLOWS_MAX + 2).map(|_| flow(&provider, "/", 0)).collect();
        let cookie = sealed(&master, &begun);
        let mut flows = Flows::open(&master, Kind::Saml, &cookie, 0);
        assert_eq!(flows.0.len(), FLOWS_MAX);
        flows.take(begun[FLOWS_MAX + 1].handle(), &provider.tenant_id, &provider.id).unwrap();
        let long = format!("/{}", "x".repeat(RETURN_BYTES_MAX - 1));
        let begun = [(); FLOWS_MAX].map(|()| flow(&provider, &long, 0));
        let cookie = sealed(&master, &begun);
        assert!(cookie.len() <= COOKIE_BYTES_MAX, "{}", cookie.len());
        assert!(!Flows::open(&master, Kind::Saml, &cookie, 0).is_empty());
    }

    #[test]
    fn a_flow_is_finished_once_and_forgotten_when_nobody_could_finish_it() {
        let (platform, provider) = (FakeEngine::default(), saml_provider());
        let finish = |flow: &Flow| {
            let act = flow.finish();
            platform.write(&act.expect, &act.writes).unwrap()
        };
        let (one, two) = (flow(&provider, "/", 0), flow(&provider, "/", 5));
        assert!(finish(&one) && finish(&two) && !finish(&one));
        forget(&platform, FLOW_MS + REMEMBERED_MS - 1).unwrap();
        assert!(!finish(&one));
        forget(&platform, FLOW_MS + REMEMBERED_MS).unwrap();
        assert_eq!(platform.platform_len(), 1);
        assert!(!finish(&two));
    }

    #[test]
    fn a_tenant_that_goes_takes_its_finished_flows_along() {
        let (platform, one, other) = (FakeEngine::default(), saml_provider(), saml_provider());
        for (provider, count) in [(&one, FORGOTTEN_AT_ONCE + 7), (&other, 3)] {
            let begun = (0..count).map(|at| flow(provider, "/", at as TimeMs));
            let writes: Vec<_> = begun.flat_map(|flow| flow.finish().writes).collect();
            platform.write(&[], &writes).unwrap();
        }
        forget_tenant(&platform, &one.tenant_id).unwrap();
        assert_eq!(platform.platform_len(), 3);
        forget_tenant(&platform, &other.tenant_id).unwrap();
        assert_eq!(platform.platform_len(), 0);
    }

    #[test]
    fn only_paths_of_this_server_are_returned_to() {
        for good in ["/", "/runs?f=status%3Dfailure&range=7d", "/a//b", "/@evil.example"] {
            assert_eq!(local_path(good), Some(good));
        }
        let long = format!("/{}", "x".repeat(RETURN_BYTES_MAX));
        for bad in [
            "",
            "runs",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "/\t/evil.example",
            "\t//evil.example",
            " /runs",
            "/runs ",
            "/\n/evil.example",
            "https://evil.example",
            "https:/evil.example",
            "javascript:alert(1)",
            "/é",
            "/\0",
            &long,
        ] {
            assert_eq!(local_path(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_cookie_is_flows_or_none(cookie: String, bytes: Vec<u8>) {
            static MASTER: std::sync::OnceLock<MasterKey> = std::sync::OnceLock::new();
            let master = MASTER.get_or_init(|| MasterKey::random().unwrap());
            prop_assert!(Flows::open(master, Kind::Oidc, &cookie, 0).is_empty());
            let cookie = URL_SAFE_NO_PAD.encode(bytes);
            prop_assert!(Flows::open(master, Kind::Oidc, &cookie, 0).is_empty());
        }
    }
}
