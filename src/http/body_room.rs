//! Memory for the bodies of requests that are on their way, one bound over all of them: however many
//! peers begin large bodies together, the process keeps within it.
//!
//! Not counted are bodies of one piece and those that may not be long: how many of them there can be is
//! bounded by the connections and by what each connection's window lets in.

use super::problem::Problem;
use crate::model::problem::writing::BUSY;
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of all bodies together: as they come, before they are decoded.
const BYTES_MAX: usize = 256 << 20;
/// Room is counted in pieces of so many bytes.
const PIECE_BYTES: usize = 4 << 10;

/// The room that is left. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct BodyRoom(Arc<Semaphore>);

impl Default for BodyRoom {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(BYTES_MAX / PIECE_BYTES)))
    }
}

/// A body as far as it has come, and the room that it takes.
pub(super) struct Gathering {
    /// `None`: it is not counted.
    room: Option<BodyRoom>,
    taken: Option<OwnedSemaphorePermit>,
    bytes: Vec<u8>,
}

/// A whole body that gives its room back with its last reference.
struct Gathered {
    bytes: Vec<u8>,
    _taken: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Gathered {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl BodyRoom {
    /// Takes room for at least `bytes`.
    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let pieces = u32::try_from(bytes.div_ceil(PIECE_BYTES)).unwrap_or(u32::MAX);
        Arc::clone(&self.0).try_acquire_many_owned(pieces).map_err(|_| {
            Problem::unavailable(BUSY, "too many large bodies are on their way: come back later")
        })
    }
}

impl Gathering {
    /// The beginning of a body that is counted against `room`, or not at all.
    pub(super) fn new(room: Option<BodyRoom>) -> Self {
        Self { room, taken: None, bytes: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends `chunk`. Fails where there is no more room for all bodies.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<(), Problem> {
        let needed = self.bytes.len() + chunk.len();
        if needed > self.bytes.capacity() {
            let wanted = needed.max(2 * self.bytes.capacity());
            let more = wanted - self.bytes.capacity();
            let more = self.room.as_ref().map(|room| room.take(more)).transpose()?;
            self.bytes.reserve_exact(wanted - self.bytes.len());
            match (&mut self.taken, more) {
                (Some(taken), Some(more)) => taken.merge(more),
                (taken, more) => *taken = more,
            }
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    /// The body, now that it is whole.
    pub(super) fn finish(self) -> Bytes {
        Bytes::from_owner(Gathered { bytes: self.bytes, _taken: self.taken })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_share_one_bound_and_give_back_what_they_took() {
        let room = BodyRoom::default();
        let all = room.0.available_permits();
        let chunk = vec![7; 1 << 20];
        let mut bodies: Vec<Gathering> = Vec::new();
        let refused = loop {
            let mut body = Gathering::new(Some(room.clone()));
            if let Err(problem) = (0..4).try_for_each(|_| body.push(&chunk)) {
                break problem;
            }
            bodies.push(body);
            assert!(bodies.len() <= BYTES_MAX / (4 << 20), "more than there is room for");
        };
        assert_eq!(refused.into_reply("").status(), hyper::StatusCode::SERVICE_UNAVAILABLE);
        assert!(bodies.len() >= BYTES_MAX / (8 << 20), "most of the room can be used");
        let whole = bodies.pop().unwrap().finish();
        assert!(whole.len() == 4 << 20 && whole.iter().all(|byte| *byte == 7));
        bodies.clear();
        assert!(room.0.available_permits() < all);
        drop(whole);
        assert_eq!(room.0.available_permits(), all);
    }
}
