//! What is left of a provider that was removed: the sessions of those it let in, and who they were.
//!
//! *Invariant*: a link is there until the sessions of its user have ended. So whatever is interrupted, by
//! a crash or by a store that fails, is found by the links whose provider is gone, and done then.

use super::ProviderError;
use super::person::{self, LINKS};
use super::provider::PROVIDERS;
use super::registry::LINKS_AT_ONCE;
use crate::identity::{Identity, family};
use crate::tenancy::record::delete;
use crate::tenancy::registry::Completion;
use storage::error::StoreError;
use storage::row::TimeMs;

impl Identity {
    /// Ends the sessions of those whose links begin with `prefix`, and forgets who they were; of those whom
    /// that fails for it is done another time.
    pub(super) fn end_of_provider(
        &self,
        prefix: &str,
        now_ms: TimeMs,
    ) -> Result<(), ProviderError> {
        let (mut over, mut failed_with) = (Vec::new(), None);
        for (key, user_id) in person::links(&*self.platform, prefix)? {
            match self.end_of_linked(&user_id, now_ms) {
                Ok(()) => over.push(delete(LINKS, &key)),
                Err(error) => failed_with = failed_with.or(Some(error)),
            }
        }
        for some in over.chunks(LINKS_AT_ONCE) {
            self.platform.write(&[], some)?;
        }
        failed_with.map_or(Ok(()), Err)
    }

    fn end_of_linked(&self, user_id: &str, now_ms: TimeMs) -> Result<(), ProviderError> {
        if !family::of_user(&*self.platform, user_id)?.is_empty() {
            self.sessions.end_all(user_id, None, &Completion::default(), now_ms)?;
        }
        Ok(())
    }

    /// Goes on with every removal of a provider that did not come to its end. What cannot be done now is
    /// told to the log. To be called at a start, and every minute or so.
    pub(in crate::identity) fn finish_removals(&self, now_ms: TimeMs) {
        let mut after: Option<String> = None;
        loop {
            let found = match self.next_provider_with_links(after.as_deref()) {
                Ok(Some(found)) => found,
                Ok(None) => return,
                Err(error) => {
                    return tracing::warn!(%error, "who was let in by whom cannot be read");
                }
            };
            let (of_provider, is_there) = found;
            let prefix = format!("{of_provider}/");
            if !is_there && let Err(error) = self.end_of_provider(&prefix, now_ms) {
                tracing::warn!(provider = of_provider, %error, "its sessions go on for now");
            }
            after = Some(of_provider);
        }
    }

    /// The key of the next provider after the one with the key `after` that has links, and whether it is
    /// there. Reads two entries, however many links there are.
    fn next_provider_with_links(
        &self,
        after: Option<&str>,
    ) -> Result<Option<(String, bool)>, StoreError> {
        // `0` follows `/`: behind every link of that provider.
        let after = after.map(|after| format!("{after}0").into_bytes());
        let next = self.platform.list(LINKS, b"", after.as_deref(), 1)?;
        let Some((key, _)) = next.into_iter().next() else { return Ok(None) };
        let key = String::from_utf8_lossy(&key);
        let of_provider = key.rsplit_once('/').map_or(&*key, |(of_provider, _)| of_provider);
        let is_there = self.platform.get(PROVIDERS, of_provider.as_bytes())?.is_some();
        Ok(Some((of_provider.to_owned(), is_there)))
    }
}

#[cfg(test)]
#[path = "removal_tests.rs"]
mod tests;
