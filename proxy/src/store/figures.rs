//! What is counted of the store.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

pub use crate::metrics::labels::{StoreOperation as Operation, StoreOutcome as Outcome};
use crate::metrics::{StoreCount, labels::Label as _};

/// What was counted since the process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreFigures {
    /// Whether the store answers.
    pub up: bool,
    /// How often it came back and may have lacked what was written.
    pub losses: u64,
    counts: Counts<u64>,
    nanoseconds: [u64; Operation::ALL.len()],
}

type Counts<T> = [[T; Outcome::ALL.len()]; Operation::ALL.len()];

impl StoreFigures {
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

    /// Every operation with the time that all of its kind have taken.
    pub fn times(&self) -> impl Iterator<Item = (Operation, Duration)> {
        let time = |(&operation, &spent)| (operation, Duration::from_nanos(spent));
        Operation::ALL.iter().zip(&self.nanoseconds).map(time)
    }

    /// How often an operation ended so.
    #[must_use]
    pub fn count(&self, operation: Operation, outcome: Outcome) -> u64 {
        let of_operation = self.counts.get(operation.index());
        of_operation.and_then(|counts| counts.get(outcome.index())).copied().unwrap_or_default()
    }
}

/// Counts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    losses: AtomicU64,
    counts: Counts<AtomicU64>,
    nanoseconds: [AtomicU64; Operation::ALL.len()],
}

impl Tally {
    /// An operation ended so, after this time.
    pub(super) fn add(&self, operation: Operation, outcome: Outcome, took: Duration) {
        let of_operation = self.counts.get(operation.index());
        if let Some(count) = of_operation.and_then(|counts| counts.get(outcome.index())) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(spent) = self.nanoseconds.get(operation.index()) {
            // Wraps after 584 years of operations.
            let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
            spent.fetch_add(took, Ordering::Relaxed);
        }
    }

    pub(super) fn add_loss(&self) {
        self.losses.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn figures(&self, up: bool) -> StoreFigures {
        let counts = self
            .counts
            .each_ref()
            .map(|of_operation| of_operation.each_ref().map(|count| count.load(Ordering::Relaxed)));
        let nanoseconds = self.nanoseconds.each_ref().map(|spent| spent.load(Ordering::Relaxed));
        StoreFigures { up, losses: self.losses.load(Ordering::Relaxed), counts, nanoseconds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_and_outcome_has_a_count_of_its_own() {
        let tally = Tally::default();
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
    }

    #[test]
    fn the_time_of_each_operation_is_summed_over_all_its_outcomes() {
        let tally = Tally::default();
        tally.add(Operation::Load, Outcome::Done, Duration::from_micros(300));
        tally.add(Operation::Load, Outcome::Timeout, Duration::from_secs(2));
        let figures = tally.figures(true);
        let of = |wanted| figures.times().find(|(operation, _)| *operation == wanted).unwrap().1;
        assert_eq!(of(Operation::Load), Duration::from_micros(2_000_300));
        assert_eq!(of(Operation::Save), Duration::ZERO);
    }
}
