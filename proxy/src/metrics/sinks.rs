//! What is counted of the places to which access records go.

use std::time::Duration;

use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::{catalogue::Key, family::Maker, series::wide};

/// What one sink counts.
#[derive(Debug, Clone)]
pub struct SinkCounters {
    /// Records written.
    pub written: IntCounter,
    /// Records lost: no room, or not writable to the end.
    pub dropped: IntCounter,
    /// Bytes written, of whatever kind.
    pub bytes: IntCounter,
    /// Tries to write that failed.
    pub write_errors: IntCounter,
    /// Files that were full.
    pub rotations: IntCounter,
    /// Requests that were refused, since their records could not have been written.
    pub refused: IntCounter,
    /// Requests that had to wait until their records could be written.
    pub waited: IntCounter,
    /// Number of the last line of the chain.
    pub sequence: IntGauge,
    /// When the chain's last checkpoint was kept, in seconds since 1970.
    pub checkpoint: Gauge,
    /// When something was last written, in seconds since 1970.
    pub last_write: Gauge,
}

/// What is known of a sink at the time of a scrape.
#[derive(Debug, Clone)]
pub struct SinkFigures {
    /// Its name.
    pub name: String,
    /// Bytes that wait or are being written.
    pub queue_bytes: usize,
    /// Bytes of the queue that are taken: by what waits and, where requests wait or are refused, by what those in
    /// flight may still need.
    pub taken_bytes: usize,
    /// Most bytes that may wait.
    pub queue_bytes_max: usize,
    /// How long it has not been able to write what it has.
    pub stalled: Duration,
}

/// Gives the figures of every sink.
pub type SinkSource = Box<dyn Fn() -> Vec<SinkFigures> + Send + Sync>;

/// The metrics of all sinks.
#[derive(Debug)]
pub(super) struct Sinks {
    written: IntCounterVec,
    dropped: IntCounterVec,
    bytes: IntCounterVec,
    write_errors: IntCounterVec,
    rotations: IntCounterVec,
    refused: IntCounterVec,
    waited: IntCounterVec,
    sequence: IntGaugeVec,
    checkpoint: GaugeVec,
    last_write: GaugeVec,
    queue_bytes: IntGaugeVec,
    taken_bytes: IntGaugeVec,
    queue_bytes_max: IntGaugeVec,
    stalled: GaugeVec,
}

impl Sinks {
    pub(super) fn new(make: &Maker<'_>) -> prometheus::Result<Self> {
        let by_sink = [Key::named("sink", "a configured sink of the access log")];
        let counters = |name: &str, help: &str| make.counters(name, help, &by_sink);
        Ok(Self {
            written: counters("access_log_records_total", "Access records written.")?,
            dropped: counters(
                "access_log_records_dropped_total",
                "Access records lost because the queue was full or could not be written to the end.",
            )?,
            bytes: counters("access_log_bytes_total", "Bytes of the access log written.")?,
            write_errors: counters(
                "access_log_write_errors_total",
                "Tries to write to the access log that failed. Under `block` and `refuse` nothing is lost by them.",
            )?,
            rotations: counters("access_log_rotations_total", "Files of the access log that were full.")?,
            refused: counters(
                "access_log_refused_requests_total",
                "Requests refused because their access records could not have been written.",
            )?,
            waited: counters(
                "access_log_blocked_requests_total",
                "Requests that waited until their access records could be written.",
            )?,
            sequence: make.gauges(
                "access_log_chain_sequence",
                "Number of the last line of the sink's chain; 0 without a chain.",
                &by_sink,
            )?,
            checkpoint: make.moments(
                "access_log_chain_checkpoint_timestamp_seconds",
                "When the last checkpoint of the sink's chain was written; 0 for never, or without a chain.",
                &by_sink,
            )?,
            last_write: make.moments(
                "access_log_last_write_timestamp_seconds",
                "When something was last written; 0 for never.",
                &by_sink,
            )?,
            queue_bytes: make.gauges(
                "access_log_queue_bytes",
                "Bytes of access records that wait to be written.",
                &by_sink,
            )?,
            taken_bytes: make.gauges(
                "access_log_queue_taken_bytes",
                "Bytes of access records that wait to be written and, under `block` and `refuse`, what the records of requests in flight may still need.",
                &by_sink,
            )?,
            queue_bytes_max: make.gauges(
                "access_log_queue_bytes_max",
                "Most bytes of the queue that can be taken.",
                &by_sink,
            )?,
            stalled: make.moments(
                "access_log_stalled_seconds",
                "How long the sink has not been able to write what it has; 0 when it has nothing or writes.",
                &by_sink,
            )?,
        })
    }

    /// Those of one sink.
    pub(super) fn of(&self, name: &str) -> prometheus::Result<SinkCounters> {
        let label = &[name];
        self.queue_bytes.get_metric_with_label_values(label)?;
        self.taken_bytes.get_metric_with_label_values(label)?;
        self.queue_bytes_max.get_metric_with_label_values(label)?;
        self.stalled.get_metric_with_label_values(label)?;
        let counter = |vec: &IntCounterVec| vec.get_metric_with_label_values(label);
        Ok(SinkCounters {
            written: counter(&self.written)?,
            dropped: counter(&self.dropped)?,
            bytes: counter(&self.bytes)?,
            write_errors: counter(&self.write_errors)?,
            rotations: counter(&self.rotations)?,
            refused: counter(&self.refused)?,
            waited: counter(&self.waited)?,
            sequence: self.sequence.get_metric_with_label_values(label)?,
            checkpoint: self.checkpoint.get_metric_with_label_values(label)?,
            last_write: self.last_write.get_metric_with_label_values(label)?,
        })
    }

    pub(super) fn show(&self, figures: &[SinkFigures]) {
        for sink in figures {
            let label = &[sink.name.as_str()];
            let sizes = [
                (&self.queue_bytes, sink.queue_bytes),
                (&self.taken_bytes, sink.taken_bytes),
                (&self.queue_bytes_max, sink.queue_bytes_max),
            ];
            for (gauges, bytes) in sizes {
                if let Ok(gauge) = gauges.get_metric_with_label_values(label) {
                    gauge.set(wide(bytes));
                }
            }
            if let Ok(gauge) = self.stalled.get_metric_with_label_values(label) {
                gauge.set(sink.stalled.as_secs_f64());
            }
        }
    }
}
