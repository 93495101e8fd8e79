//! Which SAML assertions were used.
//!
//! *Invariants*: an assertion lets somebody in once, a restart in between or not: that it was used is
//! stored before anybody is let in, and stays until it could not be accepted any more. Assertions of
//! different providers have nothing to do with each other, whatever they are called.

use super::provider::Provider;
use crate::identity::opaque;
use crate::identity::saml::Assertion;
use crate::tenancy::id::TenantId;
use crate::tenancy::record::{self, absent, delete, put};
use crate::tenancy::registry::Completion;
use storage::engine::Tables;
use storage::error::StoreError;
use storage::row::TimeMs;

/// Used assertions by `<tenant>/<provider>/<hash of the issuer and the assertion's id>`; the value says
/// when they end.
const USED: &str = "saml_assertions";

/// The same by `<end in ms, 20 digits>/<key>`; the value says nothing.
const BY_END: &str = "saml_assertion_ends";

/// A value that says nothing.
const MARK: &[u8] = b"1";

/// How many that have run out are forgotten with each that is used.
const SWEEP_MAX: usize = 16;

/// How many go in one transaction with their tenant.
const FORGOTTEN_AT_ONCE: usize = 1_000;

fn key(provider: &Provider, assertion: &Assertion) -> String {
    // The length keeps two pairs apart that run together to one text.
    let text = format!("{}:{}{}", assertion.issuer.len(), assertion.issuer, assertion.id);
    format!("{}/{}/{}", provider.tenant_id, provider.id, opaque::hash_text(&opaque::hash(&text)))
}

/// What stores that the assertion was used; it fails as a whole where it was before.
pub(super) fn usage(provider: &Provider, assertion: &Assertion) -> Completion {
    let (key, end) = (key(provider, assertion), format!("{:020}", assertion.replay_until_ms));
    let by_end = format!("{end}/{key}");
    let writes = vec![
        put(USED, key.as_bytes(), end.into_bytes()),
        put(BY_END, by_end.as_bytes(), MARK.into()),
    ];
    Completion { expect: vec![absent(USED, key.as_bytes())], writes, told: Vec::new() }
}

/// Whether the assertion was used before.
pub(super) fn is_used(
    platform: &dyn Tables,
    provider: &Provider,
    assertion: &Assertion,
) -> Result<bool, StoreError> {
    Ok(platform.get(USED, key(provider, assertion).as_bytes())?.is_some())
}

/// Forgets some of the assertions that cannot be accepted any more.
pub(super) fn forget(platform: &dyn Tables, now_ms: TimeMs) -> Result<(), StoreError> {
    let mut writes = Vec::new();
    for (by_end, _) in platform.list(BY_END, b"", None, SWEEP_MAX)? {
        let text = String::from_utf8_lossy(&by_end);
        let (end, key) = text.split_once('/').unwrap_or((&text, ""));
        if end.parse::<TimeMs>().is_ok_and(|end| end > now_ms) {
            break;
        }
        writes.push(delete(USED, key.as_bytes()));
        writes.push(delete(BY_END, &by_end));
    }
    if !writes.is_empty() {
        platform.write(&[], &writes)?;
    }
    Ok(())
}

/// Forgets the assertions that were used in a tenant that goes.
pub(super) fn forget_tenant(platform: &dyn Tables, tenant_id: &TenantId) -> Result<(), StoreError> {
    let used = record::all(platform, USED, format!("{tenant_id}/").as_bytes())?;
    for some in used.chunks(FORGOTTEN_AT_ONCE) {
        let of_both = some.iter().flat_map(|(key, end)| {
            let by_end = [end, &b"/"[..], key].concat();
            [delete(USED, key), delete(BY_END, &by_end)]
        });
        platform.write(&[], &of_both.collect::<Vec<_>>())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::sso::provider::tests::saml_provider;
    use crate::tenancy::fake::FakeEngine;

    fn assertion(id: &str, replay_until_ms: TimeMs) -> Assertion {
        Assertion {
            id: id.into(),
            issuer: "https://idp.example.org".into(),
            name_id: "ada".into(),
            subject: "ada".into(),
            email: None,
            groups: Vec::new(),
            replay_until_ms,
            session_until_ms: None,
        }
    }

    #[test]
    fn an_assertion_is_used_once_by_each_provider_until_it_counts_no_more() {
        let (platform, one, other) = (FakeEngine::default(), saml_provider(), saml_provider());
        let use_it = |provider: &Provider, assertion: &Assertion| {
            let act = usage(provider, assertion);
            platform.write(&act.expect, &act.writes).unwrap()
        };
        let (early, late) = (assertion("_a", 1_000), assertion("_b", 2_000));
        assert!(use_it(&one, &early) && use_it(&one, &late) && use_it(&other, &early));
        assert!(!use_it(&one, &early) && is_used(&platform, &one, &early).unwrap());
        assert!(!use_it(&one, &assertion("_a", 5_000)), "another end is no other assertion");
        assert!(!is_used(&platform, &other, &late).unwrap());
        forget(&platform, 999).unwrap();
        assert!(is_used(&platform, &one, &early).unwrap());
        forget(&platform, 1_000).unwrap();
        assert!(!is_used(&platform, &one, &early).unwrap());
        assert!(is_used(&platform, &one, &late).unwrap());
        assert_eq!(platform.platform_len(), 2);
    }

    #[test]
    fn a_tenant_that_goes_takes_its_assertions_along() {
        let (platform, one, other) = (FakeEngine::default(), saml_provider(), saml_provider());
        for (provider, id) in [(&one, "_a"), (&one, "_b"), (&other, "_a")] {
            let act = usage(provider, &assertion(id, 1_000));
            assert!(platform.write(&act.expect, &act.writes).unwrap());
        }
        forget_tenant(&platform, &one.tenant_id).unwrap();
        assert!(is_used(&platform, &other, &assertion("_a", 1_000)).unwrap());
        assert_eq!(platform.platform_len(), 2);
    }
}
