//! Has the parts read in rounds, each as long as a turn lasts: by as many workers at once as the turn has
//! processors. What a worker has stays with it from round to round.
//!
//! *Invariant*: which rounds there were shows in no answer: a worker goes on where it was.

use super::dictionary::Dictionary;
use super::plan::Step;
use super::read::{Question, Worker};
use crate::ask::{AskError, Budget, now};
use crate::turns::Turn;
use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Tallies that are made where the order of rows matters, however many threads there are. More
/// would cost more merging, fewer would leave threads without work.
const ORDERED_TALLIES: usize = 8;

/// Has all parts read, by as many workers as there are threads. Where order does not matter, each
/// takes the next part when it is done with one; else each has its share from the start.
pub(super) fn read_all<'a>(
    question: &'a Question<'a>,
    steps: &[Step<'_>],
    budget: &Budget,
) -> Result<Worker<'a>, AskError> {
    let progress = Progress { budget, used_bytes: AtomicUsize::new(0), failed: false.into() };
    let next = AtomicUsize::new(0);
    let threads = rayon::current_num_threads();
    let mut readers: Vec<Reader<'_, '_, '_>> = if question.wants.order_matters() {
        let per_share = steps.len().div_ceil(ORDERED_TALLIES).max(1);
        steps.chunks(per_share).map(|own| Reader::new(question, Share::Own(own))).collect()
    } else {
        let shares = (0..threads.min(steps.len())).map(|_| Share::Next { steps, next: &next });
        shares.map(|share| Reader::new(question, share)).collect()
    };
    while readers.iter().any(|reader| !reader.is_done) {
        let mut left: Vec<_> = readers.iter_mut().filter(|reader| !reader.is_done).collect();
        let turn = budget.turn(threads.min(left.len()))?;
        turn.run(|| round(&mut left, &turn, &progress))?;
    }
    budget.turn(1)?.run(|| {
        let mut workers = readers.into_iter().map(|reader| reader.worker);
        let mut all = workers.next().unwrap_or_else(|| Worker::new(question));
        for worker in workers {
            all.merge(worker);
            budget.check(all.tally.heap_bytes())?;
        }
        Ok(all)
    })
}

/// Lets the readers go on until the turn is over, as many at once as it has processors.
fn round(
    readers: &mut [&mut Reader<'_, '_, '_>],
    turn: &Turn<'_>,
    progress: &Progress<'_>,
) -> Result<(), AskError> {
    let go_on = |readers: &mut [&mut Reader<'_, '_, '_>]| {
        for reader in readers {
            if let Err(error) = reader.read(turn, progress) {
                progress.failed.store(true, Ordering::Relaxed);
                return Err(error);
            }
            if !reader.is_done {
                break; // the turn is over for the others, too
            }
        }
        Ok(())
    };
    if turn.processors() == 1 {
        return go_on(readers); // another thread would have to be woken for it
    }
    // Where all threads may compute, whoever is done first takes what is left.
    let is_whole = turn.processors() >= rayon::current_num_threads();
    let each = if is_whole { 1 } else { readers.len().div_ceil(turn.processors()).max(1) };
    readers.par_chunks_mut(each).try_for_each(go_on)
}

/// The steps of one worker.
enum Share<'s, 'p> {
    /// These.
    Own(&'s [Step<'p>]),
    /// The next one that no other worker has taken.
    Next { steps: &'s [Step<'p>], next: &'s AtomicUsize },
}

/// A worker, and how far it is.
struct Reader<'a, 's, 'p> {
    worker: Worker<'a>,
    question: &'a Question<'a>,
    share: Share<'s, 'p>,
    /// Steps taken.
    taken: usize,
    own_bytes: usize,
    is_done: bool,
}

/// What the workers know of each other.
struct Progress<'b> {
    budget: &'b Budget,
    used_bytes: AtomicUsize,
    failed: AtomicBool,
}

impl<'a, 's, 'p> Reader<'a, 's, 'p> {
    fn new(question: &'a Question<'a>, share: Share<'s, 'p>) -> Self {
        let worker = Worker::new(question);
        Self { worker, question, share, taken: 0, own_bytes: 0, is_done: false }
    }

    fn next_step(&mut self) -> Option<&'s Step<'p>> {
        let at = self.taken;
        self.taken += 1;
        match &self.share {
            Share::Own(steps) => steps.get(at),
            Share::Next { steps, next } => steps.get(next.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// Reads one step after the other until the turn is over or all are read.
    fn read(&mut self, turn: &Turn<'_>, progress: &Progress<'_>) -> Result<(), AskError> {
        // Another worker's error is the answer; what is read from now on is not looked at.
        while !progress.failed.load(Ordering::Relaxed) {
            let Some(step) = self.next_step() else {
                self.is_done = true;
                return Ok(());
            };
            self.worker.read(step)?;
            let bytes = self.worker.tally.heap_bytes();
            let more = bytes.wrapping_sub(self.own_bytes);
            self.own_bytes = bytes;
            let tallies = progress.used_bytes.fetch_add(more, Ordering::Relaxed).wrapping_add(more);
            let words: usize = self.question.dictionaries.iter().map(Dictionary::heap_bytes).sum();
            progress.budget.check(tallies + words)?;
            if turn.is_over(now()) {
                return Ok(());
            }
        }
        Ok(())
    }
}
