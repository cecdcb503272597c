//! Which requests are sampled.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use crate::config::{Share, Traces};

/// Decides which requests are sampled.
#[derive(Debug)]
pub(super) struct Sampler {
    share: Share,
    trust_parent: bool,
    trusted_per_second_max: u32,
    began: Instant,
    /// The second that counts, and how many flags were followed in it.
    followed: AtomicU64,
}

impl Sampler {
    pub(super) fn new(config: &Traces) -> Self {
        Self {
            share: config.sample_ratio,
            trust_parent: config.trust_parent,
            trusted_per_second_max: config.trusted_per_second_max,
            began: Instant::now(),
            followed: AtomicU64::new(0),
        }
    }

    /// Whether a request of this draw is sampled. The draw is ours and not the id of the trace, which a client can choose
    /// so that it is always sampled.
    pub(super) fn draws(&self, draw: u32) -> bool {
        self.share.holds(draw)
    }

    /// Whether flags decide.
    pub(super) const fn is_trusting(&self) -> bool {
        self.trust_parent
    }

    /// Whether a client's flag decides. One that says that a trace is not sampled always does.
    pub(super) fn follows(&self, flag: bool) -> bool {
        self.trust_parent && (!flag || self.has_room(self.began.elapsed().as_secs()))
    }

    /// Takes one of this second's places.
    fn has_room(&self, second: u64) -> bool {
        let second = second << 32;
        let taken = |before: u64| {
            let now = if before >> 32 == second >> 32 { before } else { second };
            let count = now & u64::from(u32::MAX);
            (count < u64::from(self.trusted_per_second_max)).then_some(now + 1)
        };
        self.followed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(trust_parent: bool) -> Sampler {
        let (began, followed) = (Instant::now(), AtomicU64::new(0));
        let share = Share::parse("0").unwrap();
        Sampler { share, trust_parent, trusted_per_second_max: 3, began, followed }
    }

    #[test]
    fn flags_switch_on_so_many_traces_in_a_second_and_no_more() {
        let sampler = sampler(true);
        let followed = |second| (0..10).filter(|_| sampler.has_room(second)).count();
        assert_eq!((followed(0), followed(0), followed(1), followed(7)), (3, 0, 3, 3));
    }

    #[test]
    fn flags_that_are_not_trusted_decide_nothing() {
        let sampler = sampler(false);
        assert!(!sampler.follows(true) && !sampler.follows(false));
    }
}
