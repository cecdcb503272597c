//! The series of the process as a whole: what it is ready for, and what it holds for all requests together.

use prometheus::IntGauge;

use super::{family::Maker, series::gauge_value};

/// The process at the moment of a scrape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessFigures {
    /// Whether new work is served.
    pub is_ready: bool,
    /// Bytes of bodies that are arriving.
    pub bodies_bytes: usize,
}

/// Bounds that an operator sets, to be seen beside what is used of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most bytes of bodies that are arriving.
    pub bodies_bytes_max: usize,
    /// Most sessions of a worker.
    pub sessions_max: usize,
    /// Most calls of a worker.
    pub calls_max: usize,
}

#[derive(Debug)]
pub(super) struct Process {
    is_ready: IntGauge,
    bodies_bytes: IntGauge,
    bodies_bytes_max: IntGauge,
}

impl Process {
    pub(super) fn new(make: &Maker<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            is_ready: make.switch("ready", "Whether new work is served, as `/readyz` tells.")?,
            bodies_bytes: make.gauge(
                "bodies_bytes",
                "Size of the bodies that are arriving in pieces and are held until they are whole.",
            )?,
            bodies_bytes_max: make
                .gauge("bodies_bytes_max", "Most bytes of bodies that may be held so.")?,
        })
    }

    pub(super) fn bound(&self, bounds: &Bounds) {
        self.bodies_bytes_max.set(wide(bounds.bodies_bytes_max));
    }

    /// Brings the series up to date.
    pub(super) fn show(&self, figures: &ProcessFigures) {
        self.is_ready.set(figures.is_ready.into());
        self.bodies_bytes.set(wide(figures.bodies_bytes));
    }
}

/// A number of things, or a size, as a gauge holds it.
pub(super) fn wide(count: usize) -> i64 {
    gauge_value(u64::try_from(count).unwrap_or(u64::MAX))
}
