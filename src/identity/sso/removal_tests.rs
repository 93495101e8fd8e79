//! Removals that a store interrupts, over tables in memory.

use super::*;
use crate::audit::AuditLog;
use crate::identity::client::Client;
use crate::identity::oidc::External;
use crate::identity::secret::MasterKey;
use crate::identity::settings::IdentitySettings;
use crate::identity::sso::provider::Provider;
use crate::identity::sso::provider::tests::saml_provider;
use crate::tenancy::by::By;
use crate::tenancy::fake::{Death, FakeEngine};
use crate::tenancy::permission::Role;
use crate::tenancy::record::{self, put};
use std::path::Path;
use std::sync::Arc;
use storage::engine::Tables;

fn started(engine: &FakeEngine, dir: &Path) -> Identity {
    let log = Arc::new(AuditLog::new(Arc::new(engine.clone())));
    let (master, settings) = (MasterKey::load_or_make(dir).unwrap(), IdentitySettings::default());
    Identity::start(log, master, &settings, 0).unwrap()
}

/// A provider that is in the tables.
fn stored(engine: &FakeEngine) -> Provider {
    let provider = Provider { default_role: Some(Role::Member), ..saml_provider() };
    let write = put(PROVIDERS, &provider.key(), record::encode(&provider).unwrap());
    assert!(engine.write(&[], &[write]).unwrap());
    provider
}

/// Lets `subject` in: the user's id.
fn let_in(identity: &Identity, provider: &Provider, subject: &str) -> String {
    let known = identity.sso_provider(&provider.tenant_id, &provider.id).unwrap();
    let person = External {
        issuer: "https://idp.example.org".into(),
        subject: subject.into(),
        email: None,
        email_verified: false,
        groups: Vec::new(),
        until_ms: None,
    };
    identity.admit_external(&known, person, Client::default(), 0).unwrap().user.id
}

fn links(engine: &FakeEngine) -> usize {
    record::all(engine, LINKS, b"").unwrap().len()
}

/// Has the store die at the changing call `call` of a removal; it lives again at once, or with the next
/// process.
fn check(call: u64, recovers: bool) {
    let (engine, dir) = (FakeEngine::default(), tempfile::tempdir().unwrap());
    let mut identity = started(&engine, dir.path());
    let (gone, kept) = (stored(&engine), stored(&engine));
    let (out, stays) = (let_in(&identity, &gone, "ada"), let_in(&identity, &kept, "ada"));
    let sessions =
        |identity: &Identity, user_id: &str| identity.sessions(user_id, 0).unwrap().len();
    engine.die_at(Some(Death { call, takes_effect: false, recovers }));
    let removed = identity.remove_sso_provider(&gone.tenant_id, &gone.id, &By::operator(), 0);
    assert_eq!(removed.unwrap_err().code(), "store_failed", "{call}");
    engine.die_at(None);
    assert_eq!(links(&engine), 2, "{call}: what is not over is not forgotten");
    let again = identity.remove_sso_provider(&gone.tenant_id, &gone.id, &By::operator(), 0);
    assert_eq!(again.unwrap_err().code(), "sso_provider_not_found", "{call}");
    match recovers {
        true => identity.keep_up(0).unwrap(),
        false => identity = started(&engine, dir.path()),
    }
    assert_eq!((sessions(&identity, &out), sessions(&identity, &stays)), (0, 1), "{call}");
    assert_eq!(links(&engine), 1, "{call}");
}

#[test]
fn a_removal_that_is_interrupted_comes_to_its_end_later() {
    // The provider goes with the first call, the session ends with the second, the link goes with the
    // third.
    for call in [1, 2] {
        for recovers in [true, false] {
            check(call, recovers);
        }
    }
}
