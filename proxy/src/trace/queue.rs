//! Spans that wait to be sent.

use std::{collections::VecDeque, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use crate::metrics::{TraceCounters, labels::SpanFate};

/// Most spans in one request to the receiver, and most bytes: receivers take 4 MiB over gRPC unless told otherwise.
const CHUNK_SPANS_MAX: usize = 512;
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// What the spans of a request take, about, in bytes: four spans with a dozen short attributes.
pub(super) const SPAN_BYTES_MAX: usize = 2048;

/// How long spans wait for others to be sent with them.
const LINGER: Duration = Duration::from_secs(1);

/// A bounded queue of spans, written already.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    spans_max: usize,
    counters: TraceCounters,
    /// A chunk has begun: something waits that did not before, or the one before it is full.
    begun: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    chunks: VecDeque<Chunk>,
    /// Those that are being sent count too.
    spans: usize,
    is_closed: bool,
}

/// As many spans as go into one request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) spans: usize,
    /// When the first of them came.
    began: Instant,
}

/// What there is to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This. It takes its place until [`Queue::done`].
    Chunk(Chunk),
    /// Too little as yet, until then.
    At(Instant),
    /// Nothing.
    Nothing,
}

impl Queue {
    pub(super) fn new(spans_max: usize, counters: TraceCounters) -> Self {
        counters.waiting_bounded(spans_max);
        Self { waiting: Mutex::default(), spans_max, counters, begun: Notify::new() }
    }

    /// Takes the spans of one request, or drops and counts them.
    pub(super) fn push(&self, bytes: &[u8], spans: usize) {
        let mut waiting = self.waiting.lock();
        if waiting.is_closed || waiting.spans + spans > self.spans_max {
            let fate = if waiting.is_closed { SpanFate::Failed } else { SpanFate::QueueFull };
            drop(waiting);
            self.counters.spans(fate, spans);
            return;
        }
        waiting.spans += spans;
        self.counters.waiting(waiting.spans);
        let has_room = |chunk: &&mut Chunk| {
            chunk.spans + spans <= CHUNK_SPANS_MAX
                && chunk.bytes.len() + bytes.len() <= CHUNK_BYTES_MAX
        };
        if let Some(chunk) = waiting.chunks.back_mut().filter(has_room) {
            chunk.bytes.extend_from_slice(bytes);
            chunk.spans += spans;
            return;
        }
        waiting.chunks.push_back(Chunk { bytes: bytes.to_vec(), spans, began: Instant::now() });
        drop(waiting);
        self.begun.notify_one();
    }

    /// Waits until another chunk has begun.
    pub(super) async fn begun(&self) {
        self.begun.notified().await;
    }

    /// What is to be sent next: a chunk that is full or has waited long enough, or, where `all` are to go, any.
    pub(super) fn next(&self, all: bool) -> Next {
        let mut waiting = self.waiting.lock();
        let is_full = waiting.chunks.len() > 1;
        let Some(first) = waiting.chunks.front() else { return Next::Nothing };
        let until = first.began + LINGER;
        if !is_full && !all && Instant::now() < until {
            return Next::At(until);
        }
        waiting.chunks.pop_front().map_or(Next::Nothing, Next::Chunk)
    }

    /// These spans were sent, or given up.
    pub(super) fn done(&self, spans: usize) {
        let mut waiting = self.waiting.lock();
        waiting.spans = waiting.spans.saturating_sub(spans);
        self.counters.waiting(waiting.spans);
    }

    /// Takes no more spans. Says how many are lost: what waits, and what is being sent.
    pub(super) fn close(&self) -> usize {
        let mut waiting = self.waiting.lock();
        waiting.is_closed = true;
        waiting.chunks.clear();
        let lost = std::mem::take(&mut waiting.spans);
        self.counters.waiting(0);
        drop(waiting);
        self.counters.spans(SpanFate::Failed, lost);
        lost
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

    /// What is sent at the end.
    fn last(queue: &Queue) -> Option<Chunk> {
        match queue.next(true) {
            Next::Chunk(chunk) => Some(chunk),
            Next::At(_) | Next::Nothing => None,
        }
    }

    #[test]
    fn spans_are_put_together_up_to_a_requests_size() {
        let queue = queue(10_000);
        for _ in 0..300 {
            queue.push(b"xyz", 3);
        }
        let first = last(&queue).unwrap();
        assert_eq!((first.spans, first.bytes.len()), (510, 510));
        assert_eq!(last(&queue).unwrap().spans, 390);
        assert_eq!(last(&queue), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_chunk_that_is_not_full_waits_for_more() {
        let queue = queue(10_000);
        assert_eq!(queue.next(false), Next::Nothing);
        queue.push(b"x", 1);
        let began = Instant::now();
        assert_eq!(queue.next(false), Next::At(began + LINGER));
        for _ in 0..CHUNK_SPANS_MAX {
            queue.push(b"x", 1);
        }
        assert!(matches!(queue.next(false), Next::Chunk(full) if full.spans == CHUNK_SPANS_MAX));
        assert_eq!(queue.next(false), Next::At(began + LINGER), "the rest waits");
        tokio::time::advance(LINGER).await;
        assert!(matches!(queue.next(false), Next::Chunk(rest) if rest.spans == 1));
        assert_eq!(queue.next(false), Next::Nothing);
    }

    #[test]
    fn what_comes_after_the_end_is_lost_and_counted() {
        let queue = queue(10);
        queue.push(b"a", 3);
        queue.push(b"b", 2);
        assert_eq!(queue.close(), 5);
        queue.push(b"c", 1);
        assert_eq!(queue.counters.count(SpanFate::Failed), 6);
        assert_eq!((queue.next(true), queue.close()), (Next::Nothing, 0));
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
        let sending = last(&queue).unwrap();
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
        let sending = last(&queue).unwrap();
        assert_eq!(sending.bytes, b"a");
        queue.push(b"c", 3);
        assert_eq!(queue.counters.count(SpanFate::QueueFull), 6, "what is being sent counts");
        queue.done(sending.spans);
        queue.push(b"d", 3);
        assert_eq!(last(&queue).unwrap().bytes, b"d");
    }
}
