//! Whom a SAML response is believed to name, and whom not: by an identity provider of our own, which
//! signs what a real one never would, and by two that are not ours.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the finding")]

#[path = "saml/accepted.rs"]
mod accepted;
#[path = "saml/attacks.rs"]
mod attacks;
#[path = "saml/flood.rs"]
mod flood;
#[path = "saml/idp.rs"]
mod idp;
#[path = "support/install.rs"]
mod install;
#[path = "saml/markup.rs"]
mod markup;
#[path = "saml/opened.rs"]
mod opened;
#[path = "saml/peers.rs"]
mod peers;
#[path = "saml/protocol.rs"]
mod protocol;
#[path = "saml/refused.rs"]
mod refused;
#[path = "saml/reports.rs"]
mod reports;
#[path = "saml/settings.rs"]
mod settings;
#[path = "saml/signatures.rs"]
mod signatures;
#[path = "saml/wrapping.rs"]
mod wrapping;
