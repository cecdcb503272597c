//! Sums by name, for more names than can be remembered.

use std::{cmp::Reverse, collections::HashMap};

use serde_json::{Map, Value, json};

use super::Facts;
use crate::{field::Field, metrics::labels::Outcome};

/// Most names that a table tells apart. What comes after them is summed up as others.
pub const NAMES_MAX: usize = 10_000;

/// Longest name that is remembered, in bytes; what is longer is cut.
const NAME_BYTES_MAX: usize = 256;

/// Stands between the parts of a name. No part holds it.
const BETWEEN: char = '\u{0}';

/// What a table shows for a part that a record does not name.
pub(super) const NOBODY: &str = "-";

/// What was done under a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Requests.
    pub(super) requests: u64,
    /// Those that were refused.
    pub(super) refused: u64,
    /// Those that failed otherwise.
    pub(super) failed: u64,
    /// Bytes of answers.
    pub(super) bytes_out: u64,
    /// Rows of answers.
    pub(super) rows: u64,
    /// Time taken, in microseconds.
    pub(super) time_us: u64,
    /// Longest time, in microseconds.
    pub(super) longest_us: u64,
    /// Time of the last record.
    pub(super) last: String,
    /// Request id of the last record.
    pub(super) last_id: String,
}

/// How a request ended, as far as a report tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Good,
    Refused,
    Failed,
}

/// Usage by name.
#[derive(Debug)]
pub(super) struct Tally {
    rows: HashMap<String, Usage>,
    others: Usage,
    names_max: usize,
    /// The name that is being looked for.
    name: String,
}

/// The names that a table shows, and the others together.
#[derive(Debug)]
pub(super) struct Top {
    /// Parts of the name, and what was done.
    pub(super) rows: Vec<(Vec<String>, Usage)>,
    /// The rest, where there is one.
    pub(super) others: Option<Usage>,
    /// How many names are in the rest; at least so many where [`Top::is_full`].
    pub(super) other_names: usize,
    /// More names came than can be told apart.
    pub(super) is_full: bool,
}

/// How a record says that its request ended; none where it does not say.
pub(super) fn end(facts: &Facts<'_>) -> Option<End> {
    let outcome = Outcome::of_label(facts.text(Field::Outcome)?.as_bytes());
    Some(match outcome {
        Some(Outcome::Ok) => End::Good,
        Some(
            Outcome::Rejected
            | Outcome::NotFound
            | Outcome::Unauthenticated
            | Outcome::Forbidden
            | Outcome::RateLimited
            | Outcome::UnknownSession
            | Outcome::TooLarge
            | Outcome::Overloaded,
        ) => End::Refused,
        Some(
            Outcome::CallerError
            | Outcome::BackendError
            | Outcome::SlowClient
            | Outcome::Timeout
            | Outcome::ClientGone
            | Outcome::Unavailable
            | Outcome::Internal,
        )
        | None => End::Failed,
    })
}

impl Usage {
    fn add(&mut self, facts: &Facts<'_>) {
        let sum = |to: &mut u64, more: Option<u64>| *to = to.saturating_add(more.unwrap_or(0));
        self.requests += 1;
        match end(facts) {
            Some(End::Refused) => self.refused += 1,
            Some(End::Failed) => self.failed += 1,
            Some(End::Good) | None => {}
        }
        sum(&mut self.bytes_out, facts.number(Field::BytesOut));
        sum(&mut self.rows, facts.number(Field::Rows));
        sum(&mut self.time_us, facts.duration_us());
        self.longest_us = self.longest_us.max(facts.duration_us().unwrap_or(0));
        for (to, field) in [(&mut self.last, Field::Time), (&mut self.last_id, Field::RequestId)] {
            to.clear();
            push_cut(to, facts.text(field).unwrap_or(NOBODY));
        }
    }

    fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.refused += other.refused;
        self.failed += other.failed;
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
        self.rows = self.rows.saturating_add(other.rows);
        self.time_us = self.time_us.saturating_add(other.time_us);
        self.longest_us = self.longest_us.max(other.longest_us);
        if other.last > self.last {
            self.last.clone_from(&other.last);
            self.last_id.clone_from(&other.last_id);
        }
    }

    /// It for programs.
    pub(super) fn json(&self) -> Map<String, Value> {
        let facts = [
            ("requests", json!(self.requests)),
            ("refused", json!(self.refused)),
            ("failed", json!(self.failed)),
            ("bytes_out", json!(self.bytes_out)),
            ("rows", json!(self.rows)),
            ("duration_us", json!(self.time_us)),
            ("longest_us", json!(self.longest_us)),
            ("last_time", json!(self.last)),
            ("last_request_id", json!(self.last_id)),
        ];
        facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl Tally {
    /// A table that tells so many names apart.
    pub(super) fn new(names_max: usize) -> Self {
        Self { rows: HashMap::new(), others: Usage::default(), names_max, name: String::new() }
    }

    /// Counts a record under a name of these parts.
    pub(super) fn add(&mut self, parts: &[&str], facts: &Facts<'_>) {
        self.name.clear();
        for (place, part) in parts.iter().enumerate() {
            if place > 0 {
                self.name.push(BETWEEN);
            }
            push_cut(&mut self.name, part);
        }
        if let Some(usage) = self.rows.get_mut(&self.name) {
            usage.add(facts);
        } else if self.rows.len() < self.names_max {
            self.rows.entry(self.name.clone()).or_default().add(facts);
        } else {
            self.others.add(facts);
        }
    }

    /// The names with the most of what `by` gives, at most so many.
    pub(super) fn top(&self, count: usize, by: impl Fn(&Usage) -> u64) -> Top {
        let mut rows: Vec<(&String, &Usage)> = self.rows.iter().collect();
        rows.sort_by_key(|(name, usage)| (Reverse(by(usage)), Reverse(usage.requests), *name));
        let rest = rows.split_off(rows.len().min(count));
        let is_full = self.others.requests > 0;
        let mut others = self.others.clone();
        for (_, usage) in &rest {
            others.merge(usage);
        }
        let parts = |name: &String| name.split(BETWEEN).map(str::to_owned).collect();
        Top {
            rows: rows.into_iter().map(|(name, usage)| (parts(name), usage.clone())).collect(),
            others: (others.requests > 0).then_some(others),
            other_names: rest.len(),
            is_full,
        }
    }
}

/// Appends a part of a name, cut to its bound.
pub(super) fn push_cut(to: &mut String, part: &str) {
    let end = part.floor_char_boundary(NAME_BYTES_MAX);
    let kept = part.get(..end).unwrap_or_default();
    to.extend(kept.chars().filter(|c| *c != BETWEEN));
    if kept.len() < part.len() {
        to.push('…');
    }
}
