//! Remembers which hops came, so that none is taken twice.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use super::{Nonce, Signer};

/// Latest numbers of a signer that are told apart. A signer counts all its hops to all replicas, so at 10,000 hops a
/// second this lets one arrive more than six seconds after another that was signed later.
const WIDTH: u64 = 1 << 16;

/// Most signers that are remembered: 8 MiB of windows. Only who has the key gets in. A replica is one signer for each of
/// its starts.
const SIGNERS_MAX: usize = 1024;

/// When signers answered this process first, each by its own clock.
///
/// An answer carries the number of a question of ours, so it was given after we began. What its signer signs later cannot
/// have come to a process that ended before, however far our clocks are apart.
#[derive(Debug, Default)]
pub(crate) struct FirstAnswers(Mutex<HashMap<u64, u64>>);

/// The hops that came.
pub(super) struct Replays {
    clock_skew_ms: u64,
    /// What was signed before may have come to the process before this, unless its signer had answered us by then.
    started_ms: u64,
    answers: Arc<FirstAnswers>,
    seen: Mutex<Seen>,
}

struct Seen {
    /// What was signed before is refused: it may have come from a signer that was forgotten.
    earliest_ms: u64,
    windows: HashMap<u64, Window>,
}

/// The hops of one signer.
struct Window {
    /// The highest number that came.
    highest: u64,
    /// Which of the [`WIDTH`] numbers up to that came, each at its remainder.
    came: Box<[u64]>,
    /// When the last came, by our clock.
    heard_ms: u64,
    /// The latest time at which one of them was signed, by the signer's clock.
    signed_ms: u64,
}

/// A hop that may have come before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replayed {
    /// It was signed before the first that can be told from a replay.
    Early,
    /// It came, or its number is too old to tell.
    Seen,
    /// No more signers can be remembered.
    TooMany,
}

impl FirstAnswers {
    /// Notes an answer. Those of more signers than are remembered of hops are not: by then nobody's clock is so far behind
    /// that it has not reached our start.
    pub(crate) fn note(&self, Signer(instance): Signer, at_ms: u64) {
        let mut first = self.0.lock();
        if first.len() < SIGNERS_MAX || first.contains_key(&instance) {
            first.entry(instance).or_insert(at_ms);
        }
    }

    fn came_by(&self, instance: u64, at_ms: u64) -> bool {
        self.0.lock().get(&instance).is_some_and(|first| *first <= at_ms)
    }
}

impl Replays {
    /// Refuses what was signed before `started_ms`. Whoever asks has refused all that was signed more than
    /// `clock_skew_ms` from our time.
    pub(super) fn new(clock_skew_ms: u64, started_ms: u64) -> Self {
        let seen = Seen { earliest_ms: 0, windows: HashMap::new() };
        Self { clock_skew_ms, started_ms, answers: Arc::default(), seen: Mutex::new(seen) }
    }

    /// Takes what was signed before, too, if its signer had answered us by then.
    pub(super) fn after(self, answers: Arc<FirstAnswers>) -> Self {
        Self { answers, ..self }
    }

    /// Notes a hop that came.
    pub(super) fn admit(&self, nonce: Nonce, at_ms: u64, now_ms: u64) -> Result<(), Replayed> {
        let is_early = at_ms < self.started_ms && !self.answers.came_by(nonce.instance, at_ms);
        let mut seen = self.seen.lock();
        if is_early || at_ms < seen.earliest_ms {
            return Err(Replayed::Early);
        }
        if !seen.windows.contains_key(&nonce.instance) {
            seen.forget(self.clock_skew_ms.saturating_mul(2), now_ms);
            if seen.windows.len() >= SIGNERS_MAX {
                return Err(Replayed::TooMany);
            }
        }
        let window =
            seen.windows.entry(nonce.instance).or_insert_with(|| Window::new(nonce.number));
        if !window.admit(nonce.number) {
            return Err(Replayed::Seen);
        }
        window.heard_ms = window.heard_ms.max(now_ms);
        window.signed_ms = window.signed_ms.max(at_ms);
        Ok(())
    }
}

impl Seen {
    /// Forgets signers that were silent for longer than twice the difference of clocks. All that came from one was
    /// signed at most one such difference after it was last heard, and so is more than one in the past by now: refused
    /// for its time. Should our clock step back, `earliest_ms` refuses it still.
    fn forget(&mut self, silence_ms: u64, now_ms: u64) {
        let earliest_ms = &mut self.earliest_ms;
        self.windows.retain(|_, window| {
            let keep = now_ms.saturating_sub(window.heard_ms) <= silence_ms;
            if !keep {
                *earliest_ms = (*earliest_ms).max(window.signed_ms.saturating_add(1));
            }
            keep
        });
    }
}

impl Window {
    fn new(first: u64) -> Self {
        let words = usize::try_from(WIDTH / u64::from(u64::BITS)).unwrap_or_default();
        Self { highest: first, came: vec![0; words].into_boxed_slice(), heard_ms: 0, signed_ms: 0 }
    }

    /// Whether the number is new; from now on it is not.
    fn admit(&mut self, number: u64) -> bool {
        if number > self.highest {
            self.advance(number);
        } else if self.highest - number >= WIDTH {
            return false;
        }
        let Some((word, bit)) = self.place(number) else { return false };
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Moves on to a higher number. Each number is cleared once, so this takes as long as the signer counted.
    fn advance(&mut self, number: u64) {
        if number - self.highest >= WIDTH {
            self.came.fill(0);
        } else {
            for passed in self.highest + 1..=number {
                if let Some((word, bit)) = self.place(passed) {
                    *word &= !bit;
                }
            }
        }
        self.highest = number;
    }

    /// Where a number is noted.
    fn place(&mut self, number: u64) -> Option<(&mut u64, u64)> {
        let place = number % WIDTH;
        let word = usize::try_from(place / u64::from(u64::BITS)).ok()?;
        Some((self.came.get_mut(word)?, 1 << (place % u64::from(u64::BITS))))
    }
}

#[cfg(test)]
mod tests;
