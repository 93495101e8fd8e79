//! Single sign-on at the real server: by a SAML provider that signs whatever it is told to, by an
//! OpenID provider and two SAML providers that are not ours, and from the command line.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "support/browser.rs"]
mod chromium;
#[path = "support/install.rs"]
mod install;
#[path = "support/peer.rs"]
mod peer;
#[path = "support/server.rs"]
mod server;

#[path = "outgoing/forms.rs"]
mod forms;
#[path = "saml/idp.rs"]
#[allow(dead_code, reason = "the tests of the protocol need more of it")]
mod idp;

#[path = "sso/browser.rs"]
mod browser;
#[path = "sso/check.rs"]
mod check;
#[path = "sso/command.rs"]
mod command;
#[path = "sso/document.rs"]
mod document;
#[path = "sso/oidc.rs"]
mod oidc;
#[path = "sso/page.rs"]
mod page;
#[path = "sso/peers.rs"]
mod peers;
#[path = "sso/providers.rs"]
mod providers;
#[path = "sso/rows.rs"]
mod rows;
#[path = "sso/saml.rs"]
mod saml;
#[path = "sso/sizes.rs"]
mod sizes;
#[path = "sso/targets.rs"]
mod targets;
#[path = "sso/told.rs"]
mod told;
#[path = "sso/world.rs"]
mod world;
