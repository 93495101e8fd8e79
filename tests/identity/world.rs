//! An installation with two tenants and a user in each, on disk, and a hand that can forge.
#![allow(dead_code, reason = "every test that includes it uses another part")]

use aws_lc_rs::rsa::KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use emx::audit::Source;
use emx::identity::account::Account;
use emx::identity::client::Client;
use emx::identity::email::Email;
use emx::identity::login::{Credentials, LoginError};
use emx::identity::password::Password;
use emx::identity::secret::MasterKey;
use emx::identity::settings::IdentitySettings;
use emx::identity::{Identity, RefreshError, SignedIn};
use emx::tenancy::by::By;
use emx::tenancy::life::TenantChange;
use emx::tenancy::permission::Role;
use emx::tenancy::registry::{Completion, NewTenant, Tenancy};
use emx::tenancy::scope::Principal;
use emx::tenancy::slug::Slug;
use emx::tenancy::tenant::{Tenant, TenantState};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::embedded::{EmbeddedEngine, EngineSettings};
use storage::engine::{Engine, Tables};
use storage::row::TimeMs;
use storage::volume::OsVolume;
use tempfile::TempDir;

/// When everything begins: 2026-11-26.
pub(crate) const NOW_MS: TimeMs = 1_795_000_000_000;

pub(crate) const EMAIL: &str = "you@example.org";
pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) platform: Arc<dyn Tables>,
    pub(crate) tenancy: Tenancy,
    pub(crate) identity: Identity,
    pub(crate) acme: Arc<Tenant>,
    pub(crate) other: Arc<Tenant>,
    settings: IdentitySettings,
}

/// Who calls unless a test says otherwise.
pub(crate) const NOBODY: Client<'static> = Client { address: None, agent: None, request_id: None };

/// Where an act comes from unless a test says otherwise.
pub(crate) const NOWHERE: Source = Source { address: None, request_id: None };

/// The client `agent` at `address`.
pub(crate) fn client<'a>(address: &str, agent: &'a str) -> Client<'a> {
    Client { address: Some(address.parse().unwrap()), agent: Some(agent), request_id: None }
}

impl World {
    /// Tenants `acme` and `other`, in each an owner with the same address and password.
    pub(crate) fn new() -> Self {
        Self::with(IdentitySettings::default())
    }

    /// The same under these settings.
    pub(crate) fn with(settings: IdentitySettings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (platform, tenancy, identity) = open(dir.path(), &settings, NOW_MS);
        for name in ["acme", "other"] {
            let new = NewTenant { slug: Slug::parse(name).unwrap(), time_zone: "UTC".into() };
            let tenant = tenancy
                .create(new, &By::operator(), NOW_MS, |_| Ok(Completion::default()))
                .unwrap();
            let email = Email::parse(EMAIL).unwrap();
            let password = Password::choose(PASSWORD, &email, name).unwrap();
            identity
                .create_user(&tenant.id, &email, Role::Owner, &password, &By::operator(), NOW_MS)
                .unwrap();
        }
        let [acme, other] = ["acme", "other"].map(|name| tenancy.named(name).unwrap());
        Self { dir, platform, tenancy, identity, acme, other, settings }
    }

    /// Has nobody enter `tenant` any more, which is to be deleted.
    pub(crate) fn begin_deletion(&self, tenant: &Tenant) -> Tenant {
        let (change, by) = (TenantChange::to(TenantState::Deleting), By::operator());
        self.tenancy.change(&tenant.slug, &change, |_| true, &by, NOW_MS).unwrap()
    }

    /// The same after the process ended and another began.
    pub(crate) fn restarted(self) -> Self {
        self.restarted_at(NOW_MS)
    }

    /// The same at another time.
    pub(crate) fn restarted_at(self, now_ms: TimeMs) -> Self {
        self.reopened(None, None, now_ms, || {})
    }

    /// The same under other settings.
    pub(crate) fn under(self, settings: IdentitySettings) -> Self {
        self.reopened(None, Some(settings), NOW_MS, || {})
    }

    /// The same; between the two processes `act` has the data to itself.
    pub(crate) fn between(self, act: impl FnOnce()) -> Self {
        self.reopened(None, None, NOW_MS, act)
    }

    /// The installation in `data_dir`, which lies in `dir` and was made of this one.
    pub(crate) fn moved_to(self, dir: TempDir, data_dir: &Path) -> Self {
        self.reopened(Some((dir, data_dir)), None, NOW_MS, || {})
    }

    /// The data directory that nobody has open any more, and what it lies in.
    pub(crate) fn closed(self) -> (TempDir, PathBuf) {
        let Self { dir, platform, tenancy, identity, .. } = self;
        drop((platform, tenancy, identity));
        let data_dir = dir.path().to_owned();
        (dir, data_dir)
    }

    fn reopened(
        self,
        moved_to: Option<(TempDir, &Path)>,
        settings: Option<IdentitySettings>,
        now_ms: TimeMs,
        act: impl FnOnce(),
    ) -> Self {
        let Self { dir, platform, tenancy, identity, acme, other, settings: before } = self;
        drop((platform, tenancy, identity));
        act();
        let settings = settings.unwrap_or(before);
        let here = dir.path().to_owned();
        let (dir, data_dir) = match moved_to {
            Some((dir, data_dir)) => (dir, data_dir.to_owned()),
            None => (dir, here),
        };
        let (platform, tenancy, identity) = open(&data_dir, &settings, now_ms);
        Self { dir, platform, tenancy, identity, acme, other, settings }
    }

    pub(crate) fn sign_in(&self, now_ms: TimeMs) -> SignedIn {
        self.sign_in_as(NOBODY, now_ms)
    }

    pub(crate) fn sign_in_as(&self, client: Client<'_>, now_ms: TimeMs) -> SignedIn {
        let credentials = Credentials { client, ..credentials("acme", EMAIL, PASSWORD) };
        self.identity.login(&self.tenancy, &credentials, now_ms).unwrap()
    }

    pub(crate) fn refresh(&self, text: &str, now_ms: TimeMs) -> Result<SignedIn, RefreshError> {
        self.identity.refresh(&self.tenancy, text, None, NOBODY, now_ms)
    }

    /// A user of `acme` with the usual password.
    pub(crate) fn user(&self, email: &str, role: Role) -> Account {
        let email = Email::parse(email).unwrap();
        let password = Password::choose(PASSWORD, &email, "acme").unwrap();
        let by = By::operator();
        self.identity.create_user(&self.acme.id, &email, role, &password, &by, NOW_MS).unwrap()
    }

    /// What comes of signing in at `acme`, with a second factor or without.
    pub(crate) fn try_sign_in(
        &self,
        email: &str,
        password: &str,
        otp: Option<&str>,
        now_ms: TimeMs,
    ) -> Result<SignedIn, LoginError> {
        let credentials = Credentials { otp, ..credentials("acme", email, password) };
        self.identity.login(&self.tenancy, &credentials, now_ms)
    }

    /// Whoever signed in.
    pub(crate) fn who(&self, signed_in: &SignedIn, now_ms: TimeMs) -> By {
        let token = &signed_in.access_token;
        let principal = self.identity.authenticate_token(token, NOBODY, now_ms).unwrap();
        By { principal, source: NOWHERE }
    }

    /// Whether `text` stands anywhere in the files of the data directory.
    pub(crate) fn is_on_disk(&self, text: &str) -> bool {
        fn any_file(dir: &Path, holds: &dyn Fn(&[u8]) -> bool) -> bool {
            std::fs::read_dir(dir).unwrap().any(|entry| {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    any_file(&path, holds)
                } else {
                    holds(&std::fs::read(path).unwrap())
                }
            })
        }
        let text = text.as_bytes();
        any_file(self.dir.path(), &|bytes| bytes.windows(text.len()).any(|window| window == text))
    }
}

/// Somebody who acts, from nowhere.
pub(crate) fn by(principal: &Principal) -> By {
    By { principal: principal.clone(), source: Source::default() }
}

pub(crate) fn credentials<'a>(
    tenant: &'a str,
    email: &'a str,
    password: &'a str,
) -> Credentials<'a> {
    Credentials { tenant, email, password, otp: None, client: NOBODY }
}

pub(crate) fn open(
    dir: &Path,
    identity: &IdentitySettings,
    now_ms: TimeMs,
) -> (Arc<dyn Tables>, Tenancy, Identity) {
    let settings = EngineSettings { cache_bytes: 8 << 20, ..EngineSettings::default() };
    let engine: Arc<dyn Engine> =
        Arc::new(EmbeddedEngine::open(OsVolume::shared(dir), settings).unwrap());
    let platform = engine.platform().unwrap();
    let master = MasterKey::load_or_make(dir).unwrap();
    let tenancy = Tenancy::start(engine).unwrap();
    let log = Arc::clone(tenancy.log());
    let identity = Identity::start(log, master, identity, now_ms).unwrap();
    (platform, tenancy, identity)
}

/// Somebody who got hold of the key that signs, and of a token to imitate.
pub(crate) struct Forger {
    pub(crate) pair: KeyPair,
    pub(crate) kid: String,
    pub(crate) claims: Value,
}

impl Forger {
    pub(crate) fn of(world: &World, token: &str) -> Self {
        let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
        let header: Value = serde_json::from_slice(&parts.next().unwrap()).unwrap();
        let claims = serde_json::from_slice(&parts.next().unwrap()).unwrap();
        let kid = header["kid"].as_str().unwrap().to_owned();
        let record = world.platform.get("signing_keys", kid.as_bytes()).unwrap().unwrap();
        let record: Value = serde_json::from_slice(&record).unwrap();
        let sealed = STANDARD.decode(record["sealed"].as_str().unwrap()).unwrap();
        let private = world.identity.master_key().open(&format!("signing_key/{kid}"), &sealed);
        Self { pair: KeyPair::from_pkcs8(&private.unwrap()).unwrap(), kid, claims }
    }

    /// The same, with the claims of another token by the same key.
    pub(crate) fn imitating(self, token: &str) -> Self {
        let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
        let header: Value = serde_json::from_slice(&parts.next().unwrap()).unwrap();
        assert_eq!(header["kid"], self.kid);
        Self { claims: serde_json::from_slice(&parts.next().unwrap()).unwrap(), ..self }
    }

    pub(crate) fn header(&self) -> String {
        format!(r#"{{"typ":"at+jwt","alg":"RS256","kid":"{}"}}"#, self.kid)
    }

    /// A token of these texts, rightly signed.
    pub(crate) fn sign(&self, header: &[u8], claims: &[u8]) -> String {
        let signed = unsigned(header, claims);
        let encoding = &aws_lc_rs::signature::RSA_PKCS1_SHA256;
        let signature = self.signature(encoding, &signed);
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    pub(crate) fn signature(
        &self,
        encoding: &'static dyn aws_lc_rs::signature::RsaEncoding,
        signed: &str,
    ) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let random = aws_lc_rs::rand::SystemRandom::new();
        self.pair.sign(encoding, &random, signed.as_bytes(), &mut signature).unwrap();
        signature
    }

    /// A rightly signed token whose claims differ in one.
    pub(crate) fn with(&self, claim: &str, value: Value) -> String {
        let mut claims = self.claims.clone();
        claims[claim] = value;
        self.sign(self.header().as_bytes(), claims.to_string().as_bytes())
    }

    /// A rightly signed token that lacks a claim.
    pub(crate) fn without(&self, claim: &str) -> String {
        let mut claims = self.claims.clone();
        claims.as_object_mut().unwrap().remove(claim).unwrap();
        self.sign(self.header().as_bytes(), claims.to_string().as_bytes())
    }
}

/// Header and claims with the dot between.
pub(crate) fn unsigned(header: &[u8], claims: &[u8]) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}
