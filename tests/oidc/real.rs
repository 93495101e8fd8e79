//! The npm package `oidc-provider`, an OpenID provider that is not ours and is certified as one. It
//! runs over TLS; a person with a browser of few words signs in at it.

#[path = "../support/install.rs"]
mod install;

use crate::provider::{Callback, REDIRECT_URI};
use crate::site::{Reply, Site};
use crate::wire::{PUBLIC, Wire};
use crate::world::guard;
use bytes::Bytes;
use emx::identity::oidc::{Client, External, OidcError, Settings, Started};
use emx::runtime::clock::Clock;
use emx::runtime::outgoing::{Outgoing, Patience, Trust};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, COOKIE, HOST, LOCATION, SET_COOKIE};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const NAME: &str = "idp.example.org";
const ISSUER: &str = "https://idp.example.org";
const SECRET: &str = "a secret: with/signs+%";

/// Pages that a sign-in leads through, at most.
const PAGES_MAX: usize = 20;

/// The provider as a process. It is killed when this is dropped.
struct Real {
    child: Child,
    address: SocketAddr,
    client: Client,
    tls: Arc<ClientConfig>,
    /// Not read any more, but kept: whoever writes where nobody can read ends.
    _output: Lines<BufReader<ChildStdout>>,
    _certificate: Site,
}

impl Drop for Real {
    fn drop(&mut self) {
        let _may_have_ended = self.child.kill();
        let _may_have_ended = self.child.wait();
    }
}

/// A directory with the provider and its packages.
fn provider() -> Result<PathBuf, &'static str> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc/real");
    install::node(&folder, "oidc", &["provider.mjs"])
}

impl Real {
    async fn start(dir: &Path) -> Self {
        // For its certificate alone.
        let certificate = Site::start(&[NAME], Arc::new(|_| Reply::new(404, &[], ""))).await;
        let (ca_file, key_file) = (certificate.ca_file(), certificate.key_file());
        let mut child = Command::new("node")
            .arg(dir.join("provider.mjs"))
            .args([&ca_file, &key_file])
            .args([ISSUER, REDIRECT_URI])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = output.by_ref().map_while(Result::ok).find(|line| line.starts_with("READY "));
        let port = ready.unwrap()["READY ".len()..].parse().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let wire = Wire::new();
        wire.name(NAME, &[&[PUBLIC]]);
        wire.line(&format!("{PUBLIC}:443"), address);
        let trust = Trust::of_file(&ca_file).unwrap();
        let client = Client::new(Outgoing::over(wire, guard(), trust, Patience::default()));
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&ca_file).unwrap()).unwrap();
        let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tls = Arc::new(tls);
        Self { child, address, client, tls, _output: output, _certificate: certificate }
    }

    async fn sign_in(&self, settings: &Settings, who: &str) -> Result<External, OidcError> {
        let started = self.client.start(settings, &clock()).await?;
        let callback = Browser::new(self).sign_in(&started.url, who).await.unwrap();
        self.finish(settings, &started, &callback).await
    }

    async fn finish(
        &self,
        settings: &Settings,
        started: &Started,
        callback: &Callback,
    ) -> Result<External, OidcError> {
        let Callback { code, state, iss } = callback;
        self.client.finish(settings, started, code, state, iss.as_deref(), &clock()).await
    }
}

fn clock() -> Clock {
    Clock::system()
}

fn settings(algorithm: &str) -> Settings {
    let [issuer, id, secret, uri] = [ISSUER, algorithm, SECRET, REDIRECT_URI].map(str::to_owned);
    let mut settings = Settings::generic(issuer, id, Some(secret), uri);
    settings.scopes.push("groups".to_owned());
    settings
}

/// A browser that keeps cookies, follows redirects, and fills in what it is told.
struct Browser<'a> {
    real: &'a Real,
    cookies: HashMap<String, String>,
}

struct Page {
    location: Option<String>,
    text: String,
}

impl<'a> Browser<'a> {
    fn new(real: &'a Real) -> Self {
        Self { real, cookies: HashMap::new() }
    }

    /// Signs in as `who` and agrees. An error where the provider sends one back.
    async fn sign_in(&mut self, url: &str, who: &str) -> Result<Callback, String> {
        self.walk(
            url,
            &[format!("prompt=login&login={who}&password=x"), "prompt=consent".to_owned()],
        )
        .await
    }

    /// Follows redirects from `url` on, and sends one of `forms` at each form that comes, until it is
    /// sent back. Where there is no form left it gives up as a person does.
    async fn walk(&mut self, url: &str, forms: &[String]) -> Result<Callback, String> {
        let mut forms = forms.iter();
        let (mut method, mut url, mut body) = (Method::GET, url.to_owned(), String::new());
        for _ in 0..PAGES_MAX {
            let page = self.load(method, &url, body).await;
            (method, body) = (Method::GET, String::new());
            if let Some(location) = page.location {
                if let Some(answer) = location.strip_prefix(REDIRECT_URI) {
                    return callback(answer);
                }
                url = location;
                continue;
            }
            let action =
                page.text.split("action=\"").nth(1).and_then(|rest| rest.split('"').next());
            let action = action.unwrap_or_else(|| panic!("no form: {}", page.text));
            match forms.next() {
                Some(form) => (method, url, body) = (Method::POST, action.to_owned(), form.clone()),
                None => url = format!("{action}/abort"),
            }
        }
        panic!("the sign-in leads in circles");
    }

    async fn load(&mut self, method: Method, url: &str, body: String) -> Page {
        let target = url.strip_prefix(ISSUER).unwrap_or(url);
        let cookies = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, NAME)
            .header(COOKIE, cookies.collect::<Vec<_>>().join("; "))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let tcp = TcpStream::connect(self.real.address).await.unwrap();
        let name = ServerName::try_from(NAME).unwrap();
        let stream = TlsConnector::from(self.real.tls.clone()).connect(name, tcp).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let answer = async {
            let answer = sender.send_request(request).await.unwrap();
            let (head, body) = answer.into_parts();
            (head, body.collect().await.unwrap().to_bytes())
        };
        let (head, text) = tokio::select! {
            answer = answer => answer,
            ended = connection => panic!("{ended:?}"),
        };
        for cookie in head.headers.get_all(SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let location = head.headers.get(LOCATION).map(|to| to.to_str().unwrap().to_owned());
        Page { location, text: String::from_utf8(text.to_vec()).unwrap() }
    }
}

fn callback(answer: &str) -> Result<Callback, String> {
    let query = answer.strip_prefix('?').unwrap().as_bytes();
    let mut query: HashMap<String, String> = form_urlencoded::parse(query).into_owned().collect();
    if let Some(error) = query.remove("error") {
        return Err(error);
    }
    let [code, state] = ["code", "state"].map(|name| query.remove(name).unwrap());
    Ok(Callback { code, state, iss: query.remove("iss") })
}

#[tokio::test]
async fn people_sign_in_at_a_provider_that_is_not_ours() {
    let dir = match provider() {
        Ok(dir) => dir,
        Err(why) => return println!("skipped: a sign-in at `oidc-provider`, for {why}"),
    };
    let real = Real::start(&dir).await;
    for algorithm in ["RS256", "PS256", "ES256", "EdDSA"] {
        let person = real.sign_in(&settings(algorithm), "alice").await;
        let expected = External {
            issuer: ISSUER.to_owned(),
            subject: "alice".to_owned(),
            email: Some("alice@example.org".to_owned()),
            email_verified: true,
            groups: vec!["staff".to_owned(), "of-alice".to_owned()],
            until_ms: None,
        };
        assert_eq!(person, Ok(expected), "{algorithm}");
    }
    let nobody = real.sign_in(&settings("ES256"), "nobody").await.unwrap();
    assert_eq!((&*nobody.subject, nobody.email, nobody.groups.len()), ("nobody", None, 0));
    refusals(&real).await;
}

/// What the client refuses, and what the provider does.
async fn refusals(real: &Real) {
    let good = settings("RS256");
    let begin = async || {
        let started = real.client.start(&good, &clock()).await.unwrap();
        let callback = Browser::new(real).sign_in(&started.url, "alice").await.unwrap();
        assert_eq!(callback.iss.as_deref(), Some(ISSUER));
        (started, callback)
    };
    let refused = |reason| Err(OidcError::Exchange { reason });
    let code = |outcome: Result<External, OidcError>| outcome.unwrap_err().code();

    let (started, callback) = begin().await;
    let other = Started { nonce: "x".repeat(43), ..started.clone() };
    assert_eq!(code(real.finish(&good, &other, &callback).await), "id_token_nonce");
    // The code is spent, though nobody was signed in.
    assert_eq!(real.finish(&good, &started, &callback).await, refused("invalid_grant"));

    let (started, callback) = begin().await;
    let stolen = Started { verifier: "x".repeat(43), ..started };
    assert_eq!(real.finish(&good, &stolen, &callback).await, refused("invalid_grant"));

    let (started, callback) = begin().await;
    let wrong = Settings { client_secret: Some("wrong".to_owned()), ..good.clone() };
    assert_eq!(real.finish(&wrong, &started, &callback).await, refused("invalid_client"));
    let others = Settings { client_id: "ES256".to_owned(), ..good.clone() };
    assert_eq!(real.finish(&others, &started, &callback).await, refused("invalid_grant"));

    let (started, callback) = begin().await;
    let moved = Settings { redirect_uri: format!("{REDIRECT_URI}/"), ..good.clone() };
    assert_eq!(real.finish(&moved, &started, &callback).await, refused("invalid_grant"));

    let (started, mut callback) = begin().await;
    callback.iss = None;
    assert_eq!(code(real.finish(&good, &started, &callback).await), "issuer_mismatch");

    let slashed = Settings { issuer: format!("{ISSUER}/"), ..good.clone() };
    let error = real.client.start(&slashed, &clock()).await.unwrap_err();
    assert_eq!(error.code(), "discovery_invalid");

    // The person gives up instead of agreeing.
    let started = real.client.start(&good, &clock()).await.unwrap();
    let login = ["prompt=login&login=alice&password=x".to_owned()];
    let error = Browser::new(real).walk(&started.url, &login).await.unwrap_err();
    assert_eq!(OidcError::denied(&error), OidcError::Denied { reason: "access_denied" });
}
