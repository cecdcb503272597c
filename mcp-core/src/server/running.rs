//! A tool call while it runs.
//!
//! A call is a future, polled in its request's own task: no task is spawned for it. Once its answer has
//! become a stream it stands in a [`Slot`], from which a cancellation or its deadline can take it
//! although its reader stalls and nobody polls the stream.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::StatusCode;
use parking_lot::Mutex;
use rmcp::ErrorData;

use super::json::error_json;

/// A configured bound of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bound {
    /// Sessions open.
    Sessions,
    /// Sessions of one principal open.
    PrincipalSessions,
    /// Calls in flight in one session.
    SessionCalls,
    /// Calls in flight.
    Calls,
    /// `subscriptions/listen` streams open.
    Listeners,
    /// Workers that could take the request.
    Workers,
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
    /// The same, of a call that nobody polled. The sweep that ended it has told so.
    Overdue,
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
    /// The answer's code, where it is a JSON-RPC error.
    pub(super) error_code: Option<i32>,
}

/// A running call. Dropping it stops the handler.
pub(super) type CallFuture = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// The place of a call whose answer has become a stream.
pub(super) struct Slot {
    state: Mutex<State>,
    reader: AtomicWaker,
    deadline: Instant,
    id_raw: Box<str>,
}

enum State {
    Running(CallFuture),
    /// Killed, with what the stream's reader is still to hear.
    Killed(Option<Outcome>),
}

impl Slot {
    /// A call that is to be killed at `deadline`, should it still run.
    pub(super) fn new(call: CallFuture, deadline: Instant, id_raw: Box<str>) -> Self {
        let state = Mutex::new(State::Running(call));
        Self { state, reader: AtomicWaker::new(), deadline, id_raw }
    }

    /// When the call must have ended.
    pub(super) const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Stops the call; its stream ends. Past the deadline its reader is told why.
    pub(super) fn kill(&self, ending: Ending) {
        let outcome = if ending == Ending::Overdue {
            Outcome { ending, ..Outcome::overdue(&self.id_raw) }
        } else {
            Outcome { answer: None, status: StatusCode::OK, ending, error_code: None }
        };
        let mut state = self.state.lock();
        let before = match &*state {
            State::Running(_) => std::mem::replace(&mut *state, State::Killed(Some(outcome))),
            State::Killed(_) => return,
        };
        // Outside the lock: dropping the call runs the handler's own destructors. One that panics
        // must not keep whoever kills from the calls that come after this one.
        drop(state);
        let _panicked = catch_unwind(AssertUnwindSafe(|| drop(before)));
        self.reader.wake();
    }

    /// Polls the call. `Ready(None)` when it has ended before.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Outcome>> {
        self.reader.register(cx.waker());
        let mut state = self.state.lock();
        let polled = match &mut *state {
            State::Running(call) => call.as_mut().poll(cx).map(Some),
            State::Killed(outcome) => Poll::Ready(outcome.take()),
        };
        if polled.is_ready() {
            let before = std::mem::replace(&mut *state, State::Killed(None));
            drop(state);
            drop(before);
        }
        polled
    }
}

impl Outcome {
    /// The answer is a JSON-RPC error.
    pub(super) fn failed(
        id_raw: &str,
        error: &ErrorData,
        status: StatusCode,
        ending: Ending,
    ) -> Self {
        let answer = Some(error_json(Some(id_raw), error));
        Self { answer, status, ending, error_code: Some(error.code.0) }
    }

    /// The call took too long.
    pub(super) fn overdue(id_raw: &str) -> Self {
        let message = "the call took longer than this server allows";
        let error = ErrorData::internal_error(message, None);
        Self::failed(id_raw, &error, StatusCode::OK, Ending::Deadline)
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
