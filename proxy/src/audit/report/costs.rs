//! The requests that cost most.

use serde_json::{Value, json};

use crate::{
    audit::{
        Facts,
        tally::{NOBODY, push_cut},
    },
    field::Field,
};

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cost {
    /// What it cost.
    pub(super) value: u64,
    /// When it ended.
    pub(super) time: String,
    /// Its id.
    pub(super) request_id: String,
    /// Who asked.
    pub(super) person: String,
    /// The tool.
    pub(super) tool: String,
    /// The backend.
    pub(super) backend: String,
}

impl Cost {
    fn of(value: u64, facts: &Facts<'_>) -> Self {
        let text = |field| {
            let mut text = String::new();
            push_cut(&mut text, facts.text(field).unwrap_or(NOBODY));
            text
        };
        Self {
            value,
            time: text(Field::Time),
            request_id: text(Field::RequestId),
            person: text(Field::Subject),
            tool: text(Field::Tool),
            backend: text(Field::Backend),
        }
    }

    /// It for programs.
    pub(super) fn json(&self) -> Value {
        let Self { value, time, request_id, person, tool, backend } = self;
        json!({
            "value": value,
            "time": time,
            "request_id": request_id,
            "person": person,
            "tool": tool,
            "backend": backend,
        })
    }
}

/// The most of each kind.
#[derive(Debug)]
pub(super) struct Costs {
    longest: Vec<Cost>,
    largest: Vec<Cost>,
    most_rows: Vec<Cost>,
    rows_max: usize,
}

impl Costs {
    /// So many of each kind.
    pub(super) const fn new(rows_max: usize) -> Self {
        Self { longest: Vec::new(), largest: Vec::new(), most_rows: Vec::new(), rows_max }
    }

    /// Looks whether a request is among them.
    pub(super) fn add(&mut self, facts: &Facts<'_>) {
        let rows_max = self.rows_max;
        for (costs, value) in [
            (&mut self.longest, facts.duration_us()),
            (&mut self.largest, facts.number(Field::BytesOut)),
            (&mut self.most_rows, facts.number(Field::Rows)),
        ] {
            let Some(value) = value.filter(|value| *value > 0) else { continue };
            // The earlier of two that cost the same stays before the other.
            let place = costs.partition_point(|cost| cost.value >= value);
            if place < rows_max {
                costs.truncate(rows_max - 1);
                costs.insert(place, Cost::of(value, facts));
            }
        }
    }

    /// By time, in microseconds.
    pub(super) fn longest(&self) -> &[Cost] {
        &self.longest
    }

    /// By bytes of the answer.
    pub(super) fn largest(&self) -> &[Cost] {
        &self.largest
    }

    /// By rows of the answer.
    pub(super) fn most_rows(&self) -> &[Cost] {
        &self.most_rows
    }
}
