//! Whether a peer counts as there: what its answers and failures add up to.
//!
//! One lost packet is no reason to move sessions, and a peer that comes and goes must not take the ring with it
//! each time. So a peer is up only after some answers in a row, down only after some failures in a row, and each
//! fall soon after another makes the next rise take twice as many answers.
//!
//! Time comes in as a parameter, and nothing here waits or asks.

use std::{
    num::NonZeroU8,
    time::{Duration, Instant},
};

use crate::config::Probe;

/// Most answers in a row that a rise may take. At one question a second, a peer that fell for the twentieth time
/// today is back about a minute after it has become steady.
const ANSWERS_MAX: u32 = 64;

/// So many falls are remembered at most: with [`ANSWERS_MAX`] more would change nothing, and they would take
/// long to forgive.
const FALLS_MAX: u32 = 7;

/// A fall is forgiven after the time of so many questions without another: as long as the longest rise takes.
const FORGIVEN_AFTER: u32 = 64;

/// By what a peer's health is judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Damping {
    /// So many failures in a row are a fall.
    failures: NonZeroU8,
    /// So many answers in a row are a rise, if it did not fall lately.
    answers: NonZeroU8,
    /// How long it takes to forgive a fall.
    forgiving: Duration,
}

/// What a peer counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It answers, and owns sessions.
    Up,
    /// It does not answer, or not long enough yet.
    Down,
    /// It said that it is about to end: it owns nothing new.
    Draining,
}

/// One peer's health.
#[derive(Debug, Clone)]
pub(super) struct Health {
    damping: Damping,
    standing: Standing,
    /// Answers in a row while it is not up.
    answers: u32,
    /// Failures in a row while it is not down.
    failures: u32,
    /// Falls that are not forgiven.
    falls: u32,
    /// When the last fall was, or was last forgiven.
    since: Option<Instant>,
    /// All falls.
    flaps: u64,
}

impl Damping {
    pub(super) fn new(probe: &Probe) -> Self {
        Self {
            failures: probe.down_after,
            answers: probe.up_after,
            forgiving: probe.interval.saturating_mul(FORGIVEN_AFTER),
        }
    }
}

impl Health {
    /// Of a peer that nothing is known of: it is down.
    pub(super) fn new(damping: Damping) -> Self {
        Self {
            damping,
            standing: Standing::Down,
            answers: 0,
            failures: 0,
            falls: 0,
            since: None,
            flaps: 0,
        }
    }

    pub(super) fn standing(&self) -> Standing {
        self.standing
    }

    /// How often it has fallen, without being told to, since it is known.
    pub(super) fn flaps(&self) -> u64 {
        self.flaps
    }

    /// Whether it answers and is not up yet.
    pub(super) fn is_rising(&self) -> bool {
        self.answers > 0
    }

    /// It answered that it serves.
    pub(super) fn answered(&mut self, now: Instant) {
        self.forgive(now);
        self.failures = 0;
        if self.standing == Standing::Up {
            return;
        }
        self.answers = self.answers.saturating_add(1);
        if self.answers >= self.answers_needed() {
            self.standing = Standing::Up;
            self.answers = 0;
        }
    }

    /// It did not answer, or not as it should.
    pub(super) fn failed(&mut self, now: Instant) {
        self.forgive(now);
        self.answers = 0;
        self.failures = self.failures.saturating_add(1);
        if self.failures >= u32::from(self.damping.failures.get()) {
            self.fall(now);
        }
    }

    /// Nobody listens at its address, or it is no longer where peers are found: no doubt is left.
    pub(super) fn refused(&mut self, now: Instant) {
        self.forgive(now);
        self.answers = 0;
        self.fall(now);
    }

    /// It said that it is about to end. That is no fall.
    pub(super) fn drains(&mut self) {
        self.standing = Standing::Draining;
        self.answers = 0;
        self.failures = 0;
    }

    /// Whether forgetting all this would change nothing.
    pub(super) fn is_blank(&mut self, now: Instant) -> bool {
        self.forgive(now);
        self.falls == 0
    }

    /// The first fall in a while costs nothing: a peer that crashed once and is back is welcome.
    fn answers_needed(&self) -> u32 {
        let doublings = self.falls.saturating_sub(1);
        (u32::from(self.damping.answers.get()) << doublings).min(self.answers_max())
    }

    /// Somebody who asks for more answers than our bound gets them.
    fn answers_max(&self) -> u32 {
        ANSWERS_MAX.max(self.damping.answers.get().into())
    }

    fn fall(&mut self, now: Instant) {
        if self.standing == Standing::Up {
            self.flaps = self.flaps.saturating_add(1);
            self.falls = (self.falls + 1).min(FALLS_MAX);
            self.since = Some(now);
        }
        self.standing = Standing::Down;
        self.failures = 0;
    }

    fn forgive(&mut self, now: Instant) {
        while let Some(since) = self.since
            && now.saturating_duration_since(since) >= self.damping.forgiving
        {
            self.falls = self.falls.saturating_sub(1);
            self.since = (self.falls > 0).then_some(since + self.damping.forgiving);
        }
    }
}

#[cfg(test)]
mod tests;
