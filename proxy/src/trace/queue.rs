//! Spans that wait to be sent.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::metrics::{TraceCounters, labels::SpanFate};

/// Most spans in one request to the receiver, and most bytes: receivers take 4 MiB over gRPC unless told otherwise.
const CHUNK_SPANS_MAX: usize = 512;
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// What the spans of a request take, about, in bytes: four spans with a dozen short attributes.
pub(super) const SPAN_BYTES_MAX: usize = 2048;

/// A bounded queue of spans, written already.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    spans_max: usize,
    counters: TraceCounters,
    /// Something waits that did not before.
    begun: Notify,
    /// As much waits as fits into a request.
    full: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    chunks: VecDeque<Chunk>,
    /// Those that are being sent count too.
    spans: usize,
}

/// As many spans as go into one request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) spans: usize,
}

impl Queue {
    pub(super) fn new(spans_max: usize, counters: TraceCounters) -> Self {
        let (begun, full) = (Notify::new(), Notify::new());
        counters.waiting_bounded(spans_max);
        Self { waiting: Mutex::default(), spans_max, counters, begun, full }
    }

    /// Takes the spans of one request, or drops and counts them.
    pub(super) fn push(&self, bytes: &[u8], spans: usize) {
        let mut waiting = self.waiting.lock();
        if waiting.spans + spans > self.spans_max {
            drop(waiting);
            self.counters.spans(SpanFate::QueueFull, spans);
            return;
        }
        waiting.spans += spans;
        self.counters.waiting(waiting.spans);
        let has_room = |chunk: &&mut Chunk| {
            chunk.spans + spans <= CHUNK_SPANS_MAX
                && chunk.bytes.len() + bytes.len() <= CHUNK_BYTES_MAX
        };
        let is_first = waiting.chunks.is_empty();
        let mut is_full = false;
        if let Some(chunk) = waiting.chunks.back_mut().filter(has_room) {
            chunk.bytes.extend_from_slice(bytes);
            chunk.spans += spans;
        } else {
            is_full = !is_first;
            waiting.chunks.push_back(Chunk { bytes: bytes.to_vec(), spans });
        }
        drop(waiting);
        if is_first {
            self.begun.notify_one();
        }
        if is_full {
            self.full.notify_one();
        }
    }

    /// Waits until something waits.
    pub(super) async fn begun(&self) {
        while self.waiting.lock().chunks.is_empty() {
            self.begun.notified().await;
        }
    }

    /// Waits until as much waits as fits into a request.
    pub(super) async fn full(&self) {
        while self.waiting.lock().chunks.len() < 2 {
            self.full.notified().await;
        }
    }

    /// What is to be sent next. It takes its place until [`Queue::done`].
    pub(super) fn next(&self) -> Option<Chunk> {
        self.waiting.lock().chunks.pop_front()
    }

    /// These spans were sent, or given up.
    pub(super) fn done(&self, spans: usize) {
        let mut waiting = self.waiting.lock();
        waiting.spans = waiting.spans.saturating_sub(spans);
        self.counters.waiting(waiting.spans);
    }

    /// Number of spans that wait or are being sent.
    pub(super) fn len(&self) -> usize {
        self.waiting.lock().spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Metrics, Subjects};

    fn counters() -> TraceCounters {
        let subjects = Subjects { tools: &[], backends: &[], workers: 0 };
        Metrics::new(subjects).unwrap().traces()
    }

    fn queue(spans_max: usize) -> Queue {
        Queue::new(spans_max, counters())
    }

    #[test]
    fn spans_are_put_together_up_to_a_requests_size() {
        let queue = queue(10_000);
        for _ in 0..300 {
            queue.push(b"xyz", 3);
        }
        let first = queue.next().unwrap();
        assert_eq!((first.spans, first.bytes.len()), (510, 510));
        assert_eq!(queue.next().unwrap().spans, 390);
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn what_waits_is_shown_beside_its_bound() {
        let subjects = Subjects { tools: &[], backends: &[], workers: 0 };
        let metrics = Metrics::new(subjects).unwrap();
        let queue = Queue::new(4, metrics.traces());
        let shows = |line: &str| {
            let text = String::from_utf8(metrics.render().unwrap()).unwrap();
            assert!(text.lines().any(|found| found == line), "no {line:?}");
        };
        shows("promgate_trace_queue_spans_max 4");
        queue.push(b"a", 3);
        queue.push(b"b", 3);
        shows("promgate_trace_queue_spans 3");
        let sending = queue.next().unwrap();
        shows("promgate_trace_queue_spans 3");
        queue.done(sending.spans);
        shows("promgate_trace_queue_spans 0");
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let queue = queue(4);
        queue.push(b"a", 3);
        queue.push(b"b", 3);
        assert_eq!(queue.counters.count(SpanFate::QueueFull), 3);
        let sending = queue.next().unwrap();
        assert_eq!(sending.bytes, b"a");
        queue.push(b"c", 3);
        assert_eq!(queue.counters.count(SpanFate::QueueFull), 6, "what is being sent counts");
        queue.done(sending.spans);
        queue.push(b"d", 3);
        assert_eq!(queue.next().unwrap().bytes, b"d");
    }
}
