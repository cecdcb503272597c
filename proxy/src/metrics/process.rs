//! The series of the process as a whole: what it is ready for, and what it holds for all requests together.

use prometheus::{IntCounter, IntGauge, IntGaugeVec};

use super::{
    catalogue::Key,
    family::{Family, Maker},
    labels::{Label as _, LogLevel},
    series::{raise, wide},
};
use crate::{config::CertificateEnd, telemetry};

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
    log_lines: Family<LogLevel, IntCounter>,
    certificates: IntGaugeVec,
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
            log_lines: make.counter_family(
                "log_lines_total",
                "Lines of the program's own log.",
                "level",
            )?,
            certificates: make.gauges(
                "certificate_expiry_timestamp_seconds",
                "When a certificate that this process shows to others ends, or the first of those between it and its authority.",
                &[Key::named("certificate", "`cluster`, `traces`, or `sink` and the name of one")],
            )?,
        })
    }

    /// Says when certificates end. Those of before that are not among them stay: what needs one needs a restart to be without.
    pub(super) fn certify(&self, certificates: &[CertificateEnd]) {
        for CertificateEnd { place, ends } in certificates {
            self.certificates.with_label_values(&[place]).set(*ends);
        }
    }

    /// Brings the counts of the log's lines up to date.
    pub(super) fn show_log(&self) {
        for (level, lines) in LogLevel::ALL.iter().zip(telemetry::lines_logged()) {
            if let Some(counter) = self.log_lines.of(*level) {
                raise(counter, lines);
            }
        }
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
