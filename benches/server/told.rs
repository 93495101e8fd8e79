//! What one subscription was told, and when: ranges of seqs that join.

use crate::crowd::Crowd;
use anyhow::{Context, Result, ensure};
use std::ops::ControlFlow;
use std::time::Instant;

/// How an update begins, and what stands between its two seqs. Messages are many and this is read of
/// each of them, so the rest is not parsed.
const BEGINNING: &str = "\"type\":\"metrics_update\",\"data\":{\"first_seq\":";
const BETWEEN: &str = ",\"last_seq\":";

/// The updates of one subscription that began with a tenant's first seq: the last seq of each, and
/// when it came.
#[derive(Default)]
pub(crate) struct Told(Vec<(u64, Instant)>);

impl Told {
    /// Takes in an update, which must begin where the last one ended.
    fn hear(&mut self, message: &[u8], at: Instant) -> Result<()> {
        let (first, last) = range_of(message).with_context(|| {
            format!("no update, or one in other words: {}", String::from_utf8_lossy(message))
        })?;
        ensure!(first == self.last() + 1, "{first} was told after {}", self.last());
        self.0.push((last, at));
        Ok(())
    }

    /// The last seq that was told; 0 before the first.
    fn last(&self) -> u64 {
        self.0.last().map_or(0, |(last, _)| *last)
    }

    /// When `seq` was told.
    fn when(&self, seq: u64) -> Result<Instant> {
        let at = self.0.partition_point(|(last, _)| *last < seq);
        Ok(self.0.get(at).context("a seq was never told")?.1)
    }
}

/// Listens until everybody in `crowd`, who has been told nothing, was told of every seq up to `last`.
pub(crate) fn hear_all(crowd: &mut Crowd, last: u64) -> Result<Vec<Told>> {
    let mut told: Vec<Told> = (0..crowd.len()).map(|_| Told::default()).collect();
    let mut behind = told.len();
    crowd.listen(|n, message, at| {
        told[n].hear(message, at)?;
        behind -= usize::from(told[n].last() == last);
        Ok(if behind == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(told)
}

/// How long after `begun` each was told of `seq`, milliseconds.
pub(crate) fn latencies(told: &[Told], begun: Instant, seq: u64) -> Result<Vec<f64>> {
    told.iter().map(|told| Ok((told.when(seq)? - begun).as_secs_f64() * 1000.0)).collect()
}

/// The first and the last seq of an update.
fn range_of(message: &[u8]) -> Option<(u64, u64)> {
    let at = message.windows(BEGINNING.len()).position(|words| words == BEGINNING.as_bytes())?;
    let (first, rest) = number(&message[at + BEGINNING.len()..])?;
    let (last, _) = number(rest.strip_prefix(BETWEEN.as_bytes())?)?;
    Some((first, last))
}

/// The number that `text` begins with, and what follows.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit())?;
    Some((std::str::from_utf8(&text[..end]).ok()?.parse().ok()?, &text[end..]))
}
