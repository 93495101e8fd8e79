//! Trying a provider out before anybody signs in there: all that can be found without a person.

use super::document::{ALGORITHMS, Document};
use super::{Client, OidcError, Settings, Started, keys, outgoing};

/// What is given in the place of a code. No provider has made it, so that none can be used up.
const NO_CODE: &str = "emx-tries-whether-you-know-this-client";

/// One thing that was tried: its name, and what was found, or why it failed.
pub type Tried = (&'static str, Result<String, OidcError>);

impl Client {
    /// Reaches for the provider in `settings` as a sign-in would, as far as it can without somebody who
    /// signs in. After a step that failed there are none. Asks anew what is remembered, so that what was
    /// mended a moment ago is seen; what it finds is not remembered.
    pub async fn probe(&self, settings: &Settings) -> Vec<Tried> {
        let mut tried = Vec::new();
        if let Err((name, error)) = self.try_all(settings, &mut tried).await {
            tried.push((name, Err(error)));
        }
        tried
    }

    async fn try_all(
        &self,
        settings: &Settings,
        tried: &mut Vec<Tried>,
    ) -> Result<(), (&'static str, OidcError)> {
        let mut passed = |name, found: String| tried.push((name, Ok(found)));
        self.check(settings).await.map_err(|error| ("issuer", error))?;
        passed("issuer", "it leads to where requests may go".into());

        let document = self.discover(settings).await.map_err(|error| ("discovery", error))?;
        let known = ALGORITHMS.iter().filter(|(_, known)| document.algorithms.contains(known));
        let algorithms = known.map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        passed("discovery", format!("the document is the issuer's; ID tokens by {algorithms}"));

        let count = self.reach(settings, &document).await.map_err(|error| ("endpoints", error))?;
        passed("endpoints", format!("{count}, each where requests may go"));

        let found = self.try_keys(settings, &document).await.map_err(|error| ("keys", error))?;
        passed("keys", format!("{found} of them can verify ID tokens"));

        let said = self.try_secret(settings, &document).await;
        passed("credentials", said.map_err(|error| ("credentials", error))?);
        Ok(())
    }

    /// How many endpoints there are that this server asks, each of which it may.
    async fn reach(&self, settings: &Settings, document: &Document) -> Result<usize, OidcError> {
        let asked = [&document.token_endpoint, &document.jwks_uri];
        let asked = asked.into_iter().chain(&document.userinfo_endpoint);
        let mut count = 0;
        for endpoint in asked {
            let checked = self.outgoing.check(&settings.owner, endpoint).await;
            checked.map_err(outgoing("take the provider's endpoints"))?;
            count += 1;
        }
        Ok(count)
    }

    async fn try_keys(&self, settings: &Settings, document: &Document) -> Result<usize, OidcError> {
        const DOING: &str = "read the provider's keys";
        let written = self.fetch::<keys::Written>(settings, DOING, &document.jwks_uri).await?;
        match written.usable().count() {
            0 => Err(OidcError::Answer { doing: DOING, why: "has no key that verifies ID tokens" }),
            count => Ok(count),
        }
    }

    /// Whether the provider knows the client and its secret: it is asked to exchange what is no code, and
    /// says which of both is wrong (RFC 6749 §5.2).
    async fn try_secret(
        &self,
        settings: &Settings,
        document: &Document,
    ) -> Result<String, OidcError> {
        let nothing = Started {
            url: String::new(),
            state: String::new(),
            nonce: String::new(),
            verifier: NO_CODE.repeat(2), // 43 characters at least (RFC 7636 §4.1)
        };
        match self.exchange(settings, document, &nothing, NO_CODE).await {
            Err(OidcError::Exchange { reason: "invalid_grant" }) => {
                Ok("the provider knows the client and its secret".into())
            }
            Err(OidcError::Exchange { reason: reason @ ("invalid_request" | "unknown_error") }) => {
                Ok(format!("not known before somebody signs in: the provider says `{reason}`"))
            }
            Err(error) => Err(error),
            Ok(_) => Err(OidcError::Answer {
                doing: "try the credentials",
                why: "takes for a code what is none",
            }),
        }
    }
}
