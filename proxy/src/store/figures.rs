//! What is counted of the store.

use std::sync::atomic::{AtomicU64, Ordering};

/// What is asked of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A session is written.
    Save,
    /// A session is read.
    Load,
    /// A session is removed.
    Remove,
    /// All sessions of a principal are removed.
    EndOf,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Save, Self::Load, Self::Remove, Self::EndOf];

    /// Its name in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Save => "save",
            Self::Load => "load",
            Self::Remove => "remove",
            Self::EndOf => "end_of",
        }
    }

    fn place(self) -> usize {
        match self {
            Self::Save => 0,
            Self::Load => 1,
            Self::Remove => 2,
            Self::EndOf => 3,
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Done, or found.
    Done,
    /// Looked for and not there.
    Absent,
    /// There, but not a record that we can open: as if it were absent.
    Garbage,
    /// Not written: its principal has as many sessions as allowed.
    TooMany,
    /// Not tried, since the store is known to be down.
    Down,
    /// Not reached, or the connection broke.
    Unreachable,
    /// Not answered in time.
    Timeout,
    /// Not written: there is no room.
    Full,
    /// Not done for another reason that the store gave, or that lies in the session.
    Refused,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Done,
        Self::Absent,
        Self::Garbage,
        Self::TooMany,
        Self::Down,
        Self::Unreachable,
        Self::Timeout,
        Self::Full,
        Self::Refused,
    ];

    /// Its name in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Absent => "absent",
            Self::Garbage => "garbage",
            Self::TooMany => "too_many",
            Self::Down => "down",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Full => "full",
            Self::Refused => "refused",
        }
    }

    fn place(self) -> usize {
        match self {
            Self::Done => 0,
            Self::Absent => 1,
            Self::Garbage => 2,
            Self::TooMany => 3,
            Self::Down => 4,
            Self::Unreachable => 5,
            Self::Timeout => 6,
            Self::Full => 7,
            Self::Refused => 8,
        }
    }
}

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
    /// Every operation and outcome in their words, and how often it ended so.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        Operation::ALL.into_iter().flat_map(move |operation| {
            let count =
                move |end: Outcome| (operation.word(), end.word(), self.count(operation, end));
            Outcome::ALL.map(count)
        })
    }

    /// How often an operation ended so.
    #[must_use]
    pub fn count(&self, operation: Operation, outcome: Outcome) -> u64 {
        let of_operation = self.counts.get(operation.place());
        of_operation.and_then(|counts| counts.get(outcome.place())).copied().unwrap_or_default()
    }
}

/// Counts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    losses: AtomicU64,
    counts: Counts<AtomicU64>,
}

impl Tally {
    pub(super) fn add(&self, operation: Operation, outcome: Outcome) {
        let of_operation = self.counts.get(operation.place());
        if let Some(count) = of_operation.and_then(|counts| counts.get(outcome.place())) {
            count.fetch_add(1, Ordering::Relaxed);
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
        StoreFigures { up, losses: self.losses.load(Ordering::Relaxed), counts }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_operation_and_outcome_has_a_count_and_a_word_of_its_own() {
        let tally = Tally::default();
        let all = || Operation::ALL.into_iter().flat_map(|o| Outcome::ALL.map(|end| (o, end)));
        for (times, (operation, outcome)) in all().enumerate() {
            (0..times).for_each(|_| tally.add(operation, outcome));
        }
        let figures = tally.figures(true);
        for (times, (operation, outcome)) in all().enumerate() {
            let counted = usize::try_from(figures.count(operation, outcome)).unwrap();
            assert_eq!(counted, times, "{operation:?} {outcome:?}");
        }
        let words: HashSet<_> = all().map(|(o, outcome)| (o.word(), outcome.word())).collect();
        assert_eq!(words.len(), all().count());
    }
}
