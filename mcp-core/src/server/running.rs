//! A tool call while it runs.
//!
//! A call is a future, polled in its request's own task: no task is spawned for it. Once its answer has
//! become a stream it stands in a [`Slot`], from which a cancellation or its deadline can take it
//! although its reader stalls and nobody polls the stream.

use std::{pin::Pin, time::Instant};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::StatusCode;
use parking_lot::Mutex;

/// A configured bound of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bound {
    /// Sessions open.
    Sessions,
    /// Calls in flight in one session.
    SessionCalls,
    /// Calls in flight.
    Calls,
    /// `subscriptions/listen` streams open.
    Listeners,
}

/// How a request ended, for logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// A result.
    Answered,
    /// A JSON-RPC error by the handler.
    RpcError,
    /// The message was refused before any handler saw it.
    Refused,
    /// The session is unknown or ended.
    UnknownSession,
    /// A bound is reached.
    Busy(Bound),
    /// The client cancelled, or left.
    Cancelled,
    /// The call took longer than allowed.
    Deadline,
    /// The handler panicked.
    Panicked,
}

/// What a call came to.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The JSON-RPC answer; none when the client cancelled.
    pub(super) answer: Option<Bytes>,
    /// Status of the answer when it is not a stream.
    pub(super) status: StatusCode,
    /// For logs and metrics.
    pub(super) ending: Ending,
}

/// A running call. Dropping it stops the handler.
pub(super) type CallFuture = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// The place of a call whose answer has become a stream.
pub(super) struct Slot {
    call: Mutex<Option<CallFuture>>,
    reader: AtomicWaker,
    deadline: Instant,
}

impl Slot {
    pub(super) fn new(call: CallFuture, deadline: Instant) -> Self {
        Self { call: Mutex::new(Some(call)), reader: AtomicWaker::new(), deadline }
    }

    /// When the call must have ended.
    pub(super) const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Stops the call; its stream ends.
    pub(super) fn kill(&self) {
        let call = self.call.lock().take();
        // Outside the lock: dropping the call runs the handler's own destructors.
        drop(call);
        self.reader.wake();
    }

    /// Polls the call. `Ready(None)` when it was killed.
    pub(super) fn poll(&self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Option<Outcome>> {
        self.reader.register(cx.waker());
        let mut slot = self.call.lock();
        let Some(call) = slot.as_mut() else { return std::task::Poll::Ready(None) };
        let polled = call.as_mut().poll(cx);
        if polled.is_ready() {
            let ended = slot.take();
            drop(slot);
            drop(ended);
        }
        polled.map(Some)
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
