//! The names that a query is made of.

use std::collections::BTreeSet;

/// Most names of one kind. A record is no place for more; dashboards use a handful.
const NAMES_MAX: usize = 64;
/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// What a query is made of. Each list is sorted and names everything once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shape {
    /// Metrics.
    pub metrics: Box<[Box<str>]>,
    /// Functions and aggregations.
    pub functions: Box<[Box<str>]>,
    /// Labels that are matched, grouped by or joined on.
    pub labels: Box<[Box<str>]>,
    /// Whether these are all. At most 64 of each kind are told, of at most 128 bytes; patterns for metrics and quoted names
    /// that do not read like names are not told; and a query that was read word by word may hold others.
    pub is_complete: bool,
}

/// Gathers a [`Shape`].
#[derive(Debug, Default)]
pub(super) struct Names<'a> {
    metrics: BTreeSet<&'a str>,
    functions: BTreeSet<&'a str>,
    labels: BTreeSet<&'a str>,
    left_out: bool,
}

impl<'a> Names<'a> {
    pub(super) fn metric(&mut self, name: &'a str) {
        self.left_out |= !add(&mut self.metrics, name);
    }

    pub(super) fn function(&mut self, name: &'a str) {
        self.left_out |= !add(&mut self.functions, name);
    }

    pub(super) fn label(&mut self, name: &'a str) {
        self.left_out |= !add(&mut self.labels, name);
    }

    /// There is a name that is not told.
    pub(super) fn leave_out(&mut self) {
        self.left_out = true;
    }

    pub(super) fn shape(self) -> Shape {
        let Self { metrics, functions, labels, left_out } = self;
        let list = |names: BTreeSet<&str>| names.into_iter().map(Into::into).collect();
        Shape {
            metrics: list(metrics),
            functions: list(functions),
            labels: list(labels),
            is_complete: !left_out,
        }
    }
}

/// Whether the name is among them now.
fn add<'a>(names: &mut BTreeSet<&'a str>, name: &'a str) -> bool {
    if names.contains(name) {
        return true;
    }
    let fits = names.len() < NAMES_MAX && name.len() <= NAME_BYTES_MAX;
    if fits {
        names.insert(name);
    }
    fits
}
