//! What is counted of the store.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

pub use crate::metrics::labels::{StoreOperation as Operation, StoreOutcome as Outcome};
use crate::metrics::{StoreCount, StoreTimes, labels::Label as _};

/// What was counted since the process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreFigures {
    /// Whether the store answers.
    pub up: bool,
    /// How often it came back and may have lacked what was written.
    pub losses: u64,
    counts: Counts<u64>,
}

type Counts<T> = [[T; Outcome::ALL.len()]; Operation::ALL.len()];

impl StoreFigures {
    /// Those of a store that is not one: sessions are kept in memory alone.
    pub(super) fn of_none() -> Self {
        Self { up: true, losses: 0, counts: Counts::default() }
    }

    /// Every operation and outcome with how often it ended so.
    pub fn all(&self) -> impl Iterator<Item = StoreCount> {
        Operation::ALL.iter().flat_map(move |&operation| {
            let count = move |&outcome: &Outcome| StoreCount {
                operation,
                outcome,
                count: self.count(operation, outcome),
            };
            Outcome::ALL.iter().map(count)
        })
    }

    /// How often an operation ended so.
    #[must_use]
    pub fn count(&self, operation: Operation, outcome: Outcome) -> u64 {
        let of_operation = self.counts.get(operation.index());
        of_operation.and_then(|counts| counts.get(outcome.index())).copied().unwrap_or_default()
    }
}

/// Counts.
#[derive(Debug)]
pub(super) struct Tally {
    losses: AtomicU64,
    counts: Counts<AtomicU64>,
    times: StoreTimes,
}

impl Tally {
    pub(super) fn new(times: StoreTimes) -> Self {
        Self { losses: AtomicU64::default(), counts: Counts::default(), times }
    }

    /// An operation ended so, after this time.
    pub(super) fn add(&self, operation: Operation, outcome: Outcome, took: Duration) {
        let of_operation = self.counts.get(operation.index());
        if let Some(count) = of_operation.and_then(|counts| counts.get(outcome.index())) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.times.observe(operation, took);
    }

    pub(super) fn add_loss(&self) {
        self.losses.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn figures(&self, up: bool) -> StoreFigures {
        let counts = self
            .counts
            .each_ref()
            .map(|of_operation| of_operation.each_ref().map(|count| count.load(Ordering::Relaxed)));
        StoreFigures { up, losses: self.losses.load(Ordering::Relaxed), counts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Metrics, Subjects};

    #[test]
    fn every_operation_and_outcome_has_a_count_of_its_own() {
        let subjects = Subjects { tools: &[], backends: &[], workers: 0 };
        let metrics = Metrics::new(subjects).unwrap();
        let tally = Tally::new(metrics.store_times());
        let outcomes = |&operation| Outcome::ALL.iter().map(move |&end| (operation, end));
        let all = || Operation::ALL.iter().flat_map(outcomes);
        for (times, (operation, outcome)) in all().enumerate() {
            (0..times).for_each(|_| tally.add(operation, outcome, Duration::ZERO));
        }
        let figures = tally.figures(true);
        for (times, (operation, outcome)) in all().enumerate() {
            let counted = usize::try_from(figures.count(operation, outcome)).unwrap();
            assert_eq!(counted, times, "{operation:?} {outcome:?}");
        }
        tally.add(Operation::Load, Outcome::Timeout, Duration::from_secs(2));
        let shown = String::from_utf8(metrics.render().unwrap()).unwrap();
        let sum = "promgate_store_operation_duration_seconds_sum{operation=\"load\"} 2";
        assert!(shown.lines().any(|line| line == sum), "{shown}");
    }
}
