//! What tracing counts of itself.

use std::sync::Arc;

use prometheus::{IntCounter, IntGauge};

use super::{
    family::{Family, Maker},
    labels::{ExportOutcome, SpanFate, TraceFlag},
    series::wide,
};

/// What tracing counts of itself; clones count together.
#[derive(Debug, Clone)]
pub struct TraceCounters(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    sampled: IntCounter,
    flags: Family<TraceFlag, IntCounter>,
    spans: Family<SpanFate, IntCounter>,
    exports: Family<ExportOutcome, IntCounter>,
    waiting: IntGauge,
    waiting_max: IntGauge,
}

impl TraceCounters {
    pub(super) fn new(make: &Maker<'_>) -> prometheus::Result<Self> {
        Ok(Self(Arc::new(Counters {
            sampled: make.counter("traces_sampled_total", "Requests whose spans were kept.")?,
            flags: make.counter_family(
                "trace_flags_total",
                "Sampled flags of clients that were let in, where they are trusted.",
                "result",
            )?,
            spans: make.counter_family(
                "trace_spans_total",
                "Spans by what became of them.",
                "fate",
            )?,
            exports: make.counter_family(
                "trace_exports_total",
                "Requests to the receiver of traces.",
                "outcome",
            )?,
            waiting: make
                .gauge("trace_queue_spans", "Spans that wait to be sent, or are being sent.")?,
            waiting_max: make.gauge(
                "trace_queue_spans_max",
                "Most spans that may wait or be on their way; 0 without traces.",
            )?,
        })))
    }

    /// A request's spans were kept.
    pub fn sampled(&self) {
        self.0.sampled.inc();
    }

    /// A client's flag was looked at.
    pub fn flag(&self, flag: TraceFlag) {
        self.0.flags.inc(flag);
    }

    /// How many flags were looked at with this result.
    #[must_use]
    pub fn flags(&self, flag: TraceFlag) -> u64 {
        self.0.flags.of(flag).map_or(0, IntCounter::get)
    }

    /// This became of so many spans.
    pub fn spans(&self, fate: SpanFate, spans: usize) {
        if let Some(counter) = self.0.spans.of(fate) {
            counter.inc_by(u64::try_from(spans).unwrap_or(u64::MAX));
        }
    }

    /// A request to the receiver ended.
    pub fn exported(&self, outcome: ExportOutcome) {
        self.0.exports.inc(outcome);
    }

    /// So many spans wait or are being sent.
    pub fn waiting(&self, spans: usize) {
        self.0.waiting.set(wide(spans));
    }

    /// So many may.
    pub fn waiting_bounded(&self, spans_max: usize) {
        self.0.waiting_max.set(wide(spans_max));
    }

    /// How many spans had this fate.
    #[must_use]
    pub fn count(&self, fate: SpanFate) -> u64 {
        self.0.spans.of(fate).map_or(0, IntCounter::get)
    }
}
